-- A signed URL names an object, and Storage checks no policy when it serves one. So an object gets a new name when
-- strangers may have signed its old one and may not read it any more. The worker gives it, in the background.
--
-- While a recording is listed, its names are exposed: everybody may sign them. Once it is not listed any more, they
-- are to be left. The file is moved: Storage changes its name in one transaction, and the trigger on storage.objects
-- changes the row in the same one. Pictures lie in a folder, whose names a page derives from each other. So they are
-- copied into a new folder, and the row changes over once all are there.

create table soundscape.exposed_names (
    digest bytea primary key,
    exposed_at timestamptz not null default now()
);
alter table soundscape.exposed_names enable row level security;
comment on table soundscape.exposed_names
    is 'Names in audio-files under which a listed recording lay. Somebody may hold a signed URL for one, so what is '
       'not listed does not stay there. Names of pictures are never used twice and are not here.';
comment on column soundscape.exposed_names.digest
    is 'SHA-256 of the name: names may tell something, and outlive the account here.';
comment on column soundscape.exposed_names.exposed_at is 'Since when.';

create table soundscape.renames (
    id bigint generated always as identity primary key,
    audio_id uuid not null references public.audio_files (id) on delete cascade,
    bucket_id text not null check (bucket_id in ('audio-files', 'waveforms')),
    name text not null,
    requested_at timestamptz not null default now(),
    taken_at timestamptz,
    attempts integer not null default 0,
    unique (bucket_id, name)
);
alter table soundscape.renames enable row level security;
create index renames_by_recording on soundscape.renames (audio_id);
create index renames_in_order on soundscape.renames (attempts, id);
comment on table soundscape.renames is 'Names that recordings are to leave, because strangers may have signed them.';
comment on column soundscape.renames.id is 'The request.';
comment on column soundscape.renames.audio_id is 'The recording.';
comment on column soundscape.renames.bucket_id is 'The bucket.';
comment on column soundscape.renames.name
    is 'In audio-files the name of the file. In waveforms the folder of the pictures, with its last slash.';
comment on column soundscape.renames.requested_at is 'Since when.';
comment on column soundscape.renames.taken_at is 'When a worker took it. After rename_grace another one may.';
comment on column soundscape.renames.attempts is 'How often a worker took it. The delay doubles each time.';

create function soundscape.rename_grace() returns interval
language sql immutable parallel safe set search_path = '' return interval '2 minutes';
comment on function soundscape.rename_grace() is 'How long a worker that took a rename has to complete it.';

create function soundscape.name_digest(object_name text) returns bytea
language sql stable parallel safe set search_path = ''
return sha256(convert_to(object_name, 'UTF8'));
comment on function soundscape.name_digest(text) is 'What exposed_names keeps of a name.';

create function soundscape.folder_of(object_name text) returns text
language sql immutable parallel safe set search_path = ''
return regexp_replace(object_name, '[^/]*$', '');
comment on function soundscape.folder_of(text) is 'The name up to its last slash.';

create function soundscape.new_object_name(object_name text) returns text
language sql volatile set search_path = ''
-- The last part stays, because it names a download. A part of random characters comes before it, or takes the place of
-- the one that an earlier rename put there.
return (
    select case when octet_length(renamed) <= 1024 then renamed
        else split_part(object_name, '/', 1) || '/r-' || token end
    from (select replace(gen_random_uuid()::text, '-', '') as token) as made,
        lateral (select regexp_replace(soundscape.folder_of(object_name), '/r-[0-9a-f]{32}/$', '/')
            || 'r-' || token || '/' || regexp_replace(object_name, '^.*/', '') as renamed) as r);
comment on function soundscape.new_object_name(text) is 'A name that nobody can guess, in the same folder.';

create function soundscape.new_folder_name(folder text, request bigint, attempt integer) returns text
language sql immutable parallel safe set search_path = ''
return regexp_replace(folder, '(-r[0-9]+-[0-9]+)?/$', '') || format('-r%s-%s/', request, attempt);
comment on function soundscape.new_folder_name(text, bigint, integer)
    is 'Where an attempt copies pictures to. No name is used twice.';

create function soundscape.objects_in_folder(folder text) returns setof storage.objects
language sql stable security definer rows 20 set search_path = '' as $$
    -- The folder ends with a slash. The next character after it is 0.
    select o.* from storage.objects o
    where o.bucket_id = 'waveforms' and o.name collate "C" >= folder and o.name collate "C" < left(folder, -1) || '0'
$$;
comment on function soundscape.objects_in_folder(text) is 'The objects of a folder in waveforms.';

-- Requests
-- ========

create function soundscape.request_file_rename(file public.audio_files) returns void
language sql security definer set search_path = '' as $$
    insert into soundscape.renames (audio_id, bucket_id, name)
    select file.id, 'audio-files', file.file_path
    where not file.is_listed and file.object_id is not null and exists (
        select from soundscape.exposed_names e where e.digest = soundscape.name_digest(file.file_path))
    on conflict (bucket_id, name) do nothing
$$;
comment on function soundscape.request_file_rename(public.audio_files)
    is 'Requests a new name for the file of a recording that is not listed, if its name is exposed.';

create function soundscape.expose_name(object_name text) returns void
language sql security definer set search_path = '' as $$
    insert into soundscape.exposed_names (digest) values (soundscape.name_digest(object_name)) on conflict do nothing
$$;
comment on function soundscape.expose_name(text) is 'Notes that a listed recording lay under this name.';

create function soundscape.on_recording_unlisted() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    is_first boolean := not exists (select from soundscape.renames r where r.taken_at is null);
begin
    perform soundscape.expose_name(old.file_path);
    perform soundscape.request_file_rename(new);
    -- An analysis that is running may have stored pictures already, in a folder that the row will name later.
    insert into soundscape.renames (audio_id, bucket_id, name)
    select distinct new.id, 'waveforms', soundscape.folder_of(o.name)
    from soundscape.objects_in_folder(new.id::text || '/') o
    on conflict (bucket_id, name) do nothing;
    if is_first then
        perform soundscape.ring_doorbell();
    end if;
    return null;
end
$$;
comment on function soundscape.on_recording_unlisted()
    is 'Trigger on audio_files: a recording is hidden or made private. Its names are exposed and are to be left.';
create trigger audio_files_unlisted after update on public.audio_files
    for each row when (old.is_listed and not new.is_listed)
    execute function soundscape.on_recording_unlisted();

create function soundscape.on_listed_recording_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.expose_name(old.file_path);
    return null;
end
$$;
comment on function soundscape.on_listed_recording_deleted()
    is 'Trigger on audio_files: the name of a deleted recording is exposed. What comes under it later must leave it.';
create trigger audio_files_listed_deleted after delete on public.audio_files
    for each row when (old.is_listed)
    execute function soundscape.on_listed_recording_deleted();

create or replace function soundscape.attach_object(recording uuid) returns void
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
    where id = recording
    returning * into file;
    perform soundscape.enqueue(recording, object.version);
    perform soundscape.request_file_rename(file);
end
$$;

create function soundscape.follow_move(former storage.objects, object storage.objects) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    file public.audio_files;
begin
    -- The eTag may change: a copy of what was uploaded in parts has another one. A move has the same bytes always.
    update public.audio_files
    set file_path = object.name, object_version = object.version, object_etag = object.metadata ->> 'eTag'
    where object_id = object.id
      and (former.name is distinct from object.name or status in ('queued', 'analyzing', 'ready'))
    returning * into file;
    if file.id is null then
        -- Its recording was deleted while it was moved. The deletion follows it.
        update soundscape.deletions set name = object.name
        where bucket_id = 'audio-files' and name = former.name and former.name is distinct from object.name;
        return found;
    end if;
    update soundscape.jobs set object_version = object.version
    where state in ('queued', 'running') and audio_id = file.id;
    update public.audio_features set object_version = object.version
    where object_version = former.version and audio_id = file.id;
    update soundscape.fingerprints set object_version = object.version
    where object_version = former.version and audio_id = file.id;
    if former.name is distinct from object.name then
        delete from soundscape.renames where bucket_id = 'audio-files' and name = former.name;
        if file.is_listed then
            perform soundscape.expose_name(former.name);
        end if;
        perform soundscape.request_file_rename(file);
    end if;
    return true;
end
$$;
comment on function soundscape.follow_move(storage.objects, storage.objects)
    is 'Changes the recording of an object that was moved or written again with the same bytes. False if it has none.';

create or replace function soundscape.on_object_written() returns trigger
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

    -- The object was moved, or has the same bytes as before: there is nothing new to analyse. If the recording had
    -- failed, the same bytes mean that somebody wants to try again.
    if tg_op = 'UPDATE'
       and (old.name is distinct from new.name or old.metadata ->> 'eTag' = new.metadata ->> 'eTag')
       and soundscape.follow_move(old, new)
    then
        return null;
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

-- The worker's side
-- =================

create function soundscape.pending_renames(max_renames integer default 10)
    returns table (
        rename_id bigint, attempt integer, audio_id uuid, bucket_id text, name text, new_name text, objects text[])
language plpgsql security definer rows 10 set search_path = '' as $$
#variable_conflict use_column
declare
    wanted soundscape.renames;
    file public.audio_files;
    is_current boolean;
begin
    for wanted in
        select * from soundscape.renames r
        where taken_at is null
           or taken_at < clock_timestamp() - soundscape.rename_grace() * power(2, least(attempts, 10) - 1)
        order by attempts, id limit least(max_renames, 100) for update skip locked
    loop
        -- Nobody lists it again meanwhile. A transaction that changes it now is not waited for: it may wait for us.
        select * into file from public.audio_files f where f.id = wanted.audio_id for share skip locked;
        continue when file.id is null;
        is_current := case wanted.bucket_id
            when 'audio-files' then file.file_path = wanted.name and file.object_id is not null
            else coalesce(soundscape.folder_of(file.preview_path) = wanted.name, false) or exists (
                select from public.audio_features a
                where a.audio_id = file.id and soundscape.folder_of(a.waveform_path) = wanted.name) end;
        if not file.is_listed and is_current then
            update soundscape.renames r set taken_at = clock_timestamp(), attempts = r.attempts + 1
            where r.id = wanted.id returning * into wanted;
            rename_id := wanted.id;
            attempt := wanted.attempts;
            audio_id := wanted.audio_id;
            bucket_id := wanted.bucket_id;
            name := wanted.name;
            if bucket_id = 'audio-files' then
                new_name := soundscape.new_object_name(name);
                objects := array[name];
            else
                new_name := soundscape.new_folder_name(name, rename_id, attempt);
                objects := array(select o.name from soundscape.objects_in_folder(wanted.name) o order by o.name);
            end if;
            return next;
        elsif file.is_listed or wanted.bucket_id = 'audio-files' or not exists (
            -- An analysis that is running may name this folder when it ends.
            select from soundscape.jobs j where j.audio_id = file.id and j.state = 'running')
        then
            delete from soundscape.renames r where r.id = wanted.id;
        end if;
    end loop;
end
$$;
comment on function soundscape.pending_renames(integer)
    is 'Worker only. Takes names that recordings are to leave. In audio-files objects holds the one object to move to '
       'new_name. In waveforms it holds the objects to copy into the folder new_name; complete_rename follows.';

create function soundscape.rename_results(recording uuid, former_folder text, folder text) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
    update public.audio_files set preview_path = folder || substr(preview_path, length(former_folder) + 1)
    where id = recording and soundscape.folder_of(preview_path) = former_folder;
    if found then
        return true;
    end if;
    -- The folder's name holds nothing that JSON writes in another way.
    update public.audio_features
    set waveform_path = folder || substr(waveform_path, length(former_folder) + 1),
        pictures = replace(pictures::text, former_folder, folder)::jsonb,
        descriptors = replace(descriptors::text, former_folder, folder)::jsonb
    where audio_id = recording and soundscape.folder_of(waveform_path) = former_folder;
    return found;
end
$$;
comment on function soundscape.rename_results(uuid, text, text)
    is 'Changes the folder in every column that names results of a recording. False if it has another one by now.';

create function soundscape.complete_rename(rename_id bigint, attempt integer, new_name text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    wanted soundscape.renames;
    is_renamed boolean := false;
begin
    -- The recording is locked before what refers to it, everywhere.
    perform from public.audio_files f
    where f.id = (select r.audio_id from soundscape.renames r where r.id = rename_id) for no key update;
    select * into wanted from soundscape.renames r
    where r.id = rename_id and r.attempts = attempt and r.bucket_id = 'waveforms' for update;
    if wanted.id is not null and not exists (
        select from soundscape.objects_in_folder(wanted.name) o
        where not exists (
            select from storage.objects c
            where c.bucket_id = 'waveforms' and c.name = new_name || substr(o.name, length(wanted.name) + 1)
              and c.metadata ->> 'size' = o.metadata ->> 'size'))
    then
        is_renamed := soundscape.rename_results(wanted.audio_id, wanted.name, new_name);
        if is_renamed then
            -- An analysis that ended meanwhile may have asked for the deletion of all that no row named.
            perform soundscape.keep_pictures(new_name);
        end if;
        delete from soundscape.renames r where r.id = wanted.id;
    end if;
    -- Either the former objects go, or the copies. Not if the row names the copies because the response to an earlier
    -- call was lost.
    insert into soundscape.deletions (bucket_id, name)
    select 'waveforms', o.name
    from soundscape.objects_in_folder(case when is_renamed then wanted.name else new_name end) o
    where is_renamed or not exists (
        select from public.audio_files f left join public.audio_features a on a.audio_id = f.id
        where f.id = soundscape.uuid_or_null(split_part(new_name, '/', 1))
          and new_name in (soundscape.folder_of(a.waveform_path), soundscape.folder_of(f.preview_path)))
    on conflict do nothing;
    return is_renamed;
end
$$;
comment on function soundscape.complete_rename(bigint, integer, text)
    is 'Worker only. The pictures were copied into this folder: the row names them from now on, and the former ones '
       'are deleted. False if not all are there, or the recording has other results by now: then the copies are '
       'deleted.';
