-- Claims in an export: those on either side of which is a recording of the account, and of others only what is listed.

alter table soundscape.exported_tables drop constraint exported_tables_via_check;
alter table soundscape.exported_tables add constraint exported_tables_via_check
    check (via in ('id', 'user_id', 'reporter_id', 'assignee_id', 'audio_id', 'playlist_id', 'claim'));
comment on column soundscape.exported_tables.via
    is 'The column that leads to the account. audio_id and playlist_id lead there by their owner. claim: by either '
       'recording of a claim, if the account may see the other one.';
update soundscape.exported_tables set via = 'claim' where table_name = 'audio_matches';

create function soundscape.is_seen_by(recording public.audio_files, viewer uuid) returns boolean
language sql stable set search_path = ''
return recording.user_id = viewer
    or recording.is_listed and recording.user_id <> all (soundscape.closed_accounts());
comment on function soundscape.is_seen_by(public.audio_files, uuid)
    is 'Whether a recording is the viewer''s, or listed and of no closed account.';

create function soundscape.claims_of(account uuid) returns setof uuid
language sql stable security definer set search_path = '' as $$
    select m.id
    from public.audio_files own
    join public.audio_matches m on m.audio_id = own.id
    join public.audio_files other on other.id = m.matched_audio_id
    where own.user_id = account and soundscape.is_seen_by(other, account)
    union
    select m.id
    from public.audio_files own
    join public.audio_matches m on m.matched_audio_id = own.id
    join public.audio_files other on other.id = m.audio_id
    where own.user_id = account and soundscape.is_seen_by(other, account)
$$;
comment on function soundscape.claims_of(uuid) is 'Claims on recordings of an account, if it may see both recordings.';

create or replace function soundscape.export_condition(via text) returns text
language sql immutable set search_path = ''
return case via
    when 'audio_id' then 'r.audio_id in (select f.id from public.audio_files f where f.user_id = $1)'
    when 'playlist_id' then 'r.playlist_id in (select p.id from public.playlists p where p.user_id = $1)'
    when 'claim' then 'r.id in (select soundscape.claims_of($1))'
    else format('r.%I = $1', via) end;
