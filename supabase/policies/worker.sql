-- Only the worker's role may touch the queue. Nobody else may even name the functions.
revoke all on schema soundscape from public, anon, authenticated;
revoke all on all tables in schema soundscape from public, anon, authenticated, service_role;
revoke all on all functions in schema soundscape from public, anon, authenticated, service_role;
grant usage on schema soundscape to anon, authenticated, service_role;
-- Policies on storage.objects call these two under the caller's role.
grant execute on function soundscape.uuid_or_null(text), soundscape.owner_of(text, text)
    to anon, authenticated, service_role;
grant execute on function
    soundscape.claim_jobs(text, integer, integer),
    soundscape.extend_lease(bigint, text, integer),
    soundscape.complete_job(bigint, text, jsonb),
    soundscape.fail_job(bigint, text, text, text, text, integer),
    soundscape.reconcile(),
    soundscape.pending_removals(integer),
    soundscape.forget_removals(text, text[])
    to service_role;

revoke all on function
    public.claim_jobs(text, integer, integer),
    public.extend_lease(bigint, text, integer),
    public.complete_job(bigint, text, jsonb),
    public.fail_job(bigint, text, text, text, text, integer),
    public.reconcile(),
    public.pending_removals(integer),
    public.forget_removals(text, text[])
    from public, anon, authenticated;
grant execute on function
    public.claim_jobs(text, integer, integer),
    public.extend_lease(bigint, text, integer),
    public.complete_job(bigint, text, jsonb),
    public.fail_job(bigint, text, text, text, text, integer),
    public.reconcile(),
    public.pending_removals(integer),
    public.forget_removals(text, text[])
    to service_role;
