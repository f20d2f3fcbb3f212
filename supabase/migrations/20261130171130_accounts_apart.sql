-- Each closed account is emptied on its own: one that cannot be emptied is tried again later, and blocks no other.

alter table soundscape.account_deletions
    add column attempts integer not null default 0,
    add column retry_at timestamptz not null default now(),
    add column failure text;
comment on column soundscape.account_deletions.attempts is 'How many batches failed since one was deleted.';
comment on column soundscape.account_deletions.retry_at is 'No batch before then.';
comment on column soundscape.account_deletions.failure is 'Why the last batch failed.';

create or replace function soundscape.delete_some_rows(owned regclass, owner uuid, max_rows integer) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    deleted integer;
    has_more boolean;
begin
    execute format('delete from %s where ctid = any (array(select ctid from %1$s where user_id = $1 limit $2))', owned)
        using owner, max_rows;
    get diagnostics deleted = row_count;
    -- Fewer rows than asked for are not the last ones: a row that is changed meanwhile is not deleted.
    execute format('select exists (select from %s where user_id = $1)', owned) into has_more using owner;
    if has_more and deleted = 0 then
        raise exception 'No row of % was deleted, and some are left.', owned;
    end if;
    return not has_more;
end
$$;

create or replace function soundscape.empty_account(account uuid, max_recordings integer) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    owned regclass;
begin
    -- The owner is locked before the recording, everywhere.
    perform from public.users where id = account for update;
    if not soundscape.delete_some_rows('public.audio_files', account, max_recordings) then
        return false;
    end if;
    delete from public.playlist_items where id in (
        select i.id from public.playlists p join public.playlist_items i on i.playlist_id = p.id
        where p.user_id = account limit 100 * max_recordings);
    if found and exists (
        select from public.playlists p join public.playlist_items i on i.playlist_id = p.id where p.user_id = account)
    then
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
    -- The words stay for others who use them, and are at most owner_limits.max_words.
    update soundscape.vocabulary set added_by = null where added_by = account;
    if exists (select from auth.users a where a.id = account) then
        update soundscape.account_deletions set emptied_at = now() where user_id = account;
    else
        delete from public.users where id = account;
        delete from soundscape.account_deletions where user_id = account;
    end if;
    return true;
end
$$;

create function soundscape.try_to_empty_account(account uuid, max_recordings integer) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.empty_account(account, max_recordings);
    update soundscape.account_deletions set attempts = 0, failure = null where user_id = account and attempts > 0;
    return true;
-- "others" leaves out query_canceled, by which a batch ends that takes too long.
exception when query_canceled or others then
    update soundscape.account_deletions d
    set attempts = d.attempts + 1, failure = sqlerrm,
        retry_at = clock_timestamp() + least(make_interval(secs => 10 * power(3, least(d.attempts, 9))), '1 day')
    where d.user_id = account;
    raise warning 'The account % was not emptied: %', account, sqlerrm;
    return false;
end
$$;
comment on function soundscape.try_to_empty_account(uuid, integer)
    is 'empty_account, which may fail: then the account waits, each time longer. Whether it did not fail.';

create or replace function soundscape.empty_accounts(max_s integer default 3) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    deadline timestamptz := clock_timestamp() + make_interval(secs => least(max_s, 5));
    due record;
    has_tried boolean := false;
begin
    loop
        -- Two workers empty two accounts. After a failure the batches are smaller.
        select d.user_id, greatest(1, 10 / (d.attempts + 1)) as max_recordings into due
        from soundscape.account_deletions d
        where d.retry_at <= clock_timestamp()
          and (d.emptied_at is null or not exists (select from auth.users a where a.id = d.user_id))
        order by d.requested_at limit 1 for update of d skip locked;
        exit when due.user_id is null;
        has_tried := true;
        perform soundscape.try_to_empty_account(due.user_id, due.max_recordings);
        exit when clock_timestamp() >= deadline;
    end loop;
    return case when has_tried then (
        select count(*) from soundscape.account_deletions d
        where d.retry_at <= clock_timestamp() and d.emptied_at is null) else 0 end;
end
$$;
comment on function soundscape.empty_accounts(integer)
    is 'Worker only. Deletes what closed accounts own, for max_s seconds. Returns how many accounts are not empty yet '
       'and do not wait after a failure; 0 if there was nothing to do, as when other workers empty them. It may be '
       'interrupted: the next call continues.';

create or replace function soundscape.on_auth_user_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.close_account(old.id);
    -- A small account is deleted in the same transaction, a large one in the background.
    perform soundscape.try_to_empty_account(old.id, 50);
    return null;
end
$$;
