-- Not a secret: a frontend may show what a role brings. Changed by migrations only, not even by the worker.
revoke all on public.role_permissions from public, anon, authenticated, service_role;
grant select on public.role_permissions to authenticated, service_role;

drop policy if exists role_permissions_read on public.role_permissions;
create policy role_permissions_read on public.role_permissions for select to authenticated using (true);
