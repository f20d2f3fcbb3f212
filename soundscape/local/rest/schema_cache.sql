-- Everything the Data API must know of the exposed schemas, as one JSON document.
with exposed as (
    select oid, nspname from pg_namespace where nspname = any (%(schemas)s)
),
relations as (
    select c.oid, n.nspname, c.relname, c.relkind, c.reltype
    from pg_class c join exposed n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
),
keys as (
    -- The columns of every primary key and unique constraint, by table.
    select conrelid, contype, conname,
           array(select a.attname from unnest(conkey) with ordinality as k (attnum, place)
                 join pg_attribute a on a.attrelid = conrelid and a.attnum = k.attnum
                 order by k.place) as columns
    from pg_constraint where contype in ('p', 'u')
)
select json_build_object(
    'tables', (
        select coalesce(json_agg(json_build_object(
            'schema', r.nspname,
            'name', r.relname,
            'comment', obj_description(r.oid, 'pg_class'),
            'insertable', pg_relation_is_updatable(r.oid, true) & 8 = 8,
            'updatable', pg_relation_is_updatable(r.oid, true) & 4 = 4,
            'deletable', pg_relation_is_updatable(r.oid, true) & 16 = 16,
            'primary_key', coalesce((select to_json(k.columns) from keys k
                                     where k.conrelid = r.oid and k.contype = 'p'), '[]'),
            'columns', (
                select coalesce(json_agg(json_build_object(
                    'name', a.attname,
                    'type', format_type(a.atttypid, a.atttypmod),
                    'base', format_type(coalesce(nullif(t.typbasetype, 0), t.oid), null),
                    'nullable', not (a.attnotnull or t.typnotnull),
                    'default', pg_get_expr(d.adbin, d.adrelid),
                    'comment', col_description(r.oid, a.attnum),
                    'enum', (select json_agg(e.enumlabel order by e.enumsortorder)
                             from pg_enum e where e.enumtypid = t.oid)
                ) order by a.attnum), '[]')
                from pg_attribute a
                join pg_type t on t.oid = a.atttypid
                left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
                where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
            ),
            'computed', (
                select coalesce(json_agg(distinct p.proname), '[]')
                from pg_proc p join exposed n on n.oid = p.pronamespace
                where p.pronargs = 1 and p.proargtypes[0] = r.reltype and not p.proretset and p.prokind = 'f'
            )
        )), '[]') from relations r
    ),
    'foreign_keys', (
        select coalesce(json_agg(json_build_object(
            'name', f.conname,
            'table', json_build_array(s.nspname, s.relname),
            'target', json_build_array(g.nspname, g.relname),
            'columns', l.columns,
            'target_columns', l.target_columns,
            'is_unique', exists (select from keys k where k.conrelid = f.conrelid
                                 and k.columns <@ l.columns and k.columns @> l.columns)
        ) order by f.conname), '[]')
        from pg_constraint f
        join relations s on s.oid = f.conrelid
        join relations g on g.oid = f.confrelid
        cross join lateral (
            select array_agg(a.attname order by k.place) as columns,
                   array_agg(b.attname order by k.place) as target_columns
            from unnest(f.conkey, f.confkey) with ordinality as k (here, there, place)
            join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.here
            join pg_attribute b on b.attrelid = f.confrelid and b.attnum = k.there
        ) l
        where f.contype = 'f' and f.conparentid = 0
    ),
    'functions', (
        select coalesce(json_agg(json_build_object(
            'schema', n.nspname,
            'name', p.proname,
            'comment', obj_description(p.oid, 'pg_proc'),
            'volatile', p.provolatile = 'v',
            'set', p.proretset,
            'returns', format_type(p.prorettype, null),
            'table', (select json_build_array(rn.nspname, rc.relname)
                      from pg_class rc join pg_namespace rn on rn.oid = rc.relnamespace
                      where rc.oid = coalesce(nullif(t.typrelid, 0), bt.typrelid)),
            'outputs', coalesce(
                (select json_agg(json_build_object('name', o.name, 'base', format_type(o.type, null))
                                 order by o.place)
                 from unnest(p.proargnames, p.proallargtypes, p.proargmodes)
                      with ordinality as o (name, type, mode, place)
                 where o.mode in ('o', 'b', 't')),
                -- A composite type, or a table that is not exposed.
                (select json_agg(json_build_object('name', a.attname, 'base', format_type(a.atttypid, null))
                                 order by a.attnum)
                 from pg_attribute a
                 where a.attrelid = coalesce(nullif(t.typrelid, 0), bt.typrelid)
                   and a.attnum > 0 and not a.attisdropped)
            ),
            'arguments', (
                select coalesce(json_agg(json_build_object(
                    'name', coalesce(i.name, ''),
                    'type', format_type(i.type, null),
                    'type_name', json_build_array(tn.nspname, at.typname),
                    'required', i.place <= p.pronargs - p.pronargdefaults,
                    'variadic', coalesce(i.mode = 'v', false)
                ) order by i.place), '[]')
                from (
                    -- Output arguments carry no input type and do not count.
                    select names.name, types.type, types.mode, row_number() over (order by types.place) as place
                    from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargmodes)
                         with ordinality as types (type, mode, place)
                    left join unnest(p.proargnames) with ordinality as names (name, place) using (place)
                    where coalesce(types.mode, 'i') in ('i', 'b', 'v')
                ) i
                join pg_type at on at.oid = i.type
                join pg_namespace tn on tn.oid = at.typnamespace
            )
        )), '[]')
        from pg_proc p
        join exposed n on n.oid = p.pronamespace
        join pg_type t on t.oid = p.prorettype
        left join pg_type bt on bt.oid = nullif(t.typbasetype, 0)
        where p.prokind = 'f' and t.typname not in ('trigger', 'event_trigger')
    ),
    'types', (
        -- What a cast may name: each type by its own name and by the standard's spelling.
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
    'settings', (
        -- What `alter role authenticator set pgrst...` and `alter role anon set statement_timeout` say.
        select coalesce(json_agg(json_build_array(r.rolname, split_part(setting, '=', 1),
                                                  substr(setting, strpos(setting, '=') + 1))), '[]')
        from pg_db_role_setting s
        join pg_roles r on r.oid = s.setrole
        cross join unnest(s.setconfig) as setting
        where r.rolname in ('anon', 'authenticated', 'service_role', 'authenticator')
    ),
    'comment', (select obj_description(oid, 'pg_namespace') from exposed
                order by array_position(%(schemas)s::text[], nspname::text) limit 1)
)
