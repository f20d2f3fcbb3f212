"""Passwords of the tests guard nothing. To hash one as for users takes 75 ms of CPU, to compare one too."""

from __future__ import annotations

from embedded_supabase.auth import users

WORK_FACTOR = users.WORK_FACTOR
"""What users have."""


def make_cheap() -> None:
    """Let bcrypt take as little as it can, about a millisecond."""
    users.WORK_FACTOR = 4
