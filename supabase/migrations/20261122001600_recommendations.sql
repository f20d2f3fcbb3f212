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
    is 'What recommended_audio returned, one row a place, kept for 180 days. Only that user sees it and may delete '
       'it. Models are judged by it.';
comment on column public.impressions.answer_id is 'One call of recommended_audio.';
comment on column public.impressions.place is 'Place in the answer, from 1.';
comment on column public.impressions.user_id is 'Who asked.';
comment on column public.impressions.audio_id is 'The recording that was shown.';
comment on column public.impressions.reason is 'Why it was shown, as recommended_audio said.';
comment on column public.impressions.score is 'The score it had.';
comment on column public.impressions.propensity
    is 'In a place that explores: how likely this recording was to get it. Null where the score decided.';
comment on column public.impressions.seed is 'The seed of the random draws.';
comment on column public.impressions.model_id is 'The model in force. Null if there was none.';
comment on column public.impressions.shown_at is 'When.';

create function soundscape.log_impressions(
    recordings uuid[], reasons text[], scores double precision[], propensities double precision[], seed bigint,
        model_id bigint
) returns void
language plpgsql security definer set search_path = '' as $$
begin
    insert into public.impressions (answer_id, place, user_id, audio_id, reason, score, propensity, seed, model_id)
    select a.id, i.place, auth.uid(), i.audio_id, i.reason, i.score, i.propensity, log_impressions.seed,
        log_impressions.model_id
    from unnest(recordings, reasons, scores, propensities) with ordinality as i (audio_id, reason, score, propensity,
        place),
    (select gen_random_uuid() as id) as a
    where exists (select from public.users u where u.id = auth.uid());
exception when foreign_key_violation then
    -- The recording or the account is being deleted at this moment, and nothing about it must stay.
    null;
end
$$;
comment on function soundscape.log_impressions(uuid[], text[], double precision[], double precision[], bigint, bigint)
    is 'Records what was recommended to the caller.';

create function soundscape.impressions_kept_for() returns interval
language sql immutable parallel safe set search_path = '' return interval '180 days';
comment on function soundscape.impressions_kept_for() is 'How long impressions are kept.';

create function soundscape.delete_old_impressions() returns integer
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
comment on function soundscape.delete_old_impressions()
    is 'Deletes old impressions, at most 100,000 rows a call. Returns how many.';
select cron.schedule('soundscape-delete-old-impressions', '17 * * * *', 'select soundscape.delete_old_impressions()');

create function soundscape.impressions_after(
    after_shown_at timestamptz default null, after_answer uuid default null, after_place integer default null,
    max_rows integer default 1000
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
        coalesce(after_shown_at, '-infinity'), coalesce(after_answer, '00000000-0000-0000-0000-000000000000'),
            coalesce(after_place, 0))
      -- shown_at is the start of the transaction. A reader at the end would miss a transaction that is still open.
      and i.shown_at < now() - interval '1 minute'
    order by i.shown_at, i.answer_id, i.place
    limit least(max_rows, 10000)
$$;
comment on function soundscape.impressions_after(timestamptz, uuid, integer, integer)
    is 'Worker only. Impressions that are at least a minute old, oldest first, after the given one, and what came of '
       'each within seven days: whether the recording was liked, and the sum of listen_weight. At most 10,000 rows.';

-- Recommendations
-- ===============
--
-- recommended_audio works in four steps, one function each:
--   read_taste                   choose: what the caller chose, and the recordings to start from
--   recommendation_candidates    candidates: collect them, and score each by every source
--   rank_candidates              rank: order them, and draw one place in ten at random
--   explain_recommendations      explain: why each was recommended, and what it shares with which choice

create table soundscape.recommendation_weights (
    only_row boolean primary key default true check (only_row),
    taste double precision not null default 0.4 check (taste > 0),
    together double precision not null default 0.4,
    sound double precision not null default 0.4,
    sound_without_model double precision not null default 0.8,
    labels double precision not null default 0.2,
    labels_without_choices double precision not null default 0.6,
    popular double precision not null default 0.05,
    skipped double precision not null default 0.3,
    noise double precision not null default 0.02,
    diversity double precision not null default 0.3,
    max_choices integer not null default 300,
    max_choices_with_neighbours integer not null default 150,
    max_skips integer not null default 6
);
alter table soundscape.recommendation_weights enable row level security;
comment on table soundscape.recommendation_weights
    is 'The weights of recommended_audio: one row. The evaluation of a new model reads the same row, so that it '
       'measures what is served.';
comment on column soundscape.recommendation_weights.only_row is 'There is one row.';
comment on column soundscape.recommendation_weights.taste is 'What the best candidate gets for the model''s factors.';
comment on column soundscape.recommendation_weights.together
    is 'What the best candidate gets for being chosen with the caller''s choices, times the model''s setting.';
comment on column soundscape.recommendation_weights.sound
    is 'What a candidate gets for a cosine of 1 to the caller''s choices, times the model''s setting.';
comment on column soundscape.recommendation_weights.sound_without_model is 'The same when no model knows the caller.';
comment on column soundscape.recommendation_weights.labels
    is 'What a candidate gets that has all of the wanted labels.';
comment on column soundscape.recommendation_weights.labels_without_choices
    is 'The same for a caller who has chosen nothing yet.';
comment on column soundscape.recommendation_weights.popular is 'What the most popular candidate gets.';
comment on column soundscape.recommendation_weights.skipped
    is 'What a candidate loses that sounds exactly like a recording the caller skipped.';
comment on column soundscape.recommendation_weights.noise is 'The most that the seed adds to a score.';
comment on column soundscape.recommendation_weights.diversity
    is 'How much likeness to recordings already in the list counts against a candidate, 0 to 1.';
comment on column soundscape.recommendation_weights.max_choices is 'How many of the latest choices the model reads.';
comment on column soundscape.recommendation_weights.max_choices_with_neighbours
    is 'How many of the latest choices the neighbours are read of.';
comment on column soundscape.recommendation_weights.max_skips is 'How many of the latest skips are read.';
insert into soundscape.recommendation_weights default values;

create function soundscape.recommendation_weights() returns soundscape.recommendation_weights
language sql stable security definer set search_path = '' as $$
    select w from soundscape.recommendation_weights w
$$;
comment on function soundscape.recommendation_weights()
    is 'The row of weights, for callers who may not read the table.';

create function soundscape.newest_with_labels(labels text[], max_per_label integer, leaving_out uuid[])
    returns table (audio_id uuid)
language plpgsql stable security definer rows 100 set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    label text;
begin
    -- One query per label, so that each is planned for the number of recordings that have it.
    foreach label in array labels loop
        return query
            select f.id from public.audio_files f
            where f.labels @> array[label] and f.is_public and f.hidden_at is null and f.status = 'ready'
              and f.user_id is distinct from auth.uid() and f.id not in (select unnest(leaving_out))
            order by f.created_at desc, f.id limit max_per_label;
    end loop;
end
$$;
comment on function soundscape.newest_with_labels(text[], integer, uuid[])
    is 'The newest listed recordings of others that have one of these labels, max_per_label for each, without those '
       'to leave out. It runs with its owner''s rights, as find_recordings does.';

create function soundscape.choice_reason(recording uuid) returns text
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
comment on function soundscape.choice_reason(uuid)
    is 'How the caller chose a recording: liked, kept in a playlist, heard, or only opened.';

create function soundscape.reason_sentence(reason text, title text, label text, shared text[]) returns text
language sql immutable parallel safe set search_path = '' as $$
    select case
        -- There is no single choice behind it, or the caller no longer sees that recording.
        when title is null and reason in ('liked', 'kept', 'heard', 'opened', 'together', 'taste')
            then 'because it goes with what you choose'
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
            else ': similar ' || array_to_string(trim_array(shared, 1), ', ') || ' and '
                || shared[cardinality(shared)] end
$$;
comment on function soundscape.reason_sentence(text, text, text, text[]) is 'A reason as a sentence.';

create type soundscape.taste as (
    wanted text[], known uuid[], chosen uuid[], weights real[], leads uuid[], strengths double precision[], skips uuid[]
);
comment on type soundscape.taste
    is 'What a caller likes. wanted: labels. chosen, weights: their choices, latest first. known: all they know. '
       'leads, strengths: choices whose surroundings are searched. skips: recordings they skipped.';

create function soundscape.read_taste(labels text[], draw bigint, max_skips integer) returns soundscape.taste
language plpgsql stable set search_path = '' as $$
declare
    me constant uuid := auth.uid();
    caller soundscape.taste;
begin
    caller.wanted := array(
        select distinct soundscape.fold(w) from unnest(coalesce(
            labels, (select p.favourite_labels from public.user_preferences p where p.user_id = me))) as w
        where w ~ '\S');
    select coalesce(array_agg(c.audio_id order by c.chosen_at desc, c.audio_id), '{}'),
           array_agg(c.weight order by c.chosen_at desc, c.audio_id)
    into caller.chosen, caller.weights from soundscape.choices(array[me], 1000) c;
    caller.known := caller.chosen
        || array(select distinct h.audio_id from public.listening_events h where h.user_id = me);
    caller.skips := '{}';

    -- The leads are the three latest choices, and three of the sixty before them, drawn by weight.
    select array_agg(l.audio_id), array_agg(0.5 + least(l.weight, 3) / 6) into caller.leads, caller.strengths from (
        select c.audio_id, c.weight from (
            select c.audio_id, c.weight, row_number() over (order by c.rank) as rank
            from unnest(caller.chosen, caller.weights) with ordinality as c (audio_id, weight, rank)
            where c.weight > 0 limit 63) as c
        order by case when c.rank > 3 then -ln(soundscape.seeded_random(c.audio_id, draw)) / c.weight else 0 end, c.rank
        limit 6) as l;
    if caller.leads is not null then
        caller.skips := array(
            select c.audio_id from unnest(caller.chosen, caller.weights) with ordinality as c (audio_id, weight, rank)
            where c.weight < 0 order by c.rank limit max_skips);
    elsif caller.chosen <> '{}' then
        -- The caller has only opened recordings and left them at once.
        caller.leads := caller.chosen[:6];
        caller.strengths := array_fill(0.4::double precision, array[cardinality(caller.leads)]);
        caller.weights := array_fill(0.3::real, array[cardinality(caller.chosen)]);
    end if;
    return caller;
end
$$;

comment on function soundscape.read_taste(text[], bigint, integer)
    is 'What the caller likes, from the given labels (or their favourite ones) and from what they chose. draw selects '
       'the leads.';

create function soundscape.collect_candidates(
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
            select e.audio_id from public.audio_embeddings e
            where e.is_listed and e.space = l.space and coalesce(e.user_id <> me, true)
              and e.audio_id not in (select unnest(leaving_out))
            order by e.embedding operator(extensions.<=>) l.embedding limit 20) as n
        where l.audio_id = any (caller.leads) and l.is_listed);
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
comment on function soundscape.collect_candidates(soundscape.taste, bigint, extensions.vector, uuid[], uuid[])
    is 'Listed recordings of others that may be recommended: near the leads, suited to the listener by the model, its '
       'partners of what was chosen, the popular, the newest, and the newest with the wanted labels.';

create function soundscape.measure_candidates(
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
                       filter (where not h.is_skip),
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
comment on function soundscape.measure_candidates(
    uuid[], soundscape.taste, bigint, extensions.vector, uuid[], double precision[], uuid[], integer
)
    is 'What each source says of each candidate, null where it says nothing. Only recordings that may be recommended.';

create function soundscape.recommendation_candidates(
    caller soundscape.taste, model bigint, w soundscape.recommendation_weights
) returns table (audio_id uuid, score double precision, source text)
language plpgsql stable rows 500 set search_path = '' set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    -- The fit measured how much neighbours and sound are worth beside the factors.
    settings constant jsonb := coalesce(
        (select m.settings from soundscape.recommendation_models m where m.id = model), '{}');
    listener constant extensions.vector := soundscape.listener_vector(
        model, caller.chosen[:w.max_choices], caller.weights[:w.max_choices]);
    -- Copies of known recordings are left out here, before anything is cut off: many copies could take all places.
    leaving_out constant uuid[] := caller.known || array(
        select m.matched_audio_id from public.audio_matches m
        where m.audio_id = any (caller.chosen) and m.kind in ('identical', 'same_recording') and m.dismissed_at is null
        union select m.audio_id from public.audio_matches m
        where m.matched_audio_id = any (caller.chosen) and m.kind in ('identical', 'same_recording')
          and m.dismissed_at is null);
    partners uuid[];
    partnership double precision[];
    found uuid[];
begin
    select array_agg(t.neighbour_id), array_agg(t.points) into partners, partnership from (
        select n.neighbour_id, sum(n.weight * sign(c.weight)) as points
        from unnest(caller.chosen[:w.max_choices_with_neighbours], caller.weights[:w.max_choices_with_neighbours])
            as c (audio_id, weight)
        join soundscape.item_neighbours n on n.audio_id = c.audio_id and n.is_listed and n.model_id = model
        where n.neighbour_is_listed and n.neighbour_id not in (select unnest(leaving_out))
        group by n.neighbour_id having sum(n.weight * sign(c.weight)) > 0
        order by points desc, n.neighbour_id limit 60) as t;
    found := soundscape.collect_candidates(caller, model, listener, partners, leaving_out);
    return query
        with parts as materialized (
            select k.audio_id, w.skipped * k.skipped as against,
                   case when listener is null then w.sound_without_model
                        else w.sound * coalesce((settings ->> 'content')::double precision, 1) end * k.sound as sound,
                   w.taste * k.taste / nullif(max(k.taste) over (), 0) as taste,
                   w.together * coalesce((settings ->> 'neighbours')::double precision, 0.5)
                       * k.together / nullif(max(k.together) over (), 0) as together,
                   case when caller.chosen = '{}' then w.labels_without_choices else w.labels end
                       * nullif(k.labelled, 0) as label,
                   w.popular * k.popularity / nullif(max(k.popularity) over (), 0) as popular
            from soundscape.measure_candidates(
                found, caller, model, listener, partners, partnership, leaving_out, w.max_choices) k)
        select p.audio_id,
               coalesce(p.sound, 0) + coalesce(p.taste, 0) + coalesce(p.together, 0) + coalesce(p.label, 0)
                   + coalesce(p.popular, 0) - coalesce(p.against, 0),
               case greatest(p.sound, p.taste, p.together, p.label, p.popular, 1e-9)
                   when p.sound then 'sound' when p.together then 'together' when p.taste then 'taste'
                   when p.label then 'label' when p.popular then 'popular' else 'fresh' end
        from parts p;
end
$$;
comment on function soundscape.recommendation_candidates(soundscape.taste, bigint, soundscape.recommendation_weights)
    is 'Listed recordings of others that the caller does not know, each with its score and the source that gives most '
       'of it.';

create function soundscape.rank_candidates(
    candidates uuid[], scores double precision[], max_rows integer, draw bigint, diversity double precision
) returns table (audio_id uuid, place integer, propensity double precision)
language plpgsql stable rows 20 set search_path = '' as $$
#variable_conflict use_column
declare
    me constant uuid := auth.uid();
    -- One place in ten explores.
    exploring constant integer[] := array(
        select p.place from generate_series(0, 9) as ten,
        lateral (select 10 * ten + 1 + floor(10 * soundscape.seeded_random(me, draw # ten))::integer as place) as p
        where p.place <= least(max_rows, cardinality(candidates)) order by p.place);
    best constant integer := least(3 * max_rows, max_rows + 40);
    ranked constant uuid[] := soundscape.diversify_mixed(
        candidates[:best], scores[:best], diversity, max_rows - cardinality(exploring));
begin
    return query
        -- What explores is drawn from all candidates that did not get a place by their score.
        select d.audio_id, exploring[d.rank],
               1.0::double precision / (cardinality(candidates) - cardinality(ranked) - d.rank + 1)
        from (select u.audio_id,
                     row_number() over (order by soundscape.seeded_random(u.audio_id, ~draw), u.audio_id) as rank
              from unnest(candidates) as u (audio_id) where u.audio_id not in (select unnest(ranked))) as d
        where d.rank <= cardinality(exploring)
        union all
        select r.audio_id, p.place, null
        from unnest(ranked) with ordinality as r (audio_id, rank)
        join (select place, row_number() over (order by place) as rank
              from generate_series(1, max_rows) as place where place <> all (exploring)) as p on p.rank = r.rank;
end
$$;
comment on function soundscape.rank_candidates(uuid[], double precision[], integer, bigint, double precision)
    is 'The places of an answer. candidates is ordered by score, best first. propensity is how likely a place that '
       'explores was to get this recording, and null elsewhere.';

create function soundscape.explain_recommendations(
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
comment on function soundscape.explain_recommendations(
    uuid[], double precision[], uuid[], double precision[], text[], soundscape.taste, bigint,
    soundscape.recommendation_weights
)
    is 'The reason of each recommendation, and the choice that it goes back to, if any.';

create function soundscape.shared_traits(ids uuid[], causes uuid[])
returns table (
    audio_id uuid, timbre double precision, rhythm double precision, tonality double precision, tags double precision
)
language plpgsql stable rows 20 set search_path = '' as $$
#variable_conflict use_column
begin
    return query
        with answer as materialized (select * from unnest(ids, causes) as a (audio_id, because_of)),
        common as materialized (
            select g.because_of, l.* from (
                select a.because_of, array_agg(a.audio_id) as ids from answer a
                where a.because_of is not null group by a.because_of) as g
            cross join lateral soundscape.likeness(g.because_of, g.ids) as l)
        select a.audio_id,
               case when a.because_of is not null then 0.7 * greatest(0, coalesce((
                   select 1 - (e.embedding operator(extensions.<=>) this.embedding)
                   from public.audio_embeddings e join public.audio_embeddings this on this.space = e.space
                   where e.audio_id = a.because_of and this.audio_id = a.audio_id
                   order by e.created_at desc, e.space limit 1), 0)) end,
               0.1 * c.rhythm, 0.1 * c.tonality, 0.1 * c.tags
        from answer a left join common c on c.because_of = a.because_of and c.audio_id = a.audio_id;
end
$$;
comment on function soundscape.shared_traits(uuid[], uuid[])
    is 'What each recording shares with its cause, as similar_audio weighs it. Null where there is no cause.';

create function public.recommended_audio(
    "limit" integer default 20, seed bigint default null, labels text[] default null
) returns table (
    id uuid, score double precision, reason text, because text, because_of uuid,
    timbre double precision, rhythm double precision, tonality double precision, tags double precision,
    recording public.audio_files
)
language plpgsql volatile rows 20 set search_path = '' set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    -- Short enough for JavaScript to send it back unchanged.
    draw constant bigint := coalesce(seed, floor(random() * 4294967296)::bigint);
    w constant soundscape.recommendation_weights := soundscape.recommendation_weights();
    caller soundscape.taste;
    model bigint;
    found uuid[];
    sources text[];
    ids uuid[];
    scores double precision[];
    propensities double precision[];
    reasons text[];
    causes uuid[];
begin
    if "limit" is null or "limit" not between 0 and 100 then
        raise exception 'The limit % is out of range.', "limit" using errcode = '22023', hint = '0 to 100.';
    elsif cardinality(labels) > 50 then
        raise exception 'There are % labels.', cardinality(labels) using errcode = '22023', hint = 'At most 50.';
    end if;
    caller := soundscape.read_taste(labels, draw, w.max_skips);
    -- One statement, so that it sees the model that was in force at one moment: a retired one shows nothing.
    with serving as materialized (select m.id from soundscape.recommendation_models m where m.state = 'in_force')
    select (select s.id from serving s), array_agg(c.audio_id order by c.drawn desc, c.audio_id),
           array_agg(c.score order by c.drawn desc, c.audio_id), array_agg(c.source order by c.drawn desc, c.audio_id)
    into model, found, scores, sources from (
        select c.*, c.score + w.noise * soundscape.seeded_random(c.audio_id, draw) as drawn
        from soundscape.recommendation_candidates(caller, (select s.id from serving s), w) c) as c;
    select array_agg(r.audio_id order by r.place), array_agg(r.propensity order by r.place) into ids, propensities
    from soundscape.rank_candidates(found, scores, "limit", draw, w.diversity) r;
    select array_agg(e.score order by e.place), array_agg(e.reason order by e.place),
           array_agg(e.because_of order by e.place)
    into scores, reasons, causes
    from soundscape.explain_recommendations(ids, propensities, found, scores, sources, caller, model, w) e;
    -- A GET request and a replica cannot write.
    if ids is not null and not current_setting('transaction_read_only')::boolean then
        perform soundscape.log_impressions(ids, reasons, scores, propensities, draw, model);
    end if;

    return query
        select f.id, a.score, a.reason,
               soundscape.reason_sentence(a.reason, (select t.title from public.audio_files t
                   where t.id = a.because_of),
                   (select min(l) from unnest(caller.wanted) as l where l = any (f.labels)),
                   array_remove(array[
                       case when s.timbre >= 0.7 * 0.6 then 'timbre' end, case when s.rhythm >= 0.1 * 0.6
                           then 'tempo' end,
                       case when s.tonality >= 0.1 * 0.7 then 'key' end, case when s.tags >= 0.1 * 0.3 then 'tags' end],
                       null)),
               a.because_of, s.timbre, s.rhythm, s.tonality, s.tags, f
        from unnest(ids, scores, reasons, causes) with ordinality as a (audio_id, score, reason, because_of, rank)
        join soundscape.shared_traits(ids, causes) s on s.audio_id = a.audio_id
        join public.audio_files f on f.id = a.audio_id
        order by a.rank;
end
$$;
comment on function public.recommended_audio(integer, bigint, text[])
    is 'Public recordings of others that the caller has neither liked, kept nor played, best first. reason and '
       'because_of say why, because says it in a sentence. timbre, rhythm, tonality and tags say what it shares with '
       'because_of. One place in ten is drawn at random (reason explore). labels, or favourite_labels of the '
       'preferences, are what the caller likes to hear. The same seed draws the same. Each answer is written to '
       'impressions, unless it was requested by GET.';
