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

-- Postgres lets PUBLIC execute every new function; here each right is written down in policies/. That
-- default can only be taken back for all schemas at once: naming a schema would take back nothing.
alter default privileges revoke execute on functions from public;
alter default privileges in schema public revoke all on functions from anon, authenticated, service_role;
alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
alter default privileges in schema public revoke all on sequences from anon, authenticated, service_role;

create function soundscape.uuid_or_null(candidate text) returns uuid
language sql immutable parallel safe set search_path = ''
-- Not pg_input_is_valid: it is only stable, and Postgres 18 folds the cast of a constant before it asks.
return case when candidate ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then candidate::uuid end;
comment on function soundscape.uuid_or_null(text)
    is 'The text as a uuid, or null where it is none: for names that strangers chose.';

create function soundscape.touch_updated_at() returns trigger
language plpgsql set search_path = '' as $$
begin
    new.updated_at := now();
    return new;
end
$$;
comment on function soundscape.touch_updated_at() is 'Trigger: updated_at follows every change.';
