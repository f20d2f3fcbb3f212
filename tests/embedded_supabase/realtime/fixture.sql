-- Tables of every kind that matters to a subscriber.
create schema heard;
grant usage on schema heard to anon, authenticated, service_role;
create table heard.notes (
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
alter table heard.notes enable row level security;
create policy "own or public" on heard.notes for select to authenticated, anon
    using (is_public or owner = (select (current_setting('request.jwt.claims', true)::jsonb ->> 'sub')::uuid));
grant select (id, owner, is_public, title, score, tags, facts, made_at, big) on heard.notes to authenticated, anon;
grant all on heard.notes to service_role;

create table heard.whole (id int, part text, body text, primary key (id, part));
alter table heard.whole replica identity full;
grant select on heard.whole to anon, authenticated;

create table heard.walled (id int primary key, owner uuid, body text);
alter table heard.walled replica identity full;
alter table heard.walled enable row level security;
create policy own on heard.walled for select to authenticated
    using (owner = (select (current_setting('request.jwt.claims', true)::jsonb ->> 'sub')::uuid));
grant select on heard.walled to anon, authenticated;

-- A policy that fails on some rows, and a name that must be quoted twice over.
create table heard."odd %s ""name" (id int primary key, "a %b" text);
alter table heard."odd %s ""name" enable row level security;
create policy brittle on heard."odd %s ""name" for select to authenticated using (10 / id > 0);
grant select on heard."odd %s ""name" to authenticated;

-- A type of every kind: what is sent must be what to_jsonb makes of the row.
create extension if not exists citext with schema extensions;
create extension if not exists vector with schema extensions;
create type heard."odd type" as enum ('a', 'b c');
create domain heard.positive as int check (value > 0);
create type heard.pair as (left_one int, right_one text);
create table heard.kinds (
    id uuid primary key, padded char(4), exact numeric(5, 2), odd heard."odd type", odds heard."odd type"[],
    counted heard.positive, pair heard.pair, bytes bytea, word extensions.citext, near extensions.vector(2),
    span int4range, took interval, flags bit(3), at timestamp, day date, whole json, twice int generated always as (counted * 2) stored
);
grant select on heard.kinds to anon, authenticated;

create table heard.ungranted (id int primary key);
create table heard.unpublished (id int primary key);
grant select on heard.unpublished to anon;

alter publication supabase_realtime add table
    heard.notes, heard.whole, heard.walled, heard."odd %s ""name", heard.ungranted, heard.kinds;

create policy "members read" on realtime.messages for select to authenticated
    using (realtime.topic() like 'team-%' and extension in ('broadcast', 'presence')
           and (current_setting('request.jwt.claims', true)::jsonb ->> 'team') = realtime.topic());
create policy "writers write" on realtime.messages for insert to authenticated
    with check (realtime.topic() like 'team-%' and extension in ('broadcast', 'presence')
           and (current_setting('request.jwt.claims', true)::jsonb ->> 'writer') = 'yes');
