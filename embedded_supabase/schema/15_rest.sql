-- As on hosted projects, a change of the schema tells REST to reload its schema cache.
create function extensions.pgrst_ddl_watch() returns event_trigger language plpgsql set search_path = '' as $$
begin
    if exists (
        select from pg_catalog.pg_event_trigger_ddl_commands() as c
        where c.schema_name is distinct from 'pg_temp'
          and c.command_tag !~ '(POLICY|TRIGGER|INDEX|SUBSCRIPTION|PUBLICATION|STATISTICS)$'
    ) then
        perform pg_catalog.pg_notify('pgrst', 'reload schema');
    end if;
end
$$;

create function extensions.pgrst_drop_watch() returns event_trigger language plpgsql set search_path = '' as $$
begin
    if exists (
        select from pg_catalog.pg_event_trigger_dropped_objects() as d
        where not d.is_temporary
          and d.object_type in ('schema', 'table', 'foreign table', 'view', 'materialized view', 'function',
                                'type', 'trigger', 'rule', 'table column', 'table constraint')
    ) then
        perform pg_catalog.pg_notify('pgrst', 'reload schema');
    end if;
end
$$;

create event trigger pgrst_ddl_watch on ddl_command_end execute function extensions.pgrst_ddl_watch();
create event trigger pgrst_drop_watch on sql_drop execute function extensions.pgrst_drop_watch();
