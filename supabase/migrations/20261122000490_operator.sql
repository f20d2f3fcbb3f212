-- The operator's view of the queue: what `soundscape jobs` shows and does, through the Data API.

create function soundscape.list_jobs(
    states text[], recording uuid, owner uuid, code text, before bigint, most integer
) returns setof jsonb
language sql stable security definer set search_path = '' as $$
    select to_jsonb(j) || jsonb_build_object('title', f.title, 'status', f.status, 'file_path', f.file_path)
    from soundscape.jobs j join public.audio_files f on f.id = j.audio_id
    where (states is null or j.state = any(states))
      and (recording is null or j.audio_id = recording)
      and (owner is null or j.user_id = owner)
      and (code is null or j.error_code = code)
      and (before is null or j.id < before)
    order by j.id desc limit least(most, 1000)
$$;
comment on function soundscape.list_jobs(text[], uuid, uuid, text, bigint, integer) is 'Jobs, newest first; each null asks for nothing.';

create function soundscape.show_job(job_id bigint) returns jsonb
language sql stable security definer set search_path = '' as $$
    select to_jsonb(j)
        || jsonb_build_object(
            'title', f.title, 'status', f.status, 'file_path', f.file_path, 'size_bytes', f.size_bytes,
            'shown_analysis_version', f.analysis_version,
            'visible_at', coalesce(
                (select m.vt from pgmq.q_soundscape_uploads m where m.msg_id = j.msg_id and j.queue = 'soundscape_uploads'),
                (select m.vt from pgmq.q_soundscape_backfill m where m.msg_id = j.msg_id and j.queue = 'soundscape_backfill')),
            'others', (
                select coalesce(jsonb_agg(jsonb_build_object('id', o.id, 'state', o.state) order by o.id), '[]')
                from soundscape.jobs o where o.audio_id = j.audio_id and o.id <> j.id))
    from soundscape.jobs j join public.audio_files f on f.id = j.audio_id where j.id = job_id
$$;
comment on function soundscape.show_job(bigint) is 'One job with its recording, its message and the recording''s other jobs; null where there is none.';

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
                    count(*) filter (where j.state = 'queued' and j.msg_id is not null and j.retry_at > now()) as retrying,
                    count(distinct j.user_id) as owners,
                    round(extract(epoch from now() - min(j.created_at) filter (where j.state = 'queued')), 1) as oldest_s
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
comment on function soundscape.queue_stats() is 'How much stands, waits and runs, how the last day''s jobs ended, what is dead, and the settings.';

create function soundscape.set_queue(paused boolean, in_flight_per_owner integer, backfill_every integer) returns jsonb
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
        perform soundscape.ring();
    end if;
    return settings;
end
$$;
comment on function soundscape.set_queue(boolean, integer, integer) is 'Change what is not null; returns the settings.';

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
comment on function soundscape.retry_jobs(bigint[]) is 'Ask again for what these jobs did not bring, as far as each is the latest of its recording; returns the new jobs.';

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
        where f.id in (select j.audio_id from soundscape.jobs j where j.id = any(jobs) and j.state in ('queued', 'running'))
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
comment on function soundscape.cancel_jobs(bigint[]) is 'End these jobs; returns those that were still asked for.';

create function public.list_jobs(
    states text[] default null, recording uuid default null, owner uuid default null, code text default null,
    before bigint default null, most integer default 50
) returns setof jsonb
language sql stable set search_path = ''
as $$ select soundscape.list_jobs(states, recording, owner, code, before, most) $$;
comment on function public.list_jobs(text[], uuid, uuid, text, bigint, integer) is 'Worker only: jobs, newest first.';

create function public.show_job(job_id bigint) returns jsonb
language sql stable set search_path = ''
as $$ select soundscape.show_job(job_id) $$;
comment on function public.show_job(bigint) is 'Worker only: one job with all that belongs to it.';

create function public.queue_stats() returns jsonb
language sql stable set search_path = ''
as $$ select soundscape.queue_stats() $$;
comment on function public.queue_stats() is 'Worker only: the queue in figures.';

create function public.set_queue(
    paused boolean default null, in_flight_per_owner integer default null, backfill_every integer default null
) returns jsonb
language sql set search_path = ''
as $$ select soundscape.set_queue(paused, in_flight_per_owner, backfill_every) $$;
comment on function public.set_queue(boolean, integer, integer) is 'Worker only: pause the queue, or share it out otherwise.';

create function public.retry_jobs(jobs bigint[]) returns bigint[]
language sql set search_path = ''
as $$ select soundscape.retry_jobs(jobs) $$;
comment on function public.retry_jobs(bigint[]) is 'Worker only: ask again for what these jobs did not bring.';

create function public.cancel_jobs(jobs bigint[]) returns bigint[]
language sql set search_path = ''
as $$ select soundscape.cancel_jobs(jobs) $$;
comment on function public.cancel_jobs(bigint[]) is 'Worker only: end these jobs.';
