-- Sounds like a sound. The nearest by embedding are found under the caller's own row level security; what else
-- they have in common is added, and each result says how much of its score comes from what.

create function soundscape.nearest(
    space text, place extensions.halfvec, most integer,
    filter soundscape.audio_filter default null, leaving_out uuid[] default '{}'
) returns table (audio_id uuid, cosine double precision)
language plpgsql stable rows 100 set search_path = '' set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    -- A filter that so few recordings pass is cheaper asked first; one that more pass, on the way through the graph.
    selective constant integer := 20000;
    filtered constant boolean := not (filter is null);
    owner constant uuid := auth.uid();
    everything constant boolean := not row_security_active('public.audio_embeddings');
    passing uuid[];
    hidden uuid[];
    listed uuid[];
    distances double precision[];
begin
    -- Moderators see what was hidden; to everybody else their policies show none of these.
    hidden := array(
        select f.id from public.audio_files f
        where f.hidden_at is not null and f.user_id <> owner and not everything
          and (not filtered or (select soundscape.fits(f.id, filter))));
    if filtered and not everything then
        passing := array(select f.id from soundscape.found(filter => filter, most => selective + 1) f);
    end if;
    if cardinality(passing) <= selective then
        return query
            with exactly as materialized (
                select e.audio_id, e.embedding operator(extensions.<=>) place as distance
                from public.audio_embeddings e where e.audio_id = any (passing || hidden) and e.space = nearest.space)
            select e.audio_id, 1 - e.distance from exactly e
            where e.audio_id <> all (leaving_out)
            order by e.distance, e.audio_id limit most;
        return;
    end if;

    -- The graph is walked on until enough of what it finds passes the filter and the policy.
    perform set_config('hnsw.iterative_scan', 'strict_order', true),
            set_config('hnsw.ef_search', least(greatest(most, 100), 1000)::text, true),
            -- Each step on the way asks the filter: where that finds little, an exact scan is sooner done.
            set_config('hnsw.max_scan_tuples', case when filtered then '4000' else '20000' end, true);
    select array_agg(n.audio_id), array_agg(n.distance) into listed, distances from (
        select e.audio_id, e.embedding operator(extensions.<=>) place as distance
        from public.audio_embeddings e
        where e.is_listed and e.space = nearest.space and e.audio_id <> all (leaving_out)
          -- One at a time, in the graph's order: not a join, which the planner could turn around.
          and (not filtered or (select soundscape.fits(e.audio_id, filter)))
        order by e.embedding operator(extensions.<=>) place limit most) as n;
    if coalesce(cardinality(listed), 0) < most then
        -- There are no more, or the graph gave up on the way: now all of them, exactly.
        passing := case when filtered then array(select f.id from soundscape.found(filter => filter) f) end;
        with exactly as materialized (
            select e.audio_id, e.embedding operator(extensions.<=>) place as distance
            from public.audio_embeddings e where e.is_listed and e.space = nearest.space)
        select array_agg(n.audio_id), array_agg(n.distance) into listed, distances from (
            select e.audio_id, e.distance from exactly e
            where e.audio_id <> all (leaving_out) and (not filtered or e.audio_id = any (passing))
            order by e.distance limit most) as n;
    end if;

    return query
        with unlisted as materialized (
            select e.audio_id, e.embedding operator(extensions.<=>) place as distance
            from public.audio_embeddings e
            where not e.is_listed and e.space = nearest.space and (everything or e.user_id = owner)
              and (not filtered or (select soundscape.fits(e.audio_id, filter)))
            union all
            select e.audio_id, e.embedding operator(extensions.<=>) place
            from public.audio_embeddings e where e.audio_id = any (hidden) and e.space = nearest.space),
        both_kinds as (
            select u.audio_id, u.distance from unlisted u where u.audio_id <> all (leaving_out)
            union all select l.audio_id, l.distance from unnest(listed, distances) as l (audio_id, distance))
        select b.audio_id, 1 - b.distance from both_kinds b order by b.distance, b.audio_id limit most;
end
$$;
comment on function soundscape.nearest(text, extensions.halfvec, integer, soundscape.audio_filter, uuid[]) is 'The recordings nearest to a place, among those of its space that the caller sees and the filter lets pass: as many as asked for while there are so many. The graph serves the public catalogue, an exact scan the caller''s own and, for moderators, what is hidden.';

create function soundscape.likeness(recording uuid, others uuid[])
returns table (audio_id uuid, rhythm double precision, tonality double precision, tags double precision)
language sql stable rows 100 set search_path = '' as $$
    with known as materialized (
        select f.id, f.tags, f.heard, a.audio_id is not null as measured,
               a.tempo_bpm, coalesce(a.tempo_confidence, 0) as tempo_confidence, coalesce(a.onset_rate_hz, 0) as onset_rate_hz,
               a.mode, coalesce(a.key_confidence, 0) as key_confidence,
               -- Where a key lies on the circle of fifths: a minor key with the major key of the same notes.
               (array_position(array['C', 'C#', 'D', 'D#', 'E', 'F', 'F#', 'G', 'G#', 'A', 'A#', 'B'], a.key) - 1
                + case a.mode when 'minor' then 3 else 0 end) * 7 % 12 as fifth
        from public.audio_files f left join public.audio_features a on a.audio_id = f.id
        where f.id = any (others || recording)),
    this as materialized (
        select k.*, array(select distinct lower(t) from unnest(k.tags) as t) as own_words,
               coalesce((select sum(h.weight::double precision) from jsonb_each_text(k.heard) as h (label, weight)), 0) as weight
        from known k where k.id = recording)
    select it.id,
           case when it.measured and this.measured then
               case when it.tempo_bpm is null and this.tempo_bpm is null then pace.alike
                    when it.tempo_bpm is null or this.tempo_bpm is null then 0.4 * pace.alike
                    else 0.4 * pace.alike
                         + 0.6 * greatest(0, 1 - 4 * abs(tempo.octaves - round(tempo.octaves)))
                               * least(it.tempo_confidence, this.tempo_confidence) end
               else 0 end,
           case when it.fifth is null and this.fifth is null and it.measured and this.measured then 0.5
                when it.fifth is null or this.fifth is null then 0
                else greatest(0, 1 - least(abs(it.fifth - this.fifth), 12 - abs(it.fifth - this.fifth)) / 6.0
                                   - case when it.mode = this.mode then 0 else 0.1 end)
                     * least(it.key_confidence, this.key_confidence) end,
           coalesce((heard.shared + 0.5 * said.shared)
               / nullif(heard.weight + this.weight - heard.shared
                        + 0.5 * (cardinality(it.tags) + cardinality(this.own_words) - said.shared), 0), 0)
    from known it, this,
    lateral (select greatest(0, 1 - abs(ln((1 + it.onset_rate_hz) / (1 + this.onset_rate_hz))) / ln(4))::double precision as alike) pace,
    lateral (select (ln(it.tempo_bpm / this.tempo_bpm) / ln(2))::double precision as octaves) tempo,
    lateral (
        select coalesce(sum(h.weight::double precision), 0) as weight,
               coalesce(sum(least(h.weight::double precision, coalesce((this.heard ->> h.label)::double precision, 0))), 0) as shared
        from jsonb_each_text(it.heard) as h (label, weight)) heard,
    lateral (
        select case when it.tags = '{}' or this.own_words = '{}' then 0 else (
            select count(distinct lower(t)) from unnest(it.tags) as t where lower(t) = any (this.own_words)) end as shared) said
    where it.id = any (others)
$$;
comment on function soundscape.likeness(uuid, uuid[]) is 'What others have in common with a recording beside its timbre, each 0 to 1: tempo and onsets, key, tags. docs/neighbours.md says how. Of recordings that the caller sees.';

create function soundscape.varied(
    ids uuid[], scores double precision[], space text, diversity double precision, most integer
) returns uuid[]
language plpgsql stable set search_path = '' as $$
-- Maximal marginal relevance: Carbonell and Goldstein, SIGIR 1998.
declare
    places extensions.halfvec[] := array(
        select e.embedding from unnest(ids) with ordinality as i (id, rank)
        join public.audio_embeddings e on e.audio_id = i.id and e.space = varied.space order by i.rank);
    closest double precision[] := array_fill(0, array[cardinality(ids)]);
    left_over integer[] := array(select generate_series(1, cardinality(ids)));
    chosen uuid[] := '{}';
    next integer;
begin
    while cardinality(chosen) < most and cardinality(left_over) > 0 loop
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
comment on function soundscape.varied(uuid[], double precision[], text, double precision, integer) is 'The ids (best first) put into an order that takes what is good and unlike what was taken before.';

create function soundscape.similar(
    space text, place extensions.halfvec, recording uuid, most integer, diversity double precision, filter soundscape.audio_filter
) returns table (
    id uuid, score double precision,
    timbre double precision, rhythm double precision, tonality double precision, tags double precision
)
language plpgsql stable rows 20 set search_path = '' as $$
#variable_conflict use_column
begin
    if most is null or most not between 0 and 500 then
        raise exception 'limit is %.', most using errcode = '22023', hint = '0 to 500.';
    elsif diversity is null or not diversity between 0 and 1 then
        raise exception 'diversity is %.', diversity using errcode = '22023', hint = '0 (the most alike) to 1 (as unlike each other as can be).';
    end if;
    return query
        with near as materialized (
            select n.audio_id, n.cosine from soundscape.nearest(
                space, place, greatest(4 * most, 200), filter, array_remove(array[recording], null)) as n),
        parts as materialized (
            select n.audio_id, 0.7 * greatest(0, n.cosine) as timbre, 0.1 * coalesce(l.rhythm, 0) as rhythm,
                   0.1 * coalesce(l.tonality, 0) as tonality, 0.1 * coalesce(l.tags, 0) as tags
            from near n left join soundscape.likeness(recording, array(select audio_id from near)) l on l.audio_id = n.audio_id),
        scored as materialized (
            select p.*, p.timbre + p.rhythm + p.tonality + p.tags as score from parts p),
        best as (
            select s.*, row_number() over (order by s.score desc, s.audio_id) as place from scored s)
        select b.audio_id, b.score, b.timbre, b.rhythm, b.tonality, b.tags
        from best b
        left join unnest(case when diversity > 0 then soundscape.varied(
            array(select b.audio_id from best b order by b.place), array(select b.score from best b order by b.place),
            space, diversity, most) end) with ordinality as v (audio_id, turn) on v.audio_id = b.audio_id
        where diversity = 0 or v.turn is not null
        order by v.turn, b.place limit most;
end
$$;
comment on function soundscape.similar(text, extensions.halfvec, uuid, integer, double precision, soundscape.audio_filter) is 'The nearest to a place and, where that is a recording''s, what else they share with it; best first.';

create function public.similar_audio(
    audio_id uuid, "limit" integer default 20, diversity double precision default 0,
    min_tempo_bpm double precision default null, max_tempo_bpm double precision default null, key text default null, mode text default null,
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
        from soundscape.similar(seed.space, seed.embedding, seed.audio_id, "limit", diversity, soundscape.audio_filter(
            min_tempo_bpm, max_tempo_bpm, key, mode, min_duration_s, max_duration_s, min_loudness_lufs, max_loudness_lufs,
            labels, license)) with ordinality as s (id, score, timbre, rhythm, tonality, tags, place)
        join public.audio_files f on f.id = s.id
        order by s.place;
end
$$;
comment on function public.similar_audio(uuid, integer, double precision, double precision, double precision, text, text, double precision, double precision, double precision, double precision, text[], text) is 'Recordings that sound like this one, best first: score is the sum of timbre, rhythm, tonality and tags. diversity 0 to 1 trades likeness for variety.';

create function public.similar_to_embedding(
    space text, embedding double precision[], "limit" integer default 20, diversity double precision default 0,
    min_tempo_bpm double precision default null, max_tempo_bpm double precision default null, key text default null, mode text default null,
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
    -- NaN is larger than any number here. Beyond these bounds single precision would lose the direction.
    largest constant double precision := (select max(abs(v)) from unnest(embedding) as v);
begin
    if space is null or embedding is null or array_ndims(embedding) is distinct from 1 or cardinality(embedding) <> 128
       or array_position(embedding, null) is not null or not (largest > 1e-15 and largest < 1e15) then
        raise exception 'An embedding is 128 finite numbers, not all of them zero, and the name of their space.'
            using errcode = '22023', hint = 'Take embedding.space and embedding.values of soundscape analyze --json.';
    end if;
    return query
        select s.id, s.score, s.timbre, s.rhythm, s.tonality, s.tags, f
        from soundscape.similar(
            space, extensions.l2_normalize(embedding::extensions.vector)::extensions.halfvec, null, "limit", diversity,
            soundscape.audio_filter(
                min_tempo_bpm, max_tempo_bpm, key, mode, min_duration_s, max_duration_s, min_loudness_lufs, max_loudness_lufs,
                labels, license)) with ordinality as s (id, score, timbre, rhythm, tonality, tags, place)
        join public.audio_files f on f.id = s.id
        order by s.place;
end
$$;
comment on function public.similar_to_embedding(text, double precision[], integer, double precision, double precision, double precision, text, text, double precision, double precision, double precision, double precision, text[], text) is 'Recordings near a place that the caller brings: 128 values and the name of their space. Only timbre is compared.';
