-- Who is notified of what, where and when: preferences for each kind and channel, quiet hours, browsers for web push.

alter table soundscape.notification_kinds
    add column channels text[] not null default '{in_app,email,push}'
        check (channels <@ '{in_app,email,push}'::text[]),
    add column defaults text[] not null default '{in_app}',
    add column at_most_every interval,
    add check (defaults <@ channels);
comment on column soundscape.notification_kinds.channels is 'Where it can be delivered: in_app, email, push.';
comment on column soundscape.notification_kinds.defaults
    is 'Where it is delivered to a user who has no preference. push reaches only browsers that the user subscribed.';
comment on column soundscape.notification_kinds.at_most_every
    is 'A second one about the same recording within this time is not written. Null: each one is. At most 7 days.';

update soundscape.notification_kinds set defaults = case kind
    when 'recording_ready' then '{in_app,push}'::text[]
    when 'image_refused' then '{in_app}'
    else '{in_app,email,push}' end;
insert into soundscape.notification_kinds (kind, description, channels, defaults, at_most_every) values
    ('recording_matched', 'Somebody else has a recording with the same sound.',
     '{in_app,email,push}', '{in_app,email,push}', '1 day'),
    ('recording_liked', 'Somebody liked a recording.', '{in_app,email,push}', '{in_app}', '1 day'),
    ('recording_collected', 'Somebody added a recording to a public playlist.',
     '{in_app,email,push}', '{in_app}', '1 day'),
    ('recording_hidden', 'A moderator hid a recording.', '{in_app,email,push}', '{in_app,email,push}', null),
    ('recording_restored', 'A moderator made a recording visible again.',
     '{in_app,email,push}', '{in_app,email,push}', null),
    ('report_resolved', 'A moderator decided on a report.', '{in_app,email,push}', '{in_app,email}', null),
    ('export_ready', 'An export can be downloaded.', '{in_app,email,push}', '{in_app,email,push}', null),
    ('export_failed', 'An export could not be made.', '{in_app,email,push}', '{in_app,email}', null),
    ('quota_nearly_full', 'Files take nine tenths of the space that an account may use.',
     '{in_app,email,push}', '{in_app,email}', '7 days'),
    ('weekly_digest', 'What happened to the recordings of an account in a week.', '{email}', '{}', null);

-- A notification may be about an account, and then has neither a recording nor a message.
alter table public.notifications drop constraint notifications_recording_check;
comment on column public.notifications.audio_id is 'The recording. Null if it is about none.';

-- Preferences
-- ===========

create table public.notification_preferences (
    user_id uuid not null default auth.uid() references public.users (id) on delete cascade,
    kind text not null references soundscape.notification_kinds (kind),
    channel text not null check (channel in ('in_app', 'email', 'push')),
    enabled boolean not null,
    primary key (user_id, kind, channel)
);
alter table public.notification_preferences enable row level security;
create index notification_preferences_by_kind on public.notification_preferences (kind);
comment on table public.notification_preferences
    is 'Whether a user is notified of a kind by a channel. Without a row, the default of the kind holds: '
       'notification_settings returns both.';
comment on column public.notification_preferences.user_id is 'The user; the caller unless said otherwise.';
comment on column public.notification_preferences.kind is 'The kind of notification.';
comment on column public.notification_preferences.channel is 'in_app, email or push.';
comment on column public.notification_preferences.enabled is 'Whether to notify.';

create function soundscape.is_time_zone(zone text) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
    if zone !~ '^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$' or char_length(zone) > 64 then
        return false;
    end if;
    perform timestamptz 'epoch' at time zone zone;
    return true;
exception when invalid_parameter_value then
    return false;
end
$$;
comment on function soundscape.is_time_zone(text) is 'Whether Postgres knows this time zone, such as Europe/Berlin.';

alter table public.user_preferences
    add column time_zone text not null default 'UTC' check (soundscape.is_time_zone(time_zone)),
    add column quiet_from time(0),
    add column quiet_until time(0),
    add check ((quiet_from is null) = (quiet_until is null));
comment on column public.user_preferences.time_zone is 'Time zone of the quiet hours and the digest (IANA).';
comment on column public.user_preferences.quiet_from
    is 'From when on mails and pushes wait, in the user''s time zone. Null: they never wait.';
comment on column public.user_preferences.quiet_until is 'Until when they wait. It may be on the next day.';

create function soundscape.is_notified(account uuid, kind text, channel text) returns boolean
language sql stable security definer set search_path = ''
return (
    select is_notified.channel = any (k.channels)
        and coalesce(p.enabled, is_notified.channel = any (k.defaults))
    from soundscape.notification_kinds k
    left join public.notification_preferences p
        on p.user_id = account and p.kind = k.kind and p.channel = is_notified.channel
    where k.kind = is_notified.kind);
comment on function soundscape.is_notified(uuid, text, text)
    is 'Whether a user is notified of this kind by this channel: their preference, or else the default.';

create function soundscape.notification_settings()
returns table (kind text, channel text, enabled boolean, description text)
language sql stable security definer rows 50 set search_path = '' as $$
    select k.kind, c.channel, soundscape.is_notified((select auth.uid()), k.kind, c.channel), k.description
    from soundscape.notification_kinds k cross join unnest(k.channels) as c (channel)
    where (select auth.uid()) is not null
    order by k.kind, c.channel
$$;
comment on function soundscape.notification_settings()
    is 'For users. Each kind of notification, the channels it can take, and whether the caller is notified there. '
       'Change one by an upsert into notification_preferences.';

create function soundscape.end_of_quiet(zone text, quiet_from time, quiet_until time, moment timestamptz)
returns timestamptz
language sql immutable set search_path = ''
return (
    select case
        when quiet_from < quiet_until and here.clock >= quiet_from and here.clock < quiet_until
            or quiet_from > quiet_until and here.clock < quiet_until
            then (here.day + quiet_until) at time zone zone
        when quiet_from > quiet_until and here.clock >= quiet_from
            then (here.day + 1 + quiet_until) at time zone zone end
    from (select (moment at time zone zone)::date as day, (moment at time zone zone)::time as clock) as here);
comment on function soundscape.end_of_quiet(text, time, time, timestamptz)
    is 'When the quiet hours that hold at this moment end. Null if none hold.';

-- Web push
-- ========

create table public.push_subscriptions (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references public.users (id) on delete cascade,
    endpoint text not null unique
        check (endpoint ~ '^https://[a-z0-9.-]+(:[0-9]{1,5})?/[!-~]*$' and char_length(endpoint) <= 2048),
    p256dh text not null check (p256dh ~ '^[A-Za-z0-9_-]{87}$'),
    auth text not null check (auth ~ '^[A-Za-z0-9_-]{22}$'),
    created_at timestamptz not null default now()
);
alter table public.push_subscriptions enable row level security;
create index push_subscriptions_by_user on public.push_subscriptions (user_id);
comment on table public.push_subscriptions
    is 'Browsers that take web pushes for a user. save_push_subscription adds one. Seen by their user only.';
comment on column public.push_subscriptions.id is 'The subscription.';
comment on column public.push_subscriptions.user_id is 'Whose pushes the browser takes.';
comment on column public.push_subscriptions.endpoint
    is 'Where to send them: an address at the browser''s push service. Whoever knows it and the keys could send.';
comment on column public.push_subscriptions.p256dh is 'The browser''s public key (RFC 8291), in base64url.';
comment on column public.push_subscriptions.auth is 'The secret that it shares with senders (RFC 8291), in base64url.';
comment on column public.push_subscriptions.created_at is 'When it was added.';

alter table soundscape.owner_limits
    add column max_push_subscriptions integer not null default 20 check (max_push_subscriptions >= 0);
comment on column soundscape.owner_limits.max_push_subscriptions is 'Browsers of a user that take pushes.';

create function soundscape.save_push_subscription(endpoint text, p256dh text, auth text) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    caller uuid := (select auth.uid());
    saved uuid;
begin
    if caller is null or soundscape.session_scope() not in ('account', 'all') then
        raise exception 'Only the user may subscribe a browser.' using errcode = '42501', hint = 'Sign in.';
    end if;
    perform from public.users u where u.id = caller for no key update;
    -- Two people may use a browser one after the other. Its pushes go to the later one, who proves by the keys that
    -- this is the same browser.
    insert into public.push_subscriptions as s (user_id, endpoint, p256dh, auth)
    values (caller, save_push_subscription.endpoint, save_push_subscription.p256dh, save_push_subscription.auth)
    on conflict on constraint push_subscriptions_endpoint_key do update
    set user_id = excluded.user_id, p256dh = excluded.p256dh, auth = excluded.auth
    where s.user_id = excluded.user_id or (s.p256dh, s.auth) = (excluded.p256dh, excluded.auth)
    returning s.id into saved;
    if saved is null then
        raise exception 'This endpoint belongs to another subscription.' using errcode = '42501',
            hint = 'Subscribe the browser anew.';
    end if;
    perform soundscape.refuse_over_limit(
        (select count(*) from public.push_subscriptions s where s.user_id = caller),
        l.max_push_subscriptions, 'browsers that take pushes')
    from soundscape.owner_limits l;
    return saved;
end
$$;
comment on function soundscape.save_push_subscription(text, text, text)
    is 'For users. Sends the caller''s pushes to this browser: what pushManager.subscribe() returned. Returns the id '
       'of the row in push_subscriptions; delete the row to end it.';

insert into soundscape.exported_tables (table_name, via) values
    ('notification_preferences', 'user_id'), ('push_subscriptions', 'user_id');
