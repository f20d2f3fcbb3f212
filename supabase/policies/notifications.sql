-- What somebody is told is theirs to read, to mark and to delete; only the database tells.
revoke all on public.notifications from public, anon, authenticated, service_role;
grant select, delete on public.notifications to authenticated;
grant update (read_at) on public.notifications to authenticated;
grant select, insert, update, delete on public.notifications to service_role;

drop policy if exists notifications_read_own on public.notifications;
create policy notifications_read_own on public.notifications for select to authenticated
    using (user_id = (select auth.uid()));

drop policy if exists notifications_mark_own on public.notifications;
create policy notifications_mark_own on public.notifications for update to authenticated
    using (user_id = (select auth.uid()))
    with check (user_id = (select auth.uid()));

drop policy if exists notifications_delete_own on public.notifications;
create policy notifications_delete_own on public.notifications for delete to authenticated
    using (user_id = (select auth.uid()));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists notifications_no_estimates on public.notifications;
create policy notifications_no_estimates on public.notifications as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
