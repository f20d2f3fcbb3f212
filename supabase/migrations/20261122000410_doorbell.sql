-- The doorbell: a signed HTTP call that only makes the worker look sooner.

create function soundscape.ring() returns void
language plpgsql security definer set search_path = '' as $$
declare
    worker_url text;
    secret text;
    body jsonb := jsonb_build_object('type', 'soundscape.queue', 'timestamp', now());
    message_id text := 'msg_' || replace(gen_random_uuid()::text, '-', '');
    sent_at text := floor(extract(epoch from clock_timestamp()))::bigint::text;
begin
    select decrypted_secret into worker_url from vault.decrypted_secrets where name = 'soundscape_worker_url';
    select decrypted_secret into secret from vault.decrypted_secrets where name = 'soundscape_webhook_secret';
    if worker_url is null or secret is null then
        return;  -- Not deployed with a doorbell: the worker polls.
    end if;
    -- Standard Webhooks 1.0: HMAC-SHA256 over id.timestamp.body, key in base64 behind whsec_.
    perform net.http_post(
        url := worker_url || '/api/webhooks/storage',
        body := body,
        headers := jsonb_build_object(
            'content-type', 'application/json',
            'webhook-id', message_id,
            'webhook-timestamp', sent_at,
            'webhook-signature', 'v1,' || encode(
                extensions.hmac(
                    convert_to(message_id || '.' || sent_at || '.' || body::text, 'UTF8'),
                    decode(replace(secret, 'whsec_', ''), 'base64'),
                    'sha256'),
                'base64')),
        timeout_milliseconds := 5000);
exception when others then
    -- A secret that is no base64, pg_net switched off: only a hint is lost, never the upload.
    raise warning 'The doorbell does not ring: %', sqlerrm;
end
$$;
comment on function soundscape.ring() is 'Wake the worker. Sent after commit, never retried, never needed.';
