-- Users and roles.
--
-- Each auth user has one public profile and one row of private preferences. Both are made in the transaction that
-- signs the user up. Roles follow Supabase's recipe for role-based access control: every account is a user, and
-- user_roles names the moderators and admins.

-- Profiles and preferences
-- ========================

create table public.users (
    id uuid primary key references auth.users (id) on delete cascade,
    username text unique check (username ~ '^[a-z0-9_]{3,30}$'),
    display_name text check (char_length(display_name) between 1 and 80),
    bio text check (char_length(bio) <= 1000),
    avatar_path text check (char_length(avatar_path) <= 1024),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
alter table public.users enable row level security;

comment on table public.users is 'Public profiles: one row per auth user, made at sign-up.';
comment on column public.users.id is 'The auth user.';
comment on column public.users.username is 'Handle: 3 to 30 lower-case letters, digits, underscores; unique.';
comment on column public.users.display_name is 'Name shown to others, at most 80 characters.';
comment on column public.users.bio is 'A few words about the user, at most 1000 characters.';
comment on column public.users.avatar_path is 'Object name in the bucket profile-images.';
comment on column public.users.created_at is 'When the user signed up.';
comment on column public.users.updated_at is 'When the profile last changed.';

create trigger users_touch before update on public.users
    for each row execute function soundscape.touch_updated_at();

create table public.user_preferences (
    user_id uuid primary key default auth.uid() references public.users (id) on delete cascade,
    locale text not null default 'en' check (locale ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
    theme text not null default 'system' check (theme in ('system', 'light', 'dark')),
    default_is_public boolean not null default false,
    default_license text check (char_length(default_license) <= 100),
    settings jsonb not null default '{}'
        check (jsonb_typeof(settings) = 'object' and octet_length(settings::text) <= 16384),
    updated_at timestamptz not null default now(),
    favourite_labels text[] not null default '{}'
        check (cardinality(favourite_labels) <= 50 and array_position(favourite_labels, null) is null
               and char_length(array_to_string(favourite_labels, '')) <= 2500)
);
alter table public.user_preferences enable row level security;

comment on table public.user_preferences is 'What a user has set for themselves. Nobody else reads it.';
comment on column public.user_preferences.user_id is 'The user.';
comment on column public.user_preferences.locale is 'Language tag (BCP 47), such as en or pt-BR.';
comment on column public.user_preferences.theme is 'system, light or dark.';
comment on column public.user_preferences.default_is_public is 'Whether the frontend offers new recordings as public.';
comment on column public.user_preferences.default_license is 'Licence that the frontend offers for new recordings.';
comment on column public.user_preferences.settings is 'The frontend''s own settings: one JSON object of at most 16 kB.';
comment on column public.user_preferences.updated_at is 'When the preferences last changed.';
comment on column public.user_preferences.favourite_labels
    is 'What the user likes to hear, as tags, at most 50. recommended_audio starts from these.';

create trigger user_preferences_touch before update on public.user_preferences
    for each row execute function soundscape.touch_updated_at();

create function soundscape.make_user() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    -- A sign-up must never fail because of a name. A long name is cut, a blank one is left out. Profiles are public, so
    -- only display_name is taken and not the full name that providers send.
    insert into public.users (id, display_name)
    values (new.id, nullif(left(btrim(new.raw_user_meta_data ->> 'display_name'), 80), ''))
    on conflict (id) do nothing;
    insert into public.user_preferences (user_id) values (new.id) on conflict (user_id) do nothing;
    return new;
end
$$;
comment on function soundscape.make_user()
    is 'Trigger on auth.users: profile and preferences are made with the account.';

create trigger soundscape_make_user after insert on auth.users
    for each row execute function soundscape.make_user();

-- Accounts that existed before SoundScape was deployed.
insert into public.users (id) select id from auth.users on conflict (id) do nothing;
insert into public.user_preferences (user_id) select id from public.users on conflict (user_id) do nothing;

-- Roles
-- =====

create type public.app_role as enum ('user', 'moderator', 'admin');
comment on type public.app_role is 'Roles, from least to most.';
create type public.app_permission as enum ('reports.handle', 'recordings.moderate', 'roles.assign');
comment on type public.app_permission is 'What a role may be allowed to do beyond what every user may.';

create table public.user_roles (
    id bigint generated by default as identity primary key,
    user_id uuid not null references public.users (id) on delete cascade,
    role public.app_role not null,
    created_at timestamptz not null default now(),
    unique (user_id, role)
);
alter table public.user_roles enable row level security;
comment on table public.user_roles is 'Who is moderator or admin. Users see their own roles, admins all of them.';
comment on column public.user_roles.id is 'The assignment.';
comment on column public.user_roles.user_id is 'The user.';
comment on column public.user_roles.role is 'The role.';
comment on column public.user_roles.created_at is 'Since when.';

create table public.role_permissions (
    id bigint generated by default as identity primary key,
    role public.app_role not null,
    permission public.app_permission not null,
    unique (role, permission)
);
alter table public.role_permissions enable row level security;
comment on table public.role_permissions is 'What each role may do. Changed by migrations only.';
comment on column public.role_permissions.id is 'The permission of the role.';
comment on column public.role_permissions.role is 'The role.';
comment on column public.role_permissions.permission is 'What it may do.';

insert into public.role_permissions (role, permission) values
    ('moderator', 'reports.handle'),
    ('moderator', 'recordings.moderate'),
    ('admin', 'reports.handle'),
    ('admin', 'recordings.moderate'),
    ('admin', 'roles.assign');

create function public.custom_access_token_hook(event jsonb) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_set(event, '{claims,user_role}', to_jsonb(coalesce(
        (select max(r.role) from public.user_roles r where r.user_id = (event ->> 'user_id')::uuid), 'user')))
$$;
comment on function public.custom_access_token_hook(jsonb)
    is 'For Auth only. Adds the claim user_role, which tells a frontend what to offer. soundscape.authorize decides '
       'what is allowed.';

create function soundscape.has_permission(somebody uuid, requested_permission public.app_permission) returns boolean
language sql stable security definer set search_path = ''
return exists (
    select from public.user_roles r join public.role_permissions p on p.role = r.role
    where r.user_id = somebody and p.permission = requested_permission);
comment on function soundscape.has_permission(uuid, public.app_permission)
    is 'Whether this user has a role with this permission.';

create function soundscape.authorize(requested_permission public.app_permission) returns boolean
language sql stable security definer set search_path = ''
-- A claim in a token stays valid for up to an hour after a role was revoked. The table does not.
return soundscape.has_permission((select auth.uid()), requested_permission);
comment on function soundscape.authorize(public.app_permission)
    is 'Whether the caller has a role with this permission, now.';
