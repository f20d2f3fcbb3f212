-- Feature flags: one table and one function. Policies, functions, the worker and browsers ask the function, so they get
-- the same answer. An UPDATE is the switch: Realtime tells browsers, the next query sees it.

create table public.feature_flags (
    key text primary key check (key ~ '^[a-z][a-z0-9_]{0,62}$'),
    description text not null check (char_length(description) between 1 and 500),
    state text not null default 'off' check (state in ('on', 'off', 'some')),
    roles public.app_role[] not null default '{}',
    user_ids uuid[] not null default '{}' check (cardinality(user_ids) <= 10000),
    percentage numeric(5, 2) not null default 0 check (percentage between 0 and 100),
    active_from timestamptz,
    active_until timestamptz,
    updated_at timestamptz not null default now(),
    check (active_from < active_until)
);
alter table public.feature_flags enable row level security;
comment on table public.feature_flags
    is 'What is switched on, and for whom. flag(key) evaluates it. Everybody sees the flags, but not who is named in '
       'them. The operator changes them.';
comment on column public.feature_flags.key is 'The name that code asks for: small letters, digits and underscores.';
comment on column public.feature_flags.description is 'What it switches.';
comment on column public.feature_flags.state
    is 'on: for everybody. off: for nobody. some: for whoever has one of the roles, is one of the users, or is in the '
       'percentage.';
comment on column public.feature_flags.roles is 'With some: these roles. user is everybody who is signed in.';
comment on column public.feature_flags.user_ids is 'With some: these users.';
comment on column public.feature_flags.percentage
    is 'With some: this share of the users, always the same ones. A larger share includes a smaller one.';
comment on column public.feature_flags.active_from is 'Off before this moment. Null: no beginning.';
comment on column public.feature_flags.active_until is 'Off from this moment on. Null: no end.';
comment on column public.feature_flags.updated_at is 'When the flag last changed.';
create trigger feature_flags_touch before update on public.feature_flags
    for each row execute function soundscape.touch_updated_at();
alter publication supabase_realtime add table public.feature_flags;

insert into public.feature_flags (key, description, state) values
    ('captions', 'Sentences and keywords about recordings by a language model, where a key for it is set.', 'on'),
    ('live_listening', 'Live analysis of a microphone by the worker.', 'on'),
    ('recommendation_model', 'Recommendations by a model of many people''s choices. Without it, by the sound alone.',
     'on');

create function soundscape.flag_bucket(key text, user_id uuid) returns integer
language sql immutable parallel safe set search_path = ''
-- The first 32 bits of a hash. The key is part of it, so that two flags are not on for the same users.
return (('x' || left(encode(sha256(convert_to(key || '/' || user_id, 'UTF8')), 'hex'), 8))::bit(32)::bigint
    % 10000)::integer;
comment on function soundscape.flag_bucket(text, uuid) is 'The place of a user in a flag''s percentage, 0 to 9999.';

create function soundscape.flag_for(key text, user_id uuid default null) returns boolean
language sql stable parallel safe security definer set search_path = ''
return (
    select case
        when f.state = 'off' or now() < f.active_from or now() >= f.active_until then false
        when f.state = 'on' then true
        when flag_for.user_id is null then false
        else flag_for.user_id = any (f.user_ids)
            or 'user' = any (f.roles)
            or soundscape.flag_bucket(f.key, flag_for.user_id) < 100 * f.percentage
            or exists (
                select from public.user_roles r where r.user_id = flag_for.user_id and r.role = any (f.roles))
        end
    from public.feature_flags f where f.key = flag_for.key);
comment on function soundscape.flag_for(text, uuid)
    is 'Worker only. Whether a flag is on for a user; without one, for a stranger. Null if there is no such flag.';

create function soundscape.flag(key text, fallback boolean default false) returns boolean
language sql stable parallel safe security definer set search_path = ''
return coalesce(soundscape.flag_for(key, auth.uid()), fallback);
comment on function soundscape.flag(text, boolean)
    is 'Whether a flag is on for the caller. If there is no such flag: fallback. In a policy write '
       '(select soundscape.flag(''key'')), so that it is evaluated once a query.';

create function soundscape.flags() returns table (key text, is_on boolean)
language sql stable parallel safe security definer rows 20 set search_path = '' as $$
    select f.key, soundscape.flag_for(f.key, auth.uid()) from public.feature_flags f order by f.key
$$;
comment on function soundscape.flags()
    is 'Every flag, and whether it is on for the caller: what a browser begins with.';
