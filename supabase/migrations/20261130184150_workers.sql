-- A worker and the database tell each other how new they are: by the newest migration that each has. A worker calls
-- register_worker() when it starts and once a minute. What comes back says whether it may work. A deploy reads the
-- table, and names workers that are older.

create table soundscape.workers (
    name text primary key check (char_length(name) between 1 and 200),
    version text not null check (char_length(version) between 1 and 64),
    migration text not null check (migration ~ '^[0-9]{14}$'),
    seen_at timestamptz not null default now()
);
alter table soundscape.workers enable row level security;
comment on table soundscape.workers is 'The workers of the last day.';
comment on column soundscape.workers.name is 'As in soundscape.jobs.worker.';
comment on column soundscape.workers.version is 'Of the package.';
comment on column soundscape.workers.migration is 'The newest migration in its package.';
comment on column soundscape.workers.seen_at is 'When it called last.';

create function soundscape.oldest_worker() returns text
language sql immutable parallel safe set search_path = ''
return '20261130184150';
comment on function soundscape.oldest_worker()
    is 'Workers whose newest migration is older may not work. A migration that they cannot work with replaces this.';

create function soundscape.register_worker(worker text, version text, migration text) returns text
language plpgsql security definer set search_path = '' as $$
declare
    is_applied boolean := true;
begin
    delete from soundscape.workers w where w.seen_at < now() - interval '1 day';
    insert into soundscape.workers as w (name, version, migration)
    values (register_worker.worker, register_worker.version, register_worker.migration)
    on conflict on constraint workers_pkey do update
    set version = excluded.version, migration = excluded.migration, seen_at = excluded.seen_at;
    if register_worker.migration < soundscape.oldest_worker() then
        return 'worker_too_old';
    end if;
    -- Without this table the migrations were applied by hand, and nothing says which.
    if to_regclass('supabase_migrations.schema_migrations') is not null then
        select exists (
            select from supabase_migrations.schema_migrations m where m.version = register_worker.migration)
        into is_applied;
    end if;
    return case when is_applied then 'ok' else 'schema_too_old' end;
end
$$;
comment on function soundscape.register_worker(text, text, text)
    is 'For the worker. Notes that it runs, and says whether it fits: ok, worker_too_old or schema_too_old.';
