-- Buckets and objects, in the shape of the Storage server's own migrations. The bytes lie beside the database; a row
-- here is the truth about them.
set local role supabase_storage_admin;

create type storage.buckettype as enum ('STANDARD', 'ANALYTICS', 'VECTOR');

create table storage.buckets (
    id text primary key,
    name text not null,
    owner uuid,
    created_at timestamptz default now(),
    updated_at timestamptz default now(),
    public boolean default false,
    avif_autodetection boolean default false,
    file_size_limit bigint,
    allowed_mime_types text[],
    owner_id text,
    type storage.buckettype not null default 'STANDARD'
);
create unique index bname on storage.buckets (name);
comment on column storage.buckets.owner is 'Field is deprecated, use owner_id instead';

create table storage.objects (
    id uuid primary key default gen_random_uuid(),
    bucket_id text constraint "objects_bucketId_fkey" references storage.buckets,
    name text,
    owner uuid,
    created_at timestamptz default now(),
    updated_at timestamptz default now(),
    last_accessed_at timestamptz default now(),
    metadata jsonb,
    path_tokens text[] generated always as (string_to_array(name, '/')) stored,
    version text,
    owner_id text,
    user_metadata jsonb
);
create unique index bucketid_objname on storage.objects (bucket_id, name);
create index idx_objects_bucket_id_name on storage.objects (bucket_id, name collate "C");
create index name_prefix_search on storage.objects (name text_pattern_ops);
comment on column storage.objects.owner is 'Field is deprecated, use owner_id instead';

alter table storage.buckets enable row level security;
alter table storage.objects enable row level security;

create function storage.filename(name text) returns text
language sql immutable as $$
    select parts[array_length(parts, 1)] from string_to_array(name, '/') as parts
$$;

create function storage.foldername(name text) returns text[]
language sql immutable as $$
    select parts[1 : array_length(parts, 1) - 1] from string_to_array(name, '/') as parts
$$;

-- The part after the last dot of the file's name; the whole name without a dot.
create function storage.extension(name text) returns text
language sql immutable as $$
    select reverse(split_part(reverse(storage.filename(name)), '.', 1))
$$;

create function storage.operation() returns text
language sql stable as $$
    select current_setting('storage.operation', true)
$$;

-- Policies may name the operation with or without its prefix: 'object.list' is 'storage.object.list'.
create function storage.allow_any_operation(expected_operations text[]) returns boolean
language sql stable as $$
    select coalesce(regexp_replace(storage.operation(), '^storage\.', '') = any (
        select regexp_replace(expected, '^storage\.', '') from unnest(expected_operations) as expected
        where expected <> ''
    ), false)
$$;

create function storage.allow_only_operation(expected_operation text) returns boolean
language sql stable as $$
    select storage.allow_any_operation(array[expected_operation])
$$;

create function storage.get_size_by_bucket() returns table (size bigint, bucket_id text)
language sql stable as $$
    select coalesce(sum((metadata ->> 'size')::bigint), 0)::bigint, bucket_id
    from storage.objects group by bucket_id
$$;

create function storage.update_updated_at_column() returns trigger
language plpgsql as $$
begin
    new.updated_at = now();
    return new;
end
$$;
create trigger update_objects_updated_at before update on storage.objects
    for each row execute function storage.update_updated_at_column();

-- A row deleted by SQL would leave its bytes behind: only the Storage API deletes.
create function storage.protect_delete() returns trigger
language plpgsql as $$
begin
    if coalesce(current_setting('storage.allow_delete_query', true), 'false') <> 'true' then
        raise exception 'Direct deletion from storage tables is not allowed. Use the Storage API instead.'
            using errcode = '42501',
                  hint = 'This prevents accidental data loss from orphaned objects.';
    end if;
    return null;
end
$$;
create trigger protect_buckets_delete before delete on storage.buckets
    for each statement execute function storage.protect_delete();
create trigger protect_objects_delete before delete on storage.objects
    for each statement execute function storage.protect_delete();

create function storage.enforce_bucket_name_length() returns trigger
language plpgsql as $$
begin
    if length(new.name) > 100 then
        raise exception 'bucket name "%" is too long (% characters). Max is 100.', new.name, length(new.name);
    end if;
    return new;
end
$$;
create trigger enforce_bucket_name_length_trigger before insert or update of name on storage.buckets
    for each row execute function storage.enforce_bucket_name_length();

grant all on storage.buckets, storage.objects to anon, authenticated, service_role;
grant all on storage.buckets, storage.objects to postgres with grant option;

reset role;
