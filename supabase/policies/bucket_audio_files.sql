insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
-- A media type is what a client guesses from a name. The content decides, after the upload. So every type under which
-- browsers and phones send recordings is accepted, and the types of unknown bytes: application/octet-stream, and
-- text/plain, which supabase-js and supabase-py send where they are told none. Nothing that a browser would run is.
values ('audio-files', 'audio-files', false, 2147483648, array[
    'audio/*', 'video/*', 'application/ogg', 'application/x-ogg', 'application/mp4', 'application/x-flac',
    'application/flac', 'application/x-matroska', 'application/vnd.ms-asf', 'application/vnd.rn-realmedia',
    'application/octet-stream', 'binary/octet-stream', 'text/plain'])
on conflict (id) do update set public = excluded.public, file_size_limit = excluded.file_size_limit,
    allowed_mime_types = excluded.allowed_mime_types;

-- Reading follows the recording: its owner always, everybody when it is public, moderators when it is hidden. A row
-- about somebody else's object opens nothing, because row and object must have the same owner. Copying reads first:
-- only the owner copies, and not what is hidden or was when its row was deleted.
drop policy if exists soundscape_audio_read_public on storage.objects;
create policy soundscape_audio_read_public on storage.objects for select to anon
    using (bucket_id = 'audio-files' and not (select soundscape.is_copying()) and exists (
        select from public.audio_files f
        where f.file_path = objects.name and f.is_public and f.hidden_at is null
          and f.user_id = soundscape.owner_of(objects.name, objects.owner_id)));

drop policy if exists soundscape_audio_read on storage.objects;
create policy soundscape_audio_read on storage.objects for select to authenticated
    using (bucket_id = 'audio-files' and (
        soundscape.owner_of(objects.name, objects.owner_id) = (select auth.uid())
        and not ((select soundscape.is_copying()) and soundscape.is_withheld(objects.name))
        or not (select soundscape.is_copying()) and exists (
            select from public.audio_files f
            where f.file_path = objects.name
              and ((f.is_public and f.hidden_at is null)
                   or (f.hidden_at is not null and (select soundscape.authorize('recordings.moderate'))))
              and f.user_id = soundscape.owner_of(objects.name, objects.owner_id))));

drop policy if exists soundscape_audio_insert on storage.objects;
create policy soundscape_audio_insert on storage.objects for insert to authenticated
    with check (bucket_id = 'audio-files' and soundscape.object_name_problem(name) is null
        and (storage.foldername(name))[1] in ((select auth.uid())::text, 'public'));

drop policy if exists soundscape_audio_update on storage.objects;
create policy soundscape_audio_update on storage.objects for update to authenticated
    using (bucket_id = 'audio-files' and soundscape.owner_of(name, owner_id) = (select auth.uid()))
    with check (bucket_id = 'audio-files' and soundscape.owner_of(name, owner_id) = (select auth.uid())
        and soundscape.object_name_problem(name) is null
        and (storage.foldername(name))[1] in ((select auth.uid())::text, 'public'));

drop policy if exists soundscape_audio_delete on storage.objects;
create policy soundscape_audio_delete on storage.objects for delete to authenticated
    using (bucket_id = 'audio-files' and soundscape.owner_of(name, owner_id) = (select auth.uid()));
