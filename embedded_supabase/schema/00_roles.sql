-- The roles of a hosted project. Passwords: 05_logins.sql.
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role authenticator login noinherit;
grant anon, authenticated, service_role to authenticator;

-- As on hosted projects, `postgres` is no superuser: what fails there must fail here.
create role postgres login createrole createdb bypassrls replication;
grant anon, authenticated, service_role, authenticator to postgres with admin option;
grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres;
grant create, connect, temporary on database postgres to postgres;
-- Hosted, supautils lets it configure PostgREST.
grant set on parameter pgrst.db_pre_request to postgres;

create role supabase_auth_admin login noinherit createrole;
create role supabase_storage_admin login noinherit createrole;
create role supabase_realtime_admin nologin noinherit;
create role supabase_replication_admin login replication;
create role supabase_read_only_user login bypassrls;
create role dashboard_user nologin createrole createdb replication;
create role pgsodium_keyholder nologin;
grant anon, authenticated, service_role to supabase_storage_admin;
grant pg_read_all_data to supabase_read_only_user;

alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';
alter role supabase_auth_admin set search_path = auth;
alter role supabase_auth_admin set idle_in_transaction_session_timeout = '60s';
alter role supabase_storage_admin set search_path = storage;
alter role postgres set search_path = "$user", public, extensions;
alter role supabase_admin set search_path = "$user", public, auth, extensions;

alter schema public owner to postgres;
revoke create on schema public from public;
grant usage on schema public to anon, authenticated, service_role;

create schema extensions authorization postgres;
grant usage on schema extensions to anon, authenticated, service_role, supabase_auth_admin, supabase_storage_admin;

-- Since October 2026 a new project grants nothing in `public`. Functions keep Postgres's default (EXECUTE to
-- PUBLIC), which our migrations revoke.
create schema auth authorization supabase_auth_admin;
create schema storage authorization supabase_storage_admin;
create schema realtime authorization supabase_realtime_admin;
grant usage on schema auth, storage, realtime to anon, authenticated, service_role, postgres;
grant usage on schema auth to supabase_storage_admin, supabase_realtime_admin;
grant usage on schema public to supabase_auth_admin, supabase_storage_admin, supabase_realtime_admin;

create publication supabase_realtime;
alter publication supabase_realtime owner to postgres;
