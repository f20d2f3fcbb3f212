-- The statements of Storage by name.

-- name: list_buckets
select id, name, coalesce(nullif(owner_id, ''), owner::text, '') as owner, public, type, file_size_limit,
    allowed_mime_types, created_at, updated_at
from storage.buckets
where %(search)s = '' or strpos(lower(name), lower(%(search)s)) > 0
order by
    case when %(order)s = 'asc' then case %(column)s when 'id' then id when 'name' then name end end,
    case when %(order)s = 'desc' then case %(column)s when 'id' then id when 'name' then name end end desc,
    case when %(order)s = 'asc' then case %(column)s when 'created_at' then created_at when 'updated_at' then updated_at end end,
    case when %(order)s = 'desc' then case %(column)s when 'created_at' then created_at when 'updated_at' then updated_at end end desc
limit %(limit)s offset %(offset)s

-- name: find_bucket
-- supabase-py requires `owner` to be text.
select id, name, coalesce(nullif(owner_id, ''), owner::text, '') as owner, public, type, file_size_limit,
    allowed_mime_types, created_at, updated_at
from storage.buckets where id = %(bucket)s

-- name: insert_bucket
insert into storage.buckets (id, name, owner, owner_id, public, file_size_limit, allowed_mime_types)
values (%(id)s, %(name)s, %(owner)s, %(owner_id)s, %(public)s, %(file_size_limit)s, %(allowed_mime_types)s)

-- name: update_bucket
update storage.buckets
set public = case when 'public' = any(%(given)s) then %(public)s else public end,
    file_size_limit = case when 'file_size_limit' = any(%(given)s) then %(file_size_limit)s else file_size_limit end,
    allowed_mime_types = case when 'allowed_mime_types' = any(%(given)s)
        then %(allowed_mime_types)s else allowed_mime_types end,
    updated_at = now()
where id = %(bucket)s
returning id

-- name: delete_bucket
delete from storage.buckets where id = %(bucket)s returning id

-- name: find_object
select * from storage.objects where bucket_id = %(bucket)s and name = %(name)s

-- name: describe_object
select id, name, version, bucket_id, metadata -> 'size' as size, metadata ->> 'mimetype' as content_type,
    metadata ->> 'cacheControl' as cache_control, metadata ->> 'eTag' as etag, user_metadata as metadata,
    updated_at as last_modified, created_at
from storage.objects where bucket_id = %(bucket)s and name = %(name)s

-- name: find_names
select name from storage.objects where bucket_id = %(bucket)s and name = any(%(names)s)

-- name: insert_object
insert into storage.objects (bucket_id, name, owner, owner_id, version, metadata, user_metadata)
values (%(bucket)s, %(name)s, %(owner)s, %(owner_id)s, %(version)s, %(metadata)s, %(user_metadata)s)

-- name: upsert_object
insert into storage.objects as o (bucket_id, name, owner, owner_id, version, metadata, user_metadata)
values (%(bucket)s, %(name)s, %(owner)s, %(owner_id)s, %(version)s, %(metadata)s, %(user_metadata)s)
on conflict (bucket_id, name) do update set
    owner = coalesce(excluded.owner, o.owner),
    owner_id = coalesce(excluded.owner_id, o.owner_id),
    version = excluded.version,
    metadata = excluded.metadata,
    user_metadata = coalesce(excluded.user_metadata, o.user_metadata)
returning new.*, old.version as replaced_version

-- name: move_object
update storage.objects
set name = %(to_name)s,
    bucket_id = %(to_bucket)s,
    version = %(version)s,
    owner = coalesce(%(owner)s, owner),
    owner_id = coalesce(%(owner_id)s, owner_id)
where bucket_id = %(bucket)s and name = %(name)s and version = %(source_version)s
returning new.*, old.version as replaced_version

-- name: delete_object
delete from storage.objects where bucket_id = %(bucket)s and name = %(name)s returning *

-- name: delete_some
delete from storage.objects
where id in (select id from storage.objects where bucket_id = %(bucket)s order by id limit 500)
returning version

-- name: versions_not_in_use
select version from unnest(%(versions)s::text[]) as version
where version not in (select version from storage.objects where version is not null)

-- name: any_object
select name from storage.objects where bucket_id = %(bucket)s order by id limit 1

-- name: delete_any_object
with seen as (
    select id, name from storage.objects where bucket_id = %(bucket)s order by id limit 1
), gone as (
    delete from storage.objects as o using seen where o.id = seen.id returning o.id
)
select name, exists (select from gone) as may_be_deleted from seen

-- name: delete_named
delete from storage.objects where bucket_id = %(bucket)s and name = any(%(names)s) returning *

-- name: list_objects
with entries as (
    select path_tokens[%(level)s] as name, id, updated_at, created_at, last_accessed_at, metadata
    from storage.objects
    where bucket_id = %(bucket)s and starts_with(lower(name), lower(%(start)s))
        and array_length(path_tokens, 1) = %(level)s
    union all
    select distinct path_tokens[%(level)s], null::uuid, null::timestamptz, null::timestamptz, null::timestamptz, null::jsonb
    from storage.objects
    where bucket_id = %(bucket)s and starts_with(lower(name), lower(%(start)s))
        and array_length(path_tokens, 1) > %(level)s
), ranked as (
    select *, case %(column)s when 'updated_at' then updated_at when 'created_at' then created_at
        when 'last_accessed_at' then last_accessed_at end as moment
    from entries
)
select name, id, updated_at, created_at, last_accessed_at, metadata
from ranked
order by
    -- Folders have no times: they come first, by name, as on the real server.
    case when %(column)s <> 'name' then id is not null end,
    case when %(order)s = 'asc' then moment end, case when %(order)s = 'desc' then moment end desc,
    case when %(order)s = 'asc' then lower(name) end collate "C",
    case when %(order)s = 'desc' then lower(name) end collate "C" desc
limit %(limit)s offset %(offset)s

-- name: list_objects_v2
with entries as (
    select name as key, id, updated_at, created_at, last_accessed_at, metadata
    from storage.objects
    where bucket_id = %(bucket)s and starts_with(name, %(prefix)s)
        and not (%(delimited)s and strpos(substr(name, length(%(prefix)s) + 1), '/') > 0)
    union all
    select distinct %(prefix)s || split_part(substr(name, length(%(prefix)s) + 1), '/', 1) || '/',
        null::uuid, null::timestamptz, null::timestamptz, null::timestamptz, null::jsonb
    from storage.objects
    where bucket_id = %(bucket)s and starts_with(name, %(prefix)s)
        and %(delimited)s and strpos(substr(name, length(%(prefix)s) + 1), '/') > 0
), ranked as (
    select *, coalesce(to_char(case %(column)s when 'updated_at' then updated_at when 'created_at' then created_at
        when 'last_accessed_at' then last_accessed_at end, 'YYYYMMDDHH24MISSUS'), '') as rank
    from entries
)
select * from ranked
where %(after_key)s::text is null or case %(order)s
    when 'asc' then (rank, key collate "C") > (%(after_rank)s::text, %(after_key)s::text collate "C")
    else (rank, key collate "C") < (%(after_rank)s::text, %(after_key)s::text collate "C") end
order by
    case when %(order)s = 'asc' then rank end, case when %(order)s = 'desc' then rank end desc,
    case when %(order)s = 'asc' then key end collate "C", case when %(order)s = 'desc' then key end collate "C" desc
limit %(limit)s
