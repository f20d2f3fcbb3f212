-- Limits that hold when several requests come at once, and hourly limits that deleting rows does not reset.

-- So many an hour, or a day
-- =========================

create table soundscape.action_counts (
    user_id uuid not null references public.users (id) on delete cascade,
    max_column text not null,
    since timestamptz not null,
    actions integer not null,
    primary key (user_id, max_column)
);
alter table soundscape.action_counts enable row level security;
comment on table soundscape.action_counts
    is 'What each user has added in this hour or day, for the limits of owner_limits. Users may delete what they '
       'added. It counts all the same.';
comment on column soundscape.action_counts.user_id is 'The user.';
comment on column soundscape.action_counts.max_column is 'The column of owner_limits.';
comment on column soundscape.action_counts.since is 'When the hour or day began.';
comment on column soundscape.action_counts.actions is 'How many rows the user has added since then.';

create function soundscape.count_actions() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    owner_column constant text := tg_argv[0];
    limit_name constant text := tg_argv[1];
    period constant text := tg_argv[2];
    what constant text := tg_argv[3];
    counted record;
begin
    if coalesce(auth.role(), 'service_role') = 'service_role' then
        return null;
    end if;
    for counted in
        -- The row is locked until the transaction ends. So requests at once are counted one after the other.
        insert into soundscape.action_counts as c (user_id, max_column, since, actions)
        select (to_jsonb(a) ->> owner_column)::uuid, limit_name, date_trunc(period, now()), count(*)
        from added a group by 1 order by 1
        on conflict on constraint action_counts_pkey do update
        set since = greatest(c.since, excluded.since),
            actions = excluded.actions + case when c.since >= excluded.since then c.actions else 0 end
        returning c.actions
    loop
        perform soundscape.refuse_over_limit(counted.actions, (to_jsonb(l) ->> limit_name)::integer, what)
        from soundscape.owner_limits l;
    end loop;
    return null;
end
$$;
comment on function soundscape.count_actions()
    is 'Trigger on tables that people insert into: an error if the owner adds more in an hour or a day than '
       'owner_limits allows. Arguments: the column of the owner, the column of owner_limits, hour or day, and what the '
       'error calls the rows.';

drop trigger listening_events_limit on public.listening_events;
create trigger listening_events_limit after insert on public.listening_events
    referencing new table as added for each statement
    execute function soundscape.count_actions('user_id', 'max_events_per_hour', 'hour', 'listening events an hour');
drop trigger impressions_limit on public.impressions;
create trigger impressions_limit after insert on public.impressions
    referencing new table as added for each statement
    execute function soundscape.count_actions('user_id', 'max_impressions_per_hour', 'hour', 'recommendations an hour');
drop trigger reports_limit on public.reports;
create trigger reports_limit after insert on public.reports
    referencing new table as added for each statement
    execute function soundscape.count_actions('reporter_id', 'max_reports_per_day', 'day', 'reports a day');

-- So many at a time
-- =================

-- Items of a playlist need no lock here: each insert locks its playlist.

create function soundscape.lock_owner() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if coalesce(auth.role(), 'service_role') <> 'service_role' then
        perform from public.users u where u.id = (select auth.uid()) for no key update;
    end if;
    return null;
end
$$;
comment on function soundscape.lock_owner()
    is 'Trigger before people insert into a table with a limit: one statement of a user after the other, so that '
       'check_owner_limits sees the rows of all. It is taken before any name of a recording is locked.';

create trigger playlists_owner before insert on public.playlists
    for each statement execute function soundscape.lock_owner();
create trigger audio_files_owner before insert on public.audio_files
    for each statement execute function soundscape.lock_owner();

create or replace function soundscape.check_owner_limits() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    limits soundscape.owner_limits;
begin
    if coalesce(auth.role(), 'service_role') = 'service_role' then
        return null;
    end if;
    select * into limits from soundscape.owner_limits;
    if tg_table_name = 'playlists' then
        perform soundscape.refuse_over_limit((
            select count(*) from (
                select from public.playlists p where p.user_id = o.user_id limit limits.max_playlists + 1) as held),
            limits.max_playlists, 'playlists')
        from (select distinct user_id from added) as o;
    elsif tg_table_name = 'playlist_items' then
        perform soundscape.refuse_over_limit((
            select count(*) from (
                select from public.playlist_items i where i.playlist_id = o.playlist_id
                limit limits.max_playlist_items + 1) as held),
            limits.max_playlist_items, 'items of a playlist')
        from (select distinct playlist_id from added) as o;
    elsif tg_table_name = 'audio_files' then
        perform soundscape.refuse_over_limit(
                    soundscape.count_recordings(o.user_id, limits.max_recordings), limits.max_recordings, 'recordings'),
                soundscape.refuse_over_limit(
                    soundscape.count_awaiting_upload(o.user_id, limits.max_awaiting_upload),
                    limits.max_awaiting_upload, 'recordings that wait for their file')
        from (select distinct user_id from added) as o;
    end if;
    return null;
end
$$;
comment on function soundscape.check_owner_limits()
    is 'Trigger on tables that people insert into: an error if the owner has more rows than owner_limits allows. '
       'lock_owner runs before it.';
