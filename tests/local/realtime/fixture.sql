-- Tables of every kind that matters to a subscriber.
create table public.notes (
    id bigint generated always as identity primary key,
    owner uuid not null,
    is_public boolean not null default false,
    title text,
    score numeric,
    tags text[],
    facts jsonb,
    secret text,
    made_at timestamptz not null default '2026-01-02 03:04:05.678+00',
    big text
);
alter table public.notes enable row level security;
create policy "own or public" on public.notes for select to authenticated, anon
    using (is_public or owner = (select (current_setting('request.jwt.claims', true)::jsonb ->> 'sub')::uuid));
grant select (id, owner, is_public, title, score, tags, facts, made_at, big) on public.notes to authenticated, anon;
grant all on public.notes to service_role;

create table public.whole (id int, part text, body text, primary key (id, part));
alter table public.whole replica identity full;
grant select on public.whole to anon, authenticated;

create table public.walled (id int primary key, owner uuid, body text);
alter table public.walled replica identity full;
alter table public.walled enable row level security;
create policy own on public.walled for select to authenticated
    using (owner = (select (current_setting('request.jwt.claims', true)::jsonb ->> 'sub')::uuid));
grant select on public.walled to anon, authenticated;

-- A policy that fails on some rows, and a name that must be quoted twice over.
create table public."odd %s ""name" (id int primary key, "a %b" text);
alter table public."odd %s ""name" enable row level security;
create policy brittle on public."odd %s ""name" for select to authenticated using (10 / id > 0);
grant select on public."odd %s ""name" to authenticated;

create table public.ungranted (id int primary key);
create table public.unpublished (id int primary key);
grant select on public.unpublished to anon;

alter publication supabase_realtime add table
    public.notes, public.whole, public.walled, public."odd %s ""name", public.ungranted;

create policy "members read" on realtime.messages for select to authenticated
    using (realtime.topic() like 'team-%' and extension in ('broadcast', 'presence')
           and (current_setting('request.jwt.claims', true)::jsonb ->> 'team') = realtime.topic());
create policy "writers write" on realtime.messages for insert to authenticated
    with check (realtime.topic() like 'team-%' and extension in ('broadcast', 'presence')
           and (current_setting('request.jwt.claims', true)::jsonb ->> 'writer') = 'yes');
