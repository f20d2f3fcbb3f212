"""Bringing a Supabase project to the wanted state."""
