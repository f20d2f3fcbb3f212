-- What a file says in words may tell when and where it was recorded: comments of recorders do, and a date with a time
-- of day. Whoever sees the recording sees the descriptors. So neither is stored in them, agreed or not.

create function soundscape.tags_to_store(tags jsonb) returns jsonb
language sql immutable parallel safe set search_path = ''
return (tags - array['comment', 'date']) || case
    when tags ->> 'date' ~ '^\d{4}($|[^\d])' then jsonb_build_object('date', left(tags ->> 'date', 4)) else '{}' end;
comment on function soundscape.tags_to_store(jsonb)
    is 'What is stored of a file''s tags: no comment, and of the date its year.';

update public.audio_features f
set descriptors = jsonb_set(
    f.descriptors, '{source,tags}', soundscape.tags_to_store(f.descriptors #> '{source,tags}'))
where f.descriptors #> '{source,tags}' ?| array['comment', 'date'];

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
    if jsonb_typeof(source -> 'tags') = 'object' then
        result := jsonb_set(result, '{source,tags}', soundscape.tags_to_store(source -> 'tags'));
    end if;
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
