-- People and one row of every sort, told apart by the last digits of their ids.
insert into auth.users (id, email) values
    ('00000000-0000-4000-8000-000000000001', 'owner@example.com'),
    ('00000000-0000-4000-8000-000000000002', 'other@example.com'),
    ('00000000-0000-4000-8000-000000000003', 'moderator@example.com'),
    ('00000000-0000-4000-8000-000000000004', 'admin@example.com'),
    ('00000000-0000-4000-8000-000000000005', 'bare@example.com'),
    ('00000000-0000-4000-8000-000000000006', 'ghost@example.com');
-- bare and other have no preferences.
delete from public.user_preferences
where user_id in ('00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000005');
delete from public.users where id = '00000000-0000-4000-8000-000000000006';
insert into public.user_roles (user_id, role) values
    ('00000000-0000-4000-8000-000000000003', 'moderator'), ('00000000-0000-4000-8000-000000000004', 'admin');

insert into storage.buckets (id, name) values ('spare', 'spare');
insert into storage.objects (bucket_id, name, owner_id, version, metadata)
select bucket, name, owner, '1', jsonb_build_object('eTag', 'e', 'size', 1, 'mimetype',
    case bucket when 'audio-files' then 'audio/wav' else 'image/png' end) from (values
    ('audio-files', 'public/private.wav', '00000000-0000-4000-8000-000000000001'),
    ('audio-files', 'public/public.wav', '00000000-0000-4000-8000-000000000001'),
    ('audio-files', 'public/hidden.wav', '00000000-0000-4000-8000-000000000001'),
    ('audio-files', '00000000-0000-4000-8000-000000000001/undescribed.wav', '00000000-0000-4000-8000-000000000001'),
    ('exports', '00000000-0000-4000-8000-000000000001/00000000-0000-4000-8000-0000000000c1.zip', null),
    ('exports', '00000000-0000-4000-8000-000000000001/00000000-0000-4000-8000-0000000000c1.plan', null),
    ('exports', '00000000-0000-4000-8000-000000000001/00000000-0000-4000-8000-0000000000c3.zip', null),
    ('profile-images', '00000000-0000-4000-8000-000000000001/face.png', '00000000-0000-4000-8000-000000000001'),
    ('waveforms', '00000000-0000-4000-8000-00000000000a/1/w.dat', null),
    ('waveforms', '00000000-0000-4000-8000-00000000000b/1/w.dat', null),
    ('waveforms', '00000000-0000-4000-8000-00000000000c/1/w.dat', null)) as o (bucket, name, owner);

insert into public.audio_files (id, user_id, title, file_path, is_public, hidden_at, hidden_reason, status, analysis_version)
select id::uuid, owner::uuid, title, 'public/' || title || '.wav', is_public, hidden_at, case when hidden_at is not null then 'Not yours.' end,
       case when title = 'theirs' then 'ready' else 'awaiting_upload' end, '1'
from (values
    ('00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-000000000001', 'private', false, null),
    ('00000000-0000-4000-8000-00000000000b', '00000000-0000-4000-8000-000000000001', 'public', true, null),
    ('00000000-0000-4000-8000-00000000000c', '00000000-0000-4000-8000-000000000001', 'hidden', true, now()),
    ('00000000-0000-4000-8000-00000000000d', '00000000-0000-4000-8000-000000000002', 'theirs', true, null),
    ('00000000-0000-4000-8000-00000000000e', '00000000-0000-4000-8000-000000000002', 'unseen', false, null)
    ) as f (id, owner, title, is_public, hidden_at);

update public.audio_files set license = 'CC-BY-4.0', latitude = 52.5, longitude = 13.4 where title in ('private', 'public', 'hidden');
insert into public.audio_features (audio_id, user_id, is_listed, object_version, analysis_version, duration_s, tempo_bpm, tempo_confidence, onset_rate_hz, integrated_lufs, centroid_hz, sha256, waveform_path, descriptors)
select id, user_id, is_listed, '1', '1', 1, 130, 1, 5, -12, 3000, repeat('0', 64), 'w.dat', '{}' from public.audio_files where title <> 'theirs';
insert into public.audio_tags (audio_id, user_id, is_listed, label, confidence, start_s, end_s)
select id, user_id, is_listed, 'Speech', 0.5, 0, 1 from public.audio_files where title <> 'theirs';
insert into public.audio_embeddings (audio_id, user_id, is_listed, space, embedding)
select id, user_id, is_listed, 'test-1', array_fill(0.1, array[128])::extensions.halfvec(128)
from public.audio_files where title <> 'theirs';
insert into public.audio_matches (id, audio_id, matched_audio_id, kind, confidence)
select replace(id::text, '00000000000', '0000000000' || right(id::text, 1))::uuid, id,
       '00000000-0000-4000-8000-00000000000d', 'same_recording', 0.9 from public.audio_files
where title in ('private', 'public', 'hidden');

insert into public.playlists (id, user_id, title, is_public) values
    ('00000000-0000-4000-8000-0000000000b0', '00000000-0000-4000-8000-000000000001', 'Public', true),
    ('00000000-0000-4000-8000-0000000000a0', '00000000-0000-4000-8000-000000000001', 'Private', false);
insert into public.playlist_items (id, playlist_id, audio_id) values
    ('00000000-0000-4000-8000-0000000000ba', '00000000-0000-4000-8000-0000000000b0', '00000000-0000-4000-8000-00000000000a'),
    ('00000000-0000-4000-8000-0000000000bb', '00000000-0000-4000-8000-0000000000b0', '00000000-0000-4000-8000-00000000000b'),
    ('00000000-0000-4000-8000-0000000000bc', '00000000-0000-4000-8000-0000000000b0', '00000000-0000-4000-8000-00000000000c'),
    ('00000000-0000-4000-8000-0000000000ab', '00000000-0000-4000-8000-0000000000a0', '00000000-0000-4000-8000-00000000000b');

insert into public.likes (user_id, audio_id) values
    ('00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000b');
insert into public.listening_events (user_id, audio_id) values
    ('00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000b');
insert into public.impressions (answer_id, place, user_id, audio_id, reason, score, seed, shown_at) values
    ('00000000-0000-4000-8000-0000000000f1', 1, '00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000d', 'fresh', 0, 1, now() - interval '1 hour');
insert into public.notifications (id, user_id, kind, audio_id, trace_id) values
    ('00000000-0000-4000-8000-00000000001e', '00000000-0000-4000-8000-000000000001', 'recording_ready', '00000000-0000-4000-8000-00000000000a', 't');
delete from soundscape.caption_jobs;
insert into public.audio_captions (audio_id, status, caption)
select id, 'ready', title from public.audio_files where title in ('private', 'public', 'hidden')
on conflict (audio_id) do update set status = 'ready', caption = excluded.caption;
insert into public.audio_stats (audio_id, plays)
select id, 1 from public.audio_files where title in ('private', 'public', 'hidden');
insert into public.audio_stats_daily (audio_id, day, user_id, plays)
select id, '2026-11-01', user_id, 1 from public.audio_files where title = 'public';
insert into public.notification_preferences (user_id, kind, channel, enabled) values
    ('00000000-0000-4000-8000-000000000001', 'recording_ready', 'email', true);
insert into public.push_subscriptions (id, user_id, endpoint, p256dh, auth) values
    ('00000000-0000-4000-8000-000000000092', '00000000-0000-4000-8000-000000000001', 'https://push.example/a', repeat('A', 87), repeat('A', 22));
insert into public.reports (id, audio_id, reporter_id, reason) values
    ('00000000-0000-4000-8000-00000000001d', '00000000-0000-4000-8000-00000000000d', '00000000-0000-4000-8000-000000000001', 'spam'),
    ('00000000-0000-4000-8000-00000000001b', '00000000-0000-4000-8000-00000000000b', '00000000-0000-4000-8000-000000000005', 'spam');
insert into public.report_assignments (report_id, assignee_id) values
    ('00000000-0000-4000-8000-00000000001d', '00000000-0000-4000-8000-000000000003');
insert into soundscape.recommendation_models (state) values ('retired'), ('in_force'), ('staged');
update soundscape.fit_lease set token = '00000000-0000-4000-8000-00000000001f', held_until = now();
-- Of the hidden one as if nothing had taken them away.
insert into soundscape.item_factors (model_id, audio_id, is_listed, slot, place, key, popularity)
select m.id, f.id, f.is_listed, m.slot, array_fill(0.1, array[32])::extensions.vector, array_fill(0.1, array[32])::extensions.vector, 0.5
from soundscape.recommendation_models m, public.audio_files f where m.state = 'in_force' and f.title in ('public', 'hidden', 'theirs');
insert into soundscape.item_neighbours (model_id, audio_id, is_listed, neighbour_id, neighbour_is_listed, weight)
select m.id, f.id, f.is_listed, n.id, n.is_listed, 0.5 from soundscape.recommendation_models m, public.audio_files f, public.audio_files n
where m.state = 'in_force' and f.id <> n.id and f.title in ('public', 'hidden', 'theirs') and n.title in ('hidden', 'theirs');
insert into public.audio_files (id, user_id, title, file_path) values
    ('00000000-0000-4000-8000-0000000000f7', '00000000-0000-4000-8000-000000000001', 'waiting', '00000000-0000-4000-8000-000000000001/waiting.wav');
-- One is ready, one is being made, and one has run out without anybody having noticed.
insert into public.exports (id, user_id, status, file_path, size_bytes, expires_at)
select id::uuid, '00000000-0000-4000-8000-000000000001', status,
       case when expires_at is not null then '00000000-0000-4000-8000-000000000001/' || id || '.zip' end, 1, expires_at
from (values ('00000000-0000-4000-8000-0000000000c1', 'ready', now() + interval '1 day'),
             ('00000000-0000-4000-8000-0000000000c2', 'running', null),
             ('00000000-0000-4000-8000-0000000000c3', 'ready', now() - interval '1 day')) as e (id, status, expires_at);
insert into soundscape.export_jobs (export_id, token)
values ('00000000-0000-4000-8000-0000000000c2', '00000000-0000-4000-8000-0000000000c4');
insert into public.api_keys (id, user_id, name, prefix, scope, created_at, expires_at, revoked_at)
select ('00000000-0000-4000-8000-00000000009' || n)::uuid, '00000000-0000-4000-8000-000000000001', 'n', 'soundscape_0000000' || n, scope,
       now() - interval '2 hours', expires_at, revoked_at
from (values (1, 'read', null, null), (2, 'upload', null, null), (3, 'all', now() + interval '1 hour', null), (4, 'all', null, now()),
             (5, 'all', now() - interval '1 hour', null), (6, 'all', null, null)) as k (n, scope, expires_at, revoked_at);
insert into soundscape.api_key_sessions (session_id, key_id, expires_at)
select replace(id::text, '00000000009', '00000000008')::uuid, id, now() + interval '1 hour' from public.api_keys;
delete from public.api_keys where prefix = 'soundscape_00000006';
insert into realtime.messages (topic, extension, event, payload, private) values ('audio', 'broadcast', 'e', '{}', true);
-- Whatever Realtime inserts to ask who may join.
insert into realtime.messages (topic, extension, event, payload, private)
select topic, extension, 'e', '{}', true from unnest(array[
    'library:00000000-0000-4000-8000-000000000001',
    'recording:00000000-0000-4000-8000-00000000000a',
    'recording:00000000-0000-4000-8000-00000000000b',
    'library:00000000-0000-4000-8000-000000000001:x', 'Library:00000000-0000-4000-8000-000000000001',
    'recording:00000000-0000-4000-8000-00000000000A', 'recording:00000000-0000-4000-8000-00000000000a:x',
    '00000000-0000-4000-8000-00000000000a']) as topic, unnest(array['broadcast', 'presence']) as extension;

update soundscape.jobs set state = 'running', attempt = 1 where audio_id = '00000000-0000-4000-8000-00000000000a';
update public.audio_files set status = 'analyzing' where id = '00000000-0000-4000-8000-00000000000a';
-- Somebody whose account was closed a moment ago. All of it is still there.
insert into auth.users (id, email) values ('00000000-0000-4000-8000-000000000007', 'closed@example.com');
insert into public.audio_files (id, user_id, title, file_path, is_public, status, analysis_version) values
    ('00000000-0000-4000-8000-0000000000c7', '00000000-0000-4000-8000-000000000007', 'closed', 'public/closed.wav', true, 'ready', '1');
insert into public.audio_features (audio_id, user_id, is_listed, object_version, analysis_version, duration_s, sha256, waveform_path, descriptors)
select id, user_id, is_listed, '1', '1', 1, repeat('1', 64), 'w.dat', '{}' from public.audio_files where title = 'closed';
insert into public.audio_tags (audio_id, user_id, is_listed, label, confidence, start_s, end_s)
select id, user_id, is_listed, 'Speech', 0.5, 0, 1 from public.audio_files where title = 'closed';
insert into public.audio_embeddings (audio_id, user_id, is_listed, space, embedding)
select id, user_id, is_listed, 'test-1', array_fill(0.1, array[128])::extensions.halfvec(128)
from public.audio_files where title = 'closed';
insert into public.playlists (id, user_id, title, is_public) values
    ('00000000-0000-4000-8000-0000000000c8', '00000000-0000-4000-8000-000000000007', 'Closed', true);
insert into soundscape.account_deletions (user_id) values ('00000000-0000-4000-8000-000000000007');
-- What the rows above told people is not in this world.
delete from public.notifications where id <> '00000000-0000-4000-8000-00000000001e';
