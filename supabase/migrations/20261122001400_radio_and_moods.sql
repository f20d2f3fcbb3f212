-- Radio and moods: playlists made from a recording or for a mood, under the caller's own rights.
--
-- A mood is defined by rules, one row each, about measured values and labels. Nobody was asked how a sound makes them
-- feel. docs/recommendations.md explains each rule.

-- Radio
-- =====

create function soundscape.seeded_random(id uuid, seed bigint) returns double precision
language sql immutable parallel safe
-- Without a SET clause Postgres inlines it, which saves 30 µs a call. The body was parsed when the function was
-- created, so the search path does not matter. 52 bits keep 0 and 1 out.
return ((hashtextextended(id::text, seed) & 4503599627370495) + 0.5) / 4503599627370496.0;
comment on function soundscape.seeded_random(uuid, bigint)
    is 'A number between 0 and 1 for a recording. The same seed gives the same number.';

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
    select array_agg(n.audio_id order by n.cosine desc, n.audio_id), array_agg(n.cosine order by n.cosine desc,
        n.audio_id),
           array_agg(e.embedding order by n.cosine desc, n.audio_id),
           -- Gumbel noise makes this a random draw, with chances proportional to exp(likeness / 0.1).
           array_agg(-0.1 * ln(-ln(soundscape.seeded_random(n.audio_id, seed))) order by n.cosine desc, n.audio_id)
    into ids, near, places, noise
    from soundscape.nearest(start.space, start.embedding, 5 * "limit", null, array_remove(lately, null)
        || start.audio_id) as n
    join public.audio_embeddings e on e.audio_id = n.audio_id and e.space = start.space;
    left_over := array(select generate_series(1, cardinality(ids)));
    for rank in 1 .. least("limit", coalesce(cardinality(ids), 0)) loop
        select i into next from unnest(left_over) as i
        order by 0.5 * near[i] + 0.5 * (1 - (places[i] operator(extensions.<=>) here)) + noise[i] desc, i limit 1;
        here := places[next];
        left_over := array_remove(left_over, next);
        walked := walked || next;
    end loop;
    return query
        select f.id, near[w.next], f
        from unnest(walked) with ordinality as w (next, rank) join public.audio_files f on f.id = ids[w.next]
        order by w.rank;
end
$$;
comment on function public.radio(uuid, integer, bigint, uuid[])
    is 'A walk through recordings that sound like one. Each next recording is drawn from those that are like the '
       'start and like the one before. The same seed draws the same. The latest 1,000 of played are left out, and the '
       'walk continues from the last of them. likeness is the likeness to the start.';

-- Moods
-- =====

create table public.mood_rules (
    mood text not null check (mood ~ '^[a-z]{1,32}$'),
    rule text not null check (rule ~ '^[a-z ]{1,64}$'),
    points real not null check (points between -1 and 1 and points <> 0),
    measure text check (measure in ('tempo_bpm', 'onset_rate_hz', 'integrated_lufs', 'loudness_range_lu',
        'centroid_hz')),
    none_at real,
    full_at real,
    labels text[],
    primary key (mood, rule),
    check ((measure is null) <> (labels is null)),
    check ((measure is null) = (none_at is null) and (measure is null) = (full_at is null) and none_at <> full_at)
);
alter table public.mood_rules enable row level security;
comment on table public.mood_rules
    is 'The rules of the moods. A recording''s score is the sum of the points of its rules. From 0.5 on it is in the '
       'mood.';
comment on column public.mood_rules.mood is 'The mood, as mood_mix names it.';
comment on column public.mood_rules.rule is 'What speaks for the mood; with points below 0, what speaks against it.';
comment on column public.mood_rules.points
    is 'The points if the rule holds fully. The positive points of a mood add up to 1.';
comment on column public.mood_rules.measure
    is 'Column of audio_features. The tempo counts by its confidence, fully from 0.5 on. A value that was not '
       'measured gives no points.';
comment on column public.mood_rules.none_at is 'The value that gives no points.';
comment on column public.mood_rules.full_at is 'The value that gives all points. Values in between give their share.';
comment on column public.mood_rules.labels
    is 'Instead of a measure: labels, folded as in audio_files.labels. A tag of the owner gives all points, a label '
       'of the analysis gives all from a share of 0.3 on.';

insert into public.mood_rules (mood, rule, points, measure, none_at, full_at) values
    ('calm', 'few onsets', 0.3, 'onset_rate_hz', 3.5, 0.8),
    ('calm', 'quiet', 0.2, 'integrated_lufs', -16, -26),
    ('calm', 'dark', 0.15, 'centroid_hz', 3500, 1500),
    ('calm', 'even', 0.1, 'loudness_range_lu', 10, 3),
    ('focus', 'even', 0.3, 'loudness_range_lu', 10, 3),
    ('focus', 'no flurry of onsets', 0.3, 'onset_rate_hz', 6, 2.5),
    ('focus', 'not shrill', 0.15, 'centroid_hz', 4500, 2500),
    ('energy', 'many onsets', 0.3, 'onset_rate_hz', 2, 5),
    ('energy', 'loud', 0.25, 'integrated_lufs', -22, -12),
    ('energy', 'fast', 0.25, 'tempo_bpm', 95, 125),
    ('energy', 'bright', 0.1, 'centroid_hz', 1000, 2500),
    ('nature', 'no flurry of onsets', 0.2, 'onset_rate_hz', 5, 2),
    ('night', 'quiet', 0.25, 'integrated_lufs', -20, -32),
    ('night', 'few onsets', 0.2, 'onset_rate_hz', 3, 0.8),
    ('night', 'dark', 0.2, 'centroid_hz', 3000, 1200);
insert into public.mood_rules (mood, rule, points, labels) values
    ('calm', 'gentle sounds', 0.25, array[
        'ambient', 'ambient music', 'new-age music', 'tender music', 'lullaby', 'calm', 'meditation', 'relaxing',
        'sleep', 'rain', 'rain on surface', 'raindrop', 'stream', 'trickle, dribble', 'ocean', 'waves, surf',
        'wind chime', 'purr', 'singing bowl', 'rustling leaves', 'whale vocalization']),
    ('calm', 'unrest', -0.4, array[
        'speech', 'shout', 'yell', 'screaming', 'laughter', 'alarm', 'siren', 'telephone', 'explosion',
        'gunshot, gunfire', 'engine', 'vehicle', 'rail transport', 'aircraft', 'tools', 'applause', 'cheering',
        'crowd', 'drum kit', 'heavy metal', 'snoring', 'typing']),
    ('focus', 'nothing that asks to be listened to', 0.25, array[
        'ambient', 'ambient music', 'new-age music', 'classical music', 'electronic music', 'piano', 'lo-fi', 'lofi',
        'focus', 'study', 'white noise', 'pink noise', 'hum', 'mechanical fan', 'rain', 'rain on surface', 'stream',
        'waves, surf']),
    ('focus', 'voices and alarms', -0.6, array[
        'speech', 'child speech, kid speaking', 'conversation', 'narration, monologue', 'singing', 'vocal music',
        'shout', 'yell', 'screaming', 'laughter', 'television', 'radio', 'telephone', 'alarm', 'siren', 'applause',
        'cheering', 'explosion', 'gunshot, gunfire', 'engine', 'vehicle', 'snoring', 'jackhammer']),
    ('energy', 'driving music', 0.1, array[
        'drum kit', 'drum machine', 'drum', 'percussion', 'techno', 'house music', 'dance music',
        'electronic dance music', 'trance music', 'drum and bass', 'dubstep', 'rock music', 'punk rock',
        'heavy metal', 'hip hop music', 'exciting music', 'workout', 'party']),
    ('energy', 'speech and everyday noise', -0.3, array[
        'speech', 'conversation', 'narration, monologue', 'typing', 'snoring', 'tools', 'vehicle', 'applause', 'rain',
        'stream', 'waterfall']),
    ('nature', 'weather and animals', 0.8, array[
        'rain', 'rain on surface', 'raindrop', 'stream', 'waterfall', 'ocean', 'waves, surf', 'trickle, dribble',
        'wind', 'rustling leaves', 'thunder', 'thunderstorm', 'bird', 'chirp, tweet',
        'bird vocalization, bird call, bird song', 'wild animals', 'insect', 'cricket', 'bee, wasp, etc.', 'frog',
        'croak', 'owl', 'hoot', 'howl', 'whale vocalization', 'nature', 'forest', 'birds', 'sea', 'river',
        'field recording']),
    ('nature', 'people and machines', -0.6, array[
        'music', 'speech', 'shout', 'laughter', 'applause', 'crowd', 'engine', 'vehicle', 'rail transport',
        'aircraft', 'traffic noise, roadway noise', 'tools', 'power tool', 'alarm', 'siren', 'typing', 'snoring',
        'explosion', 'gunshot, gunfire']),
    ('night', 'sounds of the night', 0.35, array[
        'night', 'cricket', 'insect', 'owl', 'hoot', 'frog', 'croak', 'mosquito', 'howl', 'fire', 'crackle',
        'lullaby', 'sleep', 'ambient', 'ambient music', 'rain', 'rain on surface', 'thunder', 'wind']),
    ('night', 'sounds of the day', -0.4, array[
        'speech', 'shout', 'laughter', 'cheering', 'applause', 'crowd', 'chirp, tweet', 'crowing, cock-a-doodle-doo',
        'traffic noise, roadway noise', 'vehicle', 'engine', 'tools', 'alarm', 'siren', 'typing', 'drum kit',
        'heavy metal', 'explosion', 'gunshot, gunfire']);

create table soundscape.audio_moods (
    audio_id uuid not null,
    user_id uuid not null,
    is_listed boolean not null,
    mood text not null,
    score real not null check (score between 0.5 and 1),
    primary key (audio_id, mood),
    constraint audio_moods_audio_id_fkey foreign key (audio_id, user_id, is_listed)
        references public.audio_files (id, user_id, is_listed) on update cascade on delete cascade
);
alter table soundscape.audio_moods enable row level security;
create index audio_moods_by_recording on soundscape.audio_moods (audio_id, user_id, is_listed);
create index audio_moods_listed on soundscape.audio_moods (mood, score desc, audio_id) where is_listed;
create index audio_moods_by_owner on soundscape.audio_moods (user_id, mood);
comment on table soundscape.audio_moods
    is 'Which moods a recording is in, so that a mix need not read every recording. Updated in the transaction that '
       'changes the recording.';
comment on column soundscape.audio_moods.audio_id is 'The recording.';
comment on column soundscape.audio_moods.user_id is 'Its owner, repeated from audio_files.';
comment on column soundscape.audio_moods.is_listed is 'Whether everybody sees it, repeated from audio_files.';
comment on column soundscape.audio_moods.mood is 'The mood.';
comment on column soundscape.audio_moods.score is 'The sum of the points of its rules.';

create function soundscape.mood_points(recordings uuid[], of_mood text default null)
returns table (audio_id uuid, mood text, rule text, points double precision)
language sql stable rows 100 set search_path = '' as $$
    with words as materialized (
        select f.id, soundscape.fold(w.label) as label, max(w.share) as share
        from public.audio_files f,
        lateral (select h.label, h.share::double precision / 0.3 from jsonb_each_text(f.heard) as h (label, share)
                 union all select t, 1 from unnest(f.tags) as t) as w (label, share)
        where f.id = any (recordings)
        group by f.id, soundscape.fold(w.label)),
    said as materialized (
        select w.id, r.mood, r.rule, max(w.share) as share
        from public.mood_rules r, unnest(r.labels) as l (label), words w
        where w.label = l.label group by w.id, r.mood, r.rule)
    select a.audio_id, r.mood, r.rule, r.points * greatest(0, least(1, case
            when r.labels is not null then coalesce(s.share, 0)
            else coalesce((case r.measure
                    when 'tempo_bpm' then a.tempo_bpm when 'onset_rate_hz' then a.onset_rate_hz
                        when 'integrated_lufs' then a.integrated_lufs
                    when 'loudness_range_lu' then a.loudness_range_lu when 'centroid_hz'
                        then a.centroid_hz end - r.none_at)
                / (r.full_at - r.none_at), 0) end))
        * case when r.measure = 'tempo_bpm' then least(1, 2 * coalesce(a.tempo_confidence, 0)) else 1 end
    from public.audio_features a
    cross join public.mood_rules r
    left join said s on s.id = a.audio_id and s.mood = r.mood and s.rule = r.rule
    where a.audio_id = any (recordings) and (of_mood is null or r.mood = of_mood)
$$;
comment on function soundscape.mood_points(uuid[], text)
    is 'The points of each rule of one mood, or of all, for recordings that the caller sees.';

create function soundscape.write_moods(recordings uuid[]) returns void
language sql security definer set search_path = '' as $$
    with scores as materialized (
        select p.audio_id, p.mood, least(1, sum(p.points))::real as score
        from soundscape.mood_points(recordings) p group by p.audio_id, p.mood having sum(p.points) >= 0.5),
    gone as (
        delete from soundscape.audio_moods m where m.audio_id = any (recordings)
            and not exists (select from scores s where s.audio_id = m.audio_id and s.mood = m.mood))
    insert into soundscape.audio_moods as m (audio_id, user_id, is_listed, mood, score)
    select f.id, f.user_id, f.is_listed, s.mood, s.score
    from scores s join public.audio_files f on f.id = s.audio_id
    on conflict (audio_id, mood) do update set score = excluded.score where m.score <> excluded.score;
$$;
comment on function soundscape.write_moods(uuid[])
    is 'Updates which moods these recordings are in. Must be called for every recording after a change of the rules.';

create function soundscape.on_moods_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if tg_table_name = 'audio_files' then
        perform soundscape.write_moods(array[new.id]);
    else
        perform soundscape.write_moods(array[new.audio_id]);
    end if;
    return null;
end
$$;
comment on function soundscape.on_moods_changed()
    is 'Trigger on the tables that the rules read: updates the moods in the same transaction.';

create trigger audio_features_measured after insert on public.audio_features
    for each row execute function soundscape.on_moods_changed();
create trigger audio_features_remeasured after update on public.audio_features
    for each row when (
        (old.tempo_bpm, old.tempo_confidence, old.onset_rate_hz, old.integrated_lufs, old.loudness_range_lu,
            old.centroid_hz)
        is distinct from
        (new.tempo_bpm, new.tempo_confidence, new.onset_rate_hz, new.integrated_lufs, new.loudness_range_lu,
            new.centroid_hz))
    execute function soundscape.on_moods_changed();
create trigger audio_files_called after update of tags, heard on public.audio_files
    for each row when (old.tags <> new.tags or old.heard <> new.heard)
    execute function soundscape.on_moods_changed();

create function soundscape.recordings_in_mood(mood text, max_rows integer) returns table (audio_id uuid, score real)
language sql stable security definer rows 1000 set search_path = '' as $$
    select * from (
        (select m.audio_id, m.score from soundscape.audio_moods m where m.is_listed and m.mood = recordings_in_mood.mood
         order by m.score desc, m.audio_id limit max_rows)
        union all
        select m.audio_id, m.score from soundscape.audio_moods m
        where not m.is_listed and m.mood = recordings_in_mood.mood and m.user_id = auth.uid()) as both_kinds
    order by score desc, audio_id limit max_rows
$$;
comment on function soundscape.recordings_in_mood(text, integer)
    is 'Listed recordings and the caller''s own that are in a mood, highest score first.';

create function soundscape.diversify_mixed(ids uuid[], scores double precision[], diversity double precision,
    max_rows integer) returns uuid[]
language plpgsql stable set search_path = '' as $$
-- Maximal marginal relevance, as in soundscape.diversify, for recordings of several spaces or without an embedding.
declare
    many constant integer := coalesce(cardinality(ids), 0);
    alike double precision[];
    closest double precision[] := array_fill(0, array[many]);
    chosen uuid[] := '{}';
    next integer;
    worth double precision;
    max_worth double precision;
begin
    with placed as materialized (
        select i.rank, e.space, e.embedding from unnest(ids) with ordinality as i (id, rank)
        left join lateral (
            select e.space, e.embedding from public.audio_embeddings e where e.audio_id = i.id
            order by e.created_at desc, e.space limit 1) as e on true)
    select array_agg(coalesce(1 - (a.embedding operator(extensions.<=>) b.embedding), 0) order by a.rank,
        b.rank) into alike
    from placed a left join placed b on true;
    while cardinality(chosen) < least(max_rows, many) loop
        max_worth := '-infinity';
        for i in 1 .. many loop
            -- A value of 2 marks a recording that was chosen.
            if closest[i] < 2 then
                worth := (1 - diversity) * scores[i] - diversity * closest[i];
                if worth > max_worth then
                    next := i;
                    max_worth := worth;
                end if;
            end if;
        end loop;
        chosen := chosen || ids[next];
        for i in 1 .. many loop
            if alike[(next - 1) * many + i] > closest[i] then
                closest[i] := alike[(next - 1) * many + i];
            end if;
        end loop;
        closest[next] := 2;
    end loop;
    return chosen;
end
$$;
comment on function soundscape.diversify_mixed(uuid[], double precision[], double precision, integer)
    is 'diversify for recordings of several spaces. A recording without an embedding is unlike every other.';

create function public.mood_mix(
    mood text, "limit" integer default 20, seed bigint default 0, played uuid[] default '{}'
) returns table (id uuid, score double precision, because text[], points jsonb, recording public.audio_files)
language plpgsql stable rows 20 set search_path = '' as $$
#variable_conflict use_column
declare
    moods constant text[] := array(select distinct r.mood from public.mood_rules r order by r.mood);
    ids uuid[];
    scores double precision[];
begin
    if mood_mix.mood is null or mood_mix.mood <> all (moods) then
        raise exception 'There is no mood %.', mood_mix.mood using errcode = '22023',
            hint = array_to_string(moods, ', ') || '.';
    elsif "limit" is null or "limit" not between 0 and 100 then
        raise exception 'The limit % is out of range.', "limit" using errcode = '22023', hint = '0 to 100.';
    elsif seed is null or played is null or cardinality(played) > 1000 then
        raise exception 'seed or played is null, or played holds more than 1000.' using errcode = '22023';
    end if;
    -- Gumbel noise makes this a random draw, with chances proportional to exp(score / 0.1).
    select array_agg(d.audio_id order by d.drawn desc),
        array_agg(d.score::double precision order by d.drawn desc) into ids, scores
    from (select m.audio_id, m.score, m.score - 0.1 * ln(-ln(soundscape.seeded_random(m.audio_id, seed))) as drawn
          from soundscape.recordings_in_mood(mood_mix.mood, 1000 + cardinality(played)) m
          where m.audio_id <> all (array_remove(played, null))
          order by drawn desc limit least(3 * "limit", "limit" + 40)) as d;
    ids := soundscape.diversify_mixed(ids, scores, 0.3, "limit");
    return query
        with speaking as (
            select p.audio_id, sum(p.points) as score,
                   array_agg(p.rule order by p.points desc, p.rule) filter (where p.points >= 0.05) as because,
                   jsonb_object_agg(p.rule, round(p.points::numeric, 3)) filter (where p.points <> 0) as points
            from soundscape.mood_points(ids, mood_mix.mood) p group by p.audio_id)
        select f.id, s.score, s.because, s.points, f
        from unnest(ids) with ordinality as i (id, rank)
        join public.audio_files f on f.id = i.id
        join speaking s on s.audio_id = i.id
        order by i.rank;
end
$$;
comment on function public.mood_mix(text, integer, bigint, uuid[])
    is 'Recordings for a mood, chosen by the rules in mood_rules. because names the rules that speak for a recording. '
       'points holds the points of each rule, which sum to score. The same seed draws the same. Recordings in played '
       'are left out.';
