-- Made by save_push_subscription, ended by their owner, or by the worker once the browser is gone.
revoke all on public.push_subscriptions from public, anon, authenticated, service_role;
grant select, delete on public.push_subscriptions to authenticated;
grant select on public.push_subscriptions to service_role;

drop policy if exists push_subscriptions_read_own on public.push_subscriptions;
create policy push_subscriptions_read_own on public.push_subscriptions for select to authenticated
    using (user_id = (select auth.uid()));

drop policy if exists push_subscriptions_delete_own on public.push_subscriptions;
create policy push_subscriptions_delete_own on public.push_subscriptions for delete to authenticated
    using (user_id = (select auth.uid()));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists push_subscriptions_no_estimates on public.push_subscriptions;
create policy push_subscriptions_no_estimates on public.push_subscriptions
    as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
