"""Auth hooks: functions of ours that Supabase Auth calls. Only the Management API sets them."""

from __future__ import annotations

import tomllib
from typing import Any

from soundscape.deploy import sources
from soundscape.deploy.connection import ManagementApi


def read_wanted() -> dict[str, str]:
    """Return the hooks that `supabase/config.toml` enables: name → `pg-functions://…`."""
    config = tomllib.loads((sources.get_folder() / "config.toml").read_text())
    hooks: dict[str, dict[str, Any]] = config.get("auth", {}).get("hook", {})
    return {name: str(hook["uri"]) for name, hook in hooks.items() if hook.get("enabled")}


def find_outdated(api: ManagementApi) -> list[str]:
    """Return the hooks that the project does not call as it should."""
    if not read_wanted():
        return []
    config = api.request("GET", "config/auth", where="reading the Auth settings")
    return [
        name
        for name, uri in read_wanted().items()
        if not config.get(f"hook_{name}_enabled") or config.get(f"hook_{name}_uri") != uri
    ]


def enable_hook(api: ManagementApi, name: str) -> None:
    """Have Auth call the hook from now on."""
    settings = {f"hook_{name}_enabled": True, f"hook_{name}_uri": read_wanted()[name]}
    api.request("PATCH", "config/auth", where=f"enabling the hook {name}", json=settings)
