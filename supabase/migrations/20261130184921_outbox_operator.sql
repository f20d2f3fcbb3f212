-- The outbox, for its operator: list, show, retry, cancel, figures.

create function soundscape.list_deliveries(
    states text[] default null, owner uuid default null, channel text default null, code text default null,
    before uuid default null, max_deliveries integer default 50
) returns table (
    id uuid, channel text, state text, user_id uuid, kinds text[], attempts integer, failures integer,
    created_at timestamptz, retry_at timestamptz, finished_at timestamptz, error_code text, error_message text)
language sql stable security definer rows 50 set search_path = '' as $$
    select d.id, d.channel, d.state, d.user_id,
        array(select distinct o.kind from soundscape.outbox o where o.bundle_id = d.bundle_id order by o.kind),
        d.attempts, d.failures, d.created_at, d.retry_at, d.finished_at, d.error_code, d.error_message
    from soundscape.deliveries d
    where (states is null or d.state = any (states)) and (owner is null or d.user_id = owner)
      and (list_deliveries.channel is null or d.channel = list_deliveries.channel)
      and (code is null or d.error_code = code)
      and (before is null or (d.created_at, d.id) < (
        select b.created_at, b.id from soundscape.deliveries b where b.id = before))
    order by d.created_at desc, d.id desc limit least(max_deliveries, 1000)
$$;
comment on function soundscape.list_deliveries(text[], uuid, text, text, uuid, integer)
    is 'Worker only. Mails and pushes, newest first. before is the last one of the previous page.';

create function soundscape.show_delivery(delivery uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    select to_jsonb(d) - array['token', 'address'] || jsonb_build_object(
        'content', soundscape.delivery_content(d.bundle_id, d.user_id))
    from soundscape.deliveries d where d.id = delivery
$$;
comment on function soundscape.show_delivery(uuid) is 'Worker only. Everything about one delivery, but where it goes.';

create function soundscape.retry_deliveries(deliveries uuid[]) returns setof uuid
language sql security definer rows 50 set search_path = '' as $$
    update soundscape.deliveries d
    set state = 'queued', attempts = 0, failures = 0, retry_at = now(), finished_at = null,
        expires_at = now() + s.max_age
    from soundscape.delivery_settings s
    where d.id = any (deliveries) and d.state in ('dropped', 'dead') and s.channel = d.channel
    returning d.id
$$;
comment on function soundscape.retry_deliveries(uuid[])
    is 'Worker only. Queues deliveries again that were given up or dropped. Returns those.';

create function soundscape.cancel_deliveries(deliveries uuid[]) returns setof uuid
language sql security definer rows 50 set search_path = '' as $$
    update soundscape.deliveries d
    set state = 'dropped', finished_at = now(), token = null, address = null, error_code = 'cancelled'
    where d.id = any (deliveries) and d.state = 'queued' returning d.id
$$;
comment on function soundscape.cancel_deliveries(uuid[])
    is 'Worker only. Drops deliveries that wait. Returns those. One that a worker has at the moment is sent.';

create function soundscape.reopen_address(account uuid) returns boolean
language sql security definer set search_path = '' as $$
    with reopened as (delete from soundscape.ended_addresses e where e.user_id = account returning e.user_id)
    select exists (select from reopened)
$$;
comment on function soundscape.reopen_address(uuid)
    is 'Worker only. Sends mails again to the address of a user that came back. Whether it had ended.';

create function soundscape.delivery_stats() returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_object_agg(s.channel, jsonb_build_object(
        'is_on', c.is_on, 'reason', c.reason, 'reported_at', c.reported_at,
        'waiting', (
            select count(*) from soundscape.outbox o where o.bundle_id is null and o.channel = s.channel),
        'queued', (
            select count(*) from soundscape.deliveries d where d.state = 'queued' and d.channel = s.channel),
        'running', (
            select count(*) from soundscape.deliveries d where d.state = 'running' and d.channel = s.channel),
        'oldest_s', (
            select extract(epoch from clock_timestamp() - min(d.created_at))::double precision
            from soundscape.deliveries d where d.state in ('queued', 'running') and d.channel = s.channel),
        'ended_in_a_day', (
            select coalesce(jsonb_object_agg(e.state, e.number), '{}')
            from (select d.state, count(*) as number from soundscape.deliveries d
                  where d.channel = s.channel and d.finished_at > now() - interval '1 day' group by d.state) as e),
        'failed', (
            select coalesce(jsonb_object_agg(e.error_code, e.number), '{}')
            from (select coalesce(d.error_code, '') as error_code, count(*) as number from soundscape.deliveries d
                  where d.channel = s.channel and d.state in ('dropped', 'dead') group by 1) as e)))
    from soundscape.delivery_settings s join soundscape.channels c on c.channel = s.channel
$$;
comment on function soundscape.delivery_stats()
    is 'Worker only. Of each channel: whether it is on, what waits and runs, how the last day''s deliveries ended, and '
       'why those of a month were given up or dropped.';
