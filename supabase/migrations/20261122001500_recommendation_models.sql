-- Recommendation models, learnt from many people's choices. At most one is in force.
--
-- A model holds a place for every listed recording. Only listed recordings are learnt from, so a score never tells
-- anything about a private one. Signed-in users may read the model in force under row level security.
--
-- To fit a model, the worker takes the fit lease, reads what people chose, and writes the new model in batches beside
-- the one in force. One transaction then puts it in force. Each step carries the token of the lease, so that only one
-- of two fits continues. The next fit clears what an interrupted one left.

-- Models
-- ======

create table soundscape.recommendation_models (
    id bigint generated always as identity primary key,
    state text not null default 'staged' check (state in ('staged', 'in_force', 'retired', 'refused')),
    slot smallint not null default 0 check (slot in (0, 1)),
    space text check (char_length(space) between 1 and 64),
    settings jsonb not null default '{}' check (jsonb_typeof(settings) = 'object'),
    figures jsonb not null default '{}' check (jsonb_typeof(figures) = 'object'),
    people integer not null default 0 check (people >= 0),
    items integer not null default 0 check (items >= 0),
    events integer not null default 0 check (events >= 0),
    fitted_at timestamptz not null default now(),
    published_at timestamptz
);
alter table soundscape.recommendation_models enable row level security;
create unique index recommendation_models_in_force on soundscape.recommendation_models (state) where state = 'in_force';
comment on table soundscape.recommendation_models is 'Every model that was fitted. At most one is in force.';
comment on column soundscape.recommendation_models.id is 'The model.';
comment on column soundscape.recommendation_models.state
    is 'staged: being written. in_force: used. retired: was used. refused: was worse than the model in force, or than '
       'popularity.';
comment on column soundscape.recommendation_models.slot
    is 'Which of the two vector indexes it uses, so that the next model is written beside the one in force.';
comment on column soundscape.recommendation_models.space
    is 'The space of the embeddings that its map reads. Null if it has no map.';
comment on column soundscape.recommendation_models.settings
    is 'What it was fitted with, and how its parts are weighed: docs/recommendations.md.';
comment on column soundscape.recommendation_models.figures
    is 'How well it and others did on choices that were held back.';
comment on column soundscape.recommendation_models.people is 'How many people it was learnt from.';
comment on column soundscape.recommendation_models.items is 'How many recordings they chose among.';
comment on column soundscape.recommendation_models.events is 'How many pairs of person and recording.';
comment on column soundscape.recommendation_models.fitted_at is 'When it was fitted.';
comment on column soundscape.recommendation_models.published_at is 'When it came into force.';

create table soundscape.item_factors (
    model_id bigint not null references soundscape.recommendation_models (id) on delete cascade,
    audio_id uuid not null,
    is_listed boolean not null,
    slot smallint not null check (slot in (0, 1)),
    place extensions.vector(32) not null,
    key extensions.vector(32) not null,
    popularity real not null default 0 check (popularity between 0 and 1),
    is_cold boolean not null default false,
    primary key (model_id, audio_id),
    -- The neighbours refer to this key. It also finds the rows of a recording.
    unique (audio_id, is_listed, model_id),
    constraint item_factors_audio_id_fkey foreign key (audio_id, is_listed)
        references public.audio_files (id, is_listed) on update cascade on delete cascade
);
alter table soundscape.item_factors enable row level security;
create index item_factors_by_popularity on soundscape.item_factors (model_id, popularity desc) where is_listed;
create index item_factors_near_0 on soundscape.item_factors
    using hnsw (place extensions.vector_ip_ops) where is_listed and slot = 0;
create index item_factors_near_1 on soundscape.item_factors
    using hnsw (place extensions.vector_ip_ops) where is_listed and slot = 1;
comment on table soundscape.item_factors
    is 'The factors of each listed recording in a model. A listener is the sum of the keys of their choices, each '
       'times its confidence. The best recordings have the largest inner product of place and listener.';
comment on column soundscape.item_factors.model_id is 'The model.';
comment on column soundscape.item_factors.audio_id is 'The recording.';
comment on column soundscape.item_factors.is_listed
    is 'Whether the recording is listed, repeated from audio_files. Rows of other recordings are deleted.';
comment on column soundscape.item_factors.slot is 'The model''s slot.';
comment on column soundscape.item_factors.place is 'Its factors.';
comment on column soundscape.item_factors.key is 'What choosing it adds to a listener.';
comment on column soundscape.item_factors.popularity is 'The share of people who chose it, 0 to 1.';
comment on column soundscape.item_factors.is_cold
    is 'Whether its factors are predicted from its sound, because too few people chose it.';

create table soundscape.item_neighbours (
    model_id bigint not null,
    audio_id uuid not null,
    is_listed boolean not null,
    neighbour_id uuid not null,
    neighbour_is_listed boolean not null,
    weight real not null,
    primary key (audio_id, is_listed, model_id, neighbour_id),
    check (audio_id <> neighbour_id),
    -- One foreign key for model and recording. There are twenty rows a recording, and each foreign key is checked for
    -- each row.
    constraint item_neighbours_audio_id_fkey foreign key (audio_id, is_listed, model_id)
        references soundscape.item_factors (audio_id, is_listed, model_id) on update cascade on delete cascade,
    constraint item_neighbours_neighbour_id_fkey foreign key (neighbour_id, neighbour_is_listed)
        references public.audio_files (id, is_listed) on update cascade on delete cascade
);
alter table soundscape.item_neighbours enable row level security;
create index item_neighbours_by_neighbour on soundscape.item_neighbours (neighbour_id, neighbour_is_listed);
comment on table soundscape.item_neighbours
    is 'The twenty recordings that are most often chosen together with a recording.';
comment on column soundscape.item_neighbours.model_id is 'The model.';
comment on column soundscape.item_neighbours.audio_id is 'The recording that was chosen.';
comment on column soundscape.item_neighbours.is_listed is 'Whether everybody sees it, repeated from audio_files.';
comment on column soundscape.item_neighbours.neighbour_id is 'The recording that is chosen together with it.';
comment on column soundscape.item_neighbours.neighbour_is_listed
    is 'Whether everybody sees that one, repeated from audio_files.';
comment on column soundscape.item_neighbours.weight is 'How strongly. The weights of several choices are added.';

create table soundscape.factor_maps (
    model_id bigint not null references soundscape.recommendation_models (id) on delete cascade,
    space text not null check (char_length(space) between 1 and 64),
    factor smallint not null check (factor between 0 and 31),
    weights extensions.vector(128) not null,
    intercept real not null,
    key_weights extensions.vector(128) not null,
    key_intercept real not null,
    primary key (model_id, space, factor)
);
alter table soundscape.factor_maps enable row level security;
comment on table soundscape.factor_maps
    is 'The map from an embedding to factors, one row a factor. Only the worker''s functions read it.';
comment on column soundscape.factor_maps.model_id is 'The model.';
comment on column soundscape.factor_maps.space is 'The space of the embeddings.';
comment on column soundscape.factor_maps.factor is 'The number of the factor, from 0.';
comment on column soundscape.factor_maps.weights
    is 'The factor of the place is the inner product of this with the embedding, plus the intercept.';
comment on column soundscape.factor_maps.intercept is 'The intercept of the place.';
comment on column soundscape.factor_maps.key_weights is 'The same for the key.';
comment on column soundscape.factor_maps.key_intercept is 'The intercept of the key.';

create function soundscape.withdraw_from_models() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    delete from soundscape.item_neighbours n where n.audio_id = old.id or n.neighbour_id = old.id;
    delete from soundscape.item_factors i where i.audio_id = old.id;
    return new;
end
$$;
comment on function soundscape.withdraw_from_models()
    is 'Trigger on audio_files: a recording that is no longer listed is deleted from every model in the same '
       'transaction.';

-- This is a trigger before the update, because the foreign keys would carry the change to rows that must be deleted.
create trigger audio_files_withdraw before update of is_public, hidden_at on public.audio_files
    for each row when (old.is_listed and not (new.is_public and new.hidden_at is null))
    execute function soundscape.withdraw_from_models();

-- Without a SET clause Postgres inlines these two functions, which saves 30 µs a call. The bodies were parsed when the
-- functions were created, so the search path does not matter.
create function soundscape.listen_weight(listened_s real, completed boolean, duration_s double precision) returns real
language sql immutable parallel safe
return case
    when completed then 1
    -- The recording was opened, and nothing more is known.
    when listened_s = 0 then 0
    when listened_s < 30 and listened_s < 0.2 * coalesce(duration_s, 180) then -1
    else least(1, greatest(listened_s / greatest(coalesce(duration_s, 180), 1), listened_s / 240))
end;
comment on function soundscape.listen_weight(real, boolean, double precision)
    is 'The weight of one listening: 1 for listening to the end, otherwise the share that was heard (or of four '
       'minutes). -1 for a skip: less than 30 s and less than a fifth.';

create function soundscape.choices(people uuid[], latest integer default null)
returns table (user_id uuid, audio_id uuid, weight real, chosen_at timestamptz)
language sql stable rows 100 set search_path = '' as $$
    with done as (
        select l.user_id, l.audio_id, true as liked, false as kept, null::real as listened_s,
            null::boolean as completed, l.created_at as at
        from public.likes l where l.user_id = any (people)
        union all
        select p.user_id, i.audio_id, false, true, null, null, i.added_at
        from public.playlists p join public.playlist_items i on i.playlist_id = p.id where p.user_id = any (people)
        union all
        select h.user_id, h.audio_id, false, false, h.listened_s, h.completed, h.started_at
        from unnest(people) as one (id) cross join lateral (
            select * from public.listening_events e
                where e.user_id = one.id order by e.started_at desc limit latest) as h)
    select d.user_id, d.audio_id,
           greatest(
               case when bool_or(d.liked) then 3 else 0 end + case when bool_or(d.kept) then 2 else 0 end
               + least(3, coalesce(sum(soundscape.listen_weight(d.listened_s, d.completed,
                   f.duration)) filter (where d.listened_s is not null), 0)),
               -- A skip does not cancel a like.
               case when bool_or(d.liked or d.kept) then 1 else -3 end)::real,
           max(d.at)
    from done d join public.audio_files f on f.id = d.audio_id
    where f.is_listed and f.user_id <> d.user_id
    group by d.user_id, d.audio_id
$$;
comment on function soundscape.choices(uuid[], integer)
    is 'How much people chose each listed recording of others, under the caller''s own rights: 3 for a like, 2 for a '
       'playlist, up to 3 for listening (all of it, or the latest events), minus 1 for each skip. Models are fitted '
       'on it, and recommended_audio reads the caller''s.';

create function soundscape.choice_confidence(weight real, alpha real, skip real) returns real
language sql immutable parallel safe
return case when weight > 0 then 1 + alpha * ln(1 + weight) / ln(2) else skip * weight end;
comment on function soundscape.choice_confidence(real, real, real)
    is 'How much a choice moves a listener: 1 + alpha · log2(1 + weight), or skip times a negative weight. alpha and '
       'skip are settings of the model.';

create function soundscape.listener_vector(model bigint, chosen uuid[], weights real[]) returns extensions.vector
language sql stable set search_path = '' as $$
    select extensions.sum(i.key operator(extensions.*) array_fill(
        soundscape.choice_confidence(c.weight, (m.settings ->> 'alpha')::real, (m.settings ->> 'skip')::real),
            array[32])::extensions.vector)
    from unnest(chosen, weights) as c (audio_id, weight)
    join soundscape.recommendation_models m on m.id = model
    join soundscape.item_factors i on i.model_id = model and i.audio_id = c.audio_id
$$;
comment on function soundscape.listener_vector(bigint, uuid[], real[])
    is 'The factors of a listener with these choices: the sum of their keys, each times the confidence of its weight. '
       'Null if the model knows none of them.';

create function soundscape.centroid_of_choices(model bigint, chosen uuid[], weights real[])
returns table (space text, place extensions.halfvec)
language sql stable rows 1 set search_path = '' as $$
    select e.space, extensions.l2_normalize(extensions.sum(
        e.embedding::extensions.vector operator(extensions.*) array_fill(
            soundscape.choice_confidence(c.weight, (m.settings ->> 'alpha')::real, 0), array[128])::extensions.vector
    ))::extensions.halfvec
    from unnest(chosen, weights) as c (audio_id, weight)
    join soundscape.recommendation_models m on m.id = model
    join public.audio_embeddings e on e.audio_id = c.audio_id and e.space = m.space
    where c.weight > 0
    group by e.space
$$;
comment on function soundscape.centroid_of_choices(bigint, uuid[], real[])
    is 'The mean embedding of choices in the space of a model, weighted by confidence. One row or none.';

-- Fitting
-- =======

create table soundscape.fit_lease (
    only_row boolean primary key default true check (only_row),
    token uuid,
    held_until timestamptz,
    begun_at timestamptz,
    ended_at timestamptz
);
alter table soundscape.fit_lease enable row level security;
comment on table soundscape.fit_lease is 'Who is fitting a model. One row.';
comment on column soundscape.fit_lease.only_row is 'There is one row.';
comment on column soundscape.fit_lease.token is 'Whoever has the token may write. Null if nobody is fitting.';
comment on column soundscape.fit_lease.held_until is 'When the lease ends. Each step extends it.';
comment on column soundscape.fit_lease.begun_at is 'When the latest fit began.';
comment on column soundscape.fit_lease.ended_at is 'When the latest complete fit ended, whatever its result.';
insert into soundscape.fit_lease default values;

create function soundscape.begin_fit(every_h double precision default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    lease soundscape.fit_lease;
    model soundscape.recommendation_models;
begin
    select * into lease from soundscape.fit_lease for update;
    if lease.token is not null and lease.held_until > clock_timestamp() then
        return jsonb_build_object('held_until', lease.held_until);
    elsif lease.begun_at > clock_timestamp() - make_interval(secs => every_h * 3600) then
        return jsonb_build_object('due_at', lease.begun_at + make_interval(secs => every_h * 3600));
    end if;
    update soundscape.fit_lease
    set token = gen_random_uuid(), begun_at = clock_timestamp(), held_until = clock_timestamp() + interval '15 minutes'
    returning * into lease;
    -- A model that an interrupted fit had staged.
    update soundscape.recommendation_models set state = 'retired' where state = 'staged';
    select * into model from soundscape.recommendation_models m where m.state = 'in_force';
    return jsonb_build_object(
        'token', lease.token,
        'space', (select e.space from public.audio_embeddings e
            where e.is_listed group by e.space order by count(*) desc, e.space limit 1),
        'listed', (select count(*) from public.audio_files f where f.is_listed and f.status = 'ready'),
        'in_force', case when model.id is not null then to_jsonb(model) end,
        'weights', (select to_jsonb(w) - 'only_row' from soundscape.recommendation_weights w));
end
$$;
comment on function soundscape.begin_fit(double precision)
    is 'Worker only. Takes the lease to fit a model. Returns its token, the space of most recordings, how many are '
       'listed, the model in force, and the weights of recommended_audio. Without a token: held_until says how long '
       'another fit has the lease, due_at when every_h hours have passed.';

create function soundscape.extend_fit_lease(holder uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    update soundscape.fit_lease
    set held_until = greatest(held_until, clock_timestamp() + interval '15 minutes')
    where token = holder;
    if not found then
        raise exception 'Another fit has the lease.' using errcode = 'PT409', hint = 'Begin again.';
    end if;
end
$$;
comment on function soundscape.extend_fit_lease(uuid)
    is 'Extends the fit lease. An error if another fit has it. The row stays locked until the step is done.';

create function soundscape.end_fit(token uuid) returns void
language sql security definer set search_path = '' as $$
    update soundscape.fit_lease t set token = null, held_until = null, ended_at = clock_timestamp()
    where t.token = end_fit.token
$$;
comment on function soundscape.end_fit(uuid) is 'Worker only. Ends the lease.';

create function soundscape.fit_history(after uuid default null, max_people integer default 500) returns jsonb
language sql stable security definer set search_path = '' as $$
    with people as (
        select u.id from public.users u where after is null or u.id > after order by u.id limit max_people)
    select jsonb_build_object(
        'after', (select p.id from people p order by p.id desc limit 1),
        'user', coalesce(jsonb_agg(c.user_id order by c.user_id, c.audio_id), '[]'),
        'item', coalesce(jsonb_agg(c.audio_id order by c.user_id, c.audio_id), '[]'),
        'weight', coalesce(jsonb_agg(c.weight order by c.user_id, c.audio_id), '[]'),
        'time', coalesce(jsonb_agg(round(extract(epoch from c.chosen_at)) order by c.user_id, c.audio_id), '[]'))
    from soundscape.choices(array(select p.id from people p)) as c
    join public.audio_files f on f.id = c.audio_id and f.status = 'ready'
$$;
comment on function soundscape.fit_history(uuid, integer)
    is 'Worker only. What the next people (in order of id from after on) chose among listed recordings of others, in '
       'columns. after is null past the last.';

create function soundscape.fit_embeddings(recordings uuid[], space text) returns jsonb
language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_object_agg(e.audio_id, e.embedding::text), '{}')
    from public.audio_embeddings e
    where e.audio_id = any (recordings) and e.space = fit_embeddings.space and e.is_listed
$$;
comment on function soundscape.fit_embeddings(uuid[], text) is 'Worker only. Embeddings of listed recordings.';

create function soundscape.model_items(model bigint, recordings uuid[]) returns jsonb
language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_agg(jsonb_build_object(
        'id', i.audio_id, 'place', i.place::text, 'key', i.key::text, 'is_cold', i.is_cold,
        'neighbours', n.ids, 'weights', n.weights)), '[]')
    from soundscape.item_factors i, lateral (
        select coalesce(jsonb_agg(n.neighbour_id), '[]') as ids, coalesce(jsonb_agg(n.weight), '[]') as weights
        from soundscape.item_neighbours n where n.audio_id = i.audio_id and n.model_id = i.model_id) as n
    where i.model_id = model and i.audio_id = any (recordings)
$$;
comment on function soundscape.model_items(bigint, uuid[])
    is 'Worker only. What a model holds about these recordings, to compare it with another model.';

create function soundscape.stage_model(token uuid, model jsonb, map jsonb default '[]',
    refused boolean default false) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
    found_id bigint;
begin
    perform soundscape.extend_fit_lease(token);
    insert into soundscape.recommendation_models (state, slot, space, settings, figures, people, items, events)
    values (case when refused then 'refused' else 'staged' end,
            -- The slot that the model in force does not use.
            1 - coalesce((select m.slot from soundscape.recommendation_models m where m.state = 'in_force'), 1),
            model ->> 'space', model -> 'settings', model -> 'figures',
            (model ->> 'people')::integer, (model ->> 'items')::integer, (model ->> 'events')::integer)
    returning id into found_id;
    insert into soundscape.factor_maps (model_id, space, factor, weights, intercept, key_weights, key_intercept)
    select found_id, model ->> 'space', r.factor, r.weights::extensions.vector, r.intercept,
        r.key_weights::extensions.vector, r.key_intercept
    from jsonb_to_recordset(map) as r (factor smallint, weights text, intercept real, key_weights text,
        key_intercept real)
    where not refused;
    return found_id;
end
$$;
comment on function soundscape.stage_model(uuid, jsonb, jsonb, boolean)
    is 'Worker only. Starts writing a model beside the one in force, or records a refused one. Returns its id.';

create function soundscape.staged_model(model bigint) returns soundscape.recommendation_models
language plpgsql stable security definer set search_path = '' as $$
declare
    found_model soundscape.recommendation_models;
begin
    select * into found_model from soundscape.recommendation_models m where m.id = model and m.state = 'staged';
    if found_model.id is null then
        raise exception 'Model % is not staged.', model using errcode = 'PT409', hint = 'Begin again.';
    end if;
    return found_model;
end
$$;
comment on function soundscape.staged_model(bigint) is 'A model that is being written. An error for any other.';

create function soundscape.stage_items(token uuid, model bigint, items jsonb) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    this soundscape.recommendation_models;
    written integer;
begin
    perform soundscape.extend_fit_lease(token);
    this := soundscape.staged_model(model);
    -- The lock makes sure that only listed recordings are written. Whoever makes a recording private waits, and then
    -- finds its rows here.
    with given as materialized (
        select r.* from jsonb_to_recordset(items) as r (id uuid, place text, key text, popularity real,
            neighbours uuid[], weights real[])),
    listed as materialized (
        select f.id from public.audio_files f
        where f.is_listed and f.id in (select g.id from given g union select unnest(g.neighbours) from given g)
        order by f.id for key share),
    neighbours as (
        insert into soundscape.item_neighbours (model_id, audio_id, is_listed, neighbour_id, neighbour_is_listed,
            weight)
        select model, g.id, true, n.id, true, n.weight
        from given g, unnest(g.neighbours, g.weights) as n (id, weight)
        where g.id in (select l.id from listed l) and n.id in (select l.id from listed l))
    insert into soundscape.item_factors (model_id, audio_id, is_listed, slot, place, key, popularity)
    select model, g.id, true, this.slot, g.place::extensions.vector, g.key::extensions.vector, g.popularity
    from given g where g.id in (select l.id from listed l);
    get diagnostics written = row_count;
    return written;
end
$$;
comment on function soundscape.stage_items(uuid, bigint, jsonb)
    is 'Worker only. Writes factors and neighbours of recordings into a staged model. Recordings that are no longer '
       'listed are left out.';

create function soundscape.predict_factors(model bigint, space text, embedding extensions.halfvec)
returns table (place extensions.vector, key extensions.vector)
language sql stable rows 1 set search_path = '' as $$
    select array_agg(
               m.intercept - (m.weights operator(extensions.<#>) embedding::extensions.vector)
               order by m.factor)::extensions.vector,
           array_agg(
               m.key_intercept - (m.key_weights operator(extensions.<#>) embedding::extensions.vector)
               order by m.factor)::extensions.vector
    from soundscape.factor_maps m where m.model_id = model and m.space = predict_factors.space
    having count(*) = 32
$$;
comment on function soundscape.predict_factors(bigint, text, extensions.halfvec)
    is 'The factors that a model predicts for a recording with this embedding. No row if it has no map of that space.';

create function soundscape.stage_cold(token uuid, model bigint, after uuid default null,
    max_recordings integer default 500) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    this soundscape.recommendation_models;
    last_id uuid;
    written integer;
begin
    perform soundscape.extend_fit_lease(token);
    this := soundscape.staged_model(model);
    with next_ones as materialized (
        select e.audio_id, e.embedding from public.audio_embeddings e
        where e.is_listed and e.space = this.space and (after is null or e.audio_id > after)
        order by e.audio_id limit max_recordings),
    listed as materialized (
        select f.id from public.audio_files f
        where f.is_listed and f.status = 'ready' and f.id in (select n.audio_id
            from next_ones n) order by f.id for key share),
    placed as (
        insert into soundscape.item_factors (model_id, audio_id, is_listed, slot, place, key, is_cold)
        select model, n.audio_id, true, this.slot, g.place, g.key, true
        from next_ones n, lateral soundscape.predict_factors(model, this.space, n.embedding) as g
        where n.audio_id in (select l.id from listed l)
        on conflict do nothing returning 1)
    select (select n.audio_id from next_ones n order by n.audio_id desc limit 1), (select count(*) from placed)
    into last_id, written;
    return jsonb_build_object('after', last_id, 'placed', written);
end
$$;
comment on function soundscape.stage_cold(uuid, bigint, uuid, integer)
    is 'Worker only. Adds the next listed recordings that nobody has chosen to a staged model, by how they sound. '
       'after is null past the last.';

create function soundscape.publish_lock_key() returns bigint
language sql immutable parallel safe set search_path = '' return 7306861441::bigint;
comment on function soundscape.publish_lock_key()
    is 'The advisory lock between publishing a model (exclusive) and adding a recording to the model in force '
       '(shared).';

create function soundscape.publish_model(token uuid, model bigint) returns void
language plpgsql security definer set search_path = '' as $$
declare
    this soundscape.recommendation_models;
begin
    perform soundscape.extend_fit_lease(token);
    -- Recordings that are being placed in the old model are waited for, and found below. Later ones find the new model.
    perform pg_advisory_xact_lock(soundscape.publish_lock_key());
    this := soundscape.staged_model(model);
    insert into soundscape.item_factors (model_id, audio_id, is_listed, slot, place, key, is_cold)
    select model, l.id, true, this.slot, g.place, g.key, true
    from (select f.id, e.embedding from public.audio_files f join public.audio_embeddings e on e.audio_id = f.id
          where f.is_listed and f.status = 'ready' and e.space = this.space
            and not exists (select from soundscape.item_factors i where i.model_id = model and i.audio_id = f.id)
          -- A recording whose visibility is being changed is placed by its trigger, which waits for this transaction.
          for key share of f skip locked) as l,
         lateral soundscape.predict_factors(model, this.space, l.embedding) as g
    on conflict do nothing;
    update soundscape.recommendation_models set state = 'retired' where state = 'in_force';
    update soundscape.recommendation_models set state = 'in_force', published_at = clock_timestamp() where id = model;
end
$$;
comment on function soundscape.publish_model(uuid, bigint)
    is 'Worker only. Puts the staged model in force and retires the one before, in one transaction.';

create function soundscape.clear_models(token uuid, max_items integer default 500) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    gone bigint[];
    cleared integer;
begin
    perform soundscape.extend_fit_lease(token);
    gone := array(select m.id from soundscape.recommendation_models m where m.state in ('retired', 'refused'));
    -- The foreign key deletes their neighbours too.
    delete from soundscape.item_factors where ctid = any (array(
        select i.ctid from soundscape.item_factors i where i.model_id = any (gone) limit max_items));
    get diagnostics cleared = row_count;
    delete from soundscape.factor_maps where model_id = any (gone);
    if cleared = 0 then
        delete from soundscape.recommendation_models where id in (
            select m.id from soundscape.recommendation_models m where m.state in ('retired',
                'refused') order by m.id desc offset 50);
    end if;
    return cleared;
end
$$;
comment on function soundscape.clear_models(uuid, integer)
    is 'Worker only. Deletes some items of models that are no longer in force, and keeps the latest fifty models '
       'themselves. Returns the number of items deleted; 0 when none is left.';

create function soundscape.list_models(max_models integer default 10) returns jsonb
language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(l) order by l.in_force desc, l.id desc), '[]') from (
        select m.*, m.state = 'in_force' as in_force,
               case when m.state = 'in_force' then (
                   select jsonb_build_object('placed', count(*), 'cold', count(*) filter (where i.is_cold))
                   from soundscape.item_factors i where i.model_id = m.id) end as recordings
        from soundscape.recommendation_models m order by m.state = 'in_force' desc, m.id desc limit max_models) as l
$$;
comment on function soundscape.list_models(integer)
    is 'Worker only. The model in force and the latest others, with their figures.';

create function soundscape.place_in_model() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    model soundscape.recommendation_models;
begin
    perform pg_advisory_xact_lock_shared(soundscape.publish_lock_key());
    select * into model from soundscape.recommendation_models m where m.state = 'in_force' and m.space = new.space;
    if model.id is not null then
        insert into soundscape.item_factors as i (model_id, audio_id, is_listed, slot, place, key, is_cold)
        select model.id, new.audio_id, true, model.slot, g.place, g.key, true
        from soundscape.predict_factors(model.id, new.space, new.embedding) as g
        on conflict (model_id, audio_id) do update set place = excluded.place, key = excluded.key where i.is_cold;
    end if;
    return null;
end
$$;
comment on function soundscape.place_in_model()
    is 'Trigger on audio_embeddings: adds a listed recording that nobody has chosen to the model in force, in the '
       'transaction that completes its analysis or makes it public.';

create trigger audio_embeddings_place after insert or update of embedding, is_listed on public.audio_embeddings
    for each row when (new.is_listed) execute function soundscape.place_in_model();
