-- All roles that log in have the password of the cluster. `install_platform` passes it.
do $$
declare
    login text;
begin
    foreach login in array array[
        'postgres', 'authenticator', 'supabase_auth_admin', 'supabase_storage_admin',
        'supabase_replication_admin', 'supabase_read_only_user'
    ] loop
        execute format('alter role %I password %L', login, current_setting('soundscape.password'));
    end loop;
end
$$;
