-- Finding recordings by words and by what was measured, page by page.

create type soundscape.words as (exact tsquery, begun tsquery, without tsquery, spelt text[], misspelt boolean);
comment on type soundscape.words is 'What a query asks for: its words, the same with the last one open-ended, what it excludes, and the words once more for a comparison by spelling, which is made where misspelt is true.';

create function soundscape.words_of(query text) returns soundscape.words
language plpgsql stable set search_path = '' as $$
declare
    plain constant text := soundscape.folded(query);
    exact constant tsquery := websearch_to_tsquery('pg_catalog.simple', plain);
    excluded constant text := (
        select string_agg(part[1], ' ') from regexp_matches(plain, '(?:^|\s)(-(?:"[^"]*"?|\S+))', 'g') as part);
    kept constant text := regexp_replace(plain, '(?:^|\s)(-(?:"[^"]*"?|\S+)|or(?=\s))', ' ', 'g');
    last_word constant text := substring(plain from '\S+$');
begin
    if char_length(query) > 1000 then
        raise exception 'The query has % characters.', char_length(query) using errcode = '22023', hint = 'At most 1000.';
    end if;
    return row(
        exact,
        -- Somebody is still typing: not after a blank or a quotation mark, and not what is to be left out.
        case when last_word ~ '[[:alnum:]]$' and last_word !~ '^-' and exact::text ~ '''$' then (exact::text || ':*')::tsquery else exact end,
        case when excluded is not null then websearch_to_tsquery('pg_catalog.simple', excluded) end,
        -- The longest first: it is looked up, the others are compared. What is quoted or has digits is meant as it is spelt.
        array(select distinct on (char_length(word), word) word from regexp_split_to_table(kept, '[^[:alnum:]]+') as word
              where char_length(word) > 2 and plain !~ '["0-9]' order by char_length(word) desc, word limit 20),
        false)::soundscape.words;
end
$$;
comment on function soundscape.words_of(text) is 'A query as a search engine on the web reads it: "quoted words" stay together, -word excludes, or is either; the last word may be its beginning only.';

create function soundscape.found(
    words soundscape.words default null, filter soundscape.audio_filter default null, sort text default null,
    after_key text default null, after_id uuid default null, as_of timestamptz default null, most integer default null
) returns table (id uuid, key text)
language plpgsql stable security definer rows 100
set search_path = '' set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
-- What does not apply is folded away before the query is planned, orders and comparisons included, so that each sort
-- is served by its own index.
declare
    me constant uuid := auth.uid();
    exact constant tsquery := words.exact;
    wanted constant tsquery := case when words.misspelt then words.without else words.begun end;
    spelt constant text[] := case when words.misspelt then words.spelt end;
begin
    perform set_config('pg_trgm.strict_word_similarity_threshold', '0.35', true);
    return query
        select f.id, case sort
            when 'relevance' then
                (case when spelt is null and exact = wanted then 2 * ts_rank(f.search, exact)::double precision
                      when spelt is null then ts_rank(f.search, exact)::double precision + ts_rank(f.search, wanted)
                      else (select sum(extensions.strict_word_similarity(word, f.spelling))::double precision
                            from unnest(spelt) as word) end)::text
            when 'newest' then to_jsonb(f.created_at) #>> '{}'
            when 'title' then soundscape.folded(f.title)
            when 'duration' then f.duration::text
            when 'tempo' then a.tempo_bpm::text end
        from public.audio_files f left join public.audio_features a on a.audio_id = f.id
        where (f.is_listed or f.user_id = me)
          and (wanted is null or f.search @@ wanted)
          and (spelt is null or f.spelling operator(extensions.%>>) spelt[1]
               and (cardinality(spelt) = 1 or not exists (
                   select from unnest(spelt[2:]) as word
                   where extensions.strict_word_similarity(word, f.spelling) < 0.35)))
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
          and case sort when 'duration' then f.duration is not null when 'tempo' then a.tempo_bpm is not null else true end
          and (after_id is null or case sort
               when 'newest' then (f.created_at, f.id) < (after_key::timestamptz, after_id)
               when 'title' then (soundscape.folded(f.title), f.id) > (after_key, after_id)
               when 'duration' then (f.duration, f.id) > (after_key::double precision, after_id)
               when 'tempo' then (a.tempo_bpm, f.id) > (after_key::real, after_id)
               else true end)
        -- To have the newest of what is spelt alike, all of it would have to be compared.
        order by case when sort = 'newest' or sort = 'relevance' and spelt is null then f.created_at end desc,
                 case when sort = 'newest' or sort = 'relevance' and spelt is null then f.id end desc,
                 case when sort = 'title' then soundscape.folded(f.title) end,
                 case when sort = 'duration' then f.duration end,
                 case when sort = 'tempo' then a.tempo_bpm end,
                 case when sort in ('title', 'duration', 'tempo') then f.id end
        limit most;
end
$$;
comment on function soundscape.found(soundscape.words, soundscape.audio_filter, text, text, uuid, timestamptz, integer) is 'Listed recordings and the caller''s own that have the words and pass the filter, in the order of sort and behind the given one; relevance is the newest (of what is spelt alike: any), each with its rank. With its owner''s rights, because the planner uses no index of words, labels or spelling below row level security: their operators are not leakproof.';

create type soundscape.page as (sort text, misspelt boolean, as_of timestamptz, key text, id uuid);
comment on type soundscape.page is 'Where a page of search ended.';

create function soundscape.cursor_of(page soundscape.page) returns text
language sql immutable set search_path = ''
return translate(encode(convert_to(to_jsonb(page)::text, 'UTF8'), 'base64'), E'+/=\n', '-_');
comment on function soundscape.cursor_of(soundscape.page) is 'The page as a client carries it, base64url. It holds nothing but the sort key and id of a row the client was given.';

create function soundscape.page_at(cursor text, sort text) returns soundscape.page
language plpgsql stable set search_path = '' as $$
declare
    page soundscape.page;
begin
    begin
        page := jsonb_populate_record(null::soundscape.page, convert_from(decode(
            rpad(translate(cursor, '-_', '+/'), (char_length(cursor) + 3) / 4 * 4, '='), 'base64'), 'UTF8')::jsonb);
        if (page.sort = sort and page.id is not null and page.key is not null and page.as_of is not null and page.misspelt is not null
            and pg_input_is_valid(page.key, case sort when 'newest' then 'timestamptz' when 'title' then 'text' else 'double precision' end))
        then
            return page;
        end if;
    exception when data_exception then
        null;  -- said below
    end;
    raise exception 'This is no cursor of a search sorted by %.', sort using errcode = '22023',
        hint = 'Pass the cursor of the last row of the page before, with the same query, filters and sort.';
end
$$;
comment on function soundscape.page_at(text, text) is 'The page that a client''s cursor means, or an error.';

create function public.search_audio(
    query text default null, "limit" integer default 20, sort text default null, after text default null,
    min_tempo_bpm double precision default null, max_tempo_bpm double precision default null, key text default null, mode text default null,
    min_duration_s double precision default null, max_duration_s double precision default null,
    min_loudness_lufs double precision default null, max_loudness_lufs double precision default null,
    labels text[] default null, license text default null
) returns table (id uuid, score double precision, cursor text, recording public.audio_files)
language plpgsql stable rows 20 set search_path = '' as $$
#variable_conflict use_variable
declare
    -- Of a word that is everywhere the newest are ranked, so many.
    ranked constant integer := 1000;
    blank constant boolean := coalesce(query !~ '\S', true);
    order_by constant text := case when sort in ('newest', 'title', 'duration', 'tempo') then sort
                                   when blank then 'newest' else 'relevance' end;
    filter constant soundscape.audio_filter := soundscape.audio_filter(
        min_tempo_bpm, max_tempo_bpm, key, mode, min_duration_s, max_duration_s, min_loudness_lufs, max_loudness_lufs, labels, license);
    words soundscape.words;
    page soundscape.page := row(order_by, false, now(), null, null);
    ids uuid[];
    keys text[];
begin
    if sort not in ('relevance', 'newest', 'title', 'duration', 'tempo') then
        raise exception 'There is no sort %.', sort using errcode = '22023', hint = 'relevance, newest, title, duration or tempo.';
    elsif "limit" is null or "limit" not between 0 and 500 then
        raise exception 'limit is %.', "limit" using errcode = '22023', hint = '0 to 500.';
    end if;
    if after is not null then
        page := soundscape.page_at(after, order_by);
    end if;
    if not blank then
        words := soundscape.words_of(query);
        words.misspelt := page.misspelt;
    end if;
    loop
        if order_by = 'relevance' then
            select array_agg(r.id), array_agg(r.key) into ids, keys from (
                select f.id, f.key from soundscape.found(words, filter, order_by, as_of => page.as_of, most => ranked) f
                where page.id is null or (f.key::double precision, f.id) < (page.key::double precision, page.id)
                order by f.key::double precision desc, f.id desc limit "limit") r;
        else
            select array_agg(f.id), array_agg(f.key) into ids, keys
            from soundscape.found(words, filter, order_by, page.key, page.id, most => "limit") f;
        end if;
        -- Nobody has these words: perhaps they are misspelt. Once only, and never in the middle of a list.
        exit when blank or ids is not null or words.misspelt or after is not null or cardinality(words.spelt) = 0;
        words.misspelt := true;
    end loop;
    return query
        select f.id, case when order_by = 'relevance' then r.key::double precision else 0 end,
               soundscape.cursor_of(row(order_by, coalesce(words.misspelt, false), page.as_of, r.key, r.id)), f
        from unnest(ids, keys) with ordinality as r (id, key, place) join public.audio_files f on f.id = r.id
        order by r.place;
end
$$;
comment on function public.search_audio(text, integer, text, text, double precision, double precision, text, text, double precision, double precision, double precision, double precision, text[], text) is 'Recordings with these words in title, tags, description or what was heard, that pass the filters. "quoted words" stay together, -word excludes, or is either; the last word may be a beginning; where nobody has the words, those spelt alike. For the next page pass the last row''s cursor as after.';

create function public.search_facets(
    query text default null,
    min_tempo_bpm double precision default null, max_tempo_bpm double precision default null, key text default null, mode text default null,
    min_duration_s double precision default null, max_duration_s double precision default null,
    min_loudness_lufs double precision default null, max_loudness_lufs double precision default null,
    labels text[] default null, license text default null
) returns table (facet text, value text, recordings bigint)
language plpgsql stable rows 50 set search_path = '' as $$
#variable_conflict use_variable
declare
    counted constant integer := 5000;
    filter constant soundscape.audio_filter := soundscape.audio_filter(
        min_tempo_bpm, max_tempo_bpm, key, mode, min_duration_s, max_duration_s, min_loudness_lufs, max_loudness_lufs, labels, license);
    words soundscape.words := case when query ~ '\S' then soundscape.words_of(query) end;
    ids uuid[];
begin
    ids := array(select f.id from soundscape.found(words, filter, 'newest', most => counted) f);
    if ids = '{}' and cardinality(words.spelt) > 0 then
        words.misspelt := true;
        ids := array(select f.id from soundscape.found(words, filter, 'newest', most => counted) f);
    end if;
    return query
        with seen as materialized (
            select f.labels, f.license, f.duration, a.tempo_bpm, a.key || ' ' || a.mode as key
            from public.audio_files f left join public.audio_features a on a.audio_id = f.id where f.id = any (ids)),
        ranges (facet, lower, upper) as (values
            ('tempo_bpm', 0, 60), ('tempo_bpm', 60, 90), ('tempo_bpm', 90, 120), ('tempo_bpm', 120, 150), ('tempo_bpm', 150, null),
            ('duration_s', 0, 10), ('duration_s', 10, 60), ('duration_s', 60, 300), ('duration_s', 300, 1200), ('duration_s', 1200, null)),
        counts as (
            select 1 as part, 'label' as facet, l.label as value, count(*) as recordings
            from seen s, unnest(s.labels) as l (label) group by l.label
            union all select 2, 'license', s.license, count(*) from seen s where s.license is not null group by s.license
            union all select 3, 'key', s.key, count(*) from seen s where s.key is not null group by s.key
            union all
            select 4, r.facet, format('%s-%s', r.lower, r.upper), count(*)
            from ranges r join seen s on case r.facet when 'tempo_bpm' then s.tempo_bpm else s.duration end >= r.lower
                 and (r.upper is null or case r.facet when 'tempo_bpm' then s.tempo_bpm else s.duration end < r.upper)
            group by r.facet, r.lower, r.upper),
        most_frequent as (
            select c.*, row_number() over (partition by c.facet order by c.recordings desc, c.value) as place from counts c)
        select 'all', case when cardinality(ids) < counted then 'exactly' else 'at least' end, cardinality(ids)::bigint
        union all
        (select m.facet, m.value, m.recordings from most_frequent m where m.place <= 30 order by m.part, m.facet, m.place);
end
$$;
comment on function public.search_facets(text, double precision, double precision, text, text, double precision, double precision, double precision, double precision, text[], text) is 'How many recordings of a search have which label, licence, key, tempo and duration; the same query and filters as search_audio. Of more than 5,000 the newest are counted.';
