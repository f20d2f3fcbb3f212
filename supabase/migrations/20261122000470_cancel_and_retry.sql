-- What an owner may wish of the analysis of a recording: an end to it, or another one.

create function soundscape.cancel_job(recording uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
-- The caller holds the recording.
declare
    job soundscape.jobs;
begin
    select * into job from soundscape.jobs
    where audio_id = recording and state in ('queued', 'running') for update;
    if job.id is null then
        return false;
    end if;
    -- A worker that has it finds its token stale at its next heartbeat.
    perform soundscape.end_job(job, 'cancelled', 'failed', 'cancelled');
    return true;
end
$$;
comment on function soundscape.cancel_job(uuid) is 'End what is asked for a recording; false where nothing is.';

create function soundscape.retry_job(recording uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
-- The caller holds the recording.
declare
    file public.audio_files;
begin
    select * into file from public.audio_files where id = recording;
    if file.status not in ('failed', 'rejected') or file.object_version is null then
        return false;
    end if;
    update public.audio_files set status = 'queued', error_code = null, error_message = null where id = recording;
    perform soundscape.enqueue(recording, file.object_version);
    return true;
end
$$;
comment on function soundscape.retry_job(uuid) is 'Ask again for the analysis of a recording that failed or was refused; false for any other.';

create function soundscape.own_recording(recording uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform from public.users where id = (select auth.uid()) for key share;
    perform from public.audio_files where id = recording and user_id = (select auth.uid()) for update;
    if not found then
        raise exception 'There is no recording of yours with the id %.', recording
            using errcode = '42501', hint = 'Only the owner of a recording decides about its analysis.';
    end if;
end
$$;
comment on function soundscape.own_recording(uuid) is 'Lock a recording of the caller''s; an error where it is none.';

create function soundscape.cancel_analysis(recording uuid) returns text
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.own_recording(recording);
    perform soundscape.cancel_job(recording);
    return (select status from public.audio_files where id = recording);
end
$$;
comment on function soundscape.cancel_analysis(uuid) is 'The owner''s wish that a recording be left alone.';

create function soundscape.retry_analysis(recording uuid) returns text
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.own_recording(recording);
    perform soundscape.retry_job(recording);
    return (select status from public.audio_files where id = recording);
end
$$;
comment on function soundscape.retry_analysis(uuid) is 'The owner''s wish that a recording be tried again.';

create function public.cancel_analysis(recording uuid) returns text
language sql set search_path = ''
as $$ select soundscape.cancel_analysis(recording) $$;
comment on function public.cancel_analysis(uuid) is 'Owners: stop the analysis of a recording that is queued or being analysed. Returns the status it has now: failed with the code cancelled, or what it was where nothing was to be stopped.';

create function public.retry_analysis(recording uuid) returns text
language sql set search_path = ''
as $$ select soundscape.retry_analysis(recording) $$;
comment on function public.retry_analysis(uuid) is 'Owners: analyse a recording again that failed, was rejected or was cancelled. Returns the status it has now.';
