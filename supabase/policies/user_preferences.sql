-- The row is made at sign-up and goes with the account.
revoke all on public.user_preferences from public, anon, authenticated, service_role;
grant select on public.user_preferences to authenticated;
grant update (
        locale, theme, default_is_public, default_license, settings, favourite_labels,
        time_zone, quiet_from, quiet_until, fill_from_file, captions)
    on public.user_preferences to authenticated;
grant select, insert, update, delete on public.user_preferences to service_role;

drop policy if exists user_preferences_read_own on public.user_preferences;
create policy user_preferences_read_own on public.user_preferences for select to authenticated
    using (user_id = (select auth.uid()));

drop policy if exists user_preferences_update_own on public.user_preferences;
create policy user_preferences_update_own on public.user_preferences for update to authenticated
    using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists user_preferences_no_estimates on public.user_preferences;
create policy user_preferences_no_estimates on public.user_preferences as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
