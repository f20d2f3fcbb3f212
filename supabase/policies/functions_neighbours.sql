-- Who may ask what is like what, and search. The private ones run with the caller's rights, but for found, which
-- hands out listed recordings and the caller's own.
revoke all on function
    public.search_audio(text, integer, text, text, double precision, double precision, text, text, double precision, double precision, double precision, double precision, text[], text),
    public.search_facets(text, double precision, double precision, text, text, double precision, double precision, double precision, double precision, text[], text),
    public.similar_audio(uuid, integer, double precision, double precision, double precision, text, text, double precision, double precision, double precision, double precision, text[], text),
    public.similar_to_embedding(text, double precision[], integer, double precision, double precision, double precision, text, text, double precision, double precision, double precision, double precision, text[], text)
    from public, anon, authenticated, service_role;
grant execute on function
    soundscape.audio_filter(double precision, double precision, text, text, double precision, double precision, double precision, double precision, text[], text),
    soundscape.fits(uuid, soundscape.audio_filter),
    soundscape.words_of(text),
    soundscape.respelt(soundscape.words),
    soundscape.found(soundscape.words, soundscape.audio_filter, text, text, uuid, timestamptz, integer),
    soundscape.cursor_of(soundscape.page),
    soundscape.page_at(text, text),
    soundscape.nearest(text, extensions.halfvec, integer, soundscape.audio_filter, uuid[]),
    soundscape.nearest_passing(text, extensions.halfvec, integer, soundscape.audio_filter, uuid[]),
    soundscape.likeness(uuid, uuid[]),
    soundscape.varied(uuid[], double precision[], text, double precision, integer),
    soundscape.similar(text, extensions.halfvec, uuid, integer, double precision, soundscape.audio_filter),
    public.search_audio(text, integer, text, text, double precision, double precision, text, text, double precision, double precision, double precision, double precision, text[], text),
    public.search_facets(text, double precision, double precision, text, text, double precision, double precision, double precision, double precision, text[], text),
    public.similar_audio(uuid, integer, double precision, double precision, double precision, text, text, double precision, double precision, double precision, double precision, text[], text),
    public.similar_to_embedding(text, double precision[], integer, double precision, double precision, double precision, text, text, double precision, double precision, double precision, double precision, text[], text)
    to anon, authenticated, service_role;
