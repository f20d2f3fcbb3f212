-- What happens when an object is uploaded, moved or deleted, and when a recording or a user is deleted.
--
-- A recording and its object may arrive in either order. The second one enqueues the analysis. Storage first tests
-- permission with a write that it rolls back, so everything here must be transactional. SQL may not delete objects:
-- the table deletions lists them, and the worker deletes them through the Storage API.

-- Deletions
-- =========

create table soundscape.deletions (
    id bigint generated always as identity primary key,
    bucket_id text not null,
    name text not null,
    requested_at timestamptz not null default now(),
    taken_at timestamptz,
    attempts integer not null default 0,
    is_final boolean not null default false,
    unique (bucket_id, name)
);
alter table soundscape.deletions enable row level security;
comment on column soundscape.deletions.id is 'The deletion.';
comment on column soundscape.deletions.bucket_id is 'The bucket.';
comment on column soundscape.deletions.name is 'The object''s name.';
comment on column soundscape.deletions.requested_at is 'Since when it is to go.';
comment on column soundscape.deletions.taken_at
    is 'When a worker took it. Nobody may use the name until that worker is done or the grace period ends.';
comment on column soundscape.deletions.attempts is 'How often a worker took it. The delay doubles each time.';
comment on column soundscape.deletions.is_final
    is 'The deletion cannot be cancelled, because a moderator had hidden the recording.';
comment on table soundscape.deletions
    is 'Objects to delete whose rows are gone. SQL may not delete objects, so the worker does it through the Storage '
       'API.';

create function soundscape.deletion_grace() returns interval
language sql immutable parallel safe set search_path = '' return interval '2 minutes';
comment on function soundscape.deletion_grace() is 'How long a worker that took a deletion has to complete it.';

create function soundscape.lock_object_name(object_name text) returns void
language sql volatile set search_path = '' as $$
    -- Row and object may arrive in two transactions at once that do not see each other. The second one waits here.
    select pg_advisory_xact_lock(hashtextextended('audio-files/' || object_name, 0))
$$;
comment on function soundscape.lock_object_name(text)
    is 'Serialises transactions about one object name. Held until the transaction ends.';

create function soundscape.cancel_deletion(object_name text) returns void
language plpgsql security definer set search_path = '' as $$
-- The caller holds the lock of the name. The Storage API deletes by name only. Once a worker is about to delete a name,
-- new bytes under it would be deleted too.
begin
    delete from soundscape.deletions
    where bucket_id = 'audio-files' and name = object_name and not is_final
      and (taken_at is null or taken_at < clock_timestamp() - soundscape.deletion_grace());
    if exists (select from soundscape.deletions where bucket_id = 'audio-files' and name = object_name) then
        raise exception 'The object % is being deleted.', object_name
            using errcode = '42501', hint = 'Try again in a moment, or choose another name.';
    end if;
end
$$;
comment on function soundscape.cancel_deletion(text)
    is 'Cancels the deletion of a name that is used again. An error if a worker is deleting it at this moment.';

create function soundscape.pending_deletions(max_objects integer default 100)
    returns table (bucket_id text, names text[])
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
    deletion soundscape.deletions;
    taken bigint[] := '{}';
begin
    for deletion in
        select * from soundscape.deletions
        -- An object that could not be deleted waits 2 minutes, then 4, 8 …, up to 17 hours. New requests come first.
        where taken_at is null
           or taken_at < clock_timestamp() - soundscape.deletion_grace() * power(2, least(attempts, 10) - 1)
        order by attempts, id limit least(max_objects, 500)
    loop
        -- Uploads and new rows take this lock before they look. From here on they see that the name is taken.
        perform soundscape.lock_object_name(deletion.name);
        -- Another worker may have taken it while this one waited.
        update soundscape.deletions set taken_at = clock_timestamp(), attempts = attempts + 1
        where id = deletion.id and taken_at is not distinct from deletion.taken_at;
        if found then
            taken := taken || deletion.id;
        end if;
    end loop;
    return query
        select r.bucket_id, array_agg(r.name) from soundscape.deletions r where r.id = any(taken)
        -- One name that cannot be deleted fails its whole batch. From the second attempt on each name is a batch of its
        -- own.
        group by r.bucket_id, case when r.attempts > 1 then r.id end;
end
$$;
comment on function soundscape.pending_deletions(integer)
    is 'Worker only. Takes objects to delete, in batches of one bucket. Nobody may use their names until the worker '
       'reports them deleted or the grace period ends.';

create function soundscape.confirm_deletions(bucket text, removed text[]) returns void
language sql security definer set search_path = '' as $$
    delete from soundscape.deletions where bucket_id = bucket and name = any(removed)
$$;
comment on function soundscape.confirm_deletions(text, text[]) is 'Worker only. Reports these objects as deleted.';

-- Uploads
-- =======

create function soundscape.owner_of(object_name text, owner_id text) returns uuid
language sql immutable parallel safe set search_path = ''
-- An upload with the secret key has no owner. The first folder names the owner then.
return coalesce(soundscape.uuid_or_null(owner_id), soundscape.uuid_or_null(split_part(object_name, '/', 1)));
comment on function soundscape.owner_of(text, text) is 'Whose object this is.';

create function soundscape.attach_object(recording uuid) returns void
language plpgsql security definer set search_path = '' as $$
-- The caller holds the lock of the name.
declare
    file public.audio_files;
    object storage.objects;
begin
    select * into file from public.audio_files where id = recording for update;
    select * into object from storage.objects
    where bucket_id = 'audio-files' and name = file.file_path and metadata ? 'eTag';
    if object.id is null or soundscape.owner_of(object.name, object.owner_id) is distinct from file.user_id then
        return;
    end if;
    update public.audio_files
    set object_id = object.id, object_version = object.version, object_etag = object.metadata ->> 'eTag',
        size_bytes = (object.metadata ->> 'size')::bigint, content_type = left(object.metadata ->> 'mimetype', 255),
        status = 'queued', error_code = null, error_message = null
    where id = recording;
    perform soundscape.enqueue(recording, object.version);
end
$$;
comment on function soundscape.attach_object(uuid)
    is 'Joins a recording with its object, if there is one, and queues the analysis.';

create function soundscape.title_or_null(candidate text) returns text
language sql immutable parallel safe set search_path = ''
return nullif(left(regexp_replace(candidate, '^\s+|\s+$', '', 'g'), 200), '');
comment on function soundscape.title_or_null(text) is 'The text as a title, or null if it is blank.';

create function soundscape.describe_object(object storage.objects, draft_title text default null) returns void
language plpgsql security definer set search_path = '' as $$
declare
    said jsonb := coalesce(object.user_metadata, '{}');
    tags text[] := '{}';
begin
    if jsonb_typeof(said -> 'tags') = 'array' then
        select coalesce(array_agg(left(tag, 50)), '{}') into tags
        from (select tag from jsonb_array_elements_text(said -> 'tags') as tag
            where tag is not null limit 50) said_tags;
    end if;
    insert into public.audio_files (user_id, title, description, file_path, is_public, tags, license)
    values (
        soundscape.owner_of(object.name, object.owner_id),
        coalesce(soundscape.title_or_null(said ->> 'title'), soundscape.title_or_null(draft_title), 'Untitled'),
        left(said ->> 'description', 5000),
        object.name,
        -- Nobody has described a draft yet. It stays private whatever the upload said.
        draft_title is null and coalesce(said -> 'is_public' in ('true', '"true"'), false),
        tags,
        left(said ->> 'license', 100))
    on conflict (file_path) do nothing;
end
$$;
comment on function soundscape.describe_object(storage.objects, text)
    is 'Adds the row of an object, from what its upload said about it.';

create function soundscape.on_object_written() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    file public.audio_files;
begin
    perform soundscape.lock_object_name(new.name);
    perform soundscape.cancel_deletion(new.name);
    select * into file from public.audio_files where file_path = new.name;
    if file.id is not null and file.user_id is distinct from soundscape.owner_of(new.name, new.owner_id) then
        raise exception 'The name % belongs to another user''s recording.', new.name
            using errcode = '42501', hint = 'Choose another name.';
    end if;

    if tg_op = 'UPDATE' and old.metadata ->> 'eTag' = new.metadata ->> 'eTag' then
        -- The object was moved, or has the same bytes as before: there is nothing new to analyse. If the recording had
        -- failed, the same bytes mean that somebody wants to try again.
        update public.audio_files set file_path = new.name, object_version = new.version
        where object_id = new.id
          and (old.name is distinct from new.name or status in ('queued', 'analyzing', 'ready'));
        if found then
            update soundscape.jobs set object_version = new.version
            where state in ('queued', 'running')
              and audio_id = (select id from public.audio_files where object_id = new.id);
            update public.audio_features set object_version = new.version
            where object_version = old.version
              and audio_id = (select id from public.audio_files where object_id = new.id);
            update soundscape.fingerprints set object_version = new.version
            where object_version = old.version
              and audio_id = (select id from public.audio_files where object_id = new.id);
            return null;
        end if;
    end if;

    if file.id is not null then
        perform soundscape.attach_object(file.id);
    elsif soundscape.title_or_null(new.user_metadata ->> 'title') is not null
          and exists (select from public.users where id = soundscape.owner_of(new.name, new.owner_id)) then
        perform soundscape.describe_object(new);  -- its own trigger attaches and enqueues
    end if;
    return null;
end
$$;
comment on function soundscape.on_object_written()
    is 'Trigger on storage.objects: an object was uploaded whole, or moved.';

create trigger soundscape_object_written after insert or update on storage.objects
    for each row when (new.bucket_id = 'audio-files' and new.metadata ? 'eTag')
    execute function soundscape.on_object_written();

create function soundscape.lock_recording_name() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    -- An upload that describes itself holds this lock while it waits for the unique name. So it is taken before the row
    -- exists.
    perform soundscape.lock_object_name(new.file_path);
    return new;
end
$$;
comment on function soundscape.lock_recording_name()
    is 'Trigger on audio_files: a new row waits for other transactions about its name.';

create function soundscape.attach_uploaded_object() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if exists (
        select from storage.objects o
        where o.bucket_id = 'audio-files' and o.name = new.file_path and o.metadata ? 'eTag'
          and soundscape.owner_of(o.name, o.owner_id) is distinct from new.user_id)
    then
        raise exception 'The object % belongs to another user.', new.file_path
            using errcode = '42501', hint = 'Upload your own file under another name.';
    end if;
    perform soundscape.cancel_deletion(new.file_path);
    perform soundscape.attach_object(new.id);
    return null;
end
$$;
comment on function soundscape.attach_uploaded_object()
    is 'Trigger on audio_files: queues the analysis if the object was uploaded first.';

create trigger audio_files_coming before insert on public.audio_files
    for each row execute function soundscape.lock_recording_name();
create trigger audio_files_made after insert on public.audio_files
    for each row execute function soundscape.attach_uploaded_object();

-- Deleted and moved
-- =================

create function soundscape.on_object_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    recording uuid;
begin
    select id into recording from public.audio_files where object_id = old.id for update;
    if recording is null then
        return null;
    end if;
    update soundscape.jobs set state = 'cancelled', finished_at = now()
    where state in ('queued', 'running') and audio_id = recording;
    perform soundscape.delete_results(recording);
    insert into soundscape.deletions (bucket_id, name)
    select 'waveforms', o.name from storage.objects o
    where o.bucket_id = 'waveforms' and o.name like recording::text || '/%'
    on conflict do nothing;
    update public.audio_files
    set status = 'awaiting_upload', object_id = null, object_version = null, object_etag = null,
        analysis_version = null, analyzed_at = null, error_code = null, error_message = null
    where id = recording;
    return null;
end
$$;
comment on function soundscape.on_object_deleted()
    is 'Trigger on storage.objects: a recording whose object was deleted waits for a new upload.';

create trigger soundscape_object_deleted after delete on storage.objects
    for each row when (old.bucket_id = 'audio-files')
    execute function soundscape.on_object_deleted();

create function soundscape.on_object_moved() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if exists (
        select from unnest(array[old.bucket_id, new.bucket_id]) as bucket
        where bucket in ('audio-files', 'waveforms', 'profile-images'))
    then
        raise exception 'Objects do not move between % and %.', old.bucket_id, new.bucket_id
            using errcode = '42501', hint = 'Upload the file to the other bucket.';
    end if;
    return new;
end
$$;
comment on function soundscape.on_object_moved()
    is 'Trigger on storage.objects: refuses moves between buckets, because the limits and types of the target bucket '
       'would not be checked.';

create trigger soundscape_object_moved before update of bucket_id on storage.objects
    for each row when (old.bucket_id is distinct from new.bucket_id)
    execute function soundscape.on_object_moved();

create function soundscape.on_recording_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    -- Bytes that a moderator hid must not come back under a new row. Their deletion cannot be cancelled.
    insert into soundscape.deletions (bucket_id, name, is_final)
    select o.bucket_id, o.name, old.hidden_at is not null from storage.objects o
    where (o.id = old.object_id and o.bucket_id = 'audio-files')
       or (o.bucket_id = 'waveforms' and o.name like old.id::text || '/%')
    on conflict (bucket_id, name) do update set is_final = deletions.is_final or excluded.is_final;
    if found then
        perform soundscape.ring_doorbell();
    end if;
    delete from soundscape.former_dismissals d where old.id in (d.audio_id, d.matched_audio_id);
    return null;
end
$$;
comment on function soundscape.on_recording_deleted()
    is 'Trigger on audio_files: requests the deletion of the objects, and deletes the dismissals about former bytes.';
create trigger audio_files_deleted after delete on public.audio_files
    for each row execute function soundscape.on_recording_deleted();

create function soundscape.on_user_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id in ('audio-files', 'profile-images') and o.name like old.id::text || '/%'
    on conflict do nothing;
    return null;
end
$$;
comment on function soundscape.on_user_deleted()
    is 'Trigger on users: requests the deletion of the objects in the user''s folders.';
create trigger users_deleted after delete on public.users
    for each row execute function soundscape.on_user_deleted();

-- What may be uploaded
-- ====================

create function soundscape.accepted_uploads() returns table (mime_types text[], extensions text[], max_bytes bigint)
language sql stable security definer rows 1 set search_path = '' as $$
    select b.allowed_mime_types,
           string_to_array('.3g2 .3gp .aac .ac3 .aif .aifc .aiff .amr .ape .asf .au .avi .bwf .caf .dsf .dts .eac3 '
               '.flac .flv .m2ts .m4a .m4b .m4v .mka .mkv .mov .mp2 .mp3 .mp4 .mpc .mpeg .mpg .mts .oga .ogg .ogv '
               '.opus .rf64 .rm .snd .tak .tta .ts .voc .w64 .wav .wave .weba .webm .wma .wmv .wv', ' '),
           b.file_size_limit
    from storage.buckets b where b.id = 'audio-files'
$$;
comment on function soundscape.accepted_uploads()
    is 'What the bucket audio-files takes, for the file chooser of a frontend. The content decides in the end.';
