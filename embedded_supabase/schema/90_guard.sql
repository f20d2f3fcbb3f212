-- On hosted projects `postgres` may make triggers, policies and foreign keys on the platform's tables, and nothing
-- else in the platform's schemas. A statement that fails there must fail here with the same class of error.
grant supabase_storage_admin, supabase_auth_admin, supabase_realtime_admin to postgres;

create function extensions.guard_platform_schemas() returns event_trigger
language plpgsql set search_path = '' as $$
declare
    command record;
begin
    if session_user <> 'postgres' then
        return;
    end if;
    for command in select * from pg_catalog.pg_event_trigger_ddl_commands() loop
        if command.schema_name in ('auth', 'storage', 'realtime')
           and not command.in_extension
           and command.command_tag not in ('CREATE TRIGGER', 'CREATE POLICY', 'ALTER POLICY', 'COMMENT', 'GRANT', 'REVOKE')
        then
            raise exception 'permission denied for schema %', command.schema_name
                using errcode = '42501',
                      detail = pg_catalog.format('%s %s', command.command_tag, command.object_identity),
                      hint = 'On hosted projects only triggers and policies may be made on the platform''s tables.';
        end if;
    end loop;
end
$$;

create function extensions.guard_platform_drops() returns event_trigger
language plpgsql set search_path = '' as $$
declare
    dropped record;
begin
    if session_user <> 'postgres' then
        return;
    end if;
    for dropped in select * from pg_catalog.pg_event_trigger_dropped_objects() loop
        if dropped.original and dropped.schema_name in ('auth', 'storage', 'realtime')
           and dropped.object_type not in ('trigger', 'policy')
        then
            raise exception 'permission denied for schema %', dropped.schema_name
                using errcode = '42501', detail = pg_catalog.format('DROP %s', dropped.object_identity);
        end if;
    end loop;
end
$$;

create event trigger guard_platform_schemas on ddl_command_end
    execute function extensions.guard_platform_schemas();
create event trigger guard_platform_drops on sql_drop
    execute function extensions.guard_platform_drops();
