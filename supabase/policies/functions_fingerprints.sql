-- Fingerprints are asked by the worker; of claims, owners say whether they are false.
revoke all on function
    public.fingerprint_candidates(integer[], integer[], integer, integer, uuid, boolean, uuid),
    public.stored_fingerprints(uuid[]),
    public.unindexed_recordings(integer, integer, uuid),
    public.index_recording(uuid, text, jsonb),
    public.index_moment(),
    public.unsettled_fingerprints(integer),
    public.settle_fingerprint(uuid, uuid[], jsonb),
    public.dismiss_match(uuid, boolean)
    from public, anon, authenticated, service_role;
grant execute on function
    soundscape.fingerprint_candidates(integer[], integer[], integer, integer, uuid, boolean, uuid),
    public.fingerprint_candidates(integer[], integer[], integer, integer, uuid, boolean, uuid),
    soundscape.stored_fingerprints(uuid[]), public.stored_fingerprints(uuid[]),
    soundscape.unindexed_recordings(integer, integer, uuid), public.unindexed_recordings(integer, integer, uuid),
    soundscape.index_recording(uuid, text, jsonb), public.index_recording(uuid, text, jsonb),
    soundscape.index_moment(), public.index_moment(),
    soundscape.unsettled_fingerprints(integer), public.unsettled_fingerprints(integer),
    soundscape.settle_fingerprint(uuid, uuid[], jsonb), public.settle_fingerprint(uuid, uuid[], jsonb)
    to service_role;
grant execute on function soundscape.dismiss_match(uuid, boolean), public.dismiss_match(uuid, boolean) to authenticated;
