-- Moderators agree among themselves who does what; reporters and owners need not know. Written by functions.
revoke all on public.report_assignments from public, anon, authenticated, service_role;
grant select on public.report_assignments to authenticated;
grant select, insert, update, delete on public.report_assignments to service_role;

drop policy if exists report_assignments_read on public.report_assignments;
create policy report_assignments_read on public.report_assignments for select to authenticated
    using ((select soundscape.authorize('reports.handle')));
