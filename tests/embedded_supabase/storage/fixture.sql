-- What the storage tests need: a private bucket where users own a folder, a public one, a narrow one, and a
-- trigger that tells what it sees by refusing.
insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types) values
    ('st-private', 'st-private', false, null, null),
    ('st-public', 'st-public', true, null, null),
    ('st-narrow', 'st-narrow', false, 1000, array['audio/*', 'text/plain']);

create policy st_owner on storage.objects for all to authenticated
    using (bucket_id in ('st-private', 'st-narrow') and (storage.foldername(name))[1] = (select auth.uid())::text)
    with check (bucket_id in ('st-private', 'st-narrow') and (storage.foldername(name))[1] = (select auth.uid())::text);
-- Insert without select: enough for a plain upload, not for an upsert.
create policy st_drop_box on storage.objects for insert to authenticated
    with check (bucket_id = 'st-private' and (storage.foldername(name))[1] = 'drop-box');
create policy st_by_operation on storage.objects for select to authenticated
    using (bucket_id = 'st-private' and (storage.foldername(name))[1] = 'listed'
           and storage.allow_only_operation('object.list'));

create function public.st_tell() returns trigger language plpgsql as $$
declare
    told jsonb;
begin
    told = jsonb_build_object(
        'op', tg_op, 'version', new.version, 'metadata', new.metadata, 'user_metadata', new.user_metadata,
        'owner', new.owner, 'owner_id', new.owner_id, 'uid', auth.uid(), 'role', current_user,
        'operation', storage.operation(), 'method', current_setting('request.method', true),
        'path', current_setting('request.path', true), 'claims', current_setting('request.jwt.claims', true));
    if new.name like '%/tell-probe%' and new.version = '1' then
        raise exception '%', told using errcode = '42501';
    elsif new.name like '%/tell-final%' and new.version <> '1' then
        raise exception '%', told using errcode = '42501';
    elsif new.name like '%/break-final%' and new.version <> '1' then
        raise exception 'secret text' using errcode = 'P0001';
    end if;
    return null;
end
$$;
create trigger st_tell after insert or update on storage.objects
    for each row when (new.bucket_id like 'st-%') execute function public.st_tell();

create table public.st_deleted (name text, role text, uid uuid);
create function public.st_note_delete() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    insert into public.st_deleted values (
        old.name, current_setting('request.jwt.claim.role', true),
        nullif(current_setting('request.jwt.claim.sub', true), '')::uuid);
    return null;
end
$$;
create trigger st_note_delete after delete on storage.objects
    for each row when (old.bucket_id like 'st-%') execute function public.st_note_delete();

-- A connection that dies in the final write, for which only the superuser's rights suffice.
create function public.st_kill() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    perform pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid());
    return null;
end
$$;
create trigger st_kill after insert on storage.objects
    for each row when (new.name like '%/kill-final' and new.version <> '1') execute function public.st_kill();
