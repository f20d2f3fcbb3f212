-- What analysis measures, status, and what moderators decide are not among the columns a client may write.
revoke all on public.audio_files from public, anon, authenticated, service_role;
grant select on public.audio_files to anon, authenticated;
-- Nor is id: whoever could choose it could take a deleted recording's, and see what hung on it.
grant insert (user_id, title, description, file_path, is_public, tags, license, attribution, sources, duration,
              recorded_at, latitude, longitude, location_precision_m)
    on public.audio_files to authenticated;
grant update (title, description, is_public, tags, license, attribution, sources,
              recorded_at, latitude, longitude, location_precision_m)
    on public.audio_files to authenticated;
grant delete on public.audio_files to authenticated;
grant select, insert, update, delete on public.audio_files to service_role;

-- Spelt out rather than is_listed, so that the planner may use the index of public recordings.
drop policy if exists audio_files_read_public on public.audio_files;
create policy audio_files_read_public on public.audio_files for select to anon
    using (is_public and hidden_at is null);

drop policy if exists audio_files_read on public.audio_files;
create policy audio_files_read on public.audio_files for select to authenticated
    using (
        (is_public and hidden_at is null)
        or user_id = (select auth.uid())
        or (hidden_at is not null and (select soundscape.authorize('recordings.moderate'))));

drop policy if exists audio_files_insert_own on public.audio_files;
create policy audio_files_insert_own on public.audio_files for insert to authenticated
    with check (user_id = (select auth.uid()));

drop policy if exists audio_files_update_own on public.audio_files;
create policy audio_files_update_own on public.audio_files for update to authenticated
    using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));

drop policy if exists audio_files_delete_own on public.audio_files;
create policy audio_files_delete_own on public.audio_files for delete to authenticated
    using (user_id = (select auth.uid()));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists audio_files_no_estimates on public.audio_files;
create policy audio_files_no_estimates on public.audio_files as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
