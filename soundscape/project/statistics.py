"""Figures of recordings and of the project. The SQL: supabase/migrations/*_statistics.sql."""

from __future__ import annotations

from typing import Any

from soundscape.project.functions import Functions


class Statistics(Functions):
    """The figures, as the worker sees them. Methods raise what `translate_errors` raises."""

    async def record_download(self, audio_id: str, listener: str) -> bool:
        """Count a download by a user's id or a network address. False if it was counted today already."""
        return bool(await self._call("record_download", recording=audio_id, listener=listener))

    async def roll_up(self) -> int:
        """Add what has arrived to the figures. Returns how many events were added; 0 if none was left."""
        return int(await self._call("roll_up_stats"))

    async def read_project(self, *, days: int = 30) -> dict[str, Any]:
        """The project in figures, as `project_stats()` answers, with the last `days` days one by one."""
        found: dict[str, Any] = await self._call("project_stats", days=days)
        return found
