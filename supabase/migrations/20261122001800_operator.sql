-- The operator's functions: what `soundscape jobs` and `soundscape reanalyze` show and do through the Data API.
--
-- A backfill analyses recordings again at low priority. The former results stay readable until the new ones are there.

create function soundscape.list_jobs(
    states text[] default null, recording uuid default null, owner uuid default null, code text default null,
    before bigint default null, max_jobs integer default 50
) returns setof jsonb
language sql stable security definer set search_path = '' as $$
    select to_jsonb(j) || jsonb_build_object('title', f.title, 'status', f.status, 'file_path', f.file_path)
    from soundscape.jobs j join public.audio_files f on f.id = j.audio_id
    where (states is null or j.state = any(states))
      and (recording is null or j.audio_id = recording)
      and (owner is null or j.user_id = owner)
      and (code is null or j.error_code = code)
      and (before is null or j.id < before)
    order by j.id desc limit least(max_jobs, 1000)
$$;
comment on function soundscape.list_jobs(text[], uuid, uuid, text, bigint, integer)
    is 'Worker only. Jobs, newest first. A null argument does not filter.';

create function soundscape.show_job(job_id bigint) returns jsonb
language sql stable security definer set search_path = '' as $$
    select to_jsonb(j)
        || jsonb_build_object(
            'title', f.title, 'status', f.status, 'file_path', f.file_path, 'size_bytes', f.size_bytes,
            'shown_analysis_version', f.analysis_version,
            'visible_at', coalesce(
                (select m.vt from pgmq.q_soundscape_uploads m where m.msg_id = j.msg_id
                    and j.queue = 'soundscape_uploads'),
                (select m.vt from pgmq.q_soundscape_backfill m where m.msg_id = j.msg_id
                    and j.queue = 'soundscape_backfill')),
            'others', (
                select coalesce(jsonb_agg(jsonb_build_object('id', o.id, 'state', o.state) order by o.id), '[]')
                from soundscape.jobs o where o.audio_id = j.audio_id and o.id <> j.id))
    from soundscape.jobs j join public.audio_files f on f.id = j.audio_id where j.id = job_id
$$;
comment on function soundscape.show_job(bigint)
    is 'Worker only. One job with its recording, its message and the recording''s other jobs. Null if there is no '
       'such job.';

create function soundscape.queue_stats() returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object(
        'queues', (
            select jsonb_object_agg(q.name, jsonb_build_object(
                'running', coalesce(s.running, 0), 'standing', coalesce(s.standing, 0),
                'retrying', coalesce(s.retrying, 0), 'waiting', coalesce(s.waiting, 0),
                'owners', coalesce(s.owners, 0), 'oldest_s', s.oldest_s))
            from unnest(array['soundscape_uploads', 'soundscape_backfill']) as q (name)
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
comment on function soundscape.queue_stats()
    is 'Worker only. Counts of jobs by queue and state, how the jobs of the last day ended, dead jobs by error code, '
       'and the settings.';

create function soundscape.set_queue(
    paused boolean default null, in_flight_per_owner integer default null, backfill_every integer default null
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    was_paused boolean := (select s.paused_at is not null from soundscape.queue_settings s);
    settings jsonb;
begin
    update soundscape.queue_settings s
    set paused_at = case when paused then coalesce(s.paused_at, now()) when not paused then null else s.paused_at end,
        in_flight_per_owner = coalesce(set_queue.in_flight_per_owner, s.in_flight_per_owner),
        backfill_every = coalesce(set_queue.backfill_every, s.backfill_every),
        changed_at = now()
    returning to_jsonb(s) - 'only_row' into settings;
    if was_paused and not paused then
        perform soundscape.ring_doorbell();
    end if;
    return settings;
end
$$;
comment on function soundscape.set_queue(boolean, integer, integer)
    is 'Worker only. Changes each setting that is not null, and returns all of them. Pausing stops claims.';

create function soundscape.retry_jobs(jobs bigint[]) returns bigint[]
language plpgsql security definer set search_path = '' as $$
declare
    recording uuid;
    retried uuid[] := '{}';
begin
    for recording in
        select f.id from public.audio_files f join public.users u on u.id = f.user_id
        -- What came after a job holds: newer bytes, another attempt, its owner's wish that it be cancelled.
        where f.id in (
            select j.audio_id from soundscape.jobs j where j.id = any(jobs)
            and not exists (select from soundscape.jobs l where l.audio_id = j.audio_id and l.id > j.id))
        order by f.id for key share of u skip locked for update of f skip locked
    loop
        if soundscape.retry_job(recording) then
            retried := retried || recording;
        else
            -- A backfill that died left its recording ready: it is the job that is tried again.
            perform soundscape.enqueue(f.id, f.object_version, j.queue, j.analysis_version)
            from public.audio_files f cross join lateral (
                select l.* from soundscape.jobs l where l.audio_id = f.id order by l.id desc limit 1) j
            where f.id = recording and f.status = 'ready' and f.object_version is not null
              and j.state in ('dead', 'refused', 'cancelled') and j.id = any(jobs);
            if found then
                retried := retried || recording;
            end if;
        end if;
    end loop;
    return array(select j.id from soundscape.jobs j
        where j.audio_id = any(retried) and j.state in ('queued', 'running') order by j.id);
end
$$;
comment on function soundscape.retry_jobs(bigint[])
    is 'Worker only. Re-queues jobs that failed. A job that is not the latest of its recording is skipped. Returns '
       'the new jobs.';

create function soundscape.cancel_jobs(jobs bigint[]) returns bigint[]
language plpgsql security definer set search_path = '' as $$
declare
    recordings uuid[];
    cancelled bigint[] := '{}';
    job bigint;
    recording uuid;
begin
    -- All of them first: ending one job moves another up.
    select array_agg(held.id) into recordings from (
        select f.id from public.audio_files f join public.users u on u.id = f.user_id
        where f.id in (select j.audio_id from soundscape.jobs j where j.id = any(jobs) and j.state in ('queued',
            'running'))
        order by f.id for key share of u skip locked for update of f skip locked) held;
    for job, recording in
        select j.id, j.audio_id from soundscape.jobs j
        where j.id = any(jobs) and j.audio_id = any(recordings) and j.state in ('queued', 'running') order by j.id
    loop
        if soundscape.cancel_job(recording) then
            cancelled := cancelled || job;
        end if;
    end loop;
    return cancelled;
end
$$;
comment on function soundscape.cancel_jobs(bigint[])
    is 'Worker only. Cancels these jobs. Returns those that were still queued or running.';

-- Backfills
-- =========

create function soundscape.compares(has text, op text, value text) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
    return case op
        when 'eq' then has = value
        when 'neq' then has is distinct from value
        when 'in' then has = any (string_to_array(value, ','))
        when 'is' then (has is null) = (value = 'null')
    end;
end
$$;
comment on function soundscape.compares(text, text, text)
    is 'A filter on text; null for an operator that text has not.';

create function soundscape.compares(has numeric, op text, value text) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
    return case op
        when 'lt' then has < value::numeric when 'lte' then has <= value::numeric
        when 'gt' then has > value::numeric when 'gte' then has >= value::numeric
        when 'eq' then has = value::numeric
        when 'is' then (has is null) = (value = 'null')
    end;
end
$$;
comment on function soundscape.compares(numeric, text, text) is 'A filter on a number.';

create function soundscape.compares(has timestamptz, op text, value text) returns boolean
language plpgsql stable set search_path = '' as $$
begin
    return case op
        when 'lt' then has < value::timestamptz when 'lte' then has <= value::timestamptz
        when 'gt' then has > value::timestamptz when 'gte' then has >= value::timestamptz
        when 'is' then (has is null) = (value = 'null')
    end;
end
$$;
comment on function soundscape.compares(timestamptz, text, text) is 'A filter on a moment.';

create function soundscape.passes_filters(file public.audio_files, filters jsonb) returns boolean
language plpgsql stable set search_path = '' as $$
declare
    wanted record;
    answer boolean;
begin
    for wanted in
        select f ->> 'column' as name, f ->> 'op' as op, f ->> 'value' as value from jsonb_array_elements(filters) as f
    loop
        answer := case
            when wanted.name = 'tags' and wanted.op = 'cs' then file.tags @> string_to_array(wanted.value, ',')
            when wanted.name = 'tags' and wanted.op = 'ov' then file.tags && string_to_array(wanted.value, ',')
            when wanted.name = 'id' then soundscape.compares(file.id::text, wanted.op, wanted.value)
            when wanted.name in ('owner', 'user_id') then soundscape.compares(file.user_id::text, wanted.op,
                wanted.value)
            when wanted.name = 'status' then soundscape.compares(file.status, wanted.op, wanted.value)
            when wanted.name = 'error_code' then soundscape.compares(file.error_code, wanted.op, wanted.value)
            when wanted.name = 'content_type' then soundscape.compares(file.content_type, wanted.op, wanted.value)
            when wanted.name = 'analysis_version' then soundscape.compares(file.analysis_version, wanted.op,
                wanted.value)
            when wanted.name = 'is_public' then soundscape.compares(file.is_public::text, wanted.op, wanted.value)
            when wanted.name = 'duration' then soundscape.compares(file.duration::numeric, wanted.op, wanted.value)
            when wanted.name = 'size_bytes' then soundscape.compares(file.size_bytes::numeric, wanted.op, wanted.value)
            when wanted.name = 'channels' then soundscape.compares(file.channels::numeric, wanted.op, wanted.value)
            when wanted.name = 'sample_rate' then soundscape.compares(file.sample_rate::numeric, wanted.op,
                wanted.value)
            when wanted.name = 'created_at' then soundscape.compares(file.created_at, wanted.op, wanted.value)
            when wanted.name = 'analyzed_at' then soundscape.compares(file.analyzed_at, wanted.op, wanted.value)
        end;
        if answer is not true then
            return false;
        end if;
    end loop;
    return true;
end
$$;
comment on function soundscape.passes_filters(public.audio_files, jsonb)
    is 'Whether a recording passes filters of the form {column, op, value}. Unknown columns pass nothing.';

create function soundscape.check_filters(filters jsonb) returns void
language plpgsql immutable set search_path = '' as $$
declare
    texts constant text[] := array['eq', 'neq', 'in', 'is'];
    numbers constant text[] := array['eq', 'lt', 'lte', 'gt', 'gte', 'is'];
    moments constant text[] := array['lt', 'lte', 'gt', 'gte', 'is'];
    wanted record;
    ops text[];
begin
    if jsonb_typeof(filters) is distinct from 'array' then
        raise exception 'filters must be a list of {column, op, value}' using errcode = '22023';
    end if;
    for wanted in
        select f ->> 'column' as name, f ->> 'op' as op, f ->> 'value' as value from jsonb_array_elements(filters) as f
    loop
        ops := case
            when wanted.name = 'tags' then array['cs', 'ov']
            when wanted.name in ('id', 'owner', 'user_id', 'status', 'error_code', 'content_type', 'analysis_version',
                'is_public') then texts
            when wanted.name in ('duration', 'size_bytes', 'channels', 'sample_rate') then numbers
            when wanted.name in ('created_at', 'analyzed_at') then moments
        end;
        if ops is null then
            raise exception 'There is no filter on %.', coalesce(wanted.name, 'nothing') using errcode = '22023',
                hint = 'Filters: id, owner, status, tags, analysis_version, error_code, content_type, is_public, '
                    'duration, size_bytes, channels, sample_rate, created_at, analyzed_at.';
        elsif wanted.op is null or wanted.op <> all (ops) or wanted.value is null then
            raise exception 'The filter on % is %.', wanted.name, array_to_string(ops, ', ') using errcode = '22023',
                hint = 'Write column=operator.value, such as status=eq.failed.';
        elsif wanted.op = 'is' and wanted.value not in ('null', 'notnull') then
            raise exception 'is takes null or notnull, not %.', wanted.value using errcode = '22023';
        elsif ops = numbers and wanted.op <> 'is' and not pg_input_is_valid(wanted.value, 'numeric')
              or ops = moments and wanted.op <> 'is' and not pg_input_is_valid(wanted.value, 'timestamptz')
        then
            raise exception '% cannot be compared with %.', wanted.name, wanted.value using errcode = '22023';
        end if;
    end loop;
end
$$;
comment on function soundscape.check_filters(jsonb)
    is 'Raises an error that says what is wrong with the filters, if anything is.';

create function soundscape.wants_analysis(file public.audio_files, version text) returns boolean
language sql stable security definer set search_path = ''
return file.object_version is not null and file.status <> 'awaiting_upload'
    and file.analysis_version is distinct from version
    -- Asked for already, and either still to come or ended with a reason: jobs retry is for those.
    and not exists (
        select from soundscape.jobs j
        where j.audio_id = file.id and j.object_version = file.object_version and j.analysis_version = version
          and j.state in ('queued', 'running', 'refused', 'dead'));
comment on function soundscape.wants_analysis(public.audio_files, text)
    is 'Whether this version of the analysis still has to be queued.';

create function soundscape.reanalyze(
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
            where j.audio_id = file.id and j.state in ('queued', 'running') for update;
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
comment on function soundscape.reanalyze(text, jsonb, integer, uuid, boolean)
    is 'Worker only. Queues this version of the analysis for a batch of recordings that do not have it, in order of '
       'id from after on. plan only counts them. Safe to repeat: a queued recording is not queued again.';
