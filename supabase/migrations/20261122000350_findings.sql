-- What analysis found beyond the features: what is heard when, where a recording lies among others, and
-- which recordings share sound. Owner and visibility are carried along from the recording by foreign key.

create table public.audio_tags (
    audio_id uuid not null,
    user_id uuid not null,
    is_listed boolean not null,
    label text not null check (char_length(label) between 1 and 100),
    confidence real not null check (confidence between 0 and 1),
    start_s double precision not null check (start_s >= 0),
    end_s double precision not null check (end_s < 'infinity'),
    -- No number counted up: a gap would tell of somebody's private recording.
    primary key (audio_id, label, start_s),
    check (start_s <= end_s),
    constraint audio_tags_audio_id_fkey foreign key (audio_id, user_id, is_listed)
        references public.audio_files (id, user_id, is_listed) on update cascade on delete cascade
);
alter table public.audio_tags enable row level security;
create index audio_tags_by_recording on public.audio_tags (audio_id, user_id, is_listed);
create index audio_tags_by_owner on public.audio_tags (user_id);
create index audio_tags_by_label on public.audio_tags (label, confidence desc);
comment on table public.audio_tags is 'What is heard, and from when to when. Visible to whoever sees the recording.';
comment on column public.audio_tags.audio_id is 'The recording.';
comment on column public.audio_tags.user_id is 'The recording''s owner, carried along.';
comment on column public.audio_tags.is_listed is 'Whether everybody sees the recording, carried along.';
comment on column public.audio_tags.label is 'Name of the AudioSet class.';
comment on column public.audio_tags.confidence is 'Mean score over the span, 0 to 1.';
comment on column public.audio_tags.start_s is 'Begin, seconds.';
comment on column public.audio_tags.end_s is 'End, seconds.';

create function soundscape.heard_in(recording uuid) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_object_agg(label, weight), '{}') from (
        select label, round((case when whole.end_s > 0 then sum(confidence * (t.end_s - t.start_s)) / whole.end_s
                             else max(confidence) end)::numeric, 3) as weight
        from public.audio_tags t,
        -- The network scores every moment, so the last span ends where the recording does, more or less.
        (select max(end_s) as end_s from public.audio_tags where audio_id = recording) as whole
        where t.audio_id = recording
        group by label, whole.end_s order by weight desc, label limit 30) as strongest
$$;
comment on function soundscape.heard_in(uuid) is 'The tags of a recording in one object: label and share of the time, weighted by confidence.';

create function soundscape.on_tags_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    update public.audio_files f set heard = now_heard.heard
    from (select c.audio_id, soundscape.heard_in(c.audio_id) as heard
          from (select distinct audio_id from changed) as c) as now_heard
    where f.id = now_heard.audio_id and f.heard <> now_heard.heard;
    return null;
end
$$;
comment on function soundscape.on_tags_changed() is 'Trigger on audio_tags: what was heard stands with the recording, in the same transaction.';

create trigger audio_tags_added after insert on public.audio_tags
    referencing new table as changed for each statement execute function soundscape.on_tags_changed();
create trigger audio_tags_changed after update on public.audio_tags
    referencing new table as changed for each statement execute function soundscape.on_tags_changed();
create trigger audio_tags_removed after delete on public.audio_tags
    referencing old table as changed for each statement execute function soundscape.on_tags_changed();

create table public.audio_embeddings (
    audio_id uuid not null,
    space text not null check (char_length(space) between 1 and 64),
    user_id uuid not null,
    is_listed boolean not null,
    embedding extensions.halfvec(128) not null check (extensions.l2_norm(embedding) > 0.5),
    created_at timestamptz not null default now(),
    primary key (audio_id, space),
    constraint audio_embeddings_audio_id_fkey foreign key (audio_id, user_id, is_listed)
        references public.audio_files (id, user_id, is_listed) on update cascade on delete cascade
);
alter table public.audio_embeddings enable row level security;
create index audio_embeddings_by_recording on public.audio_embeddings (audio_id, user_id, is_listed);
-- A user's own recordings are few and searched exactly; the public catalogue has the graph.
create index audio_embeddings_by_owner on public.audio_embeddings (user_id, space);
create index audio_embeddings_public_by_space on public.audio_embeddings (space) where is_listed;
-- Sounds lie in clusters: with pgvector's usual 64, one in forty of 100,000 was searched in the wrong one.
create index audio_embeddings_public on public.audio_embeddings
    using hnsw (embedding extensions.halfvec_cosine_ops) with (ef_construction = 200) where is_listed;
comment on table public.audio_embeddings is 'A place among sounds: near means alike. Only one space compares with itself.';
comment on column public.audio_embeddings.audio_id is 'The recording.';
comment on column public.audio_embeddings.space is 'Name and version of the space.';
comment on column public.audio_embeddings.user_id is 'The recording''s owner, carried along.';
comment on column public.audio_embeddings.is_listed is 'Whether everybody sees the recording, carried along.';
comment on column public.audio_embeddings.embedding is '128 values of unit length.';
comment on column public.audio_embeddings.created_at is 'When it was written.';

create table public.audio_matches (
    -- Not counted up: a gap would tell of a claim about somebody's private recording.
    id uuid primary key default gen_random_uuid(),
    audio_id uuid not null references public.audio_files (id) on delete cascade,
    matched_audio_id uuid not null references public.audio_files (id) on delete cascade,
    kind text not null check (kind in ('identical', 'same_recording', 'contains', 'shared_passage')),
    confidence real not null check (confidence between 0 and 1),
    evidence jsonb not null default '{}' check (jsonb_typeof(evidence) = 'object'),
    moderator_dismissed_at timestamptz,
    owner_dismissed_at timestamptz,
    matched_owner_dismissed_at timestamptz,
    dismissed_at timestamptz generated always as (coalesce(moderator_dismissed_at, case
        when owner_dismissed_at is not null and matched_owner_dismissed_at is not null
        then greatest(owner_dismissed_at, matched_owner_dismissed_at) end)) stored,
    created_at timestamptz not null default now(),
    check (audio_id <> matched_audio_id)
);
alter table public.audio_matches enable row level security;
-- One claim about two recordings, whichever was analysed later.
create unique index audio_matches_by_pair on public.audio_matches
    (least(audio_id, matched_audio_id), greatest(audio_id, matched_audio_id));
create index audio_matches_by_recording on public.audio_matches (audio_id);
create index audio_matches_by_matched on public.audio_matches (matched_audio_id);
comment on table public.audio_matches is 'Claims that two recordings share sound: nothing follows from one by itself. Visible to whoever sees both recordings, and to moderators.';
comment on column public.audio_matches.id is 'The claim.';
comment on column public.audio_matches.audio_id is 'The recording that was analysed.';
comment on column public.audio_matches.matched_audio_id is 'The recording it matched.';
comment on column public.audio_matches.kind is 'identical: the same bytes, or the same samples in another file. same_recording: most of both is the same sound. contains: most of one lies in the other. shared_passage: a stretch of both.';
comment on column public.audio_matches.confidence is 'Probability that the claim is true, 0 to 1.';
comment on column public.audio_matches.evidence is 'What the claim rests on: hashes; or offset_s (where audio_id begins within matched_audio_id), span_s, the share of each, speed and score.';
comment on column public.audio_matches.dismissed_at is 'When it was called false for everybody: by a moderator, or by the owners of both. Null while it stands.';
comment on column public.audio_matches.moderator_dismissed_at is 'When a moderator called it false.';
comment on column public.audio_matches.owner_dismissed_at is 'When the owner of audio_id called it false.';
comment on column public.audio_matches.matched_owner_dismissed_at is 'When the owner of matched_audio_id called it false.';
comment on column public.audio_matches.created_at is 'When the claim was first made.';

-- What was said of claims whose bytes went away, should these bytes come back. No foreign keys: they would lock one
-- recording for the removal of the other, and two removals at once would wait for each other.
create table soundscape.former_dismissals (
    id uuid primary key,
    audio_id uuid not null,
    matched_audio_id uuid not null,
    sha256 text not null,
    matched_sha256 text not null,
    moderator_dismissed_at timestamptz,
    owner_dismissed_at timestamptz,
    matched_owner_dismissed_at timestamptz,
    created_at timestamptz not null
);
alter table soundscape.former_dismissals enable row level security;
create index former_dismissals_by_recording on soundscape.former_dismissals (audio_id);
create index former_dismissals_by_matched on soundscape.former_dismissals (matched_audio_id);
comment on table soundscape.former_dismissals is 'Dismissed claims about bytes that are gone. Such a claim is made with them again when both recordings have these bytes.';
comment on column soundscape.former_dismissals.id is 'The claim, in audio_matches while it is made.';
comment on column soundscape.former_dismissals.audio_id is 'The recording that was analysed.';
comment on column soundscape.former_dismissals.matched_audio_id is 'The recording it matched.';
comment on column soundscape.former_dismissals.sha256 is 'The bytes that audio_id had.';
comment on column soundscape.former_dismissals.matched_sha256 is 'The bytes that matched_audio_id had.';
comment on column soundscape.former_dismissals.moderator_dismissed_at is 'As in audio_matches.';
comment on column soundscape.former_dismissals.owner_dismissed_at is 'As in audio_matches.';
comment on column soundscape.former_dismissals.matched_owner_dismissed_at is 'As in audio_matches.';
comment on column soundscape.former_dismissals.created_at is 'When the claim was first made.';

create function soundscape.forget_claims(recording uuid) returns void
language sql security definer set search_path = '' as $$
    with gone as (
        delete from public.audio_matches where recording in (audio_id, matched_audio_id) returning *)
    insert into soundscape.former_dismissals
        (id, audio_id, matched_audio_id, sha256, matched_sha256, moderator_dismissed_at, owner_dismissed_at, matched_owner_dismissed_at, created_at)
    select g.id, g.audio_id, g.matched_audio_id, f.sha256, m.sha256, g.moderator_dismissed_at, g.owner_dismissed_at,
           g.matched_owner_dismissed_at, g.created_at
    from gone g
    join public.audio_features f on f.audio_id = g.audio_id
    join public.audio_features m on m.audio_id = g.matched_audio_id
    where coalesce(g.moderator_dismissed_at, g.owner_dismissed_at, g.matched_owner_dismissed_at) is not null
$$;
comment on function soundscape.forget_claims(uuid) is 'Forget what was claimed of bytes that are gone, but not that it was dismissed. To be called while their features are there.';
