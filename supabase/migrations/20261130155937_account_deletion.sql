-- Deleting an account: it is closed at once, and emptied in batches that may be interrupted.
--
-- delete_my_account() and the deletion of an auth user both close the account: a row in account_deletions hides all
-- that it owns, by restrictive policies. Then the worker and pg_cron delete its rows, some at a time. At last the
-- worker deletes the auth user through the admin API, if it is still there. Each step looks at what is left, so that
-- any of them may be repeated.

create table soundscape.account_deletions (
    user_id uuid primary key,
    requested_at timestamptz not null default now(),
    emptied_at timestamptz
);
alter table soundscape.account_deletions enable row level security;
comment on table soundscape.account_deletions
    is 'Accounts that are closed and being deleted. Nobody sees what they own.';
comment on column soundscape.account_deletions.user_id is 'The user.';
comment on column soundscape.account_deletions.requested_at is 'When the account was closed.';
comment on column soundscape.account_deletions.emptied_at
    is 'When its rows were gone. The worker deletes the auth user then.';

create function soundscape.closed_accounts() returns uuid[]
language sql stable security definer set search_path = '' as $$
    select coalesce(array_agg(d.user_id), '{}') from soundscape.account_deletions d
$$;
comment on function soundscape.closed_accounts()
    is 'The accounts that are being deleted. Policies ask once for each statement.';

-- A user without an auth user is being deleted. The trigger below does what "on delete cascade" did, in batches.
alter table public.users drop constraint users_id_fkey;

create function soundscape.close_account(account uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    insert into soundscape.account_deletions (user_id) select u.id from public.users u where u.id = account
    on conflict (user_id) do update set emptied_at = null;
    -- Public images are served without a policy, and are few.
    insert into soundscape.deletions (bucket_id, name)
    select o.bucket_id, o.name from storage.objects o
    where o.bucket_id = 'profile-images' and o.name like account::text || '/%'
    on conflict do nothing;
    -- No new session, and no new token for an old one. The latest access token ends within the hour, and until then
    -- session_scope allows it nothing.
    update auth.users set banned_until = now() + interval '100 years' where id = account;
    delete from auth.sessions where user_id = account;
end
$$;
comment on function soundscape.close_account(uuid)
    is 'Hides all that an account owns, ends its sessions, and lets it be emptied in the background.';

create function soundscape.delete_my_account() returns void
language plpgsql security definer set search_path = '' as $$
declare
    caller uuid := auth.uid();
begin
    if caller is null or soundscape.session_scope() <> 'account' then
        raise exception 'Only the user can delete an account, and no API key can.'
            using errcode = '42501', hint = 'Sign in.';
    end if;
    perform soundscape.close_account(caller);
    perform soundscape.ring_doorbell();
end
$$;
comment on function soundscape.delete_my_account()
    is 'For users. Closes the caller''s account at once: nobody sees anything of it, and nobody can sign in to it. '
       'Recordings, files and all else are deleted in the background. It cannot be undone.';

create function soundscape.delete_some_rows(owned regclass, owner uuid, max_rows integer) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    deleted integer;
begin
    execute format('delete from %s where ctid = any (array(select ctid from %1$s where user_id = $1 limit $2))', owned)
        using owner, max_rows;
    get diagnostics deleted = row_count;
    return deleted < max_rows;
end
$$;
comment on function soundscape.delete_some_rows(regclass, uuid, integer)
    is 'Deletes at most so many rows of a user. Whether these were the last.';

create function soundscape.empty_account(account uuid, max_recordings integer) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    owned regclass;
    deleted integer;
begin
    -- The owner is locked before the recording, everywhere.
    perform from public.users where id = account for update;
    if not soundscape.delete_some_rows('public.audio_files', account, max_recordings) then
        return false;
    end if;
    delete from public.playlist_items where id in (
        select i.id from public.playlists p join public.playlist_items i on i.playlist_id = p.id
        where p.user_id = account limit 100 * max_recordings);
    get diagnostics deleted = row_count;
    if deleted = 100 * max_recordings then
        return false;
    end if;
    -- What a user may own in any number. The rest goes with the row of the user.
    foreach owned in array array[
        'public.playlists', 'public.listening_events', 'public.impressions', 'public.likes',
        'public.notifications']::regclass[]
    loop
        if not soundscape.delete_some_rows(owned, account, 100 * max_recordings) then
            return false;
        end if;
    end loop;
    if exists (select from auth.users a where a.id = account) then
        update soundscape.account_deletions set emptied_at = now() where user_id = account;
    else
        delete from public.users where id = account;
        delete from soundscape.account_deletions where user_id = account;
    end if;
    return true;
end
$$;
comment on function soundscape.empty_account(uuid, integer)
    is 'Deletes at most so many recordings of a closed account, or what else it owns. True if nothing is left.';

create function soundscape.empty_accounts(max_s integer default 3) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    deadline timestamptz := clock_timestamp() + make_interval(secs => least(max_s, 5));
    account uuid;
begin
    loop
        -- Two workers empty two accounts.
        select d.user_id into account from soundscape.account_deletions d
        where d.emptied_at is null or not exists (select from auth.users a where a.id = d.user_id)
        order by d.requested_at limit 1 for update of d skip locked;
        exit when account is null;
        perform soundscape.empty_account(account, 10);
        exit when clock_timestamp() >= deadline;
    end loop;
    return (select count(*) from soundscape.account_deletions d where d.emptied_at is null);
end
$$;
comment on function soundscape.empty_accounts(integer)
    is 'Worker only. Deletes what closed accounts own, for max_s seconds. Returns how many accounts are not empty yet. '
       'It may be interrupted: the next call continues.';

create function soundscape.emptied_accounts(max_accounts integer default 20) returns setof uuid
language sql stable security definer rows 20 set search_path = '' as $$
    select d.user_id from soundscape.account_deletions d join auth.users a on a.id = d.user_id
    where d.emptied_at is not null order by d.emptied_at limit max_accounts
$$;
comment on function soundscape.emptied_accounts(integer)
    is 'Worker only. Accounts of which nothing is left but the auth user, which the admin API deletes.';

create function soundscape.on_auth_user_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.close_account(old.id);
    -- A small account is deleted in the same transaction, a large one in the background.
    perform soundscape.empty_account(old.id, 50);
    return null;
end
$$;
comment on function soundscape.on_auth_user_deleted()
    is 'Trigger on auth.users: deletes the account, or begins to.';
create trigger soundscape_user_deleted after delete on auth.users
    for each row execute function soundscape.on_auth_user_deleted();

-- An account whose auth user was deleted while that trigger was off is found by the sweep.
alter table soundscape.sweep_pages drop constraint sweep_pages_kind_check;
alter table soundscape.sweep_pages add constraint sweep_pages_kind_check check (kind in (
    'recordings', 'pictures', 'profiles', 'jobs', 'unfinished', 'ended_jobs', 'accounts'));
insert into soundscape.sweep_pages (kind) values ('accounts');
comment on column soundscape.sweep_pages.kind
    is 'recordings, pictures and profiles are the objects of the buckets. jobs are live jobs. unfinished are '
       'recordings that wait for an analysis. ended_jobs are jobs that ended long ago. accounts are users.';

create or replace function soundscape.read_page(wanted_kind text, after text, max_keys integer) returns text[]
language plpgsql stable security definer set search_path = '' as $$
begin
    case wanted_kind
        when 'recordings' then return soundscape.object_page('audio-files', after, max_keys);
        when 'pictures' then return soundscape.object_page('waveforms', after, max_keys);
        when 'profiles' then return soundscape.object_page('profile-images', after, max_keys);
        when 'jobs' then
            return array(
                select j.audio_id from soundscape.jobs j
                where j.state in ('queued', 'running')
                  and j.audio_id > coalesce(after, '00000000-0000-0000-0000-000000000000')::uuid
                order by j.audio_id limit max_keys);
        when 'unfinished' then
            return array(
                select f.id from public.audio_files f
                where f.status in ('queued', 'analyzing')
                  and f.id > coalesce(after, '00000000-0000-0000-0000-000000000000')::uuid
                order by f.id limit max_keys);
        when 'accounts' then
            return array(
                select u.id from public.users u
                where u.id > coalesce(after, '00000000-0000-0000-0000-000000000000')::uuid
                order by u.id limit max_keys);
        when 'ended_jobs' then
            return array(
                select to_char(extract(epoch from j.finished_at), 'FM999999999990.000000') || '/' || j.id
                from soundscape.jobs j
                where j.finished_at < now() - soundscape.jobs_kept_for()
                  and (after is null or (j.finished_at, j.id) > (
                    to_timestamp(split_part(after, '/', 1)::numeric), split_part(after, '/', 2)::bigint))
                order by j.finished_at, j.id limit max_keys);
    end case;
end
$$;

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

select cron.schedule('soundscape-empty-accounts', '30 seconds', 'select soundscape.empty_accounts(5)');

-- What a session may do
-- =====================

create or replace function soundscape.session_scope() returns text
language sql stable security definer set search_path = '' as $$
    select coalesce(
        (select 'none' from soundscape.account_deletions d where d.user_id = caller.user_id),
        (select case when k.revoked_at is null and coalesce(k.expires_at > now(), true) then k.scope end
         from soundscape.api_key_sessions s join public.api_keys k on k.id = s.key_id
         where s.session_id = caller.session_id),
        (select 'none' from soundscape.api_key_sessions s where s.session_id = caller.session_id),
        'account')
    from (select auth.uid() as user_id, soundscape.uuid_or_null(auth.jwt() ->> 'session_id') as session_id) as caller
$$;
comment on function soundscape.session_scope()
    is 'What the caller''s session may do: account for a person who signed in, the scope of the API key for a script, '
       'none once the key has ended or the account is closed.';

create or replace function soundscape.check_request() returns void
language plpgsql set search_path = '' as $$
declare
    headers jsonb := current_setting('request.headers', true);
    path text := current_setting('request.path', true);
    scope text;
begin
    if current_user = 'service_role' then
        return;
    end if;
    -- Both ask the planner, whose statistics count the rows that a policy hides.
    if headers ->> 'prefer' ~* '\mcount\s*=\s*"?(planned|estimated)' then
        raise sqlstate 'PT400' using
            message = 'Planned and estimated counts are not available.',
            hint = 'Use count=exact (in supabase-js: { count: ''exact'' }).';
    end if;
    scope := soundscape.session_scope();
    if scope in ('account', 'all') then
        return;
    end if;
    if scope = 'none' then
        raise sqlstate 'PT401' using
            message = 'This session has ended: the account is closed, or the API key was revoked or has expired.',
            hint = 'Sign in to another account, or use another key.';
    end if;
    if scope = 'upload' and coalesce(headers ->> 'content-profile', 'public') = 'public'
       and (path = '/rpc/describe_audio'
            or (path = '/audio_files' and current_setting('request.method', true) in ('POST', 'PATCH'))) then
        return;
    end if;
    -- Postgres refuses to take this back in the same transaction, whatever is called.
    perform set_config('transaction_read_only', 'on', true);
end
$$;
create or replace function soundscape.broadcast_to_libraries(
    table_name text, operation text, owners uuid[], changes jsonb[]
) returns void
language sql security definer set search_path = '' as $$
    select realtime.send(
        jsonb_build_object('schema', 'public', 'table', table_name, 'operation', operation, 'rows', message.rows),
        operation, 'library:' || message.owner, true)
    from (
        select numbered.owner, jsonb_agg(numbered.change order by numbered.place) as rows
        from (select c.owner, c.change, c.place,
                     (row_number() over (partition by c.owner order by c.place) - 1)
                         / soundscape.max_rows_per_broadcast() as part
              from unnest(owners, changes) with ordinality as c (owner, change, place)
              -- While an account is deleted nobody listens.
              where exists (select from public.users u where u.id = c.owner)
                and not exists (select from soundscape.account_deletions d where d.user_id = c.owner)) as numbered
        group by numbered.owner, numbered.part
        order by min(numbered.place)) as message
$$;

-- The objects of a recording, each found by an index.
create or replace function soundscape.on_recording_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    -- Bytes that a moderator hid must not come back under a new row. Their deletion cannot be cancelled.
    insert into soundscape.deletions (bucket_id, name, is_final)
    select o.bucket_id, o.name, old.hidden_at is not null from storage.objects o
    where o.id = old.object_id and o.bucket_id = 'audio-files'
    union all
    -- The character after the slash is 0.
    select o.bucket_id, o.name, old.hidden_at is not null from storage.objects o
    where o.bucket_id = 'waveforms' and o.name collate "C" >= old.id || '/' and o.name collate "C" < old.id || '0'
    on conflict (bucket_id, name) do update set is_final = deletions.is_final or excluded.is_final;
    if found then
        perform soundscape.ring_doorbell();
    end if;
    delete from soundscape.former_dismissals d where d.audio_id = old.id;
    delete from soundscape.former_dismissals d where d.matched_audio_id = old.id;
    return null;
end
$$;

alter table soundscape.index_sizes add column id bigint generated always as identity primary key;
comment on column soundscape.index_sizes.id is 'The sum.';
