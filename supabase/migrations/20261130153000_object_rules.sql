-- What may lie in a bucket, whatever route writes it. Storage holds an upload to the bucket's types and size, but not a
-- copy, nor a resumable upload that names no type. The triggers here see every write.
--
-- Triggers fire in the order of their names. So the first refusal is about the bucket (soundscape_object_moved), then
-- the name (soundscape_object_name), then what check_object_rules asks, in its order: the owner, the source, the type
-- and the size.

create function soundscape.media_type_allowed(media_type text, allowed text[]) returns boolean
language sql immutable parallel safe set search_path = ''
return exists (
    select from unnest(allowed) as pattern,
        lateral (select lower(btrim(split_part(media_type, ';', 1))) as essence) as m
    where m.essence ~ '^[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*$'
      and (m.essence = pattern or pattern = split_part(m.essence, '/', 1) || '/*'));
comment on function soundscape.media_type_allowed(text, text[])
    is 'Whether a bucket that allows these types takes this one. Not if it allows none, nor if the type is malformed.';

create function soundscape.is_copying() returns boolean
language sql stable set search_path = ''
-- storage.object.copy, storage.s3.object.copy and storage.s3.upload.part_copy.
return coalesce(current_setting('storage.operation', true) like '%copy', false);
comment on function soundscape.is_copying()
    is 'Whether Storage asks because somebody wants to copy an object.';

create function soundscape.acts_for_a_person() returns boolean
language sql stable set search_path = ''
-- Storage tests each write as its caller, and then writes as the service role.
return coalesce(current_setting('role', true) in ('anon', 'authenticated'), false);
comment on function soundscape.acts_for_a_person()
    is 'Whether this transaction has the role of a person, and not of the worker or of Storage itself.';

create function soundscape.check_copy(object storage.objects) returns void
language plpgsql stable security definer set search_path = '' as $$
begin
    -- The test of an upload knows no eTag yet. The test of a copy has that of its source.
    if not coalesce(object.metadata ? 'eTag', false) then
        return;
    elsif object.bucket_id <> 'audio-files' then
        raise exception 'Files are not copied into the bucket %.', object.bucket_id
            using errcode = '42501', hint = 'Upload the file.';
    elsif exists (
        select from public.audio_files f
        where f.hidden_at is not null and f.object_etag = object.metadata ->> 'eTag')
    then
        raise exception 'The recording is hidden. Its file cannot be copied.'
            using errcode = '42501', hint = 'hidden_reason says why it was hidden.';
    end if;
end
$$;
comment on function soundscape.check_copy(storage.objects)
    is 'An error if a person copies into another bucket than audio-files, or the bytes of a hidden recording.';

create function soundscape.check_move(object storage.objects) returns void
language plpgsql stable security definer set search_path = '' as $$
begin
    if object.bucket_id = 'audio-files' and exists (
        select from public.audio_files f where f.object_id = object.id and f.hidden_at is not null)
    then
        raise exception 'The recording is hidden. Its file cannot be moved.'
            using errcode = '42501', hint = 'hidden_reason says why it was hidden.';
    end if;
end
$$;
comment on function soundscape.check_move(storage.objects)
    is 'An error if a person moves the file of a hidden recording.';

create function soundscape.check_object_rules() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    bucket storage.buckets;
    size_bytes numeric := (new.metadata ->> 'size')::numeric;
    -- Storage stores this type where a client names none.
    media_type text := coalesce(new.metadata ->> 'mimetype', 'application/octet-stream');
begin
    if new.owner_id is not null and not exists (
        select from public.users u where u.id = soundscape.uuid_or_null(new.owner_id))
    then
        raise exception 'The account that uploads this file does not exist any more.'
            using errcode = '42501', hint = 'Sign in with another account.';
    end if;
    if soundscape.acts_for_a_person() then
        if tg_op = 'INSERT' then
            perform soundscape.check_copy(new);
        elsif new.name is distinct from old.name then
            perform soundscape.check_move(new);
        end if;
    end if;
    -- Nothing is known of an object when somebody asks for a signed address to upload to.
    if jsonb_typeof(new.metadata) = 'object' then
        select * into bucket from storage.buckets b where b.id = new.bucket_id;
        if not soundscape.media_type_allowed(media_type, bucket.allowed_mime_types) then
            raise exception 'The bucket % does not take files of the type %.', new.bucket_id, left(media_type, 100)
                using errcode = '42501', hint = concat(
                    'It takes ', coalesce(array_to_string(bucket.allowed_mime_types, ', '), 'none'), '.');
        elsif size_bytes > bucket.file_size_limit then
            raise exception 'The file has % bytes. The bucket % takes % at most.', size_bytes, new.bucket_id,
                bucket.file_size_limit using errcode = '42501', hint = 'Upload a smaller file.';
        end if;
    end if;
    return new;
end
$$;
comment on function soundscape.check_object_rules()
    is 'Trigger on storage.objects: holds owner, source, type and size of an object, by whatever route it comes.';

create trigger soundscape_object_rules before insert or update of bucket_id, name, owner_id, metadata, version
    on storage.objects
    for each row when (new.bucket_id in ('audio-files', 'profile-images', 'waveforms'))
    execute function soundscape.check_object_rules();
