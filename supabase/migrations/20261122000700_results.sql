-- Results of the analysis: features, tags and embeddings, and the function that writes them and ends the job.
--
-- Each row repeats the recording's owner and visibility. A foreign key with "on update cascade" keeps them equal:
-- docs/decisions/visibility-by-foreign-key.md.

-- Features
-- ========

create table public.audio_features (
    audio_id uuid primary key,
    user_id uuid not null,
    is_listed boolean not null,
    object_version text not null,
    analysis_version text not null,
    duration_s double precision not null check (duration_s >= 0),
    integrated_lufs real,
    loudness_range_lu real,
    true_peak_dbtp real,
    sample_peak_dbfs real,
    rms_dbfs real,
    tempo_bpm real check (tempo_bpm > 0),
    tempo_confidence real check (tempo_confidence between 0 and 1),
    onset_rate_hz real check (onset_rate_hz >= 0),
    key text check (key in ('C', 'C#', 'D', 'D#', 'E', 'F', 'F#', 'G', 'G#', 'A', 'A#', 'B')),
    mode text check (mode in ('major', 'minor')),
    key_confidence real check (key_confidence between 0 and 1),
    centroid_hz real check (centroid_hz >= 0),
    bandwidth_hz real check (bandwidth_hz >= 0),
    rolloff_hz real check (rolloff_hz >= 0),
    flatness real check (flatness between 0 and 1),
    zero_crossing_rate real check (zero_crossing_rate between 0 and 1),
    sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    waveform_path text not null,
    pictures jsonb not null default '{}',
    descriptors jsonb not null,
    created_at timestamptz not null default now(),
    unique (audio_id, user_id, is_listed),
    constraint audio_features_audio_id_fkey foreign key (audio_id, user_id, is_listed)
        references public.audio_files (id, user_id, is_listed) on update cascade on delete cascade
);
alter table public.audio_features enable row level security;

create index audio_features_by_owner on public.audio_features (user_id);
create index audio_features_by_tempo on public.audio_features (tempo_bpm);
create index audio_features_by_key on public.audio_features (key, mode, tempo_bpm);
create index audio_features_by_duration on public.audio_features (duration_s);
create index audio_features_by_bytes on public.audio_features (sha256);

comment on table public.audio_features
    is 'What the analysis measured, one row per recording. Visible to whoever sees the recording.';
comment on column public.audio_features.audio_id is 'The recording.';
comment on column public.audio_features.user_id is 'The recording''s owner, repeated from audio_files.';
comment on column public.audio_features.is_listed is 'Whether everybody sees the recording, repeated from audio_files.';
comment on column public.audio_features.object_version is 'Version of the object that was analysed.';
comment on column public.audio_features.analysis_version is 'Version of the analysis.';
comment on column public.audio_features.duration_s is 'Decoded length in seconds.';
comment on column public.audio_features.integrated_lufs is 'Integrated loudness (EBU R128), LUFS; null for silence.';
comment on column public.audio_features.loudness_range_lu is 'Loudness range (EBU Tech 3342), LU.';
comment on column public.audio_features.true_peak_dbtp is 'True peak (BS.1770), dBTP.';
comment on column public.audio_features.sample_peak_dbfs is 'Highest absolute sample value, dB relative to full scale.';
comment on column public.audio_features.rms_dbfs
    is 'Root mean square over the whole recording, dB relative to full scale.';
comment on column public.audio_features.tempo_bpm is 'Beats per minute; null when there is no tempo.';
comment on column public.audio_features.tempo_confidence is '0 to 1.';
comment on column public.audio_features.onset_rate_hz is 'Onsets per second.';
comment on column public.audio_features.key is 'Tonic, sharps only; null when there is no key.';
comment on column public.audio_features.mode is 'major or minor; null when there is no key.';
comment on column public.audio_features.key_confidence is '0 to 1.';
comment on column public.audio_features.centroid_hz is 'Spectral centroid, mean over frames.';
comment on column public.audio_features.bandwidth_hz is 'Spectral bandwidth, mean over frames.';
comment on column public.audio_features.rolloff_hz is 'Frequency below which 85 % of the energy is, mean over frames.';
comment on column public.audio_features.flatness is 'Spectral flatness, 0 tonal to 1 noise, mean over frames.';
comment on column public.audio_features.zero_crossing_rate is 'Zero crossings per sample, mean over frames.';
comment on column public.audio_features.sha256 is 'SHA-256 of the file''s bytes.';
comment on column public.audio_features.waveform_path
    is 'Object name of the waveform data in the bucket waveforms (audiowaveform .dat, version 2).';
comment on column public.audio_features.pictures is 'Object names of the pictures in the bucket waveforms, by name.';
comment on column public.audio_features.descriptors is 'The whole record of the analysis.';
comment on column public.audio_features.created_at is 'When these results were written.';

create index audio_features_by_samples on public.audio_features ((descriptors #>> '{source,pcm_sha256}'));

alter publication supabase_realtime add table public.audio_files, public.audio_features;

create table soundscape.descriptors (
    column_name text primary key,
    path text[] not null unique,
    unit text not null,
    filter text unique
);
alter table soundscape.descriptors enable row level security;
comment on table soundscape.descriptors
    is 'The registry of searchable descriptors. One row for each measured column of audio_features: complete_job '
       'reads from here which value of the record goes to which column. A test holds it to the registry in Python.';
comment on column soundscape.descriptors.column_name is 'Column of audio_features.';
comment on column soundscape.descriptors.path is 'Path of the value in the record of the analysis.';
comment on column soundscape.descriptors.unit is 'Unit or range; empty where there is none.';
comment on column soundscape.descriptors.filter
    is 'Name of the filter in search and similarity, null where there is none. A number has the bounds min_ and max_.';
insert into soundscape.descriptors (column_name, path, unit, filter) values
    ('duration_s', '{source,duration_s}', 'seconds', 'duration_s'),
    ('integrated_lufs', '{loudness,integrated_lufs}', 'LUFS', 'loudness_lufs'),
    ('loudness_range_lu', '{loudness,range_lu}', 'LU', null),
    ('true_peak_dbtp', '{loudness,true_peak_dbtp}', 'dBTP', null),
    ('sample_peak_dbfs', '{loudness,sample_peak_dbfs}', 'dBFS', null),
    ('tempo_bpm', '{rhythm,tempo_bpm}', 'beats a minute', 'tempo_bpm'),
    ('tempo_confidence', '{rhythm,tempo_confidence}', '0 to 1', null),
    ('onset_rate_hz', '{rhythm,onset_rate_hz}', '', null),
    ('key', '{tonality,key}', '', 'key'),
    ('mode', '{tonality,mode}', '', 'mode'),
    ('key_confidence', '{tonality,confidence}', '0 to 1', null),
    ('centroid_hz', '{spectral,centroid_hz,mean}', 'Hz', null),
    ('bandwidth_hz', '{spectral,bandwidth_hz,mean}', 'Hz', null),
    ('rolloff_hz', '{spectral,rolloff_hz,mean}', 'Hz', null),
    ('flatness', '{spectral,flatness,mean}', '', null),
    ('zero_crossing_rate', '{spectral,zero_crossing_rate,mean}', '', null),
    ('rms_dbfs', '{spectral,rms_dbfs,mean}', 'dB relative to full scale', null);

-- Tags
-- ====

create table public.audio_tags (
    audio_id uuid not null,
    user_id uuid not null,
    is_listed boolean not null,
    label text not null check (char_length(label) between 1 and 100),
    confidence real not null check (confidence between 0 and 1),
    start_s double precision not null check (start_s >= 0),
    end_s double precision not null check (end_s < 'infinity'),
    -- The key has no sequence: a gap in it would reveal somebody's private recording.
    primary key (audio_id, label, start_s),
    check (start_s <= end_s),
    constraint audio_tags_audio_id_fkey foreign key (audio_id, user_id, is_listed)
        references public.audio_files (id, user_id, is_listed) on update cascade on delete cascade
);
alter table public.audio_tags enable row level security;
create index audio_tags_by_recording on public.audio_tags (audio_id, user_id, is_listed);
create index audio_tags_by_owner on public.audio_tags (user_id);
create index audio_tags_by_label on public.audio_tags (label, confidence desc);
comment on table public.audio_tags is 'What is heard, and from when to when. Visible to whoever sees the recording.';
comment on column public.audio_tags.audio_id is 'The recording.';
comment on column public.audio_tags.user_id is 'The recording''s owner, repeated from audio_files.';
comment on column public.audio_tags.is_listed is 'Whether everybody sees the recording, repeated from audio_files.';
comment on column public.audio_tags.label is 'Name of the AudioSet class.';
comment on column public.audio_tags.confidence is 'Mean score over the span, 0 to 1.';
comment on column public.audio_tags.start_s is 'Begin, seconds.';
comment on column public.audio_tags.end_s is 'End, seconds.';

create function soundscape.tag_weights(recording uuid) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_object_agg(label, weight), '{}') from (
        select label, round((case when whole.end_s > 0 then sum(confidence * (t.end_s - t.start_s)) / whole.end_s
                             else max(confidence) end)::numeric, 3) as weight
        from public.audio_tags t,
        -- The model scores the whole recording, so the last span ends about where the recording ends.
        (select max(end_s) as end_s from public.audio_tags where audio_id = recording) as whole
        where t.audio_id = recording
        group by label, whole.end_s order by weight desc, label limit 30) as strongest
$$;
comment on function soundscape.tag_weights(uuid)
    is 'The tags of a recording as one object: for each label its share of the time, weighted by confidence.';

create function soundscape.on_tags_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    update public.audio_files f set heard = now_heard.heard
    from (select c.audio_id, soundscape.tag_weights(c.audio_id) as heard
          from (select distinct audio_id from changed) as c) as now_heard
    where f.id = now_heard.audio_id and f.heard <> now_heard.heard;
    return null;
end
$$;
comment on function soundscape.on_tags_changed()
    is 'Trigger on audio_tags: updates heard of the recording in the same transaction.';

create trigger audio_tags_added after insert on public.audio_tags
    referencing new table as changed for each statement execute function soundscape.on_tags_changed();
create trigger audio_tags_changed after update on public.audio_tags
    referencing new table as changed for each statement execute function soundscape.on_tags_changed();
create trigger audio_tags_removed after delete on public.audio_tags
    referencing old table as changed for each statement execute function soundscape.on_tags_changed();

-- Embeddings
-- ==========

create table public.audio_embeddings (
    audio_id uuid not null,
    space text not null check (char_length(space) between 1 and 64),
    user_id uuid not null,
    is_listed boolean not null,
    embedding extensions.halfvec(128) not null check (extensions.l2_norm(embedding) > 0.5),
    created_at timestamptz not null default now(),
    -- Similarity compares these too. They stand in the same row because each answer looks at hundreds of rows.
    octaves real,
    octaves_confidence real,
    onsets real,
    fifth smallint check (fifth between 0 and 11),
    is_minor boolean,
    fifth_confidence real,
    label_vector extensions.sparsevec(1000000000),
    primary key (audio_id, space),
    constraint audio_embeddings_audio_id_fkey foreign key (audio_id, user_id, is_listed)
        references public.audio_files (id, user_id, is_listed) on update cascade on delete cascade
);
alter table public.audio_embeddings enable row level security;
create index audio_embeddings_by_recording on public.audio_embeddings (audio_id, user_id, is_listed);
-- A user's own recordings are few and are searched exactly. The public catalogue has the graph.
create index audio_embeddings_by_owner on public.audio_embeddings (user_id, space);
create index audio_embeddings_public_by_space on public.audio_embeddings (space) where is_listed;
-- Sounds form clusters. With pgvector's default of 64, one search in forty among 100,000 recordings was in the wrong
-- cluster.
create index audio_embeddings_public on public.audio_embeddings
    using hnsw (embedding extensions.halfvec_cosine_ops) with (ef_construction = 200) where is_listed;
comment on table public.audio_embeddings
    is 'Embeddings: similar sounds have near vectors. Only vectors of the same space can be compared.';
comment on column public.audio_embeddings.audio_id is 'The recording.';
comment on column public.audio_embeddings.space is 'Name and version of the space.';
comment on column public.audio_embeddings.user_id is 'The recording''s owner, repeated from audio_files.';
comment on column public.audio_embeddings.is_listed
    is 'Whether everybody sees the recording, repeated from audio_files.';
comment on column public.audio_embeddings.embedding is '128 values of unit length.';
comment on column public.audio_embeddings.created_at is 'When it was written.';

comment on column public.audio_embeddings.octaves is 'Tempo as log2 of beats a minute. Null if none was found.';
comment on column public.audio_embeddings.octaves_confidence is 'Confidence of the tempo, 0 to 1.';
comment on column public.audio_embeddings.onsets is 'ln(1 + onsets a second). Null if nothing was measured.';
comment on column public.audio_embeddings.fifth
    is 'The key in steps on the circle of fifths; a minor key has the step of its relative major. Null if there is '
       'none.';
comment on column public.audio_embeddings.is_minor is 'Whether the key is minor.';
comment on column public.audio_embeddings.fifth_confidence is 'Confidence of the key, 0 to 1.';
comment on column public.audio_embeddings.label_vector
    is 'A vector with one dimension a word: labels of the analysis by their share of the time, and the owner''s tags '
       'by 0.5 each.';

-- Written with the end of a job
-- =============================

create function soundscape.write_tags_and_embedding(file public.audio_files, result jsonb) returns void
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
comment on function soundscape.write_tags_and_embedding(public.audio_files, jsonb)
    is 'Replaces the tags and the embedding of a recording by those of a finished analysis. A skipped stage leaves '
       'none.';

create function soundscape.write_features(
    file public.audio_files, object_version text, result jsonb
) returns void
language plpgsql security definer set search_path = '' as $$
declare
    features public.audio_features;
    replacements text;
begin
    features := (
        select jsonb_populate_record(
            null::public.audio_features, jsonb_object_agg(d.column_name, write_features.result #> d.path))
        from soundscape.descriptors d);
    features.audio_id := file.id;
    features.user_id := file.user_id;
    features.is_listed := file.is_listed;
    features.object_version := write_features.object_version;
    features.analysis_version := result ->> 'analysis_version';
    features.sha256 := result #>> '{source,sha256}';
    features.waveform_path := result #>> '{waveform,path}';
    features.pictures := coalesce(result -> 'pictures', '{}');
    features.descriptors := result - '{index,matches}'::text[];
    features.created_at := now();
    select string_agg(format('%1$I = excluded.%1$I', a.attname), ', ') into replacements
    from pg_catalog.pg_attribute a
    where a.attrelid = 'public.audio_features'::regclass and a.attnum > 0 and not a.attisdropped;
    -- This must be an update, not a deletion with an insert: subscribers of the table are told of one change.
    execute format(
        'insert into public.audio_features select ($1).* on conflict (audio_id) do update set %s', replacements)
    using features;
end
$$;
comment on function soundscape.write_features(public.audio_files, text, jsonb)
    is 'Writes the row of features of a finished analysis, or replaces it. The table descriptors says which value of '
       'the record goes to which column.';

create function soundscape.delete_former_pictures(recording uuid, current_prefix text) returns void
language plpgsql security definer set search_path = '' as $$
begin
    -- The pictures that are shown from now on must stay. If a worker has already started to delete them, they may be
    -- gone, and the job is tried again.
    delete from soundscape.deletions
    where bucket_id = 'waveforms' and starts_with(name, current_prefix) and taken_at is null;
    if exists (select from soundscape.deletions where bucket_id = 'waveforms' and starts_with(name,
        current_prefix)) then
        raise exception 'Pictures under % are being deleted.', current_prefix
            using errcode = '55P03', hint = 'The next attempt stores them again.';
    end if;
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id = 'waveforms' and o.name like recording::text || '/%' and not starts_with(o.name, current_prefix)
    on conflict do nothing;
end
$$;
comment on function soundscape.delete_former_pictures(uuid, text)
    is 'Requests the deletion of the pictures that earlier attempts stored, and keeps those under the prefix.';

create function soundscape.complete_job(job_id bigint, token text, result jsonb) returns void
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
        analyzed_at = now(), trace_id = job.trace_id
    where id = job.audio_id;
    perform soundscape.end_job(job, 'succeeded', 'ready');
    perform soundscape.delete_former_pictures(
        job.audio_id, regexp_replace(result #>> '{waveform,path}', '[^/]*$', ''));
end
$$;
comment on function soundscape.complete_job(bigint, text, jsonb)
    is 'Worker only. Writes the results, ends the job and deletes its message in one transaction. A stale token is '
       'refused.';
