-- Who sees the recording sees its caption: the subquery runs under the caller's own rights. Owners change it by
-- set_captions and replace_caption, the worker by its functions.
revoke all on public.audio_captions from public, anon, authenticated, service_role;
grant select on public.audio_captions to anon, authenticated, service_role;

drop policy if exists audio_captions_read on public.audio_captions;
create policy audio_captions_read on public.audio_captions for select to anon, authenticated
    using (exists (select from public.audio_files f where f.id = audio_id));

-- No estimates: the planner counts rows that the policies hide.
drop policy if exists audio_captions_no_estimates on public.audio_captions;
create policy audio_captions_no_estimates on public.audio_captions as restrictive for select to anon, authenticated
    using (soundscape.is_not_estimated());
