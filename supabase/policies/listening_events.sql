-- What somebody hears is theirs to know, and to erase.
revoke all on public.listening_events from public, anon, authenticated, service_role;
grant select on public.listening_events to authenticated;
grant insert (user_id, audio_id, started_at, listened_s, completed, context)
    on public.listening_events to authenticated;
grant delete on public.listening_events to authenticated;
grant select, insert, update, delete on public.listening_events to service_role;

drop policy if exists listening_events_read_own on public.listening_events;
create policy listening_events_read_own on public.listening_events for select to authenticated
    using (user_id = (select auth.uid()));

-- The subquery runs under the caller's own rights: only what they see.
drop policy if exists listening_events_insert_own on public.listening_events;
create policy listening_events_insert_own on public.listening_events for insert to authenticated
    with check (
        user_id = (select auth.uid())
        and exists (select from public.audio_files f where f.id = audio_id));

drop policy if exists listening_events_delete_own on public.listening_events;
create policy listening_events_delete_own on public.listening_events for delete to authenticated
    using (user_id = (select auth.uid()));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists listening_events_no_estimates on public.listening_events;
create policy listening_events_no_estimates on public.listening_events as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
