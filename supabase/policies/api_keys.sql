-- Made and revoked by create_api_key and revoke_api_key alone.
revoke all on public.api_keys from public, anon, authenticated, service_role;
grant select on public.api_keys to authenticated, service_role;

drop policy if exists api_keys_read_own on public.api_keys;
create policy api_keys_read_own on public.api_keys for select to authenticated
    using (user_id = (select auth.uid()));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists api_keys_no_estimates on public.api_keys;
create policy api_keys_no_estimates on public.api_keys as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
