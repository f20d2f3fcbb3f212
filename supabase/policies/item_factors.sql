-- Read where everybody sees the recording, by the functions that recommend. Written by the worker's functions alone.
revoke all on soundscape.item_factors from public, anon, authenticated, service_role;
grant select on soundscape.item_factors to authenticated;

drop policy if exists item_factors_read on soundscape.item_factors;
create policy item_factors_read on soundscape.item_factors for select to authenticated using (is_listed);
