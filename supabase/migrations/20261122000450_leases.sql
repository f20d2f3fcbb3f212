-- A job in a worker's hands: claimed, held, ended. Everybody locks the recording before its job.

create function soundscape.claim_jobs(worker text, max_jobs integer, lease_s integer)
returns table (
    job_id bigint, token text, trace_id text, attempt integer, audio_id uuid, user_id uuid,
    object_name text, object_version text, size_bytes bigint, content_type text
)
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
    wanted_queue text;
    message record;
    job soundscape.jobs;
    file public.audio_files;
    left_to_claim integer := least(max_jobs, 100);
begin
    foreach wanted_queue in array array['soundscape_uploads', 'soundscape_backfill'] loop
        while left_to_claim > 0 loop
            select * into message from pgmq.read(wanted_queue, lease_s, 1);
            exit when message.msg_id is null;

            select * into job from soundscape.jobs j
            where j.id = (message.message ->> 'job_id')::bigint and j.msg_id = message.msg_id
              and j.state in ('queued', 'running');
            if job.id is null then
                perform pgmq.archive(wanted_queue, message.msg_id);
                continue;
            end if;
            -- Everybody locks the recording before its job, and this, holding the message, waits for nobody:
            -- who holds the recording may be the job's holder, about to touch the message.
            select * into file from public.audio_files f where f.id = job.audio_id for update skip locked;
            if file.id is null then
                perform pgmq.set_vt(wanted_queue, message.msg_id, 1);
                continue;
            end if;
            select * into job from soundscape.jobs j
            where j.id = job.id and j.state in ('queued', 'running') for update;
            if job.id is null then
                perform pgmq.archive(wanted_queue, message.msg_id);
                continue;
            end if;
            if job.attempt >= soundscape.max_attempts() then
                perform soundscape.end_job(job, 'dead', 'failed', coalesce(job.error_code, 'analysis_crashed'),
                    coalesce(job.error_message, 'The analysis ended without an answer each time. Upload the file again, or ask the operator.'));
                continue;
            end if;

            update soundscape.jobs j
            set state = 'running', worker = claim_jobs.worker, attempt = j.attempt + 1,
                started_at = coalesce(j.started_at, now()), lease_expires_at = clock_timestamp() + make_interval(secs => lease_s)
            where j.id = job.id
            returning * into job;
            update public.audio_files f set status = 'analyzing'
            where f.id = job.audio_id and f.status = 'queued';

            job_id := job.id;
            token := job.msg_id || '.' || job.attempt;
            trace_id := job.trace_id;
            attempt := job.attempt;
            audio_id := file.id;
            user_id := file.user_id;
            object_name := file.file_path;
            object_version := job.object_version;
            size_bytes := file.size_bytes;
            content_type := file.content_type;
            left_to_claim := left_to_claim - 1;
            return next;
        end loop;
    end loop;
end
$$;
comment on function soundscape.claim_jobs(text, integer, integer) is 'Take up to max_jobs jobs for lease_s seconds; uploads before backfills. The token fences every later call.';

create function soundscape.held_job(job_id bigint, token text) returns soundscape.jobs
language plpgsql security definer set search_path = '' as $$
declare
    job soundscape.jobs;
begin
    -- The recording first, as everybody else: new bytes are arriving perhaps.
    perform from public.audio_files f
    where f.id = (select j.audio_id from soundscape.jobs j where j.id = job_id) for update;
    select * into job from soundscape.jobs where id = job_id for update;
    if job.id is null or job.state <> 'running' or token is distinct from job.msg_id || '.' || job.attempt then
        raise exception 'lease_lost' using errcode = 'PT409',
            detail = format('Job %s is not held by this token.', job_id),
            hint = 'Drop the work: somebody else has it, or it is no longer wanted.';
    end if;
    return job;
end
$$;
comment on function soundscape.held_job(bigint, text) is 'The job, locked, if the token still holds it; otherwise an error that ends the transaction.';

create function soundscape.extend_lease(job_id bigint, token text, lease_s integer) returns timestamptz
language plpgsql security definer set search_path = '' as $$
declare
    job soundscape.jobs := soundscape.held_job(job_id, token);
    until timestamptz := clock_timestamp() + make_interval(secs => lease_s);
begin
    perform pgmq.set_vt(job.queue, job.msg_id, lease_s);
    update soundscape.jobs set lease_expires_at = until where id = job.id;
    return until;
end
$$;
comment on function soundscape.extend_lease(bigint, text, integer) is 'Heartbeat: hold the job for lease_s more seconds.';

create function soundscape.end_job(
    job soundscape.jobs, final_state text, file_status text, code text default null, message text default null
) returns void
language plpgsql security definer set search_path = '' as $$
begin
    update soundscape.jobs
    set state = final_state, finished_at = clock_timestamp(), lease_expires_at = null,
        error_code = left(code, 64), error_message = left(message, 2000)
    where id = job.id;
    -- A job that never ran passes through analyzing, so that every ending is a legal step.
    update public.audio_files set status = 'analyzing' where id = job.audio_id and status = 'queued' and file_status = 'ready';
    update public.audio_files
    set status = file_status, error_code = left(code, 64), error_message = left(message, 2000)
    where id = job.audio_id and status in ('queued', 'analyzing');
    perform pgmq.archive(job.queue, job.msg_id);

    -- What was found in former bytes says nothing about these.
    if file_status <> 'ready' and exists (
        select from public.audio_features f
        where f.audio_id = job.audio_id and f.object_version <> job.object_version)
    then
        perform soundscape.forget_findings(job.audio_id);
        update public.audio_files set analysis_version = null, analyzed_at = null where id = job.audio_id;
        insert into soundscape.removals (bucket_id, name)
        select o.bucket_id, o.name from storage.objects o
        where o.bucket_id = 'waveforms' and o.name like job.audio_id::text || '/%'
        on conflict do nothing;
    end if;
end
$$;
comment on function soundscape.end_job(soundscape.jobs, text, text, text, text) is 'Write how a job ended, in the ledger and on the recording, and archive its message.';

create function soundscape.fail_job(
    job_id bigint, token text, kind text, code text, message text, retry_in_s integer default 5
) returns text
language plpgsql security definer set search_path = '' as $$
declare
    job soundscape.jobs := soundscape.held_job(job_id, token);
begin
    if kind in ('failed', 'rejected') then
        perform soundscape.end_job(job, 'refused', kind, code, message);
        return 'refused';
    elsif kind <> 'passing' then
        raise exception 'kind must be failed, rejected or passing, not %', kind using errcode = '22023';
    elsif job.attempt >= soundscape.max_attempts() then
        perform soundscape.end_job(job, 'dead', 'failed', code, message);
        return 'dead';
    end if;
    update soundscape.jobs
    set state = 'queued', worker = null, lease_expires_at = null,
        error_code = left(code, 64), error_message = left(message, 2000)
    where id = job.id;
    update public.audio_files set status = 'queued' where id = job.audio_id and status = 'analyzing';
    perform pgmq.set_vt(job.queue, job.msg_id, retry_in_s);
    return 'queued';
end
$$;
comment on function soundscape.fail_job(bigint, text, text, text, text, integer) is 'kind failed or rejected is final; passing is tried again after retry_in_s, until the attempts run out.';
