-- A hidden recording whose row is deleted leaves its file until the worker has deleted it. Until then the file is
-- withheld as before. The refusal compares eTags with the caller's own recordings only: the eTag of other users' hidden
-- files is no business of an upload.

create index deletions_final on soundscape.deletions (bucket_id, name) where is_final;

create function soundscape.is_withheld(object_name text) returns boolean
language sql stable security definer set search_path = '' as $$
    select exists (select from public.audio_files f where f.file_path = object_name and f.hidden_at is not null)
        or exists (
            select from soundscape.deletions d
            where d.bucket_id = 'audio-files' and d.name = object_name and d.is_final)
$$;
comment on function soundscape.is_withheld(text)
    is 'Whether a file in audio-files belongs to a hidden recording, or to one that was deleted while it was hidden.';

create or replace function soundscape.check_copy(object storage.objects) returns void
language plpgsql stable security definer set search_path = '' as $$
declare
    account uuid := soundscape.owner_of(object.name, object.owner_id);
    etag text := object.metadata ->> 'eTag';
begin
    -- The test of an upload knows no eTag yet. The test of a copy has that of its source.
    if etag is null then
        return;
    elsif object.bucket_id <> 'audio-files' then
        raise exception 'Files are not copied into the bucket %.', object.bucket_id
            using errcode = '42501', hint = 'Upload the file.';
    elsif exists (
        select from public.audio_files f
        where f.user_id = account and f.hidden_at is not null and f.object_etag = etag)
       or exists (
        select from soundscape.deletions d
        join storage.objects o on o.bucket_id = d.bucket_id and o.name = d.name
        where d.bucket_id = 'audio-files' and d.is_final and o.metadata ->> 'eTag' = etag
          and soundscape.owner_of(o.name, o.owner_id) = account)
    then
        raise exception 'The recording is hidden. Its file cannot be copied.'
            using errcode = '42501', hint = 'hidden_reason says why it was hidden.';
    end if;
end
$$;
comment on function soundscape.check_copy(storage.objects)
    is 'An error if a person copies into another bucket than audio-files, or the bytes of an own recording that is '
       'hidden or was when it was deleted.';

-- The name of a recording without a file
-- ======================================

create table soundscape.file_removals (
    audio_id uuid primary key references public.audio_files (id) on delete cascade,
    removed_at timestamptz not null default now()
);
alter table soundscape.file_removals enable row level security;
comment on table soundscape.file_removals
    is 'When the file of a recording was last removed. A recording that never had one is not here.';
comment on column soundscape.file_removals.audio_id is 'The recording.';
comment on column soundscape.file_removals.removed_at is 'From then on its name is kept for name_reserved_for().';

create or replace function soundscape.on_object_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    recording uuid;
begin
    select id into recording from public.audio_files where object_id = old.id for update;
    if recording is null then
        return null;
    end if;
    update soundscape.jobs set state = 'cancelled', finished_at = now()
    where state in ('queued', 'running') and audio_id = recording;
    perform soundscape.delete_results(recording);
    insert into soundscape.deletions (bucket_id, name)
    select 'waveforms', o.name from storage.objects o
    where o.bucket_id = 'waveforms' and o.name like recording::text || '/%'
    on conflict do nothing;
    update public.audio_files
    set status = 'awaiting_upload', object_id = null, object_version = null, object_etag = null,
        analysis_version = null, analyzed_at = null, error_code = null, error_message = null
    where id = recording;
    insert into soundscape.file_removals (audio_id) values (recording)
    on conflict (audio_id) do update set removed_at = excluded.removed_at;
    return null;
end
$$;

-- When the files of those that have none were removed is not known.
insert into soundscape.file_removals (audio_id)
select f.id from public.audio_files f where f.status = 'awaiting_upload' and f.object_id is null;

create or replace function soundscape.require_free_name(object_name text, account uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    update public.audio_files f set file_path = f.user_id || '/' || f.id
    where f.file_path = object_name and f.user_id is distinct from account and f.status = 'awaiting_upload'
      and f.object_id is null
      and coalesce((select r.removed_at from soundscape.file_removals r where r.audio_id = f.id), f.created_at)
          < now() - soundscape.name_reserved_for();
    if exists (
        select from public.audio_files f where f.file_path = object_name and f.user_id is distinct from account)
       or exists (
        select from storage.objects o
        where o.bucket_id = 'audio-files' and o.name = object_name
          and soundscape.owner_of(o.name, o.owner_id) is distinct from account)
    then
        raise exception 'The name % cannot be used.', object_name
            using errcode = '42501', hint = 'Choose another name, or one in the folder that is named as your id.';
    end if;
end
$$;
