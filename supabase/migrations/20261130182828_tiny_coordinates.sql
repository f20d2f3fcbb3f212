-- Coordinates of less than a tenth of a millimetre are the equator and the meridian of Greenwich: some operations on
-- such numbers leave the range of the type, which Postgres refuses.

create or replace function soundscape.round_to(
    degrees double precision, step double precision, bound double precision
) returns double precision
language sql immutable parallel safe set search_path = ''
return greatest(-bound, least(bound,
    round((round(round(degrees::numeric, 9)::double precision / step) * step)::numeric, 6)::double precision));

create or replace function public.nearby_audio(
    latitude double precision, longitude double precision, radius_m double precision default 10000,
    "limit" integer default 20
) returns table (id uuid, distance_m double precision, recording public.audio_files)
language plpgsql stable rows 20 set search_path = '' as $$
#variable_conflict use_variable
declare
    -- To a tenth of a millimetre.
    here_latitude constant double precision := round(latitude::numeric, 9);
    here_longitude constant double precision := round(longitude::numeric, 9);
    high double precision;
    south double precision;
    north double precision;
    wide double precision;
begin
    if (latitude between -90 and 90 and longitude between -180 and 180) is not true then
        raise exception 'There is no such place.' using errcode = '22023',
            hint = 'latitude is -90 to 90, longitude -180 to 180 degrees.';
    elsif radius_m is null or radius_m not between 1 and 1000000 then
        raise exception 'The radius is out of range.' using errcode = '22023', hint = 'radius_m is 1 to 1000000.';
    elsif "limit" is null or "limit" not between 0 and 500 then
        raise exception 'The limit is out of range.' using errcode = '22023', hint = 'limit is 0 to 500.';
    end if;
    high := radius_m / soundscape.metres_per_degree();
    south := here_latitude - high;
    north := here_latitude + high;
    -- Half the width in degrees of longitude of the circle; all of them where it holds a pole.
    wide := case when south <= -90 or north >= 90 then 180
        else degrees(asin(least(1, sin(radians(high)) / cos(radians(here_latitude))))) end;
    return query
        select f.id, place.distance_m, f
        from public.audio_files f,
            lateral (select soundscape.distance_m(here_latitude, here_longitude, f.latitude, f.longitude))
                as place (distance_m)
        where f.latitude between south and north
          -- Beyond 180 degrees it goes on at -180.
          and (f.longitude between here_longitude - wide and here_longitude + wide
               or f.longitude + 360 between here_longitude - wide and here_longitude + wide
               or f.longitude - 360 between here_longitude - wide and here_longitude + wide)
          and place.distance_m <= radius_m
        order by place.distance_m, f.created_at desc, f.id
        limit "limit";
end
$$;
