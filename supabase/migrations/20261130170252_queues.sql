-- The queues are named in one place. What looks at all of them reads it, so that a queue is nowhere left out.

create function soundscape.analysis_queues() returns text[]
language sql immutable parallel safe set search_path = ''
return array['soundscape_uploads', 'soundscape_backfill'];
comment on function soundscape.analysis_queues() is 'The pgmq queues whose jobs analyse recordings.';

create function soundscape.queue_names() returns text[]
language sql immutable parallel safe set search_path = ''
return array_append(soundscape.analysis_queues(), 'soundscape_previews');
comment on function soundscape.queue_names() is 'The pgmq queues of the jobs.';

alter table soundscape.jobs drop constraint jobs_queue_check;
alter table soundscape.jobs add constraint jobs_queue_check check (queue = any (soundscape.queue_names()));

create function soundscape.visible_at(queue text, message bigint) returns timestamptz
language plpgsql stable security definer set search_path = '' as $$
declare
    at timestamptz;
begin
    execute format('select m.vt from pgmq.%I m where m.msg_id = $1', 'q_' || queue) into at using message;
    return at;
end
$$;
comment on function soundscape.visible_at(text, bigint)
    is 'When a message of a queue can be claimed. Null if there is no such message.';

create function soundscape.next_visible_at(queues text[]) returns timestamptz
language plpgsql stable security definer set search_path = '' as $$
declare
    queue text;
    earliest timestamptz;
    at timestamptz;
begin
    foreach queue in array queues loop
        execute format('select min(m.vt) from pgmq.%I m', 'q_' || queue) into at;
        earliest := least(earliest, at);  -- least() ignores null
    end loop;
    return earliest;
end
$$;
comment on function soundscape.next_visible_at(text[])
    is 'When the next message of these queues can be claimed. Null if they are empty.';

create or replace function soundscape.admit_waiting(max_lines integer default 100) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    line record;
    start uuid := gen_random_uuid();
    admitted integer := 0;
begin
    -- The index leads from owner to owner, from a random one on and around, so that each has its turn. The number of
    -- waiting jobs of each owner does not matter.
    for line in
        with recursive queues (queue) as (select unnest(soundscape.queue_names())),
        lines as (
            select q.queue, first.user_id, 1 as place from queues q cross join lateral (
                (select j.user_id from soundscape.jobs j
                 where j.queue = q.queue and j.state = 'queued' and j.msg_id is null and j.user_id >= start
                 order by j.user_id limit 1)) first
            union all
            select lines.queue, following.user_id, lines.place + 1 from lines cross join lateral (
                select j.user_id from soundscape.jobs j
                where j.queue = lines.queue and j.state = 'queued' and j.msg_id is null and j.user_id > lines.user_id
                order by j.user_id limit 1) following
            where lines.place < max_lines),
        wrapped as (
            select q.queue, first.user_id, 1 as place from queues q cross join lateral (
                (select j.user_id from soundscape.jobs j
                 where j.queue = q.queue and j.state = 'queued' and j.msg_id is null and j.user_id < start
                 order by j.user_id limit 1)) first
            union all
            select wrapped.queue, following.user_id, wrapped.place + 1 from wrapped cross join lateral (
                select j.user_id from soundscape.jobs j
                where j.queue = wrapped.queue and j.state = 'queued' and j.msg_id is null
                  and j.user_id > wrapped.user_id and j.user_id < start
                order by j.user_id limit 1) following
            where wrapped.place < max_lines)
        select queue, user_id from lines
        union all
        select queue, user_id from wrapped
        limit max_lines * cardinality(soundscape.queue_names())
    loop
        if soundscape.admit(line.user_id, line.queue) then
            admitted := admitted + 1;
        end if;
    end loop;
    return admitted;
end
$$;
comment on function soundscape.admit_waiting(integer)
    is 'Admits a job for owners with waiting jobs, for at most max_lines owners in each queue on average. Returns how '
       'many were admitted.';

create or replace function soundscape.analysis_waits() returns boolean
language sql stable security definer set search_path = '' as $$
    select coalesce(soundscape.next_visible_at(soundscape.analysis_queues()) <= clock_timestamp(), false)
        or exists (
            select from soundscape.jobs j
            where j.state = 'queued' and j.msg_id is null and j.queue = any (soundscape.analysis_queues()))
$$;

create or replace function soundscape.next_message_s() returns double precision
language sql stable security definer set search_path = '' as $$
    -- greatest() ignores null and would return 0.
    select case when m.vt is not null
        then greatest(0, extract(epoch from m.vt - clock_timestamp())) end::double precision
    from soundscape.next_visible_at(soundscape.analysis_queues()) as m (vt)
    where (select s.paused_at is null from soundscape.queue_settings s)
$$;

create or replace function soundscape.has_lost_job(recording uuid) returns boolean
language sql stable security definer set search_path = '' as $$
    select case
        when j.id is null then f.status in ('queued', 'analyzing')
        when j.msg_id is null then false
        else soundscape.visible_at(j.queue, j.msg_id) is null
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
            'visible_at', soundscape.visible_at(j.queue, j.msg_id),
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
            from unnest(soundscape.queue_names()) as q (name)
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
