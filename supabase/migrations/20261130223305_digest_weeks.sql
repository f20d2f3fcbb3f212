-- Each recording is in exactly one weekly digest: that of the week in which it was ready for the first time. Before, a
-- recording that was uploaded in one week and ready in the next was in none.
--
-- A digest begins where the user's last one ended. So a week that nobody queued, and another time zone, neither leave a
-- gap nor count twice.

create table soundscape.first_ready (
    audio_id uuid primary key references public.audio_files (id) on delete cascade,
    ready_at timestamptz not null
);
alter table soundscape.first_ready enable row level security;
comment on table soundscape.first_ready
    is 'When each recording was ready for the first time. Another analysis changes nothing.';
comment on column soundscape.first_ready.audio_id is 'The recording.';
comment on column soundscape.first_ready.ready_at
    is 'When. For recordings from before this was noted: when they were made.';
-- Until now they were in the digest of the week of their upload.
insert into soundscape.first_ready (audio_id, ready_at)
select f.id, f.created_at from public.audio_files f where f.analyzed_at is not null;

create function soundscape.note_first_ready() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    insert into soundscape.first_ready (audio_id, ready_at) values (new.id, clock_timestamp()) on conflict do nothing;
    return null;
end
$$;
comment on function soundscape.note_first_ready()
    is 'Trigger on audio_files: notes when a recording is ready for the first time.';
create trigger audio_files_first_ready after update of status on public.audio_files
    for each row when (new.status = 'ready' and old.status <> 'ready') execute function soundscape.note_first_ready();

alter table soundscape.digests add column begins timestamptz, add column ends timestamptz;
comment on column soundscape.digests.begins is 'What happened from this moment on is in it.';
comment on column soundscape.digests.ends is 'What happened from this moment on is in the next one.';

create function soundscape.digest_between(account uuid, begins timestamptz, ends timestamptz) returns jsonb
language sql stable security definer set search_path = '' as $$
    with recordings as (
        select f.id, f.title,
            exists (
                select from soundscape.first_ready r
                where r.audio_id = f.id and r.ready_at >= begins and r.ready_at < ends) as is_new,
            (select count(*) from public.likes l where l.audio_id = f.id and l.user_id <> account
             and l.created_at >= begins and l.created_at < ends) as likes
        from public.audio_files f where f.user_id = account)
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
            where i.added_at >= begins and i.added_at < ends))
    from recordings r
$$;
comment on function soundscape.digest_between(uuid, timestamptz, timestamptz)
    is 'What happened to a user''s recordings between two moments: numbers, and titles of the user''s own recordings.';

create function soundscape.digest_week(account uuid, moment timestamptz)
returns table (begins timestamptz, ends timestamptz)
language sql stable security definer rows 1 set search_path = '' as $$
    select greatest(
            coalesce(d.ends, soundscape.digest_time(p.zone, w.ends - interval '1 day')), w.ends - interval '14 days'),
        w.ends
    from (select coalesce(
            (select p.time_zone from public.user_preferences p where p.user_id = account), 'UTC') as zone) as p
    cross join lateral (select soundscape.digest_time(p.zone, moment) as ends) as w
    left join soundscape.digests d on d.user_id = account and d.ends < w.ends
$$;
comment on function soundscape.digest_week(uuid, timestamptz)
    is 'What the digest that is queued at this moment tells of: from the end of the one before, at most two weeks ago, '
       'to the latest digest_time. Without one before: a week.';

create or replace function soundscape.digest(account uuid, moment timestamptz) returns jsonb
language sql stable security definer set search_path = '' as $$
    select soundscape.digest_between(account, coalesce(d.begins, w.begins), coalesce(d.ends, w.ends))
    from soundscape.digest_week(account, moment) w
    -- The outbox has the moment of the transaction that queued it.
    left join soundscape.digests d on d.user_id = account and d.queued_at = moment
$$;
comment on function soundscape.digest(uuid, timestamptz)
    is 'What the digest tells that was queued at this moment. A recording is in that of the week in which it was ready '
       'for the first time.';

create or replace function soundscape.queue_digests() returns integer
language plpgsql security definer set search_path = '' as $$
declare
    -- Whatever began before the week ended has been committed by then.
    margin constant interval := '10 minutes';
    queued integer;
begin
    with due as (
        select u.id, week.begins, week.ends
        from public.users u left join public.user_preferences p on p.user_id = u.id
        cross join lateral soundscape.digest_time(coalesce(p.time_zone, 'UTC'), now()) as monday
        cross join lateral soundscape.digest_week(u.id, now()) as week
        where now() >= monday + margin and now() < monday + interval '1 day'
          -- All users only if the operator has made it the default.
          and (exists (select from soundscape.notification_kinds k
                       where k.kind = 'weekly_digest' and 'email' = any (k.defaults))
               or u.id in (select n.user_id from public.notification_preferences n
                           where n.kind = 'weekly_digest' and n.channel = 'email' and n.enabled))
          and soundscape.is_notified(u.id, 'weekly_digest', 'email')
          and not exists (select from soundscape.account_deletions a where a.user_id = u.id)
          and not exists (select from soundscape.digests d where d.user_id = u.id and d.queued_at >= monday)
        limit 5000
    ), noted as (
        insert into soundscape.digests as d (user_id, queued_at, begins, ends)
        select due.id, now(), due.begins, due.ends from due order by due.id
        on conflict (user_id) do update
        set queued_at = excluded.queued_at, begins = excluded.begins, ends = excluded.ends
        -- Another call may have done so at the same moment.
        where d.queued_at < excluded.queued_at - interval '2 days'
        returning d.user_id, d.begins, d.ends
    )
    insert into soundscape.outbox (user_id, channel, kind)
    select n.user_id, 'email', 'weekly_digest'
    from noted n cross join lateral soundscape.digest_between(n.user_id, n.begins, n.ends) as counts
    where (counts ->> 'ready')::bigint + (counts ->> 'likes')::bigint + (counts ->> 'collected')::bigint > 0;
    get diagnostics queued = row_count;
    return queued;
end
$$;
