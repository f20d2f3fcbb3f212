"""SoundScape: a Supabase project becomes a home for recordings."""

__version__ = "0.1.0"
