-- Limits per owner on what is stored, and the end of rows that only time makes useless.

alter table soundscape.owner_limits
    add column max_recordings integer not null default 20000 check (max_recordings >= 0),
    add column max_stored_bytes bigint not null default 107374182400 check (max_stored_bytes >= 0),
    add column max_words integer not null default 10000 check (max_words >= 0),
    add column max_impressions_per_hour integer not null default 2000 check (max_impressions_per_hour >= 0),
    add column max_retries_per_hour integer not null default 500 check (max_retries_per_hour >= 0);
comment on column soundscape.owner_limits.max_recordings is 'Recordings of a user, and files of a user.';
comment on column soundscape.owner_limits.max_stored_bytes
    is 'Bytes of a user''s recordings and profile images. What the analysis makes of them does not count.';
comment on column soundscape.owner_limits.max_words
    is 'Words that a user adds to the vocabulary. Further words are found as they are spelt, and correct no query.';
comment on column soundscape.owner_limits.max_impressions_per_hour
    is 'Recordings that recommended_audio shows a user in an hour.';
comment on column soundscape.owner_limits.max_retries_per_hour is 'Calls of retry_analysis that queue an analysis.';

-- Files
-- =====

-- One row a file, so that uploads at once do not wait for each other, as they would for a sum. A user's rows are read
-- by an index that holds their sizes: 20,000 in 3 ms.
create table soundscape.stored_objects (
    object_id uuid primary key,
    user_id uuid not null,
    size_bytes bigint not null
);
alter table soundscape.stored_objects enable row level security;
create index stored_objects_by_owner on soundscape.stored_objects (user_id) include (size_bytes);
comment on table soundscape.stored_objects is 'Whose each file is, and its size, for the limits of owner_limits.';
comment on column soundscape.stored_objects.object_id is 'The object in storage.objects.';
comment on column soundscape.stored_objects.user_id is 'Its owner.';
comment on column soundscape.stored_objects.size_bytes is 'Its size.';

create function soundscape.has_limited_size(object storage.objects) returns boolean
language sql immutable parallel safe set search_path = ''
return object.bucket_id in ('audio-files', 'profile-images') and object.metadata ? 'eTag'
    and soundscape.owner_of(object.name, object.owner_id) is not null;
comment on function soundscape.has_limited_size(storage.objects)
    is 'Whether an object is a whole file that counts as its owner''s.';

create function soundscape.recount_stored_objects() returns void
language sql security definer set search_path = '' as $$
    delete from soundscape.stored_objects s
    where not exists (
        select from storage.objects o where o.id = s.object_id and soundscape.has_limited_size(o));
    insert into soundscape.stored_objects as s (object_id, user_id, size_bytes)
    select o.id, soundscape.owner_of(o.name, o.owner_id), coalesce((o.metadata ->> 'size')::bigint, 0)
    from storage.objects o where soundscape.has_limited_size(o)
    on conflict (object_id) do update set user_id = excluded.user_id, size_bytes = excluded.size_bytes
    where (s.user_id, s.size_bytes) is distinct from (excluded.user_id, excluded.size_bytes);
$$;
comment on function soundscape.recount_stored_objects()
    is 'Makes stored_objects what storage.objects says, after a trigger was off. It runs at night.';
select soundscape.recount_stored_objects();
select cron.schedule('soundscape-recount-stored-objects', '41 3 * * *', 'select soundscape.recount_stored_objects()');

create function soundscape.count_recordings(owner uuid, max_rows integer) returns bigint
language sql stable security definer set search_path = ''
return (select count(*) from (
    select from public.audio_files f where f.user_id = owner limit max_rows + 1) as held);
comment on function soundscape.count_recordings(uuid, integer) is 'How many recordings a user has, up to one too many.';

create function soundscape.count_awaiting_upload(owner uuid, max_rows integer) returns bigint
language sql stable security definer set search_path = ''
return (select count(*) from (
    select from public.audio_files f where f.user_id = owner and f.status = 'awaiting_upload'
    limit max_rows + 1) as held);
comment on function soundscape.count_awaiting_upload(uuid, integer)
    is 'How many recordings of a user wait for their file, up to one too many.';

create function soundscape.check_file_limits(owner uuid, is_whole boolean) returns void
language plpgsql stable security definer set search_path = '' as $$
declare
    limits soundscape.owner_limits;
    files bigint;
    bytes numeric;
    -- Storage first tests whether an upload is allowed. That file is not counted yet.
    coming integer := case when is_whole then 0 else 1 end;
begin
    select * into limits from soundscape.owner_limits;
    select count(*), coalesce(sum(held.size_bytes), 0) into files, bytes
    from (select s.size_bytes from soundscape.stored_objects s where s.user_id = owner
          limit limits.max_recordings + 1) as held;
    if files + coming > limits.max_recordings then
        raise exception 'You have reached the limit of % files.', limits.max_recordings
            using errcode = '42501', hint = 'Delete some files first.';
    elsif bytes + coming > limits.max_stored_bytes then
        raise exception 'You have reached the limit of % bytes of files.', limits.max_stored_bytes
            using errcode = '42501', hint = 'Delete some files first.';
    end if;
end
$$;
comment on function soundscape.check_file_limits(uuid, boolean)
    is 'An error if a user has more files, or more bytes, than owner_limits allows. Storage hands on what 42501 says.';

create function soundscape.check_described_upload(owner uuid, object_name text) returns void
language plpgsql stable security definer set search_path = '' as $$
declare
    limits soundscape.owner_limits;
begin
    if exists (select from public.audio_files f where f.file_path = object_name) then
        return;
    end if;
    select * into limits from soundscape.owner_limits;
    if soundscape.count_recordings(owner, limits.max_recordings) >= limits.max_recordings then
        raise exception 'You have reached the limit of % recordings.', limits.max_recordings
            using errcode = '42501', hint = 'Delete some recordings first.';
    elsif soundscape.count_awaiting_upload(owner, limits.max_awaiting_upload) >= limits.max_awaiting_upload then
        raise exception 'You have reached the limit of % recordings that wait for their file.',
            limits.max_awaiting_upload using errcode = '42501', hint = 'Delete them, or upload their files.';
    end if;
end
$$;
comment on function soundscape.check_described_upload(uuid, text)
    is 'An error if an upload would make a row, by itself or by the sweep, and its owner has too many.';

create function soundscape.count_stored_object() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    owner uuid := soundscape.owner_of(new.name, new.owner_id);
    bytes bigint := coalesce((new.metadata ->> 'size')::bigint, 0);
    has_grown boolean := true;
begin
    if owner is null then
        return null;
    end if;
    if tg_op = 'UPDATE' then
        has_grown := bytes > coalesce((old.metadata ->> 'size')::bigint, 0);
    end if;
    if soundscape.has_limited_size(new) then
        insert into soundscape.stored_objects as s (object_id, user_id, size_bytes)
        values (new.id, owner, bytes)
        on conflict (object_id) do update set user_id = excluded.user_id, size_bytes = excluded.size_bytes;
    end if;
    -- An upload with the secret key has no owner_id, and no limit.
    if new.owner_id is not null and has_grown then
        perform soundscape.check_file_limits(owner, soundscape.has_limited_size(new));
        if tg_op = 'INSERT' and new.bucket_id = 'audio-files' then
            perform soundscape.check_described_upload(owner, new.name);
        end if;
    end if;
    return null;
end
$$;
comment on function soundscape.count_stored_object()
    is 'Trigger on storage.objects: counts a user''s files and bytes, and refuses those that are too many.';

-- Before soundscape_object_written, which makes the row.
create trigger soundscape_object_counted after insert or update of metadata, owner_id on storage.objects
    for each row when (new.bucket_id in ('audio-files', 'profile-images'))
    execute function soundscape.count_stored_object();

create function soundscape.forget_stored_object() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    delete from soundscape.stored_objects s where s.object_id = old.id;
    return null;
end
$$;
comment on function soundscape.forget_stored_object() is 'Trigger on storage.objects: a deleted file does not count.';
create trigger soundscape_object_forgotten after delete on storage.objects
    for each row when (old.bucket_id in ('audio-files', 'profile-images'))
    execute function soundscape.forget_stored_object();

-- Rows
-- ====

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
    elsif tg_table_name = 'listening_events' then
        perform soundscape.refuse_over_limit((
            select count(*) from (
                select from public.listening_events e
                where e.user_id = o.user_id and e.created_at > now() - interval '1 hour'
                limit limits.max_events_per_hour + 1) as held),
            limits.max_events_per_hour, 'listening events an hour')
        from (select distinct user_id from added) as o;
    elsif tg_table_name = 'impressions' then
        perform soundscape.refuse_over_limit((
            select count(*) from (
                select from public.impressions i
                where i.user_id = o.user_id and i.shown_at > now() - interval '1 hour'
                limit limits.max_impressions_per_hour + 1) as held),
            limits.max_impressions_per_hour, 'recommendations an hour')
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
create trigger impressions_limit after insert on public.impressions
    referencing new table as added for each statement execute function soundscape.check_owner_limits();

alter table soundscape.jobs add column is_retry boolean not null default false;
comment on column soundscape.jobs.is_retry is 'The owner asked for it by retry_analysis.';
create index jobs_retried_by_owner on soundscape.jobs (user_id, created_at desc) where is_retry;

create or replace function soundscape.retry_analysis(recording uuid) returns text
language plpgsql security definer set search_path = '' as $$
declare
    max_retries integer := (select l.max_retries_per_hour from soundscape.owner_limits l);
begin
    perform soundscape.lock_own_recording(recording);
    if not soundscape.retry_job(recording) then
        perform soundscape.enqueue_preview(recording);
    end if;
    -- What this call queued, if anything.
    update soundscape.jobs set is_retry = true
    where audio_id = recording and state = 'queued' and created_at = now() and not is_retry;
    if found then
        perform soundscape.refuse_over_limit((
            select count(*) from (
                select from soundscape.jobs j
                where j.user_id = (select auth.uid()) and j.is_retry and j.created_at > now() - interval '1 hour'
                limit max_retries + 1) as held),
            max_retries, 'retries an hour');
    end if;
    return (select status from public.audio_files where id = recording);
end
$$;

-- Words
-- =====

alter table soundscape.vocabulary add column added_by uuid;
create index vocabulary_by_owner on soundscape.vocabulary (added_by) where added_by is not null;
comment on column soundscape.vocabulary.added_by is 'The owner of the recording that brought the word first.';

delete from soundscape.former_words w where exists (
    select from soundscape.former_words l where l.word = w.word and l.id < w.id);
alter table soundscape.former_words add unique (word);

create or replace function soundscape.on_words_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    former text[] := '{}';
    present text[] := '{}';
    unknown text[];
    max_words integer;
begin
    if tg_op <> 'INSERT' and soundscape.is_findable(old) then
        former := soundscape.correctable_words(old.search);
    end if;
    if tg_op <> 'DELETE' and soundscape.is_findable(new) then
        present := soundscape.correctable_words(new.search);
    end if;
    if former = present then
        return null;
    end if;
    unknown := array(
        select p.word from unnest(present) as p (word)
        where not exists (select from soundscape.vocabulary v where v.word = p.word));
    if unknown <> '{}' then
        max_words := (select l.max_words from soundscape.owner_limits l);
        -- The order prevents a deadlock between two transactions that insert the same words.
        insert into soundscape.vocabulary (word, added_by)
        select u.word, new.user_id from unnest(unknown) as u (word)
        order by u.word
        limit greatest(0, max_words - (
            select count(*) from (
                select from soundscape.vocabulary v where v.added_by = new.user_id limit max_words) as held))
        on conflict do nothing;
    end if;
    -- Only words that the sweep can delete, and each once: changing a title for ever must not make rows for ever.
    insert into soundscape.former_words (word)
    select f.word from unnest(former) as f (word)
    where f.word <> all (present) and exists (select from soundscape.vocabulary v where v.word = f.word)
    order by f.word on conflict do nothing;
    return null;
end
$$;

-- What only time makes useless
-- ============================

create index listening_events_by_age on public.listening_events (created_at);

create function soundscape.listening_events_kept_for() returns interval
language sql immutable parallel safe set search_path = '' return interval '2 years';
comment on function soundscape.listening_events_kept_for() is 'How long listening events are kept.';

create function soundscape.delete_old_listening_events() returns integer
language plpgsql security definer set search_path = '' as $$
declare
    forgotten integer;
begin
    delete from public.listening_events e where e.id in (
        select o.id from public.listening_events o
        where o.created_at < now() - soundscape.listening_events_kept_for()
        order by o.created_at limit 100000 for update skip locked);
    get diagnostics forgotten = row_count;
    return forgotten;
end
$$;
comment on function soundscape.delete_old_listening_events()
    is 'Deletes old listening events, at most 100,000 rows a call. Returns how many.';
select cron.schedule('soundscape-delete-old-listening-events', '27 * * * *',
    'select soundscape.delete_old_listening_events()');
comment on table public.listening_events
    is 'A user listened to a recording. Only that user sees it and may delete it. Recommendations learn from it. Kept '
       'for two years.';

-- pg_cron writes a row each time a job runs: 2,880 a day for the sweep.
select cron.schedule('soundscape-delete-old-runs', '37 * * * *',
    'delete from cron.job_run_details where end_time < now() - interval ''7 days''');
