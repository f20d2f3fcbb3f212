-- What somebody was shown is theirs to know, and to erase. Written by recommended_audio alone, so that nobody writes
-- what models are judged by.
revoke all on public.impressions from public, anon, authenticated, service_role;
grant select, delete on public.impressions to authenticated;
grant select, insert, update, delete on public.impressions to service_role;

drop policy if exists impressions_read_own on public.impressions;
create policy impressions_read_own on public.impressions for select to authenticated
    using (user_id = (select auth.uid()));

drop policy if exists impressions_delete_own on public.impressions;
create policy impressions_delete_own on public.impressions for delete to authenticated
    using (user_id = (select auth.uid()));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists impressions_no_estimates on public.impressions;
create policy impressions_no_estimates on public.impressions as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
