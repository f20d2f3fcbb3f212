-- Recommendations for the signed-in user, made under their own rights: docs/recommendations.md.
--
-- Impressions record what was recommended to whom. A model is judged by what people did with its recommendations.

-- Impressions
-- ===========

create table public.impressions (
    answer_id uuid not null,
    place smallint not null check (place >= 1),
    user_id uuid not null references public.users (id) on delete cascade,
    audio_id uuid not null references public.audio_files (id) on delete cascade,
    reason text not null check (char_length(reason) between 1 and 32),
    score real not null,
    propensity real check (propensity > 0 and propensity <= 1),
    seed bigint not null,
    model_id bigint,
    shown_at timestamptz not null default now(),
    primary key (answer_id, place)
);
alter table public.impressions enable row level security;
create index impressions_by_user on public.impressions (user_id, shown_at desc);
create index impressions_by_recording on public.impressions (audio_id);
create index impressions_by_age on public.impressions (shown_at, answer_id, place);
comment on table public.impressions
    is 'What recommended_audio answered, place by place, kept for 180 days. Seen by that user only, who may erase it; '
       'models are judged by it.';
comment on column public.impressions.answer_id is 'The answer: one call.';
comment on column public.impressions.place is 'Place in the answer, from 1.';
comment on column public.impressions.user_id is 'Who asked.';
comment on column public.impressions.audio_id is 'The recording that was shown.';
comment on column public.impressions.reason is 'Why it was shown, as recommended_audio said.';
comment on column public.impressions.score is 'The score it had.';
comment on column public.impressions.propensity
    is 'Of a place that explores: how likely this recording was to take it. Null where the score decided.';
comment on column public.impressions.seed is 'What the answer was drawn with.';
comment on column public.impressions.model_id is 'The model that was in force; null where there was none.';
comment on column public.impressions.shown_at is 'When.';

create function soundscape.log_impressions(
    recordings uuid[], reasons text[], scores double precision[], propensities double precision[], seed bigint, model_id bigint
) returns void
language plpgsql security definer set search_path = '' as $$
begin
    insert into public.impressions (answer_id, place, user_id, audio_id, reason, score, propensity, seed, model_id)
    select a.id, i.place, auth.uid(), i.audio_id, i.reason, i.score, i.propensity, log_impressions.seed, log_impressions.model_id
    from unnest(recordings, reasons, scores, propensities) with ordinality as i (audio_id, reason, score, propensity, place),
    (select gen_random_uuid() as id) as a
    where exists (select from public.users u where u.id = auth.uid());
exception when foreign_key_violation then
    -- Somebody deletes the recording, or the account, at this very moment: what is gone leaves no trace.
    null;
end
$$;
comment on function soundscape.log_impressions(uuid[], text[], double precision[], double precision[], bigint, bigint)
    is 'Write down what the caller was shown.';

create function soundscape.impressions_kept_for() returns interval
language sql immutable parallel safe set search_path = '' return interval '180 days';
comment on function soundscape.impressions_kept_for() is 'How long it is kept what was shown to whom.';

create function soundscape.forget_impressions() returns integer
language plpgsql security definer set search_path = '' as $$
declare
    forgotten integer;
begin
    delete from public.impressions i where (i.answer_id, i.place) in (
        select o.answer_id, o.place from public.impressions o
        where o.shown_at < now() - soundscape.impressions_kept_for()
        order by o.shown_at limit 100000 for update skip locked);
    get diagnostics forgotten = row_count;
    return forgotten;
end
$$;
comment on function soundscape.forget_impressions()
    is 'Delete what was shown too long ago, at most 100,000 rows at once; returns how many.';
select cron.schedule('soundscape-forget-impressions', '17 * * * *', 'select soundscape.forget_impressions()');

create function soundscape.impressions_after(
    after_shown_at timestamptz default null, after_answer uuid default null, after_place integer default null,
    most integer default 1000
)
returns table (
    shown_at timestamptz, answer_id uuid, place smallint, user_id uuid, audio_id uuid, reason text, score real,
    propensity real, seed bigint, model_id bigint, liked boolean, heard real
)
language sql stable security definer rows 1000 set search_path = '' as $$
    select i.shown_at, i.answer_id, i.place, i.user_id, i.audio_id, i.reason, i.score, i.propensity, i.seed, i.model_id,
           exists (select from public.likes l where l.user_id = i.user_id and l.audio_id = i.audio_id
                   and l.created_at between i.shown_at and i.shown_at + interval '7 days'),
           coalesce((select sum(soundscape.listen_weight(h.listened_s, h.completed, f.duration))
                     from public.listening_events h
                     where h.user_id = i.user_id and h.audio_id = i.audio_id
                       and h.started_at between i.shown_at and i.shown_at + interval '7 days'), 0)::real
    from public.impressions i join public.audio_files f on f.id = i.audio_id
    where (i.shown_at, i.answer_id, i.place) > (
        coalesce(after_shown_at, '-infinity'), coalesce(after_answer, '00000000-0000-0000-0000-000000000000'), coalesce(after_place, 0))
      -- When a transaction began is when it was shown, and whoever reads to the end would pass by one that is still open.
      and i.shown_at < now() - interval '1 minute'
    order by i.shown_at, i.answer_id, i.place
    limit least(most, 10000)
$$;
comment on function soundscape.impressions_after(timestamptz, uuid, integer, integer)
    is 'Worker only. Impressions that are at least a minute old, oldest first, after the given one, and what came of '
       'each within seven days: whether the recording was liked, and the sum of listen_weight. At most 10,000 rows.';

-- Recommendations
-- ===============

create function soundscape.labelled(labels text[], most integer, leaving_out uuid[]) returns table (audio_id uuid)
language plpgsql stable security definer rows 100 set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    label text;
begin
    -- One at a time, so that each is planned for how many recordings have it.
    foreach label in array labels loop
        return query
            select f.id from public.audio_files f
            where f.labels @> array[label] and f.is_public and f.hidden_at is null and f.status = 'ready'
              and f.user_id is distinct from auth.uid() and f.id not in (select unnest(leaving_out))
            order by f.created_at desc, f.id limit most;
    end loop;
end
$$;
comment on function soundscape.labelled(text[], integer, uuid[])
    is 'The newest listed recordings of others that have one of these labels, so many of each, without those that are '
       'to be left out. With its owner''s rights, as soundscape.found.';

create function soundscape.reason_of(recording uuid) returns text
language sql stable set search_path = '' as $$
    select case
        when exists (select from public.likes l where l.user_id = auth.uid() and l.audio_id = recording) then 'liked'
        when exists (select from public.playlists p join public.playlist_items i on i.playlist_id = p.id
                     where p.user_id = auth.uid() and i.audio_id = recording) then 'kept'
        when exists (
            select from public.listening_events h join public.audio_files f on f.id = h.audio_id
            where h.user_id = auth.uid() and h.audio_id = recording
              and soundscape.listen_weight(h.listened_s, h.completed, f.duration) > 0) then 'heard'
        else 'opened' end
$$;
comment on function soundscape.reason_of(uuid)
    is 'How the caller chose a recording: liked, kept in a playlist, heard, or only opened.';

create function soundscape.because(reason text, title text, label text, shared text[]) returns text
language sql immutable parallel safe set search_path = '' as $$
    select case
        -- No single choice says so, or it is no longer to be seen.
        when title is null and reason in ('liked', 'kept', 'heard', 'opened', 'together', 'taste') then 'because it goes with what you choose'
        else case reason
        when 'liked' then format('because you liked “%s”', title)
        when 'kept' then format('because “%s” is in a playlist of yours', title)
        when 'heard' then format('because you listened to “%s”', title)
        when 'opened' then format('because you opened “%s”', title)
        when 'together' then format('because others who chose “%s” chose this too', title)
        when 'taste' then format('because it goes with what you choose, such as “%s”', title)
        when 'label' then format('because you like to hear %s', label)
        when 'popular' then 'because many chose it'
        when 'fresh' then 'because it is new'
        when 'explore' then 'drawn at random, for a change' end end
        || case cardinality(shared)
            when 0 then ''
            when 1 then ': similar ' || shared[1]
            else ': similar ' || array_to_string(trim_array(shared, 1), ', ') || ' and ' || shared[cardinality(shared)] end
$$;
comment on function soundscape.because(text, text, text, text[]) is 'A reason as a sentence.';

create function soundscape.candidates(
    known uuid[], chosen uuid[], weights real[], leads uuid[], strengths double precision[], skips uuid[], wanted text[], model bigint
) returns table (audio_id uuid, score double precision, source text)
language plpgsql stable rows 500 set search_path = '' set plan_cache_mode = force_generic_plan as $$
declare
    me constant uuid := auth.uid();
    in_slot constant smallint := (select m.slot from soundscape.recommendation_models m where m.id = model);
    -- How much what it says of sound and of neighbours is worth beside its factors, as the fit measured it.
    settings constant jsonb := coalesce((select m.settings from soundscape.recommendation_models m where m.id = model), '{}');
    listener constant extensions.vector := soundscape.listener(model, chosen[:300], weights[:300]);
    found uuid[];
    partners uuid[];
    partnership double precision[];
    copies constant uuid[] := array(
        select m.matched_audio_id from public.audio_matches m
        where m.audio_id = any (chosen) and m.kind in ('identical', 'same_recording') and m.dismissed_at is null
        union select m.audio_id from public.audio_matches m
        where m.matched_audio_id = any (chosen) and m.kind in ('identical', 'same_recording') and m.dismissed_at is null);
    -- Before anything is cut off: many copies would else take the places of all that is offered.
    leaving_out constant uuid[] := known || copies;
begin
    perform set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.ef_search', '40', true),
            -- Whoever has heard all that is near gets something else rather than a search through everything.
            set_config('hnsw.max_scan_tuples', '2000', true);
    found := array(
        select n.audio_id
        from public.audio_embeddings l
        cross join lateral (
            select e.audio_id from public.audio_embeddings e
            where e.is_listed and e.space = l.space and coalesce(e.user_id <> me, true) and e.audio_id not in (select unnest(leaving_out))
            order by e.embedding operator(extensions.<=>) l.embedding limit 20) as n
        where l.audio_id = any (leads) and l.is_listed);
    if model is not null then
        select array_agg(t.neighbour_id), array_agg(t.points) into partners, partnership from (
            select n.neighbour_id, sum(n.weight * sign(c.weight)) as points
            from unnest(chosen[:150], weights[:150]) as c (audio_id, weight)
            join soundscape.item_neighbours n on n.audio_id = c.audio_id and n.is_listed and n.model_id = model
            where n.neighbour_is_listed and n.neighbour_id not in (select unnest(leaving_out))
            group by n.neighbour_id having sum(n.weight * sign(c.weight)) > 0
            order by points desc, n.neighbour_id limit 60) as t;
        found := found || partners || array(
            select i.audio_id from soundscape.item_factors i
            where i.model_id = model and i.is_listed and i.popularity > 0 and i.audio_id not in (select unnest(leaving_out))
            order by i.popularity desc limit 30);
        -- The largest products are harder to find in a graph than the nearest places.
        perform set_config('hnsw.ef_search', '100', true);
        -- Spelt out, since each slot has its own index.
        if listener is not null and in_slot = 0 then
            found := found || array(
                select i.audio_id from soundscape.item_factors i
                where i.is_listed and i.slot = 0 and i.model_id = model and i.audio_id not in (select unnest(leaving_out))
                order by i.place operator(extensions.<#>) listener limit 80);
        elsif listener is not null then
            found := found || array(
                select i.audio_id from soundscape.item_factors i
                where i.is_listed and i.slot = 1 and i.model_id = model and i.audio_id not in (select unnest(leaving_out))
                order by i.place operator(extensions.<#>) listener limit 80);
        end if;
    end if;
    found := found
        || array(
            select f.id from public.audio_files f
            where f.is_public and f.hidden_at is null and f.status = 'ready' and coalesce(f.user_id <> me, true) and f.id not in (select unnest(leaving_out))
            order by f.created_at desc, f.id limit 100)
        || array(select l.audio_id from soundscape.labelled(wanted[:8], 40, leaving_out) l);

    return query
        with heard as materialized (
            select e.space, e.embedding, l.strength, l.is_skip
            from (select u.audio_id, u.strength, false as is_skip from unnest(leads, strengths) as u (audio_id, strength)
                  union all select u.audio_id, 1, true from unnest(skips) as u (audio_id)) as l
            join public.audio_embeddings e on e.audio_id = l.audio_id
            where l.is_skip or listener is null
            -- Whom the model knows is compared as they were when it was measured: with the middle of what they chose.
            union all select m.space, m.place, 1, false from soundscape.middle(model, chosen[:300], weights[:300]) m where listener is not null),
        -- Put together by grouping: how many there are is not known when this is planned, and joins would be nested loops.
        measured as materialized (
            select m.id, greatest(0, max(m.sound)) as sound, greatest(0, 2 * max(m.skipped) - 1) as skipped,
                   greatest(0, max(m.taste)) as taste, max(m.together) as together, max(m.popularity) as popularity, max(m.labelled) as labelled
            from (
                select f.id, true as is_candidate, null::double precision as sound, null::double precision as skipped,
                       null::double precision as taste, null::double precision as together, null::double precision as popularity,
                       (select count(*) from unnest(wanted) w where w = any (f.labels))::double precision
                           / nullif(cardinality(wanted), 0) as labelled
                from public.audio_files f
                where f.id = any (found) and f.is_listed and f.status = 'ready' and f.user_id <> me
                  and f.id not in (select unnest(leaving_out))
                union all
                select e.audio_id, false,
                       max(h.strength * (1 - (e.embedding operator(extensions.<=>) h.embedding))) filter (where not h.is_skip),
                       max(1 - (e.embedding operator(extensions.<=>) h.embedding)) filter (where h.is_skip), null, null, null, null
                from public.audio_embeddings e join heard h on h.space = e.space
                where e.audio_id = any (found) and e.is_listed group by e.audio_id
                union all
                select i.audio_id, false, null, null, -(i.place operator(extensions.<#>) listener), null, i.popularity, null
                from soundscape.item_factors i where i.model_id = model and i.audio_id = any (found)
                union all
                select t.audio_id, false, null, null, null, t.points, null, null
                from unnest(partners, partnership) as t (audio_id, points)) as m
            group by m.id having bool_or(m.is_candidate)),
        -- What each source gives at most; what it gives the best candidate, where it has no measure of its own.
        parts as materialized (
            select k.id, 0.3 * k.skipped as against,
                   case when listener is null then 0.8 else 0.4 * coalesce((settings ->> 'content')::double precision, 1) end * k.sound as sound,
                   0.4 * k.taste / nullif(max(k.taste) over (), 0) as taste,
                   0.4 * coalesce((settings ->> 'neighbours')::double precision, 0.5) * k.together / nullif(max(k.together) over (), 0) as together,
                   case when chosen = '{}' then 0.6 else 0.2 end * nullif(k.labelled, 0) as label,
                   0.05 * k.popularity / nullif(max(k.popularity) over (), 0) as popular
            from measured k)
        select p.id,
               coalesce(p.sound, 0) + coalesce(p.taste, 0) + coalesce(p.together, 0) + coalesce(p.label, 0) + coalesce(p.popular, 0)
                   - coalesce(p.against, 0),
               case greatest(p.sound, p.taste, p.together, p.label, p.popular, 1e-9)
                   when p.sound then 'sound' when p.together then 'together' when p.taste then 'taste' when p.label then 'label'
                   when p.popular then 'popular' else 'fresh' end
        from parts p;
end
$$;
comment on function soundscape.candidates(uuid[], uuid[], real[], uuid[], double precision[], uuid[], text[], bigint)
    is 'Listed recordings of others that the caller does not know: like the leads; of the model what suits, goes '
       'together with what was chosen, and is popular; with the wanted labels; the newest. Each with its score and '
       'what gives most of it.';

create function public.recommended_audio("limit" integer default 20, seed bigint default null, labels text[] default null)
returns table (
    id uuid, score double precision, reason text, because text, because_of uuid,
    timbre double precision, rhythm double precision, tonality double precision, tags double precision,
    recording public.audio_files
)
language plpgsql volatile rows 20 set search_path = '' set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    me constant uuid := auth.uid();
    model bigint;
    -- Short enough for JavaScript to say it again.
    draw constant bigint := coalesce(seed, floor(random() * 4294967296)::bigint);
    wanted text[];
    known uuid[];
    chosen uuid[];
    weights real[];
    leads uuid[];
    strengths double precision[];
    skips uuid[] := '{}';
    found uuid[];
    scores double precision[];
    sources text[];
    exploring integer[];
    ranked uuid[];
    ids uuid[];
    propensities double precision[];
    reasons text[];
    causes uuid[];
begin
    if "limit" is null or "limit" not between 0 and 100 then
        raise exception 'limit is %.', "limit" using errcode = '22023', hint = '0 to 100.';
    elsif cardinality(labels) > 50 then
        raise exception 'These are % labels.', cardinality(labels) using errcode = '22023', hint = 'At most 50.';
    end if;
    wanted := array(
        select distinct soundscape.folded(w) from unnest(coalesce(
            labels, (select p.favourite_labels from public.user_preferences p where p.user_id = me))) as w
        where w ~ '\S');
    select array_agg(c.audio_id order by c.chosen_at desc, c.audio_id), array_agg(c.weight order by c.chosen_at desc, c.audio_id)
    into chosen, weights from soundscape.choices(array[me], 1000) c;
    chosen := coalesce(chosen, '{}');
    known := chosen || array(select distinct h.audio_id from public.listening_events h where h.user_id = me);

    -- What is looked around: the three latest choices, and three of the sixty before them, drawn by weight.
    select array_agg(l.audio_id), array_agg(0.5 + least(l.weight, 3) / 6) into leads, strengths from (
        select c.audio_id, c.weight from (
            select c.audio_id, c.weight, row_number() over (order by c.turn) as turn
            from unnest(chosen, weights) with ordinality as c (audio_id, weight, turn) where c.weight > 0 limit 63) as c
        order by case when c.turn > 3 then -ln(soundscape.chance(c.audio_id, draw)) / c.weight else 0 end, c.turn limit 6) as l;
    if leads is not null then
        skips := array(
            select c.audio_id from unnest(chosen, weights) with ordinality as c (audio_id, weight, turn)
            where c.weight < 0 order by c.turn limit 6);
    elsif chosen <> '{}' then
        -- Nothing is known but what was opened, however shortly.
        leads := chosen[:6];
        strengths := array_fill(0.4::double precision, array[cardinality(leads)]);
        weights := array_fill(0.3::real, array[cardinality(chosen)]);
    end if;

    -- One statement, so that the model is asked as of the moment when it was in force: a retired one shows nothing.
    with serving as materialized (select m.id from soundscape.recommendation_models m where m.state = 'in_force')
    select (select s.id from serving s), array_agg(c.audio_id order by c.drawn desc, c.audio_id),
           array_agg(c.score order by c.drawn desc, c.audio_id), array_agg(c.source order by c.drawn desc, c.audio_id)
    into model, found, scores, sources from (
        select c.*, c.score + 0.02 * soundscape.chance(c.audio_id, draw) as drawn
        from soundscape.candidates(known, chosen, weights, leads, strengths, skips, wanted, (select s.id from serving s)) c) as c;

    -- One place in ten, whichever it is, is drawn from all that did not get one by its score.
    exploring := array(
        select p.place from generate_series(0, 9) as ten,
        lateral (select 10 * ten + 1 + floor(10 * soundscape.chance(me, draw # ten))::integer as place) as p
        where p.place <= least("limit", cardinality(found)) order by p.place);
    ranked := soundscape.assorted(
        found[:least(3 * "limit", "limit" + 40)], scores[:least(3 * "limit", "limit" + 40)], 0.3, "limit" - cardinality(exploring));
    select array_agg(a.audio_id order by a.place), array_agg(a.propensity order by a.place) into ids, propensities from (
        select d.audio_id, exploring[d.turn] as place,
               1.0::double precision / (cardinality(found) - cardinality(ranked) - d.turn + 1) as propensity
        from (select u.audio_id, row_number() over (order by soundscape.chance(u.audio_id, ~draw), u.audio_id) as turn
              from unnest(found) as u (audio_id) where u.audio_id not in (select unnest(ranked))) as d
        where d.turn <= cardinality(exploring)
        union all
        select r.audio_id, p.place, null
        from unnest(ranked) with ordinality as r (audio_id, turn)
        join (select place, row_number() over (order by place) as turn
              from generate_series(1, "limit") as place where place <> all (exploring)) as p on p.turn = r.turn) as a;

    select array_agg(s.score order by a.turn), array_agg(w.because_of order by a.turn),
           array_agg(case when a.propensity is not null then 'explore' when s.source <> 'sound' then s.source
                          -- Like the middle of older choices, none of the leads being of that space.
                          when w.because_of is null then 'taste' else soundscape.reason_of(w.because_of) end order by a.turn)
    into scores, causes, reasons
    from unnest(ids, propensities) with ordinality as a (audio_id, propensity, turn)
    join unnest(found, scores, sources) as s (audio_id, score, source) on s.audio_id = a.audio_id
    cross join lateral (
        select case when a.propensity is not null then null
            when s.source = 'sound' then (
                select l.audio_id from unnest(leads, strengths) as l (audio_id, strength)
                join public.audio_embeddings e on e.audio_id = l.audio_id
                join public.audio_embeddings this on this.audio_id = a.audio_id and this.space = e.space
                order by l.strength * (1 - (this.embedding operator(extensions.<=>) e.embedding)) desc, l.audio_id limit 1)
            when s.source = 'together' then (
                select n.audio_id from unnest(chosen[:150], weights[:150]) as c (audio_id, weight)
                join soundscape.item_neighbours n on n.audio_id = c.audio_id and n.is_listed
                    and n.model_id = model and n.neighbour_id = a.audio_id
                order by n.weight * c.weight desc, n.audio_id limit 1)
            when s.source = 'taste' then (
                select l.audio_id from soundscape.item_factors this, unnest(leads, strengths) as l (audio_id, strength)
                join soundscape.item_factors i on i.model_id = model and i.audio_id = l.audio_id
                where this.model_id = model and this.audio_id = a.audio_id
                order by l.strength * (i.key operator(extensions.<#>) this.place), l.audio_id limit 1) end as because_of) as w;
    -- Nothing can be written where it was asked for by GET, or of a replica.
    if ids is not null and not current_setting('transaction_read_only')::boolean then
        perform soundscape.log_impressions(ids, reasons, scores, propensities, draw, model);
    end if;

    return query
        with answer as materialized (
            select a.* from unnest(ids, scores, reasons, causes) with ordinality as a (audio_id, score, reason, because_of, turn)),
        common as materialized (
            select g.because_of, l.* from (
                select a.because_of, array_agg(a.audio_id) as ids from answer a where a.because_of is not null group by a.because_of) as g
            cross join lateral soundscape.likeness(g.because_of, g.ids) as l),
        parts as materialized (
            select a.*,
                   case when a.because_of is not null then 0.7 * greatest(0, coalesce((
                       select 1 - (e.embedding operator(extensions.<=>) this.embedding)
                       from public.audio_embeddings e join public.audio_embeddings this on this.space = e.space
                       where e.audio_id = a.because_of and this.audio_id = a.audio_id order by e.created_at desc, e.space limit 1), 0)) end as timbre,
                   0.1 * c.rhythm as rhythm, 0.1 * c.tonality as tonality, 0.1 * c.tags as tags
            from answer a left join common c on c.because_of = a.because_of and c.audio_id = a.audio_id)
        select f.id, p.score, p.reason,
               soundscape.because(p.reason, (select t.title from public.audio_files t where t.id = p.because_of),
                   (select min(w) from unnest(wanted) as w where w = any (f.labels)),
                   array_remove(array[
                       case when p.timbre >= 0.7 * 0.6 then 'timbre' end, case when p.rhythm >= 0.1 * 0.6 then 'tempo' end,
                       case when p.tonality >= 0.1 * 0.7 then 'key' end, case when p.tags >= 0.1 * 0.3 then 'tags' end], null)),
               p.because_of, p.timbre, p.rhythm, p.tonality, p.tags, f
        from parts p join public.audio_files f on f.id = p.audio_id
        order by p.turn;
end
$$;
comment on function public.recommended_audio(integer, bigint, text[])
    is 'Public recordings of others that the caller has neither liked, kept nor played, best first; reason and '
       'because_of say why, because the same as a sentence, timbre, rhythm, tonality and tags what it shares with '
       'because_of. One place in ten is drawn at random (reason explore). labels (or favourite_labels of the '
       'preferences) are what one likes to hear. The same seed draws the same. Each answer is written to impressions, '
       'unless it was asked for by GET.';
