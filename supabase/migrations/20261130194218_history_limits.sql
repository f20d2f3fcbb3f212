-- Licence changes are bounded for an account. A page of the sweep that takes too long is left out as one that fails.

alter table soundscape.owner_limits
    add column max_license_changes_per_month integer not null default 40000
        check (max_license_changes_per_month >= 0);
comment on column soundscape.owner_limits.max_license_changes_per_month
    is 'Rows that a user adds to license_history in a calendar month, new recordings with a licence among them.';

create trigger license_history_limit after insert on public.license_history
    referencing new table as added for each statement
    execute function soundscape.count_actions(
        'changed_by', 'max_license_changes_per_month', 'month', 'licence changes a month');

create or replace function soundscape.try_page(wanted_kind text) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
    return soundscape.check_page(wanted_kind);
-- "others" leaves out query_canceled, by which a page ends that takes too long.
exception when query_canceled or others then
    raise warning 'sweep: a page of % was left out: %', wanted_kind, sqlerrm;
    perform soundscape.next_page(wanted_kind, soundscape.max_repairs_per_sweep());
    return '{}';
end
$$;
