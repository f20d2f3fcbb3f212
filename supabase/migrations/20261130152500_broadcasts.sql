-- Broadcasts: what pages hear from the database, over private topics of Realtime.
--
-- `library:{user_id}` tells a user of every change to what their library shows, deletions included. A message is one
-- statement's change to one table. `recording:{audio_id}` tells how far an analysis has come. Who may join which topic:
-- supabase/policies/realtime_messages.sql.

create function soundscape.max_rows_per_broadcast() returns integer
language sql immutable parallel safe set search_path = '' return 100;
comment on function soundscape.max_rows_per_broadcast()
    is 'Rows of one message. The smallest plan takes 256 kB a message; the widest row has about 1 kB.';

-- A library's owner, by the column that leads to them.
create function soundscape.library_owner(changed jsonb, via text) returns uuid
language sql stable set search_path = ''
return case via
    when 'user_id' then (changed ->> 'user_id')::uuid
    when 'playlist_id' then (select p.user_id from public.playlists p where p.id = (changed ->> 'playlist_id')::uuid)
    when 'audio_id' then (select f.user_id from public.audio_files f where f.id = (changed ->> 'audio_id')::uuid)
end;
comment on function soundscape.library_owner(jsonb, text)
    is 'Whose library shows a row: its user, or the owner of its playlist or recording. Null if that is deleted.';

create function soundscape.pick(changed jsonb, columns text[]) returns jsonb
language sql immutable parallel safe set search_path = ''
return (select jsonb_object_agg(key, value) from jsonb_each(changed) where key = any (columns));
comment on function soundscape.pick(jsonb, text[]) is 'The named columns of a row.';

create function soundscape.broadcast_to_libraries(
    table_name text, operation text, owners uuid[], changes jsonb[]
) returns void
language sql security definer set search_path = '' as $$
    select realtime.send(
        jsonb_build_object('schema', 'public', 'table', table_name, 'operation', operation, 'rows', message.rows),
        operation, 'library:' || message.owner, true)
    from (
        select numbered.owner, jsonb_agg(numbered.change order by numbered.place) as rows
        from (select c.owner, c.change, c.place,
                     (row_number() over (partition by c.owner order by c.place) - 1)
                         / soundscape.max_rows_per_broadcast() as part
              from unnest(owners, changes) with ordinality as c (owner, change, place)
              -- While an account is deleted nobody listens.
              where exists (select from public.users u where u.id = c.owner)) as numbered
        group by numbered.owner, numbered.part
        order by min(numbered.place)) as message
$$;
comment on function soundscape.broadcast_to_libraries(text, text, uuid[], jsonb[])
    is 'Tells each owner of their rows, in messages of at most max_rows_per_broadcast().';

-- Transition tables: a statement that changes a hundred rows is one message, not a hundred.
create function soundscape.broadcast_library_change() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    via constant text := tg_argv[0];
    columns constant text[] := tg_argv[1:];
    owners uuid[];
    changes jsonb[];
begin
    if tg_op = 'INSERT' then
        select array_agg(soundscape.library_owner(to_jsonb(n), via)), array_agg(soundscape.pick(to_jsonb(n), columns))
        into owners, changes from new_rows n;
    elsif tg_op = 'DELETE' then
        select array_agg(soundscape.library_owner(to_jsonb(o), via)), array_agg(soundscape.pick(to_jsonb(o), columns))
        into owners, changes from old_rows o;
    else
        -- Every update sets updated_at; alone it is no news.
        select array_agg(soundscape.library_owner(to_jsonb(n), via)), array_agg(soundscape.pick(to_jsonb(n), columns))
        into owners, changes from new_rows n join old_rows o using (id)
        where to_jsonb(n) - 'updated_at' is distinct from to_jsonb(o) - 'updated_at';
    end if;
    perform soundscape.broadcast_to_libraries(tg_table_name, tg_op, owners, changes);
    return null;
end
$$;
comment on function soundscape.broadcast_library_change()
    is 'Trigger: tells the topic library:{user_id} of the rows of a statement. The first argument is the column that '
       'leads to the owner, the others are the columns that are told.';

-- The triggers
-- ============
-- One for each operation: a trigger with transition tables has one event.

create trigger broadcast_insert after insert on public.audio_files
    referencing new table as new_rows for each statement
    execute function soundscape.broadcast_library_change(
        'user_id', 'id', 'title', 'is_public', 'status', 'error_code', 'duration', 'hidden_at');
create trigger broadcast_update after update on public.audio_files
    referencing old table as old_rows new table as new_rows for each statement
    execute function soundscape.broadcast_library_change(
        'user_id', 'id', 'title', 'is_public', 'status', 'error_code', 'duration', 'hidden_at');
create trigger broadcast_delete after delete on public.audio_files
    referencing old table as old_rows for each statement
    execute function soundscape.broadcast_library_change(
        'user_id', 'id', 'title', 'is_public', 'status', 'error_code', 'duration', 'hidden_at');

create trigger broadcast_insert after insert on public.playlists
    referencing new table as new_rows for each statement
    execute function soundscape.broadcast_library_change('user_id', 'id', 'title', 'is_public');
create trigger broadcast_update after update on public.playlists
    referencing old table as old_rows new table as new_rows for each statement
    execute function soundscape.broadcast_library_change('user_id', 'id', 'title', 'is_public');
create trigger broadcast_delete after delete on public.playlists
    referencing old table as old_rows for each statement
    execute function soundscape.broadcast_library_change('user_id', 'id', 'title', 'is_public');

create trigger broadcast_insert after insert on public.playlist_items
    referencing new table as new_rows for each statement
    execute function soundscape.broadcast_library_change('playlist_id', 'id', 'playlist_id', 'audio_id', 'position');
create trigger broadcast_update after update on public.playlist_items
    referencing old table as old_rows new table as new_rows for each statement
    execute function soundscape.broadcast_library_change('playlist_id', 'id', 'playlist_id', 'audio_id', 'position');
create trigger broadcast_delete after delete on public.playlist_items
    referencing old table as old_rows for each statement
    execute function soundscape.broadcast_library_change('playlist_id', 'id', 'playlist_id', 'audio_id', 'position');

-- Nobody changes a like.
create trigger broadcast_insert after insert on public.likes
    referencing new table as new_rows for each statement
    execute function soundscape.broadcast_library_change('user_id', 'audio_id', 'created_at');
create trigger broadcast_delete after delete on public.likes
    referencing old table as old_rows for each statement
    execute function soundscape.broadcast_library_change('user_id', 'audio_id', 'created_at');

create trigger broadcast_insert after insert on public.notifications
    referencing new table as new_rows for each statement
    execute function soundscape.broadcast_library_change('user_id', 'id', 'kind', 'audio_id', 'error_code', 'read_at');
create trigger broadcast_update after update on public.notifications
    referencing old table as old_rows new table as new_rows for each statement
    execute function soundscape.broadcast_library_change('user_id', 'id', 'kind', 'audio_id', 'error_code', 'read_at');
create trigger broadcast_delete after delete on public.notifications
    referencing old table as old_rows for each statement
    execute function soundscape.broadcast_library_change('user_id', 'id', 'kind', 'audio_id', 'error_code', 'read_at');

-- The progress of an analysis
-- ===========================

create function soundscape.report_progress(job_id bigint, token text, stage text, progress real) returns void
language plpgsql security definer set search_path = '' as $$
declare
    job soundscape.jobs := soundscape.lock_held_job(job_id, token);
begin
    perform realtime.send(
        jsonb_build_object('audio_id', job.audio_id, 'stage', stage, 'progress', progress),
        'progress', 'recording:' || job.audio_id, true);
end
$$;
comment on function soundscape.report_progress(bigint, text, text, real)
    is 'Tells the topic recording:{audio_id} the stage of an analysis, and the share of the stage that is done (0 to '
       '1). Stored nowhere. For the worker that holds the job, at most once a second.';
