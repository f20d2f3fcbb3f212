-- What was recommended to whom, so that a model can be judged by what people did about it, and not only by what an
-- earlier one showed them.

create table public.impressions (
    answer_id uuid not null,
    place smallint not null check (place >= 1),
    user_id uuid not null references public.users (id) on delete cascade,
    audio_id uuid not null references public.audio_files (id) on delete cascade,
    reason text not null check (char_length(reason) between 1 and 32),
    score real not null,
    propensity real check (propensity > 0 and propensity <= 1),
    seed bigint not null,
    model_id bigint,
    shown_at timestamptz not null default now(),
    primary key (answer_id, place)
);
alter table public.impressions enable row level security;
create index impressions_by_user on public.impressions (user_id, shown_at desc);
create index impressions_by_recording on public.impressions (audio_id);
create index impressions_by_age on public.impressions (shown_at, answer_id, place);
comment on table public.impressions is 'What recommended_audio answered, place by place, kept for 180 days. Seen by that user only, who may erase it; models are judged by it.';
comment on column public.impressions.answer_id is 'The answer: one call.';
comment on column public.impressions.place is 'Place in the answer, from 1.';
comment on column public.impressions.user_id is 'Who asked.';
comment on column public.impressions.audio_id is 'The recording that was shown.';
comment on column public.impressions.reason is 'Why it was shown, as recommended_audio said.';
comment on column public.impressions.score is 'The score it had.';
comment on column public.impressions.propensity is 'Of a place that explores: how likely this recording was to take it. Null where the score decided.';
comment on column public.impressions.seed is 'What the answer was drawn with.';
comment on column public.impressions.model_id is 'The model that was in force; null where there was none.';
comment on column public.impressions.shown_at is 'When.';

create function soundscape.log_impressions(
    recordings uuid[], reasons text[], scores double precision[], propensities double precision[], seed bigint, model_id bigint
) returns void
language plpgsql security definer set search_path = '' as $$
begin
    insert into public.impressions (answer_id, place, user_id, audio_id, reason, score, propensity, seed, model_id)
    select a.id, i.place, auth.uid(), i.audio_id, i.reason, i.score, i.propensity, log_impressions.seed, log_impressions.model_id
    from unnest(recordings, reasons, scores, propensities) with ordinality as i (audio_id, reason, score, propensity, place),
    (select gen_random_uuid() as id) as a
    where exists (select from public.users u where u.id = auth.uid());
exception when foreign_key_violation then
    -- Somebody deletes the recording, or the account, at this very moment: what is gone leaves no trace.
    null;
end
$$;
comment on function soundscape.log_impressions(uuid[], text[], double precision[], double precision[], bigint, bigint) is 'Write down what the caller was shown.';

create function soundscape.impressions_kept_for() returns interval
language sql immutable parallel safe set search_path = '' return interval '180 days';
comment on function soundscape.impressions_kept_for() is 'How long it is kept what was shown to whom.';

create function soundscape.forget_impressions() returns integer
language plpgsql security definer set search_path = '' as $$
declare
    forgotten integer;
begin
    delete from public.impressions i where (i.answer_id, i.place) in (
        select o.answer_id, o.place from public.impressions o
        where o.shown_at < now() - soundscape.impressions_kept_for()
        order by o.shown_at limit 100000 for update skip locked);
    get diagnostics forgotten = row_count;
    return forgotten;
end
$$;
comment on function soundscape.forget_impressions() is 'Delete what was shown too long ago, at most 100,000 rows at once; returns how many.';
select cron.schedule('soundscape-forget-impressions', '17 * * * *', 'select soundscape.forget_impressions()');

create function soundscape.impressions_after(after_shown_at timestamptz, after_answer uuid, after_place integer, most integer)
returns table (
    shown_at timestamptz, answer_id uuid, place smallint, user_id uuid, audio_id uuid, reason text, score real,
    propensity real, seed bigint, model_id bigint, liked boolean, heard real
)
language sql stable security definer rows 1000 set search_path = '' as $$
    select i.shown_at, i.answer_id, i.place, i.user_id, i.audio_id, i.reason, i.score, i.propensity, i.seed, i.model_id,
           exists (select from public.likes l where l.user_id = i.user_id and l.audio_id = i.audio_id
                   and l.created_at between i.shown_at and i.shown_at + interval '7 days'),
           coalesce((select sum(soundscape.listen_weight(h.listened_s, h.completed, f.duration))
                     from public.listening_events h
                     where h.user_id = i.user_id and h.audio_id = i.audio_id
                       and h.started_at between i.shown_at and i.shown_at + interval '7 days'), 0)::real
    from public.impressions i join public.audio_files f on f.id = i.audio_id
    where (i.shown_at, i.answer_id, i.place) > (
        coalesce(after_shown_at, '-infinity'), coalesce(after_answer, '00000000-0000-0000-0000-000000000000'), coalesce(after_place, 0))
      -- When a transaction began is when it was shown, and whoever reads to the end would pass by one that is still open.
      and i.shown_at < now() - interval '1 minute'
    order by i.shown_at, i.answer_id, i.place
    limit least(most, 10000)
$$;
comment on function soundscape.impressions_after(timestamptz, uuid, integer, integer) is 'What was shown to whom a minute ago and before, oldest first, behind the given one, and what came of it within seven days: whether it was liked, and the sum of listen_weight.';

create function public.impressions_after(
    after_shown_at timestamptz default null, after_answer uuid default null, after_place integer default null, most integer default 1000
) returns table (
    shown_at timestamptz, answer_id uuid, place smallint, user_id uuid, audio_id uuid, reason text, score real,
    propensity real, seed bigint, model_id bigint, liked boolean, heard real
)
language sql stable rows 1000 set search_path = ''
as $$ select * from soundscape.impressions_after(after_shown_at, after_answer, after_place, most) $$;
comment on function public.impressions_after(timestamptz, uuid, integer, integer) is 'Worker only: what was shown to whom a minute ago and before, and what came of it; at most 10,000 at once.';
