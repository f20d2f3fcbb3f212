-- When and where a recording was made, from its file, if its owner agrees.
--
-- A worker reads it in the child that decodes the file, and sends it beside the record. It is stored only as
-- recorded_at, latitude and longitude, only with consent, and only where the owner has written nothing.

alter table public.user_preferences add column fill_from_file boolean not null default false;
comment on column public.user_preferences.fill_from_file
    is 'Whether recorded_at, latitude and longitude of a new recording are filled from its file, where they are '
       'null. The metadata fill_from_file of an upload, true or false, comes before it.';

create function soundscape.allows_filling(file public.audio_files) returns boolean
language sql stable security definer set search_path = ''
return coalesce(
    (select case when o.user_metadata -> 'fill_from_file' in ('true', '"true"') then true
                 when o.user_metadata -> 'fill_from_file' in ('false', '"false"') then false end
     from storage.objects o where o.id = file.object_id),
    (select p.fill_from_file from public.user_preferences p where p.user_id = file.user_id),
    false);
comment on function soundscape.allows_filling(public.audio_files)
    is 'Whether the owner agrees that a recording is described from its file: by its upload, or else by their setting.';

create function soundscape.fill_from_file(file public.audio_files, capture jsonb) returns void
language plpgsql security definer set search_path = '' as $$
-- The caller holds the recording.
declare
    recorded timestamptz := (capture ->> 'recorded_at')::timestamptz;
    north double precision := (capture ->> 'latitude')::double precision;
    east double precision := (capture ->> 'longitude')::double precision;
begin
    -- A recorder's clock may be in another zone; what is later than that is no clock.
    if recorded > now() + interval '1 day' then
        recorded := null;
    end if;
    if (north between -90 and 90 and east between -180 and 180) is not true then
        north := null;
        east := null;
    end if;
    if soundscape.allows_filling(file)
        and (file.recorded_at is null and recorded is not null or file.latitude is null and north is not null)
    then
        -- A trigger rounds the place to location_precision_m.
        update public.audio_files f
        set recorded_at = coalesce(f.recorded_at, recorded), latitude = coalesce(f.latitude, north),
            longitude = coalesce(f.longitude, east)
        where f.id = file.id;
    end if;
end
$$;
comment on function soundscape.fill_from_file(public.audio_files, jsonb)
    is 'Writes what a file says of when and where it was recorded, where the owner agrees and has written nothing.';

create or replace function soundscape.complete_job(job_id bigint, token text, result jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
    job soundscape.jobs := soundscape.lock_held_job(job_id, token);
    file public.audio_files;
    source jsonb := result -> 'source';
    -- Whoever sees the recording sees the descriptors: the capture is in none of them.
    capture constant jsonb := result -> 'capture';
begin
    result := result - 'capture';
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
        -- Only once for the same bytes: what the owner has emptied since stays empty.
        perform soundscape.fill_from_file(file, capture);
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
