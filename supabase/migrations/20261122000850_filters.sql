-- What narrows a search down, the same for likeness, words and counts.

create type soundscape.audio_filter as (
    min_tempo_bpm double precision, max_tempo_bpm double precision,
    key text, mode text,
    min_duration_s double precision, max_duration_s double precision,
    min_loudness_lufs double precision, max_loudness_lufs double precision,
    labels text[], license text
);
comment on type soundscape.audio_filter is 'What recordings must be; null where it does not matter. All null: every recording.';

create function soundscape.audio_filter(
    min_tempo_bpm double precision, max_tempo_bpm double precision, key text, mode text,
    min_duration_s double precision, max_duration_s double precision,
    min_loudness_lufs double precision, max_loudness_lufs double precision, labels text[], license text
) returns soundscape.audio_filter
language plpgsql stable set search_path = '' as $$
declare
    sharp text := case upper(left(key, 3)) when 'DB' then 'C#' when 'EB' then 'D#' when 'GB' then 'F#' when 'AB' then 'G#' when 'BB' then 'A#'
                                  else upper(left(key, 3)) end;
begin
    if sharp <> all (array['C', 'C#', 'D', 'D#', 'E', 'F', 'F#', 'G', 'G#', 'A', 'A#', 'B']) then
        raise exception 'There is no key %.', left(key, 20) using errcode = '22023', hint = 'C, C# or Db, D … B.';
    elsif lower(mode) not in ('major', 'minor') then
        raise exception 'There is no mode %.', left(mode, 20) using errcode = '22023', hint = 'major or minor.';
    elsif cardinality(labels) > 50 then
        raise exception 'These are % labels.', cardinality(labels) using errcode = '22023', hint = 'At most 50.';
    elsif exists (select from unnest(labels) as label where char_length(label) > 100) then
        raise exception 'A label is too long.' using errcode = '22023', hint = 'At most 100 characters.';
    elsif 'NaN' in (min_tempo_bpm, max_tempo_bpm, min_duration_s, max_duration_s, min_loudness_lufs, max_loudness_lufs) then
        raise exception 'NaN is no bound.' using errcode = '22023', hint = 'A number, or null.';
    end if;
    return row(
        min_tempo_bpm, max_tempo_bpm, sharp, lower(mode), min_duration_s, max_duration_s, min_loudness_lufs, max_loudness_lufs,
        nullif(array(select distinct soundscape.folded(label) from unnest(labels) as label where label is not null), '{}'),
        license)::soundscape.audio_filter;
end
$$;
comment on function soundscape.audio_filter(double precision, double precision, text, text, double precision, double precision, double precision, double precision, text[], text) is 'The filter that a caller''s arguments mean, or an error that says which of them means nothing.';

create function soundscape.fits(recording uuid, filter soundscape.audio_filter) returns boolean
language sql stable set search_path = '' as $$
    select exists (
        select from public.audio_files f left join public.audio_features a on a.audio_id = f.id
        where f.id = recording
          and (filter.min_tempo_bpm is null or a.tempo_bpm >= filter.min_tempo_bpm)
          and (filter.max_tempo_bpm is null or a.tempo_bpm <= filter.max_tempo_bpm)
          and (filter.key is null or a.key = filter.key)
          and (filter.mode is null or a.mode = filter.mode)
          and (filter.min_duration_s is null or f.duration >= filter.min_duration_s)
          and (filter.max_duration_s is null or f.duration <= filter.max_duration_s)
          and (filter.min_loudness_lufs is null or a.integrated_lufs >= filter.min_loudness_lufs)
          and (filter.max_loudness_lufs is null or a.integrated_lufs <= filter.max_loudness_lufs)
          and (filter.labels is null or f.labels @> filter.labels)
          and (filter.license is null or f.license = filter.license))
$$;
comment on function soundscape.fits(uuid, soundscape.audio_filter) is 'Whether the caller sees this recording and it is what the filter wants.';
