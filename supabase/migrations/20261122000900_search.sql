-- Search by words and by measured values, page by page.
--
-- The filters are the same for search, facets and similarity. The vocabulary holds the words of all listed recordings,
-- so that a misspelt query can be corrected without reading the recordings.

-- Filters
-- =======

create type soundscape.audio_filter as (
    min_tempo_bpm double precision, max_tempo_bpm double precision,
    key text, mode text,
    min_duration_s double precision, max_duration_s double precision,
    min_loudness_lufs double precision, max_loudness_lufs double precision,
    labels text[], license text
);
comment on type soundscape.audio_filter is 'The filters of search and similarity. Null means that a filter is not set.';

create function soundscape.audio_filter(
    min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text,
    min_duration_s double precision, max_duration_s double precision,
    min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text
) returns soundscape.audio_filter
language plpgsql stable set search_path = '' as $$
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
comment on function soundscape.audio_filter(
    double precision, double precision, text, text, double precision, double precision, double precision,
    double precision, text[], text
)
    is 'The filters of search and similarity. Null means that a filter is not set.';

create function soundscape.passes_filter(recording uuid, filter soundscape.audio_filter) returns boolean
language sql stable set search_path = '' as $$
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
comment on function soundscape.passes_filter(uuid, soundscape.audio_filter)
    is 'Whether the caller sees this recording and it passes the filter.';

-- The vocabulary
-- ==============

create function soundscape.is_findable(file public.audio_files) returns boolean
language sql immutable parallel safe set search_path = ''
-- A row costs nothing to make. So everybody finds only recordings whose bytes were, or will be, analysed.
return (file).is_listed and ((file).status in ('queued', 'analyzing', 'ready') or (file).analyzed_at is not null);
comment on function soundscape.is_findable(public.audio_files)
    is 'Whether everybody finds the recording: it is listed, and its bytes were not refused.';

create table soundscape.vocabulary (
    word text primary key
);
alter table soundscape.vocabulary enable row level security;
create index vocabulary_by_spelling on soundscape.vocabulary using gin (word extensions.gin_trgm_ops);
comment on table soundscape.vocabulary
    is 'Words of titles, tags and labels of recordings that everybody finds. It holds no words of private recordings.';
comment on column soundscape.vocabulary.word is 'In the form that search compares: 3 to 40 characters, no digits.';

create table soundscape.former_words (
    id bigint generated always as identity primary key,
    word text not null
);
alter table soundscape.former_words enable row level security;
comment on table soundscape.former_words
    is 'Words that a recording no longer has. The sweep checks whether another one still has them.';
comment on column soundscape.former_words.id is 'The order in which they were removed.';
comment on column soundscape.former_words.word is 'The word.';

create function soundscape.correctable_words(search tsvector) returns text[]
language sql immutable parallel safe set search_path = ''
return array(
    select word from unnest(tsvector_to_array(ts_filter(search, '{a,b,d}'))) as word
    where char_length(word) between 3 and 40 and word !~ '[[:digit:]]');
comment on function soundscape.correctable_words(tsvector)
    is 'The words of a recording that a misspelt query may mean: none of its description, and none with digits.';

create function soundscape.on_words_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
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
comment on function soundscape.on_words_changed()
    is 'Trigger on audio_files: adds new words to the vocabulary at once, and lists removed ones for the sweep.';

create trigger audio_files_words after insert or delete or update of title, tags, heard, is_public, hidden_at, status,
    analyzed_at
    on public.audio_files for each row execute function soundscape.on_words_changed();

create function soundscape.delete_unused_words(max_words integer) returns void
language sql security definer set search_path = '' as $$
    with looked_at as (
        delete from soundscape.former_words w
        where w.id in (select o.id from soundscape.former_words o order by o.id limit max_words) returning w.word)
    delete from soundscape.vocabulary v
    where v.word in (select l.word from looked_at l)
      and not exists (
        select from public.audio_files f
        where f.search @@ format('''%s''', v.word)::tsquery and soundscape.is_findable(f))
$$;
comment on function soundscape.delete_unused_words(integer)
    is 'Deletes listed words that no recording has any more. A word that another transaction adds at this moment may '
       'be deleted too, until a recording brings it again.';

-- Search
-- ======

create type soundscape.words as (
    exact tsquery, begun tsquery, without tsquery, spelt text[], misspelt boolean,
    alike tsquery[], likeness real[], instead_of integer[]
);
comment on type soundscape.words
    is 'What a query asks for. exact: its words. begun: the same with an unfinished last word. without: excluded '
       'words. spelt: words that may be corrected. If misspelt is true, exact and begun are corrected, and alike, '
       'likeness and instead_of say which word replaces which and how similar it is.';

create function soundscape.open_single_letters(wanted tsquery) returns tsquery
language sql immutable parallel safe set search_path = ''
return regexp_replace(wanted::text, format($$'(%s)'$$, soundscape.unspaced_letter()), $$'\1':*$$, 'g')::tsquery;
comment on function soundscape.open_single_letters(tsquery)
    is 'The same query, where a single letter of an unspaced script finds every pair that begins with it.';

create function soundscape.parse_query(query text) returns soundscape.words
language plpgsql stable set search_path = '' as $$
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
$$;
comment on function soundscape.parse_query(text)
    is 'Parses a query as a web search engine does: "quoted words" stay together, -word excludes, or means either. '
       'The last word may be unfinished.';

create function soundscape.correct_spelling(words soundscape.words) returns soundscape.words
language plpgsql stable security definer set search_path = '' as $$
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
comment on function soundscape.correct_spelling(soundscape.words)
    is 'The query with each word replaced by similar words of findable recordings and of the caller''s own: trigram '
       'similarity of at least 0.35, at most 20 words.';

create function soundscape.are_few(wanted tsquery, max_rows integer) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
declare
    plan json;
begin
    execute 'explain (format json) select from public.audio_files f where f.search @@ $1' into plan using wanted;
    return (plan #>> '{0,Plan,Plan Rows}')::double precision ^ 2
           < max_rows * (select c.reltuples::double precision from pg_catalog.pg_class c
               where c.oid = 'public.audio_files'::regclass);
end
$$;
comment on function soundscape.are_few(tsquery, integer)
    is 'Whether it is faster to read all recordings with the words and sort them than to read in order until enough '
       'have them. With r of n recordings the choice is r < max_rows * n / r. The planner estimates r well, but takes '
       'a comparison of words to be as cheap as one of numbers.';

create function soundscape.find_recordings(
    words soundscape.words default null, filter soundscape.audio_filter default null, sort text default null,
    after_key text default null, after_id uuid default null, as_of timestamptz default null,
        max_rows integer default null
) returns table (id uuid, key text)
language plpgsql stable security definer rows 100
set search_path = '' set plan_cache_mode = force_custom_plan as $$
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
comment on function soundscape.find_recordings(
    soundscape.words, soundscape.audio_filter, text, text, uuid, timestamptz, integer
)
    is 'Findable recordings and the caller''s own that have the words and pass the filter, in the given order, after '
       'the given row. relevance returns the newest, each with its rank. It runs with its owner''s rights: below row '
       'level security the planner uses no index of words or labels, because their operators are not leakproof.';

create type soundscape.page as (sort text, misspelt boolean, as_of timestamptz, key text, id uuid);
comment on type soundscape.page is 'Where a page of search ended.';

create function soundscape.encode_cursor(page soundscape.page) returns text
language sql immutable set search_path = ''
return translate(encode(convert_to(to_jsonb(page)::text, 'UTF8'), 'base64'), E'+/=\n', '-_');
comment on function soundscape.encode_cursor(soundscape.page)
    is 'The page as a cursor for the client, in base64url. It holds only the sort key and the id of a row that the '
       'client has seen.';

create function soundscape.decode_cursor(cursor text, sort text) returns soundscape.page
language plpgsql stable set search_path = '' as $$
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
comment on function soundscape.decode_cursor(text, text) is 'The page that a cursor means. An error if it means none.';

create function public.search_audio(
    query text default null, "limit" integer default 20, sort text default null, after text default null,
    min_tempo_bpm double precision default null, max_tempo_bpm double precision default null, key text default null,
        mode text default null,
    min_duration_s double precision default null, max_duration_s double precision default null,
    min_loudness_lufs double precision default null, max_loudness_lufs double precision default null,
    labels text[] default null, license text default null
) returns table (id uuid, score double precision, cursor text, recording public.audio_files)
language plpgsql stable rows 20 set search_path = '' as $$
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
comment on function public.search_audio(
    text, integer, text, text, double precision, double precision, text, text, double precision, double precision,
    double precision, double precision, text[], text
)
    is 'Recordings with these words in title, tags, description or labels that pass the filters. "quoted words" stay '
       'together, -word excludes, or means either. The last word may be unfinished. If no recording has the words, '
       'similar spellings are searched. For the next page pass the cursor of the last row as after.';

create function public.search_facets(
    query text default null,
    min_tempo_bpm double precision default null, max_tempo_bpm double precision default null, key text default null,
        mode text default null,
    min_duration_s double precision default null, max_duration_s double precision default null,
    min_loudness_lufs double precision default null, max_loudness_lufs double precision default null,
    labels text[] default null, license text default null
) returns table (facet text, value text, recordings bigint)
language plpgsql stable rows 50 set search_path = '' as $$
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
comment on function public.search_facets(
    text, double precision, double precision, text, text, double precision, double precision, double precision,
    double precision, text[], text
)
    is 'How many recordings of a search have which label, licence, key, tempo and duration. Takes the same query and '
       'filters as search_audio. Of more than 2,000 recordings the newest are counted.';
