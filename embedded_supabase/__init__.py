"""A Supabase project on 127.0.0.1: real Postgres with Auth, REST, Storage and Realtime.

For development and tests only.
"""
