-- Exports are counted where users cannot delete, only the newest zip is kept, and nothing of a failed one stays.

create table soundscape.export_requests (
    user_id uuid not null references public.users (id) on delete cascade,
    requested_at timestamptz not null default clock_timestamp(),
    primary key (user_id, requested_at)
);
alter table soundscape.export_requests enable row level security;
comment on table soundscape.export_requests
    is 'When each export was asked for, for max_exports_per_day. Users may delete rows of exports, but not of these.';
comment on column soundscape.export_requests.user_id is 'Who asked.';
comment on column soundscape.export_requests.requested_at is 'When. Kept for a day.';
insert into soundscape.export_requests (user_id, requested_at)
select e.user_id, e.created_at from public.exports e where e.created_at > now() - interval '1 day'
on conflict do nothing;

comment on column soundscape.owner_limits.max_stored_bytes
    is 'Bytes of a user''s recordings and profile images. What the analysis makes of them does not count. Nor does an '
       'export, which would be refused to whoever has used half of the limit: it is as large as all that counts, and '
       'only the newest one is kept.';

create or replace function soundscape.export_my_data() returns uuid
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
        insert into soundscape.export_requests (user_id) values (caller);
        perform soundscape.refuse_over_limit(
            (select count(*) from soundscape.export_requests r
             where r.user_id = caller and r.requested_at > now() - interval '1 day'),
            l.max_exports_per_day, 'exports a day')
        from soundscape.owner_limits l;
    end if;
    return asked;
end
$$;

create or replace function soundscape.complete_export(export uuid, token uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.hold_export(export, token);
    update public.exports e
    set status = 'ready', finished_at = now(), expires_at = now() + interval '7 days',
        stored_bytes = coalesce(e.size_bytes, e.stored_bytes),
        file_path = e.user_id || '/' || e.id || '.zip'
    where e.id = export;
    -- The newest one has all that the earlier ones have and the account still has.
    update public.exports e set status = 'expired', file_path = null
    from public.exports newest
    where newest.id = export and e.user_id = newest.user_id and e.id <> export and e.status = 'ready';
    delete from soundscape.export_jobs j where j.export_id = export;
    delete from soundscape.export_checksums c where c.export_id = export;
    perform soundscape.delete_export_objects(export, '{.records,.plan}');
end
$$;
comment on function soundscape.complete_export(uuid, uuid)
    is 'For the worker: the zip is whole. Earlier ones of the account are deleted.';

create or replace function soundscape.save_export(
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
        failures = case when save_export.stored_bytes > e.stored_bytes then 0 else j.failures end,
        upload_url = coalesce(save_export.upload_url, j.upload_url),
        is_snapshot_stored = j.is_snapshot_stored or save_export.size_bytes is not null
    from public.exports e where e.id = export and j.export_id = export;
    update public.exports e
    set stored_bytes = greatest(e.stored_bytes, save_export.stored_bytes),
        size_bytes = coalesce(save_export.size_bytes, e.size_bytes)
    where e.id = export;
end
$$;
comment on column soundscape.export_jobs.failures
    is 'How often a worker said that it could not go on since the export last came further.';

create or replace function soundscape.expire_exports() returns void
language plpgsql security definer set search_path = '' as $$
begin
    delete from soundscape.export_requests r where r.requested_at < now() - interval '1 day';
    update public.exports e set status = 'expired', file_path = null
    where e.status = 'ready' and e.expires_at < now();
    -- A worker may store an object at the moment when its export is deleted or fails.
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id = 'exports' and o.created_at < now() - interval '1 day'
      and not exists (
        select from public.exports e
        where e.id = soundscape.uuid_or_null(left(split_part(o.name, '/', 2), 36))
          and e.status in ('queued', 'running', 'ready'))
    on conflict do nothing;
end
$$;
