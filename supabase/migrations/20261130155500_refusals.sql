-- What people write is checked by constraints. A refusal says what is wrong and what to do about it.

create function soundscape.check_value(is_valid boolean, code text, message text, hint text) returns boolean
language plpgsql immutable parallel safe set search_path = '' as $$
begin
    if is_valid is false then
        raise exception using errcode = '23514', message = message, detail = code, hint = hint;
    end if;
    return true;
end
$$;
comment on function soundscape.check_value(boolean, text, text, text)
    is 'For check constraints. True, or an error with a sentence and a remedy. Its details are the stable code.';

-- Names of people
-- ===============

create function soundscape.invisible_characters() returns text
language sql immutable parallel safe set search_path = ''
-- Soft hyphen, fillers, direction marks, embeddings, overrides and isolates, zero-width characters, tags.
return '[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164'
    || '\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e007f]';
comment on function soundscape.invisible_characters()
    is 'A regular expression: a character that is not seen, or that changes the direction of those that are.';

create function soundscape.without_joiners(name text) returns text
language sql immutable parallel safe set search_path = ''
-- Arabic and Indic letters and emoji need U+200C and U+200D between them.
return regexp_replace(name,
    '([\u0600-\u0dff\u2600-\u27bf\ufe0f\U0001f000-\U0001faff])[\u200c\u200d]'
    || '(?=[\u0600-\u0dff\u2600-\u27bf\U0001f000-\U0001faff])', '\1', 'g');
comment on function soundscape.without_joiners(text) is 'The name without the joiners that its script needs.';

create function soundscape.mixes_scripts(name text) returns boolean
language sql immutable parallel safe set search_path = ''
-- The scripts whose letters look alike. Digits, and every other script, go with each of them.
return exists (
    select from regexp_split_to_table(normalize(name, nfkc), '\s+') as word
    where (word ~ '[A-Za-z\u00c0-\u024f\u1e00-\u1eff]')::integer + (word ~ '[\u0370-\u03ff\u1f00-\u1fff]')::integer
        + (word ~ '[\u0400-\u052f\u1c80-\u1c8f\ua640-\ua69f]')::integer + (word ~ '[\u0530-\u058f]')::integer
        + (word ~ '[\u13a0-\u13ff\uab70-\uabbf]')::integer + (word ~ '[\u2c80-\u2cff]')::integer > 1);
comment on function soundscape.mixes_scripts(text)
    is 'Whether a word has letters of more than one of Latin, Greek, Cyrillic, Armenian, Cherokee and Coptic.';

create function soundscape.display_name_problem(name text) returns text
language sql immutable parallel safe set search_path = ''
return case
    when name !~ '\S' then 'it is blank'
    when name ~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029]' then 'it has a control character'
    when soundscape.without_joiners(name) ~ ('[\u200c\u200d]|' || soundscape.invisible_characters())
        then 'it has a character that is invisible or changes the direction of text'
    when soundscape.mixes_scripts(name) then 'a word of it mixes letters of several scripts'
end;
comment on function soundscape.display_name_problem(text) is 'Why a display name is refused; null if it is not.';

create function soundscape.name_skeleton(name text) returns text
language sql immutable parallel safe set search_path = ''
-- After Unicode Technical Standard 39: what looks alike becomes the same. fold() has applied NFKC.
return regexp_replace(replace(replace(
    translate(soundscape.fold(name),
        'авекмнорстухіјѕԁһӏгпαβεηικνορτυχω01345789$@!|i',
        'abekmhopctyxljsdhlrnabenlkvoptuxwoleastbgsalll'), 'rn', 'm'), 'vv', 'w'), '[^a-z]', '', 'g');
comment on function soundscape.name_skeleton(text)
    is 'The name with everything that looks alike made the same, for comparison only.';

create function soundscape.reserved_names() returns text[]
language sql immutable parallel safe set search_path = ''
return string_to_array('abuse admin administrator anonymous deleted everyone help helpdesk hostmaster mod moderation '
    'moderator nobody null official operator owner postmaster root security service soundscape staff superuser '
    'support sysadmin system team undefined webmaster', ' ');
comment on function soundscape.reserved_names() is 'Names that speak for the service, or for nobody.';

create function soundscape.is_reserved_name(name text) returns boolean
language sql immutable parallel safe set search_path = ''
-- Digits at an end count neither as letters nor as a difference: admin1 is admin, and so is 4dmin.
return exists (
    select from unnest(array[name, regexp_replace(name, '^[\d\W_]+|[\d\W_]+$', '', 'g')]) as candidate
    where soundscape.name_skeleton(candidate) ~ (
        select format('^(%s)+$', string_agg(soundscape.name_skeleton(word), '|'))
        from unnest(soundscape.reserved_names()) as word));
comment on function soundscape.is_reserved_name(text)
    is 'Whether a name is one of reserved_names, or several of them, or looks like that.';

create function soundscape.clean_display_name(name text) returns text
language sql immutable parallel safe set search_path = ''
return (
    select case when soundscape.display_name_problem(cleaned) is null and not soundscape.is_reserved_name(cleaned)
                then cleaned end
    from (select nullif(left(btrim(regexp_replace(
        name, '[\u0001-\u001f\u007f-\u009f\u2028\u2029]|' || soundscape.invisible_characters(), '', 'g')), 80), '')
    ) as c (cleaned));
comment on function soundscape.clean_display_name(text)
    is 'A display name that others are shown, made from a text that nobody has checked. Null if there is none.';

create or replace function soundscape.make_user() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    -- A sign-up must never fail because of a name. A long name is cut, a name that others may not be shown is left out.
    -- Profiles are public, so only display_name is taken and not the full name that providers send.
    insert into public.users (id, display_name)
    values (new.id, soundscape.clean_display_name(new.raw_user_meta_data ->> 'display_name'))
    on conflict (id) do nothing;
    insert into public.user_preferences (user_id) values (new.id) on conflict (user_id) do nothing;
    return new;
end
$$;

create function soundscape.check_profile() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if coalesce(auth.role(), 'service_role') = 'service_role' then
        return new;  -- The operator names the people who do speak for the service.
    end if;
    if new.username is distinct from old.username then
        if soundscape.is_reserved_name(new.username) then
            raise exception 'The username % is reserved.', new.username
                using errcode = '23514', detail = 'username_reserved', hint = 'Choose another username.';
        elsif exists (select from public.users u where u.username = new.username and u.id <> new.id) then
            raise exception 'The username % is taken.', new.username
                using errcode = '23505', detail = 'username_taken', hint = 'Choose another username.';
        end if;
    end if;
    if new.display_name is distinct from old.display_name and soundscape.is_reserved_name(new.display_name) then
        raise exception 'The display name % is reserved.', new.display_name
            using errcode = '23514', detail = 'display_name_reserved', hint = 'Choose another display name.';
    end if;
    return new;
end
$$;
comment on function soundscape.check_profile()
    is 'Trigger on users: refuses reserved names and usernames that are taken, with a sentence.';
create trigger users_check before update of username, display_name on public.users
    for each row execute function soundscape.check_profile();

update public.users u set display_name = soundscape.clean_display_name(u.display_name)
where soundscape.display_name_problem(u.display_name) is not null;
update public.users u set avatar_path = null
where soundscape.object_name_problem(u.avatar_path) is not null or u.avatar_path not like u.id || '/_%';

alter table public.users
    drop constraint users_username_check,
    add constraint users_username_check check (soundscape.check_value(
        username ~ '^[a-z0-9_]{3,30}$', 'username_format',
        'A username has 3 to 30 characters: a to z, 0 to 9 and underscores.', 'Choose another username.')),
    drop constraint users_display_name_check,
    add constraint users_display_name_check check (
        soundscape.check_value(
            char_length(display_name) between 1 and 80, 'display_name_length',
            'A display name has 1 to 80 characters.', 'Shorten it, or write null for none.')
        and soundscape.check_value(
            soundscape.display_name_problem(display_name) is null, 'display_name_characters',
            'The display name cannot be used: ' || soundscape.display_name_problem(display_name) || '.',
            'Write it with visible characters, each word in one script.')),
    drop constraint users_bio_check,
    add constraint users_bio_check check (soundscape.check_value(
        char_length(bio) <= 1000, 'bio_length', 'A bio has at most 1000 characters.', 'Shorten it.')),
    drop constraint users_avatar_path_check,
    add constraint users_avatar_path_check check (soundscape.check_value(
        soundscape.object_name_problem(avatar_path) is null and avatar_path like id || '/_%', 'avatar_path_format',
        'The avatar is a file in the user''s own folder of the bucket profile-images.',
        'Upload it as {user_id}/{name} and write that name.'));

-- What else people write
-- ======================

alter table public.user_preferences
    drop constraint user_preferences_locale_check,
    add constraint user_preferences_locale_check check (soundscape.check_value(
        locale ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$', 'locale_format', 'The locale is no language tag (BCP 47).',
        'Write it like en or pt-BR.')),
    drop constraint user_preferences_theme_check,
    add constraint user_preferences_theme_check check (soundscape.check_value(
        theme in ('system', 'light', 'dark'), 'theme_unknown', 'There is no such theme.',
        'Choose system, light or dark.')),
    drop constraint user_preferences_default_license_check,
    add constraint user_preferences_default_license_check check (soundscape.check_value(
        char_length(default_license) <= 100, 'license_length', 'A licence has at most 100 characters.',
        'Write its short name, such as CC-BY-4.0.')),
    drop constraint user_preferences_settings_check,
    add constraint user_preferences_settings_check check (soundscape.check_value(
        jsonb_typeof(settings) = 'object' and octet_length(settings::text) <= 16384, 'settings_format',
        'The settings are one JSON object of at most 16 kB.', 'Store less, or store an object.')),
    drop constraint user_preferences_favourite_labels_check,
    add constraint user_preferences_favourite_labels_check check (soundscape.check_value(
        cardinality(favourite_labels) <= 50 and array_position(favourite_labels, null) is null
            and char_length(array_to_string(favourite_labels, '')) <= 2500, 'favourite_labels_size',
        'There are at most 50 favourite labels, with at most 2500 characters in all, and none is null.',
        'Leave some out.'));

alter table public.audio_files
    drop constraint audio_files_title_check,
    add constraint audio_files_title_check check (soundscape.check_value(
        title ~ '\S' and char_length(title) <= 200, 'title_length', 'A title has 1 to 200 characters and is not blank.',
        'Write another title.')),
    drop constraint audio_files_description_check,
    add constraint audio_files_description_check check (soundscape.check_value(
        char_length(description) <= 5000, 'description_length', 'A description has at most 5000 characters.',
        'Shorten it.')),
    drop constraint audio_files_check,
    add constraint audio_files_file_path_check check (soundscape.check_value(
        char_length(file_path) <= 1024
            and (file_path like 'public/_%' or file_path like user_id::text || '/_%'), 'file_path_folder',
        'The path of a recording is in its owner''s folder or in public/.',
        'Upload the file as {user_id}/{name} or public/{name}, and write that name as file_path.')),
    drop constraint audio_files_file_path_is_canonical,
    add constraint audio_files_file_path_is_canonical check (soundscape.check_value(
        soundscape.object_name_problem(file_path) is null, 'file_path_name',
        'The name of the file cannot be used: ' || soundscape.object_name_problem(file_path) || '.',
        'Choose another name.')),
    drop constraint audio_files_tags_check,
    add constraint audio_files_tags_check check (soundscape.check_value(
        cardinality(tags) <= 50 and array_position(tags, null) is null
            and char_length(array_to_string(tags, '')) <= 2500, 'tags_size',
        'A recording has at most 50 tags, with at most 2500 characters in all, and none is null.', 'Leave some out.')),
    drop constraint audio_files_license_check,
    add constraint audio_files_license_check check (soundscape.check_value(
        char_length(license) <= 100, 'license_length', 'A licence has at most 100 characters.',
        'Write its short name, such as CC-BY-4.0.')),
    drop constraint audio_files_duration_check,
    add constraint audio_files_duration_check check (soundscape.check_value(
        duration >= 0 and duration < 'infinity', 'duration_range', 'A duration is a number of seconds, 0 or more.',
        'Leave it out: the analysis measures it.')),
    drop constraint audio_files_hidden_reason_check,
    add constraint audio_files_hidden_reason_check check (soundscape.check_value(
        char_length(btrim(hidden_reason)) between 1 and 1000, 'reason_length',
        'A reason has 1 to 1000 characters and is not blank.', 'Say why, so that the owner knows.'));

alter table public.playlists
    drop constraint playlists_title_check,
    add constraint playlists_title_check check (soundscape.check_value(
        title ~ '\S' and char_length(title) <= 200, 'title_length', 'A title has 1 to 200 characters and is not blank.',
        'Write another title.')),
    drop constraint playlists_description_check,
    add constraint playlists_description_check check (soundscape.check_value(
        char_length(description) <= 5000, 'description_length', 'A description has at most 5000 characters.',
        'Shorten it.'));

alter table public.listening_events
    drop constraint listening_events_started_at_check,
    drop constraint listening_events_check,
    add constraint listening_events_started_at_check check (soundscape.check_value(
        started_at >= '2020-01-01 00:00:00+00' and started_at <= created_at + interval '5 minutes', 'started_at_range',
        'Listening started between 2020 and now.', 'Check the clock of the device, or leave started_at out.')),
    drop constraint listening_events_listened_s_check,
    add constraint listening_events_listened_s_check check (soundscape.check_value(
        listened_s >= 0 and listened_s < 'infinity', 'listened_s_range',
        'listened_s is a number of seconds, 0 or more.', 'Write how many seconds were heard.')),
    drop constraint listening_events_context_check,
    add constraint listening_events_context_check check (soundscape.check_value(
        char_length(context) between 1 and 64, 'context_length', 'A context has 1 to 64 characters.',
        'Write a short word, such as search, or null.'));

alter table public.reports
    drop constraint reports_reason_check,
    add constraint reports_reason_check check (soundscape.check_value(
        reason in ('copyright', 'illegal', 'offensive', 'spam', 'misleading', 'other'), 'reason_unknown',
        'There is no such reason for a report.',
        'Choose copyright, illegal, offensive, spam, misleading or other.')),
    drop constraint reports_details_check,
    add constraint reports_details_check check (soundscape.check_value(
        char_length(details) <= 5000, 'details_length', 'The details of a report have at most 5000 characters.',
        'Shorten them.')),
    drop constraint reports_resolution_check,
    add constraint reports_resolution_check check (soundscape.check_value(
        resolution in ('hidden', 'dismissed'), 'resolution_unknown', 'There is no such resolution.',
        'Choose hidden or dismissed.')),
    drop constraint reports_resolution_reason_check,
    add constraint reports_resolution_reason_check check (soundscape.check_value(
        char_length(btrim(resolution_reason)) between 1 and 1000, 'reason_length',
        'A reason has 1 to 1000 characters and is not blank.', 'Say why, so that the owner knows.'));

-- What a person wrote goes with the person
-- ========================================

create function soundscape.forget_reporter() returns trigger
language plpgsql set search_path = '' as $$
begin
    new.details := null;
    return new;
end
$$;
comment on function soundscape.forget_reporter()
    is 'Trigger on reports: the reporter''s words are deleted with the reporter''s account.';
create trigger reports_forget_reporter before update of reporter_id on public.reports
    for each row when (old.reporter_id is not null and new.reporter_id is null)
    execute function soundscape.forget_reporter();
update public.reports set details = null where reporter_id is null and details is not null;
comment on column public.reports.details
    is 'In the reporter''s words, at most 5000 characters. Deleted with the reporter''s account.';
