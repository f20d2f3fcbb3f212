-- Previews get a share of the turns while analyses wait, so that one account's long import holds up nobody's.

alter table soundscape.queue_settings
    add column preview_every integer not null default 10 check (preview_every between 2 and 1000);
comment on column soundscape.queue_settings.preview_every
    is 'While analyses wait, one in so many claims of claim_previews is answered. A worker claims when an analysis of '
       'its own has ended, so it is about one preview to so many analyses.';

create sequence soundscape.preview_rounds;
comment on sequence soundscape.preview_rounds
    is 'Counts claims of previews while analyses wait, for queue_settings.preview_every.';

create or replace function soundscape.claim_previews(
    worker text, max_jobs integer default 1, lease_s integer default 60
)
returns table (
    job_id bigint, token text, trace_id text, attempt integer, audio_id uuid, user_id uuid,
    object_name text, object_version text, size_bytes bigint, content_type text, object_etag text
)
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
    settings soundscape.queue_settings;
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
    select * into settings from soundscape.queue_settings;
    if settings.paused_at is not null then
        return;
    elsif soundscape.analysis_waits() then
        if nextval('soundscape.preview_rounds') % settings.preview_every <> 0 then
            return;
        end if;
        left_to_claim := least(left_to_claim, 1);
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
    is 'Worker only. Claims up to max_jobs jobs that make previews, for lease_s seconds. While an analysis waits, one '
       'claim in preview_every gets one. Those that this worker holds already are released, because it lost the '
       'response to their claim.';

drop function if exists public.set_queue(boolean, integer, integer);
drop function soundscape.set_queue(boolean, integer, integer);
create function soundscape.set_queue(
    paused boolean default null, in_flight_per_owner integer default null, backfill_every integer default null,
    preview_every integer default null
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
        preview_every = coalesce(set_queue.preview_every, s.preview_every),
        changed_at = now()
    returning to_jsonb(s) - 'only_row' into settings;
    if was_paused and not paused then
        perform soundscape.ring_doorbell();
    end if;
    return settings;
end
$$;
comment on function soundscape.set_queue(boolean, integer, integer, integer)
    is 'Worker only. Changes each setting that is not null, and returns all of them. Pausing stops claims.';
