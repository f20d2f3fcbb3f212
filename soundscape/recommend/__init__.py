"""Recommendations from what people liked and heard: data, models, and what a model is worth.

Pure of Supabase: everything here works on a file of (user, item, weight, time).
"""
