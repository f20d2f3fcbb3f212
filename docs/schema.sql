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

CREATE FUNCTION public.cancel_deliveries(deliveries uuid[]) RETURNS SETOF uuid
    LANGUAGE sql ROWS 50
    SET search_path TO ''
    AS $_$select * from soundscape.cancel_deliveries($1)$_$;

CREATE FUNCTION public.cancel_jobs(jobs bigint[]) RETURNS bigint[]
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.cancel_jobs($1)$_$;

CREATE FUNCTION public.claim_caption(lease_s integer DEFAULT 120, max_requests integer DEFAULT 500, max_tokens bigint DEFAULT 1000000) RETURNS TABLE(audio_id uuid, token uuid, attempt integer, title text, language text, duration_s double precision, descriptors jsonb, tags jsonb)
    LANGUAGE sql ROWS 1
    SET search_path TO ''
    AS $_$select * from soundscape.claim_caption($1, $2, $3)$_$;

CREATE FUNCTION public.claim_delivery(channels text[], lease_s integer DEFAULT 120) RETURNS TABLE(delivery_id uuid, token uuid, channel text, attempt integer, user_id uuid, locale text, address text, endpoint text, p256dh text, auth text, content jsonb)
    LANGUAGE sql ROWS 1
    SET search_path TO ''
    AS $_$select * from soundscape.claim_delivery($1, $2)$_$;

CREATE FUNCTION public.claim_export(lease_s integer DEFAULT 60) RETURNS TABLE(export_id uuid, user_id uuid, token uuid, is_snapshot_stored boolean, upload_url text, size_bytes bigint, stored_bytes bigint, checksums bigint[])
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select * from soundscape.claim_export($1)$_$;

CREATE FUNCTION public.claim_image_check(lease_s integer DEFAULT 60) RETURNS TABLE(object_id uuid, token uuid, attempt integer, name text, version text, media_type text, size_bytes bigint, etag text, max_bytes bigint)
    LANGUAGE sql ROWS 1
    SET search_path TO ''
    AS $_$select * from soundscape.claim_image_check($1)$_$;

CREATE FUNCTION public.claim_jobs(worker text, max_jobs integer DEFAULT 1, lease_s integer DEFAULT 60, holding text[] DEFAULT NULL::text[]) RETURNS TABLE(job_id bigint, token text, trace_id text, attempt integer, audio_id uuid, user_id uuid, object_name text, object_version text, size_bytes bigint, content_type text, object_etag text)
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select * from soundscape.claim_jobs($1, $2, $3, $4)$_$;

CREATE FUNCTION public.claim_previews(worker text, max_jobs integer DEFAULT 1, lease_s integer DEFAULT 60) RETURNS TABLE(job_id bigint, token text, trace_id text, attempt integer, audio_id uuid, user_id uuid, object_name text, object_version text, size_bytes bigint, content_type text, object_etag text)
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select * from soundscape.claim_previews($1, $2, $3)$_$;

CREATE FUNCTION public.clear_models(token uuid, max_items integer DEFAULT 500) RETURNS integer
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.clear_models($1, $2)$_$;

CREATE FUNCTION public.complete_caption(recording uuid, token uuid, caption text, keywords text[], model text, version integer, tokens integer) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.complete_caption($1, $2, $3, $4, $5, $6, $7)$_$;

CREATE FUNCTION public.complete_comparison(recording uuid, others uuid[], matches jsonb) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.complete_comparison($1, $2, $3)$_$;

CREATE FUNCTION public.complete_delivery(delivery uuid, token uuid) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.complete_delivery($1, $2)$_$;

CREATE FUNCTION public.complete_export(export uuid, token uuid, parts integer DEFAULT 1) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.complete_export($1, $2, $3)$_$;

CREATE FUNCTION public.complete_image_check(object_id uuid, token uuid, error_code text DEFAULT NULL::text, error_message text DEFAULT NULL::text) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.complete_image_check($1, $2, $3, $4)$_$;

CREATE FUNCTION public.complete_job(job_id bigint, token text, result jsonb) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.complete_job($1, $2, $3)$_$;

CREATE FUNCTION public.complete_preview(job_id bigint, token text, path text, size_bytes bigint) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.complete_preview($1, $2, $3, $4)$_$;

CREATE FUNCTION public.complete_rename(rename_id bigint, attempt integer, new_name text) RETURNS boolean
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.complete_rename($1, $2, $3)$_$;

CREATE FUNCTION public.confirm_deletions(bucket text, removed text[]) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.confirm_deletions($1, $2)$_$;

CREATE FUNCTION public.create_api_key(name text, scope text DEFAULT 'read'::text, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS TABLE(id uuid, prefix text, key text)
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select * from soundscape.create_api_key($1, $2, $3)$_$;

CREATE FUNCTION public.custom_access_token_hook(event jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
    select jsonb_set(event, '{claims,user_role}', to_jsonb(coalesce(
        (select max(r.role) from public.user_roles r where r.user_id = (event ->> 'user_id')::uuid), 'user')))
$$;

CREATE FUNCTION public.delete_my_account() RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$select soundscape.delete_my_account()$$;

CREATE FUNCTION public.delivery_stats() RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$select soundscape.delivery_stats()$$;

CREATE FUNCTION public.describe_audio(rows jsonb) RETURNS TABLE(place integer, file_path text, id uuid, status text, result text, code text, message text)
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
    results jsonb := '{}';
    refusal jsonb;
    batch record;
    -- Parts of a batch that are still to be written: first and last of each, the next one at the end.
    waiting integer[];
    first integer;
    last integer;
begin
    if jsonb_typeof(rows) is distinct from 'array' then
        raise sqlstate 'PT400' using message = 'rows is no array.',
            hint = 'Send [{"file_path": …, "title": …}, …].';
    end if;
    if jsonb_array_length(rows) > 500 then
        raise sqlstate 'PT413' using message = 'More than 500 rows.', hint = 'Send them in several requests.';
    end if;
    for batch in
        with given as (
            select (r.place - 1)::integer as place, r.value ->> 'file_path' as file_path,
                jsonb_typeof(r.value) <> 'object'
                    or jsonb_typeof(r.value -> 'file_path') is distinct from 'string' as is_nameless,
                columns.names, columns.unknown
            from jsonb_array_elements(rows) with ordinality as r (value, place)
            -- Whatever columns a client may write, today's and later ones.
            cross join lateral (
                select array_agg(k.name order by k.name) as names, min(k.name) filter (where not coalesce(
                    has_column_privilege('public.audio_files'::regclass, a.attnum, 'insert'), false)) as unknown
                from jsonb_object_keys(case when jsonb_typeof(r.value) = 'object' then r.value else '{}' end)
                    as k (name)
                left join pg_catalog.pg_attribute a
                    on a.attrelid = 'public.audio_files'::regclass and a.attname = k.name and a.attnum > 0
            ) as columns),
        turns as (
            select g.*, case
                    when g.is_nameless then 'There is no file_path.'
                    when g.unknown is not null then format('%s is no column that you may write.', g.unknown)
                end as problem,
                row_number() over (partition by g.file_path order by g.place) as turn
            from given g)
        select t.problem, t.names, array_agg(t.place order by t.place) as places
        -- What names a file once more comes after it.
        from turns t group by t.problem, t.names, t.turn order by t.turn, min(t.place)
    loop
        waiting := array[1, cardinality(batch.places)];
        while waiting <> '{}' loop
            first := waiting[cardinality(waiting) - 1];
            last := waiting[cardinality(waiting)];
            waiting := trim_array(waiting, 2);
            refusal := null;
            begin
                if batch.problem is not null then
                    raise sqlstate '22023' using message = batch.problem;
                end if;
                results := results || (
                    select jsonb_object_agg(b.place, to_jsonb(b) || case when b.result = 'refused'
                        then jsonb_build_object('code', 'not_allowed', 'message',
                            'This session may add recordings, and change none that are there.') else '{}' end)
                    from soundscape.describe_batch(rows, batch.places[first:last], batch.names) as b);
            exception
                when data_exception or integrity_constraint_violation or insufficient_privilege
                    or sqlstate 'PT429' then
                    refusal := jsonb_build_object(
                        'result', 'refused', 'message', sqlerrm,
                        'code', case when sqlstate = '42501' then 'not_allowed'
                                     when sqlstate = 'PT429' then 'limit_reached' else 'value_refused' end);
            end;
            if refusal is not null and (first = last or batch.problem is not null) then
                results := results || (
                    select jsonb_object_agg(p, refusal) from unnest(batch.places[first:last]) as p);
            elsif refusal is not null then
                waiting := waiting || array[(first + last) / 2 + 1, last, first, (first + last) / 2];
            end if;
        end loop;
    end loop;
    return query
        select p.place, case when jsonb_typeof(rows -> p.place -> 'file_path') = 'string'
                then rows -> p.place ->> 'file_path' end,
            (r.told ->> 'id')::uuid, r.told ->> 'status', r.told ->> 'result', r.told ->> 'code',
            r.told ->> 'message'
        from generate_series(0, jsonb_array_length(rows) - 1) as p (place)
        cross join lateral (select results -> p.place::text) as r (told)
        order by p.place;
end
$$;

CREATE FUNCTION public.dismiss_match(match uuid, dismissed boolean DEFAULT true) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.dismiss_match($1, $2)$_$;

CREATE FUNCTION public.emptied_accounts(max_accounts integer DEFAULT 20) RETURNS SETOF uuid
    LANGUAGE sql STABLE ROWS 20
    SET search_path TO ''
    AS $_$select * from soundscape.emptied_accounts($1)$_$;

CREATE FUNCTION public.empty_accounts(max_s integer DEFAULT 3) RETURNS integer
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.empty_accounts($1)$_$;

CREATE FUNCTION public.end_fit(token uuid) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.end_fit($1)$_$;

CREATE FUNCTION public.export_my_data() RETURNS uuid
    LANGUAGE sql
    SET search_path TO ''
    AS $$select soundscape.export_my_data()$$;

CREATE FUNCTION public.extend_lease(job_id bigint, token text, lease_s integer DEFAULT 60) RETURNS timestamp with time zone
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.extend_lease($1, $2, $3)$_$;

CREATE FUNCTION public.fail_caption(recording uuid, token uuid, code text, retry_s integer DEFAULT NULL::integer, tokens integer DEFAULT 0, is_counted boolean DEFAULT true) RETURNS text
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.fail_caption($1, $2, $3, $4, $5, $6)$_$;

CREATE FUNCTION public.fail_delivery(delivery uuid, token uuid, outcome text, code text, message text, retry_after_s integer DEFAULT 0) RETURNS text
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.fail_delivery($1, $2, $3, $4, $5, $6)$_$;

CREATE FUNCTION public.fail_export(export uuid, token uuid, code text, message text, is_final boolean DEFAULT false) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.fail_export($1, $2, $3, $4, $5)$_$;

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

CREATE FUNCTION public.flag(key text, fallback boolean DEFAULT false) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $_$select soundscape.flag($1, $2)$_$;

CREATE FUNCTION public.flag_for(key text, user_id uuid DEFAULT NULL::uuid) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $_$select soundscape.flag_for($1, $2)$_$;

CREATE FUNCTION public.flags() RETURNS TABLE(key text, is_on boolean)
    LANGUAGE sql STABLE ROWS 20
    SET search_path TO ''
    AS $$select * from soundscape.flags()$$;

CREATE FUNCTION public.flags_for(keys text[], user_ids uuid[]) RETURNS boolean[]
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $_$select soundscape.flags_for($1, $2)$_$;

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

CREATE FUNCTION public.list_deliveries(states text[] DEFAULT NULL::text[], owner uuid DEFAULT NULL::uuid, channel text DEFAULT NULL::text, code text DEFAULT NULL::text, before uuid DEFAULT NULL::uuid, max_deliveries integer DEFAULT 50) RETURNS TABLE(id uuid, channel text, state text, user_id uuid, kinds text[], attempts integer, failures integer, created_at timestamp with time zone, retry_at timestamp with time zone, finished_at timestamp with time zone, error_code text, error_message text)
    LANGUAGE sql STABLE ROWS 50
    SET search_path TO ''
    AS $_$select * from soundscape.list_deliveries($1, $2, $3, $4, $5, $6)$_$;

CREATE FUNCTION public.list_export(export uuid, token uuid) RETURNS TABLE(kind text, bucket_id text, name text, version text, size_bytes bigint, etag text)
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select * from soundscape.list_export($1, $2)$_$;

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

CREATE FUNCTION soundscape.check_value(is_valid boolean, code text, message text, hint text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
begin
    if is_valid is false then
        raise exception using errcode = '23514', message = message, detail = code, hint = hint;
    end if;
    return true;
end
$$;

CREATE FUNCTION soundscape.fold(words text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN replace(replace(replace(replace(translate(lower(NORMALIZE(regexp_replace(NORMALIZE(words, NFKD), '[\u0300-\u036f]'::text, ''::text, 'g'::text), NFKC)), 'øłđðıħŧ'::text, 'olddiht'::text), 'ß'::text, 'ss'::text), 'æ'::text, 'ae'::text), 'œ'::text, 'oe'::text), 'þ'::text, 'th'::text);

CREATE FUNCTION soundscape.labels(tags text[], heard jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN COALESCE((SELECT array_agg(DISTINCT soundscape.fold(both_kinds.label)) AS array_agg FROM (SELECT unnest(labels.tags) AS label UNION ALL SELECT jsonb_object_keys(labels.heard) AS jsonb_object_keys) both_kinds WHERE (both_kinds.label ~ '\S'::text)), '{}'::text[]);

CREATE FUNCTION soundscape.object_name_problem(object_name text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN CASE WHEN (octet_length(object_name) > 1024) THEN 'it is longer than 1024 bytes'::text WHEN (object_name ~ '(^|/)(/|$)'::text) THEN 'it has an empty part between slashes'::text WHEN (object_name ~ '(^|/)\.\.?(/|$)'::text) THEN 'it has a part that is . or ..'::text WHEN (strpos(object_name, '\'::text) > 0) THEN 'it has a backslash'::text WHEN (object_name ~ '[\u0001-\u001f\u007f-\u009f]'::text) THEN 'it has a control character'::text WHEN (object_name ~ '%[0-9A-Fa-f]{2}'::text) THEN 'it has a percent-encoded character'::text WHEN (NOT (object_name IS NFC NORMALIZED)) THEN 'it is not in Unicode''s normal form C'::text ELSE NULL::text END;

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
    search tsvector DEFAULT ''::tsvector NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    peaks smallint[],
    playable boolean,
    preview_path text,
    preview_size_bytes bigint,
    attribution text,
    sources jsonb DEFAULT '[]'::jsonb NOT NULL,
    recorded_at timestamp with time zone,
    latitude double precision,
    longitude double precision,
    location_precision_m integer DEFAULT 1000 NOT NULL,
    CONSTRAINT audio_files_attribution_check CHECK (soundscape.check_value(((attribution ~ '\S'::text) AND (char_length(attribution) <= 1000)), 'attribution_length'::text, 'An attribution has 1 to 1000 characters and is not blank.'::text, 'Shorten it, or leave it out.'::text)),
    CONSTRAINT audio_files_channels_check CHECK ((channels > 0)),
    CONSTRAINT audio_files_check1 CHECK (((status = ANY (ARRAY['failed'::text, 'rejected'::text])) = (error_code IS NOT NULL))),
    CONSTRAINT audio_files_check2 CHECK (((status <> 'ready'::text) OR (analysis_version IS NOT NULL))),
    CONSTRAINT audio_files_check3 CHECK (((hidden_at IS NULL) = (hidden_reason IS NULL))),
    CONSTRAINT audio_files_content_type_check CHECK ((char_length(content_type) <= 255)),
    CONSTRAINT audio_files_description_check CHECK (soundscape.check_value((char_length(description) <= 5000), 'description_length'::text, 'A description has at most 5000 characters.'::text, 'Shorten it.'::text)),
    CONSTRAINT audio_files_duration_check CHECK (soundscape.check_value(((duration >= (0)::double precision) AND (duration < 'Infinity'::double precision)), 'duration_range'::text, 'A duration is a number of seconds, 0 or more.'::text, 'Leave it out: the analysis measures it.'::text)),
    CONSTRAINT audio_files_error_code_check CHECK ((char_length(error_code) <= 64)),
    CONSTRAINT audio_files_error_message_check CHECK ((char_length(error_message) <= 2000)),
    CONSTRAINT audio_files_file_path_check CHECK (soundscape.check_value(((char_length(file_path) <= 1024) AND ((file_path ~~ 'public/_%'::text) OR (file_path ~~ ((user_id)::text || '/_%'::text)))), 'file_path_folder'::text, 'The path of a recording is in its owner''s folder or in public/.'::text, 'Upload the file as {user_id}/{name} or public/{name}, and write that name as file_path.'::text)),
    CONSTRAINT audio_files_file_path_is_canonical CHECK (soundscape.check_value((soundscape.object_name_problem(file_path) IS NULL), 'file_path_name'::text, (('The name of the file cannot be used: '::text || soundscape.object_name_problem(file_path)) || '.'::text), 'Choose another name.'::text)),
    CONSTRAINT audio_files_heard_check CHECK ((jsonb_typeof(heard) = 'object'::text)),
    CONSTRAINT audio_files_hidden_reason_check CHECK (soundscape.check_value(((char_length(btrim(hidden_reason)) >= 1) AND (char_length(btrim(hidden_reason)) <= 1000)), 'reason_length'::text, 'A reason has 1 to 1000 characters and is not blank.'::text, 'Say why, so that the owner knows.'::text)),
    CONSTRAINT audio_files_latitude_check CHECK (soundscape.check_value(((latitude >= ('-90'::integer)::double precision) AND (latitude <= (90)::double precision)), 'latitude_range'::text, 'A latitude is -90 to 90 degrees north.'::text, 'Write it in degrees, south as a negative number.'::text)),
    CONSTRAINT audio_files_location_check CHECK (soundscape.check_value(((latitude IS NULL) = (longitude IS NULL)), 'location_half'::text, 'A place has both a latitude and a longitude.'::text, 'Write both, or neither.'::text)),
    CONSTRAINT audio_files_location_precision_check CHECK (soundscape.check_value((location_precision_m = ANY (ARRAY[1, 10, 100, 1000, 10000, 100000])), 'location_precision_unknown'::text, 'There is no such precision of a place.'::text, 'Choose 1, 10, 100, 1000, 10000 or 100000 metres.'::text)),
    CONSTRAINT audio_files_longitude_check CHECK (soundscape.check_value(((longitude >= ('-180'::integer)::double precision) AND (longitude <= (180)::double precision)), 'longitude_range'::text, 'A longitude is -180 to 180 degrees east.'::text, 'Write it in degrees, west as a negative number.'::text)),
    CONSTRAINT audio_files_peaks_check CHECK (((cardinality(peaks) = 200) AND (0 <= ALL (peaks)) AND (255 >= ALL (peaks)))),
    CONSTRAINT audio_files_preview_path_check CHECK ((char_length(preview_path) <= 1024)),
    CONSTRAINT audio_files_preview_size_bytes_check CHECK ((preview_size_bytes > 0)),
    CONSTRAINT audio_files_preview_whole CHECK (((preview_path IS NULL) = (preview_size_bytes IS NULL))),
    CONSTRAINT audio_files_sample_rate_check CHECK ((sample_rate > 0)),
    CONSTRAINT audio_files_size_bytes_check CHECK ((size_bytes >= 0)),
    CONSTRAINT audio_files_status_check CHECK ((status = ANY (ARRAY['awaiting_upload'::text, 'queued'::text, 'analyzing'::text, 'ready'::text, 'failed'::text, 'rejected'::text]))),
    CONSTRAINT audio_files_tags_check CHECK (soundscape.check_value(((cardinality(tags) <= 50) AND (array_position(tags, NULL::text) IS NULL) AND (char_length(array_to_string(tags, ''::text)) <= 2500)), 'tags_size'::text, 'A recording has at most 50 tags, with at most 2500 characters in all, and none is null.'::text, 'Leave some out.'::text)),
    CONSTRAINT audio_files_title_check CHECK (soundscape.check_value(((title ~ '\S'::text) AND (char_length(title) <= 200)), 'title_length'::text, 'A title has 1 to 200 characters and is not blank.'::text, 'Write another title.'::text)),
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

CREATE FUNCTION public.my_audio_stats("from" date, "to" date, recording uuid DEFAULT NULL::uuid) RETURNS TABLE(day date, plays bigint, listeners bigint, downloads bigint, listened_s double precision, from_search bigint, from_similar bigint, from_recommended bigint, from_radio bigint, from_playlist bigint, from_embed bigint, from_elsewhere bigint, heard_quarter_1 bigint, heard_quarter_2 bigint, heard_quarter_3 bigint, heard_quarter_4 bigint)
    LANGUAGE sql STABLE ROWS 365
    SET search_path TO ''
    AS $$
    select d.day, sum(d.plays), sum(d.listeners), sum(d.downloads), sum(d.listened_s::double precision),
        sum(d.from_search), sum(d.from_similar), sum(d.from_recommended), sum(d.from_radio), sum(d.from_playlist),
        sum(d.from_embed), sum(d.from_elsewhere),
        sum(d.heard_quarter_1), sum(d.heard_quarter_2), sum(d.heard_quarter_3), sum(d.heard_quarter_4)
    from (
        -- Each branch by its own index.
        select o.* from public.audio_stats_daily o
        where my_audio_stats.recording is not null and o.audio_id = my_audio_stats.recording
          and o.user_id = (select auth.uid()) and o.day between "from" and "to"
        union all
        select o.* from public.audio_stats_daily o
        where my_audio_stats.recording is null
          and o.user_id = (select auth.uid()) and o.day between "from" and "to") d
    group by d.day order by d.day
$$;

CREATE FUNCTION public.nearby_audio(latitude double precision, longitude double precision, radius_m double precision DEFAULT 10000, "limit" integer DEFAULT 20) RETURNS TABLE(id uuid, distance_m double precision, recording public.audio_files)
    LANGUAGE plpgsql STABLE ROWS 20
    SET search_path TO ''
    AS $$
#variable_conflict use_variable
declare
    -- To a tenth of a millimetre.
    here_latitude constant double precision := round(latitude::numeric, 9);
    here_longitude constant double precision := round(longitude::numeric, 9);
    high double precision;
    south double precision;
    north double precision;
    wide double precision;
begin
    if (latitude between -90 and 90 and longitude between -180 and 180) is not true then
        raise exception 'There is no such place.' using errcode = '22023',
            hint = 'latitude is -90 to 90, longitude -180 to 180 degrees.';
    elsif radius_m is null or radius_m not between 1 and 1000000 then
        raise exception 'The radius is out of range.' using errcode = '22023', hint = 'radius_m is 1 to 1000000.';
    elsif "limit" is null or "limit" not between 0 and 500 then
        raise exception 'The limit is out of range.' using errcode = '22023', hint = 'limit is 0 to 500.';
    end if;
    high := radius_m / soundscape.metres_per_degree();
    south := here_latitude - high;
    north := here_latitude + high;
    -- Half the width in degrees of longitude of the circle; all of them where it holds a pole.
    wide := case when south <= -90 or north >= 90 then 180
        else degrees(asin(least(1, sin(radians(high)) / cos(radians(here_latitude))))) end;
    return query
        select f.id, place.distance_m, f
        from public.audio_files f,
            lateral (select soundscape.distance_m(here_latitude, here_longitude, f.latitude, f.longitude))
                as place (distance_m)
        where f.latitude between south and north
          -- Beyond 180 degrees it goes on at -180.
          and (f.longitude between here_longitude - wide and here_longitude + wide
               or f.longitude + 360 between here_longitude - wide and here_longitude + wide
               or f.longitude - 360 between here_longitude - wide and here_longitude + wide)
          and place.distance_m <= radius_m
        order by place.distance_m, f.created_at desc, f.id
        limit "limit";
end
$$;

CREATE FUNCTION public.next_message_s() RETURNS double precision
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$select soundscape.next_message_s()$$;

CREATE FUNCTION public.notification_channels() RETURNS TABLE(channel text, is_on boolean, reason text, public_key text)
    LANGUAGE sql STABLE ROWS 3
    SET search_path TO ''
    AS $$select * from soundscape.notification_channels()$$;

CREATE FUNCTION public.notification_settings() RETURNS TABLE(kind text, channel text, enabled boolean, description text)
    LANGUAGE sql STABLE ROWS 50
    SET search_path TO ''
    AS $$select * from soundscape.notification_settings()$$;

CREATE FUNCTION public.open_key_session(key_hash text) RETURNS TABLE(problem text, key_id uuid, user_id uuid, email text, scope text)
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select * from soundscape.open_key_session($1)$_$;

CREATE FUNCTION public.operator_overview() RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$select soundscape.operator_overview()$$;

CREATE FUNCTION public.pending_comparisons(max_fingerprints integer DEFAULT 20) RETURNS TABLE(audio_id uuid, others uuid[])
    LANGUAGE sql ROWS 10
    SET search_path TO ''
    AS $_$select * from soundscape.pending_comparisons($1)$_$;

CREATE FUNCTION public.pending_deletions(max_objects integer DEFAULT 100) RETURNS TABLE(bucket_id text, names text[])
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select * from soundscape.pending_deletions($1)$_$;

CREATE FUNCTION public.pending_renames(max_renames integer DEFAULT 10) RETURNS TABLE(rename_id bigint, attempt integer, audio_id uuid, bucket_id text, name text, new_name text, objects text[])
    LANGUAGE sql ROWS 10
    SET search_path TO ''
    AS $_$select * from soundscape.pending_renames($1)$_$;

CREATE FUNCTION public.project_stats(days integer DEFAULT 30) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $_$select soundscape.project_stats($1)$_$;

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
    walked uuid[] := '{}';
    start_weight double precision;
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
    -- First what is similar to the start. Where no more is left, the walk goes on from what it played last, however
    -- unlike that is: a radio that drifts is better than one that stops.
    foreach start_weight in array array[0.5, 0] loop
        exit when cardinality(walked) = "limit";
        select array_agg(n.audio_id order by n.cosine desc, n.audio_id),
               array_agg(n.cosine order by n.cosine desc, n.audio_id),
               array_agg(e.embedding order by n.cosine desc, n.audio_id),
               -- Gumbel noise makes this a random draw, with chances proportional to exp(likeness / 0.1).
               array_agg(-0.1 * ln(-ln(soundscape.seeded_random(n.audio_id, seed))) order by n.cosine desc, n.audio_id)
        into ids, near, places, noise
        from soundscape.nearest(
            start.space, case when start_weight > 0 then start.embedding else here end,
            5 * ("limit" - cardinality(walked)), null, array_remove(lately, null) || start.audio_id || walked,
            case when start_weight = 0 then -1 end) as n
        join public.audio_embeddings e on e.audio_id = n.audio_id and e.space = start.space;
        left_over := array(select generate_series(1, cardinality(ids)));
        for rank in 1 .. least("limit" - cardinality(walked), coalesce(cardinality(ids), 0)) loop
            select i into next from unnest(left_over) as i
            order by start_weight * near[i]
                + (1 - start_weight) * (1 - (places[i] operator(extensions.<=>) here)) + noise[i] desc, i limit 1;
            here := places[next];
            left_over := array_remove(left_over, next);
            walked := walked || ids[next];
        end loop;
    end loop;
    return query
        select f.id, 1 - (e.embedding operator(extensions.<=>) start.embedding), f
        from unnest(walked) with ordinality as w (id, rank)
        join public.audio_files f on f.id = w.id
        join public.audio_embeddings e on e.audio_id = w.id and e.space = start.space
        order by w.rank;
end
$$;

CREATE FUNCTION public.read_export(export uuid, token uuid, wanted_table text, after jsonb DEFAULT NULL::jsonb, max_rows integer DEFAULT 500) RETURNS SETOF jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select * from soundscape.read_export($1, $2, $3, $4, $5)$_$;

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
                   soundscape.shared_words(
                       s.timbre, s.rhythm, s.tonality, s.tags, s.have_tempo, s.have_onsets)),
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

CREATE FUNCTION public.record_download(recording uuid, listener text) RETURNS boolean
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.record_download($1, $2)$_$;

CREATE FUNCTION public.record_key_session(key uuid, session uuid, expires_at timestamp with time zone) RETURNS boolean
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.record_key_session($1, $2, $3)$_$;

CREATE FUNCTION public.register_worker(worker text, version text, migration text) RETURNS text
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.register_worker($1, $2, $3)$_$;

CREATE FUNCTION public.reopen_address(account uuid) RETURNS boolean
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.reopen_address($1)$_$;

CREATE FUNCTION public.reopen_addresses(code text DEFAULT NULL::text) RETURNS uuid[]
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.reopen_addresses($1)$_$;

CREATE FUNCTION public.reorder_playlist(playlist uuid, items uuid[]) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.reorder_playlist($1, $2)$_$;

CREATE FUNCTION public.replace_caption(recording uuid, caption text, keywords text[] DEFAULT '{}'::text[]) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.replace_caption($1, $2, $3)$_$;

CREATE FUNCTION public.report_channel(channel text, is_on boolean, reason text DEFAULT NULL::text, public_key text DEFAULT NULL::text) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.report_channel($1, $2, $3, $4)$_$;

CREATE FUNCTION public.report_progress(job_id bigint, token text, stage text, progress real) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.report_progress($1, $2, $3, $4)$_$;

CREATE FUNCTION public.resolve_report(report uuid, resolution text, reason text) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.resolve_report($1, $2, $3)$_$;

CREATE FUNCTION public.restart_export(export uuid, token uuid) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.restart_export($1, $2)$_$;

CREATE FUNCTION public.restore_recording(recording uuid) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.restore_recording($1)$_$;

CREATE FUNCTION public.retry_analysis(recording uuid) RETURNS text
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.retry_analysis($1)$_$;

CREATE FUNCTION public.retry_deliveries(deliveries uuid[]) RETURNS SETOF uuid
    LANGUAGE sql ROWS 50
    SET search_path TO ''
    AS $_$select * from soundscape.retry_deliveries($1)$_$;

CREATE FUNCTION public.retry_jobs(jobs bigint[]) RETURNS bigint[]
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.retry_jobs($1)$_$;

CREATE FUNCTION public.revoke_api_key(key uuid) RETURNS timestamp with time zone
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.revoke_api_key($1)$_$;

CREATE FUNCTION public.roll_up_stats(max_events integer DEFAULT 100000) RETURNS integer
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.roll_up_stats($1)$_$;

CREATE FUNCTION public.save_export(export uuid, token uuid, stored_bytes bigint DEFAULT 0, size_bytes bigint DEFAULT NULL::bigint, upload_url text DEFAULT NULL::text, first_place integer DEFAULT 0, checksums bigint[] DEFAULT '{}'::bigint[], lease_s integer DEFAULT 60) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.save_export($1, $2, $3, $4, $5, $6, $7, $8)$_$;

CREATE FUNCTION public.save_push_subscription(endpoint text, p256dh text, auth text) RETURNS uuid
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.save_push_subscription($1, $2, $3)$_$;

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

CREATE FUNCTION public.set_captions(recording uuid, wanted boolean) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.set_captions($1, $2)$_$;

CREATE FUNCTION public.set_queue(paused boolean DEFAULT NULL::boolean, in_flight_per_owner integer DEFAULT NULL::integer, backfill_every integer DEFAULT NULL::integer, preview_every integer DEFAULT NULL::integer) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.set_queue($1, $2, $3, $4)$_$;

CREATE FUNCTION public.show_delivery(delivery uuid) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $_$select soundscape.show_delivery($1)$_$;

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

CREATE FUNCTION public.unsubscribe(account uuid, kinds text[]) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $_$select soundscape.unsubscribe($1, $2)$_$;

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

CREATE FUNCTION soundscape.acts_for_a_person() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO ''
    RETURN COALESCE((current_setting('role'::text, true) = ANY (ARRAY['anon'::text, 'authenticated'::text])), false);

CREATE FUNCTION soundscape.add_counts(one jsonb, other jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN (SELECT jsonb_object_agg(keys.key, (COALESCE(((add_counts.one ->> keys.key))::integer, 0) + COALESCE(((add_counts.other ->> keys.key))::integer, 0))) AS jsonb_object_agg FROM (SELECT jsonb_object_keys(add_counts.one) AS key UNION SELECT jsonb_object_keys(add_counts.other) AS jsonb_object_keys) keys);

CREATE FUNCTION soundscape.add_stat_events(max_events integer) RETURNS integer
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    with taken as (
        delete from soundscape.stat_events e
        where e.id in (select t.id from soundscape.stat_events t order by t.id limit max_events)
        returning e.*
    ), owners as materialized (
        -- Locked before their recordings, as everywhere. An account that is being deleted needs no figures.
        select u.id from public.users u
        where u.id in (select f.user_id from public.audio_files f where f.id in (select t.audio_id from taken t))
          and not exists (select from soundscape.account_deletions d where d.user_id = u.id)
        order by u.id for key share
    ), recordings as materialized (
        -- Locked, so that none is deleted before its figures are written.
        select f.id, f.user_id from public.audio_files f join owners o on o.id = f.user_id
        where f.id in (select t.audio_id from taken t) order by f.id for key share of f
    ), sums as materialized (
        select t.audio_id, t.day, r.user_id, sum(t.plays) as plays, sum(t.listeners) as listeners,
            sum(t.downloads) as downloads, sum(t.likes) as likes, sum(t.listened_s) as listened_s,
            count(*) filter (where t.source = 'search') as from_search,
            count(*) filter (where t.source = 'similar') as from_similar,
            count(*) filter (where t.source = 'recommended') as from_recommended,
            count(*) filter (where t.source = 'radio') as from_radio,
            count(*) filter (where t.source = 'playlist') as from_playlist,
            count(*) filter (where t.source = 'embed') as from_embed,
            count(*) filter (where t.source = 'elsewhere') as from_elsewhere,
            count(*) filter (where t.quarter = 1) as heard_quarter_1,
            count(*) filter (where t.quarter = 2) as heard_quarter_2,
            count(*) filter (where t.quarter = 3) as heard_quarter_3,
            count(*) filter (where t.quarter = 4) as heard_quarter_4
        from taken t join recordings r on r.id = t.audio_id group by t.audio_id, t.day, r.user_id
    ), daily as (
        insert into public.audio_stats_daily as d (audio_id, day, user_id, plays, listeners, downloads)
        select s.audio_id, s.day, s.user_id, s.plays, s.listeners, s.downloads from sums s
        where s.plays > 0 or s.downloads > 0
        on conflict (audio_id, day) do update
        set plays = d.plays + excluded.plays, listeners = d.listeners + excluded.listeners,
            downloads = d.downloads + excluded.downloads
    ), details as (
        insert into soundscape.open_day_details as d (
            audio_id, day, listeners,
            listened_s, from_search, from_similar, from_recommended, from_radio, from_playlist, from_embed,
            from_elsewhere, heard_quarter_1, heard_quarter_2, heard_quarter_3, heard_quarter_4)
        select s.audio_id, s.day, s.listeners,
        s.listened_s, s.from_search, s.from_similar, s.from_recommended, s.from_radio, s.from_playlist,
        s.from_embed, s.from_elsewhere, s.heard_quarter_1, s.heard_quarter_2, s.heard_quarter_3, s.heard_quarter_4
        from sums s where s.plays > 0
        on conflict (audio_id, day) do update
        set listeners = d.listeners + excluded.listeners,
            listened_s = d.listened_s + excluded.listened_s, from_search = d.from_search + excluded.from_search,
            from_similar = d.from_similar + excluded.from_similar,
            from_recommended = d.from_recommended + excluded.from_recommended,
            from_radio = d.from_radio + excluded.from_radio,
            from_playlist = d.from_playlist + excluded.from_playlist,
            from_embed = d.from_embed + excluded.from_embed,
            from_elsewhere = d.from_elsewhere + excluded.from_elsewhere,
            heard_quarter_1 = d.heard_quarter_1 + excluded.heard_quarter_1,
            heard_quarter_2 = d.heard_quarter_2 + excluded.heard_quarter_2,
            heard_quarter_3 = d.heard_quarter_3 + excluded.heard_quarter_3,
            heard_quarter_4 = d.heard_quarter_4 + excluded.heard_quarter_4
    ), totals as (
        insert into public.audio_stats as d (audio_id, plays, listener_days, likes, downloads)
        select s.audio_id, sum(s.plays), sum(s.listeners), sum(s.likes), sum(s.downloads)
        from sums s group by s.audio_id
        on conflict (audio_id) do update
        set plays = d.plays + excluded.plays, listener_days = d.listener_days + excluded.listener_days,
            likes = d.likes + excluded.likes, downloads = d.downloads + excluded.downloads, updated_at = now()
    ), project as (
        insert into soundscape.project_days as d (day, plays, listeners, downloads)
        select t.day, sum(t.plays), sum(t.listeners), sum(t.downloads) from taken t
        where t.plays > 0 or t.downloads > 0 group by t.day
        on conflict (day) do update
        set plays = d.plays + excluded.plays, listeners = d.listeners + excluded.listeners,
            downloads = d.downloads + excluded.downloads
    )
    select count(*)::integer from taken
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

CREATE FUNCTION soundscape.admit_waiting(max_lines integer DEFAULT 100) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    line record;
    start uuid := gen_random_uuid();
    admitted integer := 0;
begin
    -- The index leads from owner to owner, from a random one on and around, so that each has its turn. The number of
    -- waiting jobs of each owner does not matter.
    for line in
        with recursive queues (queue) as (select unnest(soundscape.queue_names())),
        lines as (
            select q.queue, first.user_id, 1 as place from queues q cross join lateral (
                (select j.user_id from soundscape.jobs j
                 where j.queue = q.queue and j.state = 'queued' and j.msg_id is null and j.user_id >= start
                 order by j.user_id limit 1)) first
            union all
            select lines.queue, following.user_id, lines.place + 1 from lines cross join lateral (
                select j.user_id from soundscape.jobs j
                where j.queue = lines.queue and j.state = 'queued' and j.msg_id is null and j.user_id > lines.user_id
                order by j.user_id limit 1) following
            where lines.place < max_lines),
        wrapped as (
            select q.queue, first.user_id, 1 as place from queues q cross join lateral (
                (select j.user_id from soundscape.jobs j
                 where j.queue = q.queue and j.state = 'queued' and j.msg_id is null and j.user_id < start
                 order by j.user_id limit 1)) first
            union all
            select wrapped.queue, following.user_id, wrapped.place + 1 from wrapped cross join lateral (
                select j.user_id from soundscape.jobs j
                where j.queue = wrapped.queue and j.state = 'queued' and j.msg_id is null
                  and j.user_id > wrapped.user_id and j.user_id < start
                order by j.user_id limit 1) following
            where wrapped.place < max_lines)
        select queue, user_id from lines
        union all
        select queue, user_id from wrapped
        limit max_lines * cardinality(soundscape.queue_names())
    loop
        if soundscape.admit(line.user_id, line.queue) then
            admitted := admitted + 1;
        end if;
    end loop;
    return admitted;
end
$$;

CREATE FUNCTION soundscape.is_time_zone(zone text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO ''
    AS $_$
begin
    if zone !~ '^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$' or char_length(zone) > 64 then
        return false;
    end if;
    perform timestamptz 'epoch' at time zone zone;
    return true;
exception when invalid_parameter_value then
    return false;
end
$_$;

CREATE TABLE public.user_preferences (
    user_id uuid DEFAULT auth.uid() NOT NULL,
    locale text DEFAULT 'en'::text NOT NULL,
    theme text DEFAULT 'system'::text NOT NULL,
    default_is_public boolean DEFAULT false NOT NULL,
    default_license text,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    favourite_labels text[] DEFAULT '{}'::text[] NOT NULL,
    time_zone text DEFAULT 'UTC'::text NOT NULL,
    quiet_from time(0) without time zone,
    quiet_until time(0) without time zone,
    fill_from_file boolean DEFAULT false NOT NULL,
    captions boolean DEFAULT true NOT NULL,
    CONSTRAINT user_preferences_favourite_labels_check CHECK (soundscape.check_value(((cardinality(favourite_labels) <= 50) AND (array_position(favourite_labels, NULL::text) IS NULL) AND (char_length(array_to_string(favourite_labels, ''::text)) <= 2500)), 'favourite_labels_size'::text, 'There are at most 50 favourite labels, with at most 2500 characters in all, and none is null.'::text, 'Leave some out.'::text)),
    CONSTRAINT user_preferences_locale_check CHECK (soundscape.check_value((locale ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'::text), 'locale_format'::text, 'The locale is no language tag (BCP 47).'::text, 'Write it like en or pt-BR.'::text)),
    CONSTRAINT user_preferences_quiet_hours_check CHECK (soundscape.check_value(((quiet_from IS NULL) = (quiet_until IS NULL)), 'quiet_hours_half'::text, 'Quiet hours have a beginning and an end.'::text, 'Write both quiet_from and quiet_until, or neither.'::text)),
    CONSTRAINT user_preferences_settings_check CHECK (soundscape.check_value(((jsonb_typeof(settings) = 'object'::text) AND (octet_length((settings)::text) <= 16384)), 'settings_format'::text, 'The settings are one JSON object of at most 16 kB.'::text, 'Store less, or store an object.'::text)),
    CONSTRAINT user_preferences_theme_check CHECK (soundscape.check_value((theme = ANY (ARRAY['system'::text, 'light'::text, 'dark'::text])), 'theme_unknown'::text, 'There is no such theme.'::text, 'Choose system, light or dark.'::text)),
    CONSTRAINT user_preferences_time_zone_check CHECK (soundscape.check_value(soundscape.is_time_zone(time_zone), 'time_zone_unknown'::text, 'There is no such time zone.'::text, 'Write its name in the IANA database, such as Europe/Berlin.'::text))
);

CREATE FUNCTION soundscape.allows_filling(file public.audio_files) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    RETURN COALESCE((SELECT CASE WHEN ((o.user_metadata -> 'fill_from_file'::text) = ANY (ARRAY['true'::jsonb, '"true"'::jsonb])) THEN true WHEN ((o.user_metadata -> 'fill_from_file'::text) = ANY (ARRAY['false'::jsonb, '"false"'::jsonb])) THEN false ELSE NULL::boolean END AS "case" FROM storage.objects o WHERE (o.id = (allows_filling.file).object_id)), (SELECT p.fill_from_file FROM public.user_preferences p WHERE (p.user_id = (allows_filling.file).user_id)), false);

CREATE FUNCTION soundscape.analysis_queues() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN ARRAY['soundscape_uploads'::text, 'soundscape_backfill'::text];

CREATE FUNCTION soundscape.analysis_waits() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select coalesce(soundscape.next_visible_at(soundscape.analysis_queues()) <= clock_timestamp(), false)
        or exists (
            select from soundscape.jobs j
            where j.state = 'queued' and j.msg_id is null and j.queue = any (soundscape.analysis_queues()))
$$;

CREATE FUNCTION soundscape.append_item() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    -- Two appends to one playlist wait for each other.
    perform from public.playlists where id = new.playlist_id for no key update;
    new.position := floor(coalesce((select max(i.position) from public.playlist_items i
        where i.playlist_id = new.playlist_id), 0)) + 1;
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

CREATE FUNCTION soundscape.attach_found_objects(names text[]) RETURNS integer
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
        where f.file_path = any (names)
          and (f.object_etag is distinct from o.metadata ->> 'eTag' or f.status = 'awaiting_upload')
          and soundscape.owner_of(o.name, o.owner_id) = f.user_id
        order by f.created_at
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
    where id = recording
    returning * into file;
    perform soundscape.enqueue(recording, object.version);
    perform soundscape.request_file_rename(file);
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

CREATE FUNCTION soundscape.broadcast_library_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    via constant text := tg_argv[0];
    columns constant text[] := tg_argv[1:];
    owners uuid[];
    changes jsonb[];
begin
    if tg_op = 'INSERT' then
        select array_agg(soundscape.library_owner(to_jsonb(n), via)), array_agg(soundscape.pick(to_jsonb(n), columns))
        into owners, changes from new_rows n;
    elsif tg_op = 'DELETE' then
        select array_agg(soundscape.library_owner(to_jsonb(o), via)), array_agg(soundscape.pick(to_jsonb(o), columns))
        into owners, changes from old_rows o;
    else
        -- Every update sets updated_at; alone it is no news.
        select array_agg(soundscape.library_owner(to_jsonb(n), via)), array_agg(soundscape.pick(to_jsonb(n), columns))
        into owners, changes from new_rows n join old_rows o using (id)
        where to_jsonb(n) - 'updated_at' is distinct from to_jsonb(o) - 'updated_at';
    end if;
    perform soundscape.broadcast_to_libraries(tg_table_name, tg_op, owners, changes);
    return null;
end
$$;

CREATE FUNCTION soundscape.broadcast_to_libraries(table_name text, operation text, owners uuid[], changes jsonb[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select realtime.send(
        jsonb_build_object('schema', 'public', 'table', table_name, 'operation', operation, 'rows', message.rows),
        operation, 'library:' || message.owner, true)
    from (
        select numbered.owner, jsonb_agg(numbered.change order by numbered.place) as rows
        from (select c.owner, c.change, c.place,
                     (row_number() over (partition by c.owner order by c.place) - 1)
                         / soundscape.max_rows_per_broadcast() as part
              from unnest(owners, changes) with ordinality as c (owner, change, place)
              -- While an account is deleted nobody listens.
              where exists (select from public.users u where u.id = c.owner)
                and not exists (select from soundscape.account_deletions d where d.user_id = c.owner)) as numbered
        group by numbered.owner, numbered.part
        order by min(numbered.place)) as message
$$;

CREATE FUNCTION soundscape.bundle(account uuid, to_channel text, lasts interval) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    bundle uuid := gen_random_uuid();
    quiet_end timestamptz;
begin
    -- Two workers would make two bundles. The later one leaves it to the other.
    if not pg_try_advisory_xact_lock(hashtextextended('soundscape.bundle ' || to_channel || account, 0)) then
        return false;
    end if;
    select soundscape.end_of_quiet(p.time_zone, p.quiet_from, p.quiet_until, now()) into quiet_end
    from public.user_preferences p where p.user_id = account;
    if quiet_end is not null then
        update soundscape.outbox o set deliver_at = quiet_end
        where o.user_id = account and o.channel = to_channel and o.bundle_id is null and o.deliver_at <= now();
        return found;
    end if;
    -- What was switched off since, and what nobody can get any more.
    delete from soundscape.outbox o
    where o.user_id = account and o.channel = to_channel and o.bundle_id is null
      and not soundscape.is_notified(account, o.kind, to_channel);
    insert into soundscape.deliveries (bundle_id, user_id, channel, subscription_id, expires_at)
    select bundle, account, to_channel, s.id, now() + lasts
    from (select) as one left join public.push_subscriptions s on to_channel = 'push' and s.user_id = account;
    update soundscape.outbox o set bundle_id = bundle
    where o.user_id = account and o.channel = to_channel and o.bundle_id is null and o.deliver_at <= now();
    if not found then
        delete from soundscape.deliveries d where d.bundle_id = bundle;
    end if;
    return true;
end
$$;

CREATE FUNCTION soundscape.bundle_some(to_channels text[]) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    due record;
    has_changed boolean := false;
begin
    for due in
        select o.user_id, o.channel, s.max_age
        from soundscape.outbox o join soundscape.delivery_settings s on s.channel = o.channel
        where o.bundle_id is null and o.channel = any (to_channels) and o.deliver_at <= now()
          and not exists (select from soundscape.account_deletions a where a.user_id = o.user_id)
        group by o.user_id, o.channel, s.channel
        having max(o.created_at) <= now() - s.bundle_after or min(o.created_at) <= now() - s.bundle_within
        order by min(o.created_at) limit 20
    loop
        has_changed := soundscape.bundle(due.user_id, due.channel, due.max_age) or has_changed;
    end loop;
    return has_changed;
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

CREATE FUNCTION soundscape.cancel_deliveries(deliveries uuid[]) RETURNS SETOF uuid
    LANGUAGE sql SECURITY DEFINER ROWS 50
    SET search_path TO ''
    AS $$
    update soundscape.deliveries d
    set state = 'dropped', finished_at = now(), token = null, address = null, error_code = 'cancelled'
    where d.id = any (deliveries) and d.state = 'queued' returning d.id
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

CREATE FUNCTION soundscape.caption_document(caption text, keywords text[]) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN (setweight(soundscape.document_words(caption), 'C'::"char") || setweight(soundscape.document_words(array_to_string(keywords, ' '::text)), 'D'::"char"));

CREATE FUNCTION soundscape.flag_bucket(key text, user_id uuid) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN ((((('x'::text || "left"(encode(sha256(convert_to(((key || '/'::text) || user_id), 'UTF8'::name)), 'hex'::text), 8)))::bit(32))::bigint % (10000)::bigint))::integer;

CREATE FUNCTION soundscape.log_unknown_flag(key text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER PARALLEL RESTRICTED
    SET search_path TO ''
    AS $$
declare
    max_logged constant integer := 100;
    -- Kept in the session, because a request that only reads writes no row.
    logged constant jsonb := coalesce(nullif(current_setting('soundscape.unknown_flags', true), ''), '[]')::jsonb;
    shown constant text := left(key, 63);
begin
    if not logged ? shown and jsonb_array_length(logged) < max_logged then
        perform set_config('soundscape.unknown_flags', (logged || to_jsonb(shown))::text, false);
        raise log 'The flag % is not known, its fallback is used.', to_jsonb(shown)
            using hint = 'Insert it into public.feature_flags, or correct the key where it is asked for.';
    end if;
    return null;
end
$$;

CREATE TABLE public.feature_flags (
    key text NOT NULL,
    description text NOT NULL,
    state text DEFAULT 'off'::text NOT NULL,
    roles public.app_role[] DEFAULT '{}'::public.app_role[] NOT NULL,
    user_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    percentage numeric(5,2) DEFAULT 0 NOT NULL,
    active_from timestamp with time zone,
    active_until timestamp with time zone,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT feature_flags_check CHECK ((active_from < active_until)),
    CONSTRAINT feature_flags_description_check CHECK (((char_length(description) >= 1) AND (char_length(description) <= 500))),
    CONSTRAINT feature_flags_key_check CHECK ((key ~ '^[a-z][a-z0-9_]{0,62}$'::text)),
    CONSTRAINT feature_flags_percentage_check CHECK (((percentage >= (0)::numeric) AND (percentage <= (100)::numeric))),
    CONSTRAINT feature_flags_state_check CHECK ((state = ANY (ARRAY['on'::text, 'off'::text, 'some'::text]))),
    CONSTRAINT feature_flags_user_ids_check CHECK ((cardinality(user_ids) <= 10000))
);

CREATE FUNCTION soundscape.flag_for(key text, user_id uuid DEFAULT NULL::uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER PARALLEL RESTRICTED
    SET search_path TO ''
    RETURN COALESCE((SELECT CASE WHEN ((f.state = 'off'::text) OR (now() < f.active_from) OR (now() >= f.active_until)) THEN false WHEN (f.state = 'on'::text) THEN true WHEN (flag_for.user_id IS NULL) THEN false ELSE (COALESCE((flag_for.user_id = ANY (f.user_ids)), false) OR COALESCE(('user'::public.app_role = ANY (f.roles)), false) OR ((soundscape.flag_bucket(f.key, flag_for.user_id))::numeric < ((100)::numeric * f.percentage)) OR (EXISTS (SELECT FROM public.user_roles r WHERE ((r.user_id = flag_for.user_id) AND (r.role = ANY (f.roles)))))) END AS "case" FROM public.feature_flags f WHERE (f.key = flag_for.key)), soundscape.log_unknown_flag(key));

CREATE TABLE public.audio_captions (
    audio_id uuid NOT NULL,
    status text DEFAULT 'queued'::text NOT NULL,
    error_code text,
    is_wanted boolean,
    caption text,
    keywords text[] DEFAULT '{}'::text[] NOT NULL,
    is_by_owner boolean DEFAULT false NOT NULL,
    model text,
    version integer,
    object_version text,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    search tsvector GENERATED ALWAYS AS (to_tsvector('simple'::regconfig, COALESCE(caption, ''::text))) STORED,
    CONSTRAINT audio_captions_caption_check CHECK (((char_length(caption) >= 1) AND (char_length(caption) <= 500))),
    CONSTRAINT audio_captions_check CHECK (((status <> 'ready'::text) OR (caption IS NOT NULL))),
    CONSTRAINT audio_captions_error_code_check CHECK ((char_length(error_code) <= 64)),
    CONSTRAINT audio_captions_keywords_check CHECK ((cardinality(keywords) <= 12)),
    CONSTRAINT audio_captions_model_check CHECK ((char_length(model) <= 100)),
    CONSTRAINT audio_captions_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'ready'::text, 'skipped'::text, 'failed'::text])))
);

CREATE FUNCTION soundscape.caption_problem(recording uuid) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    RETURN (SELECT CASE WHEN (f.status <> 'ready'::text) THEN 'not_ready'::text WHEN (c.is_wanted IS FALSE) THEN 'switched_off'::text WHEN ((NOT f.is_listed) AND (c.is_wanted IS NOT TRUE)) THEN 'private'::text WHEN ((c.is_wanted IS NULL) AND (NOT COALESCE((SELECT p.captions FROM public.user_preferences p WHERE (p.user_id = f.user_id)), true))) THEN 'switched_off'::text WHEN (NOT COALESCE(soundscape.flag_for('captions'::text, f.user_id), false)) THEN 'switched_off'::text ELSE NULL::text END AS "case" FROM (public.audio_files f LEFT JOIN public.audio_captions c ON ((c.audio_id = f.id))) WHERE (f.id = caption_problem.recording));

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

CREATE FUNCTION soundscape.check_copy(object storage.objects) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    account uuid := soundscape.owner_of(object.name, object.owner_id);
    etag text := object.metadata ->> 'eTag';
begin
    -- The test of an upload knows no eTag yet. The test of a copy has that of its source.
    if etag is null then
        return;
    elsif object.bucket_id <> 'audio-files' then
        raise exception 'Files are not copied into the bucket %.', object.bucket_id
            using errcode = '42501', hint = 'Upload the file.';
    elsif exists (
        select from public.audio_files f
        where f.user_id = account and f.hidden_at is not null and f.object_etag = etag)
       or exists (
        select from soundscape.deletions d
        join storage.objects o on o.bucket_id = d.bucket_id and o.name = d.name
        where d.bucket_id = 'audio-files' and d.is_final and o.metadata ->> 'eTag' = etag
          and soundscape.owner_of(o.name, o.owner_id) = account)
    then
        raise exception 'The recording is hidden. Its file cannot be copied.'
            using errcode = '42501', hint = 'hidden_reason says why it was hidden.';
    end if;
end
$$;

CREATE FUNCTION soundscape.check_described_upload(owner uuid, object_name text) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    limits soundscape.owner_limits;
begin
    if exists (select from public.audio_files f where f.file_path = object_name) then
        return;
    end if;
    select * into limits from soundscape.owner_limits;
    if soundscape.count_recordings(owner, limits.max_recordings) >= limits.max_recordings then
        raise exception 'You have reached the limit of % recordings.', limits.max_recordings
            using errcode = '42501', hint = 'Delete some recordings first.';
    elsif soundscape.count_awaiting_upload(owner, limits.max_awaiting_upload) >= limits.max_awaiting_upload then
        raise exception 'You have reached the limit of % recordings that wait for their file.',
            limits.max_awaiting_upload using errcode = '42501', hint = 'Delete them, or upload their files.';
    end if;
end
$$;

CREATE FUNCTION soundscape.check_file_limits(owner uuid, is_whole boolean) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    limits soundscape.owner_limits;
    files bigint;
    bytes numeric;
    -- Storage first tests whether an upload is allowed. That file is not counted yet.
    coming integer := case when is_whole then 0 else 1 end;
begin
    select * into limits from soundscape.owner_limits;
    select count(*), coalesce(sum(held.size_bytes), 0) into files, bytes
    from (select s.size_bytes from soundscape.stored_objects s where s.user_id = owner
          limit limits.max_recordings + 1) as held;
    if files + coming > limits.max_recordings then
        raise exception 'You have reached the limit of % files.', limits.max_recordings
            using errcode = '42501', hint = 'Delete some files first.';
    elsif bytes + coming > limits.max_stored_bytes then
        raise exception 'You have reached the limit of % bytes of files.', limits.max_stored_bytes
            using errcode = '42501', hint = 'Delete some files first.';
    end if;
end
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

CREATE FUNCTION soundscape.check_given_name(former_name text, object storage.objects) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    if soundscape.given_part(object.name) is distinct from soundscape.given_part(former_name)
       and soundscape.given_part(object.name) is not null
       and not exists (
        select from soundscape.renames r
        where r.bucket_id = 'audio-files' and r.name = former_name and r.new_name = object.name
          and r.object_id = object.id)
    then
        raise exception 'The name % was not given to this object.', object.name
            using errcode = '42501', hint = 'Choose another name.';
    end if;
end
$$;

CREATE FUNCTION soundscape.check_license() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    given constant text := to_jsonb(new) ->> tg_argv[0];
begin
    perform soundscape.check_value(given is null or exists (select from public.licenses l where l.id = given),
        'license_unknown', format('There is no licence %s.', left(given, 100)), 'Choose an id of the table licenses.');
    return new;
end
$$;

CREATE FUNCTION soundscape.check_move(object storage.objects) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    if object.bucket_id = 'audio-files' and exists (
        select from public.audio_files f where f.object_id = object.id and f.hidden_at is not null)
    then
        raise exception 'The recording is hidden. Its file cannot be moved.'
            using errcode = '42501', hint = 'hidden_reason says why it was hidden.';
    end if;
end
$$;

CREATE FUNCTION soundscape.check_name_is_free() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    if tg_op = 'UPDATE' and new.name is distinct from old.name then
        perform soundscape.check_given_name(old.name, new);
    end if;
    -- The worker and servers write for others.
    if new.owner_id is not null and (tg_op = 'INSERT' or new.name is distinct from old.name) then
        perform soundscape.require_free_name(new.name, soundscape.owner_of(new.name, new.owner_id));
    end if;
    return new;
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

CREATE FUNCTION soundscape.check_object_rules() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    bucket storage.buckets;
    size_bytes numeric := (new.metadata ->> 'size')::numeric;
    -- Storage stores this type where a client names none.
    media_type text := coalesce(new.metadata ->> 'mimetype', 'application/octet-stream');
    owner uuid := soundscape.uuid_or_null(new.owner_id);
begin
    if new.owner_id is not null and (
        not exists (select from public.users u where u.id = owner)
        or exists (select from soundscape.account_deletions d where d.user_id = owner))
    then
        raise exception 'The account that uploads this file does not exist any more.'
            using errcode = '42501', hint = 'Sign in with another account.';
    end if;
    if soundscape.acts_for_a_person() then
        if tg_op = 'INSERT' then
            perform soundscape.check_copy(new);
        elsif new.name is distinct from old.name then
            perform soundscape.check_move(new);
        end if;
    end if;
    -- Nothing is known of an object when somebody asks for a signed address to upload to.
    if jsonb_typeof(new.metadata) = 'object' then
        select * into bucket from storage.buckets b where b.id = new.bucket_id;
        if not soundscape.media_type_allowed(media_type, bucket.allowed_mime_types) then
            raise exception 'The bucket % does not take files of the type %.', new.bucket_id, left(media_type, 100)
                using errcode = '42501', hint = concat(
                    'It takes ', coalesce(array_to_string(bucket.allowed_mime_types, ', '), 'none'), '.');
        elsif size_bytes > bucket.file_size_limit then
            raise exception 'The file has % bytes. The bucket % takes % at most.', size_bytes, new.bucket_id,
                bucket.file_size_limit using errcode = '42501', hint = 'Upload a smaller file.';
        end if;
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
        perform soundscape.refuse_over_limit((
            select count(*) from (
                select from public.playlist_items i where i.playlist_id = o.playlist_id
                limit limits.max_playlist_items + 1) as held),
            limits.max_playlist_items, 'items of a playlist')
        from (select distinct playlist_id from added) as o;
    elsif tg_table_name = 'audio_files' then
        perform soundscape.refuse_over_limit(
                    soundscape.count_recordings(o.user_id, limits.max_recordings), limits.max_recordings, 'recordings'),
                soundscape.refuse_over_limit(
                    soundscape.count_awaiting_upload(o.user_id, limits.max_awaiting_upload),
                    limits.max_awaiting_upload, 'recordings that wait for their file')
        from (select distinct user_id from added) as o;
    end if;
    return null;
end
$$;

CREATE FUNCTION soundscape.check_page(wanted_kind text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    keys text[] := soundscape.next_page(wanted_kind, soundscape.max_repairs_per_sweep());
begin
    case wanted_kind
        when 'recordings' then
            return jsonb_build_object(
                'attached', soundscape.attach_found_objects(keys),
                'drafted', soundscape.draft_undescribed_objects(keys),
                'discarded', soundscape.discard_unused_objects('audio-files', keys));
        when 'pictures' then
            return jsonb_build_object('discarded', soundscape.discard_unused_objects('waveforms', keys));
        when 'profiles' then
            perform soundscape.note_unchecked_images(keys);
            return jsonb_build_object('discarded', soundscape.discard_unused_objects('profile-images', keys));
        when 'jobs', 'unfinished' then
            return jsonb_build_object('resent', soundscape.requeue_lost_jobs(keys::uuid[]));
        when 'accounts' then
            perform soundscape.close_account(u.id) from public.users u
            where u.id = any (keys::uuid[]) and not exists (select from auth.users a where a.id = u.id)
              and not exists (select from soundscape.account_deletions d where d.user_id = u.id);
            return '{}';
        when 'ended_jobs' then
            perform soundscape.delete_old_jobs(keys);
            return '{}';
    end case;
end
$$;

CREATE FUNCTION soundscape.check_profile() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    if coalesce(auth.role(), 'service_role') = 'service_role' then
        return new;  -- The operator names the people who do speak for the service.
    end if;
    if new.username is distinct from old.username then
        if soundscape.is_reserved_name(new.username) then
            raise exception 'The username % is reserved.', new.username
                using errcode = '23514', detail = 'username_reserved', hint = 'Choose another username.';
        elsif exists (select from public.users u where u.username = new.username and u.id <> new.id) then
            raise exception 'The username % is taken.', new.username
                using errcode = '23505', detail = 'username_taken', hint = 'Choose another username.';
        end if;
    end if;
    if new.display_name is distinct from old.display_name and soundscape.is_reserved_name(new.display_name) then
        raise exception 'The display name % is reserved.', new.display_name
            using errcode = '23514', detail = 'display_name_reserved', hint = 'Choose another display name.';
    end if;
    return new;
end
$$;

CREATE FUNCTION soundscape.check_request() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
    headers jsonb := current_setting('request.headers', true);
    path text := current_setting('request.path', true);
    scope text;
begin
    if current_user = 'service_role' then
        return;
    end if;
    -- Both ask the planner, whose statistics count the rows that a policy hides.
    if headers ->> 'prefer' ~* '\mcount\s*=\s*"?(planned|estimated)' then
        raise sqlstate 'PT400' using
            message = 'Planned and estimated counts are not available.',
            hint = 'Use count=exact (in supabase-js: { count: ''exact'' }).';
    end if;
    scope := soundscape.session_scope();
    if scope in ('account', 'all') then
        return;
    end if;
    if scope = 'none' then
        raise sqlstate 'PT401' using
            message = 'This session has ended: the account is closed, or the API key was revoked or has expired.',
            hint = 'Sign in to another account, or use another key.';
    end if;
    if scope = 'upload' and coalesce(headers ->> 'content-profile', 'public') = 'public'
       and (path = '/rpc/describe_audio'
            or (path = '/audio_files' and current_setting('request.method', true) in ('POST', 'PATCH'))) then
        return;
    end if;
    -- Postgres refuses to take this back in the same transaction, whatever is called.
    perform set_config('transaction_read_only', 'on', true);
end
$$;

CREATE FUNCTION soundscape.check_sources() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
declare
    problem text;
begin
    if jsonb_typeof(new.sources) <> 'array' or jsonb_array_length(new.sources) > 20 then
        problem := 'Sources are an array of at most 20.';
    elsif octet_length(new.sources::text) > soundscape.sources_max_bytes() then
        problem := format('The sources have more than %s bytes.', soundscape.sources_max_bytes());
    else
        select case
            when jsonb_typeof(s) <> 'object' then 'A source is an object.'
            when exists (select from jsonb_object_keys(s) as k
                         where k not in ('title', 'url', 'attribution', 'license'))
                then 'A source has title, url, attribution and license.'
            when exists (select from jsonb_each(s) as e where jsonb_typeof(e.value) <> 'string')
                then 'Each part of a source is a text.'
            when coalesce(s ->> 'title', '') !~ '\S' or char_length(s ->> 'title') > 500
                then 'A source has a title of 1 to 500 characters that is not blank.'
            when s ->> 'url' !~ '^https?://\S+$' or char_length(s ->> 'url') > 2000
                then 'The url of a source begins with https:// or http://, has no space and at most 2000 characters.'
            when char_length(s ->> 'attribution') > 1000
                then 'The attribution of a source has at most 1000 characters.'
            when s ? 'license' and not exists (select from public.licenses l where l.id = s ->> 'license')
                then format('There is no licence %s.', left(s ->> 'license', 100))
        end into problem
        from jsonb_array_elements(new.sources) with ordinality as given (s, place)
        order by 1 nulls last limit 1;
    end if;
    perform soundscape.check_value(problem is null, 'sources_format', problem,
        'Write an array of {title, url, attribution, license}. The table licenses has the licences.');
    return new;
end
$_$;

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

CREATE FUNCTION soundscape.claim_caption(lease_s integer DEFAULT 120, max_requests integer DEFAULT 500, max_tokens bigint DEFAULT 1000000) RETURNS TABLE(audio_id uuid, token uuid, attempt integer, title text, language text, duration_s double precision, descriptors jsonb, tags jsonb)
    LANGUAGE plpgsql SECURITY DEFINER ROWS 1
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
    due soundscape.caption_jobs;
    problem text;
    owner uuid;
    answer text;
begin
    if lease_s <= 0 then
        return;
    end if;
    update soundscape.caption_workers w set seen_at = now()
    where w.seen_at is null or w.seen_at < now() - interval '1 minute';
    loop
        select j.* into due
        from soundscape.caption_jobs j
        join public.audio_captions c on c.audio_id = j.audio_id
        join public.audio_files f on f.id = j.audio_id
        join public.users u on u.id = f.user_id
        where j.retry_at <= now()
        order by j.retry_at, j.audio_id limit 1
        -- The budget's row of the owner refers to the user, whom a deletion locks first.
        for key share of u skip locked for no key update of c skip locked for update of j skip locked;
        if due.audio_id is null then
            return;
        end if;
        problem := soundscape.caption_problem(due.audio_id);
        if problem is null then
            owner := (select f.user_id from public.audio_files f where f.id = due.audio_id);
            answer := soundscape.reserve_caption(owner, max_requests, max_tokens);
            exit when answer = 'reserved';
            if answer = 'day_used' then
                return;
            end if;
            perform soundscape.defer_captions(owner);
        else
            delete from soundscape.caption_jobs j where j.audio_id = due.audio_id;
            update public.audio_captions c set status = 'skipped', error_code = problem, updated_at = now()
            where c.audio_id = due.audio_id and not c.is_by_owner;
        end if;
    end loop;
    update soundscape.caption_jobs j
    set token = gen_random_uuid(), attempts = j.attempts + 1, retry_at = now() + make_interval(secs => lease_s)
    where j.audio_id = due.audio_id returning * into due;
    update public.audio_captions c set status = 'queued', error_code = null where c.audio_id = due.audio_id;
    return query
        select f.id, due.token, due.attempts, f.title,
            coalesce((select p.locale from public.user_preferences p where p.user_id = f.user_id), 'en'),
            f.duration, a.descriptors,
            (select coalesce(jsonb_agg(t order by t.confidence desc), '[]') from (
                select g.label, round(g.confidence::numeric, 2) as confidence, round(g.start_s::numeric, 1) as start_s,
                    round(g.end_s::numeric, 1) as end_s
                from public.audio_tags g where g.audio_id = f.id order by g.confidence desc limit 20) t)
        from public.audio_files f left join public.audio_features a on a.audio_id = f.id where f.id = due.audio_id;
end
$$;

CREATE FUNCTION soundscape.claim_delivery(channels text[], lease_s integer DEFAULT 120) RETURNS TABLE(delivery_id uuid, token uuid, channel text, attempt integer, user_id uuid, locale text, address text, endpoint text, p256dh text, auth text, content jsonb)
    LANGUAGE plpgsql SECURITY DEFINER ROWS 1
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
    due soundscape.deliveries;
    problem text;
    quiet_end timestamptz;
begin
    for looks in 1 .. 100 loop
        -- The first of each channel by the index, then the first of them.
        select found.* into due
        from unnest(channels) as wanted (name) cross join lateral (
            select * from soundscape.deliveries d
            where lease_s > 0 and d.state in ('queued', 'running') and d.retry_at <= now()
              and d.channel = wanted.name
            order by d.retry_at limit 1 for update of d skip locked) as found
        order by found.retry_at limit 1;
        if due.id is null then
            exit when lease_s <= 0 or not soundscape.bundle_some(channels);
            continue;
        end if;
        problem := soundscape.delivery_problem(due);
        if problem is not null then
            perform soundscape.end_delivery(
                due.id,
                case when problem in ('account_closed', 'subscription_gone', 'no_address', 'address_ended',
                                      'switched_off')
                    then 'dropped' else 'dead' end,
                problem, due.error_message);
            continue;
        end if;
        select soundscape.end_of_quiet(p.time_zone, p.quiet_from, p.quiet_until, now()) into quiet_end
        from public.user_preferences p where p.user_id = due.user_id;
        if quiet_end is not null then
            -- It has an hour in the morning, however old it is then.
            update soundscape.deliveries d
            set state = 'queued', token = null, retry_at = quiet_end,
                expires_at = greatest(d.expires_at, quiet_end + interval '1 hour')
            where d.id = due.id;
            continue;
        end if;
        -- A browser that another user took in this moment is found by the next look.
        return query
            update soundscape.deliveries d
            set state = 'running', token = gen_random_uuid(), attempts = d.attempts + 1,
                retry_at = clock_timestamp() + make_interval(secs => lease_s),
                address = case when d.channel = 'email' then soundscape.mail_address(d.user_id) end
            from (select) as one left join public.push_subscriptions s
                on s.id = due.subscription_id and s.user_id = due.user_id
            where d.id = due.id and (d.channel = 'email' or s.id is not null)
            returning d.id, d.token, d.channel, d.attempts, d.user_id,
                coalesce((select p.locale from public.user_preferences p where p.user_id = d.user_id), 'en'),
                d.address, s.endpoint, s.p256dh, s.auth, soundscape.delivery_content(d.bundle_id, d.user_id);
        if found then
            return;
        end if;
    end loop;
end
$$;

CREATE FUNCTION soundscape.claim_export(lease_s integer DEFAULT 60) RETURNS TABLE(export_id uuid, user_id uuid, token uuid, is_snapshot_stored boolean, upload_url text, size_bytes bigint, stored_bytes bigint, checksums bigint[])
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
    due soundscape.export_jobs;
begin
    for due in
        select j.* from soundscape.export_jobs j join public.exports e on e.id = j.export_id
        where e.status in ('queued', 'running') and j.retry_at <= now() and coalesce(j.leased_until < now(), true)
        order by e.created_at limit 10 for update of j skip locked
    loop
        if due.attempts >= 5 then
            perform soundscape.end_export(due.export_id, 'worker_lost', 'The export was interrupted too often.');
            continue;
        end if;
        update soundscape.export_jobs j
        set token = gen_random_uuid(), leased_until = now() + make_interval(secs => lease_s), attempts = j.attempts + 1
        where j.export_id = due.export_id;
        update public.exports e set status = 'running' where e.id = due.export_id;
        return query
            select e.id, e.user_id, j.token, j.is_snapshot_stored, j.upload_url, e.size_bytes, e.stored_bytes, array(
                select c.crc32 from soundscape.export_checksums c where c.export_id = e.id order by c.place)
            from public.exports e join soundscape.export_jobs j on j.export_id = e.id where e.id = due.export_id;
        return;
    end loop;
end
$$;

CREATE FUNCTION soundscape.claim_image_check(lease_s integer DEFAULT 60) RETURNS TABLE(object_id uuid, token uuid, attempt integer, name text, version text, media_type text, size_bytes bigint, etag text, max_bytes bigint)
    LANGUAGE plpgsql SECURITY DEFINER ROWS 1
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
    due soundscape.image_checks;
begin
    select * into due from soundscape.image_checks c
    where lease_s > 0 and c.checked_at is null and c.retry_at <= now() and exists (
        select from storage.objects o where o.id = c.object_id and o.version is not distinct from c.version)
    order by c.retry_at limit 1 for update of c skip locked;
    if due.object_id is null then
        return;
    end if;
    update soundscape.image_checks c
    set token = gen_random_uuid(), attempts = c.attempts + 1,
        retry_at = now() + make_interval(secs => lease_s) * power(2, least(c.attempts, 10))
    where c.object_id = due.object_id returning * into due;
    return query
        select o.id, due.token, due.attempts, o.name, o.version, o.metadata ->> 'mimetype',
            (o.metadata ->> 'size')::bigint, o.metadata ->> 'eTag', b.file_size_limit
        from storage.objects o join storage.buckets b on b.id = o.bucket_id where o.id = due.object_id;
end
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

CREATE FUNCTION soundscape.queue_names() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN array_append(soundscape.analysis_queues(), 'soundscape_previews'::text);

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
    is_retry boolean DEFAULT false NOT NULL,
    CONSTRAINT jobs_analysis_version_check CHECK (((char_length(analysis_version) >= 1) AND (char_length(analysis_version) <= 64))),
    CONSTRAINT jobs_queue_check CHECK ((queue = ANY (soundscape.queue_names()))),
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

CREATE FUNCTION soundscape.claim_previews(worker text, max_jobs integer DEFAULT 1, lease_s integer DEFAULT 60) RETURNS TABLE(job_id bigint, token text, trace_id text, attempt integer, audio_id uuid, user_id uuid, object_name text, object_version text, size_bytes bigint, content_type text, object_etag text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
    settings soundscape.queue_settings;
    job soundscape.jobs;
    owners_held uuid[] := '{}';
    left_to_claim integer := least(max_jobs, 100);
begin
    for job in
        select j.* from soundscape.jobs j
        where j.state = 'running' and j.queue = 'soundscape_previews' and j.worker = claim_previews.worker
    loop
        perform soundscape.fail_job(job.id, job.msg_id || '.' || job.attempt, 'released', 'claim_unanswered',
            'The answer to a claim did not reach the worker. It is tried again.');
    end loop;
    select * into settings from soundscape.queue_settings;
    if settings.paused_at is not null then
        return;
    elsif soundscape.analysis_waits() then
        if nextval('soundscape.preview_rounds') % settings.preview_every <> 0 then
            return;
        end if;
        left_to_claim := least(left_to_claim, 1);
    end if;
    perform soundscape.admit_waiting();
    while left_to_claim > 0 loop
        job := soundscape.claim_next('soundscape_previews', claim_previews.worker, lease_s, owners_held);
        exit when job.id is null;
        owners_held := owners_held || job.user_id;
        left_to_claim := left_to_claim - 1;
        return query
            select job.id, job.msg_id || '.' || job.attempt, job.trace_id, job.attempt, f.id, f.user_id,
                   f.file_path, job.object_version, f.size_bytes, f.content_type, f.object_etag
            from public.audio_files f where f.id = job.audio_id;
    end loop;
end
$$;

CREATE FUNCTION soundscape.claims_of(account uuid) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select m.id
    from public.audio_files own
    join public.audio_matches m on m.audio_id = own.id
    join public.audio_files other on other.id = m.matched_audio_id
    where own.user_id = account and soundscape.is_seen_by(other, account)
    union
    select m.id
    from public.audio_files own
    join public.audio_matches m on m.matched_audio_id = own.id
    join public.audio_files other on other.id = m.audio_id
    where own.user_id = account and soundscape.is_seen_by(other, account)
$$;

CREATE FUNCTION soundscape.invisible_characters() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN ('[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164'::text || '\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e007f]'::text);

CREATE FUNCTION soundscape.mixes_scripts(name text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN (EXISTS (SELECT FROM regexp_split_to_table(NORMALIZE(mixes_scripts.name, NFKC), '\s+'::text) word(word) WHERE ((((((((word.word ~ '[A-Za-z\u00c0-\u024f\u1e00-\u1eff]'::text))::integer + ((word.word ~ '[\u0370-\u03ff\u1f00-\u1fff]'::text))::integer) + ((word.word ~ '[\u0400-\u052f\u1c80-\u1c8f\ua640-\ua69f]'::text))::integer) + ((word.word ~ '[\u0530-\u058f]'::text))::integer) + ((word.word ~ '[\u13a0-\u13ff\uab70-\uabbf]'::text))::integer) + ((word.word ~ '[\u2c80-\u2cff]'::text))::integer) > 1)));

CREATE FUNCTION soundscape.without_joiners(name text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN regexp_replace(name, ('([\u0600-\u0dff\u2600-\u27bf\ufe0f\U0001f000-\U0001faff])[\u200c\u200d]'::text || '(?=[\u0600-\u0dff\u2600-\u27bf\U0001f000-\U0001faff])'::text), '\1'::text, 'g'::text);

CREATE FUNCTION soundscape.display_name_problem(name text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN CASE WHEN (name !~ '\S'::text) THEN 'it is blank'::text WHEN (name ~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029]'::text) THEN 'it has a control character'::text WHEN (soundscape.without_joiners(name) ~ ('[\u200c\u200d]|'::text || soundscape.invisible_characters())) THEN 'it has a character that is invisible or changes the direction of text'::text WHEN soundscape.mixes_scripts(name) THEN 'a word of it mixes letters of several scripts'::text ELSE NULL::text END;

CREATE FUNCTION soundscape.name_skeleton(name text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN regexp_replace(replace(replace(translate(soundscape.fold(name), 'авекмнорстухіјѕԁһӏгпαβεηικνορτυχω01345789$@!|i'::text, 'abekmhopctyxljsdhlrnabenlkvoptuxwoleastbgsalll'::text), 'rn'::text, 'm'::text), 'vv'::text, 'w'::text), '[^a-z]'::text, ''::text, 'g'::text);

CREATE FUNCTION soundscape.reserved_names() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN string_to_array('abuse admin administrator anonymous deleted everyone help helpdesk hostmaster mod moderation moderator nobody null official operator owner postmaster root security service soundscape staff superuser support sysadmin system team undefined webmaster'::text, ' '::text);

CREATE FUNCTION soundscape.is_reserved_name(name text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN (EXISTS (SELECT FROM unnest(ARRAY[is_reserved_name.name, regexp_replace(is_reserved_name.name, '^[\d\W_]+|[\d\W_]+$'::text, ''::text, 'g'::text)]) candidate(candidate) WHERE (soundscape.name_skeleton(candidate.candidate) ~ (SELECT format('^(%s)+$'::text, string_agg(soundscape.name_skeleton(word.word), '|'::text)) AS format FROM unnest(soundscape.reserved_names()) word(word)))));

CREATE FUNCTION soundscape.clean_display_name(name text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN (SELECT CASE WHEN ((soundscape.display_name_problem(c.cleaned) IS NULL) AND (NOT soundscape.is_reserved_name(c.cleaned))) THEN c.cleaned ELSE NULL::text END AS "case" FROM (SELECT NULLIF("left"(btrim(regexp_replace(clean_display_name.name, ('[\u0001-\u001f\u007f-\u009f\u2028\u2029]|'::text || soundscape.invisible_characters()), ''::text, 'g'::text)), 80), ''::text) AS "nullif") c(cleaned));

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

CREATE FUNCTION soundscape.close_account(account uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    insert into soundscape.account_deletions (user_id) select u.id from public.users u where u.id = account
    on conflict (user_id) do update set emptied_at = null;
    -- Public images are served without a policy, and are few.
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id = 'profile-images' and o.name like account::text || '/%'
    on conflict do nothing;
    -- No new session, and no new token for an old one. The latest access token ends within the hour, and until then
    -- session_scope allows it nothing.
    update auth.users set banned_until = now() + interval '100 years' where id = account;
    delete from auth.sessions where user_id = account;
end
$$;

CREATE FUNCTION soundscape.close_stat_days() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    -- Longer than any transaction that may still count an event of the last day.
    first_open constant date := soundscape.first_open_day(now() - interval '1 hour');
begin
    if exists (select from soundscape.stat_events e where e.day < first_open) then
        return;
    end if;
    with closed as (delete from soundscape.open_day_details d where d.day < first_open returning d.*)
    update public.audio_stats_daily d set
        listened_s = coalesce(d.listened_s, 0) + c.listened_s,
        from_search = coalesce(d.from_search, 0) + c.from_search,
        from_similar = coalesce(d.from_similar, 0) + c.from_similar,
        from_recommended = coalesce(d.from_recommended, 0) + c.from_recommended,
        from_radio = coalesce(d.from_radio, 0) + c.from_radio,
        from_playlist = coalesce(d.from_playlist, 0) + c.from_playlist,
        from_embed = coalesce(d.from_embed, 0) + c.from_embed,
        from_elsewhere = coalesce(d.from_elsewhere, 0) + c.from_elsewhere,
        heard_quarter_1 = coalesce(d.heard_quarter_1, 0) + c.heard_quarter_1,
        heard_quarter_2 = coalesce(d.heard_quarter_2, 0) + c.heard_quarter_2,
        heard_quarter_3 = coalesce(d.heard_quarter_3, 0) + c.heard_quarter_3,
        heard_quarter_4 = coalesce(d.heard_quarter_4, 0) + c.heard_quarter_4
    from closed c
    where d.audio_id = c.audio_id and d.day = c.day and c.listeners >= soundscape.min_listeners_for_details();
    delete from soundscape.day_listeners l where l.day < first_open;
    delete from soundscape.listener_salts s where s.day < first_open;
end
$$;

CREATE FUNCTION soundscape.closed_accounts() RETURNS uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select coalesce(array_agg(d.user_id), '{}') from soundscape.account_deletions d
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
            select e.audio_id, e.embedding operator(extensions.<=>) l.embedding as distance
            from public.audio_embeddings e
            where e.is_listed and e.space = l.space and coalesce(e.user_id <> me, true)
              and e.audio_id not in (select unnest(leaving_out))
            order by e.embedding operator(extensions.<=>) l.embedding limit 20) as n
        where l.audio_id = any (caller.leads) and l.is_listed and n.distance <= 1 - soundscape.min_similarity());
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

CREATE FUNCTION soundscape.complete_caption(recording uuid, token uuid, caption text, keywords text[], model text, version integer, tokens integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    -- The recording first, as whoever changes it does: two that wait for one another would be a deadlock.
    perform from public.audio_files f where f.id = recording for no key update;
    perform soundscape.end_caption_job(recording, token, tokens);
    delete from soundscape.caption_jobs j where j.audio_id = recording;
    -- The owner may have said no meanwhile.
    if soundscape.caption_problem(recording) is null then
        update public.audio_captions c
        set status = 'ready', error_code = null, caption = complete_caption.caption,
            keywords = complete_caption.keywords, model = complete_caption.model,
            version = complete_caption.version, updated_at = now()
        where c.audio_id = recording and not c.is_by_owner;
    end if;
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
        select from soundscape.missed_fingerprints(array[recording]) m where m.missed <> all (others));
end
$$;

CREATE FUNCTION soundscape.complete_delivery(delivery uuid, token uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.hold_delivery(delivery, token);
    perform soundscape.end_delivery(delivery, 'sent', null, null);
end
$$;

CREATE FUNCTION soundscape.complete_export(export uuid, token uuid, parts integer DEFAULT 1) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    made public.exports;
begin
    perform soundscape.hold_export(export, token);
    update public.exports e
    set status = 'ready', finished_at = now(), expires_at = now() + interval '7 days',
        stored_bytes = coalesce(e.size_bytes, e.stored_bytes), parts = complete_export.parts,
        file_path = e.user_id || '/' || e.id || '.zip'
    where e.id = export returning e.* into made;
    -- The newest one has all that the earlier ones have and the account still has.
    update public.exports e set status = 'expired', file_path = null
    where e.user_id = made.user_id and e.id <> export and e.status = 'ready';
    delete from soundscape.export_jobs j where j.export_id = export;
    delete from soundscape.export_checksums c where c.export_id = export;
    -- The records, the list of files, and parts of a former attempt that had more of them.
    perform soundscape.delete_unnamed_exports(made.user_id, export, made.file_paths);
end
$$;

CREATE FUNCTION soundscape.complete_image_check(object_id uuid, token uuid, error_code text DEFAULT NULL::text, error_message text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
    object storage.objects;
    account uuid;
begin
    select * into object from storage.objects o where o.id = complete_image_check.object_id;
    if error_code is not null then
        -- Names are locked before what refers to them, as an upload does.
        perform soundscape.lock_object_name(object.name);
    end if;
    update soundscape.image_checks c
    set checked_at = now(), token = null, error_code = left(complete_image_check.error_code, 64)
    where c.object_id = complete_image_check.object_id and c.token = complete_image_check.token
      and c.version is not distinct from object.version;
    if not found then
        raise exception 'Another worker has this image, or it has changed.'
            using errcode = 'PT409', hint = 'Drop the work.';
    end if;
    if error_code is null then
        return;
    end if;
    insert into soundscape.deletions (bucket_id, name) values (object.bucket_id, object.name) on conflict do nothing;
    account := soundscape.owner_of(object.name, object.owner_id);
    update public.users u set avatar_path = null where u.id = account and u.avatar_path = object.name;
    perform soundscape.notify(
        u.id, 'image_refused', null, left(error_code, 64), replace(gen_random_uuid()::text, '-', ''),
        left(coalesce(error_message, error_code), 2000))
    from public.users u where u.id = account;
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
    -- Whoever sees the recording sees the descriptors: the capture is in none of them.
    capture constant jsonb := result -> 'capture';
begin
    result := result - 'capture';
    if jsonb_typeof(source -> 'tags') = 'object' then
        result := jsonb_set(result, '{source,tags}', soundscape.tags_to_store(source -> 'tags'));
    end if;
    -- The lock keeps the owner and the visibility that are written with the results.
    select * into file from public.audio_files where id = job.audio_id for no key update;
    if not exists (
        select from public.audio_features f
        where f.audio_id = job.audio_id
          -- The same bytes have another ETag when they are uploaded in another way.
          and (f.object_version = job.object_version or f.sha256 = source ->> 'sha256'))
    then
        perform soundscape.delete_claims(job.audio_id);
        perform soundscape.forget_preview(job.audio_id);
        -- Only once for the same bytes: what the owner has emptied since stays empty.
        perform soundscape.fill_from_file(file, capture);
    end if;
    perform soundscape.write_tags_and_embedding(file, result);
    perform soundscape.write_features(file, job.object_version, result);
    perform soundscape.write_fingerprint(file, job.object_version, result -> 'index');
    perform soundscape.replace_claims(file, result);
    update public.audio_files
    set duration = (source ->> 'duration_s')::double precision, sample_rate = (source ->> 'sample_rate')::integer,
        channels = (source ->> 'channels')::smallint, analysis_version = result ->> 'analysis_version',
        analyzed_at = now(), trace_id = job.trace_id, peaks = soundscape.peaks_of(result),
        playable = (source ->> 'playable')::boolean
    where id = job.audio_id;
    perform soundscape.end_job(job, 'succeeded', 'ready');
    perform soundscape.delete_former_pictures(
        job.audio_id, regexp_replace(result #>> '{waveform,path}', '[^/]*$', ''));
    perform soundscape.enqueue_preview(job.audio_id);
end
$_$;

CREATE FUNCTION soundscape.complete_preview(job_id bigint, token text, path text, size_bytes bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
declare
    job soundscape.jobs := soundscape.lock_held_job(job_id, token);
begin
    if job.queue <> 'soundscape_previews' or not starts_with(path, job.audio_id || '/preview-') then
        raise exception 'Job % makes no preview %.', job.id, path using errcode = '22023';
    end if;
    -- A former attempt may have stored one, and been too late to complete.
    perform soundscape.forget_preview(job.audio_id);
    perform soundscape.keep_pictures(regexp_replace(path, '[^/]*$', ''));
    update public.audio_files set preview_path = path, preview_size_bytes = complete_preview.size_bytes
    where id = job.audio_id;
    perform soundscape.end_job(job, 'succeeded', 'ready');
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id = 'waveforms' and o.name like job.audio_id::text || '/preview-%' and o.name <> path
    on conflict do nothing;
end
$_$;

CREATE FUNCTION soundscape.complete_rename(rename_id bigint, attempt integer, new_name text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    wanted soundscape.renames;
    is_renamed boolean := false;
begin
    -- The recording is locked before what refers to it, everywhere.
    perform from public.audio_files f
    where f.id = (select r.audio_id from soundscape.renames r where r.id = rename_id) for no key update;
    select * into wanted from soundscape.renames r
    where r.id = rename_id and r.attempts = attempt and r.bucket_id = 'waveforms' for update;
    if wanted.id is not null and not exists (
        select from soundscape.objects_in_folder(wanted.name) o
        where not exists (
            select from storage.objects c
            where c.bucket_id = 'waveforms' and c.name = new_name || substr(o.name, length(wanted.name) + 1)
              and c.metadata ->> 'size' = o.metadata ->> 'size'))
    then
        is_renamed := soundscape.rename_results(wanted.audio_id, wanted.name, new_name);
        if is_renamed then
            -- An analysis that ended meanwhile may have asked for the deletion of all that no row named.
            perform soundscape.keep_pictures(new_name);
        end if;
        delete from soundscape.renames r where r.id = wanted.id;
    end if;
    -- Either the former objects go, or the copies. Not if the row names the copies because the response to an earlier
    -- call was lost.
    insert into soundscape.deletions (bucket_id, name)
    select 'waveforms', o.name
    from soundscape.objects_in_folder(case when is_renamed then wanted.name else new_name end) o
    where is_renamed or not exists (
        select from public.audio_files f left join public.audio_features a on a.audio_id = f.id
        where f.id = soundscape.uuid_or_null(split_part(new_name, '/', 1))
          and new_name in (soundscape.folder_of(a.waveform_path), soundscape.folder_of(f.preview_path)))
    on conflict do nothing;
    return is_renamed;
end
$$;

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

CREATE FUNCTION soundscape.count_actions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    owner_column constant text := tg_argv[0];
    limit_name constant text := tg_argv[1];
    period constant text := tg_argv[2];
    what constant text := tg_argv[3];
    counted record;
begin
    if coalesce(auth.role(), 'service_role') = 'service_role' then
        return null;
    end if;
    for counted in
        -- The row is locked until the transaction ends. So requests at once are counted one after the other.
        insert into soundscape.action_counts as c (user_id, max_column, since, actions)
        select (to_jsonb(a) ->> owner_column)::uuid, limit_name, date_trunc(period, now()), count(*)
        from added a group by 1 order by 1
        on conflict on constraint action_counts_pkey do update
        set since = greatest(c.since, excluded.since),
            actions = excluded.actions + case when c.since >= excluded.since then c.actions else 0 end
        returning c.actions
    loop
        perform soundscape.refuse_over_limit(counted.actions, (to_jsonb(l) ->> limit_name)::integer, what)
        from soundscape.owner_limits l;
    end loop;
    return null;
end
$$;

CREATE FUNCTION soundscape.count_awaiting_upload(owner uuid, max_rows integer) RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    RETURN (SELECT count(*) AS count FROM (SELECT FROM public.audio_files f WHERE ((f.user_id = count_awaiting_upload.owner) AND (f.status = 'awaiting_upload'::text)) LIMIT (count_awaiting_upload.max_rows + 1)) held);

CREATE FUNCTION soundscape.count_likes() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    insert into soundscape.stat_events (audio_id, day, likes)
    select c.audio_id, (now() at time zone 'UTC')::date, case tg_op when 'INSERT' then 1 else -1 end from changed c;
    return null;
end
$$;

CREATE FUNCTION soundscape.count_listens() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.make_salts(array(select distinct soundscape.stat_day(e.started_at) from added e));
    with listens as materialized (
        select e.id, e.audio_id, soundscape.stat_day(e.started_at) as day, f.duration,
            least(e.listened_s, coalesce(f.duration, soundscape.longest_play_s())) as listened_s,
            soundscape.play_source(e.context) as source,
            soundscape.listener_hash(e.user_id::text, e.audio_id, s.salt) as listener
        from added e
        join public.audio_files f on f.id = e.audio_id and f.user_id <> e.user_id
        join soundscape.listener_salts s on s.day = soundscape.stat_day(e.started_at)
        where soundscape.is_play(e.listened_s, f.duration)
    ), counted as (
        insert into soundscape.day_listeners as l (audio_id, day, listener, plays)
        select p.audio_id, p.day, p.listener, count(*) from listens p group by 1, 2, 3 order by 1, 2, 3
        on conflict (audio_id, day, listener) do update set plays = l.plays + excluded.plays
        returning l.audio_id, l.day, l.listener, l.plays
    ), placed as (
        select p.*, c.plays - count(*) over same + row_number() over (same order by p.id) as place
        from listens p join counted c using (audio_id, day, listener)
        window same as (partition by p.audio_id, p.day, p.listener)
    )
    insert into soundscape.stat_events (audio_id, day, plays, listeners, listened_s, source, quarter)
    select p.audio_id, p.day, 1, (p.place = 1)::integer, p.listened_s, p.source,
        case when p.duration > 0 then least(4, greatest(1, ceil(4 * p.listened_s / p.duration))) end
    from placed p where p.place <= soundscape.max_plays_a_day()
    order by p.id;
    return null;
end
$$;

CREATE FUNCTION soundscape.count_recordings(owner uuid, max_rows integer) RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    RETURN (SELECT count(*) AS count FROM (SELECT FROM public.audio_files f WHERE (f.user_id = count_recordings.owner) LIMIT (count_recordings.max_rows + 1)) held);

CREATE FUNCTION soundscape.count_stored_object() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    owner uuid := soundscape.owner_of(new.name, new.owner_id);
    bytes bigint := coalesce((new.metadata ->> 'size')::bigint, 0);
    has_grown boolean := true;
begin
    if owner is null then
        return null;
    end if;
    if tg_op = 'UPDATE' then
        has_grown := bytes > coalesce((old.metadata ->> 'size')::bigint, 0);
    end if;
    if soundscape.has_limited_size(new) then
        insert into soundscape.stored_objects as s (object_id, user_id, size_bytes)
        values (new.id, owner, bytes)
        on conflict (object_id) do update set user_id = excluded.user_id, size_bytes = excluded.size_bytes;
    end if;
    -- An upload with the secret key has no owner_id, and no limit.
    if new.owner_id is not null and has_grown then
        perform soundscape.check_file_limits(owner, soundscape.has_limited_size(new));
        if tg_op = 'INSERT' and new.bucket_id = 'audio-files' then
            perform soundscape.check_described_upload(owner, new.name);
        end if;
    end if;
    return null;
end
$$;

CREATE FUNCTION soundscape.create_api_key(name text, scope text DEFAULT 'read'::text, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS TABLE(id uuid, prefix text, key text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
#variable_conflict use_column
declare
    caller uuid := auth.uid();
    made text := 'soundscape_' || encode(extensions.gen_random_bytes(24), 'hex');
    new_key public.api_keys;
begin
    if caller is null or soundscape.session_scope() <> 'account' then
        raise exception 'Only the user can make an API key, and no API key can.'
            using errcode = '42501', hint = 'Sign in.';
    end if;
    -- One at a time, so that the count holds.
    perform from public.users u where u.id = caller for no key update;
    delete from public.api_keys k where k.user_id = caller and k.revoked_at < now() - interval '90 days';
    insert into public.api_keys (user_id, name, prefix, scope, expires_at)
    values (caller, btrim($1), left(made, 19), $2, $3) returning * into new_key;
    insert into soundscape.api_key_secrets (key_id, hash) values (new_key.id, sha256(made::bytea));
    perform soundscape.refuse_over_limit(
        (select count(*) from public.api_keys k where k.user_id = caller), l.max_api_keys, 'API keys')
    from soundscape.owner_limits l;
    return query select new_key.id, new_key.prefix, made;
end
$_$;

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

CREATE FUNCTION soundscape.defer_captions(owner uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    update soundscape.caption_jobs j
    set retry_at = (date_trunc('day', now() at time zone 'UTC') + interval '1 day') at time zone 'UTC'
    where j.audio_id in (
        select w.audio_id from soundscape.caption_jobs w join public.audio_files f on f.id = w.audio_id
        where f.user_id = defer_captions.owner and w.retry_at <= now()
        for update of w skip locked)
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
    perform soundscape.keep_pictures(current_prefix);
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id = 'waveforms' and o.name like recording::text || '/%' and not starts_with(o.name, current_prefix)
      and not exists (select from public.audio_files f where f.id = recording and f.preview_path = o.name)
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

CREATE FUNCTION soundscape.delete_my_account() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    caller uuid := auth.uid();
begin
    if caller is null or soundscape.session_scope() <> 'account' then
        raise exception 'Only the user can delete an account, and no API key can.'
            using errcode = '42501', hint = 'Sign in.';
    end if;
    perform soundscape.close_account(caller);
    perform soundscape.ring_doorbell();
end
$$;

CREATE FUNCTION soundscape.delete_old_deliveries() RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    -- A channel may have no worker any more, which would end them.
    update soundscape.deliveries d
    set state = 'dead', finished_at = now(), token = null, address = null,
        error_code = coalesce(d.error_code, 'too_old')
    where d.id in (
        select x.id from soundscape.deliveries x
        where x.state in ('queued', 'running') and x.retry_at <= now() and x.expires_at <= now()
        for update skip locked);
    delete from soundscape.deliveries d where d.finished_at < now() - soundscape.deliveries_kept_for();
    delete from soundscape.outbox o
    where o.bundle_id is not null and o.created_at < now() - soundscape.deliveries_kept_for()
      and not exists (select from soundscape.deliveries d where d.bundle_id = o.bundle_id);
    -- Nobody delivered it, for example because no worker has a mail server.
    delete from soundscape.outbox o using soundscape.delivery_settings s
    where o.bundle_id is null and s.channel = o.channel and o.created_at < now() - s.max_age
      and o.deliver_at < now() - s.max_age;
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

CREATE FUNCTION soundscape.delete_old_jobs(keys text[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    delete from soundscape.jobs where id in (
        select j.id from unnest(keys) as key join soundscape.jobs j on j.id = split_part(key, '/', 2)::bigint
        where j.finished_at < now() - soundscape.jobs_kept_for()
          and exists (select from soundscape.jobs l where l.audio_id = j.audio_id and l.id > j.id)
        for update of j skip locked)
$$;

CREATE FUNCTION soundscape.delete_old_listening_events() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    forgotten integer;
begin
    delete from public.listening_events e where e.id in (
        select o.id from public.listening_events o
        where o.created_at < now() - soundscape.listening_events_kept_for()
        order by o.created_at limit 100000 for update skip locked);
    get diagnostics forgotten = row_count;
    return forgotten;
end
$$;

CREATE FUNCTION soundscape.delete_old_notifications() RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    delete from public.notifications where id in (
        select n.id from public.notifications n
        where n.created_at < now() - soundscape.notifications_kept_for()
        order by n.created_at limit soundscape.max_repairs_per_sweep() for update skip locked)
$$;

CREATE FUNCTION soundscape.delete_results(recording uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select soundscape.delete_claims(recording);
    delete from public.audio_features where audio_id = recording;
    delete from public.audio_tags where audio_id = recording;
    delete from public.audio_embeddings where audio_id = recording;
    select soundscape.forget_preview(recording);
    update public.audio_files set peaks = null, playable = null
    where id = recording and (peaks is not null or playable is not null);
$$;

CREATE FUNCTION soundscape.delete_some_rows(owned regclass, owner uuid, max_rows integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
declare
    deleted integer;
    has_more boolean;
begin
    execute format('delete from %s where ctid = any (array(select ctid from %1$s where user_id = $1 limit $2))', owned)
        using owner, max_rows;
    get diagnostics deleted = row_count;
    -- Fewer rows than asked for are not the last ones: a row that is changed meanwhile is not deleted.
    execute format('select exists (select from %s where user_id = $1)', owned) into has_more using owner;
    if has_more and deleted = 0 then
        raise exception 'No row of % was deleted, and some are left.', owned;
    end if;
    return not has_more;
end
$_$;

CREATE FUNCTION soundscape.delete_unnamed_exports(account uuid, export uuid, kept text[] DEFAULT '{}'::text[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id = 'exports' and o.name like account || '/' || export || '%' and o.name <> all (kept)
    on conflict do nothing
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

CREATE FUNCTION soundscape.deliveries_kept_for() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN '30 days'::interval;

CREATE FUNCTION soundscape.delivery_content(bundle uuid, account uuid) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    with entries as (
        select o.* from soundscape.outbox o
        where o.bundle_id = bundle and soundscape.is_notified(account, o.kind, o.channel))
    select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
        'kind', told.kind, 'count', told.number,
        'digest', case when told.kind = 'weekly_digest' then soundscape.digest(account, told.latest) end,
        'recordings', (
            select jsonb_agg(jsonb_build_object('id', r.id, 'title', r.title) order by r.first_at, r.id)
            from (select f.id, f.title, min(e.created_at) as first_at
                  from entries e join public.audio_files f on f.id = e.audio_id
                  where e.kind = told.kind and f.user_id = account
                  group by f.id order by min(e.created_at), f.id limit 10) as r)
        )) order by told.earliest, told.kind)
    from (select e.kind, count(distinct coalesce(e.audio_id::text, e.id::text)) as number,
                 min(e.created_at) as earliest, max(e.created_at) as latest
          from entries e group by e.kind) as told
$$;

CREATE TABLE public.notification_preferences (
    user_id uuid DEFAULT auth.uid() NOT NULL,
    kind text NOT NULL,
    channel text NOT NULL,
    enabled boolean NOT NULL,
    CONSTRAINT notification_preferences_channel_check CHECK (soundscape.check_value((channel = ANY (ARRAY['in_app'::text, 'email'::text, 'push'::text])), 'notification_channel_unknown'::text, 'There is no such channel.'::text, 'Choose in_app, email or push.'::text))
);

CREATE TABLE soundscape.notification_kinds (
    kind text NOT NULL,
    description text NOT NULL,
    channels text[] DEFAULT '{in_app,email,push}'::text[] NOT NULL,
    defaults text[] DEFAULT '{in_app}'::text[] NOT NULL,
    at_most_every interval,
    CONSTRAINT notification_kinds_channels_check CHECK ((channels <@ '{in_app,email,push}'::text[])),
    CONSTRAINT notification_kinds_check CHECK ((defaults <@ channels)),
    CONSTRAINT notification_kinds_kind_check CHECK ((kind ~ '^[a-z_]{1,64}$'::text))
);

CREATE FUNCTION soundscape.is_notified(account uuid, kind text, channel text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    RETURN (SELECT ((is_notified.channel = ANY (k.channels)) AND COALESCE(p.enabled, (is_notified.channel = ANY (k.defaults)))) FROM (soundscape.notification_kinds k LEFT JOIN public.notification_preferences p ON (((p.user_id = is_notified.account) AND (p.kind = k.kind) AND (p.channel = is_notified.channel)))) WHERE (k.kind = is_notified.kind));

CREATE FUNCTION soundscape.mail_address(account uuid) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    RETURN (SELECT u.email FROM auth.users u WHERE ((u.id = mail_address.account) AND (u.email_confirmed_at IS NOT NULL) AND ((u.email)::text <> ''::text)));

CREATE TABLE soundscape.ended_addresses (
    user_id uuid NOT NULL,
    address text NOT NULL,
    message text,
    ended_at timestamp with time zone DEFAULT now() NOT NULL,
    error_code text,
    CONSTRAINT ended_addresses_error_code_check CHECK ((char_length(error_code) <= 64)),
    CONSTRAINT ended_addresses_message_check CHECK ((char_length(message) <= 500))
);

CREATE FUNCTION soundscape.mail_problem(account uuid) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    RETURN CASE WHEN (soundscape.mail_address(account) IS NULL) THEN 'no_address'::text WHEN (EXISTS (SELECT FROM soundscape.ended_addresses e WHERE ((e.user_id = mail_problem.account) AND (e.address = soundscape.mail_address(mail_problem.account))))) THEN 'address_ended'::text ELSE NULL::text END;

CREATE FUNCTION soundscape.max_unanswered_claims() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN 5;

CREATE TABLE public.push_subscriptions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    endpoint text NOT NULL,
    p256dh text NOT NULL,
    auth text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT push_subscriptions_auth_check CHECK ((auth ~ '^[A-Za-z0-9_-]{22}$'::text)),
    CONSTRAINT push_subscriptions_endpoint_check CHECK (((endpoint ~ '^https://[a-z0-9.-]+(:[0-9]{1,5})?/[!-~]*$'::text) AND (char_length(endpoint) <= 2048))),
    CONSTRAINT push_subscriptions_p256dh_check CHECK ((p256dh ~ '^[A-Za-z0-9_-]{87}$'::text))
);

CREATE TABLE soundscape.account_deletions (
    user_id uuid NOT NULL,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    emptied_at timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    retry_at timestamp with time zone DEFAULT now() NOT NULL,
    failure text
);

CREATE TABLE soundscape.deliveries (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    bundle_id uuid NOT NULL,
    user_id uuid NOT NULL,
    channel text NOT NULL,
    subscription_id uuid,
    address text,
    state text DEFAULT 'queued'::text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    retry_at timestamp with time zone DEFAULT now() NOT NULL,
    token uuid,
    attempts integer DEFAULT 0 NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    finished_at timestamp with time zone,
    error_code text,
    error_message text,
    CONSTRAINT deliveries_channel_check CHECK ((channel = ANY (ARRAY['email'::text, 'push'::text]))),
    CONSTRAINT deliveries_error_code_check CHECK ((char_length(error_code) <= 64)),
    CONSTRAINT deliveries_error_message_check CHECK ((char_length(error_message) <= 500)),
    CONSTRAINT deliveries_state_check CHECK ((state = ANY (ARRAY['queued'::text, 'running'::text, 'sent'::text, 'dropped'::text, 'dead'::text])))
);

CREATE TABLE soundscape.outbox (
    id bigint NOT NULL,
    user_id uuid NOT NULL,
    channel text NOT NULL,
    kind text NOT NULL,
    audio_id uuid,
    error_code text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    deliver_at timestamp with time zone DEFAULT now() NOT NULL,
    bundle_id uuid,
    CONSTRAINT outbox_channel_check CHECK ((channel = ANY (ARRAY['email'::text, 'push'::text]))),
    CONSTRAINT outbox_error_code_check CHECK ((char_length(error_code) <= 64))
);

CREATE FUNCTION soundscape.delivery_problem(delivery soundscape.deliveries) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    RETURN CASE WHEN (EXISTS (SELECT FROM soundscape.account_deletions a WHERE (a.user_id = (delivery_problem.delivery).user_id))) THEN 'account_closed'::text WHEN ((delivery).expires_at <= now()) THEN COALESCE((delivery).error_code, 'too_old'::text) WHEN ((delivery).attempts >= soundscape.max_unanswered_claims()) THEN 'worker_lost'::text WHEN (((delivery).channel = 'push'::text) AND (NOT (EXISTS (SELECT FROM public.push_subscriptions s WHERE ((s.id = (delivery_problem.delivery).subscription_id) AND (s.user_id = (delivery_problem.delivery).user_id)))))) THEN 'subscription_gone'::text WHEN (((delivery).channel = 'email'::text) AND (soundscape.mail_problem((delivery).user_id) IS NOT NULL)) THEN soundscape.mail_problem((delivery).user_id) WHEN (NOT (EXISTS (SELECT FROM soundscape.outbox o WHERE ((o.bundle_id = (delivery_problem.delivery).bundle_id) AND soundscape.is_notified((delivery_problem.delivery).user_id, o.kind, (delivery_problem.delivery).channel))))) THEN 'switched_off'::text ELSE NULL::text END;

CREATE FUNCTION soundscape.delivery_stats() RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select jsonb_object_agg(s.channel, jsonb_build_object(
        'is_on', c.is_on, 'reason', c.reason, 'reported_at', c.reported_at,
        'waiting', (
            select count(*) from soundscape.outbox o where o.bundle_id is null and o.channel = s.channel),
        'queued', (
            select count(*) from soundscape.deliveries d where d.state = 'queued' and d.channel = s.channel),
        'running', (
            select count(*) from soundscape.deliveries d where d.state = 'running' and d.channel = s.channel),
        'oldest_s', (
            select extract(epoch from clock_timestamp() - min(d.created_at))::double precision
            from soundscape.deliveries d where d.state in ('queued', 'running') and d.channel = s.channel),
        'ended_in_a_day', (
            select coalesce(jsonb_object_agg(e.state, e.number), '{}')
            from (select d.state, count(*) as number from soundscape.deliveries d
                  where d.channel = s.channel and d.finished_at > now() - interval '1 day' group by d.state) as e),
        'failed', (
            select coalesce(jsonb_object_agg(e.error_code, e.number), '{}')
            from (select coalesce(d.error_code, '') as error_code, count(*) as number from soundscape.deliveries d
                  where d.channel = s.channel and d.state in ('dropped', 'dead') group by 1) as e)))
    from soundscape.delivery_settings s join soundscape.channels c on c.channel = s.channel
$$;

CREATE FUNCTION soundscape.describe_batch(rows jsonb, places integer[], names text[]) RETURNS TABLE(place integer, id uuid, status text, result text)
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $_$
#variable_conflict use_column
declare
    changeable constant text[] := (
        select coalesce(array_agg(n order by n), '{}') from unnest(names) as n
        where has_column_privilege('public.audio_files', n, 'update'));
    made jsonb;
    different uuid[] := '{}';
    changed uuid[] := '{}';
begin
    execute format(
        'with made as ('
        'insert into public.audio_files (%1$s) '
        'select %2$s from unnest($2) as p (place), '
        'lateral jsonb_populate_record(null::public.audio_files, $1 -> p.place) as r '
        -- Triggers look at each row before a conflict is found, so known conflicts are left out.
        'where not exists (select from public.audio_files f where f.file_path = r.file_path '
        'and f.user_id = (select auth.uid()) and f.user_id = coalesce(r.user_id, f.user_id)) order by p.place '
        'on conflict (file_path) do nothing returning file_path, id, status) '
        'select coalesce(jsonb_object_agg('
        'm.file_path, jsonb_build_object(''id'', m.id, ''status'', m.status)), ''{}'') from made m',
        (select string_agg(quote_ident(n), ', ') from unnest(names) as n),
        (select string_agg('r.' || quote_ident(n), ', ') from unnest(names) as n))
    into made using rows, places;
    -- Somebody else's was refused by lock_recording_name.
    if changeable <> '{}' and exists (
        select from unnest(places) as p where not made ? (rows -> p ->> 'file_path')) then
        execute format(
            'select coalesce(array_agg(f.id), ''{}'') from unnest($2) as p (place) '
            'join public.audio_files f on f.file_path = $1 -> p.place ->> ''file_path'' '
            'and f.user_id = (select auth.uid()), '
            'lateral jsonb_populate_record(f, $1 -> p.place) as r '
            'where not $3 ? f.file_path and row(%1$s) is distinct from row(%2$s)',
            (select string_agg('f.' || quote_ident(n), ', ') from unnest(changeable) as n),
            (select string_agg('r.' || quote_ident(n), ', ') from unnest(changeable) as n))
        into different using rows, places, made;
    end if;
    if different <> '{}' then
        execute format(
            'with changed as ('
            'update public.audio_files f set (%1$s) = ('
            'select %2$s from jsonb_populate_record(f, $1 -> p.place) as r) '
            'from unnest($2) as p (place) '
            'where f.file_path = $1 -> p.place ->> ''file_path'' and f.id = any ($3) returning f.id) '
            'select coalesce(array_agg(c.id), ''{}'') from changed c',
            (select string_agg(quote_ident(n), ', ') from unnest(changeable) as n),
            (select string_agg('r.' || quote_ident(n), ', ') from unnest(changeable) as n))
        into changed using rows, places, different;
    end if;
    return query
        select p.place, coalesce((m.row ->> 'id')::uuid, f.id), coalesce(m.row ->> 'status', f.status),
            case when m.row is not null then 'created'
                 when f.id = any (changed) then 'updated'
                 when f.id = any (different) then 'refused'
                 else 'unchanged' end
        from unnest(places) as p (place)
        cross join lateral (select made -> (rows -> p.place ->> 'file_path')) as m (row)
        left join public.audio_files f on m.row is null and f.file_path = rows -> p.place ->> 'file_path'
            and f.user_id = (select auth.uid());
end
$_$;

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
    insert into public.audio_files (user_id, title, description, file_path, is_public, tags, license, attribution)
    values (
        soundscape.owner_of(object.name, object.owner_id),
        coalesce(soundscape.title_or_null(said ->> 'title'), soundscape.title_or_null(draft_title), 'Untitled'),
        left(said ->> 'description', 5000),
        object.name,
        -- Nobody has described a draft yet. It stays private whatever the upload said.
        draft_title is null and coalesce(said -> 'is_public' in ('true', '"true"'), false),
        tags,
        soundscape.license_or_null(said ->> 'license'),
        left(substring(said ->> 'attribution' from '.*\S.*'), 1000))
    on conflict (file_path) do nothing;
end
$$;

CREATE FUNCTION soundscape.digest(account uuid, moment timestamp with time zone) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select soundscape.digest_between(account, coalesce(d.begins, w.begins), coalesce(d.ends, w.ends))
    from soundscape.digest_week(account, moment) w
    -- The outbox has the moment of the transaction that queued it.
    left join soundscape.digests d on d.user_id = account and d.queued_at = moment
$$;

CREATE FUNCTION soundscape.digest_between(account uuid, begins timestamp with time zone, ends timestamp with time zone) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    with recordings as (
        select f.id, f.title,
            exists (
                select from soundscape.first_ready r
                where r.audio_id = f.id and r.ready_at >= begins and r.ready_at < ends) as is_new,
            (select count(*) from public.likes l where l.audio_id = f.id and l.user_id <> account
             and l.created_at >= begins and l.created_at < ends) as likes
        from public.audio_files f where f.user_id = account)
    select jsonb_build_object(
        'ready', count(*) filter (where r.is_new),
        'likes', coalesce(sum(r.likes), 0),
        'liked', coalesce((
            select jsonb_agg(jsonb_build_object('id', t.id, 'title', t.title, 'likes', t.likes))
            from (select * from recordings where likes > 0 order by likes desc, id limit 3) as t), '[]'),
        'collected', (
            select count(*) from public.playlist_items i
            join public.playlists p on p.id = i.playlist_id and p.is_public and p.user_id <> account
            join public.audio_files f on f.id = i.audio_id and f.user_id = account
            where i.added_at >= begins and i.added_at < ends))
    from recordings r
$$;

CREATE FUNCTION soundscape.digest_time(zone text, moment timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE
    SET search_path TO ''
    RETURN ((date_trunc('week'::text, (moment AT TIME ZONE zone)) + '08:00:00'::interval) AT TIME ZONE zone);

CREATE FUNCTION soundscape.digest_week(account uuid, moment timestamp with time zone) RETURNS TABLE(begins timestamp with time zone, ends timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
    SET search_path TO ''
    AS $$
    select greatest(
            coalesce(d.ends, soundscape.digest_time(p.zone, w.ends - interval '1 day')), w.ends - interval '14 days'),
        w.ends
    from (select coalesce(
            (select p.time_zone from public.user_preferences p where p.user_id = account), 'UTC') as zone) as p
    cross join lateral (select soundscape.digest_time(p.zone, moment) as ends) as w
    left join soundscape.digests d on d.user_id = account and d.ends < w.ends
$$;

CREATE FUNCTION soundscape.discard_unused_objects(bucket text, names text[]) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
declare
    discarded integer;
begin
    -- For an hour an object may belong to a job that is about to be completed.
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id = bucket and o.name = any (names) and o.created_at < now() - interval '1 hour' and (
        bucket = 'waveforms' and not exists (
            select from public.audio_features f
            where f.audio_id = soundscape.uuid_or_null(o.path_tokens[1])
              and starts_with(o.name, regexp_replace(f.waveform_path, '[^/]*$', '')))
        and not exists (
            select from public.audio_files f
            where f.id = soundscape.uuid_or_null(o.path_tokens[1]) and f.preview_path = o.name)
        or bucket in ('audio-files', 'profile-images')
        and soundscape.owner_of(o.name, o.owner_id) is not null
        and not exists (select from public.users u where u.id = soundscape.owner_of(o.name, o.owner_id))
        and not exists (select from public.audio_files f where f.file_path = o.name and bucket = 'audio-files'))
    and not exists (select from soundscape.deletions r where r.bucket_id = o.bucket_id and r.name = o.name)
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

CREATE FUNCTION soundscape.metres_per_degree() RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN 111195;

CREATE FUNCTION soundscape.distance_m(from_latitude double precision, from_longitude double precision, to_latitude double precision, to_longitude double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN ((((2)::double precision * degrees((1)::double precision)) * soundscape.metres_per_degree()) * asin(sqrt(LEAST((1)::double precision, ((sin((radians((to_latitude - from_latitude)) / (2)::double precision)) ^ (2)::double precision) + ((cos(radians(from_latitude)) * cos(radians(to_latitude))) * (sin((radians((to_longitude - from_longitude)) / (2)::double precision)) ^ (2)::double precision)))))));

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

CREATE FUNCTION soundscape.draft_undescribed_objects(names text[]) RETURNS integer
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
        where o.bucket_id = 'audio-files' and o.name = any (names)
          and o.metadata ? 'eTag' and o.created_at < now() - interval '1 minute'
          and (o.name like 'public/_%' or o.name like u.id::text || '/_%')
          and soundscape.object_name_problem(o.name) is null
          and not exists (select from public.audio_files f where f.file_path = o.name)
          and not exists (select from soundscape.deletions r where r.bucket_id = 'audio-files' and r.name = o.name)
        order by o.created_at
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

CREATE FUNCTION soundscape.emptied_accounts(max_accounts integer DEFAULT 20) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 20
    SET search_path TO ''
    AS $$
    select d.user_id from soundscape.account_deletions d join auth.users a on a.id = d.user_id
    where d.emptied_at is not null order by d.emptied_at limit max_accounts
$$;

CREATE FUNCTION soundscape.empty_account(account uuid, max_recordings integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    owned regclass;
begin
    -- The owner is locked before the recording, everywhere.
    perform from public.users where id = account for update;
    if not soundscape.delete_some_rows('public.audio_files', account, max_recordings) then
        return false;
    end if;
    delete from public.playlist_items where id in (
        select i.id from public.playlists p join public.playlist_items i on i.playlist_id = p.id
        where p.user_id = account limit 100 * max_recordings);
    if found and exists (
        select from public.playlists p join public.playlist_items i on i.playlist_id = p.id where p.user_id = account)
    then
        return false;
    end if;
    -- What a user may own in any number. The rest goes with the row of the user.
    foreach owned in array array[
        'public.playlists', 'public.listening_events', 'public.impressions', 'public.likes',
        'public.notifications']::regclass[]
    loop
        if not soundscape.delete_some_rows(owned, account, 100 * max_recordings) then
            return false;
        end if;
    end loop;
    -- The words stay for others who use them, and are at most owner_limits.max_words.
    update soundscape.vocabulary set added_by = null where added_by = account;
    if exists (select from auth.users a where a.id = account) then
        update soundscape.account_deletions set emptied_at = now() where user_id = account;
    else
        delete from public.users where id = account;
        delete from soundscape.account_deletions where user_id = account;
    end if;
    return true;
end
$$;

CREATE FUNCTION soundscape.empty_accounts(max_s integer DEFAULT 3) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    deadline timestamptz := clock_timestamp() + make_interval(secs => least(max_s, 5));
    due record;
    has_tried boolean := false;
begin
    loop
        -- Two workers empty two accounts. After a failure the batches are smaller.
        select d.user_id, greatest(1, 10 / (d.attempts + 1)) as max_recordings into due
        from soundscape.account_deletions d
        where d.retry_at <= clock_timestamp()
          and (d.emptied_at is null or not exists (select from auth.users a where a.id = d.user_id))
        order by d.requested_at limit 1 for update of d skip locked;
        exit when due.user_id is null;
        has_tried := true;
        perform soundscape.try_to_empty_account(due.user_id, due.max_recordings);
        exit when clock_timestamp() >= deadline;
    end loop;
    return case when has_tried then (
        select count(*) from soundscape.account_deletions d
        where d.retry_at <= clock_timestamp() and d.emptied_at is null) else 0 end;
end
$$;

CREATE FUNCTION soundscape.encode_cursor(page soundscape.page) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO ''
    RETURN translate(encode(convert_to((to_jsonb(page))::text, 'UTF8'::name), 'base64'::text), '+/=
'::text, '-_'::text);

CREATE TABLE soundscape.caption_jobs (
    audio_id uuid NOT NULL,
    token uuid,
    attempts integer DEFAULT 0 NOT NULL,
    retry_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE FUNCTION soundscape.end_caption_job(recording uuid, token uuid, tokens integer) RETURNS soundscape.caption_jobs
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    job soundscape.caption_jobs;
    today constant date := (now() at time zone 'UTC')::date;
    difference constant integer := greatest(0, end_caption_job.tokens) - soundscape.token_reserve();
begin
    perform from public.audio_captions c where c.audio_id = recording for no key update;
    select * into job from soundscape.caption_jobs j
    where j.audio_id = recording and j.token = end_caption_job.token for update;
    if job.audio_id is null then
        raise exception 'Another worker has this caption, or nobody wants it any more.'
            using errcode = 'PT409', hint = 'Drop the work.';
    end if;
    update soundscape.caption_days d set tokens = greatest(0, d.tokens + difference) where d.day = today;
    update soundscape.caption_owners o set tokens = greatest(0, o.tokens + difference)
    where o.day = today and o.user_id = (select f.user_id from public.audio_files f where f.id = recording);
    return job;
end
$$;

CREATE FUNCTION soundscape.end_delivery(delivery uuid, final_state text, code text, message text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    update soundscape.deliveries d
    set state = final_state, finished_at = now(), token = null, address = null,
        error_code = left(code, 64), error_message = left(message, 500)
    where d.id = delivery
$$;

CREATE FUNCTION soundscape.end_export(export uuid, code text, message text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    update public.exports e
    set status = 'failed', error_code = code, error_message = message, finished_at = now() where e.id = export;
    delete from soundscape.export_jobs j where j.export_id = export;
    delete from soundscape.export_checksums c where c.export_id = export;
    perform soundscape.delete_unnamed_exports(e.user_id, e.id) from public.exports e where e.id = export;
end
$$;

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

CREATE FUNCTION soundscape.end_of_quiet(zone text, quiet_from time without time zone, quiet_until time without time zone, moment timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE
    SET search_path TO ''
    RETURN (SELECT CASE WHEN (((end_of_quiet.quiet_from < end_of_quiet.quiet_until) AND (here.clock >= end_of_quiet.quiet_from) AND (here.clock < end_of_quiet.quiet_until)) OR ((end_of_quiet.quiet_from > end_of_quiet.quiet_until) AND (here.clock < end_of_quiet.quiet_until))) THEN ((here.day + end_of_quiet.quiet_until) AT TIME ZONE end_of_quiet.zone) WHEN ((end_of_quiet.quiet_from > end_of_quiet.quiet_until) AND (here.clock >= end_of_quiet.quiet_from)) THEN (((here.day + 1) + end_of_quiet.quiet_until) AT TIME ZONE end_of_quiet.zone) ELSE NULL::timestamp with time zone END AS "case" FROM (SELECT ((end_of_quiet.moment AT TIME ZONE end_of_quiet.zone))::date AS day, ((end_of_quiet.moment AT TIME ZONE end_of_quiet.zone))::time without time zone AS clock) here);

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

CREATE FUNCTION soundscape.enqueue_preview(recording uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
-- The caller holds the recording.
begin
    if soundscape.wants_preview(recording) then
        perform soundscape.enqueue(f.id, f.object_version, 'soundscape_previews')
        from public.audio_files f where f.id = recording;
    end if;
end
$$;

CREATE FUNCTION soundscape.exact_copies(file public.audio_files, result jsonb, among uuid[] DEFAULT NULL::uuid[]) RETURNS TABLE(audio_id uuid, evidence jsonb)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 10
    SET search_path TO ''
    AS $$
    with source as (
        select s as this, coalesce(s ->> 'pcm_blake3', s ->> 'pcm_sha256') as samples,
            case when s ? 'pcm_blake3' then 'pcm_blake3' else 'pcm_sha256' end as kind
        from (select result -> 'source' as s) as given)
    select f.audio_id, jsonb_strip_nulls(jsonb_build_object(
        'sha256', case when f.sha256 = this ->> 'sha256' then f.sha256 end,
        kind, case
            when coalesce(f.descriptors #>> '{source,pcm_blake3}', f.descriptors #>> '{source,pcm_sha256}') = samples
            then samples end,
        'offset_s', 0))
    from source, public.audio_features f
    where f.audio_id <> file.id and (among is null or f.audio_id = any (among))
      -- A recording with new bytes is about to be analysed again.
      and f.object_version = (select a.object_version from public.audio_files a where a.id = f.audio_id)
      and (
        f.sha256 = this ->> 'sha256'
        or coalesce(f.descriptors #>> '{source,pcm_blake3}', f.descriptors #>> '{source,pcm_sha256}') = samples
           and f.descriptors #> '{source,sample_rate}' = this -> 'sample_rate'
           and f.descriptors #> '{source,channels}' = this -> 'channels')
    -- Recordings that the owner sees come first.
    order by f.user_id = file.user_id desc, f.is_listed desc, f.created_at limit case when among is null then 50 end
$$;

CREATE FUNCTION soundscape.expire_exports() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    delete from soundscape.export_requests r where r.requested_at < now() - interval '1 day';
    update public.exports e set status = 'expired', file_path = null
    where e.status = 'ready' and e.expires_at < now();
    -- A worker may store an object at the moment when its export is deleted or fails.
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id = 'exports' and o.created_at < now() - interval '1 day'
      and not exists (
        select from public.exports e
        where e.id = soundscape.uuid_or_null(left(split_part(o.name, '/', 2), 36))
          and e.status in ('queued', 'running', 'ready'))
    on conflict do nothing;
end
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
                    where this.embedding operator(extensions.<=>) e.embedding <= 1 - soundscape.min_similarity()
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

CREATE FUNCTION soundscape.export_condition(via text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO ''
    RETURN CASE via WHEN 'audio_id'::text THEN 'r.audio_id in (select f.id from public.audio_files f where f.user_id = $1)'::text WHEN 'playlist_id'::text THEN 'r.playlist_id in (select p.id from public.playlists p where p.user_id = $1)'::text WHEN 'claim'::text THEN 'r.id in (select soundscape.claims_of($1))'::text ELSE format('r.%I = $1'::text, via) END;

CREATE FUNCTION soundscape.export_gone() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.delete_unnamed_exports(old.user_id, old.id);
    return null;
end
$$;

CREATE FUNCTION soundscape.export_my_data() RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    caller uuid := auth.uid();
    asked uuid;
begin
    if caller is null or soundscape.session_scope() not in ('account', 'all') then
        raise exception 'Only the user may ask for their data.' using errcode = '42501', hint = 'Sign in.';
    end if;
    perform from public.users u where u.id = caller for no key update;
    select e.id into asked from public.exports e where e.user_id = caller and e.status in ('queued', 'running');
    if asked is null then
        insert into public.exports (user_id) values (caller) returning id into asked;
        insert into soundscape.export_jobs (export_id) values (asked);
        insert into soundscape.export_requests (user_id) values (caller);
        perform soundscape.refuse_over_limit(
            (select count(*) from soundscape.export_requests r
             where r.user_id = caller and r.requested_at > now() - interval '1 day'),
            l.max_exports_per_day, 'exports a day')
        from soundscape.owner_limits l;
    end if;
    return asked;
end
$$;

CREATE FUNCTION soundscape.export_paths(first_path text, parts integer) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN CASE WHEN (first_path IS NOT NULL) THEN ARRAY(SELECT CASE n.n WHEN 1 THEN export_paths.first_path ELSE regexp_replace(export_paths.first_path, '\.zip$'::text, (('-'::text || n.n) || '.zip'::text)) END AS regexp_replace FROM generate_series(1, export_paths.parts) n(n) ORDER BY n.n) ELSE NULL::text[] END;

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

CREATE FUNCTION soundscape.expose_name(object_name text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    insert into soundscape.exposed_names (digest) values (soundscape.name_digest(object_name)) on conflict do nothing
$$;

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

CREATE FUNCTION soundscape.fail_caption(recording uuid, token uuid, code text, retry_s integer DEFAULT NULL::integer, tokens integer DEFAULT 0, is_counted boolean DEFAULT true) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    job soundscape.caption_jobs := soundscape.end_caption_job(recording, token, tokens);
begin
    if retry_s is not null and (job.attempts < 5 or not is_counted) then
        update soundscape.caption_jobs j
        set token = null, attempts = j.attempts - (not is_counted)::integer,
            retry_at = now() + make_interval(
                secs => case when is_counted then greatest(retry_s, 30 * power(2, job.attempts)) else retry_s end)
        where j.audio_id = recording;
        return 'queued';
    end if;
    delete from soundscape.caption_jobs j where j.audio_id = recording;
    update public.audio_captions c set status = 'failed', error_code = left(code, 64), updated_at = now()
    where c.audio_id = recording and not c.is_by_owner;
    return 'failed';
end
$$;

CREATE FUNCTION soundscape.fail_delivery(delivery uuid, token uuid, outcome text, code text, message text, retry_after_s integer DEFAULT 0) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    held soundscape.deliveries := soundscape.hold_delivery(delivery, token);
    final_state text;
begin
    if outcome = 'gone' then
        if held.channel = 'push' then
            delete from public.push_subscriptions s where s.id = held.subscription_id;
        else
            insert into soundscape.ended_addresses as e (user_id, address, message, error_code)
            values (held.user_id, held.address, left(message, 500), left(code, 64))
            on conflict (user_id) do update
            set address = excluded.address, message = excluded.message, error_code = excluded.error_code,
                ended_at = now();
        end if;
        final_state := 'dropped';
    elsif outcome = 'refused' then
        final_state := 'dead';
    elsif outcome not in ('later', 'released') then
        raise exception 'outcome must be later, released, refused or gone, not %', outcome using errcode = '22023';
    elsif outcome = 'later' and held.expires_at <= now() + make_interval(secs => retry_after_s) then
        final_state := 'dead';
    end if;
    if final_state is not null then
        perform soundscape.end_delivery(delivery, final_state, code, message);
        return final_state;
    end if;
    update soundscape.deliveries d
    set state = 'queued', token = null, attempts = 0,
        failures = d.failures + case when outcome = 'later' then 1 else 0 end,
        retry_at = case when outcome = 'released' then now() else clock_timestamp() + greatest(
            make_interval(secs => retry_after_s), soundscape.retry_wait(d.channel, d.failures + 1)) end,
        error_code = left(code, 64), error_message = left(message, 500)
    where d.id = delivery;
    return 'queued';
end
$$;

CREATE FUNCTION soundscape.fail_export(export uuid, token uuid, code text, message text, is_final boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    is_hopeless boolean;
begin
    perform soundscape.hold_export(export, token);
    update soundscape.export_jobs j
    set token = null, leased_until = null, failures = j.failures + 1,
        retry_at = now() + make_interval(secs => 5 * power(3, j.failures))
    where j.export_id = export returning j.failures >= 5 into is_hopeless;
    if is_final or is_hopeless then
        perform soundscape.end_export(export, code, message);
    end if;
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

CREATE FUNCTION soundscape.fill_from_file(file public.audio_files, capture jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
-- The caller holds the recording.
declare
    recorded timestamptz := (capture ->> 'recorded_at')::timestamptz;
    north double precision := (capture ->> 'latitude')::double precision;
    east double precision := (capture ->> 'longitude')::double precision;
begin
    -- A recorder's clock may be in another zone; what is later than that is no clock.
    if recorded > now() + interval '1 day' then
        recorded := null;
    end if;
    if (north between -90 and 90 and east between -180 and 180) is not true then
        north := null;
        east := null;
    end if;
    if soundscape.allows_filling(file)
        and (file.recorded_at is null and recorded is not null or file.latitude is null and north is not null)
    then
        -- A trigger rounds the place to location_precision_m.
        update public.audio_files f
        set recorded_at = coalesce(f.recorded_at, recorded), latitude = coalesce(f.latitude, north),
            longitude = coalesce(f.longitude, east)
        where f.id = file.id;
    end if;
end
$$;

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
    own_hash constant integer := soundscape.owner_hash(seer);
    own soundscape.fingerprints;
    numbers record;
    hidden uuid[] := '{}';
    sees_hidden boolean := false;
    index_size bigint;
    closed constant uuid[] := soundscape.closed_accounts();
begin
    if version not between 1 and 511 then
        return;
    end if;
    select * into own from soundscape.fingerprints f
    where f.audio_id = for_recording and f.version = fingerprint_candidates.version;
    select * into numbers from soundscape.searched_numbers(version, seer, all_owners);
    if numbers.last is null then
        numbers.first := 0;
        numbers.last := 0;
    end if;
    if not all_owners and soundscape.has_permission(seer, 'recordings.moderate') then
        hidden := soundscape.hidden_fingerprints(version, seer, for_recording, max_postings_per_key);
        sees_hidden := hidden <> '{}';
    end if;
    -- Others read the claims about a recording. A count must not tell them how much is private.
    index_size := soundscape.index_size(version, null) - case when own.is_listed then own.key_count else 0 end;
    if for_recording is null then
        index_size := index_size + case when all_owners
            then (select coalesce(sum(f.key_count), 0) from soundscape.fingerprints f
                  where f.version = fingerprint_candidates.version and not f.is_listed)
            else soundscape.index_size(version, seer)
                + (select coalesce(sum(f.key_count), 0) from soundscape.fingerprints f
                   where f.audio_id = any (hidden)) end;
    end if;
    return query
        with asked as (
            select soundscape.posting_key(version, a.key) as key, a.frame,
                   -- Each key starts at another recording. Otherwise the oldest would take all places of the limit.
                   (numbers.first + a.key::bigint * 2654435761
                       % (numbers.last::bigint - numbers.first + 1))::integer as middle
            from unnest(keys, frames) as a (key, frame) where a.key between 0 and 4194303),
        -- Postings are of recordings that the caller sees: listed ones, and those of the caller or of all owners. All
        -- four queries are ordered, so that Postgres merges them and reads no more than the limit.
        read as (
            select p.number, p.frame as held_frame, asked.frame
            from asked
            cross join lateral (
                (select u.number, u.frame from (
                     (select i.number, i.frame from soundscape.postings i
                      where i.key = asked.key and i.number >= asked.middle and i.number is distinct from own.number
                      order by i.number, i.frame)
                     union all
                     (select i.number, i.frame from soundscape.unlisted_postings i
                      where (all_owners or i.owner_hash = own_hash)
                        and (not all_owners or i.key >= '-2147483648'::integer)
                        and i.key = asked.key and i.number >= asked.middle and i.number is distinct from own.number
                      order by i.number, i.frame)
                 ) as u order by u.number, u.frame limit max_postings_per_key)
                union all
                (select u.number, u.frame from (
                     (select i.number, i.frame from soundscape.postings i
                      where i.key = asked.key and i.number < asked.middle and i.number is distinct from own.number
                      order by i.number, i.frame)
                     union all
                     (select i.number, i.frame from soundscape.unlisted_postings i
                      where (all_owners or i.owner_hash = own_hash)
                        and (not all_owners or i.key >= '-2147483648'::integer)
                        and i.key = asked.key and i.number < asked.middle and i.number is distinct from own.number
                      order by i.number, i.frame)
                 ) as u order by u.number, u.frame limit max_postings_per_key)
                limit max_postings_per_key) as p
            union all
            select p.number, p.frame, asked.frame
            from soundscape.fingerprints f
            cross join lateral soundscape.postings_of(f.version, f.number, f.keys, f.frames) as p
            join asked on asked.key = p.key
            where sees_hidden and f.audio_id = any (hidden)),
        held as (
            -- The number of the recording is in the high half, the offset in steps of two frames in the low half.
            select r.number::bigint << 32 | (r.held_frame::bigint - r.frame >> 1) + 1073741824 as place
            from read r),
        counted as materialized (
            select h.place, count(*)::integer as pairs from held h group by h.place having count(*) > 1),
        best as (
            select c.place, c.pairs from counted c order by c.pairs desc, c.place limit least(max_candidates, 256))
        select f.audio_id, (((b.place & 4294967295) - 1073741824) * 2 + 1)::integer,
               b.pairs + coalesce((select n.pairs from counted n where n.place = b.place + 1), 0), index_size
        from best b join soundscape.fingerprints f on f.number = (b.place >> 32)::integer
        -- Two owners may share a hash.
        where (all_owners or f.is_listed or f.user_id = seer or f.audio_id = any (hidden))
          and f.user_id <> all (closed);
end
$$;

CREATE FUNCTION soundscape.finish_round(max_s integer DEFAULT 5) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    deadline timestamptz := clock_timestamp() + make_interval(secs => max_s);
    counts jsonb := '{"attached": 0, "drafted": 0, "resent": 0, "discarded": 0}';
    page soundscape.sweep_pages;
begin
    if not soundscape.lock_sweep() then
        return counts;
    end if;
    while clock_timestamp() < deadline loop
        select * into page from soundscape.sweep_pages p
        where p.round_ended_at is null or p.round_ended_at < now() - interval '12 hours'
        order by p.kind limit 1;
        exit when page.kind is null;
        counts := soundscape.add_counts(counts, soundscape.try_page(page.kind));
    end loop;
    return counts;
end
$$;

CREATE FUNCTION soundscape.first_open_day(moment timestamp with time zone DEFAULT now()) RETURNS date
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN (((moment AT TIME ZONE 'UTC'::text))::date - 1);

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

CREATE FUNCTION soundscape.flag(key text, fallback boolean DEFAULT false) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER PARALLEL RESTRICTED
    SET search_path TO ''
    RETURN COALESCE(soundscape.flag_for(key, auth.uid()), fallback);

CREATE FUNCTION soundscape.flags() RETURNS TABLE(key text, is_on boolean)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 20 PARALLEL RESTRICTED
    SET search_path TO ''
    AS $$
    select f.key, soundscape.flag_for(f.key, auth.uid()) from public.feature_flags f order by f.key
$$;

CREATE FUNCTION soundscape.flags_for(keys text[], user_ids uuid[]) RETURNS boolean[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL RESTRICTED
    SET search_path TO ''
    AS $$
declare
    max_questions constant integer := 1000;
begin
    if coalesce(cardinality(keys), 0) <> coalesce(cardinality(user_ids), 0) or cardinality(keys) > max_questions then
        raise exception 'There are % keys and % users.', coalesce(cardinality(keys), 0),
            coalesce(cardinality(user_ids), 0)
            using errcode = '22023', hint = format('One user for each key, at most %s.', max_questions);
    end if;
    return array(
        select soundscape.flag_for(q.key, q.user_id)
        from unnest(keys, user_ids) with ordinality as q (key, user_id, place) order by q.place);
end
$$;

CREATE FUNCTION soundscape.folder_of(object_name text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN regexp_replace(object_name, '[^/]*$'::text, ''::text);

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

CREATE FUNCTION soundscape.follow_move(former storage.objects, object storage.objects) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    file public.audio_files;
begin
    -- The eTag may change: a copy of what was uploaded in parts has another one. A move has the same bytes always.
    update public.audio_files
    set file_path = object.name, object_version = object.version, object_etag = object.metadata ->> 'eTag'
    where object_id = object.id
      and (former.name is distinct from object.name or status in ('queued', 'analyzing', 'ready'))
    returning * into file;
    if file.id is null then
        -- Its recording was deleted while it was moved. The deletion follows it.
        update soundscape.deletions set name = object.name
        where bucket_id = 'audio-files' and name = former.name and former.name is distinct from object.name;
        return found;
    end if;
    update soundscape.jobs set object_version = object.version
    where state in ('queued', 'running') and audio_id = file.id;
    update public.audio_features set object_version = object.version
    where object_version = former.version and audio_id = file.id;
    update soundscape.fingerprints set object_version = object.version
    where object_version = former.version and audio_id = file.id;
    if former.name is distinct from object.name then
        delete from soundscape.renames where bucket_id = 'audio-files' and name = former.name;
        if file.is_listed then
            perform soundscape.expose_name(former.name);
        end if;
        perform soundscape.request_file_rename(file);
    end if;
    return true;
end
$$;

CREATE FUNCTION soundscape.forget_image() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    delete from soundscape.image_checks c where c.object_id = old.id;
    return null;
end
$$;

CREATE FUNCTION soundscape.forget_preview(recording uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
-- The caller holds the recording.
declare
    former text := (select f.preview_path from public.audio_files f where f.id = recording);
begin
    if former is not null then
        update public.audio_files set preview_path = null, preview_size_bytes = null where id = recording;
        insert into soundscape.deletions (bucket_id, name) values ('waveforms', former) on conflict do nothing;
    end if;
end
$$;

CREATE FUNCTION soundscape.forget_reporter() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
    new.details := null;
    return new;
end
$$;

CREATE FUNCTION soundscape.forget_stored_object() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    delete from soundscape.stored_objects s where s.object_id = old.id;
    return null;
end
$$;

CREATE FUNCTION soundscape.given_part(object_name text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN "substring"(object_name, '/(r-[0-9a-f]{32})(?:/|$)'::text);

CREATE FUNCTION soundscape.uuid_or_null(candidate text) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN CASE WHEN (candidate ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'::text) THEN (candidate)::uuid ELSE NULL::uuid END;

CREATE FUNCTION soundscape.owner_of(object_name text, owner_id text) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN COALESCE(soundscape.uuid_or_null(owner_id), soundscape.uuid_or_null(split_part(object_name, '/'::text, 1)));

CREATE FUNCTION soundscape.has_limited_size(object storage.objects) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN (((object).bucket_id = ANY (ARRAY['audio-files'::text, 'profile-images'::text])) AND ((object).metadata ? 'eTag'::text) AND (soundscape.owner_of((object).name, (object).owner_id) IS NOT NULL));

CREATE FUNCTION soundscape.has_lost_job(recording uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select case
        when j.id is null then f.status in ('queued', 'analyzing')
        when j.msg_id is null then false
        else soundscape.visible_at(j.queue, j.msg_id) is null
    end
    from public.audio_files f
    left join soundscape.jobs j on j.audio_id = f.id and j.state in ('queued', 'running')
    where f.id = recording
$$;

CREATE FUNCTION soundscape.hidden_fingerprints(version integer, seer uuid, for_recording uuid, max_hidden integer) RETURNS uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select coalesce(array_agg(h.audio_id), '{}') from (
        select f.audio_id from public.audio_files a join soundscape.fingerprints f on f.audio_id = a.id
        where a.hidden_at is not null and f.version = hidden_fingerprints.version
          and f.audio_id is distinct from for_recording and not f.is_listed and f.user_id <> seer
        order by a.hidden_at desc limit max_hidden) as h
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

CREATE FUNCTION soundscape.hold_delivery(delivery uuid, token uuid) RETURNS soundscape.deliveries
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    held soundscape.deliveries;
begin
    select * into held from soundscape.deliveries d
    where d.id = delivery and d.state = 'running' and d.token = hold_delivery.token for update;
    if held.id is null then
        raise exception 'Another worker has this delivery, or it has ended.'
            using errcode = 'PT409', hint = 'Drop the work.';
    end if;
    return held;
end
$$;

CREATE FUNCTION soundscape.hold_export(export uuid, token uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform from soundscape.export_jobs j where j.export_id = export and j.token = hold_export.token for update;
    if not found then
        raise exception 'Another worker has this export.' using errcode = 'PT409', hint = 'Drop the work.';
    end if;
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

CREATE FUNCTION soundscape.index_size(wanted_version integer, wanted_owner uuid) RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select coalesce(sum(c.key_count), 0)::bigint from (
        select s.key_count from soundscape.index_sizes s
        where s.version = wanted_version and s.owner is not distinct from wanted_owner
        union all
        select i.key_count from soundscape.index_size_changes i
        where i.version = wanted_version and i.owner is not distinct from wanted_owner) as c
$$;

CREATE FUNCTION soundscape.index_snapshot() RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$ select pg_current_snapshot()::text $$;

CREATE FUNCTION soundscape.is_copying() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO ''
    RETURN COALESCE((current_setting('storage.operation'::text, true) ~~ '%copy'::text), false);

CREATE FUNCTION soundscape.is_findable(file public.audio_files) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN ((file).is_listed AND (((file).status = ANY (ARRAY['queued'::text, 'analyzing'::text, 'ready'::text])) OR ((file).analyzed_at IS NOT NULL)));

CREATE TABLE soundscape.renames (
    id bigint NOT NULL,
    audio_id uuid NOT NULL,
    bucket_id text NOT NULL,
    name text NOT NULL,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    taken_at timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    object_id uuid,
    new_name text,
    CONSTRAINT renames_bucket_id_check CHECK ((bucket_id = ANY (ARRAY['audio-files'::text, 'waveforms'::text])))
);

CREATE FUNCTION soundscape.is_named(wanted soundscape.renames, file public.audio_files) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select case wanted.bucket_id
        when 'audio-files' then file.file_path = wanted.name and file.object_id is not null
        else coalesce(soundscape.folder_of(file.preview_path) = wanted.name, false) or exists (
            select from public.audio_features a
            where a.audio_id = file.id and soundscape.folder_of(a.waveform_path) = wanted.name) end
$$;

CREATE FUNCTION soundscape.is_not_estimated() RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
-- It is declared immutable, so that the planner evaluates it, under EXPLAIN too, and no query evaluates it again.
begin
    if current_query() ~* '^(\s|/\*.*?\*/)*explain\M' then
        raise sqlstate 'PT400' using
            message = 'Planned and estimated counts are not available.',
            hint = 'Use count=exact (in supabase-js: { count: ''exact'' }).';
    end if;
    return true;
end
$$;

CREATE FUNCTION soundscape.is_play(listened_s real, duration double precision) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN ((listened_s > (0)::double precision) AND (listened_s >= LEAST((30)::double precision, COALESCE((duration / (2)::double precision), (30)::double precision))));

CREATE FUNCTION soundscape.is_seen_by(recording public.audio_files, viewer uuid) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO ''
    RETURN (((recording).user_id = viewer) OR ((recording).is_listed AND ((recording).user_id <> ALL (soundscape.closed_accounts()))));

CREATE FUNCTION soundscape.is_withheld(object_name text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select exists (select from public.audio_files f where f.file_path = object_name and f.hidden_at is not null)
        or exists (
            select from soundscape.deletions d
            where d.bucket_id = 'audio-files' and d.name = object_name and d.is_final)
$$;

CREATE FUNCTION soundscape.jobs_kept_for() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN '90 days'::interval;

CREATE FUNCTION soundscape.keep_pictures(current_prefix text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    -- The folder ends with a slash. The next character after it is 0.
    behind text := left(current_prefix, -1) || '0';
begin
    -- The files that are shown from now on must stay. If a worker has already started to delete them, they may be
    -- gone, and the job is tried again.
    delete from soundscape.deletions
    where bucket_id = 'waveforms' and name collate "C" >= current_prefix and name collate "C" < behind
      and taken_at is null;
    if exists (
        select from soundscape.deletions
        where bucket_id = 'waveforms' and name collate "C" >= current_prefix and name collate "C" < behind)
    then
        raise exception 'Pictures under % are being deleted.', current_prefix
            using errcode = '55P03', hint = 'The next attempt stores them again.';
    end if;
end
$$;

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

CREATE FUNCTION soundscape.leave_names(file public.audio_files, former_name text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.expose_name(former_name);
    perform soundscape.request_file_rename(file);
    -- An analysis that is running may have stored pictures already, in a folder that the row will name later.
    insert into soundscape.renames (audio_id, bucket_id, name)
    select distinct file.id, 'waveforms', soundscape.folder_of(o.name)
    from soundscape.objects_in_folder(file.id::text || '/') o
    on conflict (bucket_id, name) do nothing;
end
$$;

CREATE TABLE public.playlists (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid DEFAULT auth.uid() NOT NULL,
    title text NOT NULL,
    description text,
    is_public boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT playlists_description_check CHECK (soundscape.check_value((char_length(description) <= 5000), 'description_length'::text, 'A description has at most 5000 characters.'::text, 'Shorten it.'::text)),
    CONSTRAINT playlists_title_check CHECK (soundscape.check_value(((title ~ '\S'::text) AND (char_length(title) <= 200)), 'title_length'::text, 'A title has 1 to 200 characters and is not blank.'::text, 'Write another title.'::text))
);

CREATE FUNCTION soundscape.library_owner(changed jsonb, via text) RETURNS uuid
    LANGUAGE sql STABLE
    SET search_path TO ''
    RETURN CASE via WHEN 'user_id'::text THEN ((changed ->> 'user_id'::text))::uuid WHEN 'playlist_id'::text THEN (SELECT p.user_id FROM public.playlists p WHERE (p.id = ((library_owner.changed ->> 'playlist_id'::text))::uuid)) WHEN 'audio_id'::text THEN (SELECT f.user_id FROM public.audio_files f WHERE (f.id = ((library_owner.changed ->> 'audio_id'::text))::uuid)) ELSE NULL::uuid END;

CREATE TABLE public.licenses (
    id text NOT NULL,
    name text NOT NULL,
    url text,
    CONSTRAINT licenses_id_check CHECK ((char_length(id) <= 100))
);

CREATE FUNCTION soundscape.license_or_null(words text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    RETURN (SELECT l.id FROM public.licenses l WHERE ((l.id = CASE lower(btrim(license_or_null.words)) WHEN 'cc0'::text THEN 'CC0-1.0'::text ELSE l.id END) AND ((lower(l.id) = regexp_replace(lower(btrim(license_or_null.words)), '[\s_]+'::text, '-'::text, 'g'::text)) OR (lower(btrim(license_or_null.words)) = 'cc0'::text) OR (rtrim(regexp_replace(lower(btrim(license_or_null.words)), '^https?://'::text, ''::text), '/'::text) = rtrim(regexp_replace(l.url, '^https?://'::text, ''::text), '/'::text)))) LIMIT 1);

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

CREATE FUNCTION soundscape.list_deliveries(states text[] DEFAULT NULL::text[], owner uuid DEFAULT NULL::uuid, channel text DEFAULT NULL::text, code text DEFAULT NULL::text, before uuid DEFAULT NULL::uuid, max_deliveries integer DEFAULT 50) RETURNS TABLE(id uuid, channel text, state text, user_id uuid, kinds text[], attempts integer, failures integer, created_at timestamp with time zone, retry_at timestamp with time zone, finished_at timestamp with time zone, error_code text, error_message text)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 50
    SET search_path TO ''
    AS $$
    select d.id, d.channel, d.state, d.user_id,
        array(select distinct o.kind from soundscape.outbox o where o.bundle_id = d.bundle_id order by o.kind),
        d.attempts, d.failures, d.created_at, d.retry_at, d.finished_at, d.error_code, d.error_message
    from soundscape.deliveries d
    where (states is null or d.state = any (states)) and (owner is null or d.user_id = owner)
      and (list_deliveries.channel is null or d.channel = list_deliveries.channel)
      and (code is null or d.error_code = code)
      and (before is null or (d.created_at, d.id) < (
        select b.created_at, b.id from soundscape.deliveries b where b.id = before))
    order by d.created_at desc, d.id desc limit least(max_deliveries, 1000)
$$;

CREATE FUNCTION soundscape.list_export(export uuid, token uuid) RETURNS TABLE(kind text, bucket_id text, name text, version text, size_bytes bigint, etag text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
    account uuid;
begin
    perform soundscape.hold_export(export, token);
    select e.user_id into account from public.exports e where e.id = export;
    return query
        select 'table', 'public', t.table_name, null, null::bigint, null from (
            select 'account' as table_name union all select e.table_name from soundscape.exported_tables e) as t
        order by t.table_name;
    return query
        select 'file', o.bucket_id, o.name, o.version, (o.metadata ->> 'size')::bigint, o.metadata ->> 'eTag'
        from (
            select f.file_path as name, 'audio-files' as bucket_id from public.audio_files f where f.user_id = account
            union
            -- What was uploaded and is described by no row yet.
            select o.name, o.bucket_id from storage.objects o
            where o.bucket_id in ('audio-files', 'profile-images') and o.name like account || '/%') as theirs
        join storage.objects o on o.bucket_id = theirs.bucket_id and o.name = theirs.name and o.metadata ? 'eTag'
        where theirs.bucket_id = 'profile-images' or soundscape.owner_of(o.name, o.owner_id) = account
        order by o.bucket_id, o.name;
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

CREATE FUNCTION soundscape.listener_hash(listener text, recording uuid, salt bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN extensions.hmac(convert_to(((listener || '/'::text) || recording), 'UTF8'::name), salt, 'sha256'::text);

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

CREATE FUNCTION soundscape.listening_events_kept_for() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN '2 years'::interval;

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
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    wanted bigint := hashtextextended('audio-files/' || object_name, 0);
begin
    -- Row and object may arrive in two transactions at once that do not see each other. The second one waits here
    -- until the first one has ended. Then it inserts its own row, and its next statement sees what the first one did.
    insert into soundscape.name_locks (key) values (wanted) on conflict (key) do nothing;
    delete from soundscape.name_locks where key = wanted;
end
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
            using errcode = '42501', hint = 'Only its owner may do this. Sign in as the owner.';
    end if;
end
$$;

CREATE FUNCTION soundscape.lock_owner() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    if coalesce(auth.role(), 'service_role') <> 'service_role' then
        perform from public.users u where u.id = (select auth.uid()) for no key update;
    end if;
    return null;
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
    perform soundscape.require_free_name(new.file_path, new.user_id);
    return new;
end
$$;

CREATE FUNCTION soundscape.lock_stats() RETURNS boolean
    LANGUAGE sql
    SET search_path TO ''
    RETURN pg_try_advisory_xact_lock(hashtextextended('soundscape.stats'::text, (0)::bigint));

CREATE FUNCTION soundscape.lock_sweep() RETURNS boolean
    LANGUAGE sql
    SET search_path TO ''
    RETURN pg_try_advisory_xact_lock(hashtextextended('soundscape.reconcile'::text, (0)::bigint));

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

CREATE FUNCTION soundscape.longest_play_s() RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN 14400;

CREATE FUNCTION soundscape.make_salts(days date[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    insert into soundscape.listener_salts (day, salt)
    select distinct d, extensions.gen_random_bytes(32) from unnest(days) as d
    where not exists (select from soundscape.listener_salts s where s.day = d) order by d
    on conflict do nothing
$$;

CREATE FUNCTION soundscape.make_user() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    -- A sign-up must never fail because of a name. A long name is cut, a name that others may not be shown is left out.
    -- Profiles are public, so only display_name is taken and not the full name that providers send.
    insert into public.users (id, display_name)
    values (new.id, soundscape.clean_display_name(new.raw_user_meta_data ->> 'display_name'))
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

CREATE FUNCTION soundscape.max_plays_a_day() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN 10;

CREATE FUNCTION soundscape.max_ready_per_owner() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN 2;

CREATE FUNCTION soundscape.max_repairs_per_sweep() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN 500;

CREATE FUNCTION soundscape.max_rows_per_broadcast() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN 100;

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
                       filter (where not h.is_skip
                           and e.embedding operator(extensions.<=>) h.embedding <= 1 - soundscape.min_similarity()),
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

CREATE FUNCTION soundscape.media_type_allowed(media_type text, allowed text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN (EXISTS (SELECT FROM unnest(media_type_allowed.allowed) pattern(pattern), LATERAL (SELECT lower(btrim(split_part(media_type_allowed.media_type, ';'::text, 1))) AS essence) m WHERE ((m.essence ~ '^[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*$'::text) AND ((m.essence = pattern.pattern) OR (pattern.pattern = (split_part(m.essence, '/'::text, 1) || '/*'::text))))));

CREATE FUNCTION soundscape.min_heard_confidence() RETURNS real
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (0.35)::real;

CREATE FUNCTION soundscape.min_listeners_for_details() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN 3;

CREATE FUNCTION soundscape.min_position_gap(near double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN ((0.000000001)::double precision * GREATEST((1)::double precision, abs(near)));

CREATE FUNCTION soundscape.min_similarity() RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 0.15;

CREATE FUNCTION soundscape.missed_fingerprints(recordings uuid[]) RETURNS TABLE(audio_id uuid, missed uuid)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 10
    SET search_path TO ''
    AS $$
    select f.audio_id, o.audio_id
    from soundscape.fingerprints f
    join soundscape.fingerprints o
      on o.compared_within && f.compared_within and o.version = f.version and o.audio_id <> f.audio_id
         and not pg_visible_in_snapshot(o.written_in, f.compared_in)
         and (o.compared_in is null or not pg_visible_in_snapshot(f.written_in, o.compared_in))
    where f.audio_id = any (recordings) and f.compared_in is not null
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
    own double precision;
    before double precision;
    behind double precision;
begin
    perform soundscape.lock_own_playlist(list);
    own := (select i.position from public.playlist_items i where i.id = item);
    -- The neighbours at the new place, of which there is one at either end.
    if to_position > 1 then
        before := (select i.position from public.playlist_items i where i.playlist_id = list and i.position <> own
            order by i.position offset to_position - 2 limit 1);
        if before is null then
            before := (select max(i.position) from public.playlist_items i
                where i.playlist_id = list and i.position <> own);
        end if;
    end if;
    behind := (select min(i.position) from public.playlist_items i
        where i.playlist_id = list and i.position <> own and (before is null or i.position > before));
    if own > coalesce(before, '-infinity') and own < coalesce(behind, 'infinity') then
        return;
    end if;
    if behind - before < soundscape.min_position_gap(before) then
        perform soundscape.spread_positions(list, before);
        perform soundscape.move_playlist_item(item, to_position);
        return;
    end if;
    update public.playlist_items i
    set position = case
        when before is null then ceil(behind) - 1
        when behind is null then floor(before) + 1
        else before + (behind - before) / 2 end
    where i.id = item;
end
$$;

CREATE FUNCTION soundscape.name_digest(object_name text) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN sha256(convert_to(object_name, 'UTF8'::name));

CREATE FUNCTION soundscape.name_reserved_for() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN '1 day'::interval;

CREATE FUNCTION soundscape.nearest(space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter DEFAULT NULL::soundscape.audio_filter, leaving_out uuid[] DEFAULT '{}'::uuid[], min_cosine double precision DEFAULT NULL::double precision) RETURNS TABLE(audio_id uuid, cosine double precision)
    LANGUAGE plpgsql STABLE ROWS 100
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
    owner constant uuid := auth.uid();
    max_distance constant double precision := 1 - coalesce(min_cosine, soundscape.min_similarity());
    listed uuid[];
    distances double precision[];
    others uuid[];
begin
    if not (filter is null) then
        return query select n.audio_id, n.cosine from soundscape.nearest_filtered(
            space, place, max_rows, filter, leaving_out, min_cosine) n;
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
            where l.distance <= max_distance
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
        where b.distance <= max_distance
        order by b.distance, b.audio_id limit max_rows;
end
$$;

CREATE FUNCTION soundscape.nearest_filtered(space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter, leaving_out uuid[], min_cosine double precision) RETURNS TABLE(audio_id uuid, cosine double precision)
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
    max_distance constant double precision := 1 - coalesce(min_cosine, soundscape.min_similarity());
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
            where e.audio_id <> all (leaving_out) and e.distance <= max_distance
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
        select b.audio_id, 1 - b.distance from both_kinds b where b.distance <= max_distance
        order by b.distance, b.audio_id limit max_rows;
end
$$;

CREATE FUNCTION soundscape.nearly_full_share() RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN 0.9;

CREATE FUNCTION soundscape.new_folder_name(folder text, request bigint, attempt integer) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN (regexp_replace(folder, '(-r[0-9]+-[0-9]+)?/$'::text, ''::text) || format('-r%s-%s/'::text, request, attempt));

CREATE FUNCTION soundscape.new_object_name(object_name text) RETURNS text
    LANGUAGE sql
    SET search_path TO ''
    RETURN (SELECT CASE WHEN (octet_length(r.renamed) <= 1024) THEN r.renamed ELSE ((split_part(new_object_name.object_name, '/'::text, 1) || '/r-'::text) || made.token) END AS "case" FROM (SELECT replace((gen_random_uuid())::text, '-'::text, ''::text) AS token) made, LATERAL (SELECT ((((regexp_replace(soundscape.folder_of(new_object_name.object_name), '/r-[0-9a-f]{32}/$'::text, '/'::text) || 'r-'::text) || made.token) || '/'::text) || regexp_replace(new_object_name.object_name, '^.*/'::text, ''::text)) AS renamed) r);

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
    max_tries constant integer := 1000;
    candidate integer;
begin
    for _ in 1 .. max_tries loop
        candidate := nextval('soundscape.fingerprint_numbers');
        if not exists (select from soundscape.fingerprints f where f.number = candidate) then
            return candidate;
        end if;
    end loop;
    raise exception 'No number is free for another fingerprint: the next % are taken.', max_tries
        using errcode = '53400', hint = 'The next attempt looks further. Delete recordings if all attempts fail.';
end
$$;

CREATE FUNCTION soundscape.next_message_s() RETURNS double precision
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    -- greatest() ignores null and would return 0.
    select case when m.vt is not null
        then greatest(0, extract(epoch from m.vt - clock_timestamp())) end::double precision
    from soundscape.next_visible_at(soundscape.analysis_queues()) as m (vt)
    where (select s.paused_at is null from soundscape.queue_settings s)
$$;

CREATE FUNCTION soundscape.next_page(wanted_kind text, max_keys integer) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
-- The caller holds the lock of the sweep. If it fails, its transaction takes the page back.
declare
    page soundscape.sweep_pages;
    keys text[];
    has_ended boolean;
begin
    select * into page from soundscape.sweep_pages p where p.kind = wanted_kind;
    keys := coalesce(soundscape.read_page(wanted_kind, page.after, max_keys), '{}');
    has_ended := cardinality(keys) < max_keys;
    update soundscape.sweep_pages p
    set after = case when not has_ended then keys[cardinality(keys)] end,
        rounds = p.rounds + has_ended::integer,
        round_begun_at = case when page.after is null then clock_timestamp() else p.round_begun_at end,
        round_ended_at = case when has_ended then clock_timestamp() else p.round_ended_at end
    where p.kind = wanted_kind;
    return keys;
end
$$;

CREATE FUNCTION soundscape.next_visible_at(queues text[]) RETURNS timestamp with time zone
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    queue text;
    earliest timestamptz;
    at timestamptz;
begin
    foreach queue in array queues loop
        execute format('select min(m.vt) from pgmq.%I m', 'q_' || queue) into at;
        earliest := least(earliest, at);  -- least() ignores null
    end loop;
    return earliest;
end
$$;

CREATE FUNCTION soundscape.note_first_ready() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    insert into soundscape.first_ready (audio_id, ready_at) values (new.id, clock_timestamp()) on conflict do nothing;
    return null;
end
$$;

CREATE FUNCTION soundscape.note_license() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    caller constant uuid := (select u.id from public.users u where u.id = (select auth.uid()));
begin
    -- Without this, one PATCH of all recordings, repeated, would add a row for each of them each time.
    update public.license_history h set license = new.license, attribution = new.attribution,
        changed_at = clock_timestamp()
    where h.id = (
            select l.id from public.license_history l where l.audio_id = new.id order by l.changed_at desc limit 1)
        and h.changed_by is not distinct from caller and h.changed_at > clock_timestamp() - interval '1 hour';
    if found then
        return null;
    end if;
    insert into public.license_history (audio_id, license, attribution, changed_by)
    values (new.id, new.license, new.attribution, caller);
    if coalesce(auth.role(), 'service_role') <> 'service_role' then
        perform soundscape.refuse_over_limit(
            (select count(*) from public.license_history h where h.audio_id = new.id),
            l.max_license_changes, 'licence changes of a recording')
        from soundscape.owner_limits l;
    end if;
    return null;
end
$$;

CREATE FUNCTION soundscape.note_unchecked_images(names text[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    insert into soundscape.image_checks as c (object_id, version)
    select o.id, o.version from storage.objects o
    where o.bucket_id = 'profile-images' and o.name = any (names) and o.metadata ? 'eTag'
    on conflict (object_id) do update
    set version = excluded.version, noted_at = now(), token = null, attempts = 0, retry_at = now(),
        checked_at = null, error_code = null
    where c.version is distinct from excluded.version
$$;

CREATE FUNCTION soundscape.note_undescribed_object() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    insert into soundscape.undescribed_objects (name)
    select new.name where not exists (select from public.audio_files f where f.file_path = new.name)
    on conflict (name) do update set written_at = excluded.written_at;
    return null;
end
$$;

CREATE FUNCTION soundscape.notification_channels() RETURNS TABLE(channel text, is_on boolean, reason text, public_key text)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 3
    SET search_path TO ''
    AS $$
    select 'in_app', true, null, null where (select auth.uid()) is not null
    union all
    select c.channel, why.reason is null, why.reason, c.public_key
    from soundscape.channels c cross join lateral (select case
        when c.reported_at is null or c.reported_at < now() - interval '1 hour' then 'no_worker'
        when not c.is_on then 'not_configured'
        when c.channel = 'email' then soundscape.mail_problem((select auth.uid())) end as reason) as why
    where (select auth.uid()) is not null
$$;

CREATE FUNCTION soundscape.notification_settings() RETURNS TABLE(kind text, channel text, enabled boolean, description text)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 50
    SET search_path TO ''
    AS $$
    select k.kind, c.channel, soundscape.is_notified((select auth.uid()), k.kind, c.channel), k.description
    from soundscape.notification_kinds k cross join unnest(k.channels) as c (channel)
    where (select auth.uid()) is not null
    order by k.kind, c.channel
$$;

CREATE FUNCTION soundscape.notifications_kept_for() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN '90 days'::interval;

CREATE FUNCTION soundscape.notify(recipient uuid, kind text, audio_id uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select soundscape.notify(recipient, kind, audio_id, null, replace(gen_random_uuid()::text, '-', ''))
$$;

CREATE FUNCTION soundscape.notify(recipient uuid, kind text, audio_id uuid, error_code text, trace_id text, error_message text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    registered soundscape.notification_kinds;
begin
    select * into registered from soundscape.notification_kinds k where k.kind = notify.kind;
    if registered.kind is null then
        raise exception 'The kind % is not in soundscape.notification_kinds.', kind using errcode = '23503';
    end if;
    -- Nobody reads what a closed account is told. Its rows are locked while they are deleted, and the caller may hold
    -- what the deletion waits for.
    if not exists (select from public.users u where u.id = recipient)
        or exists (select from soundscape.account_deletions d where d.user_id = recipient)
        or exists (
            select from public.notifications n
            where n.user_id = recipient and n.kind = notify.kind and n.audio_id is not distinct from notify.audio_id
              and n.created_at > now() - registered.at_most_every)
        or exists (
            select from soundscape.outbox o
            where o.user_id = recipient and o.kind = notify.kind and o.audio_id is not distinct from notify.audio_id
              and o.created_at > now() - registered.at_most_every)
    then
        return;
    end if;
    if soundscape.is_notified(recipient, kind, 'in_app') then
        insert into public.notifications (user_id, kind, audio_id, error_code, trace_id, error_message)
        values (recipient, notify.kind, notify.audio_id, notify.error_code, notify.trace_id, notify.error_message);
    end if;
    insert into soundscape.outbox (user_id, channel, kind, audio_id, error_code)
    select recipient, c.channel, notify.kind, notify.audio_id, notify.error_code
    from unnest(array['email', 'push']) as c (channel)
    where soundscape.is_notified(recipient, notify.kind, c.channel) and (
        c.channel = 'email' or exists (select from public.push_subscriptions s where s.user_id = recipient));
end
$$;

CREATE FUNCTION soundscape.notify_of_export() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.notify(
        new.user_id, 'export_' || new.status, null, new.error_code, replace(gen_random_uuid()::text, '-', ''),
        new.error_message);
    return null;
end
$$;

CREATE FUNCTION soundscape.notify_of_items() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.notify(f.user_id, 'recording_collected', f.id)
    from (select distinct i.audio_id, p.user_id from added i
          join public.playlists p on p.id = i.playlist_id and p.is_public) as collected
    join public.audio_files f on f.id = collected.audio_id and f.user_id <> collected.user_id;
    return null;
end
$$;

CREATE FUNCTION soundscape.notify_of_likes() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.notify(f.user_id, 'recording_liked', f.id)
    from (select distinct l.audio_id, l.user_id from added l) as liked
    join public.audio_files f on f.id = liked.audio_id and f.user_id <> liked.user_id;
    return null;
end
$$;

CREATE FUNCTION soundscape.notify_of_listed_match() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.notify(mine.user_id, 'recording_matched', mine.id)
    from public.audio_matches m
    join public.audio_files mine
        on mine.id in (m.audio_id, m.matched_audio_id) and mine.id <> new.id and mine.user_id <> new.user_id
    where new.id in (m.audio_id, m.matched_audio_id) and m.dismissed_at is null;
    return null;
end
$$;

CREATE FUNCTION soundscape.notify_of_matches() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.notify(mine.user_id, 'recording_matched', mine.id)
    from added m
    cross join lateral (values (m.audio_id, m.matched_audio_id), (m.matched_audio_id, m.audio_id)) as side (mine, other)
    join public.audio_files mine on mine.id = side.mine
    join public.audio_files other on other.id = side.other and other.is_listed and other.user_id <> mine.user_id
    where m.dismissed_at is null;
    return null;
end
$$;

CREATE FUNCTION soundscape.notify_of_moderation() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.notify(
        new.user_id, case when new.hidden_at is null then 'recording_restored' else 'recording_hidden' end, new.id);
    return null;
end
$$;

CREATE FUNCTION soundscape.notify_of_published_playlist() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.notify(f.user_id, 'recording_collected', f.id)
    from (select distinct i.audio_id from public.playlist_items i where i.playlist_id = new.id) as collected
    join public.audio_files f on f.id = collected.audio_id and f.user_id <> new.user_id;
    return null;
end
$$;

CREATE FUNCTION soundscape.notify_of_quota() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.notify(o.user_id, 'quota_nearly_full', null)
    from (select distinct a.user_id from added a) as o, soundscape.owner_limits l
    where (select sum(s.size_bytes) from soundscape.stored_objects s where s.user_id = o.user_id)
        >= l.max_stored_bytes * soundscape.nearly_full_share();
    return null;
end
$$;

CREATE FUNCTION soundscape.notify_of_report() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.notify(new.reporter_id, 'report_resolved', new.audio_id);
    return null;
end
$$;

CREATE FUNCTION soundscape.object_page(bucket text, after text, max_keys integer) RETURNS text[]
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select array_agg(page.name order by page.name) from (
        select o.name from storage.objects o where o.bucket_id = bucket and o.name > coalesce(after, '')
        order by o.name limit max_keys) as page
$$;

CREATE FUNCTION soundscape.objects_in_folder(folder text) RETURNS SETOF storage.objects
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 20
    SET search_path TO ''
    AS $$
    -- The folder ends with a slash. The next character after it is 0.
    select o.* from storage.objects o
    where o.bucket_id = 'waveforms' and o.name collate "C" >= folder and o.name collate "C" < left(folder, -1) || '0'
$$;

CREATE FUNCTION soundscape.oldest_worker() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN '20261130184150'::text;

CREATE FUNCTION soundscape.on_auth_user_deleted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.close_account(old.id);
    -- A small account is deleted in the same transaction, a large one in the background.
    perform soundscape.try_to_empty_account(old.id, 50);
    return null;
end
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

CREATE FUNCTION soundscape.on_caption_words() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    update public.audio_files f set search = '' where f.id = new.audio_id;
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
    if tg_op <> 'INSERT' then
        if old.is_listed then
            delete from soundscape.postings p
            using soundscape.postings_of(old.version, old.number, old.keys, old.frames) as gone
            where (p.key, p.number, p.frame) = (gone.key, gone.number, gone.frame);
        else
            delete from soundscape.unlisted_postings p
            using soundscape.postings_of(old.version, old.number, old.keys, old.frames) as gone
            where p.owner_hash = soundscape.owner_hash(old.user_id)
              and (p.key, p.number, p.frame) = (gone.key, gone.number, gone.frame);
        end if;
        insert into soundscape.index_size_changes (version, owner, key_count)
        values (old.version, case when not old.is_listed then old.user_id end, -old.key_count);
    end if;
    if tg_op <> 'DELETE' then
        if new.is_listed then
            insert into soundscape.postings (key, number, frame)
            select p.key, p.number, p.frame
            from soundscape.postings_of(new.version, new.number, new.keys, new.frames) as p;
        else
            insert into soundscape.unlisted_postings (owner_hash, key, number, frame)
            select soundscape.owner_hash(new.user_id), p.key, p.number, p.frame
            from soundscape.postings_of(new.version, new.number, new.keys, new.frames) as p;
        end if;
        insert into soundscape.index_size_changes (version, owner, key_count)
        values (new.version, case when not new.is_listed then new.user_id end, new.key_count);
    end if;
    return null;
end
$$;

CREATE FUNCTION soundscape.on_image_written() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    is_first boolean := not exists (
        select from soundscape.image_checks c where c.checked_at is null and c.retry_at <= now());
begin
    -- As soundscape.cancel_deletion does for audio-files: new bytes are not deleted for what lay here before.
    perform soundscape.lock_object_name(new.name);
    delete from soundscape.deletions d
    where d.bucket_id = new.bucket_id and d.name = new.name and not d.is_final
      and (d.taken_at is null or d.taken_at < clock_timestamp() - soundscape.deletion_grace());
    if exists (select from soundscape.deletions d where d.bucket_id = new.bucket_id and d.name = new.name) then
        raise exception 'The object % is being deleted.', new.name
            using errcode = '42501', hint = 'Try again in a moment, or choose another name.';
    end if;
    insert into soundscape.image_checks as c (object_id, version) values (new.id, new.version)
    on conflict (object_id) do update
    set version = excluded.version, noted_at = now(), token = null, attempts = 0, retry_at = now(),
        checked_at = null, error_code = null;
    if is_first then
        perform soundscape.ring_doorbell();
    end if;
    return null;
end
$$;

CREATE FUNCTION soundscape.on_listed_recording_deleted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.expose_name(old.file_path);
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
    insert into soundscape.file_removals (audio_id) values (recording)
    on conflict (audio_id) do update set removed_at = excluded.removed_at;
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

    -- The object was moved, or has the same bytes as before: there is nothing new to analyse. If the recording had
    -- failed, the same bytes mean that somebody wants to try again.
    if tg_op = 'UPDATE'
       and (old.name is distinct from new.name or old.metadata ->> 'eTag' = new.metadata ->> 'eTag')
       and soundscape.follow_move(old, new)
    then
        return null;
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
    where o.id = old.object_id and o.bucket_id = 'audio-files'
    union all
    -- The character after the slash is 0.
    select o.bucket_id, o.name, old.hidden_at is not null from storage.objects o
    where o.bucket_id = 'waveforms' and o.name collate "C" >= old.id || '/' and o.name collate "C" < old.id || '0'
    on conflict (bucket_id, name) do update set is_final = deletions.is_final or excluded.is_final;
    if found then
        perform soundscape.ring_doorbell();
    end if;
    delete from soundscape.former_dismissals d where d.audio_id = old.id;
    delete from soundscape.former_dismissals d where d.matched_audio_id = old.id;
    return null;
end
$$;

CREATE FUNCTION soundscape.on_recording_ready() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    if not exists (
        select from public.audio_captions c
        where c.audio_id = new.id and c.object_version is not distinct from new.object_version
          and (c.status in ('ready', 'failed') or c.status = 'queued' and new.is_listed = old.is_listed))
    then
        perform soundscape.queue_caption(new.id);
    end if;
    return null;
end
$$;

CREATE FUNCTION soundscape.on_recording_unlisted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    is_first boolean := not exists (select from soundscape.renames r where r.taken_at is null);
begin
    perform soundscape.leave_names(new, old.file_path);
    -- A hidden one does not wait behind what owners do with theirs.
    if is_first or new.hidden_at is distinct from old.hidden_at then
        perform soundscape.ring_doorbell();
    end if;
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
    unknown text[];
    max_words integer;
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
    unknown := array(
        select p.word from unnest(present) as p (word)
        where not exists (select from soundscape.vocabulary v where v.word = p.word));
    if unknown <> '{}' then
        max_words := (select l.max_words from soundscape.owner_limits l);
        -- The order prevents a deadlock between two transactions that insert the same words.
        insert into soundscape.vocabulary (word, added_by)
        select u.word, new.user_id from unnest(unknown) as u (word)
        order by u.word
        limit greatest(0, max_words - (
            select count(*) from (
                select from soundscape.vocabulary v where v.added_by = new.user_id limit max_words) as held))
        on conflict do nothing;
    end if;
    -- Only words that the sweep can delete, and each once: changing a title for ever must not make rows for ever.
    insert into soundscape.former_words (word)
    select f.word from unnest(former) as f (word)
    where f.word <> all (present) and exists (select from soundscape.vocabulary v where v.word = f.word)
    order by f.word on conflict do nothing;
    return null;
end
$$;

CREATE FUNCTION soundscape.open_key_session(key_hash text) RETURNS TABLE(problem text, key_id uuid, user_id uuid, email text, scope text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
#variable_conflict use_column
declare
    given bytea := case when $1 ~ '^[0-9a-f]{64}$' then decode($1, 'hex') end;
    this_hour timestamptz := date_trunc('hour', now());
    used integer;
begin
    update soundscape.api_key_secrets s
    set hour = this_hour, uses = case when s.hour = this_hour then s.uses + 1 else 1 end
    where s.hash = given returning s.key_id, s.uses into key_id, used;
    select k.user_id, k.scope, u.email,
           case when k.revoked_at is not null or k.expires_at <= now() then 'unknown'
                when used > l.max_key_uses_per_hour then 'too_many'
                -- By the address Auth finds the user. It must be this one, and a link must not confirm it.
                when u.email is null or u.email = '' or u.email_confirmed_at is null or u.is_sso_user or u.is_anonymous
                     or u.deleted_at is not null then 'no_address'
                when u.banned_until > now() then 'banned'
                when soundscape.pre_request() is distinct from 'soundscape.check_request' then 'not_enforced' end
    into user_id, scope, email, problem
    from public.api_keys k join auth.users u on u.id = k.user_id cross join soundscape.owner_limits l
    where k.id = key_id;
    if user_id is null then
        problem := 'unknown';
    elsif problem is null then
        update public.api_keys k set last_used_at = now() where k.id = key_id;
    end if;
    return next;
end
$_$;

CREATE FUNCTION soundscape.open_single_letters(wanted tsquery) RETURNS tsquery
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN (regexp_replace((wanted)::text, format('''(%s)'''::text, soundscape.unspaced_letter()), '''\1'':*'::text, 'g'::text))::tsquery;

CREATE FUNCTION soundscape.operator_overview() RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.require_permission('roles.assign');
    return soundscape.queue_stats() || jsonb_build_object(
        'recordings', (
            select coalesce(jsonb_object_agg(s.status, s.recordings), '{}') from (
                select f.status, count(*) as recordings from public.audio_files f group by f.status) s),
        'storage', (
            select coalesce(
                jsonb_object_agg(s.bucket_id, jsonb_build_object('objects', s.objects, 'bytes', s.bytes)), '{}')
            from (
                select o.bucket_id, count(*) as objects, coalesce(sum((o.metadata ->> 'size')::bigint), 0) as bytes
                from storage.objects o group by o.bucket_id) s),
        'dead_letters', (
            select coalesce(jsonb_agg(to_jsonb(d) order by d.finished_at desc), '[]') from (
                select j.id as job_id, j.audio_id, j.error_code, j.error_message, j.attempt as attempts, j.finished_at
                from soundscape.jobs j where j.state = 'dead' order by j.finished_at desc limit 50) d));
end
$$;

CREATE FUNCTION soundscape.owner_hash(user_id uuid) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN ((('x'::text || "right"((user_id)::text, 8)))::bit(32))::integer;

CREATE FUNCTION soundscape.owner_message(final_state text, code text, message text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN CASE final_state WHEN 'refused'::text THEN "left"(message, 2000) WHEN 'dead'::text THEN 'The analysis did not come to an end, though it was tried several times. Try again later (retry_analysis), or upload the recording in another format.'::text WHEN 'cancelled'::text THEN 'The analysis was cancelled. Ask for it again with retry_analysis.'::text ELSE NULL::text END;

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

CREATE FUNCTION soundscape.peaks_of(result jsonb) RETURNS smallint[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN CASE WHEN (jsonb_typeof((result #> '{waveform,peaks}'::text[])) = 'array'::text) THEN ARRAY(SELECT (jsonb_array_elements_text((result #> '{waveform,peaks}'::text[])))::smallint AS jsonb_array_elements_text) ELSE NULL::smallint[] END;

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
        select m.audio_id, array_agg(m.missed) from soundscape.missed_fingerprints(waiting) m group by m.audio_id;
    update soundscape.fingerprints f set compared_in = null
    where f.audio_id = any (waiting)
      and f.audio_id not in (select m.audio_id from soundscape.missed_fingerprints(waiting) m);
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

CREATE FUNCTION soundscape.pending_renames(max_renames integer DEFAULT 10) RETURNS TABLE(rename_id bigint, attempt integer, audio_id uuid, bucket_id text, name text, new_name text, objects text[])
    LANGUAGE plpgsql SECURITY DEFINER ROWS 10
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
    wanted soundscape.renames;
    file public.audio_files;
begin
    for wanted in select * from soundscape.renames_in_turn(max_renames) loop
        select * into file from public.audio_files f where f.id = wanted.audio_id;
        if file.is_listed or not soundscape.is_named(wanted, file) then
            delete from soundscape.renames r
            where r.id = wanted.id and (file.is_listed or wanted.bucket_id = 'audio-files' or not exists (
                -- It may have begun since.
                select from soundscape.jobs j where j.audio_id = file.id and j.state = 'running'));
            continue;
        end if;
        rename_id := wanted.id;
        attempt := wanted.attempts + 1;
        audio_id := wanted.audio_id;
        bucket_id := wanted.bucket_id;
        name := wanted.name;
        if bucket_id = 'audio-files' then
            new_name := soundscape.new_object_name(name);
            objects := array[name];
        else
            new_name := soundscape.new_folder_name(name, rename_id, attempt);
            objects := array(select o.name from soundscape.objects_in_folder(wanted.name) o order by o.name);
        end if;
        update soundscape.renames r
        set taken_at = clock_timestamp(), attempts = attempt, new_name = pending_renames.new_name,
            object_id = case when wanted.bucket_id = 'audio-files' then file.object_id end
        where r.id = wanted.id;
        return next;
    end loop;
end
$$;

CREATE FUNCTION soundscape.pick(changed jsonb, columns text[]) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN (SELECT jsonb_object_agg(jsonb_each.key, jsonb_each.value) AS jsonb_object_agg FROM jsonb_each(pick.changed) jsonb_each(key, value) WHERE (jsonb_each.key = ANY (pick.columns)));

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

CREATE FUNCTION soundscape.play_source(context text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN CASE WHEN (context = ANY (ARRAY['search'::text, 'similar'::text, 'recommended'::text, 'radio'::text, 'playlist'::text, 'embed'::text])) THEN context ELSE 'elsewhere'::text END;

CREATE FUNCTION soundscape.posting_key(version integer, key integer) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN ((version << 22) | key);

CREATE FUNCTION soundscape.postings_of(version integer, number integer, keys integer[], frames integer[]) RETURNS TABLE(key integer, number integer, frame integer)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
    select distinct soundscape.posting_key(version, k.key), postings_of.number, k.frame
    from unnest(keys, frames) as k (key, frame)
    where k.key between 0 and 4194303 and k.frame >= 0
$$;

CREATE FUNCTION soundscape.pre_request() RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO ''
    RETURN (SELECT split_part(setting.setting, '='::text, 2) AS split_part FROM (pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) setting(setting)) WHERE ((s.setrole = (SELECT r.oid FROM pg_roles r WHERE (r.rolname = 'authenticator'::name))) AND (setting.setting ~~ 'pgrst.db\_pre\_request=%'::text) AND (s.setdatabase = ANY (ARRAY[(0)::oid, (SELECT d.oid FROM pg_database d WHERE (d.datname = current_database()))]))) ORDER BY s.setdatabase DESC LIMIT 1);

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

CREATE FUNCTION soundscape.project_stats(days integer DEFAULT 30) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select jsonb_build_object(
        'users', (select count(*) from public.users),
        'recordings', (
            select coalesce(jsonb_object_agg(s.status, s.recordings), '{}') from (
                select f.status, count(*) as recordings from public.audio_files f group by f.status) s),
        'listed', (select count(*) from public.audio_files f where f.is_listed),
        'duration_s', (
            select coalesce(sum(f.duration), 0) from public.audio_files f where f.status = 'ready'),
        'storage', (
            select coalesce(
                jsonb_object_agg(s.bucket_id, jsonb_build_object('objects', s.objects, 'bytes', s.bytes)), '{}')
            from (
                select o.bucket_id, count(*) as objects, coalesce(sum((o.metadata ->> 'size')::bigint), 0) as bytes
                from storage.objects o group by o.bucket_id) s),
        'likes', (select count(*) from public.likes),
        'plays', (select coalesce(sum(d.plays), 0) from soundscape.project_days d),
        'downloads', (select coalesce(sum(d.downloads), 0) from soundscape.project_days d),
        'days', (
            select coalesce(jsonb_agg(to_jsonb(d) order by d.day), '[]') from soundscape.project_days d
            where d.day > (now() at time zone 'UTC')::date - project_stats.days),
        'pending', (select count(*) from soundscape.stat_events),
        'pending_s', (
            select coalesce(round(extract(epoch from now() - min(e.created_at)), 1), 0) from soundscape.stat_events e))
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

CREATE FUNCTION soundscape.queue_caption(recording uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    problem text := soundscape.caption_problem(recording);
    file public.audio_files;
begin
    select * into file from public.audio_files f where f.id = recording;
    insert into public.audio_captions as c (audio_id, object_version)
    values (recording, file.object_version)
    on conflict (audio_id) do update
    set object_version = excluded.object_version, updated_at = now(), model = null, version = null,
        caption = null, keywords = '{}', status = 'queued', error_code = null
    where not c.is_by_owner;
    if not found then
        return;
    end if;
    if problem is null and not exists (
        select from soundscape.caption_workers w where w.seen_at > now() - interval '10 minutes')
    then
        problem := 'no_key';
    end if;
    update public.audio_captions c
    set status = case when problem is null then 'queued' else 'skipped' end, error_code = problem
    where c.audio_id = recording;
    -- What lacks only a key is done when there is one.
    if problem is null or problem = 'no_key' then
        insert into soundscape.caption_jobs as j (audio_id) values (recording)
        on conflict (audio_id) do update set token = null, attempts = 0, retry_at = now();
    else
        delete from soundscape.caption_jobs j where j.audio_id = recording;
    end if;
end
$$;

CREATE FUNCTION soundscape.queue_digests() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    -- Whatever began before the week ended has been committed by then.
    margin constant interval := '10 minutes';
    queued integer;
begin
    with due as (
        select u.id, week.begins, week.ends
        from public.users u left join public.user_preferences p on p.user_id = u.id
        cross join lateral soundscape.digest_time(coalesce(p.time_zone, 'UTC'), now()) as monday
        cross join lateral soundscape.digest_week(u.id, now()) as week
        where now() >= monday + margin and now() < monday + interval '1 day'
          -- All users only if the operator has made it the default.
          and (exists (select from soundscape.notification_kinds k
                       where k.kind = 'weekly_digest' and 'email' = any (k.defaults))
               or u.id in (select n.user_id from public.notification_preferences n
                           where n.kind = 'weekly_digest' and n.channel = 'email' and n.enabled))
          and soundscape.is_notified(u.id, 'weekly_digest', 'email')
          and not exists (select from soundscape.account_deletions a where a.user_id = u.id)
          and not exists (select from soundscape.digests d where d.user_id = u.id and d.queued_at >= monday)
        limit 5000
    ), noted as (
        insert into soundscape.digests as d (user_id, queued_at, begins, ends)
        select due.id, now(), due.begins, due.ends from due order by due.id
        on conflict (user_id) do update
        set queued_at = excluded.queued_at, begins = excluded.begins, ends = excluded.ends
        -- Another call may have done so at the same moment.
        where d.queued_at < excluded.queued_at - interval '2 days'
        returning d.user_id, d.begins, d.ends
    )
    insert into soundscape.outbox (user_id, channel, kind)
    select n.user_id, 'email', 'weekly_digest'
    from noted n cross join lateral soundscape.digest_between(n.user_id, n.begins, n.ends) as counts
    where (counts ->> 'ready')::bigint + (counts ->> 'likes')::bigint + (counts ->> 'collected')::bigint > 0;
    get diagnostics queued = row_count;
    return queued;
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
            from unnest(soundscape.queue_names()) as q (name)
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
        'statistics', (
            select jsonb_build_object(
                'pending', count(*),
                'oldest_s', round(extract(epoch from now() - min(e.created_at)), 1))
            from soundscape.stat_events e),
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

CREATE FUNCTION soundscape.read_export(export uuid, token uuid, wanted_table text, after jsonb DEFAULT NULL::jsonb, max_rows integer DEFAULT 500) RETURNS SETOF jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
declare
    account uuid;
    via text;
    key_columns text;
    last_key text;
begin
    perform soundscape.hold_export(export, token);
    select e.user_id into account from public.exports e where e.id = export;
    if wanted_table = 'account' then
        return query select jsonb_build_object(
            'id', u.id, 'email', u.email, 'phone', u.phone, 'created_at', u.created_at,
            'last_sign_in_at', u.last_sign_in_at, 'user_metadata', u.raw_user_meta_data)
        from auth.users u where u.id = account and after is null;
        return;
    end if;
    select t.via into strict via from soundscape.exported_tables t where t.table_name = wanted_table;
    select string_agg(format('r.%I', a.attname), ', ' order by k.place),
           string_agg(
               format('($2 ->> %L)::%s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)),
               ', ' order by k.place)
    into key_columns, last_key
    from pg_catalog.pg_index i cross join unnest(i.indkey) with ordinality as k (number, place)
    join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
    where i.indrelid = format('public.%I', wanted_table)::regclass and i.indisprimary;
    return query execute format(
        'select to_jsonb(r) - ''search'' from public.%I r where %s and %s order by %s limit $3',
        wanted_table, soundscape.export_condition(via),
        case when after is null then 'true' else format('(%s) > (%s)', key_columns, last_key) end, key_columns)
    using account, after, max_rows;
end
$_$;

CREATE FUNCTION soundscape.read_page(wanted_kind text, after text, max_keys integer) RETURNS text[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    case wanted_kind
        when 'recordings' then return soundscape.object_page('audio-files', after, max_keys);
        when 'pictures' then return soundscape.object_page('waveforms', after, max_keys);
        when 'profiles' then return soundscape.object_page('profile-images', after, max_keys);
        when 'jobs' then
            return array(
                select j.audio_id from soundscape.jobs j
                where j.state in ('queued', 'running')
                  and j.audio_id > coalesce(after, '00000000-0000-0000-0000-000000000000')::uuid
                order by j.audio_id limit max_keys);
        when 'unfinished' then
            return array(
                select f.id from public.audio_files f
                where f.status in ('queued', 'analyzing')
                  and f.id > coalesce(after, '00000000-0000-0000-0000-000000000000')::uuid
                order by f.id limit max_keys);
        when 'accounts' then
            return array(
                select u.id from public.users u
                where u.id > coalesce(after, '00000000-0000-0000-0000-000000000000')::uuid
                order by u.id limit max_keys);
        when 'ended_jobs' then
            return array(
                select to_char(extract(epoch from j.finished_at), 'FM999999999990.000000') || '/' || j.id
                from soundscape.jobs j
                where j.finished_at < now() - soundscape.jobs_kept_for()
                  and (after is null or (j.finished_at, j.id) > (
                    to_timestamp(split_part(after, '/', 1)::numeric), split_part(after, '/', 2)::bigint))
                order by j.finished_at, j.id limit max_keys);
    end case;
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
            where j.audio_id = file.id and j.state in ('queued', 'running')
              -- A preview is superseded, and asked for again by the end of the analysis.
              and j.queue <> 'soundscape_previews'
            for update;
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
    counts jsonb := '{"attached": 0, "drafted": 0, "resent": 0, "discarded": 0}';
    page record;
begin
    if not soundscape.lock_sweep() then
        return counts;
    end if;
    counts := soundscape.add_counts(counts, jsonb_build_object('drafted', soundscape.draft_undescribed_objects(
        soundscape.take_undescribed_objects(soundscape.max_repairs_per_sweep()))));
    for page in select p.kind from soundscape.sweep_pages p order by p.kind loop
        counts := soundscape.add_counts(counts, soundscape.try_page(page.kind));
    end loop;
    perform soundscape.admit_waiting();
    perform soundscape.delete_unused_words(soundscape.max_repairs_per_sweep());
    perform soundscape.delete_old_notifications();
    perform soundscape.sum_index_sizes(20 * soundscape.max_repairs_per_sweep());
    return counts;
end
$$;

CREATE FUNCTION soundscape.record_download(recording uuid, listener text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    today constant date := (now() at time zone 'UTC')::date;
begin
    if not exists (
        select from public.audio_files f where f.id = recording and f.user_id::text is distinct from listener)
    then
        return false;
    end if;
    perform soundscape.make_salts(array[today]);
    insert into soundscape.day_listeners as l (audio_id, day, listener, has_downloaded)
    select recording, today, soundscape.listener_hash(record_download.listener, recording, s.salt), true
    from soundscape.listener_salts s where s.day = today
    on conflict on constraint day_listeners_pkey do update set has_downloaded = true where not l.has_downloaded;
    if not found then
        return false;
    end if;
    insert into soundscape.stat_events (audio_id, day, downloads) values (recording, today, 1);
    return true;
end
$$;

CREATE FUNCTION soundscape.record_key_session(key uuid, session uuid, expires_at timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
begin
    delete from soundscape.api_key_sessions s where s.expires_at < now() - interval '1 day';
    insert into soundscape.api_key_sessions (session_id, key_id, expires_at)
    select $2, k.id, $3 from public.api_keys k where k.id = $1;
    return found and exists (select from public.api_keys k where k.id = $1 and k.revoked_at is null);
end
$_$;

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

CREATE FUNCTION soundscape.recount_stored_objects() RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    delete from soundscape.stored_objects s
    where not exists (
        select from storage.objects o where o.id = s.object_id and soundscape.has_limited_size(o));
    insert into soundscape.stored_objects as s (object_id, user_id, size_bytes)
    select o.id, soundscape.owner_of(o.name, o.owner_id), coalesce((o.metadata ->> 'size')::bigint, 0)
    from storage.objects o where soundscape.has_limited_size(o)
    on conflict (object_id) do update set user_id = excluded.user_id, size_bytes = excluded.size_bytes
    where (s.user_id, s.size_bytes) is distinct from (excluded.user_id, excluded.size_bytes);
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

CREATE FUNCTION soundscape.register_worker(worker text, version text, migration text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    is_applied boolean := true;
begin
    delete from soundscape.workers w where w.seen_at < now() - interval '1 day';
    insert into soundscape.workers as w (name, version, migration)
    values (register_worker.worker, register_worker.version, register_worker.migration)
    on conflict on constraint workers_pkey do update
    set version = excluded.version, migration = excluded.migration, seen_at = excluded.seen_at;
    if register_worker.migration < soundscape.oldest_worker() then
        return 'worker_too_old';
    end if;
    -- Without this table the migrations were applied by hand, and nothing says which.
    if to_regclass('supabase_migrations.schema_migrations') is not null then
        select exists (
            select from supabase_migrations.schema_migrations m where m.version = register_worker.migration)
        into is_applied;
    end if;
    return case when is_applied then 'ok' else 'schema_too_old' end;
end
$$;

CREATE FUNCTION soundscape.rename_grace() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN '00:02:00'::interval;

CREATE FUNCTION soundscape.rename_results(recording uuid, former_folder text, folder text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    update public.audio_files set preview_path = folder || substr(preview_path, length(former_folder) + 1)
    where id = recording and soundscape.folder_of(preview_path) = former_folder;
    if found then
        return true;
    end if;
    -- The folder's name holds nothing that JSON writes in another way.
    update public.audio_features
    set waveform_path = folder || substr(waveform_path, length(former_folder) + 1),
        pictures = replace(pictures::text, former_folder, folder)::jsonb,
        descriptors = replace(descriptors::text, former_folder, folder)::jsonb
    where audio_id = recording and soundscape.folder_of(waveform_path) = former_folder;
    return found;
end
$$;

CREATE FUNCTION soundscape.renames_in_turn(max_renames integer) RETURNS SETOF soundscape.renames
    LANGUAGE sql SECURITY DEFINER ROWS 10
    SET search_path TO ''
    AS $$
    with due as (
        select r.id, r.attempts, f.hidden_at is null as may_wait,
            row_number() over (partition by f.user_id, f.hidden_at is null order by r.attempts, r.id) as turn
        from soundscape.renames r join public.audio_files f on f.id = r.audio_id
        where (r.taken_at is null
               or r.taken_at < clock_timestamp() - soundscape.rename_grace() * power(2, least(r.attempts, 10) - 1))
          -- An analysis that is running may name this folder when it ends.
          and case when r.bucket_id = 'waveforms' and exists (
                  select from soundscape.jobs j where j.audio_id = f.id and j.state = 'running')
              then f.is_listed or soundscape.is_named(r, f) else true end)
    select r.* from due
    join soundscape.renames r on r.id = due.id
    join public.audio_files f on f.id = r.audio_id
    order by due.may_wait, due.turn, due.attempts, r.id limit least(max_renames, 100)
    -- Nobody lists it again meanwhile. A transaction that changes it now is not waited for: it may wait for us. What is
    -- locked gives its place to the next one.
    for update of r skip locked for share of f skip locked
$$;

CREATE FUNCTION soundscape.reopen_address(account uuid) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    with reopened as (delete from soundscape.ended_addresses e where e.user_id = account returning e.user_id)
    select exists (select from reopened)
$$;

CREATE FUNCTION soundscape.reopen_addresses(code text DEFAULT NULL::text) RETURNS uuid[]
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    with reopened as (
        delete from soundscape.ended_addresses e where code is null or e.error_code = code returning e.user_id)
    select coalesce(array_agg(r.user_id order by r.user_id), '{}') from reopened r
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
    update public.playlist_items i set position = wanted.position
    from unnest(items) with ordinality as listed (id, place)
    join (select p.position, row_number() over (order by p.position) as place from public.playlist_items p
          where p.playlist_id = playlist) as wanted on wanted.place = listed.place
    where i.id = listed.id and i.position <> wanted.position;
end
$$;

CREATE FUNCTION soundscape.replace_caption(recording uuid, caption text, keywords text[] DEFAULT '{}'::text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.lock_own_recording(recording);
    if char_length(btrim(caption)) not between 1 and 500 or coalesce(cardinality(keywords), 0) > 12
        or exists (select from unnest(keywords) as k where k is null or char_length(k) not between 1 and 40)
    then
        raise exception 'A caption has 1 to 500 characters, and at most 12 keywords of 1 to 40 characters.'
            using errcode = '22023', detail = 'caption_length', hint = 'Shorten it.';
    end if;
    insert into public.audio_captions as c (audio_id, status, caption, keywords, is_by_owner)
    values (recording, 'ready', btrim(replace_caption.caption), coalesce(replace_caption.keywords, '{}'), true)
    on conflict (audio_id) do update
    set status = 'ready', error_code = null, caption = excluded.caption, keywords = excluded.keywords,
        is_by_owner = true, model = null, version = null, updated_at = now();
    delete from soundscape.caption_jobs j where j.audio_id = recording;
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
          from unnest(array[
            result #>> '{source,sha256}',
            coalesce(result #>> '{source,pcm_blake3}', result #>> '{source,pcm_sha256}')]) as h
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

CREATE FUNCTION soundscape.report_channel(channel text, is_on boolean, reason text DEFAULT NULL::text, public_key text DEFAULT NULL::text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    update soundscape.channels c
    set is_on = report_channel.is_on, reason = report_channel.reason, public_key = report_channel.public_key,
        reported_at = now()
    where c.channel = report_channel.channel
      -- Workers may have different settings: it is on while one of them delivers.
      and (report_channel.is_on or not c.is_on or c.reported_at < now() - interval '15 minutes')
$$;

CREATE FUNCTION soundscape.report_progress(job_id bigint, token text, stage text, progress real) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    job soundscape.jobs := soundscape.lock_held_job(job_id, token);
begin
    perform realtime.send(
        jsonb_build_object('audio_id', job.audio_id, 'stage', stage, 'progress', progress),
        'progress', 'recording:' || job.audio_id, true);
end
$$;

CREATE FUNCTION soundscape.request_file_rename(file public.audio_files) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    insert into soundscape.renames (audio_id, bucket_id, name)
    select file.id, 'audio-files', file.file_path
    where not file.is_listed and file.object_id is not null and exists (
        select from soundscape.exposed_names e where e.digest = soundscape.name_digest(file.file_path))
    on conflict (bucket_id, name) do nothing
$$;

CREATE FUNCTION soundscape.requeue_lost_jobs(recordings uuid[]) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    recording record;
    resent integer := 0;
begin
    for recording in
        select f.id from public.audio_files f
        where f.object_version is not null and f.id = any (recordings) and soundscape.has_lost_job(f.id)
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

CREATE FUNCTION soundscape.require_free_name(object_name text, account uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    update public.audio_files f set file_path = f.user_id || '/' || f.id
    where f.file_path = object_name and f.user_id is distinct from account and f.status = 'awaiting_upload'
      and f.object_id is null
      and coalesce((select r.removed_at from soundscape.file_removals r where r.audio_id = f.id), f.created_at)
          < now() - soundscape.name_reserved_for();
    if exists (
        select from public.audio_files f where f.file_path = object_name and f.user_id is distinct from account)
       or exists (
        select from storage.objects o
        where o.bucket_id = 'audio-files' and o.name = object_name
          and soundscape.owner_of(o.name, o.owner_id) is distinct from account)
    then
        raise exception 'The name % cannot be used.', object_name
            using errcode = '42501', hint = 'Choose another name, or one in the folder that is named as your id.';
    end if;
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

CREATE FUNCTION soundscape.reserve_caption(owner uuid, max_requests integer, max_tokens bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    today constant date := (now() at time zone 'UTC')::date;
    cost constant integer := soundscape.token_reserve();
    min_requests constant integer := 5;
    share constant real := (select l.max_caption_share from soundscape.owner_limits l);
    max_of_owner constant bigint := greatest(min_requests, floor(share * max_requests));
    max_tokens_of_owner constant bigint := greatest(min_requests * cost, floor(share * max_tokens));
begin
    insert into soundscape.caption_days (day) values (today) on conflict do nothing;
    if found then
        delete from soundscape.caption_owners o where o.day < today;
    end if;
    update soundscape.caption_days d set requests = d.requests + 1, tokens = d.tokens + cost
    where d.day = today and d.requests < max_requests and d.tokens + cost <= max_tokens;
    if not found then
        return 'day_used';
    end if;
    insert into soundscape.caption_owners as o (day, user_id, requests, tokens) values (today, owner, 1, cost)
    on conflict (day, user_id) do update set requests = o.requests + 1, tokens = o.tokens + cost
    where o.requests < max_of_owner and o.tokens + cost <= max_tokens_of_owner;
    if found then
        return 'reserved';
    end if;
    update soundscape.caption_days d set requests = d.requests - 1, tokens = d.tokens - cost where d.day = today;
    return 'share_used';
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

CREATE FUNCTION soundscape.restart_export(export uuid, token uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.hold_export(export, token);
    delete from soundscape.export_checksums c where c.export_id = export;
    update soundscape.export_jobs j set upload_url = null, is_snapshot_stored = false where j.export_id = export;
    update public.exports e set stored_bytes = 0, size_bytes = null where e.id = export;
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
declare
    max_retries integer := (select l.max_retries_per_hour from soundscape.owner_limits l);
begin
    perform soundscape.lock_own_recording(recording);
    if not soundscape.retry_job(recording) then
        perform soundscape.enqueue_preview(recording);
    end if;
    -- What this call queued, if anything.
    update soundscape.jobs set is_retry = true
    where audio_id = recording and state = 'queued' and created_at = now() and not is_retry;
    if found then
        perform soundscape.refuse_over_limit((
            select count(*) from (
                select from soundscape.jobs j
                where j.user_id = (select auth.uid()) and j.is_retry and j.created_at > now() - interval '1 hour'
                limit max_retries + 1) as held),
            max_retries, 'retries an hour');
    end if;
    return (select status from public.audio_files where id = recording);
end
$$;

CREATE FUNCTION soundscape.retry_deliveries(deliveries uuid[]) RETURNS SETOF uuid
    LANGUAGE sql SECURITY DEFINER ROWS 50
    SET search_path TO ''
    AS $$
    update soundscape.deliveries d
    set state = 'queued', attempts = 0, failures = 0, retry_at = now(), finished_at = null,
        expires_at = now() + s.max_age
    from soundscape.delivery_settings s
    where d.id = any (deliveries) and d.state in ('dropped', 'dead') and s.channel = d.channel
    returning d.id
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

CREATE FUNCTION soundscape.retry_wait(to_channel text, failures integer) RETURNS interval
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    -- Half of it is random, so that deliveries that failed together are not tried together.
    select least(s.max_retry_after, s.retry_after * power(2, least(greatest(failures, 1) - 1, 16)))
        * (0.5 + random() / 2)
    from soundscape.delivery_settings s where s.channel = to_channel
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

CREATE FUNCTION soundscape.revoke_api_key(key uuid) RETURNS timestamp with time zone
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
declare
    ended timestamptz;
begin
    if soundscape.session_scope() <> 'account' then
        raise exception 'No API key can revoke an API key.' using errcode = '42501', hint = 'Sign in.';
    end if;
    update public.api_keys k set revoked_at = coalesce(k.revoked_at, now())
    where k.id = $1 and k.user_id = (select auth.uid()) returning k.revoked_at into ended;
    if ended is null then
        raise exception 'This is no API key of yours.' using errcode = '42501', hint = 'List them: from(''api_keys'').';
    end if;
    return ended;
end
$_$;

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

CREATE FUNCTION soundscape.roll_up_stats(max_events integer DEFAULT 100000) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    today constant date := (now() at time zone 'UTC')::date;
    added integer;
begin
    if not soundscape.lock_stats() then
        return 0;
    end if;
    added := soundscape.add_stat_events(max_events);
    perform soundscape.close_stat_days();
    -- Made ahead: two first plays of a day need not wait for each other.
    perform soundscape.make_salts(array[today, today + 1]);
    return added;
end
$$;

CREATE FUNCTION soundscape.round_place() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
    step constant double precision := new.location_precision_m / soundscape.metres_per_degree();
begin
    if tg_op = 'UPDATE' and new.location_precision_m < old.location_precision_m and new.latitude is not null
        and (new.latitude, new.longitude) is not distinct from (old.latitude, old.longitude)
    then
        perform soundscape.check_value(false, 'location_is_coarser',
            format('The place is stored to %s m only.', old.location_precision_m),
            'Write latitude and longitude again with the finer location_precision_m.');
    end if;
    new.latitude := soundscape.round_to(new.latitude, step, 90);
    -- Degrees of longitude are shorter away from the equator: the cells stay about as wide as they are high.
    new.longitude := soundscape.round_to(
        new.longitude, least(360, step / greatest(cos(radians(new.latitude)), 1e-9)), 180);
    return new;
end
$$;

CREATE FUNCTION soundscape.round_to(degrees double precision, step double precision, bound double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN GREATEST((- bound), LEAST(bound, (round(((round(((round((degrees)::numeric, 9))::double precision / step)) * step))::numeric, 6))::double precision));

CREATE FUNCTION soundscape.save_export(export uuid, token uuid, stored_bytes bigint DEFAULT 0, size_bytes bigint DEFAULT NULL::bigint, upload_url text DEFAULT NULL::text, first_place integer DEFAULT 0, checksums bigint[] DEFAULT '{}'::bigint[], lease_s integer DEFAULT 60) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.hold_export(export, token);
    insert into soundscape.export_checksums (export_id, place, crc32)
    select export, first_place + c.place - 1, c.crc32 from unnest(checksums) with ordinality as c (crc32, place)
    on conflict do nothing;
    update soundscape.export_jobs j
    set leased_until = now() + make_interval(secs => lease_s),
        attempts = case when save_export.stored_bytes > e.stored_bytes then 1 else j.attempts end,
        failures = case when save_export.stored_bytes > e.stored_bytes then 0 else j.failures end,
        upload_url = coalesce(save_export.upload_url, j.upload_url),
        is_snapshot_stored = j.is_snapshot_stored or save_export.size_bytes is not null
    from public.exports e where e.id = export and j.export_id = export;
    update public.exports e
    set stored_bytes = greatest(e.stored_bytes, save_export.stored_bytes),
        size_bytes = coalesce(save_export.size_bytes, e.size_bytes)
    where e.id = export;
end
$$;

CREATE FUNCTION soundscape.save_push_subscription(endpoint text, p256dh text, auth text) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    caller uuid := (select auth.uid());
    saved uuid;
begin
    if caller is null or soundscape.session_scope() not in ('account', 'all') then
        raise exception 'Only the user may subscribe a browser.' using errcode = '42501', hint = 'Sign in.';
    end if;
    perform from public.users u where u.id = caller for no key update;
    -- Two people may use a browser one after the other. Its pushes go to the later one, who proves by the keys that
    -- this is the same browser.
    insert into public.push_subscriptions as s (user_id, endpoint, p256dh, auth)
    values (caller, save_push_subscription.endpoint, save_push_subscription.p256dh, save_push_subscription.auth)
    on conflict on constraint push_subscriptions_endpoint_key do update
    set user_id = excluded.user_id, p256dh = excluded.p256dh, auth = excluded.auth
    where s.user_id = excluded.user_id or (s.p256dh, s.auth) = (excluded.p256dh, excluded.auth)
    returning s.id into saved;
    if saved is null then
        raise exception 'This endpoint belongs to another subscription.' using errcode = '42501',
            hint = 'Subscribe the browser anew.';
    end if;
    perform soundscape.refuse_over_limit(
        (select count(*) from public.push_subscriptions s where s.user_id = caller),
        l.max_push_subscriptions, 'browsers that take pushes')
    from soundscape.owner_limits l;
    return saved;
end
$$;

CREATE FUNCTION soundscape.search_document(title text, description text, tags text[], heard jsonb) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN (((setweight(soundscape.document_words(title), 'A'::"char") || setweight(soundscape.document_words(array_to_string(tags, ' '::text)), 'B'::"char")) || setweight(soundscape.document_words(description), 'C'::"char")) || setweight(soundscape.document_words((SELECT string_agg(label.label, ' '::text) AS string_agg FROM jsonb_object_keys(search_document.heard) label(label))), 'D'::"char"));

CREATE FUNCTION soundscape.searched_numbers(version integer, seer uuid, all_owners boolean, OUT first integer, OUT last integer) RETURNS record
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select min(n.number), max(n.number) from (
        (select min(f.number) as number from soundscape.fingerprints f where all_owners)
        union all (select max(f.number) from soundscape.fingerprints f where all_owners)
        union all (select min(f.number) from soundscape.fingerprints f
            where f.version = searched_numbers.version and f.is_listed)
        union all (select max(f.number) from soundscape.fingerprints f
            where f.version = searched_numbers.version and f.is_listed)
        union all (select min(f.number) from soundscape.fingerprints f
            where f.version = searched_numbers.version and not f.is_listed and f.user_id = seer)
        union all (select max(f.number) from soundscape.fingerprints f
            where f.version = searched_numbers.version and not f.is_listed and f.user_id = seer)) as n
$$;

CREATE FUNCTION soundscape.seeded_random(id uuid, seed bigint) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((((hashtextextended((id)::text, seed) & '4503599627370495'::bigint))::numeric + 0.5) / 4503599627370496.0);

CREATE FUNCTION soundscape.session_scope() RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select coalesce(
        (select 'none' from soundscape.account_deletions d where d.user_id = caller.user_id),
        case when caller.user_id is not null
            and not exists (select from auth.users a where a.id = caller.user_id) then 'none' end,
        (select case when k.revoked_at is null and coalesce(k.expires_at > now(), true) then k.scope end
         from soundscape.api_key_sessions s join public.api_keys k on k.id = s.key_id
         where s.session_id = caller.session_id),
        (select 'none' from soundscape.api_key_sessions s where s.session_id = caller.session_id),
        'account')
    from (select auth.uid() as user_id, soundscape.uuid_or_null(auth.jwt() ->> 'session_id') as session_id) as caller
$$;

CREATE FUNCTION soundscape.set_captions(recording uuid, wanted boolean) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.lock_own_recording(recording);
    insert into public.audio_captions as c (audio_id, is_wanted, status, error_code)
    values (recording, wanted, 'skipped', 'not_ready')
    on conflict (audio_id) do update set is_wanted = excluded.is_wanted, updated_at = now();
    if exists (select from public.audio_captions c where c.audio_id = recording
        and (c.status <> 'ready' or wanted is false))
    then
        perform soundscape.queue_caption(recording);
    end if;
end
$$;

CREATE FUNCTION soundscape.set_comparison() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
    new.compared_within := int8range(
        least(pg_snapshot_xmin(new.compared_in), new.written_in)::text::bigint, new.written_in::text::bigint, '[]');
    return new;
end
$$;

CREATE FUNCTION soundscape.set_queue(paused boolean DEFAULT NULL::boolean, in_flight_per_owner integer DEFAULT NULL::integer, backfill_every integer DEFAULT NULL::integer, preview_every integer DEFAULT NULL::integer) RETURNS jsonb
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
        preview_every = coalesce(set_queue.preview_every, s.preview_every),
        changed_at = now()
    returning to_jsonb(s) - 'only_row' into settings;
    if was_paused and not paused then
        perform soundscape.ring_doorbell();
    end if;
    return settings;
end
$$;

CREATE FUNCTION soundscape.set_search() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    if tg_op = 'UPDATE' and (new.title, new.description, new.tags, new.heard, new.search)
        is not distinct from (old.title, old.description, old.tags, old.heard, old.search)
    then
        return new;
    end if;
    new.search := soundscape.search_document(new.title, new.description, new.tags, new.heard);
    if tg_op = 'UPDATE' then
        new.search := new.search || coalesce((
            select soundscape.caption_document(c.caption, c.keywords)
            from public.audio_captions c where c.audio_id = new.id and c.caption is not null), '');
    end if;
    return new;
end
$$;

CREATE FUNCTION soundscape.shared_traits(ids uuid[], causes uuid[]) RETURNS TABLE(audio_id uuid, timbre double precision, rhythm double precision, tonality double precision, tags double precision, have_tempo boolean, have_onsets boolean)
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

CREATE FUNCTION soundscape.shared_words(timbre double precision, rhythm double precision, tonality double precision, tags double precision, have_tempo boolean, have_onsets boolean) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN array_remove(ARRAY[CASE WHEN (timbre >= ((0.7 * 0.6))::double precision) THEN 'timbre'::text ELSE NULL::text END, CASE WHEN (rhythm >= ((0.1 * 0.6))::double precision) THEN CASE WHEN have_tempo THEN 'tempo'::text WHEN have_onsets THEN 'pace'::text ELSE NULL::text END ELSE NULL::text END, CASE WHEN (tonality >= ((0.1 * 0.7))::double precision) THEN 'key'::text ELSE NULL::text END, CASE WHEN (tags >= ((0.1 * 0.3))::double precision) THEN 'tags'::text ELSE NULL::text END], NULL::text);

CREATE FUNCTION soundscape.show_delivery(delivery uuid) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select to_jsonb(d) - array['token', 'address'] || jsonb_build_object(
        'content', soundscape.delivery_content(d.bundle_id, d.user_id))
    from soundscape.deliveries d where d.id = delivery
$$;

CREATE FUNCTION soundscape.show_job(job_id bigint) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select to_jsonb(j)
        || jsonb_build_object(
            'title', f.title, 'status', f.status, 'file_path', f.file_path, 'size_bytes', f.size_bytes,
            'shown_analysis_version', f.analysis_version,
            'visible_at', soundscape.visible_at(j.queue, j.msg_id),
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

CREATE FUNCTION soundscape.sources_max_bytes() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN 16384;

CREATE FUNCTION soundscape.spread_positions(playlist uuid, around double precision) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
-- The caller holds the playlist.
declare
    span integer := 4;
    first double precision;
    last double precision;
    low double precision;
    high double precision;
    items integer;
begin
    loop
        first := (select min(i.position) from (
            select p.position from public.playlist_items p where p.playlist_id = playlist and p.position <= around
            order by p.position desc limit span) as i);
        last := (select max(i.position) from (
            select p.position from public.playlist_items p where p.playlist_id = playlist and p.position > around
            order by p.position limit span) as i);
        items := (select count(*) from public.playlist_items p
            where p.playlist_id = playlist and p.position between first and coalesce(last, around));
        low := (select max(p.position) from public.playlist_items p
            where p.playlist_id = playlist and p.position < first);
        high := (select min(p.position) from public.playlist_items p
            where p.playlist_id = playlist and p.position > coalesce(last, around));
        if low is null and high is null then
            -- The whole list is numbered from 1 again.
            low := 0;
            high := items + 1;
            exit;
        end if;
        -- There is always room before the first item and behind the last one.
        low := coalesce(low, high - items - 1);
        high := coalesce(high, low + items + 1);
        -- Each gap can then be halved ten times at least.
        exit when (high - low) / (items + 1) > 1000 * soundscape.min_position_gap(around);
        span := span * 4;
    end loop;
    update public.playlist_items i set position = low + (high - low) * spread.place / (items + 1)
    from (select p.id, row_number() over (order by p.position) as place from public.playlist_items p
          where p.playlist_id = playlist and p.position between first and coalesce(last, around)) as spread
    where i.id = spread.id;
end
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

CREATE FUNCTION soundscape.stat_day(started_at timestamp with time zone) RETURNS date
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN CASE WHEN ((((started_at AT TIME ZONE 'UTC'::text))::date >= soundscape.first_open_day()) AND (((started_at AT TIME ZONE 'UTC'::text))::date <= ((now() AT TIME ZONE 'UTC'::text))::date)) THEN ((started_at AT TIME ZONE 'UTC'::text))::date ELSE ((now() AT TIME ZONE 'UTC'::text))::date END;

CREATE FUNCTION soundscape.stored_fingerprints(recordings uuid[]) RETURNS TABLE(audio_id uuid, peaks text)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 16
    SET search_path TO ''
    AS $$
    select f.audio_id, encode(f.peaks, 'base64') from soundscape.fingerprints f where f.audio_id = any (recordings)
$$;

CREATE FUNCTION soundscape.sum_index_sizes(max_changes integer) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    with taken as (
        delete from soundscape.index_size_changes c
        where c.id in (select i.id from soundscape.index_size_changes i order by i.id limit max_changes)
        returning c.version, c.owner, c.key_count)
    insert into soundscape.index_sizes as s (version, owner, key_count)
    select t.version, t.owner, sum(t.key_count) from taken t group by t.version, t.owner
    on conflict (version, owner) do update set key_count = s.key_count + excluded.key_count;
    delete from soundscape.index_sizes where key_count = 0;
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
        where t.audio_id = recording and t.confidence >= soundscape.min_heard_confidence()
        group by label, whole.end_s order by weight desc, label limit 30) as strongest
$$;

CREATE FUNCTION soundscape.tags_to_store(tags jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN ((tags - ARRAY['comment'::text, 'date'::text]) || CASE WHEN ((tags ->> 'date'::text) ~ '^\d{4}($|[^\d])'::text) THEN jsonb_build_object('date', "left"((tags ->> 'date'::text), 4)) ELSE '{}'::jsonb END);

CREATE FUNCTION soundscape.take_undescribed_objects(max_objects integer) RETURNS text[]
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    with due as (
        delete from soundscape.undescribed_objects u
        where u.name in (
            select d.name from soundscape.undescribed_objects d where d.written_at < now() - interval '1 minute'
            order by d.written_at limit max_objects for update skip locked)
        returning u.name)
    select coalesce(array_agg(due.name), '{}') from due
$$;

CREATE FUNCTION soundscape.title_or_null(candidate text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN NULLIF("left"(regexp_replace(candidate, '^\s+|\s+$'::text, ''::text, 'g'::text), 200), ''::text);

CREATE FUNCTION soundscape.token_reserve() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    RETURN 4000;

CREATE FUNCTION soundscape.touch_updated_at() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
    new.updated_at := now();
    return new;
end
$$;

CREATE FUNCTION soundscape.try_page(wanted_kind text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    return soundscape.check_page(wanted_kind);
-- "others" leaves out query_canceled, by which a page ends that takes too long.
exception when query_canceled or others then
    raise warning 'sweep: a page of % was left out: %', wanted_kind, sqlerrm;
    perform soundscape.next_page(wanted_kind, soundscape.max_repairs_per_sweep());
    return '{}';
end
$$;

CREATE FUNCTION soundscape.try_to_empty_account(account uuid, max_recordings integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform soundscape.empty_account(account, max_recordings);
    update soundscape.account_deletions set attempts = 0, failure = null where user_id = account and attempts > 0;
    return true;
-- "others" leaves out query_canceled, by which a batch ends that takes too long.
exception when query_canceled or others then
    update soundscape.account_deletions d
    set attempts = d.attempts + 1, failure = sqlerrm,
        retry_at = clock_timestamp() + least(make_interval(secs => 10 * power(3, least(d.attempts, 9))), '1 day')
    where d.user_id = account;
    raise warning 'The account % was not emptied: %', account, sqlerrm;
    return false;
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

CREATE FUNCTION soundscape.unsubscribe(account uuid, kinds text[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    insert into public.notification_preferences (user_id, kind, channel, enabled)
    select u.id, k.kind, 'email', false
    from public.users u join soundscape.notification_kinds k on k.kind = any (kinds) and 'email' = any (k.channels)
    where u.id = account
    on conflict (user_id, kind, channel) do update set enabled = false
$$;

CREATE FUNCTION soundscape.visible_at(queue text, message bigint) RETURNS timestamp with time zone
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $_$
declare
    at timestamptz;
begin
    execute format('select m.vt from pgmq.%I m where m.msg_id = $1', 'q_' || queue) into at using message;
    return at;
end
$_$;

CREATE FUNCTION soundscape.wants_analysis(file public.audio_files, version text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    RETURN (((file).object_version IS NOT NULL) AND ((file).status <> 'awaiting_upload'::text) AND ((file).analysis_version IS DISTINCT FROM version) AND (NOT (EXISTS (SELECT FROM soundscape.jobs j WHERE ((j.audio_id = (wants_analysis.file).id) AND (j.object_version = (wants_analysis.file).object_version) AND (j.analysis_version = wants_analysis.version) AND (j.state = ANY (ARRAY['queued'::text, 'running'::text, 'refused'::text, 'dead'::text])))))));

CREATE FUNCTION soundscape.wants_preview(recording uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select f.status = 'ready' and f.preview_path is null and f.object_version is not null
        and coalesce((a.descriptors #>> '{source,preview}')::boolean, false)
        and a.object_version = f.object_version
        and not exists (
            select from soundscape.jobs j where j.audio_id = f.id and j.state in ('queued', 'running'))
    from public.audio_files f join public.audio_features a on a.audio_id = f.id
    where f.id = recording
$$;

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

CREATE TABLE public.api_keys (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    prefix text NOT NULL,
    scope text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT api_keys_check CHECK ((expires_at > created_at)),
    CONSTRAINT api_keys_name_check CHECK (((char_length(btrim(name)) >= 1) AND (char_length(btrim(name)) <= 80))),
    CONSTRAINT api_keys_prefix_check CHECK ((prefix ~ '^soundscape_[0-9a-f]{8}$'::text)),
    CONSTRAINT api_keys_scope_check CHECK ((scope = ANY (ARRAY['read'::text, 'upload'::text, 'all'::text])))
);

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

CREATE TABLE public.audio_stats (
    audio_id uuid NOT NULL,
    plays bigint DEFAULT 0 NOT NULL,
    listener_days bigint DEFAULT 0 NOT NULL,
    likes bigint DEFAULT 0 NOT NULL,
    downloads bigint DEFAULT 0 NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.audio_stats_daily (
    audio_id uuid NOT NULL,
    day date NOT NULL,
    user_id uuid NOT NULL,
    plays integer DEFAULT 0 NOT NULL,
    listeners integer DEFAULT 0 NOT NULL,
    downloads integer DEFAULT 0 NOT NULL,
    listened_s double precision,
    from_search integer,
    from_similar integer,
    from_recommended integer,
    from_radio integer,
    from_playlist integer,
    from_embed integer,
    from_elsewhere integer,
    heard_quarter_1 integer,
    heard_quarter_2 integer,
    heard_quarter_3 integer,
    heard_quarter_4 integer
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

CREATE TABLE public.exports (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    status text DEFAULT 'queued'::text NOT NULL,
    file_path text,
    size_bytes bigint,
    stored_bytes bigint DEFAULT 0 NOT NULL,
    error_code text,
    error_message text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    expires_at timestamp with time zone,
    parts integer DEFAULT 1 NOT NULL,
    file_paths text[] GENERATED ALWAYS AS (soundscape.export_paths(file_path, parts)) STORED,
    CONSTRAINT exports_check CHECK (((status = 'ready'::text) = (file_path IS NOT NULL))),
    CONSTRAINT exports_error_code_check CHECK ((char_length(error_code) <= 64)),
    CONSTRAINT exports_error_message_check CHECK ((char_length(error_message) <= 2000)),
    CONSTRAINT exports_file_path_check CHECK ((char_length(file_path) <= 200)),
    CONSTRAINT exports_parts_check CHECK (((parts >= 1) AND (parts <= 10000))),
    CONSTRAINT exports_size_bytes_check CHECK ((size_bytes >= 0)),
    CONSTRAINT exports_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'ready'::text, 'failed'::text, 'expired'::text]))),
    CONSTRAINT exports_stored_bytes_check CHECK ((stored_bytes >= 0))
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

CREATE TABLE public.license_history (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    audio_id uuid NOT NULL,
    license text,
    attribution text,
    changed_by uuid,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
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
    CONSTRAINT listening_events_context_check CHECK (soundscape.check_value(((char_length(context) >= 1) AND (char_length(context) <= 64)), 'context_length'::text, 'A context has 1 to 64 characters.'::text, 'Write a short word, such as search, or null.'::text)),
    CONSTRAINT listening_events_listened_s_check CHECK (soundscape.check_value(((listened_s >= (0)::double precision) AND (listened_s < 'Infinity'::real)), 'listened_s_range'::text, 'listened_s is a number of seconds, 0 or more.'::text, 'Write how many seconds were heard.'::text)),
    CONSTRAINT listening_events_started_at_check CHECK (soundscape.check_value(((started_at >= '2020-01-01 00:00:00+00'::timestamp with time zone) AND (started_at <= (created_at + '00:05:00'::interval))), 'started_at_range'::text, 'Listening started between 2020 and now.'::text, 'Check the clock of the device, or leave started_at out.'::text))
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
    audio_id uuid,
    error_code text,
    trace_id text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    read_at timestamp with time zone,
    error_message text,
    CONSTRAINT notifications_error_code_check CHECK ((char_length(error_code) <= 64)),
    CONSTRAINT notifications_error_message_check CHECK ((char_length(error_message) <= 2000))
);

CREATE TABLE public.playlist_items (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    playlist_id uuid NOT NULL,
    audio_id uuid NOT NULL,
    "position" double precision DEFAULT 1 NOT NULL,
    added_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT playlist_items_position_check CHECK ((("position" > '-Infinity'::double precision) AND ("position" < 'Infinity'::double precision)))
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
    CONSTRAINT reports_details_check CHECK (soundscape.check_value((char_length(details) <= 5000), 'details_length'::text, 'The details of a report have at most 5000 characters.'::text, 'Shorten them.'::text)),
    CONSTRAINT reports_reason_check CHECK (soundscape.check_value((reason = ANY (ARRAY['copyright'::text, 'illegal'::text, 'offensive'::text, 'spam'::text, 'misleading'::text, 'other'::text])), 'reason_unknown'::text, 'There is no such reason for a report.'::text, 'Choose copyright, illegal, offensive, spam, misleading or other.'::text)),
    CONSTRAINT reports_resolution_check CHECK (soundscape.check_value((resolution = ANY (ARRAY['hidden'::text, 'dismissed'::text])), 'resolution_unknown'::text, 'There is no such resolution.'::text, 'Choose hidden or dismissed.'::text)),
    CONSTRAINT reports_resolution_reason_check CHECK (soundscape.check_value(((char_length(btrim(resolution_reason)) >= 1) AND (char_length(btrim(resolution_reason)) <= 1000)), 'reason_length'::text, 'A reason has 1 to 1000 characters and is not blank.'::text, 'Say why, so that the owner knows.'::text))
);

ALTER TABLE public.role_permissions ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.role_permissions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
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
    CONSTRAINT users_avatar_path_check CHECK (soundscape.check_value(((soundscape.object_name_problem(avatar_path) IS NULL) AND (avatar_path ~~ (id || '/_%'::text))), 'avatar_path_format'::text, 'The avatar is a file in the user''s own folder of the bucket profile-images.'::text, 'Upload it as {user_id}/{name} and write that name.'::text)),
    CONSTRAINT users_bio_check CHECK (soundscape.check_value((char_length(bio) <= 1000), 'bio_length'::text, 'A bio has at most 1000 characters.'::text, 'Shorten it.'::text)),
    CONSTRAINT users_display_name_check CHECK ((soundscape.check_value(((char_length(display_name) >= 1) AND (char_length(display_name) <= 80)), 'display_name_length'::text, 'A display name has 1 to 80 characters.'::text, 'Shorten it, or write null for none.'::text) AND soundscape.check_value((soundscape.display_name_problem(display_name) IS NULL), 'display_name_characters'::text, (('The display name cannot be used: '::text || soundscape.display_name_problem(display_name)) || '.'::text), 'Write it with visible characters, each word in one script.'::text))),
    CONSTRAINT users_username_check CHECK (soundscape.check_value((username ~ '^[a-z0-9_]{3,30}$'::text), 'username_format'::text, 'A username has 3 to 30 characters: a to z, 0 to 9 and underscores.'::text, 'Choose another username.'::text))
);

CREATE TABLE soundscape.action_counts (
    user_id uuid NOT NULL,
    max_column text NOT NULL,
    since timestamp with time zone NOT NULL,
    actions integer NOT NULL
);

CREATE TABLE soundscape.api_key_secrets (
    key_id uuid NOT NULL,
    hash bytea NOT NULL,
    hour timestamp with time zone DEFAULT date_trunc('hour'::text, now()) NOT NULL,
    uses integer DEFAULT 0 NOT NULL,
    CONSTRAINT api_key_secrets_hash_check CHECK ((octet_length(hash) = 32))
);

CREATE TABLE soundscape.api_key_sessions (
    session_id uuid NOT NULL,
    key_id uuid,
    expires_at timestamp with time zone NOT NULL
);

CREATE TABLE soundscape.audio_moods (
    audio_id uuid NOT NULL,
    user_id uuid NOT NULL,
    is_listed boolean NOT NULL,
    mood text NOT NULL,
    score real NOT NULL,
    CONSTRAINT audio_moods_score_check CHECK (((score >= (0.5)::double precision) AND (score <= (1)::double precision)))
);

CREATE TABLE soundscape.caption_days (
    day date NOT NULL,
    requests integer DEFAULT 0 NOT NULL,
    tokens bigint DEFAULT 0 NOT NULL
);

CREATE TABLE soundscape.caption_owners (
    day date NOT NULL,
    user_id uuid NOT NULL,
    requests integer NOT NULL,
    tokens bigint NOT NULL
);

CREATE TABLE soundscape.caption_workers (
    only_row boolean DEFAULT true NOT NULL,
    seen_at timestamp with time zone,
    CONSTRAINT caption_workers_only_row_check CHECK (only_row)
);

CREATE TABLE soundscape.channels (
    channel text NOT NULL,
    is_on boolean DEFAULT false NOT NULL,
    reason text,
    public_key text,
    reported_at timestamp with time zone,
    CONSTRAINT channels_channel_check CHECK ((channel = ANY (ARRAY['email'::text, 'push'::text])))
);

CREATE SEQUENCE soundscape.claim_rounds
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
    CYCLE;

CREATE TABLE soundscape.day_listeners (
    audio_id uuid NOT NULL,
    day date NOT NULL,
    listener bytea NOT NULL,
    plays integer DEFAULT 0 NOT NULL,
    has_downloaded boolean DEFAULT false NOT NULL
);

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

CREATE TABLE soundscape.delivery_settings (
    channel text NOT NULL,
    bundle_after interval NOT NULL,
    bundle_within interval NOT NULL,
    max_age interval NOT NULL,
    retry_after interval DEFAULT '00:00:10'::interval NOT NULL,
    max_retry_after interval DEFAULT '00:05:00'::interval NOT NULL,
    CONSTRAINT delivery_settings_channel_check CHECK ((channel = ANY (ARRAY['email'::text, 'push'::text]))),
    CONSTRAINT delivery_settings_check CHECK ((max_retry_after >= retry_after)),
    CONSTRAINT delivery_settings_retry_after_check CHECK ((retry_after > '00:00:00'::interval))
);

CREATE TABLE soundscape.descriptors (
    column_name text NOT NULL,
    path text[] NOT NULL,
    unit text NOT NULL,
    filter text
);

CREATE TABLE soundscape.digests (
    user_id uuid NOT NULL,
    queued_at timestamp with time zone NOT NULL,
    begins timestamp with time zone,
    ends timestamp with time zone
);

CREATE TABLE soundscape.export_checksums (
    export_id uuid NOT NULL,
    place integer NOT NULL,
    crc32 bigint NOT NULL,
    CONSTRAINT export_checksums_crc32_check CHECK (((crc32 >= 0) AND (crc32 <= '4294967295'::bigint)))
);

CREATE TABLE soundscape.export_jobs (
    export_id uuid NOT NULL,
    token uuid,
    leased_until timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    retry_at timestamp with time zone DEFAULT now() NOT NULL,
    upload_url text,
    is_snapshot_stored boolean DEFAULT false NOT NULL
);

CREATE TABLE soundscape.export_requests (
    user_id uuid NOT NULL,
    requested_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE soundscape.exported_tables (
    table_name text NOT NULL,
    via text NOT NULL,
    CONSTRAINT exported_tables_via_check CHECK ((via = ANY (ARRAY['id'::text, 'user_id'::text, 'reporter_id'::text, 'assignee_id'::text, 'audio_id'::text, 'playlist_id'::text, 'claim'::text])))
);

CREATE TABLE soundscape.exposed_names (
    digest bytea NOT NULL,
    exposed_at timestamp with time zone DEFAULT now() NOT NULL
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

CREATE TABLE soundscape.file_removals (
    audio_id uuid NOT NULL,
    removed_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE SEQUENCE soundscape.fingerprint_numbers
    AS integer
    START WITH 0
    INCREMENT BY 1
    MINVALUE -2147483648
    NO MAXVALUE
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
    compared_within int8range NOT NULL,
    CONSTRAINT fingerprints_check CHECK ((cardinality(keys) = cardinality(frames))),
    CONSTRAINT fingerprints_version_check CHECK ((version > 0)),
    CONSTRAINT fingerprints_version_fits CHECK ((version <= 511))
);
ALTER TABLE ONLY soundscape.fingerprints ALTER COLUMN peaks SET STORAGE EXTERNAL;

CREATE TABLE soundscape.first_ready (
    audio_id uuid NOT NULL,
    ready_at timestamp with time zone NOT NULL
);

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

CREATE TABLE soundscape.image_checks (
    object_id uuid NOT NULL,
    version text,
    noted_at timestamp with time zone DEFAULT now() NOT NULL,
    token uuid,
    attempts integer DEFAULT 0 NOT NULL,
    retry_at timestamp with time zone DEFAULT now() NOT NULL,
    checked_at timestamp with time zone,
    error_code text,
    CONSTRAINT image_checks_error_code_check CHECK ((char_length(error_code) <= 64))
);

CREATE TABLE soundscape.index_size_changes (
    id bigint NOT NULL,
    version smallint NOT NULL,
    owner uuid,
    key_count bigint NOT NULL
);

ALTER TABLE soundscape.index_size_changes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME soundscape.index_size_changes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE soundscape.index_sizes (
    version smallint NOT NULL,
    owner uuid,
    key_count bigint NOT NULL,
    id bigint NOT NULL
);

ALTER TABLE soundscape.index_sizes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME soundscape.index_sizes_id_seq
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

CREATE TABLE soundscape.listener_salts (
    day date NOT NULL,
    salt bytea NOT NULL,
    CONSTRAINT listener_salts_salt_check CHECK ((length(salt) = 32))
);

CREATE UNLOGGED TABLE soundscape.name_locks (
    key bigint NOT NULL
)
WITH (autovacuum_vacuum_threshold='1000', autovacuum_vacuum_scale_factor='0');

CREATE TABLE soundscape.open_day_details (
    audio_id uuid CONSTRAINT audio_stats_daily_audio_id_not_null NOT NULL,
    day date CONSTRAINT audio_stats_daily_day_not_null NOT NULL,
    listeners integer CONSTRAINT audio_stats_daily_listeners_not_null NOT NULL,
    listened_s double precision,
    from_search integer,
    from_similar integer,
    from_recommended integer,
    from_radio integer,
    from_playlist integer,
    from_embed integer,
    from_elsewhere integer,
    heard_quarter_1 integer,
    heard_quarter_2 integer,
    heard_quarter_3 integer,
    heard_quarter_4 integer
);

ALTER TABLE soundscape.outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME soundscape.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE soundscape.owner_limits (
    only_row boolean DEFAULT true NOT NULL,
    max_playlists integer DEFAULT 1000 NOT NULL,
    max_playlist_items integer DEFAULT 5000 NOT NULL,
    max_awaiting_upload integer DEFAULT 1000 NOT NULL,
    max_events_per_hour integer DEFAULT 1000 NOT NULL,
    max_reports_per_day integer DEFAULT 100 NOT NULL,
    max_api_keys integer DEFAULT 100 NOT NULL,
    max_key_uses_per_hour integer DEFAULT 60 NOT NULL,
    max_recordings integer DEFAULT 20000 NOT NULL,
    max_stored_bytes bigint DEFAULT '107374182400'::bigint NOT NULL,
    max_words integer DEFAULT 10000 NOT NULL,
    max_impressions_per_hour integer DEFAULT 2000 NOT NULL,
    max_retries_per_hour integer DEFAULT 500 NOT NULL,
    max_exports_per_day integer DEFAULT 3 NOT NULL,
    max_license_changes integer DEFAULT 100 NOT NULL,
    max_push_subscriptions integer DEFAULT 20 NOT NULL,
    max_license_changes_per_month integer DEFAULT 40000 NOT NULL,
    max_caption_share real DEFAULT 0.25 NOT NULL,
    CONSTRAINT owner_limits_max_api_keys_check CHECK ((max_api_keys >= 0)),
    CONSTRAINT owner_limits_max_awaiting_upload_check CHECK ((max_awaiting_upload >= 0)),
    CONSTRAINT owner_limits_max_caption_share_check CHECK (((max_caption_share >= (0)::double precision) AND (max_caption_share <= (1)::double precision))),
    CONSTRAINT owner_limits_max_events_per_hour_check CHECK ((max_events_per_hour >= 0)),
    CONSTRAINT owner_limits_max_exports_per_day_check CHECK ((max_exports_per_day >= 0)),
    CONSTRAINT owner_limits_max_impressions_per_hour_check CHECK ((max_impressions_per_hour >= 0)),
    CONSTRAINT owner_limits_max_key_uses_per_hour_check CHECK ((max_key_uses_per_hour >= 0)),
    CONSTRAINT owner_limits_max_license_changes_check CHECK ((max_license_changes >= 0)),
    CONSTRAINT owner_limits_max_license_changes_per_month_check CHECK ((max_license_changes_per_month >= 0)),
    CONSTRAINT owner_limits_max_playlist_items_check CHECK ((max_playlist_items >= 0)),
    CONSTRAINT owner_limits_max_playlists_check CHECK ((max_playlists >= 0)),
    CONSTRAINT owner_limits_max_push_subscriptions_check CHECK ((max_push_subscriptions >= 0)),
    CONSTRAINT owner_limits_max_recordings_check CHECK ((max_recordings >= 0)),
    CONSTRAINT owner_limits_max_reports_per_day_check CHECK ((max_reports_per_day >= 0)),
    CONSTRAINT owner_limits_max_retries_per_hour_check CHECK ((max_retries_per_hour >= 0)),
    CONSTRAINT owner_limits_max_stored_bytes_check CHECK ((max_stored_bytes >= 0)),
    CONSTRAINT owner_limits_max_words_check CHECK ((max_words >= 0)),
    CONSTRAINT owner_limits_only_row_check CHECK (only_row)
);

CREATE TABLE soundscape.postings (
    key integer NOT NULL,
    number integer NOT NULL,
    frame integer NOT NULL
)
WITH (autovacuum_vacuum_insert_scale_factor='0.02', autovacuum_vacuum_insert_threshold='100000');

CREATE SEQUENCE soundscape.preview_rounds
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE soundscape.project_days (
    day date NOT NULL,
    plays bigint DEFAULT 0 NOT NULL,
    listeners bigint DEFAULT 0 NOT NULL,
    downloads bigint DEFAULT 0 NOT NULL
);

CREATE TABLE soundscape.queue_settings (
    only_row boolean DEFAULT true NOT NULL,
    in_flight_per_owner integer DEFAULT 8 NOT NULL,
    backfill_every integer DEFAULT 10 NOT NULL,
    paused_at timestamp with time zone,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    preview_every integer DEFAULT 10 NOT NULL,
    CONSTRAINT queue_settings_backfill_every_check CHECK (((backfill_every >= 2) AND (backfill_every <= 1000))),
    CONSTRAINT queue_settings_in_flight_per_owner_check CHECK (((in_flight_per_owner >= 1) AND (in_flight_per_owner <= 10000))),
    CONSTRAINT queue_settings_only_row_check CHECK (only_row),
    CONSTRAINT queue_settings_preview_every_check CHECK (((preview_every >= 2) AND (preview_every <= 1000)))
);

ALTER TABLE soundscape.recommendation_models ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME soundscape.recommendation_models_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE soundscape.renames ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME soundscape.renames_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE soundscape.stat_events (
    id bigint NOT NULL,
    audio_id uuid NOT NULL,
    day date NOT NULL,
    plays smallint DEFAULT 0 NOT NULL,
    listeners smallint DEFAULT 0 NOT NULL,
    downloads smallint DEFAULT 0 NOT NULL,
    likes smallint DEFAULT 0 NOT NULL,
    listened_s double precision DEFAULT 0 NOT NULL,
    source text,
    quarter smallint,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE soundscape.stat_events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME soundscape.stat_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE soundscape.stored_objects (
    object_id uuid NOT NULL,
    user_id uuid NOT NULL,
    size_bytes bigint NOT NULL
);

CREATE TABLE soundscape.sweep_pages (
    kind text NOT NULL,
    after text,
    rounds bigint DEFAULT 0 NOT NULL,
    round_begun_at timestamp with time zone DEFAULT now() NOT NULL,
    round_ended_at timestamp with time zone,
    CONSTRAINT sweep_pages_kind_check CHECK ((kind = ANY (ARRAY['recordings'::text, 'pictures'::text, 'profiles'::text, 'jobs'::text, 'unfinished'::text, 'ended_jobs'::text, 'accounts'::text])))
);

CREATE TABLE soundscape.undescribed_objects (
    name text NOT NULL,
    written_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE soundscape.unlisted_postings (
    owner_hash integer NOT NULL,
    key integer NOT NULL,
    number integer NOT NULL,
    frame integer NOT NULL
)
WITH (autovacuum_vacuum_insert_scale_factor='0.02', autovacuum_vacuum_insert_threshold='100000');

CREATE TABLE soundscape.vocabulary (
    word text NOT NULL,
    added_by uuid
);

CREATE TABLE soundscape.workers (
    name text NOT NULL,
    version text NOT NULL,
    migration text NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT workers_migration_check CHECK ((migration ~ '^[0-9]{14}$'::text)),
    CONSTRAINT workers_name_check CHECK (((char_length(name) >= 1) AND (char_length(name) <= 200))),
    CONSTRAINT workers_version_check CHECK (((char_length(version) >= 1) AND (char_length(version) <= 64)))
);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.audio_captions
    ADD CONSTRAINT audio_captions_pkey PRIMARY KEY (audio_id);

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

ALTER TABLE ONLY public.audio_stats_daily
    ADD CONSTRAINT audio_stats_daily_pkey PRIMARY KEY (audio_id, day);

ALTER TABLE ONLY public.audio_stats
    ADD CONSTRAINT audio_stats_pkey PRIMARY KEY (audio_id);

ALTER TABLE ONLY public.audio_tags
    ADD CONSTRAINT audio_tags_pkey PRIMARY KEY (audio_id, label, start_s);

ALTER TABLE ONLY public.exports
    ADD CONSTRAINT exports_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.feature_flags
    ADD CONSTRAINT feature_flags_pkey PRIMARY KEY (key);

ALTER TABLE ONLY public.impressions
    ADD CONSTRAINT impressions_pkey PRIMARY KEY (answer_id, place);

ALTER TABLE ONLY public.license_history
    ADD CONSTRAINT license_history_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.licenses
    ADD CONSTRAINT licenses_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.likes
    ADD CONSTRAINT likes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.likes
    ADD CONSTRAINT likes_user_id_audio_id_key UNIQUE (user_id, audio_id);

ALTER TABLE ONLY public.listening_events
    ADD CONSTRAINT listening_events_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.mood_rules
    ADD CONSTRAINT mood_rules_pkey PRIMARY KEY (mood, rule);

ALTER TABLE ONLY public.notification_preferences
    ADD CONSTRAINT notification_preferences_pkey PRIMARY KEY (user_id, kind, channel);

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT notifications_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.playlist_items
    ADD CONSTRAINT playlist_items_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.playlist_items
    ADD CONSTRAINT playlist_items_playlist_id_position_key UNIQUE (playlist_id, "position") DEFERRABLE;

ALTER TABLE ONLY public.playlists
    ADD CONSTRAINT playlists_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.push_subscriptions
    ADD CONSTRAINT push_subscriptions_endpoint_key UNIQUE (endpoint);

ALTER TABLE ONLY public.push_subscriptions
    ADD CONSTRAINT push_subscriptions_pkey PRIMARY KEY (id);

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

ALTER TABLE ONLY soundscape.account_deletions
    ADD CONSTRAINT account_deletions_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY soundscape.action_counts
    ADD CONSTRAINT action_counts_pkey PRIMARY KEY (user_id, max_column);

ALTER TABLE ONLY soundscape.api_key_secrets
    ADD CONSTRAINT api_key_secrets_hash_key UNIQUE (hash);

ALTER TABLE ONLY soundscape.api_key_secrets
    ADD CONSTRAINT api_key_secrets_pkey PRIMARY KEY (key_id);

ALTER TABLE ONLY soundscape.api_key_sessions
    ADD CONSTRAINT api_key_sessions_pkey PRIMARY KEY (session_id);

ALTER TABLE ONLY soundscape.audio_moods
    ADD CONSTRAINT audio_moods_pkey PRIMARY KEY (audio_id, mood);

ALTER TABLE ONLY soundscape.caption_days
    ADD CONSTRAINT caption_days_pkey PRIMARY KEY (day);

ALTER TABLE ONLY soundscape.caption_jobs
    ADD CONSTRAINT caption_jobs_pkey PRIMARY KEY (audio_id);

ALTER TABLE ONLY soundscape.caption_owners
    ADD CONSTRAINT caption_owners_pkey PRIMARY KEY (day, user_id);

ALTER TABLE ONLY soundscape.caption_workers
    ADD CONSTRAINT caption_workers_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY soundscape.channels
    ADD CONSTRAINT channels_pkey PRIMARY KEY (channel);

ALTER TABLE ONLY soundscape.day_listeners
    ADD CONSTRAINT day_listeners_pkey PRIMARY KEY (audio_id, day, listener);

ALTER TABLE ONLY soundscape.deletions
    ADD CONSTRAINT deletions_bucket_id_name_key UNIQUE (bucket_id, name);

ALTER TABLE ONLY soundscape.deletions
    ADD CONSTRAINT deletions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY soundscape.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (id);

ALTER TABLE ONLY soundscape.delivery_settings
    ADD CONSTRAINT delivery_settings_pkey PRIMARY KEY (channel);

ALTER TABLE ONLY soundscape.descriptors
    ADD CONSTRAINT descriptors_filter_key UNIQUE (filter);

ALTER TABLE ONLY soundscape.descriptors
    ADD CONSTRAINT descriptors_path_key UNIQUE (path);

ALTER TABLE ONLY soundscape.descriptors
    ADD CONSTRAINT descriptors_pkey PRIMARY KEY (column_name);

ALTER TABLE ONLY soundscape.digests
    ADD CONSTRAINT digests_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY soundscape.ended_addresses
    ADD CONSTRAINT ended_addresses_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY soundscape.export_checksums
    ADD CONSTRAINT export_checksums_pkey PRIMARY KEY (export_id, place);

ALTER TABLE ONLY soundscape.export_jobs
    ADD CONSTRAINT export_jobs_pkey PRIMARY KEY (export_id);

ALTER TABLE ONLY soundscape.export_requests
    ADD CONSTRAINT export_requests_pkey PRIMARY KEY (user_id, requested_at);

ALTER TABLE ONLY soundscape.exported_tables
    ADD CONSTRAINT exported_tables_pkey PRIMARY KEY (table_name);

ALTER TABLE ONLY soundscape.exposed_names
    ADD CONSTRAINT exposed_names_pkey PRIMARY KEY (digest);

ALTER TABLE ONLY soundscape.factor_maps
    ADD CONSTRAINT factor_maps_pkey PRIMARY KEY (model_id, space, factor);

ALTER TABLE ONLY soundscape.file_removals
    ADD CONSTRAINT file_removals_pkey PRIMARY KEY (audio_id);

ALTER TABLE ONLY soundscape.fingerprints
    ADD CONSTRAINT fingerprints_number_key UNIQUE (number);

ALTER TABLE ONLY soundscape.fingerprints
    ADD CONSTRAINT fingerprints_pkey PRIMARY KEY (audio_id);

ALTER TABLE ONLY soundscape.first_ready
    ADD CONSTRAINT first_ready_pkey PRIMARY KEY (audio_id);

ALTER TABLE ONLY soundscape.fit_lease
    ADD CONSTRAINT fit_lease_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY soundscape.former_dismissals
    ADD CONSTRAINT former_dismissals_pkey PRIMARY KEY (id);

ALTER TABLE ONLY soundscape.former_words
    ADD CONSTRAINT former_words_pkey PRIMARY KEY (id);

ALTER TABLE ONLY soundscape.former_words
    ADD CONSTRAINT former_words_word_key UNIQUE (word);

ALTER TABLE ONLY soundscape.image_checks
    ADD CONSTRAINT image_checks_pkey PRIMARY KEY (object_id);

ALTER TABLE ONLY soundscape.index_size_changes
    ADD CONSTRAINT index_size_changes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY soundscape.index_sizes
    ADD CONSTRAINT index_sizes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY soundscape.index_sizes
    ADD CONSTRAINT index_sizes_version_owner_key UNIQUE NULLS NOT DISTINCT (version, owner);

ALTER TABLE ONLY soundscape.item_factors
    ADD CONSTRAINT item_factors_audio_id_is_listed_model_id_key UNIQUE (audio_id, is_listed, model_id);

ALTER TABLE ONLY soundscape.item_factors
    ADD CONSTRAINT item_factors_pkey PRIMARY KEY (model_id, audio_id);

ALTER TABLE ONLY soundscape.item_neighbours
    ADD CONSTRAINT item_neighbours_pkey PRIMARY KEY (audio_id, is_listed, model_id, neighbour_id);

ALTER TABLE ONLY soundscape.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY soundscape.listener_salts
    ADD CONSTRAINT listener_salts_pkey PRIMARY KEY (day);

ALTER TABLE ONLY soundscape.name_locks
    ADD CONSTRAINT name_locks_pkey PRIMARY KEY (key);

ALTER TABLE ONLY soundscape.notification_kinds
    ADD CONSTRAINT notification_kinds_pkey PRIMARY KEY (kind);

ALTER TABLE ONLY soundscape.open_day_details
    ADD CONSTRAINT open_day_details_pkey PRIMARY KEY (audio_id, day);

ALTER TABLE ONLY soundscape.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);

ALTER TABLE ONLY soundscape.owner_limits
    ADD CONSTRAINT owner_limits_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY soundscape.postings
    ADD CONSTRAINT postings_pkey PRIMARY KEY (key, number, frame);

ALTER TABLE ONLY soundscape.project_days
    ADD CONSTRAINT project_days_pkey PRIMARY KEY (day);

ALTER TABLE ONLY soundscape.queue_settings
    ADD CONSTRAINT queue_settings_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY soundscape.recommendation_models
    ADD CONSTRAINT recommendation_models_pkey PRIMARY KEY (id);

ALTER TABLE ONLY soundscape.recommendation_weights
    ADD CONSTRAINT recommendation_weights_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY soundscape.renames
    ADD CONSTRAINT renames_bucket_id_name_key UNIQUE (bucket_id, name);

ALTER TABLE ONLY soundscape.renames
    ADD CONSTRAINT renames_pkey PRIMARY KEY (id);

ALTER TABLE ONLY soundscape.stat_events
    ADD CONSTRAINT stat_events_pkey PRIMARY KEY (id);

ALTER TABLE ONLY soundscape.stored_objects
    ADD CONSTRAINT stored_objects_pkey PRIMARY KEY (object_id);

ALTER TABLE ONLY soundscape.sweep_pages
    ADD CONSTRAINT sweep_pages_pkey PRIMARY KEY (kind);

ALTER TABLE ONLY soundscape.undescribed_objects
    ADD CONSTRAINT undescribed_objects_pkey PRIMARY KEY (name);

ALTER TABLE ONLY soundscape.unlisted_postings
    ADD CONSTRAINT unlisted_postings_pkey PRIMARY KEY (owner_hash, key, number, frame);

ALTER TABLE ONLY soundscape.vocabulary
    ADD CONSTRAINT vocabulary_pkey PRIMARY KEY (word);

ALTER TABLE ONLY soundscape.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (name);

CREATE INDEX api_keys_by_user ON public.api_keys USING btree (user_id, created_at DESC);

CREATE INDEX audio_captions_by_keyword ON public.audio_captions USING gin (keywords);

CREATE INDEX audio_captions_by_words ON public.audio_captions USING gin (search);

CREATE INDEX audio_embeddings_by_owner ON public.audio_embeddings USING btree (user_id, space);

CREATE INDEX audio_embeddings_by_recording ON public.audio_embeddings USING btree (audio_id, user_id, is_listed);

CREATE INDEX audio_embeddings_public ON public.audio_embeddings USING hnsw (embedding extensions.halfvec_cosine_ops) WITH (ef_construction='200') WHERE is_listed;

CREATE INDEX audio_embeddings_public_by_space ON public.audio_embeddings USING btree (space) WHERE is_listed;

CREATE INDEX audio_features_by_bytes ON public.audio_features USING btree (sha256);

CREATE INDEX audio_features_by_duration ON public.audio_features USING btree (duration_s);

CREATE INDEX audio_features_by_key ON public.audio_features USING btree (key, mode, tempo_bpm);

CREATE INDEX audio_features_by_owner ON public.audio_features USING btree (user_id);

CREATE INDEX audio_features_by_samples ON public.audio_features USING btree (COALESCE((descriptors #>> '{source,pcm_blake3}'::text[]), (descriptors #>> '{source,pcm_sha256}'::text[])));

CREATE INDEX audio_features_by_tempo ON public.audio_features USING btree (tempo_bpm);

CREATE INDEX audio_files_awaiting_upload ON public.audio_files USING btree (user_id) WHERE (status = 'awaiting_upload'::text);

CREATE INDEX audio_files_by_age ON public.audio_files USING btree (created_at DESC);

CREATE INDEX audio_files_by_duration ON public.audio_files USING btree (duration, id);

CREATE INDEX audio_files_by_labels ON public.audio_files USING gin (labels);

CREATE INDEX audio_files_by_license ON public.audio_files USING btree (license, created_at DESC);

CREATE UNIQUE INDEX audio_files_by_object ON public.audio_files USING btree (object_id);

CREATE INDEX audio_files_by_owner ON public.audio_files USING btree (user_id, created_at DESC);

CREATE INDEX audio_files_by_place ON public.audio_files USING btree (latitude, longitude) WHERE (latitude IS NOT NULL);

CREATE INDEX audio_files_by_title ON public.audio_files USING btree (soundscape.fold(title), id);

CREATE INDEX audio_files_by_words ON public.audio_files USING gin (search);

CREATE INDEX audio_files_hidden ON public.audio_files USING btree (hidden_at DESC) WHERE (hidden_at IS NOT NULL);

CREATE INDEX audio_files_public ON public.audio_files USING btree (created_at DESC) WHERE is_public;

CREATE INDEX audio_files_unfinished ON public.audio_files USING btree (updated_at) WHERE (status = ANY (ARRAY['awaiting_upload'::text, 'queued'::text, 'analyzing'::text]));

CREATE INDEX audio_files_waiting ON public.audio_files USING btree (id) WHERE (status = ANY (ARRAY['queued'::text, 'analyzing'::text]));

CREATE INDEX audio_matches_by_matched ON public.audio_matches USING btree (matched_audio_id);

CREATE UNIQUE INDEX audio_matches_by_pair ON public.audio_matches USING btree (LEAST(audio_id, matched_audio_id), GREATEST(audio_id, matched_audio_id));

CREATE INDEX audio_matches_by_recording ON public.audio_matches USING btree (audio_id);

CREATE INDEX audio_stats_daily_by_owner ON public.audio_stats_daily USING btree (user_id, day);

CREATE INDEX audio_tags_by_label ON public.audio_tags USING btree (label, confidence DESC);

CREATE INDEX audio_tags_by_owner ON public.audio_tags USING btree (user_id);

CREATE INDEX audio_tags_by_recording ON public.audio_tags USING btree (audio_id, user_id, is_listed);

CREATE UNIQUE INDEX exports_by_file ON public.exports USING btree (file_path);

CREATE INDEX exports_by_user ON public.exports USING btree (user_id, created_at DESC);

CREATE INDEX exports_due ON public.exports USING btree (created_at) WHERE (status = ANY (ARRAY['queued'::text, 'running'::text]));

CREATE UNIQUE INDEX exports_one_at_a_time ON public.exports USING btree (user_id) WHERE (status = ANY (ARRAY['queued'::text, 'running'::text]));

CREATE INDEX exports_ready ON public.exports USING btree (expires_at) WHERE (status = 'ready'::text);

CREATE INDEX impressions_by_age ON public.impressions USING btree (shown_at, answer_id, place);

CREATE INDEX impressions_by_recording ON public.impressions USING btree (audio_id);

CREATE INDEX impressions_by_user ON public.impressions USING btree (user_id, shown_at DESC);

CREATE INDEX license_history_by_license ON public.license_history USING btree (license);

CREATE INDEX license_history_by_recording ON public.license_history USING btree (audio_id, changed_at DESC);

CREATE INDEX license_history_by_user ON public.license_history USING btree (changed_by);

CREATE INDEX likes_by_recording ON public.likes USING btree (audio_id);

CREATE INDEX listening_events_by_age ON public.listening_events USING btree (created_at);

CREATE INDEX listening_events_by_arrival ON public.listening_events USING btree (user_id, created_at DESC);

CREATE INDEX listening_events_by_recording ON public.listening_events USING btree (audio_id, started_at DESC);

CREATE INDEX listening_events_by_user ON public.listening_events USING btree (user_id, started_at DESC);

CREATE INDEX notification_preferences_by_kind ON public.notification_preferences USING btree (kind);

CREATE INDEX notifications_by_age ON public.notifications USING btree (created_at);

CREATE INDEX notifications_by_kind ON public.notifications USING btree (kind);

CREATE INDEX notifications_by_recording ON public.notifications USING btree (audio_id);

CREATE INDEX notifications_by_user ON public.notifications USING btree (user_id, created_at DESC);

CREATE INDEX playlist_items_by_recording ON public.playlist_items USING btree (audio_id);

CREATE INDEX playlists_by_owner ON public.playlists USING btree (user_id, created_at DESC);

CREATE INDEX playlists_public ON public.playlists USING btree (created_at DESC) WHERE is_public;

CREATE INDEX push_subscriptions_by_user ON public.push_subscriptions USING btree (user_id);

CREATE INDEX report_assignments_by_assignee ON public.report_assignments USING btree (assignee_id);

CREATE INDEX reports_by_recording ON public.reports USING btree (audio_id);

CREATE INDEX reports_by_reporter ON public.reports USING btree (reporter_id);

CREATE UNIQUE INDEX reports_unresolved ON public.reports USING btree (audio_id, reporter_id) WHERE (resolved_at IS NULL);

CREATE INDEX reports_waiting ON public.reports USING btree (created_at) WHERE (resolved_at IS NULL);

CREATE INDEX user_preferences_by_license ON public.user_preferences USING btree (default_license);

CREATE INDEX api_key_sessions_by_expiry ON soundscape.api_key_sessions USING btree (expires_at);

CREATE INDEX api_key_sessions_by_key ON soundscape.api_key_sessions USING btree (key_id);

CREATE INDEX audio_moods_by_owner ON soundscape.audio_moods USING btree (user_id, mood);

CREATE INDEX audio_moods_by_recording ON soundscape.audio_moods USING btree (audio_id, user_id, is_listed);

CREATE INDEX audio_moods_listed ON soundscape.audio_moods USING btree (mood, score DESC, audio_id) WHERE is_listed;

CREATE INDEX caption_jobs_due ON soundscape.caption_jobs USING btree (retry_at);

CREATE INDEX caption_owners_by_user ON soundscape.caption_owners USING btree (user_id);

CREATE INDEX day_listeners_by_day ON soundscape.day_listeners USING btree (day);

CREATE INDEX deletions_by_folder ON soundscape.deletions USING btree (bucket_id, name COLLATE "C");

CREATE INDEX deletions_final ON soundscape.deletions USING btree (bucket_id, name) WHERE is_final;

CREATE INDEX deletions_in_order ON soundscape.deletions USING btree (attempts, id);

CREATE INDEX deliveries_by_bundle ON soundscape.deliveries USING btree (bundle_id);

CREATE INDEX deliveries_by_end ON soundscape.deliveries USING btree (finished_at) WHERE (finished_at IS NOT NULL);

CREATE INDEX deliveries_by_subscription ON soundscape.deliveries USING btree (subscription_id);

CREATE INDEX deliveries_by_user ON soundscape.deliveries USING btree (user_id);

CREATE INDEX deliveries_due ON soundscape.deliveries USING btree (channel, retry_at) WHERE (state = ANY (ARRAY['queued'::text, 'running'::text]));

CREATE INDEX deliveries_newest ON soundscape.deliveries USING btree (created_at, id);

CREATE INDEX fingerprints_by_recording ON soundscape.fingerprints USING btree (audio_id, user_id, is_listed);

CREATE INDEX fingerprints_compared_within ON soundscape.fingerprints USING gist (compared_within);

CREATE INDEX fingerprints_listed_numbers ON soundscape.fingerprints USING btree (version, number) WHERE is_listed;

CREATE INDEX fingerprints_to_compare ON soundscape.fingerprints USING btree (created_at) WHERE (compared_in IS NOT NULL);

CREATE INDEX fingerprints_unlisted_numbers ON soundscape.fingerprints USING btree (version, user_id, number) WHERE (NOT is_listed);

CREATE INDEX former_dismissals_by_matched ON soundscape.former_dismissals USING btree (matched_audio_id);

CREATE INDEX former_dismissals_by_recording ON soundscape.former_dismissals USING btree (audio_id);

CREATE INDEX image_checks_due ON soundscape.image_checks USING btree (retry_at) WHERE (checked_at IS NULL);

CREATE INDEX index_size_changes_by_owner ON soundscape.index_size_changes USING btree (version, owner) INCLUDE (key_count);

CREATE INDEX index_sizes_empty ON soundscape.index_sizes USING btree (version) WHERE (key_count = 0);

CREATE INDEX item_factors_by_popularity ON soundscape.item_factors USING btree (model_id, popularity DESC) WHERE is_listed;

CREATE INDEX item_factors_near_0 ON soundscape.item_factors USING hnsw (place extensions.vector_ip_ops) WHERE (is_listed AND (slot = 0));

CREATE INDEX item_factors_near_1 ON soundscape.item_factors USING hnsw (place extensions.vector_ip_ops) WHERE (is_listed AND (slot = 1));

CREATE INDEX item_neighbours_by_neighbour ON soundscape.item_neighbours USING btree (neighbour_id, neighbour_is_listed);

CREATE INDEX jobs_by_end ON soundscape.jobs USING btree (finished_at, id) WHERE (finished_at IS NOT NULL);

CREATE INDEX jobs_by_owner ON soundscape.jobs USING btree (user_id, id DESC);

CREATE INDEX jobs_by_recording ON soundscape.jobs USING btree (audio_id, id DESC);

CREATE INDEX jobs_by_state ON soundscape.jobs USING btree (state, id DESC);

CREATE INDEX jobs_in_flight ON soundscape.jobs USING btree (user_id, queue) WHERE ((state = ANY (ARRAY['queued'::text, 'running'::text])) AND (msg_id IS NOT NULL));

CREATE UNIQUE INDEX jobs_live ON soundscape.jobs USING btree (audio_id) WHERE (state = ANY (ARRAY['queued'::text, 'running'::text]));

CREATE INDEX jobs_retried_by_owner ON soundscape.jobs USING btree (user_id, created_at DESC) WHERE is_retry;

CREATE INDEX jobs_waiting ON soundscape.jobs USING btree (queue, user_id, lined_up_at, id) WHERE ((state = 'queued'::text) AND (msg_id IS NULL));

CREATE INDEX open_day_details_by_day ON soundscape.open_day_details USING btree (day);

CREATE INDEX outbox_by_age ON soundscape.outbox USING btree (created_at);

CREATE INDEX outbox_by_bundle ON soundscape.outbox USING btree (bundle_id);

CREATE INDEX outbox_by_kind ON soundscape.outbox USING btree (kind);

CREATE INDEX outbox_by_user ON soundscape.outbox USING btree (user_id, kind, created_at);

CREATE INDEX outbox_waiting ON soundscape.outbox USING btree (channel, user_id, created_at) WHERE (bundle_id IS NULL);

CREATE UNIQUE INDEX recommendation_models_in_force ON soundscape.recommendation_models USING btree (state) WHERE (state = 'in_force'::text);

CREATE INDEX renames_by_recording ON soundscape.renames USING btree (audio_id);

CREATE INDEX renames_in_order ON soundscape.renames USING btree (attempts, id);

CREATE INDEX stat_events_by_day ON soundscape.stat_events USING btree (day);

CREATE INDEX stored_objects_by_owner ON soundscape.stored_objects USING btree (user_id) INCLUDE (size_bytes);

CREATE INDEX undescribed_objects_by_age ON soundscape.undescribed_objects USING btree (written_at);

CREATE UNIQUE INDEX unlisted_postings_by_key ON soundscape.unlisted_postings USING btree (key, number, frame) WHERE (key >= '-2147483648'::integer);

CREATE INDEX vocabulary_by_owner ON soundscape.vocabulary USING btree (added_by) WHERE (added_by IS NOT NULL);

CREATE INDEX vocabulary_by_spelling ON soundscape.vocabulary USING gin (word extensions.gin_trgm_ops);

CREATE TRIGGER audio_captions_changed AFTER UPDATE ON public.audio_captions FOR EACH ROW WHEN (((new.caption IS DISTINCT FROM old.caption) OR (new.keywords IS DISTINCT FROM old.keywords))) EXECUTE FUNCTION soundscape.on_caption_words();

CREATE TRIGGER audio_captions_inserted AFTER INSERT ON public.audio_captions FOR EACH ROW WHEN ((new.caption IS NOT NULL)) EXECUTE FUNCTION soundscape.on_caption_words();

CREATE TRIGGER audio_embeddings_place AFTER INSERT OR UPDATE OF embedding, is_listed ON public.audio_embeddings FOR EACH ROW WHEN (new.is_listed) EXECUTE FUNCTION soundscape.place_in_model();

CREATE TRIGGER audio_embeddings_written BEFORE INSERT ON public.audio_embeddings FOR EACH ROW EXECUTE FUNCTION soundscape.on_embedding_written();

CREATE TRIGGER audio_features_compared AFTER INSERT OR UPDATE OF tempo_bpm, tempo_confidence, onset_rate_hz, key, mode, key_confidence ON public.audio_features FOR EACH ROW EXECUTE FUNCTION soundscape.on_traits_changed();

CREATE TRIGGER audio_features_measured AFTER INSERT ON public.audio_features FOR EACH ROW EXECUTE FUNCTION soundscape.on_moods_changed();

CREATE TRIGGER audio_features_remeasured AFTER UPDATE ON public.audio_features FOR EACH ROW WHEN (((((((old.tempo_bpm IS DISTINCT FROM new.tempo_bpm) OR (old.tempo_confidence IS DISTINCT FROM new.tempo_confidence)) OR (old.onset_rate_hz IS DISTINCT FROM new.onset_rate_hz)) OR (old.integrated_lufs IS DISTINCT FROM new.integrated_lufs)) OR (old.loudness_range_lu IS DISTINCT FROM new.loudness_range_lu)) OR (old.centroid_hz IS DISTINCT FROM new.centroid_hz))) EXECUTE FUNCTION soundscape.on_moods_changed();

CREATE TRIGGER audio_files_bytes_changed AFTER UPDATE OF object_etag ON public.audio_files FOR EACH ROW WHEN ((old.object_etag IS DISTINCT FROM new.object_etag)) EXECUTE FUNCTION soundscape.on_bytes_changed();

CREATE TRIGGER audio_files_called AFTER UPDATE OF tags, heard ON public.audio_files FOR EACH ROW WHEN (((old.tags <> new.tags) OR (old.heard <> new.heard))) EXECUTE FUNCTION soundscape.on_moods_changed();

CREATE TRIGGER audio_files_caption AFTER UPDATE OF status, is_public, hidden_at, object_version ON public.audio_files FOR EACH ROW WHEN (((new.status = 'ready'::text) AND ((old.status IS DISTINCT FROM new.status) OR (old.is_listed IS DISTINCT FROM new.is_listed)))) EXECUTE FUNCTION soundscape.on_recording_ready();

CREATE TRIGGER audio_files_coming BEFORE INSERT ON public.audio_files FOR EACH ROW EXECUTE FUNCTION soundscape.lock_recording_name();

CREATE TRIGGER audio_files_compared AFTER UPDATE OF tags, heard ON public.audio_files FOR EACH ROW WHEN (((old.tags <> new.tags) OR (old.heard <> new.heard))) EXECUTE FUNCTION soundscape.on_traits_changed();

CREATE TRIGGER audio_files_deleted AFTER DELETE ON public.audio_files FOR EACH ROW EXECUTE FUNCTION soundscape.on_recording_deleted();

CREATE TRIGGER audio_files_first_ready AFTER UPDATE OF status ON public.audio_files FOR EACH ROW WHEN (((new.status = 'ready'::text) AND (old.status <> 'ready'::text))) EXECUTE FUNCTION soundscape.note_first_ready();

CREATE TRIGGER audio_files_license BEFORE INSERT OR UPDATE OF license ON public.audio_files FOR EACH ROW EXECUTE FUNCTION soundscape.check_license('license');

CREATE TRIGGER audio_files_license_changed AFTER UPDATE OF license, attribution ON public.audio_files FOR EACH ROW WHEN (((old.license IS DISTINCT FROM new.license) OR (old.attribution IS DISTINCT FROM new.attribution))) EXECUTE FUNCTION soundscape.note_license();

CREATE TRIGGER audio_files_license_made AFTER INSERT ON public.audio_files FOR EACH ROW WHEN (((new.license IS NOT NULL) OR (new.attribution IS NOT NULL))) EXECUTE FUNCTION soundscape.note_license();

CREATE TRIGGER audio_files_limit AFTER INSERT ON public.audio_files REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION soundscape.check_owner_limits();

CREATE TRIGGER audio_files_listed_deleted AFTER DELETE ON public.audio_files FOR EACH ROW WHEN (old.is_listed) EXECUTE FUNCTION soundscape.on_listed_recording_deleted();

CREATE TRIGGER audio_files_made AFTER INSERT ON public.audio_files FOR EACH ROW EXECUTE FUNCTION soundscape.attach_uploaded_object();

CREATE TRIGGER audio_files_notify_of_match AFTER UPDATE ON public.audio_files FOR EACH ROW WHEN ((new.is_listed AND (NOT old.is_listed))) EXECUTE FUNCTION soundscape.notify_of_listed_match();

CREATE TRIGGER audio_files_notify_of_moderation AFTER UPDATE OF hidden_at ON public.audio_files FOR EACH ROW WHEN (((new.hidden_at IS NULL) <> (old.hidden_at IS NULL))) EXECUTE FUNCTION soundscape.notify_of_moderation();

CREATE TRIGGER audio_files_owner BEFORE INSERT ON public.audio_files FOR EACH STATEMENT EXECUTE FUNCTION soundscape.lock_owner();

CREATE TRIGGER audio_files_place BEFORE INSERT OR UPDATE OF latitude, longitude, location_precision_m ON public.audio_files FOR EACH ROW WHEN ((((new.latitude >= ('-90'::integer)::double precision) AND (new.latitude <= (90)::double precision)) AND ((new.longitude >= ('-180'::integer)::double precision) AND (new.longitude <= (180)::double precision)))) EXECUTE FUNCTION soundscape.round_place();

CREATE TRIGGER audio_files_sources BEFORE INSERT OR UPDATE OF sources ON public.audio_files FOR EACH ROW WHEN ((new.sources <> '[]'::jsonb)) EXECUTE FUNCTION soundscape.check_sources();

CREATE TRIGGER audio_files_status_step BEFORE UPDATE OF status ON public.audio_files FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION soundscape.check_status_step();

CREATE TRIGGER audio_files_touch BEFORE UPDATE ON public.audio_files FOR EACH ROW EXECUTE FUNCTION soundscape.touch_updated_at();

CREATE TRIGGER audio_files_unlisted AFTER UPDATE ON public.audio_files FOR EACH ROW WHEN ((old.is_listed AND (NOT new.is_listed))) EXECUTE FUNCTION soundscape.on_recording_unlisted();

CREATE TRIGGER audio_files_withdraw BEFORE UPDATE OF is_public, hidden_at ON public.audio_files FOR EACH ROW WHEN ((old.is_listed AND (NOT (new.is_public AND (new.hidden_at IS NULL))))) EXECUTE FUNCTION soundscape.withdraw_from_models();

CREATE TRIGGER audio_files_words AFTER INSERT OR DELETE OR UPDATE OF title, tags, heard, search, is_public, hidden_at, status, analyzed_at ON public.audio_files FOR EACH ROW EXECUTE FUNCTION soundscape.on_words_changed();

CREATE TRIGGER audio_files_write_search BEFORE INSERT OR UPDATE ON public.audio_files FOR EACH ROW EXECUTE FUNCTION soundscape.set_search();

ALTER TABLE public.audio_files ENABLE ALWAYS TRIGGER audio_files_write_search;

CREATE TRIGGER audio_matches_notify AFTER INSERT ON public.audio_matches REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION soundscape.notify_of_matches();

CREATE TRIGGER audio_tags_added AFTER INSERT ON public.audio_tags REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION soundscape.on_tags_changed();

CREATE TRIGGER audio_tags_changed AFTER UPDATE ON public.audio_tags REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION soundscape.on_tags_changed();

CREATE TRIGGER audio_tags_removed AFTER DELETE ON public.audio_tags REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION soundscape.on_tags_changed();

CREATE TRIGGER broadcast_delete AFTER DELETE ON public.audio_files REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION soundscape.broadcast_library_change('user_id', 'id', 'title', 'is_public', 'status', 'error_code', 'duration', 'hidden_at');

CREATE TRIGGER broadcast_delete AFTER DELETE ON public.likes REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION soundscape.broadcast_library_change('user_id', 'audio_id', 'created_at');

CREATE TRIGGER broadcast_delete AFTER DELETE ON public.notifications REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION soundscape.broadcast_library_change('user_id', 'id', 'kind', 'audio_id', 'error_code', 'read_at');

CREATE TRIGGER broadcast_delete AFTER DELETE ON public.playlist_items REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION soundscape.broadcast_library_change('playlist_id', 'id', 'playlist_id', 'audio_id', 'position');

CREATE TRIGGER broadcast_delete AFTER DELETE ON public.playlists REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION soundscape.broadcast_library_change('user_id', 'id', 'title', 'is_public');

CREATE TRIGGER broadcast_insert AFTER INSERT ON public.audio_files REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION soundscape.broadcast_library_change('user_id', 'id', 'title', 'is_public', 'status', 'error_code', 'duration', 'hidden_at');

CREATE TRIGGER broadcast_insert AFTER INSERT ON public.likes REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION soundscape.broadcast_library_change('user_id', 'audio_id', 'created_at');

CREATE TRIGGER broadcast_insert AFTER INSERT ON public.notifications REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION soundscape.broadcast_library_change('user_id', 'id', 'kind', 'audio_id', 'error_code', 'read_at');

CREATE TRIGGER broadcast_insert AFTER INSERT ON public.playlist_items REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION soundscape.broadcast_library_change('playlist_id', 'id', 'playlist_id', 'audio_id', 'position');

CREATE TRIGGER broadcast_insert AFTER INSERT ON public.playlists REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION soundscape.broadcast_library_change('user_id', 'id', 'title', 'is_public');

CREATE TRIGGER broadcast_update AFTER UPDATE ON public.audio_files REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION soundscape.broadcast_library_change('user_id', 'id', 'title', 'is_public', 'status', 'error_code', 'duration', 'hidden_at');

CREATE TRIGGER broadcast_update AFTER UPDATE ON public.notifications REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION soundscape.broadcast_library_change('user_id', 'id', 'kind', 'audio_id', 'error_code', 'read_at');

CREATE TRIGGER broadcast_update AFTER UPDATE ON public.playlist_items REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION soundscape.broadcast_library_change('playlist_id', 'id', 'playlist_id', 'audio_id', 'position');

CREATE TRIGGER broadcast_update AFTER UPDATE ON public.playlists REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION soundscape.broadcast_library_change('user_id', 'id', 'title', 'is_public');

CREATE TRIGGER exports_deleted AFTER DELETE ON public.exports FOR EACH ROW EXECUTE FUNCTION soundscape.export_gone();

CREATE TRIGGER exports_expired AFTER UPDATE OF status ON public.exports FOR EACH ROW WHEN ((new.status = 'expired'::text)) EXECUTE FUNCTION soundscape.export_gone();

CREATE TRIGGER exports_notify AFTER UPDATE OF status ON public.exports FOR EACH ROW WHEN (((new.status = ANY (ARRAY['ready'::text, 'failed'::text])) AND (new.status <> old.status))) EXECUTE FUNCTION soundscape.notify_of_export();

CREATE TRIGGER feature_flags_touch BEFORE UPDATE ON public.feature_flags FOR EACH ROW EXECUTE FUNCTION soundscape.touch_updated_at();

CREATE TRIGGER impressions_limit AFTER INSERT ON public.impressions REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION soundscape.count_actions('user_id', 'max_impressions_per_hour', 'hour', 'recommendations an hour');

CREATE TRIGGER license_history_limit AFTER INSERT ON public.license_history REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION soundscape.count_actions('changed_by', 'max_license_changes_per_month', 'month', 'licence changes a month');

CREATE TRIGGER likes_count AFTER INSERT ON public.likes REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION soundscape.count_likes();

CREATE TRIGGER likes_notify AFTER INSERT ON public.likes REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION soundscape.notify_of_likes();

CREATE TRIGGER likes_uncount AFTER DELETE ON public.likes REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION soundscape.count_likes();

CREATE TRIGGER listening_events_count AFTER INSERT ON public.listening_events REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION soundscape.count_listens();

CREATE TRIGGER listening_events_limit AFTER INSERT ON public.listening_events REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION soundscape.count_actions('user_id', 'max_events_per_hour', 'hour', 'listening events an hour');

CREATE TRIGGER playlist_items_append BEFORE INSERT ON public.playlist_items FOR EACH ROW EXECUTE FUNCTION soundscape.append_item();

CREATE TRIGGER playlist_items_limit AFTER INSERT ON public.playlist_items REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION soundscape.check_owner_limits();

CREATE TRIGGER playlist_items_notify AFTER INSERT ON public.playlist_items REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION soundscape.notify_of_items();

CREATE TRIGGER playlists_limit AFTER INSERT ON public.playlists REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION soundscape.check_owner_limits();

CREATE TRIGGER playlists_notify AFTER UPDATE OF is_public ON public.playlists FOR EACH ROW WHEN ((new.is_public AND (NOT old.is_public))) EXECUTE FUNCTION soundscape.notify_of_published_playlist();

CREATE TRIGGER playlists_owner BEFORE INSERT ON public.playlists FOR EACH STATEMENT EXECUTE FUNCTION soundscape.lock_owner();

CREATE TRIGGER playlists_touch BEFORE UPDATE ON public.playlists FOR EACH ROW EXECUTE FUNCTION soundscape.touch_updated_at();

CREATE TRIGGER report_assignments_follow AFTER INSERT OR DELETE OR UPDATE ON public.report_assignments FOR EACH ROW EXECUTE FUNCTION soundscape.follow_assignment();

CREATE TRIGGER reports_forget_reporter BEFORE UPDATE OF reporter_id ON public.reports FOR EACH ROW WHEN (((old.reporter_id IS NOT NULL) AND (new.reporter_id IS NULL))) EXECUTE FUNCTION soundscape.forget_reporter();

CREATE TRIGGER reports_limit AFTER INSERT ON public.reports REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION soundscape.count_actions('reporter_id', 'max_reports_per_day', 'day', 'reports a day');

CREATE TRIGGER reports_notify AFTER UPDATE OF resolved_at ON public.reports FOR EACH ROW WHEN (((new.resolved_at IS NOT NULL) AND (old.resolved_at IS NULL) AND (new.reporter_id IS NOT NULL))) EXECUTE FUNCTION soundscape.notify_of_report();

CREATE TRIGGER user_preferences_license BEFORE INSERT OR UPDATE OF default_license ON public.user_preferences FOR EACH ROW EXECUTE FUNCTION soundscape.check_license('default_license');

CREATE TRIGGER user_preferences_touch BEFORE UPDATE ON public.user_preferences FOR EACH ROW EXECUTE FUNCTION soundscape.touch_updated_at();

CREATE TRIGGER users_check BEFORE UPDATE OF username, display_name ON public.users FOR EACH ROW EXECUTE FUNCTION soundscape.check_profile();

CREATE TRIGGER users_deleted AFTER DELETE ON public.users FOR EACH ROW EXECUTE FUNCTION soundscape.on_user_deleted();

CREATE TRIGGER users_touch BEFORE UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION soundscape.touch_updated_at();

CREATE TRIGGER fingerprints_comparison BEFORE INSERT ON soundscape.fingerprints FOR EACH ROW EXECUTE FUNCTION soundscape.set_comparison();

CREATE TRIGGER fingerprints_gone AFTER DELETE ON soundscape.fingerprints FOR EACH ROW EXECUTE FUNCTION soundscape.on_fingerprint_changed();

CREATE TRIGGER fingerprints_listed AFTER UPDATE ON soundscape.fingerprints FOR EACH ROW WHEN (((old.is_listed IS DISTINCT FROM new.is_listed) OR (old.user_id IS DISTINCT FROM new.user_id))) EXECUTE FUNCTION soundscape.on_fingerprint_changed();

CREATE TRIGGER fingerprints_written AFTER INSERT ON soundscape.fingerprints FOR EACH ROW EXECUTE FUNCTION soundscape.on_fingerprint_changed();

CREATE TRIGGER jobs_deleted AFTER DELETE ON soundscape.jobs FOR EACH ROW WHEN ((old.msg_id IS NOT NULL)) EXECUTE FUNCTION soundscape.delete_message();

CREATE TRIGGER stored_objects_notify AFTER INSERT ON soundscape.stored_objects REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION soundscape.notify_of_quota();

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.audio_captions
    ADD CONSTRAINT audio_captions_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.audio_embeddings
    ADD CONSTRAINT audio_embeddings_audio_id_fkey FOREIGN KEY (audio_id, user_id, is_listed) REFERENCES public.audio_files(id, user_id, is_listed) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.audio_features
    ADD CONSTRAINT audio_features_audio_id_fkey FOREIGN KEY (audio_id, user_id, is_listed) REFERENCES public.audio_files(id, user_id, is_listed) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.audio_files
    ADD CONSTRAINT audio_files_license_is_listed FOREIGN KEY (license) REFERENCES public.licenses(id);

ALTER TABLE ONLY public.audio_files
    ADD CONSTRAINT audio_files_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.audio_matches
    ADD CONSTRAINT audio_matches_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.audio_matches
    ADD CONSTRAINT audio_matches_matched_audio_id_fkey FOREIGN KEY (matched_audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.audio_stats
    ADD CONSTRAINT audio_stats_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.audio_stats_daily
    ADD CONSTRAINT audio_stats_daily_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.audio_stats_daily
    ADD CONSTRAINT audio_stats_daily_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.audio_tags
    ADD CONSTRAINT audio_tags_audio_id_fkey FOREIGN KEY (audio_id, user_id, is_listed) REFERENCES public.audio_files(id, user_id, is_listed) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.exports
    ADD CONSTRAINT exports_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.impressions
    ADD CONSTRAINT impressions_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.impressions
    ADD CONSTRAINT impressions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.license_history
    ADD CONSTRAINT license_history_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.license_history
    ADD CONSTRAINT license_history_changed_by_fkey FOREIGN KEY (changed_by) REFERENCES public.users(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.license_history
    ADD CONSTRAINT license_history_license_fkey FOREIGN KEY (license) REFERENCES public.licenses(id);

ALTER TABLE ONLY public.likes
    ADD CONSTRAINT likes_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.likes
    ADD CONSTRAINT likes_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.listening_events
    ADD CONSTRAINT listening_events_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.listening_events
    ADD CONSTRAINT listening_events_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.notification_preferences
    ADD CONSTRAINT notification_preferences_kind_fkey FOREIGN KEY (kind) REFERENCES soundscape.notification_kinds(kind);

ALTER TABLE ONLY public.notification_preferences
    ADD CONSTRAINT notification_preferences_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

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

ALTER TABLE ONLY public.push_subscriptions
    ADD CONSTRAINT push_subscriptions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.report_assignments
    ADD CONSTRAINT report_assignments_assignee_id_fkey FOREIGN KEY (assignee_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.report_assignments
    ADD CONSTRAINT report_assignments_report_id_fkey FOREIGN KEY (report_id) REFERENCES public.reports(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.reports
    ADD CONSTRAINT reports_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.reports
    ADD CONSTRAINT reports_reporter_id_fkey FOREIGN KEY (reporter_id) REFERENCES public.users(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.user_preferences
    ADD CONSTRAINT user_preferences_license_is_listed FOREIGN KEY (default_license) REFERENCES public.licenses(id);

ALTER TABLE ONLY public.user_preferences
    ADD CONSTRAINT user_preferences_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.user_roles
    ADD CONSTRAINT user_roles_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.action_counts
    ADD CONSTRAINT action_counts_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.api_key_secrets
    ADD CONSTRAINT api_key_secrets_key_id_fkey FOREIGN KEY (key_id) REFERENCES public.api_keys(id) ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.api_key_sessions
    ADD CONSTRAINT api_key_sessions_key_id_fkey FOREIGN KEY (key_id) REFERENCES public.api_keys(id) ON DELETE SET NULL;

ALTER TABLE ONLY soundscape.audio_moods
    ADD CONSTRAINT audio_moods_audio_id_fkey FOREIGN KEY (audio_id, user_id, is_listed) REFERENCES public.audio_files(id, user_id, is_listed) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.caption_jobs
    ADD CONSTRAINT caption_jobs_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_captions(audio_id) ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.caption_owners
    ADD CONSTRAINT caption_owners_day_fkey FOREIGN KEY (day) REFERENCES soundscape.caption_days(day) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.caption_owners
    ADD CONSTRAINT caption_owners_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.day_listeners
    ADD CONSTRAINT day_listeners_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.deliveries
    ADD CONSTRAINT deliveries_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES public.push_subscriptions(id) ON DELETE SET NULL;

ALTER TABLE ONLY soundscape.deliveries
    ADD CONSTRAINT deliveries_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.digests
    ADD CONSTRAINT digests_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.ended_addresses
    ADD CONSTRAINT ended_addresses_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.export_checksums
    ADD CONSTRAINT export_checksums_export_id_fkey FOREIGN KEY (export_id) REFERENCES public.exports(id) ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.export_jobs
    ADD CONSTRAINT export_jobs_export_id_fkey FOREIGN KEY (export_id) REFERENCES public.exports(id) ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.export_requests
    ADD CONSTRAINT export_requests_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.factor_maps
    ADD CONSTRAINT factor_maps_model_id_fkey FOREIGN KEY (model_id) REFERENCES soundscape.recommendation_models(id) ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.file_removals
    ADD CONSTRAINT file_removals_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.fingerprints
    ADD CONSTRAINT fingerprints_audio_id_fkey FOREIGN KEY (audio_id, user_id, is_listed) REFERENCES public.audio_files(id, user_id, is_listed) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.first_ready
    ADD CONSTRAINT first_ready_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

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

ALTER TABLE ONLY soundscape.open_day_details
    ADD CONSTRAINT open_day_details_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.outbox
    ADD CONSTRAINT outbox_kind_fkey FOREIGN KEY (kind) REFERENCES soundscape.notification_kinds(kind);

ALTER TABLE ONLY soundscape.outbox
    ADD CONSTRAINT outbox_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY soundscape.renames
    ADD CONSTRAINT renames_audio_id_fkey FOREIGN KEY (audio_id) REFERENCES public.audio_files(id) ON DELETE CASCADE;

ALTER TABLE public.api_keys ENABLE ROW LEVEL SECURITY;

CREATE POLICY api_keys_no_estimates ON public.api_keys AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY api_keys_read_own ON public.api_keys FOR SELECT TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

ALTER TABLE public.audio_captions ENABLE ROW LEVEL SECURITY;

CREATE POLICY audio_captions_no_estimates ON public.audio_captions AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY audio_captions_read ON public.audio_captions FOR SELECT TO anon, authenticated USING ((EXISTS ( SELECT
   FROM public.audio_files f
  WHERE (f.id = audio_captions.audio_id))));

ALTER TABLE public.audio_embeddings ENABLE ROW LEVEL SECURITY;

CREATE POLICY audio_embeddings_no_estimates ON public.audio_embeddings AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY audio_embeddings_of_open_accounts ON public.audio_embeddings AS RESTRICTIVE FOR SELECT TO anon, authenticated USING ((user_id <> ALL (( SELECT soundscape.closed_accounts() AS closed_accounts)::uuid[])));

CREATE POLICY audio_embeddings_read ON public.audio_embeddings FOR SELECT TO authenticated USING ((is_listed OR (user_id = ( SELECT auth.uid() AS uid)) OR (( SELECT soundscape.authorize('recordings.moderate'::public.app_permission) AS authorize) AND (EXISTS ( SELECT
   FROM public.audio_files f
  WHERE ((f.id = audio_embeddings.audio_id) AND (f.hidden_at IS NOT NULL)))))));

CREATE POLICY audio_embeddings_read_public ON public.audio_embeddings FOR SELECT TO anon USING (is_listed);

ALTER TABLE public.audio_features ENABLE ROW LEVEL SECURITY;

CREATE POLICY audio_features_no_estimates ON public.audio_features AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY audio_features_of_open_accounts ON public.audio_features AS RESTRICTIVE FOR SELECT TO anon, authenticated USING ((user_id <> ALL (( SELECT soundscape.closed_accounts() AS closed_accounts)::uuid[])));

CREATE POLICY audio_features_read ON public.audio_features FOR SELECT TO authenticated USING ((is_listed OR (user_id = ( SELECT auth.uid() AS uid)) OR (( SELECT soundscape.authorize('recordings.moderate'::public.app_permission) AS authorize) AND (EXISTS ( SELECT
   FROM public.audio_files f
  WHERE ((f.id = audio_features.audio_id) AND (f.hidden_at IS NOT NULL)))))));

CREATE POLICY audio_features_read_public ON public.audio_features FOR SELECT TO anon USING (is_listed);

ALTER TABLE public.audio_files ENABLE ROW LEVEL SECURITY;

CREATE POLICY audio_files_delete_own ON public.audio_files FOR DELETE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY audio_files_insert_own ON public.audio_files FOR INSERT TO authenticated WITH CHECK ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY audio_files_no_estimates ON public.audio_files AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY audio_files_of_open_accounts ON public.audio_files AS RESTRICTIVE FOR SELECT TO anon, authenticated USING ((user_id <> ALL (( SELECT soundscape.closed_accounts() AS closed_accounts)::uuid[])));

CREATE POLICY audio_files_read ON public.audio_files FOR SELECT TO authenticated USING (((is_public AND (hidden_at IS NULL)) OR (user_id = ( SELECT auth.uid() AS uid)) OR ((hidden_at IS NOT NULL) AND ( SELECT soundscape.authorize('recordings.moderate'::public.app_permission) AS authorize))));

CREATE POLICY audio_files_read_public ON public.audio_files FOR SELECT TO anon USING ((is_public AND (hidden_at IS NULL)));

CREATE POLICY audio_files_session_update ON public.audio_files AS RESTRICTIVE FOR UPDATE TO authenticated USING (((( SELECT soundscape.session_scope() AS session_scope) = ANY (ARRAY['account'::text, 'all'::text])) OR ((( SELECT soundscape.session_scope() AS session_scope) = 'upload'::text) AND (status = 'awaiting_upload'::text))));

CREATE POLICY audio_files_update_own ON public.audio_files FOR UPDATE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid))) WITH CHECK ((user_id = ( SELECT auth.uid() AS uid)));

ALTER TABLE public.audio_matches ENABLE ROW LEVEL SECURITY;

CREATE POLICY audio_matches_no_estimates ON public.audio_matches AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

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

ALTER TABLE public.audio_stats ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.audio_stats_daily ENABLE ROW LEVEL SECURITY;

CREATE POLICY audio_stats_daily_no_estimates ON public.audio_stats_daily AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY audio_stats_daily_read_own ON public.audio_stats_daily FOR SELECT TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY audio_stats_no_estimates ON public.audio_stats AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY audio_stats_read ON public.audio_stats FOR SELECT TO anon, authenticated USING ((EXISTS ( SELECT
   FROM public.audio_files f
  WHERE (f.id = audio_stats.audio_id))));

ALTER TABLE public.audio_tags ENABLE ROW LEVEL SECURITY;

CREATE POLICY audio_tags_no_estimates ON public.audio_tags AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY audio_tags_of_open_accounts ON public.audio_tags AS RESTRICTIVE FOR SELECT TO anon, authenticated USING ((user_id <> ALL (( SELECT soundscape.closed_accounts() AS closed_accounts)::uuid[])));

CREATE POLICY audio_tags_read ON public.audio_tags FOR SELECT TO authenticated USING ((is_listed OR (user_id = ( SELECT auth.uid() AS uid)) OR (( SELECT soundscape.authorize('recordings.moderate'::public.app_permission) AS authorize) AND (EXISTS ( SELECT
   FROM public.audio_files f
  WHERE ((f.id = audio_tags.audio_id) AND (f.hidden_at IS NOT NULL)))))));

CREATE POLICY audio_tags_read_public ON public.audio_tags FOR SELECT TO anon USING (is_listed);

ALTER TABLE public.exports ENABLE ROW LEVEL SECURITY;

CREATE POLICY exports_delete_own ON public.exports FOR DELETE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY exports_no_estimates ON public.exports AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY exports_read_own ON public.exports FOR SELECT TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

ALTER TABLE public.feature_flags ENABLE ROW LEVEL SECURITY;

CREATE POLICY feature_flags_no_estimates ON public.feature_flags AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY feature_flags_read ON public.feature_flags FOR SELECT TO anon, authenticated USING (true);

ALTER TABLE public.impressions ENABLE ROW LEVEL SECURITY;

CREATE POLICY impressions_delete_own ON public.impressions FOR DELETE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY impressions_no_estimates ON public.impressions AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY impressions_read_own ON public.impressions FOR SELECT TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

ALTER TABLE public.license_history ENABLE ROW LEVEL SECURITY;

CREATE POLICY license_history_no_estimates ON public.license_history AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY license_history_read ON public.license_history FOR SELECT TO anon, authenticated USING ((EXISTS ( SELECT
   FROM public.audio_files f
  WHERE (f.id = license_history.audio_id))));

ALTER TABLE public.licenses ENABLE ROW LEVEL SECURITY;

CREATE POLICY licenses_no_estimates ON public.licenses AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY licenses_read ON public.licenses FOR SELECT TO anon, authenticated USING (true);

ALTER TABLE public.likes ENABLE ROW LEVEL SECURITY;

CREATE POLICY likes_delete_own ON public.likes FOR DELETE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY likes_insert_own ON public.likes FOR INSERT TO authenticated WITH CHECK (((user_id = ( SELECT auth.uid() AS uid)) AND (EXISTS ( SELECT
   FROM public.audio_files f
  WHERE (f.id = likes.audio_id)))));

CREATE POLICY likes_no_estimates ON public.likes AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY likes_read_own ON public.likes FOR SELECT TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

ALTER TABLE public.listening_events ENABLE ROW LEVEL SECURITY;

CREATE POLICY listening_events_delete_own ON public.listening_events FOR DELETE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY listening_events_insert_own ON public.listening_events FOR INSERT TO authenticated WITH CHECK (((user_id = ( SELECT auth.uid() AS uid)) AND (EXISTS ( SELECT
   FROM public.audio_files f
  WHERE (f.id = listening_events.audio_id)))));

CREATE POLICY listening_events_no_estimates ON public.listening_events AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY listening_events_read_own ON public.listening_events FOR SELECT TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

ALTER TABLE public.mood_rules ENABLE ROW LEVEL SECURITY;

CREATE POLICY mood_rules_no_estimates ON public.mood_rules AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY mood_rules_read ON public.mood_rules FOR SELECT TO anon, authenticated USING (true);

ALTER TABLE public.notification_preferences ENABLE ROW LEVEL SECURITY;

CREATE POLICY notification_preferences_delete_own ON public.notification_preferences FOR DELETE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY notification_preferences_insert_own ON public.notification_preferences FOR INSERT TO authenticated WITH CHECK ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY notification_preferences_no_estimates ON public.notification_preferences AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY notification_preferences_read_own ON public.notification_preferences FOR SELECT TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY notification_preferences_update_own ON public.notification_preferences FOR UPDATE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid))) WITH CHECK ((user_id = ( SELECT auth.uid() AS uid)));

ALTER TABLE public.notifications ENABLE ROW LEVEL SECURITY;

CREATE POLICY notifications_delete_own ON public.notifications FOR DELETE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY notifications_mark_own ON public.notifications FOR UPDATE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid))) WITH CHECK ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY notifications_no_estimates ON public.notifications AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

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

CREATE POLICY playlist_items_no_estimates ON public.playlist_items AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

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

CREATE POLICY playlists_no_estimates ON public.playlists AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY playlists_of_open_accounts ON public.playlists AS RESTRICTIVE FOR SELECT TO anon, authenticated USING ((user_id <> ALL (( SELECT soundscape.closed_accounts() AS closed_accounts)::uuid[])));

CREATE POLICY playlists_read ON public.playlists FOR SELECT TO authenticated USING ((is_public OR (user_id = ( SELECT auth.uid() AS uid))));

CREATE POLICY playlists_read_public ON public.playlists FOR SELECT TO anon USING (is_public);

CREATE POLICY playlists_update_own ON public.playlists FOR UPDATE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid))) WITH CHECK ((user_id = ( SELECT auth.uid() AS uid)));

ALTER TABLE public.push_subscriptions ENABLE ROW LEVEL SECURITY;

CREATE POLICY push_subscriptions_delete_own ON public.push_subscriptions FOR DELETE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY push_subscriptions_no_estimates ON public.push_subscriptions AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY push_subscriptions_read_own ON public.push_subscriptions FOR SELECT TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

ALTER TABLE public.report_assignments ENABLE ROW LEVEL SECURITY;

CREATE POLICY report_assignments_no_estimates ON public.report_assignments AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY report_assignments_read ON public.report_assignments FOR SELECT TO authenticated USING ((( SELECT soundscape.authorize('reports.handle'::public.app_permission) AS authorize) AND (EXISTS ( SELECT
   FROM public.reports r
  WHERE (r.id = report_assignments.report_id)))));

ALTER TABLE public.reports ENABLE ROW LEVEL SECURITY;

CREATE POLICY reports_insert ON public.reports FOR INSERT TO authenticated WITH CHECK (((reporter_id = ( SELECT auth.uid() AS uid)) AND (EXISTS ( SELECT
   FROM public.audio_files f
  WHERE ((f.id = reports.audio_id) AND (f.user_id <> ( SELECT auth.uid() AS uid)))))));

CREATE POLICY reports_no_estimates ON public.reports AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY reports_read ON public.reports FOR SELECT TO authenticated USING (((reporter_id = ( SELECT auth.uid() AS uid)) OR (( SELECT soundscape.authorize('reports.handle'::public.app_permission) AS authorize) AND (NOT (EXISTS ( SELECT
   FROM public.audio_files f
  WHERE ((f.id = reports.audio_id) AND (f.user_id = ( SELECT auth.uid() AS uid)))))))));

ALTER TABLE public.role_permissions ENABLE ROW LEVEL SECURITY;

CREATE POLICY role_permissions_no_estimates ON public.role_permissions AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY role_permissions_read ON public.role_permissions FOR SELECT TO authenticated USING (true);

ALTER TABLE public.user_preferences ENABLE ROW LEVEL SECURITY;

CREATE POLICY user_preferences_no_estimates ON public.user_preferences AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY user_preferences_read_own ON public.user_preferences FOR SELECT TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

CREATE POLICY user_preferences_update_own ON public.user_preferences FOR UPDATE TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid))) WITH CHECK ((user_id = ( SELECT auth.uid() AS uid)));

ALTER TABLE public.user_roles ENABLE ROW LEVEL SECURITY;

CREATE POLICY user_roles_delete ON public.user_roles FOR DELETE TO authenticated USING (( SELECT soundscape.authorize('roles.assign'::public.app_permission) AS authorize));

CREATE POLICY user_roles_insert ON public.user_roles FOR INSERT TO authenticated WITH CHECK (( SELECT soundscape.authorize('roles.assign'::public.app_permission) AS authorize));

CREATE POLICY user_roles_no_estimates ON public.user_roles AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY user_roles_read ON public.user_roles FOR SELECT TO authenticated USING (((user_id = ( SELECT auth.uid() AS uid)) OR ( SELECT soundscape.authorize('roles.assign'::public.app_permission) AS authorize)));

CREATE POLICY user_roles_read_auth ON public.user_roles FOR SELECT TO supabase_auth_admin USING (true);

ALTER TABLE public.users ENABLE ROW LEVEL SECURITY;

CREATE POLICY users_no_estimates ON public.users AS RESTRICTIVE FOR SELECT TO anon, authenticated USING (soundscape.is_not_estimated());

CREATE POLICY users_of_open_accounts ON public.users AS RESTRICTIVE FOR SELECT TO anon, authenticated USING ((id <> ALL (( SELECT soundscape.closed_accounts() AS closed_accounts)::uuid[])));

CREATE POLICY users_read ON public.users FOR SELECT TO anon, authenticated USING (true);

CREATE POLICY users_update_own ON public.users FOR UPDATE TO authenticated USING ((id = ( SELECT auth.uid() AS uid))) WITH CHECK ((id = ( SELECT auth.uid() AS uid)));

ALTER TABLE soundscape.account_deletions ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.action_counts ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.api_key_secrets ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.api_key_sessions ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.audio_moods ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.caption_days ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.caption_jobs ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.caption_owners ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.caption_workers ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.channels ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.day_listeners ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.deletions ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.deliveries ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.delivery_settings ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.descriptors ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.digests ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.ended_addresses ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.export_checksums ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.export_jobs ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.export_requests ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.exported_tables ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.exposed_names ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.factor_maps ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.file_removals ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.fingerprints ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.first_ready ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.fit_lease ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.former_dismissals ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.former_words ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.image_checks ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.index_size_changes ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.index_sizes ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.item_factors ENABLE ROW LEVEL SECURITY;

CREATE POLICY item_factors_read ON soundscape.item_factors FOR SELECT TO authenticated USING (is_listed);

ALTER TABLE soundscape.item_neighbours ENABLE ROW LEVEL SECURITY;

CREATE POLICY item_neighbours_read ON soundscape.item_neighbours FOR SELECT TO authenticated USING ((is_listed AND neighbour_is_listed));

ALTER TABLE soundscape.jobs ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.listener_salts ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.name_locks ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.notification_kinds ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.open_day_details ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.outbox ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.owner_limits ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.postings ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.project_days ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.queue_settings ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.recommendation_models ENABLE ROW LEVEL SECURITY;

CREATE POLICY recommendation_models_read ON soundscape.recommendation_models FOR SELECT TO authenticated USING (((state = 'in_force'::text) AND ( SELECT soundscape.flag('recommendation_model'::text, true) AS flag)));

ALTER TABLE soundscape.recommendation_weights ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.renames ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.stat_events ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.stored_objects ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.sweep_pages ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.undescribed_objects ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.unlisted_postings ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.vocabulary ENABLE ROW LEVEL SECURITY;

ALTER TABLE soundscape.workers ENABLE ROW LEVEL SECURITY;

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

REVOKE ALL ON FUNCTION public.cancel_deliveries(deliveries uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.cancel_deliveries(deliveries uuid[]) TO service_role;

REVOKE ALL ON FUNCTION public.cancel_jobs(jobs bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.cancel_jobs(jobs bigint[]) TO service_role;

REVOKE ALL ON FUNCTION public.claim_caption(lease_s integer, max_requests integer, max_tokens bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_caption(lease_s integer, max_requests integer, max_tokens bigint) TO service_role;

REVOKE ALL ON FUNCTION public.claim_delivery(channels text[], lease_s integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_delivery(channels text[], lease_s integer) TO service_role;

REVOKE ALL ON FUNCTION public.claim_export(lease_s integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_export(lease_s integer) TO service_role;

REVOKE ALL ON FUNCTION public.claim_image_check(lease_s integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_image_check(lease_s integer) TO service_role;

REVOKE ALL ON FUNCTION public.claim_jobs(worker text, max_jobs integer, lease_s integer, holding text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_jobs(worker text, max_jobs integer, lease_s integer, holding text[]) TO service_role;

REVOKE ALL ON FUNCTION public.claim_previews(worker text, max_jobs integer, lease_s integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_previews(worker text, max_jobs integer, lease_s integer) TO service_role;

REVOKE ALL ON FUNCTION public.clear_models(token uuid, max_items integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.clear_models(token uuid, max_items integer) TO service_role;

REVOKE ALL ON FUNCTION public.complete_caption(recording uuid, token uuid, caption text, keywords text[], model text, version integer, tokens integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.complete_caption(recording uuid, token uuid, caption text, keywords text[], model text, version integer, tokens integer) TO service_role;

REVOKE ALL ON FUNCTION public.complete_comparison(recording uuid, others uuid[], matches jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.complete_comparison(recording uuid, others uuid[], matches jsonb) TO service_role;

REVOKE ALL ON FUNCTION public.complete_delivery(delivery uuid, token uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.complete_delivery(delivery uuid, token uuid) TO service_role;

REVOKE ALL ON FUNCTION public.complete_export(export uuid, token uuid, parts integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.complete_export(export uuid, token uuid, parts integer) TO service_role;

REVOKE ALL ON FUNCTION public.complete_image_check(object_id uuid, token uuid, error_code text, error_message text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.complete_image_check(object_id uuid, token uuid, error_code text, error_message text) TO service_role;

REVOKE ALL ON FUNCTION public.complete_job(job_id bigint, token text, result jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.complete_job(job_id bigint, token text, result jsonb) TO service_role;

REVOKE ALL ON FUNCTION public.complete_preview(job_id bigint, token text, path text, size_bytes bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.complete_preview(job_id bigint, token text, path text, size_bytes bigint) TO service_role;

REVOKE ALL ON FUNCTION public.complete_rename(rename_id bigint, attempt integer, new_name text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.complete_rename(rename_id bigint, attempt integer, new_name text) TO service_role;

REVOKE ALL ON FUNCTION public.confirm_deletions(bucket text, removed text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.confirm_deletions(bucket text, removed text[]) TO service_role;

REVOKE ALL ON FUNCTION public.create_api_key(name text, scope text, expires_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.create_api_key(name text, scope text, expires_at timestamp with time zone) TO authenticated;

REVOKE ALL ON FUNCTION public.custom_access_token_hook(event jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.custom_access_token_hook(event jsonb) TO supabase_auth_admin;

REVOKE ALL ON FUNCTION public.delete_my_account() FROM PUBLIC;
GRANT ALL ON FUNCTION public.delete_my_account() TO authenticated;

REVOKE ALL ON FUNCTION public.delivery_stats() FROM PUBLIC;
GRANT ALL ON FUNCTION public.delivery_stats() TO service_role;

REVOKE ALL ON FUNCTION public.describe_audio(rows jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.describe_audio(rows jsonb) TO authenticated;

REVOKE ALL ON FUNCTION public.dismiss_match(match uuid, dismissed boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.dismiss_match(match uuid, dismissed boolean) TO authenticated;

REVOKE ALL ON FUNCTION public.emptied_accounts(max_accounts integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.emptied_accounts(max_accounts integer) TO service_role;

REVOKE ALL ON FUNCTION public.empty_accounts(max_s integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.empty_accounts(max_s integer) TO service_role;

REVOKE ALL ON FUNCTION public.end_fit(token uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.end_fit(token uuid) TO service_role;

REVOKE ALL ON FUNCTION public.export_my_data() FROM PUBLIC;
GRANT ALL ON FUNCTION public.export_my_data() TO authenticated;

REVOKE ALL ON FUNCTION public.extend_lease(job_id bigint, token text, lease_s integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.extend_lease(job_id bigint, token text, lease_s integer) TO service_role;

REVOKE ALL ON FUNCTION public.fail_caption(recording uuid, token uuid, code text, retry_s integer, tokens integer, is_counted boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.fail_caption(recording uuid, token uuid, code text, retry_s integer, tokens integer, is_counted boolean) TO service_role;

REVOKE ALL ON FUNCTION public.fail_delivery(delivery uuid, token uuid, outcome text, code text, message text, retry_after_s integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.fail_delivery(delivery uuid, token uuid, outcome text, code text, message text, retry_after_s integer) TO service_role;

REVOKE ALL ON FUNCTION public.fail_export(export uuid, token uuid, code text, message text, is_final boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.fail_export(export uuid, token uuid, code text, message text, is_final boolean) TO service_role;

REVOKE ALL ON FUNCTION public.fail_job(job_id bigint, token text, kind text, code text, message text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.fail_job(job_id bigint, token text, kind text, code text, message text) TO service_role;

REVOKE ALL ON FUNCTION public.fingerprint_candidates(keys integer[], frames integer[], version integer, max_candidates integer, viewer uuid, all_owners boolean, for_recording uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.fingerprint_candidates(keys integer[], frames integer[], version integer, max_candidates integer, viewer uuid, all_owners boolean, for_recording uuid) TO service_role;

REVOKE ALL ON FUNCTION public.fit_embeddings(recordings uuid[], space text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.fit_embeddings(recordings uuid[], space text) TO service_role;

REVOKE ALL ON FUNCTION public.fit_history(after uuid, max_people integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.fit_history(after uuid, max_people integer) TO service_role;

REVOKE ALL ON FUNCTION public.flag(key text, fallback boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.flag(key text, fallback boolean) TO authenticated;
GRANT ALL ON FUNCTION public.flag(key text, fallback boolean) TO anon;
GRANT ALL ON FUNCTION public.flag(key text, fallback boolean) TO service_role;

REVOKE ALL ON FUNCTION public.flag_for(key text, user_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.flag_for(key text, user_id uuid) TO service_role;

REVOKE ALL ON FUNCTION public.flags() FROM PUBLIC;
GRANT ALL ON FUNCTION public.flags() TO authenticated;
GRANT ALL ON FUNCTION public.flags() TO anon;
GRANT ALL ON FUNCTION public.flags() TO service_role;

REVOKE ALL ON FUNCTION public.flags_for(keys text[], user_ids uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.flags_for(keys text[], user_ids uuid[]) TO service_role;

REVOKE ALL ON FUNCTION public.hide_recording(recording uuid, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.hide_recording(recording uuid, reason text) TO authenticated;

REVOKE ALL ON FUNCTION public.impressions_after(after_shown_at timestamp with time zone, after_answer uuid, after_place integer, max_rows integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.impressions_after(after_shown_at timestamp with time zone, after_answer uuid, after_place integer, max_rows integer) TO service_role;

REVOKE ALL ON FUNCTION public.index_recording(recording uuid, object_version text, result jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.index_recording(recording uuid, object_version text, result jsonb) TO service_role;

REVOKE ALL ON FUNCTION public.index_snapshot() FROM PUBLIC;
GRANT ALL ON FUNCTION public.index_snapshot() TO service_role;

REVOKE ALL ON FUNCTION public.list_deliveries(states text[], owner uuid, channel text, code text, before uuid, max_deliveries integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.list_deliveries(states text[], owner uuid, channel text, code text, before uuid, max_deliveries integer) TO service_role;

REVOKE ALL ON FUNCTION public.list_export(export uuid, token uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.list_export(export uuid, token uuid) TO service_role;

REVOKE ALL ON FUNCTION public.list_jobs(states text[], recording uuid, owner uuid, code text, before bigint, max_jobs integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.list_jobs(states text[], recording uuid, owner uuid, code text, before bigint, max_jobs integer) TO service_role;

REVOKE ALL ON FUNCTION public.list_models(max_models integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.list_models(max_models integer) TO service_role;

REVOKE ALL ON FUNCTION public.model_items(model bigint, recordings uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.model_items(model bigint, recordings uuid[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.check_value(is_valid boolean, code text, message text, hint text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.check_value(is_valid boolean, code text, message text, hint text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.check_value(is_valid boolean, code text, message text, hint text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.fold(words text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.fold(words text) TO anon;
GRANT ALL ON FUNCTION soundscape.fold(words text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.fold(words text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.labels(tags text[], heard jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.labels(tags text[], heard jsonb) TO anon;
GRANT ALL ON FUNCTION soundscape.labels(tags text[], heard jsonb) TO authenticated;
GRANT ALL ON FUNCTION soundscape.labels(tags text[], heard jsonb) TO service_role;

REVOKE ALL ON FUNCTION soundscape.object_name_problem(object_name text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.object_name_problem(object_name text) TO anon;
GRANT ALL ON FUNCTION soundscape.object_name_problem(object_name text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.object_name_problem(object_name text) TO service_role;

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

GRANT INSERT(attribution),UPDATE(attribution) ON TABLE public.audio_files TO authenticated;

GRANT INSERT(sources),UPDATE(sources) ON TABLE public.audio_files TO authenticated;

GRANT INSERT(recorded_at),UPDATE(recorded_at) ON TABLE public.audio_files TO authenticated;

GRANT INSERT(latitude),UPDATE(latitude) ON TABLE public.audio_files TO authenticated;

GRANT INSERT(longitude),UPDATE(longitude) ON TABLE public.audio_files TO authenticated;

GRANT INSERT(location_precision_m),UPDATE(location_precision_m) ON TABLE public.audio_files TO authenticated;

REVOKE ALL ON FUNCTION public.mood_mix(mood text, "limit" integer, seed bigint, played uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.mood_mix(mood text, "limit" integer, seed bigint, played uuid[]) TO anon;
GRANT ALL ON FUNCTION public.mood_mix(mood text, "limit" integer, seed bigint, played uuid[]) TO authenticated;
GRANT ALL ON FUNCTION public.mood_mix(mood text, "limit" integer, seed bigint, played uuid[]) TO service_role;

REVOKE ALL ON FUNCTION public.move_playlist_item(item uuid, to_position integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.move_playlist_item(item uuid, to_position integer) TO authenticated;

REVOKE ALL ON FUNCTION public.my_audio_stats("from" date, "to" date, recording uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.my_audio_stats("from" date, "to" date, recording uuid) TO authenticated;

REVOKE ALL ON FUNCTION public.nearby_audio(latitude double precision, longitude double precision, radius_m double precision, "limit" integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.nearby_audio(latitude double precision, longitude double precision, radius_m double precision, "limit" integer) TO anon;
GRANT ALL ON FUNCTION public.nearby_audio(latitude double precision, longitude double precision, radius_m double precision, "limit" integer) TO authenticated;
GRANT ALL ON FUNCTION public.nearby_audio(latitude double precision, longitude double precision, radius_m double precision, "limit" integer) TO service_role;

REVOKE ALL ON FUNCTION public.next_message_s() FROM PUBLIC;
GRANT ALL ON FUNCTION public.next_message_s() TO service_role;

REVOKE ALL ON FUNCTION public.notification_channels() FROM PUBLIC;
GRANT ALL ON FUNCTION public.notification_channels() TO authenticated;

REVOKE ALL ON FUNCTION public.notification_settings() FROM PUBLIC;
GRANT ALL ON FUNCTION public.notification_settings() TO authenticated;

REVOKE ALL ON FUNCTION public.open_key_session(key_hash text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.open_key_session(key_hash text) TO service_role;

REVOKE ALL ON FUNCTION public.operator_overview() FROM PUBLIC;
GRANT ALL ON FUNCTION public.operator_overview() TO authenticated;

REVOKE ALL ON FUNCTION public.pending_comparisons(max_fingerprints integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.pending_comparisons(max_fingerprints integer) TO service_role;

REVOKE ALL ON FUNCTION public.pending_deletions(max_objects integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.pending_deletions(max_objects integer) TO service_role;

REVOKE ALL ON FUNCTION public.pending_renames(max_renames integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.pending_renames(max_renames integer) TO service_role;

REVOKE ALL ON FUNCTION public.project_stats(days integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.project_stats(days integer) TO service_role;

REVOKE ALL ON FUNCTION public.publish_model(token uuid, model bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.publish_model(token uuid, model bigint) TO service_role;

REVOKE ALL ON FUNCTION public.queue_stats() FROM PUBLIC;
GRANT ALL ON FUNCTION public.queue_stats() TO service_role;

REVOKE ALL ON FUNCTION public.radio(audio_id uuid, "limit" integer, seed bigint, played uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.radio(audio_id uuid, "limit" integer, seed bigint, played uuid[]) TO anon;
GRANT ALL ON FUNCTION public.radio(audio_id uuid, "limit" integer, seed bigint, played uuid[]) TO authenticated;
GRANT ALL ON FUNCTION public.radio(audio_id uuid, "limit" integer, seed bigint, played uuid[]) TO service_role;

REVOKE ALL ON FUNCTION public.read_export(export uuid, token uuid, wanted_table text, after jsonb, max_rows integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.read_export(export uuid, token uuid, wanted_table text, after jsonb, max_rows integer) TO service_role;

REVOKE ALL ON FUNCTION public.reanalyze(version text, filters jsonb, max_recordings integer, after uuid, plan boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.reanalyze(version text, filters jsonb, max_recordings integer, after uuid, plan boolean) TO service_role;

REVOKE ALL ON FUNCTION public.recommended_audio("limit" integer, seed bigint, labels text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.recommended_audio("limit" integer, seed bigint, labels text[]) TO authenticated;

REVOKE ALL ON FUNCTION public.reconcile() FROM PUBLIC;
GRANT ALL ON FUNCTION public.reconcile() TO service_role;

REVOKE ALL ON FUNCTION public.record_download(recording uuid, listener text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.record_download(recording uuid, listener text) TO service_role;

REVOKE ALL ON FUNCTION public.record_key_session(key uuid, session uuid, expires_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.record_key_session(key uuid, session uuid, expires_at timestamp with time zone) TO service_role;

REVOKE ALL ON FUNCTION public.register_worker(worker text, version text, migration text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.register_worker(worker text, version text, migration text) TO service_role;

REVOKE ALL ON FUNCTION public.reopen_address(account uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.reopen_address(account uuid) TO service_role;

REVOKE ALL ON FUNCTION public.reopen_addresses(code text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.reopen_addresses(code text) TO service_role;

REVOKE ALL ON FUNCTION public.reorder_playlist(playlist uuid, items uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.reorder_playlist(playlist uuid, items uuid[]) TO authenticated;

REVOKE ALL ON FUNCTION public.replace_caption(recording uuid, caption text, keywords text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.replace_caption(recording uuid, caption text, keywords text[]) TO authenticated;

REVOKE ALL ON FUNCTION public.report_channel(channel text, is_on boolean, reason text, public_key text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.report_channel(channel text, is_on boolean, reason text, public_key text) TO service_role;

REVOKE ALL ON FUNCTION public.report_progress(job_id bigint, token text, stage text, progress real) FROM PUBLIC;
GRANT ALL ON FUNCTION public.report_progress(job_id bigint, token text, stage text, progress real) TO service_role;

REVOKE ALL ON FUNCTION public.resolve_report(report uuid, resolution text, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.resolve_report(report uuid, resolution text, reason text) TO authenticated;

REVOKE ALL ON FUNCTION public.restart_export(export uuid, token uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.restart_export(export uuid, token uuid) TO service_role;

REVOKE ALL ON FUNCTION public.restore_recording(recording uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.restore_recording(recording uuid) TO authenticated;

REVOKE ALL ON FUNCTION public.retry_analysis(recording uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.retry_analysis(recording uuid) TO authenticated;

REVOKE ALL ON FUNCTION public.retry_deliveries(deliveries uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.retry_deliveries(deliveries uuid[]) TO service_role;

REVOKE ALL ON FUNCTION public.retry_jobs(jobs bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.retry_jobs(jobs bigint[]) TO service_role;

REVOKE ALL ON FUNCTION public.revoke_api_key(key uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.revoke_api_key(key uuid) TO authenticated;

REVOKE ALL ON FUNCTION public.roll_up_stats(max_events integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.roll_up_stats(max_events integer) TO service_role;

REVOKE ALL ON FUNCTION public.save_export(export uuid, token uuid, stored_bytes bigint, size_bytes bigint, upload_url text, first_place integer, checksums bigint[], lease_s integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.save_export(export uuid, token uuid, stored_bytes bigint, size_bytes bigint, upload_url text, first_place integer, checksums bigint[], lease_s integer) TO service_role;

REVOKE ALL ON FUNCTION public.save_push_subscription(endpoint text, p256dh text, auth text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.save_push_subscription(endpoint text, p256dh text, auth text) TO authenticated;

REVOKE ALL ON FUNCTION public.search_audio(query text, "limit" integer, sort text, after text, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.search_audio(query text, "limit" integer, sort text, after text, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO anon;
GRANT ALL ON FUNCTION public.search_audio(query text, "limit" integer, sort text, after text, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO authenticated;
GRANT ALL ON FUNCTION public.search_audio(query text, "limit" integer, sort text, after text, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO service_role;

REVOKE ALL ON FUNCTION public.search_facets(query text, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.search_facets(query text, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO anon;
GRANT ALL ON FUNCTION public.search_facets(query text, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO authenticated;
GRANT ALL ON FUNCTION public.search_facets(query text, min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text, min_duration_s double precision, max_duration_s double precision, min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text) TO service_role;

REVOKE ALL ON FUNCTION public.set_captions(recording uuid, wanted boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.set_captions(recording uuid, wanted boolean) TO authenticated;

REVOKE ALL ON FUNCTION public.set_queue(paused boolean, in_flight_per_owner integer, backfill_every integer, preview_every integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.set_queue(paused boolean, in_flight_per_owner integer, backfill_every integer, preview_every integer) TO service_role;

REVOKE ALL ON FUNCTION public.show_delivery(delivery uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.show_delivery(delivery uuid) TO service_role;

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

REVOKE ALL ON FUNCTION public.unsubscribe(account uuid, kinds text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.unsubscribe(account uuid, kinds text[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.accepted_uploads() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.accepted_uploads() TO authenticated;
GRANT ALL ON FUNCTION soundscape.accepted_uploads() TO anon;
GRANT ALL ON FUNCTION soundscape.accepted_uploads() TO service_role;

REVOKE ALL ON FUNCTION soundscape.acts_for_a_person() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.add_counts(one jsonb, other jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.add_stat_events(max_events integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.admit(owner uuid, wanted_queue text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.admit_waiting(max_lines integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.is_time_zone(zone text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.is_time_zone(zone text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.is_time_zone(zone text) TO service_role;

GRANT SELECT ON TABLE public.user_preferences TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.user_preferences TO service_role;

GRANT UPDATE(locale) ON TABLE public.user_preferences TO authenticated;

GRANT UPDATE(theme) ON TABLE public.user_preferences TO authenticated;

GRANT UPDATE(default_is_public) ON TABLE public.user_preferences TO authenticated;

GRANT UPDATE(default_license) ON TABLE public.user_preferences TO authenticated;

GRANT UPDATE(settings) ON TABLE public.user_preferences TO authenticated;

GRANT UPDATE(favourite_labels) ON TABLE public.user_preferences TO authenticated;

GRANT UPDATE(time_zone) ON TABLE public.user_preferences TO authenticated;

GRANT UPDATE(quiet_from) ON TABLE public.user_preferences TO authenticated;

GRANT UPDATE(quiet_until) ON TABLE public.user_preferences TO authenticated;

GRANT UPDATE(fill_from_file) ON TABLE public.user_preferences TO authenticated;

GRANT UPDATE(captions) ON TABLE public.user_preferences TO authenticated;

REVOKE ALL ON FUNCTION soundscape.allows_filling(file public.audio_files) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.analysis_queues() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.analysis_waits() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.append_item() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.are_few(wanted tsquery, max_rows integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.assign_report(report uuid, assignee uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.assign_report(report uuid, assignee uuid) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.attach_found_objects(names text[]) FROM PUBLIC;

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

REVOKE ALL ON FUNCTION soundscape.broadcast_library_change() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.broadcast_to_libraries(table_name text, operation text, owners uuid[], changes jsonb[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.bundle(account uuid, to_channel text, lasts interval) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.bundle_some(to_channels text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.cancel_analysis(recording uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.cancel_analysis(recording uuid) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.cancel_deletion(object_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.cancel_deliveries(deliveries uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.cancel_deliveries(deliveries uuid[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.cancel_job(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.cancel_jobs(jobs bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.cancel_jobs(jobs bigint[]) TO service_role;

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

REVOKE ALL ON FUNCTION soundscape.caption_document(caption text, keywords text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.flag_bucket(key text, user_id uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.log_unknown_flag(key text) FROM PUBLIC;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.feature_flags TO service_role;

GRANT SELECT(key) ON TABLE public.feature_flags TO anon;
GRANT SELECT(key) ON TABLE public.feature_flags TO authenticated;

GRANT SELECT(description) ON TABLE public.feature_flags TO anon;
GRANT SELECT(description) ON TABLE public.feature_flags TO authenticated;

GRANT SELECT(state) ON TABLE public.feature_flags TO anon;
GRANT SELECT(state) ON TABLE public.feature_flags TO authenticated;

GRANT SELECT(percentage) ON TABLE public.feature_flags TO anon;
GRANT SELECT(percentage) ON TABLE public.feature_flags TO authenticated;

GRANT SELECT(active_from) ON TABLE public.feature_flags TO anon;
GRANT SELECT(active_from) ON TABLE public.feature_flags TO authenticated;

GRANT SELECT(active_until) ON TABLE public.feature_flags TO anon;
GRANT SELECT(active_until) ON TABLE public.feature_flags TO authenticated;

GRANT SELECT(updated_at) ON TABLE public.feature_flags TO anon;
GRANT SELECT(updated_at) ON TABLE public.feature_flags TO authenticated;

REVOKE ALL ON FUNCTION soundscape.flag_for(key text, user_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.flag_for(key text, user_id uuid) TO service_role;

GRANT SELECT ON TABLE public.audio_captions TO anon;
GRANT SELECT ON TABLE public.audio_captions TO authenticated;
GRANT SELECT ON TABLE public.audio_captions TO service_role;

REVOKE ALL ON FUNCTION soundscape.caption_problem(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.centroid_of_choices(model bigint, chosen uuid[], weights real[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.centroid_of_choices(model bigint, chosen uuid[], weights real[]) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.check_copy(object storage.objects) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.check_described_upload(owner uuid, object_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.check_file_limits(owner uuid, is_whole boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.check_filters(filters jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.check_given_name(former_name text, object storage.objects) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.check_license() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.check_move(object storage.objects) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.check_name_is_free() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.check_object_name() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.check_object_rules() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.check_owner_limits() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.check_page(wanted_kind text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.check_profile() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.check_request() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.check_request() TO anon;
GRANT ALL ON FUNCTION soundscape.check_request() TO authenticated;
GRANT ALL ON FUNCTION soundscape.check_request() TO service_role;

REVOKE ALL ON FUNCTION soundscape.check_sources() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.check_status_step() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.choice_confidence(weight real, alpha real, skip real) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.choice_confidence(weight real, alpha real, skip real) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.choice_reason(recording uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.choice_reason(recording uuid) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.choices(people uuid[], latest integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.choices(people uuid[], latest integer) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.claim_caption(lease_s integer, max_requests integer, max_tokens bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.claim_caption(lease_s integer, max_requests integer, max_tokens bigint) TO service_role;

REVOKE ALL ON FUNCTION soundscape.claim_delivery(channels text[], lease_s integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.claim_delivery(channels text[], lease_s integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.claim_export(lease_s integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.claim_export(lease_s integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.claim_image_check(lease_s integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.claim_image_check(lease_s integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.claim_jobs(worker text, max_jobs integer, lease_s integer, holding text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.claim_jobs(worker text, max_jobs integer, lease_s integer, holding text[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.queue_names() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.claim_next(wanted_queue text, worker text, lease_s integer, owners_held uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.claim_previews(worker text, max_jobs integer, lease_s integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.claim_previews(worker text, max_jobs integer, lease_s integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.claims_of(account uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.invisible_characters() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.invisible_characters() TO authenticated;
GRANT ALL ON FUNCTION soundscape.invisible_characters() TO service_role;

REVOKE ALL ON FUNCTION soundscape.mixes_scripts(name text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.mixes_scripts(name text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.mixes_scripts(name text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.without_joiners(name text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.without_joiners(name text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.without_joiners(name text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.display_name_problem(name text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.display_name_problem(name text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.display_name_problem(name text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.name_skeleton(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.reserved_names() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.is_reserved_name(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.clean_display_name(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.clear_models(token uuid, max_items integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.clear_models(token uuid, max_items integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.close_account(account uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.close_stat_days() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.closed_accounts() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.closed_accounts() TO anon;
GRANT ALL ON FUNCTION soundscape.closed_accounts() TO authenticated;

REVOKE ALL ON FUNCTION soundscape.collect_candidates(caller soundscape.taste, model bigint, listener extensions.vector, partners uuid[], leaving_out uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.collect_candidates(caller soundscape.taste, model bigint, listener extensions.vector, partners uuid[], leaving_out uuid[]) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.compares(has numeric, op text, value text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.compares(has text, op text, value text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.compares(has timestamp with time zone, op text, value text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.complete_caption(recording uuid, token uuid, caption text, keywords text[], model text, version integer, tokens integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.complete_caption(recording uuid, token uuid, caption text, keywords text[], model text, version integer, tokens integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.complete_comparison(recording uuid, others uuid[], matches jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.complete_comparison(recording uuid, others uuid[], matches jsonb) TO service_role;

REVOKE ALL ON FUNCTION soundscape.complete_delivery(delivery uuid, token uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.complete_delivery(delivery uuid, token uuid) TO service_role;

REVOKE ALL ON FUNCTION soundscape.complete_export(export uuid, token uuid, parts integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.complete_export(export uuid, token uuid, parts integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.complete_image_check(object_id uuid, token uuid, error_code text, error_message text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.complete_image_check(object_id uuid, token uuid, error_code text, error_message text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.complete_job(job_id bigint, token text, result jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.complete_job(job_id bigint, token text, result jsonb) TO service_role;

REVOKE ALL ON FUNCTION soundscape.complete_preview(job_id bigint, token text, path text, size_bytes bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.complete_preview(job_id bigint, token text, path text, size_bytes bigint) TO service_role;

REVOKE ALL ON FUNCTION soundscape.complete_rename(rename_id bigint, attempt integer, new_name text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.complete_rename(rename_id bigint, attempt integer, new_name text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.confirm_deletions(bucket text, removed text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.confirm_deletions(bucket text, removed text[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.correct_spelling(words soundscape.words) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.correct_spelling(words soundscape.words) TO anon;
GRANT ALL ON FUNCTION soundscape.correct_spelling(words soundscape.words) TO authenticated;
GRANT ALL ON FUNCTION soundscape.correct_spelling(words soundscape.words) TO service_role;

REVOKE ALL ON FUNCTION soundscape.correctable_words(search tsvector) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.count_actions() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.count_awaiting_upload(owner uuid, max_rows integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.count_likes() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.count_listens() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.count_recordings(owner uuid, max_rows integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.count_stored_object() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.create_api_key(name text, scope text, expires_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.create_api_key(name text, scope text, expires_at timestamp with time zone) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.decode_cursor(cursor text, sort text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.decode_cursor(cursor text, sort text) TO anon;
GRANT ALL ON FUNCTION soundscape.decode_cursor(cursor text, sort text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.decode_cursor(cursor text, sort text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.defer_captions(owner uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.delete_claims(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.delete_former_pictures(recording uuid, current_prefix text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.delete_message() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.delete_my_account() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.delete_my_account() TO authenticated;

REVOKE ALL ON FUNCTION soundscape.delete_old_deliveries() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.delete_old_impressions() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.delete_old_jobs(keys text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.delete_old_listening_events() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.delete_old_notifications() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.delete_results(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.delete_some_rows(owned regclass, owner uuid, max_rows integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.delete_unnamed_exports(account uuid, export uuid, kept text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.delete_unused_words(max_words integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.deletion_grace() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.deliveries_kept_for() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.delivery_content(bundle uuid, account uuid) FROM PUBLIC;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.notification_preferences TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.notification_preferences TO service_role;

REVOKE ALL ON FUNCTION soundscape.is_notified(account uuid, kind text, channel text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.mail_address(account uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.mail_problem(account uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.max_unanswered_claims() FROM PUBLIC;

GRANT SELECT,DELETE ON TABLE public.push_subscriptions TO authenticated;
GRANT SELECT ON TABLE public.push_subscriptions TO service_role;

REVOKE ALL ON FUNCTION soundscape.delivery_problem(delivery soundscape.deliveries) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.delivery_stats() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.delivery_stats() TO service_role;

REVOKE ALL ON FUNCTION soundscape.describe_batch(rows jsonb, places integer[], names text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.describe_batch(rows jsonb, places integer[], names text[]) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.describe_object(object storage.objects, draft_title text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.digest(account uuid, moment timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.digest_between(account uuid, begins timestamp with time zone, ends timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.digest_time(zone text, moment timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.digest_week(account uuid, moment timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.discard_unused_objects(bucket text, names text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.dismiss_match(match uuid, dismissed boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.dismiss_match(match uuid, dismissed boolean) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.metres_per_degree() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.metres_per_degree() TO anon;
GRANT ALL ON FUNCTION soundscape.metres_per_degree() TO authenticated;
GRANT ALL ON FUNCTION soundscape.metres_per_degree() TO service_role;

REVOKE ALL ON FUNCTION soundscape.distance_m(from_latitude double precision, from_longitude double precision, to_latitude double precision, to_longitude double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.distance_m(from_latitude double precision, from_longitude double precision, to_latitude double precision, to_longitude double precision) TO anon;
GRANT ALL ON FUNCTION soundscape.distance_m(from_latitude double precision, from_longitude double precision, to_latitude double precision, to_longitude double precision) TO authenticated;
GRANT ALL ON FUNCTION soundscape.distance_m(from_latitude double precision, from_longitude double precision, to_latitude double precision, to_longitude double precision) TO service_role;

REVOKE ALL ON FUNCTION soundscape.diversify(ids uuid[], scores double precision[], space text, diversity double precision, max_rows integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.diversify(ids uuid[], scores double precision[], space text, diversity double precision, max_rows integer) TO anon;
GRANT ALL ON FUNCTION soundscape.diversify(ids uuid[], scores double precision[], space text, diversity double precision, max_rows integer) TO authenticated;
GRANT ALL ON FUNCTION soundscape.diversify(ids uuid[], scores double precision[], space text, diversity double precision, max_rows integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.diversify_mixed(ids uuid[], scores double precision[], diversity double precision, max_rows integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.diversify_mixed(ids uuid[], scores double precision[], diversity double precision, max_rows integer) TO anon;
GRANT ALL ON FUNCTION soundscape.diversify_mixed(ids uuid[], scores double precision[], diversity double precision, max_rows integer) TO authenticated;
GRANT ALL ON FUNCTION soundscape.diversify_mixed(ids uuid[], scores double precision[], diversity double precision, max_rows integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.draft_undescribed_objects(names text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.emptied_accounts(max_accounts integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.emptied_accounts(max_accounts integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.empty_account(account uuid, max_recordings integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.empty_accounts(max_s integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.empty_accounts(max_s integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.encode_cursor(page soundscape.page) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.encode_cursor(page soundscape.page) TO anon;
GRANT ALL ON FUNCTION soundscape.encode_cursor(page soundscape.page) TO authenticated;
GRANT ALL ON FUNCTION soundscape.encode_cursor(page soundscape.page) TO service_role;

REVOKE ALL ON FUNCTION soundscape.end_caption_job(recording uuid, token uuid, tokens integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.end_delivery(delivery uuid, final_state text, code text, message text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.end_export(export uuid, code text, message text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.end_fit(token uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.end_fit(token uuid) TO service_role;

REVOKE ALL ON FUNCTION soundscape.end_job(job soundscape.jobs, final_state text, file_status text, code text, message text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.end_of_quiet(zone text, quiet_from time without time zone, quiet_until time without time zone, moment timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.enqueue(recording uuid, version text, queue text, analysis text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.enqueue_preview(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.exact_copies(file public.audio_files, result jsonb, among uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.expire_exports() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.explain_recommendations(ids uuid[], propensities double precision[], candidates uuid[], scores double precision[], sources text[], caller soundscape.taste, model bigint, w soundscape.recommendation_weights) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.explain_recommendations(ids uuid[], propensities double precision[], candidates uuid[], scores double precision[], sources text[], caller soundscape.taste, model bigint, w soundscape.recommendation_weights) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.export_condition(via text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.export_gone() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.export_my_data() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.export_my_data() TO authenticated;

REVOKE ALL ON FUNCTION soundscape.export_paths(first_path text, parts integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.expose(function_name text, to_role text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.expose_name(object_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.extend_fit_lease(holder uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.extend_lease(job_id bigint, token text, lease_s integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.extend_lease(job_id bigint, token text, lease_s integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.fail_caption(recording uuid, token uuid, code text, retry_s integer, tokens integer, is_counted boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.fail_caption(recording uuid, token uuid, code text, retry_s integer, tokens integer, is_counted boolean) TO service_role;

REVOKE ALL ON FUNCTION soundscape.fail_delivery(delivery uuid, token uuid, outcome text, code text, message text, retry_after_s integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.fail_delivery(delivery uuid, token uuid, outcome text, code text, message text, retry_after_s integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.fail_export(export uuid, token uuid, code text, message text, is_final boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.fail_export(export uuid, token uuid, code text, message text, is_final boolean) TO service_role;

REVOKE ALL ON FUNCTION soundscape.fail_job(job_id bigint, token text, kind text, code text, message text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.fail_job(job_id bigint, token text, kind text, code text, message text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.failures_before_requeue() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.fill_from_file(file public.audio_files, capture jsonb) FROM PUBLIC;

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

REVOKE ALL ON FUNCTION soundscape.finish_round(max_s integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.first_open_day(moment timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.fit_embeddings(recordings uuid[], space text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.fit_embeddings(recordings uuid[], space text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.fit_history(after uuid, max_people integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.fit_history(after uuid, max_people integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.flag(key text, fallback boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.flag(key text, fallback boolean) TO authenticated;
GRANT ALL ON FUNCTION soundscape.flag(key text, fallback boolean) TO anon;
GRANT ALL ON FUNCTION soundscape.flag(key text, fallback boolean) TO service_role;

REVOKE ALL ON FUNCTION soundscape.flags() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.flags() TO authenticated;
GRANT ALL ON FUNCTION soundscape.flags() TO anon;
GRANT ALL ON FUNCTION soundscape.flags() TO service_role;

REVOKE ALL ON FUNCTION soundscape.flags_for(keys text[], user_ids uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.flags_for(keys text[], user_ids uuid[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.folder_of(object_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.follow_assignment() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.follow_move(former storage.objects, object storage.objects) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.forget_image() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.forget_preview(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.forget_reporter() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.forget_stored_object() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.given_part(object_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.uuid_or_null(candidate text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.uuid_or_null(candidate text) TO anon;
GRANT ALL ON FUNCTION soundscape.uuid_or_null(candidate text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.uuid_or_null(candidate text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.owner_of(object_name text, owner_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.owner_of(object_name text, owner_id text) TO anon;
GRANT ALL ON FUNCTION soundscape.owner_of(object_name text, owner_id text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.owner_of(object_name text, owner_id text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.has_limited_size(object storage.objects) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.has_lost_job(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.hidden_fingerprints(version integer, seer uuid, for_recording uuid, max_hidden integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.hide_recording(recording uuid, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.hide_recording(recording uuid, reason text) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.hold_delivery(delivery uuid, token uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.hold_export(export uuid, token uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.impressions_after(after_shown_at timestamp with time zone, after_answer uuid, after_place integer, max_rows integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.impressions_after(after_shown_at timestamp with time zone, after_answer uuid, after_place integer, max_rows integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.impressions_kept_for() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.index_recording(recording uuid, object_version text, result jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.index_recording(recording uuid, object_version text, result jsonb) TO service_role;

REVOKE ALL ON FUNCTION soundscape.index_size(wanted_version integer, wanted_owner uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.index_snapshot() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.index_snapshot() TO service_role;

REVOKE ALL ON FUNCTION soundscape.is_copying() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.is_copying() TO anon;
GRANT ALL ON FUNCTION soundscape.is_copying() TO authenticated;
GRANT ALL ON FUNCTION soundscape.is_copying() TO service_role;

REVOKE ALL ON FUNCTION soundscape.is_findable(file public.audio_files) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.is_named(wanted soundscape.renames, file public.audio_files) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.is_not_estimated() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.is_not_estimated() TO anon;
GRANT ALL ON FUNCTION soundscape.is_not_estimated() TO authenticated;

REVOKE ALL ON FUNCTION soundscape.is_play(listened_s real, duration double precision) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.is_seen_by(recording public.audio_files, viewer uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.is_withheld(object_name text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.is_withheld(object_name text) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.jobs_kept_for() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.keep_pictures(current_prefix text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.label_vector(tags text[], heard jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.leave_names(file public.audio_files, former_name text) FROM PUBLIC;

GRANT SELECT ON TABLE public.playlists TO anon;
GRANT SELECT,DELETE ON TABLE public.playlists TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.playlists TO service_role;

GRANT INSERT(user_id) ON TABLE public.playlists TO authenticated;

GRANT INSERT(title),UPDATE(title) ON TABLE public.playlists TO authenticated;

GRANT INSERT(description),UPDATE(description) ON TABLE public.playlists TO authenticated;

GRANT INSERT(is_public),UPDATE(is_public) ON TABLE public.playlists TO authenticated;

REVOKE ALL ON FUNCTION soundscape.library_owner(changed jsonb, via text) FROM PUBLIC;

GRANT SELECT ON TABLE public.licenses TO anon;
GRANT SELECT ON TABLE public.licenses TO authenticated;
GRANT SELECT ON TABLE public.licenses TO service_role;

REVOKE ALL ON FUNCTION soundscape.license_or_null(words text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.likeness(recording uuid, others uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.likeness(recording uuid, others uuid[]) TO anon;
GRANT ALL ON FUNCTION soundscape.likeness(recording uuid, others uuid[]) TO authenticated;
GRANT ALL ON FUNCTION soundscape.likeness(recording uuid, others uuid[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.list_deliveries(states text[], owner uuid, channel text, code text, before uuid, max_deliveries integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.list_deliveries(states text[], owner uuid, channel text, code text, before uuid, max_deliveries integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.list_export(export uuid, token uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.list_export(export uuid, token uuid) TO service_role;

REVOKE ALL ON FUNCTION soundscape.list_jobs(states text[], recording uuid, owner uuid, code text, before bigint, max_jobs integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.list_jobs(states text[], recording uuid, owner uuid, code text, before bigint, max_jobs integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.list_models(max_models integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.list_models(max_models integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.listen_weight(listened_s real, completed boolean, duration_s double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.listen_weight(listened_s real, completed boolean, duration_s double precision) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.listener_hash(listener text, recording uuid, salt bytea) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.listener_vector(model bigint, chosen uuid[], weights real[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.listener_vector(model bigint, chosen uuid[], weights real[]) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.listening_events_kept_for() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.lock_held_job(job_id bigint, token text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.lock_moderated_recording(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.lock_object_name(object_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.lock_own_playlist(playlist uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.lock_own_recording(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.lock_owner() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.lock_recording_name() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.lock_stats() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.lock_sweep() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.log_impressions(recordings uuid[], reasons text[], scores double precision[], propensities double precision[], seed bigint, model_id bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.log_impressions(recordings uuid[], reasons text[], scores double precision[], propensities double precision[], seed bigint, model_id bigint) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.longest_play_s() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.make_salts(days date[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.make_user() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.max_attempts() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.max_excused_failures() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.max_plays_a_day() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.max_ready_per_owner() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.max_repairs_per_sweep() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.max_rows_per_broadcast() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.measure_candidates(candidates uuid[], caller soundscape.taste, model bigint, listener extensions.vector, partners uuid[], partnership double precision[], leaving_out uuid[], max_choices integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.measure_candidates(candidates uuid[], caller soundscape.taste, model bigint, listener extensions.vector, partners uuid[], partnership double precision[], leaving_out uuid[], max_choices integer) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.media_type_allowed(media_type text, allowed text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.min_heard_confidence() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.min_listeners_for_details() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.min_position_gap(near double precision) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.min_similarity() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.min_similarity() TO anon;
GRANT ALL ON FUNCTION soundscape.min_similarity() TO authenticated;
GRANT ALL ON FUNCTION soundscape.min_similarity() TO service_role;

REVOKE ALL ON FUNCTION soundscape.missed_fingerprints(recordings uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.model_items(model bigint, recordings uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.model_items(model bigint, recordings uuid[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.mood_points(recordings uuid[], of_mood text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.mood_points(recordings uuid[], of_mood text) TO anon;
GRANT ALL ON FUNCTION soundscape.mood_points(recordings uuid[], of_mood text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.mood_points(recordings uuid[], of_mood text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.move_playlist_item(item uuid, to_position integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.move_playlist_item(item uuid, to_position integer) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.name_digest(object_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.name_reserved_for() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.nearest(space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter, leaving_out uuid[], min_cosine double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.nearest(space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter, leaving_out uuid[], min_cosine double precision) TO anon;
GRANT ALL ON FUNCTION soundscape.nearest(space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter, leaving_out uuid[], min_cosine double precision) TO authenticated;
GRANT ALL ON FUNCTION soundscape.nearest(space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter, leaving_out uuid[], min_cosine double precision) TO service_role;

REVOKE ALL ON FUNCTION soundscape.nearest_filtered(space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter, leaving_out uuid[], min_cosine double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.nearest_filtered(space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter, leaving_out uuid[], min_cosine double precision) TO anon;
GRANT ALL ON FUNCTION soundscape.nearest_filtered(space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter, leaving_out uuid[], min_cosine double precision) TO authenticated;
GRANT ALL ON FUNCTION soundscape.nearest_filtered(space text, place extensions.halfvec, max_rows integer, filter soundscape.audio_filter, leaving_out uuid[], min_cosine double precision) TO service_role;

REVOKE ALL ON FUNCTION soundscape.nearly_full_share() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.new_folder_name(folder text, request bigint, attempt integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.new_object_name(object_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.newest_with_labels(labels text[], max_per_label integer, leaving_out uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.newest_with_labels(labels text[], max_per_label integer, leaving_out uuid[]) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.next_fingerprint_number() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.next_message_s() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.next_message_s() TO service_role;

REVOKE ALL ON FUNCTION soundscape.next_page(wanted_kind text, max_keys integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.next_visible_at(queues text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.note_first_ready() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.note_license() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.note_unchecked_images(names text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.note_undescribed_object() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.notification_channels() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.notification_channels() TO authenticated;

REVOKE ALL ON FUNCTION soundscape.notification_settings() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.notification_settings() TO authenticated;

REVOKE ALL ON FUNCTION soundscape.notifications_kept_for() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.notify(recipient uuid, kind text, audio_id uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.notify(recipient uuid, kind text, audio_id uuid, error_code text, trace_id text, error_message text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.notify_of_export() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.notify_of_items() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.notify_of_likes() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.notify_of_listed_match() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.notify_of_matches() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.notify_of_moderation() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.notify_of_published_playlist() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.notify_of_quota() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.notify_of_report() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.object_page(bucket text, after text, max_keys integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.objects_in_folder(folder text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.oldest_worker() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_auth_user_deleted() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_bytes_changed() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_caption_words() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_embedding_written() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_fingerprint_changed() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_image_written() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_listed_recording_deleted() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_moods_changed() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_object_deleted() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_object_moved() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_object_written() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_recording_deleted() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_recording_ready() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_recording_unlisted() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_tags_changed() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_traits_changed() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_user_deleted() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.on_words_changed() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.open_key_session(key_hash text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.open_key_session(key_hash text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.open_single_letters(wanted tsquery) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.open_single_letters(wanted tsquery) TO anon;
GRANT ALL ON FUNCTION soundscape.open_single_letters(wanted tsquery) TO authenticated;
GRANT ALL ON FUNCTION soundscape.open_single_letters(wanted tsquery) TO service_role;

REVOKE ALL ON FUNCTION soundscape.operator_overview() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.operator_overview() TO authenticated;

REVOKE ALL ON FUNCTION soundscape.owner_hash(user_id uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.owner_message(final_state text, code text, message text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.parse_query(query text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.parse_query(query text) TO anon;
GRANT ALL ON FUNCTION soundscape.parse_query(query text) TO authenticated;
GRANT ALL ON FUNCTION soundscape.parse_query(query text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.passes_filter(recording uuid, filter soundscape.audio_filter) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.passes_filter(recording uuid, filter soundscape.audio_filter) TO anon;
GRANT ALL ON FUNCTION soundscape.passes_filter(recording uuid, filter soundscape.audio_filter) TO authenticated;
GRANT ALL ON FUNCTION soundscape.passes_filter(recording uuid, filter soundscape.audio_filter) TO service_role;

REVOKE ALL ON FUNCTION soundscape.passes_filters(file public.audio_files, filters jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.peaks_of(result jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.pending_comparisons(max_fingerprints integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.pending_comparisons(max_fingerprints integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.pending_deletions(max_objects integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.pending_deletions(max_objects integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.pending_renames(max_renames integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.pending_renames(max_renames integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.pick(changed jsonb, columns text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.place_in_model() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.play_source(context text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.posting_key(version integer, key integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.postings_of(version integer, number integer, keys integer[], frames integer[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.pre_request() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.predict_factors(model bigint, space text, embedding extensions.halfvec) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.project_stats(days integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.project_stats(days integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.publish_lock_key() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.publish_model(token uuid, model bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.publish_model(token uuid, model bigint) TO service_role;

REVOKE ALL ON FUNCTION soundscape.queue_caption(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.queue_digests() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.queue_stats() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.queue_stats() TO service_role;

REVOKE ALL ON FUNCTION soundscape.rank_candidates(candidates uuid[], scores double precision[], max_rows integer, draw bigint, diversity double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.rank_candidates(candidates uuid[], scores double precision[], max_rows integer, draw bigint, diversity double precision) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.read_export(export uuid, token uuid, wanted_table text, after jsonb, max_rows integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.read_export(export uuid, token uuid, wanted_table text, after jsonb, max_rows integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.read_page(wanted_kind text, after text, max_keys integer) FROM PUBLIC;

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

REVOKE ALL ON FUNCTION soundscape.record_download(recording uuid, listener text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.record_download(recording uuid, listener text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.record_key_session(key uuid, session uuid, expires_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.record_key_session(key uuid, session uuid, expires_at timestamp with time zone) TO service_role;

REVOKE ALL ON FUNCTION soundscape.recordings_in_mood(mood text, max_rows integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.recordings_in_mood(mood text, max_rows integer) TO anon;
GRANT ALL ON FUNCTION soundscape.recordings_in_mood(mood text, max_rows integer) TO authenticated;
GRANT ALL ON FUNCTION soundscape.recordings_in_mood(mood text, max_rows integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.recount_stored_objects() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.refuse_over_limit(held bigint, max_rows integer, what text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.register_worker(worker text, version text, migration text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.register_worker(worker text, version text, migration text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.rename_grace() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.rename_results(recording uuid, former_folder text, folder text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.renames_in_turn(max_renames integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.reopen_address(account uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.reopen_address(account uuid) TO service_role;

REVOKE ALL ON FUNCTION soundscape.reopen_addresses(code text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.reopen_addresses(code text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.reorder_playlist(playlist uuid, items uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.reorder_playlist(playlist uuid, items uuid[]) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.replace_caption(recording uuid, caption text, keywords text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.replace_caption(recording uuid, caption text, keywords text[]) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.replace_claims(file public.audio_files, result jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.report_channel(channel text, is_on boolean, reason text, public_key text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.report_channel(channel text, is_on boolean, reason text, public_key text) TO service_role;

REVOKE ALL ON FUNCTION soundscape.report_progress(job_id bigint, token text, stage text, progress real) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.report_progress(job_id bigint, token text, stage text, progress real) TO service_role;

REVOKE ALL ON FUNCTION soundscape.request_file_rename(file public.audio_files) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.requeue_lost_jobs(recordings uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.require_free_name(object_name text, account uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.require_permission(requested_permission public.app_permission) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.reserve_caption(owner uuid, max_requests integer, max_tokens bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.resolve_report(report uuid, resolution text, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.resolve_report(report uuid, resolution text, reason text) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.restart_export(export uuid, token uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.restart_export(export uuid, token uuid) TO service_role;

REVOKE ALL ON FUNCTION soundscape.restore_recording(recording uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.restore_recording(recording uuid) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.retry_analysis(recording uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.retry_analysis(recording uuid) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.retry_deliveries(deliveries uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.retry_deliveries(deliveries uuid[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.retry_job(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.retry_jobs(jobs bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.retry_jobs(jobs bigint[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.retry_wait(to_channel text, failures integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.return_to_line(job soundscape.jobs) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.revoke_api_key(key uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.revoke_api_key(key uuid) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.ring_doorbell() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.roll_up_stats(max_events integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.roll_up_stats(max_events integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.round_place() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.round_to(degrees double precision, step double precision, bound double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.round_to(degrees double precision, step double precision, bound double precision) TO anon;
GRANT ALL ON FUNCTION soundscape.round_to(degrees double precision, step double precision, bound double precision) TO authenticated;
GRANT ALL ON FUNCTION soundscape.round_to(degrees double precision, step double precision, bound double precision) TO service_role;

REVOKE ALL ON FUNCTION soundscape.save_export(export uuid, token uuid, stored_bytes bigint, size_bytes bigint, upload_url text, first_place integer, checksums bigint[], lease_s integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.save_export(export uuid, token uuid, stored_bytes bigint, size_bytes bigint, upload_url text, first_place integer, checksums bigint[], lease_s integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.save_push_subscription(endpoint text, p256dh text, auth text) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.save_push_subscription(endpoint text, p256dh text, auth text) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.search_document(title text, description text, tags text[], heard jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.search_document(title text, description text, tags text[], heard jsonb) TO anon;
GRANT ALL ON FUNCTION soundscape.search_document(title text, description text, tags text[], heard jsonb) TO authenticated;
GRANT ALL ON FUNCTION soundscape.search_document(title text, description text, tags text[], heard jsonb) TO service_role;

REVOKE ALL ON FUNCTION soundscape.searched_numbers(version integer, seer uuid, all_owners boolean, OUT first integer, OUT last integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.seeded_random(id uuid, seed bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.seeded_random(id uuid, seed bigint) TO anon;
GRANT ALL ON FUNCTION soundscape.seeded_random(id uuid, seed bigint) TO authenticated;
GRANT ALL ON FUNCTION soundscape.seeded_random(id uuid, seed bigint) TO service_role;

REVOKE ALL ON FUNCTION soundscape.session_scope() FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.session_scope() TO anon;
GRANT ALL ON FUNCTION soundscape.session_scope() TO authenticated;

REVOKE ALL ON FUNCTION soundscape.set_captions(recording uuid, wanted boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.set_captions(recording uuid, wanted boolean) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.set_comparison() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.set_queue(paused boolean, in_flight_per_owner integer, backfill_every integer, preview_every integer) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.set_queue(paused boolean, in_flight_per_owner integer, backfill_every integer, preview_every integer) TO service_role;

REVOKE ALL ON FUNCTION soundscape.set_search() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.shared_traits(ids uuid[], causes uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.shared_traits(ids uuid[], causes uuid[]) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.shared_words(timbre double precision, rhythm double precision, tonality double precision, tags double precision, have_tempo boolean, have_onsets boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.shared_words(timbre double precision, rhythm double precision, tonality double precision, tags double precision, have_tempo boolean, have_onsets boolean) TO authenticated;

REVOKE ALL ON FUNCTION soundscape.show_delivery(delivery uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.show_delivery(delivery uuid) TO service_role;

REVOKE ALL ON FUNCTION soundscape.show_job(job_id bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.show_job(job_id bigint) TO service_role;

REVOKE ALL ON FUNCTION soundscape.similarity_traits(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.sources_max_bytes() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.spread_positions(playlist uuid, around double precision) FROM PUBLIC;

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

REVOKE ALL ON FUNCTION soundscape.stat_day(started_at timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.stored_fingerprints(recordings uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.stored_fingerprints(recordings uuid[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.sum_index_sizes(max_changes integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.tag_weights(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.tags_to_store(tags jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.take_undescribed_objects(max_objects integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.title_or_null(candidate text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.token_reserve() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.touch_updated_at() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.try_page(wanted_kind text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.try_to_empty_account(account uuid, max_recordings integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.unindexed_recordings(version integer, max_recordings integer, after uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.unindexed_recordings(version integer, max_recordings integer, after uuid) TO service_role;

REVOKE ALL ON FUNCTION soundscape.unsubscribe(account uuid, kinds text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION soundscape.unsubscribe(account uuid, kinds text[]) TO service_role;

REVOKE ALL ON FUNCTION soundscape.visible_at(queue text, message bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.wants_analysis(file public.audio_files, version text) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.wants_preview(recording uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.withdraw_from_models() FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.write_claims(file public.audio_files, result jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.write_features(file public.audio_files, object_version text, result jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.write_fingerprint(file public.audio_files, version text, fingerprint jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.write_moods(recordings uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION soundscape.write_tags_and_embedding(file public.audio_files, result jsonb) FROM PUBLIC;

GRANT SELECT ON TABLE public.api_keys TO authenticated;
GRANT SELECT ON TABLE public.api_keys TO service_role;

GRANT SELECT ON TABLE public.audio_embeddings TO anon;
GRANT SELECT ON TABLE public.audio_embeddings TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.audio_embeddings TO service_role;

GRANT SELECT ON TABLE public.audio_features TO anon;
GRANT SELECT ON TABLE public.audio_features TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.audio_features TO service_role;

GRANT SELECT ON TABLE public.audio_matches TO anon;
GRANT SELECT ON TABLE public.audio_matches TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.audio_matches TO service_role;

GRANT SELECT ON TABLE public.audio_stats TO anon;
GRANT SELECT ON TABLE public.audio_stats TO authenticated;
GRANT SELECT ON TABLE public.audio_stats TO service_role;

GRANT SELECT ON TABLE public.audio_stats_daily TO authenticated;
GRANT SELECT ON TABLE public.audio_stats_daily TO service_role;

GRANT SELECT ON TABLE public.audio_tags TO anon;
GRANT SELECT ON TABLE public.audio_tags TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.audio_tags TO service_role;

GRANT SELECT,DELETE ON TABLE public.exports TO authenticated;
GRANT SELECT ON TABLE public.exports TO service_role;

GRANT SELECT,DELETE ON TABLE public.impressions TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.impressions TO service_role;

GRANT SELECT ON TABLE public.license_history TO anon;
GRANT SELECT ON TABLE public.license_history TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.license_history TO service_role;

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

GRANT SELECT ON TABLE public.report_assignments TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.report_assignments TO service_role;

GRANT SELECT ON TABLE public.reports TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.reports TO service_role;

GRANT INSERT(audio_id) ON TABLE public.reports TO authenticated;

GRANT INSERT(reporter_id) ON TABLE public.reports TO authenticated;

GRANT INSERT(reason) ON TABLE public.reports TO authenticated;

GRANT INSERT(details) ON TABLE public.reports TO authenticated;

GRANT SELECT ON TABLE public.users TO anon;
GRANT SELECT ON TABLE public.users TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.users TO service_role;

GRANT UPDATE(username) ON TABLE public.users TO authenticated;

GRANT UPDATE(display_name) ON TABLE public.users TO authenticated;

GRANT UPDATE(bio) ON TABLE public.users TO authenticated;

GRANT UPDATE(avatar_path) ON TABLE public.users TO authenticated;

GRANT SELECT ON TABLE soundscape.item_factors TO authenticated;

GRANT SELECT ON TABLE soundscape.item_neighbours TO authenticated;
