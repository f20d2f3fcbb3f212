-- What to hear next, from a recording on, under the caller's own rights.

create function soundscape.chance(id uuid, seed bigint) returns double precision
language sql immutable parallel safe
-- Without a SET it is taken into the query, and 30 µs a call cheaper; the body was read when it was made, so no
-- search path matters. 52 bits, so that neither 0 nor 1 comes out.
return ((hashtextextended(id::text, seed) & 4503599627370495) + 0.5) / 4503599627370496.0;
comment on function soundscape.chance(uuid, bigint) is 'A number between 0 and 1 for a recording, the same for the same seed.';

create function public.radio(
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
    walked integer[] := '{}';
    -- Each that is left out makes the search longer.
    lately constant uuid[] := played[greatest(1, cardinality(played) - 999):];
begin
    if "limit" is null or "limit" not between 0 and 100 then
        raise exception 'limit is %.', "limit" using errcode = '22023', hint = '0 to 100.';
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
    -- The walk goes on from what was played last.
    here := coalesce(
        (select e.embedding from public.audio_embeddings e
         where e.audio_id = played[cardinality(played)] and e.space = start.space), start.embedding);
    select array_agg(n.audio_id order by n.cosine desc, n.audio_id), array_agg(n.cosine order by n.cosine desc, n.audio_id),
           array_agg(e.embedding order by n.cosine desc, n.audio_id),
           -- Gumbel's noise makes it a draw: chances go with exp(likeness / 0.1).
           array_agg(-0.1 * ln(-ln(soundscape.chance(n.audio_id, seed))) order by n.cosine desc, n.audio_id)
    into ids, near, places, noise
    from soundscape.nearest(start.space, start.embedding, 5 * "limit", null, array_remove(lately, null) || start.audio_id) as n
    join public.audio_embeddings e on e.audio_id = n.audio_id and e.space = start.space;
    left_over := array(select generate_series(1, cardinality(ids)));
    for turn in 1 .. least("limit", coalesce(cardinality(ids), 0)) loop
        select i into next from unnest(left_over) as i
        order by 0.5 * near[i] + 0.5 * (1 - (places[i] operator(extensions.<=>) here)) + noise[i] desc, i limit 1;
        here := places[next];
        left_over := array_remove(left_over, next);
        walked := walked || next;
    end loop;
    return query
        select f.id, near[w.next], f
        from unnest(walked) with ordinality as w (next, turn) join public.audio_files f on f.id = ids[w.next]
        order by w.turn;
end
$$;
comment on function public.radio(uuid, integer, bigint, uuid[]) is 'A walk through what sounds like a recording: each next is drawn from what is like the start and like the one before. The same seed draws the same; The latest 1000 of played are left out, and its last is where the walk goes on. likeness is that to the start.';
