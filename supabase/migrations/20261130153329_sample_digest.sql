-- The digest of the decoded samples is BLAKE3 (`pcm_blake3`). Results of earlier analyses keep their SHA-256
-- (`pcm_sha256`); digests of two kinds are never equal, so such recordings are compared by their bytes and their sound.

drop index public.audio_features_by_samples;
create index audio_features_by_samples on public.audio_features
    (coalesce(descriptors #>> '{source,pcm_blake3}', descriptors #>> '{source,pcm_sha256}'));

create or replace function soundscape.exact_copies(file public.audio_files, result jsonb, among uuid[] default null)
returns table (audio_id uuid, evidence jsonb)
language sql stable security definer rows 10 set search_path = '' as $$
    with source as (
        select s as this, coalesce(s ->> 'pcm_blake3', s ->> 'pcm_sha256') as samples,
            case when s ? 'pcm_blake3' then 'pcm_blake3' else 'pcm_sha256' end as kind
        from (select result -> 'source' as s) as given)
    select f.audio_id, jsonb_strip_nulls(jsonb_build_object(
        'sha256', case when f.sha256 = this ->> 'sha256' then f.sha256 end,
        kind, case
            when coalesce(f.descriptors #>> '{source,pcm_blake3}', f.descriptors #>> '{source,pcm_sha256}') = samples
            then samples end,
        'offset_s', 0))
    from source, public.audio_features f
    where f.audio_id <> file.id and (among is null or f.audio_id = any (among))
      -- A recording with new bytes is about to be analysed again.
      and f.object_version = (select a.object_version from public.audio_files a where a.id = f.audio_id)
      and (
        f.sha256 = this ->> 'sha256'
        or coalesce(f.descriptors #>> '{source,pcm_blake3}', f.descriptors #>> '{source,pcm_sha256}') = samples
           and f.descriptors #> '{source,sample_rate}' = this -> 'sample_rate'
           and f.descriptors #> '{source,channels}' = this -> 'channels')
    -- Recordings that the owner sees come first.
    order by f.user_id = file.user_id desc, f.is_listed desc, f.created_at limit case when among is null then 50 end
$$;

create or replace function soundscape.replace_claims(file public.audio_files, result jsonb) returns void
language plpgsql security definer set search_path = '' as $$
begin
    -- When two jobs complete at once, the later one waits here until the earlier one has committed, so that its next
    -- statement sees the earlier one's hashes. The locks are taken in one order, so that no two wait for each other.
    perform pg_advisory_xact_lock(hash.key)
    from (select distinct hashtextextended('soundscape copies ' || h, 0) as key
          from unnest(array[
            result #>> '{source,sha256}',
            coalesce(result #>> '{source,pcm_blake3}', result #>> '{source,pcm_sha256}')]) as h
          where h is not null order by 1) as hash;

    -- Claims of this recording's earlier analysis that the new one does not make are deleted. Dismissed ones stay.
    delete from public.audio_matches m
    where m.audio_id = file.id and m.kind <> 'identical' and jsonb_typeof(result -> 'matches') = 'array'
      and coalesce(m.dismissed_at, m.owner_dismissed_at, m.matched_owner_dismissed_at) is null
      and not exists (
        select from jsonb_to_recordset(result -> 'matches') as c (audio_id uuid) where c.audio_id = m.matched_audio_id);
    perform soundscape.write_claims(file, result);
end
$$;
