-- Locks on object names. A statement may write thousands of names, and Postgres has room for a few thousand advisory
-- locks in all. Rows have no such limit: whoever inserts a key waits for the transaction that inserted the same one.

create unlogged table soundscape.name_locks (
    key bigint primary key
);
alter table soundscape.name_locks enable row level security;
alter table soundscape.name_locks set (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
comment on table soundscape.name_locks
    is 'Locks on object names. Always empty: each row is deleted by the transaction that inserted it.';
comment on column soundscape.name_locks.key is 'A hash of the name.';

create or replace function soundscape.lock_object_name(object_name text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    wanted bigint := hashtextextended('audio-files/' || object_name, 0);
begin
    -- Row and object may arrive in two transactions at once that do not see each other. The second one waits here
    -- until the first one has ended. Then it inserts its own row, and its next statement sees what the first one did.
    insert into soundscape.name_locks (key) values (wanted) on conflict (key) do nothing;
    delete from soundscape.name_locks where key = wanted;
end
$$;
