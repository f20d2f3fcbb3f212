-- The extensions of a new hosted project.
create extension pgcrypto with schema extensions;
create extension "uuid-ossp" with schema extensions;
create extension supabase_vault;
create extension pg_net with schema extensions;
