-- Nobody sees what a closed account owns, whatever other policies allow, from the moment it is closed. What hangs on a
-- recording (claims, items, objects) follows the recording. Its own sessions may do nothing: soundscape.session_scope.

drop policy if exists users_of_open_accounts on public.users;
create policy users_of_open_accounts on public.users as restrictive for select to anon, authenticated
    using (id <> all ((select soundscape.closed_accounts())::uuid[]));

drop policy if exists audio_files_of_open_accounts on public.audio_files;
create policy audio_files_of_open_accounts on public.audio_files as restrictive for select to anon, authenticated
    using (user_id <> all ((select soundscape.closed_accounts())::uuid[]));

drop policy if exists audio_features_of_open_accounts on public.audio_features;
create policy audio_features_of_open_accounts on public.audio_features as restrictive for select to anon, authenticated
    using (user_id <> all ((select soundscape.closed_accounts())::uuid[]));

drop policy if exists audio_tags_of_open_accounts on public.audio_tags;
create policy audio_tags_of_open_accounts on public.audio_tags as restrictive for select to anon, authenticated
    using (user_id <> all ((select soundscape.closed_accounts())::uuid[]));

drop policy if exists audio_embeddings_of_open_accounts on public.audio_embeddings;
create policy audio_embeddings_of_open_accounts on public.audio_embeddings
    as restrictive for select to anon, authenticated
    using (user_id <> all ((select soundscape.closed_accounts())::uuid[]));

drop policy if exists playlists_of_open_accounts on public.playlists;
create policy playlists_of_open_accounts on public.playlists as restrictive for select to anon, authenticated
    using (user_id <> all ((select soundscape.closed_accounts())::uuid[]));
