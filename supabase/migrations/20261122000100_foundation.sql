-- The foundation: extensions, the private schema, and no rights by default.

create extension if not exists pgcrypto with schema extensions;
create extension if not exists vector with schema extensions;
create extension if not exists pg_trgm with schema extensions;
create extension if not exists pg_net with schema extensions;
create extension if not exists supabase_vault with schema vault;
create extension if not exists pg_cron with schema pg_catalog;
create extension if not exists pgmq;

-- Worker-only tables and every SECURITY DEFINER function live here. The Data API does not expose it.
create schema if not exists soundscape;
comment on schema soundscape
    is 'The worker''s ledger and the functions that run with their owner''s rights. Never exposed by the Data API.';
revoke all on schema soundscape from public;

-- Postgres lets PUBLIC execute every new function. Here each right is written in policies/. The default can only be
-- revoked for all schemas at once: for one schema, the statement has no effect.
alter default privileges revoke execute on functions from public;
alter default privileges in schema public revoke all on functions from anon, authenticated, service_role;
alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
alter default privileges in schema public revoke all on sequences from anon, authenticated, service_role;

create function soundscape.uuid_or_null(candidate text) returns uuid
language sql immutable parallel safe set search_path = ''
-- pg_input_is_valid is only stable, and Postgres 18 evaluates the cast of a constant before it calls it.
return case when candidate ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then candidate::uuid end;
comment on function soundscape.uuid_or_null(text)
    is 'The text as a uuid, or null if it is none. For names that strangers choose.';

create function soundscape.touch_updated_at() returns trigger
language plpgsql set search_path = '' as $$
begin
    new.updated_at := now();
    return new;
end
$$;
comment on function soundscape.touch_updated_at() is 'Trigger: sets updated_at at every change.';

create function soundscape.expose(function_name text, to_role text) returns void
language plpgsql set search_path = '' as $$
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
$$;
comment on function soundscape.expose(text, text)
    is 'Makes the twin in public of a private function and lets one role call both. The twin runs with the caller''s '
       'rights and takes arguments, defaults, result and comment from the private function.';
