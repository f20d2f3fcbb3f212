-- An account that is being deleted owns nothing new, whatever token or signed address it still has.

create or replace function soundscape.check_object_rules() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    bucket storage.buckets;
    size_bytes numeric := (new.metadata ->> 'size')::numeric;
    -- Storage stores this type where a client names none.
    media_type text := coalesce(new.metadata ->> 'mimetype', 'application/octet-stream');
    owner uuid := soundscape.uuid_or_null(new.owner_id);
begin
    if new.owner_id is not null and (
        not exists (select from public.users u where u.id = owner)
        or exists (select from soundscape.account_deletions d where d.user_id = owner))
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
