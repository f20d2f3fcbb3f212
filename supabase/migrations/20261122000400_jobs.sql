-- The ledger of analysis jobs and the queue behind it.
--
-- pgmq carries the wake-up order, the lease (visibility timeout) and the count of attempts; the ledger
-- says what each message is for, who holds it, and how it ended. A message without its ledger row, or a
-- row that moved on, is archived by whoever reads it.

create table soundscape.jobs (
    id bigint generated always as identity primary key,
    audio_id uuid not null references public.audio_files (id) on delete cascade,
    object_version text not null,
    queue text not null check (queue in ('soundscape_uploads', 'soundscape_backfill')),
    msg_id bigint,
    state text not null default 'queued'
        check (state in ('queued', 'running', 'succeeded', 'refused', 'dead', 'superseded', 'cancelled')),
    attempt integer not null default 0,
    worker text,
    lease_expires_at timestamptz,
    error_code text,
    error_message text,
    trace_id text not null default replace(gen_random_uuid()::text, '-', ''),
    created_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz
);
alter table soundscape.jobs enable row level security;
comment on column soundscape.jobs.id is 'The job.';
comment on column soundscape.jobs.audio_id is 'The recording.';
comment on column soundscape.jobs.object_version is 'Version of the object to analyse.';
comment on column soundscape.jobs.queue is 'The pgmq queue; uploads are taken before backfills.';
comment on column soundscape.jobs.msg_id is 'The message in that queue.';
comment on column soundscape.jobs.state is 'queued → running → succeeded | refused | dead; superseded by newer bytes, cancelled with the object.';
comment on column soundscape.jobs.attempt is 'How often it was claimed; with msg_id the token that fences the holder.';
comment on column soundscape.jobs.worker is 'Who holds it.';
comment on column soundscape.jobs.lease_expires_at is 'Until when, unless the lease is extended.';
comment on column soundscape.jobs.error_code is 'Code of the last failure.';
comment on column soundscape.jobs.error_message is 'What the last failure said.';
comment on column soundscape.jobs.trace_id is 'One id through upload, job and logs.';
comment on column soundscape.jobs.created_at is 'When it was asked for.';
comment on column soundscape.jobs.started_at is 'When it was first claimed.';
comment on column soundscape.jobs.finished_at is 'When it ended.';
-- One live job a recording: a newer one supersedes it.
create unique index jobs_live on soundscape.jobs (audio_id) where state in ('queued', 'running');
create index jobs_by_recording on soundscape.jobs (audio_id, id desc);
comment on table soundscape.jobs is 'One row per analysis asked for: the truth behind the queue''s messages.';

-- Objects to delete through the Storage API once the rows they belonged to are gone.
create table soundscape.removals (
    id bigint generated always as identity primary key,
    bucket_id text not null,
    name text not null,
    requested_at timestamptz not null default now(),
    taken_at timestamptz,
    unique (bucket_id, name)
);
alter table soundscape.removals enable row level security;
comment on column soundscape.removals.id is 'The removal.';
comment on column soundscape.removals.bucket_id is 'The bucket.';
comment on column soundscape.removals.name is 'The object''s name.';
comment on column soundscape.removals.requested_at is 'Since when it is to go.';
comment on column soundscape.removals.taken_at is 'When a worker took it; the name is out of use until that worker is done or the grace is over.';
comment on table soundscape.removals is 'Objects whose rows are gone. SQL may not delete objects; the worker does, through the Storage API.';

select pgmq.create('soundscape_uploads');
select pgmq.create('soundscape_backfill');

create function soundscape.forget_message() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if old.msg_id is not null then
        perform pgmq.delete(old.queue, old.msg_id);
    end if;
    return null;
end
$$;
comment on function soundscape.forget_message() is 'Trigger on jobs: a deleted recording leaves no message behind.';
create trigger jobs_deleted after delete on soundscape.jobs
    for each row when (old.state in ('queued', 'running', 'superseded', 'cancelled'))
    execute function soundscape.forget_message();

create function soundscape.max_attempts() returns integer
language sql immutable parallel safe set search_path = '' return 5;
comment on function soundscape.max_attempts() is 'Attempts before a job is dead, those of killed workers included.';

-- ---------------------------------------------------------------------------------------------
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

-- ---------------------------------------------------------------------------------------------
-- Enqueueing

create function soundscape.enqueue(recording uuid, version text, queue text default 'soundscape_uploads') returns bigint
language plpgsql security definer set search_path = '' as $$
declare
    job bigint;
    message bigint;
begin
    -- Whatever is still asked for this recording is asked for old bytes. Its message is archived when read.
    update soundscape.jobs set state = 'superseded', finished_at = now()
    where audio_id = recording and state in ('queued', 'running');

    insert into soundscape.jobs (audio_id, object_version, queue) values (recording, version, enqueue.queue)
    returning id into job;
    message := pgmq.send(enqueue.queue, jsonb_build_object('job_id', job));
    update soundscape.jobs set msg_id = message where id = job;
    perform soundscape.ring();
    return job;
end
$$;
comment on function soundscape.enqueue(uuid, text, text) is 'Ask for the analysis of one version of a recording''s object.';

create function soundscape.lock_name(object_name text) returns void
language sql volatile set search_path = '' as $$
    -- Row and object may arrive in two transactions at once, neither seeing the other. The second waits here.
    select pg_advisory_xact_lock(hashtextextended('audio-files/' || object_name, 0))
$$;
comment on function soundscape.lock_name(text) is 'Serialise what happens to one object name until the transaction ends.';

create function soundscape.keep_name(object_name text) returns void
language plpgsql security definer set search_path = '' as $$
-- The caller holds the lock of the name. The Storage API deletes by name alone: once a worker is about to,
-- new bytes under that name would go with the old ones.
begin
    delete from soundscape.removals
    where bucket_id = 'audio-files' and name = object_name
      and (taken_at is null or taken_at < clock_timestamp() - soundscape.removal_grace());
    if exists (select from soundscape.removals where bucket_id = 'audio-files' and name = object_name) then
        raise exception 'The name % is being cleared.', object_name
            using errcode = '42501', hint = 'Try again in a moment, or choose another name.';
    end if;
end
$$;
comment on function soundscape.keep_name(text) is 'A name is in use again: what was to be removed under it stays, unless it is being removed this moment.';

create function soundscape.removal_grace() returns interval
language sql immutable parallel safe set search_path = '' return interval '2 minutes';
comment on function soundscape.removal_grace() is 'How long a worker that took a removal has it to itself.';

create function soundscape.owner_of(object_name text, owner_id text) returns uuid
language sql immutable parallel safe set search_path = ''
-- Uploads with a secret key carry no owner: then the first folder names it.
return coalesce(soundscape.uuid_or_null(owner_id), soundscape.uuid_or_null(split_part(object_name, '/', 1)));
comment on function soundscape.owner_of(text, text) is 'Whose object this is.';

create function soundscape.attach_object(recording uuid) returns void
language plpgsql security definer set search_path = '' as $$
-- The caller holds the lock of the name.
declare
    file public.audio_files;
    object storage.objects;
begin
    select * into file from public.audio_files where id = recording for update;
    select * into object from storage.objects
    where bucket_id = 'audio-files' and name = file.file_path and metadata ? 'eTag';
    if object.id is null or soundscape.owner_of(object.name, object.owner_id) is distinct from file.user_id then
        return;
    end if;
    update public.audio_files
    set object_id = object.id, object_version = object.version, object_etag = object.metadata ->> 'eTag',
        size_bytes = (object.metadata ->> 'size')::bigint, content_type = left(object.metadata ->> 'mimetype', 255),
        status = 'queued', error_code = null, error_message = null
    where id = recording;
    perform soundscape.enqueue(recording, object.version);
end
$$;
comment on function soundscape.attach_object(uuid) is 'Join a recording with its object, if that lies there, and enqueue it.';

create function soundscape.title_or_null(candidate text) returns text
language sql immutable parallel safe set search_path = ''
return nullif(left(regexp_replace(candidate, '^\s+|\s+$', '', 'g'), 200), '');
comment on function soundscape.title_or_null(text) is 'The text as a title, or null where it holds none.';

create function soundscape.describe_object(object storage.objects, draft_title text default null) returns void
language plpgsql security definer set search_path = '' as $$
declare
    said jsonb := coalesce(object.user_metadata, '{}');
    tags text[] := '{}';
begin
    if jsonb_typeof(said -> 'tags') = 'array' then
        select coalesce(array_agg(left(tag, 50)), '{}') into tags
        from (select tag from jsonb_array_elements_text(said -> 'tags') as tag where tag is not null limit 50) said_tags;
    end if;
    insert into public.audio_files (user_id, title, description, file_path, is_public, tags, license)
    values (
        soundscape.owner_of(object.name, object.owner_id),
        coalesce(soundscape.title_or_null(said ->> 'title'), soundscape.title_or_null(draft_title), 'Untitled'),
        left(said ->> 'description', 5000),
        object.name,
        -- A draft is nobody's description yet: it stays private whatever was said beside it.
        draft_title is null and coalesce(said -> 'is_public' in ('true', '"true"'), false),
        tags,
        left(said ->> 'license', 100))
    on conflict (file_path) do nothing;
end
$$;
comment on function soundscape.describe_object(storage.objects, text) is 'Make the row of an object from what its upload said about it.';

-- ---------------------------------------------------------------------------------------------
-- Triggers. Storage tries permission with a write it rolls back, so everything here is transactional.

create function soundscape.on_object_written() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    file public.audio_files;
begin
    perform soundscape.lock_name(new.name);
    perform soundscape.keep_name(new.name);
    select * into file from public.audio_files where file_path = new.name;
    if file.id is not null and file.user_id is distinct from soundscape.owner_of(new.name, new.owner_id) then
        raise exception 'The name % belongs to another user''s recording.', new.name
            using errcode = '42501', hint = 'Choose another name.';
    end if;

    if tg_op = 'UPDATE' and old.metadata ->> 'eTag' = new.metadata ->> 'eTag' then
        -- Moved, or the same bytes once more: nothing to hear that was not heard. The same bytes for a
        -- recording that failed are somebody asking to try again.
        update public.audio_files set file_path = new.name, object_version = new.version
        where object_id = new.id
          and (old.name is distinct from new.name or status in ('queued', 'analyzing', 'ready'));
        if found then
            update soundscape.jobs set object_version = new.version
            where state in ('queued', 'running')
              and audio_id = (select id from public.audio_files where object_id = new.id);
            update public.audio_features set object_version = new.version
            where object_version = old.version
              and audio_id = (select id from public.audio_files where object_id = new.id);
            return null;
        end if;
    end if;

    if file.id is not null then
        perform soundscape.attach_object(file.id);
    elsif soundscape.title_or_null(new.user_metadata ->> 'title') is not null
          and exists (select from public.users where id = soundscape.owner_of(new.name, new.owner_id)) then
        perform soundscape.describe_object(new);  -- its own trigger attaches and enqueues
    end if;
    return null;
end
$$;
comment on function soundscape.on_object_written() is 'Trigger on storage.objects: bytes have arrived whole, or moved.';

create function soundscape.forget_findings(recording uuid) returns void
language sql security definer set search_path = '' as $$
    delete from public.audio_features where audio_id = recording;
    delete from public.audio_tags where audio_id = recording;
    delete from public.audio_embeddings where audio_id = recording;
    delete from public.audio_matches where recording in (audio_id, matched_audio_id);
$$;
comment on function soundscape.forget_findings(uuid) is 'Forget what analysis found in bytes that are gone.';

create function soundscape.on_object_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform from public.audio_files where object_id = old.id for update;
    update soundscape.jobs set state = 'cancelled', finished_at = now()
    where state in ('queued', 'running')
      and audio_id in (select id from public.audio_files where object_id = old.id);
    perform soundscape.forget_findings(id) from public.audio_files where object_id = old.id;
    insert into soundscape.removals (bucket_id, name)
    select 'waveforms', o.name from storage.objects o
    where o.bucket_id = 'waveforms'
      and o.path_tokens[1] in (select id::text from public.audio_files where object_id = old.id)
    on conflict do nothing;
    update public.audio_files
    set status = 'awaiting_upload', object_id = null, object_version = null, object_etag = null,
        analysis_version = null, analyzed_at = null, error_code = null, error_message = null
    where object_id = old.id;
    return null;
end
$$;
comment on function soundscape.on_object_deleted() is 'Trigger on storage.objects: a recording without its bytes waits for new ones.';

create trigger soundscape_object_written after insert or update on storage.objects
    for each row when (new.bucket_id = 'audio-files' and new.metadata ? 'eTag')
    execute function soundscape.on_object_written();
create trigger soundscape_object_deleted after delete on storage.objects
    for each row when (old.bucket_id = 'audio-files')
    execute function soundscape.on_object_deleted();
create trigger soundscape_object_left after update of bucket_id on storage.objects
    for each row when (old.bucket_id = 'audio-files' and new.bucket_id is distinct from 'audio-files')
    execute function soundscape.on_object_deleted();

create function soundscape.on_recording_made() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if exists (
        select from storage.objects o
        where o.bucket_id = 'audio-files' and o.name = new.file_path and o.metadata ? 'eTag'
          and soundscape.owner_of(o.name, o.owner_id) is distinct from new.user_id)
    then
        raise exception 'The object % belongs to another user.', new.file_path
            using errcode = '42501', hint = 'Upload your own file under another name.';
    end if;
    perform soundscape.keep_name(new.file_path);
    perform soundscape.attach_object(new.id);
    return null;
end
$$;
comment on function soundscape.on_recording_made() is 'Trigger on audio_files: if the bytes were there first, enqueue now.';

create function soundscape.on_recording_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    insert into soundscape.removals (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where (o.id = old.object_id and o.bucket_id = 'audio-files')
       or (o.bucket_id = 'waveforms' and o.name like old.id::text || '/%')
    on conflict do nothing;
    if found then
        perform soundscape.ring();
    end if;
    return null;
end
$$;
comment on function soundscape.on_recording_deleted() is 'Trigger on audio_files: the objects follow the row.';

create function soundscape.on_recording_coming() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    -- Before the row exists: an upload that describes itself holds this lock while it waits for the name.
    perform soundscape.lock_name(new.file_path);
    return new;
end
$$;
comment on function soundscape.on_recording_coming() is 'Trigger on audio_files: rows and objects of one name come one after the other.';

create trigger audio_files_coming before insert on public.audio_files
    for each row execute function soundscape.on_recording_coming();
create trigger audio_files_made after insert on public.audio_files
    for each row execute function soundscape.on_recording_made();
create trigger audio_files_deleted after delete on public.audio_files
    for each row execute function soundscape.on_recording_deleted();

create function soundscape.on_user_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    insert into soundscape.removals (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id in ('audio-files', 'profile-images') and o.name like old.id::text || '/%'
    on conflict do nothing;
    return null;
end
$$;
comment on function soundscape.on_user_deleted() is 'Trigger on users: a user''s folders go with the user, described or not.';

create trigger users_deleted after delete on public.users
    for each row execute function soundscape.on_user_deleted();

-- ---------------------------------------------------------------------------------------------
-- What the worker calls

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

create function soundscape.write_tags_and_place(file public.audio_files, result jsonb) returns void
language sql security definer set search_path = '' as $$
    delete from public.audio_tags where audio_id = file.id;
    insert into public.audio_tags (audio_id, user_id, is_listed, label, confidence, start_s, end_s)
    select file.id, file.user_id, file.is_listed, heard.label, heard.confidence, heard.start_s, heard.end_s
    from jsonb_to_recordset(case jsonb_typeof(result -> 'tags') when 'array' then result -> 'tags' else '[]' end)
        as heard (label text, confidence real, start_s double precision, end_s double precision);

    delete from public.audio_embeddings where audio_id = file.id;
    insert into public.audio_embeddings (audio_id, space, user_id, is_listed, embedding)
    select file.id, result #>> '{embedding,space}', file.user_id, file.is_listed,
           (result #>> '{embedding,values}')::extensions.halfvec(128)
    where jsonb_typeof(result -> 'embedding') = 'object';
$$;
comment on function soundscape.write_tags_and_place(public.audio_files, jsonb) is 'Tags and embedding of a finished analysis, instead of what was there. A skipped stage leaves none.';

create function soundscape.complete_job(job_id bigint, token text, result jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
    job soundscape.jobs := soundscape.held_job(job_id, token);
    file public.audio_files;
    source jsonb := result -> 'source';
    spectral jsonb := result -> 'spectral';
begin
    -- Locked, so that owner and visibility stay what is written beside the results.
    select * into file from public.audio_files where id = job.audio_id for update;
    delete from public.audio_matches m
    where job.audio_id in (m.audio_id, m.matched_audio_id) and not exists (
        select from public.audio_features f where f.audio_id = job.audio_id and f.object_version = job.object_version);
    perform soundscape.write_tags_and_place(file, result);

    insert into public.audio_features as f (
        audio_id, user_id, is_listed, object_version, analysis_version, duration_s,
        integrated_lufs, loudness_range_lu, true_peak_dbtp, sample_peak_dbfs, rms_dbfs,
        tempo_bpm, tempo_confidence, onset_rate_hz, key, mode, key_confidence,
        centroid_hz, bandwidth_hz, rolloff_hz, flatness, zero_crossing_rate,
        sha256, waveform_path, pictures, descriptors)
    values (
        job.audio_id, file.user_id, file.is_listed, job.object_version, result ->> 'analysis_version', (source ->> 'duration_s')::double precision,
        (result #>> '{loudness,integrated_lufs}')::real, (result #>> '{loudness,range_lu}')::real,
        (result #>> '{loudness,true_peak_dbtp}')::real, (result #>> '{loudness,sample_peak_dbfs}')::real,
        (spectral #>> '{rms_dbfs,mean}')::real,
        (result #>> '{rhythm,tempo_bpm}')::real, (result #>> '{rhythm,tempo_confidence}')::real,
        (result #>> '{rhythm,onset_rate_hz}')::real,
        result #>> '{tonality,key}', result #>> '{tonality,mode}', (result #>> '{tonality,confidence}')::real,
        (spectral #>> '{centroid_hz,mean}')::real, (spectral #>> '{bandwidth_hz,mean}')::real,
        (spectral #>> '{rolloff_hz,mean}')::real, (spectral #>> '{flatness,mean}')::real,
        (spectral #>> '{zero_crossing_rate,mean}')::real,
        source ->> 'sha256', result #>> '{waveform,path}', coalesce(result -> 'pictures', '{}'), result)
    on conflict (audio_id) do update set
        object_version = excluded.object_version, analysis_version = excluded.analysis_version,
        duration_s = excluded.duration_s, integrated_lufs = excluded.integrated_lufs,
        loudness_range_lu = excluded.loudness_range_lu, true_peak_dbtp = excluded.true_peak_dbtp,
        sample_peak_dbfs = excluded.sample_peak_dbfs, rms_dbfs = excluded.rms_dbfs,
        tempo_bpm = excluded.tempo_bpm, tempo_confidence = excluded.tempo_confidence,
        onset_rate_hz = excluded.onset_rate_hz, key = excluded.key, mode = excluded.mode,
        key_confidence = excluded.key_confidence, centroid_hz = excluded.centroid_hz,
        bandwidth_hz = excluded.bandwidth_hz, rolloff_hz = excluded.rolloff_hz, flatness = excluded.flatness,
        zero_crossing_rate = excluded.zero_crossing_rate, sha256 = excluded.sha256,
        waveform_path = excluded.waveform_path, pictures = excluded.pictures,
        descriptors = excluded.descriptors, created_at = now();

    update public.audio_files
    set duration = (source ->> 'duration_s')::double precision, sample_rate = (source ->> 'sample_rate')::integer,
        channels = (source ->> 'channels')::smallint, analysis_version = result ->> 'analysis_version',
        analyzed_at = now()
    where id = job.audio_id;
    perform soundscape.end_job(job, 'succeeded', 'ready');

    -- Pictures of earlier versions are nobody's any more.
    insert into soundscape.removals (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id = 'waveforms' and o.name like job.audio_id::text || '/%'
      and not starts_with(o.name, regexp_replace(result #>> '{waveform,path}', '[^/]*$', ''))
    on conflict do nothing;
end
$$;
comment on function soundscape.complete_job(bigint, text, jsonb) is 'Results, state and archive in one transaction, refused to a stale token.';

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

create function soundscape.sweep_size() returns integer
language sql immutable parallel safe set search_path = '' return 500;
comment on function soundscape.sweep_size() is 'Items of each kind one sweep mends: it holds a lock for each, and the next sweep goes on.';

create function soundscape.reconcile() returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    recording record;
    orphan storage.objects;
    attached integer := 0;
    drafted integer := 0;
    resent integer := 0;
    discarded integer := 0;
begin
    -- Somebody else sweeps already: one waiting for the other's names would help nobody.
    if not pg_try_advisory_xact_lock(hashtextextended('soundscape.reconcile', 0)) then
        return jsonb_build_object('attached', 0, 'drafted', 0, 'resent', 0, 'discarded', 0);
    end if;

    -- Objects that lie there while their row does not know it (a trigger was off).
    for recording in
        select f.id, f.file_path from public.audio_files f
        join storage.objects o on o.bucket_id = 'audio-files' and o.name = f.file_path and o.metadata ? 'eTag'
        where (f.object_etag is distinct from o.metadata ->> 'eTag' or f.status = 'awaiting_upload')
          and soundscape.owner_of(o.name, o.owner_id) = f.user_id
        order by f.created_at limit soundscape.sweep_size()
    loop
        begin
            perform soundscape.lock_name(recording.file_path);
            -- Its own transaction may have come to it while we waited for the name.
            if exists (
                select from public.audio_files f
                join storage.objects o on o.bucket_id = 'audio-files' and o.name = f.file_path and o.metadata ? 'eTag'
                where f.id = recording.id
                  and (f.object_etag is distinct from o.metadata ->> 'eTag' or f.status = 'awaiting_upload'))
            then
                perform soundscape.attach_object(recording.id);
                attached := attached + 1;
            end if;
        exception when others then
            raise warning 'sweep: % was not attached: %', recording.file_path, sqlerrm;
        end;
    end loop;

    -- Objects nobody described within a minute get a private draft.
    for orphan in
        select o.* from storage.objects o
        join public.users u on u.id = soundscape.owner_of(o.name, o.owner_id)
        where o.bucket_id = 'audio-files' and o.metadata ? 'eTag' and o.created_at < now() - interval '1 minute'
          and (o.name like 'public/_%' or o.name like u.id::text || '/_%')
          and not exists (select from public.audio_files f where f.file_path = o.name)
          and not exists (select from soundscape.removals r where r.bucket_id = 'audio-files' and r.name = o.name)
        order by o.created_at limit soundscape.sweep_size()
    loop
        begin
            perform soundscape.lock_name(orphan.name);
            perform soundscape.describe_object(orphan, regexp_replace(orphan.name, '^.*/', ''));
            drafted := drafted + 1;
        exception when others then
            raise warning 'sweep: % was not described: %', orphan.name, sqlerrm;
        end;
    end loop;

    -- Live jobs whose message is gone, and recordings that wait for a job that does not exist.
    for recording in
        select f.id, f.object_version from public.audio_files f
        where f.status in ('queued', 'analyzing') and f.object_version is not null
          and not exists (
              select from soundscape.jobs j
              where j.audio_id = f.id and j.state in ('queued', 'running')
                and (exists (select from pgmq.q_soundscape_uploads m where m.msg_id = j.msg_id and j.queue = 'soundscape_uploads')
                     or exists (select from pgmq.q_soundscape_backfill m where m.msg_id = j.msg_id and j.queue = 'soundscape_backfill')))
        order by f.created_at limit soundscape.sweep_size()
        for update of f skip locked
    loop
        update public.audio_files set status = 'queued' where id = recording.id and status = 'analyzing';
        perform soundscape.enqueue(recording.id, recording.object_version);
        resent := resent + 1;
    end loop;

    -- Pictures of recordings that are gone, or beside those that are shown; files of users who are gone. An
    -- hour is given to whoever is about to complete a job.
    insert into soundscape.removals (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.created_at < now() - interval '1 hour' and (
        o.bucket_id = 'waveforms' and not exists (
            select from public.audio_features f
            where f.audio_id = soundscape.uuid_or_null(o.path_tokens[1])
              and starts_with(o.name, regexp_replace(f.waveform_path, '[^/]*$', '')))
        or o.bucket_id in ('audio-files', 'profile-images')
        and soundscape.owner_of(o.name, o.owner_id) is not null
        and not exists (select from public.users u where u.id = soundscape.owner_of(o.name, o.owner_id))
        and not exists (select from public.audio_files f where f.file_path = o.name and o.bucket_id = 'audio-files'))
    on conflict do nothing;
    get diagnostics discarded = row_count;

    return jsonb_build_object('attached', attached, 'drafted', drafted, 'resent', resent, 'discarded', discarded);
end
$$;
comment on function soundscape.reconcile() is 'Find what a disabled trigger, a lost message or a killed worker left behind. Running it twice changes nothing.';

create function soundscape.pending_removals(most integer) returns table (bucket_id text, names text[])
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
    removal soundscape.removals;
    taken bigint[] := '{}';
begin
    for removal in
        select * from soundscape.removals
        where taken_at is null or taken_at < clock_timestamp() - soundscape.removal_grace()
        order by id limit least(most, 500)
    loop
        -- Uploads and rows take this lock before they look: from here on they see that the name is taken.
        perform soundscape.lock_name(removal.name);
        update soundscape.removals set taken_at = clock_timestamp() where id = removal.id;
        if found then
            taken := taken || removal.id;
        end if;
    end loop;
    return query
        select r.bucket_id, array_agg(r.name) from soundscape.removals r where r.id = any(taken) group by r.bucket_id;
end
$$;
comment on function soundscape.pending_removals(integer) is 'Take objects to delete, by bucket; until they are forgotten or the grace is over nobody may use their names.';

create function soundscape.forget_removals(bucket text, removed text[]) returns void
language sql security definer set search_path = '' as $$
    delete from soundscape.removals where bucket_id = bucket and name = any(removed)
$$;
comment on function soundscape.forget_removals(text, text[]) is 'These objects are gone.';

select cron.schedule('soundscape-reconcile', '30 seconds', 'select soundscape.reconcile()');
