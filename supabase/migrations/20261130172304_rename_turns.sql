-- Whose names are left first: those of hidden recordings, and then each owner's in turn. A move counts only if it moves
-- the object that it was asked for. What was hidden before names were left at all leaves them too.

alter table soundscape.renames add column object_id uuid, add column new_name text;
comment on column soundscape.renames.object_id is 'In audio-files the object to move, as of the latest attempt.';
comment on column soundscape.renames.new_name is 'Where the latest attempt moves or copies to.';

create function soundscape.is_named(wanted soundscape.renames, file public.audio_files) returns boolean
language sql stable security definer set search_path = '' as $$
    select case wanted.bucket_id
        when 'audio-files' then file.file_path = wanted.name and file.object_id is not null
        else coalesce(soundscape.folder_of(file.preview_path) = wanted.name, false) or exists (
            select from public.audio_features a
            where a.audio_id = file.id and soundscape.folder_of(a.waveform_path) = wanted.name) end
$$;
comment on function soundscape.is_named(soundscape.renames, public.audio_files)
    is 'Whether the recording has the name that it is to leave.';

create function soundscape.renames_in_turn(max_renames integer) returns setof soundscape.renames
language sql volatile security definer rows 10 set search_path = '' as $$
    with due as (
        select r.id, r.attempts, f.hidden_at is null as may_wait,
            row_number() over (partition by f.user_id, f.hidden_at is null order by r.attempts, r.id) as turn
        from soundscape.renames r join public.audio_files f on f.id = r.audio_id
        where (r.taken_at is null
               or r.taken_at < clock_timestamp() - soundscape.rename_grace() * power(2, least(r.attempts, 10) - 1))
          -- An analysis that is running may name this folder when it ends.
          and case when r.bucket_id = 'waveforms' and exists (
                  select from soundscape.jobs j where j.audio_id = f.id and j.state = 'running')
              then f.is_listed or soundscape.is_named(r, f) else true end)
    select r.* from due
    join soundscape.renames r on r.id = due.id
    join public.audio_files f on f.id = r.audio_id
    order by due.may_wait, due.turn, due.attempts, r.id limit least(max_renames, 100)
    -- Nobody lists it again meanwhile. A transaction that changes it now is not waited for: it may wait for us. What is
    -- locked gives its place to the next one.
    for update of r skip locked for share of f skip locked
$$;
comment on function soundscape.renames_in_turn(integer)
    is 'Locks renames that a worker may take: those of hidden recordings first, then those of each owner in turn.';

create or replace function soundscape.pending_renames(max_renames integer default 10)
    returns table (
        rename_id bigint, attempt integer, audio_id uuid, bucket_id text, name text, new_name text, objects text[])
language plpgsql security definer rows 10 set search_path = '' as $$
#variable_conflict use_column
declare
    wanted soundscape.renames;
    file public.audio_files;
begin
    for wanted in select * from soundscape.renames_in_turn(max_renames) loop
        select * into file from public.audio_files f where f.id = wanted.audio_id;
        if file.is_listed or not soundscape.is_named(wanted, file) then
            delete from soundscape.renames r
            where r.id = wanted.id and (file.is_listed or wanted.bucket_id = 'audio-files' or not exists (
                -- It may have begun since.
                select from soundscape.jobs j where j.audio_id = file.id and j.state = 'running'));
            continue;
        end if;
        rename_id := wanted.id;
        attempt := wanted.attempts + 1;
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
        update soundscape.renames r
        set taken_at = clock_timestamp(), attempts = attempt, new_name = pending_renames.new_name,
            object_id = case when wanted.bucket_id = 'audio-files' then file.object_id end
        where r.id = wanted.id;
        return next;
    end loop;
end
$$;

-- The move is of the object that was meant
-- ========================================

create function soundscape.given_part(object_name text) returns text
language sql immutable parallel safe set search_path = ''
return substring(object_name from '/(r-[0-9a-f]{32})(?:/|$)');
comment on function soundscape.given_part(text) is 'The part of a name that only new_object_name gives.';

create function soundscape.check_given_name(former_name text, object storage.objects) returns void
language plpgsql stable security definer set search_path = '' as $$
begin
    if soundscape.given_part(object.name) is distinct from soundscape.given_part(former_name)
       and soundscape.given_part(object.name) is not null
       and not exists (
        select from soundscape.renames r
        where r.bucket_id = 'audio-files' and r.name = former_name and r.new_name = object.name
          and r.object_id = object.id)
    then
        raise exception 'The name % was not given to this object.', object.name
            using errcode = '42501', hint = 'Choose another name.';
    end if;
end
$$;
comment on function soundscape.check_given_name(text, storage.objects)
    is 'An error if an object is moved to a name that the worker was given for another object, or for none. Storage '
       'moves by name, and another object may have the name by then.';

create or replace function soundscape.check_name_is_free() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if tg_op = 'UPDATE' and new.name is distinct from old.name then
        perform soundscape.check_given_name(old.name, new);
    end if;
    -- The worker and servers write for others.
    if new.owner_id is not null and (tg_op = 'INSERT' or new.name is distinct from old.name) then
        perform soundscape.require_free_name(new.name, soundscape.owner_of(new.name, new.owner_id));
    end if;
    return new;
end
$$;
comment on function soundscape.check_name_is_free()
    is 'Trigger on storage.objects: an error for a name that somebody else has, or that was given to another object.';

-- What was hidden before
-- ======================

create function soundscape.leave_names(file public.audio_files, former_name text) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.expose_name(former_name);
    perform soundscape.request_file_rename(file);
    -- An analysis that is running may have stored pictures already, in a folder that the row will name later.
    insert into soundscape.renames (audio_id, bucket_id, name)
    select distinct file.id, 'waveforms', soundscape.folder_of(o.name)
    from soundscape.objects_in_folder(file.id::text || '/') o
    on conflict (bucket_id, name) do nothing;
end
$$;
comment on function soundscape.leave_names(public.audio_files, text)
    is 'Requests new names for the file and the pictures of a recording that was listed under a former name.';

create or replace function soundscape.on_recording_unlisted() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    is_first boolean := not exists (select from soundscape.renames r where r.taken_at is null);
begin
    perform soundscape.leave_names(new, old.file_path);
    -- A hidden one does not wait behind what owners do with theirs.
    if is_first or new.hidden_at is distinct from old.hidden_at then
        perform soundscape.ring_doorbell();
    end if;
    return null;
end
$$;

select soundscape.leave_names(f, f.file_path) from public.audio_files f where f.hidden_at is not null;
