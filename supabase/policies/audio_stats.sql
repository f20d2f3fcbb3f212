-- Who sees the recording sees its figures: the subquery runs under the caller's own rights. Only the database writes.
revoke all on public.audio_stats from public, anon, authenticated, service_role;
grant select on public.audio_stats to anon, authenticated, service_role;

drop policy if exists audio_stats_read on public.audio_stats;
create policy audio_stats_read on public.audio_stats for select to anon, authenticated
    using (exists (select from public.audio_files f where f.id = audio_id));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists audio_stats_no_estimates on public.audio_stats;
create policy audio_stats_no_estimates on public.audio_stats as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
