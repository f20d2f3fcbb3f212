-- The statements of Auth by name. The tables have the shape of the real ones.

-- name: lock_user
-- Not `for update`: rows that refer to the user may be written meanwhile.
select * from auth.users where id = %(id)s for no key update

-- name: user_by_email
select * from auth.users where email = lower(%(email)s) and aud = 'authenticated' and not is_sso_user

-- name: claim_email
-- A concurrent sign-up with the same address waits, and then finds it taken.
select pg_advisory_xact_lock(hashtextextended(lower(%(email)s), 0))

-- name: insert_user
with made as (
    insert into auth.users (
        instance_id, id, aud, role, email, encrypted_password, confirmation_token, recovery_token,
        email_change_token_new, email_change, raw_app_meta_data, raw_user_meta_data, created_at, updated_at, is_anonymous)
    values (
        '00000000-0000-0000-0000-000000000000', %(id)s, 'authenticated', 'authenticated', %(email)s::text,
        %(password_hash)s, '', '', '', '', %(app_metadata)s, %(user_metadata)s,
        clock_timestamp(), clock_timestamp(), %(email)s::text is null)
    returning id
)
insert into auth.identities (
    provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at)
select %(identity)s::jsonb ->> 'sub', id, %(identity)s, %(provider)s, clock_timestamp(), clock_timestamp(), clock_timestamp()
from made where %(provider)s::text is not null

-- name: insert_identity
insert into auth.identities (
    provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at)
values (%(data)s::jsonb ->> 'sub', %(user_id)s, %(data)s, %(provider)s,
    clock_timestamp(), clock_timestamp(), clock_timestamp())

-- name: patch_identity
update auth.identities set identity_data = identity_data || %(patch)s
where provider = %(provider)s and provider_id = %(subject)s
returning *

-- name: forget_claimed_identities
delete from auth.identities where user_id = %(user_id)s and provider in ('email', 'phone')

-- name: confirm_email
with identity as (
    update auth.identities set identity_data = identity_data || '{"email_verified": true}'
    where user_id = %(id)s and provider = 'email'
)
update auth.users set email_confirmed_at = coalesce(email_confirmed_at, clock_timestamp()), confirmation_token = '',
    raw_user_meta_data = coalesce(raw_user_meta_data, '{}') || '{"email_verified": true}',
    updated_at = clock_timestamp()
where id = %(id)s
returning *

-- name: set_email
-- Sets the address and the e-mail identity, which is made if it is missing.
with identity as (
    insert into auth.identities (provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at)
    values (%(id)s::text, %(id)s, %(claims)s, 'email', clock_timestamp(), clock_timestamp(), clock_timestamp())
    on conflict (provider_id, provider) do update set
        identity_data = identities.identity_data || jsonb_build_object('email', excluded.identity_data -> 'email')
)
update auth.users set email = %(claims)s::jsonb ->> 'email', updated_at = clock_timestamp(),
    raw_app_meta_data = '{"provider": "email", "providers": []}' || coalesce(raw_app_meta_data, '{}')
        || case when raw_app_meta_data -> 'providers' ? 'email' then '{}' else jsonb_build_object(
            'providers', coalesce(raw_app_meta_data -> 'providers', '[]') || '["email"]') end
where id = %(id)s
returning *

-- name: list_providers
update auth.users as u set updated_at = clock_timestamp(), raw_app_meta_data =
    coalesce(raw_app_meta_data, '{}') || jsonb_build_object(
        'providers', held.names, 'provider',
        case when held.names ? (raw_app_meta_data ->> 'provider') then raw_app_meta_data -> 'provider'
             else held.names -> 0 end)
from (
    select coalesce(jsonb_agg(provider order by first_at), '[]') as names
    from (select provider, min(created_at) as first_at from auth.identities where user_id = %(id)s group by provider)
) as held
where u.id = %(id)s
returning u.*

-- name: users_shown
-- The user objects of the protocol, newest first; null timestamps are left out, as in the real service.
select jsonb_strip_nulls(jsonb_build_object(
        'id', u.id, 'aud', coalesce(u.aud, ''), 'role', coalesce(u.role, ''),
        'email', coalesce(u.email, ''), 'phone', coalesce(u.phone, ''), 'new_email', nullif(u.email_change, ''),
        'is_anonymous', u.is_anonymous
    )) || (
        select coalesce(jsonb_object_agg(name, to_char(moment at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')), '{}')
        from (values
            ('created_at', coalesce(u.created_at, '0001-01-01')), ('updated_at', u.updated_at),
            ('email_confirmed_at', u.email_confirmed_at), ('phone_confirmed_at', u.phone_confirmed_at),
            ('confirmed_at', u.confirmed_at), ('confirmation_sent_at', u.confirmation_sent_at),
            ('recovery_sent_at', u.recovery_sent_at), ('email_change_sent_at', u.email_change_sent_at),
            ('invited_at', u.invited_at), ('last_sign_in_at', u.last_sign_in_at), ('banned_until', u.banned_until),
            ('deleted_at', u.deleted_at)
        ) as moments (name, moment) where moment is not null
    ) || jsonb_build_object(
        'app_metadata', coalesce(u.raw_app_meta_data, '{}'), 'user_metadata', coalesce(u.raw_user_meta_data, '{}'),
        'identities', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'identity_id', i.id, 'id', i.provider_id, 'user_id', i.user_id, 'identity_data', i.identity_data,
                'provider', i.provider, 'email', i.email
            ) || (
                select jsonb_object_agg(name, to_char(moment at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
                from (values ('last_sign_in_at', i.last_sign_in_at), ('created_at', i.created_at),
                    ('updated_at', i.updated_at)) as moments (name, moment)
            ) order by i.created_at), '[]')
            from auth.identities as i where i.user_id = u.id)
    ) as shown
from auth.users as u
where u.aud = 'authenticated' and (%(id)s::uuid is null or u.id = %(id)s)
order by u.created_at desc, u.id
limit %(limit)s offset %(offset)s

-- name: count_users
select count(*) as total from auth.users where aud = 'authenticated'

-- name: delete_user
delete from auth.users where id = %(id)s

-- name: start_session
with session as (
    insert into auth.sessions (id, user_id, created_at, updated_at, aal, user_agent, ip)
    values (gen_random_uuid(), %(user_id)s, clock_timestamp(), clock_timestamp(), 'aal1', %(user_agent)s, %(ip)s)
    returning *
), method as (
    insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
    select gen_random_uuid(), id, created_at, created_at, %(method)s from session
), token as (
    insert into auth.refresh_tokens (instance_id, token, user_id, revoked, created_at, updated_at, session_id)
    select '00000000-0000-0000-0000-000000000000', %(token)s, user_id, false, created_at, created_at, id from session
), identity as (
    update auth.identities as i set last_sign_in_at = clock_timestamp()
    from auth.users as u
    where u.id = %(user_id)s and i.user_id = u.id
        and i.provider = coalesce(u.raw_app_meta_data ->> 'provider', 'email')
)
update auth.users as u set last_sign_in_at = session.created_at, updated_at = clock_timestamp()
from session where u.id = session.user_id
returning u.*, session.id as session_id

-- name: signed_in
-- Not `for update`, as in lock_user. `session_id` is null after signing out.
select u.*, s.id as session_id
from auth.users as u left join auth.sessions as s on s.id = %(session_id)s and s.user_id = u.id
where u.id = %(id)s for no key update of u

-- name: touch_session
update auth.sessions set refreshed_at = now() at time zone 'utc', updated_at = clock_timestamp(),
    user_agent = %(user_agent)s, ip = %(ip)s
where id = %(id)s

-- name: end_sessions
delete from auth.sessions where user_id = %(user_id)s and case %(scope)s
    when 'local' then id = %(session_id)s
    when 'others' then id <> %(session_id)s
    else true end

-- name: claims
-- The claims of an access token, without `iss`, `iat` and `exp`.
select jsonb_build_object(
    'sub', u.id, 'aud', coalesce(u.aud, 'authenticated'), 'role', coalesce(u.role, 'authenticated'),
    'email', coalesce(u.email, ''), 'phone', coalesce(u.phone, ''), 'is_anonymous', u.is_anonymous,
    'app_metadata', coalesce(u.raw_app_meta_data, '{}'), 'user_metadata', coalesce(u.raw_user_meta_data, '{}'),
    'session_id', s.id, 'aal', s.aal, 'amr', (
        select coalesce(jsonb_agg(jsonb_build_object('method', authentication_method,
            'timestamp', extract(epoch from updated_at)::bigint) order by updated_at desc), '[]')
        from auth.mfa_amr_claims where session_id = s.id)
) as claims
from auth.sessions as s join auth.users as u on u.id = s.user_id where s.id = %(session_id)s

-- name: lock_session_of_token
select u.*, s.id as session_id
from auth.refresh_tokens as t join auth.sessions as s on s.id = t.session_id join auth.users as u on u.id = s.user_id
where t.token = %(token)s
for no key update of u, s

-- name: refresh_token
-- `child` is the active token if this one is its parent. A used token counts as stolen after the reuse interval.
select t.revoked and t.updated_at + make_interval(secs => %(reuse_interval_s)s) < clock_timestamp() as is_stolen,
    case when t.revoked and active.parent = t.token then active.token end as child
from auth.refresh_tokens as t
left join lateral (
    select token, parent from auth.refresh_tokens
    where session_id = t.session_id and not revoked order by id desc limit 1
) as active on true
where t.token = %(token)s

-- name: rotate_refresh_token
with used as (
    update auth.refresh_tokens set revoked = true, updated_at = clock_timestamp() where token = %(presented)s
    returning *
)
insert into auth.refresh_tokens (instance_id, token, user_id, revoked, created_at, updated_at, parent, session_id)
select instance_id, %(token)s, user_id, false, clock_timestamp(), clock_timestamp(), token, session_id from used

-- name: revoke_refresh_tokens
update auth.refresh_tokens set revoked = true, updated_at = clock_timestamp()
where session_id = %(session_id)s and not revoked

-- name: keep_code
insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to)
values (gen_random_uuid(), %(user_id)s, %(token_type)s, %(token_hash)s, %(address)s)
on conflict (user_id, token_type) do update set
    id = excluded.id, token_hash = excluded.token_hash, relates_to = excluded.relates_to,
    created_at = excluded.created_at, updated_at = excluded.updated_at

-- name: lock_user_of_code
select u.*, t.id as code_id, t.token_type,
    t.created_at + make_interval(secs => %(expiry_s)s) > now()::timestamp as is_fresh
from auth.one_time_tokens as t join auth.users as u on u.id = t.user_id
where t.token_hash = any(%(hashes)s) and t.token_type = any(%(types)s::auth.one_time_token_type[])
for no key update of u

-- name: spend_code
delete from auth.one_time_tokens where id = %(id)s returning id

-- name: void_codes
-- Voids all codes and links that were sent.
with gone as (
    delete from auth.one_time_tokens where user_id = %(id)s
)
update auth.users set confirmation_token = '', recovery_token = '', email_change_token_new = '',
    email_change_token_current = '', updated_at = clock_timestamp()
where id = %(id)s
returning *

-- name: insert_flow
-- `verifier` is our own PKCE secret for a provider, if there is one.
with gone as (
    delete from auth.flow_state where created_at < now() - interval '1 day'
), state as (
    insert into auth.oauth_client_states (id, provider_type, code_verifier, created_at)
    select gen_random_uuid(), %(provider)s, verifier, clock_timestamp()
    from (select %(verifier)s::text as verifier) as given where verifier is not null
    returning id
)
insert into auth.flow_state (id, user_id, code_challenge, code_challenge_method, provider_type,
    authentication_method, referrer, oauth_client_state_id, created_at, updated_at)
values (gen_random_uuid(), %(user_id)s, nullif(%(challenge)s, ''),
    nullif(lower(%(challenge_method)s), '')::auth.code_challenge_method, %(provider)s, %(method)s, %(referrer)s,
    (select id from state), clock_timestamp(), clock_timestamp())
returning *

-- name: end_flow
update auth.flow_state set auth_code = %(auth_code)s, auth_code_issued_at = clock_timestamp(),
    updated_at = clock_timestamp(), user_id = %(user_id)s,
    provider_access_token = %(access_token)s, provider_refresh_token = %(refresh_token)s
where id = coalesce(%(id)s::uuid, (
    select id from auth.flow_state
    where user_id = %(user_id)s and authentication_method = %(method)s and auth_code is null
    order by created_at desc limit 1 for update))
returning id

-- name: flow_by_code
select *, auth_code_issued_at + interval '5 minutes' < clock_timestamp() as is_expired
from auth.flow_state where auth_code = %(auth_code)s for update

-- name: delete_flow
delete from auth.flow_state where id = %(id)s

-- name: claim_oauth_flow
with spent as (
    delete from auth.oauth_client_states as s using auth.flow_state as f
    where f.id = %(id)s and f.authentication_method = 'oauth' and s.id = f.oauth_client_state_id
    returning s.*
)
select f.*, spent.code_verifier, spent.created_at + interval '5 minutes' < clock_timestamp() as is_expired
from auth.flow_state as f join spent on spent.id = f.oauth_client_state_id
where f.id = %(id)s
