"""`soundscape env`: what a frontend is told."""

from __future__ import annotations

from soundscape.cli.env import for_next


def test_a_frontend_is_told_nothing_secret() -> None:
    settings = {
        "SUPABASE_URL": "http://127.0.0.1:8000",
        "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_x",
        "SUPABASE_SECRET_KEY": "sb_secret_x",
        "SUPABASE_SERVICE_ROLE_KEY": "service",
        "SUPABASE_JWT_SECRET": "jwt",
        "SUPABASE_DB_URL": "postgresql://",
        "SOUNDSCAPE_WEBHOOK_SECRET": "whsec_x",
        "SOUNDSCAPE_WORKER_URL": "http://127.0.0.1:8000",
    }
    told = for_next(settings)
    assert all(name.startswith("NEXT_PUBLIC_") for name in told)
    assert set(told.values()) == {"http://127.0.0.1:8000", "sb_publishable_x"}
