-- Who may ask what to hear next, with their own rights: radio everybody, recommendations whoever has likes.
revoke all on function
    public.radio(uuid, integer, bigint, uuid[]),
    public.recommended_audio(integer, bigint, text[])
    from public, anon, authenticated, service_role;
grant execute on function
    soundscape.chance(uuid, bigint),
    public.radio(uuid, integer, bigint, uuid[])
    to anon, authenticated, service_role;
grant execute on function
    soundscape.listen_weight(real, boolean, double precision),
    soundscape.choices(uuid[], integer),
    soundscape.confidence(real, real, real),
    soundscape.listener(bigint, uuid[], real[]),
    soundscape.middle(bigint, uuid[], real[]),
    soundscape.labelled(text[], integer, uuid[]),
    soundscape.reason_of(uuid),
    soundscape.because(text, text, text, text[]),
    soundscape.candidates(uuid[], uuid[], real[], uuid[], double precision[], uuid[], text[], bigint),
    public.recommended_audio(integer, bigint, text[])
    to authenticated;
