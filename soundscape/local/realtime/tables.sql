-- What the catalogue says of tables: columns with their types, the primary key,
-- and which roles may read which columns.
select
    relation.oid,
    namespace.nspname,
    relation.relname,
    relation.relrowsecurity,
    columns.found
from pg_catalog.pg_class relation
join pg_catalog.pg_namespace namespace on namespace.oid = relation.relnamespace
cross join lateral (
    select jsonb_agg(
        jsonb_build_object(
            'name', attribute.attname,
            'type_schema', type_namespace.nspname,
            'type', type.typname,
            'in_key', coalesce(attribute.attnum = any (key.indkey), false),
            'readers', (
                select coalesce(jsonb_agg(reader), '[]')
                from unnest(%(roles)s::text[]) reader
                where pg_catalog.has_schema_privilege(reader, namespace.oid, 'USAGE')
                  and pg_catalog.has_column_privilege(reader, relation.oid, attribute.attnum, 'SELECT')
            )
        ) order by attribute.attnum
    ) as found
    from pg_catalog.pg_attribute attribute
    join pg_catalog.pg_type type on type.oid = attribute.atttypid
    join pg_catalog.pg_namespace type_namespace on type_namespace.oid = type.typnamespace
    left join pg_catalog.pg_index key on key.indrelid = relation.oid and key.indisprimary
    where attribute.attrelid = relation.oid and attribute.attnum > 0 and not attribute.attisdropped
) columns
where relation.oid = any (%(oids)s::oid[])
