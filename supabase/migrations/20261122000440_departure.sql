-- How a recording, its bytes or its user go, and what goes with them.

create function soundscape.forget_findings(recording uuid) returns void
language sql security definer set search_path = '' as $$
    delete from public.audio_features where audio_id = recording;
    delete from public.audio_tags where audio_id = recording;
    delete from public.audio_embeddings where audio_id = recording;
    delete from public.audio_matches where recording in (audio_id, matched_audio_id);
$$;
comment on function soundscape.forget_findings(uuid) is 'Forget what analysis found in bytes that are gone.';

create function soundscape.on_object_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform from public.audio_files where object_id = old.id for update;
    update soundscape.jobs set state = 'cancelled', finished_at = now()
    where state in ('queued', 'running')
      and audio_id in (select id from public.audio_files where object_id = old.id);
    perform soundscape.forget_findings(id) from public.audio_files where object_id = old.id;
    insert into soundscape.removals (bucket_id, name)
    select 'waveforms', o.name from storage.objects o
    where o.bucket_id = 'waveforms'
      and o.path_tokens[1] in (select id::text from public.audio_files where object_id = old.id)
    on conflict do nothing;
    update public.audio_files
    set status = 'awaiting_upload', object_id = null, object_version = null, object_etag = null,
        analysis_version = null, analyzed_at = null, error_code = null, error_message = null
    where object_id = old.id;
    return null;
end
$$;
comment on function soundscape.on_object_deleted() is 'Trigger on storage.objects: a recording without its bytes waits for new ones.';

create trigger soundscape_object_deleted after delete on storage.objects
    for each row when (old.bucket_id = 'audio-files')
    execute function soundscape.on_object_deleted();
create trigger soundscape_object_left after update of bucket_id on storage.objects
    for each row when (old.bucket_id = 'audio-files' and new.bucket_id is distinct from 'audio-files')
    execute function soundscape.on_object_deleted();

create function soundscape.on_recording_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    insert into soundscape.removals (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where (o.id = old.object_id and o.bucket_id = 'audio-files')
       or (o.bucket_id = 'waveforms' and o.name like old.id::text || '/%')
    on conflict do nothing;
    if found then
        perform soundscape.ring();
    end if;
    return null;
end
$$;
comment on function soundscape.on_recording_deleted() is 'Trigger on audio_files: the objects follow the row.';
create trigger audio_files_deleted after delete on public.audio_files
    for each row execute function soundscape.on_recording_deleted();

create function soundscape.on_user_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    insert into soundscape.removals (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id in ('audio-files', 'profile-images') and o.name like old.id::text || '/%'
    on conflict do nothing;
    return null;
end
$$;
comment on function soundscape.on_user_deleted() is 'Trigger on users: a user''s folders go with the user, described or not.';
create trigger users_deleted after delete on public.users
    for each row execute function soundscape.on_user_deleted();
