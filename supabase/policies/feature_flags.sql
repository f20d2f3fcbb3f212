-- Everybody may know which flags there are, so that Realtime tells of a change. Whom they name is the operator's.
revoke all on public.feature_flags from public, anon, authenticated, service_role;
grant select (key, description, state, percentage, active_from, active_until, updated_at)
    on public.feature_flags to anon, authenticated;
grant select, insert, update, delete on public.feature_flags to service_role;

drop policy if exists feature_flags_read on public.feature_flags;
create policy feature_flags_read on public.feature_flags for select to anon, authenticated using (true);

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists feature_flags_no_estimates on public.feature_flags;
create policy feature_flags_no_estimates on public.feature_flags as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
