-- recommended_audio writes down what it answers; the worker reads all of it.
revoke all on function public.impressions_after(timestamptz, uuid, integer, integer) from public, anon, authenticated, service_role;
grant execute on function
    soundscape.log_impressions(uuid[], text[], double precision[], double precision[], bigint, bigint)
    to authenticated;
grant execute on function
    soundscape.impressions_after(timestamptz, uuid, integer, integer), public.impressions_after(timestamptz, uuid, integer, integer)
    to service_role;
