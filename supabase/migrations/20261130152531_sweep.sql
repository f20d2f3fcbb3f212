-- The sweep looks at what was noted for it and at one page of the rest, so that its work does not grow with the
-- project. The pages go through everything in turn. At night a second job does the rest of the round at once.

-- Pages
-- =====

create table soundscape.sweep_pages (
    kind text primary key check (kind in ('recordings', 'pictures', 'profiles', 'jobs', 'unfinished', 'ended_jobs')),
    after text,
    rounds bigint not null default 0,
    round_begun_at timestamptz not null default now(),
    round_ended_at timestamptz
);
alter table soundscape.sweep_pages enable row level security;
comment on table soundscape.sweep_pages is 'How far the sweep has come in its round through everything, for each kind.';
comment on column soundscape.sweep_pages.kind
    is 'recordings, pictures and profiles are the objects of the buckets. jobs are live jobs. unfinished are '
       'recordings that wait for an analysis. ended_jobs are jobs that ended long ago.';
comment on column soundscape.sweep_pages.after is 'The last key of the latest page. Null at the begin of a round.';
comment on column soundscape.sweep_pages.rounds is 'How many rounds have ended.';
comment on column soundscape.sweep_pages.round_begun_at is 'When this round began.';
comment on column soundscape.sweep_pages.round_ended_at is 'When the latest whole round ended.';
insert into soundscape.sweep_pages (kind) values
    ('recordings'), ('pictures'), ('profiles'), ('jobs'), ('unfinished'), ('ended_jobs');

-- Keys of the pages of recordings that wait. Live jobs have theirs: jobs_live.
create index audio_files_waiting on public.audio_files (id) where status in ('queued', 'analyzing');
drop index soundscape.jobs_by_end;
create index jobs_by_end on soundscape.jobs (finished_at, id) where finished_at is not null;

create function soundscape.object_page(bucket text, after text, max_keys integer) returns text[]
language sql stable security definer set search_path = '' as $$
    select array_agg(page.name order by page.name) from (
        select o.name from storage.objects o where o.bucket_id = bucket and o.name > coalesce(after, '')
        order by o.name limit max_keys) as page
$$;
comment on function soundscape.object_page(text, text, integer) is 'The next names of a bucket after this one.';

create function soundscape.read_page(wanted_kind text, after text, max_keys integer) returns text[]
language plpgsql stable security definer set search_path = '' as $$
begin
    case wanted_kind
        when 'recordings' then return soundscape.object_page('audio-files', after, max_keys);
        when 'pictures' then return soundscape.object_page('waveforms', after, max_keys);
        when 'profiles' then return soundscape.object_page('profile-images', after, max_keys);
        when 'jobs' then
            return array(
                select j.audio_id from soundscape.jobs j
                where j.state in ('queued', 'running')
                  and j.audio_id > coalesce(after, '00000000-0000-0000-0000-000000000000')::uuid
                order by j.audio_id limit max_keys);
        when 'unfinished' then
            return array(
                select f.id from public.audio_files f
                where f.status in ('queued', 'analyzing')
                  and f.id > coalesce(after, '00000000-0000-0000-0000-000000000000')::uuid
                order by f.id limit max_keys);
        when 'ended_jobs' then
            return array(
                select to_char(extract(epoch from j.finished_at), 'FM999999999990.000000') || '/' || j.id
                from soundscape.jobs j
                where j.finished_at < now() - soundscape.jobs_kept_for()
                  and (after is null or (j.finished_at, j.id) > (
                    to_timestamp(split_part(after, '/', 1)::numeric), split_part(after, '/', 2)::bigint))
                order by j.finished_at, j.id limit max_keys);
    end case;
end
$$;
comment on function soundscape.read_page(text, text, integer)
    is 'The next keys of a kind after this one, in the order of an index.';

create function soundscape.next_page(wanted_kind text, max_keys integer) returns text[]
language plpgsql security definer set search_path = '' as $$
-- The caller holds the lock of the sweep. If it fails, its transaction takes the page back.
declare
    page soundscape.sweep_pages;
    keys text[];
    has_ended boolean;
begin
    select * into page from soundscape.sweep_pages p where p.kind = wanted_kind;
    keys := coalesce(soundscape.read_page(wanted_kind, page.after, max_keys), '{}');
    has_ended := cardinality(keys) < max_keys;
    update soundscape.sweep_pages p
    set after = case when not has_ended then keys[cardinality(keys)] end,
        rounds = p.rounds + has_ended::integer,
        round_begun_at = case when page.after is null then clock_timestamp() else p.round_begun_at end,
        round_ended_at = case when has_ended then clock_timestamp() else p.round_ended_at end
    where p.kind = wanted_kind;
    return keys;
end
$$;
comment on function soundscape.next_page(text, integer)
    is 'The next keys of a kind, and notes how far the round has come. A page that is not full ends the round.';

-- Objects that nobody described
-- =============================

create table soundscape.undescribed_objects (
    name text primary key,
    written_at timestamptz not null default now()
);
alter table soundscape.undescribed_objects enable row level security;
create index undescribed_objects_by_age on soundscape.undescribed_objects (written_at);
comment on table soundscape.undescribed_objects
    is 'Objects in audio-files that had no recording when they were written. The sweep drafts one for those that still '
       'have none after a minute.';
comment on column soundscape.undescribed_objects.name is 'The object''s name.';
comment on column soundscape.undescribed_objects.written_at is 'When it was written.';

create function soundscape.note_undescribed_object() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    insert into soundscape.undescribed_objects (name)
    select new.name where not exists (select from public.audio_files f where f.file_path = new.name)
    on conflict (name) do update set written_at = excluded.written_at;
    return null;
end
$$;
comment on function soundscape.note_undescribed_object()
    is 'Trigger on storage.objects: notes an object without a recording for the sweep.';
-- Triggers run in the order of their names. This one runs after soundscape_object_written, which may add the recording.
create trigger soundscape_objects_undescribed after insert or update on storage.objects
    for each row when (new.bucket_id = 'audio-files' and new.metadata ? 'eTag')
    execute function soundscape.note_undescribed_object();

-- Repairs of a page
-- =================

drop function soundscape.attach_found_objects();
create function soundscape.attach_found_objects(names text[]) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    recording record;
    attached integer := 0;
begin
    for recording in
        select f.id, f.file_path from public.audio_files f
        join storage.objects o on o.bucket_id = 'audio-files' and o.name = f.file_path and o.metadata ? 'eTag'
        where f.file_path = any (names)
          and (f.object_etag is distinct from o.metadata ->> 'eTag' or f.status = 'awaiting_upload')
          and soundscape.owner_of(o.name, o.owner_id) = f.user_id
        order by f.created_at
    loop
        begin
            perform soundscape.lock_object_name(recording.file_path);
            -- The object's own transaction may have attached it while this one waited for the name.
            if exists (
                select from public.audio_files f
                join storage.objects o on o.bucket_id = 'audio-files' and o.name = f.file_path and o.metadata ? 'eTag'
                where f.id = recording.id
                  and (f.object_etag is distinct from o.metadata ->> 'eTag' or f.status = 'awaiting_upload'))
            then
                perform soundscape.attach_object(recording.id);
                attached := attached + 1;
            end if;
        exception when others then
            raise warning 'sweep: % was not attached: %', recording.file_path, sqlerrm;
        end;
    end loop;
    return attached;
end
$$;
comment on function soundscape.attach_found_objects(text[])
    is 'Attaches those objects that are there while their recording does not know it, because a trigger was off.';

drop function soundscape.draft_undescribed_objects();
create function soundscape.draft_undescribed_objects(names text[]) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    orphan storage.objects;
    drafted integer := 0;
begin
    for orphan in
        select o.* from storage.objects o
        join public.users u on u.id = soundscape.owner_of(o.name, o.owner_id)
        where o.bucket_id = 'audio-files' and o.name = any (names)
          and o.metadata ? 'eTag' and o.created_at < now() - interval '1 minute'
          and (o.name like 'public/_%' or o.name like u.id::text || '/_%')
          and soundscape.object_name_problem(o.name) is null
          and not exists (select from public.audio_files f where f.file_path = o.name)
          and not exists (select from soundscape.deletions r where r.bucket_id = 'audio-files' and r.name = o.name)
        order by o.created_at
    loop
        begin
            perform soundscape.lock_object_name(orphan.name);
            perform soundscape.describe_object(orphan, regexp_replace(orphan.name, '^.*/', ''));
            drafted := drafted + 1;
        exception when others then
            raise warning 'sweep: % was not described: %', orphan.name, sqlerrm;
        end;
    end loop;
    return drafted;
end
$$;
comment on function soundscape.draft_undescribed_objects(text[])
    is 'Gives a private draft row to each of those objects that nobody described within a minute.';

create function soundscape.take_undescribed_objects(max_objects integer) returns text[]
language sql security definer set search_path = '' as $$
    with due as (
        delete from soundscape.undescribed_objects u
        where u.name in (
            select d.name from soundscape.undescribed_objects d where d.written_at < now() - interval '1 minute'
            order by d.written_at limit max_objects for update skip locked)
        returning u.name)
    select coalesce(array_agg(due.name), '{}') from due
$$;
comment on function soundscape.take_undescribed_objects(integer)
    is 'The objects that had no recording when they were written, more than a minute ago. Each is returned once.';

drop function soundscape.requeue_lost_jobs();
create function soundscape.requeue_lost_jobs(recordings uuid[]) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    recording record;
    resent integer := 0;
begin
    for recording in
        select f.id from public.audio_files f
        where f.object_version is not null and f.id = any (recordings) and soundscape.has_lost_job(f.id)
        order by f.created_at limit soundscape.max_repairs_per_sweep()
        for update of f skip locked
    loop
        -- The job may have ended, or a new one may have been queued, before the lock was granted.
        if soundscape.has_lost_job(recording.id) then
            perform soundscape.enqueue(
                f.id, f.object_version, coalesce(j.queue, 'soundscape_uploads'), j.analysis_version)
            from public.audio_files f
            left join soundscape.jobs j on j.audio_id = f.id and j.state in ('queued', 'running')
            where f.id = recording.id;
            update public.audio_files set status = 'queued' where id = recording.id and status = 'analyzing';
            resent := resent + 1;
        end if;
    end loop;
    return resent;
end
$$;
comment on function soundscape.requeue_lost_jobs(uuid[])
    is 'Re-queues those recordings that wait for a job that does not exist, or whose job has lost its message.';

drop function soundscape.discard_unused_objects();
create function soundscape.discard_unused_objects(bucket text, names text[]) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    discarded integer;
begin
    -- For an hour an object may belong to a job that is about to be completed.
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id = bucket and o.name = any (names) and o.created_at < now() - interval '1 hour' and (
        bucket = 'waveforms' and not exists (
            select from public.audio_features f
            where f.audio_id = soundscape.uuid_or_null(o.path_tokens[1])
              and starts_with(o.name, regexp_replace(f.waveform_path, '[^/]*$', '')))
        or bucket in ('audio-files', 'profile-images')
        and soundscape.owner_of(o.name, o.owner_id) is not null
        and not exists (select from public.users u where u.id = soundscape.owner_of(o.name, o.owner_id))
        and not exists (select from public.audio_files f where f.file_path = o.name and bucket = 'audio-files'))
    and not exists (select from soundscape.deletions r where r.bucket_id = o.bucket_id and r.name = o.name)
    on conflict do nothing;
    get diagnostics discarded = row_count;
    return discarded;
end
$$;
comment on function soundscape.discard_unused_objects(text, text[])
    is 'Requests the deletion of those objects that are pictures no recording shows, or files of deleted users.';

drop function soundscape.delete_old_rows();
create function soundscape.delete_old_jobs(keys text[]) returns void
language sql security definer set search_path = '' as $$
    delete from soundscape.jobs where id in (
        select j.id from unnest(keys) as key join soundscape.jobs j on j.id = split_part(key, '/', 2)::bigint
        where j.finished_at < now() - soundscape.jobs_kept_for()
          and exists (select from soundscape.jobs l where l.audio_id = j.audio_id and l.id > j.id)
        for update of j skip locked)
$$;
comment on function soundscape.delete_old_jobs(text[])
    is 'Deletes those jobs that ended long ago. The latest job of each recording stays.';

create function soundscape.delete_old_notifications() returns void
language sql security definer set search_path = '' as $$
    delete from public.notifications where id in (
        select n.id from public.notifications n
        where n.created_at < now() - soundscape.notifications_kept_for()
        order by n.created_at limit soundscape.max_repairs_per_sweep() for update skip locked)
$$;
comment on function soundscape.delete_old_notifications() is 'Deletes notifications that are too old.';

create function soundscape.check_page(wanted_kind text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    keys text[] := soundscape.next_page(wanted_kind, soundscape.max_repairs_per_sweep());
begin
    case wanted_kind
        when 'recordings' then
            return jsonb_build_object(
                'attached', soundscape.attach_found_objects(keys),
                'drafted', soundscape.draft_undescribed_objects(keys),
                'discarded', soundscape.discard_unused_objects('audio-files', keys));
        when 'pictures' then
            return jsonb_build_object('discarded', soundscape.discard_unused_objects('waveforms', keys));
        when 'profiles' then
            return jsonb_build_object('discarded', soundscape.discard_unused_objects('profile-images', keys));
        when 'jobs', 'unfinished' then
            return jsonb_build_object('resent', soundscape.requeue_lost_jobs(keys::uuid[]));
        when 'ended_jobs' then
            perform soundscape.delete_old_jobs(keys);
            return '{}';
    end case;
end
$$;
comment on function soundscape.check_page(text)
    is 'Repairs what is wrong on the next page of a kind. Returns how many repairs of each sort.';

-- Lines of waiting jobs
-- =====================

drop function soundscape.admit_waiting();
create function soundscape.admit_waiting(max_lines integer default 100) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    line record;
    start uuid := gen_random_uuid();
    admitted integer := 0;
begin
    -- The index leads from owner to owner, from a random one on and around, so that each has its turn. The number of
    -- waiting jobs of each owner does not matter.
    for line in
        with recursive queues (queue) as (values ('soundscape_uploads'), ('soundscape_backfill')),
        lines as (
            select q.queue, first.user_id, 1 as place from queues q cross join lateral (
                (select j.user_id from soundscape.jobs j
                 where j.queue = q.queue and j.state = 'queued' and j.msg_id is null and j.user_id >= start
                 order by j.user_id limit 1)) first
            union all
            select lines.queue, following.user_id, lines.place + 1 from lines cross join lateral (
                select j.user_id from soundscape.jobs j
                where j.queue = lines.queue and j.state = 'queued' and j.msg_id is null and j.user_id > lines.user_id
                order by j.user_id limit 1) following
            where lines.place < max_lines),
        wrapped as (
            select q.queue, first.user_id, 1 as place from queues q cross join lateral (
                (select j.user_id from soundscape.jobs j
                 where j.queue = q.queue and j.state = 'queued' and j.msg_id is null and j.user_id < start
                 order by j.user_id limit 1)) first
            union all
            select wrapped.queue, following.user_id, wrapped.place + 1 from wrapped cross join lateral (
                select j.user_id from soundscape.jobs j
                where j.queue = wrapped.queue and j.state = 'queued' and j.msg_id is null
                  and j.user_id > wrapped.user_id and j.user_id < start
                order by j.user_id limit 1) following
            where wrapped.place < max_lines)
        select queue, user_id from lines
        union all
        select queue, user_id from wrapped
        limit 2 * max_lines
    loop
        if soundscape.admit(line.user_id, line.queue) then
            admitted := admitted + 1;
        end if;
    end loop;
    return admitted;
end
$$;
comment on function soundscape.admit_waiting(integer)
    is 'Admits a job for owners with waiting jobs, for at most twice as many owners. Returns how many were admitted.';

-- The sweep
-- =========

create function soundscape.add_counts(one jsonb, other jsonb) returns jsonb
language sql immutable parallel safe set search_path = ''
return (
    select jsonb_object_agg(key, coalesce((one ->> key)::integer, 0) + coalesce((other ->> key)::integer, 0))
    from (select jsonb_object_keys(one) as key union select jsonb_object_keys(other)) as keys);
comment on function soundscape.add_counts(jsonb, jsonb) is 'The sums of two objects of counts.';

create function soundscape.lock_sweep() returns boolean
language sql volatile set search_path = ''
return pg_try_advisory_xact_lock(hashtextextended('soundscape.reconcile', 0));
comment on function soundscape.lock_sweep()
    is 'Whether no other sweep runs. Two at once would only wait for each other''s names.';

create or replace function soundscape.reconcile() returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    counts jsonb := '{"attached": 0, "drafted": 0, "resent": 0, "discarded": 0}';
    page record;
begin
    if not soundscape.lock_sweep() then
        return counts;
    end if;
    counts := soundscape.add_counts(counts, jsonb_build_object('drafted', soundscape.draft_undescribed_objects(
        soundscape.take_undescribed_objects(soundscape.max_repairs_per_sweep()))));
    for page in select p.kind from soundscape.sweep_pages p order by p.kind loop
        counts := soundscape.add_counts(counts, soundscape.check_page(page.kind));
    end loop;
    perform soundscape.admit_waiting();
    perform soundscape.delete_unused_words(soundscape.max_repairs_per_sweep());
    perform soundscape.delete_old_notifications();
    return counts;
end
$$;
comment on function soundscape.reconcile()
    is 'Worker only. Repairs what a disabled trigger, a lost message or a killed worker left behind: what was noted, '
       'and what is wrong on the next page of everything. Running it twice changes nothing.';

create function soundscape.finish_round(max_s integer default 5) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    deadline timestamptz := clock_timestamp() + make_interval(secs => max_s);
    counts jsonb := '{"attached": 0, "drafted": 0, "resent": 0, "discarded": 0}';
    page soundscape.sweep_pages;
begin
    if not soundscape.lock_sweep() then
        return counts;
    end if;
    while clock_timestamp() < deadline loop
        select * into page from soundscape.sweep_pages p
        where p.round_ended_at is null or p.round_ended_at < now() - interval '12 hours'
        order by p.kind limit 1;
        exit when page.kind is null;
        counts := soundscape.add_counts(counts, soundscape.check_page(page.kind));
    end loop;
    return counts;
end
$$;
comment on function soundscape.finish_round(integer)
    is 'Goes on with the round through everything for max_s seconds, unless it ended less than 12 hours ago. It may be '
       'interrupted: the next call continues.';

select cron.schedule('soundscape-full-check', '* 2-4 * * *', 'select soundscape.finish_round()');

-- Objects to delete, in the order in which workers take them, and those of one folder.
create index deletions_in_order on soundscape.deletions (attempts, id);
create index deletions_by_folder on soundscape.deletions (bucket_id, name collate "C");

create or replace function soundscape.delete_former_pictures(recording uuid, current_prefix text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    -- The folder ends with a slash. The next character after it is 0.
    behind text := left(current_prefix, -1) || '0';
begin
    -- The pictures that are shown from now on must stay. If a worker has already started to delete them, they may be
    -- gone, and the job is tried again.
    delete from soundscape.deletions
    where bucket_id = 'waveforms' and name collate "C" >= current_prefix and name collate "C" < behind
      and taken_at is null;
    if exists (
        select from soundscape.deletions
        where bucket_id = 'waveforms' and name collate "C" >= current_prefix and name collate "C" < behind)
    then
        raise exception 'Pictures under % are being deleted.', current_prefix
            using errcode = '55P03', hint = 'The next attempt stores them again.';
    end if;
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id = 'waveforms' and o.name like recording::text || '/%' and not starts_with(o.name, current_prefix)
    on conflict do nothing;
end
$$;

-- Recordings compared at the same moment
-- ======================================
--
-- Two fingerprints missed each other if each was written after the other's snapshot. Then the spans of transactions
-- from snapshot to write overlap, and an index of spans finds them without reading what is older or newer.

alter table soundscape.fingerprints add column compared_within int8range;
update soundscape.fingerprints set compared_within = int8range(
    coalesce(pg_snapshot_xmin(compared_in), written_in)::text::bigint, written_in::text::bigint, '[]');
alter table soundscape.fingerprints alter column compared_within set not null;
comment on column soundscape.fingerprints.compared_within
    is 'From the oldest transaction that its comparison with the index could miss to the one that wrote it.';
create index fingerprints_compared_within on soundscape.fingerprints using gist (compared_within);
drop index soundscape.fingerprints_by_age;

create function soundscape.set_comparison() returns trigger
language plpgsql set search_path = '' as $$
begin
    new.compared_within := int8range(
        least(pg_snapshot_xmin(new.compared_in), new.written_in)::text::bigint, new.written_in::text::bigint, '[]');
    return new;
end
$$;
comment on function soundscape.set_comparison() is 'Trigger on fingerprints: sets compared_within.';
create trigger fingerprints_comparison before insert on soundscape.fingerprints
    for each row execute function soundscape.set_comparison();

create function soundscape.missed_fingerprints(recordings uuid[]) returns table (audio_id uuid, missed uuid)
language sql stable security definer rows 10 set search_path = '' as $$
    select f.audio_id, o.audio_id
    from soundscape.fingerprints f
    join soundscape.fingerprints o
      on o.compared_within && f.compared_within and o.version = f.version and o.audio_id <> f.audio_id
         and not pg_visible_in_snapshot(o.written_in, f.compared_in)
         and (o.compared_in is null or not pg_visible_in_snapshot(f.written_in, o.compared_in))
    where f.audio_id = any (recordings) and f.compared_in is not null
$$;
comment on function soundscape.missed_fingerprints(uuid[])
    is 'The fingerprints that were never compared with those of these recordings: each was written after the other was '
       'compared with the index.';

create or replace function soundscape.pending_comparisons(max_fingerprints integer default 20)
    returns table (audio_id uuid, others uuid[])
language plpgsql security definer rows 10 set search_path = '' as $$
#variable_conflict use_column
declare
    waiting uuid[];
begin
    waiting := array(
        select f.audio_id from soundscape.fingerprints f where f.compared_in is not null
        order by f.created_at limit least(max_fingerprints, 100) for update skip locked);
    -- Fingerprints that are written from now on see these.
    return query
        select m.audio_id, array_agg(m.missed) from soundscape.missed_fingerprints(waiting) m group by m.audio_id;
    update soundscape.fingerprints f set compared_in = null
    where f.audio_id = any (waiting)
      and f.audio_id not in (select m.audio_id from soundscape.missed_fingerprints(waiting) m);
end
$$;

create or replace function soundscape.complete_comparison(recording uuid, others uuid[], matches jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
    file public.audio_files;
    known jsonb;
begin
    select * into file from public.audio_files where id = recording for no key update;
    select f.descriptors into known from public.audio_features f
    where f.audio_id = recording and f.object_version = file.object_version
      and exists (select from soundscape.fingerprints i where i.audio_id = recording);
    -- The recording was deleted, or got other bytes, during the comparison.
    if known is null then
        return;
    end if;
    -- The hashes are passed too, so that an exact copy stays one.
    perform soundscape.write_claims(file, known || jsonb_build_object('matches', matches));
    update soundscape.fingerprints f set compared_in = null
    where f.audio_id = recording and not exists (
        select from soundscape.missed_fingerprints(array[recording]) m where m.missed <> all (others));
end
$$;
