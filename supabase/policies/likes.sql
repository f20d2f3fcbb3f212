-- What somebody likes is theirs to know.
revoke all on public.likes from public, anon, authenticated, service_role;
grant select on public.likes to authenticated;
grant insert (user_id, audio_id) on public.likes to authenticated;
grant delete on public.likes to authenticated;
grant select, insert, update, delete on public.likes to service_role;

drop policy if exists likes_read_own on public.likes;
create policy likes_read_own on public.likes for select to authenticated
    using (user_id = (select auth.uid()));

-- The subquery runs under the caller's own rights: only what they see.
drop policy if exists likes_insert_own on public.likes;
create policy likes_insert_own on public.likes for insert to authenticated
    with check (
        user_id = (select auth.uid())
        and exists (select from public.audio_files f where f.id = audio_id));

drop policy if exists likes_delete_own on public.likes;
create policy likes_delete_own on public.likes for delete to authenticated
    using (user_id = (select auth.uid()));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists likes_no_estimates on public.likes;
create policy likes_no_estimates on public.likes as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
