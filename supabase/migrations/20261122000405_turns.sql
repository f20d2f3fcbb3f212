-- Whose turn it is. Of one owner's jobs few have a message at a time; the others wait in the ledger, where
-- they are in nobody's way, and follow as those in front of them are taken. docs/decisions/fair-turns.md

create table soundscape.queue_settings (
    only_row boolean primary key default true check (only_row),
    in_flight_per_owner integer not null default 8 check (in_flight_per_owner between 1 and 10000),
    backfill_every integer not null default 10 check (backfill_every between 2 and 1000),
    paused_at timestamptz,
    changed_at timestamptz not null default now()
);
alter table soundscape.queue_settings enable row level security;
comment on table soundscape.queue_settings is 'How the queue shares out its workers: one row, changed with set_queue.';
comment on column soundscape.queue_settings.only_row is 'There is one row.';
comment on column soundscape.queue_settings.in_flight_per_owner is 'Jobs of one owner and one queue that may be held by workers, or stand before them, at once.';
comment on column soundscape.queue_settings.backfill_every is 'One turn in so many begins with the backfills, so that uploads never starve them.';
comment on column soundscape.queue_settings.paused_at is 'Since when no job is given out; null: the queue is open.';
comment on column soundscape.queue_settings.changed_at is 'When it was last changed.';
insert into soundscape.queue_settings default values;

create sequence soundscape.turns cycle;
comment on sequence soundscape.turns is 'Counts turns, so that one in backfill_every is a backfill''s.';

create function soundscape.standing_places() returns integer
language sql immutable parallel safe set search_path = '' return 2;
comment on function soundscape.standing_places() is 'Messages of one owner that may stand in a queue at once: a newcomer has so many of each owner''s before it.';

create function soundscape.admit(owner uuid, wanted_queue text) returns boolean
language plpgsql security definer set search_path = '' as $$
-- Takes no lock that anybody waits for. Two at once may admit one too many, which claim_next sends back, or
-- one too few, which a claim that finds nothing, or the sweep, makes good.
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
    if standing >= soundscape.standing_places()
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
comment on function soundscape.admit(uuid, text) is 'Let the owner''s longest waiting job stand in the queue, if it is the owner''s turn.';

create function soundscape.admit_waiting() returns integer
language plpgsql security definer set search_path = '' as $$
declare
    line record;
    admitted integer := 0;
begin
    -- From owner to owner by the index: how many jobs each has waiting costs nothing.
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
comment on function soundscape.admit_waiting() is 'Admit for every owner who has jobs waiting; returns how many came to stand.';
