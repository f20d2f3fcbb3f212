-- A reason names only what both recordings have: two without a tempo are not alike in it.

drop function soundscape.shared_traits(uuid[], uuid[]);
create function soundscape.shared_traits(ids uuid[], causes uuid[])
returns table (
    audio_id uuid, timbre double precision, rhythm double precision, tonality double precision, tags double precision,
    have_tempo boolean, have_onsets boolean
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
        select a.audio_id, case when a.because_of is not null then 0.7 * greatest(0, coalesce(b.cosine, 0)) end,
               0.1 * c.rhythm, 0.1 * c.tonality, 0.1 * c.tags, b.have_tempo, b.have_onsets
        from answer a left join common c on c.because_of = a.because_of and c.audio_id = a.audio_id
        left join lateral (
            select 1 - (e.embedding operator(extensions.<=>) this.embedding) as cosine,
                   this.octaves is not null and e.octaves is not null as have_tempo,
                   this.onsets > 0 and e.onsets > 0 as have_onsets
            from public.audio_embeddings e join public.audio_embeddings this on this.space = e.space
            where e.audio_id = a.because_of and this.audio_id = a.audio_id
            order by e.created_at desc, e.space limit 1) as b on true;
end
$$;
comment on function soundscape.shared_traits(uuid[], uuid[])
    is 'What each recording shares with its cause, as similar_audio weighs it. Null where there is no cause.';

create function soundscape.shared_words(
    timbre double precision, rhythm double precision, tonality double precision, tags double precision,
    have_tempo boolean, have_onsets boolean
) returns text[]
language sql immutable parallel safe set search_path = ''
return array_remove(array[
    case when timbre >= 0.7 * 0.6 then 'timbre' end,
    case when rhythm >= 0.1 * 0.6 then case when have_tempo then 'tempo' when have_onsets then 'pace' end end,
    case when tonality >= 0.1 * 0.7 then 'key' end,
    case when tags >= 0.1 * 0.3 then 'tags' end], null);
comment on function soundscape.shared_words(
    double precision, double precision, double precision, double precision, boolean, boolean
)
    is 'Words for what two recordings share, by the parts of similar_audio. tempo: both have one; pace: both have '
       'onsets, and about as many a second.';

create or replace function public.recommended_audio(
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
                   soundscape.shared_words(
                       s.timbre, s.rhythm, s.tonality, s.tags, s.have_tempo, s.have_onsets)),
               a.because_of, s.timbre, s.rhythm, s.tonality, s.tags, f
        from unnest(ids, scores, reasons, causes) with ordinality as a (audio_id, score, reason, because_of, rank)
        join soundscape.shared_traits(ids, causes) s on s.audio_id = a.audio_id
        join public.audio_files f on f.id = a.audio_id
        order by a.rank;
end
$$;
