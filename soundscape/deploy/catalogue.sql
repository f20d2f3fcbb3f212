-- What decides who may do what, and what makes things happen, one row an object, each with the SQL that
-- makes it so. `touched`: changed by the present transaction, which is how a deploy knows its own objects.
with relations as (
    select c.oid, c.relname, n.nspname, c.relkind, c.relowner, c.relrowsecurity, c.relacl, c.reloptions,
           format('%I.%I', n.nspname, c.relname) as name,
           c.xmin = pg_current_xact_id_if_assigned()::xid as touched
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('public', 'soundscape') and c.relkind in ('r', 'p', 'v', 'm')
      and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
),
routines as (
    select p.oid, p.proowner, p.proacl,
           format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as name,
           p.xmin = pg_current_xact_id_if_assigned()::xid as touched
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname in ('public', 'soundscape') and p.prokind in ('f', 'p')
      and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
),
granted as (
    select r.name, 'table' as what, r.touched, a.grantee, r.relowner as owner, a.privilege_type, null::text as column_name
    from relations r, aclexplode(coalesce(r.relacl, acldefault('r', r.relowner))) a
    union all
    select r.name, 'table', r.touched, a.grantee, r.relowner, a.privilege_type, t.attname
    from relations r join pg_attribute t on t.attrelid = r.oid and not t.attisdropped, aclexplode(t.attacl) a
    union all
    select f.name, 'function', f.touched, a.grantee, f.proowner, a.privilege_type, null
    from routines f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a
    union all
    select format('%I', n.nspname), 'schema', n.xmin = pg_current_xact_id_if_assigned()::xid,
           a.grantee, n.nspowner, a.privilege_type, null
    from pg_namespace n, aclexplode(n.nspacl) a
    where n.nspname = 'soundscape'
),
privileges as (
    select name, what, bool_or(touched) as touched, grantee,
           case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end as role,
           lower(privilege_type)
               || case when column_name is null then '' else ' (' || string_agg(quote_ident(column_name), ', ' order by column_name) || ')' end as privilege
    from granted
    where grantee <> owner and (grantee = 0 or pg_get_userbyid(grantee) not in ('postgres', 'supabase_admin', 'dashboard_user'))
    group by name, what, grantee, privilege_type, column_name is null, case when column_name is null then '' end
)
select 'row security' as kind, r.name, r.name as parent, case when r.relrowsecurity then 'on' else 'off' end as state,
       format('alter table %s enable row level security', r.name) as make, null::text as unmake, r.touched
from relations r where r.relkind in ('r', 'p')
union all
select 'column', format('%s.%I', r.name, a.attname), r.name,
       concat_ws(' ', format_type(a.atttypid, a.atttypmod), case when a.attnotnull then 'not null' end,
                 'default ' || pg_get_expr(d.adbin, d.adrelid)),
       null, null, r.touched
from relations r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
where r.relkind in ('r', 'p')
union all
select 'view', r.name, r.name, concat_ws(' ', array_to_string(r.reloptions, ', '), pg_get_viewdef(r.oid)),
       format('create or replace view %s %s as %s', r.name,
              case when r.reloptions is null then '' else 'with (' || array_to_string(r.reloptions, ', ') || ')' end,
              pg_get_viewdef(r.oid)),
       null, r.touched
from relations r where r.relkind = 'v'
union all
select 'grant', format('%s %s to %s', p.what, p.name, p.role), p.name,
       string_agg(p.privilege, ', ' order by p.privilege),
       format('revoke all on %s %s from %s; ', p.what, p.name, p.role)
           || string_agg(format('grant %s on %s %s to %s', p.privilege, p.what, p.name, p.role), '; ' order by p.privilege),
       format('revoke all on %s %s from %s', p.what, p.name, p.role), bool_or(p.touched)
from privileges p group by p.what, p.name, p.role
union all
select 'policy', format('%I on %I.%I', p.polname, n.nspname, c.relname), format('%I.%I', n.nspname, c.relname),
       made.clauses,
       format('drop policy if exists %1$I on %2$I.%3$I; create policy %1$I on %2$I.%3$I %4$s',
              p.polname, n.nspname, c.relname, made.clauses),
       format('drop policy if exists %I on %I.%I', p.polname, n.nspname, c.relname),
       p.xmin = pg_current_xact_id_if_assigned()::xid
from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace,
lateral (select concat_ws(' ',
    case when p.polpermissive then 'as permissive' else 'as restrictive' end,
    'for ' || case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
    'to ' || (select string_agg(case when role = 0 then 'public' else quote_ident(pg_get_userbyid(role)) end, ', '
                                order by case when role = 0 then 'public' else pg_get_userbyid(role) end)
              from unnest(p.polroles) as role),
    'using (' || pg_get_expr(p.polqual, p.polrelid) || ')',
    'with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')') as clauses) made
where n.nspname in ('public', 'soundscape', 'storage', 'realtime')
union all
select 'function', f.name, f.name, pg_get_functiondef(f.oid), pg_get_functiondef(f.oid), null, f.touched
from routines f
union all
select 'trigger', format('%I on %I.%I', t.tgname, n.nspname, c.relname), format('%I.%I', n.nspname, c.relname),
       pg_get_triggerdef(t.oid) || case when t.tgenabled = 'O' then '' else ' (disabled)' end,
       format('drop trigger if exists %I on %I.%I; %s', t.tgname, n.nspname, c.relname, pg_get_triggerdef(t.oid)),
       null, fn.nspname = 'soundscape'
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
join pg_proc p on p.oid = t.tgfoid join pg_namespace fn on fn.oid = p.pronamespace
where not t.tgisinternal and (n.nspname in ('public', 'soundscape') or fn.nspname = 'soundscape')
union all
select 'bucket', b.id, b.id,
       jsonb_build_object('public', b.public, 'file_size_limit', b.file_size_limit,
                          'allowed_mime_types', b.allowed_mime_types)::text,
       format('insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types) '
              'values (%1$L, %1$L, %2$L, %3$L, %4$L) on conflict (id) do update set public = excluded.public, '
              'file_size_limit = excluded.file_size_limit, allowed_mime_types = excluded.allowed_mime_types',
              b.id, b.public, b.file_size_limit, b.allowed_mime_types),
       null, b.xmin = pg_current_xact_id_if_assigned()::xid
from storage.buckets b
union all
select 'published table', format('%I.%I', t.schemaname, t.tablename), format('%I.%I', t.schemaname, t.tablename), 'in supabase_realtime',
       format('alter publication supabase_realtime add table %I.%I', t.schemaname, t.tablename), null, false
from pg_publication_tables t where t.pubname = 'supabase_realtime' and t.schemaname = 'public'
union all
select 'extension', e.extname, e.extname, 'installed', format('create extension if not exists %I', e.extname), null, false
from pg_extension e
