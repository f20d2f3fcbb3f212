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
