-- What a session of an API key may do in Storage, whatever other policies allow, in every bucket. The Data API is held
-- by soundscape.check_request, which Storage does not call.

drop policy if exists soundscape_session_select on storage.objects;
create policy soundscape_session_select on storage.objects as restrictive for select to authenticated
    using ((select soundscape.session_scope()) <> 'none');

drop policy if exists soundscape_session_insert on storage.objects;
create policy soundscape_session_insert on storage.objects as restrictive for insert to authenticated
    with check (
        (select soundscape.session_scope()) in ('account', 'all')
        or ((select soundscape.session_scope()) = 'upload' and bucket_id = 'audio-files'));

drop policy if exists soundscape_session_update on storage.objects;
create policy soundscape_session_update on storage.objects as restrictive for update to authenticated
    using ((select soundscape.session_scope()) in ('account', 'all'));

drop policy if exists soundscape_session_delete on storage.objects;
create policy soundscape_session_delete on storage.objects as restrictive for delete to authenticated
    using ((select soundscape.session_scope()) in ('account', 'all'));

-- No topic is joined after the key has ended. One that was joined stays until the token expires.
drop policy if exists soundscape_session_join on realtime.messages;
create policy soundscape_session_join on realtime.messages as restrictive for select to authenticated
    using ((select soundscape.session_scope()) <> 'none');

-- A key that uploads describes what it uploads, and changes nothing that is there.
drop policy if exists audio_files_session_update on public.audio_files;
create policy audio_files_session_update on public.audio_files as restrictive for update to authenticated
    using (
        (select soundscape.session_scope()) in ('account', 'all')
        or ((select soundscape.session_scope()) = 'upload' and status = 'awaiting_upload'));
