-- What people like and hear. Each user sees their own; counts for everybody come from elsewhere.

create table public.likes (
    id bigint generated always as identity primary key,
    user_id uuid not null default auth.uid() references public.users (id) on delete cascade,
    audio_id uuid not null references public.audio_files (id) on delete cascade,
    created_at timestamptz not null default now(),
    -- Not the primary key: the Data API would take the table for a second way from recordings to users.
    unique (user_id, audio_id)
);
alter table public.likes enable row level security;
create index likes_by_recording on public.likes (audio_id);
comment on table public.likes is 'A user likes a recording. Seen by that user only.';
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
    -- A clock may be a little ahead.
    check (started_at <= created_at + interval '5 minutes')
);
alter table public.listening_events enable row level security;
create index listening_events_by_user on public.listening_events (user_id, started_at desc);
create index listening_events_by_recording on public.listening_events (audio_id, started_at desc);
comment on table public.listening_events is 'A user listened to a recording. Seen by that user only, who may erase it; recommendations learn from it.';
comment on column public.listening_events.id is 'The event.';
comment on column public.listening_events.user_id is 'Who listened; the caller unless said otherwise.';
comment on column public.listening_events.audio_id is 'The recording.';
comment on column public.listening_events.started_at is 'When listening began.';
comment on column public.listening_events.listened_s is 'Seconds heard.';
comment on column public.listening_events.completed is 'Whether it was heard to the end.';
comment on column public.listening_events.context is 'Where the listener came from, in the frontend''s words: search, playlist, similar, ….';
comment on column public.listening_events.created_at is 'When the event arrived.';
