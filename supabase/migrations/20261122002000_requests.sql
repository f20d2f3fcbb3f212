-- Requests to the Data API
-- ========================

create function soundscape.check_request() returns void
language plpgsql stable set search_path = '' as $$
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
comment on function soundscape.check_request()
    is 'The Data API calls it before each request, with the caller''s role: `deploy` sets pgrst.db_pre_request. '
       'Refuses planned and estimated counts of people, which tell through statistics how many rows others have.';
