-- A claim about two recordings is for whoever sees both: the subqueries run under the caller's own rights.
-- Moderators see every claim, though not what lies behind a private recording's id.
revoke all on public.audio_matches from public, anon, authenticated, service_role;
grant select on public.audio_matches to anon, authenticated;
grant select, insert, update, delete on public.audio_matches to service_role;

drop policy if exists audio_matches_read_public on public.audio_matches;
create policy audio_matches_read_public on public.audio_matches for select to anon
    using (
        exists (select from public.audio_files f where f.id = audio_id)
        and exists (select from public.audio_files f where f.id = matched_audio_id));

drop policy if exists audio_matches_read on public.audio_matches;
create policy audio_matches_read on public.audio_matches for select to authenticated
    using (
        (select soundscape.authorize('recordings.moderate'))
        or (exists (select from public.audio_files f where f.id = audio_id)
            and exists (select from public.audio_files f where f.id = matched_audio_id)));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists audio_matches_no_estimates on public.audio_matches;
create policy audio_matches_no_estimates on public.audio_matches as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
