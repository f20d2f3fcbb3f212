revoke all on public.users from public, anon, authenticated, service_role;
grant select on public.users to anon, authenticated;
grant update (username, display_name, bio, avatar_path) on public.users to authenticated;
grant select, insert, update, delete on public.users to service_role;

-- Profiles are public. Nothing private belongs into this table.
drop policy if exists users_read on public.users;
create policy users_read on public.users for select to anon, authenticated using (true);

drop policy if exists users_update_own on public.users;
create policy users_update_own on public.users for update to authenticated
    using (id = (select auth.uid())) with check (id = (select auth.uid()));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists users_no_estimates on public.users;
create policy users_no_estimates on public.users as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
