-- People, recordings and what hangs on them, in the amounts that benchmark.users and benchmark.recordings say.
set session_replication_role = replica;  -- the triggers would look for objects and ring for each row
select setseed(0.5);
insert into auth.users (id, email)
select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, n || '@example.com' from generate_series(1, current_setting('benchmark.users')::int) n;
insert into public.users (id) select id from auth.users;
create temp table words as select array['rain','river','guitar','piano','forest','city','train','bird','storm','voice',
  'drum','loop','field','night','morning','crowd','market','wind','bell','ocean','thunder','footsteps','engine','choir',
  'violin','synth','ambient','techno','jazz','folk','door','glass','fire','metal','paper','radio'] as w;
insert into public.audio_files (id, user_id, title, description, file_path, is_public, tags, duration, sample_rate, channels,
                                status, analysis_version, created_at, updated_at)
select ('10000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, u.id,
       (select w[1 + (random() * 35 + n * 0)::int] || ' ' || w[1 + (random() * 35)::int] || ' number' || n || ' ' || rare.w from words),
       (select w[1 + (random() * 35 + n * 0)::int] || ' in the ' || w[1 + (random() * 35)::int] || ' near ' || w[1 + (random() * 35)::int] from words),
       u.id || '/' || n || '.wav', random() < 0.9, array['tag' || n % 500], 1 + random() * 600, 44100, 2, 'ready', '1',
       now() - random() * interval '500 days', now()
from generate_series(1, current_setting('benchmark.recordings')::int) n
cross join lateral (select ('00000000-0000-4000-8000-' || lpad((1 + n % current_setting('benchmark.users')::int)::text, 12, '0'))::uuid as id) u
-- Fifty thousand words that nobody knows, as names and places are.
cross join lateral (select left(translate(md5((n % 50000)::text), '0123456789', 'ghijklmnop'), 5 + n % 6) as w) rare;
insert into soundscape.vocabulary (word)
select distinct unnest(soundscape.correctable_words(f.search)) from public.audio_files f where soundscape.is_findable(f);
insert into public.audio_features (audio_id, user_id, is_listed, object_version, analysis_version, duration_s, tempo_bpm, key, mode,
                                   sha256, waveform_path, descriptors)
select id, user_id, is_listed, '1', '1', duration, 50 + random() * 150, (array['C','C#','D','D#','E','F','F#','G','G#','A','A#','B'])[1 + (random() * 11)::int],
       (array['major','minor'])[1 + (random())::int], encode(sha256(id::text::bytea), 'hex'), id || '/1/w.dat', '{}'
from public.audio_files;
insert into public.audio_tags (audio_id, user_id, is_listed, label, confidence, start_s, end_s)
select id, user_id, is_listed, 'Label ' || (random() * 300)::int, random(), k, k + 1 from public.audio_files, generate_series(0, 2) k
on conflict do nothing;
insert into public.playlists (id, user_id, title, is_public)
select ('20000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
       ('00000000-0000-4000-8000-' || lpad((1 + n % current_setting('benchmark.users')::int)::text, 12, '0'))::uuid, 'List ' || n, n % 2 = 0
from generate_series(1, current_setting('benchmark.users')::int * 3) n;
insert into public.playlist_items (playlist_id, audio_id, position)
select p.id, ('10000000-0000-4000-8000-' || lpad((1 + floor(random() * current_setting('benchmark.recordings')::int) + k * 0)::bigint::text, 12, '0'))::uuid, k
from public.playlists p, generate_series(1, 40) k;
insert into public.likes (user_id, audio_id)
select u.id, ('10000000-0000-4000-8000-' || lpad((1 + floor(random() * current_setting('benchmark.recordings')::int) + k * 0)::bigint::text, 12, '0'))::uuid
from public.users u, generate_series(1, 50) k on conflict do nothing;
insert into public.listening_events (user_id, audio_id, started_at)
select u.id, ('10000000-0000-4000-8000-' || lpad((1 + floor(random() * current_setting('benchmark.recordings')::int) + k * 0)::bigint::text, 12, '0'))::uuid,
       now() - random() * interval '90 days' from public.users u, generate_series(1, 100) k;
set session_replication_role = origin;
