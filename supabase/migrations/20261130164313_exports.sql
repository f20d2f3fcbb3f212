-- Exports: everything that an account has, in one zip.
--
-- A row of exports is the job. A worker leases it, notes how far the upload has come, and the next worker goes on from
-- there. Two objects beside the zip hold what the first worker read, so that the zip is the same whoever goes on.

create table public.exports (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references public.users (id) on delete cascade,
    status text not null default 'queued' check (status in ('queued', 'running', 'ready', 'failed', 'expired')),
    file_path text check (char_length(file_path) <= 200),
    size_bytes bigint check (size_bytes >= 0),
    stored_bytes bigint not null default 0 check (stored_bytes >= 0),
    error_code text check (char_length(error_code) <= 64),
    error_message text check (char_length(error_message) <= 2000),
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    expires_at timestamptz,
    check ((status = 'ready') = (file_path is not null))
);
alter table public.exports enable row level security;
create index exports_by_user on public.exports (user_id, created_at desc);
create index exports_due on public.exports (created_at) where status in ('queued', 'running');
create index exports_ready on public.exports (expires_at) where status = 'ready';
create unique index exports_by_file on public.exports (file_path);
create unique index exports_one_at_a_time on public.exports (user_id) where status in ('queued', 'running');
comment on table public.exports is 'Exports of accounts. export_my_data asks for one. Seen by their owner only.';
comment on column public.exports.id is 'The export.';
comment on column public.exports.user_id is 'Whose data it is.';
comment on column public.exports.status is 'queued, running, ready, failed or expired.';
comment on column public.exports.file_path is 'Object name in the bucket exports, once it is ready.';
comment on column public.exports.size_bytes is 'Size of the zip, once it is known.';
comment on column public.exports.stored_bytes is 'How much of it is written.';
comment on column public.exports.error_code is 'Why it failed.';
comment on column public.exports.error_message is 'The same in a sentence.';
comment on column public.exports.created_at is 'When it was asked for.';
comment on column public.exports.finished_at is 'When it was ready, or failed.';
comment on column public.exports.expires_at is 'When the zip is deleted, a week after it was ready.';

create table soundscape.export_jobs (
    export_id uuid primary key references public.exports (id) on delete cascade,
    token uuid,
    leased_until timestamptz,
    attempts integer not null default 0,
    failures integer not null default 0,
    retry_at timestamptz not null default now(),
    upload_url text,
    is_snapshot_stored boolean not null default false
);
alter table soundscape.export_jobs enable row level security;
comment on table soundscape.export_jobs is 'The worker''s side of an export.';
comment on column soundscape.export_jobs.export_id is 'The export.';
comment on column soundscape.export_jobs.token
    is 'Of the worker that has it. Its writes are refused once another one has.';
comment on column soundscape.export_jobs.leased_until is 'How long that worker has it without a word.';
comment on column soundscape.export_jobs.attempts is 'How often it was begun since it last came further.';
comment on column soundscape.export_jobs.failures is 'How often a worker said that it could not go on.';
comment on column soundscape.export_jobs.retry_at is 'Not before then.';
comment on column soundscape.export_jobs.upload_url is 'Where the resumable upload of the zip goes on.';
comment on column soundscape.export_jobs.is_snapshot_stored is 'Whether the records and the list of files are stored.';

create table soundscape.export_checksums (
    export_id uuid not null references public.exports (id) on delete cascade,
    place integer not null,
    crc32 bigint not null check (crc32 between 0 and 4294967295),
    primary key (export_id, place)
);
alter table soundscape.export_checksums enable row level security;
comment on table soundscape.export_checksums
    is 'Of each file that is in the zip already: its checksum, which stands at the end.';
comment on column soundscape.export_checksums.export_id is 'The export.';
comment on column soundscape.export_checksums.place is 'Which file of the zip, from 0.';
comment on column soundscape.export_checksums.crc32 is 'CRC-32 of the file.';

alter table soundscape.owner_limits
    add column max_exports_per_day integer not null default 3 check (max_exports_per_day >= 0);
comment on column soundscape.owner_limits.max_exports_per_day is 'Exports of an account in a day.';

-- What belongs to an account
-- ==========================

create table soundscape.exported_tables (
    table_name text primary key,
    via text not null check (via in ('id', 'user_id', 'reporter_id', 'assignee_id', 'audio_id', 'playlist_id'))
);
alter table soundscape.exported_tables enable row level security;
comment on table soundscape.exported_tables
    is 'Tables whose rows an export has. A table of users that is added must be added here: a test asks.';
comment on column soundscape.exported_tables.table_name is 'The table, in public.';
comment on column soundscape.exported_tables.via
    is 'The column that leads to the account. audio_id and playlist_id lead there by their owner.';
insert into soundscape.exported_tables (table_name, via) values
    ('users', 'id'), ('user_preferences', 'user_id'), ('user_roles', 'user_id'), ('audio_files', 'user_id'),
    ('audio_features', 'user_id'), ('audio_tags', 'user_id'), ('audio_embeddings', 'user_id'),
    ('audio_matches', 'audio_id'), ('license_history', 'audio_id'), ('playlists', 'user_id'),
    ('playlist_items', 'playlist_id'), ('likes', 'user_id'),
    ('listening_events', 'user_id'), ('impressions', 'user_id'), ('notifications', 'user_id'),
    ('reports', 'reporter_id'), ('report_assignments', 'assignee_id'), ('api_keys', 'user_id'), ('exports', 'user_id');

create function soundscape.export_condition(via text) returns text
language sql immutable set search_path = ''
return case via
    when 'audio_id' then 'r.audio_id in (select f.id from public.audio_files f where f.user_id = $1)'
    when 'playlist_id' then 'r.playlist_id in (select p.id from public.playlists p where p.user_id = $1)'
    else format('r.%I = $1', via) end;
comment on function soundscape.export_condition(text) is 'Which rows of a table belong to the account $1.';

-- Asking for one
-- ==============

create function soundscape.export_my_data() returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    caller uuid := auth.uid();
    asked uuid;
begin
    if caller is null or soundscape.session_scope() not in ('account', 'all') then
        raise exception 'Only the user may ask for their data.' using errcode = '42501', hint = 'Sign in.';
    end if;
    perform from public.users u where u.id = caller for no key update;
    select e.id into asked from public.exports e where e.user_id = caller and e.status in ('queued', 'running');
    if asked is null then
        insert into public.exports (user_id) values (caller) returning id into asked;
        insert into soundscape.export_jobs (export_id) values (asked);
        perform soundscape.refuse_over_limit(
            (select count(*) from public.exports e
             where e.user_id = caller and e.created_at > now() - interval '1 day'),
            l.max_exports_per_day, 'exports a day')
        from soundscape.owner_limits l;
    end if;
    return asked;
end
$$;
comment on function soundscape.export_my_data()
    is 'Asks for a zip of everything the caller has, and returns the id of the row in exports that tells how far it '
       'is. While one is under way, that one.';

-- For the worker
-- ==============

create function soundscape.claim_export(lease_s integer default 60)
returns table (
    export_id uuid, user_id uuid, token uuid, is_snapshot_stored boolean, upload_url text, size_bytes bigint,
    stored_bytes bigint, checksums bigint[])
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
    due soundscape.export_jobs;
begin
    for due in
        select j.* from soundscape.export_jobs j join public.exports e on e.id = j.export_id
        where e.status in ('queued', 'running') and j.retry_at <= now() and coalesce(j.leased_until < now(), true)
        order by e.created_at limit 10 for update of j skip locked
    loop
        if due.attempts >= 5 then
            perform soundscape.end_export(due.export_id, 'worker_lost', 'The export was interrupted too often.');
            continue;
        end if;
        update soundscape.export_jobs j
        set token = gen_random_uuid(), leased_until = now() + make_interval(secs => lease_s), attempts = j.attempts + 1
        where j.export_id = due.export_id;
        update public.exports e set status = 'running' where e.id = due.export_id;
        return query
            select e.id, e.user_id, j.token, j.is_snapshot_stored, j.upload_url, e.size_bytes, e.stored_bytes, array(
                select c.crc32 from soundscape.export_checksums c where c.export_id = e.id order by c.place)
            from public.exports e join soundscape.export_jobs j on j.export_id = e.id where e.id = due.export_id;
        return;
    end loop;
end
$$;
comment on function soundscape.claim_export(integer)
    is 'For the worker: the oldest export that nobody has, or whose worker is silent.';

create function soundscape.end_export(export uuid, code text, message text) returns void
language plpgsql security definer set search_path = '' as $$
begin
    update public.exports e
    set status = 'failed', error_code = code, error_message = message, finished_at = now() where e.id = export;
    delete from soundscape.export_jobs j where j.export_id = export;
    delete from soundscape.export_checksums c where c.export_id = export;
    perform soundscape.delete_export_objects(export, '{.zip,.records,.plan}');
end
$$;
comment on function soundscape.end_export(uuid, text, text) is 'Ends an export that cannot be made.';

create function soundscape.delete_export_objects(export uuid, endings text[]) returns void
language sql security definer set search_path = '' as $$
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name
    from public.exports e cross join unnest(endings) as ending
    join storage.objects o on o.bucket_id = 'exports' and o.name = e.user_id || '/' || e.id || ending
    where e.id = export
    on conflict do nothing
$$;
comment on function soundscape.delete_export_objects(uuid, text[]) is 'Lists objects of an export for deletion.';

create function soundscape.hold_export(export uuid, token uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform from soundscape.export_jobs j where j.export_id = export and j.token = hold_export.token for update;
    if not found then
        raise exception 'Another worker has this export.' using errcode = 'PT409', hint = 'Drop the work.';
    end if;
end
$$;
comment on function soundscape.hold_export(uuid, uuid) is 'An error unless this worker has the export. Locks it.';

create function soundscape.read_export(
    export uuid, token uuid, wanted_table text, skip_rows bigint default 0, max_rows integer default 500
) returns setof jsonb
language plpgsql security definer set search_path = '' as $$
declare
    account uuid;
    via text;
    key_columns text;
begin
    perform soundscape.hold_export(export, token);
    select e.user_id into account from public.exports e where e.id = export;
    if wanted_table = 'account' then
        return query select jsonb_build_object(
            'id', u.id, 'email', u.email, 'phone', u.phone, 'created_at', u.created_at,
            'last_sign_in_at', u.last_sign_in_at, 'user_metadata', u.raw_user_meta_data)
        from auth.users u where u.id = account and skip_rows = 0;
        return;
    end if;
    select t.via into strict via from soundscape.exported_tables t where t.table_name = wanted_table;
    select string_agg(format('r.%I', a.attname), ', ' order by k.place) into key_columns
    from pg_catalog.pg_index i cross join unnest(i.indkey) with ordinality as k (number, place)
    join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
    where i.indrelid = format('public.%I', wanted_table)::regclass and i.indisprimary;
    return query execute format(
        'select to_jsonb(r) - ''search'' from public.%I r where %s order by %s offset $2 limit $3',
        wanted_table, soundscape.export_condition(via), key_columns) using account, skip_rows, max_rows;
end
$$;
comment on function soundscape.read_export(uuid, uuid, text, bigint, integer)
    is 'For the worker: rows of a table that belong to the account.';

create function soundscape.list_export(export uuid, token uuid)
returns table (kind text, bucket_id text, name text, version text, size_bytes bigint, etag text)
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
    account uuid;
begin
    perform soundscape.hold_export(export, token);
    select e.user_id into account from public.exports e where e.id = export;
    return query
        select 'table', 'public', t.table_name, null, null::bigint, null from (
            select 'account' as table_name union all select e.table_name from soundscape.exported_tables e) as t
        order by t.table_name;
    return query
        select 'file', o.bucket_id, o.name, o.version, (o.metadata ->> 'size')::bigint, o.metadata ->> 'eTag'
        from (
            select f.file_path as name, 'audio-files' as bucket_id from public.audio_files f where f.user_id = account
            union
            -- What was uploaded and is described by no row yet.
            select o.name, o.bucket_id from storage.objects o
            where o.bucket_id in ('audio-files', 'profile-images') and o.name like account || '/%') as theirs
        join storage.objects o on o.bucket_id = theirs.bucket_id and o.name = theirs.name and o.metadata ? 'eTag'
        where theirs.bucket_id = 'profile-images' or soundscape.owner_of(o.name, o.owner_id) = account
        order by o.bucket_id, o.name;
end
$$;
comment on function soundscape.list_export(uuid, uuid)
    is 'For the worker: the tables and the files of an export.';

create function soundscape.save_export(
    export uuid, token uuid, stored_bytes bigint default 0, size_bytes bigint default null,
    upload_url text default null, first_place integer default 0, checksums bigint[] default '{}',
    lease_s integer default 60
) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.hold_export(export, token);
    insert into soundscape.export_checksums (export_id, place, crc32)
    select export, first_place + c.place - 1, c.crc32 from unnest(checksums) with ordinality as c (crc32, place)
    on conflict do nothing;
    update soundscape.export_jobs j
    set leased_until = now() + make_interval(secs => lease_s),
        attempts = case when save_export.stored_bytes > e.stored_bytes then 1 else j.attempts end,
        upload_url = coalesce(save_export.upload_url, j.upload_url),
        is_snapshot_stored = j.is_snapshot_stored or save_export.size_bytes is not null
    from public.exports e where e.id = export and j.export_id = export;
    update public.exports e
    set stored_bytes = greatest(e.stored_bytes, save_export.stored_bytes),
        size_bytes = coalesce(save_export.size_bytes, e.size_bytes)
    where e.id = export;
end
$$;
comment on function soundscape.save_export(uuid, uuid, bigint, bigint, text, integer, bigint[], integer)
    is 'For the worker: how far the zip has come. A size says that the records and the list of files are stored. '
       'Extends the lease.';

create function soundscape.restart_export(export uuid, token uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.hold_export(export, token);
    delete from soundscape.export_checksums c where c.export_id = export;
    update soundscape.export_jobs j set upload_url = null, is_snapshot_stored = false where j.export_id = export;
    update public.exports e set stored_bytes = 0, size_bytes = null where e.id = export;
end
$$;
comment on function soundscape.restart_export(uuid, uuid)
    is 'For the worker: begin again, because a file was changed or deleted while the zip was written, or the '
       'upload is gone.';

create function soundscape.complete_export(export uuid, token uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.hold_export(export, token);
    update public.exports e
    set status = 'ready', finished_at = now(), expires_at = now() + interval '7 days',
        stored_bytes = coalesce(e.size_bytes, e.stored_bytes),
        file_path = e.user_id || '/' || e.id || '.zip'
    where e.id = export;
    delete from soundscape.export_jobs j where j.export_id = export;
    delete from soundscape.export_checksums c where c.export_id = export;
    perform soundscape.delete_export_objects(export, '{.records,.plan}');
end
$$;
comment on function soundscape.complete_export(uuid, uuid) is 'For the worker: the zip is whole.';

create function soundscape.fail_export(
    export uuid, token uuid, code text, message text, is_final boolean default false
) returns void
language plpgsql security definer set search_path = '' as $$
declare
    is_hopeless boolean;
begin
    perform soundscape.hold_export(export, token);
    update soundscape.export_jobs j
    set token = null, leased_until = null, failures = j.failures + 1,
        retry_at = now() + make_interval(secs => 5 * power(3, j.failures))
    where j.export_id = export returning j.failures >= 5 into is_hopeless;
    if is_final or is_hopeless then
        perform soundscape.end_export(export, code, message);
    end if;
end
$$;
comment on function soundscape.fail_export(uuid, uuid, text, text, boolean)
    is 'For the worker: it could not go on. Tried again later, up to five times.';

-- The end of an export
-- ====================

create function soundscape.export_gone() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from unnest(array['.zip', '.records', '.plan']) as ending
    join storage.objects o on o.bucket_id = 'exports' and o.name = old.user_id || '/' || old.id || ending
    on conflict do nothing;
    return null;
end
$$;
comment on function soundscape.export_gone()
    is 'Trigger on exports: the objects of an export that is deleted or has expired are deleted.';
create trigger exports_deleted after delete on public.exports
    for each row execute function soundscape.export_gone();
create trigger exports_expired after update of status on public.exports
    for each row when (new.status = 'expired') execute function soundscape.export_gone();

create function soundscape.expire_exports() returns void
language plpgsql security definer set search_path = '' as $$
begin
    update public.exports e set status = 'expired', file_path = null
    where e.status = 'ready' and e.expires_at < now();
    -- A worker may store an object at the moment when its export is deleted.
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id = 'exports' and o.created_at < now() - interval '1 day'
      and not exists (
        select from public.exports e
        where e.id = soundscape.uuid_or_null(left(split_part(o.name, '/', 2), 36)) and e.status <> 'expired')
    on conflict do nothing;
end
$$;
comment on function soundscape.expire_exports()
    is 'Ends exports whose time is up, and finds objects of exports that are gone. pg_cron calls it.';
select cron.schedule('soundscape-exports', '17 * * * *', 'select soundscape.expire_exports()');
