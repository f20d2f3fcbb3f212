"""Supabase Auth (GoTrue) as the real clients speak it, served from `auth.users` on our own Postgres."""
