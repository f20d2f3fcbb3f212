-- As item_factors, where everybody sees both recordings.
revoke all on soundscape.item_neighbours from public, anon, authenticated, service_role;
grant select on soundscape.item_neighbours to authenticated;

drop policy if exists item_neighbours_read on soundscape.item_neighbours;
create policy item_neighbours_read on soundscape.item_neighbours for select to authenticated
    using (is_listed and neighbour_is_listed);
