-- Whoever locks a recording, its caption and the caption's job does so in this order, the order in which a deletion
-- reaches them. Before, a worker locked the job first and an owner the caption: each could wait for the other.

create or replace function soundscape.claim_caption(
    lease_s integer default 120, max_requests integer default 500, max_tokens bigint default 1000000)
returns table (
    audio_id uuid, token uuid, attempt integer, title text, language text, duration_s double precision,
    descriptors jsonb, tags jsonb)
language plpgsql security definer rows 1 set search_path = '' as $$
#variable_conflict use_column
declare
    due soundscape.caption_jobs;
    problem text;
    owner uuid;
    answer text;
begin
    if lease_s <= 0 then
        return;
    end if;
    update soundscape.caption_workers w set seen_at = now()
    where w.seen_at is null or w.seen_at < now() - interval '1 minute';
    loop
        select j.* into due
        from soundscape.caption_jobs j
        join public.audio_captions c on c.audio_id = j.audio_id
        join public.audio_files f on f.id = j.audio_id
        join public.users u on u.id = f.user_id
        where j.retry_at <= now()
        order by j.retry_at, j.audio_id limit 1
        -- The budget's row of the owner refers to the user, whom a deletion locks first.
        for key share of u skip locked for no key update of c skip locked for update of j skip locked;
        if due.audio_id is null then
            return;
        end if;
        problem := soundscape.caption_problem(due.audio_id);
        if problem is null then
            owner := (select f.user_id from public.audio_files f where f.id = due.audio_id);
            answer := soundscape.reserve_caption(owner, max_requests, max_tokens);
            exit when answer = 'reserved';
            if answer = 'day_used' then
                return;
            end if;
            perform soundscape.defer_captions(owner);
        else
            delete from soundscape.caption_jobs j where j.audio_id = due.audio_id;
            update public.audio_captions c set status = 'skipped', error_code = problem, updated_at = now()
            where c.audio_id = due.audio_id and not c.is_by_owner;
        end if;
    end loop;
    update soundscape.caption_jobs j
    set token = gen_random_uuid(), attempts = j.attempts + 1, retry_at = now() + make_interval(secs => lease_s)
    where j.audio_id = due.audio_id returning * into due;
    update public.audio_captions c set status = 'queued', error_code = null where c.audio_id = due.audio_id;
    return query
        select f.id, due.token, due.attempts, f.title,
            coalesce((select p.locale from public.user_preferences p where p.user_id = f.user_id), 'en'),
            f.duration, a.descriptors,
            (select coalesce(jsonb_agg(t order by t.confidence desc), '[]') from (
                select g.label, round(g.confidence::numeric, 2) as confidence, round(g.start_s::numeric, 1) as start_s,
                    round(g.end_s::numeric, 1) as end_s
                from public.audio_tags g where g.audio_id = f.id order by g.confidence desc limit 20) t)
        from public.audio_files f left join public.audio_features a on a.audio_id = f.id where f.id = due.audio_id;
end
$$;

create or replace function soundscape.end_caption_job(recording uuid, token uuid, tokens integer)
returns soundscape.caption_jobs
language plpgsql security definer set search_path = '' as $$
declare
    job soundscape.caption_jobs;
    today constant date := (now() at time zone 'UTC')::date;
    difference constant integer := greatest(0, end_caption_job.tokens) - soundscape.token_reserve();
begin
    perform from public.audio_captions c where c.audio_id = recording for no key update;
    select * into job from soundscape.caption_jobs j
    where j.audio_id = recording and j.token = end_caption_job.token for update;
    if job.audio_id is null then
        raise exception 'Another worker has this caption, or nobody wants it any more.'
            using errcode = 'PT409', hint = 'Drop the work.';
    end if;
    update soundscape.caption_days d set tokens = greatest(0, d.tokens + difference) where d.day = today;
    update soundscape.caption_owners o set tokens = greatest(0, o.tokens + difference)
    where o.day = today and o.user_id = (select f.user_id from public.audio_files f where f.id = recording);
    return job;
end
$$;

create or replace function soundscape.replace_caption(recording uuid, caption text, keywords text[] default '{}')
returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.lock_own_recording(recording);
    if char_length(btrim(caption)) not between 1 and 500 or coalesce(cardinality(keywords), 0) > 12
        or exists (select from unnest(keywords) as k where k is null or char_length(k) not between 1 and 40)
    then
        raise exception 'A caption has 1 to 500 characters, and at most 12 keywords of 1 to 40 characters.'
            using errcode = '22023', detail = 'caption_length', hint = 'Shorten it.';
    end if;
    insert into public.audio_captions as c (audio_id, status, caption, keywords, is_by_owner)
    values (recording, 'ready', btrim(replace_caption.caption), coalesce(replace_caption.keywords, '{}'), true)
    on conflict (audio_id) do update
    set status = 'ready', error_code = null, caption = excluded.caption, keywords = excluded.keywords,
        is_by_owner = true, model = null, version = null, updated_at = now();
    delete from soundscape.caption_jobs j where j.audio_id = recording;
end
$$;
