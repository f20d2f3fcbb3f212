-- What is heard with little confidence is delivered with the tags, but not searched.
--
-- Recordings without a sure tag have uncertain ones, from start to end. A label that is right one time in eight is no
-- answer to a search, gives no mood and makes no two recordings alike. Rows that are stored keep what they have: only
-- the analysis of today writes such tags, and the next one of a recording writes its `heard` anew.

create function soundscape.min_heard_confidence() returns real
language sql immutable parallel safe return 0.35::real;
comment on function soundscape.min_heard_confidence()
    is 'Tags of a lower confidence are not in audio_files.heard. docs/audio/tags.md says why.';
revoke all on function soundscape.min_heard_confidence() from public;

create or replace function soundscape.tag_weights(recording uuid) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_object_agg(label, weight), '{}') from (
        select label, round((case when whole.end_s > 0 then sum(confidence * (t.end_s - t.start_s)) / whole.end_s
                             else max(confidence) end)::numeric, 3) as weight
        from public.audio_tags t,
        -- The model scores the whole recording, so the last span ends about where the recording ends.
        (select max(end_s) as end_s from public.audio_tags where audio_id = recording) as whole
        where t.audio_id = recording and t.confidence >= soundscape.min_heard_confidence()
        group by label, whole.end_s order by weight desc, label limit 30) as strongest
$$;
comment on function soundscape.tag_weights(uuid)
    is 'The tags of a recording that are certain enough, as one object: for each label its share of the time, weighted '
       'by confidence.';

comment on column public.audio_files.heard
    is 'What the analysis heard: the 30 strongest labels of audio_tags with a confidence of at least 0.35. Each has '
       'its share of the recording times its confidence, 0 to 1.';
comment on column public.audio_tags.confidence is 'How probable it is that the label is right, 0 to 1.';
