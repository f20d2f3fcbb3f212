insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
values ('waveforms', 'waveforms', false, 536870912, array[
    'application/octet-stream', 'application/json', 'image/png', 'image/webp', 'audio/mpeg', 'audio/mp4'])
on conflict (id) do update set public = excluded.public, file_size_limit = excluded.file_size_limit,
    allowed_mime_types = excluded.allowed_mime_types;

-- {audio_id}/{analysis_version}/…: whoever sees the recording sees its waveform. Only the worker writes.
drop policy if exists soundscape_waveforms_read on storage.objects;
create policy soundscape_waveforms_read on storage.objects for select to anon, authenticated
    using (bucket_id = 'waveforms' and not (select soundscape.is_copying()) and exists (
        select from public.audio_files f
        where f.id = soundscape.uuid_or_null((storage.foldername(objects.name))[1])));
