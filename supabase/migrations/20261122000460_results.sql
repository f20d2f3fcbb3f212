-- What a finished analysis writes.

create function soundscape.write_tags_and_place(file public.audio_files, result jsonb) returns void
language sql security definer set search_path = '' as $$
    delete from public.audio_tags where audio_id = file.id;
    insert into public.audio_tags (audio_id, user_id, is_listed, label, confidence, start_s, end_s)
    select file.id, file.user_id, file.is_listed, heard.label, heard.confidence, heard.start_s, heard.end_s
    from jsonb_to_recordset(case jsonb_typeof(result -> 'tags') when 'array' then result -> 'tags' else '[]' end)
        as heard (label text, confidence real, start_s double precision, end_s double precision);

    delete from public.audio_embeddings where audio_id = file.id;
    insert into public.audio_embeddings (audio_id, space, user_id, is_listed, embedding)
    select file.id, result #>> '{embedding,space}', file.user_id, file.is_listed,
           (result #>> '{embedding,values}')::extensions.halfvec(128)
    where jsonb_typeof(result -> 'embedding') = 'object';
$$;
comment on function soundscape.write_tags_and_place(public.audio_files, jsonb) is 'Tags and embedding of a finished analysis, instead of what was there. A skipped stage leaves none.';

create function soundscape.complete_job(job_id bigint, token text, result jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
    job soundscape.jobs := soundscape.held_job(job_id, token);
    file public.audio_files;
    source jsonb := result -> 'source';
    spectral jsonb := result -> 'spectral';
    pictures_prefix text := regexp_replace(result #>> '{waveform,path}', '[^/]*$', '');
begin
    -- Locked, so that owner and visibility stay what is written beside the results.
    select * into file from public.audio_files where id = job.audio_id for no key update;
    if not exists (
        select from public.audio_features f
        where f.audio_id = job.audio_id
          -- Another way of uploading gives the same bytes another ETag.
          and (f.object_version = job.object_version or f.sha256 = source ->> 'sha256'))
    then
        perform soundscape.forget_claims(job.audio_id);
    end if;
    perform soundscape.write_tags_and_place(file, result);

    insert into public.audio_features as f (
        audio_id, user_id, is_listed, object_version, analysis_version, duration_s,
        integrated_lufs, loudness_range_lu, true_peak_dbtp, sample_peak_dbfs, rms_dbfs,
        tempo_bpm, tempo_confidence, onset_rate_hz, key, mode, key_confidence,
        centroid_hz, bandwidth_hz, rolloff_hz, flatness, zero_crossing_rate,
        sha256, waveform_path, pictures, descriptors)
    values (
        job.audio_id, file.user_id, file.is_listed, job.object_version, result ->> 'analysis_version', (source ->> 'duration_s')::double precision,
        (result #>> '{loudness,integrated_lufs}')::real, (result #>> '{loudness,range_lu}')::real,
        (result #>> '{loudness,true_peak_dbtp}')::real, (result #>> '{loudness,sample_peak_dbfs}')::real,
        (spectral #>> '{rms_dbfs,mean}')::real,
        (result #>> '{rhythm,tempo_bpm}')::real, (result #>> '{rhythm,tempo_confidence}')::real,
        (result #>> '{rhythm,onset_rate_hz}')::real,
        result #>> '{tonality,key}', result #>> '{tonality,mode}', (result #>> '{tonality,confidence}')::real,
        (spectral #>> '{centroid_hz,mean}')::real, (spectral #>> '{bandwidth_hz,mean}')::real,
        (spectral #>> '{rolloff_hz,mean}')::real, (spectral #>> '{flatness,mean}')::real,
        (spectral #>> '{zero_crossing_rate,mean}')::real,
        source ->> 'sha256', result #>> '{waveform,path}', coalesce(result -> 'pictures', '{}'),
        result - '{index,matches}'::text[])
    on conflict (audio_id) do update set
        object_version = excluded.object_version, analysis_version = excluded.analysis_version,
        duration_s = excluded.duration_s, integrated_lufs = excluded.integrated_lufs,
        loudness_range_lu = excluded.loudness_range_lu, true_peak_dbtp = excluded.true_peak_dbtp,
        sample_peak_dbfs = excluded.sample_peak_dbfs, rms_dbfs = excluded.rms_dbfs,
        tempo_bpm = excluded.tempo_bpm, tempo_confidence = excluded.tempo_confidence,
        onset_rate_hz = excluded.onset_rate_hz, key = excluded.key, mode = excluded.mode,
        key_confidence = excluded.key_confidence, centroid_hz = excluded.centroid_hz,
        bandwidth_hz = excluded.bandwidth_hz, rolloff_hz = excluded.rolloff_hz, flatness = excluded.flatness,
        zero_crossing_rate = excluded.zero_crossing_rate, sha256 = excluded.sha256,
        waveform_path = excluded.waveform_path, pictures = excluded.pictures,
        descriptors = excluded.descriptors, created_at = now();

    perform soundscape.write_fingerprint(file, job.object_version, result -> 'index');
    perform soundscape.claim_matches(file, result);

    update public.audio_files
    set duration = (source ->> 'duration_s')::double precision, sample_rate = (source ->> 'sample_rate')::integer,
        channels = (source ->> 'channels')::smallint, analysis_version = result ->> 'analysis_version',
        analyzed_at = now(), trace_id = job.trace_id
    where id = job.audio_id;
    perform soundscape.end_job(job, 'succeeded', 'ready');

    -- What is shown from now on is not to go. Once a worker was to remove it, it may be gone already.
    delete from soundscape.removals
    where bucket_id = 'waveforms' and starts_with(name, pictures_prefix) and taken_at is null;
    if exists (select from soundscape.removals where bucket_id = 'waveforms' and starts_with(name, pictures_prefix)) then
        raise exception 'Pictures under % are being removed.', pictures_prefix
            using errcode = '55P03', hint = 'The next attempt stores them anew.';
    end if;
    -- Pictures of earlier attempts are nobody's any more.
    insert into soundscape.removals (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id = 'waveforms' and o.name like job.audio_id::text || '/%'
      and not starts_with(o.name, pictures_prefix)
    on conflict do nothing;
end
$$;
comment on function soundscape.complete_job(bigint, text, jsonb) is 'Results, state and the end of the message in one transaction, refused to a stale token.';
