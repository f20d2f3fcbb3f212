-- Data of a project at the migration 20261122002300: one row of every sort, people told apart by the last digits.
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

-- The policies of that release made the first three.
insert into storage.buckets (id, name) values
    ('audio-files', 'audio-files'), ('profile-images', 'profile-images'), ('waveforms', 'waveforms'), ('spare', 'spare');
insert into storage.objects (bucket_id, name, owner_id, version, metadata)
select bucket, name, owner, '1', '{"eTag": "e", "size": 1, "mimetype": "audio/wav"}' from (values
    ('audio-files', 'public/private.wav', '00000000-0000-4000-8000-000000000001'),
    ('audio-files', 'public/public.wav', '00000000-0000-4000-8000-000000000001'),
    ('audio-files', 'public/hidden.wav', '00000000-0000-4000-8000-000000000001'),
    ('audio-files', '00000000-0000-4000-8000-000000000001/undescribed.wav', '00000000-0000-4000-8000-000000000001'),
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
insert into realtime.messages (topic, extension, event, payload, private) values ('audio', 'broadcast', 'e', '{}', true);

update soundscape.jobs set state = 'running', attempt = 1 where audio_id = '00000000-0000-4000-8000-00000000000a';
update public.audio_files set status = 'analyzing' where id = '00000000-0000-4000-8000-00000000000a';
