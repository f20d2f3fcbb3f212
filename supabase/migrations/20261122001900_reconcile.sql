-- The sweep: repairs what a disabled trigger, a lost message or a killed worker left behind.

create function soundscape.max_repairs_per_sweep() returns integer
language sql immutable parallel safe set search_path = '' return 500;
comment on function soundscape.max_repairs_per_sweep()
    is 'How many items of each kind one sweep repairs. It holds a lock for each; the next sweep continues.';

create function soundscape.jobs_kept_for() returns interval
language sql immutable parallel safe set search_path = '' return interval '90 days';
comment on function soundscape.jobs_kept_for()
    is 'How long ended jobs are kept. The latest job of each recording is kept as long as the recording.';

create function soundscape.has_lost_job(recording uuid) returns boolean
language sql stable security definer set search_path = '' as $$
    select case
        when j.id is null then f.status in ('queued', 'analyzing')
        when j.msg_id is null then false
        when j.queue = 'soundscape_uploads'
            then not exists (select from pgmq.q_soundscape_uploads m where m.msg_id = j.msg_id)
        else not exists (select from pgmq.q_soundscape_backfill m where m.msg_id = j.msg_id)
    end
    from public.audio_files f
    left join soundscape.jobs j on j.audio_id = f.id and j.state in ('queued', 'running')
    where f.id = recording
$$;
comment on function soundscape.has_lost_job(uuid)
    is 'Whether a recording waits for an analysis that will never run: it has no job, or its job has lost its '
       'message.';

create function soundscape.attach_found_objects() returns integer
language plpgsql security definer set search_path = '' as $$
declare
    recording record;
    attached integer := 0;
begin
    for recording in
        select f.id, f.file_path from public.audio_files f
        join storage.objects o on o.bucket_id = 'audio-files' and o.name = f.file_path and o.metadata ? 'eTag'
        where (f.object_etag is distinct from o.metadata ->> 'eTag' or f.status = 'awaiting_upload')
          and soundscape.owner_of(o.name, o.owner_id) = f.user_id
        order by f.created_at limit soundscape.max_repairs_per_sweep()
    loop
        begin
            perform soundscape.lock_object_name(recording.file_path);
            -- The object's own transaction may have attached it while this one waited for the name.
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
    return attached;
end
$$;
comment on function soundscape.attach_found_objects()
    is 'Attaches objects that are there while their recording does not know it, because a trigger was off.';

create function soundscape.draft_undescribed_objects() returns integer
language plpgsql security definer set search_path = '' as $$
declare
    orphan storage.objects;
    drafted integer := 0;
begin
    for orphan in
        select o.* from storage.objects o
        join public.users u on u.id = soundscape.owner_of(o.name, o.owner_id)
        where o.bucket_id = 'audio-files' and o.metadata ? 'eTag' and o.created_at < now() - interval '1 minute'
          and (o.name like 'public/_%' or o.name like u.id::text || '/_%')
          and not exists (select from public.audio_files f where f.file_path = o.name)
          and not exists (select from soundscape.deletions r where r.bucket_id = 'audio-files' and r.name = o.name)
        order by o.created_at limit soundscape.max_repairs_per_sweep()
    loop
        begin
            perform soundscape.lock_object_name(orphan.name);
            perform soundscape.describe_object(orphan, regexp_replace(orphan.name, '^.*/', ''));
            drafted := drafted + 1;
        exception when others then
            raise warning 'sweep: % was not described: %', orphan.name, sqlerrm;
        end;
    end loop;
    return drafted;
end
$$;
comment on function soundscape.draft_undescribed_objects()
    is 'Gives a private draft row to each object that nobody described within a minute.';

create function soundscape.requeue_lost_jobs() returns integer
language plpgsql security definer set search_path = '' as $$
declare
    recording record;
    resent integer := 0;
begin
    for recording in
        select f.id from public.audio_files f
        where f.object_version is not null and f.id in (
            select w.id from public.audio_files w
            where w.status in ('queued', 'analyzing') and soundscape.has_lost_job(w.id)
            union
            select j.audio_id from soundscape.jobs j
            where j.state in ('queued', 'running') and j.msg_id is not null and soundscape.has_lost_job(j.audio_id))
        order by f.created_at limit soundscape.max_repairs_per_sweep()
        for update of f skip locked
    loop
        -- The job may have ended, or a new one may have been queued, before the lock was granted.
        if soundscape.has_lost_job(recording.id) then
            perform soundscape.enqueue(
                f.id, f.object_version, coalesce(j.queue, 'soundscape_uploads'), j.analysis_version)
            from public.audio_files f
            left join soundscape.jobs j on j.audio_id = f.id and j.state in ('queued', 'running')
            where f.id = recording.id;
            update public.audio_files set status = 'queued' where id = recording.id and status = 'analyzing';
            resent := resent + 1;
        end if;
    end loop;
    return resent;
end
$$;
comment on function soundscape.requeue_lost_jobs()
    is 'Re-queues recordings that wait for a job that does not exist, or whose job has lost its message.';

create function soundscape.delete_old_rows() returns void
language sql security definer set search_path = '' as $$
    delete from soundscape.jobs where id in (
        select j.id from soundscape.jobs j
        where j.finished_at < now() - soundscape.jobs_kept_for()
          and exists (select from soundscape.jobs l where l.audio_id = j.audio_id and l.id > j.id)
        order by j.finished_at limit soundscape.max_repairs_per_sweep() for update skip locked);

    delete from public.notifications where id in (
        select n.id from public.notifications n
        where n.created_at < now() - soundscape.notifications_kept_for()
        order by n.created_at limit soundscape.max_repairs_per_sweep() for update skip locked);
$$;
comment on function soundscape.delete_old_rows()
    is 'Deletes ended jobs and notifications that are too old. The latest job of each recording stays.';

create function soundscape.discard_unused_objects() returns integer
language plpgsql security definer set search_path = '' as $$
declare
    discarded integer;
begin
    -- For an hour an object may belong to a job that is about to be completed.
    insert into soundscape.deletions (bucket_id, name)
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
    and not exists (select from soundscape.deletions r where r.bucket_id = o.bucket_id and r.name = o.name)
    limit soundscape.max_repairs_per_sweep()
    on conflict do nothing;
    get diagnostics discarded = row_count;
    return discarded;
end
$$;
comment on function soundscape.discard_unused_objects()
    is 'Requests the deletion of pictures that no recording shows, and of files of deleted users.';

create function soundscape.reconcile() returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    counts jsonb;
begin
    -- Two sweeps at once would only wait for each other's names.
    if not pg_try_advisory_xact_lock(hashtextextended('soundscape.reconcile', 0)) then
        return jsonb_build_object('attached', 0, 'drafted', 0, 'resent', 0, 'discarded', 0);
    end if;
    counts := jsonb_build_object('attached', soundscape.attach_found_objects());
    counts := counts || jsonb_build_object('drafted', soundscape.draft_undescribed_objects());
    counts := counts || jsonb_build_object('resent', soundscape.requeue_lost_jobs());
    perform soundscape.admit_waiting();
    perform soundscape.delete_unused_words(soundscape.max_repairs_per_sweep());
    perform soundscape.delete_old_rows();
    return counts || jsonb_build_object('discarded', soundscape.discard_unused_objects());
end
$$;
comment on function soundscape.reconcile()
    is 'Worker only. Repairs what a disabled trigger, a lost message or a killed worker left behind. Running it twice '
       'changes nothing.';

select cron.schedule('soundscape-reconcile', '30 seconds', 'select soundscape.reconcile()');
