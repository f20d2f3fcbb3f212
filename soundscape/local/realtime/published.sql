-- Tables of the publication that a binding's schema and table mean; `*` means any.
select format('%%I.%%I', schemaname, tablename)::regclass::oid
from pg_catalog.pg_publication_tables
where pubname = %(publication)s
  and %(schema)s::text in ('*', schemaname)
  and %(table)s::text in ('*', tablename)
