-- Leases: how a worker claims a job, holds it and ends it, and how an owner cancels or retries one.
--
-- Every function locks in the same order: the owner, the recording, the job. Deleting an account locks in this order
-- too. The owner's row must be locked first because ending a job writes rows with a foreign key to it.

create function soundscape.max_attempts() returns integer
language sql immutable parallel safe set search_path = '' return 5;
comment on function soundscape.max_attempts()
    is 'Attempts before a job is dead. Attempts of killed workers count, excused ones do not.';

create function soundscape.max_excused_failures() returns integer
language sql immutable parallel safe set search_path = '' return 50;
comment on function soundscape.max_excused_failures()
    is 'Passing failures before a job is dead: about two hours of them.';

create function soundscape.failures_before_requeue() returns integer
language sql immutable parallel safe set search_path = '' return 3;
comment on function soundscape.failures_before_requeue()
    is 'After this many passing failures a job goes to the end of its owner''s line, so that stuck objects do not '
       'block the others.';

create function soundscape.backoff_s(base_s integer, failures integer) returns integer
language sql volatile set search_path = ''
-- Full jitter: any delay up to the limit, so that jobs that failed together do not return together.
return greatest(1, round(random() * least(300, base_s * power(2, least(failures - 1, 16)))));
comment on function soundscape.backoff_s(integer, integer)
    is 'Seconds until the next attempt: exponential in the number of failures, at most 300, with full jitter.';

create function soundscape.return_to_line(job soundscape.jobs) returns void
language sql security definer set search_path = '' as $$
    select pgmq.delete(job.queue, job.msg_id);
    update soundscape.jobs set state = 'queued', msg_id = null, worker = null, lease_expires_at = null
    where id = job.id;
    update public.audio_files set status = 'queued' where id = job.audio_id and status = 'analyzing';
$$;
comment on function soundscape.return_to_line(soundscape.jobs)
    is 'Takes a job out of the queue again, because its owner has too many in flight. It waits until its owner has a '
       'free place.';

create function soundscape.start_job(job soundscape.jobs, worker text, lease_s integer) returns soundscape.jobs
language plpgsql security definer set search_path = '' as $$
declare
    started soundscape.jobs;
begin
    update soundscape.jobs j
    set state = 'running', worker = start_job.worker, attempt = j.attempt + 1, retry_at = null,
        started_at = coalesce(j.started_at, now()),
        lease_expires_at = clock_timestamp() + make_interval(secs => lease_s)
    where j.id = job.id
    returning * into started;
    update public.audio_files set status = 'analyzing', trace_id = started.trace_id
    where id = started.audio_id and status = 'queued';
    perform soundscape.admit(started.user_id, started.queue);
    return started;
end
$$;
comment on function soundscape.start_job(soundscape.jobs, text, integer)
    is 'Marks a locked job as running for a worker, and admits the owner''s next job to the queue.';

create function soundscape.claim_next(
    wanted_queue text, worker text, lease_s integer, owners_held uuid[]
) returns soundscape.jobs
language plpgsql security definer set search_path = '' as $$
declare
    message record;
    job soundscape.jobs;
    recording uuid;
    owner_key bigint;
begin
    loop
        select * into message from pgmq.read(wanted_queue, lease_s, 1);
        if message.msg_id is null then
            return null;
        end if;
        select * into job from soundscape.jobs j
        where j.id = (message.message ->> 'job_id')::bigint and j.msg_id = message.msg_id
          and j.state in ('queued', 'running');
        if job.id is null then
            perform pgmq.delete(wanted_queue, message.msg_id);
            continue;
        end if;

        -- Only one claim at a time may count the running jobs of an owner. A transaction waits for this lock only while
        -- it holds no other owner's.
        owner_key := hashtextextended('soundscape.owner/' || wanted_queue || '/' || job.user_id, 0);
        if cardinality(owners_held) = 0 then
            perform pg_advisory_xact_lock(owner_key);
            owners_held := owners_held || job.user_id;
        elsif job.user_id <> all (owners_held) and not pg_try_advisory_xact_lock(owner_key) then
            perform pgmq.set_vt(wanted_queue, message.msg_id, 0);
            return null;
        end if;
        -- The recording is locked before its job, everywhere. This transaction holds the message, so it must not wait:
        -- the holder of the recording may be about to change the message.
        select f.id into recording from public.audio_files f join public.users u on u.id = f.user_id
        where f.id = job.audio_id for key share of u skip locked for update of f skip locked;
        if recording is null then
            perform pgmq.set_vt(wanted_queue, message.msg_id, 1);
            continue;
        end if;
        select * into job from soundscape.jobs j
        where j.id = job.id and j.msg_id = message.msg_id and j.state in ('queued', 'running') for update;
        if job.id is null then
            perform pgmq.delete(wanted_queue, message.msg_id);
            continue;
        end if;
        if job.attempt - job.excused >= soundscape.max_attempts() then
            perform soundscape.end_job(job, 'dead', 'failed', coalesce(job.error_code, 'analysis_crashed'),
                job.error_message);
            continue;
        end if;
        if (select count(*) from soundscape.jobs j
            where j.user_id = job.user_id and j.queue = wanted_queue and j.state = 'running' and j.msg_id is not null
              and j.id <> job.id) >= (select s.in_flight_per_owner from soundscape.queue_settings s)
        then
            perform soundscape.return_to_line(job);
            continue;
        end if;

        return soundscape.start_job(job, worker, lease_s);
    end loop;
end
$$;
comment on function soundscape.claim_next(text, text, integer, uuid[])
    is 'Claims the next job of one queue, or returns null. owners_held lists the owners whose lock this transaction '
       'already holds.';

create function soundscape.claim_jobs(
    worker text, max_jobs integer default 1, lease_s integer default 60, holding text[] default null
)
returns table (
    job_id bigint, token text, trace_id text, attempt integer, audio_id uuid, user_id uuid,
    object_name text, object_version text, size_bytes bigint, content_type text, object_etag text
)
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
    settings soundscape.queue_settings;
    queues text[];
    job soundscape.jobs;
    owners_held uuid[] := '{}';
    looked_at_lines boolean := false;
    left_to_claim integer := least(max_jobs, 100);
begin
    -- Claims that this worker holds without knowing: the response was lost. That is nobody's fault, so the attempt is
    -- not counted.
    for job in
        select j.* from soundscape.jobs j
        where j.state = 'running' and j.worker = claim_jobs.worker and j.msg_id || '.' || j.attempt <> all (holding)
    loop
        perform soundscape.fail_job(job.id, job.msg_id || '.' || job.attempt, 'released', 'claim_unanswered',
            'The answer to a claim did not reach the worker. It is tried again.');
        left_to_claim := 0;
    end loop;
    select * into settings from soundscape.queue_settings;
    while left_to_claim > 0 and settings.paused_at is null loop
        queues := array['soundscape_uploads', 'soundscape_backfill'];
        if nextval('soundscape.claim_rounds') % settings.backfill_every = 0 then
            queues := array['soundscape_backfill', 'soundscape_uploads'];
        end if;
        job := soundscape.claim_next(queues[1], claim_jobs.worker, lease_s, owners_held);
        if job.id is null then
            job := soundscape.claim_next(queues[2], claim_jobs.worker, lease_s, owners_held);
        end if;
        if job.id is null then
            exit when looked_at_lines or soundscape.admit_waiting() = 0;
            looked_at_lines := true;
            continue;
        end if;
        owners_held := owners_held || job.user_id;
        left_to_claim := left_to_claim - 1;
        return query
            select job.id, job.msg_id || '.' || job.attempt, job.trace_id, job.attempt, f.id, f.user_id,
                   f.file_path, job.object_version, f.size_bytes, f.content_type, f.object_etag
            from public.audio_files f where f.id = job.audio_id;
    end loop;
end
$$;
comment on function soundscape.claim_jobs(text, integer, integer, text[])
    is 'Worker only. Claims up to max_jobs jobs for lease_s seconds; docs/decisions/fair-turns.md says whose jobs '
       'come first. Every later call needs the token. holding lists the tokens that the worker knows of. Other claims '
       'of this worker are released, because the response to them was lost.';

create function soundscape.next_message_s() returns double precision
language sql stable security definer set search_path = '' as $$
    -- greatest() ignores null and would return 0.
    select case when min(m.vt) is not null
        then greatest(0, extract(epoch from min(m.vt) - clock_timestamp())) end::double precision
    from (select min(u.vt) as vt from pgmq.q_soundscape_uploads u
          union all select min(b.vt) from pgmq.q_soundscape_backfill b) m
    where (select s.paused_at is null from soundscape.queue_settings s)
$$;
comment on function soundscape.next_message_s()
    is 'Worker only. Seconds until a lease expires or a job is due, whichever comes first. 0 when a job is waiting, '
       'null when there is none or the queue is paused.';

create function soundscape.lock_held_job(job_id bigint, token text) returns soundscape.jobs
language plpgsql security definer set search_path = '' as $$
declare
    job soundscape.jobs;
begin
    -- The owner is locked before the recording, everywhere: the account may be being deleted, or new bytes may be
    -- arriving. The lock on the recording is the weakest that allows the update. With a stronger one, two jobs that
    -- complete at once and claim to match each other would deadlock.
    perform from public.users u
    where u.id = (select j.user_id from soundscape.jobs j where j.id = job_id) for key share;
    perform from public.audio_files f
    where f.id = (select j.audio_id from soundscape.jobs j where j.id = job_id) for no key update;
    select * into job from soundscape.jobs where id = job_id for update;
    if job.id is null or job.state <> 'running' or token is distinct from job.msg_id || '.' || job.attempt then
        raise exception 'lease_lost' using errcode = 'PT409',
            detail = format('Job %s is not held by this token.', job_id),
            hint = 'Drop the work: another worker has the job, or it is no longer wanted.';
    end if;
    return job;
end
$$;
comment on function soundscape.lock_held_job(bigint, text)
    is 'Locks and returns the job if the token still holds it. Otherwise raises an error that ends the transaction.';

create function soundscape.extend_lease(job_id bigint, token text, lease_s integer default 60) returns timestamptz
language plpgsql security definer set search_path = '' as $$
declare
    job soundscape.jobs := soundscape.lock_held_job(job_id, token);
    until timestamptz := clock_timestamp() + make_interval(secs => lease_s);
begin
    perform pgmq.set_vt(job.queue, job.msg_id, lease_s);
    update soundscape.jobs set lease_expires_at = until where id = job.id;
    return until;
end
$$;
comment on function soundscape.extend_lease(bigint, text, integer)
    is 'Worker only. The heartbeat: holds the job for lease_s more seconds.';

create function soundscape.owner_message(final_state text, code text, message text) returns text
language sql immutable parallel safe set search_path = ''
-- A refusal is about the file, and its owner reads it. A failure on our side is for the operator.
return case final_state
    when 'refused' then left(message, 2000)
    when 'dead' then 'The analysis did not come to an end, though it was tried several times. '
        'Try again later (retry_analysis), or upload the recording in another format.'
    when 'cancelled' then 'The analysis was cancelled. Ask for it again with retry_analysis.'
end;
comment on function soundscape.owner_message(text, text, text) is 'What the owner reads about how a job ended.';

create function soundscape.end_job(
    job soundscape.jobs, final_state text, file_status text, code text default null, message text default null
) returns void
language plpgsql security definer set search_path = '' as $$
begin
    update soundscape.jobs
    set state = final_state, finished_at = clock_timestamp(), lease_expires_at = null, retry_at = null,
        error_code = left(code, 64), error_message = left(message, 2000)
    where id = job.id;
    -- A job that never ran passes through analyzing, so that each step of the status is legal. A recording that was
    -- ready during a backfill stays ready however the backfill ends.
    update public.audio_files set status = 'analyzing' where id = job.audio_id and status = 'queued'
        and file_status = 'ready';
    update public.audio_files
    set status = file_status, error_code = left(code, 64), error_message = soundscape.owner_message(final_state, code,
        message),
        trace_id = job.trace_id
    where id = job.audio_id and status in ('queued', 'analyzing');
    -- Owners know when they cancelled it themselves.
    if found and final_state <> 'cancelled' then
        perform soundscape.notify(f.user_id, 'recording_' || f.status, f.id, f.error_code, f.trace_id)
        from public.audio_files f where f.id = job.audio_id;
    end if;
    perform pgmq.delete(job.queue, job.msg_id);

    -- Results of former bytes say nothing about these.
    if file_status <> 'ready' and exists (
        select from public.audio_features f
        where f.audio_id = job.audio_id and f.object_version <> job.object_version)
    then
        perform soundscape.delete_results(job.audio_id);
        update public.audio_files set analysis_version = null, analyzed_at = null where id = job.audio_id;
        insert into soundscape.deletions (bucket_id, name)
        select o.bucket_id, o.name from storage.objects o
        where o.bucket_id = 'waveforms' and o.name like job.audio_id::text || '/%'
        on conflict do nothing;
    end if;
    perform soundscape.admit(job.user_id, job.queue);
end
$$;
comment on function soundscape.end_job(soundscape.jobs, text, text, text, text)
    is 'Records how a job ended in the ledger and on the recording, notifies the owner and deletes the message. The '
       'caller has locked the recording and the job.';

create function soundscape.fail_job(job_id bigint, token text, kind text, code text, message text) returns text
language plpgsql security definer set search_path = '' as $$
declare
    job soundscape.jobs := soundscape.lock_held_job(job_id, token);
    wait_s integer;
begin
    if kind in ('failed', 'rejected') then
        perform soundscape.end_job(job, 'refused', kind, code, message);
        return 'refused';
    elsif kind = 'crashed' then
        wait_s := case when job.attempt - job.excused < soundscape.max_attempts()
            then soundscape.backoff_s(2, job.attempt - job.excused) end;
    elsif kind = 'passing' then
        job.excused := job.excused + 1;
        wait_s := case when job.excused < soundscape.max_excused_failures() then soundscape.backoff_s(5,
            job.excused) end;
    elsif kind = 'released' then
        job.excused := job.excused + 1;
        wait_s := case when job.excused < soundscape.max_excused_failures() then 0 end;
    else
        raise exception 'kind must be failed, rejected, crashed, passing or released, not %', kind
            using errcode = '22023';
    end if;
    if wait_s is null then
        perform soundscape.end_job(job, 'dead', 'failed', code, message);
        return 'dead';
    end if;
    update soundscape.jobs
    set state = 'queued', worker = null, lease_expires_at = null, excused = job.excused,
        retry_at = clock_timestamp() + make_interval(secs => wait_s),
        error_code = left(code, 64), error_message = left(message, 2000)
    where id = job.id;
    update public.audio_files set status = 'queued' where id = job.audio_id and status = 'analyzing';
    if kind = 'passing' and job.excused % soundscape.failures_before_requeue() = 0 and exists (
        select from soundscape.jobs j
        where j.queue = job.queue and j.user_id = job.user_id and j.state = 'queued' and j.msg_id is null)
    then
        perform pgmq.delete(job.queue, job.msg_id);
        update soundscape.jobs set msg_id = null, lined_up_at = clock_timestamp() where id = job.id;
    else
        perform pgmq.set_vt(job.queue, job.msg_id, wait_s);
    end if;
    perform soundscape.admit(job.user_id, job.queue);
    return 'queued';
end
$$;
comment on function soundscape.fail_job(bigint, text, text, text, text)
    is 'Worker only. Says how an attempt failed. failed and rejected are final. crashed counts as an attempt; passing '
       'does not. Both are retried after a delay until the limit is reached. released is retried at once.';

-- What an owner may ask for
-- =========================

create function soundscape.cancel_job(recording uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
-- The caller holds the recording.
declare
    job soundscape.jobs;
begin
    select * into job from soundscape.jobs
    where audio_id = recording and state in ('queued', 'running') for update;
    if job.id is null then
        return false;
    end if;
    -- If a worker has the job, its token is refused at its next heartbeat.
    perform soundscape.end_job(job, 'cancelled', 'failed', 'cancelled');
    return true;
end
$$;
comment on function soundscape.cancel_job(uuid) is 'Ends the live job of a recording. False if there is none.';

create function soundscape.retry_job(recording uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
-- The caller holds the recording.
declare
    file public.audio_files;
begin
    select * into file from public.audio_files where id = recording;
    if file.status not in ('failed', 'rejected') or file.object_version is null then
        return false;
    end if;
    update public.audio_files set status = 'queued', error_code = null, error_message = null where id = recording;
    perform soundscape.enqueue(recording, file.object_version);
    return true;
end
$$;
comment on function soundscape.retry_job(uuid)
    is 'Queues a recording again that failed or was rejected. False for any other.';

create function soundscape.lock_own_recording(recording uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform from public.users where id = (select auth.uid()) for key share;
    perform from public.audio_files where id = recording and user_id = (select auth.uid()) for update;
    if not found then
        raise exception 'You have no recording with the id %.', recording
            using errcode = '42501', hint = 'Only the owner can cancel or retry the analysis.';
    end if;
end
$$;
comment on function soundscape.lock_own_recording(uuid)
    is 'Locks a recording of the caller. An error if it is not theirs.';

create function soundscape.cancel_analysis(recording uuid) returns text
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.lock_own_recording(recording);
    perform soundscape.cancel_job(recording);
    return (select status from public.audio_files where id = recording);
end
$$;
comment on function soundscape.cancel_analysis(uuid)
    is 'For owners. Stops the analysis of a recording that is queued or being analysed. Returns the status '
       'afterwards: failed with the code cancelled, or the same as before if there was nothing to stop.';

create function soundscape.retry_analysis(recording uuid) returns text
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.lock_own_recording(recording);
    perform soundscape.retry_job(recording);
    return (select status from public.audio_files where id = recording);
end
$$;
comment on function soundscape.retry_analysis(uuid)
    is 'For owners. Analyses a recording again that failed, was rejected or was cancelled. Returns the status '
       'afterwards.';
