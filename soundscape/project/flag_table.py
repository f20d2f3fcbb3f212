"""The table of feature flags, for its operator."""

from __future__ import annotations

from typing import Any

from soundscape.errors import ProjectError
from soundscape.project.client import translate_errors
from soundscape.project.functions import Functions

Row = dict[str, Any]


class FlagTable(Functions):
    """Reads and changes flags with the project's secret key. Methods raise what `translate_errors` raises."""

    async def list(self) -> list[Row]:
        """Every flag, by key."""
        with translate_errors("reading the flags"):
            rows: Any = (await self._client.table("feature_flags").select("*").order("key").execute()).data
        return list(rows)

    async def set(self, key: str, change: Row) -> Row:
        """Change a flag. Raises `ProjectError` (`flag_unknown`) if there is none of this key."""
        with translate_errors(f"changing the flag {key}"):
            rows: Any = (
                await self._client.table("feature_flags").update(change).eq("key", key).execute()
            ).data
        if not rows:
            raise ProjectError(
                f"There is no flag {key}.", code="flag_unknown", remedy="soundscape flags list names them."
            )
        return dict(rows[0])
