-- Not a secret: a frontend may show what a mood is. Changed by migrations only, which then say anew what is in it.
revoke all on public.mood_rules from public, anon, authenticated, service_role;
grant select on public.mood_rules to anon, authenticated, service_role;

drop policy if exists mood_rules_read on public.mood_rules;
create policy mood_rules_read on public.mood_rules for select to anon, authenticated using (true);

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists mood_rules_no_estimates on public.mood_rules;
create policy mood_rules_no_estimates on public.mood_rules as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
