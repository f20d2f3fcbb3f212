-- The ledger of analysis jobs and the queue behind it.
--
-- pgmq carries the order and the lease (visibility timeout); the ledger says what each message is for, who
-- holds it, and how it ended. A message without its ledger row, or a row that moved on, is deleted by
-- whoever reads it; nothing is archived, the ledger tells it all. A row without its message waits for its owner's turn.

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
comment on column soundscape.jobs.user_id is 'Whose turn it takes: the recording''s owner when it was asked for.';
comment on column soundscape.jobs.object_version is 'Version of the object to analyse.';
comment on column soundscape.jobs.analysis_version is 'Version of the analysis that was asked for; null: whichever the worker has.';
comment on column soundscape.jobs.queue is 'The pgmq queue; uploads are taken before backfills.';
comment on column soundscape.jobs.msg_id is 'The message in that queue; null while it waits for its owner''s turn.';
comment on column soundscape.jobs.state is 'queued → running → succeeded | refused | dead; superseded by newer bytes or a newer analysis, cancelled by the owner, the operator or with the object.';
comment on column soundscape.jobs.attempt is 'How often it was claimed; with msg_id the token that fences the holder.';
comment on column soundscape.jobs.excused is 'How many of those attempts ended through no fault of the recording: the network, a worker that was stopped.';
comment on column soundscape.jobs.retry_at is 'Before when it is not tried again, after an attempt that failed.';
comment on column soundscape.jobs.worker is 'Who holds it.';
comment on column soundscape.jobs.lease_expires_at is 'Until when, unless the lease is extended.';
comment on column soundscape.jobs.error_code is 'Code of the last failure.';
comment on column soundscape.jobs.error_message is 'What the last failure said.';
comment on column soundscape.jobs.trace_id is 'One id through upload, job and logs.';
comment on column soundscape.jobs.created_at is 'When it was asked for.';
comment on column soundscape.jobs.lined_up_at is 'Since when it is in its owner''s line: set anew as it goes to the end, having failed in passing too often in a row.';
comment on column soundscape.jobs.started_at is 'When it was first claimed.';
comment on column soundscape.jobs.finished_at is 'When it ended.';
-- One live job a recording: a newer one supersedes it.
create unique index jobs_live on soundscape.jobs (audio_id) where state in ('queued', 'running');
create index jobs_by_recording on soundscape.jobs (audio_id, id desc);
create index jobs_in_flight on soundscape.jobs (user_id, queue)
    where state in ('queued', 'running') and msg_id is not null;
create index jobs_waiting on soundscape.jobs (queue, user_id, lined_up_at, id) where state = 'queued' and msg_id is null;
create index jobs_by_state on soundscape.jobs (state, id desc);
create index jobs_by_owner on soundscape.jobs (user_id, id desc);
create index jobs_by_end on soundscape.jobs (finished_at) where finished_at is not null;
comment on table soundscape.jobs is 'One row per analysis asked for: the truth behind the queue''s messages.';

select pgmq.create('soundscape_uploads');
select pgmq.create('soundscape_backfill');

create function soundscape.forget_message() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform pgmq.delete(old.queue, old.msg_id);
    return null;
end
$$;
comment on function soundscape.forget_message() is 'Trigger on jobs: a deleted recording leaves no message behind.';
create trigger jobs_deleted after delete on soundscape.jobs
    for each row when (old.msg_id is not null)
    execute function soundscape.forget_message();

create function soundscape.enqueue(
    recording uuid, version text, queue text default 'soundscape_uploads', analysis text default null
) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
    job soundscape.jobs;
begin
    -- Whatever is still asked for this recording is asked for old bytes, or of an old analysis. Its message
    -- is deleted when read.
    update soundscape.jobs set state = 'superseded', finished_at = now()
    where audio_id = recording and state in ('queued', 'running');

    insert into soundscape.jobs (audio_id, user_id, object_version, queue, analysis_version)
    select recording, f.user_id, version, enqueue.queue, analysis
    from public.audio_files f where f.id = recording
    returning * into job;
    perform soundscape.admit(job.user_id, job.queue);
    if job.queue = 'soundscape_uploads' then
        perform soundscape.ring();
    end if;
    return job.id;
end
$$;
comment on function soundscape.enqueue(uuid, text, text, text) is 'Ask for the analysis of one version of a recording''s object.';
