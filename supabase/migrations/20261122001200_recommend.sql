-- What to hear next: from a recording on, or from what one likes and heard. Both under the caller's own rights.

create function soundscape.chance(id uuid, seed bigint) returns double precision
language sql immutable parallel safe set search_path = '' as $$
    -- 52 bits, so that neither 0 nor 1 comes out.
    select ((hashtextextended(id::text, seed) & 4503599627370495) + 0.5) / 4503599627370496.0
$$;
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
begin
    if "limit" is null or "limit" not between 0 and 100 then
        raise exception 'limit is %.', "limit" using errcode = '22023', hint = '0 to 100.';
    elsif seed is null or played is null or cardinality(played) > 1000 then
        raise exception 'seed or played is null, or played holds more than 1000.' using errcode = '22023';
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
    from soundscape.nearest(start.space, start.embedding, 5 * "limit", null, array_remove(played, null) || start.audio_id) as n
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
comment on function public.radio(uuid, integer, bigint, uuid[]) is 'A walk through what sounds like a recording: each next is drawn from what is like the start and like the one before. The same seed draws the same; played is left out, and its last is where the walk goes on. likeness is that to the start.';

create function public.recommended_audio("limit" integer default 20, seed bigint default 0)
returns table (id uuid, score double precision, reason text, because_of uuid, recording public.audio_files)
language plpgsql stable rows 20 set search_path = '' as $$
#variable_conflict use_column
declare
    me constant uuid := auth.uid();
    known uuid[];
begin
    if "limit" is null or "limit" not between 0 and 100 then
        raise exception 'limit is %.', "limit" using errcode = '22023', hint = '0 to 100.';
    elsif seed is null then
        raise exception 'seed is null.' using errcode = '22023';
    end if;
    known := array(
        select l.audio_id from public.likes l where l.user_id = me
        union select h.audio_id from public.listening_events h where h.user_id = me
        union select f.id from public.audio_files f where f.user_id = me);
    return query
        with heard as (
            select distinct on (h.audio_id) h.audio_id, h.started_at as at
            from public.listening_events h
            where h.user_id = me and (h.completed or h.listened_s >= 30)
            order by h.audio_id, h.started_at desc),
        taste as materialized (
            (select l.audio_id, 'liked' as reason, 1.0::double precision as weight
             from public.likes l where l.user_id = me order by l.created_at desc, l.id desc limit 12)
            union all
            (select h.audio_id, 'heard', 0.7 from heard h
             where not exists (select from public.likes l where l.user_id = me and l.audio_id = h.audio_id)
             order by h.at desc limit 6)),
        alike as (
            select distinct on (n.audio_id) n.audio_id, t.reason, t.audio_id as because_of, t.weight * n.cosine as score
            from taste t
            join public.audio_embeddings e on e.audio_id = t.audio_id,
            lateral soundscape.nearest(e.space, e.embedding, greatest(2 * "limit", 20), null, known) as n
            where n.cosine > 0
            order by n.audio_id, t.weight * n.cosine desc, t.audio_id),
        -- What is like several liked ones would come first whatever the seed; a little noise moves equals about.
        ranked as (
            select a.*, row_number() over (
                order by a.score + 0.05 * soundscape.chance(a.audio_id, seed) desc, a.audio_id) as rank
            from alike a join public.audio_files f on f.id = a.audio_id and f.is_listed),
        newest as (
            select f.id from public.audio_files f
            where f.is_listed and f.status = 'ready' and f.id <> all (known)
            order by f.created_at desc, f.id limit greatest(5 * "limit", 100)),
        fresh as (
            select w.id, row_number() over (order by soundscape.chance(w.id, seed), w.id) as rank
            from newest w where w.id not in (select r.audio_id from ranked r where r.rank <= "limit")),
        -- Every tenth place is something new, whatever it sounds like.
        placed as (
            select r.audio_id, r.score, r.reason, r.because_of, r.rank + (r.rank - 1) / 9 as place
            from ranked r where r.rank <= "limit"
            union all select w.id, 0, 'fresh', null, 10 * w.rank from fresh w)
        select f.id, p.score, p.reason, p.because_of, f
        from placed p join public.audio_files f on f.id = p.audio_id
        order by p.place, p.audio_id limit "limit";
end
$$;
comment on function public.recommended_audio(integer, bigint) is 'Public recordings of others that the caller has neither liked nor played: like what the caller liked or heard (reason liked or heard, because_of which), every tenth one new (reason fresh). Who liked nothing gets new ones.';
