-- The events that notify users, beside the ends of analyses: each calls soundscape.notify in its own transaction.
--
-- What others do is told without who did it, and only where the recipient could see it anyway: likes are seen by their
-- user alone, private playlists and private recordings by their owners.

create function soundscape.tell(recipient uuid, kind text, audio_id uuid) returns void
language sql security definer set search_path = '' as $$
    select soundscape.notify(recipient, kind, audio_id, null, replace(gen_random_uuid()::text, '-', ''))
$$;
comment on function soundscape.tell(uuid, text, uuid) is 'Notifies a user of what is no job, and so has no trace.';

create function soundscape.notify_of_likes() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.tell(f.user_id, 'recording_liked', f.id)
    from (select distinct l.audio_id, l.user_id from added l) as liked
    join public.audio_files f on f.id = liked.audio_id and f.user_id <> liked.user_id;
    return null;
end
$$;
comment on function soundscape.notify_of_likes()
    is 'Trigger on likes: tells the owner that somebody likes a recording.';
create trigger likes_notify after insert on public.likes
    referencing new table as added for each statement execute function soundscape.notify_of_likes();

create function soundscape.notify_of_items() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.tell(f.user_id, 'recording_collected', f.id)
    from (select distinct i.audio_id, p.user_id from added i
          join public.playlists p on p.id = i.playlist_id and p.is_public) as collected
    join public.audio_files f on f.id = collected.audio_id and f.user_id <> collected.user_id;
    return null;
end
$$;
comment on function soundscape.notify_of_items()
    is 'Trigger on playlist_items: tells the owner that a recording came into somebody''s public playlist.';
create trigger playlist_items_notify after insert on public.playlist_items
    referencing new table as added for each statement execute function soundscape.notify_of_items();

create function soundscape.notify_of_published_playlist() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.tell(f.user_id, 'recording_collected', f.id)
    from (select distinct i.audio_id from public.playlist_items i where i.playlist_id = new.id) as collected
    join public.audio_files f on f.id = collected.audio_id and f.user_id <> new.user_id;
    return null;
end
$$;
comment on function soundscape.notify_of_published_playlist()
    is 'Trigger on playlists: one was made public, with recordings of others in it.';
create trigger playlists_notify after update of is_public on public.playlists
    for each row when (new.is_public and not old.is_public)
    execute function soundscape.notify_of_published_playlist();

-- A match is told to whoever sees both recordings: the owner of one, once the other is listed.
create function soundscape.notify_of_matches() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.tell(mine.user_id, 'recording_matched', mine.id)
    from added m
    cross join lateral (values (m.audio_id, m.matched_audio_id), (m.matched_audio_id, m.audio_id)) as side (mine, other)
    join public.audio_files mine on mine.id = side.mine
    join public.audio_files other on other.id = side.other and other.is_listed and other.user_id <> mine.user_id
    where m.dismissed_at is null;
    return null;
end
$$;
comment on function soundscape.notify_of_matches()
    is 'Trigger on audio_matches: tells the owners of a new claim who see both recordings.';
create trigger audio_matches_notify after insert on public.audio_matches
    referencing new table as added for each statement execute function soundscape.notify_of_matches();

create function soundscape.notify_of_listed_match() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.tell(mine.user_id, 'recording_matched', mine.id)
    from public.audio_matches m
    join public.audio_files mine
        on mine.id in (m.audio_id, m.matched_audio_id) and mine.id <> new.id and mine.user_id <> new.user_id
    where new.id in (m.audio_id, m.matched_audio_id) and m.dismissed_at is null;
    return null;
end
$$;
comment on function soundscape.notify_of_listed_match()
    is 'Trigger on audio_files: a recording was listed. Tells the owners of recordings that it matches.';
create trigger audio_files_notify_of_match after update on public.audio_files
    for each row when (new.is_listed and not old.is_listed)
    execute function soundscape.notify_of_listed_match();

create function soundscape.notify_of_moderation() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.tell(
        new.user_id, case when new.hidden_at is null then 'recording_restored' else 'recording_hidden' end, new.id);
    return null;
end
$$;
comment on function soundscape.notify_of_moderation()
    is 'Trigger on audio_files: tells the owner that a recording was hidden or restored. hidden_reason says why.';
create trigger audio_files_notify_of_moderation after update of hidden_at on public.audio_files
    for each row when ((new.hidden_at is null) <> (old.hidden_at is null))
    execute function soundscape.notify_of_moderation();

create function soundscape.notify_of_report() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.tell(new.reporter_id, 'report_resolved', new.audio_id);
    return null;
end
$$;
comment on function soundscape.notify_of_report()
    is 'Trigger on reports: tells who reported a recording that a moderator decided. The report says what.';
create trigger reports_notify after update of resolved_at on public.reports
    for each row when (new.resolved_at is not null and old.resolved_at is null and new.reporter_id is not null)
    execute function soundscape.notify_of_report();

create function soundscape.notify_of_export() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.notify(
        new.user_id, 'export_' || new.status, null, new.error_code, replace(gen_random_uuid()::text, '-', ''),
        new.error_message);
    return null;
end
$$;
comment on function soundscape.notify_of_export() is 'Trigger on exports: tells the user that one is ready, or failed.';
create trigger exports_notify after update of status on public.exports
    for each row when (new.status in ('ready', 'failed') and new.status <> old.status)
    execute function soundscape.notify_of_export();

-- The quota
-- =========

create function soundscape.nearly_full_share() returns double precision
language sql immutable parallel safe set search_path = '' return 0.9;
comment on function soundscape.nearly_full_share()
    is 'A user whose files take this share of max_stored_bytes is told so, at most once a week.';

create function soundscape.notify_of_quota() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.tell(o.user_id, 'quota_nearly_full', null)
    from (select distinct a.user_id from added a) as o, soundscape.owner_limits l
    where (select sum(s.size_bytes) from soundscape.stored_objects s where s.user_id = o.user_id)
        >= l.max_stored_bytes * soundscape.nearly_full_share();
    return null;
end
$$;
comment on function soundscape.notify_of_quota()
    is 'Trigger on stored_objects: tells a user whose files take nearly all the space they may.';
create trigger stored_objects_notify after insert on soundscape.stored_objects
    referencing new table as added for each statement execute function soundscape.notify_of_quota();

-- The digest
-- ==========

create table soundscape.digests (
    user_id uuid primary key references public.users (id) on delete cascade,
    queued_at timestamptz not null
);
alter table soundscape.digests enable row level security;
comment on table soundscape.digests is 'When each user''s latest digest was put into the outbox.';
comment on column soundscape.digests.user_id is 'The user.';
comment on column soundscape.digests.queued_at is 'When.';

create function soundscape.digest_time(zone text, moment timestamptz) returns timestamptz
language sql immutable set search_path = ''
return (date_trunc('week', moment at time zone zone) + interval '8 hours') at time zone zone;
comment on function soundscape.digest_time(text, timestamptz)
    is 'When the digest of this week is due: Monday, eight in the morning, in the user''s time zone.';

create function soundscape.queue_digests() returns integer
language plpgsql security definer set search_path = '' as $$
declare
    queued integer;
begin
    with due as (
        select u.id from public.users u left join public.user_preferences p on p.user_id = u.id
        cross join lateral soundscape.digest_time(coalesce(p.time_zone, 'UTC'), now()) as monday
        where now() >= monday and now() < monday + interval '1 day'
          -- All users only if the operator has made it the default.
          and (exists (select from soundscape.notification_kinds k
                       where k.kind = 'weekly_digest' and 'email' = any (k.defaults))
               or u.id in (select n.user_id from public.notification_preferences n
                           where n.kind = 'weekly_digest' and n.channel = 'email' and n.enabled))
          and soundscape.is_notified(u.id, 'weekly_digest', 'email')
          and not exists (select from soundscape.account_deletions a where a.user_id = u.id)
          and not exists (select from soundscape.digests d where d.user_id = u.id and d.queued_at >= monday)
        limit 5000
    ), noted as (
        insert into soundscape.digests as d (user_id, queued_at) select due.id, now() from due order by due.id
        on conflict (user_id) do update set queued_at = excluded.queued_at
        -- Another call may have done so at the same moment.
        where d.queued_at < excluded.queued_at - interval '2 days'
        returning d.user_id
    )
    insert into soundscape.outbox (user_id, channel, kind)
    select n.user_id, 'email', 'weekly_digest'
    from noted n cross join lateral soundscape.digest(n.user_id, now()) as told
    where (told ->> 'ready')::bigint + (told ->> 'likes')::bigint + (told ->> 'collected')::bigint > 0;
    get diagnostics queued = row_count;
    return queued;
end
$$;
comment on function soundscape.queue_digests()
    is 'Puts the digest of this week into the outbox for those who want it, once it is Monday morning where they are. '
       'A week in which nothing happened has none. pg_cron calls it.';
select cron.schedule('soundscape-digests', '*/15 * * * *', 'select soundscape.queue_digests()');
