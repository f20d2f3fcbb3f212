revoke all on public.playlists from public, anon, authenticated, service_role;
grant select on public.playlists to anon, authenticated;
-- Not id: choosing one that is taken would tell that a private playlist exists.
grant insert (user_id, title, description, is_public) on public.playlists to authenticated;
grant update (title, description, is_public) on public.playlists to authenticated;
grant delete on public.playlists to authenticated;
grant select, insert, update, delete on public.playlists to service_role;

drop policy if exists playlists_read_public on public.playlists;
create policy playlists_read_public on public.playlists for select to anon using (is_public);

drop policy if exists playlists_read on public.playlists;
create policy playlists_read on public.playlists for select to authenticated
    using (is_public or user_id = (select auth.uid()));

drop policy if exists playlists_insert_own on public.playlists;
create policy playlists_insert_own on public.playlists for insert to authenticated
    with check (user_id = (select auth.uid()));

drop policy if exists playlists_update_own on public.playlists;
create policy playlists_update_own on public.playlists for update to authenticated
    using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));

drop policy if exists playlists_delete_own on public.playlists;
create policy playlists_delete_own on public.playlists for delete to authenticated
    using (user_id = (select auth.uid()));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists playlists_no_estimates on public.playlists;
create policy playlists_no_estimates on public.playlists as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
