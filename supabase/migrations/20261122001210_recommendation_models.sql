-- What was learnt from many people's choices: models, one of them in force, and where each puts every listed
-- recording. Only listed recordings, and what was done with them, are ever learnt from, so that nothing about a
-- private one can show in a score. Row level security lets whoever is signed in read what the model in force says.

alter table public.audio_files add constraint audio_files_id_is_listed_key unique (id, is_listed);

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
comment on table soundscape.recommendation_models is 'Every model that was fitted. The one in force serves; there is none, or one.';
comment on column soundscape.recommendation_models.id is 'The model.';
comment on column soundscape.recommendation_models.state is 'staged: being written. in_force: serves. retired: served. refused: was worse than what served, or than popularity.';
comment on column soundscape.recommendation_models.slot is 'Which of the two indexes of places is its own, so that the next model is written beside the one in force.';
comment on column soundscape.recommendation_models.space is 'The space of the audio embeddings that its map reads; null: it knows no map.';
comment on column soundscape.recommendation_models.settings is 'What it was fitted with, and how what it says is to be blended: docs/recommendations.md.';
comment on column soundscape.recommendation_models.figures is 'What it and others were worth on what was held back.';
comment on column soundscape.recommendation_models.people is 'How many people it was learnt from.';
comment on column soundscape.recommendation_models.items is 'How many recordings they chose among.';
comment on column soundscape.recommendation_models.events is 'How many pairs of both.';
comment on column soundscape.recommendation_models.fitted_at is 'When it was fitted.';
comment on column soundscape.recommendation_models.published_at is 'Since when it serves, or when it began to.';

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
    -- For the neighbours to refer to, and what is found by recording.
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
comment on table soundscape.item_factors is 'Where a model puts each listed recording. A listener is the sum of the keys of what they chose, each times its confidence; what suits them has the largest inner product of its place with that.';
comment on column soundscape.item_factors.model_id is 'The model.';
comment on column soundscape.item_factors.audio_id is 'The recording.';
comment on column soundscape.item_factors.is_listed is 'Whether everybody sees the recording, carried along; rows of what is not are taken away.';
comment on column soundscape.item_factors.slot is 'The model''s slot.';
comment on column soundscape.item_factors.place is 'Its factors.';
comment on column soundscape.item_factors.key is 'What choosing it adds to a listener.';
comment on column soundscape.item_factors.popularity is 'The share of people who chose it, 0 to 1.';
comment on column soundscape.item_factors.is_cold is 'Whether its place is a guess from how it sounds, too few having chosen it.';

create table soundscape.item_neighbours (
    model_id bigint not null,
    audio_id uuid not null,
    is_listed boolean not null,
    neighbour_id uuid not null,
    neighbour_is_listed boolean not null,
    weight real not null,
    primary key (audio_id, is_listed, model_id, neighbour_id),
    check (audio_id <> neighbour_id),
    -- One key for the model and the recording: there are twenty rows a recording, and each key is looked up for each.
    constraint item_neighbours_audio_id_fkey foreign key (audio_id, is_listed, model_id)
        references soundscape.item_factors (audio_id, is_listed, model_id) on update cascade on delete cascade,
    constraint item_neighbours_neighbour_id_fkey foreign key (neighbour_id, neighbour_is_listed)
        references public.audio_files (id, is_listed) on update cascade on delete cascade
);
alter table soundscape.item_neighbours enable row level security;
create index item_neighbours_by_neighbour on soundscape.item_neighbours (neighbour_id, neighbour_is_listed);
comment on table soundscape.item_neighbours is 'What whoever chose a recording also chooses: the twenty that it speaks for most.';
comment on column soundscape.item_neighbours.model_id is 'The model.';
comment on column soundscape.item_neighbours.audio_id is 'The recording that was chosen.';
comment on column soundscape.item_neighbours.is_listed is 'Whether everybody sees it, carried along.';
comment on column soundscape.item_neighbours.neighbour_id is 'The one it speaks for.';
comment on column soundscape.item_neighbours.neighbour_is_listed is 'Whether everybody sees that one, carried along.';
comment on column soundscape.item_neighbours.weight is 'How much; weights of several that were chosen are added.';

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
comment on table soundscape.factor_maps is 'From how a recording sounds to where a model puts it: a row a factor. Read by the worker''s functions only.';
comment on column soundscape.factor_maps.model_id is 'The model.';
comment on column soundscape.factor_maps.space is 'The space of the embeddings.';
comment on column soundscape.factor_maps.factor is 'Which factor, from 0.';
comment on column soundscape.factor_maps.weights is 'The place''s factor is the inner product of this with the embedding, plus the intercept.';
comment on column soundscape.factor_maps.intercept is 'What is added.';
comment on column soundscape.factor_maps.key_weights is 'The same for the key.';
comment on column soundscape.factor_maps.key_intercept is 'What is added.';

create function soundscape.withdraw_from_models() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    delete from soundscape.item_neighbours n where n.audio_id = old.id or n.neighbour_id = old.id;
    delete from soundscape.item_factors i where i.audio_id = old.id;
    return new;
end
$$;
comment on function soundscape.withdraw_from_models() is 'Trigger on audio_files: what is no longer listed leaves every model, in the same transaction.';

-- Before: the foreign keys would carry the change to rows that are to go.
create trigger audio_files_withdraw before update of is_public, hidden_at on public.audio_files
    for each row when (old.is_listed and not (new.is_public and new.hidden_at is null))
    execute function soundscape.withdraw_from_models();

-- These two without a SET: they are taken into the query, and 30 µs a call cheaper. Their bodies were read when they were
-- made, so no search path matters.
create function soundscape.listen_weight(listened_s real, completed boolean, duration_s double precision) returns real
language sql immutable parallel safe
return case
    when completed then 1
    -- Opened, and no more is known.
    when listened_s = 0 then 0
    when listened_s < 30 and listened_s < 0.2 * coalesce(duration_s, 180) then -1
    else least(1, greatest(listened_s / greatest(coalesce(duration_s, 180), 1), listened_s / 240))
end;
comment on function soundscape.listen_weight(real, boolean, double precision) is 'What having listened says: 1 to the end, the share that was heard (or of four minutes), -1 for a skip: less than 30 s and less than a fifth.';

create function soundscape.choices(people uuid[], latest integer default null)
returns table (user_id uuid, audio_id uuid, weight real, chosen_at timestamptz)
language sql stable rows 100 set search_path = '' as $$
    with done as (
        select l.user_id, l.audio_id, true as liked, false as kept, null::real as listened_s, null::boolean as completed, l.created_at as at
        from public.likes l where l.user_id = any (people)
        union all
        select p.user_id, i.audio_id, false, true, null, null, i.added_at
        from public.playlists p join public.playlist_items i on i.playlist_id = p.id where p.user_id = any (people)
        union all
        select h.user_id, h.audio_id, false, false, h.listened_s, h.completed, h.started_at
        from unnest(people) as one (id) cross join lateral (
            select * from public.listening_events e where e.user_id = one.id order by e.started_at desc limit latest) as h)
    select d.user_id, d.audio_id,
           greatest(
               case when bool_or(d.liked) then 3 else 0 end + case when bool_or(d.kept) then 2 else 0 end
               + least(3, coalesce(sum(soundscape.listen_weight(d.listened_s, d.completed, f.duration)) filter (where d.listened_s is not null), 0)),
               -- A skip does not take a like back.
               case when bool_or(d.liked or d.kept) then 1 else -3 end)::real,
           max(d.at)
    from done d join public.audio_files f on f.id = d.audio_id
    where f.is_listed and f.user_id <> d.user_id
    group by d.user_id, d.audio_id
$$;
comment on function soundscape.choices(uuid[], integer) is 'How much people chose each listed recording of others, under the caller''s own rights: 3 for a like, 2 for a playlist of theirs, up to 3 for listening (all of it, or the latest so many times), less one for each skip. Models learn from it, and serving folds the caller in by it.';

create function soundscape.confidence(weight real, alpha real, skip real) returns real
language sql immutable parallel safe
return case when weight > 0 then 1 + alpha * ln(1 + weight) / ln(2) else skip * weight end;
comment on function soundscape.confidence(real, real, real) is 'How much a choice moves a listener: 1 + alpha · log2(1 + weight), or skip times a weight below 0. alpha and skip are a model''s settings.';

create function soundscape.listener(model bigint, chosen uuid[], weights real[]) returns extensions.vector
language sql stable set search_path = '' as $$
    select extensions.sum(i.key operator(extensions.*) array_fill(
        soundscape.confidence(c.weight, (m.settings ->> 'alpha')::real, (m.settings ->> 'skip')::real), array[32])::extensions.vector)
    from unnest(chosen, weights) as c (audio_id, weight)
    join soundscape.recommendation_models m on m.id = model
    join soundscape.item_factors i on i.model_id = model and i.audio_id = c.audio_id
$$;
comment on function soundscape.listener(bigint, uuid[], real[]) is 'Where a model puts whoever chose these: the sum of their keys, each times the confidence of its weight. Null where it knows none of them.';

create function soundscape.middle(model bigint, chosen uuid[], weights real[])
returns table (space text, place extensions.halfvec)
language sql stable rows 1 set search_path = '' as $$
    select e.space, extensions.l2_normalize(extensions.sum(e.embedding::extensions.vector operator(extensions.*) array_fill(
        soundscape.confidence(c.weight, (m.settings ->> 'alpha')::real, 0), array[128])::extensions.vector))::extensions.halfvec
    from unnest(chosen, weights) as c (audio_id, weight)
    join soundscape.recommendation_models m on m.id = model
    join public.audio_embeddings e on e.audio_id = c.audio_id and e.space = m.space
    where c.weight > 0
    group by e.space
$$;
comment on function soundscape.middle(bigint, uuid[], real[]) is 'The middle of how what somebody chose sounds, in the space of a model, each times the confidence of its weight; a row, or none.';
