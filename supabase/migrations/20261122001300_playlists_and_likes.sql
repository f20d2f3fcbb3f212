-- Playlists, likes and listening events.
--
-- Positions in a playlist run from 1 without gaps. Only the functions here write them. Likes and listening events are
-- visible to their user only.

-- Playlists
-- =========

create table public.playlists (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null default auth.uid() references public.users (id) on delete cascade,
    title text not null check (title ~ '\S' and char_length(title) <= 200),
    description text check (char_length(description) <= 5000),
    is_public boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
alter table public.playlists enable row level security;
create index playlists_by_owner on public.playlists (user_id, created_at desc);
create index playlists_public on public.playlists (created_at desc) where is_public;
comment on table public.playlists is 'Recordings in an order somebody chose.';
comment on column public.playlists.id is 'The playlist.';
comment on column public.playlists.user_id is 'The owner; the caller unless said otherwise.';
comment on column public.playlists.title is 'Title, 1 to 200 characters.';
comment on column public.playlists.description is 'Description, at most 5000 characters.';
comment on column public.playlists.is_public is 'Whether everybody may see it. Private recordings in it stay private.';
comment on column public.playlists.created_at is 'When it was made.';
comment on column public.playlists.updated_at is 'When title, description or visibility last changed.';

create trigger playlists_touch before update on public.playlists
    for each row execute function soundscape.touch_updated_at();

create table public.playlist_items (
    id uuid primary key default gen_random_uuid(),
    playlist_id uuid not null references public.playlists (id) on delete cascade,
    audio_id uuid not null references public.audio_files (id) on delete cascade,
    -- The default is never stored. It makes the column optional in generated types.
    position integer not null default 1 check (position >= 1),
    added_at timestamptz not null default now(),
    -- The key is deferrable, so that one statement can renumber.
    unique (playlist_id, position) deferrable initially immediate
);
alter table public.playlist_items enable row level security;
create index playlist_items_by_recording on public.playlist_items (audio_id);
comment on table public.playlist_items is 'A recording in a playlist. A recording may be in it twice.';
comment on column public.playlist_items.id is 'The item.';
comment on column public.playlist_items.playlist_id is 'The playlist.';
comment on column public.playlist_items.audio_id is 'The recording.';
comment on column public.playlist_items.position
    is 'From 1, without gaps. New items come last. move_playlist_item and reorder_playlist change it.';
comment on column public.playlist_items.added_at is 'When it was added.';

create function soundscape.append_item() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    -- Two appends to one playlist wait for each other.
    perform from public.playlists where id = new.playlist_id for no key update;
    new.position := coalesce((select max(i.position) from public.playlist_items i
        where i.playlist_id = new.playlist_id), 0) + 1;
    return new;
end
$$;
comment on function soundscape.append_item() is 'Trigger: a new item comes last, whatever position it has.';
create trigger playlist_items_append before insert on public.playlist_items
    for each row execute function soundscape.append_item();

create function soundscape.close_gaps() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform from public.playlists where id in (select playlist_id from gone) order by id for no key update;
    update public.playlist_items i set position = numbered.place
    from (select j.id, row_number() over (partition by j.playlist_id order by j.position) as place
          from public.playlist_items j where j.playlist_id in (select playlist_id from gone)) numbered
    where i.id = numbered.id and i.position <> numbered.place;
    return null;
end
$$;
comment on function soundscape.close_gaps() is 'Trigger: renumbers the remaining items of a playlist.';
create trigger playlist_items_close after delete on public.playlist_items
    referencing old table as gone for each statement execute function soundscape.close_gaps();

create function soundscape.lock_own_playlist(playlist uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform from public.playlists p where p.id = playlist and p.user_id = (select auth.uid()) for no key update;
    if not found then
        raise exception 'The playlist is not yours.' using errcode = '42501',
            hint = 'Only its owner may reorder a playlist.';
    end if;
end
$$;
comment on function soundscape.lock_own_playlist(uuid)
    is 'Locks a playlist of the caller. An error if it is not theirs.';

create function soundscape.move_playlist_item(item uuid, to_position integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
    list uuid := (select playlist_id from public.playlist_items where id = item);
    from_position integer;
    wanted integer;
begin
    perform soundscape.lock_own_playlist(list);
    from_position := (select i.position from public.playlist_items i where i.id = item);
    wanted := least(greatest(to_position, 1), (select max(i.position) from public.playlist_items i
        where i.playlist_id = list));
    update public.playlist_items i
    set position = case when i.id = item then wanted
                        when wanted < from_position then i.position + 1
                        else i.position - 1 end
    where i.playlist_id = list
      and i.position between least(from_position, wanted) and greatest(from_position, wanted)
      and wanted <> from_position;
end
$$;
comment on function soundscape.move_playlist_item(uuid, integer)
    is 'For owners. Moves an item of a playlist to a position, counted from 1. A position past the end means last.';

create function soundscape.reorder_playlist(playlist uuid, items uuid[]) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.lock_own_playlist(playlist);
    if (select array_agg(i.id order by i.id) from public.playlist_items i where i.playlist_id = playlist)
       is distinct from (select array_agg(x order by x) from unnest(items) as x)
    then
        raise exception 'The list does not hold each item of the playlist once.' using errcode = '22023',
            hint = 'Read the playlist again: it may have changed meanwhile.';
    end if;
    update public.playlist_items i set position = wanted.place
    from unnest(items) with ordinality as wanted (id, place)
    where i.id = wanted.id and i.position <> wanted.place;
end
$$;
comment on function soundscape.reorder_playlist(uuid, uuid[])
    is 'For owners. Puts the items of a playlist into this order. items must hold all of them, each once.';

-- Likes and listening
-- ===================

create table public.likes (
    id bigint generated always as identity primary key,
    user_id uuid not null default auth.uid() references public.users (id) on delete cascade,
    audio_id uuid not null references public.audio_files (id) on delete cascade,
    created_at timestamptz not null default now(),
    -- This is not the primary key: the Data API would take the table for a second relation from recordings to users.
    unique (user_id, audio_id)
);
alter table public.likes enable row level security;
create index likes_by_recording on public.likes (audio_id);
comment on table public.likes is 'A user likes a recording. Only that user sees it.';
comment on column public.likes.id is 'The like.';
comment on column public.likes.user_id is 'Who likes; the caller unless said otherwise.';
comment on column public.likes.audio_id is 'The recording.';
comment on column public.likes.created_at is 'Since when.';

create table public.listening_events (
    id bigint generated always as identity primary key,
    user_id uuid not null default auth.uid() references public.users (id) on delete cascade,
    audio_id uuid not null references public.audio_files (id) on delete cascade,
    started_at timestamptz not null default now() check (started_at >= '2020-01-01'),
    listened_s real not null default 0 check (listened_s >= 0 and listened_s < 'infinity'),
    completed boolean not null default false,
    context text check (char_length(context) between 1 and 64),
    created_at timestamptz not null default now(),
    -- A client's clock may be a little ahead.
    check (started_at <= created_at + interval '5 minutes')
);
alter table public.listening_events enable row level security;
create index listening_events_by_user on public.listening_events (user_id, started_at desc);
create index listening_events_by_recording on public.listening_events (audio_id, started_at desc);
comment on table public.listening_events
    is 'A user listened to a recording. Only that user sees it and may delete it. Recommendations learn from it.';
comment on column public.listening_events.id is 'The event.';
comment on column public.listening_events.user_id is 'Who listened; the caller unless said otherwise.';
comment on column public.listening_events.audio_id is 'The recording.';
comment on column public.listening_events.started_at is 'When listening began.';
comment on column public.listening_events.listened_s is 'Seconds heard.';
comment on column public.listening_events.completed is 'Whether it was heard to the end.';
comment on column public.listening_events.context
    is 'Where the listener came from, in the frontend''s words, such as search, playlist or similar.';
comment on column public.listening_events.created_at is 'When the event arrived.';
