-- API keys: how a script works in the name of a user.
--
-- A key is exchanged for an access token of its owner (`POST /api/token`), and the session of that token is noted here
-- before anybody gets it. Every request is then judged by its session: the Data API through check_request, Storage
-- through policies. Only a hash of the key is stored.

create table public.api_keys (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references public.users (id) on delete cascade,
    name text not null check (char_length(btrim(name)) between 1 and 80),
    prefix text not null check (prefix ~ '^soundscape_[0-9a-f]{8}$'),
    scope text not null check (scope in ('read', 'upload', 'all')),
    created_at timestamptz not null default now(),
    expires_at timestamptz check (expires_at > created_at),
    last_used_at timestamptz,
    revoked_at timestamptz
);
alter table public.api_keys enable row level security;
create index api_keys_by_user on public.api_keys (user_id, created_at desc);
comment on table public.api_keys
    is 'API keys of users, for scripts. create_api_key makes one, revoke_api_key ends it. Seen by their owner only.';
comment on column public.api_keys.id is 'The key''s number, which is no secret.';
comment on column public.api_keys.user_id is 'Whose key it is.';
comment on column public.api_keys.name is 'What the owner calls it, at most 80 characters.';
comment on column public.api_keys.prefix is 'How the key begins, to recognise it by.';
comment on column public.api_keys.scope
    is 'What its sessions may do. read: what the owner sees. upload: that, and add recordings. all: what the owner '
       'may, except to make and revoke keys.';
comment on column public.api_keys.created_at is 'When it was made.';
comment on column public.api_keys.expires_at is 'When it ends by itself; null for never.';
comment on column public.api_keys.last_used_at is 'When it was last exchanged for an access token.';
comment on column public.api_keys.revoked_at is 'When its owner ended it. The row is deleted 90 days later.';

create table soundscape.api_key_secrets (
    key_id uuid primary key references public.api_keys (id) on delete cascade,
    hash bytea not null unique check (octet_length(hash) = 32),
    hour timestamptz not null default date_trunc('hour', now()),
    uses integer not null default 0
);
alter table soundscape.api_key_secrets enable row level security;
comment on table soundscape.api_key_secrets
    is 'Of each API key, its SHA-256. A key has 160 random bits, so that a slow hash would protect nothing.';
comment on column soundscape.api_key_secrets.key_id is 'The key.';
comment on column soundscape.api_key_secrets.hash is 'SHA-256 of the whole key.';
comment on column soundscape.api_key_secrets.hour is 'The hour that uses counts.';
comment on column soundscape.api_key_secrets.uses is 'How often it was exchanged in that hour.';

create table soundscape.api_key_sessions (
    session_id uuid primary key,
    key_id uuid references public.api_keys (id) on delete set null,
    expires_at timestamptz not null
);
alter table soundscape.api_key_sessions enable row level security;
create index api_key_sessions_by_key on soundscape.api_key_sessions (key_id);
create index api_key_sessions_by_expiry on soundscape.api_key_sessions (expires_at);
comment on table soundscape.api_key_sessions
    is 'Sessions that were made for an API key. A row outlives its key: without it, the token would '
       'count as a sign-in.';
comment on column soundscape.api_key_sessions.session_id is 'The claim session_id of the access token.';
comment on column soundscape.api_key_sessions.key_id is 'The key; null once it is deleted, which allows nothing.';
comment on column soundscape.api_key_sessions.expires_at
    is 'When the access token expires. The row is deleted a day later.';

alter table soundscape.owner_limits
    add column max_api_keys integer not null default 100 check (max_api_keys >= 0),
    add column max_key_uses_per_hour integer not null default 60 check (max_key_uses_per_hour >= 0);
comment on column soundscape.owner_limits.max_api_keys
    is 'API keys of a user, those revoked in the last 90 days included.';
comment on column soundscape.owner_limits.max_key_uses_per_hour
    is 'How often an API key is exchanged for a token in an hour.';

-- What a session may do
-- =====================

create function soundscape.session_scope() returns text
language sql stable security definer set search_path = '' as $$
    select coalesce(
        (select case when k.revoked_at is null and coalesce(k.expires_at > now(), true) then k.scope end
         from soundscape.api_key_sessions s join public.api_keys k on k.id = s.key_id
         where s.session_id = caller.session_id),
        (select 'none' from soundscape.api_key_sessions s where s.session_id = caller.session_id),
        'account')
    from (select soundscape.uuid_or_null(auth.jwt() ->> 'session_id') as session_id) as caller
$$;
comment on function soundscape.session_scope()
    is 'What the caller''s session may do: account for a person who signed in, the scope of the API key for a script, '
       'none once the key has ended.';

create or replace function soundscape.check_request() returns void
language plpgsql set search_path = '' as $$
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
            message = 'The API key of this session was revoked or has expired.',
            hint = 'Use another key.';
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
comment on function soundscape.check_request()
    is 'The Data API calls it before each request, with the caller''s role: `deploy` sets pgrst.db_pre_request. '
       'Refuses planned and estimated counts of people, which tell through statistics how many rows others have. Holds '
       'the sessions of API keys to their scope: what a key may not write, it meets in a read-only transaction.';

-- Making and revoking
-- ===================

create function soundscape.create_api_key(name text, scope text default 'read', expires_at timestamptz default null)
returns table (id uuid, prefix text, key text)
language plpgsql security definer set search_path = '' as $$
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
$$;
comment on function soundscape.create_api_key(text, text, timestamptz)
    is 'Makes an API key of the caller and returns it, this once. scope is read, upload or all.';

create function soundscape.revoke_api_key(key uuid) returns timestamptz
language plpgsql security definer set search_path = '' as $$
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
$$;
comment on function soundscape.revoke_api_key(uuid)
    is 'Ends an API key of the caller and everything its sessions may do, from the next request on. Returns when '
       'it ended.';

-- Sessions, for the worker
-- ========================

create function soundscape.open_key_session(key_hash text)
returns table (problem text, key_id uuid, user_id uuid, email text, scope text)
language plpgsql security definer set search_path = '' as $$
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
$$;
comment on function soundscape.open_key_session(text)
    is 'For the worker: whose key has this SHA-256 (in hex), and what keeps it from a session: unknown, too_many, '
       'no_address, banned, or not_enforced where the Data API does not call check_request.';

create function soundscape.pre_request() returns text
language sql stable set search_path = ''
return (
    select split_part(setting, '=', 2)
    from pg_catalog.pg_db_role_setting s cross join unnest(s.setconfig) as setting
    where s.setrole = (select r.oid from pg_catalog.pg_roles r where r.rolname = 'authenticator')
      and setting like 'pgrst.db\_pre\_request=%'
      and s.setdatabase in (0, (select d.oid from pg_catalog.pg_database d where d.datname = current_database()))
    order by s.setdatabase desc limit 1);
comment on function soundscape.pre_request()
    is 'The function that the Data API calls before each request.';

create function soundscape.record_key_session(key uuid, session uuid, expires_at timestamptz) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
    delete from soundscape.api_key_sessions s where s.expires_at < now() - interval '1 day';
    insert into soundscape.api_key_sessions (session_id, key_id, expires_at)
    select $2, k.id, $3 from public.api_keys k where k.id = $1;
    return found and exists (select from public.api_keys k where k.id = $1 and k.revoked_at is null);
end
$$;
comment on function soundscape.record_key_session(uuid, uuid, timestamptz)
    is 'For the worker: this session belongs to that key. Called before anybody gets its token. Returns '
       'whether the key still holds.';
