-- What holds when a delivery is made holds when it is sent, which may be days later: whose browser it is, what the user
-- wants, and when. Claims of one channel do not read the other's queue.

create or replace function soundscape.delivery_content(bundle uuid, account uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    with entries as (
        select o.* from soundscape.outbox o
        where o.bundle_id = bundle and soundscape.is_notified(account, o.kind, o.channel))
    select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
        'kind', told.kind, 'count', told.number,
        'digest', case when told.kind = 'weekly_digest' then soundscape.digest(account, told.latest) end,
        'recordings', (
            select jsonb_agg(jsonb_build_object('id', r.id, 'title', r.title) order by r.first_at, r.id)
            from (select f.id, f.title, min(e.created_at) as first_at
                  from entries e join public.audio_files f on f.id = e.audio_id
                  where e.kind = told.kind and f.user_id = account
                  group by f.id order by min(e.created_at), f.id limit 10) as r)
        )) order by told.earliest, told.kind)
    from (select e.kind, count(distinct coalesce(e.audio_id::text, e.id::text)) as number,
                 min(e.created_at) as earliest, max(e.created_at) as latest
          from entries e group by e.kind) as told
$$;
comment on function soundscape.delivery_content(uuid, uuid)
    is 'What a delivery tells: each kind, how many recordings (or events, if they are about none), and up to ten of '
       'the recipient''s own recordings. No words of other users, and no kind that the recipient has switched off.';

create or replace function soundscape.delivery_problem(delivery soundscape.deliveries) returns text
language sql stable security definer set search_path = ''
return case
    when exists (select from soundscape.account_deletions a where a.user_id = delivery.user_id) then 'account_closed'
    when delivery.expires_at <= now() then coalesce(delivery.error_code, 'too_old')
    when delivery.attempts >= soundscape.max_unanswered_claims() then 'worker_lost'
    -- The browser may be another user's by now.
    when delivery.channel = 'push' and not exists (
        select from public.push_subscriptions s
        where s.id = delivery.subscription_id and s.user_id = delivery.user_id) then 'subscription_gone'
    when delivery.channel = 'email' and soundscape.mail_problem(delivery.user_id) is not null
        then soundscape.mail_problem(delivery.user_id)
    when not exists (
        select from soundscape.outbox o
        where o.bundle_id = delivery.bundle_id
          and soundscape.is_notified(delivery.user_id, o.kind, delivery.channel)) then 'switched_off' end;

create or replace function soundscape.claim_delivery(channels text[], lease_s integer default 120)
returns table (
    delivery_id uuid, token uuid, channel text, attempt integer, user_id uuid, locale text, address text,
    endpoint text, p256dh text, auth text, content jsonb)
language plpgsql security definer rows 1 set search_path = '' as $$
#variable_conflict use_column
declare
    due soundscape.deliveries;
    problem text;
    quiet_end timestamptz;
begin
    for looks in 1 .. 100 loop
        -- The first of each channel by the index, then the first of them.
        select found.* into due
        from unnest(channels) as wanted (name) cross join lateral (
            select * from soundscape.deliveries d
            where lease_s > 0 and d.state in ('queued', 'running') and d.retry_at <= now()
              and d.channel = wanted.name
            order by d.retry_at limit 1 for update of d skip locked) as found
        order by found.retry_at limit 1;
        if due.id is null then
            exit when lease_s <= 0 or not soundscape.bundle_some(channels);
            continue;
        end if;
        problem := soundscape.delivery_problem(due);
        if problem is not null then
            perform soundscape.end_delivery(
                due.id,
                case when problem in ('account_closed', 'subscription_gone', 'no_address', 'address_ended',
                                      'switched_off')
                    then 'dropped' else 'dead' end,
                problem, due.error_message);
            continue;
        end if;
        select soundscape.end_of_quiet(p.time_zone, p.quiet_from, p.quiet_until, now()) into quiet_end
        from public.user_preferences p where p.user_id = due.user_id;
        if quiet_end is not null then
            -- It has an hour in the morning, however old it is then.
            update soundscape.deliveries d
            set state = 'queued', token = null, retry_at = quiet_end,
                expires_at = greatest(d.expires_at, quiet_end + interval '1 hour')
            where d.id = due.id;
            continue;
        end if;
        -- A browser that another user took in this moment is found by the next look.
        return query
            update soundscape.deliveries d
            set state = 'running', token = gen_random_uuid(), attempts = d.attempts + 1,
                retry_at = clock_timestamp() + make_interval(secs => lease_s),
                address = case when d.channel = 'email' then soundscape.mail_address(d.user_id) end
            from (select) as one left join public.push_subscriptions s
                on s.id = due.subscription_id and s.user_id = due.user_id
            where d.id = due.id and (d.channel = 'email' or s.id is not null)
            returning d.id, d.token, d.channel, d.attempts, d.user_id,
                coalesce((select p.locale from public.user_preferences p where p.user_id = d.user_id), 'en'),
                d.address, s.endpoint, s.p256dh, s.auth, soundscape.delivery_content(d.bundle_id, d.user_id);
        if found then
            return;
        end if;
    end loop;
end
$$;

drop index soundscape.deliveries_due;
create index deliveries_due on soundscape.deliveries (channel, retry_at) where state in ('queued', 'running');
create index deliveries_by_end on soundscape.deliveries (finished_at) where finished_at is not null;

create or replace function soundscape.delete_old_deliveries() returns void
language sql security definer set search_path = '' as $$
    -- A channel may have no worker any more, which would end them.
    update soundscape.deliveries d
    set state = 'dead', finished_at = now(), token = null, address = null,
        error_code = coalesce(d.error_code, 'too_old')
    where d.id in (
        select x.id from soundscape.deliveries x
        where x.state in ('queued', 'running') and x.retry_at <= now() and x.expires_at <= now()
        for update skip locked);
    delete from soundscape.deliveries d where d.finished_at < now() - soundscape.deliveries_kept_for();
    delete from soundscape.outbox o
    where o.bundle_id is not null and o.created_at < now() - soundscape.deliveries_kept_for()
      and not exists (select from soundscape.deliveries d where d.bundle_id = o.bundle_id);
    -- Nobody delivered it, for example because no worker has a mail server.
    delete from soundscape.outbox o using soundscape.delivery_settings s
    where o.bundle_id is null and s.channel = o.channel and o.created_at < now() - s.max_age
      and o.deliver_at < now() - s.max_age;
$$;
comment on function soundscape.delete_old_deliveries()
    is 'Gives up deliveries that expired, deletes those that ended a month ago, and entries that nobody delivered in '
       'time. pg_cron calls it.';
