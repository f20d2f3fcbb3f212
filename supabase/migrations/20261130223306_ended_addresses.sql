-- An operator reopens every address that ended, or all that ended with one code, however long ago.

alter table soundscape.ended_addresses add column error_code text check (char_length(error_code) <= 64);
comment on column soundscape.ended_addresses.error_code is 'The code of the delivery that ended it.';
update soundscape.ended_addresses e set error_code = (
    select d.error_code from soundscape.deliveries d
    where d.user_id = e.user_id and d.channel = 'email' and d.state = 'dropped' and d.error_code <> 'address_ended'
    order by d.finished_at desc limit 1);

create or replace function soundscape.fail_delivery(
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
            insert into soundscape.ended_addresses as e (user_id, address, message, error_code)
            values (held.user_id, held.address, left(message, 500), left(code, 64))
            on conflict (user_id) do update
            set address = excluded.address, message = excluded.message, error_code = excluded.error_code,
                ended_at = now();
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
        retry_at = case when outcome = 'released' then now() else clock_timestamp() + greatest(
            make_interval(secs => retry_after_s), soundscape.retry_wait(d.channel, d.failures + 1)) end,
        error_code = left(code, 64), error_message = left(message, 500)
    where d.id = delivery;
    return 'queued';
end
$$;

create function soundscape.reopen_addresses(code text default null) returns uuid[]
language sql security definer set search_path = '' as $$
    with reopened as (
        delete from soundscape.ended_addresses e where code is null or e.error_code = code returning e.user_id)
    select coalesce(array_agg(r.user_id order by r.user_id), '{}') from reopened r
$$;
comment on function soundscape.reopen_addresses(text)
    is 'Worker only. Sends mails again to every address that ended, or to those that ended with this code. Returns '
       'their users.';
