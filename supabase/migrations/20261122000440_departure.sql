-- How a recording, its bytes or its user go, and what goes with them.

create function soundscape.forget_findings(recording uuid) returns void
language sql security definer set search_path = '' as $$
    select soundscape.forget_claims(recording);
    delete from public.audio_features where audio_id = recording;
    delete from public.audio_tags where audio_id = recording;
    delete from public.audio_embeddings where audio_id = recording;
$$;
comment on function soundscape.forget_findings(uuid) is 'Forget what analysis found in bytes that are gone.';

create function soundscape.on_object_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    recording uuid;
begin
    select id into recording from public.audio_files where object_id = old.id for update;
    if recording is null then
        return null;
    end if;
    update soundscape.jobs set state = 'cancelled', finished_at = now()
    where state in ('queued', 'running') and audio_id = recording;
    perform soundscape.forget_findings(recording);
    insert into soundscape.removals (bucket_id, name)
    select 'waveforms', o.name from storage.objects o
    where o.bucket_id = 'waveforms' and o.name like recording::text || '/%'
    on conflict do nothing;
    update public.audio_files
    set status = 'awaiting_upload', object_id = null, object_version = null, object_etag = null,
        analysis_version = null, analyzed_at = null, error_code = null, error_message = null
    where id = recording;
    return null;
end
$$;
comment on function soundscape.on_object_deleted() is 'Trigger on storage.objects: a recording without its bytes waits for new ones.';

create trigger soundscape_object_deleted after delete on storage.objects
    for each row when (old.bucket_id = 'audio-files')
    execute function soundscape.on_object_deleted();

create function soundscape.on_object_moved() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if exists (
        select from unnest(array[old.bucket_id, new.bucket_id]) as bucket
        where bucket in ('audio-files', 'waveforms', 'profile-images'))
    then
        raise exception 'Objects do not move between % and %.', old.bucket_id, new.bucket_id
            using errcode = '42501', hint = 'Upload the file to the other bucket.';
    end if;
    return new;
end
$$;
comment on function soundscape.on_object_moved() is 'Trigger on storage.objects: a move would pass by the limits and types of the bucket it goes to.';

create trigger soundscape_object_moved before update of bucket_id on storage.objects
    for each row when (old.bucket_id is distinct from new.bucket_id)
    execute function soundscape.on_object_moved();

create function soundscape.on_recording_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    -- What a moderator hid must not come back as a new row about the same bytes: that removal stands.
    insert into soundscape.removals (bucket_id, name, is_final)
    select o.bucket_id, o.name, old.hidden_at is not null from storage.objects o
    where (o.id = old.object_id and o.bucket_id = 'audio-files')
       or (o.bucket_id = 'waveforms' and o.name like old.id::text || '/%')
    on conflict (bucket_id, name) do update set is_final = removals.is_final or excluded.is_final;
    if found then
        perform soundscape.ring();
    end if;
    delete from soundscape.former_dismissals d where old.id in (d.audio_id, d.matched_audio_id);
    return null;
end
$$;
comment on function soundscape.on_recording_deleted() is 'Trigger on audio_files: the objects follow the row, and what was said of its former bytes.';
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
