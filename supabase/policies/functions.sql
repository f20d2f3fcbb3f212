-- Every function that anybody but its owner may execute. What is not named here is out of reach.
revoke all on schema soundscape from public, anon, authenticated, service_role, supabase_auth_admin;
revoke all on all tables in schema soundscape from public, anon, authenticated, service_role;
revoke all on all sequences in schema soundscape from public, anon, authenticated, service_role;
revoke all on all functions in schema soundscape from public, anon, authenticated, service_role, supabase_auth_admin;
grant usage on schema soundscape to anon, authenticated, service_role;

-- Policies and generated columns call these under the caller's role.
grant execute on function
    soundscape.uuid_or_null(text),
    soundscape.owner_of(text, text)
    to anon, authenticated, service_role;
grant execute on function
    soundscape.folded(text),
    soundscape.labels(text[], jsonb),
    soundscape.plain(text),
    soundscape.search_document(text, text, text[], jsonb)
    to anon, authenticated, service_role;
grant execute on function soundscape.authorize(public.app_permission) to authenticated;

-- Auth calls this when it makes a token.
revoke all on function public.custom_access_token_hook(jsonb) from public, anon, authenticated, service_role;
grant execute on function public.custom_access_token_hook(jsonb) to supabase_auth_admin;

-- Users, on what is theirs; moderators, on what is public. Each checks by itself who calls.
revoke all on function
    public.move_playlist_item(uuid, integer),
    public.reorder_playlist(uuid, uuid[]),
    public.hide_recording(uuid, text),
    public.restore_recording(uuid),
    public.assign_report(uuid, uuid),
    public.resolve_report(uuid, text, text),
    public.cancel_analysis(uuid),
    public.retry_analysis(uuid)
    from public, anon, authenticated, service_role;
grant execute on function
    soundscape.move_playlist_item(uuid, integer), public.move_playlist_item(uuid, integer),
    soundscape.reorder_playlist(uuid, uuid[]), public.reorder_playlist(uuid, uuid[]),
    soundscape.hide_recording(uuid, text), public.hide_recording(uuid, text),
    soundscape.restore_recording(uuid), public.restore_recording(uuid),
    soundscape.assign_report(uuid, uuid), public.assign_report(uuid, uuid),
    soundscape.resolve_report(uuid, text, text), public.resolve_report(uuid, text, text),
    soundscape.cancel_analysis(uuid), public.cancel_analysis(uuid),
    soundscape.retry_analysis(uuid), public.retry_analysis(uuid)
    to authenticated;

-- The worker.
revoke all on function
    public.claim_jobs(text, integer, integer, text[]),
    public.next_message_s(),
    public.extend_lease(bigint, text, integer),
    public.complete_job(bigint, text, jsonb),
    public.fail_job(bigint, text, text, text, text),
    public.reconcile(),
    public.pending_removals(integer),
    public.forget_removals(text, text[])
    from public, anon, authenticated, service_role;
grant execute on function
    soundscape.claim_jobs(text, integer, integer, text[]), public.claim_jobs(text, integer, integer, text[]),
    soundscape.next_message_s(), public.next_message_s(),
    soundscape.extend_lease(bigint, text, integer), public.extend_lease(bigint, text, integer),
    soundscape.complete_job(bigint, text, jsonb), public.complete_job(bigint, text, jsonb),
    soundscape.fail_job(bigint, text, text, text, text), public.fail_job(bigint, text, text, text, text),
    soundscape.reconcile(), public.reconcile(),
    soundscape.pending_removals(integer), public.pending_removals(integer),
    soundscape.forget_removals(text, text[]), public.forget_removals(text, text[])
    to service_role;

-- The operator, who has the worker's key.
revoke all on function
    public.list_jobs(text[], uuid, uuid, text, bigint, integer),
    public.show_job(bigint),
    public.queue_stats(),
    public.set_queue(boolean, integer, integer),
    public.retry_jobs(bigint[]),
    public.cancel_jobs(bigint[]),
    public.reanalyze(text, jsonb, integer, uuid, boolean)
    from public, anon, authenticated, service_role;
grant execute on function
    soundscape.list_jobs(text[], uuid, uuid, text, bigint, integer), public.list_jobs(text[], uuid, uuid, text, bigint, integer),
    soundscape.show_job(bigint), public.show_job(bigint),
    soundscape.queue_stats(), public.queue_stats(),
    soundscape.set_queue(boolean, integer, integer), public.set_queue(boolean, integer, integer),
    soundscape.retry_jobs(bigint[]), public.retry_jobs(bigint[]),
    soundscape.cancel_jobs(bigint[]), public.cancel_jobs(bigint[]),
    soundscape.reanalyze(text, jsonb, integer, uuid, boolean), public.reanalyze(text, jsonb, integer, uuid, boolean)
    to service_role;
