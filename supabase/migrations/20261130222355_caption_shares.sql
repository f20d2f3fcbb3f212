-- One owner uses at most a share of what captions may cost in a day. The rest of the budget is left for other owners.

alter table soundscape.owner_limits
    add column max_caption_share real not null default 0.25 check (max_caption_share between 0 and 1);
comment on column soundscape.owner_limits.max_caption_share
    is 'The share of a day''s requests and tokens for captions that one owner may use, but at least 5 requests. '
       'With 1 one owner may use all.';

create table soundscape.caption_owners (
    day date not null references soundscape.caption_days (day) on update cascade on delete cascade,
    user_id uuid not null references public.users (id) on delete cascade,
    requests integer not null,
    tokens bigint not null,
    primary key (day, user_id)
);
alter table soundscape.caption_owners enable row level security;
create index caption_owners_by_user on soundscape.caption_owners (user_id);
comment on table soundscape.caption_owners is 'What captions have cost for each owner, today.';
comment on column soundscape.caption_owners.day is 'The day, of UTC.';
comment on column soundscape.caption_owners.user_id is 'The owner of the recordings.';
comment on column soundscape.caption_owners.requests is 'As in caption_days.';
comment on column soundscape.caption_owners.tokens is 'As in caption_days.';

drop function soundscape.reserve_caption(integer, bigint);
create function soundscape.reserve_caption(owner uuid, max_requests integer, max_tokens bigint) returns text
language plpgsql security definer set search_path = '' as $$
declare
    today constant date := (now() at time zone 'UTC')::date;
    cost constant integer := soundscape.token_reserve();
    min_requests constant integer := 5;
    share constant real := (select l.max_caption_share from soundscape.owner_limits l);
    max_of_owner constant bigint := greatest(min_requests, floor(share * max_requests));
    max_tokens_of_owner constant bigint := greatest(min_requests * cost, floor(share * max_tokens));
begin
    insert into soundscape.caption_days (day) values (today) on conflict do nothing;
    if found then
        delete from soundscape.caption_owners o where o.day < today;
    end if;
    update soundscape.caption_days d set requests = d.requests + 1, tokens = d.tokens + cost
    where d.day = today and d.requests < max_requests and d.tokens + cost <= max_tokens;
    if not found then
        return 'day_used';
    end if;
    insert into soundscape.caption_owners as o (day, user_id, requests, tokens) values (today, owner, 1, cost)
    on conflict (day, user_id) do update set requests = o.requests + 1, tokens = o.tokens + cost
    where o.requests < max_of_owner and o.tokens + cost <= max_tokens_of_owner;
    if found then
        return 'reserved';
    end if;
    update soundscape.caption_days d set requests = d.requests - 1, tokens = d.tokens - cost where d.day = today;
    return 'share_used';
end
$$;
comment on function soundscape.reserve_caption(uuid, integer, bigint)
    is 'Counts a request for an owner before it is sent: reserved. If it is too many, it says whether the budget of '
       'the day is used up (day_used) or the owner''s share of it (share_used). The day''s row is locked until the '
       'transaction ends, so that workers share the budget.';

create function soundscape.defer_captions(owner uuid) returns void
language sql security definer set search_path = '' as $$
    update soundscape.caption_jobs j
    set retry_at = (date_trunc('day', now() at time zone 'UTC') + interval '1 day') at time zone 'UTC'
    where j.audio_id in (
        select w.audio_id from soundscape.caption_jobs w join public.audio_files f on f.id = w.audio_id
        where f.user_id = defer_captions.owner and w.retry_at <= now()
        for update of w skip locked)
$$;
comment on function soundscape.defer_captions(uuid)
    is 'Has the captions of an owner wait for the next day, so that no claim reads them until then.';

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
        select * into due from soundscape.caption_jobs j where j.retry_at <= now()
        order by j.retry_at, j.audio_id limit 1 for update of j skip locked;
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
comment on function soundscape.claim_caption(integer, integer, bigint)
    is 'Worker only. A recording to ask the model about, if there is one and the budgets of the day and of its owner '
       'allow it. complete_caption or fail_caption follows within lease_s, or another worker takes it.';

create or replace function soundscape.end_caption_job(recording uuid, token uuid, tokens integer)
returns soundscape.caption_jobs
language plpgsql security definer set search_path = '' as $$
declare
    job soundscape.caption_jobs;
    today constant date := (now() at time zone 'UTC')::date;
    difference constant integer := greatest(0, end_caption_job.tokens) - soundscape.token_reserve();
begin
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
