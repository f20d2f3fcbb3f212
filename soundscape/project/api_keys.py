"""A user's API keys: made, listed and revoked by them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from soundscape.errors import ProjectError
from soundscape.project.client import translate_errors
from soundscape.project.functions import Functions

Scope = Literal["read", "upload", "all"]


class ApiKeys(Functions):
    """The keys of the signed-in user. Methods raise what `translate_errors` raises."""

    async def make(self, name: str, *, scope: Scope, days: int | None = None) -> dict[str, Any]:
        """Make a key.

        Parameters
        ----------
        name
            What the owner calls it.
        scope
            What its sessions may do.
        days
            How long it lasts; None: until it is revoked.

        Returns
        -------
        dict
            `id`, `prefix`, and `key`, which cannot be read again.
        """
        ends = None if days is None else (datetime.now(UTC) + timedelta(days=days)).isoformat()
        (made,) = await self._call("create_api_key", name=name, scope=scope, expires_at=ends)
        return dict(made)

    async def list(self) -> list[dict[str, Any]]:
        """List the keys, the newest first."""
        with translate_errors("api_keys"):
            query = self._client.table("api_keys").select("*").order("created_at", desc=True)
            found: Any = (await query.execute()).data
        return [dict(row) for row in found]

    async def revoke(self, which: str) -> dict[str, Any]:
        """Revoke a key by its id, its prefix or its name, and return its row.

        Raises
        ------
        ProjectError
            If there is no such key, or several that are in force.
        """
        keys = [row for row in await self.list() if which in (row["id"], row["prefix"], row["name"])]
        found = [row for row in keys if row["revoked_at"] is None] or keys[:1]
        if len(found) != 1:
            raise ProjectError(
                f"{len(found)} API keys are called {which}.",
                code="api_key_unknown" if not found else "api_key_ambiguous",
                remedy="Name it by its id: soundscape keys list.",
            )
        ended = await self._call("revoke_api_key", key=found[0]["id"])
        return found[0] | {"revoked_at": ended}
