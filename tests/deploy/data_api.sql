-- The tables and functions of the Data API that people may reach, with their comments, as one JSON document.
with tables as (
    select json_build_object(
        'name', c.relname,
        'comment', obj_description(c.oid, 'pg_class'),
        'anonymous', (select coalesce(json_agg(p), '[]') from unnest(array['select', 'insert', 'update', 'delete']) as p
                      where has_table_privilege('anon', c.oid, p)
                         or p <> 'delete' and has_any_column_privilege('anon', c.oid, p)),
        'signed_in', (select coalesce(json_agg(p), '[]') from unnest(array['select', 'insert', 'update', 'delete']) as p
                      where has_table_privilege('authenticated', c.oid, p)
                         or p <> 'delete' and has_any_column_privilege('authenticated', c.oid, p)),
        'columns', (select json_agg(json_build_object(
                        'name', a.attname,
                        'type', format_type(a.atttypid, a.atttypmod),
                        'nullable', not a.attnotnull,
                        'comment', col_description(c.oid, a.attnum)) order by a.attnum)
                    from pg_attribute a
                    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                      and has_column_privilege('authenticated', c.oid, a.attnum, 'select'))) as described
    from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v')
      and has_any_column_privilege('authenticated', c.oid, 'select')
    order by c.relname
),
functions as (
    select json_build_object(
        'name', p.proname,
        'comment', obj_description(p.oid, 'pg_proc'),
        'anonymous', has_function_privilege('anon', p.oid, 'execute'),
        'arguments', pg_get_function_arguments(p.oid),
        'result', pg_get_function_result(p.oid)) as described
    from pg_proc p
    where p.pronamespace = 'public'::regnamespace and has_function_privilege('authenticated', p.oid, 'execute')
    order by p.proname
)
select json_build_object(
    'tables', (select json_agg(described) from tables), 'functions', (select json_agg(described) from functions))
