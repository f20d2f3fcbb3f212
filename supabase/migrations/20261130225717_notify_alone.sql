-- soundscape.tell was a second name for soundscape.notify. One is enough: with three arguments it is for what is
-- no job, and so has no trace.

create function soundscape.notify(recipient uuid, kind text, audio_id uuid) returns void
language sql security definer set search_path = '' as $$
    select soundscape.notify(recipient, kind, audio_id, null, replace(gen_random_uuid()::text, '-', ''))
$$;
comment on function soundscape.notify(uuid, text, uuid) is 'Notifies a user of what is no job, and so has no trace.';

create or replace function soundscape.notify_of_items() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.notify(f.user_id, 'recording_collected', f.id)
    from (select distinct i.audio_id, p.user_id from added i
          join public.playlists p on p.id = i.playlist_id and p.is_public) as collected
    join public.audio_files f on f.id = collected.audio_id and f.user_id <> collected.user_id;
    return null;
end
$$;

create or replace function soundscape.notify_of_likes() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.notify(f.user_id, 'recording_liked', f.id)
    from (select distinct l.audio_id, l.user_id from added l) as liked
    join public.audio_files f on f.id = liked.audio_id and f.user_id <> liked.user_id;
    return null;
end
$$;

create or replace function soundscape.notify_of_listed_match() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.notify(mine.user_id, 'recording_matched', mine.id)
    from public.audio_matches m
    join public.audio_files mine
        on mine.id in (m.audio_id, m.matched_audio_id) and mine.id <> new.id and mine.user_id <> new.user_id
    where new.id in (m.audio_id, m.matched_audio_id) and m.dismissed_at is null;
    return null;
end
$$;

create or replace function soundscape.notify_of_matches() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.notify(mine.user_id, 'recording_matched', mine.id)
    from added m
    cross join lateral (values (m.audio_id, m.matched_audio_id), (m.matched_audio_id, m.audio_id)) as side (mine, other)
    join public.audio_files mine on mine.id = side.mine
    join public.audio_files other on other.id = side.other and other.is_listed and other.user_id <> mine.user_id
    where m.dismissed_at is null;
    return null;
end
$$;

create or replace function soundscape.notify_of_moderation() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.notify(
        new.user_id, case when new.hidden_at is null then 'recording_restored' else 'recording_hidden' end, new.id);
    return null;
end
$$;

create or replace function soundscape.notify_of_published_playlist() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.notify(f.user_id, 'recording_collected', f.id)
    from (select distinct i.audio_id from public.playlist_items i where i.playlist_id = new.id) as collected
    join public.audio_files f on f.id = collected.audio_id and f.user_id <> new.user_id;
    return null;
end
$$;

create or replace function soundscape.notify_of_quota() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.notify(o.user_id, 'quota_nearly_full', null)
    from (select distinct a.user_id from added a) as o, soundscape.owner_limits l
    where (select sum(s.size_bytes) from soundscape.stored_objects s where s.user_id = o.user_id)
        >= l.max_stored_bytes * soundscape.nearly_full_share();
    return null;
end
$$;

create or replace function soundscape.notify_of_report() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.notify(new.reporter_id, 'report_resolved', new.audio_id);
    return null;
end
$$;

drop function soundscape.tell(uuid, text, uuid);
