-- One public profile and one row of private preferences per auth user, made in the transaction that signs
-- the user up.

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
    updated_at timestamptz not null default now()
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

create trigger user_preferences_touch before update on public.user_preferences
    for each row execute function soundscape.touch_updated_at();

create function soundscape.make_user() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    -- A sign-up must never fail over a name: what does not fit is shortened, what is blank is left out.
    -- Profiles are public, so only a name given for that is taken, not the full name that providers send.
    insert into public.users (id, display_name)
    values (new.id, nullif(left(btrim(new.raw_user_meta_data ->> 'display_name'), 80), ''))
    on conflict (id) do nothing;
    insert into public.user_preferences (user_id) values (new.id) on conflict (user_id) do nothing;
    return new;
end
$$;
comment on function soundscape.make_user() is 'Trigger on auth.users: profile and preferences are made with the account.';

create trigger soundscape_make_user after insert on auth.users
    for each row execute function soundscape.make_user();

-- Accounts that were there before SoundScape.
insert into public.users (id) select id from auth.users on conflict (id) do nothing;
insert into public.user_preferences (user_id) select id from public.users on conflict (user_id) do nothing;
