-- The folder public/ is everybody's. Whoever asks for a name in it that somebody else has gets one answer, whether
-- there is a recording, a file or both, and whether they are private. A row that no file follows keeps its name for a
-- day.

create function soundscape.name_reserved_for() returns interval
language sql immutable parallel safe set search_path = '' return interval '1 day';
comment on function soundscape.name_reserved_for()
    is 'How long a recording without a file keeps others from its name. A resumable upload may take as long.';

create function soundscape.require_free_name(object_name text, account uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    update public.audio_files f set file_path = f.user_id || '/' || f.id
    where f.file_path = object_name and f.user_id is distinct from account and f.status = 'awaiting_upload'
      and f.object_id is null and f.created_at < now() - soundscape.name_reserved_for();
    if exists (
        select from public.audio_files f where f.file_path = object_name and f.user_id is distinct from account)
       or exists (
        select from storage.objects o
        where o.bucket_id = 'audio-files' and o.name = object_name
          and soundscape.owner_of(o.name, o.owner_id) is distinct from account)
    then
        raise exception 'The name % cannot be used.', object_name
            using errcode = '42501', hint = 'Choose another name, or one in the folder that is named as your id.';
    end if;
end
$$;
comment on function soundscape.require_free_name(text, uuid)
    is 'An error if somebody else has this name. It does not say who, nor what.';

create function soundscape.check_name_is_free() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    -- The worker and servers write for others.
    if new.owner_id is not null and (tg_op = 'INSERT' or new.name is distinct from old.name) then
        perform soundscape.require_free_name(new.name, soundscape.owner_of(new.name, new.owner_id));
    end if;
    return new;
end
$$;
comment on function soundscape.check_name_is_free()
    is 'Trigger on storage.objects: an error for a name that somebody else has.';
create trigger soundscape_object_taken before insert or update of name on storage.objects
    for each row when (new.bucket_id = 'audio-files')
    execute function soundscape.check_name_is_free();

create or replace function soundscape.lock_recording_name() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    -- An upload that describes itself holds this lock while it waits for the unique name. So it is taken before the row
    -- exists.
    perform soundscape.lock_object_name(new.file_path);
    perform soundscape.require_free_name(new.file_path, new.user_id);
    return new;
end
$$;
