-- The queue: the ledger of analysis jobs, the order between owners, and the doorbell.
--
-- pgmq keeps the order and the lease (its visibility timeout). The ledger says what a message is for, who holds it and
-- how it ended. A reader deletes a message that has no live row in the ledger. A row without a message waits until its
-- owner has a free place in the queue: docs/decisions/fair-turns.md. The doorbell is a signed HTTP call that wakes the
-- worker. It saves time and is never needed.

-- The ledger
-- ==========

create table soundscape.jobs (
    id bigint generated always as identity primary key,
    audio_id uuid not null references public.audio_files (id) on delete cascade,
    user_id uuid not null,
    object_version text not null,
    analysis_version text check (char_length(analysis_version) between 1 and 64),
    queue text not null check (queue in ('soundscape_uploads', 'soundscape_backfill')),
    msg_id bigint,
    state text not null default 'queued'
        check (state in ('queued', 'running', 'succeeded', 'refused', 'dead', 'superseded', 'cancelled')),
    attempt integer not null default 0,
    excused integer not null default 0,
    retry_at timestamptz,
    worker text,
    lease_expires_at timestamptz,
    error_code text,
    error_message text,
    trace_id text not null default replace(gen_random_uuid()::text, '-', ''),
    created_at timestamptz not null default now(),
    lined_up_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz
);
alter table soundscape.jobs enable row level security;
comment on column soundscape.jobs.id is 'The job.';
comment on column soundscape.jobs.audio_id is 'The recording.';
comment on column soundscape.jobs.user_id is 'The recording''s owner when the job was queued.';
comment on column soundscape.jobs.object_version is 'Version of the object to analyse.';
comment on column soundscape.jobs.analysis_version
    is 'Version of the analysis that was requested. Null means the version that the worker has.';
comment on column soundscape.jobs.queue is 'The pgmq queue. Uploads are claimed before backfills.';
comment on column soundscape.jobs.msg_id is 'The message in that queue. Null while the job waits in its owner''s line.';
comment on column soundscape.jobs.state
    is 'queued → running → succeeded | refused | dead. superseded by newer bytes or a newer analysis. cancelled by '
       'the owner, by the operator or with the object.';
comment on column soundscape.jobs.attempt is 'How often it was claimed. With msg_id it is the token of the holder.';
comment on column soundscape.jobs.excused
    is 'How many of those attempts do not count, because the network failed or a worker was stopped.';
comment on column soundscape.jobs.retry_at is 'Not claimed before this time, after a failed attempt.';
comment on column soundscape.jobs.worker is 'Who holds it.';
comment on column soundscape.jobs.lease_expires_at is 'When the lease ends, unless it is extended.';
comment on column soundscape.jobs.error_code is 'Code of the last failure.';
comment on column soundscape.jobs.error_message is 'What the last failure said.';
comment on column soundscape.jobs.trace_id is 'One id through upload, job and logs.';
comment on column soundscape.jobs.created_at is 'When it was asked for.';
comment on column soundscape.jobs.lined_up_at
    is 'When it entered its owner''s line. Set again when it goes to the end of the line after too many passing '
       'failures.';
comment on column soundscape.jobs.started_at is 'When it was first claimed.';
comment on column soundscape.jobs.finished_at is 'When it ended.';
-- A recording has at most one live job. A newer job supersedes it.
create unique index jobs_live on soundscape.jobs (audio_id) where state in ('queued', 'running');
create index jobs_by_recording on soundscape.jobs (audio_id, id desc);
create index jobs_in_flight on soundscape.jobs (user_id, queue)
    where state in ('queued', 'running') and msg_id is not null;
create index jobs_waiting on soundscape.jobs (queue, user_id, lined_up_at, id) where state = 'queued'
    and msg_id is null;
create index jobs_by_state on soundscape.jobs (state, id desc);
create index jobs_by_owner on soundscape.jobs (user_id, id desc);
create index jobs_by_end on soundscape.jobs (finished_at) where finished_at is not null;
comment on table soundscape.jobs
    is 'One row per requested analysis. The ledger is the truth; the messages of the queue follow it.';

select pgmq.create('soundscape_uploads');
select pgmq.create('soundscape_backfill');

create function soundscape.delete_message() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform pgmq.delete(old.queue, old.msg_id);
    return null;
end
$$;
comment on function soundscape.delete_message() is 'Trigger on jobs: deletes the message of a deleted job.';
create trigger jobs_deleted after delete on soundscape.jobs
    for each row when (old.msg_id is not null)
    execute function soundscape.delete_message();

create function soundscape.enqueue(
    recording uuid, version text, queue text default 'soundscape_uploads', analysis text default null
) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
    job soundscape.jobs;
begin
    -- A live job of this recording is for old bytes or for an old analysis. Its message is deleted when a worker reads
    -- it.
    update soundscape.jobs set state = 'superseded', finished_at = now()
    where audio_id = recording and state in ('queued', 'running');

    insert into soundscape.jobs (audio_id, user_id, object_version, queue, analysis_version)
    select recording, f.user_id, version, enqueue.queue, analysis
    from public.audio_files f where f.id = recording
    returning * into job;
    perform soundscape.admit(job.user_id, job.queue);
    if job.queue = 'soundscape_uploads' then
        perform soundscape.ring_doorbell();
    end if;
    return job.id;
end
$$;
comment on function soundscape.enqueue(uuid, text, text, text)
    is 'Queues the analysis of one version of a recording''s object.';

-- The fair queue
-- ==============

create table soundscape.queue_settings (
    only_row boolean primary key default true check (only_row),
    in_flight_per_owner integer not null default 8 check (in_flight_per_owner between 1 and 10000),
    backfill_every integer not null default 10 check (backfill_every between 2 and 1000),
    paused_at timestamptz,
    changed_at timestamptz not null default now()
);
alter table soundscape.queue_settings enable row level security;
comment on table soundscape.queue_settings
    is 'How the workers are shared between owners. One row; set_queue changes it.';
comment on column soundscape.queue_settings.only_row is 'There is one row.';
comment on column soundscape.queue_settings.in_flight_per_owner
    is 'How many jobs of one owner may be in one queue at once, claimed or ready.';
comment on column soundscape.queue_settings.backfill_every
    is 'One claim in this many starts with the backfills, so that uploads never starve them.';
comment on column soundscape.queue_settings.paused_at is 'When claims were paused. Null means the queue is open.';
comment on column soundscape.queue_settings.changed_at is 'When it was last changed.';
insert into soundscape.queue_settings default values;

create sequence soundscape.claim_rounds cycle;
comment on sequence soundscape.claim_rounds
    is 'Counts claims, so that one in backfill_every starts with the backfills.';

create function soundscape.max_ready_per_owner() returns integer
language sql immutable parallel safe set search_path = '' return 2;
comment on function soundscape.max_ready_per_owner()
    is 'How many ready messages of one owner may be in a queue. A new owner waits behind at most this many of each '
       'other owner.';

create function soundscape.admit(owner uuid, wanted_queue text) returns boolean
language plpgsql security definer set search_path = '' as $$
-- This takes no lock that others wait for. Two calls at once may admit one job too many, which claim_next sends back.
-- They may also admit one too few: the next claim that finds nothing, or the sweep, admits it.
declare
    in_flight integer;
    standing integer;
    job soundscape.jobs;
    message bigint;
begin
    select count(*), count(*) filter (
        where j.state = 'queued' and (j.retry_at is null or j.retry_at <= clock_timestamp()))
    into in_flight, standing
    from soundscape.jobs j
    where j.user_id = owner and j.queue = wanted_queue and j.state in ('queued', 'running') and j.msg_id is not null;
    if standing >= soundscape.max_ready_per_owner()
       or in_flight >= (select s.in_flight_per_owner from soundscape.queue_settings s)
    then
        return false;
    end if;
    select * into job from soundscape.jobs j
    where j.queue = wanted_queue and j.user_id = owner and j.state = 'queued' and j.msg_id is null
    order by j.lined_up_at, j.id limit 1 for update skip locked;
    if job.id is null then
        return false;
    end if;
    message := pgmq.send(wanted_queue, jsonb_build_object('job_id', job.id),
        greatest(0, ceil(extract(epoch from job.retry_at - clock_timestamp())))::integer);
    update soundscape.jobs set msg_id = message where id = job.id;
    return true;
end
$$;
comment on function soundscape.admit(uuid, text)
    is 'Admits the owner''s longest waiting job to the queue, if the owner has a free place.';

create function soundscape.admit_waiting() returns integer
language plpgsql security definer set search_path = '' as $$
declare
    line record;
    admitted integer := 0;
begin
    -- The index leads from owner to owner. The number of waiting jobs of each owner does not matter.
    for line in
        with recursive lines as (
            (select j.queue, j.user_id from soundscape.jobs j
             where j.state = 'queued' and j.msg_id is null
             order by j.queue, j.user_id limit 1)
            union all
            select following.queue, following.user_id from lines cross join lateral (
                select j.queue, j.user_id from soundscape.jobs j
                where j.state = 'queued' and j.msg_id is null
                  and (j.queue, j.user_id) > (lines.queue, lines.user_id)
                order by j.queue, j.user_id limit 1) following
        )
        select queue, user_id from lines
    loop
        if soundscape.admit(line.user_id, line.queue) then
            admitted := admitted + 1;
        end if;
    end loop;
    return admitted;
end
$$;
comment on function soundscape.admit_waiting()
    is 'Admits a job for every owner with waiting jobs. Returns how many were admitted.';

-- The doorbell
-- ============

create function soundscape.ring_doorbell() returns void
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
    -- The secret may not be base64, or pg_net may be off. Only the doorbell is lost then, never the upload.
    raise warning 'The doorbell does not ring: %', sqlerrm;
end
$$;
comment on function soundscape.ring_doorbell()
    is 'Wakes the worker. The call is sent after commit, is never retried and is never needed.';
