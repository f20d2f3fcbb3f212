-- Everything that a deploy makes, one line an object.
with ours as (select oid, nspname from pg_namespace where nspname in ('public', 'soundscape')),
relations as (select c.*, n.nspname from pg_class c join ours n on n.oid = c.relnamespace where c.relkind in ('r', 'v', 'm', 'S', 'i')),
routines as (select p.*, n.nspname from pg_proc p join ours n on n.oid = p.pronamespace)
select format('relation %s %s rls=%s comment=%s', oid::regclass, relkind, relrowsecurity, obj_description(oid, 'pg_class')) from relations
union all
select format('column %s.%s %s notnull=%s generated=%s identity=%s default=%s comment=%s', r.oid::regclass, a.attname,
              format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated, a.attidentity,
              pg_get_expr(d.adbin, d.adrelid), col_description(r.oid, a.attnum))
from relations r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum where r.relkind in ('r', 'v', 'm')
union all
select format('constraint %s on %s: %s', conname, conrelid::regclass, pg_get_constraintdef(oid)) from pg_constraint
where connamespace in (select oid from ours)
union all
select pg_get_indexdef(oid) from relations where relkind = 'i'
union all
select pg_get_functiondef(oid) || ' comment=' || coalesce(obj_description(oid, 'pg_proc'), '') from routines
union all
select pg_get_triggerdef(t.oid) || ' enabled=' || t.tgenabled::text from pg_trigger t join pg_proc p on p.oid = t.tgfoid
where not t.tgisinternal and p.pronamespace in (select oid from ours)
union all
select format('policy %s', to_jsonb(p)) from pg_policies p where p.schemaname in ('public', 'soundscape', 'storage', 'realtime')
union all
select format('right on %s: %s %s', o.name, a.grantee::regrole, a.privilege_type) from (
    select oid::regclass::text, relacl from relations
    union all select oid::regprocedure::text, proacl from routines
    union all select n.nspname, n.nspacl from pg_namespace n join ours using (oid)
    union all select format('%s.%s', t.attrelid::regclass, t.attname), t.attacl
              from pg_attribute t join relations r on r.oid = t.attrelid
) as o (name, acl), aclexplode(o.acl) a
union all
select format('default right %s %s: %s', d.defaclnamespace::regnamespace, d.defaclobjtype, d.defaclacl::text[]) from pg_default_acl d
where d.defaclrole = 'postgres'::regrole
union all
select format('type %s %s', t.typname, (select array_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid))
from pg_type t where t.typnamespace in (select oid from ours) and t.typtype = 'e'
union all
select format('bucket %s', to_jsonb(b) - 'created_at' - 'updated_at') from storage.buckets b
union all
select format('published %s.%s', schemaname, tablename) from pg_publication_tables where pubname = 'supabase_realtime'
union all
select format('extension %s in %s', extname, extnamespace::regnamespace) from pg_extension
union all
select format('scheduled %s %s: %s', jobname, schedule, command) from cron.job
union all
select format('queue %s', queue_name) from pgmq.list_queues()
union all
select format('permission %s %s', role, permission) from public.role_permissions
order by 1
