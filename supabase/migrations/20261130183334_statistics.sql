-- Statistics: how often recordings are played, downloaded and liked, and from where, without saying by whom.
--
-- Each play is counted when its event arrives, and stays counted: erasing one's history, deleting an account and the
-- age of events change no figure. Otherwise an owner could tell from a figure that falls who had listened.
--
-- 1. A trigger decides whether an event is a play, bounded per listener, and appends a row to stat_events. That row has
--    no user.
-- 2. roll_up_stats, by pg_cron and by the worker's sweep, takes rows out of stat_events and adds them to the figures in
--    the same transaction. So batches may be of any size, in any order, at once, and be cut off.
-- 3. A day takes late events until a day after its end. Then close_stat_days publishes its details, where it had enough
--    listeners, and forgets its salt and the hashes of its listeners.

create function soundscape.max_plays_a_day() returns integer
language sql immutable parallel safe set search_path = '' return 10;
comment on function soundscape.max_plays_a_day()
    is 'How many plays of one recording by one listener count on one day.';

create function soundscape.min_listeners_for_details() returns integer
language sql immutable parallel safe set search_path = '' return 3;
comment on function soundscape.min_listeners_for_details()
    is 'How many listeners a day of a recording needs before its owner learns where they came from and how far they '
       'listened. Below it, the details would be those of one or two people.';

create function soundscape.is_play(listened_s real, duration double precision) returns boolean
language sql immutable parallel safe set search_path = ''
return listened_s > 0 and listened_s >= least(30, coalesce(duration / 2, 30));
comment on function soundscape.is_play(real, double precision)
    is 'The one definition of a play: 30 seconds were heard, or half of the recording if that is sooner.';

create function soundscape.play_source(context text) returns text
language sql immutable parallel safe set search_path = ''
return case when context in ('search', 'similar', 'recommended', 'radio', 'playlist', 'embed')
    then context else 'elsewhere' end;
comment on function soundscape.play_source(text)
    is 'Which column of the statistics counts a play with this listening_events.context.';

create function soundscape.first_open_day(moment timestamptz default now()) returns date
language sql stable parallel safe set search_path = '' return (moment at time zone 'UTC')::date - 1;
comment on function soundscape.first_open_day(timestamptz)
    is 'The first day that takes late events at this moment. Days are those of UTC.';

create function soundscape.stat_day(started_at timestamptz) returns date
language sql stable parallel safe set search_path = ''
return case
    when (started_at at time zone 'UTC')::date between soundscape.first_open_day() and (now() at time zone 'UTC')::date
    then (started_at at time zone 'UTC')::date else (now() at time zone 'UTC')::date end;
comment on function soundscape.stat_day(timestamptz)
    is 'The day on which an event counts that arrives now: the day it began, or today if that day is closed.';

-- Figures
-- =======

create table public.audio_stats (
    audio_id uuid primary key references public.audio_files (id) on delete cascade,
    plays bigint not null default 0,
    listener_days bigint not null default 0,
    likes bigint not null default 0,
    downloads bigint not null default 0,
    updated_at timestamptz not null default now()
);
alter table public.audio_stats enable row level security;
comment on table public.audio_stats
    is 'How often a recording was played, downloaded and liked. Whoever sees the recording sees it. A recording '
       'without a row has none of it.';
comment on column public.audio_stats.audio_id is 'The recording.';
comment on column public.audio_stats.plays
    is 'Plays by signed-in users other than the owner: 30 seconds heard, or half of it if that is sooner. At most 10 a '
       'day of one listener.';
comment on column public.audio_stats.listener_days
    is 'Listeners of each day, summed over the days. Who listened on two days counts twice: nobody is recognised the '
       'next day.';
comment on column public.audio_stats.likes is 'Likes at present.';
comment on column public.audio_stats.downloads
    is 'Downloads at the stable addresses, each caller once a day.';
comment on column public.audio_stats.updated_at is 'When the figures last changed.';

create table public.audio_stats_daily (
    audio_id uuid not null references public.audio_files (id) on delete cascade,
    day date not null,
    user_id uuid not null references public.users (id) on delete cascade,
    plays integer not null default 0,
    listeners integer not null default 0,
    downloads integer not null default 0,
    listened_s real,
    from_search integer,
    from_similar integer,
    from_recommended integer,
    from_radio integer,
    from_playlist integer,
    from_embed integer,
    from_elsewhere integer,
    heard_quarter_1 integer,
    heard_quarter_2 integer,
    heard_quarter_3 integer,
    heard_quarter_4 integer,
    primary key (audio_id, day)
);
alter table public.audio_stats_daily enable row level security;
create index audio_stats_daily_by_owner on public.audio_stats_daily (user_id, day);
comment on table public.audio_stats_daily
    is 'The figures of a recording by day, for its owner. The details are null until a day after the day, and for ever '
       'if the recording had fewer than three listeners on it.';
comment on column public.audio_stats_daily.audio_id is 'The recording.';
comment on column public.audio_stats_daily.day is 'The day, of UTC.';
comment on column public.audio_stats_daily.user_id is 'The owner of the recording.';
comment on column public.audio_stats_daily.plays is 'Plays, as in audio_stats.';
comment on column public.audio_stats_daily.listeners is 'Different listeners on this day.';
comment on column public.audio_stats_daily.downloads is 'Downloads, as in audio_stats.';
comment on column public.audio_stats_daily.listened_s is 'Seconds heard in all plays. A detail.';
comment on column public.audio_stats_daily.from_search is 'Plays from search results. A detail, as those below.';
comment on column public.audio_stats_daily.from_similar is 'Plays from a list of similar recordings.';
comment on column public.audio_stats_daily.from_recommended is 'Plays from recommendations.';
comment on column public.audio_stats_daily.from_radio is 'Plays by radio.';
comment on column public.audio_stats_daily.from_playlist is 'Plays from a playlist.';
comment on column public.audio_stats_daily.from_embed is 'Plays in an embedded player, by signed-in users.';
comment on column public.audio_stats_daily.from_elsewhere is 'Plays from anywhere else.';
comment on column public.audio_stats_daily.heard_quarter_1
    is 'Plays that heard no more than a quarter of the recording''s length.';
comment on column public.audio_stats_daily.heard_quarter_2 is 'Plays that heard more than a quarter, and up to half.';
comment on column public.audio_stats_daily.heard_quarter_3
    is 'Plays that heard more than half, and up to three quarters.';
comment on column public.audio_stats_daily.heard_quarter_4 is 'Plays that heard more than three quarters.';

insert into soundscape.exported_tables (table_name, via) values
    ('audio_stats', 'audio_id'), ('audio_stats_daily', 'user_id');

create table soundscape.project_days (
    day date primary key,
    plays bigint not null default 0,
    listeners bigint not null default 0,
    downloads bigint not null default 0
);
alter table soundscape.project_days enable row level security;
comment on table soundscape.project_days is 'The figures of all recordings together, by day, for the operator.';
comment on column soundscape.project_days.day is 'The day, of UTC.';
comment on column soundscape.project_days.plays is 'Plays. They stay when a recording is deleted.';
comment on column soundscape.project_days.listeners
    is 'Listeners of each recording, summed over the recordings. Who heard two counts twice.';
comment on column soundscape.project_days.downloads is 'Downloads.';

-- What is still to be counted, and what is known of open days
-- ============================================================

create table soundscape.stat_events (
    id bigint generated always as identity primary key,
    audio_id uuid not null,
    day date not null,
    plays smallint not null default 0,
    listeners smallint not null default 0,
    downloads smallint not null default 0,
    likes smallint not null default 0,
    listened_s real not null default 0,
    source text,
    quarter smallint,
    created_at timestamptz not null default now()
);
alter table soundscape.stat_events enable row level security;
create index stat_events_by_day on soundscape.stat_events (day);
comment on table soundscape.stat_events
    is 'What is still to be added to the figures. It has no user, and no foreign key: a recording may be gone.';
comment on column soundscape.stat_events.id is 'The order of arrival.';
comment on column soundscape.stat_events.audio_id is 'The recording.';
comment on column soundscape.stat_events.day is 'The day on which it counts.';
comment on column soundscape.stat_events.plays is '1 if it is a play.';
comment on column soundscape.stat_events.listeners is '1 if it is the first play of its listener on this day.';
comment on column soundscape.stat_events.downloads is '1 if it is a download.';
comment on column soundscape.stat_events.likes is '1 for a like, -1 for a like that was taken back.';
comment on column soundscape.stat_events.listened_s is 'Seconds heard.';
comment on column soundscape.stat_events.source is 'Of a play: where from, as play_source says.';
comment on column soundscape.stat_events.quarter
    is 'Of a play: how far it went, 1 to 4. Null if the length is not known.';
comment on column soundscape.stat_events.created_at is 'When it arrived.';

create table soundscape.listener_salts (
    day date primary key,
    salt bytea not null check (length(salt) = 32)
);
alter table soundscape.listener_salts enable row level security;
comment on table soundscape.listener_salts
    is 'The salt of each open day. When the day is closed, it is deleted: hashes of listeners mean nothing any more.';
comment on column soundscape.listener_salts.day is 'The day, of UTC.';
comment on column soundscape.listener_salts.salt is 'The random key of the HMAC.';

create table soundscape.day_listeners (
    audio_id uuid not null references public.audio_files (id) on delete cascade,
    day date not null,
    listener bytea not null,
    plays integer not null default 0,
    has_downloaded boolean not null default false,
    primary key (audio_id, day, listener)
);
alter table soundscape.day_listeners enable row level security;
create index day_listeners_by_day on soundscape.day_listeners (day);
comment on table soundscape.day_listeners
    is 'Who played or downloaded a recording on an open day, as a hash. Deleted with the salt of the day.';
comment on column soundscape.day_listeners.audio_id is 'The recording.';
comment on column soundscape.day_listeners.day is 'The day, of UTC.';
comment on column soundscape.day_listeners.listener is 'HMAC-SHA256 of the caller and the recording.';
comment on column soundscape.day_listeners.plays is 'Plays, also those beyond max_plays_a_day.';
comment on column soundscape.day_listeners.has_downloaded is 'Whether a download was counted.';

create table soundscape.open_day_details (
    like public.audio_stats_daily,
    primary key (audio_id, day),
    foreign key (audio_id) references public.audio_files (id) on delete cascade
);
alter table soundscape.open_day_details
    enable row level security, drop column user_id, drop column plays, drop column downloads;
create index open_day_details_by_day on soundscape.open_day_details (day);
comment on table soundscape.open_day_details
    is 'The details of days that are open. close_stat_days publishes or deletes them. Published sooner, they would say '
       'by the difference what the last listener did.';
do $$
declare
    name text;
begin
    for name in select a.attname from pg_attribute a
        where a.attrelid = 'soundscape.open_day_details'::regclass and a.attnum > 0 and not a.attisdropped
    loop
        execute format('comment on column soundscape.open_day_details.%I is %L', name,
            'As in public.audio_stats_daily.');
    end loop;
end
$$;

-- Arrival
-- =======

create function soundscape.make_salts(days date[]) returns void
language sql security definer set search_path = '' as $$
    insert into soundscape.listener_salts (day, salt)
    select distinct d, extensions.gen_random_bytes(32) from unnest(days) as d
    where not exists (select from soundscape.listener_salts s where s.day = d) order by d
    on conflict do nothing
$$;
comment on function soundscape.make_salts(date[]) is 'Makes the salts of these days, where there are none.';

create function soundscape.listener_hash(listener text, recording uuid, salt bytea) returns bytea
language sql immutable parallel safe set search_path = ''
return extensions.hmac(convert_to(listener || '/' || recording, 'UTF8'), salt, 'sha256');
comment on function soundscape.listener_hash(text, uuid, bytea)
    is 'A listener of a recording, as a number that only the salt of the day can make again.';

create function soundscape.count_listens() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.make_salts(array(select distinct soundscape.stat_day(e.started_at) from added e));
    with listens as materialized (
        select e.id, e.audio_id, soundscape.stat_day(e.started_at) as day, e.listened_s, f.duration,
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
comment on function soundscape.count_listens()
    is 'Trigger on listening_events: those that are plays will be counted. Owners do not count for themselves.';
create trigger listening_events_count after insert on public.listening_events
    referencing new table as added for each statement execute function soundscape.count_listens();

create function soundscape.count_likes() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    insert into soundscape.stat_events (audio_id, day, likes)
    select c.audio_id, (now() at time zone 'UTC')::date, case tg_op when 'INSERT' then 1 else -1 end from changed c;
    return null;
end
$$;
comment on function soundscape.count_likes() is 'Trigger on likes: the number of likes will follow.';
create trigger likes_count after insert on public.likes
    referencing new table as changed for each statement execute function soundscape.count_likes();
create trigger likes_uncount after delete on public.likes
    referencing old table as changed for each statement execute function soundscape.count_likes();

create function soundscape.record_download(recording uuid, listener text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    today constant date := (now() at time zone 'UTC')::date;
begin
    if not exists (
        select from public.audio_files f where f.id = recording and f.user_id::text is distinct from listener)
    then
        return false;
    end if;
    perform soundscape.make_salts(array[today]);
    insert into soundscape.day_listeners as l (audio_id, day, listener, has_downloaded)
    select recording, today, soundscape.listener_hash(record_download.listener, recording, s.salt), true
    from soundscape.listener_salts s where s.day = today
    on conflict on constraint day_listeners_pkey do update set has_downloaded = true where not l.has_downloaded;
    if not found then
        return false;
    end if;
    insert into soundscape.stat_events (audio_id, day, downloads) values (recording, today, 1);
    return true;
end
$$;
comment on function soundscape.record_download(uuid, text)
    is 'Worker only. Counts a download by a user or a network address, unless it is the owner, or was counted today.';

-- Rollup
-- ======

create function soundscape.lock_stats() returns boolean
language sql volatile set search_path = ''
return pg_try_advisory_xact_lock(hashtextextended('soundscape.stats', 0));
comment on function soundscape.lock_stats() is 'Whether this transaction may change the figures: one at a time does.';

create function soundscape.add_stat_events(max_events integer) returns integer
language sql security definer set search_path = '' as $$
    with taken as (
        delete from soundscape.stat_events e
        where e.id in (select t.id from soundscape.stat_events t order by t.id limit max_events)
        returning e.*
    ), recordings as materialized (
        -- Locked, so that none is deleted before its figures are written.
        select f.id, f.user_id from public.audio_files f
        where f.id in (select t.audio_id from taken t) order by f.id for key share
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
comment on function soundscape.add_stat_events(integer)
    is 'Takes at most so many rows out of stat_events and adds them to the figures. Returns how many. The caller holds '
       'lock_stats.';

create function soundscape.close_stat_days() returns void
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
    where d.audio_id = c.audio_id and d.day = c.day and d.listeners >= soundscape.min_listeners_for_details();
    delete from soundscape.day_listeners l where l.day < first_open;
    delete from soundscape.listener_salts s where s.day < first_open;
end
$$;
comment on function soundscape.close_stat_days()
    is 'Publishes the details of days that take no more events, where they had enough listeners, and forgets who the '
       'listeners were. The caller holds lock_stats.';

create function soundscape.roll_up_stats(max_events integer default 100000) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    today constant date := (now() at time zone 'UTC')::date;
    added integer;
begin
    if not soundscape.lock_stats() then
        return 0;
    end if;
    added := soundscape.add_stat_events(max_events);
    perform soundscape.close_stat_days();
    -- Made ahead: two first plays of a day need not wait for each other.
    perform soundscape.make_salts(array[today, today + 1]);
    return added;
end
$$;
comment on function soundscape.roll_up_stats(integer)
    is 'Worker only, and by pg_cron. Adds what has arrived to the figures, at most max_events rows of it, and closes '
       'days. Returns how many rows were added. Calling it again, at any moment, changes nothing that was counted.';
select cron.schedule('soundscape-roll-up-stats', '*/10 * * * *', 'select soundscape.roll_up_stats(1000000)');

-- For owners
-- ==========

create function public.my_audio_stats("from" date, "to" date, recording uuid default null)
returns table (
    day date, plays bigint, listeners bigint, downloads bigint, listened_s double precision,
    from_search bigint, from_similar bigint, from_recommended bigint, from_radio bigint, from_playlist bigint,
    from_embed bigint, from_elsewhere bigint,
    heard_quarter_1 bigint, heard_quarter_2 bigint, heard_quarter_3 bigint, heard_quarter_4 bigint)
language sql stable rows 365 set search_path = '' as $$
    select d.day, sum(d.plays), sum(d.listeners), sum(d.downloads), sum(d.listened_s::double precision),
        sum(d.from_search), sum(d.from_similar), sum(d.from_recommended), sum(d.from_radio), sum(d.from_playlist),
        sum(d.from_embed), sum(d.from_elsewhere),
        sum(d.heard_quarter_1), sum(d.heard_quarter_2), sum(d.heard_quarter_3), sum(d.heard_quarter_4)
    from (
        -- Each branch by its own index.
        select o.* from public.audio_stats_daily o
        where my_audio_stats.recording is not null and o.audio_id = my_audio_stats.recording
          and o.user_id = (select auth.uid()) and o.day between "from" and "to"
        union all
        select o.* from public.audio_stats_daily o
        where my_audio_stats.recording is null
          and o.user_id = (select auth.uid()) and o.day between "from" and "to") d
    group by d.day order by d.day
$$;
comment on function public.my_audio_stats(date, date, uuid)
    is 'The figures of the caller''s recordings by day, or of one of them. listeners is summed over the recordings. '
       'The details are sums over those recordings and days that publish them, and may be fewer than plays.';

-- For operators
-- =============

create function soundscape.project_stats(days integer default 30) returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object(
        'users', (select count(*) from public.users),
        'recordings', (
            select coalesce(jsonb_object_agg(s.status, s.recordings), '{}') from (
                select f.status, count(*) as recordings from public.audio_files f group by f.status) s),
        'listed', (select count(*) from public.audio_files f where f.is_listed),
        'duration_s', (
            select coalesce(sum(f.duration), 0) from public.audio_files f where f.status = 'ready'),
        'storage', (
            select coalesce(
                jsonb_object_agg(s.bucket_id, jsonb_build_object('objects', s.objects, 'bytes', s.bytes)), '{}')
            from (
                select o.bucket_id, count(*) as objects, coalesce(sum((o.metadata ->> 'size')::bigint), 0) as bytes
                from storage.objects o group by o.bucket_id) s),
        'likes', (select count(*) from public.likes),
        'plays', (select coalesce(sum(d.plays), 0) from soundscape.project_days d),
        'downloads', (select coalesce(sum(d.downloads), 0) from soundscape.project_days d),
        'days', (
            select coalesce(jsonb_agg(to_jsonb(d) order by d.day), '[]') from soundscape.project_days d
            where d.day > (now() at time zone 'UTC')::date - project_stats.days),
        'pending', (select count(*) from soundscape.stat_events),
        'pending_s', (
            select coalesce(round(extract(epoch from now() - min(e.created_at)), 1), 0) from soundscape.stat_events e))
$$;
comment on function soundscape.project_stats(integer)
    is 'Worker only. The project in figures, by day for so many days, and what is still to be rolled up.';

-- What was there before
-- =====================

-- Plays and listeners by day, without details.
with plays as (
    select e.audio_id, f.user_id as owner_id, (e.started_at at time zone 'UTC')::date as day, e.user_id, row_number()
        over (partition by e.audio_id, (e.started_at at time zone 'UTC')::date, e.user_id order by e.id) as place
    from public.listening_events e join public.audio_files f on f.id = e.audio_id and f.user_id <> e.user_id
    where soundscape.is_play(e.listened_s, f.duration)
)
insert into public.audio_stats_daily (audio_id, day, user_id, plays, listeners)
select p.audio_id, p.day, p.owner_id, count(*), count(distinct p.user_id) from plays p
where p.place <= soundscape.max_plays_a_day() group by 1, 2, 3;

insert into public.audio_stats (audio_id, plays, listener_days, likes)
select f.id, coalesce(s.plays, 0), coalesce(s.listeners, 0), coalesce(l.likes, 0)
from public.audio_files f
left join (select d.audio_id, sum(d.plays) as plays, sum(d.listeners) as listeners
           from public.audio_stats_daily d group by d.audio_id) s on s.audio_id = f.id
left join (select k.audio_id, count(*) as likes from public.likes k group by k.audio_id) l on l.audio_id = f.id
where s.plays > 0 or l.likes > 0;

insert into soundscape.project_days (day, plays, listeners)
select d.day, sum(d.plays), sum(d.listeners) from public.audio_stats_daily d group by d.day;
