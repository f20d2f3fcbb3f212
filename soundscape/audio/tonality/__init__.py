"""Tuning, chroma and key."""
