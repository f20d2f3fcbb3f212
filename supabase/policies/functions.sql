-- Every function that a role of the API may call. What is not named here is out of reach.
revoke all on schema soundscape from public, anon, authenticated, service_role, supabase_auth_admin;
revoke all on all tables in schema soundscape from public, anon, authenticated, service_role;
revoke all on all sequences in schema soundscape from public, anon, authenticated, service_role;
revoke all on all functions in schema soundscape from public, anon, authenticated, service_role, supabase_auth_admin;
grant usage on schema soundscape to anon, authenticated, service_role;

-- Policies and generated columns call these with the rights of the role that reads or writes.
grant execute on function
    soundscape.uuid_or_null,
    soundscape.owner_of,
    soundscape.object_name_problem,
    soundscape.is_copying,
    soundscape.fold,
    soundscape.labels,
    soundscape.plain_words,
    soundscape.unspaced_letter,
    soundscape.pair_letters,
    soundscape.last_letters,
    soundscape.document_words,
    soundscape.search_document,
    soundscape.round_to
    to anon, authenticated, service_role;

-- Constraints call these with the rights of the role that writes.
grant execute on function
    soundscape.check_value,
    soundscape.display_name_problem,
    soundscape.invisible_characters,
    soundscape.without_joiners,
    soundscape.mixes_scripts,
    soundscape.is_time_zone
    to authenticated, service_role;

-- The policy for reading audio-files calls this.
grant execute on function soundscape.is_withheld to authenticated;

-- The policies about estimates call this.
grant execute on function soundscape.is_not_estimated to anon, authenticated;

-- The Data API calls this before each request.
grant execute on function soundscape.check_request to anon, authenticated, service_role;
grant execute on function soundscape.session_scope, soundscape.closed_accounts to anon, authenticated;
grant execute on function soundscape.authorize to authenticated;

-- Auth calls this when it issues a token.
revoke all on function public.custom_access_token_hook from public, anon, authenticated, service_role;
grant execute on function public.custom_access_token_hook to supabase_auth_admin;

-- Search, similarity, radio and moods: for everybody, with the caller's own rights. Two private functions run with
-- their owner's rights, found and in_mood. They return only listed recordings and the caller's own.
revoke all on function
    public.search_audio,
    public.search_facets,
    public.similar_audio,
    public.similar_to_embedding,
    public.radio,
    public.mood_mix,
    public.nearby_audio
    from public, anon, authenticated, service_role;
grant execute on function
    public.search_audio,
    public.search_facets,
    public.similar_audio,
    public.similar_to_embedding,
    public.radio,
    public.mood_mix,
    public.nearby_audio,
    soundscape.audio_filter,
    soundscape.passes_filter,
    soundscape.open_single_letters,
    soundscape.parse_query,
    soundscape.correct_spelling,
    soundscape.find_recordings,
    soundscape.encode_cursor,
    soundscape.decode_cursor,
    soundscape.min_similarity,
    soundscape.nearest,
    soundscape.nearest_filtered,
    soundscape.likeness,
    soundscape.diversify,
    soundscape.find_similar,
    soundscape.seeded_random,
    soundscape.mood_points,
    soundscape.recordings_in_mood,
    soundscape.diversify_mixed,
    soundscape.distance_m,
    soundscape.metres_per_degree
    to anon, authenticated, service_role;

-- Recommendations: for signed-in users, with the caller's own rights. log_impressions writes down what was returned.
revoke all on function public.recommended_audio from public, anon, authenticated, service_role;
grant execute on function
    public.recommended_audio,
    soundscape.listen_weight,
    soundscape.choices,
    soundscape.choice_confidence,
    soundscape.listener_vector,
    soundscape.centroid_of_choices,
    soundscape.newest_with_labels,
    soundscape.choice_reason,
    soundscape.reason_sentence,
    soundscape.recommendation_weights,
    soundscape.read_taste,
    soundscape.collect_candidates,
    soundscape.measure_candidates,
    soundscape.recommendation_candidates,
    soundscape.rank_candidates,
    soundscape.explain_recommendations,
    soundscape.shared_traits,
    soundscape.shared_words,
    soundscape.log_impressions
    to authenticated;

-- Figures of the caller's recordings, with the caller's own rights.
revoke all on function public.my_audio_stats from public, anon, authenticated, service_role;
grant execute on function public.my_audio_stats to authenticated;

-- For users on what is theirs, and for moderators on what is public. Each function checks who calls it.
select soundscape.expose(name, 'authenticated') from unnest(array[
    'cancel_analysis', 'retry_analysis', 'delete_my_account',
    'dismiss_match',
    'move_playlist_item', 'reorder_playlist',
    'hide_recording', 'restore_recording', 'assign_report', 'resolve_report', 'operator_overview',
    'accepted_uploads',
    'create_api_key', 'revoke_api_key', 'export_my_data',
    'set_captions', 'replace_caption',
    'notification_settings', 'notification_channels', 'save_push_subscription'
]) as name;
-- With the caller's own rights: each row meets the policies and grants of audio_files.
revoke all on function public.describe_audio from public, anon, authenticated, service_role;
grant execute on function public.describe_audio, soundscape.describe_batch to authenticated;
-- Flags: everybody asks for themselves. Policies call it with the caller's rights.
select soundscape.expose(name, 'authenticated') from unnest(array['flag', 'flags']) as name;
grant execute on function soundscape.flag, public.flag, soundscape.flags, public.flags to anon, service_role;
-- What may be uploaded, everybody may know.
grant execute on function soundscape.accepted_uploads, public.accepted_uploads to anon, service_role;

-- For the worker, and for the operator, who has the worker's key.
select soundscape.expose(name, 'service_role') from unnest(array[
    'register_worker',
    'claim_jobs', 'next_message_s', 'extend_lease', 'report_progress', 'complete_job', 'fail_job', 'reconcile',
    'claim_previews', 'complete_preview',
    'pending_deletions', 'confirm_deletions', 'empty_accounts', 'emptied_accounts',
    'pending_renames', 'complete_rename',
    'list_jobs', 'show_job', 'queue_stats', 'set_queue', 'retry_jobs', 'cancel_jobs', 'reanalyze',
    'fingerprint_candidates', 'stored_fingerprints', 'unindexed_recordings', 'index_recording', 'index_snapshot',
    'pending_comparisons', 'complete_comparison',
    'begin_fit', 'end_fit', 'fit_history', 'fit_embeddings', 'model_items', 'stage_model', 'stage_items', 'stage_cold',
    'publish_model', 'clear_models', 'list_models', 'impressions_after',
    'open_key_session', 'record_key_session',
    'claim_export', 'read_export', 'list_export', 'save_export', 'restart_export', 'complete_export', 'fail_export',
    'claim_image_check', 'complete_image_check',
    'record_download', 'roll_up_stats', 'project_stats', 'flag_for', 'flags_for',
    'claim_caption', 'complete_caption', 'fail_caption',
    'claim_delivery', 'complete_delivery', 'fail_delivery', 'report_channel', 'unsubscribe',
    'list_deliveries', 'show_delivery', 'retry_deliveries', 'cancel_deliveries', 'reopen_address', 'reopen_addresses',
    'delivery_stats'
]) as name;
