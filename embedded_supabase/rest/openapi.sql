-- The document at the root, in Swagger 2.0 as from PostgREST: what the caller may reach in one schema. It runs under the
-- caller's role. Comments become titles and descriptions.
with json_types (base, kind) as (
    values ('smallint', 'integer'), ('integer', 'integer'), ('bigint', 'integer'), ('boolean', 'boolean'),
           ('real', 'number'), ('double precision', 'number'), ('numeric', 'number')
),
tables as (
    select c.oid, c.relname as name, obj_description(c.oid, 'pg_class') as comment,
           pg_relation_is_updatable(c.oid, true) as writes
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = %(schema)s and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
      and (has_table_privilege(c.oid, 'select, insert, update, delete')
           or has_any_column_privilege(c.oid, 'select, insert, update'))
),
columns as (
    select t.oid as table_oid, t.name as table_name, a.attname as name, a.attnum,
           a.attnotnull or type.typnotnull as required,
           jsonb_strip_nulls(jsonb_build_object(
               'format', format_type(a.atttypid, a.atttypmod),
               'type', case when base.name like '%%[]' then 'array'
                            when base.name not in ('json', 'jsonb') then coalesce(plain.kind, 'string') end,
               'items', case when base.name like '%%[]'
                             then jsonb_build_object('type', coalesce(plain.kind, 'string')) end,
               'enum', (select jsonb_agg(e.enumlabel order by e.enumsortorder)
                        from pg_enum e where e.enumtypid = a.atttypid),
               'default', pg_get_expr(d.adbin, d.adrelid),
               'description', nullif(concat_ws(E'\n\n', col_description(t.oid, a.attnum),
                   (select E'Note:\nThis is a Primary Key.<pk/>' from pg_constraint k
                    where k.conrelid = t.oid and k.contype = 'p' and a.attnum = any (k.conkey)),
                   (select format(E'Note:\nThis is a Foreign Key to `%%s.%%s`.<fk table=''%%s'' column=''%%s''/>',
                                  g.relname, b.attname, g.relname, b.attname)
                    from pg_constraint f join pg_class g on g.oid = f.confrelid
                    join pg_attribute b on b.attrelid = f.confrelid and b.attnum = f.confkey[1]
                    where f.conrelid = t.oid and f.contype = 'f' and f.conkey = array[a.attnum] limit 1)), '')
           )) as property
    from tables t
    join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
    join pg_type type on type.oid = a.atttypid
    cross join lateral (select format_type(coalesce(nullif(type.typbasetype, 0), type.oid), null)) as base (name)
    left join json_types plain on plain.base = rtrim(base.name, '[]')
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
),
functions as (
    select distinct on (p.proname) p.proname as name, obj_description(p.oid, 'pg_proc') as comment,
           jsonb_build_object('type', 'object',
               'properties', coalesce(jsonb_object_agg(i.name, jsonb_build_object(
                   'type', coalesce(plain.kind, 'string'), 'format', format_type(i.type, null)))
                   filter (where i.name <> ''), '{}'),
               'required', coalesce(jsonb_agg(i.name order by i.place)
                   filter (where i.name <> '' and i.place <= p.pronargs - p.pronargdefaults), '[]')) as arguments
    from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
    join pg_type returned on returned.oid = p.prorettype
    left join lateral unnest(p.proargtypes::oid[], p.proargnames) with ordinality as i (type, name, place)
        on i.type is not null
    left join json_types plain on plain.base = format_type(i.type, null)
    where n.nspname = %(schema)s and p.prokind = 'f' and has_function_privilege(p.oid, 'execute')
      and returned.typname not in ('trigger', 'event_trigger')
    group by p.oid, p.proname
    order by p.proname, p.oid
),
operations as (
    select t.name, verb, jsonb_strip_nulls(jsonb_build_object(
        'tags', jsonb_build_array(t.name),
        'summary', split_part(t.comment, E'\n', 1),
        'responses', '{"200": {"description": "OK"}}'::jsonb,
        'parameters', (
            select coalesce(jsonb_agg(jsonb_build_object('$ref', '#/parameters/' || p.name)), '[]') from (
                select format('rowFilter.%%s.%%s', c.table_name, c.name) from columns c
                where c.table_oid = t.oid and verb <> 'post'
                union all
                select unnest(array['select', 'order', 'offset', 'limit']) where verb = 'get'
                union all
                select 'body.' || t.name where verb in ('post', 'patch')
            ) p (name)))) as operation
    from tables t
    cross join (values ('get', 0), ('post', 8), ('patch', 4), ('delete', 16)) as v (verb, bit)
    where t.writes & v.bit = v.bit
),
parameters (name, parameter) as (
    select name, jsonb_build_object('name', name, 'in', 'query', 'required', false, 'type', 'string')
    from unnest(array['select', 'order', 'offset', 'limit', 'on_conflict']) as name
    union all
    select format('rowFilter.%%s.%%s', table_name, name),
           jsonb_build_object('name', name, 'in', 'query', 'required', false, 'type', 'string')
    from columns
    union all
    select 'body.' || name, jsonb_build_object('name', name, 'in', 'body', 'required', false,
           'schema', jsonb_build_object('$ref', '#/definitions/' || name))
    from tables
),
paths (path, operations) as (
    values ('/', '{"get": {"tags": ["Introspection"], "summary": "OpenAPI description (this document)",
                           "parameters": [], "responses": {"200": {"description": "OK"}}}}'::jsonb)
    union all
    select '/' || name, jsonb_object_agg(verb, operation) from operations group by name
    union all
    select '/rpc/' || name, jsonb_build_object('post', jsonb_strip_nulls(jsonb_build_object(
        'tags', jsonb_build_array('(rpc) ' || name),
        'summary', split_part(comment, E'\n', 1),
        'responses', '{"200": {"description": "OK"}}'::jsonb,
        'parameters', jsonb_build_array(
            jsonb_build_object('name', 'args', 'in', 'body', 'required', true, 'schema', arguments)))))
    from functions
)
select jsonb_build_object(
    'swagger', '2.0',
    'info', jsonb_build_object('version', '14.0', 'title', 'standard public schema',
                               'description', (select coalesce(obj_description(oid, 'pg_namespace'), '')
                                               from pg_namespace where nspname = %(schema)s)),
    'host', %(host)s::text,
    'basePath', '/rest/v1/',
    'schemes', '["http"]'::jsonb,
    'consumes', '["application/json"]'::jsonb,
    'produces', '["application/json", "application/vnd.pgrst.object+json", "text/csv"]'::jsonb,
    'paths', (select jsonb_object_agg(path, operations) from paths),
    'parameters', (select jsonb_object_agg(name, parameter) from parameters),
    'definitions', (
        select coalesce(jsonb_object_agg(name, jsonb_strip_nulls(jsonb_build_object(
            'type', 'object',
            'description', comment,
            'required', (select jsonb_agg(c.name order by c.attnum) from columns c
                         where c.table_oid = t.oid and c.required),
            'properties', (select coalesce(jsonb_object_agg(c.name, c.property), '{}')
                           from columns c where c.table_oid = t.oid)))), '{}')
        from tables t),
    'externalDocs', '{"description": "PostgREST Documentation", "url": "https://docs.postgrest.org/"}'::jsonb
)::text
