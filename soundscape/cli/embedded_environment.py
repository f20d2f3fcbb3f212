"""The settings that a client of an embedded project needs. Nothing here imports what runs one."""

from __future__ import annotations

import os
from pathlib import Path

from embedded_supabase import lock
from embedded_supabase.errors import EmbeddedError
from embedded_supabase.keys import Keys


def get_command() -> str:
    """Return what people type to run this program; in a checkout that is `scripts/soundscape`."""
    return os.environ.get("SOUNDSCAPE_COMMAND", "soundscape")


def make_environment(url: str, keys: Keys, db_url: str) -> dict[str, str]:
    """Return what `soundscape env` prints."""
    return {
        "SUPABASE_URL": url,
        "SUPABASE_ANON_KEY": keys.anon_jwt,
        "SUPABASE_PUBLISHABLE_KEY": keys.publishable_key,
        "SUPABASE_SERVICE_ROLE_KEY": keys.service_role_jwt,
        "SUPABASE_SECRET_KEY": keys.secret_key,
        "SUPABASE_JWT_SECRET": keys.jwt_secret,
        "SUPABASE_DB_URL": db_url,
        "SOUNDSCAPE_WEBHOOK_SECRET": keys.webhook_secret,
        "SOUNDSCAPE_WORKER_URL": url,
    }


def read_environment(data_dir: Path) -> dict[str, str]:
    """Return the settings of the project that runs in `data_dir`.

    Raises
    ------
    EmbeddedError
        No project runs there, or it is still starting.
    """
    owner = lock.read(data_dir)
    if owner is not None and "db_url" not in owner:
        raise EmbeddedError(
            f"The embedded Supabase in {data_dir} is still starting.",
            code="not_running",
            remedy="Ask again in a moment.",
        )
    if owner is None:
        raise EmbeddedError(
            f"No embedded Supabase runs in {data_dir}.",
            code="not_running",
            remedy=f"Start one: {get_command()} dev --data-dir {data_dir}",
        )
    keys = Keys.load_or_make(data_dir / "keys.json")
    return make_environment(str(owner["url"]), keys, str(owner["db_url"]))
