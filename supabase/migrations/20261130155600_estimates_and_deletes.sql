-- Two ways by which somebody learns of rows that a policy hides.

-- Estimates
-- =========

create function soundscape.is_not_estimated() returns boolean
language plpgsql immutable parallel safe set search_path = '' as $$
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
comment on function soundscape.is_not_estimated()
    is 'True, or an error if the query is an EXPLAIN. For policies: the planner estimates from statistics of all rows. '
       'The Data API reads every Prefer header and tells check_request only the last, so that one is not enough.';

-- Deletes
-- =======

-- Realtime sends the key of a deleted row to every subscriber: no policy can be asked about a row that is gone. Owners
-- are told of their deletions on the private topic of their library.
alter publication supabase_realtime set (publish = 'insert, update');
