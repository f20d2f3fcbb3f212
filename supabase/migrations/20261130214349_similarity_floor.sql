-- A floor of similarity: recordings whose embeddings lie further apart are not similar.
--
-- Without it every list was filled up to its limit, with recordings that have nothing in common.

create function soundscape.min_similarity() returns double precision
language sql immutable parallel safe return 0.15;
comment on function soundscape.min_similarity()
    is 'The least cosine of two embeddings of recordings that are called similar. docs/neighbours.md says why.';

create or replace function soundscape.nearest_filtered(
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
    max_distance constant double precision := 1 - soundscape.min_similarity();
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
            where e.audio_id <> all (leaving_out) and e.distance <= max_distance
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
        select b.audio_id, 1 - b.distance from both_kinds b where b.distance <= max_distance
        order by b.distance, b.audio_id limit max_rows;
end
$$;

create or replace function soundscape.nearest(
    space text, place extensions.halfvec, max_rows integer,
    filter soundscape.audio_filter default null, leaving_out uuid[] default '{}'
) returns table (audio_id uuid, cosine double precision)
language plpgsql stable rows 100 set search_path = '' as $$
#variable_conflict use_column
declare
    owner constant uuid := auth.uid();
    max_distance constant double precision := 1 - soundscape.min_similarity();
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
            where l.distance <= max_distance
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
        where b.distance <= max_distance
        order by b.distance, b.audio_id limit max_rows;
end
$$;

create or replace function soundscape.collect_candidates(
    caller soundscape.taste, model bigint, listener extensions.vector, partners uuid[], leaving_out uuid[]
) returns uuid[]
language plpgsql stable set search_path = '' set plan_cache_mode = force_generic_plan as $$
declare
    me constant uuid := auth.uid();
    in_slot constant smallint := (select m.slot from soundscape.recommendation_models m where m.id = model);
    found uuid[];
begin
    perform set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.ef_search', '40', true),
            -- A caller who knows everything near gets something else. A search through everything would take too long.
            set_config('hnsw.max_scan_tuples', '2000', true);
    found := array(
        select n.audio_id
        from public.audio_embeddings l
        cross join lateral (
            select e.audio_id, e.embedding operator(extensions.<=>) l.embedding as distance
            from public.audio_embeddings e
            where e.is_listed and e.space = l.space and coalesce(e.user_id <> me, true)
              and e.audio_id not in (select unnest(leaving_out))
            order by e.embedding operator(extensions.<=>) l.embedding limit 20) as n
        where l.audio_id = any (caller.leads) and l.is_listed and n.distance <= 1 - soundscape.min_similarity());
    if model is not null then
        found := found || partners || array(
            select i.audio_id from soundscape.item_factors i
            where i.model_id = model and i.is_listed and i.popularity > 0
              and i.audio_id not in (select unnest(leaving_out))
            order by i.popularity desc limit 30);
        -- The largest inner products are harder to find in a graph than the nearest places.
        perform set_config('hnsw.ef_search', '100', true);
        -- One query for each slot, because each slot has its own index.
        if listener is not null and in_slot = 0 then
            found := found || array(
                select i.audio_id from soundscape.item_factors i
                where i.is_listed and i.slot = 0 and i.model_id = model
                  and i.audio_id not in (select unnest(leaving_out))
                order by i.place operator(extensions.<#>) listener limit 80);
        elsif listener is not null then
            found := found || array(
                select i.audio_id from soundscape.item_factors i
                where i.is_listed and i.slot = 1 and i.model_id = model
                  and i.audio_id not in (select unnest(leaving_out))
                order by i.place operator(extensions.<#>) listener limit 80);
        end if;
    end if;
    return found
        || array(
            select f.id from public.audio_files f
            where f.is_public and f.hidden_at is null and f.status = 'ready' and coalesce(f.user_id <> me, true)
              and f.id not in (select unnest(leaving_out))
            order by f.created_at desc, f.id limit 100)
        || array(select l.audio_id from soundscape.newest_with_labels(caller.wanted[:8], 40, leaving_out) l);
end
$$;

create or replace function soundscape.measure_candidates(
    candidates uuid[], caller soundscape.taste, model bigint, listener extensions.vector, partners uuid[],
    partnership double precision[], leaving_out uuid[], max_choices integer
) returns table (
    audio_id uuid, sound double precision, skipped double precision, taste double precision,
    together double precision, popularity double precision, labelled double precision
)
language plpgsql stable rows 500 set search_path = '' set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    me constant uuid := auth.uid();
begin
    return query
        with heard as materialized (
            select e.space, e.embedding, l.strength, l.is_skip
            from (select u.audio_id, u.strength, false as is_skip
                  from unnest(caller.leads, caller.strengths) as u (audio_id, strength)
                  union all select u.audio_id, 1, true from unnest(caller.skips) as u (audio_id)) as l
            join public.audio_embeddings e on e.audio_id = l.audio_id
            where l.is_skip or listener is null
            -- A listener whom the model knows is compared by the centroid of their choices, as the evaluation does.
            union all
            select m.space, m.place, 1, false
            from soundscape.centroid_of_choices(model, caller.chosen[:max_choices], caller.weights[:max_choices]) m
            where listener is not null),
        -- Joined by grouping. The planner does not know how many there are and would choose nested loops.
        measures as (
            select f.id, true as is_candidate, null::double precision as sound, null::double precision as skipped,
                   null::double precision as taste, null::double precision as together,
                   null::double precision as popularity,
                   (select count(*) from unnest(caller.wanted) w where w = any (f.labels))::double precision
                       / nullif(cardinality(caller.wanted), 0) as labelled
            from public.audio_files f
            where f.id = any (candidates) and f.is_listed and f.status = 'ready' and f.user_id <> me
              and f.id not in (select unnest(leaving_out))
            union all
            select e.audio_id, false,
                   max(h.strength * (1 - (e.embedding operator(extensions.<=>) h.embedding)))
                       filter (where not h.is_skip
                           and e.embedding operator(extensions.<=>) h.embedding <= 1 - soundscape.min_similarity()),
                   max(1 - (e.embedding operator(extensions.<=>) h.embedding)) filter (where h.is_skip),
                   null, null, null, null
            from public.audio_embeddings e join heard h on h.space = e.space
            where e.audio_id = any (candidates) and e.is_listed group by e.audio_id
            union all
            select i.audio_id, false, null, null, -(i.place operator(extensions.<#>) listener), null, i.popularity, null
            from soundscape.item_factors i where i.model_id = model and i.audio_id = any (candidates)
            union all
            select t.audio_id, false, null, null, null, t.points, null, null
            from unnest(partners, partnership) as t (audio_id, points))
        select m.id, greatest(0, max(m.sound)), greatest(0, 2 * max(m.skipped) - 1), greatest(0, max(m.taste)),
               max(m.together), max(m.popularity), max(m.labelled)
        from measures m group by m.id having bool_or(m.is_candidate);
end
$$;

create or replace function soundscape.explain_recommendations(
    ids uuid[], propensities double precision[], candidates uuid[], scores double precision[], sources text[],
    caller soundscape.taste, model bigint, w soundscape.recommendation_weights
) returns table (place bigint, score double precision, reason text, because_of uuid)
language plpgsql stable rows 20 set search_path = '' as $$
#variable_conflict use_column
begin
    return query
        select a.rank, s.score,
               case when a.propensity is not null then 'explore' when s.source <> 'sound' then s.source
                    -- No lead is in this space: it sounds like the centroid of older choices.
                    when c.because_of is null then 'taste' else soundscape.choice_reason(c.because_of) end,
               c.because_of
        from unnest(ids, propensities) with ordinality as a (audio_id, propensity, rank)
        join unnest(candidates, scores, sources) as s (audio_id, score, source) on s.audio_id = a.audio_id
        cross join lateral (
            select case when a.propensity is not null then null
                when s.source = 'sound' then (
                    select l.audio_id from unnest(caller.leads, caller.strengths) as l (audio_id, strength)
                    join public.audio_embeddings e on e.audio_id = l.audio_id
                    join public.audio_embeddings this on this.audio_id = a.audio_id and this.space = e.space
                    where this.embedding operator(extensions.<=>) e.embedding <= 1 - soundscape.min_similarity()
                    order by l.strength * (1 - (this.embedding operator(extensions.<=>) e.embedding)) desc, l.audio_id
                    limit 1)
                when s.source = 'together' then (
                    select n.audio_id
                    from unnest(caller.chosen[:w.max_choices_with_neighbours],
                                caller.weights[:w.max_choices_with_neighbours]) as c (audio_id, weight)
                    join soundscape.item_neighbours n on n.audio_id = c.audio_id and n.is_listed
                        and n.model_id = model and n.neighbour_id = a.audio_id
                    order by n.weight * c.weight desc, n.audio_id limit 1)
                when s.source = 'taste' then (
                    select l.audio_id
                    from soundscape.item_factors this, unnest(caller.leads, caller.strengths) as l (audio_id, strength)
                    join soundscape.item_factors i on i.model_id = model and i.audio_id = l.audio_id
                    where this.model_id = model and this.audio_id = a.audio_id
                    order by l.strength * (i.key operator(extensions.<#>) this.place), l.audio_id limit 1)
                end as because_of) as c;
end
$$;

comment on function soundscape.nearest(text, extensions.halfvec, integer, soundscape.audio_filter, uuid[])
    is 'The recordings nearest to an embedding, of its space, that are similar to it, that the caller sees and that '
       'pass the filter. Returns max_rows if there are so many. The graph serves the public catalogue. The caller''s '
       'own recordings, and hidden ones for moderators, are compared exactly.';
