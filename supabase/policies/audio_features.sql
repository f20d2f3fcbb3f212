-- Owner and visibility are carried along from the recording: who sees it sees what was measured. Moderators
-- need no features to judge a hidden recording.
revoke all on public.audio_features from public, anon, authenticated, service_role;
grant select on public.audio_features to anon, authenticated;
grant select, insert, update, delete on public.audio_features to service_role;

drop policy if exists audio_features_read_public on public.audio_features;
create policy audio_features_read_public on public.audio_features for select to anon using (is_listed);

drop policy if exists audio_features_read on public.audio_features;
create policy audio_features_read on public.audio_features for select to authenticated
    using (is_listed or user_id = (select auth.uid()));
