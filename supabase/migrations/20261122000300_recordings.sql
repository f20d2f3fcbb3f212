-- Recordings. A recording is a row here and an object in the bucket audio-files.

create function soundscape.fold(words text) returns text
language sql immutable parallel safe set search_path = ''
-- Marks are taken off their letters, the rest is put together again as it was: only Latin, Greek and Cyrillic
-- lose anything. Letters that are no mark's bearer are spelt out. What was compatible (ﬁ, Ａ) becomes the same.
return replace(replace(replace(replace(translate(
    lower(normalize(regexp_replace(normalize(words, nfkd), '[\u0300-\u036f]', '', 'g'), nfkc)),
    'øłđðıħŧ', 'olddiht'), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th');
comment on function soundscape.fold(text) is 'The text in lower case and without accents, as search compares it.';

create function soundscape.plain_words(words text) returns text
language sql immutable parallel safe set search_path = ''
-- Without this, the parser makes one word of night_recording_01.wav, 2024-05-01 and AC/DC.
return translate(soundscape.fold(words), $$!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~$$, repeat(' ', 32));
comment on function soundscape.plain_words(text)
    is 'The folded text, with a blank for each ASCII character that is neither letter nor digit.';

create function soundscape.unspaced_letter() returns text
language sql immutable parallel safe set search_path = ''
-- Thai, Lao, Myanmar, Hangul, Khmer, Kana, Bopomofo, and the ideographs of Chinese and Japanese.
return '[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u312f\u31f0-\u31ff\u3400-\u4dbf'
    || '\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]';
comment on function soundscape.unspaced_letter()
    is 'A regular expression: a letter of a script that puts no blanks between words, or few.';

create function soundscape.pair_letters(words text) returns text
language sql immutable parallel safe set search_path = ''
-- A run of four letters becomes "12 23 34": each part of the run is a phrase of pairs.
return case when words !~ soundscape.unspaced_letter() then words else (
    select string_agg(case when run.found[1] is null then run.found[2] else pairs.joined end, ' ' order by run.place)
    from regexp_matches(words, format('(%1$s+)|((?:(?!%1$s).)+)', soundscape.unspaced_letter()), 'g')
             with ordinality as run (found, place),
        string_to_array(run.found[1], null) as letters,
        lateral (
            select string_agg(letters[i] || coalesce(letters[i + 1], ''), ' ' order by i) as joined
            from generate_series(1, greatest(1, cardinality(letters) - 1)) as i) as pairs) end;
comment on function soundscape.pair_letters(text)
    is 'The text with each run of letters of unspaced scripts as overlapping pairs, so that search finds any part of '
       'the run.';

create function soundscape.last_letters(words text) returns text
language sql immutable parallel safe set search_path = ''
return (
    select string_agg(run.found[1], ' ')
    from regexp_matches(words, format('(?:%1$s)(%1$s)(?!%1$s)', soundscape.unspaced_letter()), 'g') as run (found));
comment on function soundscape.last_letters(text)
    is 'The last letter of each run of an unspaced script: no pair begins with it.';

create function soundscape.document_words(words text) returns tsvector
language sql immutable parallel safe set search_path = ''
-- The last letters come after the text, so that they interrupt no phrase.
return (
    select to_tsvector('pg_catalog.simple', concat_ws(' ', soundscape.pair_letters(plain),
        soundscape.last_letters(plain)))
    from soundscape.plain_words(coalesce(words, '')) as plain);
comment on function soundscape.document_words(text) is 'A text as search keeps it.';

create function soundscape.search_document(title text, description text, tags text[], heard jsonb) returns tsvector
language sql immutable parallel safe set search_path = ''
-- Without stemming ('simple'), because titles come in every language. The title has the most weight. What people wrote
-- weighs more than what the analysis heard.
return setweight(soundscape.document_words(title), 'A')
    || setweight(soundscape.document_words(array_to_string(tags, ' ')), 'B')
    || setweight(soundscape.document_words(description), 'C')
    || setweight(
        soundscape.document_words((select string_agg(label, ' ') from jsonb_object_keys(heard) as label)), 'D');
comment on function soundscape.search_document(text, text, text[], jsonb)
    is 'The words a recording is found by: title before tags before description before what was heard.';

create function soundscape.labels(tags text[], heard jsonb) returns text[]
language sql immutable parallel safe set search_path = ''
return coalesce((
    select array_agg(distinct soundscape.fold(label))
    from (select unnest(tags) as label union all select jsonb_object_keys(heard)) as both_kinds
    where label ~ '\S'), '{}');
comment on function soundscape.labels(text[], jsonb)
    is 'The owner''s tags and the labels of the analysis, folded, each once.';

create table public.audio_files (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null default auth.uid() references public.users (id) on delete cascade,
    title text not null check (title ~ '\S' and char_length(title) <= 200),
    description text check (char_length(description) <= 5000),
    file_path text not null unique
        check (char_length(file_path) <= 1024
               and (file_path like 'public/_%' or file_path like user_id::text || '/_%')),
    is_public boolean not null default false,
    tags text[] not null default '{}'
        check (cardinality(tags) <= 50 and array_position(tags, null) is null
               and char_length(array_to_string(tags, '')) <= 2500),
    license text check (char_length(license) <= 100),
    duration double precision check (duration >= 0 and duration < 'infinity'),
    sample_rate integer check (sample_rate > 0),
    channels smallint check (channels > 0),
    size_bytes bigint check (size_bytes >= 0),
    content_type text check (char_length(content_type) <= 255),
    status text not null default 'awaiting_upload'
        check (status in ('awaiting_upload', 'queued', 'analyzing', 'ready', 'failed', 'rejected')),
    error_code text check (char_length(error_code) <= 64),
    error_message text check (char_length(error_message) <= 2000),
    trace_id text check (char_length(trace_id) <= 64),
    object_id uuid,
    object_version text,
    object_etag text,
    analysis_version text,
    analyzed_at timestamptz,
    hidden_at timestamptz,
    hidden_reason text check (char_length(btrim(hidden_reason)) between 1 and 1000),
    heard jsonb not null default '{}' check (jsonb_typeof(heard) = 'object'),
    is_listed boolean not null generated always as (is_public and hidden_at is null) stored,
    labels text[] not null generated always as (soundscape.labels(tags, heard)) stored,
    search tsvector not null generated always as (soundscape.search_document(title, description, tags, heard)) stored,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    -- Tables that repeat owner and visibility refer to this key.
    unique (id, user_id, is_listed),
    unique (id, is_listed),
    check ((status in ('failed', 'rejected')) = (error_code is not null)),
    check (status <> 'ready' or analysis_version is not null),
    check ((hidden_at is null) = (hidden_reason is null))
);
alter table public.audio_files enable row level security;
create index audio_files_by_owner on public.audio_files (user_id, created_at desc);
create index audio_files_by_age on public.audio_files (created_at desc);
create index audio_files_public on public.audio_files (created_at desc) where is_public;
create index audio_files_hidden on public.audio_files (hidden_at desc) where hidden_at is not null;
create index audio_files_by_words on public.audio_files using gin (search);
create index audio_files_by_labels on public.audio_files using gin (labels);
create index audio_files_by_title on public.audio_files (soundscape.fold(title), id);
create index audio_files_by_duration on public.audio_files (duration, id);
create index audio_files_by_license on public.audio_files (license, created_at desc);
create unique index audio_files_by_object on public.audio_files (object_id);
create index audio_files_unfinished on public.audio_files (updated_at) where status in ('awaiting_upload', 'queued',
    'analyzing');

comment on table public.audio_files is 'Recordings: what people wrote about a sound, and the state of its analysis.';
comment on column public.audio_files.id is 'The recording.';
comment on column public.audio_files.user_id is 'The owner; the caller unless said otherwise.';
comment on column public.audio_files.title is 'Title, 1 to 200 characters.';
comment on column public.audio_files.description is 'Description, at most 5000 characters.';
comment on column public.audio_files.file_path is 'Object name in the bucket audio-files: {user_id}/… or public/….';
comment on column public.audio_files.is_public
    is 'Whether everybody may find and hear it. The folder public/ alone does not make it public.';
comment on column public.audio_files.tags is 'The owner''s own tags, at most 50.';
comment on column public.audio_files.license is 'Licence of the recording, such as CC-BY-4.0.';
comment on column public.audio_files.duration is 'Seconds. The client''s value until the analysis has measured it.';
comment on column public.audio_files.sample_rate is 'Samples per second of the source, measured.';
comment on column public.audio_files.channels is 'Channels of the source, measured.';
comment on column public.audio_files.size_bytes is 'Size of the object.';
comment on column public.audio_files.content_type is 'Media type of the object, as uploaded.';
comment on column public.audio_files.status is 'awaiting_upload → queued → analyzing → ready | failed | rejected.';
comment on column public.audio_files.error_code is 'Stable code of the reason when failed or rejected.';
comment on column public.audio_files.error_message is 'The reason and what to do about it.';
comment on column public.audio_files.trace_id
    is 'The id of the latest analysis in logs and traces. Quote it when something went wrong.';
comment on column public.audio_files.object_id is 'The object in storage.objects.';
comment on column public.audio_files.object_version is 'Version of the object that was last enqueued.';
comment on column public.audio_files.object_etag
    is 'ETag of that version. New bytes have a new one; a moved object keeps it.';
comment on column public.audio_files.analysis_version is 'Version of the analysis whose results are shown.';
comment on column public.audio_files.analyzed_at is 'When those results were written.';
comment on column public.audio_files.hidden_at
    is 'When a moderator hid it from everybody but its owner; null otherwise.';
comment on column public.audio_files.hidden_reason is 'Why it was hidden, for its owner to read.';
comment on column public.audio_files.heard
    is 'What the analysis heard: the 30 strongest labels of audio_tags. Each has its share of the recording times its '
       'confidence, 0 to 1.';
comment on column public.audio_files.is_listed is 'Public and not hidden: everybody may find and hear it.';
comment on column public.audio_files.labels
    is 'The owner''s tags and the labels of the analysis, in lower case and without accents. Filters and facets '
       'compare these.';
comment on column public.audio_files.search
    is 'The words of title, tags, description and what was heard, for search_audio.';
comment on column public.audio_files.created_at is 'When the row was made.';
comment on column public.audio_files.updated_at is 'When the row last changed.';

create trigger audio_files_touch before update on public.audio_files
    for each row execute function soundscape.touch_updated_at();

create function soundscape.check_status_step() returns trigger
language plpgsql set search_path = '' as $$
begin
    if (old.status, new.status) not in (
        ('awaiting_upload', 'queued'),
        ('queued', 'analyzing'), ('queued', 'failed'), ('queued', 'rejected'),
        ('analyzing', 'ready'), ('analyzing', 'failed'), ('analyzing', 'rejected'),
        -- a retry, or new bytes
        ('analyzing', 'queued'), ('ready', 'queued'), ('failed', 'queued'), ('rejected', 'queued'),
        -- the object was deleted
        ('queued', 'awaiting_upload'), ('analyzing', 'awaiting_upload'), ('ready', 'awaiting_upload'),
        ('failed', 'awaiting_upload'), ('rejected', 'awaiting_upload'))
    then
        raise exception 'A recording cannot go from % to %.', old.status, new.status
            using errcode = '23514', constraint = 'audio_files_status_step';
    end if;
    return new;
end
$$;
comment on function soundscape.check_status_step()
    is 'Trigger: the state machine of a recording; an illegal step is an error.';

create trigger audio_files_status_step before update of status on public.audio_files
    for each row when (old.status is distinct from new.status)
    execute function soundscape.check_status_step();
