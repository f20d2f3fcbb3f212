-- Limits on what a recording's licences and sources may grow to, and messages of sources that say what is asked.

alter table soundscape.owner_limits
    add column max_license_changes integer not null default 100 check (max_license_changes >= 0);
comment on column soundscape.owner_limits.max_license_changes is 'Rows of a recording in license_history.';

create or replace function soundscape.note_license() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    caller constant uuid := (select u.id from public.users u where u.id = (select auth.uid()));
begin
    -- Without this, one PATCH of all recordings, repeated, would add a row for each of them each time.
    update public.license_history h set license = new.license, attribution = new.attribution,
        changed_at = clock_timestamp()
    where h.id = (
            select l.id from public.license_history l where l.audio_id = new.id order by l.changed_at desc limit 1)
        and h.changed_by is not distinct from caller and h.changed_at > clock_timestamp() - interval '1 hour';
    if found then
        return null;
    end if;
    insert into public.license_history (audio_id, license, attribution, changed_by)
    values (new.id, new.license, new.attribution, caller);
    if coalesce(auth.role(), 'service_role') <> 'service_role' then
        perform soundscape.refuse_over_limit(
            (select count(*) from public.license_history h where h.audio_id = new.id),
            l.max_license_changes, 'licence changes of a recording')
        from soundscape.owner_limits l;
    end if;
    return null;
end
$$;
comment on function soundscape.note_license()
    is 'Trigger: writes a change of licence or attribution to license_history. What the same person replaces within an '
       'hour is not kept.';
comment on table public.license_history
    is 'The licence and the attribution that a recording had from when on, and who said so. What the same person '
       'replaces within an hour is not kept. Who sees the recording sees it: whoever used it under an earlier licence '
       'can show that.';

create function soundscape.sources_max_bytes() returns integer
language sql immutable parallel safe set search_path = '' return 16384;
comment on function soundscape.sources_max_bytes() is 'Bytes of a recording''s sources, written as JSON.';

create or replace function soundscape.check_sources() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    problem text;
begin
    if jsonb_typeof(new.sources) <> 'array' or jsonb_array_length(new.sources) > 20 then
        problem := 'Sources are an array of at most 20.';
    elsif octet_length(new.sources::text) > soundscape.sources_max_bytes() then
        problem := format('The sources have more than %s bytes.', soundscape.sources_max_bytes());
    else
        select case
            when jsonb_typeof(s) <> 'object' then 'A source is an object.'
            when exists (select from jsonb_object_keys(s) as k
                         where k not in ('title', 'url', 'attribution', 'license'))
                then 'A source has title, url, attribution and license.'
            when exists (select from jsonb_each(s) as e where jsonb_typeof(e.value) <> 'string')
                then 'Each part of a source is a text.'
            when coalesce(s ->> 'title', '') !~ '\S' or char_length(s ->> 'title') > 500
                then 'A source has a title of 1 to 500 characters that is not blank.'
            when s ->> 'url' !~ '^https?://\S+$' or char_length(s ->> 'url') > 2000
                then 'The url of a source begins with https:// or http://, has no space and at most 2000 characters.'
            when char_length(s ->> 'attribution') > 1000
                then 'The attribution of a source has at most 1000 characters.'
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

-- Nothing deletes it by the clock: create_api_key does, of its own caller.
comment on column public.api_keys.revoked_at
    is 'When its owner ended it. 90 days later the next create_api_key of the same user deletes the row.';
