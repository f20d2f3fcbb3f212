-- The schema cache: what REST must know of the exposed schemas, as one JSON document.
with exposed as (
    select oid, nspname from pg_namespace where nspname = any (%(schemas)s)
),
relations as (
    select c.oid, n.nspname, c.relname, c.reltype
    from pg_class c join exposed n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
),
columns as (
    -- The columns of each relation and composite type with their base types, in order.
    select a.attrelid, json_object_agg(a.attname, format_type(coalesce(nullif(t.typbasetype, 0), t.oid), null)
                                       order by a.attnum) as found
    from pg_attribute a join pg_type t on t.oid = a.atttypid
    where a.attnum > 0 and not a.attisdropped
    group by a.attrelid
),
keys as (
    -- The columns of every primary key and unique constraint, by table.
    select conrelid, contype,
           array(select a.attname from unnest(conkey) with ordinality as k (attnum, place)
                 join pg_attribute a on a.attrelid = conrelid and a.attnum = k.attnum
                 order by k.place) as columns
    from pg_constraint where contype in ('p', 'u')
),
foreign_keys as (
    select f.oid, f.conrelid, f.conname, s.relname, g.relname as refers_to, l.*,
           json_build_array(s.nspname, s.relname) as source,
           json_build_array(g.nspname, g.relname) as target,
           exists (select from keys k where k.conrelid = f.conrelid
                   and k.columns <@ l.columns and k.columns @> l.columns) as is_unique
    from pg_constraint f
    join relations s on s.oid = f.conrelid
    join relations g on g.oid = f.confrelid
    cross join lateral (
        select array_agg(a.attname order by k.place) as columns,
               array_agg(b.attname order by k.place) as referred,
               json_agg(json_build_array(a.attname, b.attname) order by k.place) as pairs,
               json_agg(json_build_array(b.attname, a.attname) order by k.place) as back
        from unnest(f.conkey, f.confkey) with ordinality as k (here, there, place)
        join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.here
        join pg_attribute b on b.attrelid = f.confrelid and b.attnum = k.there
    ) l
    where f.contype = 'f' and f.conparentid = 0
),
relationships as (
    select conname, json_build_object(
        'source', source, 'target', target, 'hint', conname, 'near', pairs,
        'described', format('%%s using %%s(%%s) and %%s(%%s)', conname, relname, array_to_string(columns, ', '),
                            refers_to, array_to_string(referred, ', ')),
        'cardinality', case when is_unique then 'one-to-one' else 'many-to-one' end) as link
    from foreign_keys
    union all
    select conname, json_build_object(
        'source', target, 'target', source, 'hint', conname, 'near', back,
        'described', format('%%s using %%s(%%s) and %%s(%%s)', conname, refers_to, array_to_string(referred, ', '),
                            relname, array_to_string(columns, ', ')),
        'cardinality', case when is_unique then 'one-to-one' else 'one-to-many' end)
    from foreign_keys
    union all
    -- A table is a junction when two foreign keys are part of its primary key.
    select near.conname, json_build_object(
        'source', near.target, 'target', far.target, 'hint', near.relname,
        'via', near.source, 'near', near.back, 'far', far.pairs,
        'described', format('%%s using %%s(%%s) and %%s(%%s)', near.relname,
                            near.conname, array_to_string(near.columns, ', '),
                            far.conname, array_to_string(far.columns, ', ')),
        'cardinality', 'many-to-many')
    from foreign_keys near
    join foreign_keys far on far.conrelid = near.conrelid and far.oid <> near.oid
    join keys k on k.conrelid = near.conrelid and k.contype = 'p' and k.columns @> (near.columns || far.columns)
)
select json_build_object(
    'all_tables', (
        select coalesce(json_agg(json_build_object(
            'schema', r.nspname,
            'name', r.relname,
            'columns', coalesce(c.found, '{}'),
            'primary_key', coalesce((select to_json(k.columns) from keys k
                                     where k.conrelid = r.oid and k.contype = 'p'), '[]'),
            'computed', (
                -- Functions of one row of this table, which can be selected like columns.
                select coalesce(json_agg(distinct p.proname), '[]')
                from pg_proc p join exposed n on n.oid = p.pronamespace
                where p.pronargs = 1 and p.proargtypes[0] = r.reltype and not p.proretset and p.prokind = 'f'
            )
        )), '[]') from relations r left join columns c on c.attrelid = r.oid
    ),
    'all_relationships', (select coalesce(json_agg(link order by conname), '[]') from relationships),
    'functions', (
        select coalesce(json_agg(json_build_object(
            'schema', n.nspname,
            'name', p.proname,
            'volatile', p.provolatile = 'v',
            'returns_set', p.proretset,
            'returns_nothing', p.prorettype = 'void'::regtype,
            'is_scalar', coalesce(outputs.found, c.found) is null,
            'rows', json_build_object(
                -- The name of the returned table, so that its relationships can be embedded.
                'schema', coalesce(rows.nspname, ''),
                'name', coalesce(rows.relname, p.proname),
                'columns', coalesce(outputs.found, c.found,
                                    json_build_object('pgrst_scalar', format_type(p.prorettype, null)))
            ),
            'signature', format('%%s.%%s(%%s)', n.nspname, p.proname, inputs.spelled),
            'arguments', coalesce(inputs.found, '[]')
        )), '[]')
        from pg_proc p
        join exposed n on n.oid = p.pronamespace
        join pg_type t on t.oid = p.prorettype
        left join pg_type below on below.oid = nullif(t.typbasetype, 0)
        left join columns c on c.attrelid = coalesce(nullif(t.typrelid, 0), below.typrelid)
        left join relations rows on rows.oid = c.attrelid
        cross join lateral (
            select json_object_agg(o.name, format_type(o.type, null) order by o.place) as found
            from unnest(p.proargnames, p.proallargtypes, p.proargmodes)
                 with ordinality as o (name, type, mode, place)
            where o.mode in ('o', 'b', 't')
        ) outputs
        cross join lateral (
            select string_agg(format('%%s => %%s', i.name, format_type(i.type, null)), ', ' order by i.place) as spelled,
                   json_agg(json_build_object(
                       'name', i.name,
                       'type', format_type(i.type, null),
                       'type_name', json_build_array(tn.nspname, at.typname),
                       'required', i.place <= p.pronargs - p.pronargdefaults
                   ) order by i.place) as found
            from (
                -- Output arguments carry no input type and do not count.
                select names.name, types.type, row_number() over (order by types.place) as place
                from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargmodes)
                     with ordinality as types (type, mode, place)
                left join unnest(p.proargnames) with ordinality as names (name, place) using (place)
                where coalesce(types.mode, 'i') in ('i', 'b')
            ) i
            join pg_type at on at.oid = i.type
            join pg_namespace tn on tn.oid = at.typnamespace
        ) inputs
        where p.prokind = 'f' and t.typname not in ('trigger', 'event_trigger') and p.provariadic = 0
          -- A function with an unnamed parameter could only be called by position.
          and (p.pronargs = 0 or cardinality(p.proargnames) >= p.pronargs and '' <> all (p.proargnames))
    ),
    'types', (
        -- The types for casts, by their own name and by the standard's spelling.
        select json_object_agg(name, path) from (
            select distinct on (spelled.name) spelled.name, json_build_array(n.nspname, t.typname) as path
            from pg_type t
            join pg_namespace n on n.oid = t.typnamespace
            cross join lateral (values (t.typname::text), (format_type(t.oid, null))) as spelled (name)
            where t.typtype in ('b', 'e', 'd', 'r', 'm') and t.typelem = 0 or t.typname in ('name', 'point', 'box', 'lseg')
            order by spelled.name,
                     array_position(array['pg_catalog'] || %(search_path)s::text[], n.nspname::text) nulls last
        ) named
        where path ->> 0 = any (array['pg_catalog'] || %(search_path)s::text[])
    ),
    'timeouts', (
        -- As set by `alter role anon set statement_timeout`.
        select coalesce(json_object_agg(r.rolname, split_part(setting, '=', 2)), '{}')
        from pg_db_role_setting s
        join pg_roles r on r.oid = s.setrole
        cross join unnest(s.setconfig) as setting
        where r.rolname in ('anon', 'authenticated', 'service_role') and setting like 'statement_timeout=%%'
    ),
    'pre_request', (
        -- What `alter role authenticator set pgrst.db_pre_request` says.
        select split_part(setting, '=', 2)
        from pg_db_role_setting s
        cross join unnest(s.setconfig) as setting
        where s.setrole = 'authenticator'::regrole and setting like 'pgrst.db\_pre\_request=%%'
          and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
        order by s.setdatabase desc
        limit 1
    )
)
