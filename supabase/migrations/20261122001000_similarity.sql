-- Similar recordings.
--
-- The nearest embeddings are found under the caller's row level security. Tempo, key and tags are compared too, and
-- each result says how much of its score comes from which.

create function soundscape.label_vector(tags text[], heard jsonb) returns extensions.sparsevec
language sql immutable parallel safe set search_path = '' as $$
    select ('{' || coalesce(string_agg(dimension || ':' || weight, ','), '') || '}/1000000000')::extensions.sparsevec
    from (
        select 1 + ('x' || substr(md5(word), 1, 8))::bit(32)::bigint % 1000000000 as dimension, sum(weight) as weight
        from (select 'heard ' || h.label as word, h.weight::real as weight from jsonb_each_text(heard) as h (label,
            weight)
              union all select distinct 'called ' || soundscape.fold(t), 0.5::real from unnest(tags) as t) as words
        group by dimension) as vector
$$;
comment on function soundscape.label_vector(text[], jsonb)
    is 'Labels and tags of a recording as a vector. A label of the analysis and a tag of the owner are different '
       'dimensions.';

create function soundscape.similarity_traits(recording uuid) returns table (
    octaves real, octaves_confidence real, onsets real, fifth smallint, is_minor boolean, fifth_confidence real,
    label_vector extensions.sparsevec
)
language sql stable security definer rows 1 set search_path = '' as $$
    select (ln(a.tempo_bpm) / ln(2))::real, coalesce(a.tempo_confidence, 0), ln(1 + coalesce(a.onset_rate_hz, 0)),
           -- Seven semitones are a fifth, and seven times seven is one (modulo twelve).
           ((array_position(array['C', 'C#', 'D', 'D#', 'E', 'F', 'F#', 'G', 'G#', 'A', 'A#', 'B'], a.key) - 1
             + case a.mode when 'minor' then 3 else 0 end) * 7 % 12)::smallint,
           a.mode = 'minor', coalesce(a.key_confidence, 0), soundscape.label_vector(f.tags, f.heard)
    from public.audio_files f left join public.audio_features a on a.audio_id = f.id
    where f.id = recording
$$;
comment on function soundscape.similarity_traits(uuid)
    is 'What similarity compares of a recording besides its embedding.';

create function soundscape.on_embedding_written() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    select c.* into new.octaves, new.octaves_confidence, new.onsets, new.fifth, new.is_minor, new.fifth_confidence,
        new.label_vector
    from soundscape.similarity_traits(new.audio_id) c;
    return new;
end
$$;
comment on function soundscape.on_embedding_written()
    is 'Trigger on audio_embeddings: adds the traits of the recording to a new embedding.';
create trigger audio_embeddings_written before insert on public.audio_embeddings
    for each row execute function soundscape.on_embedding_written();

create function soundscape.on_traits_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    recording uuid;
begin
    if tg_table_name = 'audio_files' then
        recording := new.id;
    else
        recording := new.audio_id;
    end if;
    update public.audio_embeddings e
    set (octaves, octaves_confidence, onsets, fifth, is_minor, fifth_confidence, label_vector) = (
        select c.* from soundscape.similarity_traits(recording) c)
    where e.audio_id = recording;
    return null;
end
$$;
comment on function soundscape.on_traits_changed()
    is 'Trigger on audio_features and audio_files: updates the traits in audio_embeddings.';
create trigger audio_features_compared after insert or update of tempo_bpm, tempo_confidence, onset_rate_hz, key,
    mode, key_confidence
    on public.audio_features for each row execute function soundscape.on_traits_changed();
create trigger audio_files_compared after update of tags, heard on public.audio_files
    for each row when (old.tags <> new.tags or old.heard <> new.heard)
    execute function soundscape.on_traits_changed();

create function soundscape.nearest_filtered(
    space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter, leaving_out uuid[]
) returns table (audio_id uuid, cosine double precision)
language plpgsql stable rows 100 set search_path = '' set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    -- If at most this many recordings pass the filter, it is cheaper to filter first. Otherwise the filter is applied
    -- on the way through the graph.
    selective constant integer := 20000;
    owner constant uuid := auth.uid();
    everything constant boolean := not row_security_active('public.audio_embeddings');
    passing uuid[];
    hidden uuid[];
    listed uuid[];
    distances double precision[];
begin
    -- Only moderators see hidden recordings. For everybody else the policies return none of these.
    hidden := array(
        select f.id from public.audio_files f
        where f.hidden_at is not null and f.user_id <> owner and not everything
          and (select soundscape.passes_filter(f.id, filter)));
    if not everything then
        passing := array(select f.id from soundscape.find_recordings(filter => filter, max_rows => selective + 1) f);
    end if;
    if cardinality(passing) <= selective then
        return query
            with exactly as materialized (
                select e.audio_id, e.embedding operator(extensions.<=>) place as distance
                from public.audio_embeddings e where e.audio_id = any (passing || hidden)
                    and e.space = nearest_filtered.space)
            select e.audio_id, 1 - e.distance from exactly e
            where e.audio_id <> all (leaving_out)
            order by e.distance, e.audio_id limit max_rows;
        return;
    end if;

    perform set_config('hnsw.iterative_scan', 'strict_order', true),
            set_config('hnsw.ef_search', least(greatest(max_rows + cardinality(leaving_out), 100), 1000)::text, true),
            -- Each step in the graph applies the filter. Where few recordings pass, an exact scan is faster.
            set_config('hnsw.max_scan_tuples', '4000', true);
    select array_agg(n.audio_id), array_agg(n.distance) into listed, distances from (
        select e.audio_id, e.embedding operator(extensions.<=>) place as distance
        from public.audio_embeddings e
        where e.is_listed and e.space = nearest_filtered.space and e.audio_id <> all (leaving_out)
          -- A subquery per row, in the order of the graph. The planner could reorder a join.
          and (select soundscape.passes_filter(e.audio_id, filter))
        order by e.embedding operator(extensions.<=>) place limit max_rows) as n;
    if coalesce(cardinality(listed), 0) < max_rows then
        -- Either there are no more, or the search in the graph ended early. Now all of them are compared exactly.
        passing := array(select f.id from soundscape.find_recordings(filter => filter) f);
        with exactly as materialized (
            select e.audio_id, e.embedding operator(extensions.<=>) place as distance
            from public.audio_embeddings e where e.is_listed and e.space = nearest_filtered.space)
        select array_agg(n.audio_id), array_agg(n.distance) into listed, distances from (
            select e.audio_id, e.distance from exactly e
            where e.audio_id <> all (leaving_out) and e.audio_id = any (passing)
            order by e.distance limit max_rows) as n;
    end if;

    return query
        with unlisted as materialized (
            select e.audio_id, e.embedding operator(extensions.<=>) place as distance
            from public.audio_embeddings e
            where not e.is_listed and e.space = nearest_filtered.space and (everything or e.user_id = owner)
              and (select soundscape.passes_filter(e.audio_id, filter))
            union all
            select e.audio_id, e.embedding operator(extensions.<=>) place
            from public.audio_embeddings e where e.audio_id = any (hidden) and e.space = nearest_filtered.space),
        both_kinds as (
            select u.audio_id, u.distance from unlisted u where u.audio_id <> all (leaving_out)
            union all select l.audio_id, l.distance from unnest(listed, distances) as l (audio_id, distance))
        select b.audio_id, 1 - b.distance from both_kinds b order by b.distance, b.audio_id limit max_rows;
end
$$;
comment on function soundscape.nearest_filtered(text, extensions.halfvec, integer, soundscape.audio_filter, uuid[])
    is 'nearest with a filter. It is planned for each call, so that filters that are not set disappear from the plan.';

create function soundscape.nearest(
    space text, place extensions.halfvec, max_rows integer,
    filter soundscape.audio_filter default null, leaving_out uuid[] default '{}'
) returns table (audio_id uuid, cosine double precision)
language plpgsql stable rows 100 set search_path = '' as $$
#variable_conflict use_column
declare
    owner constant uuid := auth.uid();
    listed uuid[];
    distances double precision[];
    others uuid[];
begin
    if not (filter is null) then
        return query select n.audio_id, n.cosine from soundscape.nearest_filtered(space, place, max_rows, filter,
            leaving_out) n;
        return;
    end if;

    -- The search in the graph goes on until enough rows pass the policy. Continuing costs as much as starting, so the
    -- first step already asks for the rows that are left out.
    perform set_config('hnsw.iterative_scan', 'strict_order', true),
            set_config('hnsw.ef_search', least(greatest(max_rows + cardinality(leaving_out), 100), 1000)::text, true),
            set_config('hnsw.max_scan_tuples', '20000', true);
    select array_agg(n.audio_id), array_agg(n.distance) into listed, distances from (
        select e.audio_id, e.embedding operator(extensions.<=>) place as distance
        from public.audio_embeddings e
        where e.is_listed and e.space = nearest.space and e.audio_id <> all (leaving_out)
        order by e.embedding operator(extensions.<=>) place limit max_rows) as n;
    if coalesce(cardinality(listed), 0) < max_rows then
        -- Either there are no more, or the search in the graph ended early. Now all of them are compared exactly.
        with exactly as materialized (
            select e.audio_id, e.embedding operator(extensions.<=>) place as distance
            from public.audio_embeddings e where e.is_listed and e.space = nearest.space)
        select array_agg(n.audio_id), array_agg(n.distance) into listed, distances from (
            select e.audio_id, e.distance from exactly e where e.audio_id <> all (leaving_out)
            order by e.distance limit max_rows) as n;
    end if;

    if not row_security_active('public.audio_embeddings') then
        others := array(select e.audio_id from public.audio_embeddings e where not e.is_listed
            and e.space = nearest.space);
    else
        others := array(
            select e.audio_id from public.audio_embeddings e
            where e.user_id = owner and e.space = nearest.space and not e.is_listed
            -- Only moderators see hidden recordings. For everybody else the policies return none of these.
            union all
            select f.id from public.audio_files f where f.hidden_at is not null and f.user_id <> owner);
    end if;
    if others = '{}' then
        return query
            select l.audio_id, 1 - l.distance from unnest(listed, distances) as l (audio_id, distance)
            order by l.distance, l.audio_id;
        return;
    end if;
    return query
        with exactly as materialized (
            select e.audio_id, e.embedding operator(extensions.<=>) place as distance
            from public.audio_embeddings e where e.audio_id = any (others) and e.space = nearest.space)
        select b.audio_id, 1 - b.distance from (
            select x.audio_id, x.distance from exactly x where x.audio_id <> all (leaving_out)
            union all select l.audio_id, l.distance from unnest(listed, distances) as l (audio_id, distance)) as b
        order by b.distance, b.audio_id limit max_rows;
end
$$;
comment on function soundscape.nearest(text, extensions.halfvec, integer, soundscape.audio_filter, uuid[])
    is 'The recordings nearest to an embedding, of its space, that the caller sees and that pass the filter. Returns '
       'max_rows if there are so many. The graph serves the public catalogue. The caller''s own recordings, and '
       'hidden ones for moderators, are compared exactly.';

create function soundscape.likeness(recording uuid, others uuid[])
returns table (audio_id uuid, rhythm double precision, tonality double precision, tags double precision)
language plpgsql stable rows 100 set search_path = '' as $$
#variable_conflict use_column
declare
    this public.audio_embeddings;
    weight double precision;
begin
    select e.* into this from public.audio_embeddings e where e.audio_id = recording
    order by e.created_at desc, e.space limit 1;
    weight := this.label_vector operator(extensions.<+>) '{}/1000000000';
    return query
        select it.audio_id,
               case when it.onsets is null or this.onsets is null then 0
                    when it.octaves is null and this.octaves is null then pace
                    when it.octaves is null or this.octaves is null then 0.4 * pace
                    else 0.4 * pace + 0.6 * greatest(0, 1 - 4 * abs(apart - round(apart)))
                                          * least(it.octaves_confidence, this.octaves_confidence) end,
               case when it.onsets is null or this.onsets is null then 0
                    when it.fifth is null and this.fifth is null then 0.5
                    when it.fifth is null or this.fifth is null then 0
                    else greatest(0, 1 - (6 - abs(6 - abs(it.fifth - this.fifth))) / 6.0
                                       - case when it.is_minor = this.is_minor then 0 else 0.1 end)
                         * least(it.fifth_confidence, this.fifth_confidence) end,
               -- The sum of the differences is the weight that only one of the two has. It is in single precision.
               coalesce(round(1e7 * (both_weights - differences) / nullif(both_weights + differences, 0)) / 1e7, 0)
        from public.audio_embeddings it,
        lateral (select greatest(0,
            1 - abs(it.onsets - this.onsets)::double precision / ln(4::double precision)) as pace,
                        it.octaves::double precision - this.octaves as apart,
                        weight + (it.label_vector operator(extensions.<+>) '{}/1000000000') as both_weights,
                        it.label_vector operator(extensions.<+>) this.label_vector as differences) as between
        where it.audio_id = any (others) and it.space = this.space;
end
$$;
comment on function soundscape.likeness(uuid, uuid[])
    is 'What recordings of the same space have in common with a recording besides timbre, each 0 to 1: rhythm, '
       'tonality and tags. docs/neighbours.md gives the formulas. Only recordings that the caller sees.';

create function soundscape.diversify(
    ids uuid[], scores double precision[], space text, diversity double precision, max_rows integer
) returns uuid[]
language plpgsql stable set search_path = '' as $$
-- Maximal marginal relevance: Carbonell and Goldstein, SIGIR 1998.
declare
    places extensions.halfvec[] := array(
        select e.embedding from unnest(ids) with ordinality as i (id, rank)
        join public.audio_embeddings e on e.audio_id = i.id and e.space = diversify.space order by i.rank);
    closest double precision[] := array_fill(0, array[cardinality(ids)]);
    left_over integer[] := array(select generate_series(1, cardinality(ids)));
    chosen uuid[] := '{}';
    next integer;
begin
    while cardinality(chosen) < max_rows and cardinality(left_over) > 0 loop
        select i into next from unnest(left_over) as i
        order by (1 - diversity) * scores[i] - diversity * closest[i] desc, i limit 1;
        chosen := chosen || ids[next];
        left_over := array_remove(left_over, next);
        closest := array(
            select greatest(c.near, 1 - (c.place operator(extensions.<=>) places[next]))
            from unnest(closest, places) with ordinality as c (near, place, rank) order by c.rank);
    end loop;
    return chosen;
end
$$;
comment on function soundscape.diversify(uuid[], double precision[], text, double precision, integer)
    is 'Reorders the ids (best first) so that good ones come early and similar ones are spread out.';

create function soundscape.find_similar(
    space text, place extensions.halfvec, recording uuid, max_rows integer, diversity double precision,
        filter soundscape.audio_filter
) returns table (
    id uuid, score double precision,
    timbre double precision, rhythm double precision, tonality double precision, tags double precision
)
language plpgsql stable rows 20 set search_path = '' as $$
#variable_conflict use_column
begin
    if max_rows is null or max_rows not between 0 and 500 then
        raise exception 'The limit % is out of range.', max_rows using errcode = '22023', hint = '0 to 500.';
    elsif diversity is null or not diversity between 0 and 1 then
        raise exception 'The diversity % is out of range.', diversity using errcode = '22023',
            hint = '0 (most alike) to 1 (most varied).';
    end if;
    return query
        with near as materialized (
            select n.audio_id, n.cosine from soundscape.nearest(
                space, place, greatest(4 * max_rows, 300), filter, array_remove(array[recording], null)) as n),
        parts as materialized (
            select n.audio_id, 0.7 * greatest(0, n.cosine) as timbre, 0.1 * coalesce(l.rhythm, 0) as rhythm,
                   0.1 * coalesce(l.tonality, 0) as tonality, 0.1 * coalesce(l.tags, 0) as tags
            from near n left join soundscape.likeness(recording, array(select audio_id from near)) l
                on l.audio_id = n.audio_id),
        scored as materialized (
            select p.*, p.timbre + p.rhythm + p.tonality + p.tags as score from parts p),
        best as (
            select s.*, row_number() over (order by s.score desc, s.audio_id) as place from scored s)
        select b.audio_id, b.score, b.timbre, b.rhythm, b.tonality, b.tags
        from best b
        left join unnest(case when diversity > 0 then soundscape.diversify(
            -- Each choice compares with all remaining ones. Beyond this many they are hardly similar.
            array(select b.audio_id from best b where b.place <= max_rows + 300 order by b.place),
            array(select b.score from best b where b.place <= max_rows + 300 order by b.place),
            space, diversity, max_rows) end) with ordinality as v (audio_id, rank) on v.audio_id = b.audio_id
        where diversity = 0 or v.rank is not null
        order by v.rank, b.place limit max_rows;
end
$$;
comment on function soundscape.find_similar(
    text, extensions.halfvec, uuid, integer, double precision, soundscape.audio_filter
)
    is 'The recordings nearest to an embedding, best first, and what they share with the recording it belongs to, if '
       'any.';

create function public.similar_audio(
    audio_id uuid, "limit" integer default 20, diversity double precision default 0,
    min_tempo_bpm double precision default null, max_tempo_bpm double precision default null, key text default null,
        mode text default null,
    min_duration_s double precision default null, max_duration_s double precision default null,
    min_loudness_lufs double precision default null, max_loudness_lufs double precision default null,
    labels text[] default null, license text default null
) returns table (
    id uuid, score double precision,
    timbre double precision, rhythm double precision, tonality double precision, tags double precision,
    recording public.audio_files
)
language plpgsql stable rows 20 set search_path = '' as $$
#variable_conflict use_column
declare
    seed public.audio_embeddings;
begin
    perform from public.audio_files f where f.id = similar_audio.audio_id;
    if not found then
        raise exception 'There is no such recording.' using errcode = 'PT404';
    end if;
    select e.* into seed from public.audio_embeddings e where e.audio_id = similar_audio.audio_id
    order by e.created_at desc, e.space limit 1;
    return query
        select s.id, s.score, s.timbre, s.rhythm, s.tonality, s.tags, f
        from soundscape.find_similar(seed.space, seed.embedding, seed.audio_id, "limit", diversity,
            soundscape.audio_filter(
            min_tempo_bpm, max_tempo_bpm, key, mode, min_duration_s, max_duration_s, min_loudness_lufs,
                max_loudness_lufs,
            labels, license)) with ordinality as s (id, score, timbre, rhythm, tonality, tags, place)
        join public.audio_files f on f.id = s.id
        order by s.place;
end
$$;
comment on function public.similar_audio(
    uuid, integer, double precision, double precision, double precision, text, text, double precision,
    double precision, double precision, double precision, text[], text
)
    is 'Recordings that sound like this one, best first. score is the sum of timbre, rhythm, tonality and tags. '
       'diversity, 0 to 1, trades likeness for variety.';

create function public.similar_to_embedding(
    space text, embedding double precision[], "limit" integer default 20, diversity double precision default 0,
    min_tempo_bpm double precision default null, max_tempo_bpm double precision default null, key text default null,
        mode text default null,
    min_duration_s double precision default null, max_duration_s double precision default null,
    min_loudness_lufs double precision default null, max_loudness_lufs double precision default null,
    labels text[] default null, license text default null
) returns table (
    id uuid, score double precision,
    timbre double precision, rhythm double precision, tonality double precision, tags double precision,
    recording public.audio_files
)
language plpgsql stable rows 20 set search_path = '' as $$
#variable_conflict use_column
declare
    -- NaN compares as larger than any number. Beyond these limits single precision would lose the direction.
    largest constant double precision := case when cardinality(embedding) = 128 then (select max(abs(v))
        from unnest(embedding) as v) end;
begin
    if space is null or embedding is null or array_ndims(embedding) is distinct from 1 or cardinality(embedding) <> 128
       or array_position(embedding, null) is not null or (largest > 1e-15 and largest < 1e15) is not true then
        raise exception 'An embedding is 128 finite numbers, not all of them zero, and the name of their space.'
            using errcode = '22023', hint = 'Take embedding.space and embedding.values of soundscape analyze --json.';
    end if;
    return query
        select s.id, s.score, s.timbre, s.rhythm, s.tonality, s.tags, f
        from soundscape.find_similar(
            space, extensions.l2_normalize(embedding::extensions.vector)::extensions.halfvec, null, "limit", diversity,
            soundscape.audio_filter(
                min_tempo_bpm, max_tempo_bpm, key, mode, min_duration_s, max_duration_s, min_loudness_lufs,
                    max_loudness_lufs,
                labels, license)) with ordinality as s (id, score, timbre, rhythm, tonality, tags, place)
        join public.audio_files f on f.id = s.id
        order by s.place;
end
$$;
comment on function public.similar_to_embedding(
    text, double precision[], integer, double precision, double precision, double precision, text, text,
    double precision, double precision, double precision, double precision, text[], text
)
    is 'Recordings near an embedding of the caller: 128 values and the name of their space. Only timbre is compared.';
