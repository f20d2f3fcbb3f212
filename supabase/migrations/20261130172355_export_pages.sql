-- Pages of an export follow the primary key: rows that are deleted meanwhile shift no other out of it, and a late page
-- costs no more than the first.
drop function if exists public.read_export(uuid, uuid, text, bigint, integer);
drop function soundscape.read_export(uuid, uuid, text, bigint, integer);

create function soundscape.read_export(
    export uuid, token uuid, wanted_table text, after jsonb default null, max_rows integer default 500
) returns setof jsonb
language plpgsql security definer set search_path = '' as $$
declare
    account uuid;
    via text;
    key_columns text;
    last_key text;
begin
    perform soundscape.hold_export(export, token);
    select e.user_id into account from public.exports e where e.id = export;
    if wanted_table = 'account' then
        return query select jsonb_build_object(
            'id', u.id, 'email', u.email, 'phone', u.phone, 'created_at', u.created_at,
            'last_sign_in_at', u.last_sign_in_at, 'user_metadata', u.raw_user_meta_data)
        from auth.users u where u.id = account and after is null;
        return;
    end if;
    select t.via into strict via from soundscape.exported_tables t where t.table_name = wanted_table;
    select string_agg(format('r.%I', a.attname), ', ' order by k.place),
           string_agg(
               format('($2 ->> %L)::%s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)),
               ', ' order by k.place)
    into key_columns, last_key
    from pg_catalog.pg_index i cross join unnest(i.indkey) with ordinality as k (number, place)
    join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
    where i.indrelid = format('public.%I', wanted_table)::regclass and i.indisprimary;
    return query execute format(
        'select to_jsonb(r) - ''search'' from public.%I r where %s and %s order by %s limit $3',
        wanted_table, soundscape.export_condition(via),
        case when after is null then 'true' else format('(%s) > (%s)', key_columns, last_key) end, key_columns)
    using account, after, max_rows;
end
$$;
comment on function soundscape.read_export(uuid, uuid, text, jsonb, integer)
    is 'For the worker: rows of a table that belong to the account, by primary key. after is the last row of the page '
       'before.';
