revoke all on public.audio_features from public, anon, authenticated;
grant select on public.audio_features to anon, authenticated;
grant select, insert, update, delete on public.audio_features to service_role;

-- The subquery runs under the caller's own rights on audio_files: who sees the recording sees this.
drop policy if exists audio_features_read on public.audio_features;
create policy audio_features_read on public.audio_features for select to anon, authenticated
    using (exists (select from public.audio_files f where f.id = audio_id));
