-- Who may ask for a mix: everybody, with their own rights, but for in_mood, which hands out listed recordings and the
-- caller's own.
revoke all on function public.mood_mix(text, integer, bigint, uuid[]) from public, anon, authenticated, service_role;
grant execute on function
    soundscape.mood_points(uuid[], text),
    soundscape.in_mood(text, integer),
    soundscape.assorted(uuid[], double precision[], double precision, integer),
    public.mood_mix(text, integer, bigint, uuid[])
    to anon, authenticated, service_role;
