-- A library at rest: recordings that are ready, with their objects, pictures, features and ended jobs, for one owner.
-- first and last number the recordings. The triggers are off, since they would queue each one.
set session_replication_role = replica;
insert into storage.objects (id, bucket_id, name, owner_id, version, metadata, created_at, updated_at)
select ('30000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'audio-files', %(owner)s || '/' || n || '.wav',
       %(owner)s, '1', '{"eTag": "e", "size": 1000, "mimetype": "audio/wav"}', now() - interval '2 days', now()
from generate_series(%(first)s::integer, %(last)s::integer) n;
insert into public.audio_files (id, user_id, title, file_path, status, analysis_version, object_id, object_version,
    object_etag, analyzed_at)
select ('10000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, %(owner)s::uuid, 'Sound ' || n,
       %(owner)s || '/' || n || '.wav', 'ready', '1', ('30000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, '1',
       'e', now()
from generate_series(%(first)s::integer, %(last)s::integer) n;
insert into storage.objects (bucket_id, name, version, metadata, created_at, updated_at)
select 'waveforms', '10000000-0000-4000-8000-' || lpad(n::text, 12, '0') || '/1/1/1-1/waveform.dat', '1',
       '{"eTag": "e", "size": 1000, "mimetype": "application/octet-stream"}', now() - interval '2 days', now()
from generate_series(%(first)s::integer, %(last)s::integer) n;
insert into public.audio_features (audio_id, user_id, is_listed, object_version, analysis_version, duration_s, sha256,
    waveform_path, descriptors)
select f.id, f.user_id, f.is_listed, '1', '1', 1, encode(sha256(f.id::text::bytea), 'hex'),
       f.id || '/1/1/1-1/waveform.dat', '{}'
from generate_series(%(first)s::integer, %(last)s::integer) n
join public.audio_files f on f.id = ('10000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid;
insert into soundscape.jobs (audio_id, user_id, object_version, queue, state, finished_at)
select ('10000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, %(owner)s::uuid, '1', 'soundscape_uploads',
       'succeeded', now() - interval '100 days'
from generate_series(%(first)s::integer, %(last)s::integer) n;
set session_replication_role = origin;
