-- Files in profile-images are images. Storage holds them to a declared type; here the worker decodes them. Each file
-- that arrives is noted. A worker takes it for a while, and decodes it in its confined child. What is no image of its
-- declared type is deleted, and its owner is notified.
--
-- Any step may be the last one of a worker. A check that it took and did not end is taken again later. The end is one
-- transaction: it requests the deletion, clears the avatar and notifies the owner.

create table soundscape.image_checks (
    object_id uuid primary key,
    version text,
    noted_at timestamptz not null default now(),
    token uuid,
    attempts integer not null default 0,
    retry_at timestamptz not null default now(),
    checked_at timestamptz,
    error_code text check (char_length(error_code) <= 64)
);
alter table soundscape.image_checks enable row level security;
create index image_checks_due on soundscape.image_checks (retry_at) where checked_at is null;
comment on table soundscape.image_checks
    is 'The files of profile-images, and whether a worker has decoded them. One row a file, until it is deleted.';
comment on column soundscape.image_checks.object_id is 'The row of storage.objects.';
comment on column soundscape.image_checks.version is 'Which bytes of it. Others are checked again.';
comment on column soundscape.image_checks.noted_at is 'When these bytes were noted.';
comment on column soundscape.image_checks.token is 'Of the worker that has it. Without it nobody ends the check.';
comment on column soundscape.image_checks.attempts is 'How often a worker took it. The delay doubles each time.';
comment on column soundscape.image_checks.retry_at is 'From when on a worker may take it.';
comment on column soundscape.image_checks.checked_at is 'When the check ended. Null until then.';
comment on column soundscape.image_checks.error_code is 'Why it is no image. Null if it is one.';

-- A notification without a recording
-- ==================================

insert into soundscape.notification_kinds (kind, description) values
    ('image_refused', 'A file in profile-images is no image of its type, and was deleted.');
alter table public.notifications
    alter column audio_id drop not null,
    add column error_message text check (char_length(error_message) <= 2000),
    add constraint notifications_recording_check check (audio_id is not null or error_message is not null);
comment on column public.notifications.audio_id is 'The recording. Null if it is about none.';
comment on column public.notifications.error_message
    is 'The reason in words, if it is about no recording. Otherwise the recording''s error_message says it.';

drop function soundscape.notify(uuid, text, uuid, text, text);
create function soundscape.notify(
    recipient uuid, kind text, audio_id uuid, error_code text, trace_id text, error_message text default null
) returns void
language sql security definer set search_path = '' as $$
    insert into public.notifications (user_id, kind, audio_id, error_code, trace_id, error_message)
    values (recipient, notify.kind, notify.audio_id, notify.error_code, notify.trace_id, notify.error_message)
$$;
comment on function soundscape.notify(uuid, text, uuid, text, text, text)
    is 'Notifies a user, in the transaction of the event. Every notification is written here.';

-- Files are noted
-- ===============

create function soundscape.on_image_written() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    is_first boolean := not exists (
        select from soundscape.image_checks c where c.checked_at is null and c.retry_at <= now());
begin
    -- As soundscape.cancel_deletion does for audio-files: new bytes are not deleted for what lay here before.
    perform soundscape.lock_object_name(new.name);
    delete from soundscape.deletions d
    where d.bucket_id = new.bucket_id and d.name = new.name and not d.is_final
      and (d.taken_at is null or d.taken_at < clock_timestamp() - soundscape.deletion_grace());
    if exists (select from soundscape.deletions d where d.bucket_id = new.bucket_id and d.name = new.name) then
        raise exception 'The object % is being deleted.', new.name
            using errcode = '42501', hint = 'Try again in a moment, or choose another name.';
    end if;
    insert into soundscape.image_checks as c (object_id, version) values (new.id, new.version)
    on conflict (object_id) do update
    set version = excluded.version, noted_at = now(), token = null, attempts = 0, retry_at = now(),
        checked_at = null, error_code = null;
    if is_first then
        perform soundscape.ring_doorbell();
    end if;
    return null;
end
$$;
comment on function soundscape.on_image_written()
    is 'Trigger on storage.objects: a file came into profile-images, or changed. A worker will decode it.';
create trigger soundscape_image_added after insert on storage.objects
    for each row when (new.bucket_id = 'profile-images' and new.metadata ? 'eTag')
    execute function soundscape.on_image_written();
create trigger soundscape_image_changed after update on storage.objects
    for each row when (
        new.bucket_id = 'profile-images' and new.metadata ? 'eTag'
        and (old.version, old.metadata, old.name) is distinct from (new.version, new.metadata, new.name))
    execute function soundscape.on_image_written();

create function soundscape.forget_image() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    delete from soundscape.image_checks c where c.object_id = old.id;
    return null;
end
$$;
comment on function soundscape.forget_image() is 'Trigger on storage.objects: a file of profile-images was deleted.';
create trigger soundscape_image_forgotten after delete on storage.objects
    for each row when (old.bucket_id = 'profile-images')
    execute function soundscape.forget_image();

create function soundscape.note_unchecked_images(names text[]) returns void
language sql security definer set search_path = '' as $$
    insert into soundscape.image_checks as c (object_id, version)
    select o.id, o.version from storage.objects o
    where o.bucket_id = 'profile-images' and o.name = any (names) and o.metadata ? 'eTag'
    on conflict (object_id) do update
    set version = excluded.version, noted_at = now(), token = null, attempts = 0, retry_at = now(),
        checked_at = null, error_code = null
    where c.version is distinct from excluded.version
$$;
comment on function soundscape.note_unchecked_images(text[])
    is 'Notes those files of profile-images that no trigger noted: they are older, or the trigger was off.';

create or replace function soundscape.check_page(wanted_kind text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    keys text[] := soundscape.next_page(wanted_kind, soundscape.max_repairs_per_sweep());
begin
    case wanted_kind
        when 'recordings' then
            return jsonb_build_object(
                'attached', soundscape.attach_found_objects(keys),
                'drafted', soundscape.draft_undescribed_objects(keys),
                'discarded', soundscape.discard_unused_objects('audio-files', keys));
        when 'pictures' then
            return jsonb_build_object('discarded', soundscape.discard_unused_objects('waveforms', keys));
        when 'profiles' then
            perform soundscape.note_unchecked_images(keys);
            return jsonb_build_object('discarded', soundscape.discard_unused_objects('profile-images', keys));
        when 'jobs', 'unfinished' then
            return jsonb_build_object('resent', soundscape.requeue_lost_jobs(keys::uuid[]));
        when 'accounts' then
            perform soundscape.close_account(u.id) from public.users u
            where u.id = any (keys::uuid[]) and not exists (select from auth.users a where a.id = u.id)
              and not exists (select from soundscape.account_deletions d where d.user_id = u.id);
            return '{}';
        when 'ended_jobs' then
            perform soundscape.delete_old_jobs(keys);
            return '{}';
    end case;
end
$$;

-- The worker's side
-- =================

create function soundscape.claim_image_check(lease_s integer default 60)
returns table (
    object_id uuid, token uuid, attempt integer, name text, version text, media_type text, size_bytes bigint,
    etag text, max_bytes bigint)
language plpgsql security definer rows 1 set search_path = '' as $$
#variable_conflict use_column
declare
    due soundscape.image_checks;
begin
    select * into due from soundscape.image_checks c
    where lease_s > 0 and c.checked_at is null and c.retry_at <= now() and exists (
        select from storage.objects o where o.id = c.object_id and o.version is not distinct from c.version)
    order by c.retry_at limit 1 for update of c skip locked;
    if due.object_id is null then
        return;
    end if;
    update soundscape.image_checks c
    set token = gen_random_uuid(), attempts = c.attempts + 1,
        retry_at = now() + make_interval(secs => lease_s) * power(2, least(c.attempts, 10))
    where c.object_id = due.object_id returning * into due;
    return query
        select o.id, due.token, due.attempts, o.name, o.version, o.metadata ->> 'mimetype',
            (o.metadata ->> 'size')::bigint, o.metadata ->> 'eTag', b.file_size_limit
        from storage.objects o join storage.buckets b on b.id = o.bucket_id where o.id = due.object_id;
end
$$;
comment on function soundscape.claim_image_check(integer)
    is 'Worker only. A file of profile-images to decode, if there is one. complete_image_check follows within lease_s, '
       'or another worker may take it. From the second attempt on there is more time.';

create function soundscape.complete_image_check(
    object_id uuid, token uuid, error_code text default null, error_message text default null
) returns void
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
    object storage.objects;
    account uuid;
begin
    select * into object from storage.objects o where o.id = complete_image_check.object_id;
    if error_code is not null then
        -- Names are locked before what refers to them, as an upload does.
        perform soundscape.lock_object_name(object.name);
    end if;
    update soundscape.image_checks c
    set checked_at = now(), token = null, error_code = left(complete_image_check.error_code, 64)
    where c.object_id = complete_image_check.object_id and c.token = complete_image_check.token
      and c.version is not distinct from object.version;
    if not found then
        raise exception 'Another worker has this image, or it has changed.'
            using errcode = 'PT409', hint = 'Drop the work.';
    end if;
    if error_code is null then
        return;
    end if;
    insert into soundscape.deletions (bucket_id, name) values (object.bucket_id, object.name) on conflict do nothing;
    account := soundscape.owner_of(object.name, object.owner_id);
    update public.users u set avatar_path = null where u.id = account and u.avatar_path = object.name;
    perform soundscape.notify(
        u.id, 'image_refused', null, left(error_code, 64), replace(gen_random_uuid()::text, '-', ''),
        left(coalesce(error_message, error_code), 2000))
    from public.users u where u.id = account;
end
$$;
comment on function soundscape.complete_image_check(uuid, uuid, text, text)
    is 'Worker only. Ends a check. With error_code the file is no image: it is deleted, it is nobody''s avatar any '
       'more, and its owner is notified.';
