-- How a model comes about: the worker takes the turn, reads what people chose, writes the new model beside the one
-- in force, batch by batch, and one transaction makes it the one that serves. Every step but the first carries the
-- turn's token, so that of two fits one goes on; whatever a fit left behind is cleared by the next.

create table soundscape.recommendation_turn (
    only_row boolean primary key default true check (only_row),
    token uuid,
    held_until timestamptz,
    begun_at timestamptz,
    ended_at timestamptz
);
alter table soundscape.recommendation_turn enable row level security;
comment on table soundscape.recommendation_turn is 'Who is fitting a model: one row.';
comment on column soundscape.recommendation_turn.only_row is 'There is one row.';
comment on column soundscape.recommendation_turn.token is 'Whoever knows it may write; null: nobody is fitting.';
comment on column soundscape.recommendation_turn.held_until is 'Until when, unless it is extended: each step does.';
comment on column soundscape.recommendation_turn.begun_at is 'When the latest fit began.';
comment on column soundscape.recommendation_turn.ended_at is 'When the latest fit that came to an end did so, whatever came of it.';
insert into soundscape.recommendation_turn default values;

create function soundscape.begin_fit(every_h double precision default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    turn soundscape.recommendation_turn;
    model soundscape.recommendation_models;
begin
    select * into turn from soundscape.recommendation_turn for update;
    if turn.token is not null and turn.held_until > clock_timestamp() then
        return jsonb_build_object('held_until', turn.held_until);
    elsif turn.begun_at > clock_timestamp() - make_interval(secs => every_h * 3600) then
        return jsonb_build_object('due_at', turn.begun_at + make_interval(secs => every_h * 3600));
    end if;
    update soundscape.recommendation_turn
    set token = gen_random_uuid(), begun_at = clock_timestamp(), held_until = clock_timestamp() + interval '15 minutes'
    returning * into turn;
    -- What a fit that broke off had staged.
    update soundscape.recommendation_models set state = 'retired' where state = 'staged';
    select * into model from soundscape.recommendation_models m where m.state = 'in_force';
    return jsonb_build_object(
        'token', turn.token,
        'space', (select e.space from public.audio_embeddings e where e.is_listed group by e.space order by count(*) desc, e.space limit 1),
        'listed', (select count(*) from public.audio_files f where f.is_listed and f.status = 'ready'),
        'in_force', case when model.id is not null then to_jsonb(model) end);
end
$$;
comment on function soundscape.begin_fit(double precision) is 'Take the turn: its token, the space most recordings are in, how many are listed, and the model in force. Without a token: who has the turn is given until held_until, or every_h hours have not passed before due_at.';

create function soundscape.hold_turn(holder uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    update soundscape.recommendation_turn
    set held_until = greatest(held_until, clock_timestamp() + interval '15 minutes')
    where token = holder;
    if not found then
        raise exception 'Somebody else is fitting.' using errcode = 'PT409', hint = 'Begin again.';
    end if;
end
$$;
comment on function soundscape.hold_turn(uuid) is 'Go on holding the turn; an error once somebody else has it. The row stays locked until the step is done.';

create function soundscape.end_fit(token uuid) returns void
language sql security definer set search_path = '' as $$
    update soundscape.recommendation_turn t set token = null, held_until = null, ended_at = clock_timestamp()
    where t.token = end_fit.token
$$;
comment on function soundscape.end_fit(uuid) is 'Give the turn back.';

create function soundscape.fit_history(after uuid default null, most integer default 500) returns jsonb
language sql stable security definer set search_path = '' as $$
    with people as (
        select u.id from public.users u where after is null or u.id > after order by u.id limit most)
    select jsonb_build_object(
        'after', (select p.id from people p order by p.id desc limit 1),
        'user', coalesce(jsonb_agg(c.user_id order by c.user_id, c.audio_id), '[]'),
        'item', coalesce(jsonb_agg(c.audio_id order by c.user_id, c.audio_id), '[]'),
        'weight', coalesce(jsonb_agg(c.weight order by c.user_id, c.audio_id), '[]'),
        'time', coalesce(jsonb_agg(round(extract(epoch from c.chosen_at)) order by c.user_id, c.audio_id), '[]'))
    from soundscape.choices(array(select p.id from people p)) as c
    join public.audio_files f on f.id = c.audio_id and f.status = 'ready'
$$;
comment on function soundscape.fit_history(uuid, integer) is 'What the next people after an id chose among listed recordings of others, in columns; after is null past the last.';

create function soundscape.fit_embeddings(recordings uuid[], space text) returns jsonb
language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_object_agg(e.audio_id, e.embedding::text), '{}')
    from public.audio_embeddings e
    where e.audio_id = any (recordings) and e.space = fit_embeddings.space and e.is_listed
$$;
comment on function soundscape.fit_embeddings(uuid[], text) is 'Where listed recordings lie among sounds.';

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
comment on function soundscape.model_items(bigint, uuid[]) is 'What a model says of recordings, so that it can be asked what another is asked.';

create function soundscape.stage_model(token uuid, model jsonb, map jsonb default '[]', refused boolean default false) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
    found_id bigint;
begin
    perform soundscape.hold_turn(token);
    insert into soundscape.recommendation_models (state, slot, space, settings, figures, people, items, events)
    values (case when refused then 'refused' else 'staged' end,
            -- The slot that the one in force has not.
            1 - coalesce((select m.slot from soundscape.recommendation_models m where m.state = 'in_force'), 1),
            model ->> 'space', model -> 'settings', model -> 'figures',
            (model ->> 'people')::integer, (model ->> 'items')::integer, (model ->> 'events')::integer)
    returning id into found_id;
    insert into soundscape.factor_maps (model_id, space, factor, weights, intercept, key_weights, key_intercept)
    select found_id, model ->> 'space', r.factor, r.weights::extensions.vector, r.intercept, r.key_weights::extensions.vector, r.key_intercept
    from jsonb_to_recordset(map) as r (factor smallint, weights text, intercept real, key_weights text, key_intercept real)
    where not refused;
    return found_id;
end
$$;
comment on function soundscape.stage_model(uuid, jsonb, jsonb, boolean) is 'Begin to write a model beside the one in force, or note one that was refused; returns which.';

create function soundscape.staged(model bigint) returns soundscape.recommendation_models
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
comment on function soundscape.staged(bigint) is 'A model that is being written; an error for any other.';

create function soundscape.stage_items(token uuid, model bigint, items jsonb) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    this soundscape.recommendation_models;
    written integer;
begin
    perform soundscape.hold_turn(token);
    this := soundscape.staged(model);
    -- The lock keeps what is written to what is listed: whoever takes a recording back waits, and then finds it here.
    with given as materialized (
        select r.* from jsonb_to_recordset(items) as r (id uuid, place text, key text, popularity real, neighbours uuid[], weights real[])),
    listed as materialized (
        select f.id from public.audio_files f
        where f.is_listed and f.id in (select g.id from given g union select unnest(g.neighbours) from given g)
        order by f.id for key share),
    neighbours as (
        insert into soundscape.item_neighbours (model_id, audio_id, is_listed, neighbour_id, neighbour_is_listed, weight)
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
comment on function soundscape.stage_items(uuid, bigint, jsonb) is 'Write places and neighbours of some recordings into a staged model, those that are still listed.';

create function soundscape.guess(model bigint, space text, embedding extensions.halfvec)
returns table (place extensions.vector, key extensions.vector)
language sql stable rows 1 set search_path = '' as $$
    select array_agg(m.intercept - (m.weights operator(extensions.<#>) embedding::extensions.vector) order by m.factor)::extensions.vector,
           array_agg(m.key_intercept - (m.key_weights operator(extensions.<#>) embedding::extensions.vector) order by m.factor)::extensions.vector
    from soundscape.factor_maps m where m.model_id = model and m.space = guess.space
    having count(*) = 32
$$;
comment on function soundscape.guess(bigint, text, extensions.halfvec) is 'Where a model would put a recording that sounds like this; nothing where it has no map of that space.';

create function soundscape.stage_cold(token uuid, model bigint, after uuid default null, most integer default 500) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    this soundscape.recommendation_models;
    last_id uuid;
    written integer;
begin
    perform soundscape.hold_turn(token);
    this := soundscape.staged(model);
    with next_ones as materialized (
        select e.audio_id, e.embedding from public.audio_embeddings e
        where e.is_listed and e.space = this.space and (after is null or e.audio_id > after)
        order by e.audio_id limit most),
    listed as materialized (
        select f.id from public.audio_files f
        where f.is_listed and f.status = 'ready' and f.id in (select n.audio_id from next_ones n) order by f.id for key share),
    placed as (
        insert into soundscape.item_factors (model_id, audio_id, is_listed, slot, place, key, is_cold)
        select model, n.audio_id, true, this.slot, g.place, g.key, true
        from next_ones n, lateral soundscape.guess(model, this.space, n.embedding) as g
        where n.audio_id in (select l.id from listed l)
        on conflict do nothing returning 1)
    select (select n.audio_id from next_ones n order by n.audio_id desc limit 1), (select count(*) from placed)
    into last_id, written;
    return jsonb_build_object('after', last_id, 'placed', written);
end
$$;
comment on function soundscape.stage_cold(uuid, bigint, uuid, integer) is 'Place the next listed recordings that a staged model has not learnt of by how they sound; after is null past the last.';

create function soundscape.publishing() returns bigint
language sql immutable parallel safe set search_path = '' return 7306861441::bigint;
comment on function soundscape.publishing() is 'The advisory lock between publishing a model (exclusive) and placing one recording in the one in force (shared).';

create function soundscape.publish_model(token uuid, model bigint) returns void
language plpgsql security definer set search_path = '' as $$
declare
    this soundscape.recommendation_models;
begin
    perform soundscape.hold_turn(token);
    -- Whatever is being placed in the old model is waited for, and found below; what follows finds the new one.
    perform pg_advisory_xact_lock(soundscape.publishing());
    this := soundscape.staged(model);
    insert into soundscape.item_factors (model_id, audio_id, is_listed, slot, place, key, is_cold)
    select model, l.id, true, this.slot, g.place, g.key, true
    from (select f.id, e.embedding from public.audio_files f join public.audio_embeddings e on e.audio_id = f.id
          where f.is_listed and f.status = 'ready' and e.space = this.space
            and not exists (select from soundscape.item_factors i where i.model_id = model and i.audio_id = f.id)
          -- One that somebody is making public or taking back comes by its trigger, which waits for us.
          for key share of f skip locked) as l,
         lateral soundscape.guess(model, this.space, l.embedding) as g
    on conflict do nothing;
    update soundscape.recommendation_models set state = 'retired' where state = 'in_force';
    update soundscape.recommendation_models set state = 'in_force', published_at = clock_timestamp() where id = model;
end
$$;
comment on function soundscape.publish_model(uuid, bigint) is 'From this transaction on the staged model serves, and the one before no more.';

create function soundscape.clear_models(token uuid, most integer default 500) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    gone bigint[];
    cleared integer;
begin
    perform soundscape.hold_turn(token);
    gone := array(select m.id from soundscape.recommendation_models m where m.state in ('retired', 'refused'));
    -- Their neighbours go with them.
    delete from soundscape.item_factors where ctid = any (array(
        select i.ctid from soundscape.item_factors i where i.model_id = any (gone) limit most));
    get diagnostics cleared = row_count;
    delete from soundscape.factor_maps where model_id = any (gone);
    if cleared = 0 then
        delete from soundscape.recommendation_models where id in (
            select m.id from soundscape.recommendation_models m where m.state in ('retired', 'refused') order by m.id desc offset 50);
    end if;
    return cleared;
end
$$;
comment on function soundscape.clear_models(uuid, integer) is 'Delete some of what models say that serve no more, of so many recordings; of the models themselves the latest fifty are kept. Returns of how many; 0: there are none left.';

create function soundscape.list_models(most integer default 10) returns jsonb
language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(l) order by l.in_force desc, l.id desc), '[]') from (
        select m.*, m.state = 'in_force' as in_force,
               case when m.state = 'in_force' then (
                   select jsonb_build_object('placed', count(*), 'cold', count(*) filter (where i.is_cold))
                   from soundscape.item_factors i where i.model_id = m.id) end as recordings
        from soundscape.recommendation_models m order by m.state = 'in_force' desc, m.id desc limit most) as l
$$;
comment on function soundscape.list_models(integer) is 'The model in force and the latest others, with what they were worth.';

create function soundscape.place_in_model() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    model soundscape.recommendation_models;
begin
    perform pg_advisory_xact_lock_shared(soundscape.publishing());
    select * into model from soundscape.recommendation_models m where m.state = 'in_force' and m.space = new.space;
    if model.id is not null then
        insert into soundscape.item_factors as i (model_id, audio_id, is_listed, slot, place, key, is_cold)
        select model.id, new.audio_id, true, model.slot, g.place, g.key, true
        from soundscape.guess(model.id, new.space, new.embedding) as g
        on conflict (model_id, audio_id) do update set place = excluded.place, key = excluded.key where i.is_cold;
    end if;
    return null;
end
$$;
comment on function soundscape.place_in_model() is 'Trigger on audio_embeddings: a listed recording that nobody chose yet has a place in the model in force from the transaction that completes its analysis, or that makes it public.';

create trigger audio_embeddings_place after insert or update of embedding, is_listed on public.audio_embeddings
    for each row when (new.is_listed) execute function soundscape.place_in_model();

create function public.begin_fit(every_h double precision default null) returns jsonb
language sql set search_path = ''
as $$ select soundscape.begin_fit(every_h) $$;
comment on function public.begin_fit(double precision) is 'Worker only: take the turn to fit a model.';

create function public.end_fit(token uuid) returns void
language sql set search_path = ''
as $$ select soundscape.end_fit(token) $$;
comment on function public.end_fit(uuid) is 'Worker only: give the turn back.';

create function public.fit_history(after uuid default null, most integer default 500) returns jsonb
language sql stable set search_path = ''
as $$ select soundscape.fit_history(after, most) $$;
comment on function public.fit_history(uuid, integer) is 'Worker only: what people chose.';

create function public.fit_embeddings(recordings uuid[], space text) returns jsonb
language sql stable set search_path = ''
as $$ select soundscape.fit_embeddings(recordings, space) $$;
comment on function public.fit_embeddings(uuid[], text) is 'Worker only: how recordings sound.';

create function public.model_items(model bigint, recordings uuid[]) returns jsonb
language sql stable set search_path = ''
as $$ select soundscape.model_items(model, recordings) $$;
comment on function public.model_items(bigint, uuid[]) is 'Worker only: what a model says of recordings.';

create function public.stage_model(token uuid, model jsonb, map jsonb default '[]', refused boolean default false) returns bigint
language sql set search_path = ''
as $$ select soundscape.stage_model(token, model, map, refused) $$;
comment on function public.stage_model(uuid, jsonb, jsonb, boolean) is 'Worker only: begin to write a model.';

create function public.stage_items(token uuid, model bigint, items jsonb) returns integer
language sql set search_path = ''
as $$ select soundscape.stage_items(token, model, items) $$;
comment on function public.stage_items(uuid, bigint, jsonb) is 'Worker only: write places and neighbours.';

create function public.stage_cold(token uuid, model bigint, after uuid default null, most integer default 500) returns jsonb
language sql set search_path = ''
as $$ select soundscape.stage_cold(token, model, after, most) $$;
comment on function public.stage_cold(uuid, bigint, uuid, integer) is 'Worker only: place what nobody chose yet.';

create function public.publish_model(token uuid, model bigint) returns void
language sql set search_path = ''
as $$ select soundscape.publish_model(token, model) $$;
comment on function public.publish_model(uuid, bigint) is 'Worker only: from now on this model serves.';

create function public.clear_models(token uuid, most integer default 500) returns integer
language sql set search_path = ''
as $$ select soundscape.clear_models(token, most) $$;
comment on function public.clear_models(uuid, integer) is 'Worker only: delete what serves no more.';

create function public.list_models(most integer default 10) returns jsonb
language sql stable set search_path = ''
as $$ select soundscape.list_models(most) $$;
comment on function public.list_models(integer) is 'Worker only: the models there are.';
