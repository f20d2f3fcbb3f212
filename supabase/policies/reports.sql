-- Reporters see what became of their reports; moderators see all but those of their own recordings. Assigning
-- and resolving are functions.
revoke all on public.reports from public, anon, authenticated, service_role;
grant select on public.reports to authenticated;
grant insert (audio_id, reporter_id, reason, details) on public.reports to authenticated;
grant select, insert, update, delete on public.reports to service_role;

drop policy if exists reports_read on public.reports;
create policy reports_read on public.reports for select to authenticated
    using (
        reporter_id = (select auth.uid())
        or ((select soundscape.authorize('reports.handle'))
            and not exists (select from public.audio_files f where f.id = audio_id
                and f.user_id = (select auth.uid()))));

-- Only what one sees and does not own may be reported.
drop policy if exists reports_insert on public.reports;
create policy reports_insert on public.reports for insert to authenticated
    with check (
        reporter_id = (select auth.uid())
        and exists (select from public.audio_files f where f.id = audio_id and f.user_id <> (select auth.uid())));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists reports_no_estimates on public.reports;
create policy reports_no_estimates on public.reports as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
