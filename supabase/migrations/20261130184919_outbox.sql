-- The outbox: mails and pushes, from the event to the moment when another server has them.
--
-- An event writes entries in its own transaction, one for each channel. When no more events follow for a while, a
-- worker's claim makes deliveries of a user's waiting entries: one mail, or one push for each browser. A worker leases
-- a delivery, sends it and ends it. Its id is the idempotency key: the Message-ID of a mail, the Topic of a push. A
-- worker that is killed between sending and ending it costs at most one more send, which the mailbox recognises.

create table soundscape.outbox (
    id bigint generated always as identity primary key,
    user_id uuid not null references public.users (id) on delete cascade,
    channel text not null check (channel in ('email', 'push')),
    kind text not null references soundscape.notification_kinds (kind),
    audio_id uuid,
    error_code text check (char_length(error_code) <= 64),
    created_at timestamptz not null default now(),
    deliver_at timestamptz not null default now(),
    bundle_id uuid
);
alter table soundscape.outbox enable row level security;
create index outbox_waiting on soundscape.outbox (channel, user_id, created_at) where bundle_id is null;
create index outbox_by_user on soundscape.outbox (user_id, kind, created_at);
create index outbox_by_bundle on soundscape.outbox (bundle_id);
create index outbox_by_kind on soundscape.outbox (kind);
create index outbox_by_age on soundscape.outbox (created_at);
comment on table soundscape.outbox
    is 'What users are to be told by mail and push: one row for each event and channel, written with the event.';
comment on column soundscape.outbox.id is 'The entry.';
comment on column soundscape.outbox.user_id is 'The recipient.';
comment on column soundscape.outbox.channel is 'email or push.';
comment on column soundscape.outbox.kind is 'What happened.';
comment on column soundscape.outbox.audio_id is 'The recording, as in notifications. It may be gone.';
comment on column soundscape.outbox.error_code is 'As in notifications.';
comment on column soundscape.outbox.created_at is 'When it happened.';
comment on column soundscape.outbox.deliver_at is 'Not before: the end of quiet hours.';
comment on column soundscape.outbox.bundle_id is 'The mail or push that has it. Null while it waits.';

create table soundscape.deliveries (
    id uuid primary key default gen_random_uuid(),
    bundle_id uuid not null,
    user_id uuid not null references public.users (id) on delete cascade,
    channel text not null check (channel in ('email', 'push')),
    subscription_id uuid references public.push_subscriptions (id) on delete set null,
    address text,
    state text not null default 'queued' check (state in ('queued', 'running', 'sent', 'dropped', 'dead')),
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    retry_at timestamptz not null default now(),
    token uuid,
    attempts integer not null default 0,
    failures integer not null default 0,
    finished_at timestamptz,
    error_code text check (char_length(error_code) <= 64),
    error_message text check (char_length(error_message) <= 500)
);
alter table soundscape.deliveries enable row level security;
create index deliveries_due on soundscape.deliveries (retry_at) where state in ('queued', 'running');
create index deliveries_by_user on soundscape.deliveries (user_id);
create index deliveries_by_subscription on soundscape.deliveries (subscription_id);
create index deliveries_by_bundle on soundscape.deliveries (bundle_id);
create index deliveries_newest on soundscape.deliveries (created_at, id);
comment on table soundscape.deliveries is 'Mails, and pushes to one browser each.';
comment on column soundscape.deliveries.id is 'The idempotency key: Message-ID of a mail, Topic of a push.';
comment on column soundscape.deliveries.bundle_id is 'Which entries of the outbox it has.';
comment on column soundscape.deliveries.user_id is 'The recipient.';
comment on column soundscape.deliveries.channel is 'email or push.';
comment on column soundscape.deliveries.subscription_id is 'The browser, of a push. Null once the user removed it.';
comment on column soundscape.deliveries.address is 'Where the latest attempt went, of a mail. Null once it ended.';
comment on column soundscape.deliveries.state
    is 'queued, running, sent: the server took it. dropped: nobody is there to take it. dead: given up.';
comment on column soundscape.deliveries.created_at is 'When it was bundled.';
comment on column soundscape.deliveries.expires_at is 'Until when it is tried.';
comment on column soundscape.deliveries.retry_at
    is 'From when on a worker may take it; the end of the lease of one that has.';
comment on column soundscape.deliveries.token is 'Of the worker that has it.';
comment on column soundscape.deliveries.attempts is 'Claims since a worker last said how it went.';
comment on column soundscape.deliveries.failures is 'How often a worker said that it must be tried later.';
comment on column soundscape.deliveries.finished_at is 'When it ended.';
comment on column soundscape.deliveries.error_code is 'Why it failed, or is tried again.';
comment on column soundscape.deliveries.error_message is 'The server''s words.';

create table soundscape.ended_addresses (
    user_id uuid primary key references public.users (id) on delete cascade,
    address text not null,
    message text check (char_length(message) <= 500),
    ended_at timestamptz not null default now()
);
alter table soundscape.ended_addresses enable row level security;
comment on table soundscape.ended_addresses
    is 'Addresses that a mail server does not know. Nothing is sent there until the user has another one, or an '
       'operator calls reopen_address.';
comment on column soundscape.ended_addresses.user_id is 'The user.';
comment on column soundscape.ended_addresses.address is 'The address.';
comment on column soundscape.ended_addresses.message is 'What the server said.';
comment on column soundscape.ended_addresses.ended_at is 'When.';

create table soundscape.channels (
    channel text primary key check (channel in ('email', 'push')),
    is_on boolean not null default false,
    reason text,
    public_key text,
    reported_at timestamptz
);
alter table soundscape.channels enable row level security;
insert into soundscape.channels (channel) values ('email'), ('push');
comment on table soundscape.channels is 'Which channels the workers can deliver to, as they last reported.';
comment on column soundscape.channels.channel is 'email or push.';
comment on column soundscape.channels.is_on is 'Whether a worker delivers to it.';
comment on column soundscape.channels.reason is 'Why not: the setting that is missing.';
comment on column soundscape.channels.public_key is 'The VAPID key with which browsers subscribe to pushes.';
comment on column soundscape.channels.reported_at is 'When a worker last said so. Null: none did.';

create table soundscape.delivery_settings (
    channel text primary key check (channel in ('email', 'push')),
    bundle_after interval not null,
    bundle_within interval not null,
    max_age interval not null
);
alter table soundscape.delivery_settings enable row level security;
insert into soundscape.delivery_settings (channel, bundle_after, bundle_within, max_age) values
    ('email', '2 minutes', '30 minutes', '3 days'),
    ('push', '5 seconds', '30 seconds', '1 day');
comment on table soundscape.delivery_settings
    is 'How entries are bundled, and how long they are tried. An operator may change it.';
comment on column soundscape.delivery_settings.channel is 'email or push.';
comment on column soundscape.delivery_settings.bundle_after
    is 'A bundle is sent when nothing was added to it for so long.';
comment on column soundscape.delivery_settings.bundle_within
    is 'It is sent at the latest so long after its first entry.';
comment on column soundscape.delivery_settings.max_age is 'After so long it is given up.';

-- Writing
-- =======

create or replace function soundscape.notify(
    recipient uuid, kind text, audio_id uuid, error_code text, trace_id text, error_message text default null
) returns void
language plpgsql security definer set search_path = '' as $$
declare
    registered soundscape.notification_kinds;
begin
    select * into registered from soundscape.notification_kinds k where k.kind = notify.kind;
    if registered.kind is null then
        raise exception 'The kind % is not in soundscape.notification_kinds.', kind using errcode = '23503';
    end if;
    -- Nobody reads what a closed account is told. Its rows are locked while they are deleted, and the caller may hold
    -- what the deletion waits for.
    if not exists (select from public.users u where u.id = recipient)
        or exists (select from soundscape.account_deletions d where d.user_id = recipient)
        or exists (
            select from public.notifications n
            where n.user_id = recipient and n.kind = notify.kind and n.audio_id is not distinct from notify.audio_id
              and n.created_at > now() - registered.at_most_every)
        or exists (
            select from soundscape.outbox o
            where o.user_id = recipient and o.kind = notify.kind and o.audio_id is not distinct from notify.audio_id
              and o.created_at > now() - registered.at_most_every)
    then
        return;
    end if;
    if soundscape.is_notified(recipient, kind, 'in_app') then
        insert into public.notifications (user_id, kind, audio_id, error_code, trace_id, error_message)
        values (recipient, notify.kind, notify.audio_id, notify.error_code, notify.trace_id, notify.error_message);
    end if;
    insert into soundscape.outbox (user_id, channel, kind, audio_id, error_code)
    select recipient, c.channel, notify.kind, notify.audio_id, notify.error_code
    from unnest(array['email', 'push']) as c (channel)
    where soundscape.is_notified(recipient, notify.kind, c.channel) and (
        c.channel = 'email' or exists (select from public.push_subscriptions s where s.user_id = recipient));
end
$$;
comment on function soundscape.notify(uuid, text, uuid, text, text, text)
    is 'Notifies a user, in the transaction of the event, by the channels that the user has on for this kind. Every '
       'notification, and every entry of the outbox but digests, is written here.';

-- The worker's side
-- =================

create function soundscape.max_unanswered_claims() returns integer
language sql immutable parallel safe set search_path = '' return 5;
comment on function soundscape.max_unanswered_claims()
    is 'A delivery that so many workers took and never ended is given up: it may be what ends them.';

create function soundscape.deliveries_kept_for() returns interval
language sql immutable parallel safe set search_path = '' return interval '30 days';
comment on function soundscape.deliveries_kept_for() is 'How long ended deliveries are kept, and what they had.';

create function soundscape.mail_address(account uuid) returns text
language sql stable security definer set search_path = ''
return (
    select u.email from auth.users u
    where u.id = account and u.email_confirmed_at is not null and u.email <> '');
comment on function soundscape.mail_address(uuid) is 'The confirmed e-mail address of a user. Null if there is none.';

create function soundscape.mail_problem(account uuid) returns text
language sql stable security definer set search_path = ''
return case
    when soundscape.mail_address(account) is null then 'no_address'
    when exists (
        select from soundscape.ended_addresses e
        where e.user_id = account and e.address = soundscape.mail_address(account)) then 'address_ended' end;
comment on function soundscape.mail_problem(uuid) is 'Why no mail can be sent to a user. Null if it can.';

create function soundscape.bundle(account uuid, to_channel text, lasts interval) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    bundle uuid := gen_random_uuid();
    quiet_end timestamptz;
begin
    -- Two workers would make two bundles. The later one leaves it to the other.
    if not pg_try_advisory_xact_lock(hashtextextended('soundscape.bundle ' || to_channel || account, 0)) then
        return false;
    end if;
    select soundscape.end_of_quiet(p.time_zone, p.quiet_from, p.quiet_until, now()) into quiet_end
    from public.user_preferences p where p.user_id = account;
    if quiet_end is not null then
        update soundscape.outbox o set deliver_at = quiet_end
        where o.user_id = account and o.channel = to_channel and o.bundle_id is null and o.deliver_at <= now();
        return found;
    end if;
    -- What was switched off since, and what nobody can get any more.
    delete from soundscape.outbox o
    where o.user_id = account and o.channel = to_channel and o.bundle_id is null
      and not soundscape.is_notified(account, o.kind, to_channel);
    insert into soundscape.deliveries (bundle_id, user_id, channel, subscription_id, expires_at)
    select bundle, account, to_channel, s.id, now() + lasts
    from (select) as one left join public.push_subscriptions s on to_channel = 'push' and s.user_id = account;
    update soundscape.outbox o set bundle_id = bundle
    where o.user_id = account and o.channel = to_channel and o.bundle_id is null and o.deliver_at <= now();
    if not found then
        delete from soundscape.deliveries d where d.bundle_id = bundle;
    end if;
    return true;
end
$$;
comment on function soundscape.bundle(uuid, text, interval)
    is 'Makes one mail, or one push for each browser, of a user''s waiting entries, or lets them wait until the quiet '
       'hours end. False if another worker is doing it.';

create function soundscape.bundle_some(to_channels text[]) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    due record;
    has_changed boolean := false;
begin
    for due in
        select o.user_id, o.channel, s.max_age
        from soundscape.outbox o join soundscape.delivery_settings s on s.channel = o.channel
        where o.bundle_id is null and o.channel = any (to_channels) and o.deliver_at <= now()
          and not exists (select from soundscape.account_deletions a where a.user_id = o.user_id)
        group by o.user_id, o.channel, s.channel
        having max(o.created_at) <= now() - s.bundle_after or min(o.created_at) <= now() - s.bundle_within
        order by min(o.created_at) limit 20
    loop
        has_changed := soundscape.bundle(due.user_id, due.channel, due.max_age) or has_changed;
    end loop;
    return has_changed;
end
$$;
comment on function soundscape.bundle_some(text[])
    is 'Bundles the oldest entries whose time has come. Whether there were any.';

create function soundscape.end_delivery(delivery uuid, final_state text, code text, message text) returns void
language sql security definer set search_path = '' as $$
    update soundscape.deliveries d
    set state = final_state, finished_at = now(), token = null, address = null,
        error_code = left(code, 64), error_message = left(message, 500)
    where d.id = delivery
$$;
comment on function soundscape.end_delivery(uuid, text, text, text) is 'Ends a delivery.';

create function soundscape.delivery_problem(delivery soundscape.deliveries) returns text
language sql stable security definer set search_path = ''
return case
    when exists (select from soundscape.account_deletions a where a.user_id = delivery.user_id) then 'account_closed'
    when delivery.expires_at <= now() then coalesce(delivery.error_code, 'too_old')
    when delivery.attempts >= soundscape.max_unanswered_claims() then 'worker_lost'
    when delivery.channel = 'push' and delivery.subscription_id is null then 'subscription_gone'
    when delivery.channel = 'email' then soundscape.mail_problem(delivery.user_id) end;
comment on function soundscape.delivery_problem(soundscape.deliveries)
    is 'Why a delivery must not be sent. Null if it may.';

create function soundscape.digest(account uuid, until timestamptz) returns jsonb
language sql stable security definer set search_path = '' as $$
    with week as (
        select f.id, f.title, f.status, f.analyzed_at,
               (select count(*) from public.likes l where l.audio_id = f.id and l.user_id <> account
                and l.created_at > until - interval '7 days' and l.created_at <= until) as likes
        from public.audio_files f where f.user_id = account)
    select jsonb_build_object(
        'ready', count(*) filter (where w.status = 'ready' and w.analyzed_at > until - interval '7 days'),
        'likes', coalesce(sum(w.likes), 0),
        'liked', coalesce((
            select jsonb_agg(jsonb_build_object('id', t.id, 'title', t.title, 'likes', t.likes))
            from (select * from week where likes > 0 order by likes desc, id limit 3) as t), '[]'),
        'collected', (
            select count(*) from public.playlist_items i
            join public.playlists p on p.id = i.playlist_id and p.is_public and p.user_id <> account
            join public.audio_files f on f.id = i.audio_id and f.user_id = account
            where i.added_at > until - interval '7 days' and i.added_at <= until))
    from week w
$$;
comment on function soundscape.digest(uuid, timestamptz)
    is 'What happened to a user''s recordings in the week before: numbers, and titles of the user''s own recordings.';

create function soundscape.delivery_content(bundle uuid, account uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
        'kind', told.kind, 'count', told.events,
        'digest', case when told.kind = 'weekly_digest' then soundscape.digest(account, told.latest) end,
        'recordings', (
            select jsonb_agg(jsonb_build_object('id', r.id, 'title', r.title) order by r.first_at, r.id)
            from (select f.id, f.title, min(o.created_at) as first_at
                  from soundscape.outbox o join public.audio_files f on f.id = o.audio_id
                  where o.bundle_id = bundle and o.kind = told.kind and f.user_id = account
                  group by f.id order by min(o.created_at), f.id limit 10) as r)
        )) order by told.earliest, told.kind)
    from (select o.kind, count(*) as events, min(o.created_at) as earliest, max(o.created_at) as latest
          from soundscape.outbox o where o.bundle_id = bundle group by o.kind) as told
$$;
comment on function soundscape.delivery_content(uuid, uuid)
    is 'What a delivery tells: each kind, how often, and up to ten of the recipient''s own recordings. No words of '
       'other users.';

create function soundscape.claim_delivery(channels text[], lease_s integer default 120)
returns table (
    delivery_id uuid, token uuid, channel text, attempt integer, user_id uuid, locale text, address text,
    endpoint text, p256dh text, auth text, content jsonb)
language plpgsql security definer rows 1 set search_path = '' as $$
#variable_conflict use_column
declare
    due soundscape.deliveries;
    problem text;
begin
    for looks in 1 .. 100 loop
        select * into due from soundscape.deliveries d
        where lease_s > 0 and d.state in ('queued', 'running') and d.retry_at <= now()
          and d.channel = any (channels)
        order by d.retry_at limit 1 for update of d skip locked;
        if due.id is null then
            exit when lease_s <= 0 or not soundscape.bundle_some(channels);
            continue;
        end if;
        problem := soundscape.delivery_problem(due);
        if problem is not null then
            perform soundscape.end_delivery(
                due.id,
                case when problem in ('account_closed', 'subscription_gone', 'no_address', 'address_ended')
                    then 'dropped' else 'dead' end,
                problem, due.error_message);
            continue;
        end if;
        return query
            update soundscape.deliveries d
            set state = 'running', token = gen_random_uuid(), attempts = d.attempts + 1,
                retry_at = clock_timestamp() + make_interval(secs => lease_s),
                address = case when d.channel = 'email' then soundscape.mail_address(d.user_id) end
            where d.id = due.id
            returning d.id, d.token, d.channel, d.attempts, d.user_id,
                coalesce((select p.locale from public.user_preferences p where p.user_id = d.user_id), 'en'),
                d.address,
                (select s.endpoint from public.push_subscriptions s where s.id = d.subscription_id),
                (select s.p256dh from public.push_subscriptions s where s.id = d.subscription_id),
                (select s.auth from public.push_subscriptions s where s.id = d.subscription_id),
                soundscape.delivery_content(d.bundle_id, d.user_id);
        return;
    end loop;
end
$$;
comment on function soundscape.claim_delivery(text[], integer)
    is 'Worker only. A mail or push to send, if there is one, for lease_s seconds. complete_delivery or fail_delivery '
       'follows, or another worker takes it.';

create function soundscape.hold_delivery(delivery uuid, token uuid) returns soundscape.deliveries
language plpgsql security definer set search_path = '' as $$
declare
    held soundscape.deliveries;
begin
    select * into held from soundscape.deliveries d
    where d.id = delivery and d.state = 'running' and d.token = hold_delivery.token for update;
    if held.id is null then
        raise exception 'Another worker has this delivery, or it has ended.'
            using errcode = 'PT409', hint = 'Drop the work.';
    end if;
    return held;
end
$$;
comment on function soundscape.hold_delivery(uuid, uuid) is 'An error unless this worker has the delivery. Locks it.';

create function soundscape.complete_delivery(delivery uuid, token uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.hold_delivery(delivery, token);
    perform soundscape.end_delivery(delivery, 'sent', null, null);
end
$$;
comment on function soundscape.complete_delivery(uuid, uuid)
    is 'Worker only. The mail server or the push service has taken it.';

create function soundscape.fail_delivery(
    delivery uuid, token uuid, outcome text, code text, message text, retry_after_s integer default 0
) returns text
language plpgsql security definer set search_path = '' as $$
declare
    held soundscape.deliveries := soundscape.hold_delivery(delivery, token);
    final_state text;
begin
    if outcome = 'gone' then
        if held.channel = 'push' then
            delete from public.push_subscriptions s where s.id = held.subscription_id;
        else
            insert into soundscape.ended_addresses as e (user_id, address, message)
            values (held.user_id, held.address, left(message, 500))
            on conflict (user_id) do update
            set address = excluded.address, message = excluded.message, ended_at = now();
        end if;
        final_state := 'dropped';
    elsif outcome = 'refused' then
        final_state := 'dead';
    elsif outcome not in ('later', 'released') then
        raise exception 'outcome must be later, released, refused or gone, not %', outcome using errcode = '22023';
    elsif outcome = 'later' and held.expires_at <= now() + make_interval(secs => retry_after_s) then
        final_state := 'dead';
    end if;
    if final_state is not null then
        perform soundscape.end_delivery(delivery, final_state, code, message);
        return final_state;
    end if;
    update soundscape.deliveries d
    set state = 'queued', token = null, attempts = 0,
        failures = d.failures + case when outcome = 'later' then 1 else 0 end,
        retry_at = case when outcome = 'released' then now() else clock_timestamp() + make_interval(
            secs => greatest(retry_after_s, soundscape.backoff_s(10, d.failures + 1))) end,
        error_code = left(code, 64), error_message = left(message, 500)
    where d.id = delivery;
    return 'queued';
end
$$;
comment on function soundscape.fail_delivery(uuid, uuid, text, text, text, integer)
    is 'Worker only. Says how a delivery failed. later: it is tried again, later each time, until it expires. '
       'released: the worker stops. refused: it is given up. gone: nobody is there, and the '
       'address or the subscription ends.';

create function soundscape.report_channel(
    channel text, is_on boolean, reason text default null, public_key text default null
) returns void
language sql security definer set search_path = '' as $$
    update soundscape.channels c
    set is_on = report_channel.is_on, reason = report_channel.reason, public_key = report_channel.public_key,
        reported_at = now()
    where c.channel = report_channel.channel
      -- Workers may have different settings: it is on while one of them delivers.
      and (report_channel.is_on or not c.is_on or c.reported_at < now() - interval '15 minutes')
$$;
comment on function soundscape.report_channel(text, boolean, text, text)
    is 'Worker only. Says whether this worker delivers to a channel, and with which key browsers subscribe. Reported '
       'again every few minutes.';

create function soundscape.unsubscribe(account uuid, kinds text[]) returns void
language sql security definer set search_path = '' as $$
    insert into public.notification_preferences (user_id, kind, channel, enabled)
    select u.id, k.kind, 'email', false
    from public.users u join soundscape.notification_kinds k on k.kind = any (kinds) and 'email' = any (k.channels)
    where u.id = account
    on conflict (user_id, kind, channel) do update set enabled = false
$$;
comment on function soundscape.unsubscribe(uuid, text[])
    is 'Worker only. Ends mails of these kinds to a user, who followed a signed link in one.';

-- For users
-- =========

create function soundscape.notification_channels()
returns table (channel text, is_on boolean, reason text, public_key text)
language sql stable security definer rows 3 set search_path = '' as $$
    select 'in_app', true, null, null where (select auth.uid()) is not null
    union all
    select c.channel, why.reason is null, why.reason, c.public_key
    from soundscape.channels c cross join lateral (select case
        when c.reported_at is null or c.reported_at < now() - interval '1 hour' then 'no_worker'
        when not c.is_on then 'not_configured'
        when c.channel = 'email' then soundscape.mail_problem((select auth.uid())) end as reason) as why
    where (select auth.uid()) is not null
$$;
comment on function soundscape.notification_channels()
    is 'For users. Whether each channel reaches the caller, or why not: not_configured, no_worker, no_address (none is '
       'confirmed), address_ended (a mail came back). public_key is what a browser subscribes to pushes with.';

-- Clean-up
-- ========

create function soundscape.delete_old_deliveries() returns void
language sql security definer set search_path = '' as $$
    delete from soundscape.deliveries d where d.finished_at < now() - soundscape.deliveries_kept_for();
    delete from soundscape.outbox o
    where o.bundle_id is not null and o.created_at < now() - soundscape.deliveries_kept_for()
      and not exists (select from soundscape.deliveries d where d.bundle_id = o.bundle_id);
    -- Nobody delivered it, for example because no worker has a mail server.
    delete from soundscape.outbox o using soundscape.delivery_settings s
    where o.bundle_id is null and s.channel = o.channel and o.created_at < now() - s.max_age
      and o.deliver_at < now() - s.max_age;
$$;
comment on function soundscape.delete_old_deliveries()
    is 'Deletes deliveries that ended a month ago, and entries that nobody delivered in time. pg_cron calls it.';
select cron.schedule('soundscape-delete-old-deliveries', '47 * * * *', 'select soundscape.delete_old_deliveries()');
