-- Moderators agree among themselves who does what; reporters and owners need not know. Written by functions.
-- The subquery runs under the caller's own rights: nobody is told of reports of their own recordings.
revoke all on public.report_assignments from public, anon, authenticated, service_role;
grant select on public.report_assignments to authenticated;
grant select, insert, update, delete on public.report_assignments to service_role;

drop policy if exists report_assignments_read on public.report_assignments;
create policy report_assignments_read on public.report_assignments for select to authenticated
    using ((select soundscape.authorize('reports.handle')) and exists (select from public.reports r
        where r.id = report_id));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists report_assignments_no_estimates on public.report_assignments;
create policy report_assignments_no_estimates on public.report_assignments as restrictive
    for select to anon, authenticated using (soundscape.is_not_estimated());
