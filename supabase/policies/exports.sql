-- Asked for by export_my_data, written by the worker's functions.
revoke all on public.exports from public, anon, authenticated, service_role;
grant select, delete on public.exports to authenticated;
grant select on public.exports to service_role;

drop policy if exists exports_read_own on public.exports;
create policy exports_read_own on public.exports for select to authenticated
    using (user_id = (select auth.uid()));

drop policy if exists exports_delete_own on public.exports;
create policy exports_delete_own on public.exports for delete to authenticated
    using (user_id = (select auth.uid()));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists exports_no_estimates on public.exports;
create policy exports_no_estimates on public.exports as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
