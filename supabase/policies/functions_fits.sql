-- Models are fitted by the worker.
revoke all on function
    public.begin_fit(double precision),
    public.end_fit(uuid),
    public.fit_history(uuid, integer),
    public.fit_embeddings(uuid[], text),
    public.model_items(bigint, uuid[]),
    public.stage_model(uuid, jsonb, jsonb, boolean),
    public.stage_items(uuid, bigint, jsonb),
    public.stage_cold(uuid, bigint, uuid, integer),
    public.publish_model(uuid, bigint),
    public.clear_models(uuid, integer),
    public.list_models(integer)
    from public, anon, authenticated, service_role;
grant execute on function
    soundscape.begin_fit(double precision), public.begin_fit(double precision),
    soundscape.end_fit(uuid), public.end_fit(uuid),
    soundscape.fit_history(uuid, integer), public.fit_history(uuid, integer),
    soundscape.fit_embeddings(uuid[], text), public.fit_embeddings(uuid[], text),
    soundscape.model_items(bigint, uuid[]), public.model_items(bigint, uuid[]),
    soundscape.stage_model(uuid, jsonb, jsonb, boolean), public.stage_model(uuid, jsonb, jsonb, boolean),
    soundscape.stage_items(uuid, bigint, jsonb), public.stage_items(uuid, bigint, jsonb),
    soundscape.stage_cold(uuid, bigint, uuid, integer), public.stage_cold(uuid, bigint, uuid, integer),
    soundscape.publish_model(uuid, bigint), public.publish_model(uuid, bigint),
    soundscape.clear_models(uuid, integer), public.clear_models(uuid, integer),
    soundscape.list_models(integer), public.list_models(integer)
    to service_role;
