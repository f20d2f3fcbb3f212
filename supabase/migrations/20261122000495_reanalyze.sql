-- Backfills: recordings analysed anew, at low priority, while what was has before stays to be read.

create function soundscape.compares(has text, op text, value text) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
    return case op
        when 'eq' then has = value
        when 'neq' then has is distinct from value
        when 'in' then has = any (string_to_array(value, ','))
        when 'is' then (has is null) = (value = 'null')
    end;
end
$$;
comment on function soundscape.compares(text, text, text) is 'A filter on text; null for an operator that text has not.';

create function soundscape.compares(has numeric, op text, value text) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
    return case op
        when 'lt' then has < value::numeric when 'lte' then has <= value::numeric
        when 'gt' then has > value::numeric when 'gte' then has >= value::numeric
        when 'eq' then has = value::numeric
        when 'is' then (has is null) = (value = 'null')
    end;
end
$$;
comment on function soundscape.compares(numeric, text, text) is 'A filter on a number.';

create function soundscape.compares(has timestamptz, op text, value text) returns boolean
language plpgsql stable set search_path = '' as $$
begin
    return case op
        when 'lt' then has < value::timestamptz when 'lte' then has <= value::timestamptz
        when 'gt' then has > value::timestamptz when 'gte' then has >= value::timestamptz
        when 'is' then (has is null) = (value = 'null')
    end;
end
$$;
comment on function soundscape.compares(timestamptz, text, text) is 'A filter on a moment.';

create function soundscape.matches(file public.audio_files, filters jsonb) returns boolean
language plpgsql stable set search_path = '' as $$
declare
    wanted record;
    answer boolean;
begin
    for wanted in
        select f ->> 'column' as name, f ->> 'op' as op, f ->> 'value' as value from jsonb_array_elements(filters) as f
    loop
        answer := case
            when wanted.name = 'tags' and wanted.op = 'cs' then file.tags @> string_to_array(wanted.value, ',')
            when wanted.name = 'tags' and wanted.op = 'ov' then file.tags && string_to_array(wanted.value, ',')
            when wanted.name = 'id' then soundscape.compares(file.id::text, wanted.op, wanted.value)
            when wanted.name in ('owner', 'user_id') then soundscape.compares(file.user_id::text, wanted.op, wanted.value)
            when wanted.name = 'status' then soundscape.compares(file.status, wanted.op, wanted.value)
            when wanted.name = 'error_code' then soundscape.compares(file.error_code, wanted.op, wanted.value)
            when wanted.name = 'content_type' then soundscape.compares(file.content_type, wanted.op, wanted.value)
            when wanted.name = 'analysis_version' then soundscape.compares(file.analysis_version, wanted.op, wanted.value)
            when wanted.name = 'is_public' then soundscape.compares(file.is_public::text, wanted.op, wanted.value)
            when wanted.name = 'duration' then soundscape.compares(file.duration::numeric, wanted.op, wanted.value)
            when wanted.name = 'size_bytes' then soundscape.compares(file.size_bytes::numeric, wanted.op, wanted.value)
            when wanted.name = 'channels' then soundscape.compares(file.channels::numeric, wanted.op, wanted.value)
            when wanted.name = 'sample_rate' then soundscape.compares(file.sample_rate::numeric, wanted.op, wanted.value)
            when wanted.name = 'created_at' then soundscape.compares(file.created_at, wanted.op, wanted.value)
            when wanted.name = 'analyzed_at' then soundscape.compares(file.analyzed_at, wanted.op, wanted.value)
        end;
        if answer is not true then
            return false;
        end if;
    end loop;
    return true;
end
$$;
comment on function soundscape.matches(public.audio_files, jsonb) is 'Whether a recording passes filters, each {column, op, value}. What is not named here is no filter.';

create function soundscape.check_filters(filters jsonb) returns void
language plpgsql immutable set search_path = '' as $$
declare
    texts constant text[] := array['eq', 'neq', 'in', 'is'];
    numbers constant text[] := array['eq', 'lt', 'lte', 'gt', 'gte', 'is'];
    moments constant text[] := array['lt', 'lte', 'gt', 'gte', 'is'];
    wanted record;
    ops text[];
begin
    if jsonb_typeof(filters) is distinct from 'array' then
        raise exception 'filters must be a list of {column, op, value}' using errcode = '22023';
    end if;
    for wanted in
        select f ->> 'column' as name, f ->> 'op' as op, f ->> 'value' as value from jsonb_array_elements(filters) as f
    loop
        ops := case
            when wanted.name = 'tags' then array['cs', 'ov']
            when wanted.name in ('id', 'owner', 'user_id', 'status', 'error_code', 'content_type', 'analysis_version', 'is_public') then texts
            when wanted.name in ('duration', 'size_bytes', 'channels', 'sample_rate') then numbers
            when wanted.name in ('created_at', 'analyzed_at') then moments
        end;
        if ops is null then
            raise exception 'There is no filter on %.', coalesce(wanted.name, 'nothing') using errcode = '22023',
                hint = 'Filters: id, owner, status, tags, analysis_version, error_code, content_type, is_public, duration, size_bytes, channels, sample_rate, created_at, analyzed_at.';
        elsif wanted.op is null or wanted.op <> all (ops) or wanted.value is null then
            raise exception 'The filter on % is %.', wanted.name, array_to_string(ops, ', ') using errcode = '22023',
                hint = 'Write column=operator.value, such as status=eq.failed.';
        elsif wanted.op = 'is' and wanted.value not in ('null', 'notnull') then
            raise exception 'is takes null or notnull, not %.', wanted.value using errcode = '22023';
        elsif ops = numbers and wanted.op <> 'is' and not pg_input_is_valid(wanted.value, 'numeric')
              or ops = moments and wanted.op <> 'is' and not pg_input_is_valid(wanted.value, 'timestamptz')
        then
            raise exception '% cannot be compared with %.', wanted.name, wanted.value using errcode = '22023';
        end if;
    end loop;
end
$$;
comment on function soundscape.check_filters(jsonb) is 'An error that says what is wrong with filters, if anything is.';

create function soundscape.wants_analysis(file public.audio_files, version text) returns boolean
language sql stable security definer set search_path = ''
return file.object_version is not null and file.status <> 'awaiting_upload'
    and file.analysis_version is distinct from version
    -- Asked for already, and either still to come or ended with a reason: jobs retry is for those.
    and not exists (
        select from soundscape.jobs j
        where j.audio_id = file.id and j.object_version = file.object_version and j.analysis_version = version
          and j.state in ('queued', 'running', 'refused', 'dead'));
comment on function soundscape.wants_analysis(public.audio_files, text) is 'Whether this version of the analysis is still to be asked for.';

create function soundscape.reanalyze(version text, filters jsonb, most integer, after uuid, plan boolean) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    seen integer := 0;
    lacking uuid[] := '{}';
    cursor_at uuid := after;
    file public.audio_files;
    live soundscape.jobs;
    enqueued integer := 0;
    busy integer := 0;
begin
    if version is null or char_length(version) not between 1 and 64 then
        raise exception 'A version of the analysis is 1 to 64 characters.' using errcode = '22023';
    end if;
    perform soundscape.check_filters(filters);
    -- So many rows a call, matching or not: a call stays far below any statement timeout.
    for file in
        select * from public.audio_files f where after is null or f.id > after order by f.id limit 5000
    loop
        seen := seen + 1;
        cursor_at := file.id;
        if soundscape.wants_analysis(file, version) and soundscape.matches(file, filters) then
            lacking := lacking || file.id;
            exit when cardinality(lacking) >= least(most, 1000);
        end if;
    end loop;

    if not plan then
        -- All of them before any job is touched, and none that somebody is busy with.
        perform from public.audio_files f where f.id = any(lacking) order by f.id for update skip locked;
        for file in select * from public.audio_files f where f.id = any(lacking) order by f.id for update skip locked loop
            continue when not soundscape.wants_analysis(file, version);
            select * into live from soundscape.jobs j
            where j.audio_id = file.id and j.state in ('queued', 'running') for update;
            if live.state = 'queued' then
                -- Whoever takes it will do as well by this version as by none.
                update soundscape.jobs set analysis_version = version where id = live.id;
            else
                perform soundscape.enqueue(file.id, file.object_version, coalesce(live.queue, 'soundscape_backfill'), version);
                -- Ready stays ready: former results are shown until there are new ones.
                update public.audio_files set status = 'queued', error_code = null, error_message = null
                where id = file.id and status in ('analyzing', 'failed', 'rejected');
            end if;
            enqueued := enqueued + 1;
        end loop;
        busy := cardinality(lacking) - enqueued;
    end if;
    return jsonb_build_object(
        'found', cardinality(lacking), 'enqueued', enqueued, 'busy', busy, 'after', cursor_at,
        'done', seen < 5000 and cardinality(lacking) < least(most, 1000));
end
$$;
comment on function soundscape.reanalyze(text, jsonb, integer, uuid, boolean) is 'Ask for this version of the analysis for up to so many recordings that lack it. Safe to repeat: what is asked for is not asked again.';

create function public.reanalyze(
    version text, filters jsonb default '[]', most integer default 500, after uuid default null, plan boolean default false
) returns jsonb
language sql set search_path = ''
as $$ select soundscape.reanalyze(version, filters, most, after, plan) $$;
comment on function public.reanalyze(text, jsonb, integer, uuid, boolean) is 'Worker only: backfill a batch of recordings, those after an id; plan only counts them.';
