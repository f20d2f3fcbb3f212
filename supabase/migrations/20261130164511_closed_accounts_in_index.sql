-- Recordings of closed accounts are no candidates, from the moment the account is closed.

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
    closed constant uuid[] := soundscape.closed_accounts();
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
        where (all_owners or f.is_listed or f.user_id = seer or f.audio_id = any (hidden))
          and f.user_id <> all (closed);
end
$$;

-- A page that fails does not end the sweep
-- ========================================

create function soundscape.try_page(wanted_kind text) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
    return soundscape.check_page(wanted_kind);
exception when others then
    raise warning 'sweep: a page of % was left out: %', wanted_kind, sqlerrm;
    perform soundscape.next_page(wanted_kind, soundscape.max_repairs_per_sweep());
    return '{}';
end
$$;
comment on function soundscape.try_page(text)
    is 'As check_page, but a page that fails is left out until the next round. Otherwise it would hold up all pages '
       'behind it.';

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
        counts := soundscape.add_counts(counts, soundscape.try_page(page.kind));
    end loop;
    perform soundscape.admit_waiting();
    perform soundscape.delete_unused_words(soundscape.max_repairs_per_sweep());
    perform soundscape.delete_old_notifications();
    perform soundscape.sum_index_sizes(20 * soundscape.max_repairs_per_sweep());
    return counts;
end
$$;

create or replace function soundscape.finish_round(max_s integer default 5) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    deadline timestamptz := clock_timestamp() + make_interval(secs => max_s);
    counts jsonb := '{"attached": 0, "drafted": 0, "resent": 0, "discarded": 0}';
    page soundscape.sweep_pages;
begin
    if not soundscape.lock_sweep() then
        return counts;
    end if;
    while clock_timestamp() < deadline loop
        select * into page from soundscape.sweep_pages p
        where p.round_ended_at is null or p.round_ended_at < now() - interval '12 hours'
        order by p.kind limit 1;
        exit when page.kind is null;
        counts := soundscape.add_counts(counts, soundscape.try_page(page.kind));
    end loop;
    return counts;
end
$$;
