-- Not a secret: a frontend may show what a role brings. Changed by migrations only, not even by the worker.
revoke all on public.role_permissions from public, anon, authenticated, service_role;
grant select on public.role_permissions to authenticated, service_role;

drop policy if exists role_permissions_read on public.role_permissions;
create policy role_permissions_read on public.role_permissions for select to authenticated using (true);

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists role_permissions_no_estimates on public.role_permissions;
create policy role_permissions_no_estimates on public.role_permissions as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
