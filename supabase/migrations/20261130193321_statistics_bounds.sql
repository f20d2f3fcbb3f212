-- One event cannot stop the rollup or fill the figures, and details are those of the listeners that they count.

create function soundscape.longest_play_s() returns double precision
language sql immutable parallel safe set search_path = '' return 14400;
comment on function soundscape.longest_play_s()
    is 'Seconds that one play counts at most where the length is not known.';

-- Sums of single precision would lose seconds, or leave its range.
alter table soundscape.stat_events alter column listened_s type double precision;
alter table soundscape.open_day_details alter column listened_s type double precision;
alter table public.audio_stats_daily alter column listened_s type double precision;
update soundscape.stat_events set listened_s = soundscape.longest_play_s()
where listened_s > soundscape.longest_play_s();

-- No play counts for more than the recording's length.
create or replace function soundscape.count_listens() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.make_salts(array(select distinct soundscape.stat_day(e.started_at) from added e));
    with listens as materialized (
        select e.id, e.audio_id, soundscape.stat_day(e.started_at) as day, f.duration,
            least(e.listened_s, coalesce(f.duration, soundscape.longest_play_s())) as listened_s,
            soundscape.play_source(e.context) as source,
            soundscape.listener_hash(e.user_id::text, e.audio_id, s.salt) as listener
        from added e
        join public.audio_files f on f.id = e.audio_id and f.user_id <> e.user_id
        join soundscape.listener_salts s on s.day = soundscape.stat_day(e.started_at)
        where soundscape.is_play(e.listened_s, f.duration)
    ), counted as (
        insert into soundscape.day_listeners as l (audio_id, day, listener, plays)
        select p.audio_id, p.day, p.listener, count(*) from listens p group by 1, 2, 3 order by 1, 2, 3
        on conflict (audio_id, day, listener) do update set plays = l.plays + excluded.plays
        returning l.audio_id, l.day, l.listener, l.plays
    ), placed as (
        select p.*, c.plays - count(*) over same + row_number() over (same order by p.id) as place
        from listens p join counted c using (audio_id, day, listener)
        window same as (partition by p.audio_id, p.day, p.listener)
    )
    insert into soundscape.stat_events (audio_id, day, plays, listeners, listened_s, source, quarter)
    select p.audio_id, p.day, 1, (p.place = 1)::integer, p.listened_s, p.source,
        case when p.duration > 0 then least(4, greatest(1, ceil(4 * p.listened_s / p.duration))) end
    from placed p where p.place <= soundscape.max_plays_a_day()
    order by p.id;
    return null;
end
$$;

-- The owners are locked before the recordings.
create or replace function soundscape.add_stat_events(max_events integer) returns integer
language sql security definer set search_path = '' as $$
    with taken as (
        delete from soundscape.stat_events e
        where e.id in (select t.id from soundscape.stat_events t order by t.id limit max_events)
        returning e.*
    ), owners as materialized (
        -- Locked before their recordings, as everywhere. An account that is being deleted needs no figures.
        select u.id from public.users u
        where u.id in (select f.user_id from public.audio_files f where f.id in (select t.audio_id from taken t))
          and not exists (select from soundscape.account_deletions d where d.user_id = u.id)
        order by u.id for key share
    ), recordings as materialized (
        -- Locked, so that none is deleted before its figures are written.
        select f.id, f.user_id from public.audio_files f join owners o on o.id = f.user_id
        where f.id in (select t.audio_id from taken t) order by f.id for key share of f
    ), sums as materialized (
        select t.audio_id, t.day, r.user_id, sum(t.plays) as plays, sum(t.listeners) as listeners,
            sum(t.downloads) as downloads, sum(t.likes) as likes, sum(t.listened_s) as listened_s,
            count(*) filter (where t.source = 'search') as from_search,
            count(*) filter (where t.source = 'similar') as from_similar,
            count(*) filter (where t.source = 'recommended') as from_recommended,
            count(*) filter (where t.source = 'radio') as from_radio,
            count(*) filter (where t.source = 'playlist') as from_playlist,
            count(*) filter (where t.source = 'embed') as from_embed,
            count(*) filter (where t.source = 'elsewhere') as from_elsewhere,
            count(*) filter (where t.quarter = 1) as heard_quarter_1,
            count(*) filter (where t.quarter = 2) as heard_quarter_2,
            count(*) filter (where t.quarter = 3) as heard_quarter_3,
            count(*) filter (where t.quarter = 4) as heard_quarter_4
        from taken t join recordings r on r.id = t.audio_id group by t.audio_id, t.day, r.user_id
    ), daily as (
        insert into public.audio_stats_daily as d (audio_id, day, user_id, plays, listeners, downloads)
        select s.audio_id, s.day, s.user_id, s.plays, s.listeners, s.downloads from sums s
        where s.plays > 0 or s.downloads > 0
        on conflict (audio_id, day) do update
        set plays = d.plays + excluded.plays, listeners = d.listeners + excluded.listeners,
            downloads = d.downloads + excluded.downloads
    ), details as (
        insert into soundscape.open_day_details as d (
            audio_id, day, listeners,
            listened_s, from_search, from_similar, from_recommended, from_radio, from_playlist, from_embed,
            from_elsewhere, heard_quarter_1, heard_quarter_2, heard_quarter_3, heard_quarter_4)
        select s.audio_id, s.day, s.listeners,
        s.listened_s, s.from_search, s.from_similar, s.from_recommended, s.from_radio, s.from_playlist,
        s.from_embed, s.from_elsewhere, s.heard_quarter_1, s.heard_quarter_2, s.heard_quarter_3, s.heard_quarter_4
        from sums s where s.plays > 0
        on conflict (audio_id, day) do update
        set listeners = d.listeners + excluded.listeners,
            listened_s = d.listened_s + excluded.listened_s, from_search = d.from_search + excluded.from_search,
            from_similar = d.from_similar + excluded.from_similar,
            from_recommended = d.from_recommended + excluded.from_recommended,
            from_radio = d.from_radio + excluded.from_radio,
            from_playlist = d.from_playlist + excluded.from_playlist,
            from_embed = d.from_embed + excluded.from_embed,
            from_elsewhere = d.from_elsewhere + excluded.from_elsewhere,
            heard_quarter_1 = d.heard_quarter_1 + excluded.heard_quarter_1,
            heard_quarter_2 = d.heard_quarter_2 + excluded.heard_quarter_2,
            heard_quarter_3 = d.heard_quarter_3 + excluded.heard_quarter_3,
            heard_quarter_4 = d.heard_quarter_4 + excluded.heard_quarter_4
    ), totals as (
        insert into public.audio_stats as d (audio_id, plays, listener_days, likes, downloads)
        select s.audio_id, sum(s.plays), sum(s.listeners), sum(s.likes), sum(s.downloads)
        from sums s group by s.audio_id
        on conflict (audio_id) do update
        set plays = d.plays + excluded.plays, listener_days = d.listener_days + excluded.listener_days,
            likes = d.likes + excluded.likes, downloads = d.downloads + excluded.downloads, updated_at = now()
    ), project as (
        insert into soundscape.project_days as d (day, plays, listeners, downloads)
        select t.day, sum(t.plays), sum(t.listeners), sum(t.downloads) from taken t
        where t.plays > 0 or t.downloads > 0 group by t.day
        on conflict (day) do update
        set plays = d.plays + excluded.plays, listeners = d.listeners + excluded.listeners,
            downloads = d.downloads + excluded.downloads
    )
    select count(*)::integer from taken
$$;

-- A day's listeners from before the statistics have no details: those after may be one person.
create or replace function soundscape.close_stat_days() returns void
language plpgsql security definer set search_path = '' as $$
declare
    -- Longer than any transaction that may still count an event of the last day.
    first_open constant date := soundscape.first_open_day(now() - interval '1 hour');
begin
    if exists (select from soundscape.stat_events e where e.day < first_open) then
        return;
    end if;
    with closed as (delete from soundscape.open_day_details d where d.day < first_open returning d.*)
    update public.audio_stats_daily d set
        listened_s = coalesce(d.listened_s, 0) + c.listened_s,
        from_search = coalesce(d.from_search, 0) + c.from_search,
        from_similar = coalesce(d.from_similar, 0) + c.from_similar,
        from_recommended = coalesce(d.from_recommended, 0) + c.from_recommended,
        from_radio = coalesce(d.from_radio, 0) + c.from_radio,
        from_playlist = coalesce(d.from_playlist, 0) + c.from_playlist,
        from_embed = coalesce(d.from_embed, 0) + c.from_embed,
        from_elsewhere = coalesce(d.from_elsewhere, 0) + c.from_elsewhere,
        heard_quarter_1 = coalesce(d.heard_quarter_1, 0) + c.heard_quarter_1,
        heard_quarter_2 = coalesce(d.heard_quarter_2, 0) + c.heard_quarter_2,
        heard_quarter_3 = coalesce(d.heard_quarter_3, 0) + c.heard_quarter_3,
        heard_quarter_4 = coalesce(d.heard_quarter_4, 0) + c.heard_quarter_4
    from closed c
    where d.audio_id = c.audio_id and d.day = c.day and c.listeners >= soundscape.min_listeners_for_details();
    delete from soundscape.day_listeners l where l.day < first_open;
    delete from soundscape.listener_salts s where s.day < first_open;
end
$$;

create or replace function soundscape.queue_stats() returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object(
        'queues', (
            select jsonb_object_agg(q.name, jsonb_build_object(
                'running', coalesce(s.running, 0), 'standing', coalesce(s.standing, 0),
                'retrying', coalesce(s.retrying, 0), 'waiting', coalesce(s.waiting, 0),
                'owners', coalesce(s.owners, 0), 'oldest_s', s.oldest_s))
            from unnest(soundscape.queue_names()) as q (name)
            left join (
                select j.queue,
                    count(*) filter (where j.state = 'running') as running,
                    count(*) filter (where j.state = 'queued' and j.msg_id is null) as waiting,
                    count(*) filter (where j.state = 'queued' and j.msg_id is not null
                        and (j.retry_at is null or j.retry_at <= now())) as standing,
                    count(*) filter (where j.state = 'queued' and j.msg_id is not null
                        and j.retry_at > now()) as retrying,
                    count(distinct j.user_id) as owners,
                    round(extract(epoch from now() - min(j.created_at) filter (where j.state = 'queued')),
                        1) as oldest_s
                from soundscape.jobs j where j.state in ('queued', 'running') group by j.queue
            ) s on s.queue = q.name),
        'leases_run_out', (
            select count(*) from soundscape.jobs j where j.state = 'running' and j.lease_expires_at < now()),
        'ended_in_a_day', (
            select coalesce(jsonb_object_agg(e.state, e.jobs), '{}') from (
                select j.state, count(*) as jobs from soundscape.jobs j
                where j.state not in ('queued', 'running') and j.finished_at > now() - interval '1 day'
                group by j.state) e),
        'dead', (
            select coalesce(jsonb_object_agg(e.code, e.jobs), '{}') from (
                select coalesce(j.error_code, 'unknown') as code, count(*) as jobs
                from soundscape.jobs j where j.state = 'dead' group by 1) e),
        'statistics', (
            select jsonb_build_object(
                'pending', count(*),
                'oldest_s', round(extract(epoch from now() - min(e.created_at)), 1))
            from soundscape.stat_events e),
        'settings', (select to_jsonb(s) - 'only_row' from soundscape.queue_settings s))
$$;
