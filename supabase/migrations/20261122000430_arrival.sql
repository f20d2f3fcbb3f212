-- How a recording gets its bytes: row and object find each other, and the second one enqueues.
-- Storage tries permission with a write it rolls back, so everything here is transactional.

create function soundscape.owner_of(object_name text, owner_id text) returns uuid
language sql immutable parallel safe set search_path = ''
-- Uploads with a secret key carry no owner: then the first folder names it.
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
comment on function soundscape.attach_object(uuid) is 'Join a recording with its object, if that lies there, and enqueue it.';

create function soundscape.title_or_null(candidate text) returns text
language sql immutable parallel safe set search_path = ''
return nullif(left(regexp_replace(candidate, '^\s+|\s+$', '', 'g'), 200), '');
comment on function soundscape.title_or_null(text) is 'The text as a title, or null where it holds none.';

create function soundscape.describe_object(object storage.objects, draft_title text default null) returns void
language plpgsql security definer set search_path = '' as $$
declare
    said jsonb := coalesce(object.user_metadata, '{}');
    tags text[] := '{}';
begin
    if jsonb_typeof(said -> 'tags') = 'array' then
        select coalesce(array_agg(left(tag, 50)), '{}') into tags
        from (select tag from jsonb_array_elements_text(said -> 'tags') as tag where tag is not null limit 50) said_tags;
    end if;
    insert into public.audio_files (user_id, title, description, file_path, is_public, tags, license)
    values (
        soundscape.owner_of(object.name, object.owner_id),
        coalesce(soundscape.title_or_null(said ->> 'title'), soundscape.title_or_null(draft_title), 'Untitled'),
        left(said ->> 'description', 5000),
        object.name,
        -- A draft is nobody's description yet: it stays private whatever was said beside it.
        draft_title is null and coalesce(said -> 'is_public' in ('true', '"true"'), false),
        tags,
        left(said ->> 'license', 100))
    on conflict (file_path) do nothing;
end
$$;
comment on function soundscape.describe_object(storage.objects, text) is 'Make the row of an object from what its upload said about it.';

create function soundscape.on_object_written() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    file public.audio_files;
begin
    perform soundscape.lock_name(new.name);
    perform soundscape.keep_name(new.name);
    select * into file from public.audio_files where file_path = new.name;
    if file.id is not null and file.user_id is distinct from soundscape.owner_of(new.name, new.owner_id) then
        raise exception 'The name % belongs to another user''s recording.', new.name
            using errcode = '42501', hint = 'Choose another name.';
    end if;

    if tg_op = 'UPDATE' and old.metadata ->> 'eTag' = new.metadata ->> 'eTag' then
        -- Moved, or the same bytes once more: nothing to hear that was not heard. The same bytes for a
        -- recording that failed are somebody asking to try again.
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
comment on function soundscape.on_object_written() is 'Trigger on storage.objects: bytes have arrived whole, or moved.';

create trigger soundscape_object_written after insert or update on storage.objects
    for each row when (new.bucket_id = 'audio-files' and new.metadata ? 'eTag')
    execute function soundscape.on_object_written();

create function soundscape.on_recording_coming() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    -- Before the row exists: an upload that describes itself holds this lock while it waits for the name.
    perform soundscape.lock_name(new.file_path);
    return new;
end
$$;
comment on function soundscape.on_recording_coming() is 'Trigger on audio_files: rows and objects of one name come one after the other.';

create function soundscape.on_recording_made() returns trigger
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
    perform soundscape.keep_name(new.file_path);
    perform soundscape.attach_object(new.id);
    return null;
end
$$;
comment on function soundscape.on_recording_made() is 'Trigger on audio_files: if the bytes were there first, enqueue now.';

create trigger audio_files_coming before insert on public.audio_files
    for each row execute function soundscape.on_recording_coming();
create trigger audio_files_made after insert on public.audio_files
    for each row execute function soundscape.on_recording_made();
