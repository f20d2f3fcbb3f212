-- Temporary functions that try something and take it back, so that a thousand tries are one round trip.

-- One statement as one actor: the number of rows it touched, or the code of its refusal.
create function pg_temp.probe(actor_role text, claims text, statement text) returns text
language plpgsql as $$
declare
    touched bigint;
begin
    perform set_config('role', actor_role, true), set_config('request.jwt.claims', claims, true);
    execute statement;
    get diagnostics touched = row_count;
    raise exception using errcode = 'TOOK1', message = touched::text;
exception
    when sqlstate 'TOOK1' then return sqlerrm;
    when others then return sqlstate || ' ' || sqlerrm;
end
$$;

-- Many probes after a change of the schema, which is taken back afterwards.
create function pg_temp.probes_after(change text, roles text[], claims text[], statements text[]) returns text[]
language plpgsql as $$
declare
    outcomes text[];
begin
    execute change;
    outcomes := array(
        select pg_temp.probe(p.actor_role, p.claim, p.statement)
        from unnest(roles, claims, statements) with ordinality as p (actor_role, claim, statement, place)
        order by p.place);
    raise exception using errcode = 'TOOK2', message = outcomes::text;
exception
    when sqlstate 'TOOK2' then return sqlerrm::text[];
end
$$;

-- Who was granted what on a table, a function or a schema: 'role: privilege' or 'role: privilege (column)'.
create function pg_temp.rights(kind text, object oid) returns text[]
language sql as $$
    select coalesce(array_agg(line order by line collate "C"), '{}') from (
        select format('%s: %s%s', case a.grantee when 0 then 'public' else pg_get_userbyid(a.grantee) end,
                      lower(a.privilege_type), case when a.is_grantable then ' with grant option' else '' end) as line
        from (select relacl, relowner, 'r'::"char" from pg_class where oid = object and kind = 'table'
              union all select proacl, proowner, 'f' from pg_proc where oid = object and kind = 'function'
              union all select nspacl, nspowner, 'n' from pg_namespace where oid = object and kind = 'schema')
             as o (acl, owner, kind_of_acl),
             aclexplode(coalesce(o.acl, acldefault(o.kind_of_acl, o.owner))) a
        where a.grantee <> o.owner and (a.grantee = 0 or pg_get_userbyid(a.grantee) not in ('postgres', 'pg_database_owner'))
        union all
        select format('%s: %s (%s)', case a.grantee when 0 then 'public' else pg_get_userbyid(a.grantee) end,
                      lower(a.privilege_type), t.attname)
        from pg_attribute t, aclexplode(t.attacl) a
        where kind = 'table' and t.attrelid = object and not t.attisdropped) lines
$$;

create function pg_temp.rights_after(change text, kind text, object oid) returns text[]
language plpgsql as $$
declare
    found_rights text[];
begin
    execute change;
    found_rights := pg_temp.rights(kind, object);
    raise exception using errcode = 'TOOK3', message = found_rights::text;
exception
    when sqlstate 'TOOK3' then return sqlerrm::text[];
end
$$;
