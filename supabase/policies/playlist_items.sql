-- Nobody writes a position: items are appended, and two functions put them in order.
revoke all on public.playlist_items from public, anon, authenticated, service_role;
grant select on public.playlist_items to anon, authenticated, service_role;
grant insert (playlist_id, audio_id) on public.playlist_items to authenticated, service_role;
grant delete on public.playlist_items to authenticated, service_role;

-- The owner sees every item, so that one whose recording became private can be taken out. Everybody else sees
-- those whose recording they see. The subqueries run under the caller's own rights.
drop policy if exists playlist_items_read_public on public.playlist_items;
create policy playlist_items_read_public on public.playlist_items for select to anon
    using (
        exists (select from public.playlists p where p.id = playlist_id)
        and exists (select from public.audio_files f where f.id = audio_id));

drop policy if exists playlist_items_read on public.playlist_items;
create policy playlist_items_read on public.playlist_items for select to authenticated
    using (
        exists (select from public.playlists p where p.id = playlist_id and p.user_id = (select auth.uid()))
        or (exists (select from public.playlists p where p.id = playlist_id)
            and exists (select from public.audio_files f where f.id = audio_id)));

drop policy if exists playlist_items_insert on public.playlist_items;
create policy playlist_items_insert on public.playlist_items for insert to authenticated
    with check (
        exists (select from public.playlists p where p.id = playlist_id and p.user_id = (select auth.uid()))
        and exists (select from public.audio_files f where f.id = audio_id));

drop policy if exists playlist_items_delete on public.playlist_items;
create policy playlist_items_delete on public.playlist_items for delete to authenticated
    using (exists (select from public.playlists p where p.id = playlist_id and p.user_id = (select auth.uid())));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists playlist_items_no_estimates on public.playlist_items;
create policy playlist_items_no_estimates on public.playlist_items as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
