-- An export that is larger than the project's upload limit comes in several zips.

create function soundscape.export_paths(first_path text, parts integer) returns text[]
language sql immutable parallel safe set search_path = ''
return case when first_path is not null then array(
    select case n when 1 then first_path else regexp_replace(first_path, '\.zip$', '-' || n || '.zip') end
    from generate_series(1, parts) as n order by n) end;
comment on function soundscape.export_paths(text, integer)
    is 'The names of the zips of an export: {id}.zip, {id}-2.zip, {id}-3.zip, …';

alter table public.exports
    add column parts integer not null default 1 check (parts between 1 and 10000);
alter table public.exports
    add column file_paths text[] generated always as (soundscape.export_paths(file_path, parts)) stored;
comment on column public.exports.parts
    is 'How many zips it is. Each opens by itself. More than one if the project takes no file that large.';
comment on column public.exports.file_paths is 'Their names in the bucket exports, in order, while they are there.';
comment on column public.exports.file_path is 'The name of the first zip in the bucket exports, while it is there.';

create function soundscape.delete_unnamed_exports(account uuid, export uuid, kept text[] default '{}') returns void
language sql security definer set search_path = '' as $$
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id = 'exports' and o.name like account || '/' || export || '%' and o.name <> all (kept)
    on conflict do nothing
$$;
comment on function soundscape.delete_unnamed_exports(uuid, uuid, text[])
    is 'Requests the deletion of the objects of an export, but for those that are kept.';

drop function if exists public.complete_export(uuid, uuid);
drop function soundscape.complete_export(uuid, uuid);
create function soundscape.complete_export(export uuid, token uuid, parts integer default 1) returns void
language plpgsql security definer set search_path = '' as $$
declare
    made public.exports;
begin
    perform soundscape.hold_export(export, token);
    update public.exports e
    set status = 'ready', finished_at = now(), expires_at = now() + interval '7 days',
        stored_bytes = coalesce(e.size_bytes, e.stored_bytes), parts = complete_export.parts,
        file_path = e.user_id || '/' || e.id || '.zip'
    where e.id = export returning e.* into made;
    -- The newest one has all that the earlier ones have and the account still has.
    update public.exports e set status = 'expired', file_path = null
    where e.user_id = made.user_id and e.id <> export and e.status = 'ready';
    delete from soundscape.export_jobs j where j.export_id = export;
    delete from soundscape.export_checksums c where c.export_id = export;
    -- The records, the list of files, and parts of a former attempt that had more of them.
    perform soundscape.delete_unnamed_exports(made.user_id, export, made.file_paths);
end
$$;
comment on function soundscape.complete_export(uuid, uuid, integer)
    is 'For the worker: the zips are whole. Earlier exports of the account are deleted.';

create or replace function soundscape.end_export(export uuid, code text, message text) returns void
language plpgsql security definer set search_path = '' as $$
begin
    update public.exports e
    set status = 'failed', error_code = code, error_message = message, finished_at = now() where e.id = export;
    delete from soundscape.export_jobs j where j.export_id = export;
    delete from soundscape.export_checksums c where c.export_id = export;
    perform soundscape.delete_unnamed_exports(e.user_id, e.id) from public.exports e where e.id = export;
end
$$;

create or replace function soundscape.export_gone() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.delete_unnamed_exports(old.user_id, old.id);
    return null;
end
$$;
drop function soundscape.delete_export_objects(uuid, text[]);
