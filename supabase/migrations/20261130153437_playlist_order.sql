-- The order of a playlist: moving an item writes one row.
--
-- A position is a number between those of its neighbours, and the item that was added last has the next whole number.
-- Two numbers that are too near for a third are spread first, with as many of their neighbours as it needs.

drop trigger playlist_items_close on public.playlist_items;
drop function soundscape.close_gaps();

alter table public.playlist_items drop constraint playlist_items_position_check;
alter table public.playlist_items alter column position type double precision;
alter table public.playlist_items add constraint playlist_items_position_check
    check (position > '-infinity' and position < 'infinity');
comment on column public.playlist_items.position
    is 'Items are in the order of this number. It may be a fraction, and there may be gaps: count the items to number '
       'them. New items come last. move_playlist_item and reorder_playlist change it.';

create or replace function soundscape.append_item() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    -- Two appends to one playlist wait for each other.
    perform from public.playlists where id = new.playlist_id for no key update;
    new.position := floor(coalesce((select max(i.position) from public.playlist_items i
        where i.playlist_id = new.playlist_id), 0)) + 1;
    return new;
end
$$;

create function soundscape.min_position_gap(near double precision) returns double precision
language sql immutable parallel safe set search_path = '' return 1e-9 * greatest(1, abs(near));
comment on function soundscape.min_position_gap(double precision)
    is 'Positions nearer than this are spread. A gap of 1 can be halved about 30 times before.';

create function soundscape.spread_positions(playlist uuid, around double precision) returns void
language plpgsql security definer set search_path = '' as $$
-- The caller holds the playlist.
declare
    span integer := 4;
    first double precision;
    last double precision;
    low double precision;
    high double precision;
    items integer;
begin
    loop
        first := (select min(i.position) from (
            select p.position from public.playlist_items p where p.playlist_id = playlist and p.position <= around
            order by p.position desc limit span) as i);
        last := (select max(i.position) from (
            select p.position from public.playlist_items p where p.playlist_id = playlist and p.position > around
            order by p.position limit span) as i);
        items := (select count(*) from public.playlist_items p
            where p.playlist_id = playlist and p.position between first and coalesce(last, around));
        low := (select max(p.position) from public.playlist_items p
            where p.playlist_id = playlist and p.position < first);
        high := (select min(p.position) from public.playlist_items p
            where p.playlist_id = playlist and p.position > coalesce(last, around));
        if low is null and high is null then
            -- The whole list is numbered from 1 again.
            low := 0;
            high := items + 1;
            exit;
        end if;
        -- There is always room before the first item and behind the last one.
        low := coalesce(low, high - items - 1);
        high := coalesce(high, low + items + 1);
        -- Each gap can then be halved ten times at least.
        exit when (high - low) / (items + 1) > 1000 * soundscape.min_position_gap(around);
        span := span * 4;
    end loop;
    update public.playlist_items i set position = low + (high - low) * spread.place / (items + 1)
    from (select p.id, row_number() over (order by p.position) as place from public.playlist_items p
          where p.playlist_id = playlist and p.position between first and coalesce(last, around)) as spread
    where i.id = spread.id;
end
$$;
comment on function soundscape.spread_positions(uuid, double precision)
    is 'Makes room behind a position: spreads the items around it evenly between their neighbours.';

create or replace function soundscape.move_playlist_item(item uuid, to_position integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
    list uuid := (select playlist_id from public.playlist_items where id = item);
    own double precision;
    before double precision;
    behind double precision;
begin
    perform soundscape.lock_own_playlist(list);
    own := (select i.position from public.playlist_items i where i.id = item);
    -- The neighbours at the new place, of which there is one at either end.
    if to_position > 1 then
        before := (select i.position from public.playlist_items i where i.playlist_id = list and i.position <> own
            order by i.position offset to_position - 2 limit 1);
        if before is null then
            before := (select max(i.position) from public.playlist_items i
                where i.playlist_id = list and i.position <> own);
        end if;
    end if;
    behind := (select min(i.position) from public.playlist_items i
        where i.playlist_id = list and i.position <> own and (before is null or i.position > before));
    if own > coalesce(before, '-infinity') and own < coalesce(behind, 'infinity') then
        return;
    end if;
    if behind - before < soundscape.min_position_gap(before) then
        perform soundscape.spread_positions(list, before);
        perform soundscape.move_playlist_item(item, to_position);
        return;
    end if;
    update public.playlist_items i
    set position = case
        when before is null then ceil(behind) - 1
        when behind is null then floor(before) + 1
        else before + (behind - before) / 2 end
    where i.id = item;
end
$$;

create or replace function soundscape.reorder_playlist(playlist uuid, items uuid[]) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.lock_own_playlist(playlist);
    if (select array_agg(i.id order by i.id) from public.playlist_items i where i.playlist_id = playlist)
       is distinct from (select array_agg(x order by x) from unnest(items) as x)
    then
        raise exception 'The list does not hold each item of the playlist once.' using errcode = '22023',
            hint = 'Read the playlist again: it may have changed meanwhile.';
    end if;
    update public.playlist_items i set position = wanted.position
    from unnest(items) with ordinality as listed (id, place)
    join (select p.position, row_number() over (order by p.position) as place from public.playlist_items p
          where p.playlist_id = playlist) as wanted on wanted.place = listed.place
    where i.id = listed.id and i.position <> wanted.position;
end
$$;

-- Positions have gaps now, so the items are counted.
create or replace function soundscape.check_owner_limits() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    limits soundscape.owner_limits;
begin
    if coalesce(auth.role(), 'service_role') = 'service_role' then
        return null;
    end if;
    select * into limits from soundscape.owner_limits;
    if tg_table_name = 'playlists' then
        perform soundscape.refuse_over_limit((
            select count(*) from (
                select from public.playlists p where p.user_id = o.user_id limit limits.max_playlists + 1) as held),
            limits.max_playlists, 'playlists')
        from (select distinct user_id from added) as o;
    elsif tg_table_name = 'playlist_items' then
        perform soundscape.refuse_over_limit((
            select count(*) from (
                select from public.playlist_items i where i.playlist_id = o.playlist_id
                limit limits.max_playlist_items + 1) as held),
            limits.max_playlist_items, 'items of a playlist')
        from (select distinct playlist_id from added) as o;
    elsif tg_table_name = 'audio_files' then
        perform soundscape.refuse_over_limit((
            select count(*) from (
                select from public.audio_files f where f.user_id = o.user_id and f.status = 'awaiting_upload'
                limit limits.max_awaiting_upload + 1) as held),
            limits.max_awaiting_upload, 'recordings that wait for their file')
        from (select distinct user_id from added) as o;
    elsif tg_table_name = 'listening_events' then
        perform soundscape.refuse_over_limit((
            select count(*) from (
                select from public.listening_events e
                where e.user_id = o.user_id and e.created_at > now() - interval '1 hour'
                limit limits.max_events_per_hour + 1) as held),
            limits.max_events_per_hour, 'listening events an hour')
        from (select distinct user_id from added) as o;
    elsif tg_table_name = 'reports' then
        perform soundscape.refuse_over_limit((
            select count(*) from public.reports r
            where r.reporter_id = o.reporter_id and r.created_at > now() - interval '1 day'),
            limits.max_reports_per_day, 'reports a day')
        from (select distinct reporter_id from added) as o;
    end if;
    return null;
end
$$;
