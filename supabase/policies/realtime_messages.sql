-- Who may join a private topic: Realtime inserts a row for the topic, reads it back as the caller, and rolls back. The
-- rows are messages that the database sent. Users send none, so nobody may insert.
drop policy if exists soundscape_library_read on realtime.messages;
create policy soundscape_library_read on realtime.messages for select to authenticated
    using (extension = 'broadcast' and topic = 'library:' || (select auth.uid())::text);

-- The owner alone, though everybody may see a public recording: a topic that was joined stays joined when the
-- recording becomes private.
drop policy if exists soundscape_recording_read on realtime.messages;
create policy soundscape_recording_read on realtime.messages for select to authenticated
    using (extension = 'broadcast' and exists (
        select from public.audio_files f
        where f.id = soundscape.uuid_or_null(substr(topic, length('recording:') + 1))
          and topic = 'recording:' || f.id
          and f.user_id = (select auth.uid())));
