-- How long failed deliveries wait, by channel: a mail server that refuses a mail for now is not asked every few minutes
-- (RFC 5321, 4.5.4.1). The digest is of a week of the calendar, so that weeks neither overlap nor leave a gap.

alter table soundscape.delivery_settings
    add column retry_after interval not null default '10 seconds' check (retry_after > '0'),
    add column max_retry_after interval not null default '5 minutes',
    add check (max_retry_after >= retry_after);
update soundscape.delivery_settings set retry_after = '2 minutes', max_retry_after = '1 hour' where channel = 'email';
comment on column soundscape.delivery_settings.retry_after
    is 'How long a delivery waits after its first failure; twice as long after each other one.';
comment on column soundscape.delivery_settings.max_retry_after is 'It waits no longer than this.';

create function soundscape.retry_wait(to_channel text, failures integer) returns interval
language sql volatile security definer set search_path = '' as $$
    -- Half of it is random, so that deliveries that failed together are not tried together.
    select least(s.max_retry_after, s.retry_after * power(2, least(greatest(failures, 1) - 1, 16)))
        * (0.5 + random() / 2)
    from soundscape.delivery_settings s where s.channel = to_channel
$$;
comment on function soundscape.retry_wait(text, integer)
    is 'How long a delivery waits after so many failures: between half of the time and all of it.';

create or replace function soundscape.fail_delivery(
    delivery uuid, token uuid, outcome text, code text, message text, retry_after_s integer default 0
) returns text
language plpgsql security definer set search_path = '' as $$
declare
    held soundscape.deliveries := soundscape.hold_delivery(delivery, token);
    final_state text;
begin
    if outcome = 'gone' then
        if held.channel = 'push' then
            delete from public.push_subscriptions s where s.id = held.subscription_id;
        else
            insert into soundscape.ended_addresses as e (user_id, address, message)
            values (held.user_id, held.address, left(message, 500))
            on conflict (user_id) do update
            set address = excluded.address, message = excluded.message, ended_at = now();
        end if;
        final_state := 'dropped';
    elsif outcome = 'refused' then
        final_state := 'dead';
    elsif outcome not in ('later', 'released') then
        raise exception 'outcome must be later, released, refused or gone, not %', outcome using errcode = '22023';
    elsif outcome = 'later' and held.expires_at <= now() + make_interval(secs => retry_after_s) then
        final_state := 'dead';
    end if;
    if final_state is not null then
        perform soundscape.end_delivery(delivery, final_state, code, message);
        return final_state;
    end if;
    update soundscape.deliveries d
    set state = 'queued', token = null, attempts = 0,
        failures = d.failures + case when outcome = 'later' then 1 else 0 end,
        retry_at = case when outcome = 'released' then now() else clock_timestamp() + greatest(
            make_interval(secs => retry_after_s), soundscape.retry_wait(d.channel, d.failures + 1)) end,
        error_code = left(code, 64), error_message = left(message, 500)
    where d.id = delivery;
    return 'queued';
end
$$;
comment on function soundscape.fail_delivery(uuid, uuid, text, text, text, integer)
    is 'Worker only. Says how a delivery failed. later: it is tried again, later each time, until it expires. '
       'released: the worker stops. refused: it is given up. gone: nobody is there, and the '
       'address or the subscription ends.';

-- The arguments have another name, which only a new function can have.
drop function soundscape.digest(uuid, timestamptz);
create function soundscape.digest(account uuid, moment timestamptz) returns jsonb
language sql stable security definer set search_path = '' as $$
    with preferred as (
        select coalesce(
            (select p.time_zone from public.user_preferences p where p.user_id = account), 'UTC') as zone),
    week as (
        select soundscape.digest_time(p.zone, soundscape.digest_time(p.zone, moment) - interval '1 day') as begins,
               soundscape.digest_time(p.zone, moment) as ends
        from preferred p),
    recordings as (
        select f.id, f.title, f.status = 'ready' and f.created_at >= w.begins and f.created_at < w.ends as is_new,
               (select count(*) from public.likes l where l.audio_id = f.id and l.user_id <> account
                and l.created_at >= w.begins and l.created_at < w.ends) as likes
        from public.audio_files f cross join week w where f.user_id = account)
    select jsonb_build_object(
        'ready', count(*) filter (where r.is_new),
        'likes', coalesce(sum(r.likes), 0),
        'liked', coalesce((
            select jsonb_agg(jsonb_build_object('id', t.id, 'title', t.title, 'likes', t.likes))
            from (select * from recordings where likes > 0 order by likes desc, id limit 3) as t), '[]'),
        'collected', (
            select count(*) from public.playlist_items i
            join public.playlists p on p.id = i.playlist_id and p.is_public and p.user_id <> account
            join public.audio_files f on f.id = i.audio_id and f.user_id = account
            cross join week w
            where i.added_at >= w.begins and i.added_at < w.ends))
    from recordings r
$$;
comment on function soundscape.digest(uuid, timestamptz)
    is 'What happened to a user''s recordings in the week that ended with the latest digest_time: numbers, and titles '
       'of the user''s own recordings. Recordings are new in the week of their upload, whenever they are analysed.';
