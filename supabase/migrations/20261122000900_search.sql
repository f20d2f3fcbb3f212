-- Finding recordings by words.

create function soundscape.recordings_with(query text, most integer) returns table (id uuid, rank real)
language sql stable security definer set search_path = '' as $$
    -- A word that is everywhere ranks nothing; the bound keeps its price that of a rarer one.
    select candidate.id, ts_rank(candidate.search, wanted) as rank
    from websearch_to_tsquery('pg_catalog.simple', query) as wanted,
    lateral (
        select f.id, f.search from public.audio_files f
        where f.search @@ wanted and (f.is_listed or f.user_id = (select auth.uid()))
        limit 2000) candidate
    order by rank desc, candidate.id
    limit least(most, 1000)
$$;
comment on function soundscape.recordings_with(text, integer) is 'Listed recordings and the caller''s own that have these words. With its owner''s rights, because the planner uses no text index below row level security: @@ is not leakproof.';

create function public.search_audio(query text, max_results integer default 50) returns setof public.audio_files
language sql stable set search_path = '' as $$
    select f.* from soundscape.recordings_with(query, max_results) found
    join public.audio_files f on f.id = found.id
    order by found.rank desc, f.id
$$;
comment on function public.search_audio(text, integer) is 'Recordings whose title, tags or description have these words, best first. "quoted words" stay together, -word excludes, or is either.';
