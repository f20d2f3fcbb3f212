revoke all on public.user_roles from public, anon, authenticated, service_role, supabase_auth_admin;
grant select on public.user_roles to authenticated;
grant insert (user_id, role) on public.user_roles to authenticated;
grant delete on public.user_roles to authenticated;
grant select, insert, update, delete on public.user_roles to service_role;

-- The access token hook runs as Auth.
grant usage on schema public to supabase_auth_admin;
grant select on public.user_roles to supabase_auth_admin;
drop policy if exists user_roles_read_auth on public.user_roles;
create policy user_roles_read_auth on public.user_roles for select to supabase_auth_admin using (true);

drop policy if exists user_roles_read on public.user_roles;
create policy user_roles_read on public.user_roles for select to authenticated
    using (user_id = (select auth.uid()) or (select soundscape.authorize('roles.assign')));

drop policy if exists user_roles_insert on public.user_roles;
create policy user_roles_insert on public.user_roles for insert to authenticated
    with check ((select soundscape.authorize('roles.assign')));

drop policy if exists user_roles_delete on public.user_roles;
create policy user_roles_delete on public.user_roles for delete to authenticated
    using ((select soundscape.authorize('roles.assign')));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists user_roles_no_estimates on public.user_roles;
create policy user_roles_no_estimates on public.user_roles as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
