-- Owner and visibility are carried along from the recording: who sees it sees what was measured,
-- moderators of hidden ones too.
revoke all on public.audio_features from public, anon, authenticated, service_role;
grant select on public.audio_features to anon, authenticated;
grant select, insert, update, delete on public.audio_features to service_role;

drop policy if exists audio_features_read_public on public.audio_features;
create policy audio_features_read_public on public.audio_features for select to anon using (is_listed);

drop policy if exists audio_features_read on public.audio_features;
create policy audio_features_read on public.audio_features for select to authenticated
    using (
        is_listed
        or user_id = (select auth.uid())
        or ((select soundscape.authorize('recordings.moderate'))
            and exists (select from public.audio_files f where f.id = audio_id and f.hidden_at is not null)));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists audio_features_no_estimates on public.audio_features;
create policy audio_features_no_estimates on public.audio_features as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
