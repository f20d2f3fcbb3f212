-- Names of objects are canonical, so that every client, proxy and policy means the same object by a name.

create function soundscape.object_name_problem(object_name text) returns text
language sql immutable parallel safe set search_path = ''
return case
    when octet_length(object_name) > 1024 then 'it is longer than 1024 bytes'
    when object_name ~ '(^|/)(/|$)' then 'it has an empty part between slashes'
    when object_name ~ '(^|/)\.\.?(/|$)' then 'it has a part that is . or ..'
    when strpos(object_name, '\') > 0 then 'it has a backslash'
    when object_name ~ '[\u0001-\u001f\u007f-\u009f]' then 'it has a control character'
    when object_name ~ '%[0-9A-Fa-f]{2}' then 'it has a percent-encoded character'
    when object_name is not nfc normalized then 'it is not in Unicode''s normal form C'
end;
comment on function soundscape.object_name_problem(text)
    is 'Why a name is not canonical; null if it is. soundscape/project/object_name.py has the same rule.';

create function soundscape.check_object_name() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    problem text := soundscape.object_name_problem(new.name);
begin
    if problem is not null then
        raise exception 'The name of the file cannot be used: %.', problem
            using errcode = '42501', hint = 'Choose another name.';
    end if;
    return new;
end
$$;
comment on function soundscape.check_object_name()
    is 'Trigger on storage.objects: an error for a name that is not canonical, whoever writes and by whatever route.';

create trigger soundscape_object_name before insert or update on storage.objects
    for each row when (new.bucket_id in ('audio-files', 'profile-images', 'waveforms'))
    execute function soundscape.check_object_name();

-- A recording under a refused name may have been analysed from the bytes of another one. Its results are deleted, and
-- it waits for an upload under a new name.
do $$
declare
    refused record;
begin
    for refused in
        select id, user_id from public.audio_files
        where soundscape.object_name_problem(file_path) is not null for update
    loop
        update soundscape.jobs set state = 'cancelled', finished_at = now()
        where state in ('queued', 'running') and audio_id = refused.id;
        perform soundscape.delete_results(refused.id);
        insert into soundscape.deletions (bucket_id, name)
        select 'waveforms', o.name from storage.objects o
        where o.bucket_id = 'waveforms' and o.name like refused.id::text || '/%'
        on conflict do nothing;
        update public.audio_files
        set file_path = refused.user_id || '/' || refused.id, status = 'awaiting_upload', object_id = null,
            object_version = null, object_etag = null, analysis_version = null, analyzed_at = null, error_code = null,
            error_message = null
        where id = refused.id;
    end loop;
end
$$;
alter table public.audio_files add constraint audio_files_file_path_is_canonical
    check (soundscape.object_name_problem(file_path) is null);

-- An object from before this rule gets no row.
create or replace function soundscape.draft_undescribed_objects() returns integer
language plpgsql security definer set search_path = '' as $$
declare
    orphan storage.objects;
    drafted integer := 0;
begin
    for orphan in
        select o.* from storage.objects o
        join public.users u on u.id = soundscape.owner_of(o.name, o.owner_id)
        where o.bucket_id = 'audio-files' and o.metadata ? 'eTag' and o.created_at < now() - interval '1 minute'
          and (o.name like 'public/_%' or o.name like u.id::text || '/_%')
          and soundscape.object_name_problem(o.name) is null
          and not exists (select from public.audio_files f where f.file_path = o.name)
          and not exists (select from soundscape.deletions r where r.bucket_id = 'audio-files' and r.name = o.name)
        order by o.created_at limit soundscape.max_repairs_per_sweep()
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
