-- Objects to delete through the Storage API once the rows they belonged to are gone.
create table soundscape.removals (
    id bigint generated always as identity primary key,
    bucket_id text not null,
    name text not null,
    requested_at timestamptz not null default now(),
    taken_at timestamptz,
    attempts integer not null default 0,
    is_final boolean not null default false,
    unique (bucket_id, name)
);
alter table soundscape.removals enable row level security;
comment on column soundscape.removals.id is 'The removal.';
comment on column soundscape.removals.bucket_id is 'The bucket.';
comment on column soundscape.removals.name is 'The object''s name.';
comment on column soundscape.removals.requested_at is 'Since when it is to go.';
comment on column soundscape.removals.taken_at is 'When a worker took it; the name is out of use until that worker is done or the grace is over.';
comment on column soundscape.removals.attempts is 'How often a worker took it; each time the next one waits twice as long.';
comment on column soundscape.removals.is_final is 'Nobody may take the name back before the object is gone: a moderator had hidden it.';
comment on table soundscape.removals is 'Objects whose rows are gone. SQL may not delete objects; the worker does, through the Storage API.';

create function soundscape.removal_grace() returns interval
language sql immutable parallel safe set search_path = '' return interval '2 minutes';
comment on function soundscape.removal_grace() is 'How long a worker that took a removal has it to itself.';

create function soundscape.lock_name(object_name text) returns void
language sql volatile set search_path = '' as $$
    -- Row and object may arrive in two transactions at once, neither seeing the other. The second waits here.
    select pg_advisory_xact_lock(hashtextextended('audio-files/' || object_name, 0))
$$;
comment on function soundscape.lock_name(text) is 'Serialise what happens to one object name until the transaction ends.';

create function soundscape.keep_name(object_name text) returns void
language plpgsql security definer set search_path = '' as $$
-- The caller holds the lock of the name. The Storage API deletes by name alone: once a worker is about to,
-- new bytes under that name would go with the old ones.
begin
    delete from soundscape.removals
    where bucket_id = 'audio-files' and name = object_name and not is_final
      and (taken_at is null or taken_at < clock_timestamp() - soundscape.removal_grace());
    if exists (select from soundscape.removals where bucket_id = 'audio-files' and name = object_name) then
        raise exception 'The name % is being cleared.', object_name
            using errcode = '42501', hint = 'Try again in a moment, or choose another name.';
    end if;
end
$$;
comment on function soundscape.keep_name(text) is 'A name is in use again: what was to be removed under it stays, unless it is being removed this moment.';

create function soundscape.pending_removals(most integer) returns table (bucket_id text, names text[])
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
    removal soundscape.removals;
    taken bigint[] := '{}';
begin
    for removal in
        select * from soundscape.removals
        -- What could not be removed waits: 2 minutes, 4, 8 …, up to 17 hours, and never before what is new.
        where taken_at is null
           or taken_at < clock_timestamp() - soundscape.removal_grace() * power(2, least(attempts, 10) - 1)
        order by attempts, id limit least(most, 500)
    loop
        -- Uploads and rows take this lock before they look: from here on they see that the name is taken.
        perform soundscape.lock_name(removal.name);
        -- Another worker may have taken it while we waited.
        update soundscape.removals set taken_at = clock_timestamp(), attempts = attempts + 1
        where id = removal.id and taken_at is not distinct from removal.taken_at;
        if found then
            taken := taken || removal.id;
        end if;
    end loop;
    return query
        select r.bucket_id, array_agg(r.name) from soundscape.removals r where r.id = any(taken)
        -- One name that cannot be removed fails its whole batch: from the second time on each goes alone.
        group by r.bucket_id, case when r.attempts > 1 then r.id end;
end
$$;
comment on function soundscape.pending_removals(integer) is 'Take objects to delete, in batches of one bucket; until they are forgotten or the grace is over nobody may use their names.';

create function soundscape.forget_removals(bucket text, removed text[]) returns void
language sql security definer set search_path = '' as $$
    delete from soundscape.removals where bucket_id = bucket and name = any(removed)
$$;
comment on function soundscape.forget_removals(text, text[]) is 'These objects are gone.';
