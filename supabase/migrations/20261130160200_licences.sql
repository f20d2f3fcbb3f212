-- Licences: which ones there are, whom to name, what a recording was made from, and who changed the licence when.

create table public.licenses (
    id text primary key check (char_length(id) <= 100),
    name text not null,
    url text
);
alter table public.licenses enable row level security;
comment on table public.licenses is 'The licences that a recording may have. A new one is a row here.';
comment on column public.licenses.id is 'The SPDX identifier; all-rights-reserved where there is none.';
comment on column public.licenses.name is 'The name, in English.';
comment on column public.licenses.url is 'Where the licence can be read.';

insert into public.licenses (id, name, url) values
    ('all-rights-reserved', 'All rights reserved', null),
    ('CC0-1.0', 'Creative Commons Zero 1.0 Universal', 'https://creativecommons.org/publicdomain/zero/1.0/'),
    ('CC-PDM-1.0', 'Public Domain Mark 1.0', 'https://creativecommons.org/publicdomain/mark/1.0/'),
    ('LAL-1.3', 'Free Art License 1.3', 'https://artlibre.org/licence/lal/en/'),
    ('GFDL-1.3-or-later', 'GNU Free Documentation License 1.3 or later', 'https://www.gnu.org/licenses/fdl-1.3.html');
insert into public.licenses (id, name, url)
select format('CC-%s-%s', upper(kind), version),
       format('Creative Commons %s %s', words, version),
       format('https://creativecommons.org/licenses/%s/%s/', kind, version)
from (values ('by', 'Attribution'), ('by-sa', 'Attribution ShareAlike'), ('by-nc', 'Attribution NonCommercial'),
             ('by-nd', 'Attribution NoDerivatives'), ('by-nc-sa', 'Attribution NonCommercial ShareAlike'),
             ('by-nc-nd', 'Attribution NonCommercial NoDerivatives')) as kinds (kind, words),
     (values ('1.0'), ('2.0'), ('2.5'), ('3.0'), ('4.0')) as versions (version)
-- The deeds of 1.0 that join NonCommercial and NoDerivatives name them in the other order, as their addresses do.
where (kind, version) <> ('by-nc-nd', '1.0');
insert into public.licenses (id, name, url) values
    ('CC-BY-NC-ND-1.0', 'Creative Commons Attribution NonCommercial NoDerivatives 1.0',
     'https://creativecommons.org/licenses/by-nd-nc/1.0/');

create function soundscape.license_or_null(words text) returns text
language sql stable security definer set search_path = ''
-- cc by-sa 4.0, CC_BY_SA_4.0 and the licence's address are read as CC-BY-SA-4.0; CC0 as CC0-1.0.
return (
    select l.id from public.licenses l
    where l.id = case lower(btrim(words)) when 'cc0' then 'CC0-1.0' else l.id end
      and (lower(l.id) = regexp_replace(lower(btrim(words)), '[\s_]+', '-', 'g')
           or lower(btrim(words)) = 'cc0'
           or rtrim(regexp_replace(lower(btrim(words)), '^https?://', ''), '/')
               = rtrim(regexp_replace(l.url, '^https?://', ''), '/'))
    limit 1);
comment on function soundscape.license_or_null(text)
    is 'The licence that a text names, or null: for what uploads and old rows say in free words.';

alter table public.audio_files
    add column attribution text,
    add column sources jsonb not null default '[]',
    add constraint audio_files_attribution_check check (soundscape.check_value(
        attribution ~ '\S' and char_length(attribution) <= 1000, 'attribution_length',
        'An attribution has 1 to 1000 characters and is not blank.', 'Shorten it, or leave it out.'));
comment on column public.audio_files.attribution
    is 'Whom to name, and how, where the recording is used. The owner''s display name if null.';
comment on column public.audio_files.sources
    is 'Works that the recording was made from: an array of at most 20 {title, url, attribution, license}. Only the '
       'title is required.';

-- What was no licence of the list is kept as words.
update public.audio_files set
    attribution = case when license ~ '\S' and soundscape.license_or_null(license) is null
        then 'Licence: ' || license end,
    license = soundscape.license_or_null(license)
where license is not null and license is distinct from soundscape.license_or_null(license);
update public.user_preferences set default_license = soundscape.license_or_null(default_license)
where default_license is not null;

alter table public.audio_files
    drop constraint audio_files_license_check,
    add constraint audio_files_license_is_listed foreign key (license) references public.licenses (id);
alter table public.user_preferences
    drop constraint user_preferences_default_license_check,
    add constraint user_preferences_license_is_listed foreign key (default_license) references public.licenses (id);
create index user_preferences_by_license on public.user_preferences (default_license);
comment on column public.audio_files.license is 'Licence of the recording: an id of licenses. Null says nothing.';
comment on column public.user_preferences.default_license
    is 'Licence that the frontend offers for new recordings: an id of licenses.';

create function soundscape.check_license() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    given constant text := to_jsonb(new) ->> tg_argv[0];
begin
    perform soundscape.check_value(given is null or exists (select from public.licenses l where l.id = given),
        'license_unknown', format('There is no licence %s.', left(given, 100)), 'Choose an id of the table licenses.');
    return new;
end
$$;
comment on function soundscape.check_license()
    is 'Trigger: says in a sentence that a licence is none of the list. The argument is its column.';
create trigger audio_files_license before insert or update of license on public.audio_files
    for each row execute function soundscape.check_license('license');
create trigger user_preferences_license before insert or update of default_license on public.user_preferences
    for each row execute function soundscape.check_license('default_license');

create function soundscape.check_sources() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    problem text;
begin
    if jsonb_typeof(new.sources) <> 'array' or jsonb_array_length(new.sources) > 20 then
        problem := 'Sources are an array of at most 20.';
    else
        select case
            when jsonb_typeof(s) <> 'object' then 'A source is an object.'
            when exists (select from jsonb_object_keys(s) as k
                         where k not in ('title', 'url', 'attribution', 'license'))
                then 'A source has title, url, attribution and license.'
            when exists (select from jsonb_each(s) as e where jsonb_typeof(e.value) <> 'string')
                then 'Each part of a source is a text.'
            when coalesce(s ->> 'title', '') !~ '\S' or char_length(s ->> 'title') > 500 then 'A source has a title.'
            when s ->> 'url' !~ '^https?://\S+$' or char_length(s ->> 'url') > 2000
                then 'The url of a source begins with https:// and has at most 2000 characters.'
            when char_length(s ->> 'attribution') > 1000 then 'The attribution of a source is too long.'
            when s ? 'license' and not exists (select from public.licenses l where l.id = s ->> 'license')
                then format('There is no licence %s.', left(s ->> 'license', 100))
        end into problem
        from jsonb_array_elements(new.sources) with ordinality as given (s, place)
        order by 1 nulls last limit 1;
    end if;
    perform soundscape.check_value(problem is null, 'sources_format', problem,
        'Write an array of {title, url, attribution, license}. The table licenses has the licences.');
    return new;
end
$$;
comment on function soundscape.check_sources() is 'Trigger: refuses sources that are not as the column says.';
create trigger audio_files_sources before insert or update of sources on public.audio_files
    for each row when (new.sources <> '[]') execute function soundscape.check_sources();

-- What an upload says of itself. A licence that is none of the list is left out: an error would undo the upload.
create or replace function soundscape.describe_object(object storage.objects, draft_title text default null)
returns void
language plpgsql security definer set search_path = '' as $$
declare
    said jsonb := coalesce(object.user_metadata, '{}');
    tags text[] := '{}';
begin
    if jsonb_typeof(said -> 'tags') = 'array' then
        select coalesce(array_agg(left(tag, 50)), '{}') into tags
        from (select tag from jsonb_array_elements_text(said -> 'tags') as tag
            where tag is not null limit 50) said_tags;
    end if;
    insert into public.audio_files (user_id, title, description, file_path, is_public, tags, license, attribution)
    values (
        soundscape.owner_of(object.name, object.owner_id),
        coalesce(soundscape.title_or_null(said ->> 'title'), soundscape.title_or_null(draft_title), 'Untitled'),
        left(said ->> 'description', 5000),
        object.name,
        -- Nobody has described a draft yet. It stays private whatever the upload said.
        draft_title is null and coalesce(said -> 'is_public' in ('true', '"true"'), false),
        tags,
        soundscape.license_or_null(said ->> 'license'),
        left(substring(said ->> 'attribution' from '.*\S.*'), 1000))
    on conflict (file_path) do nothing;
end
$$;

-- History
-- =======

create table public.license_history (
    id uuid primary key default gen_random_uuid(),
    audio_id uuid not null references public.audio_files (id) on delete cascade,
    license text references public.licenses (id),
    attribution text,
    changed_by uuid references public.users (id) on delete set null,
    changed_at timestamptz not null default clock_timestamp()
);
alter table public.license_history enable row level security;
create index license_history_by_recording on public.license_history (audio_id, changed_at desc);
create index license_history_by_user on public.license_history (changed_by);
create index license_history_by_license on public.license_history (license);
comment on table public.license_history
    is 'The licence and the attribution that a recording had from when on, and who said so. Who sees the recording '
       'sees it: whoever used it under an earlier licence can show that.';
comment on column public.license_history.id is 'The change.';
comment on column public.license_history.audio_id is 'The recording.';
comment on column public.license_history.license is 'The licence since then. Null if it was taken away.';
comment on column public.license_history.attribution is 'The attribution since then.';
comment on column public.license_history.changed_by
    is 'Who changed it. Null for the worker, and when the account is deleted.';
comment on column public.license_history.changed_at is 'When.';

create function soundscape.note_license() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    insert into public.license_history (audio_id, license, attribution, changed_by)
    select new.id, new.license, new.attribution, u.id
    from (select auth.uid() as id) as caller left join public.users u using (id);
    return null;
end
$$;
comment on function soundscape.note_license()
    is 'Trigger: writes a change of licence or attribution to license_history.';
create trigger audio_files_license_made after insert on public.audio_files
    for each row when (new.license is not null or new.attribution is not null)
    execute function soundscape.note_license();
create trigger audio_files_license_changed after update of license, attribution on public.audio_files
    for each row when ((old.license, old.attribution) is distinct from (new.license, new.attribution))
    execute function soundscape.note_license();

-- What stood there before anybody could note it.
insert into public.license_history (audio_id, license, attribution, changed_by, changed_at)
select f.id, f.license, f.attribution, f.user_id, f.created_at from public.audio_files f
where f.license is not null or f.attribution is not null;
