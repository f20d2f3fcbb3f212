-- describe_audio writes many rows in one statement. What refuses one of them is found by halving.
--
-- A statement for each row cost 5 ms: planning it, and one message to the owner's library for each.

create function soundscape.describe_batch(rows jsonb, places integer[], names text[])
returns table (place integer, id uuid, status text, result text)
language plpgsql set search_path = '' as $$
#variable_conflict use_column
declare
    changeable constant text[] := (
        select coalesce(array_agg(n order by n), '{}') from unnest(names) as n
        where has_column_privilege('public.audio_files', n, 'update'));
    made jsonb;
    different uuid[] := '{}';
    changed uuid[] := '{}';
begin
    execute format(
        'with made as ('
        'insert into public.audio_files (%1$s) '
        'select %2$s from unnest($2) as p (place), '
        'lateral jsonb_populate_record(null::public.audio_files, $1 -> p.place) as r '
        -- Triggers look at each row before a conflict is found, so known conflicts are left out.
        'where not exists (select from public.audio_files f where f.file_path = r.file_path '
        'and f.user_id = (select auth.uid()) and f.user_id = coalesce(r.user_id, f.user_id)) order by p.place '
        'on conflict (file_path) do nothing returning file_path, id, status) '
        'select coalesce(jsonb_object_agg('
        'm.file_path, jsonb_build_object(''id'', m.id, ''status'', m.status)), ''{}'') from made m',
        (select string_agg(quote_ident(n), ', ') from unnest(names) as n),
        (select string_agg('r.' || quote_ident(n), ', ') from unnest(names) as n))
    into made using rows, places;
    -- Somebody else's was refused by lock_recording_name.
    if changeable <> '{}' and exists (
        select from unnest(places) as p where not made ? (rows -> p ->> 'file_path')) then
        execute format(
            'select coalesce(array_agg(f.id), ''{}'') from unnest($2) as p (place) '
            'join public.audio_files f on f.file_path = $1 -> p.place ->> ''file_path'' '
            'and f.user_id = (select auth.uid()), '
            'lateral jsonb_populate_record(f, $1 -> p.place) as r '
            'where not $3 ? f.file_path and row(%1$s) is distinct from row(%2$s)',
            (select string_agg('f.' || quote_ident(n), ', ') from unnest(changeable) as n),
            (select string_agg('r.' || quote_ident(n), ', ') from unnest(changeable) as n))
        into different using rows, places, made;
    end if;
    if different <> '{}' then
        execute format(
            'with changed as ('
            'update public.audio_files f set (%1$s) = ('
            'select %2$s from jsonb_populate_record(f, $1 -> p.place) as r) '
            'from unnest($2) as p (place) '
            'where f.file_path = $1 -> p.place ->> ''file_path'' and f.id = any ($3) returning f.id) '
            'select coalesce(array_agg(c.id), ''{}'') from changed c',
            (select string_agg(quote_ident(n), ', ') from unnest(changeable) as n),
            (select string_agg('r.' || quote_ident(n), ', ') from unnest(changeable) as n))
        into changed using rows, places, different;
    end if;
    return query
        select p.place, coalesce((m.row ->> 'id')::uuid, f.id), coalesce(m.row ->> 'status', f.status),
            case when m.row is not null then 'created'
                 when f.id = any (changed) then 'updated'
                 when f.id = any (different) then 'refused'
                 else 'unchanged' end
        from unnest(places) as p (place)
        cross join lateral (select made -> (rows -> p.place ->> 'file_path')) as m (row)
        left join public.audio_files f on m.row is null and f.file_path = rows -> p.place ->> 'file_path'
            and f.user_id = (select auth.uid());
end
$$;
comment on function soundscape.describe_batch(jsonb, integer[], text[])
    is 'Inserts or changes the rows at these places, which name the same columns and differ in file_path, with the '
       'rights of the caller. An error if one of them is refused.';

create or replace function public.describe_audio(rows jsonb)
returns table (place integer, file_path text, id uuid, status text, result text, code text, message text)
language plpgsql set search_path = '' as $$
#variable_conflict use_column
declare
    results jsonb := '{}';
    refusal jsonb;
    batch record;
    -- Parts of a batch that are still to be written: first and last of each, the next one at the end.
    waiting integer[];
    first integer;
    last integer;
begin
    if jsonb_typeof(rows) is distinct from 'array' then
        raise sqlstate 'PT400' using message = 'rows is no array.',
            hint = 'Send [{"file_path": …, "title": …}, …].';
    end if;
    if jsonb_array_length(rows) > 500 then
        raise sqlstate 'PT413' using message = 'More than 500 rows.', hint = 'Send them in several requests.';
    end if;
    for batch in
        with given as (
            select (r.place - 1)::integer as place, r.value ->> 'file_path' as file_path,
                jsonb_typeof(r.value) <> 'object'
                    or jsonb_typeof(r.value -> 'file_path') is distinct from 'string' as is_nameless,
                columns.names, columns.unknown
            from jsonb_array_elements(rows) with ordinality as r (value, place)
            -- Whatever columns a client may write, today's and later ones.
            cross join lateral (
                select array_agg(k.name order by k.name) as names, min(k.name) filter (where not coalesce(
                    has_column_privilege('public.audio_files'::regclass, a.attnum, 'insert'), false)) as unknown
                from jsonb_object_keys(case when jsonb_typeof(r.value) = 'object' then r.value else '{}' end)
                    as k (name)
                left join pg_catalog.pg_attribute a
                    on a.attrelid = 'public.audio_files'::regclass and a.attname = k.name and a.attnum > 0
            ) as columns),
        turns as (
            select g.*, case
                    when g.is_nameless then 'There is no file_path.'
                    when g.unknown is not null then format('%s is no column that you may write.', g.unknown)
                end as problem,
                row_number() over (partition by g.file_path order by g.place) as turn
            from given g)
        select t.problem, t.names, array_agg(t.place order by t.place) as places
        -- What names a file once more comes after it.
        from turns t group by t.problem, t.names, t.turn order by t.turn, min(t.place)
    loop
        waiting := array[1, cardinality(batch.places)];
        while waiting <> '{}' loop
            first := waiting[cardinality(waiting) - 1];
            last := waiting[cardinality(waiting)];
            waiting := trim_array(waiting, 2);
            refusal := null;
            begin
                if batch.problem is not null then
                    raise sqlstate '22023' using message = batch.problem;
                end if;
                results := results || (
                    select jsonb_object_agg(b.place, to_jsonb(b) || case when b.result = 'refused'
                        then jsonb_build_object('code', 'not_allowed', 'message',
                            'This session may add recordings, and change none that are there.') else '{}' end)
                    from soundscape.describe_batch(rows, batch.places[first:last], batch.names) as b);
            exception
                when data_exception or integrity_constraint_violation or insufficient_privilege
                    or sqlstate 'PT429' then
                    refusal := jsonb_build_object(
                        'result', 'refused', 'message', sqlerrm,
                        'code', case when sqlstate = '42501' then 'not_allowed'
                                     when sqlstate = 'PT429' then 'limit_reached' else 'value_refused' end);
            end;
            if refusal is not null and (first = last or batch.problem is not null) then
                results := results || (
                    select jsonb_object_agg(p, refusal) from unnest(batch.places[first:last]) as p);
            elsif refusal is not null then
                waiting := waiting || array[(first + last) / 2 + 1, last, first, (first + last) / 2];
            end if;
        end loop;
    end loop;
    return query
        select p.place, case when jsonb_typeof(rows -> p.place -> 'file_path') = 'string'
                then rows -> p.place ->> 'file_path' end,
            (r.told ->> 'id')::uuid, r.told ->> 'status', r.told ->> 'result', r.told ->> 'code',
            r.told ->> 'message'
        from generate_series(0, jsonb_array_length(rows) - 1) as p (place)
        cross join lateral (select results -> p.place::text) as r (told)
        order by p.place;
end
$$;
