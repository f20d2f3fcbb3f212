-- What a recording's days say is its owner's to know. Only the database writes.
revoke all on public.audio_stats_daily from public, anon, authenticated, service_role;
grant select on public.audio_stats_daily to authenticated, service_role;

drop policy if exists audio_stats_daily_read_own on public.audio_stats_daily;
create policy audio_stats_daily_read_own on public.audio_stats_daily for select to authenticated
    using (user_id = (select auth.uid()));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists audio_stats_daily_no_estimates on public.audio_stats_daily;
create policy audio_stats_daily_no_estimates on public.audio_stats_daily
    as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
