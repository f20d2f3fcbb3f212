-- Peaks in the row, so that a page draws a list without a download.

alter table public.audio_files
    add column peaks smallint[]
        check (cardinality(peaks) = 200 and 0 <= all (peaks) and 255 >= all (peaks));
comment on column public.audio_files.peaks
    is 'The whole recording as 200 bars, 0 to 255. A bar is the largest absolute value of its part. The loudest is '
       '255. Null until the recording is analysed.';

create or replace function soundscape.delete_results(recording uuid) returns void
language sql security definer set search_path = '' as $$
    select soundscape.delete_claims(recording);
    delete from public.audio_features where audio_id = recording;
    delete from public.audio_tags where audio_id = recording;
    delete from public.audio_embeddings where audio_id = recording;
    update public.audio_files set peaks = null where id = recording and peaks is not null;
$$;

create function soundscape.peaks_of(result jsonb) returns smallint[]
language sql immutable parallel safe set search_path = ''
-- Workers of an older version measure none.
return case when jsonb_typeof(result #> '{waveform,peaks}') = 'array'
    then array(select jsonb_array_elements_text(result #> '{waveform,peaks}')::smallint) end;
comment on function soundscape.peaks_of(jsonb) is 'The 200 bars in the record of an analysis. Null if it has none.';

create or replace function soundscape.complete_job(job_id bigint, token text, result jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
    job soundscape.jobs := soundscape.lock_held_job(job_id, token);
    file public.audio_files;
    source jsonb := result -> 'source';
begin
    -- The lock keeps the owner and the visibility that are written with the results.
    select * into file from public.audio_files where id = job.audio_id for no key update;
    if not exists (
        select from public.audio_features f
        where f.audio_id = job.audio_id
          -- The same bytes have another ETag when they are uploaded in another way.
          and (f.object_version = job.object_version or f.sha256 = source ->> 'sha256'))
    then
        perform soundscape.delete_claims(job.audio_id);
    end if;
    perform soundscape.write_tags_and_embedding(file, result);
    perform soundscape.write_features(file, job.object_version, result);
    perform soundscape.write_fingerprint(file, job.object_version, result -> 'index');
    perform soundscape.replace_claims(file, result);
    update public.audio_files
    set duration = (source ->> 'duration_s')::double precision, sample_rate = (source ->> 'sample_rate')::integer,
        channels = (source ->> 'channels')::smallint, analysis_version = result ->> 'analysis_version',
        analyzed_at = now(), trace_id = job.trace_id, peaks = soundscape.peaks_of(result)
    where id = job.audio_id;
    perform soundscape.end_job(job, 'succeeded', 'ready');
    perform soundscape.delete_former_pictures(
        job.audio_id, regexp_replace(result #>> '{waveform,path}', '[^/]*$', ''));
end
$$;
