-- Who sees the recording sees its licences: the subquery runs under the caller's own rights. Only the database writes.
revoke all on public.license_history from public, anon, authenticated, service_role;
grant select on public.license_history to anon, authenticated;
grant select, insert, update, delete on public.license_history to service_role;

drop policy if exists license_history_read on public.license_history;
create policy license_history_read on public.license_history for select to anon, authenticated
    using (exists (select from public.audio_files f where f.id = audio_id));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists license_history_no_estimates on public.license_history;
create policy license_history_no_estimates on public.license_history as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
