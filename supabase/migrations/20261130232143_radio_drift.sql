-- Radio goes on where nothing similar is left. Since there is a floor of similarity, it had ended there.

drop function soundscape.nearest(text, extensions.halfvec, integer, soundscape.audio_filter, uuid[]);
drop function soundscape.nearest_filtered(text, extensions.halfvec, integer, soundscape.audio_filter, uuid[]);

create function soundscape.nearest_filtered(
    space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter, leaving_out uuid[],
    min_cosine double precision
) returns table (audio_id uuid, cosine double precision)
language plpgsql stable rows 100 set search_path = '' set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    -- If at most this many recordings pass the filter, it is cheaper to filter first. Otherwise the filter is applied
    -- on the way through the graph.
    selective constant integer := 20000;
    owner constant uuid := auth.uid();
    everything constant boolean := not row_security_active('public.audio_embeddings');
    max_distance constant double precision := 1 - coalesce(min_cosine, soundscape.min_similarity());
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
comment on function
    soundscape.nearest_filtered(text, extensions.halfvec, integer, soundscape.audio_filter, uuid[], double precision)
    is 'nearest with a filter. It is planned for each call, so that filters that are not set disappear from the plan.';

create function soundscape.nearest(
    space text, place extensions.halfvec, max_rows integer,
    filter soundscape.audio_filter default null, leaving_out uuid[] default '{}',
    min_cosine double precision default null
) returns table (audio_id uuid, cosine double precision)
language plpgsql stable rows 100 set search_path = '' as $$
#variable_conflict use_column
declare
    owner constant uuid := auth.uid();
    max_distance constant double precision := 1 - coalesce(min_cosine, soundscape.min_similarity());
    listed uuid[];
    distances double precision[];
    others uuid[];
begin
    if not (filter is null) then
        return query select n.audio_id, n.cosine from soundscape.nearest_filtered(
            space, place, max_rows, filter, leaving_out, min_cosine) n;
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
comment on function
    soundscape.nearest(text, extensions.halfvec, integer, soundscape.audio_filter, uuid[], double precision)
    is 'The recordings nearest to an embedding, of its space, that are similar to it, that the caller sees and that '
       'pass the filter. Returns max_rows if there are so many. min_cosine replaces the floor of similarity. The '
       'graph serves the public catalogue. The caller''s own recordings, and hidden ones for moderators, are compared '
       'exactly.';

create or replace function public.radio(
    audio_id uuid, "limit" integer default 20, seed bigint default 0, played uuid[] default '{}'
) returns table (id uuid, likeness double precision, recording public.audio_files)
language plpgsql stable rows 20 set search_path = '' as $$
#variable_conflict use_column
declare
    start public.audio_embeddings;
    here extensions.halfvec(128);
    ids uuid[];
    places extensions.halfvec[];
    near double precision[];
    noise double precision[];
    left_over integer[];
    next integer;
    walked uuid[] := '{}';
    start_weight double precision;
    -- Each excluded recording makes the search longer.
    lately constant uuid[] := played[greatest(1, cardinality(played) - 999):];
begin
    if "limit" is null or "limit" not between 0 and 100 then
        raise exception 'The limit % is out of range.', "limit" using errcode = '22023', hint = '0 to 100.';
    elsif seed is null or played is null then
        raise exception 'seed or played is null.' using errcode = '22023';
    end if;
    perform from public.audio_files f where f.id = radio.audio_id;
    if not found then
        raise exception 'There is no such recording.' using errcode = 'PT404';
    end if;
    select e.* into start from public.audio_embeddings e where e.audio_id = radio.audio_id
    order by e.created_at desc, e.space limit 1;
    if start.audio_id is null then
        return;
    end if;
    -- The walk continues from the recording that was played last.
    here := coalesce(
        (select e.embedding from public.audio_embeddings e
         where e.audio_id = played[cardinality(played)] and e.space = start.space), start.embedding);
    -- First what is similar to the start. Where no more is left, the walk goes on from what it played last, however
    -- unlike that is: a radio that drifts is better than one that stops.
    foreach start_weight in array array[0.5, 0] loop
        exit when cardinality(walked) = "limit";
        select array_agg(n.audio_id order by n.cosine desc, n.audio_id),
               array_agg(n.cosine order by n.cosine desc, n.audio_id),
               array_agg(e.embedding order by n.cosine desc, n.audio_id),
               -- Gumbel noise makes this a random draw, with chances proportional to exp(likeness / 0.1).
               array_agg(-0.1 * ln(-ln(soundscape.seeded_random(n.audio_id, seed))) order by n.cosine desc, n.audio_id)
        into ids, near, places, noise
        from soundscape.nearest(
            start.space, case when start_weight > 0 then start.embedding else here end,
            5 * ("limit" - cardinality(walked)), null, array_remove(lately, null) || start.audio_id || walked,
            case when start_weight = 0 then -1 end) as n
        join public.audio_embeddings e on e.audio_id = n.audio_id and e.space = start.space;
        left_over := array(select generate_series(1, cardinality(ids)));
        for rank in 1 .. least("limit" - cardinality(walked), coalesce(cardinality(ids), 0)) loop
            select i into next from unnest(left_over) as i
            order by start_weight * near[i]
                + (1 - start_weight) * (1 - (places[i] operator(extensions.<=>) here)) + noise[i] desc, i limit 1;
            here := places[next];
            left_over := array_remove(left_over, next);
            walked := walked || ids[next];
        end loop;
    end loop;
    return query
        select f.id, 1 - (e.embedding operator(extensions.<=>) start.embedding), f
        from unnest(walked) with ordinality as w (id, rank)
        join public.audio_files f on f.id = w.id
        join public.audio_embeddings e on e.audio_id = w.id and e.space = start.space
        order by w.rank;
end
$$;
comment on function public.radio(uuid, integer, bigint, uuid[])
    is 'A walk through recordings that sound like one. Each next recording is drawn from those that are like the '
       'start and like the one before; where no similar one is left, from those nearest to the one before. The same '
       'seed draws the same. The latest 1,000 of played are left out, and the walk continues from the last of them. '
       'likeness is the likeness to the start.';
