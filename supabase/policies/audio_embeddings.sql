-- As audio_features: owner and visibility are carried along from the recording.
revoke all on public.audio_embeddings from public, anon, authenticated, service_role;
grant select on public.audio_embeddings to anon, authenticated;
grant select, insert, update, delete on public.audio_embeddings to service_role;

drop policy if exists audio_embeddings_read_public on public.audio_embeddings;
create policy audio_embeddings_read_public on public.audio_embeddings for select to anon using (is_listed);

drop policy if exists audio_embeddings_read on public.audio_embeddings;
create policy audio_embeddings_read on public.audio_embeddings for select to authenticated
    using (
        is_listed
        or user_id = (select auth.uid())
        or ((select soundscape.authorize('recordings.moderate'))
            and exists (select from public.audio_files f where f.id = audio_id and f.hidden_at is not null)));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists audio_embeddings_no_estimates on public.audio_embeddings;
create policy audio_embeddings_no_estimates on public.audio_embeddings as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
