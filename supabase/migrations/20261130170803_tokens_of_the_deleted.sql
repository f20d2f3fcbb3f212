-- An access token lives up to an hour longer than its user. It is of no use also once the account is empty, and its row
-- in account_deletions is gone. The auth user decides, and not the profile: whoever has none may still make one.
create or replace function soundscape.session_scope() returns text
language sql stable security definer set search_path = '' as $$
    select coalesce(
        (select 'none' from soundscape.account_deletions d where d.user_id = caller.user_id),
        case when caller.user_id is not null
            and not exists (select from auth.users a where a.id = caller.user_id) then 'none' end,
        (select case when k.revoked_at is null and coalesce(k.expires_at > now(), true) then k.scope end
         from soundscape.api_key_sessions s join public.api_keys k on k.id = s.key_id
         where s.session_id = caller.session_id),
        (select 'none' from soundscape.api_key_sessions s where s.session_id = caller.session_id),
        'account')
    from (select auth.uid() as user_id, soundscape.uuid_or_null(auth.jwt() ->> 'session_id') as session_id) as caller
$$;
comment on function soundscape.session_scope()
    is 'What the caller''s session may do: account for a person who signed in, the scope of the API key for a script, '
       'none once the key has ended, or the account is closed or gone.';
