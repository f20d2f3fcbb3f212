-- No size limit of its own: the project's holds.
insert into storage.buckets (id, name, public, allowed_mime_types)
values ('exports', 'exports', false, array['application/zip', 'application/octet-stream', 'application/json'])
on conflict (id) do update set public = excluded.public, allowed_mime_types = excluded.allowed_mime_types;

-- The zips, while they are there; nothing else of an export, and for no key that may not change the account.
drop policy if exists soundscape_exports_read on storage.objects;
create policy soundscape_exports_read on storage.objects for select to authenticated
    using (bucket_id = 'exports' and not (select soundscape.is_copying())
        and (select soundscape.session_scope()) in ('account', 'all') and exists (
        select from public.exports e
        where e.file_path = substring(objects.name from '^(.{36}/.{36})(-[0-9]+)?\.zip$') || '.zip'
          and e.user_id = (select auth.uid())
          and e.expires_at > now()));
