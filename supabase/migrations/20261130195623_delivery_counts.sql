-- A mail counts recordings, not events: one that was analysed twice before the mail is one recording.

create or replace function soundscape.delivery_content(bundle uuid, account uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
        'kind', told.kind, 'count', told.number,
        'digest', case when told.kind = 'weekly_digest' then soundscape.digest(account, told.latest) end,
        'recordings', (
            select jsonb_agg(jsonb_build_object('id', r.id, 'title', r.title) order by r.first_at, r.id)
            from (select f.id, f.title, min(o.created_at) as first_at
                  from soundscape.outbox o join public.audio_files f on f.id = o.audio_id
                  where o.bundle_id = bundle and o.kind = told.kind and f.user_id = account
                  group by f.id order by min(o.created_at), f.id limit 10) as r)
        )) order by told.earliest, told.kind)
    from (select o.kind, count(distinct coalesce(o.audio_id::text, o.id::text)) as number,
                 min(o.created_at) as earliest, max(o.created_at) as latest
          from soundscape.outbox o where o.bundle_id = bundle group by o.kind) as told
$$;
comment on function soundscape.delivery_content(uuid, uuid)
    is 'What a delivery tells: each kind, how many recordings (or events, if they are about none), and up to ten of '
       'the recipient''s own recordings. No words of other users.';
