-- Captions: a sentence or two and keywords about a recording, by a language model that never hears it.
--
-- A recording that is ready gets a row in audio_captions. A worker that has a key claims it, asks the model, and writes
-- the answer. It is a stage of its own: the recording is ready whatever comes of it. The model is sent measured values,
-- tags and the owner's title. What each day may cost is counted here, for all workers together.

alter table public.user_preferences add column captions boolean not null default true;
comment on column public.user_preferences.captions
    is 'Whether a language model may write captions for this user''s public recordings. Private ones need a yes each.';

create table public.audio_captions (
    audio_id uuid primary key references public.audio_files (id) on delete cascade,
    status text not null default 'queued' check (status in ('queued', 'ready', 'skipped', 'failed')),
    error_code text check (char_length(error_code) <= 64),
    is_wanted boolean,
    caption text check (char_length(caption) between 1 and 500),
    keywords text[] not null default '{}' check (cardinality(keywords) <= 12),
    is_by_owner boolean not null default false,
    model text check (char_length(model) <= 100),
    version integer,
    object_version text,
    updated_at timestamptz not null default now(),
    search tsvector generated always as (to_tsvector('simple', coalesce(caption, ''))) stored,
    check (status <> 'ready' or caption is not null)
);
alter table public.audio_captions enable row level security;
create index audio_captions_by_words on public.audio_captions using gin (search);
create index audio_captions_by_keyword on public.audio_captions using gin (keywords);
comment on table public.audio_captions
    is 'What a recording is, in a sentence or two. Whoever sees the recording sees it. Written by a language model '
       'from measured values and tags, or by the owner.';
comment on column public.audio_captions.audio_id is 'The recording.';
comment on column public.audio_captions.status
    is 'queued: a worker will ask the model. ready. skipped: it is not asked, error_code says why. failed: the model '
       'gave no usable answer.';
comment on column public.audio_captions.error_code
    is 'Why it is skipped (no_key, switched_off, private) or failed.';
comment on column public.audio_captions.is_wanted
    is 'What the owner said for this recording by set_captions. Null: user_preferences.captions if it is public, and '
       'no if it is private.';
comment on column public.audio_captions.caption is 'The caption, plain text of at most 500 characters.';
comment on column public.audio_captions.keywords is 'At most 12 keywords, of at most 40 characters.';
comment on column public.audio_captions.is_by_owner is 'Whether the owner wrote it. Then no model replaces it.';
comment on column public.audio_captions.model is 'The model that wrote it. Null if the owner did.';
comment on column public.audio_captions.version is 'The version of the prompt that the model was given.';
comment on column public.audio_captions.object_version is 'Of which bytes it speaks.';
comment on column public.audio_captions.updated_at is 'When it last changed.';
comment on column public.audio_captions.search is 'The words of the caption, for full-text search.';
insert into soundscape.exported_tables (table_name, via) values ('audio_captions', 'audio_id');

create table soundscape.caption_jobs (
    audio_id uuid primary key references public.audio_captions (audio_id) on delete cascade,
    token uuid,
    attempts integer not null default 0,
    retry_at timestamptz not null default now()
);
alter table soundscape.caption_jobs enable row level security;
create index caption_jobs_due on soundscape.caption_jobs (retry_at);
comment on table soundscape.caption_jobs is 'Captions that a worker is to ask for. A row is deleted when it is done.';
comment on column soundscape.caption_jobs.audio_id is 'The recording.';
comment on column soundscape.caption_jobs.token is 'Of the worker that has it. Without it nobody ends the job.';
comment on column soundscape.caption_jobs.attempts is 'How often a worker took it.';
comment on column soundscape.caption_jobs.retry_at is 'From when on a worker may take it.';

create table soundscape.caption_days (
    day date primary key,
    requests integer not null default 0,
    tokens bigint not null default 0
);
alter table soundscape.caption_days enable row level security;
comment on table soundscape.caption_days is 'What captions have cost, by day.';
comment on column soundscape.caption_days.day is 'The day, of UTC.';
comment on column soundscape.caption_days.requests is 'Requests, counted before they are sent.';
comment on column soundscape.caption_days.tokens
    is 'Tokens. A request counts as token_reserve until its answer says how many it was.';

create table soundscape.caption_workers (
    only_row boolean primary key default true check (only_row),
    seen_at timestamptz
);
alter table soundscape.caption_workers enable row level security;
insert into soundscape.caption_workers default values;
comment on table soundscape.caption_workers is 'Whether there is a worker with a key. One row.';
comment on column soundscape.caption_workers.only_row is 'True.';
comment on column soundscape.caption_workers.seen_at is 'When a worker with a key last asked for work.';

create function soundscape.token_reserve() returns integer
language sql immutable parallel safe set search_path = '' return 4000;
comment on function soundscape.token_reserve() is 'Tokens that a request counts as until its answer is there.';

create function soundscape.caption_problem(recording uuid) returns text
language sql stable security definer set search_path = ''
return (
    select case
        when f.status <> 'ready' then 'not_ready'
        when c.is_wanted is false then 'switched_off'
        when not f.is_listed and c.is_wanted is not true then 'private'
        when c.is_wanted is null and not coalesce(
            (select p.captions from public.user_preferences p where p.user_id = f.user_id), true) then 'switched_off'
        when not coalesce(soundscape.flag_for('captions', f.user_id), false) then 'switched_off'
    end
    from public.audio_files f left join public.audio_captions c on c.audio_id = f.id where f.id = recording);
comment on function soundscape.caption_problem(uuid)
    is 'Why a model may not be asked about this recording, or null if it may. Asked again before each request.';

create function soundscape.queue_caption(recording uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    problem text := soundscape.caption_problem(recording);
    file public.audio_files;
begin
    select * into file from public.audio_files f where f.id = recording;
    insert into public.audio_captions as c (audio_id, object_version)
    values (recording, file.object_version)
    on conflict (audio_id) do update
    set object_version = excluded.object_version, updated_at = now(), model = null, version = null,
        caption = null, keywords = '{}', status = 'queued', error_code = null
    where not c.is_by_owner;
    if not found then
        return;
    end if;
    if problem is null and not exists (
        select from soundscape.caption_workers w where w.seen_at > now() - interval '10 minutes')
    then
        problem := 'no_key';
    end if;
    update public.audio_captions c
    set status = case when problem is null then 'queued' else 'skipped' end, error_code = problem
    where c.audio_id = recording;
    -- What lacks only a key is done when there is one.
    if problem is null or problem = 'no_key' then
        insert into soundscape.caption_jobs as j (audio_id) values (recording)
        on conflict (audio_id) do update set token = null, attempts = 0, retry_at = now();
    else
        delete from soundscape.caption_jobs j where j.audio_id = recording;
    end if;
end
$$;
comment on function soundscape.queue_caption(uuid)
    is 'Queues the caption of a recording, or says why it is skipped. What the owner wrote stays.';

create function soundscape.on_recording_ready() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if not exists (
        select from public.audio_captions c
        where c.audio_id = new.id and c.object_version is not distinct from new.object_version
          and (c.status in ('ready', 'failed') or c.status = 'queued' and new.is_listed = old.is_listed))
    then
        perform soundscape.queue_caption(new.id);
    end if;
    return null;
end
$$;
comment on function soundscape.on_recording_ready()
    is 'Trigger on audio_files: a recording is ready, or others may see it now, so that it may have a caption.';
create trigger audio_files_caption after update of status, is_public, hidden_at, object_version on public.audio_files
    for each row when (
        new.status = 'ready' and (old.status, old.is_listed) is distinct from (new.status, new.is_listed))
    execute function soundscape.on_recording_ready();

-- For owners
-- ==========

create function soundscape.set_captions(recording uuid, wanted boolean) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.lock_own_recording(recording);
    insert into public.audio_captions as c (audio_id, is_wanted, status, error_code)
    values (recording, wanted, 'skipped', 'not_ready')
    on conflict (audio_id) do update set is_wanted = excluded.is_wanted, updated_at = now();
    if exists (select from public.audio_captions c where c.audio_id = recording
        and (c.status <> 'ready' or wanted is false))
    then
        perform soundscape.queue_caption(recording);
    end if;
end
$$;
comment on function soundscape.set_captions(uuid, boolean)
    is 'For owners. Whether a model may write a caption for this recording: true, false, or null for what '
       'user_preferences.captions says. With false, what a model wrote is deleted.';

create function soundscape.replace_caption(recording uuid, caption text, keywords text[] default '{}') returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.lock_own_recording(recording);
    if char_length(btrim(caption)) not between 1 and 500 or coalesce(cardinality(keywords), 0) > 12
        or exists (select from unnest(keywords) as k where k is null or char_length(k) not between 1 and 40)
    then
        raise exception 'A caption has 1 to 500 characters, and at most 12 keywords of 1 to 40 characters.'
            using errcode = '22023', detail = 'caption_length', hint = 'Shorten it.';
    end if;
    delete from soundscape.caption_jobs j where j.audio_id = recording;
    insert into public.audio_captions as c (audio_id, status, caption, keywords, is_by_owner)
    values (recording, 'ready', btrim(replace_caption.caption), coalesce(replace_caption.keywords, '{}'), true)
    on conflict (audio_id) do update
    set status = 'ready', error_code = null, caption = excluded.caption, keywords = excluded.keywords,
        is_by_owner = true, model = null, version = null, updated_at = now();
end
$$;
comment on function soundscape.replace_caption(uuid, text, text[])
    is 'For owners. Writes the caption and keywords oneself. No model replaces them.';

-- For the worker
-- ==============

create function soundscape.reserve_caption(max_requests integer, max_tokens bigint) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    today constant date := (now() at time zone 'UTC')::date;
begin
    insert into soundscape.caption_days (day) values (today) on conflict do nothing;
    update soundscape.caption_days d
    set requests = d.requests + 1, tokens = d.tokens + soundscape.token_reserve()
    where d.day = today and d.requests < max_requests and d.tokens + soundscape.token_reserve() <= max_tokens;
    return found;
end
$$;
comment on function soundscape.reserve_caption(integer, bigint)
    is 'Counts a request before it is sent. False if the day''s budget is used up. The row is locked until the '
       'transaction ends, so that workers share the budget.';

create function soundscape.claim_caption(
    lease_s integer default 120, max_requests integer default 500, max_tokens bigint default 1000000)
returns table (
    audio_id uuid, token uuid, attempt integer, title text, language text, duration_s double precision,
    descriptors jsonb, tags jsonb)
language plpgsql security definer rows 1 set search_path = '' as $$
#variable_conflict use_column
declare
    due soundscape.caption_jobs;
    problem text;
begin
    if lease_s <= 0 then
        return;
    end if;
    update soundscape.caption_workers w set seen_at = now()
    where w.seen_at is null or w.seen_at < now() - interval '1 minute';
    loop
        select * into due from soundscape.caption_jobs j where j.retry_at <= now()
        order by j.retry_at, j.audio_id limit 1 for update of j skip locked;
        if due.audio_id is null then
            return;
        end if;
        problem := soundscape.caption_problem(due.audio_id);
        exit when problem is null;
        delete from soundscape.caption_jobs j where j.audio_id = due.audio_id;
        update public.audio_captions c set status = 'skipped', error_code = problem, updated_at = now()
        where c.audio_id = due.audio_id and not c.is_by_owner;
    end loop;
    if not soundscape.reserve_caption(max_requests, max_tokens) then
        return;
    end if;
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
comment on function soundscape.claim_caption(integer, integer, bigint)
    is 'Worker only. A recording to ask the model about, if there is one and the day''s budget allows it. '
       'complete_caption or fail_caption follows within lease_s, or another worker takes it.';

create function soundscape.end_caption_job(recording uuid, token uuid, tokens integer) returns soundscape.caption_jobs
language plpgsql security definer set search_path = '' as $$
declare
    job soundscape.caption_jobs;
begin
    select * into job from soundscape.caption_jobs j
    where j.audio_id = recording and j.token = end_caption_job.token for update;
    if job.audio_id is null then
        raise exception 'Another worker has this caption, or nobody wants it any more.'
            using errcode = 'PT409', hint = 'Drop the work.';
    end if;
    update soundscape.caption_days d
    set tokens = greatest(0, d.tokens - soundscape.token_reserve() + greatest(0, end_caption_job.tokens))
    where d.day = (now() at time zone 'UTC')::date;
    return job;
end
$$;
comment on function soundscape.end_caption_job(uuid, uuid, integer)
    is 'Checks that this worker has the job, and counts what it cost.';

create function soundscape.complete_caption(
    recording uuid, token uuid, caption text, keywords text[], model text, version integer, tokens integer
) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.end_caption_job(recording, token, tokens);
    delete from soundscape.caption_jobs j where j.audio_id = recording;
    -- The owner may have said no meanwhile.
    if soundscape.caption_problem(recording) is null then
        update public.audio_captions c
        set status = 'ready', error_code = null, caption = complete_caption.caption,
            keywords = complete_caption.keywords, model = complete_caption.model,
            version = complete_caption.version, updated_at = now()
        where c.audio_id = recording and not c.is_by_owner;
    end if;
end
$$;
comment on function soundscape.complete_caption(uuid, uuid, text, text[], text, integer, integer)
    is 'Worker only. Writes the caption and ends the job, in one transaction. A stale token is refused.';

create function soundscape.fail_caption(
    recording uuid, token uuid, code text, retry_s integer default null, tokens integer default 0,
    is_counted boolean default true
) returns text
language plpgsql security definer set search_path = '' as $$
declare
    job soundscape.caption_jobs := soundscape.end_caption_job(recording, token, tokens);
begin
    if retry_s is not null and (job.attempts < 5 or not is_counted) then
        update soundscape.caption_jobs j
        set token = null, attempts = j.attempts - (not is_counted)::integer,
            retry_at = now() + make_interval(
                secs => case when is_counted then greatest(retry_s, 30 * power(2, job.attempts)) else retry_s end)
        where j.audio_id = recording;
        return 'queued';
    end if;
    delete from soundscape.caption_jobs j where j.audio_id = recording;
    update public.audio_captions c set status = 'failed', error_code = left(code, 64), updated_at = now()
    where c.audio_id = recording and not c.is_by_owner;
    return 'failed';
end
$$;
comment on function soundscape.fail_caption(uuid, uuid, text, integer, integer, boolean)
    is 'Worker only. Ends the job without a caption, or after retry_s seconds it is tried again, five times in all. '
       'An attempt that is not counted says nothing of this recording.';
