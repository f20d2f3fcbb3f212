-- Describing many recordings in one request, with a result for each.

create function public.describe_audio(rows jsonb)
returns table (place integer, file_path text, id uuid, status text, result text, code text, message text)
language plpgsql set search_path = '' as $$
#variable_conflict use_column
declare
    described jsonb;
    names text[];
    unknown text;
    row_status text;
begin
    if jsonb_typeof(rows) is distinct from 'array' then
        raise sqlstate 'PT400' using message = 'rows is no array.',
            hint = 'Send [{"file_path": …, "title": …}, …].';
    end if;
    if jsonb_array_length(rows) > 500 then
        raise sqlstate 'PT413' using message = 'More than 500 rows.', hint = 'Send them in several requests.';
    end if;
    for place, described in
        select (r.place - 1)::integer, r.value from jsonb_array_elements(rows) with ordinality as r (value, place)
    loop
        file_path := null; id := null; row_status := null; result := 'refused'; code := null; message := null;
        begin
            if jsonb_typeof(described) <> 'object'
               or jsonb_typeof(described -> 'file_path') is distinct from 'string' then
                raise sqlstate '22023' using message = 'There is no file_path.';
            end if;
            file_path := described ->> 'file_path';
            -- Whatever columns a client may write, today's and later ones.
            select array_agg(k.name order by k.name), min(k.name) filter (where not coalesce(has_column_privilege(
                'public.audio_files'::regclass, a.attnum, 'insert'), false))
            into names, unknown
            from jsonb_object_keys(described) as k (name)
            left join pg_catalog.pg_attribute a
                on a.attrelid = 'public.audio_files'::regclass and a.attname = k.name and a.attnum > 0;
            if unknown is not null then
                raise sqlstate '22023' using message = format('%s is no column that you may write.', unknown);
            end if;
            execute format(
                'insert into public.audio_files (%1$s) '
                'select %2$s from jsonb_populate_record(null::public.audio_files, $1) as r '
                'on conflict (file_path) do nothing returning id, status',
                (select string_agg(quote_ident(n), ', ') from unnest(names) as n),
                (select string_agg('r.' || quote_ident(n), ', ') from unnest(names) as n))
            into id, row_status using described;
            if id is not null then
                result := 'created';
            else
                select f.id, f.status into id, row_status from public.audio_files f
                where f.file_path = describe_audio.file_path and f.user_id = (select auth.uid());
                if id is null then
                    raise sqlstate '23505' using message = 'This file_path belongs to another recording.';
                end if;
                select coalesce(array_agg(c.key), '{}'), jsonb_object_agg(c.key, c.value) into names, described
                from jsonb_each(described) as c where has_column_privilege('public.audio_files', c.key, 'update');
                if names = '{}' or (
                    select to_jsonb(f) = to_jsonb(jsonb_populate_record(f, described))
                    from public.audio_files f where f.id = describe_audio.id) then
                    result := 'unchanged';
                else
                    execute format(
                        'update public.audio_files f '
                        'set (%1$s) = (select %2$s from jsonb_populate_record(f, $1) as r) where f.id = $2 '
                        'returning f.status',
                        (select string_agg(quote_ident(n), ', ') from unnest(names) as n),
                        (select string_agg('r.' || quote_ident(n), ', ') from unnest(names) as n))
                    into row_status using described, id;
                    if row_status is null then
                        raise sqlstate '42501' using message =
                            'This session may add recordings, and change none that are there.';
                    end if;
                    result := 'updated';
                end if;
            end if;
        exception
            when data_exception or integrity_constraint_violation or insufficient_privilege or sqlstate 'PT429' then
                result := 'refused';
                message := sqlerrm;
                code := case when sqlstate = '42501' then 'not_allowed' when sqlstate = '23505' then 'file_path_taken'
                             when sqlstate = 'PT429' then 'limit_reached' else 'value_refused' end;
        end;
        status := row_status;
        return next;
    end loop;
end
$$;
comment on function public.describe_audio(jsonb)
    is 'Describes up to 500 recordings of the caller by their file_path: inserts a row, or changes the one that is '
       'there. One result for each, in their order: created, updated, unchanged or refused, with a code and a message.';
