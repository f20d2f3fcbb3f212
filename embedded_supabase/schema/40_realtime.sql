-- Messages of topics, in the shape of the Realtime server's own migrations. Policies on them decide who may read from
-- and write to a private topic. A committed row is a broadcast.
set local role supabase_realtime_admin;

create table realtime.messages (
    topic text not null,
    extension text not null,
    payload jsonb,
    event text,
    private boolean default false,
    updated_at timestamp not null default clock_timestamp(),
    inserted_at timestamp not null default clock_timestamp(),
    id uuid not null default gen_random_uuid(),
    binary_payload bytea,
    broadcasted_at timestamp,
    primary key (id, inserted_at)
) partition by range (inserted_at);

-- The hosted service makes a partition a day and drops old ones. One partition with a daily delete looks the same.
create table realtime.messages_default partition of realtime.messages default;
create index messages_inserted_at_topic_index on realtime.messages (inserted_at desc, topic)
    where extension = 'broadcast' and private is true;

alter table realtime.messages enable row level security;
alter table realtime.messages_default enable row level security;
grant select, insert, update on realtime.messages to anon, authenticated, service_role;
grant select, insert on realtime.messages to postgres with grant option;
grant update, delete on realtime.messages to postgres;

create function realtime.topic() returns text
language sql stable as $$
    select nullif(current_setting('realtime.topic', true), '')::text
$$;

-- A refused or failed message must not undo the transaction that sent it: it becomes a warning.
create function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void
language plpgsql as $$
declare
    message_id uuid := gen_random_uuid();
begin
    perform set_config('realtime.topic', topic, true);
    insert into realtime.messages (id, payload, event, topic, private, extension)
    values (
        message_id,
        case when payload ? 'id' or jsonb_typeof(payload) <> 'object' then payload
             else payload || jsonb_build_object('id', message_id) end,
        event, topic, private, 'broadcast'
    );
exception
    when others then
        raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
end
$$;

create function realtime.send_binary(payload bytea, event text, topic text, private boolean default true) returns void
language plpgsql as $$
begin
    perform set_config('realtime.topic', topic, true);
    insert into realtime.messages (binary_payload, event, topic, private, extension)
    values (payload, event, topic, private, 'broadcast');
exception
    when others then
        raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
end
$$;

create function realtime.broadcast_changes(
    topic_name text, event_name text, operation text, table_name text, table_schema text,
    new record, old record, level text default 'ROW'
) returns void
language plpgsql as $$
begin
    if level = 'STATEMENT' then
        raise exception 'function can only be triggered for each row, not for each statement';
    end if;
    if operation not in ('INSERT', 'UPDATE', 'DELETE') then
        raise exception 'Unexpected operation type: %', operation;
    end if;
    perform realtime.send(
        jsonb_build_object('old_record', old, 'record', new, 'operation', operation,
                           'table', table_name, 'schema', table_schema),
        event_name, topic_name
    );
exception
    when others then
        raise exception 'Failed to process the row: %', sqlerrm;
end
$$;

-- The extensions for which the current role may read the `planted` messages of its topic, and may write messages.
create function realtime.allowed(planted uuid[], out reads text[], out writes text[])
language plpgsql as $$
declare
    asked text;
begin
    begin
        reads := array(select extension from realtime.messages where topic = realtime.topic() and id = any (planted));
    exception
        when insufficient_privilege then
            reads := '{}';
    end;
    writes := '{}';
    foreach asked in array array['broadcast', 'presence'] loop
        begin
            insert into realtime.messages (topic, extension) values (realtime.topic(), asked);
            writes := writes || asked;
        exception
            when insufficient_privilege then
                continue;
        end;
    end loop;
end
$$;

-- What the current role may learn of changes to one table. Whether it sees the row: its primary key is selected again
-- under Row Level Security. Which filters the row passes. And the cells of the columns that it may read, each as JSON.
-- The service calls it as each subscriber; the real one has realtime.apply_rls for this. `changes` are {kind, new, old,
-- whole} with values in their text form; `whole` says that the whole old row was logged. `filters` are arrays of
-- {column, operator, value, negated, sql}; `sql` is Postgres's operator.
create function realtime.seen(relation oid, changes jsonb, filters jsonb) returns table (
    n bigint, visible boolean, passes boolean[], error text, columns json, record json, old_record json
)
language plpgsql stable as $$
declare
    keywords constant jsonb := '{"null": "null", "true": "true", "false": "false", "unknown": "unknown"}';
    walled boolean;
    key text[];
    readable text[];
    listed json;
    typed text;
    present text;
    tests text;
begin
    select c.relrowsecurity,
           coalesce(array_agg(a.attname::text) filter (where k.found), '{}'),
           coalesce(array_agg(a.attname::text) filter (where r.found), '{}'),
           json_agg(json_build_object('name', a.attname, 'type', t.typname) order by a.attnum)
               filter (where r.found),
           string_agg(format('(cells ->> %L)::%s as %I', a.attname, format_type(t.oid, -1), a.attname), ', '),
           -- The offset makes it a look-up per row. A hashed subplan would read the whole table.
           format('exists (select from %I.%I present where %s offset 0)', s.nspname, c.relname,
                  string_agg(format('present.%1$I = now.%1$I', a.attname), ' and ') filter (where k.found))
    into walled, key, readable, listed, typed, present
    from pg_class c
    join pg_namespace s on s.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    join pg_type t on t.oid = a.atttypid
    left join pg_index i on i.indrelid = c.oid and i.indisprimary
    cross join lateral (select coalesce(a.attnum = any (i.indkey), false)) as k (found)
    cross join lateral (select has_schema_privilege(s.oid, 'usage')
                               and has_column_privilege(c.oid, a.attnum, 'select')) as r (found)
    where c.oid = relation
    group by c.oid, s.nspname;
    if not found then
        return;  -- dropped meanwhile
    end if;

    -- A value that was not logged, or that the role may not read, fails the filter.
    select string_agg((
        select coalesce(string_agg(
            case when it.column = any (readable) then format('current ? %L and %s (%s)', it.column,
                case when it.negated then 'not' end,
                case it.operator
                    when 'in' then format('now.%I = any (%L::text::%s[])', it.column, it.value, type)
                    when 'is' then format('now.%I is %s', it.column, keywords ->> it.value)
                    else format('now.%I %s %L::text::%s', it.column, it.sql, it.value, type)
                end) else 'false' end, ' and '), 'true')
        from jsonb_to_recordset(filter) as it ("column" text, operator text, value text, negated boolean, sql text)
        left join lateral (select format_type(a.atttypid, -1) from pg_attribute a
                           where a.attrelid = relation and a.attname = it.column) as t (type) on true
    ), ', ' order by place)
    into tests
    from jsonb_array_elements(filters) with ordinality as f (filter, place);

    return query execute format($query$
        with logged as (
            -- Under Row Level Security a deleted row shows only its key: policies cannot be evaluated any more.
            select n, kind = 'DELETE' as gone, coalesce(old, '{}') || new as after, coalesce(old, new) as before,
                   kind = 'DELETE' and $3 as hidden, whole
            from rows from (jsonb_to_recordset($1) as (kind text, new jsonb, old jsonb, whole boolean))
                 with ordinality as change (kind, new, old, whole, n)
        ),
        -- Materialized: the planner must not move conditions below it, where they could leak values.
        given as materialized (
            select n, gone, case when hidden then keyed else after end as current,
                   case when whole and not hidden then before else keyed end as previous
            from logged cross join lateral (
                select coalesce(jsonb_object_agg(key, value), '{}') from jsonb_each(after || before)
                where key = any ($2)) as k (keyed)
        ),
        judged as materialized (
            select given.*, now, was, array[%2$s]::boolean[] as passes, gone or not $3 or %3$s as visible
            from given
            cross join lateral (select %1$s from (select current) as given (cells)) as now
            cross join lateral (select %1$s from (select previous) as given (cells)) as was
        )
        select n, visible, passes,
               case when not $2 <@ $4 then 'Error 401: Unauthorized'
                    when $2 = '{}' and not gone then 'Error 400: Bad Request, no primary key' end,
               $5,
               case when visible then (select json_object_agg(key, value::text) from jsonb_each(to_jsonb(now))
                                       where key = any ($4) and current ? key) end,
               case when visible then (select json_object_agg(key, value::text) from jsonb_each(to_jsonb(was))
                                       where key = any ($4) and previous ? key) end
        from judged order by n
    $query$, typed, tests, case when walled and key <> '{}' and key <@ readable then present else 'true' end)
    using changes, key, walled, readable, listed;
end
$$;

-- The number of published tables of a subscription (`*` is any). Raises for a filter on a column that the current
-- role may not read, and for an invalid comparison.
create function realtime.check_subscription(wanted_schema text, wanted_table text, conditions jsonb) returns bigint
language plpgsql stable as $$
declare
    relation oid;
    condition record;
    tables bigint := 0;
begin
    for relation in
        select c.oid
        from pg_get_publication_tables('supabase_realtime') published
        join pg_class c on c.oid = published.relid
        join pg_namespace s on s.oid = c.relnamespace
        where wanted_schema in ('*', s.nspname) and wanted_table in ('*', c.relname)
    loop
        tables := tables + 1;
        for condition in select * from jsonb_to_recordset(conditions) as it ("column" text, operator text, value text)
        loop
            if not exists (select from pg_attribute a where a.attrelid = relation and a.attname = condition.column
                           and a.attnum > 0 and has_column_privilege(relation, a.attnum, 'select')) then
                raise exception 'invalid column for filter %', condition.column;
            elsif condition.operator in ('match', 'imatch') then
                perform '' ~ condition.value;
            end if;
        end loop;
        perform realtime.seen(relation, '[]', jsonb_build_array(conditions));
    end loop;
    return tables;
end
$$;

reset role;
create publication supabase_realtime_messages_publication for table realtime.messages
    with (publish = 'insert', publish_via_partition_root = true);
