-- Matches: claims that two recordings share sound, how they are written, and how people dismiss them.

create table public.audio_matches (
    -- The id has no sequence: a gap in it would reveal a claim about somebody's private recording.
    id uuid primary key default gen_random_uuid(),
    audio_id uuid not null references public.audio_files (id) on delete cascade,
    matched_audio_id uuid not null references public.audio_files (id) on delete cascade,
    kind text not null check (kind in ('identical', 'same_recording', 'contains', 'shared_passage')),
    confidence real not null check (confidence between 0 and 1),
    evidence jsonb not null default '{}' check (jsonb_typeof(evidence) = 'object'),
    moderator_dismissed_at timestamptz,
    owner_dismissed_at timestamptz,
    matched_owner_dismissed_at timestamptz,
    dismissed_at timestamptz generated always as (coalesce(moderator_dismissed_at, case
        when owner_dismissed_at is not null and matched_owner_dismissed_at is not null
        then greatest(owner_dismissed_at, matched_owner_dismissed_at) end)) stored,
    created_at timestamptz not null default now(),
    check (audio_id <> matched_audio_id)
);
alter table public.audio_matches enable row level security;
-- Two recordings have at most one claim, whichever was analysed later.
create unique index audio_matches_by_pair on public.audio_matches
    (least(audio_id, matched_audio_id), greatest(audio_id, matched_audio_id));
create index audio_matches_by_recording on public.audio_matches (audio_id);
create index audio_matches_by_matched on public.audio_matches (matched_audio_id);
comment on table public.audio_matches
    is 'Claims that two recordings share sound. A claim alone has no consequence. Visible to whoever sees both '
       'recordings, and to moderators.';
comment on column public.audio_matches.id is 'The claim.';
comment on column public.audio_matches.audio_id is 'The recording that was analysed.';
comment on column public.audio_matches.matched_audio_id is 'The recording it matched.';
comment on column public.audio_matches.kind
    is 'identical: the same bytes, or the same samples in another file. same_recording: most of both is the same '
       'sound. contains: most of one is in the other. shared_passage: both have a passage in common.';
comment on column public.audio_matches.confidence is 'Probability that the claim is true, 0 to 1.';
comment on column public.audio_matches.evidence
    is 'What the claim rests on: hashes, or offset_s (where audio_id begins within matched_audio_id), span_s, the '
       'share of each, speed and score.';
comment on column public.audio_matches.dismissed_at
    is 'When it was dismissed for everybody: by a moderator, or by the owners of both. Null otherwise.';
comment on column public.audio_matches.moderator_dismissed_at is 'When a moderator dismissed it.';
comment on column public.audio_matches.owner_dismissed_at is 'When the owner of audio_id dismissed it.';
comment on column public.audio_matches.matched_owner_dismissed_at is 'When the owner of matched_audio_id dismissed it.';
comment on column public.audio_matches.created_at is 'When the claim was first made.';

-- Dismissals of claims whose bytes are gone, in case these bytes come back. There are no foreign keys: they would lock
-- one recording when the other is deleted, and two deletions at once would deadlock.
create table soundscape.former_dismissals (
    id uuid primary key,
    audio_id uuid not null,
    matched_audio_id uuid not null,
    sha256 text not null,
    matched_sha256 text not null,
    moderator_dismissed_at timestamptz,
    owner_dismissed_at timestamptz,
    matched_owner_dismissed_at timestamptz,
    created_at timestamptz not null
);
alter table soundscape.former_dismissals enable row level security;
create index former_dismissals_by_recording on soundscape.former_dismissals (audio_id);
create index former_dismissals_by_matched on soundscape.former_dismissals (matched_audio_id);
comment on table soundscape.former_dismissals
    is 'Dismissed claims about bytes that are gone. Such a claim is written again, as dismissed, when both recordings '
       'have these bytes again.';
comment on column soundscape.former_dismissals.id is 'The id of the claim in audio_matches.';
comment on column soundscape.former_dismissals.audio_id is 'The recording that was analysed.';
comment on column soundscape.former_dismissals.matched_audio_id is 'The recording it matched.';
comment on column soundscape.former_dismissals.sha256 is 'The bytes that audio_id had.';
comment on column soundscape.former_dismissals.matched_sha256 is 'The bytes that matched_audio_id had.';
comment on column soundscape.former_dismissals.moderator_dismissed_at is 'As in audio_matches.';
comment on column soundscape.former_dismissals.owner_dismissed_at is 'As in audio_matches.';
comment on column soundscape.former_dismissals.matched_owner_dismissed_at is 'As in audio_matches.';
comment on column soundscape.former_dismissals.created_at is 'When the claim was first made.';

create function soundscape.delete_claims(recording uuid) returns void
language sql security definer set search_path = '' as $$
    with gone as (
        delete from public.audio_matches where recording in (audio_id, matched_audio_id) returning *)
    insert into soundscape.former_dismissals
        (id, audio_id, matched_audio_id, sha256, matched_sha256, moderator_dismissed_at, owner_dismissed_at,
            matched_owner_dismissed_at, created_at)
    select g.id, g.audio_id, g.matched_audio_id, f.sha256, m.sha256, g.moderator_dismissed_at, g.owner_dismissed_at,
           g.matched_owner_dismissed_at, g.created_at
    from gone g
    join public.audio_features f on f.audio_id = g.audio_id
    join public.audio_features m on m.audio_id = g.matched_audio_id
    where coalesce(g.moderator_dismissed_at, g.owner_dismissed_at, g.matched_owner_dismissed_at) is not null
$$;
comment on function soundscape.delete_claims(uuid)
    is 'Deletes the claims about bytes that are gone, and keeps their dismissals. Must be called while their features '
       'are there.';

create function soundscape.delete_results(recording uuid) returns void
language sql security definer set search_path = '' as $$
    select soundscape.delete_claims(recording);
    delete from public.audio_features where audio_id = recording;
    delete from public.audio_tags where audio_id = recording;
    delete from public.audio_embeddings where audio_id = recording;
$$;
comment on function soundscape.delete_results(uuid) is 'Deletes the results of bytes that are gone.';

-- Claims
-- ======

create function soundscape.exact_copies(file public.audio_files, result jsonb, among uuid[] default null)
returns table (audio_id uuid, evidence jsonb)
language sql stable security definer rows 10 set search_path = '' as $$
    with source as (select result -> 'source' as this)
    select f.audio_id, jsonb_strip_nulls(jsonb_build_object(
        'sha256', case when f.sha256 = this ->> 'sha256' then f.sha256 end,
        'pcm_sha256', case when f.descriptors #>> '{source,pcm_sha256}' = this ->> 'pcm_sha256'
            then this ->> 'pcm_sha256' end,
        'offset_s', 0))
    from source, public.audio_features f
    where f.audio_id <> file.id and (among is null or f.audio_id = any (among))
      -- A recording with new bytes is about to be analysed again.
      and f.object_version = (select a.object_version from public.audio_files a where a.id = f.audio_id)
      and (
        f.sha256 = this ->> 'sha256'
        or f.descriptors #>> '{source,pcm_sha256}' = this ->> 'pcm_sha256'
           and f.descriptors #> '{source,sample_rate}' = this -> 'sample_rate'
           and f.descriptors #> '{source,channels}' = this -> 'channels')
    -- Recordings that the owner sees come first.
    order by f.user_id = file.user_id desc, f.is_listed desc, f.created_at limit case when among is null then 50 end
$$;
comment on function soundscape.exact_copies(public.audio_files, jsonb, uuid[])
    is 'Recordings (only among the given ones, if any are given) with the same bytes, or with the same samples in '
       'another file.';

create function soundscape.write_claims(file public.audio_files, result jsonb) returns void
language sql security definer set search_path = '' as $$
    with verified as materialized (
        select c.audio_id, c.kind, c.probability, c.evidence
        from jsonb_to_recordset(case jsonb_typeof(result -> 'matches') when 'array' then result -> 'matches'
            else '[]' end)
            as c (audio_id uuid, kind text, probability real, evidence jsonb)
        -- The recording may have been deleted, or may have got other bytes, since the search.
        where exists (select from soundscape.fingerprints f where f.audio_id = c.audio_id) and c.audio_id <> file.id)
    insert into public.audio_matches as m (
        id, audio_id, matched_audio_id, kind, confidence, evidence,
        moderator_dismissed_at, owner_dismissed_at, matched_owner_dismissed_at, created_at)
    select coalesce(said.id, gen_random_uuid()), file.id, claim.audio_id, claim.kind, claim.probability, claim.evidence,
           said.moderator_dismissed_at,
           case when said.audio_id = file.id then said.owner_dismissed_at else said.matched_owner_dismissed_at end,
           case when said.audio_id = file.id then said.matched_owner_dismissed_at else said.owner_dismissed_at end,
           coalesce(said.created_at, now())
    from (
        select distinct on (audio_id) audio_id, kind, probability, evidence
        from (
            select c.audio_id, 'identical' as kind, 1 as probability, c.evidence, 0 as place
            from soundscape.exact_copies(file, result) c
            union all
            -- A verified match may be an exact copy beyond the first fifty.
            select c.audio_id, 'identical', 1, c.evidence, 0
            from soundscape.exact_copies(file, result, array(select v.audio_id from verified v)) c
            union all
            select v.audio_id, v.kind, v.probability, v.evidence, 1 from verified v
        ) as found
        order by audio_id, place
    ) as claim
    -- A dismissal of a claim about the same bytes of both recordings, from before the bytes were replaced.
    left join lateral (
        select d.*
        from soundscape.former_dismissals d
        join public.audio_features f on f.audio_id = d.audio_id and f.sha256 = d.sha256
        join public.audio_features o on o.audio_id = d.matched_audio_id and o.sha256 = d.matched_sha256
        where (d.audio_id, d.matched_audio_id) in ((file.id, claim.audio_id), (claim.audio_id, file.id))
        order by d.created_at limit 1
    ) as said on true
    order by claim.audio_id
    on conflict (least(audio_id, matched_audio_id), greatest(audio_id, matched_audio_id)) do update
    -- A dismissal stays, and so does who dismissed.
    set audio_id = excluded.audio_id, matched_audio_id = excluded.matched_audio_id, kind = excluded.kind,
        confidence = excluded.confidence, evidence = excluded.evidence,
        owner_dismissed_at = case when m.audio_id = excluded.audio_id then m.owner_dismissed_at
            else m.matched_owner_dismissed_at end,
        matched_owner_dismissed_at = case when m.audio_id = excluded.audio_id then m.matched_owner_dismissed_at
            else m.owner_dismissed_at end;
    delete from soundscape.former_dismissals d using public.audio_matches m
    where file.id in (d.audio_id, d.matched_audio_id) and m.id = d.id;
$$;
comment on function soundscape.write_claims(public.audio_files, jsonb)
    is 'Writes a claim for each exact copy and for each match that the worker verified. Earlier claims stay.';

create function soundscape.replace_claims(file public.audio_files, result jsonb) returns void
language plpgsql security definer set search_path = '' as $$
begin
    -- When two jobs complete at once, the later one waits here until the earlier one has committed, so that its next
    -- statement sees the earlier one's hashes. The locks are taken in one order, so that no two wait for each other.
    perform pg_advisory_xact_lock(hash.key)
    from (select distinct hashtextextended('soundscape copies ' || h, 0) as key
          from unnest(array[result #>> '{source,sha256}', result #>> '{source,pcm_sha256}']) as h
          where h is not null order by 1) as hash;

    -- Claims of this recording's earlier analysis that the new one does not make are deleted. Dismissed ones stay.
    delete from public.audio_matches m
    where m.audio_id = file.id and m.kind <> 'identical' and jsonb_typeof(result -> 'matches') = 'array'
      and coalesce(m.dismissed_at, m.owner_dismissed_at, m.matched_owner_dismissed_at) is null
      and not exists (
        select from jsonb_to_recordset(result -> 'matches') as c (audio_id uuid) where c.audio_id = m.matched_audio_id);
    perform soundscape.write_claims(file, result);
end
$$;
comment on function soundscape.replace_claims(public.audio_files, jsonb)
    is 'Writes the claims of an analysis and deletes those of an earlier one.';

create function soundscape.dismiss_match(match uuid, dismissed boolean default true) returns void
language plpgsql security definer set search_path = '' as $$
declare
    caller uuid := (select auth.uid());
    moderates boolean := (select soundscape.authorize('recordings.moderate'));
begin
    update public.audio_matches m
    set moderator_dismissed_at = case
            when not moderates then m.moderator_dismissed_at
            when dismissed then coalesce(m.moderator_dismissed_at, now()) end,
        -- When a moderator says that a claim is true, the dismissals of the owners are removed as well.
        owner_dismissed_at = case
            when moderates and dismissed or not moderates and caller <> a.user_id then m.owner_dismissed_at
            when dismissed then coalesce(m.owner_dismissed_at, now()) end,
        matched_owner_dismissed_at = case
            when moderates and dismissed or not moderates and caller <> b.user_id then m.matched_owner_dismissed_at
            when dismissed then coalesce(m.matched_owner_dismissed_at, now()) end
    from public.audio_files a, public.audio_files b
    where m.id = match and a.id = m.audio_id and b.id = m.matched_audio_id and (
        moderates
        or caller in (a.user_id, b.user_id)
           and (a.is_listed or a.user_id = caller) and (b.is_listed or b.user_id = caller));
    if not found then
        raise exception 'There is no match with the id % about a recording of yours.', match
            using errcode = '42501', hint = 'An owner can dismiss matches of their own recordings.';
    end if;
end
$$;
comment on function soundscape.dismiss_match(uuid, boolean)
    is 'For owners and moderators. Says that a match of your recording is false, or with dismissed => false that it '
       'is true after all. An owner speaks for their side, a moderator for everybody. The match stays visible, and a '
       'later analysis does not change it.';

-- Recordings analysed before there was an index
-- =============================================

create function soundscape.unindexed_recordings(version integer, max_recordings integer default 100,
    after uuid default null)
returns table (audio_id uuid, object_version text, path text)
language sql stable security definer rows 100 set search_path = '' as $$
    select f.audio_id, f.object_version, f.descriptors #>> '{fingerprint,path}'
    from public.audio_features f
    where (after is null or f.audio_id > after)
      and not exists (
        select from soundscape.fingerprints i
        where i.audio_id = f.audio_id and i.object_version = f.object_version
            and i.version >= unindexed_recordings.version)
      and (f.descriptors #>> '{fingerprint,version}')::integer = unindexed_recordings.version
      and f.descriptors #>> '{fingerprint,path}' is not null
    order by f.audio_id limit least(max_recordings, 500)
$$;
comment on function soundscape.unindexed_recordings(integer, integer, uuid)
    is 'Worker only. Recordings whose fingerprint is in Storage but not in the index, in order of id, after the given '
       'one.';

create function soundscape.index_recording(recording uuid, object_version text, result jsonb) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    file public.audio_files;
    known jsonb;
begin
    select * into file from public.audio_files where id = recording for no key update;
    select f.descriptors into known from public.audio_features f
    where f.audio_id = recording and f.object_version = index_recording.object_version;
    if known is null or file.object_version is distinct from index_recording.object_version then
        return false;
    end if;
    perform soundscape.write_fingerprint(file, index_recording.object_version, result -> 'index');
    perform soundscape.replace_claims(file, known || jsonb_build_object('matches', result -> 'matches'));
    return true;
end
$$;
comment on function soundscape.index_recording(uuid, text, jsonb)
    is 'Worker only. Adds a recording that was analysed earlier to the index and writes its matches. False if its '
       'bytes have changed since.';

-- Recordings compared at the same moment
-- ======================================
--
-- Neither was in the index when the other was compared with it, so the two must be compared afterwards.

create function soundscape.pending_comparisons(max_fingerprints integer default 20)
    returns table (audio_id uuid, others uuid[])
language plpgsql security definer rows 10 set search_path = '' as $$
#variable_conflict use_column
declare
    waiting uuid[];
begin
    waiting := array(
        select f.audio_id from soundscape.fingerprints f where f.compared_in is not null
        order by f.created_at limit least(max_fingerprints, 100) for update skip locked);
    -- Fingerprints that are written from now on see these.
    return query
        select f.audio_id, array_agg(o.audio_id)
        from soundscape.fingerprints f
        join soundscape.fingerprints o
          -- Transactions are compared by their snapshots. The time only limits how many are compared.
          on o.created_at > f.created_at - interval '1 day' and o.version = f.version and o.audio_id <> f.audio_id
             and not pg_visible_in_snapshot(o.written_in, f.compared_in)
        where f.audio_id = any (waiting)
        group by f.audio_id;
    update soundscape.fingerprints f set compared_in = null
    where f.audio_id = any (waiting) and not exists (
        select from soundscape.fingerprints o
        where o.created_at > f.created_at - interval '1 day' and o.version = f.version and o.audio_id <> f.audio_id
          and not pg_visible_in_snapshot(o.written_in, f.compared_in));
end
$$;
comment on function soundscape.pending_comparisons(integer)
    is 'Worker only. Fingerprints that were compared with the index while others were being written to it, each with '
       'those others.';

create function soundscape.complete_comparison(recording uuid, others uuid[], matches jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
    file public.audio_files;
    known jsonb;
begin
    select * into file from public.audio_files where id = recording for no key update;
    select f.descriptors into known from public.audio_features f
    where f.audio_id = recording and f.object_version = file.object_version
      and exists (select from soundscape.fingerprints i where i.audio_id = recording);
    -- The recording was deleted, or got other bytes, during the comparison.
    if known is null then
        return;
    end if;
    -- The hashes are passed too, so that an exact copy stays one.
    perform soundscape.write_claims(file, known || jsonb_build_object('matches', matches));
    update soundscape.fingerprints f set compared_in = null
    where f.audio_id = recording and not exists (
        select from soundscape.fingerprints o
        where o.created_at > f.created_at - interval '1 day' and o.version = f.version and o.audio_id <> f.audio_id
          and o.audio_id <> all (others) and not pg_visible_in_snapshot(o.written_in, f.compared_in));
end
$$;
comment on function soundscape.complete_comparison(uuid, uuid[], jsonb)
    is 'Worker only. Writes the matches that the comparison with those others found.';
