-- What a new hosted project has before anybody asks: these are `create extension` there too.
create extension pgcrypto with schema extensions;
create extension "uuid-ossp" with schema extensions;
create extension supabase_vault;
create extension pg_net with schema extensions;
