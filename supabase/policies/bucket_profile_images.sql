insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
values ('profile-images', 'profile-images', true, 5242880, array['image/png', 'image/jpeg', 'image/webp', 'image/avif'])
on conflict (id) do update set public = excluded.public, file_size_limit = excluded.file_size_limit,
    allowed_mime_types = excluded.allowed_mime_types;

-- The bucket is public: its files are served without a policy. These let owners replace theirs, and let
-- nobody list other people's.
drop policy if exists soundscape_profile_images_select on storage.objects;
create policy soundscape_profile_images_select on storage.objects for select to authenticated
    using (bucket_id = 'profile-images' and (storage.foldername(name))[1] = (select auth.uid())::text
        and not (select soundscape.is_copying()));

drop policy if exists soundscape_profile_images_insert on storage.objects;
create policy soundscape_profile_images_insert on storage.objects for insert to authenticated
    with check (bucket_id = 'profile-images' and soundscape.object_name_problem(name) is null
        and (storage.foldername(name))[1] = (select auth.uid())::text);

drop policy if exists soundscape_profile_images_update on storage.objects;
create policy soundscape_profile_images_update on storage.objects for update to authenticated
    using (bucket_id = 'profile-images' and (storage.foldername(name))[1] = (select auth.uid())::text)
    with check (bucket_id = 'profile-images' and soundscape.object_name_problem(name) is null
        and (storage.foldername(name))[1] = (select auth.uid())::text);

drop policy if exists soundscape_profile_images_delete on storage.objects;
create policy soundscape_profile_images_delete on storage.objects for delete to authenticated
    using (bucket_id = 'profile-images' and (storage.foldername(name))[1] = (select auth.uid())::text);
