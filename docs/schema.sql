-- The schemas public and soundscape as the migrations and policies make them, written by pg_dump.
-- Comments are left out: they are in supabase/migrations. Not edited by hand; to write it anew:
--     SOUNDSCAPE_WRITE_SCHEMA=1 scripts/test tests/sql/test_schema.py

CREATE SCHEMA public;

CREATE SCHEMA soundscape;

CREATE TYPE public.app_permission AS ENUM (
    'reports.handle',
    'recordings.moderate',
    'roles.assign'
);

CREATE TYPE public.app_role AS ENUM (
    'user',
    'moderator',
    'admin'
);

CREATE TYPE soundscape.audio_filter AS (
	min_tempo_bpm double precision,
	max_tempo_bpm double precision,
	key text,
	mode text,
	min_duration_s double precision,
	max_duration_s double precision,
	min_loudness_lufs double precision,
	max_loudness_lufs double precision,
	labels text[],
	license text
);

CREATE TYPE soundscape.page AS (
	sort text,
	misspelt boolean,
	as_of timestamp with time zone,
	key text,
	id uuid
);

CREATE TYPE soundscape.taste AS (
	wanted text[],
	known uuid[],
	chosen uuid[],
	weights real[],
	leads uuid[],
	strengths double precision[],
	skips uuid[]
);

CREATE TYPE soundscape.words AS (
	exact tsquery,
	begun tsquery,
	without tsquery,
	spelt text[],
	misspelt boolean,
	alike tsquery[],
	likeness real[],
	instead_of integer[]
);

CREATE FUNCTION public.accepted_uploads() RETURNS TABLE(mime_types text[], extensions text[], max_bytes bigint)
    LANGUAGE sql STABLE ROWS 1
    SET search_path TO ''
    AS $$select * from soundscape.accepted_uploads()$$;

CREATE FUNCTION public.assign_report(report uuid, assignee uuid DEFAULT auth.uid()) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.assign_report($1, $2)$_$;

CREATE FUNCTION public.begin_fit(every_h double precision DEFAULT NULL::double precision) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.begin_fit($1)$_$;

CREATE FUNCTION public.cancel_analysis(recording uuid) RETURNS text
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.cancel_analysis($1)$_$;

CREATE FUNCTION public.cancel_jobs(jobs bigint[]) RETURNS bigint[]
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.cancel_jobs($1)$_$;

CREATE FUNCTION public.claim_jobs(worker text, max_jobs integer DEFAULT 1, lease_s integer DEFAULT 60, holding text[] DEFAULT NULL::text[]) RETURNS TABLE(job_id bigint, token text, trace_id text, attempt integer, audio_id uuid, user_id uuid, object_name text, object_version text, size_bytes bigint, content_type text, object_etag text)
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select * from soundscape.claim_jobs($1, $2, $3, $4)$_$;

CREATE FUNCTION public.clear_models(token uuid, max_items integer DEFAULT 500) RETURNS integer
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.clear_models($1, $2)$_$;

CREATE FUNCTION public.complete_comparison(recording uuid, others uuid[], matches jsonb) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.complete_comparison($1, $2, $3)$_$;

CREATE FUNCTION public.complete_job(job_id bigint, token text, result jsonb) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.complete_job($1, $2, $3)$_$;

CREATE FUNCTION public.confirm_deletions(bucket text, removed text[]) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.confirm_deletions($1, $2)$_$;

CREATE FUNCTION public.custom_access_token_hook(event jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
    select jsonb_set(event, '{claims,user_role}', to_jsonb(coalesce(
        (select max(r.role) from public.user_roles r where r.user_id = (event ->> 'user_id')::uuid), 'user')))
$$;

CREATE FUNCTION public.dismiss_match(match uuid, dismissed boolean DEFAULT true) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.dismiss_match($1, $2)$_$;

CREATE FUNCTION public.end_fit(token uuid) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.end_fit($1)$_$;

CREATE FUNCTION public.extend_lease(job_id bigint, token text, lease_s integer DEFAULT 60) RETURNS timestamp with time zone
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.extend_lease($1, $2, $3)$_$;

CREATE FUNCTION public.fail_job(job_id bigint, token text, kind text, code text, message text) RETURNS text
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.fail_job($1, $2, $3, $4, $5)$_$;

CREATE FUNCTION public.fingerprint_candidates(keys integer[], frames integer[], version integer, max_candidates integer DEFAULT 64, viewer uuid DEFAULT NULL::uuid, all_owners boolean DEFAULT false, for_recording uuid DEFAULT NULL::uuid) RETURNS TABLE(audio_id uuid, lag_frames integer, pairs integer, among bigint)
    LANGUAGE sql STABLE ROWS 64
    SET search_path TO ''
    AS $_$select * from soundscape.fingerprint_candidates($1, $2, $3, $4, $5, $6, $7)$_$;

CREATE FUNCTION public.fit_embeddings(recordings uuid[], space text) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $_$select soundscape.fit_embeddings($1, $2)$_$;

CREATE FUNCTION public.fit_history(after uuid DEFAULT NULL::uuid, max_people integer DEFAULT 500) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $_$select soundscape.fit_history($1, $2)$_$;

CREATE FUNCTION public.hide_recording(recording uuid, reason text) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.hide_recording($1, $2)$_$;

CREATE FUNCTION public.impressions_after(after_shown_at timestamp with time zone DEFAULT NULL::timestamp with time zone, after_answer uuid DEFAULT NULL::uuid, after_place integer DEFAULT NULL::integer, max_rows integer DEFAULT 1000) RETURNS TABLE(shown_at timestamp with time zone, answer_id uuid, place smallint, user_id uuid, audio_id uuid, reason text, score real, propensity real, seed bigint, model_id bigint, liked boolean, heard real)
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $_$select * from soundscape.impressions_after($1, $2, $3, $4)$_$;

CREATE FUNCTION public.index_recording(recording uuid, object_version text, result jsonb) RETURNS boolean
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.index_recording($1, $2, $3)$_$;

CREATE FUNCTION public.index_snapshot() RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$select soundscape.index_snapshot()$$;

CREATE FUNCTION public.list_jobs(states text[] DEFAULT NULL::text[], recording uuid DEFAULT NULL::uuid, owner uuid DEFAULT NULL::uuid, code text DEFAULT NULL::text, before bigint DEFAULT NULL::bigint, max_jobs integer DEFAULT 50) RETURNS SETOF jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $_$select * from soundscape.list_jobs($1, $2, $3, $4, $5, $6)$_$;

CREATE FUNCTION public.list_models(max_models integer DEFAULT 10) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $_$select soundscape.list_models($1)$_$;

CREATE FUNCTION public.model_items(model bigint, recordings uuid[]) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $_$select soundscape.model_items($1, $2)$_$;

CREATE FUNCTION soundscape.fold(words text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN replace(replace(replace(replace(translate(lower(NORMALIZE(regexp_replace(NORMALIZE(words, NFKD), '[\u0300-\u036f]'::text, ''::text, 'g'::text), NFKC)), 'øłđðıħŧ'::text, 'olddiht'::text), 'ß'::text, 'ss'::text), 'æ'::text, 'ae'::text), 'œ'::text, 'oe'::text), 'þ'::text, 'th'::text);

CREATE FUNCTION soundscape.unspaced_letter() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN ('[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u312f\u31f0-\u31ff\u3400-\u4dbf'::text || '\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]'::text);

CREATE FUNCTION soundscape.last_letters(words text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN (SELECT string_agg(run.found[1], ' '::text) AS string_agg FROM regexp_matches(last_letters.words, format('(?:%1$s)(%1$s)(?!%1$s)'::text, soundscape.unspaced_letter()), 'g'::text) run(found));

CREATE FUNCTION soundscape.pair_letters(words text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN CASE WHEN (words !~ soundscape.unspaced_letter()) THEN words ELSE (SELECT string_agg(CASE WHEN (run.found[1] IS NULL) THEN run.found[2] ELSE pairs.joined END, ' '::text ORDER BY run.place) AS string_agg FROM regexp_matches(pair_letters.words, format('(%1$s+)|((?:(?!%1$s).)+)'::text, soundscape.unspaced_letter()), 'g'::text) WITH ORDINALITY run(found, place), LATERAL string_to_array(run.found[1], NULL::text) letters(letters), LATERAL (SELECT string_agg((letters.letters[i.i] || COALESCE(letters.letters[(i.i + 1)], ''::text)), ' '::text ORDER BY i.i) AS joined FROM generate_series(1, GREATEST(1, (cardinality(letters.letters) - 1))) i(i)) pairs) END;

CREATE FUNCTION soundscape.plain_words(words text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN translate(soundscape.fold(words), '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~'::text, repeat(' '::text, 32));

CREATE FUNCTION soundscape.document_words(words text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN (SELECT to_tsvector('simple'::regconfig, concat_ws(' '::text, soundscape.pair_letters(plain.plain), soundscape.last_letters(plain.plain))) AS to_tsvector FROM soundscape.plain_words(COALESCE(document_words.words, ''::text)) plain(plain));

CREATE FUNCTION soundscape.labels(tags text[], heard jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN COALESCE((SELECT array_agg(DISTINCT soundscape.fold(both_kinds.label)) AS array_agg FROM (SELECT unnest(labels.tags) AS label UNION ALL SELECT jsonb_object_keys(labels.heard) AS jsonb_object_keys) both_kinds WHERE (both_kinds.label ~ '\S'::text)), '{}'::text[]);

CREATE FUNCTION soundscape.object_name_problem(object_name text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN CASE WHEN (octet_length(object_name) > 1024) THEN 'it is longer than 1024 bytes'::text WHEN (object_name ~ '(^|/)(/|$)'::text) THEN 'it has an empty part between slashes'::text WHEN (object_name ~ '(^|/)\.\.?(/|$)'::text) THEN 'it has a part that is . or ..'::text WHEN (strpos(object_name, '\'::text) > 0) THEN 'it has a backslash'::text WHEN (object_name ~ '[\u0001-\u001f\u007f-\u009f]'::text) THEN 'it has a control character'::text WHEN (object_name ~ '%[0-9A-Fa-f]{2}'::text) THEN 'it has a percent-encoded character'::text WHEN (NOT (object_name IS NFC NORMALIZED)) THEN 'it is not in Unicode''s normal form C'::text ELSE NULL::text END;

CREATE FUNCTION soundscape.search_document(title text, description text, tags text[], heard jsonb) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN (((setweight(soundscape.document_words(title), 'A'::"char") || setweight(soundscape.document_words(array_to_string(tags, ' '::text)), 'B'::"char")) || setweight(soundscape.document_words(description), 'C'::"char")) || setweight(soundscape.document_words((SELECT string_agg(label.label, ' '::text) AS string_agg FROM jsonb_object_keys(search_document.heard) label(label))), 'D'::"char"));

CREATE TABLE public.audio_files (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid DEFAULT auth.uid() NOT NULL,
    title text NOT NULL,
    description text,
    file_path text NOT NULL,
    is_public boolean DEFAULT false NOT NULL,
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    license text,
    duration double precision,
    sample_rate integer,
    channels smallint,
    size_bytes bigint,
    content_type text,
    status text DEFAULT 'awaiting_upload'::text NOT NULL,
    error_code text,
    error_message text,
    trace_id text,
    object_id uuid,
    object_version text,
    object_etag text,
    analysis_version text,
    analyzed_at timestamp with time zone,
    hidden_at timestamp with time zone,
    hidden_reason text,
    heard jsonb DEFAULT '{}'::jsonb NOT NULL,
    is_listed boolean GENERATED ALWAYS AS ((is_public AND (hidden_at IS NULL))) STORED NOT NULL,
    labels text[] GENERATED ALWAYS AS (soundscape.labels(tags, heard)) STORED NOT NULL,
    search tsvector GENERATED ALWAYS AS (soundscape.search_document(title, description, tags, heard)) STORED NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT audio_files_channels_check CHECK ((channels > 0)),
    CONSTRAINT audio_files_check CHECK (((char_length(file_path) <= 1024) AND ((file_path ~~ 'public/_%'::text) OR (file_path ~~ ((user_id)::text || '/_%'::text))))),
    CONSTRAINT audio_files_check1 CHECK (((status = ANY (ARRAY['failed'::text, 'rejected'::text])) = (error_code IS NOT NULL))),
    CONSTRAINT audio_files_check2 CHECK (((status <> 'ready'::text) OR (analysis_version IS NOT NULL))),
    CONSTRAINT audio_files_check3 CHECK (((hidden_at IS NULL) = (hidden_reason IS NULL))),
    CONSTRAINT audio_files_content_type_check CHECK ((char_length(content_type) <= 255)),
    CONSTRAINT audio_files_description_check CHECK ((char_length(description) <= 5000)),
    CONSTRAINT audio_files_duration_check CHECK (((duration >= (0)::double precision) AND (duration < 'Infinity'::double precision))),
    CONSTRAINT audio_files_error_code_check CHECK ((char_length(error_code) <= 64)),
    CONSTRAINT audio_files_error_message_check CHECK ((char_length(error_message) <= 2000)),
    CONSTRAINT audio_files_file_path_is_canonical CHECK ((soundscape.object_name_problem(file_path) IS NULL)),
    CONSTRAINT audio_files_heard_check CHECK ((jsonb_typeof(heard) = 'object'::text)),
    CONSTRAINT audio_files_hidden_reason_check CHECK (((char_length(btrim(hidden_reason)) >= 1) AND (char_length(btrim(hidden_reason)) <= 1000))),
    CONSTRAINT audio_files_license_check CHECK ((char_length(license) <= 100)),
    CONSTRAINT audio_files_sample_rate_check CHECK ((sample_rate > 0)),
    CONSTRAINT audio_files_size_bytes_check CHECK ((size_bytes >= 0)),
    CONSTRAINT audio_files_status_check CHECK ((status = ANY (ARRAY['awaiting_upload'::text, 'queued'::text, 'analyzing'::text, 'ready'::text, 'failed'::text, 'rejected'::text]))),
    CONSTRAINT audio_files_tags_check CHECK (((cardinality(tags) <= 50) AND (array_position(tags, NULL::text) IS NULL) AND (char_length(array_to_string(tags, ''::text)) <= 2500))),
    CONSTRAINT audio_files_title_check CHECK (((title ~ '\S'::text) AND (char_length(title) <= 200))),
    CONSTRAINT audio_files_trace_id_check CHECK ((char_length(trace_id) <= 64))
);

CREATE FUNCTION public.mood_mix(mood text, "limit" integer DEFAULT 20, seed bigint DEFAULT 0, played uuid[] DEFAULT '{}'::uuid[]) RETURNS TABLE(id uuid, score double precision, because text[], points jsonb, recording public.audio_files)
    LANGUAGE plpgsql STABLE ROWS 20
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION public.move_playlist_item(item uuid, to_position integer) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.move_playlist_item($1, $2)$_$;

CREATE FUNCTION public.next_message_s() RETURNS double precision
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$select soundscape.next_message_s()$$;

CREATE FUNCTION public.pending_comparisons(max_fingerprints integer DEFAULT 20) RETURNS TABLE(audio_id uuid, others uuid[])
    LANGUAGE sql ROWS 10
    SET search_path TO ''
    AS $_$select * from soundscape.pending_comparisons($1)$_$;

CREATE FUNCTION public.pending_deletions(max_objects integer DEFAULT 100) RETURNS TABLE(bucket_id text, names text[])
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select * from soundscape.pending_deletions($1)$_$;

CREATE FUNCTION public.publish_model(token uuid, model bigint) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.publish_model($1, $2)$_$;

CREATE FUNCTION public.queue_stats() RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$select soundscape.queue_stats()$$;

CREATE FUNCTION public.radio(audio_id uuid, "limit" integer DEFAULT 20, seed bigint DEFAULT 0, played uuid[] DEFAULT '{}'::uuid[]) RETURNS TABLE(id uuid, likeness double precision, recording public.audio_files)
    LANGUAGE plpgsql STABLE ROWS 20
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION public.reanalyze(version text, filters jsonb DEFAULT '[]'::jsonb, max_recordings integer DEFAULT 500, after uuid DEFAULT NULL::uuid, plan boolean DEFAULT false) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.reanalyze($1, $2, $3, $4, $5)$_$;

CREATE FUNCTION public.recommended_audio("limit" integer DEFAULT 20, seed bigint DEFAULT NULL::bigint, labels text[] DEFAULT NULL::text[]) RETURNS TABLE(id uuid, score double precision, reason text, because text, because_of uuid, timbre double precision, rhythm double precision, tonality double precision, tags double precision, recording public.audio_files)
    LANGUAGE plpgsql ROWS 20
    SET search_path TO ''
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

CREATE FUNCTION public.reconcile() RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$select soundscape.reconcile()$$;

CREATE FUNCTION public.reorder_playlist(playlist uuid, items uuid[]) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.reorder_playlist($1, $2)$_$;

CREATE FUNCTION public.resolve_report(report uuid, resolution text, reason text) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.resolve_report($1, $2, $3)$_$;

CREATE FUNCTION public.restore_recording(recording uuid) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.restore_recording($1)$_$;

CREATE FUNCTION public.retry_analysis(recording uuid) RETURNS text
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.retry_analysis($1)$_$;

CREATE FUNCTION public.retry_jobs(jobs bigint[]) RETURNS bigint[]
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.retry_jobs($1)$_$;

CREATE FUNCTION public.search_audio(query text DEFAULT NULL::text, "limit" integer DEFAULT 20, sort text DEFAULT NULL::text, after text DEFAULT NULL::text, min_tempo_bpm double precision DEFAULT NULL::double precision, max_tempo_bpm double precision DEFAULT NULL::double precision, key text DEFAULT NULL::text, mode text DEFAULT NULL::text, min_duration_s double precision DEFAULT NULL::double precision, max_duration_s double precision DEFAULT NULL::double precision, min_loudness_lufs double precision DEFAULT NULL::double precision, max_loudness_lufs double precision DEFAULT NULL::double precision, labels text[] DEFAULT NULL::text[], license text DEFAULT NULL::text) RETURNS TABLE(id uuid, score double precision, cursor text, recording public.audio_files)
    LANGUAGE plpgsql STABLE ROWS 20
    SET search_path TO ''
    AS $$
#variable_conflict use_variable
declare
    -- If a word is very frequent, only this many of the newest recordings are ranked.
    ranked constant integer := 1000;
    blank constant boolean := coalesce(query !~ '\S', true);
    order_by constant text := case when sort in ('newest', 'title', 'duration', 'tempo') then sort
                                   when blank then 'newest' else 'relevance' end;
    filter constant soundscape.audio_filter := soundscape.audio_filter(
        min_tempo_bpm, max_tempo_bpm, key, mode, min_duration_s, max_duration_s, min_loudness_lufs, max_loudness_lufs,
            labels, license);
    words soundscape.words;
    page soundscape.page := row(order_by, false, now(), null, null);
    ids uuid[];
    keys text[];
begin
    if sort not in ('relevance', 'newest', 'title', 'duration', 'tempo') then
        raise exception 'There is no sort %.', sort using errcode = '22023',
            hint = 'relevance, newest, title, duration or tempo.';
    elsif "limit" is null or "limit" not between 0 and 500 then
        raise exception 'The limit % is out of range.', "limit" using errcode = '22023', hint = '0 to 500.';
    end if;
    if after is not null then
        page := soundscape.decode_cursor(after, order_by);
    end if;
    if not blank then
        words := soundscape.parse_query(query);
        words := case when page.misspelt then soundscape.correct_spelling(words) else words end;
    end if;
    loop
        if order_by = 'relevance' then
            select array_agg(r.id), array_agg(r.key) into ids, keys from (
                select f.id, f.key from soundscape.find_recordings(words, filter, order_by, as_of => page.as_of,
                    max_rows => ranked) f
                where page.id is null or (f.key::double precision, f.id) < (page.key::double precision, page.id)
                order by f.key::double precision desc, f.id desc limit "limit") r;
        else
            select array_agg(f.id), array_agg(f.key) into ids, keys
            from soundscape.find_recordings(words, filter, order_by, page.key, page.id, max_rows => "limit") f;
        end if;
        -- No recording has these words, so they may be misspelt. The correction happens once, and never in the middle
        -- of a list.
        exit when blank or ids is not null or words.misspelt or after is not null or cardinality(words.spelt) = 0
                  or exists (select from soundscape.find_recordings(words, max_rows => 1) f);
        words := soundscape.correct_spelling(words);
    end loop;
    return query
        select f.id, case when order_by = 'relevance' then r.key::double precision else 0 end,
               soundscape.encode_cursor(row(order_by, coalesce(words.misspelt, false), page.as_of, r.key, r.id)), f
        from unnest(ids, keys) with ordinality as r (id, key, place) join public.audio_files f on f.id = r.id
        order by r.place;
end
$$;

CREATE FUNCTION public.search_facets(query text DEFAULT NULL::text, min_tempo_bpm double precision DEFAULT NULL::double precision, max_tempo_bpm double precision DEFAULT NULL::double precision, key text DEFAULT NULL::text, mode text DEFAULT NULL::text, min_duration_s double precision DEFAULT NULL::double precision, max_duration_s double precision DEFAULT NULL::double precision, min_loudness_lufs double precision DEFAULT NULL::double precision, max_loudness_lufs double precision DEFAULT NULL::double precision, labels text[] DEFAULT NULL::text[], license text DEFAULT NULL::text) RETURNS TABLE(facet text, value text, recordings bigint)
    LANGUAGE plpgsql STABLE ROWS 50
    SET search_path TO ''
    AS $$
#variable_conflict use_variable
declare
    counted constant integer := 2000;
    filter constant soundscape.audio_filter := soundscape.audio_filter(
        min_tempo_bpm, max_tempo_bpm, key, mode, min_duration_s, max_duration_s, min_loudness_lufs, max_loudness_lufs,
            labels, license);
    words soundscape.words := case when query ~ '\S' then soundscape.parse_query(query) end;
    ids uuid[];
begin
    ids := array(select f.id from soundscape.find_recordings(words, filter, 'newest', max_rows => counted) f);
    if ids = '{}' and cardinality(words.spelt) > 0 and not exists (select from soundscape.find_recordings(words,
        max_rows => 1) f) then
        words := soundscape.correct_spelling(words);
        ids := array(select f.id from soundscape.find_recordings(words, filter, 'newest', max_rows => counted) f);
    end if;
    return query
        with seen as materialized (
            select f.labels, f.license, f.duration, a.tempo_bpm::double precision, a.key || ' ' || a.mode as key
            from public.audio_files f left join public.audio_features a on a.audio_id = f.id where f.id = any (ids)),
        counts as (
            select 1 as part, 'label' as facet, l.label as value, count(*) as recordings
            from seen s, unnest(s.labels) as l (label) group by l.label
            union all select 2, 'license', s.license, count(*) from seen s
                where s.license is not null group by s.license
            union all select 3, 'key', s.key, count(*) from seen s where s.key is not null group by s.key
            union all
            select 4, 'tempo_bpm', (array['0-60', '60-90', '90-120', '120-150', '150-'])[1 + width_bucket(s.tempo_bpm,
                '{60,90,120,150}')], count(*)
            from seen s where s.tempo_bpm is not null group by 3
            union all
            select 4, 'duration_s', (array['0-10', '10-60', '60-300', '300-1200',
                '1200-'])[1 + width_bucket(s.duration, '{10,60,300,1200}')], count(*)
            from seen s where s.duration is not null group by 3),
        most_frequent as (
            select c.*, row_number() over (partition by c.facet order by c.recordings desc, c.value) as place
                from counts c)
        select 'all', case when cardinality(ids) < counted then 'exactly' else 'at least' end, cardinality(ids)::bigint
        union all
        (select m.facet, m.value, m.recordings from most_frequent m where m.place <= 30 order by m.part, m.facet,
            m.place);
end
$$;

CREATE FUNCTION public.set_queue(paused boolean DEFAULT NULL::boolean, in_flight_per_owner integer DEFAULT NULL::integer, backfill_every integer DEFAULT NULL::integer) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.set_queue($1, $2, $3)$_$;

CREATE FUNCTION public.show_job(job_id bigint) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $_$select soundscape.show_job($1)$_$;

CREATE FUNCTION public.similar_audio(audio_id uuid, "limit" integer DEFAULT 20, diversity double precision DEFAULT 0, min_tempo_bpm double precision DEFAULT NULL::double precision, max_tempo_bpm double precision DEFAULT NULL::double precision, key text DEFAULT NULL::text, mode text DEFAULT NULL::text, min_duration_s double precision DEFAULT NULL::double precision, max_duration_s double precision DEFAULT NULL::double precision, min_loudness_lufs double precision DEFAULT NULL::double precision, max_loudness_lufs double precision DEFAULT NULL::double precision, labels text[] DEFAULT NULL::text[], license text DEFAULT NULL::text) RETURNS TABLE(id uuid, score double precision, timbre double precision, rhythm double precision, tonality double precision, tags double precision, recording public.audio_files)
    LANGUAGE plpgsql STABLE ROWS 20
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
    seed public.audio_embeddings;
begin
    perform from public.audio_files f where f.id = similar_audio.audio_id;
    if not found then
        raise exception 'There is no such recording.' using errcode = 'PT404';
    end if;
    select e.* into seed from public.audio_embeddings e where e.audio_id = similar_audio.audio_id
    order by e.created_at desc, e.space limit 1;
    return query
        select s.id, s.score, s.timbre, s.rhythm, s.tonality, s.tags, f
        from soundscape.find_similar(seed.space, seed.embedding, seed.audio_id, "limit", diversity,
            soundscape.audio_filter(
            min_tempo_bpm, max_tempo_bpm, key, mode, min_duration_s, max_duration_s, min_loudness_lufs,
                max_loudness_lufs,
            labels, license)) with ordinality as s (id, score, timbre, rhythm, tonality, tags, place)
        join public.audio_files f on f.id = s.id
        order by s.place;
end
$$;

CREATE FUNCTION public.similar_to_embedding(space text, embedding double precision[], "limit" integer DEFAULT 20, diversity double precision DEFAULT 0, min_tempo_bpm double precision DEFAULT NULL::double precision, max_tempo_bpm double precision DEFAULT NULL::double precision, key text DEFAULT NULL::text, mode text DEFAULT NULL::text, min_duration_s double precision DEFAULT NULL::double precision, max_duration_s double precision DEFAULT NULL::double precision, min_loudness_lufs double precision DEFAULT NULL::double precision, max_loudness_lufs double precision DEFAULT NULL::double precision, labels text[] DEFAULT NULL::text[], license text DEFAULT NULL::text) RETURNS TABLE(id uuid, score double precision, timbre double precision, rhythm double precision, tonality double precision, tags double precision, recording public.audio_files)
    LANGUAGE plpgsql STABLE ROWS 20
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
    -- NaN compares as larger than any number. Beyond these limits single precision would lose the direction.
    largest constant double precision := case when cardinality(embedding) = 128 then (select max(abs(v))
        from unnest(embedding) as v) end;
begin
    if space is null or embedding is null or array_ndims(embedding) is distinct from 1 or cardinality(embedding) <> 128
       or array_position(embedding, null) is not null or (largest > 1e-15 and largest < 1e15) is not true then
        raise exception 'An embedding is 128 finite numbers, not all of them zero, and the name of their space.'
            using errcode = '22023', hint = 'Take embedding.space and embedding.values of soundscape analyze --json.';
    end if;
    return query
        select s.id, s.score, s.timbre, s.rhythm, s.tonality, s.tags, f
        from soundscape.find_similar(
            space, extensions.l2_normalize(embedding::extensions.vector)::extensions.halfvec, null, "limit", diversity,
            soundscape.audio_filter(
                min_tempo_bpm, max_tempo_bpm, key, mode, min_duration_s, max_duration_s, min_loudness_lufs,
                    max_loudness_lufs,
                labels, license)) with ordinality as s (id, score, timbre, rhythm, tonality, tags, place)
        join public.audio_files f on f.id = s.id
        order by s.place;
end
$$;

CREATE FUNCTION public.stage_cold(token uuid, model bigint, after uuid DEFAULT NULL::uuid, max_recordings integer DEFAULT 500) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.stage_cold($1, $2, $3, $4)$_$;

CREATE FUNCTION public.stage_items(token uuid, model bigint, items jsonb) RETURNS integer
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.stage_items($1, $2, $3)$_$;

CREATE FUNCTION public.stage_model(token uuid, model jsonb, map jsonb DEFAULT '[]'::jsonb, refused boolean DEFAULT false) RETURNS bigint
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.stage_model($1, $2, $3, $4)$_$;

CREATE FUNCTION public.stored_fingerprints(recordings uuid[]) RETURNS TABLE(audio_id uuid, peaks text)
    LANGUAGE sql STABLE ROWS 16
    SET search_path TO ''
    AS $_$select * from soundscape.stored_fingerprints($1)$_$;

CREATE FUNCTION public.unindexed_recordings(version integer, max_recordings integer DEFAULT 100, after uuid DEFAULT NULL::uuid) RETURNS TABLE(audio_id uuid, object_version text, path text)
    LANGUAGE sql STABLE ROWS 100
    SET search_path TO ''
    AS $_$select * from soundscape.unindexed_recordings($1, $2, $3)$_$;

CREATE FUNCTION soundscape.accepted_uploads() RETURNS TABLE(mime_types text[], extensions text[], max_bytes bigint)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
    SET search_path TO ''
    AS $$
    select b.allowed_mime_types,
           string_to_array('.3g2 .3gp .aac .ac3 .aif .aifc .aiff .amr .ape .asf .au .avi .bwf .caf .dsf .dts .eac3 '
               '.flac .flv .m2ts .m4a .m4b .m4v .mka .mkv .mov .mp2 .mp3 .mp4 .mpc .mpeg .mpg .mts .oga .ogg .ogv '
               '.opus .rf64 .rm .snd .tak .tta .ts .voc .w64 .wav .wave .weba .webm .wma .wmv .wv', ' '),
           b.file_size_limit
    from storage.buckets b where b.id = 'audio-files'
$$;

CREATE FUNCTION soundscape.admit(owner uuid, wanted_queue text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
-- This takes no lock that others wait for. Two calls at once may admit one job too many, which claim_next sends back.
-- They may also admit one too few: the next claim that finds nothing, or the sweep, admits it.
declare
    in_flight integer;
    standing integer;
    job soundscape.jobs;
    message bigint;
begin
    select count(*), count(*) filter (
        where j.state = 'queued' and (j.retry_at is null or j.retry_at <= clock_timestamp()))
    into in_flight, standing
    from soundscape.jobs j
    where j.user_id = owner and j.queue = wanted_queue and j.state in ('queued', 'running') and j.msg_id is not null;
    if standing >= soundscape.max_ready_per_owner()
       or in_flight >= (select s.in_flight_per_owner from soundscape.queue_settings s)
    then
        return false;
    end if;
    select * into job from soundscape.jobs j
    where j.queue = wanted_queue and j.user_id = owner and j.state = 'queued' and j.msg_id is null
    order by j.lined_up_at, j.id limit 1 for update skip locked;
    if job.id is null then
        return false;
    end if;
    message := pgmq.send(wanted_queue, jsonb_build_object('job_id', job.id),
        greatest(0, ceil(extract(epoch from job.retry_at - clock_timestamp())))::integer);
    update soundscape.jobs set msg_id = message where id = job.id;
    return true;
end
$$;

CREATE FUNCTION soundscape.admit_waiting() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    line record;
    admitted integer := 0;
begin
    -- The index leads from owner to owner. The number of waiting jobs of each owner does not matter.
    for line in
        with recursive lines as (
            (select j.queue, j.user_id from soundscape.jobs j
             where j.state = 'queued' and j.msg_id is null
             order by j.queue, j.user_id limit 1)
            union all
            select following.queue, following.user_id from lines cross join lateral (
                select j.queue, j.user_id from soundscape.jobs j
                where j.state = 'queued' and j.msg_id is null
                  and (j.queue, j.user_id) > (lines.queue, lines.user_id)
                order by j.queue, j.user_id limit 1) following
        )
        select queue, user_id from lines
    loop
        if soundscape.admit(line.user_id, line.queue) then
            admitted := admitted + 1;
        end if;
    end loop;
    return admitted;
end
$$;

CREATE FUNCTION soundscape.append_item() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    -- Two appends to one playlist wait for each other.
    perform from public.playlists where id = new.playlist_id for no key update;
    new.position := coalesce((select max(i.position) from public.playlist_items i
        where i.playlist_id = new.playlist_id), 0) + 1;
    return new;
end
$$;

CREATE FUNCTION soundscape.are_few(wanted tsquery, max_rows integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
declare
    plan json;
begin
    execute 'explain (format json) select from public.audio_files f where f.search @@ $1' into plan using wanted;
    return (plan #>> '{0,Plan,Plan Rows}')::double precision ^ 2
           < max_rows * (select c.reltuples::double precision from pg_catalog.pg_class c
               where c.oid = 'public.audio_files'::regclass);
end
$_$;

CREATE FUNCTION soundscape.assign_report(report uuid, assignee uuid DEFAULT auth.uid()) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.require_permission('reports.handle');
    if assignee is not null and not soundscape.has_permission(assignee, 'reports.handle') then
        raise exception 'The assignee may not handle reports.' using errcode = '22023';
    end if;
    -- The owner of the recording must not learn of the report: for them it does not exist.
    perform from public.reports r join public.audio_files f on f.id = r.audio_id
    where r.id = report and r.resolved_at is null and f.user_id <> (select auth.uid()) for update of r;
    if not found then
        raise exception 'There is no such unresolved report.' using errcode = 'PT404';
    elsif exists (
        select from public.reports r join public.audio_files f on f.id = r.audio_id
        where r.id = report and f.user_id = assignee)
    then
        raise exception 'You cannot moderate your own recording.' using errcode = '42501',
            hint = 'Choose another moderator.';
    end if;
    delete from public.report_assignments a where a.report_id = report;
    insert into public.report_assignments (report_id, assignee_id) select report, assignee where assignee is not null;
end
$$;

CREATE FUNCTION soundscape.attach_found_objects() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    recording record;
    attached integer := 0;
begin
    for recording in
        select f.id, f.file_path from public.audio_files f
        join storage.objects o on o.bucket_id = 'audio-files' and o.name = f.file_path and o.metadata ? 'eTag'
        where (f.object_etag is distinct from o.metadata ->> 'eTag' or f.status = 'awaiting_upload')
          and soundscape.owner_of(o.name, o.owner_id) = f.user_id
        order by f.created_at limit soundscape.max_repairs_per_sweep()
    loop
        begin
            perform soundscape.lock_object_name(recording.file_path);
            -- The object's own transaction may have attached it while this one waited for the name.
            if exists (
                select from public.audio_files f
                join storage.objects o on o.bucket_id = 'audio-files' and o.name = f.file_path and o.metadata ? 'eTag'
                where f.id = recording.id
                  and (f.object_etag is distinct from o.metadata ->> 'eTag' or f.status = 'awaiting_upload'))
            then
                perform soundscape.attach_object(recording.id);
                attached := attached + 1;
            end if;
        exception when others then
            raise warning 'sweep: % was not attached: %', recording.file_path, sqlerrm;
        end;
    end loop;
    return attached;
end
$$;

CREATE FUNCTION soundscape.attach_object(recording uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
-- The caller holds the lock of the name.
declare
    file public.audio_files;
    object storage.objects;
begin
    select * into file from public.audio_files where id = recording for update;
    select * into object from storage.objects
    where bucket_id = 'audio-files' and name = file.file_path and metadata ? 'eTag';
    if object.id is null or soundscape.owner_of(object.name, object.owner_id) is distinct from file.user_id then
        return;
    end if;
    update public.audio_files
    set object_id = object.id, object_version = object.version, object_etag = object.metadata ->> 'eTag',
        size_bytes = (object.metadata ->> 'size')::bigint, content_type = left(object.metadata ->> 'mimetype', 255),
        status = 'queued', error_code = null, error_message = null
    where id = recording;
    perform soundscape.enqueue(recording, object.version);
end
$$;

CREATE FUNCTION soundscape.attach_uploaded_object() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    if exists (
        select from storage.objects o
        where o.bucket_id = 'audio-files' and o.name = new.file_path and o.metadata ? 'eTag'
          and soundscape.owner_of(o.name, o.owner_id) is distinct from new.user_id)
    then
        raise exception 'The object % belongs to another user.', new.file_path
            using errcode = '42501', hint = 'Upload your own file under another name.';
    end if;
    perform soundscape.cancel_deletion(new.file_path);
    perform soundscape.attach_object(new.id);
    return null;
end
$$;

CREATE FUNCTION soundscape.audio_filter(min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) RETURNS soundscape.audio_filter
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
declare
    sharp text := case upper(left(key, 3)) when 'DB' then 'C#' when 'EB' then 'D#' when 'GB' then 'F#' when 'AB'
        then 'G#' when 'BB' then 'A#'
                                  else upper(left(key, 3)) end;
begin
    if sharp <> all (array['C', 'C#', 'D', 'D#', 'E', 'F', 'F#', 'G', 'G#', 'A', 'A#', 'B']) then
        raise exception 'There is no key %.', left(key, 20) using errcode = '22023', hint = 'C, C# or Db, D … B.';
    elsif lower(mode) not in ('major', 'minor') then
        raise exception 'There is no mode %.', left(mode, 20) using errcode = '22023', hint = 'major or minor.';
    elsif cardinality(labels) > 50 then
        raise exception 'There are % labels.', cardinality(labels) using errcode = '22023', hint = 'At most 50.';
    elsif exists (select from unnest(labels) as label where char_length(label) > 100) then
        raise exception 'A label is too long.' using errcode = '22023', hint = 'At most 100 characters.';
    elsif 'NaN' in (min_tempo_bpm, max_tempo_bpm, min_duration_s, max_duration_s, min_loudness_lufs,
        max_loudness_lufs) then
        raise exception 'A limit of a filter is NaN.' using errcode = '22023', hint = 'A number, or null.';
    end if;
    return row(
        min_tempo_bpm, max_tempo_bpm, sharp, lower(mode), min_duration_s, max_duration_s, min_loudness_lufs,
            max_loudness_lufs,
        nullif(array(select distinct soundscape.fold(label) from unnest(labels) as label where label is not null),
            '{}'),
        license)::soundscape.audio_filter;
end
$$;

CREATE TABLE public.role_permissions (
    id bigint NOT NULL,
    role public.app_role NOT NULL,
    permission public.app_permission NOT NULL
);

CREATE TABLE public.user_roles (
    id bigint NOT NULL,
    user_id uuid NOT NULL,
    role public.app_role NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE FUNCTION soundscape.has_permission(somebody uuid, requested_permission public.app_permission) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    RETURN (EXISTS (SELECT FROM (public.user_roles r JOIN public.role_permissions p ON ((p.role = r.role))) WHERE ((r.user_id = has_permission.somebody) AND (p.permission = has_permission.requested_permission))));

CREATE FUNCTION soundscape.authorize(requested_permission public.app_permission) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    RETURN soundscape.has_permission((SELECT auth.uid() AS uid), requested_permission);

CREATE FUNCTION soundscape.backoff_s(base_s integer, failures integer) RETURNS integer
    LANGUAGE sql
    SET search_path TO ''
    RETURN GREATEST((1)::double precision, round((random() * LEAST((300)::double precision, ((base_s)::double precision * power((2)::double precision, (LEAST((failures - 1), 16))::double precision))))));

CREATE FUNCTION soundscape.begin_fit(every_h double precision DEFAULT NULL::double precision) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.cancel_analysis(recording uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.lock_own_recording(recording);
    perform soundscape.cancel_job(recording);
    return (select status from public.audio_files where id = recording);
end
$$;

CREATE FUNCTION soundscape.cancel_deletion(object_name text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
-- The caller holds the lock of the name. The Storage API deletes by name only. Once a worker is about to delete a name,
-- new bytes under it would be deleted too.
begin
    delete from soundscape.deletions
    where bucket_id = 'audio-files' and name = object_name and not is_final
      and (taken_at is null or taken_at < clock_timestamp() - soundscape.deletion_grace());
    if exists (select from soundscape.deletions where bucket_id = 'audio-files' and name = object_name) then
        raise exception 'The object % is being deleted.', object_name
            using errcode = '42501', hint = 'Try again in a moment, or choose another name.';
    end if;
end
$$;

CREATE FUNCTION soundscape.cancel_job(recording uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
-- The caller holds the recording.
declare
    job soundscape.jobs;
begin
    select * into job from soundscape.jobs
    where audio_id = recording and state in ('queued', 'running') for update;
    if job.id is null then
        return false;
    end if;
    -- If a worker has the job, its token is refused at its next heartbeat.
    perform soundscape.end_job(job, 'cancelled', 'failed', 'cancelled');
    return true;
end
$$;

CREATE FUNCTION soundscape.cancel_jobs(jobs bigint[]) RETURNS bigint[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    recordings uuid[];
    cancelled bigint[] := '{}';
    job bigint;
    recording uuid;
begin
    -- All of them first: ending one job moves another up.
    select array_agg(held.id) into recordings from (
        select f.id from public.audio_files f join public.users u on u.id = f.user_id
        where f.id in (select j.audio_id from soundscape.jobs j where j.id = any(jobs) and j.state in ('queued',
            'running'))
        order by f.id for key share of u skip locked for update of f skip locked) held;
    for job, recording in
        select j.id, j.audio_id from soundscape.jobs j
        where j.id = any(jobs) and j.audio_id = any(recordings) and j.state in ('queued', 'running') order by j.id
    loop
        if soundscape.cancel_job(recording) then
            cancelled := cancelled || job;
        end if;
    end loop;
    return cancelled;
end
$$;

CREATE FUNCTION soundscape.centroid_of_choices(model bigint, chosen uuid[], weights real[]) RETURNS TABLE(space text, place extensions.halfvec)
    LANGUAGE sql STABLE ROWS 1
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.check_filters(filters jsonb) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO ''
    AS $$
declare
    texts constant text[] := array['eq', 'neq', 'in', 'is'];
    numbers constant text[] := array['eq', 'lt', 'lte', 'gt', 'gte', 'is'];
    moments constant text[] := array['lt', 'lte', 'gt', 'gte', 'is'];
    wanted record;
    ops text[];
begin
    if jsonb_typeof(filters) is distinct from 'array' then
        raise exception 'filters must be a list of {column, op, value}' using errcode = '22023';
    end if;
    for wanted in
        select f ->> 'column' as name, f ->> 'op' as op, f ->> 'value' as value from jsonb_array_elements(filters) as f
    loop
        ops := case
            when wanted.name = 'tags' then array['cs', 'ov']
            when wanted.name in ('id', 'owner', 'user_id', 'status', 'error_code', 'content_type', 'analysis_version',
                'is_public') then texts
            when wanted.name in ('duration', 'size_bytes', 'channels', 'sample_rate') then numbers
            when wanted.name in ('created_at', 'analyzed_at') then moments
        end;
        if ops is null then
            raise exception 'There is no filter on %.', coalesce(wanted.name, 'nothing') using errcode = '22023',
                hint = 'Filters: id, owner, status, tags, analysis_version, error_code, content_type, is_public, '
                    'duration, size_bytes, channels, sample_rate, created_at, analyzed_at.';
        elsif wanted.op is null or wanted.op <> all (ops) or wanted.value is null then
            raise exception 'The filter on % is %.', wanted.name, array_to_string(ops, ', ') using errcode = '22023',
                hint = 'Write column=operator.value, such as status=eq.failed.';
        elsif wanted.op = 'is' and wanted.value not in ('null', 'notnull') then
            raise exception 'is takes null or notnull, not %.', wanted.value using errcode = '22023';
        elsif ops = numbers and wanted.op <> 'is' and not pg_input_is_valid(wanted.value, 'numeric')
              or ops = moments and wanted.op <> 'is' and not pg_input_is_valid(wanted.value, 'timestamptz')
        then
            raise exception '% cannot be compared with %.', wanted.name, wanted.value using errcode = '22023';
        end if;
    end loop;
end
$$;

CREATE FUNCTION soundscape.check_object_name() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    problem text := soundscape.object_name_problem(new.name);
begin
    if problem is not null then
        raise exception 'The name of the file cannot be used: %.', problem
            using errcode = '42501', hint = 'Choose another name.';
    end if;
    return new;
end
$$;

CREATE FUNCTION soundscape.check_owner_limits() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    limits soundscape.owner_limits;
begin
    if coalesce(auth.role(), 'service_role') = 'service_role' then
        return null;
    end if;
    select * into limits from soundscape.owner_limits;
    if tg_table_name = 'playlists' then
        perform soundscape.refuse_over_limit((
            select count(*) from (
                select from public.playlists p where p.user_id = o.user_id limit limits.max_playlists + 1) as held),
            limits.max_playlists, 'playlists')
        from (select distinct user_id from added) as o;
    elsif tg_table_name = 'playlist_items' then
        -- Positions have no gaps, so the last one is the number of items.
        perform soundscape.refuse_over_limit(max(a.position), limits.max_playlist_items, 'items of a playlist')
        from added a group by a.playlist_id;
    elsif tg_table_name = 'audio_files' then
        perform soundscape.refuse_over_limit((
            select count(*) from (
                select from public.audio_files f where f.user_id = o.user_id and f.status = 'awaiting_upload'
                limit limits.max_awaiting_upload + 1) as held),
            limits.max_awaiting_upload, 'recordings that wait for their file')
        from (select distinct user_id from added) as o;
    elsif tg_table_name = 'listening_events' then
        perform soundscape.refuse_over_limit((
            select count(*) from (
                select from public.listening_events e
                where e.user_id = o.user_id and e.created_at > now() - interval '1 hour'
                limit limits.max_events_per_hour + 1) as held),
            limits.max_events_per_hour, 'listening events an hour')
        from (select distinct user_id from added) as o;
    elsif tg_table_name = 'reports' then
        perform soundscape.refuse_over_limit((
            select count(*) from public.reports r
            where r.reporter_id = o.reporter_id and r.created_at > now() - interval '1 day'),
            limits.max_reports_per_day, 'reports a day')
        from (select distinct reporter_id from added) as o;
    end if;
    return null;
end
$$;

CREATE FUNCTION soundscape.check_request() RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
begin
    -- Both ask the planner, whose statistics count the rows that a policy hides.
    if current_user <> 'service_role'
       and current_setting('request.headers', true)::json ->> 'prefer' ~* '\mcount\s*=\s*"?(planned|estimated)' then
        raise sqlstate 'PT400' using
            message = 'Planned and estimated counts are not available.',
            hint = 'Use count=exact (in supabase-js: { count: ''exact'' }).';
    end if;
end
$$;

CREATE FUNCTION soundscape.check_status_step() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
    if (old.status, new.status) not in (
        ('awaiting_upload', 'queued'),
        ('queued', 'analyzing'), ('queued', 'failed'), ('queued', 'rejected'),
        ('analyzing', 'ready'), ('analyzing', 'failed'), ('analyzing', 'rejected'),
        -- a retry, or new bytes
        ('analyzing', 'queued'), ('ready', 'queued'), ('failed', 'queued'), ('rejected', 'queued'),
        -- the object was deleted
        ('queued', 'awaiting_upload'), ('analyzing', 'awaiting_upload'), ('ready', 'awaiting_upload'),
        ('failed', 'awaiting_upload'), ('rejected', 'awaiting_upload'))
    then
        raise exception 'A recording cannot go from % to %.', old.status, new.status
            using errcode = '23514', constraint = 'audio_files_status_step';
    end if;
    return new;
end
$$;

CREATE FUNCTION soundscape.choice_confidence(weight real, alpha real, skip real) RETURNS real
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (weight > (0)::double precision) THEN ((1)::double precision + ((alpha * ln(((1)::double precision + weight))) / ln((2)::double precision))) ELSE ((skip * weight))::double precision END;

CREATE FUNCTION soundscape.choice_reason(recording uuid) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.choices(people uuid[], latest integer DEFAULT NULL::integer) RETURNS TABLE(user_id uuid, audio_id uuid, weight real, chosen_at timestamp with time zone)
    LANGUAGE sql STABLE ROWS 100
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.claim_jobs(worker text, max_jobs integer DEFAULT 1, lease_s integer DEFAULT 60, holding text[] DEFAULT NULL::text[]) RETURNS TABLE(job_id bigint, token text, trace_id text, attempt integer, audio_id uuid, user_id uuid, object_name text, object_version text, size_bytes bigint, content_type text, object_etag text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
    settings soundscape.queue_settings;
    queues text[];
    job soundscape.jobs;
    owners_held uuid[] := '{}';
    looked_at_lines boolean := false;
    left_to_claim integer := least(max_jobs, 100);
begin
    -- Claims that this worker holds without knowing: the response was lost. That is nobody's fault, so the attempt is
    -- not counted.
    for job in
        select j.* from soundscape.jobs j
        where j.state = 'running' and j.worker = claim_jobs.worker and j.msg_id || '.' || j.attempt <> all (holding)
    loop
        perform soundscape.fail_job(job.id, job.msg_id || '.' || job.attempt, 'released', 'claim_unanswered',
            'The answer to a claim did not reach the worker. It is tried again.');
        left_to_claim := 0;
    end loop;
    select * into settings from soundscape.queue_settings;
    while left_to_claim > 0 and settings.paused_at is null loop
        queues := array['soundscape_uploads', 'soundscape_backfill'];
        if nextval('soundscape.claim_rounds') % settings.backfill_every = 0 then
            queues := array['soundscape_backfill', 'soundscape_uploads'];
        end if;
        job := soundscape.claim_next(queues[1], claim_jobs.worker, lease_s, owners_held);
        if job.id is null then
            job := soundscape.claim_next(queues[2], claim_jobs.worker, lease_s, owners_held);
        end if;
        if job.id is null then
            exit when looked_at_lines or soundscape.admit_waiting() = 0;
            looked_at_lines := true;
            continue;
        end if;
        owners_held := owners_held || job.user_id;
        left_to_claim := left_to_claim - 1;
        return query
            select job.id, job.msg_id || '.' || job.attempt, job.trace_id, job.attempt, f.id, f.user_id,
                   f.file_path, job.object_version, f.size_bytes, f.content_type, f.object_etag
            from public.audio_files f where f.id = job.audio_id;
    end loop;
end
$$;

CREATE TABLE soundscape.jobs (
    id bigint NOT NULL,
    audio_id uuid NOT NULL,
    user_id uuid NOT NULL,
    object_version text NOT NULL,
    analysis_version text,
    queue text NOT NULL,
    msg_id bigint,
    state text DEFAULT 'queued'::text NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    excused integer DEFAULT 0 NOT NULL,
    retry_at timestamp with time zone,
    worker text,
    lease_expires_at timestamp with time zone,
    error_code text,
    error_message text,
    trace_id text DEFAULT replace((gen_random_uuid())::text, '-'::text, ''::text) NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    lined_up_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    CONSTRAINT jobs_analysis_version_check CHECK (((char_length(analysis_version) >= 1) AND (char_length(analysis_version) <= 64))),
    CONSTRAINT jobs_queue_check CHECK ((queue = ANY (ARRAY['soundscape_uploads'::text, 'soundscape_backfill'::text]))),
    CONSTRAINT jobs_state_check CHECK ((state = ANY (ARRAY['queued'::text, 'running'::text, 'succeeded'::text, 'refused'::text, 'dead'::text, 'superseded'::text, 'cancelled'::text])))
);

CREATE FUNCTION soundscape.claim_next(wanted_queue text, worker text, lease_s integer, owners_held uuid[]) RETURNS soundscape.jobs
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    message record;
    job soundscape.jobs;
    recording uuid;
    owner_key bigint;
begin
    loop
        select * into message from pgmq.read(wanted_queue, lease_s, 1);
        if message.msg_id is null then
            return null;
        end if;
        select * into job from soundscape.jobs j
        where j.id = (message.message ->> 'job_id')::bigint and j.msg_id = message.msg_id
          and j.state in ('queued', 'running');
        if job.id is null then
            perform pgmq.delete(wanted_queue, message.msg_id);
            continue;
        end if;

        -- Only one claim at a time may count the running jobs of an owner. A transaction waits for this lock only while
        -- it holds no other owner's.
        owner_key := hashtextextended('soundscape.owner/' || wanted_queue || '/' || job.user_id, 0);
        if cardinality(owners_held) = 0 then
            perform pg_advisory_xact_lock(owner_key);
            owners_held := owners_held || job.user_id;
        elsif job.user_id <> all (owners_held) and not pg_try_advisory_xact_lock(owner_key) then
            perform pgmq.set_vt(wanted_queue, message.msg_id, 0);
            return null;
        end if;
        -- The recording is locked before its job, everywhere. This transaction holds the message, so it must not wait:
        -- the holder of the recording may be about to change the message.
        select f.id into recording from public.audio_files f join public.users u on u.id = f.user_id
        where f.id = job.audio_id for key share of u skip locked for update of f skip locked;
        if recording is null then
            perform pgmq.set_vt(wanted_queue, message.msg_id, 1);
            continue;
        end if;
        select * into job from soundscape.jobs j
        where j.id = job.id and j.msg_id = message.msg_id and j.state in ('queued', 'running') for update;
        if job.id is null then
            perform pgmq.delete(wanted_queue, message.msg_id);
            continue;
        end if;
        if job.attempt - job.excused >= soundscape.max_attempts() then
            perform soundscape.end_job(job, 'dead', 'failed', coalesce(job.error_code, 'analysis_crashed'),
                job.error_message);
            continue;
        end if;
        if (select count(*) from soundscape.jobs j
            where j.user_id = job.user_id and j.queue = wanted_queue and j.state = 'running' and j.msg_id is not null
              and j.id <> job.id) >= (select s.in_flight_per_owner from soundscape.queue_settings s)
        then
            perform soundscape.return_to_line(job);
            continue;
        end if;

        return soundscape.start_job(job, worker, lease_s);
    end loop;
end
$$;

CREATE FUNCTION soundscape.clear_models(token uuid, max_items integer DEFAULT 500) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.close_gaps() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform from public.playlists where id in (select playlist_id from gone) order by id for no key update;
    update public.playlist_items i set position = numbered.place
    from (select j.id, row_number() over (partition by j.playlist_id order by j.position) as place
          from public.playlist_items j where j.playlist_id in (select playlist_id from gone)) numbered
    where i.id = numbered.id and i.position <> numbered.place;
    return null;
end
$$;

CREATE FUNCTION soundscape.collect_candidates(caller soundscape.taste, model bigint, listener extensions.vector, partners uuid[], leaving_out uuid[]) RETURNS uuid[]
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

CREATE FUNCTION soundscape.compares(has numeric, op text, value text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO ''
    AS $$
begin
    return case op
        when 'lt' then has < value::numeric when 'lte' then has <= value::numeric
        when 'gt' then has > value::numeric when 'gte' then has >= value::numeric
        when 'eq' then has = value::numeric
        when 'is' then (has is null) = (value = 'null')
    end;
end
$$;

CREATE FUNCTION soundscape.compares(has text, op text, value text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO ''
    AS $$
begin
    return case op
        when 'eq' then has = value
        when 'neq' then has is distinct from value
        when 'in' then has = any (string_to_array(value, ','))
        when 'is' then (has is null) = (value = 'null')
    end;
end
$$;

CREATE FUNCTION soundscape.compares(has timestamp with time zone, op text, value text) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
begin
    return case op
        when 'lt' then has < value::timestamptz when 'lte' then has <= value::timestamptz
        when 'gt' then has > value::timestamptz when 'gte' then has >= value::timestamptz
        when 'is' then (has is null) = (value = 'null')
    end;
end
$$;

CREATE FUNCTION soundscape.complete_comparison(recording uuid, others uuid[], matches jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    file public.audio_files;
    known jsonb;
begin
    select * into file from public.audio_files where id = recording for no key update;
    select f.descriptors into known from public.audio_features f
    where f.audio_id = recording and f.object_version = file.object_version
      and exists (select from soundscape.fingerprints i where i.audio_id = recording);
    -- The recording was deleted, or got other bytes, during the comparison.
    if known is null then
        return;
    end if;
    -- The hashes are passed too, so that an exact copy stays one.
    perform soundscape.write_claims(file, known || jsonb_build_object('matches', matches));
    update soundscape.fingerprints f set compared_in = null
    where f.audio_id = recording and not exists (
        select from soundscape.fingerprints o
        where o.created_at > f.created_at - interval '1 day' and o.version = f.version and o.audio_id <> f.audio_id
          and o.audio_id <> all (others) and not pg_visible_in_snapshot(o.written_in, f.compared_in));
end
$$;

CREATE FUNCTION soundscape.complete_job(job_id bigint, token text, result jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
declare
    job soundscape.jobs := soundscape.lock_held_job(job_id, token);
    file public.audio_files;
    source jsonb := result -> 'source';
begin
    -- The lock keeps the owner and the visibility that are written with the results.
    select * into file from public.audio_files where id = job.audio_id for no key update;
    if not exists (
        select from public.audio_features f
        where f.audio_id = job.audio_id
          -- The same bytes have another ETag when they are uploaded in another way.
          and (f.object_version = job.object_version or f.sha256 = source ->> 'sha256'))
    then
        perform soundscape.delete_claims(job.audio_id);
    end if;
    perform soundscape.write_tags_and_embedding(file, result);
    perform soundscape.write_features(file, job.object_version, result);
    perform soundscape.write_fingerprint(file, job.object_version, result -> 'index');
    perform soundscape.replace_claims(file, result);
    update public.audio_files
    set duration = (source ->> 'duration_s')::double precision, sample_rate = (source ->> 'sample_rate')::integer,
        channels = (source ->> 'channels')::smallint, analysis_version = result ->> 'analysis_version',
        analyzed_at = now(), trace_id = job.trace_id
    where id = job.audio_id;
    perform soundscape.end_job(job, 'succeeded', 'ready');
    perform soundscape.delete_former_pictures(
        job.audio_id, regexp_replace(result #>> '{waveform,path}', '[^/]*$', ''));
end
$_$;

CREATE FUNCTION soundscape.confirm_deletions(bucket text, removed text[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    delete from soundscape.deletions where bucket_id = bucket and name = any(removed)
$$;

CREATE FUNCTION soundscape.correct_spelling(words soundscape.words) RETURNS soundscape.words
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_variable
declare
    me constant uuid := auth.uid();
    own text[];
    corrected tsquery;
begin
    perform set_config('pg_trgm.similarity_threshold', '0.35', true);
    -- The vocabulary holds the words of what everybody finds. The caller's own words are added here.
    own := array(
        select distinct w.word
        from (select f.search from public.audio_files f
              where f.user_id = me and not soundscape.is_findable(f) order by f.created_at desc limit 1000) as f,
             unnest(soundscape.correctable_words(f.search)) as w (word));
    with candidate as (
        select s.place, c.word, c.likeness
        from unnest(words.spelt) with ordinality as s (word, place),
        lateral (
            select k.word, extensions.similarity(k.word, s.word) as likeness
            from (select v.word from soundscape.vocabulary v where v.word operator(extensions.%) s.word
                  union select o.word from unnest(own) as o (word) where o.word operator(extensions.%) s.word) as k
            order by likeness desc, k.word limit 20) as c),
    each_word as (
        select quote_literal(words.spelt[c.place]) as word, format('(%s)', string_agg(quote_literal(c.word),
            ' | ')) as either
        from candidate c group by c.place),
    -- The query word by word. A word without similar ones stays. A blank stands for words that are not corrected, such
    -- as short and excluded ones, and is removed from the query afterwards.
    part as (
        select p.place, p.found[1] as written, coalesce(
            e.either, case when p.found[1] like '''%' and p.found[1] <> all (s.words) then ''' '''
                else p.found[1] end) as corrected
        from regexp_matches(replace(words.exact::text, ':*', ''), '''[^'']*''|[^'']+', 'g')
            with ordinality as p (found, place)
        cross join (select array(select quote_literal(w) from unnest(words.spelt) as w) as words) as s
        left join each_word e on e.word = p.found[1])
    select (select ts_rewrite(string_agg(p.corrected, '' order by p.place)::tsquery, ''' '''::tsquery, '') from part p),
           array_agg(quote_literal(c.word)::tsquery), array_agg(c.likeness), array_agg(c.place::integer)
    into corrected, words.alike, words.likeness, words.instead_of from candidate c;
    corrected := coalesce(corrected, '');
    -- A query that only excludes would find everything else.
    words.exact := case when words.without is null or numnode(corrected) = 0 then corrected
        else corrected && words.without end;
    words.begun := words.exact;
    words.misspelt := true;
    return words;
end
$$;

CREATE FUNCTION soundscape.correctable_words(search tsvector) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN ARRAY(SELECT word.word FROM unnest(tsvector_to_array(ts_filter(correctable_words.search, '{a,b,d}'::"char"[]))) word(word) WHERE (((char_length(word.word) >= 3) AND (char_length(word.word) <= 40)) AND (word.word !~ '[[:digit:]]'::text)));

CREATE FUNCTION soundscape.decode_cursor(cursor text, sort text) RETURNS soundscape.page
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
declare
    page soundscape.page;
    kind constant text := case sort when 'newest' then 'timestamptz' when 'title' then 'text' when 'tempo'
        then 'real' else 'double precision' end;
begin
    begin
        -- The longest possible title, folded and encoded, is shorter than this.
        page := case when char_length(cursor) <= 20000 then jsonb_populate_record(null::soundscape.page,
            convert_from(decode(
            rpad(translate(cursor, '-_', '+/'), (char_length(cursor) + 3) / 4 * 4, '='), 'base64'), 'UTF8')::jsonb) end;
        if (page.sort = sort and page.id is not null and page.key is not null and page.as_of is not null
            and page.misspelt is not null
            and pg_input_is_valid(page.key, kind))
        then
            return page;
        end if;
    exception when data_exception or program_limit_exceeded then
        null;  -- said below
    end;
    raise exception 'The cursor does not belong to a search sorted by %.', sort using errcode = '22023',
        hint = 'Pass the cursor of the last row of the page before, with the same query, filters and sort.';
end
$$;

CREATE FUNCTION soundscape.delete_claims(recording uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    with gone as (
        delete from public.audio_matches where recording in (audio_id, matched_audio_id) returning *)
    insert into soundscape.former_dismissals
        (id, audio_id, matched_audio_id, sha256, matched_sha256, moderator_dismissed_at, owner_dismissed_at,
            matched_owner_dismissed_at, created_at)
    select g.id, g.audio_id, g.matched_audio_id, f.sha256, m.sha256, g.moderator_dismissed_at, g.owner_dismissed_at,
           g.matched_owner_dismissed_at, g.created_at
    from gone g
    join public.audio_features f on f.audio_id = g.audio_id
    join public.audio_features m on m.audio_id = g.matched_audio_id
    where coalesce(g.moderator_dismissed_at, g.owner_dismissed_at, g.matched_owner_dismissed_at) is not null
$$;

CREATE FUNCTION soundscape.delete_former_pictures(recording uuid, current_prefix text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    -- The pictures that are shown from now on must stay. If a worker has already started to delete them, they may be
    -- gone, and the job is tried again.
    delete from soundscape.deletions
    where bucket_id = 'waveforms' and starts_with(name, current_prefix) and taken_at is null;
    if exists (select from soundscape.deletions where bucket_id = 'waveforms' and starts_with(name,
        current_prefix)) then
        raise exception 'Pictures under % are being deleted.', current_prefix
            using errcode = '55P03', hint = 'The next attempt stores them again.';
    end if;
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id = 'waveforms' and o.name like recording::text || '/%' and not starts_with(o.name, current_prefix)
    on conflict do nothing;
end
$$;

CREATE FUNCTION soundscape.delete_message() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform pgmq.delete(old.queue, old.msg_id);
    return null;
end
$$;

CREATE FUNCTION soundscape.delete_old_impressions() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.delete_old_rows() RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    delete from soundscape.jobs where id in (
        select j.id from soundscape.jobs j
        where j.finished_at < now() - soundscape.jobs_kept_for()
          and exists (select from soundscape.jobs l where l.audio_id = j.audio_id and l.id > j.id)
        order by j.finished_at limit soundscape.max_repairs_per_sweep() for update skip locked);

    delete from public.notifications where id in (
        select n.id from public.notifications n
        where n.created_at < now() - soundscape.notifications_kept_for()
        order by n.created_at limit soundscape.max_repairs_per_sweep() for update skip locked);
$$;

CREATE FUNCTION soundscape.delete_results(recording uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select soundscape.delete_claims(recording);
    delete from public.audio_features where audio_id = recording;
    delete from public.audio_tags where audio_id = recording;
    delete from public.audio_embeddings where audio_id = recording;
$$;

CREATE FUNCTION soundscape.delete_unused_words(max_words integer) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    with looked_at as (
        delete from soundscape.former_words w
        where w.id in (select o.id from soundscape.former_words o order by o.id limit max_words) returning w.word)
    delete from soundscape.vocabulary v
    where v.word in (select l.word from looked_at l)
      and not exists (
        select from public.audio_files f
        where f.search @@ format('''%s''', v.word)::tsquery and soundscape.is_findable(f))
$$;

CREATE FUNCTION soundscape.deletion_grace() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN '00:02:00'::interval;

CREATE FUNCTION soundscape.describe_object(object storage.objects, draft_title text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    said jsonb := coalesce(object.user_metadata, '{}');
    tags text[] := '{}';
begin
    if jsonb_typeof(said -> 'tags') = 'array' then
        select coalesce(array_agg(left(tag, 50)), '{}') into tags
        from (select tag from jsonb_array_elements_text(said -> 'tags') as tag
            where tag is not null limit 50) said_tags;
    end if;
    insert into public.audio_files (user_id, title, description, file_path, is_public, tags, license)
    values (
        soundscape.owner_of(object.name, object.owner_id),
        coalesce(soundscape.title_or_null(said ->> 'title'), soundscape.title_or_null(draft_title), 'Untitled'),
        left(said ->> 'description', 5000),
        object.name,
        -- Nobody has described a draft yet. It stays private whatever the upload said.
        draft_title is null and coalesce(said -> 'is_public' in ('true', '"true"'), false),
        tags,
        left(said ->> 'license', 100))
    on conflict (file_path) do nothing;
end
$$;

CREATE FUNCTION soundscape.discard_unused_objects() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
declare
    discarded integer;
begin
    -- For an hour an object may belong to a job that is about to be completed.
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.created_at < now() - interval '1 hour' and (
        o.bucket_id = 'waveforms' and not exists (
            select from public.audio_features f
            where f.audio_id = soundscape.uuid_or_null(o.path_tokens[1])
              and starts_with(o.name, regexp_replace(f.waveform_path, '[^/]*$', '')))
        or o.bucket_id in ('audio-files', 'profile-images')
        and soundscape.owner_of(o.name, o.owner_id) is not null
        and not exists (select from public.users u where u.id = soundscape.owner_of(o.name, o.owner_id))
        and not exists (select from public.audio_files f where f.file_path = o.name and o.bucket_id = 'audio-files'))
    and not exists (select from soundscape.deletions r where r.bucket_id = o.bucket_id and r.name = o.name)
    limit soundscape.max_repairs_per_sweep()
    on conflict do nothing;
    get diagnostics discarded = row_count;
    return discarded;
end
$_$;

CREATE FUNCTION soundscape.dismiss_match(match uuid, dismissed boolean DEFAULT true) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    caller uuid := (select auth.uid());
    moderates boolean := (select soundscape.authorize('recordings.moderate'));
begin
    update public.audio_matches m
    set moderator_dismissed_at = case
            when not moderates then m.moderator_dismissed_at
            when dismissed then coalesce(m.moderator_dismissed_at, now()) end,
        -- When a moderator says that a claim is true, the dismissals of the owners are removed as well.
        owner_dismissed_at = case
            when moderates and dismissed or not moderates and caller <> a.user_id then m.owner_dismissed_at
            when dismissed then coalesce(m.owner_dismissed_at, now()) end,
        matched_owner_dismissed_at = case
            when moderates and dismissed or not moderates and caller <> b.user_id then m.matched_owner_dismissed_at
            when dismissed then coalesce(m.matched_owner_dismissed_at, now()) end
    from public.audio_files a, public.audio_files b
    where m.id = match and a.id = m.audio_id and b.id = m.matched_audio_id and (
        moderates
        or caller in (a.user_id, b.user_id)
           and (a.is_listed or a.user_id = caller) and (b.is_listed or b.user_id = caller));
    if not found then
        raise exception 'There is no match with the id % about a recording of yours.', match
            using errcode = '42501', hint = 'An owner can dismiss matches of their own recordings.';
    end if;
end
$$;

CREATE FUNCTION soundscape.diversify(ids uuid[], scores double precision[], space text, diversity double precision, max_rows integer) RETURNS uuid[]
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
-- Maximal marginal relevance: Carbonell and Goldstein, SIGIR 1998.
declare
    places extensions.halfvec[] := array(
        select e.embedding from unnest(ids) with ordinality as i (id, rank)
        join public.audio_embeddings e on e.audio_id = i.id and e.space = diversify.space order by i.rank);
    closest double precision[] := array_fill(0, array[cardinality(ids)]);
    left_over integer[] := array(select generate_series(1, cardinality(ids)));
    chosen uuid[] := '{}';
    next integer;
begin
    while cardinality(chosen) < max_rows and cardinality(left_over) > 0 loop
        select i into next from unnest(left_over) as i
        order by (1 - diversity) * scores[i] - diversity * closest[i] desc, i limit 1;
        chosen := chosen || ids[next];
        left_over := array_remove(left_over, next);
        closest := array(
            select greatest(c.near, 1 - (c.place operator(extensions.<=>) places[next]))
            from unnest(closest, places) with ordinality as c (near, place, rank) order by c.rank);
    end loop;
    return chosen;
end
$$;

CREATE FUNCTION soundscape.diversify_mixed(ids uuid[], scores double precision[], diversity double precision, max_rows integer) RETURNS uuid[]
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.draft_undescribed_objects() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    orphan storage.objects;
    drafted integer := 0;
begin
    for orphan in
        select o.* from storage.objects o
        join public.users u on u.id = soundscape.owner_of(o.name, o.owner_id)
        where o.bucket_id = 'audio-files' and o.metadata ? 'eTag' and o.created_at < now() - interval '1 minute'
          and (o.name like 'public/_%' or o.name like u.id::text || '/_%')
          and soundscape.object_name_problem(o.name) is null
          and not exists (select from public.audio_files f where f.file_path = o.name)
          and not exists (select from soundscape.deletions r where r.bucket_id = 'audio-files' and r.name = o.name)
        order by o.created_at limit soundscape.max_repairs_per_sweep()
    loop
        begin
            perform soundscape.lock_object_name(orphan.name);
            perform soundscape.describe_object(orphan, regexp_replace(orphan.name, '^.*/', ''));
            drafted := drafted + 1;
        exception when others then
            raise warning 'sweep: % was not described: %', orphan.name, sqlerrm;
        end;
    end loop;
    return drafted;
end
$$;

CREATE FUNCTION soundscape.encode_cursor(page soundscape.page) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO ''
    RETURN translate(encode(convert_to((to_jsonb(page))::text, 'UTF8'::name), 'base64'::text), '+/=
'::text, '-_'::text);

CREATE FUNCTION soundscape.end_fit(token uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    update soundscape.fit_lease t set token = null, held_until = null, ended_at = clock_timestamp()
    where t.token = end_fit.token
$$;

CREATE FUNCTION soundscape.end_job(job soundscape.jobs, final_state text, file_status text, code text DEFAULT NULL::text, message text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    update soundscape.jobs
    set state = final_state, finished_at = clock_timestamp(), lease_expires_at = null, retry_at = null,
        error_code = left(code, 64), error_message = left(message, 2000)
    where id = job.id;
    -- A job that never ran passes through analyzing, so that each step of the status is legal. A recording that was
    -- ready during a backfill stays ready however the backfill ends.
    update public.audio_files set status = 'analyzing' where id = job.audio_id and status = 'queued'
        and file_status = 'ready';
    update public.audio_files
    set status = file_status, error_code = left(code, 64), error_message = soundscape.owner_message(final_state, code,
        message),
        trace_id = job.trace_id
    where id = job.audio_id and status in ('queued', 'analyzing');
    -- Owners know when they cancelled it themselves.
    if found and final_state <> 'cancelled' then
        perform soundscape.notify(f.user_id, 'recording_' || f.status, f.id, f.error_code, f.trace_id)
        from public.audio_files f where f.id = job.audio_id;
    end if;
    perform pgmq.delete(job.queue, job.msg_id);

    -- Results of former bytes say nothing about these.
    if file_status <> 'ready' and exists (
        select from public.audio_features f
        where f.audio_id = job.audio_id and f.object_version <> job.object_version)
    then
        perform soundscape.delete_results(job.audio_id);
        update public.audio_files set analysis_version = null, analyzed_at = null where id = job.audio_id;
        insert into soundscape.deletions (bucket_id, name)
        select o.bucket_id, o.name from storage.objects o
        where o.bucket_id = 'waveforms' and o.name like job.audio_id::text || '/%'
        on conflict do nothing;
    end if;
    perform soundscape.admit(job.user_id, job.queue);
end
$$;

CREATE FUNCTION soundscape.enqueue(recording uuid, version text, queue text DEFAULT 'soundscape_uploads'::text, analysis text DEFAULT NULL::text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    job soundscape.jobs;
begin
    -- A live job of this recording is for old bytes or for an old analysis. Its message is deleted when a worker reads
    -- it.
    update soundscape.jobs set state = 'superseded', finished_at = now()
    where audio_id = recording and state in ('queued', 'running');

    insert into soundscape.jobs (audio_id, user_id, object_version, queue, analysis_version)
    select recording, f.user_id, version, enqueue.queue, analysis
    from public.audio_files f where f.id = recording
    returning * into job;
    perform soundscape.admit(job.user_id, job.queue);
    if job.queue = 'soundscape_uploads' then
        perform soundscape.ring_doorbell();
    end if;
    return job.id;
end
$$;

CREATE FUNCTION soundscape.exact_copies(file public.audio_files, result jsonb, among uuid[] DEFAULT NULL::uuid[]) RETURNS TABLE(audio_id uuid, evidence jsonb)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 10
    SET search_path TO ''
    AS $$
    with source as (select result -> 'source' as this)
    select f.audio_id, jsonb_strip_nulls(jsonb_build_object(
        'sha256', case when f.sha256 = this ->> 'sha256' then f.sha256 end,
        'pcm_sha256', case when f.descriptors #>> '{source,pcm_sha256}' = this ->> 'pcm_sha256'
            then this ->> 'pcm_sha256' end,
        'offset_s', 0))
    from source, public.audio_features f
    where f.audio_id <> file.id and (among is null or f.audio_id = any (among))
      -- A recording with new bytes is about to be analysed again.
      and f.object_version = (select a.object_version from public.audio_files a where a.id = f.audio_id)
      and (
        f.sha256 = this ->> 'sha256'
        or f.descriptors #>> '{source,pcm_sha256}' = this ->> 'pcm_sha256'
           and f.descriptors #> '{source,sample_rate}' = this -> 'sample_rate'
           and f.descriptors #> '{source,channels}' = this -> 'channels')
    -- Recordings that the owner sees come first.
    order by f.user_id = file.user_id desc, f.is_listed desc, f.created_at limit case when among is null then 50 end
$$;

CREATE TABLE soundscape.recommendation_weights (
    only_row boolean DEFAULT true NOT NULL,
    taste double precision DEFAULT 0.4 NOT NULL,
    together double precision DEFAULT 0.4 NOT NULL,
    sound double precision DEFAULT 0.4 NOT NULL,
    sound_without_model double precision DEFAULT 0.8 NOT NULL,
    labels double precision DEFAULT 0.2 NOT NULL,
    labels_without_choices double precision DEFAULT 0.6 NOT NULL,
    popular double precision DEFAULT 0.05 NOT NULL,
    skipped double precision DEFAULT 0.3 NOT NULL,
    noise double precision DEFAULT 0.02 NOT NULL,
    diversity double precision DEFAULT 0.3 NOT NULL,
    max_choices integer DEFAULT 300 NOT NULL,
    max_choices_with_neighbours integer DEFAULT 150 NOT NULL,
    max_skips integer DEFAULT 6 NOT NULL,
    CONSTRAINT recommendation_weights_only_row_check CHECK (only_row),
    CONSTRAINT recommendation_weights_taste_check CHECK ((taste > (0)::double precision))
);

CREATE FUNCTION soundscape.explain_recommendations(ids uuid[], propensities double precision[], candidates uuid[], scores double precision[], sources text[], caller soundscape.taste, model bigint, w soundscape.recommendation_weights) RETURNS TABLE(place bigint, score double precision, reason text, because_of uuid)
    LANGUAGE plpgsql STABLE ROWS 20
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.expose(function_name text, to_role text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $_$
declare
    private record;
    arguments text;
    former regprocedure;
begin
    select p.oid, p.proretset, pg_get_function_arguments(p.oid) as parameters, pg_get_function_result(p.oid) as result,
           pg_get_function_identity_arguments(p.oid) as signature, obj_description(p.oid, 'pg_proc') as comment,
           case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end
               || case when p.proretset then format(' rows %s', p.prorows) else '' end as properties
    into strict private
    from pg_catalog.pg_proc p
    where p.pronamespace = 'soundscape'::regnamespace and p.proname = function_name;
    select coalesce(string_agg('$' || i, ', ' order by i), '') into arguments
    from generate_series(1, (select p.pronargs from pg_catalog.pg_proc p where p.oid = private.oid)) as i;

    -- A twin that a former version exposed under another signature would stay callable.
    for former in
        select p.oid from pg_catalog.pg_proc p
        where p.pronamespace = 'public'::regnamespace and p.proname = function_name
          and p.prosrc like format('select %%soundscape.%I(%%)', function_name)
          and (pg_get_function_identity_arguments(p.oid), pg_get_function_result(p.oid))
              <> (private.signature, private.result)
    loop
        execute format('drop function %s', former);
    end loop;
    execute format(
        'create or replace function public.%I(%s) returns %s language sql %s set search_path = '''' as %L',
        function_name, private.parameters, private.result, private.properties,
        format('select %ssoundscape.%I(%s)', case when private.proretset then '* from ' end, function_name, arguments));
    execute format(
        'comment on function public.%I(%s) is %L', function_name, private.signature, private.comment);
    execute format(
        'revoke all on function soundscape.%1$I(%2$s), public.%1$I(%2$s) '
        'from public, anon, authenticated, service_role',
        function_name, private.signature);
    execute format(
        'grant execute on function soundscape.%1$I(%2$s), public.%1$I(%2$s) to %3$I',
        function_name, private.signature, to_role);
end
$_$;

CREATE FUNCTION soundscape.extend_fit_lease(holder uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    update soundscape.fit_lease
    set held_until = greatest(held_until, clock_timestamp() + interval '15 minutes')
    where token = holder;
    if not found then
        raise exception 'Another fit has the lease.' using errcode = 'PT409', hint = 'Begin again.';
    end if;
end
$$;

CREATE FUNCTION soundscape.extend_lease(job_id bigint, token text, lease_s integer DEFAULT 60) RETURNS timestamp with time zone
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    job soundscape.jobs := soundscape.lock_held_job(job_id, token);
    until timestamptz := clock_timestamp() + make_interval(secs => lease_s);
begin
    perform pgmq.set_vt(job.queue, job.msg_id, lease_s);
    update soundscape.jobs set lease_expires_at = until where id = job.id;
    return until;
end
$$;

CREATE FUNCTION soundscape.fail_job(job_id bigint, token text, kind text, code text, message text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    job soundscape.jobs := soundscape.lock_held_job(job_id, token);
    wait_s integer;
begin
    if kind in ('failed', 'rejected') then
        perform soundscape.end_job(job, 'refused', kind, code, message);
        return 'refused';
    elsif kind = 'crashed' then
        wait_s := case when job.attempt - job.excused < soundscape.max_attempts()
            then soundscape.backoff_s(2, job.attempt - job.excused) end;
    elsif kind = 'passing' then
        job.excused := job.excused + 1;
        wait_s := case when job.excused < soundscape.max_excused_failures() then soundscape.backoff_s(5,
            job.excused) end;
    elsif kind = 'released' then
        job.excused := job.excused + 1;
        wait_s := case when job.excused < soundscape.max_excused_failures() then 0 end;
    else
        raise exception 'kind must be failed, rejected, crashed, passing or released, not %', kind
            using errcode = '22023';
    end if;
    if wait_s is null then
        perform soundscape.end_job(job, 'dead', 'failed', code, message);
        return 'dead';
    end if;
    update soundscape.jobs
    set state = 'queued', worker = null, lease_expires_at = null, excused = job.excused,
        retry_at = clock_timestamp() + make_interval(secs => wait_s),
        error_code = left(code, 64), error_message = left(message, 2000)
    where id = job.id;
    update public.audio_files set status = 'queued' where id = job.audio_id and status = 'analyzing';
    if kind = 'passing' and job.excused % soundscape.failures_before_requeue() = 0 and exists (
        select from soundscape.jobs j
        where j.queue = job.queue and j.user_id = job.user_id and j.state = 'queued' and j.msg_id is null)
    then
        perform pgmq.delete(job.queue, job.msg_id);
        update soundscape.jobs set msg_id = null, lined_up_at = clock_timestamp() where id = job.id;
    else
        perform pgmq.set_vt(job.queue, job.msg_id, wait_s);
    end if;
    perform soundscape.admit(job.user_id, job.queue);
    return 'queued';
end
$$;

CREATE FUNCTION soundscape.failures_before_requeue() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN 3;

CREATE FUNCTION soundscape.find_recordings(words soundscape.words DEFAULT NULL::soundscape.words, filter soundscape.audio_filter DEFAULT NULL::soundscape.audio_filter, sort text DEFAULT NULL::text, after_key text DEFAULT NULL::text, after_id uuid DEFAULT NULL::uuid, as_of timestamp with time zone DEFAULT NULL::timestamp with time zone, max_rows integer DEFAULT NULL::integer) RETURNS TABLE(id uuid, key text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
    SET search_path TO ''
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
#variable_conflict use_column
-- The plan is made for the actual arguments (force_custom_plan): conditions and orders that do not apply disappear from
-- it, and each sort uses its own index.
declare
    me constant uuid := auth.uid();
    exact constant tsquery := words.exact;
    wanted constant tsquery := words.begun;
    misspelt constant boolean := coalesce(words.misspelt, false);
    in_order constant boolean := sort in ('newest', 'relevance');
    sorted constant boolean := wanted is not null and in_order and soundscape.are_few(wanted, max_rows);
begin
    return query
        select r.id, case sort
            when 'relevance' then
                (case when misspelt then (
                          select sum(likest.likeness) from (
                              select max(l.likeness)::double precision as likeness
                              from unnest(words.alike, words.likeness, words.instead_of) as l (alike, likeness,
                                  instead_of)
                              where r.search @@ l.alike group by l.instead_of) as likest)
                      when exact = wanted then 2 * ts_rank(r.search, exact)::double precision
                      else ts_rank(r.search, exact)::double precision + ts_rank(r.search, wanted) end)::text
            when 'newest' then to_jsonb(r.created_at) #>> '{}'
            when 'title' then soundscape.fold(r.title)
            when 'duration' then r.duration::text
            when 'tempo' then r.tempo_bpm::text end
        from (
            -- The limit is applied first, because keys and ranks cost more than the comparison.
            select f.id, f.created_at, f.search, f.title, f.duration, a.tempo_bpm
            from public.audio_files f left join public.audio_features a on a.audio_id = f.id
            where (f.user_id = me or f.is_listed and (f.status in ('queued', 'analyzing', 'ready')
                or f.analyzed_at is not null))
              and (wanted is null or f.search @@ wanted)
              and (filter.min_tempo_bpm is null or a.tempo_bpm >= filter.min_tempo_bpm)
              and (filter.max_tempo_bpm is null or a.tempo_bpm <= filter.max_tempo_bpm)
              and (filter.key is null or a.key = filter.key)
              and (filter.mode is null or a.mode = filter.mode)
              and (filter.min_duration_s is null or f.duration >= filter.min_duration_s)
              and (filter.max_duration_s is null or f.duration <= filter.max_duration_s)
              and (filter.min_loudness_lufs is null or a.integrated_lufs >= filter.min_loudness_lufs)
              and (filter.max_loudness_lufs is null or a.integrated_lufs <= filter.max_loudness_lufs)
              and (filter.labels is null or f.labels @> filter.labels)
              and (filter.license is null or f.license = filter.license)
              and (as_of is null or f.created_at <= as_of)
              and case sort when 'duration' then f.duration is not null when 'tempo' then a.tempo_bpm is not null
                  else true end
              and (after_id is null or case sort
                   when 'newest' then (f.created_at, f.id) < (after_key::timestamptz, after_id)
                   when 'title' then (soundscape.fold(f.title), f.id) > (after_key, after_id)
                   when 'duration' then (f.duration, f.id) > (after_key::double precision, after_id)
                   when 'tempo' then (a.tempo_bpm, f.id) > (after_key::real, after_id)
                   else true end)
            -- The added interval keeps the planner from reading in this order.
            order by case when in_order and not sorted then f.created_at end desc,
                     case when in_order and sorted then f.created_at + interval '0' end desc,
                     case when in_order then f.id end desc,
                     case when sort = 'title' then soundscape.fold(f.title) end,
                     case when sort = 'duration' then f.duration end,
                     case when sort = 'tempo' then a.tempo_bpm end,
                     case when sort in ('title', 'duration', 'tempo') then f.id end
            limit max_rows) as r;
end
$$;

CREATE FUNCTION soundscape.find_similar(space text, place extensions.halfvec, recording uuid, max_rows integer, diversity double precision, filter soundscape.audio_filter) RETURNS TABLE(id uuid, score double precision, timbre double precision, rhythm double precision, tonality double precision, tags double precision)
    LANGUAGE plpgsql STABLE ROWS 20
    SET search_path TO ''
    AS $$
#variable_conflict use_column
begin
    if max_rows is null or max_rows not between 0 and 500 then
        raise exception 'The limit % is out of range.', max_rows using errcode = '22023', hint = '0 to 500.';
    elsif diversity is null or not diversity between 0 and 1 then
        raise exception 'The diversity % is out of range.', diversity using errcode = '22023',
            hint = '0 (most alike) to 1 (most varied).';
    end if;
    return query
        with near as materialized (
            select n.audio_id, n.cosine from soundscape.nearest(
                space, place, greatest(4 * max_rows, 300), filter, array_remove(array[recording], null)) as n),
        parts as materialized (
            select n.audio_id, 0.7 * greatest(0, n.cosine) as timbre, 0.1 * coalesce(l.rhythm, 0) as rhythm,
                   0.1 * coalesce(l.tonality, 0) as tonality, 0.1 * coalesce(l.tags, 0) as tags
            from near n left join soundscape.likeness(recording, array(select audio_id from near)) l
                on l.audio_id = n.audio_id),
        scored as materialized (
            select p.*, p.timbre + p.rhythm + p.tonality + p.tags as score from parts p),
        best as (
            select s.*, row_number() over (order by s.score desc, s.audio_id) as place from scored s)
        select b.audio_id, b.score, b.timbre, b.rhythm, b.tonality, b.tags
        from best b
        left join unnest(case when diversity > 0 then soundscape.diversify(
            -- Each choice compares with all remaining ones. Beyond this many they are hardly similar.
            array(select b.audio_id from best b where b.place <= max_rows + 300 order by b.place),
            array(select b.score from best b where b.place <= max_rows + 300 order by b.place),
            space, diversity, max_rows) end) with ordinality as v (audio_id, rank) on v.audio_id = b.audio_id
        where diversity = 0 or v.rank is not null
        order by v.rank, b.place limit max_rows;
end
$$;

CREATE FUNCTION soundscape.fingerprint_candidates(keys integer[], frames integer[], version integer, max_candidates integer DEFAULT 64, viewer uuid DEFAULT NULL::uuid, all_owners boolean DEFAULT false, for_recording uuid DEFAULT NULL::uuid) RETURNS TABLE(audio_id uuid, lag_frames integer, pairs integer, among bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 64
    SET search_path TO ''
    SET work_mem TO '32MB'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
#variable_conflict use_column
declare
    -- A key with more postings than this does not tell recordings apart.
    max_postings_per_key constant integer := 300;
    seer constant uuid := coalesce(viewer, (select f.user_id from public.audio_files f where f.id = for_recording));
    moderates constant boolean := not all_owners and soundscape.has_permission(seer, 'recordings.moderate');
    own_hash constant integer := soundscape.owner_hash(seer);
    -- What may be seen is known before a key is looked up, so that nothing else takes a place in the limit.
    visible record;
begin
    select * into visible
    from soundscape.visible_fingerprints(version, seer, moderates, all_owners, for_recording, max_postings_per_key);
    return query
        with asked as (
            select a.key, a.key::bigint << 42 as first, (a.key::bigint << 42) + 4398046511103 as last, a.frame,
                   -- Each key starts at another recording. Otherwise the oldest would take all places of the limit.
                   (a.key::bigint << 42) + ((a.key::bigint * 2654435761 % (visible.last_number + 1)) << 20) as middle
            from unnest(keys, frames) as a (key, frame)),
        -- Listed postings and those of the viewer (or of all owners) come from an index each. All four queries are
        -- ordered, so that Postgres merges them and reads no more than the limit.
        read as (
            select p.posting, asked.frame
            from asked
            cross join lateral (
                (select u.posting from (
                     (select i.posting from soundscape.postings i
                      where i.posting between asked.middle and asked.last
                          and (i.posting >> 20 & 4194303)::integer = any (visible.numbers)
                      order by i.posting)
                     union all
                     (select i.posting from soundscape.unlisted_postings i
                      where visible.any_unlisted and (all_owners or i.owner_hash = own_hash)
                        and (not all_owners or i.posting >= '-9223372036854775808'::bigint)
                        and i.posting between asked.middle and asked.last
                            and (i.posting >> 20 & 4194303)::integer = any (visible.numbers)
                      order by i.posting)
                 ) as u order by u.posting limit max_postings_per_key)
                union all
                (select u.posting from (
                     (select i.posting from soundscape.postings i
                      where i.posting >= asked.first and i.posting < asked.middle
                          and (i.posting >> 20 & 4194303)::integer = any (visible.numbers)
                      order by i.posting)
                     union all
                     (select i.posting from soundscape.unlisted_postings i
                      where visible.any_unlisted and (all_owners or i.owner_hash = own_hash)
                        and (not all_owners or i.posting >= '-9223372036854775808'::bigint)
                        and i.posting >= asked.first and i.posting < asked.middle
                            and (i.posting >> 20 & 4194303)::integer = any (visible.numbers)
                      order by i.posting)
                 ) as u order by u.posting limit max_postings_per_key)
                limit max_postings_per_key) as p
            union all
            select p.posting, asked.frame
            from soundscape.fingerprints f
            cross join lateral soundscape.postings_of(f.number, f.keys, f.frames) as p (posting)
            join asked on asked.key = (p.posting >> 42 & 4194303)::integer
            where moderates and f.audio_id = any (visible.hidden)),
        held as (
            -- The number of the recording is in the high half, the offset in steps of two frames in the low half.
            select (f.posting >> 20 & 4194303) << 32 | ((f.posting & 1048575) - f.frame >> 1) + 1073741824 as place
            from read f),
        counted as materialized (
            select h.place, count(*)::integer as pairs from held h group by h.place having count(*) > 1),
        best as (
            select c.place, c.pairs from counted c order by c.pairs desc, c.place limit least(max_candidates, 256))
        select f.audio_id, (((b.place & 4294967295) - 1073741824) * 2 + 1)::integer,
               b.pairs + coalesce((select n.pairs from counted n where n.place = b.place + 1), 0), visible.key_count
        from best b join soundscape.fingerprints f on f.number = b.place >> 32;
end
$$;

CREATE FUNCTION soundscape.fit_embeddings(recordings uuid[], space text) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select coalesce(jsonb_object_agg(e.audio_id, e.embedding::text), '{}')
    from public.audio_embeddings e
    where e.audio_id = any (recordings) and e.space = fit_embeddings.space and e.is_listed
$$;

CREATE FUNCTION soundscape.fit_history(after uuid DEFAULT NULL::uuid, max_people integer DEFAULT 500) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.follow_assignment() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    -- An assignment is deleted with the moderator's account. An unresolved report is open again then.
    update public.reports set assigned_at = case when tg_op <> 'DELETE' then new.created_at end
    where id = coalesce(new.report_id, old.report_id);
    return null;
end
$$;

CREATE FUNCTION soundscape.has_lost_job(recording uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select case
        when j.id is null then f.status in ('queued', 'analyzing')
        when j.msg_id is null then false
        when j.queue = 'soundscape_uploads'
            then not exists (select from pgmq.q_soundscape_uploads m where m.msg_id = j.msg_id)
        else not exists (select from pgmq.q_soundscape_backfill m where m.msg_id = j.msg_id)
    end
    from public.audio_files f
    left join soundscape.jobs j on j.audio_id = f.id and j.state in ('queued', 'running')
    where f.id = recording
$$;

CREATE FUNCTION soundscape.hide_recording(recording uuid, reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    file public.audio_files := soundscape.lock_moderated_recording(recording);
begin
    update public.audio_files set hidden_at = coalesce(file.hidden_at, now()), hidden_reason = coalesce(reason, '')
    where id = file.id;
end
$$;

CREATE FUNCTION soundscape.impressions_after(after_shown_at timestamp with time zone DEFAULT NULL::timestamp with time zone, after_answer uuid DEFAULT NULL::uuid, after_place integer DEFAULT NULL::integer, max_rows integer DEFAULT 1000) RETURNS TABLE(shown_at timestamp with time zone, answer_id uuid, place smallint, user_id uuid, audio_id uuid, reason text, score real, propensity real, seed bigint, model_id bigint, liked boolean, heard real)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.impressions_kept_for() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN '180 days'::interval;

CREATE FUNCTION soundscape.index_recording(recording uuid, object_version text, result jsonb) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    file public.audio_files;
    known jsonb;
begin
    select * into file from public.audio_files where id = recording for no key update;
    select f.descriptors into known from public.audio_features f
    where f.audio_id = recording and f.object_version = index_recording.object_version;
    if known is null or file.object_version is distinct from index_recording.object_version then
        return false;
    end if;
    perform soundscape.write_fingerprint(file, index_recording.object_version, result -> 'index');
    perform soundscape.replace_claims(file, known || jsonb_build_object('matches', result -> 'matches'));
    return true;
end
$$;

CREATE FUNCTION soundscape.index_snapshot() RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$ select pg_current_snapshot()::text $$;

CREATE FUNCTION soundscape.is_findable(file public.audio_files) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN ((file).is_listed AND (((file).status = ANY (ARRAY['queued'::text, 'analyzing'::text, 'ready'::text])) OR ((file).analyzed_at IS NOT NULL)));

CREATE FUNCTION soundscape.jobs_kept_for() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN '90 days'::interval;

CREATE FUNCTION soundscape.label_vector(tags text[], heard jsonb) RETURNS extensions.sparsevec
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
    select ('{' || coalesce(string_agg(dimension || ':' || weight, ','), '') || '}/1000000000')::extensions.sparsevec
    from (
        select 1 + ('x' || substr(md5(word), 1, 8))::bit(32)::bigint % 1000000000 as dimension, sum(weight) as weight
        from (select 'heard ' || h.label as word, h.weight::real as weight from jsonb_each_text(heard) as h (label,
            weight)
              union all select distinct 'called ' || soundscape.fold(t), 0.5::real from unnest(tags) as t) as words
        group by dimension) as vector
$$;

CREATE FUNCTION soundscape.likeness(recording uuid, others uuid[]) RETURNS TABLE(audio_id uuid, rhythm double precision, tonality double precision, tags double precision)
    LANGUAGE plpgsql STABLE ROWS 100
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
    this public.audio_embeddings;
    weight double precision;
begin
    select e.* into this from public.audio_embeddings e where e.audio_id = recording
    order by e.created_at desc, e.space limit 1;
    weight := this.label_vector operator(extensions.<+>) '{}/1000000000';
    return query
        select it.audio_id,
               case when it.onsets is null or this.onsets is null then 0
                    when it.octaves is null and this.octaves is null then pace
                    when it.octaves is null or this.octaves is null then 0.4 * pace
                    else 0.4 * pace + 0.6 * greatest(0, 1 - 4 * abs(apart - round(apart)))
                                          * least(it.octaves_confidence, this.octaves_confidence) end,
               case when it.onsets is null or this.onsets is null then 0
                    when it.fifth is null and this.fifth is null then 0.5
                    when it.fifth is null or this.fifth is null then 0
                    else greatest(0, 1 - (6 - abs(6 - abs(it.fifth - this.fifth))) / 6.0
                                       - case when it.is_minor = this.is_minor then 0 else 0.1 end)
                         * least(it.fifth_confidence, this.fifth_confidence) end,
               -- The sum of the differences is the weight that only one of the two has. It is in single precision.
               coalesce(round(1e7 * (both_weights - differences) / nullif(both_weights + differences, 0)) / 1e7, 0)
        from public.audio_embeddings it,
        lateral (select greatest(0,
            1 - abs(it.onsets - this.onsets)::double precision / ln(4::double precision)) as pace,
                        it.octaves::double precision - this.octaves as apart,
                        weight + (it.label_vector operator(extensions.<+>) '{}/1000000000') as both_weights,
                        it.label_vector operator(extensions.<+>) this.label_vector as differences) as between
        where it.audio_id = any (others) and it.space = this.space;
end
$$;

CREATE FUNCTION soundscape.list_jobs(states text[] DEFAULT NULL::text[], recording uuid DEFAULT NULL::uuid, owner uuid DEFAULT NULL::uuid, code text DEFAULT NULL::text, before bigint DEFAULT NULL::bigint, max_jobs integer DEFAULT 50) RETURNS SETOF jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select to_jsonb(j) || jsonb_build_object('title', f.title, 'status', f.status, 'file_path', f.file_path)
    from soundscape.jobs j join public.audio_files f on f.id = j.audio_id
    where (states is null or j.state = any(states))
      and (recording is null or j.audio_id = recording)
      and (owner is null or j.user_id = owner)
      and (code is null or j.error_code = code)
      and (before is null or j.id < before)
    order by j.id desc limit least(max_jobs, 1000)
$$;

CREATE FUNCTION soundscape.list_models(max_models integer DEFAULT 10) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select coalesce(jsonb_agg(to_jsonb(l) order by l.in_force desc, l.id desc), '[]') from (
        select m.*, m.state = 'in_force' as in_force,
               case when m.state = 'in_force' then (
                   select jsonb_build_object('placed', count(*), 'cold', count(*) filter (where i.is_cold))
                   from soundscape.item_factors i where i.model_id = m.id) end as recordings
        from soundscape.recommendation_models m order by m.state = 'in_force' desc, m.id desc limit max_models) as l
$$;

CREATE FUNCTION soundscape.listen_weight(listened_s real, completed boolean, duration_s double precision) RETURNS real
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN completed THEN (1)::double precision WHEN (listened_s = (0)::double precision) THEN (0)::double precision WHEN ((listened_s < (30)::double precision) AND (listened_s < ((0.2)::double precision * COALESCE(duration_s, (180)::double precision)))) THEN ('-1'::integer)::double precision ELSE LEAST((1)::double precision, GREATEST((listened_s / GREATEST(COALESCE(duration_s, (180)::double precision), (1)::double precision)), (listened_s / (240)::double precision))) END;

CREATE FUNCTION soundscape.listener_vector(model bigint, chosen uuid[], weights real[]) RETURNS extensions.vector
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
    select extensions.sum(i.key operator(extensions.*) array_fill(
        soundscape.choice_confidence(c.weight, (m.settings ->> 'alpha')::real, (m.settings ->> 'skip')::real),
            array[32])::extensions.vector)
    from unnest(chosen, weights) as c (audio_id, weight)
    join soundscape.recommendation_models m on m.id = model
    join soundscape.item_factors i on i.model_id = model and i.audio_id = c.audio_id
$$;

CREATE FUNCTION soundscape.lock_held_job(job_id bigint, token text) RETURNS soundscape.jobs
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    job soundscape.jobs;
begin
    -- The owner is locked before the recording, everywhere: the account may be being deleted, or new bytes may be
    -- arriving. The lock on the recording is the weakest that allows the update. With a stronger one, two jobs that
    -- complete at once and claim to match each other would deadlock.
    perform from public.users u
    where u.id = (select j.user_id from soundscape.jobs j where j.id = job_id) for key share;
    perform from public.audio_files f
    where f.id = (select j.audio_id from soundscape.jobs j where j.id = job_id) for no key update;
    select * into job from soundscape.jobs where id = job_id for update;
    if job.id is null or job.state <> 'running' or token is distinct from job.msg_id || '.' || job.attempt then
        raise exception 'lease_lost' using errcode = 'PT409',
            detail = format('Job %s is not held by this token.', job_id),
            hint = 'Drop the work: another worker has the job, or it is no longer wanted.';
    end if;
    return job;
end
$$;

CREATE FUNCTION soundscape.lock_moderated_recording(recording uuid) RETURNS public.audio_files
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    file public.audio_files;
begin
    perform soundscape.require_permission('recordings.moderate');
    select * into file from public.audio_files f
    where f.id = recording and (f.is_public or f.hidden_at is not null) for update;
    if file.id is null then
        raise exception 'There is no such public recording.' using errcode = 'PT404';
    elsif file.user_id = (select auth.uid()) then
        raise exception 'You cannot moderate your own recording.' using errcode = '42501',
            hint = 'Ask another moderator.';
    end if;
    return file;
end
$$;

CREATE FUNCTION soundscape.lock_object_name(object_name text) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$
    -- Row and object may arrive in two transactions at once that do not see each other. The second one waits here.
    select pg_advisory_xact_lock(hashtextextended('audio-files/' || object_name, 0))
$$;

CREATE FUNCTION soundscape.lock_own_playlist(playlist uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform from public.playlists p where p.id = playlist and p.user_id = (select auth.uid()) for no key update;
    if not found then
        raise exception 'The playlist is not yours.' using errcode = '42501',
            hint = 'Only its owner may reorder a playlist.';
    end if;
end
$$;

CREATE FUNCTION soundscape.lock_own_recording(recording uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform from public.users where id = (select auth.uid()) for key share;
    perform from public.audio_files where id = recording and user_id = (select auth.uid()) for update;
    if not found then
        raise exception 'You have no recording with the id %.', recording
            using errcode = '42501', hint = 'Only the owner can cancel or retry the analysis.';
    end if;
end
$$;

CREATE FUNCTION soundscape.lock_recording_name() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    -- An upload that describes itself holds this lock while it waits for the unique name. So it is taken before the row
    -- exists.
    perform soundscape.lock_object_name(new.file_path);
    return new;
end
$$;

CREATE FUNCTION soundscape.log_impressions(recordings uuid[], reasons text[], scores double precision[], propensities double precision[], seed bigint, model_id bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.make_user() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    -- A sign-up must never fail because of a name. A long name is cut, a blank one is left out. Profiles are public, so
    -- only display_name is taken and not the full name that providers send.
    insert into public.users (id, display_name)
    values (new.id, nullif(left(btrim(new.raw_user_meta_data ->> 'display_name'), 80), ''))
    on conflict (id) do nothing;
    insert into public.user_preferences (user_id) values (new.id) on conflict (user_id) do nothing;
    return new;
end
$$;

CREATE FUNCTION soundscape.max_attempts() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN 5;

CREATE FUNCTION soundscape.max_excused_failures() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN 50;

CREATE FUNCTION soundscape.max_ready_per_owner() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN 2;

CREATE FUNCTION soundscape.max_repairs_per_sweep() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN 500;

CREATE FUNCTION soundscape.measure_candidates(candidates uuid[], caller soundscape.taste, model bigint, listener extensions.vector, partners uuid[], partnership double precision[], leaving_out uuid[], max_choices integer) RETURNS TABLE(audio_id uuid, sound double precision, skipped double precision, taste double precision, together double precision, popularity double precision, labelled double precision)
    LANGUAGE plpgsql STABLE ROWS 500
    SET search_path TO ''
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

CREATE FUNCTION soundscape.model_items(model bigint, recordings uuid[]) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select coalesce(jsonb_agg(jsonb_build_object(
        'id', i.audio_id, 'place', i.place::text, 'key', i.key::text, 'is_cold', i.is_cold,
        'neighbours', n.ids, 'weights', n.weights)), '[]')
    from soundscape.item_factors i, lateral (
        select coalesce(jsonb_agg(n.neighbour_id), '[]') as ids, coalesce(jsonb_agg(n.weight), '[]') as weights
        from soundscape.item_neighbours n where n.audio_id = i.audio_id and n.model_id = i.model_id) as n
    where i.model_id = model and i.audio_id = any (recordings)
$$;

CREATE FUNCTION soundscape.mood_points(recordings uuid[], of_mood text DEFAULT NULL::text) RETURNS TABLE(audio_id uuid, mood text, rule text, points double precision)
    LANGUAGE sql STABLE ROWS 100
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.move_playlist_item(item uuid, to_position integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    list uuid := (select playlist_id from public.playlist_items where id = item);
    from_position integer;
    wanted integer;
begin
    perform soundscape.lock_own_playlist(list);
    from_position := (select i.position from public.playlist_items i where i.id = item);
    wanted := least(greatest(to_position, 1), (select max(i.position) from public.playlist_items i
        where i.playlist_id = list));
    update public.playlist_items i
    set position = case when i.id = item then wanted
                        when wanted < from_position then i.position + 1
                        else i.position - 1 end
    where i.playlist_id = list
      and i.position between least(from_position, wanted) and greatest(from_position, wanted)
      and wanted <> from_position;
end
$$;

CREATE FUNCTION soundscape.nearest(space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter DEFAULT NULL::soundscape.audio_filter, leaving_out uuid[] DEFAULT '{}'::uuid[]) RETURNS TABLE(audio_id uuid, cosine double precision)
    LANGUAGE plpgsql STABLE ROWS 100
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
    owner constant uuid := auth.uid();
    listed uuid[];
    distances double precision[];
    others uuid[];
begin
    if not (filter is null) then
        return query select n.audio_id, n.cosine from soundscape.nearest_filtered(space, place, max_rows, filter,
            leaving_out) n;
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
        order by b.distance, b.audio_id limit max_rows;
end
$$;

CREATE FUNCTION soundscape.nearest_filtered(space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter, leaving_out uuid[]) RETURNS TABLE(audio_id uuid, cosine double precision)
    LANGUAGE plpgsql STABLE ROWS 100
    SET search_path TO ''
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
#variable_conflict use_column
declare
    -- If at most this many recordings pass the filter, it is cheaper to filter first. Otherwise the filter is applied
    -- on the way through the graph.
    selective constant integer := 20000;
    owner constant uuid := auth.uid();
    everything constant boolean := not row_security_active('public.audio_embeddings');
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
            where e.audio_id <> all (leaving_out)
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
        select b.audio_id, 1 - b.distance from both_kinds b order by b.distance, b.audio_id limit max_rows;
end
$$;

CREATE FUNCTION soundscape.newest_with_labels(labels text[], max_per_label integer, leaving_out uuid[]) RETURNS TABLE(audio_id uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
    SET search_path TO ''
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
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

CREATE FUNCTION soundscape.next_fingerprint_number() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    candidate integer;
begin
    loop
        candidate := nextval('soundscape.fingerprint_numbers');
        exit when not exists (select from soundscape.fingerprints f where f.number = candidate);
    end loop;
    return candidate;
end
$$;

CREATE FUNCTION soundscape.next_message_s() RETURNS double precision
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    -- greatest() ignores null and would return 0.
    select case when min(m.vt) is not null
        then greatest(0, extract(epoch from min(m.vt) - clock_timestamp())) end::double precision
    from (select min(u.vt) as vt from pgmq.q_soundscape_uploads u
          union all select min(b.vt) from pgmq.q_soundscape_backfill b) m
    where (select s.paused_at is null from soundscape.queue_settings s)
$$;

CREATE FUNCTION soundscape.notifications_kept_for() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN '90 days'::interval;

CREATE FUNCTION soundscape.notify(recipient uuid, kind text, audio_id uuid, error_code text, trace_id text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    insert into public.notifications (user_id, kind, audio_id, error_code, trace_id)
    values (recipient, notify.kind, notify.audio_id, notify.error_code, notify.trace_id)
$$;

CREATE FUNCTION soundscape.on_bytes_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    delete from soundscape.fingerprints where audio_id = new.id;
    return null;
end
$$;

CREATE FUNCTION soundscape.on_embedding_written() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    select c.* into new.octaves, new.octaves_confidence, new.onsets, new.fifth, new.is_minor, new.fifth_confidence,
        new.label_vector
    from soundscape.similarity_traits(new.audio_id) c;
    return new;
end
$$;

CREATE FUNCTION soundscape.on_fingerprint_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    if tg_op <> 'INSERT' and old.is_listed then
        delete from soundscape.postings p
        using soundscape.postings_of(old.number, old.keys, old.frames) as gone (posting)
        where p.posting = gone.posting;
    elsif tg_op <> 'INSERT' then
        delete from soundscape.unlisted_postings p
        using soundscape.postings_of(old.number, old.keys, old.frames) as gone (posting)
        where p.owner_hash = soundscape.owner_hash(old.user_id) and p.posting = gone.posting;
    end if;
    if tg_op <> 'DELETE' and new.is_listed then
        insert into soundscape.postings (posting)
        select * from soundscape.postings_of(new.number, new.keys, new.frames);
    elsif tg_op <> 'DELETE' then
        insert into soundscape.unlisted_postings (owner_hash, posting)
        select soundscape.owner_hash(new.user_id), p.posting
        from soundscape.postings_of(new.number, new.keys, new.frames) as p (posting);
    end if;
    return null;
end
$$;

CREATE FUNCTION soundscape.on_moods_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    if tg_table_name = 'audio_files' then
        perform soundscape.write_moods(array[new.id]);
    else
        perform soundscape.write_moods(array[new.audio_id]);
    end if;
    return null;
end
$$;

CREATE FUNCTION soundscape.on_object_deleted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    recording uuid;
begin
    select id into recording from public.audio_files where object_id = old.id for update;
    if recording is null then
        return null;
    end if;
    update soundscape.jobs set state = 'cancelled', finished_at = now()
    where state in ('queued', 'running') and audio_id = recording;
    perform soundscape.delete_results(recording);
    insert into soundscape.deletions (bucket_id, name)
    select 'waveforms', o.name from storage.objects o
    where o.bucket_id = 'waveforms' and o.name like recording::text || '/%'
    on conflict do nothing;
    update public.audio_files
    set status = 'awaiting_upload', object_id = null, object_version = null, object_etag = null,
        analysis_version = null, analyzed_at = null, error_code = null, error_message = null
    where id = recording;
    return null;
end
$$;

CREATE FUNCTION soundscape.on_object_moved() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    if exists (
        select from unnest(array[old.bucket_id, new.bucket_id]) as bucket
        where bucket in ('audio-files', 'waveforms', 'profile-images'))
    then
        raise exception 'Objects do not move between % and %.', old.bucket_id, new.bucket_id
            using errcode = '42501', hint = 'Upload the file to the other bucket.';
    end if;
    return new;
end
$$;

CREATE FUNCTION soundscape.on_object_written() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    file public.audio_files;
begin
    perform soundscape.lock_object_name(new.name);
    perform soundscape.cancel_deletion(new.name);
    select * into file from public.audio_files where file_path = new.name;
    if file.id is not null and file.user_id is distinct from soundscape.owner_of(new.name, new.owner_id) then
        raise exception 'The name % belongs to another user''s recording.', new.name
            using errcode = '42501', hint = 'Choose another name.';
    end if;

    if tg_op = 'UPDATE' and old.metadata ->> 'eTag' = new.metadata ->> 'eTag' then
        -- The object was moved, or has the same bytes as before: there is nothing new to analyse. If the recording had
        -- failed, the same bytes mean that somebody wants to try again.
        update public.audio_files set file_path = new.name, object_version = new.version
        where object_id = new.id
          and (old.name is distinct from new.name or status in ('queued', 'analyzing', 'ready'));
        if found then
            update soundscape.jobs set object_version = new.version
            where state in ('queued', 'running')
              and audio_id = (select id from public.audio_files where object_id = new.id);
            update public.audio_features set object_version = new.version
            where object_version = old.version
              and audio_id = (select id from public.audio_files where object_id = new.id);
            update soundscape.fingerprints set object_version = new.version
            where object_version = old.version
              and audio_id = (select id from public.audio_files where object_id = new.id);
            return null;
        end if;
    end if;

    if file.id is not null then
        perform soundscape.attach_object(file.id);
    elsif soundscape.title_or_null(new.user_metadata ->> 'title') is not null
          and exists (select from public.users where id = soundscape.owner_of(new.name, new.owner_id)) then
        perform soundscape.describe_object(new);  -- its own trigger attaches and enqueues
    end if;
    return null;
end
$$;

CREATE FUNCTION soundscape.on_recording_deleted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    -- Bytes that a moderator hid must not come back under a new row. Their deletion cannot be cancelled.
    insert into soundscape.deletions (bucket_id, name, is_final)
    select o.bucket_id, o.name, old.hidden_at is not null from storage.objects o
    where (o.id = old.object_id and o.bucket_id = 'audio-files')
       or (o.bucket_id = 'waveforms' and o.name like old.id::text || '/%')
    on conflict (bucket_id, name) do update set is_final = deletions.is_final or excluded.is_final;
    if found then
        perform soundscape.ring_doorbell();
    end if;
    delete from soundscape.former_dismissals d where old.id in (d.audio_id, d.matched_audio_id);
    return null;
end
$$;

CREATE FUNCTION soundscape.on_tags_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    update public.audio_files f set heard = now_heard.heard
    from (select c.audio_id, soundscape.tag_weights(c.audio_id) as heard
          from (select distinct audio_id from changed) as c) as now_heard
    where f.id = now_heard.audio_id and f.heard <> now_heard.heard;
    return null;
end
$$;

CREATE FUNCTION soundscape.on_traits_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    recording uuid;
begin
    if tg_table_name = 'audio_files' then
        recording := new.id;
    else
        recording := new.audio_id;
    end if;
    update public.audio_embeddings e
    set (octaves, octaves_confidence, onsets, fifth, is_minor, fifth_confidence, label_vector) = (
        select c.* from soundscape.similarity_traits(recording) c)
    where e.audio_id = recording;
    return null;
end
$$;

CREATE FUNCTION soundscape.on_user_deleted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id in ('audio-files', 'profile-images') and o.name like old.id::text || '/%'
    on conflict do nothing;
    return null;
end
$$;

CREATE FUNCTION soundscape.on_words_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    former text[] := '{}';
    present text[] := '{}';
begin
    if tg_op <> 'INSERT' and soundscape.is_findable(old) then
        former := soundscape.correctable_words(old.search);
    end if;
    if tg_op <> 'DELETE' and soundscape.is_findable(new) then
        present := soundscape.correctable_words(new.search);
    end if;
    if former = present then
        return null;
    end if;
    -- The order prevents a deadlock between two transactions that insert the same words.
    insert into soundscape.vocabulary (word)
    select p.word from unnest(present) as p (word)
    where not exists (select from soundscape.vocabulary v where v.word = p.word)
    order by p.word on conflict do nothing;
    insert into soundscape.former_words (word) select f.word from unnest(former) as f (word)
        where f.word <> all (present);
    return null;
end
$$;

CREATE FUNCTION soundscape.open_single_letters(wanted tsquery) RETURNS tsquery
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN (regexp_replace((wanted)::text, format('''(%s)'''::text, soundscape.unspaced_letter()), '''\1'':*'::text, 'g'::text))::tsquery;

CREATE FUNCTION soundscape.owner_hash(user_id uuid) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN ((('x'::text || "right"((user_id)::text, 8)))::bit(32))::integer;

CREATE FUNCTION soundscape.owner_message(final_state text, code text, message text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN CASE final_state WHEN 'refused'::text THEN "left"(message, 2000) WHEN 'dead'::text THEN 'The analysis did not come to an end, though it was tried several times. Try again later (retry_analysis), or upload the recording in another format.'::text WHEN 'cancelled'::text THEN 'The analysis was cancelled. Ask for it again with retry_analysis.'::text ELSE NULL::text END;

CREATE FUNCTION soundscape.uuid_or_null(candidate text) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN CASE WHEN (candidate ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'::text) THEN (candidate)::uuid ELSE NULL::uuid END;

CREATE FUNCTION soundscape.owner_of(object_name text, owner_id text) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN COALESCE(soundscape.uuid_or_null(owner_id), soundscape.uuid_or_null(split_part(object_name, '/'::text, 1)));

CREATE FUNCTION soundscape.parse_query(query text) RETURNS soundscape.words
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $_$
declare
    whole text;
    wanted text;
    excluded text;
    spelt text[];
    exact tsquery;
    ends_open boolean;
begin
    if char_length(query) > 1000 then
        raise exception 'The query has % characters.', char_length(query) using errcode = '22023',
            hint = 'At most 1000.';
    end if;
    whole := soundscape.fold(query);
    with part as (
        select r.place, r.found[1] = '-' as leaves_out, r.found[2] is not null as quoted,
               soundscape.pair_letters(soundscape.plain_words(coalesce(r.found[2], r.found[3]))) as words
        from regexp_matches(whole, '(-?)(?:"([^"]*)"|([^\s"]+))', 'g') with ordinality as r (found, place)),
    worded as (select p.* from part p where numnode(plainto_tsquery('pg_catalog.simple', p.words)) > 0)
    -- The pairs of an unspaced script stay together, like a quoted phrase.
    select string_agg(case when w.leaves_out then format('-"%s"', w.words)
                           when w.quoted or w.words ~ soundscape.unspaced_letter() then format('"%s"', w.words)
                           else w.words end,
                      ' ' order by w.place),
           string_agg(format('-"%s"', w.words), ' ') filter (where w.leaves_out),
           -- The last word may be unfinished, unless a blank or a quotation mark follows it or it is excluded.
           bool_or(w.place = (select max(p.place) from part p) and not w.leaves_out and not w.quoted)
               and soundscape.plain_words(right(whole, 1)) ~ '\S',
           -- A query with quotation marks or digits is taken as it is spelt.
           case when whole !~ '["0-9]' then array(
               select word from unnest(tsvector_to_array(to_tsvector('pg_catalog.simple',
                   string_agg(w.words, ' ') filter (where not w.leaves_out)))) as word
               where char_length(word) > 2 limit 20) end
    into wanted, excluded, ends_open, spelt from worded w;
    exact := soundscape.open_single_letters(websearch_to_tsquery('pg_catalog.simple', coalesce(wanted, '')));
    return row(
        exact, case when ends_open and exact::text ~ '''$' then (exact::text || ':*')::tsquery else exact end,
        soundscape.open_single_letters(websearch_to_tsquery('pg_catalog.simple', excluded)), coalesce(spelt, '{}'),
            false, null, null, null)::soundscape.words;
end
$_$;

CREATE FUNCTION soundscape.passes_filter(recording uuid, filter soundscape.audio_filter) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
    select exists (
        select from public.audio_files f left join public.audio_features a on a.audio_id = f.id
        where f.id = recording
          and (filter.min_tempo_bpm is null or a.tempo_bpm >= filter.min_tempo_bpm)
          and (filter.max_tempo_bpm is null or a.tempo_bpm <= filter.max_tempo_bpm)
          and (filter.key is null or a.key = filter.key)
          and (filter.mode is null or a.mode = filter.mode)
          and (filter.min_duration_s is null or f.duration >= filter.min_duration_s)
          and (filter.max_duration_s is null or f.duration <= filter.max_duration_s)
          and (filter.min_loudness_lufs is null or a.integrated_lufs >= filter.min_loudness_lufs)
          and (filter.max_loudness_lufs is null or a.integrated_lufs <= filter.max_loudness_lufs)
          and (filter.labels is null or f.labels @> filter.labels)
          and (filter.license is null or f.license = filter.license))
$$;

CREATE FUNCTION soundscape.passes_filters(file public.audio_files, filters jsonb) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
declare
    wanted record;
    answer boolean;
begin
    for wanted in
        select f ->> 'column' as name, f ->> 'op' as op, f ->> 'value' as value from jsonb_array_elements(filters) as f
    loop
        answer := case
            when wanted.name = 'tags' and wanted.op = 'cs' then file.tags @> string_to_array(wanted.value, ',')
            when wanted.name = 'tags' and wanted.op = 'ov' then file.tags && string_to_array(wanted.value, ',')
            when wanted.name = 'id' then soundscape.compares(file.id::text, wanted.op, wanted.value)
            when wanted.name in ('owner', 'user_id') then soundscape.compares(file.user_id::text, wanted.op,
                wanted.value)
            when wanted.name = 'status' then soundscape.compares(file.status, wanted.op, wanted.value)
            when wanted.name = 'error_code' then soundscape.compares(file.error_code, wanted.op, wanted.value)
            when wanted.name = 'content_type' then soundscape.compares(file.content_type, wanted.op, wanted.value)
            when wanted.name = 'analysis_version' then soundscape.compares(file.analysis_version, wanted.op,
                wanted.value)
            when wanted.name = 'is_public' then soundscape.compares(file.is_public::text, wanted.op, wanted.value)
            when wanted.name = 'duration' then soundscape.compares(file.duration::numeric, wanted.op, wanted.value)
            when wanted.name = 'size_bytes' then soundscape.compares(file.size_bytes::numeric, wanted.op, wanted.value)
            when wanted.name = 'channels' then soundscape.compares(file.channels::numeric, wanted.op, wanted.value)
            when wanted.name = 'sample_rate' then soundscape.compares(file.sample_rate::numeric, wanted.op,
                wanted.value)
            when wanted.name = 'created_at' then soundscape.compares(file.created_at, wanted.op, wanted.value)
            when wanted.name = 'analyzed_at' then soundscape.compares(file.analyzed_at, wanted.op, wanted.value)
        end;
        if answer is not true then
            return false;
        end if;
    end loop;
    return true;
end
$$;

CREATE FUNCTION soundscape.pending_comparisons(max_fingerprints integer DEFAULT 20) RETURNS TABLE(audio_id uuid, others uuid[])
    LANGUAGE plpgsql SECURITY DEFINER ROWS 10
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
    waiting uuid[];
begin
    waiting := array(
        select f.audio_id from soundscape.fingerprints f where f.compared_in is not null
        order by f.created_at limit least(max_fingerprints, 100) for update skip locked);
    -- Fingerprints that are written from now on see these.
    return query
        select f.audio_id, array_agg(o.audio_id)
        from soundscape.fingerprints f
        join soundscape.fingerprints o
          -- Transactions are compared by their snapshots. The time only limits how many are compared.
          on o.created_at > f.created_at - interval '1 day' and o.version = f.version and o.audio_id <> f.audio_id
             and not pg_visible_in_snapshot(o.written_in, f.compared_in)
        where f.audio_id = any (waiting)
        group by f.audio_id;
    update soundscape.fingerprints f set compared_in = null
    where f.audio_id = any (waiting) and not exists (
        select from soundscape.fingerprints o
        where o.created_at > f.created_at - interval '1 day' and o.version = f.version and o.audio_id <> f.audio_id
          and not pg_visible_in_snapshot(o.written_in, f.compared_in));
end
$$;

CREATE FUNCTION soundscape.pending_deletions(max_objects integer DEFAULT 100) RETURNS TABLE(bucket_id text, names text[])
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
    deletion soundscape.deletions;
    taken bigint[] := '{}';
begin
    for deletion in
        select * from soundscape.deletions
        -- An object that could not be deleted waits 2 minutes, then 4, 8 …, up to 17 hours. New requests come first.
        where taken_at is null
           or taken_at < clock_timestamp() - soundscape.deletion_grace() * power(2, least(attempts, 10) - 1)
        order by attempts, id limit least(max_objects, 500)
    loop
        -- Uploads and new rows take this lock before they look. From here on they see that the name is taken.
        perform soundscape.lock_object_name(deletion.name);
        -- Another worker may have taken it while this one waited.
        update soundscape.deletions set taken_at = clock_timestamp(), attempts = attempts + 1
        where id = deletion.id and taken_at is not distinct from deletion.taken_at;
        if found then
            taken := taken || deletion.id;
        end if;
    end loop;
    return query
        select r.bucket_id, array_agg(r.name) from soundscape.deletions r where r.id = any(taken)
        -- One name that cannot be deleted fails its whole batch. From the second attempt on each name is a batch of its
        -- own.
        group by r.bucket_id, case when r.attempts > 1 then r.id end;
end
$$;

CREATE FUNCTION soundscape.place_in_model() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.postings_of(number integer, keys integer[], frames integer[]) RETURNS SETOF bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
    select distinct (key::bigint << 42) | (number::bigint << 20) | frame
    from unnest(keys, frames) as k (key, frame)
    -- Keys after 6.75 hours are verified but not looked up.
    where key between 0 and 4194303 and frame between 0 and 1048575
$$;

CREATE FUNCTION soundscape.predict_factors(model bigint, space text, embedding extensions.halfvec) RETURNS TABLE(place extensions.vector, key extensions.vector)
    LANGUAGE sql STABLE ROWS 1
    SET search_path TO ''
    AS $$
    select array_agg(
               m.intercept - (m.weights operator(extensions.<#>) embedding::extensions.vector)
               order by m.factor)::extensions.vector,
           array_agg(
               m.key_intercept - (m.key_weights operator(extensions.<#>) embedding::extensions.vector)
               order by m.factor)::extensions.vector
    from soundscape.factor_maps m where m.model_id = model and m.space = predict_factors.space
    having count(*) = 32
$$;

CREATE FUNCTION soundscape.publish_lock_key() RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN '7306861441'::bigint;

CREATE FUNCTION soundscape.publish_model(token uuid, model bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.queue_stats() RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select jsonb_build_object(
        'queues', (
            select jsonb_object_agg(q.name, jsonb_build_object(
                'running', coalesce(s.running, 0), 'standing', coalesce(s.standing, 0),
                'retrying', coalesce(s.retrying, 0), 'waiting', coalesce(s.waiting, 0),
                'owners', coalesce(s.owners, 0), 'oldest_s', s.oldest_s))
            from unnest(array['soundscape_uploads', 'soundscape_backfill']) as q (name)
            left join (
                select j.queue,
                    count(*) filter (where j.state = 'running') as running,
                    count(*) filter (where j.state = 'queued' and j.msg_id is null) as waiting,
                    count(*) filter (where j.state = 'queued' and j.msg_id is not null
                        and (j.retry_at is null or j.retry_at <= now())) as standing,
                    count(*) filter (where j.state = 'queued' and j.msg_id is not null
                        and j.retry_at > now()) as retrying,
                    count(distinct j.user_id) as owners,
                    round(extract(epoch from now() - min(j.created_at) filter (where j.state = 'queued')),
                        1) as oldest_s
                from soundscape.jobs j where j.state in ('queued', 'running') group by j.queue
            ) s on s.queue = q.name),
        'leases_run_out', (
            select count(*) from soundscape.jobs j where j.state = 'running' and j.lease_expires_at < now()),
        'ended_in_a_day', (
            select coalesce(jsonb_object_agg(e.state, e.jobs), '{}') from (
                select j.state, count(*) as jobs from soundscape.jobs j
                where j.state not in ('queued', 'running') and j.finished_at > now() - interval '1 day'
                group by j.state) e),
        'dead', (
            select coalesce(jsonb_object_agg(e.code, e.jobs), '{}') from (
                select coalesce(j.error_code, 'unknown') as code, count(*) as jobs
                from soundscape.jobs j where j.state = 'dead' group by 1) e),
        'settings', (select to_jsonb(s) - 'only_row' from soundscape.queue_settings s))
$$;

CREATE FUNCTION soundscape.rank_candidates(candidates uuid[], scores double precision[], max_rows integer, draw bigint, diversity double precision) RETURNS TABLE(audio_id uuid, place integer, propensity double precision)
    LANGUAGE plpgsql STABLE ROWS 20
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.read_taste(labels text[], draw bigint, max_skips integer) RETURNS soundscape.taste
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.reanalyze(version text, filters jsonb DEFAULT '[]'::jsonb, max_recordings integer DEFAULT 500, after uuid DEFAULT NULL::uuid, plan boolean DEFAULT false) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    seen integer := 0;
    lacking uuid[] := '{}';
    cursor_at uuid := after;
    file public.audio_files;
    live soundscape.jobs;
    enqueued integer := 0;
    busy integer := 0;
begin
    if version is null or char_length(version) not between 1 and 64 then
        raise exception 'A version of the analysis is 1 to 64 characters.' using errcode = '22023';
    end if;
    perform soundscape.check_filters(filters);
    -- So many rows a call, matching or not: a call stays far below any statement timeout.
    for file in
        select * from public.audio_files f where after is null or f.id > after order by f.id limit 5000
    loop
        seen := seen + 1;
        cursor_at := file.id;
        if soundscape.wants_analysis(file, version) and soundscape.passes_filters(file, filters) then
            lacking := lacking || file.id;
            exit when cardinality(lacking) >= least(max_recordings, 1000);
        end if;
    end loop;

    if not plan then
        -- All of them before any job is touched, and none that somebody is busy with.
        perform from public.audio_files f where f.id = any(lacking) order by f.id for update skip locked;
        for file in select * from public.audio_files f where f.id = any(lacking) order by f.id
            for update skip locked loop
            continue when not soundscape.wants_analysis(file, version);
            select * into live from soundscape.jobs j
            where j.audio_id = file.id and j.state in ('queued', 'running') for update;
            if live.state = 'queued' then
                -- Whoever takes it will do as well by this version as by none.
                update soundscape.jobs set analysis_version = version where id = live.id;
            else
                perform soundscape.enqueue(file.id, file.object_version, coalesce(live.queue, 'soundscape_backfill'),
                    version);
                -- Ready stays ready: former results are shown until there are new ones.
                update public.audio_files set status = 'queued', error_code = null, error_message = null
                where id = file.id and status in ('analyzing', 'failed', 'rejected');
            end if;
            enqueued := enqueued + 1;
        end loop;
        busy := cardinality(lacking) - enqueued;
    end if;
    return jsonb_build_object(
        'found', cardinality(lacking), 'enqueued', enqueued, 'busy', busy, 'after', cursor_at,
        'done', seen < 5000 and cardinality(lacking) < least(max_recordings, 1000));
end
$$;

CREATE FUNCTION soundscape.reason_sentence(reason text, title text, label text, shared text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.recommendation_candidates(caller soundscape.taste, model bigint, w soundscape.recommendation_weights) RETURNS TABLE(audio_id uuid, score double precision, source text)
    LANGUAGE plpgsql STABLE ROWS 500
    SET search_path TO ''
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

CREATE FUNCTION soundscape.recommendation_weights() RETURNS soundscape.recommendation_weights
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select w from soundscape.recommendation_weights w
$$;

CREATE FUNCTION soundscape.reconcile() RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    counts jsonb;
begin
    -- Two sweeps at once would only wait for each other's names.
    if not pg_try_advisory_xact_lock(hashtextextended('soundscape.reconcile', 0)) then
        return jsonb_build_object('attached', 0, 'drafted', 0, 'resent', 0, 'discarded', 0);
    end if;
    counts := jsonb_build_object('attached', soundscape.attach_found_objects());
    counts := counts || jsonb_build_object('drafted', soundscape.draft_undescribed_objects());
    counts := counts || jsonb_build_object('resent', soundscape.requeue_lost_jobs());
    perform soundscape.admit_waiting();
    perform soundscape.delete_unused_words(soundscape.max_repairs_per_sweep());
    perform soundscape.delete_old_rows();
    return counts || jsonb_build_object('discarded', soundscape.discard_unused_objects());
end
$$;

CREATE FUNCTION soundscape.recordings_in_mood(mood text, max_rows integer) RETURNS TABLE(audio_id uuid, score real)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select * from (
        (select m.audio_id, m.score from soundscape.audio_moods m where m.is_listed and m.mood = recordings_in_mood.mood
         order by m.score desc, m.audio_id limit max_rows)
        union all
        select m.audio_id, m.score from soundscape.audio_moods m
        where not m.is_listed and m.mood = recordings_in_mood.mood and m.user_id = auth.uid()) as both_kinds
    order by score desc, audio_id limit max_rows
$$;

CREATE FUNCTION soundscape.refuse_over_limit(held bigint, max_rows integer, what text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
    if held > max_rows then
        raise exception 'You have reached the limit of % %.', max_rows, what
            using errcode = 'PT429', hint = 'Delete some, or try again later.';
    end if;
end
$$;

CREATE FUNCTION soundscape.reorder_playlist(playlist uuid, items uuid[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.lock_own_playlist(playlist);
    if (select array_agg(i.id order by i.id) from public.playlist_items i where i.playlist_id = playlist)
       is distinct from (select array_agg(x order by x) from unnest(items) as x)
    then
        raise exception 'The list does not hold each item of the playlist once.' using errcode = '22023',
            hint = 'Read the playlist again: it may have changed meanwhile.';
    end if;
    update public.playlist_items i set position = wanted.place
    from unnest(items) with ordinality as wanted (id, place)
    where i.id = wanted.id and i.position <> wanted.place;
end
$$;

CREATE FUNCTION soundscape.replace_claims(file public.audio_files, result jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    -- When two jobs complete at once, the later one waits here until the earlier one has committed, so that its next
    -- statement sees the earlier one's hashes. The locks are taken in one order, so that no two wait for each other.
    perform pg_advisory_xact_lock(hash.key)
    from (select distinct hashtextextended('soundscape copies ' || h, 0) as key
          from unnest(array[result #>> '{source,sha256}', result #>> '{source,pcm_sha256}']) as h
          where h is not null order by 1) as hash;

    -- Claims of this recording's earlier analysis that the new one does not make are deleted. Dismissed ones stay.
    delete from public.audio_matches m
    where m.audio_id = file.id and m.kind <> 'identical' and jsonb_typeof(result -> 'matches') = 'array'
      and coalesce(m.dismissed_at, m.owner_dismissed_at, m.matched_owner_dismissed_at) is null
      and not exists (
        select from jsonb_to_recordset(result -> 'matches') as c (audio_id uuid) where c.audio_id = m.matched_audio_id);
    perform soundscape.write_claims(file, result);
end
$$;

CREATE FUNCTION soundscape.requeue_lost_jobs() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    recording record;
    resent integer := 0;
begin
    for recording in
        select f.id from public.audio_files f
        where f.object_version is not null and f.id in (
            select w.id from public.audio_files w
            where w.status in ('queued', 'analyzing') and soundscape.has_lost_job(w.id)
            union
            select j.audio_id from soundscape.jobs j
            where j.state in ('queued', 'running') and j.msg_id is not null and soundscape.has_lost_job(j.audio_id))
        order by f.created_at limit soundscape.max_repairs_per_sweep()
        for update of f skip locked
    loop
        -- The job may have ended, or a new one may have been queued, before the lock was granted.
        if soundscape.has_lost_job(recording.id) then
            perform soundscape.enqueue(
                f.id, f.object_version, coalesce(j.queue, 'soundscape_uploads'), j.analysis_version)
            from public.audio_files f
            left join soundscape.jobs j on j.audio_id = f.id and j.state in ('queued', 'running')
            where f.id = recording.id;
            update public.audio_files set status = 'queued' where id = recording.id and status = 'analyzing';
            resent := resent + 1;
        end if;
    end loop;
    return resent;
end
$$;

CREATE FUNCTION soundscape.require_permission(requested_permission public.app_permission) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
begin
    if not soundscape.authorize(requested_permission) then
        raise exception 'You need the permission %.', requested_permission using errcode = '42501',
            hint = 'An admin assigns roles in user_roles.';
    end if;
end
$$;

CREATE FUNCTION soundscape.resolve_report(report uuid, resolution text, reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    found_report public.reports;
begin
    perform soundscape.require_permission('reports.handle');
    select r.* into found_report from public.reports r join public.audio_files f on f.id = r.audio_id
    where r.id = report and r.resolved_at is null and f.user_id <> (select auth.uid()) for update of r;
    if found_report.id is null then
        raise exception 'There is no such unresolved report.' using errcode = 'PT404';
    end if;
    -- A recording that its owner has made private is hidden too. Otherwise it could be public again a minute later.
    if resolution = 'hidden' then
        update public.audio_files f
        set hidden_at = coalesce(f.hidden_at, now()), hidden_reason = coalesce(resolve_report.reason, '')
        where f.id = found_report.audio_id;
    end if;
    update public.reports r
    set resolution = coalesce(resolve_report.resolution, ''), resolution_reason = coalesce(resolve_report.reason, ''),
        resolved_at = now()
    where r.id = report;
    insert into public.report_assignments (report_id, assignee_id) values (report, (select auth.uid()))
    on conflict (report_id) do nothing;
end
$$;

CREATE FUNCTION soundscape.restore_recording(recording uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    file public.audio_files := soundscape.lock_moderated_recording(recording);
begin
    update public.audio_files set hidden_at = null, hidden_reason = null where id = file.id;
end
$$;

CREATE FUNCTION soundscape.retry_analysis(recording uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.lock_own_recording(recording);
    perform soundscape.retry_job(recording);
    return (select status from public.audio_files where id = recording);
end
$$;

CREATE FUNCTION soundscape.retry_job(recording uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
-- The caller holds the recording.
declare
    file public.audio_files;
begin
    select * into file from public.audio_files where id = recording;
    if file.status not in ('failed', 'rejected') or file.object_version is null then
        return false;
    end if;
    update public.audio_files set status = 'queued', error_code = null, error_message = null where id = recording;
    perform soundscape.enqueue(recording, file.object_version);
    return true;
end
$$;

CREATE FUNCTION soundscape.retry_jobs(jobs bigint[]) RETURNS bigint[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    recording uuid;
    retried uuid[] := '{}';
begin
    for recording in
        select f.id from public.audio_files f join public.users u on u.id = f.user_id
        -- What came after a job holds: newer bytes, another attempt, its owner's wish that it be cancelled.
        where f.id in (
            select j.audio_id from soundscape.jobs j where j.id = any(jobs)
            and not exists (select from soundscape.jobs l where l.audio_id = j.audio_id and l.id > j.id))
        order by f.id for key share of u skip locked for update of f skip locked
    loop
        if soundscape.retry_job(recording) then
            retried := retried || recording;
        else
            -- A backfill that died left its recording ready: it is the job that is tried again.
            perform soundscape.enqueue(f.id, f.object_version, j.queue, j.analysis_version)
            from public.audio_files f cross join lateral (
                select l.* from soundscape.jobs l where l.audio_id = f.id order by l.id desc limit 1) j
            where f.id = recording and f.status = 'ready' and f.object_version is not null
              and j.state in ('dead', 'refused', 'cancelled') and j.id = any(jobs);
            if found then
                retried := retried || recording;
            end if;
        end if;
    end loop;
    return array(select j.id from soundscape.jobs j
        where j.audio_id = any(retried) and j.state in ('queued', 'running') order by j.id);
end
$$;

CREATE FUNCTION soundscape.return_to_line(job soundscape.jobs) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select pgmq.delete(job.queue, job.msg_id);
    update soundscape.jobs set state = 'queued', msg_id = null, worker = null, lease_expires_at = null
    where id = job.id;
    update public.audio_files set status = 'queued' where id = job.audio_id and status = 'analyzing';
$$;

CREATE FUNCTION soundscape.ring_doorbell() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    worker_url text;
    secret text;
    body jsonb := jsonb_build_object('type', 'soundscape.queue', 'timestamp', now());
    message_id text := 'msg_' || replace(gen_random_uuid()::text, '-', '');
    sent_at text := floor(extract(epoch from clock_timestamp()))::bigint::text;
begin
    select decrypted_secret into worker_url from vault.decrypted_secrets where name = 'soundscape_worker_url';
    select decrypted_secret into secret from vault.decrypted_secrets where name = 'soundscape_webhook_secret';
    if worker_url is null or secret is null then
        return;  -- Not deployed with a doorbell: the worker polls.
    end if;
    -- Standard Webhooks 1.0: HMAC-SHA256 over id.timestamp.body, key in base64 behind whsec_.
    perform net.http_post(
        url := worker_url || '/api/webhooks/storage',
        body := body,
        headers := jsonb_build_object(
            'content-type', 'application/json',
            'webhook-id', message_id,
            'webhook-timestamp', sent_at,
            'webhook-signature', 'v1,' || encode(
                extensions.hmac(
                    convert_to(message_id || '.' || sent_at || '.' || body::text, 'UTF8'),
                    decode(replace(secret, 'whsec_', ''), 'base64'),
                    'sha256'),
                'base64')),
        timeout_milliseconds := 5000);
exception when others then
    -- The secret may not be base64, or pg_net may be off. Only the doorbell is lost then, never the upload.
    raise warning 'The doorbell does not ring: %', sqlerrm;
end
$$;

CREATE FUNCTION soundscape.seeded_random(id uuid, seed bigint) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((((hashtextextended((id)::text, seed) & '4503599627370495'::bigint))::numeric + 0.5) / 4503599627370496.0);

CREATE FUNCTION soundscape.set_queue(paused boolean DEFAULT NULL::boolean, in_flight_per_owner integer DEFAULT NULL::integer, backfill_every integer DEFAULT NULL::integer) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    was_paused boolean := (select s.paused_at is not null from soundscape.queue_settings s);
    settings jsonb;
begin
    update soundscape.queue_settings s
    set paused_at = case when paused then coalesce(s.paused_at, now()) when not paused then null else s.paused_at end,
        in_flight_per_owner = coalesce(set_queue.in_flight_per_owner, s.in_flight_per_owner),
        backfill_every = coalesce(set_queue.backfill_every, s.backfill_every),
        changed_at = now()
    returning to_jsonb(s) - 'only_row' into settings;
    if was_paused and not paused then
        perform soundscape.ring_doorbell();
    end if;
    return settings;
end
$$;

CREATE FUNCTION soundscape.shared_traits(ids uuid[], causes uuid[]) RETURNS TABLE(audio_id uuid, timbre double precision, rhythm double precision, tonality double precision, tags double precision)
    LANGUAGE plpgsql STABLE ROWS 20
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.show_job(job_id bigint) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select to_jsonb(j)
        || jsonb_build_object(
            'title', f.title, 'status', f.status, 'file_path', f.file_path, 'size_bytes', f.size_bytes,
            'shown_analysis_version', f.analysis_version,
            'visible_at', coalesce(
                (select m.vt from pgmq.q_soundscape_uploads m where m.msg_id = j.msg_id
                    and j.queue = 'soundscape_uploads'),
                (select m.vt from pgmq.q_soundscape_backfill m where m.msg_id = j.msg_id
                    and j.queue = 'soundscape_backfill')),
            'others', (
                select coalesce(jsonb_agg(jsonb_build_object('id', o.id, 'state', o.state) order by o.id), '[]')
                from soundscape.jobs o where o.audio_id = j.audio_id and o.id <> j.id))
    from soundscape.jobs j join public.audio_files f on f.id = j.audio_id where j.id = job_id
$$;

CREATE FUNCTION soundscape.similarity_traits(recording uuid) RETURNS TABLE(octaves real, octaves_confidence real, onsets real, fifth smallint, is_minor boolean, fifth_confidence real, label_vector extensions.sparsevec)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
    SET search_path TO ''
    AS $$
    select (ln(a.tempo_bpm) / ln(2))::real, coalesce(a.tempo_confidence, 0), ln(1 + coalesce(a.onset_rate_hz, 0)),
           -- Seven semitones are a fifth, and seven times seven is one (modulo twelve).
           ((array_position(array['C', 'C#', 'D', 'D#', 'E', 'F', 'F#', 'G', 'G#', 'A', 'A#', 'B'], a.key) - 1
             + case a.mode when 'minor' then 3 else 0 end) * 7 % 12)::smallint,
           a.mode = 'minor', coalesce(a.key_confidence, 0), soundscape.label_vector(f.tags, f.heard)
    from public.audio_files f left join public.audio_features a on a.audio_id = f.id
    where f.id = recording
$$;

CREATE FUNCTION soundscape.stage_cold(token uuid, model bigint, after uuid DEFAULT NULL::uuid, max_recordings integer DEFAULT 500) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.stage_items(token uuid, model bigint, items jsonb) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.stage_model(token uuid, model jsonb, map jsonb DEFAULT '[]'::jsonb, refused boolean DEFAULT false) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

CREATE TABLE soundscape.recommendation_models (
    id bigint NOT NULL,
    state text DEFAULT 'staged'::text NOT NULL,
    slot smallint DEFAULT 0 NOT NULL,
    space text,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    figures jsonb DEFAULT '{}'::jsonb NOT NULL,
    people integer DEFAULT 0 NOT NULL,
    items integer DEFAULT 0 NOT NULL,
    events integer DEFAULT 0 NOT NULL,
    fitted_at timestamp with time zone DEFAULT now() NOT NULL,
    published_at timestamp with time zone,
    CONSTRAINT recommendation_models_events_check CHECK ((events >= 0)),
    CONSTRAINT recommendation_models_figures_check CHECK ((jsonb_typeof(figures) = 'object'::text)),
    CONSTRAINT recommendation_models_items_check CHECK ((items >= 0)),
    CONSTRAINT recommendation_models_people_check CHECK ((people >= 0)),
    CONSTRAINT recommendation_models_settings_check CHECK ((jsonb_typeof(settings) = 'object'::text)),
    CONSTRAINT recommendation_models_slot_check CHECK ((slot = ANY (ARRAY[0, 1]))),
    CONSTRAINT recommendation_models_space_check CHECK (((char_length(space) >= 1) AND (char_length(space) <= 64))),
    CONSTRAINT recommendation_models_state_check CHECK ((state = ANY (ARRAY['staged'::text, 'in_force'::text, 'retired'::text, 'refused'::text])))
);

CREATE FUNCTION soundscape.staged_model(model bigint) RETURNS soundscape.recommendation_models
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.start_job(job soundscape.jobs, worker text, lease_s integer) RETURNS soundscape.jobs
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    started soundscape.jobs;
begin
    update soundscape.jobs j
    set state = 'running', worker = start_job.worker, attempt = j.attempt + 1, retry_at = null,
        started_at = coalesce(j.started_at, now()),
        lease_expires_at = clock_timestamp() + make_interval(secs => lease_s)
    where j.id = job.id
    returning * into started;
    update public.audio_files set status = 'analyzing', trace_id = started.trace_id
    where id = started.audio_id and status = 'queued';
    perform soundscape.admit(started.user_id, started.queue);
    return started;
end
$$;

CREATE FUNCTION soundscape.stored_fingerprints(recordings uuid[]) RETURNS TABLE(audio_id uuid, peaks text)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 16
    SET search_path TO ''
    AS $$
    select f.audio_id, encode(f.peaks, 'base64') from soundscape.fingerprints f where f.audio_id = any (recordings)
$$;

CREATE FUNCTION soundscape.tag_weights(recording uuid) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
    select coalesce(jsonb_object_agg(label, weight), '{}') from (
        select label, round((case when whole.end_s > 0 then sum(confidence * (t.end_s - t.start_s)) / whole.end_s
                             else max(confidence) end)::numeric, 3) as weight
        from public.audio_tags t,
        -- The model scores the whole recording, so the last span ends about where the recording ends.
        (select max(end_s) as end_s from public.audio_tags where audio_id = recording) as whole
        where t.audio_id = recording
        group by label, whole.end_s order by weight desc, label limit 30) as strongest
$$;

CREATE FUNCTION soundscape.title_or_null(candidate text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN NULLIF("left"(regexp_replace(candidate, '^\s+|\s+$'::text, ''::text, 'g'::text), 200), ''::text);

CREATE FUNCTION soundscape.touch_updated_at() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
    new.updated_at := now();
    return new;
end
$$;

CREATE FUNCTION soundscape.unindexed_recordings(version integer, max_recordings integer DEFAULT 100, after uuid DEFAULT NULL::uuid) RETURNS TABLE(audio_id uuid, object_version text, path text)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 100
    SET search_path TO ''
    AS $$
    select f.audio_id, f.object_version, f.descriptors #>> '{fingerprint,path}'
    from public.audio_features f
    where (after is null or f.audio_id > after)
      and not exists (
        select from soundscape.fingerprints i
        where i.audio_id = f.audio_id and i.object_version = f.object_version
            and i.version >= unindexed_recordings.version)
      and (f.descriptors #>> '{fingerprint,version}')::integer = unindexed_recordings.version
      and f.descriptors #>> '{fingerprint,path}' is not null
    order by f.audio_id limit least(max_recordings, 500)
$$;

CREATE FUNCTION soundscape.visible_fingerprints(version integer, seer uuid, moderates boolean, all_owners boolean, for_recording uuid, max_hidden integer) RETURNS TABLE(numbers integer[], hidden uuid[], any_unlisted boolean, key_count bigint, last_number integer)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
    hidden_ones uuid[];
begin
    if moderates then
        -- The newest hidden recordings are compared whole, so that no posting of a private one is read for a moderator.
        hidden_ones := array(
            select f.audio_id from soundscape.fingerprints f join public.audio_files a on a.id = f.audio_id
            where f.version = visible_fingerprints.version and f.audio_id is distinct from for_recording
              and a.hidden_at is not null and not f.is_listed and f.user_id <> seer
            order by a.hidden_at desc limit max_hidden);
    end if;
    return query
        select array_agg(v.number), hidden_ones, coalesce(bool_or(not v.is_listed), false),
               -- Others read the claims about a recording. A count must not tell them how much is private.
               coalesce(sum(v.key_count) filter (where for_recording is null or v.is_listed), 0) + coalesce((
                   select sum(f.key_count) from soundscape.fingerprints f
                   where f.audio_id = any (hidden_ones) and for_recording is null), 0),
               max(v.number)
        from (
            select f.number, f.key_count, f.is_listed from soundscape.fingerprints f
            where f.version = visible_fingerprints.version and f.audio_id is distinct from for_recording and f.is_listed
            union all
            select f.number, f.key_count, f.is_listed from soundscape.fingerprints f
            where f.version = visible_fingerprints.version and f.audio_id is distinct from for_recording
              and not f.is_listed and (all_owners or f.user_id = seer)
        ) as v;
end
$$;

CREATE FUNCTION soundscape.wants_analysis(file public.audio_files, version text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    RETURN (((file).object_version IS NOT NULL) AND ((file).status <> 'awaiting_upload'::text) AND ((file).analysis_version IS DISTINCT FROM version) AND (NOT (EXISTS (SELECT FROM soundscape.jobs j WHERE ((j.audio_id = (wants_analysis.file).id) AND (j.object_version = (wants_analysis.file).object_version) AND (j.analysis_version = wants_analysis.version) AND (j.state = ANY (ARRAY['queued'::text, 'running'::text, 'refused'::text, 'dead'::text])))))));

CREATE FUNCTION soundscape.withdraw_from_models() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    delete from soundscape.item_neighbours n where n.audio_id = old.id or n.neighbour_id = old.id;
    delete from soundscape.item_factors i where i.audio_id = old.id;
    return new;
end
$$;

CREATE FUNCTION soundscape.write_claims(file public.audio_files, result jsonb) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    with verified as materialized (
        select c.audio_id, c.kind, c.probability, c.evidence
        from jsonb_to_recordset(case jsonb_typeof(result -> 'matches') when 'array' then result -> 'matches'
            else '[]' end)
            as c (audio_id uuid, kind text, probability real, evidence jsonb)
        -- The recording may have been deleted, or may have got other bytes, since the search.
        where exists (select from soundscape.fingerprints f where f.audio_id = c.audio_id) and c.audio_id <> file.id)
    insert into public.audio_matches as m (
        id, audio_id, matched_audio_id, kind, confidence, evidence,
        moderator_dismissed_at, owner_dismissed_at, matched_owner_dismissed_at, created_at)
    select coalesce(said.id, gen_random_uuid()), file.id, claim.audio_id, claim.kind, claim.probability, claim.evidence,
           said.moderator_dismissed_at,
           case when said.audio_id = file.id then said.owner_dismissed_at else said.matched_owner_dismissed_at end,
           case when said.audio_id = file.id then said.matched_owner_dismissed_at else said.owner_dismissed_at end,
           coalesce(said.created_at, now())
    from (
        select distinct on (audio_id) audio_id, kind, probability, evidence
        from (
            select c.audio_id, 'identical' as kind, 1 as probability, c.evidence, 0 as place
            from soundscape.exact_copies(file, result) c
            union all
            -- A verified match may be an exact copy beyond the first fifty.
            select c.audio_id, 'identical', 1, c.evidence, 0
            from soundscape.exact_copies(file, result, array(select v.audio_id from verified v)) c
            union all
            select v.audio_id, v.kind, v.probability, v.evidence, 1 from verified v
        ) as found
        order by audio_id, place
    ) as claim
    -- A dismissal of a claim about the same bytes of both recordings, from before the bytes were replaced.
    left join lateral (
        select d.*
        from soundscape.former_dismissals d
        join public.audio_features f on f.audio_id = d.audio_id and f.sha256 = d.sha256
        join public.audio_features o on o.audio_id = d.matched_audio_id and o.sha256 = d.matched_sha256
        where (d.audio_id, d.matched_audio_id) in ((file.id, claim.audio_id), (claim.audio_id, file.id))
        order by d.created_at limit 1
    ) as said on true
    order by claim.audio_id
    on conflict (least(audio_id, matched_audio_id), greatest(audio_id, matched_audio_id)) do update
    -- A dismissal stays, and so does who dismissed.
    set audio_id = excluded.audio_id, matched_audio_id = excluded.matched_audio_id, kind = excluded.kind,
        confidence = excluded.confidence, evidence = excluded.evidence,
        owner_dismissed_at = case when m.audio_id = excluded.audio_id then m.owner_dismissed_at
            else m.matched_owner_dismissed_at end,
        matched_owner_dismissed_at = case when m.audio_id = excluded.audio_id then m.matched_owner_dismissed_at
            else m.owner_dismissed_at end;
    delete from soundscape.former_dismissals d using public.audio_matches m
    where file.id in (d.audio_id, d.matched_audio_id) and m.id = d.id;
$$;

CREATE FUNCTION soundscape.write_features(file public.audio_files, object_version text, result jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
declare
    features public.audio_features;
    replacements text;
begin
    features := (
        select jsonb_populate_record(
            null::public.audio_features, jsonb_object_agg(d.column_name, write_features.result #> d.path))
        from soundscape.descriptors d);
    features.audio_id := file.id;
    features.user_id := file.user_id;
    features.is_listed := file.is_listed;
    features.object_version := write_features.object_version;
    features.analysis_version := result ->> 'analysis_version';
    features.sha256 := result #>> '{source,sha256}';
    features.waveform_path := result #>> '{waveform,path}';
    features.pictures := coalesce(result -> 'pictures', '{}');
    features.descriptors := result - '{index,matches}'::text[];
    features.created_at := now();
    select string_agg(format('%1$I = excluded.%1$I', a.attname), ', ') into replacements
    from pg_catalog.pg_attribute a
    where a.attrelid = 'public.audio_features'::regclass and a.attnum > 0 and not a.attisdropped;
    -- This must be an update, not a deletion with an insert: subscribers of the table are told of one change.
    execute format(
        'insert into public.audio_features select ($1).* on conflict (audio_id) do update set %s', replacements)
    using features;
end
$_$;

CREATE FUNCTION soundscape.write_fingerprint(file public.audio_files, version text, fingerprint jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
-- The caller holds the recording.
declare
    new_peaks bytea := decode(fingerprint ->> 'peaks', 'base64');
    new_keys integer[] := translate(fingerprint ->> 'keys', '[]', '{}')::integer[];
    new_frames integer[] := translate(fingerprint ->> 'frames', '[]', '{}')::integer[];
begin
    if fingerprint is null then
        delete from soundscape.fingerprints f where f.audio_id = file.id
            and f.object_version <> write_fingerprint.version;
        return;
    end if;
    update soundscape.fingerprints f set object_version = write_fingerprint.version
    where f.audio_id = file.id and f.version = (fingerprint ->> 'version')::smallint and f.peaks = new_peaks;
    if found then
        return;
    end if;
    delete from soundscape.fingerprints f where f.audio_id = file.id;
    insert into soundscape.fingerprints (audio_id, number, user_id, is_listed, object_version, version, peaks, keys,
        frames, compared_in)
    values (file.id, soundscape.next_fingerprint_number(), file.user_id, file.is_listed, write_fingerprint.version,
            (fingerprint ->> 'version')::smallint, new_peaks, new_keys, new_frames,
                (fingerprint ->> 'compared_in')::pg_snapshot);
end
$$;

CREATE FUNCTION soundscape.write_moods(recordings uuid[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

CREATE FUNCTION soundscape.write_tags_and_embedding(file public.audio_files, result jsonb) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    delete from public.audio_tags where audio_id = file.id;
    insert into public.audio_tags (audio_id, user_id, is_listed, label, confidence, start_s, end_s)
    select file.id, file.user_id, file.is_listed, heard.label, heard.confidence, heard.start_s, heard.end_s
    from jsonb_to_recordset(case jsonb_typeof(result -> 'tags') when 'array' then result -> 'tags' else '[]' end)
        as heard (label text, confidence real, start_s double precision, end_s double precision);

    delete from public.audio_embeddings where audio_id = file.id;
    insert into public.audio_embeddings (audio_id, space, user_id, is_listed, embedding)
    select file.id, result #>> '{embedding,space}', file.user_id, file.is_listed,
           (result #>> '{embedding,values}')::extensions.halfvec(128)
    where jsonb_typeof(result -> 'embedding') = 'object';
$$;

CREATE TABLE public.audio_embeddings (
    audio_id uuid NOT NULL,
    space text NOT NULL,
    user_id uuid NOT NULL,
    is_listed boolean NOT NULL,
    embedding extensions.halfvec(128) NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    octaves real,
    octaves_confidence real,
    onsets real,
    fifth smallint,
    is_minor boolean,
    fifth_confidence real,
    label_vector extensions.sparsevec(1000000000),
    CONSTRAINT audio_embeddings_embedding_check CHECK ((extensions.l2_norm(embedding) > (0.5)::double precision)),
    CONSTRAINT audio_embeddings_fifth_check CHECK (((fifth >= 0) AND (fifth <= 11))),
    CONSTRAINT audio_embeddings_space_check CHECK (((char_length(space) >= 1) AND (char_length(space) <= 64)))
);

CREATE TABLE public.audio_features (
    audio_id uuid NOT NULL,
    user_id uuid NOT NULL,
    is_listed boolean NOT NULL,
    object_version text NOT NULL,
    analysis_version text NOT NULL,
    duration_s double precision NOT NULL,
    integrated_lufs real,
    loudness_range_lu real,
    true_peak_dbtp real,
    sample_peak_dbfs real,
    rms_dbfs real,
    tempo_bpm real,
    tempo_confidence real,
    onset_rate_hz real,
    key text,
    mode text,
    key_confidence real,
    centroid_hz real,
    bandwidth_hz real,
    rolloff_hz real,
    flatness real,
    zero_crossing_rate real,
    sha256 text NOT NULL,
    waveform_path text NOT NULL,
    pictures jsonb DEFAULT '{}'::jsonb NOT NULL,
    descriptors jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT audio_features_bandwidth_hz_check CHECK ((bandwidth_hz >= (0)::double precision)),
    CONSTRAINT audio_features_centroid_hz_check CHECK ((centroid_hz >= (0)::double precision)),
    CONSTRAINT audio_features_duration_s_check CHECK ((duration_s >= (0)::double precision)),
    CONSTRAINT audio_features_flatness_check CHECK (((flatness >= (0)::double precision) AND (flatness <= (1)::double precision))),
    CONSTRAINT audio_features_key_check CHECK ((key = ANY (ARRAY['C'::text, 'C#'::text, 'D'::text, 'D#'::text, 'E'::text, 'F'::text, 'F#'::text, 'G'::text, 'G#'::text, 'A'::text, 'A#'::text, 'B'::text]))),
    CONSTRAINT audio_features_key_confidence_check CHECK (((key_confidence >= (0)::double precision) AND (key_confidence <= (1)::double precision))),
    CONSTRAINT audio_features_mode_check CHECK ((mode = ANY (ARRAY['major'::text, 'minor'::text]))),
    CONSTRAINT audio_features_onset_rate_hz_check CHECK ((onset_rate_hz >= (0)::double precision)),
    CONSTRAINT audio_features_rolloff_hz_check CHECK ((rolloff_hz >= (0)::double precision)),
    CONSTRAINT audio_features_sha256_check CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT audio_features_tempo_bpm_check CHECK ((tempo_bpm > (0)::double precision)),
    CONSTRAINT audio_features_tempo_confidence_check CHECK (((tempo_confidence >= (0)::double precision) AND (tempo_confidence <= (1)::double precision))),
    CONSTRAINT audio_features_zero_crossing_rate_check CHECK (((zero_crossing_rate >= (0)::double precision) AND (zero_crossing_rate <= (1)::double precision)))
);

CREATE TABLE public.audio_matches (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    audio_id uuid NOT NULL,
    matched_audio_id uuid NOT NULL,
    kind text NOT NULL,
    confidence real NOT NULL,
    evidence jsonb DEFAULT '{}'::jsonb NOT NULL,
    moderator_dismissed_at timestamp with time zone,
    owner_dismissed_at timestamp with time zone,
    matched_owner_dismissed_at timestamp with time zone,
    dismissed_at timestamp with time zone GENERATED ALWAYS AS (COALESCE(moderator_dismissed_at,
CASE
    WHEN ((owner_dismissed_at IS NOT NULL) AND (matched_owner_dismissed_at IS NOT NULL)) THEN GREATEST(owner_dismissed_at, matched_owner_dismissed_at)
    ELSE NULL::timestamp with time zone
END)) STORED,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT audio_matches_check CHECK ((audio_id <> matched_audio_id)),
    CONSTRAINT audio_matches_confidence_check CHECK (((confidence >= (0)::double precision) AND (confidence <= (1)::double precision))),
    CONSTRAINT audio_matches_evidence_check CHECK ((jsonb_typeof(evidence) = 'object'::text)),
    CONSTRAINT audio_matches_kind_check CHECK ((kind = ANY (ARRAY['identical'::text, 'same_recording'::text, 'contains'::text, 'shared_passage'::text])))
);

CREATE TABLE public.audio_tags (
    audio_id uuid NOT NULL,
    user_id uuid NOT NULL,
    is_listed boolean NOT NULL,
    label text NOT NULL,
    confidence real NOT NULL,
    start_s double precision NOT NULL,
    end_s double precision NOT NULL,
    CONSTRAINT audio_tags_check CHECK ((start_s <= end_s)),
    CONSTRAINT audio_tags_confidence_check CHECK (((confidence >= (0)::double precision) AND (confidence <= (1)::double precision))),
    CONSTRAINT audio_tags_end_s_check CHECK ((end_s < 'Infinity'::double precision)),
    CONSTRAINT audio_tags_label_check CHECK (((char_length(label) >= 1) AND (char_length(label) <= 100))),
    CONSTRAINT audio_tags_start_s_check CHECK ((start_s >= (0)::double precision))
);

CREATE TABLE public.impressions (
    answer_id uuid NOT NULL,
    place smallint NOT NULL,
    user_id uuid NOT NULL,
    audio_id uuid NOT NULL,
    reason text NOT NULL,
    score real NOT NULL,
    propensity real,
    seed bigint NOT NULL,
    model_id bigint,
    shown_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT impressions_place_check CHECK ((place >= 1)),
    CONSTRAINT impressions_propensity_check CHECK (((propensity > (0)::double precision) AND (propensity <= (1)::double precision))),
    CONSTRAINT impressions_reason_check CHECK (((char_length(reason) >= 1) AND (char_length(reason) <= 32)))
);

CREATE TABLE public.likes (
    id bigint NOT NULL,
    user_id uuid DEFAULT auth.uid() NOT NULL,
    audio_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE public.likes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.likes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.listening_events (
    id bigint NOT NULL,
    user_id uuid DEFAULT auth.uid() NOT NULL,
    audio_id uuid NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    listened_s real DEFAULT 0 NOT NULL,
    completed boolean DEFAULT false NOT NULL,
    context text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT listening_events_check CHECK ((started_at <= (created_at + '00:05:00'::interval))),
    CONSTRAINT listening_events_context_check CHECK (((char_length(context) >= 1) AND (char_length(context) <= 64))),
    CONSTRAINT listening_events_listened_s_check CHECK (((listened_s >= (0)::double precision) AND (listened_s < 'Infinity'::real))),
    CONSTRAINT listening_events_started_at_check CHECK ((started_at >= '2020-01-01 00:00:00+00'::timestamp with time zone))
);

ALTER TABLE public.listening_events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.listening_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.mood_rules (
    mood text NOT NULL,
    rule text NOT NULL,
    points real NOT NULL,
    measure text,
    none_at real,
    full_at real,
    labels text[],
    CONSTRAINT mood_rules_check CHECK (((measure IS NULL) <> (labels IS NULL))),
    CONSTRAINT mood_rules_check1 CHECK ((((measure IS NULL) = (none_at IS NULL)) AND ((measure IS NULL) = (full_at IS NULL)) AND (none_at <> full_at))),
    CONSTRAINT mood_rules_measure_check CHECK ((measure = ANY (ARRAY['tempo_bpm'::text, 'onset_rate_hz'::text, 'integrated_lufs'::text, 'loudness_range_lu'::text, 'centroid_hz'::text]))),
    CONSTRAINT mood_rules_mood_check CHECK ((mood ~ '^[a-z]{1,32}$'::text)),
    CONSTRAINT mood_rules_points_check CHECK ((((points >= ('-1'::integer)::double precision) AND (points <= (1)::double precision)) AND (points <> (0)::double precision))),
    CONSTRAINT mood_rules_rule_check CHECK ((rule ~ '^[a-z ]{1,64}$'::text))
);

CREATE TABLE public.notifications (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    kind text NOT NULL,
    audio_id uuid NOT NULL,
    error_code text,
    trace_id text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    read_at timestamp with time zone,
    CONSTRAINT notifications_error_code_check CHECK ((char_length(error_code) <= 64))
);

CREATE TABLE public.playlist_items (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    playlist_id uuid NOT NULL,
    audio_id uuid NOT NULL,
    "position" integer DEFAULT 1 NOT NULL,
    added_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT playlist_items_position_check CHECK (("position" >= 1))
);

CREATE TABLE public.playlists (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid DEFAULT auth.uid() NOT NULL,
    title text NOT NULL,
    description text,
    is_public boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT playlists_description_check CHECK ((char_length(description) <= 5000)),
    CONSTRAINT playlists_title_check CHECK (((title ~ '\S'::text) AND (char_length(title) <= 200)))
);

CREATE TABLE public.report_assignments (
    report_id uuid NOT NULL,
    assignee_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.reports (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    audio_id uuid NOT NULL,
    reporter_id uuid DEFAULT auth.uid(),
    reason text NOT NULL,
    details text,
    assigned_at timestamp with time zone,
    resolution text,
    resolution_reason text,
    resolved_at timestamp with time zone,
    status text GENERATED ALWAYS AS (
CASE
    WHEN (resolved_at IS NOT NULL) THEN 'resolved'::text
    WHEN (assigned_at IS NOT NULL) THEN 'assigned'::text
    ELSE 'open'::text
END) STORED NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT reports_check CHECK (((resolved_at IS NULL) = (resolution IS NULL))),
    CONSTRAINT reports_check1 CHECK (((resolved_at IS NULL) = (resolution_reason IS NULL))),
    CONSTRAINT reports_details_check CHECK ((char_length(details) <= 5000)),
    CONSTRAINT reports_reason_check CHECK ((reason = ANY (ARRAY['copyright'::text, 'illegal'::text, 'offensive'::text, 'spam'::text, 'misleading'::text, 'other'::text]))),
    CONSTRAINT reports_resolution_check CHECK ((resolution = ANY (ARRAY['hidden'::text, 'dismissed'::text]))),
    CONSTRAINT reports_resolution_reason_check CHECK (((char_length(btrim(resolution_reason)) >= 1) AND (char_length(btrim(resolution_reason)) <= 1000)))
);

ALTER TABLE public.role_permissions ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.role_permissions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.user_preferences (
    user_id uuid DEFAULT auth.uid() NOT NULL,
    locale text DEFAULT 'en'::text NOT NULL,
    theme text DEFAULT 'system'::text NOT NULL,
    default_is_public boolean DEFAULT false NOT NULL,
    default_license text,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    favourite_labels text[] DEFAULT '{}'::text[] NOT NULL,
    CONSTRAINT user_preferences_default_license_check CHECK ((char_length(default_license) <= 100)),
    CONSTRAINT user_preferences_favourite_labels_check CHECK (((cardinality(favourite_labels) <= 50) AND (array_position(favourite_labels, NULL::text) IS NULL) AND (char_length(array_to_string(favourite_labels, ''::text)) <= 2500))),
    CONSTRAINT user_preferences_locale_check CHECK ((locale ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'::text)),
    CONSTRAINT user_preferences_settings_check CHECK (((jsonb_typeof(settings) = 'object'::text) AND (octet_length((settings)::text) <= 16384))),
    CONSTRAINT user_preferences_theme_check CHECK ((theme = ANY (ARRAY['system'::text, 'light'::text, 'dark'::text])))
);

ALTER TABLE public.user_roles ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.user_roles_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.users (
    id uuid NOT NULL,
    username text,
    display_name text,
    bio text,
    avatar_path text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT users_avatar_path_check CHECK ((char_length(avatar_path) <= 1024)),
    CONSTRAINT users_bio_check CHECK ((char_length(bio) <= 1000)),
    CONSTRAINT users_display_name_check CHECK (((char_length(display_name) >= 1) AND (char_length(display_name) <= 80))),
    CONSTRAINT users_username_check CHECK ((username ~ '^[a-z0-9_]{3,30}$'::text))
);

CREATE TABLE soundscape.audio_moods (
    audio_id uuid NOT NULL,
    user_id uuid NOT NULL,
    is_listed boolean NOT NULL,
    mood text NOT NULL,
    score real NOT NULL,
    CONSTRAINT audio_moods_score_check CHECK (((score >= (0.5)::double precision) AND (score <= (1)::double precision)))
);

CREATE SEQUENCE soundscape.claim_rounds
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
    CYCLE;

CREATE TABLE soundscape.deletions (
    id bigint NOT NULL,
    bucket_id text NOT NULL,
    name text NOT NULL,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    taken_at timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    is_final boolean DEFAULT false NOT NULL
);

ALTER TABLE soundscape.deletions ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME soundscape.deletions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE soundscape.descriptors (
    column_name text NOT NULL,
    path text[] NOT NULL,
    unit text NOT NULL,
    filter text
);

CREATE TABLE soundscape.factor_maps (
    model_id bigint NOT NULL,
    space text NOT NULL,
    factor smallint NOT NULL,
    weights extensions.vector(128) NOT NULL,
    intercept real NOT NULL,
    key_weights extensions.vector(128) NOT NULL,
    key_intercept real NOT NULL,
    CONSTRAINT factor_maps_factor_check CHECK (((factor >= 0) AND (factor <= 31))),
    CONSTRAINT factor_maps_space_check CHECK (((char_length(space) >= 1) AND (char_length(space) <= 64)))
);

CREATE SEQUENCE soundscape.fingerprint_numbers
    AS integer
    START WITH 0
    INCREMENT BY 1
    MINVALUE 0
    MAXVALUE 4194303
    CACHE 1
    CYCLE;

CREATE TABLE soundscape.fingerprints (
    audio_id uuid NOT NULL,
    number integer NOT NULL,
    user_id uuid NOT NULL,
    is_listed boolean NOT NULL,
    object_version text NOT NULL,
    version smallint NOT NULL,
    peaks bytea NOT NULL,
    keys integer[] NOT NULL,
    frames integer[] NOT NULL,
    key_count integer GENERATED ALWAYS AS (cardinality(keys)) STORED NOT NULL,
    written_in xid8 DEFAULT pg_current_xact_id() NOT NULL,
    compared_in pg_snapshot,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT fingerprints_check CHECK ((cardinality(keys) = cardinality(frames))),
    CONSTRAINT fingerprints_number_check CHECK (((number >= 0) AND (number <= 4194303))),
    CONSTRAINT fingerprints_version_check CHECK ((version > 0))
);
ALTER TABLE ONLY soundscape.fingerprints ALTER COLUMN peaks SET STORAGE EXTERNAL;

CREATE TABLE soundscape.fit_lease (
    only_row boolean DEFAULT true NOT NULL,
    token uuid,
    held_until timestamp with time zone,
    begun_at timestamp with time zone,
    ended_at timestamp with time zone,
    CONSTRAINT fit_lease_only_row_check CHECK (only_row)
);

CREATE TABLE soundscape.former_dismissals (
    id uuid NOT NULL,
    audio_id uuid NOT NULL,
    matched_audio_id uuid NOT NULL,
    sha256 text NOT NULL,
    matched_sha256 text NOT NULL,
    moderator_dismissed_at timestamp with time zone,
    owner_dismissed_at timestamp with time zone,
    matched_owner_dismissed_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL
);

CREATE TABLE soundscape.former_words (
    id bigint NOT NULL,
    word text NOT NULL
);

ALTER TABLE soundscape.former_words ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME soundscape.former_words_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE soundscape.item_factors (
    model_id bigint NOT NULL,
    audio_id uuid NOT NULL,
    is_listed boolean NOT NULL,
    slot smallint NOT NULL,
    place extensions.vector(32) NOT NULL,
    key extensions.vector(32) NOT NULL,
    popularity real DEFAULT 0 NOT NULL,
    is_cold boolean DEFAULT false NOT NULL,
    CONSTRAINT item_factors_popularity_check CHECK (((popularity >= (0)::double precision) AND (popularity <= (1)::double precision))),
    CONSTRAINT item_factors_slot_check CHECK ((slot = ANY (ARRAY[0, 1])))
);

CREATE TABLE soundscape.item_neighbours (
    model_id bigint NOT NULL,
    audio_id uuid NOT NULL,
    is_listed boolean NOT NULL,
    neighbour_id uuid NOT NULL,
    neighbour_is_listed boolean NOT NULL,
    weight real NOT NULL,
    CONSTRAINT item_neighbours_check CHECK ((audio_id <> neighbour_id))
);

ALTER TABLE soundscape.jobs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME soundscape.jobs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE soundscape.notification_kinds (
    kind text NOT NULL,
    description text NOT NULL,
    CONSTRAINT notification_kinds_kind_check CHECK ((kind ~ '^[a-z_]{1,64}$'::text))
);

CREATE TABLE soundscape.owner_limits (
    only_row boolean DEFAULT true NOT NULL,
    max_playlists integer DEFAULT 1000 NOT NULL,
    max_playlist_items integer DEFAULT 5000 NOT NULL,
    max_awaiting_upload integer DEFAULT 1000 NOT NULL,
    max_events_per_hour integer DEFAULT 1000 NOT NULL,
    max_reports_per_day integer DEFAULT 100 NOT NULL,
    CONSTRAINT owner_limits_max_awaiting_upload_check CHECK ((max_awaiting_upload >= 0)),
    CONSTRAINT owner_limits_max_events_per_hour_check CHECK ((max_events_per_hour >= 0)),
    CONSTRAINT owner_limits_max_playlist_items_check CHECK ((max_playlist_items >= 0)),
    CONSTRAINT owner_limits_max_playlists_check CHECK ((max_playlists >= 0)),
    CONSTRAINT owner_limits_max_reports_per_day_check CHECK ((max_reports_per_day >= 0)),
    CONSTRAINT owner_limits_only_row_check CHECK (only_row)
);

CREATE TABLE soundscape.postings (
    posting bigint NOT NULL
)
WITH (autovacuum_vacuum_insert_scale_factor='0.02', autovacuum_vacuum_insert_threshold='100000');

CREATE TABLE soundscape.queue_settings (
    only_row boolean DEFAULT true NOT NULL,
    in_flight_per_owner integer DEFAULT 8 NOT NULL,
    backfill_every integer DEFAULT 10 NOT NULL,
    paused_at timestamp with time zone,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT queue_settings_backfill_every_check CHECK (((backfill_every >= 2) AND (backfill_every <= 1000))),
    CONSTRAINT queue_settings_in_flight_per_owner_check CHECK (((in_flight_per_owner >= 1) AND (in_flight_per_owner <= 10000))),
    CONSTRAINT queue_settings_only_row_check CHECK (only_row)
);

ALTER TABLE soundscape.recommendation_models ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME soundscape.recommendation_models_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE soundscape.unlisted_postings (
    owner_hash integer NOT NULL,
    posting bigint NOT NULL
)
WITH (autovacuum_vacuum_insert_scale_factor='0.02', autovacuum_vacuum_insert_threshold='100000');

CREATE TABLE soundscape.vocabulary (
    word text NOT NULL
);

ALTER TABLE ONLY public.audio_embeddings
    ADD CONSTRAINT audio_embeddings_pkey PRIMARY KEY (audio_id, space);

ALTER TABLE ONLY public.audio_features
    ADD CONSTRAINT audio_features_audio_id_user_id_is_listed_key UNIQUE (audio_id, user_id, is_listed);

ALTER TABLE ONLY public.audio_features
    ADD CONSTRAINT audio_features_pkey PRIMARY KEY (audio_id);

ALTER TABLE ONLY public.audio_files
    ADD CONSTRAINT audio_files_file_path_key UNIQUE (file_path);

ALTER TABLE ONLY public.audio_files
    ADD CONSTRAINT audio_files_id_is_listed_key UNIQUE (id, is_listed);

ALTER TABLE ONLY public.audio_files
    ADD CONSTRAINT audio_files_id_user_id_is_listed_key UNIQUE (id, user_id, is_listed);

ALTER TABLE ONLY public.audio_files
    ADD CONSTRAINT audio_files_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.audio_matches
    ADD CONSTRAINT audio_matches_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.audio_tags
    ADD CONSTRAINT audio_tags_pkey PRIMARY KEY (audio_id, label, start_s);

ALTER TABLE ONLY public.impressions
    ADD CONSTRAINT impressions_pkey PRIMARY KEY (answer_id, place);

ALTER TABLE ONLY public.likes
    ADD CONSTRAINT likes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.likes
    ADD CONSTRAINT likes_user_id_audio_id_key UNIQUE (user_id, audio_id);

ALTER TABLE ONLY public.listening_events
    ADD CONSTRAINT listening_events_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.mood_rules
    ADD CONSTRAINT mood_rules_pkey PRIMARY KEY (mood, rule);

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT notifications_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.playlist_items
    ADD CONSTRAINT playlist_items_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.playlist_items
    ADD CONSTRAINT playlist_items_playlist_id_position_key UNIQUE (playlist_id, "position") DEFERRABLE;

ALTER TABLE ONLY public.playlists
    ADD CONSTRAINT playlists_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.report_assignments
    ADD CONSTRAINT report_assignments_pkey PRIMARY KEY (report_id);

ALTER TABLE ONLY public.reports
    ADD CONSTRAINT reports_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.role_permissions
    ADD CONSTRAINT role_permissions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.role_permissions
    ADD CONSTRAINT role_permissions_role_permission_key UNIQUE (role, permission);

ALTER TABLE ONLY public.user_preferences
    ADD CONSTRAINT user_preferences_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.user_roles
    ADD CONSTRAINT user_roles_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.user_roles
    ADD CONSTRAINT user_roles_user_id_role_key UNIQUE (user_id, role);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_username_key UNIQUE (username);

ALTER TABLE ONLY soundscape.audio_moods
    ADD CONSTRAINT audio_moods_pkey PRIMARY KEY (audio_id, mood);

ALTER TABLE ONLY soundscape.deletions
    ADD CONSTRAINT deletions_bucket_id_name_key UNIQUE (bucket_id, name);

ALTER TABLE ONLY soundscape.deletions
    ADD CONSTRAINT deletions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY soundscape.descriptors
    ADD CONSTRAINT descriptors_filter_key UNIQUE (filter);

ALTER TABLE ONLY soundscape.descriptors
    ADD CONSTRAINT descriptors_path_key UNIQUE (path);

ALTER TABLE ONLY soundscape.descriptors
    ADD CONSTRAINT descriptors_pkey PRIMARY KEY (column_name);

ALTER TABLE ONLY soundscape.factor_maps
    ADD CONSTRAINT factor_maps_pkey PRIMARY KEY (model_id, space, factor);

ALTER TABLE ONLY soundscape.fingerprints
    ADD CONSTRAINT fingerprints_number_key UNIQUE (number);

ALTER TABLE ONLY soundscape.fingerprints
    ADD CONSTRAINT fingerprints_pkey PRIMARY KEY (audio_id);

ALTER TABLE ONLY soundscape.fit_lease
    ADD CONSTRAINT fit_lease_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY soundscape.former_dismissals
    ADD CONSTRAINT former_dismissals_pkey PRIMARY KEY (id);

ALTER TABLE ONLY soundscape.former_words
    ADD CONSTRAINT former_words_pkey PRIMARY KEY (id);

ALTER TABLE ONLY soundscape.item_factors
    ADD CONSTRAINT item_factors_audio_id_is_listed_model_id_key UNIQUE (audio_id, is_listed, model_id);

ALTER TABLE ONLY soundscape.item_factors
    ADD CONSTRAINT item_factors_pkey PRIMARY KEY (model_id, audio_id);

ALTER TABLE ONLY soundscape.item_neighbours
    ADD CONSTRAINT item_neighbours_pkey PRIMARY KEY (audio_id, is_listed, model_id, neighbour_id);

ALTER TABLE ONLY soundscape.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY soundscape.notification_kinds
    ADD CONSTRAINT notification_kinds_pkey PRIMARY KEY (kind);

ALTER TABLE ONLY soundscape.owner_limits
    ADD CONSTRAINT owner_limits_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY soundscape.postings
    ADD CONSTRAINT postings_pkey PRIMARY KEY (posting);

ALTER TABLE ONLY soundscape.queue_settings
    ADD CONSTRAINT queue_settings_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY soundscape.recommendation_models
    ADD CONSTRAINT recommendation_models_pkey PRIMARY KEY (id);

ALTER TABLE ONLY soundscape.recommendation_weights
    ADD CONSTRAINT recommendation_weights_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY soundscape.unlisted_postings
    ADD CONSTRAINT unlisted_postings_pkey PRIMARY KEY (owner_hash, posting);

ALTER TABLE ONLY soundscape.vocabulary
    ADD CONSTRAINT vocabulary_pkey PRIMARY KEY (word);

CREATE INDEX audio_embeddings_by_owner ON public.audio_embeddings USING btree (user_id, space);

CREATE INDEX audio_embeddings_by_recording ON public.audio_embeddings USING btree (audio_id, user_id, is_listed);

CREATE INDEX audio_embeddings_public ON public.audio_embeddings USING hnsw (embedding extensions.halfvec_cosine_ops) WITH (ef_construction='200') WHERE is_listed;

CREATE INDEX audio_embeddings_public_by_space ON public.audio_embeddings USING btree (space) WHERE is_listed;

CREATE INDEX audio_features_by_bytes ON public.audio_features USING btree (sha256);

CREATE INDEX audio_features_by_duration ON public.audio_features USING btree (duration_s);

CREATE INDEX audio_features_by_key ON public.audio_features USING btree (key, mode, tempo_bpm);

CREATE INDEX audio_features_by_owner ON public.audio_features USING btree (user_id);

CREATE INDEX audio_features_by_samples ON public.audio_features USING btree (((descriptors #>> '{source,pcm_sha256}'::text[])));

CREATE INDEX audio_features_by_tempo ON public.audio_features USING btree (tempo_bpm);

CREATE INDEX audio_files_awaiting_upload ON public.audio_files USING btree (user_id) WHERE (status = 'awaiting_upload'::text);

CREATE INDEX audio_files_by_age ON public.audio_files USING btree (created_at DESC);

CREATE INDEX audio_files_by_duration ON public.audio_files USING btree (duration, id);

CREATE INDEX audio_files_by_labels ON public.audio_files USING gin (labels);

CREATE INDEX audio_files_by_license ON public.audio_files USING btree (license, created_at DESC);

CREATE UNIQUE INDEX audio_files_by_object ON public.audio_files USING btree (object_id);

CREATE INDEX audio_files_by_owner ON public.audio_files USING btree (user_id, created_at DESC);

CREATE INDEX audio_files_by_title ON public.audio_files USING btree (soundscape.fold(title), id);

CREATE INDEX audio_files_by_words ON public.audio_files USING gin (search);

CREATE INDEX audio_files_hidden ON public.audio_files USING btree (hidden_at DESC) WHERE (hidden_at IS NOT NULL);

CREATE INDEX audio_files_public ON public.audio_files USING btree (created_at DESC) WHERE is_public;

CREATE INDEX audio_files_unfinished ON public.audio_files USING btree (updated_at) WHERE (status = ANY (ARRAY['awaiting_upload'::text, 'queued'::text, 'analyzing'::text]));

CREATE INDEX audio_matches_by_matched ON public.audio_matches USING btree (matched_audio_id);

CREATE UNIQUE INDEX audio_matches_by_pair ON public.audio_matches USING btree (LEAST(audio_id, matched_audio_id), GREATEST(audio_id, matched_audio_id));

CREATE INDEX audio_matches_by_recording ON public.audio_matches USING btree (audio_id);

CREATE INDEX audio_tags_by_label ON public.audio_tags USING btree (label, confidence DESC);

CREATE INDEX audio_tags_by_owner ON public.audio_tags USING btree (user_id);

CREATE INDEX audio_tags_by_recording ON public.audio_tags USING btree (audio_id, user_id, is_listed);

CREATE INDEX impressions_by_age ON public.impressions USING btree (shown_at, answer_id, place);

CREATE INDEX impressions_by_recording ON public.impressions USING btree (audio_id);

CREATE INDEX impressions_by_user ON public.impressions USING btree (user_id, shown_at DESC);

CREATE INDEX likes_by_recording ON public.likes USING btree (audio_id);

CREATE INDEX listening_events_by_arrival ON public.listening_events USING btree (user_id, created_at DESC);

CREATE INDEX listening_events_by_recording ON public.listening_events USING btree (audio_id, started_at DESC);

CREATE INDEX listening_events_by_user ON public.listening_events USING btree (user_id, started_at DESC);

CREATE INDEX notifications_by_age ON public.notifications USING btree (created_at);

CREATE INDEX notifications_by_kind ON public.notifications USING btree (kind);

CREATE INDEX notifications_by_recording ON public.notifications USING btree (audio_id);

CREATE INDEX notifications_by_user ON public.notifications USING btree (user_id, created_at DESC);

CREATE INDEX playlist_items_by_recording ON public.playlist_items USING btree (audio_id);

CREATE INDEX playlists_by_owner ON public.playlists USING btree (user_id, created_at DESC);

CREATE INDEX playlists_public ON public.playlists USING btree (created_at DESC) WHERE is_public;

CREATE INDEX report_assignments_by_assignee ON public.report_assignments USING btree (assignee_id);

CREATE INDEX reports_by_recording ON public.reports USING btree (audio_id);

CREATE INDEX reports_by_reporter ON public.reports USING btree (reporter_id);

CREATE UNIQUE INDEX reports_unresolved ON public.reports USING btree (audio_id, reporter_id) WHERE (resolved_at IS NULL);

CREATE INDEX reports_waiting ON public.reports USING btree (created_at) WHERE (resolved_at IS NULL);

CREATE INDEX audio_moods_by_owner ON soundscape.audio_moods USING btree (user_id, mood);

CREATE INDEX audio_moods_by_recording ON soundscape.audio_moods USING btree (audio_id, user_id, is_listed);

CREATE INDEX audio_moods_listed ON soundscape.audio_moods USING btree (mood, score DESC, audio_id) WHERE is_listed;

CREATE INDEX fingerprints_by_age ON soundscape.fingerprints USING btree (created_at);

CREATE INDEX fingerprints_by_recording ON soundscape.fingerprints USING btree (audio_id, user_id, is_listed);

CREATE INDEX fingerprints_by_visibility ON soundscape.fingerprints USING btree (version, is_listed, user_id) INCLUDE (number, key_count, audio_id);

CREATE INDEX fingerprints_to_compare ON soundscape.fingerprints USING btree (created_at) WHERE (compared_in IS NOT NULL);

CREATE INDEX former_dismissals_by_matched ON soundscape.former_dismissals USING btree (matched_audio_id);

CREATE INDEX former_dismissals_by_recording ON soundscape.former_dismissals USING btree (audio_id);

CREATE INDEX item_factors_by_popularity ON soundscape.item_factors USING btree (model_id, popularity DESC) WHERE is_listed;

CREATE INDEX item_factors_near_0 ON soundscape.item_factors USING hnsw (place extensions.vector_ip_ops) WHERE (is_listed AND (slot = 0));

CREATE INDEX item_factors_near_1 ON soundscape.item_factors USING hnsw (place extensions.vector_ip_ops) WHERE (is_listed AND (slot = 1));

CREATE INDEX item_neighbours_by_neighbour ON soundscape.item_neighbours USING btree (neighbour_id, neighbour_is_listed);

CREATE INDEX jobs_by_end ON soundscape.jobs USING btree (finished_at) WHERE (finished_at IS NOT NULL);

CREATE INDEX jobs_by_owner ON soundscape.jobs USING btree (user_id, id DESC);

CREATE INDEX jobs_by_recording ON soundscape.jobs USING btree (audio_id, id DESC);

CREATE INDEX jobs_by_state ON soundscape.jobs USING btree (state, id DESC);

CREATE INDEX jobs_in_flight ON soundscape.jobs USING btree (user_id, queue) WHERE ((state = ANY (ARRAY['queued'::text, 'running'::text])) AND (msg_id IS NOT NULL));

CREATE UNIQUE INDEX jobs_live ON soundscape.jobs USING btree (audio_id) WHERE (state = ANY (ARRAY['queued'::text, 'running'::text]));

CREATE INDEX jobs_waiting ON soundscape.jobs USING btree (queue, user_id, lined_up_at, id) WHERE ((state = 'queued'::text) AND (msg_id IS NULL));

CREATE UNIQUE INDEX recommendation_models_in_force ON soundscape.recommendation_models USING btree (state) WHERE (state = 'in_force'::text);

CREATE UNIQUE INDEX unlisted_postings_by_key ON soundscape.unlisted_postings USING btree (posting) WHERE (posting >= '-9223372036854775808'::bigint);

CREATE INDEX vocabulary_by_spelling ON soundscape.vocabulary USING gin (word extensions.gin_trgm_ops);

CREATE TRIGGER audio_embeddings_place AFTER INSERT OR UPDATE OF embedding, is_listed ON public.audio_embeddings FOR EACH ROW WHEN (new.is_listed) EXECUTE FUNCTION soundscape.place_in_model();

CREATE TRIGGER audio_embeddings_written BEFORE INSERT ON public.audio_embeddings FOR EACH ROW EXECUTE FUNCTION soundscape.on_embedding_written();

CREATE TRIGGER audio_features_compared AFTER INSERT OR UPDATE OF tempo_bpm, tempo_confidence, onset_rate_hz, key, mode, key_confidence ON public.audio_features FOR EACH ROW EXECUTE FUNCTION soundscape.on_traits_changed();

CREATE TRIGGER audio_features_measured AFTER INSERT ON public.audio_features FOR EACH ROW EXECUTE FUNCTION soundscape.on_moods_changed();

CREATE TRIGGER audio_features_remeasured AFTER UPDATE ON public.audio_features FOR EACH ROW WHEN (((((((old.tempo_bpm IS DISTINCT FROM new.tempo_bpm) OR (old.tempo_confidence IS DISTINCT FROM new.tempo_confidence)) OR (old.onset_rate_hz IS DISTINCT FROM new.onset_rate_hz)) OR (old.integrated_lufs IS DISTINCT FROM new.integrated_lufs)) OR (old.loudness_range_lu IS DISTINCT FROM new.loudness_range_lu)) OR (old.centroid_hz IS DISTINCT FROM new.centroid_hz))) EXECUTE FUNCTION soundscape.on_moods_changed();

CREATE TRIGGER audio_files_bytes_changed AFTER UPDATE OF object_etag ON public.audio_files FOR EACH ROW WHEN ((old.object_etag IS DISTINCT FROM new.object_etag)) EXECUTE FUNCTION soundscape.on_bytes_changed();

CREATE TRIGGER audio_files_called AFTER UPDATE OF tags, heard ON public.audio_files FOR EACH ROW WHEN (((old.tags <> new.tags) OR (old.heard <> new.heard))) EXECUTE FUNCTION soundscape.on_moods_changed();

CREATE TRIGGER audio_files_coming BEFORE INSERT ON public.audio_files FOR EACH ROW EXECUTE FUNCTION soundscape.lock_recording_name();

CREATE TRIGGER audio_files_compared AFTER UPDATE OF tags, heard ON public.audio_files FOR EACH ROW WHEN (((old.tags <> new.tags) OR (old.heard <> new.heard))) EXECUTE FUNCTION soundscape.on_traits_changed();

CREATE TRIGGER audio_files_deleted AFTER DELETE ON public.audio_files FOR EACH ROW EXECUTE FUNCTION soundscape.on_recording_deleted();

CREATE TRIGGER audio_files_limit AFTER INSERT ON public.audio_files REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION soundscape.check_owner_limits();

CREATE TRIGGER audio_files_made AFTER INSERT ON public.audio_files FOR EACH ROW EXECUTE FUNCTION soundscape.attach_uploaded_object();

CREATE TRIGGER audio_files_status_step BEFORE UPDATE OF status ON public.audio_files FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION soundscape.check_status_step();

CREATE TRIGGER audio_files_touch BEFORE UPDATE ON public.audio_files FOR EACH ROW EXECUTE FUNCTION soundscape.touch_updated_at();

CREATE TRIGGER audio_files_withdraw BEFORE UPDATE OF is_public, hidden_at ON public.audio_files FOR EACH ROW WHEN ((old.is_listed AND (NOT (new.is_public AND (new.hidden_at IS NULL))))) EXECUTE FUNCTION soundscape.withdraw_from_models();

CREATE TRIGGER audio_files_words AFTER INSERT OR DELETE OR UPDATE OF title, tags, heard, is_public, hidden_at, status, analyzed_at ON public.audio_files FOR EACH ROW EXECUTE FUNCTION soundscape.on_words_changed();

CREATE TRIGGER audio_tags_added AFTER INSERT ON public.audio_tags REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION soundscape.on_tags_changed();

CREATE TRIGGER audio_tags_changed AFTER UPDATE ON public.audio_tags REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION soundscape.on_tags_changed();

CREATE TRIGGER audio_tags_removed AFTER DELETE ON public.audio_tags REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION soundscape.on_tags_changed();

CREATE TRIGGER listening_events_limit AFTER INSERT ON public.listening_events REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION soundscape.check_owner_limits();

CREATE TRIGGER playlist_items_append BEFORE INSERT ON public.playlist_items FOR EACH ROW EXECUTE FUNCTION soundscape.append_item();

CREATE TRIGGER playlist_items_close AFTER DELETE ON public.playlist_items REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION soundscape.close_gaps();

CREATE TRIGGER playlist_items_limit AFTER INSERT ON public.playlist_items REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION soundscape.check_owner_limits();

CREATE TRIGGER playlists_limit AFTER INSERT ON public.playlists REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION soundscape.check_owner_limits();

CREATE TRIGGER playlists_touch BEFORE UPDATE ON public.playlists FOR EACH ROW EXECUTE FUNCTION soundscape.touch_updated_at();

CREATE TRIGGER report_assignments_follow AFTER INSERT OR DELETE OR UPDATE ON public.report_assignments FOR EACH ROW EXECUTE FUNCTION soundscape.follow_assignment();

CREATE TRIGGER reports_limit AFTER INSERT ON public.reports REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION soundscape.check_owner_limits();

CREATE TRIGGER user_preferences_touch BEFORE UPDATE ON public.user_preferences FOR EACH ROW EXECUTE FUNCTION soundscape.touch_updated_at();

CREATE TRIGGER users_deleted AFTER DELETE ON public.users FOR EACH ROW EXECUTE FUNCTION soundscape.on_user_deleted();

CREATE TRIGGER users_touch BEFORE UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION soundscape.touch_updated_at();

CREATE TRIGGER fingerprints_gone AFTER DELETE ON soundscape.fingerprints FOR EACH ROW EXECUTE FUNCTION soundscape.on_fingerprint_changed();

CREATE TRIGGER fingerprints_listed AFTER UPDATE ON soundscape.fingerprints FOR EACH ROW WHEN (((old.is_listed IS DISTINCT FROM new.is_listed) OR (old.user_id IS DISTINCT FROM new.user_id))) EXECUTE FUNCTION soundscape.on_fingerprint_changed();

CREATE TRIGGER fingerprints_written AFTER INSERT ON soundscape.fingerprints FOR EACH ROW EXECUTE FUNCTION soundscape.on_fingerprint_changed();

CREATE TRIGGER jobs_deleted AFTER DELETE ON soundscape.jobs FOR EACH ROW WHEN ((old.msg_id IS NOT NULL)) EXECUTE FUNCTION soundscape.delete_message();

ALTER TABLE ONLY public.audio_embeddings
    ADD CONSTRAINT audio_embeddings_audio_id_fkey FOREIGN KEY (audio_id, user_id, is_listed) REFERENCES public.audio_files(id, user_id, is_listed) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.audio_features
    ADD CONSTRAINT audio_features_audio_id_fkey FOREIGN KEY (audio_id, user_id, is_listed) REFERENCES public.audio_files(id, user_id, is_listed) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.audio_files
    ADD CONSTRAINT audio_files_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.audio_matches
    ADD CONSTRAINT audio_matches_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.audio_matches
    ADD CONSTRAINT audio_matches_matched_audio_id_fkey FOREIGN KEY (matched_audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.audio_tags
    ADD CONSTRAINT audio_tags_audio_id_fkey FOREIGN KEY (audio_id, user_id, is_listed) REFERENCES public.audio_files(id, user_id, is_listed) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.impressions
    ADD CONSTRAINT impressions_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.impressions
    ADD CONSTRAINT impressions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.likes
    ADD CONSTRAINT likes_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.likes
    ADD CONSTRAINT likes_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.listening_events
    ADD CONSTRAINT listening_events_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.listening_events
    ADD CONSTRAINT listening_events_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT notifications_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT notifications_kind_fkey FOREIGN KEY (kind) REFERENCES soundscape.notification_kinds(kind);

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT notifications_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.playlist_items
    ADD CONSTRAINT playlist_items_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.playlist_items
    ADD CONSTRAINT playlist_items_playlist_id_fkey FOREIGN KEY (playlist_id) REFERENCES public.playlists(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.playlists
    ADD CONSTRAINT playlists_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.report_assignments
    ADD CONSTRAINT report_assignments_assignee_id_fkey FOREIGN KEY (assignee_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.report_assignments
    ADD CONSTRAINT report_assignments_report_id_fkey FOREIGN KEY (report_id) REFERENCES public.reports(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.reports
    ADD CONSTRAINT reports_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.reports
    ADD CONSTRAINT reports_reporter_id_fkey FOREIGN KEY (reporter_id) REFERENCES public.users(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.user_preferences
    ADD CONSTRAINT user_preferences_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.user_roles
    ADD CONSTRAINT user_roles_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_id_fkey FOREIGN KEY (id) REFERENCES auth.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.audio_moods
    ADD CONSTRAINT audio_moods_audio_id_fkey FOREIGN KEY (audio_id, user_id, is_listed) REFERENCES public.audio_files(id, user_id, is_listed) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.factor_maps
    ADD CONSTRAINT factor_maps_model_id_fkey FOREIGN KEY (model_id) REFERENCES soundscape.recommendation_models(id) ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.fingerprints
    ADD CONSTRAINT fingerprints_audio_id_fkey FOREIGN KEY (audio_id, user_id, is_listed) REFERENCES public.audio_files(id, user_id, is_listed) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.item_factors
    ADD CONSTRAINT item_factors_audio_id_fkey FOREIGN KEY (audio_id, is_listed) REFERENCES public.audio_files(id, is_listed) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.item_factors
    ADD CONSTRAINT item_factors_model_id_fkey FOREIGN KEY (model_id) REFERENCES soundscape.recommendation_models(id) ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.item_neighbours
    ADD CONSTRAINT item_neighbours_audio_id_fkey FOREIGN KEY (audio_id, is_listed, model_id) REFERENCES soundscape.item_factors(audio_id, is_listed, model_id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.item_neighbours
    ADD CONSTRAINT item_neighbours_neighbour_id_fkey FOREIGN KEY (neighbour_id, neighbour_is_listed) REFERENCES public.audio_files(id, is_listed) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.jobs
    ADD CONSTRAINT jobs_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE public.audio_embeddings ENABLE ROW LEVEL SECURITY;

CREATE POLICY audio_embeddings_read ON public.audio_embeddings FOR SELECT TO authenticated USING ((is_listed OR (user_id = ( SELECT auth.uid() AS uid)) OR (( SELECT soundscape.authorize('recordings.moderate'::public.app_permission) AS authorize) AND (EXISTS ( SELECT
   FROM public.audio_files f
  WHERE ((f.id = audio_embeddings.audio_id) AND (f.hidden_at IS NOT NULL)))))));

CREATE POLICY audio_embeddings_read_public ON public.audio_embeddings FOR SELECT TO anon USING (is_listed);

ALTER TABLE public.audio_features ENABLE ROW LEVEL SECURITY;

CREATE POLICY audio_features_read ON public.audio_features FOR SELECT TO authenticated USING ((is_listed OR (user_id = ( SELECT auth.uid() AS uid)) OR (( SELECT soundscape.authorize('recordings.moderate'::public.app_permission) AS authorize) AND (EXISTS ( SELECT
   FROM public.audio_files f
  WHERE ((f.id = audio_features.audio_id) AND (f.hidden_at IS NOT NULL)))))));

CREATE POLICY audio_features_read_public ON public.audio_features FOR SELECT TO anon USING (is_listed);

ALTER TABLE public.audio_files ENABLE ROW LEVEL SECURITY;

CREATE POLICY audio_files_delete_own ON public.audio_files FOR DELETE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY audio_files_insert_own ON public.audio_files FOR INSERT TO authenticated WITH CHECK ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY audio_files_read ON public.audio_files FOR SELECT TO authenticated USING (((is_public AND (hidden_at IS NULL)) OR (user_id = ( SELECT auth.uid() AS uid)) OR ((hidden_at IS NOT NULL) AND ( SELECT soundscape.authorize('recordings.moderate'::public.app_permission) AS authorize))));

CREATE POLICY audio_files_read_public ON public.audio_files FOR SELECT TO anon USING ((is_public AND (hidden_at IS NULL)));

CREATE POLICY audio_files_update_own ON public.audio_files FOR UPDATE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid))) WITH CHECK ((user_id = ( SELECT auth.uid() AS uid)));

ALTER TABLE public.audio_matches ENABLE ROW LEVEL SECURITY;

CREATE POLICY audio_matches_read ON public.audio_matches FOR SELECT TO authenticated USING ((( SELECT soundscape.authorize('recordings.moderate'::public.app_permission) AS authorize) OR ((EXISTS ( SELECT
   FROM public.audio_files f
  WHERE (f.id = audio_matches.audio_id))) AND (EXISTS ( SELECT
   FROM public.audio_files f
  WHERE (f.id = audio_matches.matched_audio_id))))));

CREATE POLICY audio_matches_read_public ON public.audio_matches FOR SELECT TO anon USING (((EXISTS ( SELECT
   FROM public.audio_files f
  WHERE (f.id = audio_matches.audio_id))) AND (EXISTS ( SELECT
   FROM public.audio_files f
  WHERE (f.id = audio_matches.matched_audio_id)))));

ALTER TABLE public.audio_tags ENABLE ROW LEVEL SECURITY;

CREATE POLICY audio_tags_read ON public.audio_tags FOR SELECT TO authenticated USING ((is_listed OR (user_id = ( SELECT auth.uid() AS uid)) OR (( SELECT soundscape.authorize('recordings.moderate'::public.app_permission) AS authorize) AND (EXISTS ( SELECT
   FROM public.audio_files f
  WHERE ((f.id = audio_tags.audio_id) AND (f.hidden_at IS NOT NULL)))))));

CREATE POLICY audio_tags_read_public ON public.audio_tags FOR SELECT TO anon USING (is_listed);

ALTER TABLE public.impressions ENABLE ROW LEVEL SECURITY;

CREATE POLICY impressions_delete_own ON public.impressions FOR DELETE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY impressions_read_own ON public.impressions FOR SELECT TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

ALTER TABLE public.likes ENABLE ROW LEVEL SECURITY;

CREATE POLICY likes_delete_own ON public.likes FOR DELETE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY likes_insert_own ON public.likes FOR INSERT TO authenticated WITH CHECK (((user_id = ( SELECT auth.uid() AS uid)) AND (EXISTS ( SELECT
   FROM public.audio_files f
  WHERE (f.id = likes.audio_id)))));

CREATE POLICY likes_read_own ON public.likes FOR SELECT TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

ALTER TABLE public.listening_events ENABLE ROW LEVEL SECURITY;

CREATE POLICY listening_events_delete_own ON public.listening_events FOR DELETE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY listening_events_insert_own ON public.listening_events FOR INSERT TO authenticated WITH CHECK (((user_id = ( SELECT auth.uid() AS uid)) AND (EXISTS ( SELECT
   FROM public.audio_files f
  WHERE (f.id = listening_events.audio_id)))));

CREATE POLICY listening_events_read_own ON public.listening_events FOR SELECT TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

ALTER TABLE public.mood_rules ENABLE ROW LEVEL SECURITY;

CREATE POLICY mood_rules_read ON public.mood_rules FOR SELECT TO anon, authenticated USING (true);

ALTER TABLE public.notifications ENABLE ROW LEVEL SECURITY;

CREATE POLICY notifications_delete_own ON public.notifications FOR DELETE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY notifications_mark_own ON public.notifications FOR UPDATE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid))) WITH CHECK ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY notifications_read_own ON public.notifications FOR SELECT TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

ALTER TABLE public.playlist_items ENABLE ROW LEVEL SECURITY;

CREATE POLICY playlist_items_delete ON public.playlist_items FOR DELETE TO authenticated USING ((EXISTS ( SELECT
   FROM public.playlists p
  WHERE ((p.id = playlist_items.playlist_id) AND (p.user_id = ( SELECT auth.uid() AS uid))))));

CREATE POLICY playlist_items_insert ON public.playlist_items FOR INSERT TO authenticated WITH CHECK (((EXISTS ( SELECT
   FROM public.playlists p
  WHERE ((p.id = playlist_items.playlist_id) AND (p.user_id = ( SELECT auth.uid() AS uid))))) AND (EXISTS ( SELECT
   FROM public.audio_files f
  WHERE (f.id = playlist_items.audio_id)))));

CREATE POLICY playlist_items_read ON public.playlist_items FOR SELECT TO authenticated USING (((EXISTS ( SELECT
   FROM public.playlists p
  WHERE ((p.id = playlist_items.playlist_id) AND (p.user_id = ( SELECT auth.uid() AS uid))))) OR ((EXISTS ( SELECT
   FROM public.playlists p
  WHERE (p.id = playlist_items.playlist_id))) AND (EXISTS ( SELECT
   FROM public.audio_files f
  WHERE (f.id = playlist_items.audio_id))))));

CREATE POLICY playlist_items_read_public ON public.playlist_items FOR SELECT TO anon USING (((EXISTS ( SELECT
   FROM public.playlists p
  WHERE (p.id = playlist_items.playlist_id))) AND (EXISTS ( SELECT
   FROM public.audio_files f
  WHERE (f.id = playlist_items.audio_id)))));

ALTER TABLE public.playlists ENABLE ROW LEVEL SECURITY;

CREATE POLICY playlists_delete_own ON public.playlists FOR DELETE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY playlists_insert_own ON public.playlists FOR INSERT TO authenticated WITH CHECK ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY playlists_read ON public.playlists FOR SELECT TO authenticated USING ((is_public OR (user_id = ( SELECT auth.uid() AS uid))));

CREATE POLICY playlists_read_public ON public.playlists FOR SELECT TO anon USING (is_public);

CREATE POLICY playlists_update_own ON public.playlists FOR UPDATE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid))) WITH CHECK ((user_id = ( SELECT auth.uid() AS uid)));

ALTER TABLE public.report_assignments ENABLE ROW LEVEL SECURITY;

CREATE POLICY report_assignments_read ON public.report_assignments FOR SELECT TO authenticated USING ((( SELECT soundscape.authorize('reports.handle'::public.app_permission) AS authorize) AND (EXISTS ( SELECT
   FROM public.reports r
  WHERE (r.id = report_assignments.report_id)))));

ALTER TABLE public.reports ENABLE ROW LEVEL SECURITY;

CREATE POLICY reports_insert ON public.reports FOR INSERT TO authenticated WITH CHECK (((reporter_id = ( SELECT auth.uid() AS uid)) AND (EXISTS ( SELECT
   FROM public.audio_files f
  WHERE ((f.id = reports.audio_id) AND (f.user_id <> ( SELECT auth.uid() AS uid)))))));

CREATE POLICY reports_read ON public.reports FOR SELECT TO authenticated USING (((reporter_id = ( SELECT auth.uid() AS uid)) OR (( SELECT soundscape.authorize('reports.handle'::public.app_permission) AS authorize) AND (NOT (EXISTS ( SELECT
   FROM public.audio_files f
  WHERE ((f.id = reports.audio_id) AND (f.user_id = ( SELECT auth.uid() AS uid)))))))));

ALTER TABLE public.role_permissions ENABLE ROW LEVEL SECURITY;

CREATE POLICY role_permissions_read ON public.role_permissions FOR SELECT TO authenticated USING (true);

ALTER TABLE public.user_preferences ENABLE ROW LEVEL SECURITY;

CREATE POLICY user_preferences_read_own ON public.user_preferences FOR SELECT TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY user_preferences_update_own ON public.user_preferences FOR UPDATE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid))) WITH CHECK ((user_id = ( SELECT auth.uid() AS uid)));

ALTER TABLE public.user_roles ENABLE ROW LEVEL SECURITY;

CREATE POLICY user_roles_delete ON public.user_roles FOR DELETE TO authenticated USING (( SELECT soundscape.authorize('roles.assign'::public.app_permission) AS authorize));

CREATE POLICY user_roles_insert ON public.user_roles FOR INSERT TO authenticated WITH CHECK (( SELECT soundscape.authorize('roles.assign'::public.app_permission) AS authorize));

CREATE POLICY user_roles_read ON public.user_roles FOR SELECT TO authenticated USING (((user_id = ( SELECT auth.uid() AS uid)) OR ( SELECT soundscape.authorize('roles.assign'::public.app_permission) AS authorize)));

CREATE POLICY user_roles_read_auth ON public.user_roles FOR SELECT TO supabase_auth_admin USING (true);

ALTER TABLE public.users ENABLE ROW LEVEL SECURITY;

CREATE POLICY users_read ON public.users FOR SELECT TO anon, authenticated USING (true);

CREATE POLICY users_update_own ON public.users FOR UPDATE TO authenticated USING ((id = ( SELECT auth.uid() AS uid))) WITH CHECK ((id = ( SELECT auth.uid() AS uid)));

ALTER TABLE soundscape.audio_moods ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.deletions ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.descriptors ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.factor_maps ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.fingerprints ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.fit_lease ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.former_dismissals ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.former_words ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.item_factors ENABLE ROW LEVEL SECURITY;

CREATE POLICY item_factors_read ON soundscape.item_factors FOR SELECT TO authenticated USING (is_listed);

ALTER TABLE soundscape.item_neighbours ENABLE ROW LEVEL SECURITY;

CREATE POLICY item_neighbours_read ON soundscape.item_neighbours FOR SELECT TO authenticated USING ((is_listed AND neighbour_is_listed));

ALTER TABLE soundscape.jobs ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.notification_kinds ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.owner_limits ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.postings ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.queue_settings ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.recommendation_models ENABLE ROW LEVEL SECURITY;

CREATE POLICY recommendation_models_read ON soundscape.recommendation_models FOR SELECT TO authenticated USING ((state = 'in_force'::text));

ALTER TABLE soundscape.recommendation_weights ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.unlisted_postings ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.vocabulary ENABLE ROW LEVEL SECURITY;

GRANT USAGE ON SCHEMA public TO anon;
GRANT USAGE ON SCHEMA public TO authenticated;
GRANT USAGE ON SCHEMA public TO service_role;
GRANT USAGE ON SCHEMA public TO supabase_auth_admin;
GRANT USAGE ON SCHEMA public TO supabase_storage_admin;
GRANT USAGE ON SCHEMA public TO supabase_realtime_admin;

GRANT USAGE ON SCHEMA soundscape TO anon;
GRANT USAGE ON SCHEMA soundscape TO authenticated;
GRANT USAGE ON SCHEMA soundscape TO service_role;

REVOKE ALL ON FUNCTION public.accepted_uploads() FROM PUBLIC;
GRANT ALL ON FUNCTION public.accepted_uploads() TO authenticated;
GRANT ALL ON FUNCTION public.accepted_uploads() TO anon;
GRANT ALL ON FUNCTION public.accepted_uploads() TO service_role;

REVOKE ALL ON FUNCTION public.assign_report(report uuid, assignee uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.assign_report(report uuid, assignee uuid) TO authenticated;

REVOKE ALL ON FUNCTION public.begin_fit(every_h double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION public.begin_fit(every_h double precision) TO service_role;

REVOKE ALL ON FUNCTION public.cancel_analysis(recording uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.cancel_analysis(recording uuid) TO authenticated;

REVOKE ALL ON FUNCTION public.cancel_jobs(jobs bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.cancel_jobs(jobs bigint[]) TO service_role;

REVOKE ALL ON FUNCTION public.claim_jobs(worker text, max_jobs integer, lease_s integer, holding text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_jobs(worker text, max_jobs integer, lease_s integer, holding text[]) TO service_role;

REVOKE ALL ON FUNCTION public.clear_models(token uuid, max_items integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.clear_models(token uuid, max_items integer) TO service_role;

REVOKE ALL ON FUNCTION public.complete_comparison(recording uuid, others uuid[], matches jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.complete_comparison(recording uuid, others uuid[], matches jsonb) TO service_role;

REVOKE ALL ON FUNCTION public.complete_job(job_id bigint, token text, result jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.complete_job(job_id bigint, token text, result jsonb) TO service_role;

REVOKE ALL ON FUNCTION public.confirm_deletions(bucket text, removed text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.confirm_deletions(bucket text, removed text[]) TO service_role;

REVOKE ALL ON FUNCTION public.custom_access_token_hook(event jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.custom_access_token_hook(event jsonb) TO supabase_auth_admin;

REVOKE ALL ON FUNCTION public.dismiss_match(match uuid, dismissed boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.dismiss_match(match uuid, dismissed boolean) TO authenticated;

REVOKE ALL ON FUNCTION public.end_fit(token uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.end_fit(token uuid) TO service_role;

REVOKE ALL ON FUNCTION public.extend_lease(job_id bigint, token text, lease_s integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.extend_lease(job_id bigint, token text, lease_s integer) TO service_role;

REVOKE ALL ON FUNCTION public.fail_job(job_id bigint, token text, kind text, code text, message text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.fail_job(job_id bigint, token text, kind text, code text, message text) TO service_role;

REVOKE ALL ON FUNCTION public.fingerprint_candidates(keys integer[], frames integer[], version integer, max_candidates integer, viewer uuid, all_owners boolean, for_recording uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.fingerprint_candidates(keys integer[], frames integer[], version integer, max_candidates integer, viewer uuid, all_owners boolean, for_recording uuid) TO service_role;

REVOKE ALL ON FUNCTION public.fit_embeddings(recordings uuid[], space text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.fit_embeddings(recordings uuid[], space text) TO service_role;

REVOKE ALL ON FUNCTION public.fit_history(after uuid, max_people integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.fit_history(after uuid, max_people integer) TO service_role;

REVOKE ALL ON FUNCTION public.hide_recording(recording uuid, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.hide_recording(recording uuid, reason text) TO authenticated;

REVOKE ALL ON FUNCTION public.impressions_after(after_shown_at timestamp with time zone, after_answer uuid, after_place integer, max_rows integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.impressions_after(after_shown_at timestamp with time zone, after_answer uuid, after_place integer, max_rows integer) TO service_role;

REVOKE ALL ON FUNCTION public.index_recording(recording uuid, object_version text, result jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.index_recording(recording uuid, object_version text, result jsonb) TO service_role;

REVOKE ALL ON FUNCTION public.index_snapshot() FROM PUBLIC;
GRANT ALL ON FUNCTION public.index_snapshot() TO service_role;

REVOKE ALL ON FUNCTION public.list_jobs(states text[], recording uuid, owner uuid, code text, before bigint, max_jobs integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.list_jobs(states text[], recording uuid, owner uuid, code text, before bigint, max_jobs integer) TO service_role;

REVOKE ALL ON FUNCTION public.list_models(max_models integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.list_models(max_models integer) TO service_role;

REVOKE ALL ON FUNCTION public.model_items(model bigint, recordings uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.model_items(model bigint, recordings uuid[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.fold(words text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.fold(words text) TO anon;
GRANT ALL ON FUNCTION soundscape.fold(words text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.fold(words text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.unspaced_letter() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.unspaced_letter() TO anon;
GRANT ALL ON FUNCTION soundscape.unspaced_letter() TO authenticated;
GRANT ALL ON FUNCTION soundscape.unspaced_letter() TO service_role;

REVOKE ALL ON FUNCTION soundscape.last_letters(words text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.last_letters(words text) TO anon;
GRANT ALL ON FUNCTION soundscape.last_letters(words text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.last_letters(words text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.pair_letters(words text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.pair_letters(words text) TO anon;
GRANT ALL ON FUNCTION soundscape.pair_letters(words text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.pair_letters(words text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.plain_words(words text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.plain_words(words text) TO anon;
GRANT ALL ON FUNCTION soundscape.plain_words(words text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.plain_words(words text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.document_words(words text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.document_words(words text) TO anon;
GRANT ALL ON FUNCTION soundscape.document_words(words text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.document_words(words text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.labels(tags text[], heard jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.labels(tags text[], heard jsonb) TO anon;
GRANT ALL ON FUNCTION soundscape.labels(tags text[], heard jsonb) TO authenticated;
GRANT ALL ON FUNCTION soundscape.labels(tags text[], heard jsonb) TO service_role;

REVOKE ALL ON FUNCTION soundscape.object_name_problem(object_name text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.object_name_problem(object_name text) TO anon;
GRANT ALL ON FUNCTION soundscape.object_name_problem(object_name text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.object_name_problem(object_name text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.search_document(title text, description text, tags text[], heard jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.search_document(title text, description text, tags text[], heard jsonb) TO anon;
GRANT ALL ON FUNCTION soundscape.search_document(title text, description text, tags text[], heard jsonb) TO authenticated;
GRANT ALL ON FUNCTION soundscape.search_document(title text, description text, tags text[], heard jsonb) TO service_role;

GRANT SELECT ON TABLE public.audio_files TO anon;
GRANT SELECT,DELETE ON TABLE public.audio_files TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.audio_files TO service_role;

GRANT INSERT(user_id) ON TABLE public.audio_files TO authenticated;

GRANT INSERT(title),UPDATE(title) ON TABLE public.audio_files TO authenticated;

GRANT INSERT(description),UPDATE(description) ON TABLE public.audio_files TO authenticated;

GRANT INSERT(file_path) ON TABLE public.audio_files TO authenticated;

GRANT INSERT(is_public),UPDATE(is_public) ON TABLE public.audio_files TO authenticated;

GRANT INSERT(tags),UPDATE(tags) ON TABLE public.audio_files TO authenticated;

GRANT INSERT(license),UPDATE(license) ON TABLE public.audio_files TO authenticated;

GRANT INSERT(duration) ON TABLE public.audio_files TO authenticated;

REVOKE ALL ON FUNCTION public.mood_mix(mood text, "limit" integer, seed bigint, played uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.mood_mix(mood text, "limit" integer, seed bigint, played uuid[]) TO anon;
GRANT ALL ON FUNCTION public.mood_mix(mood text, "limit" integer, seed bigint, played uuid[]) TO authenticated;
GRANT ALL ON FUNCTION public.mood_mix(mood text, "limit" integer, seed bigint, played uuid[]) TO service_role;

REVOKE ALL ON FUNCTION public.move_playlist_item(item uuid, to_position integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.move_playlist_item(item uuid, to_position integer) TO authenticated;

REVOKE ALL ON FUNCTION public.next_message_s() FROM PUBLIC;
GRANT ALL ON FUNCTION public.next_message_s() TO service_role;

REVOKE ALL ON FUNCTION public.pending_comparisons(max_fingerprints integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.pending_comparisons(max_fingerprints integer) TO service_role;

REVOKE ALL ON FUNCTION public.pending_deletions(max_objects integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.pending_deletions(max_objects integer) TO service_role;

REVOKE ALL ON FUNCTION public.publish_model(token uuid, model bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.publish_model(token uuid, model bigint) TO service_role;

REVOKE ALL ON FUNCTION public.queue_stats() FROM PUBLIC;
GRANT ALL ON FUNCTION public.queue_stats() TO service_role;

REVOKE ALL ON FUNCTION public.radio(audio_id uuid, "limit" integer, seed bigint, played uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.radio(audio_id uuid, "limit" integer, seed bigint, played uuid[]) TO anon;
GRANT ALL ON FUNCTION public.radio(audio_id uuid, "limit" integer, seed bigint, played uuid[]) TO authenticated;
GRANT ALL ON FUNCTION public.radio(audio_id uuid, "limit" integer, seed bigint, played uuid[]) TO service_role;

REVOKE ALL ON FUNCTION public.reanalyze(version text, filters jsonb, max_recordings integer, after uuid, plan boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.reanalyze(version text, filters jsonb, max_recordings integer, after uuid, plan boolean) TO service_role;

REVOKE ALL ON FUNCTION public.recommended_audio("limit" integer, seed bigint, labels text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.recommended_audio("limit" integer, seed bigint, labels text[]) TO authenticated;

REVOKE ALL ON FUNCTION public.reconcile() FROM PUBLIC;
GRANT ALL ON FUNCTION public.reconcile() TO service_role;

REVOKE ALL ON FUNCTION public.reorder_playlist(playlist uuid, items uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.reorder_playlist(playlist uuid, items uuid[]) TO authenticated;

REVOKE ALL ON FUNCTION public.resolve_report(report uuid, resolution text, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.resolve_report(report uuid, resolution text, reason text) TO authenticated;

REVOKE ALL ON FUNCTION public.restore_recording(recording uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.restore_recording(recording uuid) TO authenticated;

REVOKE ALL ON FUNCTION public.retry_analysis(recording uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.retry_analysis(recording uuid) TO authenticated;

REVOKE ALL ON FUNCTION public.retry_jobs(jobs bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.retry_jobs(jobs bigint[]) TO service_role;

REVOKE ALL ON FUNCTION public.search_audio(query text, "limit" integer, sort text, after text, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.search_audio(query text, "limit" integer, sort text, after text, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO anon;
GRANT ALL ON FUNCTION public.search_audio(query text, "limit" integer, sort text, after text, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO authenticated;
GRANT ALL ON FUNCTION public.search_audio(query text, "limit" integer, sort text, after text, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO service_role;

REVOKE ALL ON FUNCTION public.search_facets(query text, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.search_facets(query text, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO anon;
GRANT ALL ON FUNCTION public.search_facets(query text, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO authenticated;
GRANT ALL ON FUNCTION public.search_facets(query text, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO service_role;

REVOKE ALL ON FUNCTION public.set_queue(paused boolean, in_flight_per_owner integer, backfill_every integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.set_queue(paused boolean, in_flight_per_owner integer, backfill_every integer) TO service_role;

REVOKE ALL ON FUNCTION public.show_job(job_id bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.show_job(job_id bigint) TO service_role;

REVOKE ALL ON FUNCTION public.similar_audio(audio_id uuid, "limit" integer, diversity double precision, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.similar_audio(audio_id uuid, "limit" integer, diversity double precision, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO anon;
GRANT ALL ON FUNCTION public.similar_audio(audio_id uuid, "limit" integer, diversity double precision, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO authenticated;
GRANT ALL ON FUNCTION public.similar_audio(audio_id uuid, "limit" integer, diversity double precision, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO service_role;

REVOKE ALL ON FUNCTION public.similar_to_embedding(space text, embedding double precision[], "limit" integer, diversity double precision, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.similar_to_embedding(space text, embedding double precision[], "limit" integer, diversity double precision, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO anon;
GRANT ALL ON FUNCTION public.similar_to_embedding(space text, embedding double precision[], "limit" integer, diversity double precision, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO authenticated;
GRANT ALL ON FUNCTION public.similar_to_embedding(space text, embedding double precision[], "limit" integer, diversity double precision, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO service_role;

REVOKE ALL ON FUNCTION public.stage_cold(token uuid, model bigint, after uuid, max_recordings integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.stage_cold(token uuid, model bigint, after uuid, max_recordings integer) TO service_role;

REVOKE ALL ON FUNCTION public.stage_items(token uuid, model bigint, items jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.stage_items(token uuid, model bigint, items jsonb) TO service_role;

REVOKE ALL ON FUNCTION public.stage_model(token uuid, model jsonb, map jsonb, refused boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.stage_model(token uuid, model jsonb, map jsonb, refused boolean) TO service_role;

REVOKE ALL ON FUNCTION public.stored_fingerprints(recordings uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.stored_fingerprints(recordings uuid[]) TO service_role;

REVOKE ALL ON FUNCTION public.unindexed_recordings(version integer, max_recordings integer, after uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.unindexed_recordings(version integer, max_recordings integer, after uuid) TO service_role;

REVOKE ALL ON FUNCTION soundscape.accepted_uploads() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.accepted_uploads() TO authenticated;
GRANT ALL ON FUNCTION soundscape.accepted_uploads() TO anon;
GRANT ALL ON FUNCTION soundscape.accepted_uploads() TO service_role;

REVOKE ALL ON FUNCTION soundscape.admit(owner uuid, wanted_queue text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.admit_waiting() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.append_item() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.are_few(wanted tsquery, max_rows integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.assign_report(report uuid, assignee uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.assign_report(report uuid, assignee uuid) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.attach_found_objects() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.attach_object(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.attach_uploaded_object() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.audio_filter(min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.audio_filter(min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO anon;
GRANT ALL ON FUNCTION soundscape.audio_filter(min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.audio_filter(min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO service_role;

GRANT SELECT ON TABLE public.role_permissions TO authenticated;
GRANT SELECT ON TABLE public.role_permissions TO service_role;

GRANT SELECT,DELETE ON TABLE public.user_roles TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.user_roles TO service_role;
GRANT SELECT ON TABLE public.user_roles TO supabase_auth_admin;

GRANT INSERT(user_id) ON TABLE public.user_roles TO authenticated;

GRANT INSERT(role) ON TABLE public.user_roles TO authenticated;

REVOKE ALL ON FUNCTION soundscape.has_permission(somebody uuid, requested_permission public.app_permission) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.authorize(requested_permission public.app_permission) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.authorize(requested_permission public.app_permission) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.backoff_s(base_s integer, failures integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.begin_fit(every_h double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.begin_fit(every_h double precision) TO service_role;

REVOKE ALL ON FUNCTION soundscape.cancel_analysis(recording uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.cancel_analysis(recording uuid) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.cancel_deletion(object_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.cancel_job(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.cancel_jobs(jobs bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.cancel_jobs(jobs bigint[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.centroid_of_choices(model bigint, chosen uuid[], weights real[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.centroid_of_choices(model bigint, chosen uuid[], weights real[]) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.check_filters(filters jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.check_object_name() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.check_owner_limits() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.check_request() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.check_request() TO anon;
GRANT ALL ON FUNCTION soundscape.check_request() TO authenticated;
GRANT ALL ON FUNCTION soundscape.check_request() TO service_role;

REVOKE ALL ON FUNCTION soundscape.check_status_step() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.choice_confidence(weight real, alpha real, skip real) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.choice_confidence(weight real, alpha real, skip real) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.choice_reason(recording uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.choice_reason(recording uuid) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.choices(people uuid[], latest integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.choices(people uuid[], latest integer) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.claim_jobs(worker text, max_jobs integer, lease_s integer, holding text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.claim_jobs(worker text, max_jobs integer, lease_s integer, holding text[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.claim_next(wanted_queue text, worker text, lease_s integer, owners_held uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.clear_models(token uuid, max_items integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.clear_models(token uuid, max_items integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.close_gaps() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.collect_candidates(caller soundscape.taste, model bigint, listener extensions.vector, partners uuid[], leaving_out uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.collect_candidates(caller soundscape.taste, model bigint, listener extensions.vector, partners uuid[], leaving_out uuid[]) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.compares(has numeric, op text, value text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.compares(has text, op text, value text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.compares(has timestamp with time zone, op text, value text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.complete_comparison(recording uuid, others uuid[], matches jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.complete_comparison(recording uuid, others uuid[], matches jsonb) TO service_role;

REVOKE ALL ON FUNCTION soundscape.complete_job(job_id bigint, token text, result jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.complete_job(job_id bigint, token text, result jsonb) TO service_role;

REVOKE ALL ON FUNCTION soundscape.confirm_deletions(bucket text, removed text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.confirm_deletions(bucket text, removed text[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.correct_spelling(words soundscape.words) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.correct_spelling(words soundscape.words) TO anon;
GRANT ALL ON FUNCTION soundscape.correct_spelling(words soundscape.words) TO authenticated;
GRANT ALL ON FUNCTION soundscape.correct_spelling(words soundscape.words) TO service_role;

REVOKE ALL ON FUNCTION soundscape.correctable_words(search tsvector) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.decode_cursor(cursor text, sort text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.decode_cursor(cursor text, sort text) TO anon;
GRANT ALL ON FUNCTION soundscape.decode_cursor(cursor text, sort text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.decode_cursor(cursor text, sort text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.delete_claims(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.delete_former_pictures(recording uuid, current_prefix text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.delete_message() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.delete_old_impressions() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.delete_old_rows() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.delete_results(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.delete_unused_words(max_words integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.deletion_grace() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.describe_object(object storage.objects, draft_title text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.discard_unused_objects() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.dismiss_match(match uuid, dismissed boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.dismiss_match(match uuid, dismissed boolean) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.diversify(ids uuid[], scores double precision[], space text, diversity double precision, max_rows integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.diversify(ids uuid[], scores double precision[], space text, diversity double precision, max_rows integer) TO anon;
GRANT ALL ON FUNCTION soundscape.diversify(ids uuid[], scores double precision[], space text, diversity double precision, max_rows integer) TO authenticated;
GRANT ALL ON FUNCTION soundscape.diversify(ids uuid[], scores double precision[], space text, diversity double precision, max_rows integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.diversify_mixed(ids uuid[], scores double precision[], diversity double precision, max_rows integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.diversify_mixed(ids uuid[], scores double precision[], diversity double precision, max_rows integer) TO anon;
GRANT ALL ON FUNCTION soundscape.diversify_mixed(ids uuid[], scores double precision[], diversity double precision, max_rows integer) TO authenticated;
GRANT ALL ON FUNCTION soundscape.diversify_mixed(ids uuid[], scores double precision[], diversity double precision, max_rows integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.draft_undescribed_objects() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.encode_cursor(page soundscape.page) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.encode_cursor(page soundscape.page) TO anon;
GRANT ALL ON FUNCTION soundscape.encode_cursor(page soundscape.page) TO authenticated;
GRANT ALL ON FUNCTION soundscape.encode_cursor(page soundscape.page) TO service_role;

REVOKE ALL ON FUNCTION soundscape.end_fit(token uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.end_fit(token uuid) TO service_role;

REVOKE ALL ON FUNCTION soundscape.end_job(job soundscape.jobs, final_state text, file_status text, code text, message text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.enqueue(recording uuid, version text, queue text, analysis text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.exact_copies(file public.audio_files, result jsonb, among uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.explain_recommendations(ids uuid[], propensities double precision[], candidates uuid[], scores double precision[], sources text[], caller soundscape.taste, model bigint, w soundscape.recommendation_weights) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.explain_recommendations(ids uuid[], propensities double precision[], candidates uuid[], scores double precision[], sources text[], caller soundscape.taste, model bigint, w soundscape.recommendation_weights) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.expose(function_name text, to_role text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.extend_fit_lease(holder uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.extend_lease(job_id bigint, token text, lease_s integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.extend_lease(job_id bigint, token text, lease_s integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.fail_job(job_id bigint, token text, kind text, code text, message text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.fail_job(job_id bigint, token text, kind text, code text, message text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.failures_before_requeue() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.find_recordings(words soundscape.words, filter soundscape.audio_filter, sort text, after_key text, after_id uuid, as_of timestamp with time zone, max_rows integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.find_recordings(words soundscape.words, filter soundscape.audio_filter, sort text, after_key text, after_id uuid, as_of timestamp with time zone, max_rows integer) TO anon;
GRANT ALL ON FUNCTION soundscape.find_recordings(words soundscape.words, filter soundscape.audio_filter, sort text, after_key text, after_id uuid, as_of timestamp with time zone, max_rows integer) TO authenticated;
GRANT ALL ON FUNCTION soundscape.find_recordings(words soundscape.words, filter soundscape.audio_filter, sort text, after_key text, after_id uuid, as_of timestamp with time zone, max_rows integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.find_similar(space text, place extensions.halfvec, recording uuid, max_rows integer, diversity double precision, filter soundscape.audio_filter) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.find_similar(space text, place extensions.halfvec, recording uuid, max_rows integer, diversity double precision, filter soundscape.audio_filter) TO anon;
GRANT ALL ON FUNCTION soundscape.find_similar(space text, place extensions.halfvec, recording uuid, max_rows integer, diversity double precision, filter soundscape.audio_filter) TO authenticated;
GRANT ALL ON FUNCTION soundscape.find_similar(space text, place extensions.halfvec, recording uuid, max_rows integer, diversity double precision, filter soundscape.audio_filter) TO service_role;

REVOKE ALL ON FUNCTION soundscape.fingerprint_candidates(keys integer[], frames integer[], version integer, max_candidates integer, viewer uuid, all_owners boolean, for_recording uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.fingerprint_candidates(keys integer[], frames integer[], version integer, max_candidates integer, viewer uuid, all_owners boolean, for_recording uuid) TO service_role;

REVOKE ALL ON FUNCTION soundscape.fit_embeddings(recordings uuid[], space text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.fit_embeddings(recordings uuid[], space text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.fit_history(after uuid, max_people integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.fit_history(after uuid, max_people integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.follow_assignment() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.has_lost_job(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.hide_recording(recording uuid, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.hide_recording(recording uuid, reason text) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.impressions_after(after_shown_at timestamp with time zone, after_answer uuid, after_place integer, max_rows integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.impressions_after(after_shown_at timestamp with time zone, after_answer uuid, after_place integer, max_rows integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.impressions_kept_for() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.index_recording(recording uuid, object_version text, result jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.index_recording(recording uuid, object_version text, result jsonb) TO service_role;

REVOKE ALL ON FUNCTION soundscape.index_snapshot() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.index_snapshot() TO service_role;

REVOKE ALL ON FUNCTION soundscape.is_findable(file public.audio_files) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.jobs_kept_for() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.label_vector(tags text[], heard jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.likeness(recording uuid, others uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.likeness(recording uuid, others uuid[]) TO anon;
GRANT ALL ON FUNCTION soundscape.likeness(recording uuid, others uuid[]) TO authenticated;
GRANT ALL ON FUNCTION soundscape.likeness(recording uuid, others uuid[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.list_jobs(states text[], recording uuid, owner uuid, code text, before bigint, max_jobs integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.list_jobs(states text[], recording uuid, owner uuid, code text, before bigint, max_jobs integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.list_models(max_models integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.list_models(max_models integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.listen_weight(listened_s real, completed boolean, duration_s double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.listen_weight(listened_s real, completed boolean, duration_s double precision) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.listener_vector(model bigint, chosen uuid[], weights real[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.listener_vector(model bigint, chosen uuid[], weights real[]) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.lock_held_job(job_id bigint, token text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.lock_moderated_recording(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.lock_object_name(object_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.lock_own_playlist(playlist uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.lock_own_recording(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.lock_recording_name() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.log_impressions(recordings uuid[], reasons text[], scores double precision[], propensities double precision[], seed bigint, model_id bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.log_impressions(recordings uuid[], reasons text[], scores double precision[], propensities double precision[], seed bigint, model_id bigint) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.make_user() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.max_attempts() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.max_excused_failures() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.max_ready_per_owner() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.max_repairs_per_sweep() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.measure_candidates(candidates uuid[], caller soundscape.taste, model bigint, listener extensions.vector, partners uuid[], partnership double precision[], leaving_out uuid[], max_choices integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.measure_candidates(candidates uuid[], caller soundscape.taste, model bigint, listener extensions.vector, partners uuid[], partnership double precision[], leaving_out uuid[], max_choices integer) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.model_items(model bigint, recordings uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.model_items(model bigint, recordings uuid[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.mood_points(recordings uuid[], of_mood text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.mood_points(recordings uuid[], of_mood text) TO anon;
GRANT ALL ON FUNCTION soundscape.mood_points(recordings uuid[], of_mood text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.mood_points(recordings uuid[], of_mood text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.move_playlist_item(item uuid, to_position integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.move_playlist_item(item uuid, to_position integer) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.nearest(space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter, leaving_out uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.nearest(space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter, leaving_out uuid[]) TO anon;
GRANT ALL ON FUNCTION soundscape.nearest(space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter, leaving_out uuid[]) TO authenticated;
GRANT ALL ON FUNCTION soundscape.nearest(space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter, leaving_out uuid[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.nearest_filtered(space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter, leaving_out uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.nearest_filtered(space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter, leaving_out uuid[]) TO anon;
GRANT ALL ON FUNCTION soundscape.nearest_filtered(space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter, leaving_out uuid[]) TO authenticated;
GRANT ALL ON FUNCTION soundscape.nearest_filtered(space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter, leaving_out uuid[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.newest_with_labels(labels text[], max_per_label integer, leaving_out uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.newest_with_labels(labels text[], max_per_label integer, leaving_out uuid[]) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.next_fingerprint_number() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.next_message_s() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.next_message_s() TO service_role;

REVOKE ALL ON FUNCTION soundscape.notifications_kept_for() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.notify(recipient uuid, kind text, audio_id uuid, error_code text, trace_id text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_bytes_changed() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_embedding_written() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_fingerprint_changed() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_moods_changed() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_object_deleted() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_object_moved() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_object_written() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_recording_deleted() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_tags_changed() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_traits_changed() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_user_deleted() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_words_changed() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.open_single_letters(wanted tsquery) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.open_single_letters(wanted tsquery) TO anon;
GRANT ALL ON FUNCTION soundscape.open_single_letters(wanted tsquery) TO authenticated;
GRANT ALL ON FUNCTION soundscape.open_single_letters(wanted tsquery) TO service_role;

REVOKE ALL ON FUNCTION soundscape.owner_hash(user_id uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.owner_message(final_state text, code text, message text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.uuid_or_null(candidate text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.uuid_or_null(candidate text) TO anon;
GRANT ALL ON FUNCTION soundscape.uuid_or_null(candidate text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.uuid_or_null(candidate text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.owner_of(object_name text, owner_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.owner_of(object_name text, owner_id text) TO anon;
GRANT ALL ON FUNCTION soundscape.owner_of(object_name text, owner_id text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.owner_of(object_name text, owner_id text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.parse_query(query text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.parse_query(query text) TO anon;
GRANT ALL ON FUNCTION soundscape.parse_query(query text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.parse_query(query text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.passes_filter(recording uuid, filter soundscape.audio_filter) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.passes_filter(recording uuid, filter soundscape.audio_filter) TO anon;
GRANT ALL ON FUNCTION soundscape.passes_filter(recording uuid, filter soundscape.audio_filter) TO authenticated;
GRANT ALL ON FUNCTION soundscape.passes_filter(recording uuid, filter soundscape.audio_filter) TO service_role;

REVOKE ALL ON FUNCTION soundscape.passes_filters(file public.audio_files, filters jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.pending_comparisons(max_fingerprints integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.pending_comparisons(max_fingerprints integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.pending_deletions(max_objects integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.pending_deletions(max_objects integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.place_in_model() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.postings_of(number integer, keys integer[], frames integer[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.predict_factors(model bigint, space text, embedding extensions.halfvec) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.publish_lock_key() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.publish_model(token uuid, model bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.publish_model(token uuid, model bigint) TO service_role;

REVOKE ALL ON FUNCTION soundscape.queue_stats() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.queue_stats() TO service_role;

REVOKE ALL ON FUNCTION soundscape.rank_candidates(candidates uuid[], scores double precision[], max_rows integer, draw bigint, diversity double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.rank_candidates(candidates uuid[], scores double precision[], max_rows integer, draw bigint, diversity double precision) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.read_taste(labels text[], draw bigint, max_skips integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.read_taste(labels text[], draw bigint, max_skips integer) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.reanalyze(version text, filters jsonb, max_recordings integer, after uuid, plan boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.reanalyze(version text, filters jsonb, max_recordings integer, after uuid, plan boolean) TO service_role;

REVOKE ALL ON FUNCTION soundscape.reason_sentence(reason text, title text, label text, shared text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.reason_sentence(reason text, title text, label text, shared text[]) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.recommendation_candidates(caller soundscape.taste, model bigint, w soundscape.recommendation_weights) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.recommendation_candidates(caller soundscape.taste, model bigint, w soundscape.recommendation_weights) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.recommendation_weights() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.recommendation_weights() TO authenticated;

REVOKE ALL ON FUNCTION soundscape.reconcile() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.reconcile() TO service_role;

REVOKE ALL ON FUNCTION soundscape.recordings_in_mood(mood text, max_rows integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.recordings_in_mood(mood text, max_rows integer) TO anon;
GRANT ALL ON FUNCTION soundscape.recordings_in_mood(mood text, max_rows integer) TO authenticated;
GRANT ALL ON FUNCTION soundscape.recordings_in_mood(mood text, max_rows integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.refuse_over_limit(held bigint, max_rows integer, what text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.reorder_playlist(playlist uuid, items uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.reorder_playlist(playlist uuid, items uuid[]) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.replace_claims(file public.audio_files, result jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.requeue_lost_jobs() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.require_permission(requested_permission public.app_permission) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.resolve_report(report uuid, resolution text, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.resolve_report(report uuid, resolution text, reason text) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.restore_recording(recording uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.restore_recording(recording uuid) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.retry_analysis(recording uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.retry_analysis(recording uuid) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.retry_job(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.retry_jobs(jobs bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.retry_jobs(jobs bigint[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.return_to_line(job soundscape.jobs) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.ring_doorbell() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.seeded_random(id uuid, seed bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.seeded_random(id uuid, seed bigint) TO anon;
GRANT ALL ON FUNCTION soundscape.seeded_random(id uuid, seed bigint) TO authenticated;
GRANT ALL ON FUNCTION soundscape.seeded_random(id uuid, seed bigint) TO service_role;

REVOKE ALL ON FUNCTION soundscape.set_queue(paused boolean, in_flight_per_owner integer, backfill_every integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.set_queue(paused boolean, in_flight_per_owner integer, backfill_every integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.shared_traits(ids uuid[], causes uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.shared_traits(ids uuid[], causes uuid[]) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.show_job(job_id bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.show_job(job_id bigint) TO service_role;

REVOKE ALL ON FUNCTION soundscape.similarity_traits(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.stage_cold(token uuid, model bigint, after uuid, max_recordings integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.stage_cold(token uuid, model bigint, after uuid, max_recordings integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.stage_items(token uuid, model bigint, items jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.stage_items(token uuid, model bigint, items jsonb) TO service_role;

REVOKE ALL ON FUNCTION soundscape.stage_model(token uuid, model jsonb, map jsonb, refused boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.stage_model(token uuid, model jsonb, map jsonb, refused boolean) TO service_role;

GRANT SELECT(id) ON TABLE soundscape.recommendation_models TO authenticated;

GRANT SELECT(state) ON TABLE soundscape.recommendation_models TO authenticated;

GRANT SELECT(slot) ON TABLE soundscape.recommendation_models TO authenticated;

GRANT SELECT(space) ON TABLE soundscape.recommendation_models TO authenticated;

GRANT SELECT(settings) ON TABLE soundscape.recommendation_models TO authenticated;

REVOKE ALL ON FUNCTION soundscape.staged_model(model bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.start_job(job soundscape.jobs, worker text, lease_s integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.stored_fingerprints(recordings uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.stored_fingerprints(recordings uuid[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.tag_weights(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.title_or_null(candidate text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.touch_updated_at() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.unindexed_recordings(version integer, max_recordings integer, after uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.unindexed_recordings(version integer, max_recordings integer, after uuid) TO service_role;

REVOKE ALL ON FUNCTION soundscape.visible_fingerprints(version integer, seer uuid, moderates boolean, all_owners boolean, for_recording uuid, max_hidden integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.wants_analysis(file public.audio_files, version text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.withdraw_from_models() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.write_claims(file public.audio_files, result jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.write_features(file public.audio_files, object_version text, result jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.write_fingerprint(file public.audio_files, version text, fingerprint jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.write_moods(recordings uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.write_tags_and_embedding(file public.audio_files, result jsonb) FROM PUBLIC;

GRANT SELECT ON TABLE public.audio_embeddings TO anon;
GRANT SELECT ON TABLE public.audio_embeddings TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.audio_embeddings TO service_role;

GRANT SELECT ON TABLE public.audio_features TO anon;
GRANT SELECT ON TABLE public.audio_features TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.audio_features TO service_role;

GRANT SELECT ON TABLE public.audio_matches TO anon;
GRANT SELECT ON TABLE public.audio_matches TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.audio_matches TO service_role;

GRANT SELECT ON TABLE public.audio_tags TO anon;
GRANT SELECT ON TABLE public.audio_tags TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.audio_tags TO service_role;

GRANT SELECT,DELETE ON TABLE public.impressions TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.impressions TO service_role;

GRANT SELECT,DELETE ON TABLE public.likes TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.likes TO service_role;

GRANT INSERT(user_id) ON TABLE public.likes TO authenticated;

GRANT INSERT(audio_id) ON TABLE public.likes TO authenticated;

GRANT SELECT,DELETE ON TABLE public.listening_events TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.listening_events TO service_role;

GRANT INSERT(user_id) ON TABLE public.listening_events TO authenticated;

GRANT INSERT(audio_id) ON TABLE public.listening_events TO authenticated;

GRANT INSERT(started_at) ON TABLE public.listening_events TO authenticated;

GRANT INSERT(listened_s) ON TABLE public.listening_events TO authenticated;

GRANT INSERT(completed) ON TABLE public.listening_events TO authenticated;

GRANT INSERT(context) ON TABLE public.listening_events TO authenticated;

GRANT SELECT ON TABLE public.mood_rules TO anon;
GRANT SELECT ON TABLE public.mood_rules TO authenticated;
GRANT SELECT ON TABLE public.mood_rules TO service_role;

GRANT SELECT,DELETE ON TABLE public.notifications TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.notifications TO service_role;

GRANT UPDATE(read_at) ON TABLE public.notifications TO authenticated;

GRANT SELECT ON TABLE public.playlist_items TO anon;
GRANT SELECT,DELETE ON TABLE public.playlist_items TO authenticated;
GRANT SELECT,DELETE ON TABLE public.playlist_items TO service_role;

GRANT INSERT(playlist_id) ON TABLE public.playlist_items TO authenticated;
GRANT INSERT(playlist_id) ON TABLE public.playlist_items TO service_role;

GRANT INSERT(audio_id) ON TABLE public.playlist_items TO authenticated;
GRANT INSERT(audio_id) ON TABLE public.playlist_items TO service_role;

GRANT SELECT ON TABLE public.playlists TO anon;
GRANT SELECT,DELETE ON TABLE public.playlists TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.playlists TO service_role;

GRANT INSERT(user_id) ON TABLE public.playlists TO authenticated;

GRANT INSERT(title),UPDATE(title) ON TABLE public.playlists TO authenticated;

GRANT INSERT(description),UPDATE(description) ON TABLE public.playlists TO authenticated;

GRANT INSERT(is_public),UPDATE(is_public) ON TABLE public.playlists TO authenticated;

GRANT SELECT ON TABLE public.report_assignments TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.report_assignments TO service_role;

GRANT SELECT ON TABLE public.reports TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.reports TO service_role;

GRANT INSERT(audio_id) ON TABLE public.reports TO authenticated;

GRANT INSERT(reporter_id) ON TABLE public.reports TO authenticated;

GRANT INSERT(reason) ON TABLE public.reports TO authenticated;

GRANT INSERT(details) ON TABLE public.reports TO authenticated;

GRANT SELECT ON TABLE public.user_preferences TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.user_preferences TO service_role;

GRANT UPDATE(locale) ON TABLE public.user_preferences TO authenticated;

GRANT UPDATE(theme) ON TABLE public.user_preferences TO authenticated;

GRANT UPDATE(default_is_public) ON TABLE public.user_preferences TO authenticated;

GRANT UPDATE(default_license) ON TABLE public.user_preferences TO authenticated;

GRANT UPDATE(settings) ON TABLE public.user_preferences TO authenticated;

GRANT UPDATE(favourite_labels) ON TABLE public.user_preferences TO authenticated;

GRANT SELECT ON TABLE public.users TO anon;
GRANT SELECT ON TABLE public.users TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.users TO service_role;

GRANT UPDATE(username) ON TABLE public.users TO authenticated;

GRANT UPDATE(display_name) ON TABLE public.users TO authenticated;

GRANT UPDATE(bio) ON TABLE public.users TO authenticated;

GRANT UPDATE(avatar_path) ON TABLE public.users TO authenticated;

GRANT SELECT ON TABLE soundscape.item_factors TO authenticated;

GRANT SELECT ON TABLE soundscape.item_neighbours TO authenticated;
