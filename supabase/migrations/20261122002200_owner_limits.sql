-- Limits per owner, so that one account cannot fill the database. The worker's key has no limit.

create table soundscape.owner_limits (
    only_row boolean primary key default true check (only_row),
    max_playlists integer not null default 1000 check (max_playlists >= 0),
    max_playlist_items integer not null default 5000 check (max_playlist_items >= 0),
    max_awaiting_upload integer not null default 1000 check (max_awaiting_upload >= 0),
    max_events_per_hour integer not null default 1000 check (max_events_per_hour >= 0),
    max_reports_per_day integer not null default 100 check (max_reports_per_day >= 0)
);
alter table soundscape.owner_limits enable row level security;
comment on table soundscape.owner_limits is 'What one account may store. One row.';
comment on column soundscape.owner_limits.only_row is 'There is one row.';
comment on column soundscape.owner_limits.max_playlists is 'Playlists of a user.';
comment on column soundscape.owner_limits.max_playlist_items is 'Items of a playlist.';
comment on column soundscape.owner_limits.max_awaiting_upload is 'Recordings of a user without an object.';
comment on column soundscape.owner_limits.max_events_per_hour is 'Listening events of a user in an hour.';
comment on column soundscape.owner_limits.max_reports_per_day is 'Reports of a user in a day.';
insert into soundscape.owner_limits default values;

-- Each limit is checked by counting to it, by an index.
create index audio_files_awaiting_upload on public.audio_files (user_id) where status = 'awaiting_upload';
create index listening_events_by_arrival on public.listening_events (user_id, created_at desc);

create function soundscape.refuse_over_limit(held bigint, max_rows integer, what text) returns void
language plpgsql set search_path = '' as $$
begin
    if held > max_rows then
        raise exception 'You have reached the limit of % %.', max_rows, what
            using errcode = 'PT429', hint = 'Delete some, or try again later.';
    end if;
end
$$;
comment on function soundscape.refuse_over_limit(bigint, integer, text)
    is 'Raises an error if there are too many rows.';

create function soundscape.check_owner_limits() returns trigger
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
        -- Positions have no gaps, so the last one is the number of items.
        perform soundscape.refuse_over_limit(max(a.position), limits.max_playlist_items, 'items of a playlist')
        from added a group by a.playlist_id;
    elsif tg_table_name = 'audio_files' then
        perform soundscape.refuse_over_limit((
            select count(*) from (
                select from public.audio_files f where f.user_id = o.user_id and f.status = 'awaiting_upload'
                limit limits.max_awaiting_upload + 1) as held),
            limits.max_awaiting_upload, 'recordings that wait for their file')
        from (select distinct user_id from added) as o;
    elsif tg_table_name = 'listening_events' then
        perform soundscape.refuse_over_limit((
            select count(*) from (
                select from public.listening_events e
                where e.user_id = o.user_id and e.created_at > now() - interval '1 hour'
                limit limits.max_events_per_hour + 1) as held),
            limits.max_events_per_hour, 'listening events an hour')
        from (select distinct user_id from added) as o;
    elsif tg_table_name = 'reports' then
        perform soundscape.refuse_over_limit((
            select count(*) from public.reports r
            where r.reporter_id = o.reporter_id and r.created_at > now() - interval '1 day'),
            limits.max_reports_per_day, 'reports a day')
        from (select distinct reporter_id from added) as o;
    end if;
    return null;
end
$$;
comment on function soundscape.check_owner_limits()
    is 'Trigger on tables that people insert into: an error if the owner has more rows than owner_limits allows.';

create trigger playlists_limit after insert on public.playlists
    referencing new table as added for each statement execute function soundscape.check_owner_limits();
create trigger playlist_items_limit after insert on public.playlist_items
    referencing new table as added for each statement execute function soundscape.check_owner_limits();
create trigger audio_files_limit after insert on public.audio_files
    referencing new table as added for each statement execute function soundscape.check_owner_limits();
create trigger listening_events_limit after insert on public.listening_events
    referencing new table as added for each statement execute function soundscape.check_owner_limits();
create trigger reports_limit after insert on public.reports
    referencing new table as added for each statement execute function soundscape.check_owner_limits();
