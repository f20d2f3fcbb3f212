"""A Supabase project as the worker uses it: a URL and a secret key, nothing else."""
