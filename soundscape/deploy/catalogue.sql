-- What decides who may do what, and what makes things happen, one row an object.
--   about    the tables, functions or schemas that it is about
--   state    what must stay as it is
--   make     SQL that brings it about; null where that would pretend data back that is gone
--   unmake   SQL that takes it away; null for what opens nothing, which nobody is asked to take away
--   word     how the file that makes it must spell its name; null where Postgres chose the name
--   clauses  a policy's conditions
--   touched  changed by the present transaction, which is how a deploy knows its own objects
with recursive present as (
    select pg_current_xact_id_if_assigned()::xid as transaction
),
relations as (
    select c.oid, c.relname, n.nspname, c.relkind, c.relowner, c.relrowsecurity, c.relacl, c.reloptions,
           format('%I.%I', n.nspname, c.relname) as name, c.xmin = (select transaction from present) as touched
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('public', 'soundscape') and c.relkind in ('r', 'p', 'v', 'm')
      and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
          and d.deptype = 'e')
),
routines as (
    select p.oid, p.proname, p.proowner, p.proacl, p.prosecdef, p.prorettype, n.nspname,
           format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as name,
           p.xmin = (select transaction from present) as touched
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where p.prokind in ('f', 'p')
      and n.nspname not in ('pg_catalog', 'information_schema', 'auth', 'storage', 'realtime', 'vault', 'extensions',
                            'graphql', 'graphql_public', 'pgbouncer', 'net', 'cron', 'pgmq', 'supabase_functions')
      and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid
          and d.deptype = 'e')
),
outsiders as (
    select 0::oid as oid, 'public' as role
    union all
    select oid, rolname::text from pg_roles where rolname in ('anon', 'authenticated')
),
granted as (
    select r.name, r.relname::text as word, 'table' as what, r.touched, a.grantee, r.relowner as owner,
        a.privilege_type, null::text as column_name
    from relations r, aclexplode(coalesce(r.relacl, acldefault('r', r.relowner))) a
    union all
    select r.name, r.relname, 'table', r.touched, a.grantee, r.relowner, a.privilege_type, t.attname
    from relations r join pg_attribute t on t.attrelid = r.oid and not t.attisdropped, aclexplode(t.attacl) a
    union all
    select f.name, f.proname, 'function', f.touched, a.grantee, f.proowner, a.privilege_type, null
    from routines f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a
    where f.nspname in ('public', 'soundscape')
    union all
    -- To create in `public` is among what opens, below: it is nobody's wanted right.
    select format('%I', n.nspname), n.nspname, 'schema', n.xmin = (select transaction from present),
           a.grantee, n.nspowner, a.privilege_type, null
    from pg_namespace n, aclexplode(n.nspacl) a
    where n.nspname = 'soundscape' or (n.nspname = 'public' and a.privilege_type = 'USAGE')
),
privileges as (
    select name, word, what, bool_or(touched) as touched, grantee,
           case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end as role,
           lower(privilege_type)
               || case when column_name is null then '' else ' ('
                   || string_agg(quote_ident(column_name), ', ' order by column_name) || ')' end as privilege
    from granted
    where grantee <> owner
      and (grantee = 0 or pg_get_userbyid(grantee) not in ('postgres', 'supabase_admin', 'dashboard_user'))
    group by name, word, what, grantee, privilege_type, column_name is null, case when column_name is null then '' end
),
-- Views and the tables that they read, through other views too.
reading as (
    select distinct r.ev_class as view, d.refobjid as relation
    from pg_rewrite r join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
        and d.refclassid = 'pg_class'::regclass and d.refobjid <> r.ev_class
),
reading_at_last as (
    select view, relation from reading
    union
    select a.view, b.relation from reading_at_last a join reading b on b.view = a.relation
)
select 'row security' as kind, r.name, array[r.name] as about,
       case when r.relrowsecurity then 'on' else 'off' end as state,
       format('alter table %s enable row level security', r.name) as make, null::text as unmake,
       r.relname::text as word, null::text[] as clauses, r.touched
from relations r where r.relkind in ('r', 'p')
union all
select 'column', format('%s.%I', r.name, a.attname), array[r.name],
       concat_ws(' ', format_type(a.atttypid, a.atttypmod),
                 case when a.attgenerated <> '' then 'generated as ' || pg_get_expr(d.adbin, d.adrelid) end,
                 case when a.attidentity <> '' then 'identity ' || a.attidentity::text end),
       null, null, a.attname, null, a.xmin = (select transaction from present)
from relations r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
where r.relkind in ('r', 'p')
union all
select 'column settings', format('%s.%I', r.name, a.attname), array[r.name],
       concat_ws(' ', case when a.attnotnull then 'not null' else 'null' end,
           'default ' || pg_get_expr(d.adbin, d.adrelid)),
       format('alter table %1$s alter %2$I %3$s not null, alter %2$I %4$s', r.name, a.attname,
              case when a.attnotnull then 'set' else 'drop' end,
              coalesce('set default ' || pg_get_expr(d.adbin, d.adrelid), 'drop default')),
       null, a.attname, null, a.xmin = (select transaction from present)
from relations r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
where r.relkind in ('r', 'p') and a.attgenerated = '' and a.attidentity = ''
union all
select 'constraint', format('%I on %s', k.conname, r.name), array[r.name], pg_get_constraintdef(k.oid),
       format('alter table %s drop constraint if exists %I; alter table %1$s add constraint %2$I %3$s', r.name,
           k.conname, pg_get_constraintdef(k.oid)),
       null, null, null, k.xmin = (select transaction from present)
from pg_constraint k join relations r on r.oid = k.conrelid
where k.contype in ('c', 'f', 'p', 'u', 'x')
union all
select 'index', format('%I.%I', r.nspname, c.relname), array[r.name],
       pg_get_indexdef(c.oid) || case when i.indisvalid then '' else ' (invalid)' end,
       format('drop index if exists %I.%I; %s', r.nspname, c.relname, pg_get_indexdef(c.oid)),
       null, null, null, c.xmin = (select transaction from present)
from pg_index i join pg_class c on c.oid = i.indexrelid join relations r on r.oid = i.indrelid
where not exists (select from pg_constraint k where k.conindid = c.oid)
union all
select 'view', r.name, array[r.name], concat_ws(' ', array_to_string(r.reloptions, ', '), pg_get_viewdef(r.oid)),
       format('create or replace view %s %s as %s', r.name,
              case when r.reloptions is null then '' else 'with (' || array_to_string(r.reloptions, ', ') || ')' end,
              pg_get_viewdef(r.oid)),
       null, r.relname, null, r.touched
from relations r where r.relkind = 'v'
union all
select 'grant', format('%s %s to %s', p.what, p.name, p.role), array[p.name],
       string_agg(p.privilege, ', ' order by p.privilege),
       format('revoke all on %s %s from %s; ', p.what, p.name, p.role)
           || string_agg(format('grant %s on %s %s to %s', p.privilege, p.what, p.name, p.role), '; '
               order by p.privilege),
       format('revoke all on %s %s from %s', p.what, p.name, p.role), p.word, null,
       -- Each policy file begins by revoking from these roles; what another role holds, it held before.
       bool_or(p.touched) and p.role in ('public', 'anon', 'authenticated', 'service_role', 'supabase_auth_admin')
from privileges p group by p.what, p.name, p.role, p.word
union all
select 'policy', format('%I on %I.%I', p.polname, n.nspname, c.relname), array[format('%I.%I', n.nspname, c.relname)],
       made.definition,
       format('drop policy if exists %1$I on %2$I.%3$I; create policy %1$I on %2$I.%3$I %4$s',
              p.polname, n.nspname, c.relname, made.definition),
       format('drop policy if exists %I on %I.%I', p.polname, n.nspname, c.relname),
       p.polname, made.conditions, p.xmin = (select transaction from present)
from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace,
lateral (select pg_get_expr(p.polqual, p.polrelid) as using_clause,
    pg_get_expr(p.polwithcheck, p.polrelid) as check_clause) clause,
lateral (select
    array_remove(array[case when p.polcmd <> 'a' then coalesce(clause.using_clause, 'true') end, clause.check_clause],
        null) as conditions,
    concat_ws(' ',
    case when p.polpermissive then 'as permissive' else 'as restrictive' end,
    'for ' || case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete'
        else 'all' end,
    'to ' || (select string_agg(case when role = 0 then 'public' else quote_ident(pg_get_userbyid(role)) end, ', '
                                order by case when role = 0 then 'public' else pg_get_userbyid(role) end)
              from unnest(p.polroles) as role),
    'using (' || clause.using_clause || ')',
    'with check (' || clause.check_clause || ')') as definition) made
where n.nspname in ('public', 'soundscape', 'storage', 'realtime')
union all
-- A function that is made again is open to everybody until it is closed. Grants to roles are entries of their own.
select 'function', f.name, array[f.name], pg_get_functiondef(f.oid),
       pg_get_functiondef(f.oid) || format('; revoke all on function %s from public', f.name), null, f.proname, null,
    f.touched
from routines f where f.nspname in ('public', 'soundscape')
union all
select 'trigger', format('%I on %I.%I', t.tgname, n.nspname, c.relname), array[format('%I.%I', n.nspname, c.relname)],
       pg_get_triggerdef(t.oid) || case when t.tgenabled = 'O' then '' else ' (disabled)' end,
       format('drop trigger if exists %I on %I.%I; %s', t.tgname, n.nspname, c.relname, pg_get_triggerdef(t.oid)),
       format('drop trigger if exists %I on %I.%I', t.tgname, n.nspname, c.relname),
       t.tgname, null, t.xmin = (select transaction from present)
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
join pg_proc p on p.oid = t.tgfoid join pg_namespace fn on fn.oid = p.pronamespace
where not t.tgisinternal and (n.nspname in ('public', 'soundscape') or fn.nspname = 'soundscape')
union all
select 'bucket', b.id, array[b.id],
       jsonb_build_object('public', b.public, 'file_size_limit', b.file_size_limit,
                          'allowed_mime_types', b.allowed_mime_types)::text,
       format('insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types) '
              'values (%1$L, %1$L, %2$L, %3$L, %4$L) on conflict (id) do update set public = excluded.public, '
              'file_size_limit = excluded.file_size_limit, allowed_mime_types = excluded.allowed_mime_types',
              b.id, b.public, b.file_size_limit, b.allowed_mime_types),
       null, b.id, null, b.xmin = (select transaction from present)
from storage.buckets b
union all
select 'publication', p.pubname, array['soundscape'],
       concat_ws(', ', case when p.pubinsert then 'insert' end, case when p.pubupdate then 'update' end,
                 case when p.pubdelete then 'delete' end, case when p.pubtruncate then 'truncate' end),
       format('alter publication %I set (publish = %L)', p.pubname,
              concat_ws(', ', case when p.pubinsert then 'insert' end, case when p.pubupdate then 'update' end,
                        case when p.pubdelete then 'delete' end, case when p.pubtruncate then 'truncate' end)),
       null, p.pubname, null, p.xmin = (select transaction from present)
from pg_publication p where p.pubname = 'supabase_realtime'
union all
select 'published table', r.name, array[r.name], 'in supabase_realtime' || part.options,
       format('do %L; alter publication supabase_realtime add table %s%s',
              format('begin if exists (select from pg_catalog.pg_publication_tables '
                     'where pubname = ''supabase_realtime'' and schemaname = %L and tablename = %L) '
                     'then alter publication supabase_realtime drop table %s; end if; end', r.nspname, r.relname,
                     r.name),
              r.name, part.options),
       null, r.relname, null, t.xmin = (select transaction from present)
from pg_publication_rel t join pg_publication p on p.oid = t.prpubid and p.pubname = 'supabase_realtime'
join relations r on r.oid = t.prrelid,
lateral (select concat(
    ' (' || (select string_agg(quote_ident(a.attname), ', ' order by a.attnum)
             from pg_attribute a where a.attrelid = t.prrelid and a.attnum = any(t.prattrs)) || ')',
    ' where (' || pg_get_expr(t.prqual, t.prrelid) || ')') as options) part
union all
select 'extension', e.extname, array[e.extname], 'in schema ' || n.nspname,
       concat(case when n.nspname not in ('pg_catalog', 'public', 'extensions', 'vault')
           then format('create schema if not exists %I; ', n.nspname) end,
              format('create extension if not exists %I with schema %I', e.extname, n.nspname),
              case when e.extrelocatable then format('; alter extension %I set schema %I', e.extname, n.nspname) end),
       null, e.extname, null, e.xmin = (select transaction from present)
from pg_extension e join pg_namespace n on n.oid = e.extnamespace
union all
-- From here on: what opens something of ours though it is not on any table of ours.
select 'grant', format('create on schema %I to %s', n.nspname, o.role), array['soundscape'], 'create', null,
       format('revoke create on schema %I from %s', n.nspname, o.role), null, null, false
from pg_namespace n, aclexplode(n.nspacl) a join outsiders o on o.oid = a.grantee
where n.nspname in ('public', 'extensions') and a.privilege_type = 'CREATE'
union all
select 'grant', format('schema %I to %s', n.nspname, o.role), array['soundscape'],
       string_agg(lower(a.privilege_type), ', ' order by a.privilege_type), null,
       format('revoke all on schema %I from %s', n.nspname, o.role), null, null,
           bool_or(n.xmin = (select transaction from present))
from pg_namespace n, aclexplode(n.nspacl) a join outsiders o on o.oid = a.grantee
where n.nspname in ('pgmq', 'vault', 'cron')
group by n.nspname, o.role
union all
select 'grant', format('table %I.%I to %s', n.nspname, c.relname, o.role), array['soundscape'],
    string_agg(lower(a.privilege_type), ', ' order by a.privilege_type), null,
       format('revoke all on table %I.%I from %s', n.nspname, c.relname, o.role), null, null,
           bool_or(c.xmin = (select transaction from present))
from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a
    join outsiders o on o.oid = a.grantee
where n.nspname in ('pgmq', 'vault', 'cron') and c.relkind in ('r', 'p', 'v')
group by n.nspname, c.relname, o.role
union all
-- PUBLIC may execute the functions of an extension; that avails nobody who may not use its schema.
select 'grant', format('function %I.%I(%s) to %s', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid),
    o.role), array['soundscape'], 'execute', null,
       format('revoke all on function %I.%I(%s) from %s', n.nspname, p.proname,
           pg_get_function_identity_arguments(p.oid), o.role),
       null, null, p.xmin = (select transaction from present)
from pg_proc p join pg_namespace n on n.oid = p.pronamespace, aclexplode(p.proacl) a
    join outsiders o on o.oid = a.grantee and o.oid <> 0
where n.nspname in ('pgmq', 'vault', 'cron')
union all
select 'default privileges', format('%s in %s to %s', made.what, made.place, o.role), array['soundscape'],
       string_agg(lower(a.privilege_type), ', ' order by a.privilege_type), null,
       format('alter default privileges %s revoke all on %s from %s', made.in_schema, made.what, o.role),
       null, null, bool_or(d.xmin = (select transaction from present))
from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace,
aclexplode(d.defaclacl) a join outsiders o on o.oid = a.grantee,
lateral (select case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences'
    when 'f' then 'functions' end as what,
                coalesce('schema ' || quote_ident(n.nspname), 'every schema') as place,
                coalesce('in schema ' || quote_ident(n.nspname), '') as in_schema) made
where pg_get_userbyid(d.defaclrole) = current_user and d.defaclobjtype in ('r', 'S', 'f')
  and (n.nspname is null or n.nspname in ('public', 'soundscape'))
group by made.what, made.place, made.in_schema, o.role
union all
-- What Postgres gives where nothing else was said.
select 'default privileges', 'functions in every schema to public', array['soundscape'], 'execute', null,
       'alter default privileges revoke all on functions from public', null, null, false
where not exists (select from pg_default_acl d where pg_get_userbyid(d.defaclrole) = current_user
                    and d.defaclobjtype = 'f' and d.defaclnamespace = 0)
union all
select 'unguarded view', format('%I.%I', n.nspname, c.relname),
       array_agg(distinct format('%I.%I', tn.nspname, t.relname)),
       'read by ' || string_agg(distinct o.role, ', ') || ' with its owner''s rights: ' || pg_get_viewdef(c.oid), null,
       format('revoke all on %I.%I from %s', n.nspname, c.relname, string_agg(distinct o.role, ', ')),
       null, null, bool_or(c.xmin = (select transaction from present))
from pg_class c join pg_namespace n on n.oid = c.relnamespace
join reading_at_last r on r.view = c.oid join pg_class t on t.oid = r.relation and t.relkind in ('r', 'p')
join pg_namespace tn on tn.oid = t.relnamespace,
lateral (select c.relacl as acl union all select attacl from pg_attribute where attrelid = c.oid
    and attacl is not null) held,
aclexplode(held.acl) a join outsiders o on o.oid = a.grantee
where n.nspname not in ('pg_catalog', 'information_schema', 'vault', 'soundscape')
  and exists (select from outsiders u where u.oid <> 0 and has_schema_privilege(u.oid, n.oid, 'usage'))
  and (c.relkind = 'm' or (c.relkind = 'v' and not exists (
        select from pg_options_to_table(c.reloptions) where option_name = 'security_invoker'
            and option_value::boolean)))
group by c.oid, n.nspname, c.relname
union all
select 'unguarded function', f.name, array_agg(distinct r.name),
       'called by ' || string_agg(distinct o.role, ', ') || ' with its owner''s rights: '
           || pg_get_functiondef(f.oid), null,
       format('revoke all on function %s from %s', f.name, string_agg(distinct o.role, ', ')),
       null, null, f.touched
from routines f join relations r
    on pg_get_functiondef(f.oid) ~ ('(^|[^.[:alnum:]_]|\m' || r.nspname || '"?\.)' || r.relname || '\M'),
aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a join outsiders o on o.oid = a.grantee
where f.prosecdef and f.nspname <> 'soundscape' and f.prorettype <> 'trigger'::regtype
  and exists (select from outsiders u where u.oid <> 0 and has_schema_privilege(u.oid, f.nspname::text, 'usage'))
group by f.oid, f.name, f.touched
