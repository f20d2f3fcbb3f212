-- Fingerprints: an inverted index that finds a recording by its sound, and the query for candidates.
--
-- docs/neighbours.md describes the query, docs/decisions/one-row-per-key.md the layout of the index.

create sequence soundscape.fingerprint_numbers as integer minvalue 0 maxvalue 4194303 cycle;
comment on sequence soundscape.fingerprint_numbers is 'Short numbers of fingerprints, 22 bits in a posting.';

create table soundscape.fingerprints (
    audio_id uuid primary key,
    number integer not null unique check (number between 0 and 4194303),
    user_id uuid not null,
    is_listed boolean not null,
    object_version text not null,
    version smallint not null check (version > 0),
    peaks bytea not null,
    keys integer[] not null,
    frames integer[] not null,
    key_count integer not null generated always as (cardinality(keys)) stored,
    written_in xid8 not null default pg_current_xact_id(),
    compared_in pg_snapshot,
    created_at timestamptz not null default now(),
    check (cardinality(keys) = cardinality(frames)),
    constraint fingerprints_audio_id_fkey foreign key (audio_id, user_id, is_listed)
        references public.audio_files (id, user_id, is_listed) on update cascade on delete cascade
);
alter table soundscape.fingerprints enable row level security;
-- Peaks are compressed already.
alter table soundscape.fingerprints alter column peaks set storage external;
create index fingerprints_by_recording on soundscape.fingerprints (audio_id, user_id, is_listed);
create index fingerprints_by_visibility on soundscape.fingerprints (version, is_listed, user_id)
    include (number, key_count, audio_id);
create index fingerprints_by_age on soundscape.fingerprints (created_at);
create index fingerprints_to_compare on soundscape.fingerprints (created_at) where compared_in is not null;
comment on table soundscape.fingerprints
    is 'The fingerprint of each recording and the keys of its postings. Only the worker''s functions read it.';
comment on column soundscape.fingerprints.audio_id is 'The recording.';
comment on column soundscape.fingerprints.number is 'Its number in the postings.';
comment on column soundscape.fingerprints.user_id is 'The recording''s owner, repeated from audio_files.';
comment on column soundscape.fingerprints.is_listed
    is 'Whether everybody sees the recording, repeated from audio_files.';
comment on column soundscape.fingerprints.object_version is 'Version of the object that was analysed.';
comment on column soundscape.fingerprints.version is 'Version of the fingerprint. Only equal versions can be compared.';
comment on column soundscape.fingerprints.peaks is 'The fingerprint in its binary form.';
comment on column soundscape.fingerprints.keys is 'Its keys, needed to delete its postings.';
comment on column soundscape.fingerprints.frames is 'The frame of each key.';
comment on column soundscape.fingerprints.key_count is 'How many keys there are.';
comment on column soundscape.fingerprints.written_in is 'The transaction that wrote it.';
comment on column soundscape.fingerprints.compared_in
    is 'The snapshot of the index when it was compared with it. Null once fingerprints that were written meanwhile '
       'have been compared too.';
comment on column soundscape.fingerprints.created_at is 'When that transaction began.';

create table soundscape.postings (
    posting bigint primary key
);
alter table soundscape.postings enable row level security;
-- Index-only scans need pages that vacuum has marked as visible to all transactions.
alter table soundscape.postings
    set (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_insert_threshold = 100000);
comment on table soundscape.postings
    is 'The inverted index: which listed recording has which key at which frame. Only the worker''s functions read '
       'it.';
comment on column soundscape.postings.posting is 'Key (22 bits), number of the fingerprint (22 bits), frame (20 bits).';

-- A table of its own, so that a query does not read past the private postings of others.
create table soundscape.unlisted_postings (
    owner_hash integer not null,
    posting bigint not null,
    primary key (owner_hash, posting)
);
alter table soundscape.unlisted_postings enable row level security;
alter table soundscape.unlisted_postings
    set (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_insert_threshold = 100000);
-- An index for claims, which search the postings of all owners. The condition is always true, but only the query for
-- claims states it. So the planner never uses this index to find the postings of one owner.
create unique index unlisted_postings_by_key on soundscape.unlisted_postings (posting)
    where posting >= '-9223372036854775808'::bigint;
comment on table soundscape.unlisted_postings
    is 'The same for recordings that are not listed, by owner. Only the worker''s functions read it.';
comment on column soundscape.unlisted_postings.owner_hash is 'A hash of the owner, 32 bits.';
comment on column soundscape.unlisted_postings.posting is 'As in postings.';

create function soundscape.owner_hash(user_id uuid) returns integer
language sql immutable parallel safe set search_path = ''
-- Two owners may share a hash. A posting of the wrong owner is left out by its number and only costs the read.
return ('x' || right(user_id::text, 8))::bit(32)::integer;
comment on function soundscape.owner_hash(uuid) is 'The hash of an owner in unlisted_postings.';

create function soundscape.postings_of(number integer, keys integer[], frames integer[]) returns setof bigint
language sql immutable parallel safe set search_path = '' as $$
    select distinct (key::bigint << 42) | (number::bigint << 20) | frame
    from unnest(keys, frames) as k (key, frame)
    -- Keys after 6.75 hours are verified but not looked up.
    where key between 0 and 4194303 and frame between 0 and 1048575
$$;
comment on function soundscape.postings_of(integer, integer[], integer[]) is 'The postings of a fingerprint.';

create function soundscape.on_fingerprint_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if tg_op <> 'INSERT' and old.is_listed then
        delete from soundscape.postings p
        using soundscape.postings_of(old.number, old.keys, old.frames) as gone (posting)
        where p.posting = gone.posting;
    elsif tg_op <> 'INSERT' then
        delete from soundscape.unlisted_postings p
        using soundscape.postings_of(old.number, old.keys, old.frames) as gone (posting)
        where p.owner_hash = soundscape.owner_hash(old.user_id) and p.posting = gone.posting;
    end if;
    if tg_op <> 'DELETE' and new.is_listed then
        insert into soundscape.postings (posting)
        select * from soundscape.postings_of(new.number, new.keys, new.frames);
    elsif tg_op <> 'DELETE' then
        insert into soundscape.unlisted_postings (owner_hash, posting)
        select soundscape.owner_hash(new.user_id), p.posting
        from soundscape.postings_of(new.number, new.keys, new.frames) as p (posting);
    end if;
    return null;
end
$$;
comment on function soundscape.on_fingerprint_changed()
    is 'Trigger on fingerprints: adds, deletes and moves the postings of the fingerprint.';
create trigger fingerprints_written after insert on soundscape.fingerprints
    for each row execute function soundscape.on_fingerprint_changed();
-- The foreign key changes the row in the transaction that makes the recording public, private or hidden.
create trigger fingerprints_listed after update on soundscape.fingerprints
    for each row when ((old.is_listed, old.user_id) is distinct from (new.is_listed, new.user_id))
    execute function soundscape.on_fingerprint_changed();
create trigger fingerprints_gone after delete on soundscape.fingerprints
    for each row execute function soundscape.on_fingerprint_changed();

create function soundscape.on_bytes_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    delete from soundscape.fingerprints where audio_id = new.id;
    return null;
end
$$;
comment on function soundscape.on_bytes_changed()
    is 'Trigger on audio_files: deletes the fingerprint of bytes that are gone.';
create trigger audio_files_bytes_changed after update of object_etag on public.audio_files
    for each row when (old.object_etag is distinct from new.object_etag)
    execute function soundscape.on_bytes_changed();

create function soundscape.next_fingerprint_number() returns integer
language plpgsql security definer set search_path = '' as $$
declare
    candidate integer;
begin
    loop
        candidate := nextval('soundscape.fingerprint_numbers');
        exit when not exists (select from soundscape.fingerprints f where f.number = candidate);
    end loop;
    return candidate;
end
$$;
comment on function soundscape.next_fingerprint_number() is 'A number that no fingerprint has.';

create function soundscape.write_fingerprint(file public.audio_files, version text, fingerprint jsonb) returns void
language plpgsql security definer set search_path = '' as $$
-- The caller holds the recording.
declare
    new_peaks bytea := decode(fingerprint ->> 'peaks', 'base64');
    new_keys integer[] := translate(fingerprint ->> 'keys', '[]', '{}')::integer[];
    new_frames integer[] := translate(fingerprint ->> 'frames', '[]', '{}')::integer[];
begin
    if fingerprint is null then
        delete from soundscape.fingerprints f where f.audio_id = file.id
            and f.object_version <> write_fingerprint.version;
        return;
    end if;
    update soundscape.fingerprints f set object_version = write_fingerprint.version
    where f.audio_id = file.id and f.version = (fingerprint ->> 'version')::smallint and f.peaks = new_peaks;
    if found then
        return;
    end if;
    delete from soundscape.fingerprints f where f.audio_id = file.id;
    insert into soundscape.fingerprints (audio_id, number, user_id, is_listed, object_version, version, peaks, keys,
        frames, compared_in)
    values (file.id, soundscape.next_fingerprint_number(), file.user_id, file.is_listed, write_fingerprint.version,
            (fingerprint ->> 'version')::smallint, new_peaks, new_keys, new_frames,
                (fingerprint ->> 'compared_in')::pg_snapshot);
end
$$;
comment on function soundscape.write_fingerprint(public.audio_files, text, jsonb)
    is 'Writes the fingerprint of a recording, {version, peaks in base64, keys, frames, compared_in}, or replaces it. '
       'Null deletes the fingerprint of other bytes.';

create function soundscape.index_snapshot() returns text
language sql stable set search_path = '' as $$ select pg_current_snapshot()::text $$;
comment on function soundscape.index_snapshot()
    is 'Worker only. The snapshot of the index. The worker takes it before it compares a recording with the index, '
       'and stores it with the fingerprint.';

create function soundscape.visible_fingerprints(
    version integer, seer uuid, moderates boolean, all_owners boolean, for_recording uuid, max_hidden integer
) returns table (numbers integer[], hidden uuid[], any_unlisted boolean, key_count bigint, last_number integer)
language plpgsql stable security definer rows 1 set search_path = '' as $$
#variable_conflict use_column
declare
    hidden_ones uuid[];
begin
    if moderates then
        -- The newest hidden recordings are compared whole, so that no posting of a private one is read for a moderator.
        hidden_ones := array(
            select f.audio_id from soundscape.fingerprints f join public.audio_files a on a.id = f.audio_id
            where f.version = visible_fingerprints.version and f.audio_id is distinct from for_recording
              and a.hidden_at is not null and not f.is_listed and f.user_id <> seer
            order by a.hidden_at desc limit max_hidden);
    end if;
    return query
        select array_agg(v.number), hidden_ones, coalesce(bool_or(not v.is_listed), false),
               -- Others read the claims about a recording. A count must not tell them how much is private.
               coalesce(sum(v.key_count) filter (where for_recording is null or v.is_listed), 0) + coalesce((
                   select sum(f.key_count) from soundscape.fingerprints f
                   where f.audio_id = any (hidden_ones) and for_recording is null), 0),
               max(v.number)
        from (
            select f.number, f.key_count, f.is_listed from soundscape.fingerprints f
            where f.version = visible_fingerprints.version and f.audio_id is distinct from for_recording and f.is_listed
            union all
            select f.number, f.key_count, f.is_listed from soundscape.fingerprints f
            where f.version = visible_fingerprints.version and f.audio_id is distinct from for_recording
              and not f.is_listed and (all_owners or f.user_id = seer)
        ) as v;
end
$$;
comment on function soundscape.visible_fingerprints(integer, uuid, boolean, boolean, uuid, integer)
    is 'The fingerprints that a query may see: their numbers, the hidden recordings for a moderator, and how many '
       'keys they have.';

create function soundscape.fingerprint_candidates(
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
    moderates constant boolean := not all_owners and soundscape.has_permission(seer, 'recordings.moderate');
    own_hash constant integer := soundscape.owner_hash(seer);
    -- What may be seen is known before a key is looked up, so that nothing else takes a place in the limit.
    visible record;
begin
    select * into visible
    from soundscape.visible_fingerprints(version, seer, moderates, all_owners, for_recording, max_postings_per_key);
    return query
        with asked as (
            select a.key, a.key::bigint << 42 as first, (a.key::bigint << 42) + 4398046511103 as last, a.frame,
                   -- Each key starts at another recording. Otherwise the oldest would take all places of the limit.
                   (a.key::bigint << 42) + ((a.key::bigint * 2654435761 % (visible.last_number + 1)) << 20) as middle
            from unnest(keys, frames) as a (key, frame)),
        -- Listed postings and those of the viewer (or of all owners) come from an index each. All four queries are
        -- ordered, so that Postgres merges them and reads no more than the limit.
        read as (
            select p.posting, asked.frame
            from asked
            cross join lateral (
                (select u.posting from (
                     (select i.posting from soundscape.postings i
                      where i.posting between asked.middle and asked.last
                          and (i.posting >> 20 & 4194303)::integer = any (visible.numbers)
                      order by i.posting)
                     union all
                     (select i.posting from soundscape.unlisted_postings i
                      where visible.any_unlisted and (all_owners or i.owner_hash = own_hash)
                        and (not all_owners or i.posting >= '-9223372036854775808'::bigint)
                        and i.posting between asked.middle and asked.last
                            and (i.posting >> 20 & 4194303)::integer = any (visible.numbers)
                      order by i.posting)
                 ) as u order by u.posting limit max_postings_per_key)
                union all
                (select u.posting from (
                     (select i.posting from soundscape.postings i
                      where i.posting >= asked.first and i.posting < asked.middle
                          and (i.posting >> 20 & 4194303)::integer = any (visible.numbers)
                      order by i.posting)
                     union all
                     (select i.posting from soundscape.unlisted_postings i
                      where visible.any_unlisted and (all_owners or i.owner_hash = own_hash)
                        and (not all_owners or i.posting >= '-9223372036854775808'::bigint)
                        and i.posting >= asked.first and i.posting < asked.middle
                            and (i.posting >> 20 & 4194303)::integer = any (visible.numbers)
                      order by i.posting)
                 ) as u order by u.posting limit max_postings_per_key)
                limit max_postings_per_key) as p
            union all
            select p.posting, asked.frame
            from soundscape.fingerprints f
            cross join lateral soundscape.postings_of(f.number, f.keys, f.frames) as p (posting)
            join asked on asked.key = (p.posting >> 42 & 4194303)::integer
            where moderates and f.audio_id = any (visible.hidden)),
        held as (
            -- The number of the recording is in the high half, the offset in steps of two frames in the low half.
            select (f.posting >> 20 & 4194303) << 32 | ((f.posting & 1048575) - f.frame >> 1) + 1073741824 as place
            from read f),
        counted as materialized (
            select h.place, count(*)::integer as pairs from held h group by h.place having count(*) > 1),
        best as (
            select c.place, c.pairs from counted c order by c.pairs desc, c.place limit least(max_candidates, 256))
        select f.audio_id, (((b.place & 4294967295) - 1073741824) * 2 + 1)::integer,
               b.pairs + coalesce((select n.pairs from counted n where n.place = b.place + 1), 0), visible.key_count
        from best b join soundscape.fingerprints f on f.number = b.place >> 32;
end
$$;
comment on function soundscape.fingerprint_candidates(integer[], integer[], integer, integer, uuid, boolean, uuid)
    is 'Worker only. The recordings that hold most of these keys at one offset, best first, and the number of keys in '
       'the index. Only recordings that viewer sees (without viewer: the owner of for_recording), or everybody''s.';

create function soundscape.stored_fingerprints(recordings uuid[]) returns table (audio_id uuid, peaks text)
language sql stable security definer rows 16 set search_path = '' as $$
    select f.audio_id, encode(f.peaks, 'base64') from soundscape.fingerprints f where f.audio_id = any (recordings)
$$;
comment on function soundscape.stored_fingerprints(uuid[])
    is 'Worker only. Fingerprints in their binary form, as base64, to verify candidates with.';
