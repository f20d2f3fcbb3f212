-- Database webhooks: `supabase_functions.http_request`, a trigger function.
-- https://supabase.com/docs/guides/database/webhooks; hosted projects have it once webhooks are enabled.
create schema supabase_functions;
grant usage on schema supabase_functions to postgres, anon, authenticated, service_role;

create table supabase_functions.hooks (
    id bigserial primary key,
    hook_table_id int not null,
    hook_name text not null,
    created_at timestamptz not null default now(),
    request_id bigint
);
comment on table supabase_functions.hooks is 'Supabase Functions Hooks: Audit trail for triggered hooks.';
create index on supabase_functions.hooks (request_id);
create index on supabase_functions.hooks (hook_table_id, hook_name);
grant select on supabase_functions.hooks to postgres, service_role;

-- Arguments: url, method, headers, params, timeout in milliseconds. 'null' stands for none.
create function supabase_functions.http_request() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    url text := nullif(tg_argv[0], 'null');
    method text := nullif(tg_argv[1], 'null');
    headers jsonb := coalesce(nullif(tg_argv[2], 'null')::jsonb, '{"Content-Type": "application/json"}');
    params jsonb := coalesce(nullif(tg_argv[3], 'null')::jsonb, '{}');
    timeout_ms int := coalesce(nullif(tg_argv[4], 'null')::int, 1000);
    request_id bigint;
begin
    if url is null then
        raise exception 'url argument is missing';
    elsif method is null then
        raise exception 'method argument is missing';
    elsif method = 'GET' then
        request_id := net.http_get(url, params, headers, timeout_ms);
    elsif method = 'POST' then
        request_id := net.http_post(
            url,
            pg_catalog.jsonb_build_object(
                'type', tg_op, 'table', tg_table_name, 'schema', tg_table_schema, 'record', new, 'old_record', old),
            params, headers, timeout_ms);
    else
        raise exception 'method argument % is invalid', method;
    end if;
    insert into supabase_functions.hooks (hook_table_id, hook_name, request_id)
    values (tg_relid, tg_name, request_id);
    return new;
end
$$;
revoke all on function supabase_functions.http_request() from public;
grant execute on function supabase_functions.http_request() to postgres, anon, authenticated, service_role;
