-- Notifications. One is written in the transaction of the event it reports. Realtime delivers it.

create table soundscape.notification_kinds (
    kind text primary key check (kind ~ '^[a-z_]{1,64}$'),
    description text not null
);
alter table soundscape.notification_kinds enable row level security;
comment on table soundscape.notification_kinds
    is 'The registry of kinds of notifications. A new kind is a row here and a call of soundscape.notify.';
comment on column soundscape.notification_kinds.kind is 'The kind.';
comment on column soundscape.notification_kinds.description is 'What happened, in words.';
insert into soundscape.notification_kinds (kind, description) values
    ('recording_ready', 'The analysis of a recording ended, and its results are there.'),
    ('recording_failed', 'The analysis of a recording failed.'),
    ('recording_rejected', 'A recording exceeds a limit and was not analysed.');

create table public.notifications (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references public.users (id) on delete cascade,
    kind text not null references soundscape.notification_kinds (kind),
    audio_id uuid not null references public.audio_files (id) on delete cascade,
    error_code text check (char_length(error_code) <= 64),
    trace_id text not null,
    created_at timestamptz not null default now(),
    read_at timestamptz
);
alter table public.notifications enable row level security;
create index notifications_by_user on public.notifications (user_id, created_at desc);
create index notifications_by_recording on public.notifications (audio_id);
create index notifications_by_kind on public.notifications (kind);
create index notifications_by_age on public.notifications (created_at);
comment on table public.notifications
    is 'What users are notified of. Only the recipient sees one, may mark it read and delete it. Deleted after 90 '
       'days.';
comment on column public.notifications.id is 'The notification.';
comment on column public.notifications.user_id is 'The recipient.';
comment on column public.notifications.kind is 'What happened: a row of soundscape.notification_kinds.';
comment on column public.notifications.audio_id is 'The recording.';
comment on column public.notifications.error_code
    is 'Why it failed or was rejected. The recording''s error_message says it in words.';
comment on column public.notifications.trace_id is 'The id of the upload, the job, the logs and the traces.';
comment on column public.notifications.created_at is 'When it happened.';
comment on column public.notifications.read_at is 'When the user read it. Null until then.';

create function soundscape.notify(
    recipient uuid, kind text, audio_id uuid, error_code text, trace_id text
) returns void
language sql security definer set search_path = '' as $$
    insert into public.notifications (user_id, kind, audio_id, error_code, trace_id)
    values (recipient, notify.kind, notify.audio_id, notify.error_code, notify.trace_id)
$$;
comment on function soundscape.notify(uuid, text, uuid, text, text)
    is 'Notifies a user, in the transaction of the event. Every notification is written here.';

create function soundscape.notifications_kept_for() returns interval
language sql immutable parallel safe set search_path = '' return interval '90 days';
comment on function soundscape.notifications_kept_for()
    is 'After this time the sweep deletes a notification, read or not.';

alter publication supabase_realtime add table public.notifications;
