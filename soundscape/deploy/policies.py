"""Grants, policies and buckets: the files of `supabase/policies`, always applied all together."""

from __future__ import annotations

from soundscape.deploy import sources
from soundscape.deploy.connection import Part


def make_parts() -> list[Part]:
    """Return every file. Each may run again over itself."""
    return [Part(f"policies/{name}", text) for name, text in sources.policies()]
