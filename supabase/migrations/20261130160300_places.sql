-- Where and when a recording was made.
--
-- The coordinates are rounded before they are stored, to the precision that the owner chose: what is not stored cannot
-- leak. A recording's place is in its row, so that whoever sees the recording sees it.

alter table public.audio_files
    add column recorded_at timestamptz,
    add column latitude double precision,
    add column longitude double precision,
    add column location_precision_m integer not null default 1000,
    add constraint audio_files_latitude_check check (soundscape.check_value(
        latitude between -90 and 90, 'latitude_range', 'A latitude is -90 to 90 degrees north.',
        'Write it in degrees, south as a negative number.')),
    add constraint audio_files_longitude_check check (soundscape.check_value(
        longitude between -180 and 180, 'longitude_range', 'A longitude is -180 to 180 degrees east.',
        'Write it in degrees, west as a negative number.')),
    add constraint audio_files_location_precision_check check (soundscape.check_value(
        location_precision_m in (1, 10, 100, 1000, 10000, 100000), 'location_precision_unknown',
        'There is no such precision of a place.', 'Choose 1, 10, 100, 1000, 10000 or 100000 metres.')),
    add constraint audio_files_location_check check (soundscape.check_value(
        (latitude is null) = (longitude is null), 'location_half', 'A place has both a latitude and a longitude.',
        'Write both, or neither.'));
comment on column public.audio_files.recorded_at is 'When it was recorded.';
comment on column public.audio_files.latitude
    is 'Where it was recorded: degrees north, rounded to location_precision_m. Null unless the owner said it.';
comment on column public.audio_files.longitude
    is 'Where it was recorded: degrees east, rounded to location_precision_m. Null unless the owner said it.';
comment on column public.audio_files.location_precision_m
    is 'Metres to which the place is rounded before it is stored: 1, 10, 100, 1000, 10000 or 100000.';
-- Both are compared by leakproof operators, so that the index serves under row level security.
create index audio_files_by_place on public.audio_files (latitude, longitude) where latitude is not null;

create function soundscape.metres_per_degree() returns double precision
language sql immutable parallel safe set search_path = '' return 111195;
comment on function soundscape.metres_per_degree() is 'Of latitude, on a sphere of 6371 km.';

create function soundscape.round_to(degrees double precision, step double precision, bound double precision)
returns double precision
language sql immutable parallel safe set search_path = ''
return greatest(-bound, least(bound, round((round(degrees / step) * step)::numeric, 6)::double precision));
comment on function soundscape.round_to(double precision, double precision, double precision)
    is 'The degrees, rounded to the nearest multiple of step within ±bound.';

create function soundscape.round_place() returns trigger
language plpgsql set search_path = '' as $$
declare
    step constant double precision := new.location_precision_m / soundscape.metres_per_degree();
begin
    if tg_op = 'UPDATE' and new.location_precision_m < old.location_precision_m and new.latitude is not null
        and (new.latitude, new.longitude) is not distinct from (old.latitude, old.longitude)
    then
        perform soundscape.check_value(false, 'location_is_coarser',
            format('The place is stored to %s m only.', old.location_precision_m),
            'Write latitude and longitude again with the finer location_precision_m.');
    end if;
    new.latitude := soundscape.round_to(new.latitude, step, 90);
    -- Degrees of longitude are shorter away from the equator: the cells stay about as wide as they are high.
    new.longitude := soundscape.round_to(
        new.longitude, least(360, step / greatest(cos(radians(new.latitude)), 1e-9)), 180);
    return new;
end
$$;
comment on function soundscape.round_place() is 'Trigger: rounds a place before it is stored.';
create trigger audio_files_place before insert or update of latitude, longitude, location_precision_m
    on public.audio_files for each row
    -- What is no place is left to the constraints.
    when (new.latitude between -90 and 90 and new.longitude between -180 and 180)
    execute function soundscape.round_place();

create function soundscape.distance_m(
    from_latitude double precision, from_longitude double precision,
    to_latitude double precision, to_longitude double precision
) returns double precision
language sql immutable parallel safe set search_path = ''
-- The haversine formula, which is exact for short distances too.
return 2 * degrees(1) * soundscape.metres_per_degree() * asin(sqrt(least(1,
    sin(radians(to_latitude - from_latitude) / 2) ^ 2
    + cos(radians(from_latitude)) * cos(radians(to_latitude)) * sin(radians(to_longitude - from_longitude) / 2) ^ 2)));
comment on function soundscape.distance_m(double precision, double precision, double precision, double precision)
    is 'Metres between two places on a sphere; within 0.6 % of the ellipsoid''s.';

create function public.nearby_audio(
    latitude double precision, longitude double precision, radius_m double precision default 10000,
    "limit" integer default 20
) returns table (id uuid, distance_m double precision, recording public.audio_files)
language plpgsql stable rows 20 set search_path = '' as $$
#variable_conflict use_variable
declare
    -- To a tenth of a millimetre: the squares of smaller differences would leave the range of the type.
    here_latitude constant double precision := round(latitude::numeric, 9);
    here_longitude constant double precision := round(longitude::numeric, 9);
    high constant double precision := radius_m / soundscape.metres_per_degree();
    south constant double precision := latitude - high;
    north constant double precision := latitude + high;
    -- Half the width in degrees of longitude of the circle; all of them where it holds a pole.
    wide constant double precision := case when south <= -90 or north >= 90 then 180
        else degrees(asin(least(1, sin(radians(high)) / cos(radians(latitude))))) end;
begin
    if (latitude between -90 and 90 and longitude between -180 and 180) is not true then
        raise exception 'There is no such place.' using errcode = '22023',
            hint = 'latitude is -90 to 90, longitude -180 to 180 degrees.';
    elsif radius_m is null or radius_m not between 1 and 1000000 then
        raise exception 'The radius is out of range.' using errcode = '22023', hint = 'radius_m is 1 to 1000000.';
    elsif "limit" is null or "limit" not between 0 and 500 then
        raise exception 'The limit is out of range.' using errcode = '22023', hint = 'limit is 0 to 500.';
    end if;
    return query
        select f.id, place.distance_m, f
        from public.audio_files f,
            lateral (select soundscape.distance_m(here_latitude, here_longitude, f.latitude, f.longitude))
                as place (distance_m)
        where f.latitude between south and north
          -- Beyond 180 degrees it goes on at -180.
          and (f.longitude between longitude - wide and longitude + wide
               or f.longitude + 360 between longitude - wide and longitude + wide
               or f.longitude - 360 between longitude - wide and longitude + wide)
          and place.distance_m <= radius_m
        order by place.distance_m, f.created_at desc, f.id
        limit "limit";
end
$$;
comment on function public.nearby_audio(double precision, double precision, double precision, integer)
    is 'Recordings near a place, the nearest first, among those that the caller sees. Distances are to the rounded '
       'places that are stored.';
