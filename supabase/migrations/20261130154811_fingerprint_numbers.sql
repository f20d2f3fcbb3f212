-- The index of fingerprints for more than four million recordings: numbers of 32 bits, and queries whose work does not
-- grow with the number of recordings. docs/decisions/one-row-per-key.md describes the layout.

-- Numbers
-- =======

alter table soundscape.fingerprints drop constraint fingerprints_number_check;
alter sequence soundscape.fingerprint_numbers as integer minvalue -2147483648 maxvalue 2147483647;
comment on sequence soundscape.fingerprint_numbers is 'Short numbers of fingerprints, 32 bits. It goes round.';
alter table soundscape.fingerprints add constraint fingerprints_version_fits check (version <= 511);

create or replace function soundscape.next_fingerprint_number() returns integer
language plpgsql security definer set search_path = '' as $$
declare
    max_tries constant integer := 1000;
    candidate integer;
begin
    for _ in 1 .. max_tries loop
        candidate := nextval('soundscape.fingerprint_numbers');
        if not exists (select from soundscape.fingerprints f where f.number = candidate) then
            return candidate;
        end if;
    end loop;
    raise exception 'No number is free for another fingerprint: the next % are taken.', max_tries
        using errcode = '53400', hint = 'The next attempt looks further. Delete recordings if all attempts fail.';
end
$$;
comment on function soundscape.next_fingerprint_number()
    is 'A number that no fingerprint has. An error with the code 53400 if none is found.';

-- Postings
-- ========

-- All versions are in one index, apart from each other.
create function soundscape.posting_key(version integer, key integer) returns integer
language sql immutable parallel safe set search_path = '' return version << 22 | key;
comment on function soundscape.posting_key(integer, integer)
    is 'A key as it is stored: 9 bits of the fingerprint''s version and 22 of the key.';

drop trigger fingerprints_written on soundscape.fingerprints;
drop trigger fingerprints_listed on soundscape.fingerprints;
drop trigger fingerprints_gone on soundscape.fingerprints;
drop function soundscape.on_fingerprint_changed();
drop function soundscape.postings_of(integer, integer[], integer[]);
drop table soundscape.postings;
drop table soundscape.unlisted_postings;

create table soundscape.postings (
    key integer not null,
    number integer not null,
    frame integer not null,
    primary key (key, number, frame)
);
alter table soundscape.postings enable row level security;
-- Index-only scans need pages that vacuum has marked as visible to all transactions.
alter table soundscape.postings
    set (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_insert_threshold = 100000);
comment on table soundscape.postings
    is 'The inverted index: which listed recording has which key at which frame. Only the worker''s functions read '
       'it.';
comment on column soundscape.postings.key is 'The key, as posting_key makes it.';
comment on column soundscape.postings.number is 'The number of the fingerprint.';
comment on column soundscape.postings.frame is 'The frame.';

-- A table of its own, so that a query does not read past the private postings of others.
create table soundscape.unlisted_postings (
    owner_hash integer not null,
    key integer not null,
    number integer not null,
    frame integer not null,
    primary key (owner_hash, key, number, frame)
);
alter table soundscape.unlisted_postings enable row level security;
alter table soundscape.unlisted_postings
    set (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_insert_threshold = 100000);
comment on table soundscape.unlisted_postings
    is 'The same for recordings that are not listed, by owner. Only the worker''s functions read it.';
comment on column soundscape.unlisted_postings.owner_hash is 'A hash of the owner, 32 bits.';
comment on column soundscape.unlisted_postings.key is 'As in postings.';
comment on column soundscape.unlisted_postings.number is 'As in postings.';
comment on column soundscape.unlisted_postings.frame is 'As in postings.';
-- An index for claims, which search the postings of all owners. The condition is always true, but only the query for
-- claims states it. So the planner never uses this index to find the postings of one owner.
create unique index unlisted_postings_by_key on soundscape.unlisted_postings (key, number, frame)
    where key >= '-2147483648'::integer;

create function soundscape.postings_of(version integer, number integer, keys integer[], frames integer[])
returns table (key integer, number integer, frame integer)
language sql immutable parallel safe set search_path = '' as $$
    select distinct soundscape.posting_key(version, k.key), postings_of.number, k.frame
    from unnest(keys, frames) as k (key, frame)
    where k.key between 0 and 4194303 and k.frame >= 0
$$;
comment on function soundscape.postings_of(integer, integer, integer[], integer[]) is 'The postings of a fingerprint.';

-- How many keys there are
-- =======================

-- The odds of a match depend on the size of the index. Each change of it is a row, so that analyses that complete at
-- once do not wait for each other. The sweep sums the rows up.
create table soundscape.index_sizes (
    version smallint not null,
    owner uuid,
    key_count bigint not null,
    unique nulls not distinct (version, owner)
);
alter table soundscape.index_sizes enable row level security;
create index index_sizes_empty on soundscape.index_sizes (version) where key_count = 0;
comment on table soundscape.index_sizes
    is 'How many keys the index has, without the changes that are not summed up yet.';
comment on column soundscape.index_sizes.version is 'Version of the fingerprints.';
comment on column soundscape.index_sizes.owner is 'Whose recordings that are not listed. Null for the listed ones.';
comment on column soundscape.index_sizes.key_count is 'Their keys.';

create table soundscape.index_size_changes (
    id bigint generated always as identity primary key,
    version smallint not null,
    owner uuid,
    key_count bigint not null
);
alter table soundscape.index_size_changes enable row level security;
create index index_size_changes_by_owner on soundscape.index_size_changes (version, owner) include (key_count);
comment on table soundscape.index_size_changes is 'Changes of index_sizes that the sweep will sum up.';
comment on column soundscape.index_size_changes.id is 'The change.';
comment on column soundscape.index_size_changes.version is 'As in index_sizes.';
comment on column soundscape.index_size_changes.owner is 'As in index_sizes.';
comment on column soundscape.index_size_changes.key_count is 'Keys added, or taken away if it is negative.';

create function soundscape.sum_index_sizes(max_changes integer) returns void
language sql security definer set search_path = '' as $$
    with taken as (
        delete from soundscape.index_size_changes c
        where c.id in (select i.id from soundscape.index_size_changes i order by i.id limit max_changes)
        returning c.version, c.owner, c.key_count)
    insert into soundscape.index_sizes as s (version, owner, key_count)
    select t.version, t.owner, sum(t.key_count) from taken t group by t.version, t.owner
    on conflict (version, owner) do update set key_count = s.key_count + excluded.key_count;
    delete from soundscape.index_sizes where key_count = 0;
$$;
comment on function soundscape.sum_index_sizes(integer)
    is 'Sums up changes of the index''s size. The caller holds the lock of the sweep.';

create function soundscape.index_size(wanted_version integer, wanted_owner uuid) returns bigint
language sql stable security definer set search_path = '' as $$
    select coalesce(sum(c.key_count), 0)::bigint from (
        select s.key_count from soundscape.index_sizes s
        where s.version = wanted_version and s.owner is not distinct from wanted_owner
        union all
        select i.key_count from soundscape.index_size_changes i
        where i.version = wanted_version and i.owner is not distinct from wanted_owner) as c
$$;
comment on function soundscape.index_size(integer, uuid)
    is 'How many keys the index has of an owner''s recordings that are not listed, or of the listed ones if owner is '
       'null.';

create function soundscape.on_fingerprint_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if tg_op <> 'INSERT' then
        if old.is_listed then
            delete from soundscape.postings p
            using soundscape.postings_of(old.version, old.number, old.keys, old.frames) as gone
            where (p.key, p.number, p.frame) = (gone.key, gone.number, gone.frame);
        else
            delete from soundscape.unlisted_postings p
            using soundscape.postings_of(old.version, old.number, old.keys, old.frames) as gone
            where p.owner_hash = soundscape.owner_hash(old.user_id)
              and (p.key, p.number, p.frame) = (gone.key, gone.number, gone.frame);
        end if;
        insert into soundscape.index_size_changes (version, owner, key_count)
        values (old.version, case when not old.is_listed then old.user_id end, -old.key_count);
    end if;
    if tg_op <> 'DELETE' then
        if new.is_listed then
            insert into soundscape.postings (key, number, frame)
            select p.key, p.number, p.frame
            from soundscape.postings_of(new.version, new.number, new.keys, new.frames) as p;
        else
            insert into soundscape.unlisted_postings (owner_hash, key, number, frame)
            select soundscape.owner_hash(new.user_id), p.key, p.number, p.frame
            from soundscape.postings_of(new.version, new.number, new.keys, new.frames) as p;
        end if;
        insert into soundscape.index_size_changes (version, owner, key_count)
        values (new.version, case when not new.is_listed then new.user_id end, new.key_count);
    end if;
    return null;
end
$$;
comment on function soundscape.on_fingerprint_changed()
    is 'Trigger on fingerprints: adds, deletes and moves the postings of the fingerprint, and notes the size of the '
       'index.';
create trigger fingerprints_written after insert on soundscape.fingerprints
    for each row execute function soundscape.on_fingerprint_changed();
-- The foreign key changes the row in the transaction that makes the recording public, private or hidden.
create trigger fingerprints_listed after update on soundscape.fingerprints
    for each row when ((old.is_listed, old.user_id) is distinct from (new.is_listed, new.user_id))
    execute function soundscape.on_fingerprint_changed();
create trigger fingerprints_gone after delete on soundscape.fingerprints
    for each row execute function soundscape.on_fingerprint_changed();

-- The index of what was analysed before.
insert into soundscape.postings (key, number, frame)
select p.key, p.number, p.frame
from soundscape.fingerprints f, soundscape.postings_of(f.version, f.number, f.keys, f.frames) as p where f.is_listed;
insert into soundscape.unlisted_postings (owner_hash, key, number, frame)
select soundscape.owner_hash(f.user_id), p.key, p.number, p.frame
from soundscape.fingerprints f, soundscape.postings_of(f.version, f.number, f.keys, f.frames) as p
where not f.is_listed;
insert into soundscape.index_sizes (version, owner, key_count)
select f.version, case when not f.is_listed then f.user_id end, sum(f.key_count)
from soundscape.fingerprints f group by 1, 2;

-- The query
-- =========

drop index soundscape.fingerprints_by_visibility;
create index fingerprints_listed_numbers on soundscape.fingerprints (version, number) where is_listed;
create index fingerprints_unlisted_numbers on soundscape.fingerprints (version, user_id, number) where not is_listed;

drop function soundscape.visible_fingerprints(integer, uuid, boolean, boolean, uuid, integer);

create function soundscape.searched_numbers(
    version integer, seer uuid, all_owners boolean, out first integer, out last integer
)
language sql stable security definer set search_path = '' as $$
    select min(n.number), max(n.number) from (
        (select min(f.number) as number from soundscape.fingerprints f where all_owners)
        union all (select max(f.number) from soundscape.fingerprints f where all_owners)
        union all (select min(f.number) from soundscape.fingerprints f
            where f.version = searched_numbers.version and f.is_listed)
        union all (select max(f.number) from soundscape.fingerprints f
            where f.version = searched_numbers.version and f.is_listed)
        union all (select min(f.number) from soundscape.fingerprints f
            where f.version = searched_numbers.version and not f.is_listed and f.user_id = seer)
        union all (select max(f.number) from soundscape.fingerprints f
            where f.version = searched_numbers.version and not f.is_listed and f.user_id = seer)) as n
$$;
comment on function soundscape.searched_numbers(integer, uuid, boolean)
    is 'The first and the last number of the fingerprints that a query sees, from the ends of indexes.';

create function soundscape.hidden_fingerprints(version integer, seer uuid, for_recording uuid, max_hidden integer)
returns uuid[]
language sql stable security definer set search_path = '' as $$
    select coalesce(array_agg(h.audio_id), '{}') from (
        select f.audio_id from public.audio_files a join soundscape.fingerprints f on f.audio_id = a.id
        where a.hidden_at is not null and f.version = hidden_fingerprints.version
          and f.audio_id is distinct from for_recording and not f.is_listed and f.user_id <> seer
        order by a.hidden_at desc limit max_hidden) as h
$$;
comment on function soundscape.hidden_fingerprints(integer, uuid, uuid, integer)
    is 'The newest recordings that moderators hid. For a moderator they are compared whole, so that no posting of a '
       'private one is read.';

create or replace function soundscape.fingerprint_candidates(
    keys integer[], frames integer[], version integer, max_candidates integer default 64, viewer uuid default null,
    all_owners boolean default false, for_recording uuid default null
) returns table (audio_id uuid, lag_frames integer, pairs integer, among bigint)
language plpgsql stable security definer rows 64
set search_path = '' set work_mem = '32MB' set jit = off set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    -- A key with more postings than this does not tell recordings apart.
    max_postings_per_key constant integer := 300;
    seer constant uuid := coalesce(viewer, (select f.user_id from public.audio_files f where f.id = for_recording));
    own_hash constant integer := soundscape.owner_hash(seer);
    own soundscape.fingerprints;
    numbers record;
    hidden uuid[] := '{}';
    sees_hidden boolean := false;
    index_size bigint;
begin
    if version not between 1 and 511 then
        return;
    end if;
    select * into own from soundscape.fingerprints f
    where f.audio_id = for_recording and f.version = fingerprint_candidates.version;
    select * into numbers from soundscape.searched_numbers(version, seer, all_owners);
    if numbers.last is null then
        numbers.first := 0;
        numbers.last := 0;
    end if;
    if not all_owners and soundscape.has_permission(seer, 'recordings.moderate') then
        hidden := soundscape.hidden_fingerprints(version, seer, for_recording, max_postings_per_key);
        sees_hidden := hidden <> '{}';
    end if;
    -- Others read the claims about a recording. A count must not tell them how much is private.
    index_size := soundscape.index_size(version, null) - case when own.is_listed then own.key_count else 0 end;
    if for_recording is null then
        index_size := index_size + case when all_owners
            then (select coalesce(sum(f.key_count), 0) from soundscape.fingerprints f
                  where f.version = fingerprint_candidates.version and not f.is_listed)
            else soundscape.index_size(version, seer)
                + (select coalesce(sum(f.key_count), 0) from soundscape.fingerprints f
                   where f.audio_id = any (hidden)) end;
    end if;
    return query
        with asked as (
            select soundscape.posting_key(version, a.key) as key, a.frame,
                   -- Each key starts at another recording. Otherwise the oldest would take all places of the limit.
                   (numbers.first + a.key::bigint * 2654435761
                       % (numbers.last::bigint - numbers.first + 1))::integer as middle
            from unnest(keys, frames) as a (key, frame) where a.key between 0 and 4194303),
        -- Postings are of recordings that the caller sees: listed ones, and those of the caller or of all owners. All
        -- four queries are ordered, so that Postgres merges them and reads no more than the limit.
        read as (
            select p.number, p.frame as held_frame, asked.frame
            from asked
            cross join lateral (
                (select u.number, u.frame from (
                     (select i.number, i.frame from soundscape.postings i
                      where i.key = asked.key and i.number >= asked.middle and i.number is distinct from own.number
                      order by i.number, i.frame)
                     union all
                     (select i.number, i.frame from soundscape.unlisted_postings i
                      where (all_owners or i.owner_hash = own_hash)
                        and (not all_owners or i.key >= '-2147483648'::integer)
                        and i.key = asked.key and i.number >= asked.middle and i.number is distinct from own.number
                      order by i.number, i.frame)
                 ) as u order by u.number, u.frame limit max_postings_per_key)
                union all
                (select u.number, u.frame from (
                     (select i.number, i.frame from soundscape.postings i
                      where i.key = asked.key and i.number < asked.middle and i.number is distinct from own.number
                      order by i.number, i.frame)
                     union all
                     (select i.number, i.frame from soundscape.unlisted_postings i
                      where (all_owners or i.owner_hash = own_hash)
                        and (not all_owners or i.key >= '-2147483648'::integer)
                        and i.key = asked.key and i.number < asked.middle and i.number is distinct from own.number
                      order by i.number, i.frame)
                 ) as u order by u.number, u.frame limit max_postings_per_key)
                limit max_postings_per_key) as p
            union all
            select p.number, p.frame, asked.frame
            from soundscape.fingerprints f
            cross join lateral soundscape.postings_of(f.version, f.number, f.keys, f.frames) as p
            join asked on asked.key = p.key
            where sees_hidden and f.audio_id = any (hidden)),
        held as (
            -- The number of the recording is in the high half, the offset in steps of two frames in the low half.
            select r.number::bigint << 32 | (r.held_frame::bigint - r.frame >> 1) + 1073741824 as place
            from read r),
        counted as materialized (
            select h.place, count(*)::integer as pairs from held h group by h.place having count(*) > 1),
        best as (
            select c.place, c.pairs from counted c order by c.pairs desc, c.place limit least(max_candidates, 256))
        select f.audio_id, (((b.place & 4294967295) - 1073741824) * 2 + 1)::integer,
               b.pairs + coalesce((select n.pairs from counted n where n.place = b.place + 1), 0), index_size
        from best b join soundscape.fingerprints f on f.number = (b.place >> 32)::integer
        -- Two owners may share a hash.
        where all_owners or f.is_listed or f.user_id = seer or f.audio_id = any (hidden);
end
$$;

create or replace function soundscape.reconcile() returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    counts jsonb := '{"attached": 0, "drafted": 0, "resent": 0, "discarded": 0}';
    page record;
begin
    if not soundscape.lock_sweep() then
        return counts;
    end if;
    counts := soundscape.add_counts(counts, jsonb_build_object('drafted', soundscape.draft_undescribed_objects(
        soundscape.take_undescribed_objects(soundscape.max_repairs_per_sweep()))));
    for page in select p.kind from soundscape.sweep_pages p order by p.kind loop
        counts := soundscape.add_counts(counts, soundscape.check_page(page.kind));
    end loop;
    perform soundscape.admit_waiting();
    perform soundscape.delete_unused_words(soundscape.max_repairs_per_sweep());
    perform soundscape.delete_old_notifications();
    perform soundscape.sum_index_sizes(20 * soundscape.max_repairs_per_sweep());
    return counts;
end
$$;
