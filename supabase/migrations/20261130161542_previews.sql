-- Previews: a second job behind the analyses, for recordings that browsers do not play as they are.
--
-- It is a job of the same ledger with a queue of its own. So leases, fair turns, retries, cancelling and superseding
-- hold for it as for an analysis. It never changes the status of its recording. docs/decisions/previews.md says why.

alter table soundscape.jobs drop constraint jobs_queue_check;
alter table soundscape.jobs add constraint jobs_queue_check
    check (queue in ('soundscape_uploads', 'soundscape_backfill', 'soundscape_previews'));
comment on column soundscape.jobs.queue
    is 'The pgmq queue. Uploads are claimed before backfills. soundscape_previews has the jobs that make previews.';
select pgmq.create('soundscape_previews');

create function soundscape.wants_preview(recording uuid) returns boolean
language sql stable security definer set search_path = '' as $$
    select f.status = 'ready' and f.preview_path is null and f.object_version is not null
        and coalesce((a.descriptors #>> '{source,preview}')::boolean, false)
        and a.object_version = f.object_version
        and not exists (
            select from soundscape.jobs j where j.audio_id = f.id and j.state in ('queued', 'running'))
    from public.audio_files f join public.audio_features a on a.audio_id = f.id
    where f.id = recording
$$;
comment on function soundscape.wants_preview(uuid)
    is 'Whether a recording is ready, has no preview though its analysis asks for one, and no job that may change '
       'this.';

create function soundscape.enqueue_preview(recording uuid) returns void
language plpgsql security definer set search_path = '' as $$
-- The caller holds the recording.
begin
    if soundscape.wants_preview(recording) then
        perform soundscape.enqueue(f.id, f.object_version, 'soundscape_previews')
        from public.audio_files f where f.id = recording;
    end if;
end
$$;
comment on function soundscape.enqueue_preview(uuid) is 'Queues the preview of a recording that wants one.';

create function soundscape.forget_preview(recording uuid) returns void
language plpgsql security definer set search_path = '' as $$
-- The caller holds the recording.
declare
    former text := (select f.preview_path from public.audio_files f where f.id = recording);
begin
    if former is not null then
        update public.audio_files set preview_path = null, preview_size_bytes = null where id = recording;
        insert into soundscape.deletions (bucket_id, name) values ('waveforms', former) on conflict do nothing;
    end if;
end
$$;
comment on function soundscape.forget_preview(uuid)
    is 'Takes the preview from a recording, because it is of former bytes, and requests its deletion.';

create function soundscape.analysis_waits() returns boolean
language sql stable security definer set search_path = '' as $$
    select exists (select from pgmq.q_soundscape_uploads m where m.vt <= clock_timestamp())
        or exists (select from pgmq.q_soundscape_backfill m where m.vt <= clock_timestamp())
        or exists (
            select from soundscape.jobs j
            where j.state = 'queued' and j.msg_id is null
              and j.queue in ('soundscape_uploads', 'soundscape_backfill'))
$$;
comment on function soundscape.analysis_waits()
    is 'Whether an analysis could be claimed, or waits in its owner''s line.';

create function soundscape.claim_previews(worker text, max_jobs integer default 1, lease_s integer default 60)
returns table (
    job_id bigint, token text, trace_id text, attempt integer, audio_id uuid, user_id uuid,
    object_name text, object_version text, size_bytes bigint, content_type text, object_etag text
)
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
    job soundscape.jobs;
    owners_held uuid[] := '{}';
    left_to_claim integer := least(max_jobs, 100);
begin
    for job in
        select j.* from soundscape.jobs j
        where j.state = 'running' and j.queue = 'soundscape_previews' and j.worker = claim_previews.worker
    loop
        perform soundscape.fail_job(job.id, job.msg_id || '.' || job.attempt, 'released', 'claim_unanswered',
            'The answer to a claim did not reach the worker. It is tried again.');
    end loop;
    if soundscape.analysis_waits() or (select s.paused_at is not null from soundscape.queue_settings s) then
        return;
    end if;
    perform soundscape.admit_waiting();
    while left_to_claim > 0 loop
        job := soundscape.claim_next('soundscape_previews', claim_previews.worker, lease_s, owners_held);
        exit when job.id is null;
        owners_held := owners_held || job.user_id;
        left_to_claim := left_to_claim - 1;
        return query
            select job.id, job.msg_id || '.' || job.attempt, job.trace_id, job.attempt, f.id, f.user_id,
                   f.file_path, job.object_version, f.size_bytes, f.content_type, f.object_etag
            from public.audio_files f where f.id = job.audio_id;
    end loop;
end
$$;
comment on function soundscape.claim_previews(text, integer, integer)
    is 'Worker only. Claims up to max_jobs jobs that make previews, for lease_s seconds, unless an analysis waits. '
       'Those that this worker holds already are released, because it lost the response to their claim.';

create function soundscape.complete_preview(job_id bigint, token text, path text, size_bytes bigint) returns void
language plpgsql security definer set search_path = '' as $$
declare
    job soundscape.jobs := soundscape.lock_held_job(job_id, token);
begin
    if job.queue <> 'soundscape_previews' or not starts_with(path, job.audio_id || '/preview-') then
        raise exception 'Job % makes no preview %.', job.id, path using errcode = '22023';
    end if;
    -- A former attempt may have stored one, and been too late to complete.
    perform soundscape.forget_preview(job.audio_id);
    perform soundscape.keep_pictures(regexp_replace(path, '[^/]*$', ''));
    update public.audio_files set preview_path = path, preview_size_bytes = complete_preview.size_bytes
    where id = job.audio_id;
    perform soundscape.end_job(job, 'succeeded', 'ready');
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id = 'waveforms' and o.name like job.audio_id::text || '/preview-%' and o.name <> path
    on conflict do nothing;
end
$$;
comment on function soundscape.complete_preview(bigint, text, text, bigint)
    is 'Worker only. Publishes the preview, ends the job and deletes its message in one transaction. A stale token is '
       'refused.';

-- What knows of previews now
-- ==========================

create or replace function soundscape.delete_results(recording uuid) returns void
language sql security definer set search_path = '' as $$
    select soundscape.delete_claims(recording);
    delete from public.audio_features where audio_id = recording;
    delete from public.audio_tags where audio_id = recording;
    delete from public.audio_embeddings where audio_id = recording;
    select soundscape.forget_preview(recording);
    update public.audio_files set peaks = null, playable = null
    where id = recording and (peaks is not null or playable is not null);
$$;

create or replace function soundscape.complete_job(job_id bigint, token text, result jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
    job soundscape.jobs := soundscape.lock_held_job(job_id, token);
    file public.audio_files;
    source jsonb := result -> 'source';
begin
    -- The lock keeps the owner and the visibility that are written with the results.
    select * into file from public.audio_files where id = job.audio_id for no key update;
    if not exists (
        select from public.audio_features f
        where f.audio_id = job.audio_id
          -- The same bytes have another ETag when they are uploaded in another way.
          and (f.object_version = job.object_version or f.sha256 = source ->> 'sha256'))
    then
        perform soundscape.delete_claims(job.audio_id);
        perform soundscape.forget_preview(job.audio_id);
    end if;
    perform soundscape.write_tags_and_embedding(file, result);
    perform soundscape.write_features(file, job.object_version, result);
    perform soundscape.write_fingerprint(file, job.object_version, result -> 'index');
    perform soundscape.replace_claims(file, result);
    update public.audio_files
    set duration = (source ->> 'duration_s')::double precision, sample_rate = (source ->> 'sample_rate')::integer,
        channels = (source ->> 'channels')::smallint, analysis_version = result ->> 'analysis_version',
        analyzed_at = now(), trace_id = job.trace_id, peaks = soundscape.peaks_of(result),
        playable = (source ->> 'playable')::boolean
    where id = job.audio_id;
    perform soundscape.end_job(job, 'succeeded', 'ready');
    perform soundscape.delete_former_pictures(
        job.audio_id, regexp_replace(result #>> '{waveform,path}', '[^/]*$', ''));
    perform soundscape.enqueue_preview(job.audio_id);
end
$$;

create function soundscape.keep_pictures(current_prefix text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    -- The folder ends with a slash. The next character after it is 0.
    behind text := left(current_prefix, -1) || '0';
begin
    -- The files that are shown from now on must stay. If a worker has already started to delete them, they may be
    -- gone, and the job is tried again.
    delete from soundscape.deletions
    where bucket_id = 'waveforms' and name collate "C" >= current_prefix and name collate "C" < behind
      and taken_at is null;
    if exists (
        select from soundscape.deletions
        where bucket_id = 'waveforms' and name collate "C" >= current_prefix and name collate "C" < behind)
    then
        raise exception 'Pictures under % are being deleted.', current_prefix
            using errcode = '55P03', hint = 'The next attempt stores them again.';
    end if;
end
$$;
comment on function soundscape.keep_pictures(text)
    is 'Cancels deletions of the names with this prefix. An error if a worker is deleting one at this moment.';

create or replace function soundscape.delete_former_pictures(recording uuid, current_prefix text) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.keep_pictures(current_prefix);
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id = 'waveforms' and o.name like recording::text || '/%' and not starts_with(o.name, current_prefix)
      and not exists (select from public.audio_files f where f.id = recording and f.preview_path = o.name)
    on conflict do nothing;
end
$$;

create or replace function soundscape.discard_unused_objects(bucket text, names text[]) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    discarded integer;
begin
    -- For an hour an object may belong to a job that is about to be completed.
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id = bucket and o.name = any (names) and o.created_at < now() - interval '1 hour' and (
        bucket = 'waveforms' and not exists (
            select from public.audio_features f
            where f.audio_id = soundscape.uuid_or_null(o.path_tokens[1])
              and starts_with(o.name, regexp_replace(f.waveform_path, '[^/]*$', '')))
        and not exists (
            select from public.audio_files f
            where f.id = soundscape.uuid_or_null(o.path_tokens[1]) and f.preview_path = o.name)
        or bucket in ('audio-files', 'profile-images')
        and soundscape.owner_of(o.name, o.owner_id) is not null
        and not exists (select from public.users u where u.id = soundscape.owner_of(o.name, o.owner_id))
        and not exists (select from public.audio_files f where f.file_path = o.name and bucket = 'audio-files'))
    and not exists (select from soundscape.deletions r where r.bucket_id = o.bucket_id and r.name = o.name)
    on conflict do nothing;
    get diagnostics discarded = row_count;
    return discarded;
end
$$;

create or replace function soundscape.has_lost_job(recording uuid) returns boolean
language sql stable security definer set search_path = '' as $$
    select case
        when j.id is null then f.status in ('queued', 'analyzing')
        when j.msg_id is null then false
        when j.queue = 'soundscape_uploads'
            then not exists (select from pgmq.q_soundscape_uploads m where m.msg_id = j.msg_id)
        when j.queue = 'soundscape_previews'
            then not exists (select from pgmq.q_soundscape_previews m where m.msg_id = j.msg_id)
        else not exists (select from pgmq.q_soundscape_backfill m where m.msg_id = j.msg_id)
    end
    from public.audio_files f
    left join soundscape.jobs j on j.audio_id = f.id and j.state in ('queued', 'running')
    where f.id = recording
$$;

create or replace function soundscape.show_job(job_id bigint) returns jsonb
language sql stable security definer set search_path = '' as $$
    select to_jsonb(j)
        || jsonb_build_object(
            'title', f.title, 'status', f.status, 'file_path', f.file_path, 'size_bytes', f.size_bytes,
            'shown_analysis_version', f.analysis_version,
            'visible_at', coalesce(
                (select m.vt from pgmq.q_soundscape_uploads m where m.msg_id = j.msg_id
                    and j.queue = 'soundscape_uploads'),
                (select m.vt from pgmq.q_soundscape_backfill m where m.msg_id = j.msg_id
                    and j.queue = 'soundscape_backfill'),
                (select m.vt from pgmq.q_soundscape_previews m where m.msg_id = j.msg_id
                    and j.queue = 'soundscape_previews')),
            'others', (
                select coalesce(jsonb_agg(jsonb_build_object('id', o.id, 'state', o.state) order by o.id), '[]')
                from soundscape.jobs o where o.audio_id = j.audio_id and o.id <> j.id))
    from soundscape.jobs j join public.audio_files f on f.id = j.audio_id where j.id = job_id
$$;

create or replace function soundscape.queue_stats() returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object(
        'queues', (
            select jsonb_object_agg(q.name, jsonb_build_object(
                'running', coalesce(s.running, 0), 'standing', coalesce(s.standing, 0),
                'retrying', coalesce(s.retrying, 0), 'waiting', coalesce(s.waiting, 0),
                'owners', coalesce(s.owners, 0), 'oldest_s', s.oldest_s))
            from unnest(array['soundscape_uploads', 'soundscape_backfill', 'soundscape_previews']) as q (name)
            left join (
                select j.queue,
                    count(*) filter (where j.state = 'running') as running,
                    count(*) filter (where j.state = 'queued' and j.msg_id is null) as waiting,
                    count(*) filter (where j.state = 'queued' and j.msg_id is not null
                        and (j.retry_at is null or j.retry_at <= now())) as standing,
                    count(*) filter (where j.state = 'queued' and j.msg_id is not null
                        and j.retry_at > now()) as retrying,
                    count(distinct j.user_id) as owners,
                    round(extract(epoch from now() - min(j.created_at) filter (where j.state = 'queued')),
                        1) as oldest_s
                from soundscape.jobs j where j.state in ('queued', 'running') group by j.queue
            ) s on s.queue = q.name),
        'leases_run_out', (
            select count(*) from soundscape.jobs j where j.state = 'running' and j.lease_expires_at < now()),
        'ended_in_a_day', (
            select coalesce(jsonb_object_agg(e.state, e.jobs), '{}') from (
                select j.state, count(*) as jobs from soundscape.jobs j
                where j.state not in ('queued', 'running') and j.finished_at > now() - interval '1 day'
                group by j.state) e),
        'dead', (
            select coalesce(jsonb_object_agg(e.code, e.jobs), '{}') from (
                select coalesce(j.error_code, 'unknown') as code, count(*) as jobs
                from soundscape.jobs j where j.state = 'dead' group by 1) e),
        'settings', (select to_jsonb(s) - 'only_row' from soundscape.queue_settings s))
$$;

create or replace function soundscape.reanalyze(
    version text, filters jsonb default '[]', max_recordings integer default 500, after uuid default null,
    plan boolean default false
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    seen integer := 0;
    lacking uuid[] := '{}';
    cursor_at uuid := after;
    file public.audio_files;
    live soundscape.jobs;
    enqueued integer := 0;
    busy integer := 0;
begin
    if version is null or char_length(version) not between 1 and 64 then
        raise exception 'A version of the analysis is 1 to 64 characters.' using errcode = '22023';
    end if;
    perform soundscape.check_filters(filters);
    -- So many rows a call, matching or not: a call stays far below any statement timeout.
    for file in
        select * from public.audio_files f where after is null or f.id > after order by f.id limit 5000
    loop
        seen := seen + 1;
        cursor_at := file.id;
        if soundscape.wants_analysis(file, version) and soundscape.passes_filters(file, filters) then
            lacking := lacking || file.id;
            exit when cardinality(lacking) >= least(max_recordings, 1000);
        end if;
    end loop;

    if not plan then
        -- All of them before any job is touched, and none that somebody is busy with.
        perform from public.audio_files f where f.id = any(lacking) order by f.id for update skip locked;
        for file in select * from public.audio_files f where f.id = any(lacking) order by f.id
            for update skip locked loop
            continue when not soundscape.wants_analysis(file, version);
            select * into live from soundscape.jobs j
            where j.audio_id = file.id and j.state in ('queued', 'running')
              -- A preview is superseded, and asked for again by the end of the analysis.
              and j.queue <> 'soundscape_previews'
            for update;
            if live.state = 'queued' then
                -- Whoever takes it will do as well by this version as by none.
                update soundscape.jobs set analysis_version = version where id = live.id;
            else
                perform soundscape.enqueue(file.id, file.object_version, coalesce(live.queue, 'soundscape_backfill'),
                    version);
                -- Ready stays ready: former results are shown until there are new ones.
                update public.audio_files set status = 'queued', error_code = null, error_message = null
                where id = file.id and status in ('analyzing', 'failed', 'rejected');
            end if;
            enqueued := enqueued + 1;
        end loop;
        busy := cardinality(lacking) - enqueued;
    end if;
    return jsonb_build_object(
        'found', cardinality(lacking), 'enqueued', enqueued, 'busy', busy, 'after', cursor_at,
        'done', seen < 5000 and cardinality(lacking) < least(max_recordings, 1000));
end
$$;

create or replace function soundscape.retry_analysis(recording uuid) returns text
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.lock_own_recording(recording);
    if not soundscape.retry_job(recording) then
        perform soundscape.enqueue_preview(recording);
    end if;
    return (select status from public.audio_files where id = recording);
end
$$;
comment on function soundscape.retry_analysis(uuid)
    is 'For owners. Analyses a recording again that failed, was rejected or was cancelled. Makes the preview of one '
       'that is ready and lacks it. Returns the status afterwards.';
