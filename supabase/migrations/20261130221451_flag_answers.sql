-- An unknown flag is its fallback, and Postgres logs it once a session. A worker asks for many answers in one call.

create function soundscape.log_unknown_flag(key text) returns boolean
language plpgsql volatile parallel restricted security definer set search_path = '' as $$
declare
    max_logged constant integer := 100;
    -- Kept in the session, because a request that only reads writes no row.
    logged constant jsonb := coalesce(nullif(current_setting('soundscape.unknown_flags', true), ''), '[]')::jsonb;
    shown constant text := left(key, 63);
begin
    if not logged ? shown and jsonb_array_length(logged) < max_logged then
        perform set_config('soundscape.unknown_flags', (logged || to_jsonb(shown))::text, false);
        raise log 'The flag % is not known, its fallback is used.', to_jsonb(shown)
            using hint = 'Insert it into public.feature_flags, or correct the key where it is asked for.';
    end if;
    return null;
end
$$;
comment on function soundscape.log_unknown_flag(text)
    is 'Logs a key that is no flag, once in a session and for at most 100 keys. Returns null.';

create or replace function soundscape.flag_for(key text, user_id uuid default null) returns boolean
language sql stable parallel restricted security definer set search_path = ''
return coalesce((
    select case
        when f.state = 'off' or now() < f.active_from or now() >= f.active_until then false
        when f.state = 'on' then true
        when flag_for.user_id is null then false
        else coalesce(flag_for.user_id = any (f.user_ids), false)
            or coalesce('user' = any (f.roles), false)
            or soundscape.flag_bucket(f.key, flag_for.user_id) < 100 * f.percentage
            or exists (
                select from public.user_roles r where r.user_id = flag_for.user_id and r.role = any (f.roles))
        end
    from public.feature_flags f where f.key = flag_for.key), soundscape.log_unknown_flag(key));

create or replace function soundscape.flag(key text, fallback boolean default false) returns boolean
language sql stable parallel restricted security definer set search_path = ''
return coalesce(soundscape.flag_for(key, auth.uid()), fallback);

create or replace function soundscape.flags() returns table (key text, is_on boolean)
language sql stable parallel restricted security definer rows 20 set search_path = '' as $$
    select f.key, soundscape.flag_for(f.key, auth.uid()) from public.feature_flags f order by f.key
$$;

create function soundscape.flags_for(keys text[], user_ids uuid[]) returns boolean[]
language plpgsql stable parallel restricted security definer set search_path = '' as $$
declare
    max_questions constant integer := 1000;
begin
    if coalesce(cardinality(keys), 0) <> coalesce(cardinality(user_ids), 0) or cardinality(keys) > max_questions then
        raise exception 'There are % keys and % users.', coalesce(cardinality(keys), 0),
            coalesce(cardinality(user_ids), 0)
            using errcode = '22023', hint = format('One user for each key, at most %s.', max_questions);
    end if;
    return array(
        select soundscape.flag_for(q.key, q.user_id)
        from unnest(keys, user_ids) with ordinality as q (key, user_id, place) order by q.place);
end
$$;
comment on function soundscape.flags_for(text[], uuid[])
    is 'Worker only. For each key, what flag_for answers about the user at the same place. At most 1,000.';
