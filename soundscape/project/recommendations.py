"""What people chose, and models of it. The SQL behind it: supabase/migrations/*_recommendation_models.sql."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from soundscape.project.client import translate_errors
from soundscape.project.functions import Functions

PEOPLE_AT_ONCE = 500
RECORDINGS_AT_ONCE = 250
Row = dict[str, Any]


@dataclass(frozen=True)
class FitLease:
    """The right to fit: `token` fences every write. `in_force` is the row of the model that serves."""

    token: str
    space: str | None
    listed: int
    """How many recordings there are to recommend."""
    in_force: Row | None
    weights: Row
    """The weights that recommended_audio serves with."""


@dataclass(frozen=True)
class NotNow:
    """Somebody else has the lease, or none is due yet; until when."""

    until: datetime
    held: bool


class Recommendations(Functions):
    """Models and what they are learnt from. Every method raises `ProjectUnreachable` or `ProjectError`, and
    those that take a lease `LeaseLost` when somebody else has it by now."""

    async def begin(self, *, every_h: float | None = None) -> FitLease | NotNow:
        """Take the lease, unless somebody has it or `every_h` hours have not passed since the last."""
        answer = await self._call("begin_fit", every_h=every_h)
        with translate_errors("begin_fit"):
            if "token" in answer:
                return FitLease(
                    answer["token"], answer["space"], answer["listed"], answer["in_force"], answer["weights"]
                )
            held = "held_until" in answer
            return NotNow(datetime.fromisoformat(answer["held_until" if held else "due_at"]), held)

    async def end(self, lease: FitLease) -> None:
        """Give the lease back."""
        await self._call("end_fit", token=lease.token)

    async def history(self) -> AsyncIterator[Row]:
        """What people chose among listed recordings of others, in columns: user, item, weight, time."""
        after: str | None = None
        while True:
            page: Row = await self._call("fit_history", after=after, max_people=PEOPLE_AT_ONCE)
            if page["after"] is None:
                return
            yield page
            after = page["after"]

    async def embeddings(self, recordings: Sequence[str], space: str) -> dict[str, str]:
        """Where recordings lie, as pgvector prints it; those of other spaces are left out."""
        found: dict[str, str] = {}
        for part in _parts(recordings):
            found |= await self._call("fit_embeddings", recordings=part, space=space)
        return found

    async def items(self, model: int, recordings: Sequence[str]) -> list[Row]:
        """What a model says of recordings."""
        found: list[Row] = []
        for part in _parts(recordings):
            found += await self._call("model_items", model=model, recordings=part)
        return found

    async def stage(
        self, lease: FitLease, model: Row, *, map_rows: Sequence[Row] = (), refused: bool = False
    ) -> int:
        """Begin to write a model, or note one that was refused."""
        found: int = await self._call(
            "stage_model", token=lease.token, model=model, map=list(map_rows), refused=refused
        )
        return found

    async def stage_items(self, lease: FitLease, model: int, items: Sequence[Row]) -> None:
        """Write places and neighbours of recordings."""
        for part in _parts(items):
            await self._call("stage_items", token=lease.token, model=model, items=part)

    async def stage_cold(self, lease: FitLease, model: int) -> int:
        """Place all that the model has not learnt of; how many."""
        after: str | None = None
        placed = 0
        while True:
            answer = await self._call("stage_cold", token=lease.token, model=model, after=after)
            if answer["after"] is None:
                return placed
            after, placed = answer["after"], placed + answer["placed"]

    async def publish(self, lease: FitLease, model: int) -> None:
        """From now on this model serves."""
        await self._call("publish_model", token=lease.token, model=model)

    async def clear(self, lease: FitLease) -> None:
        """Delete what models say that serve no more."""
        while await self._call("clear_models", token=lease.token):
            pass

    async def models(self, most: int = 10) -> list[Row]:
        """The model in force and the latest others."""
        found: list[Row] = await self._call("list_models", max_models=most)
        return found


def _parts(whole: Sequence[Any]) -> list[list[Any]]:
    return [list(whole[at : at + RECORDINGS_AT_ONCE]) for at in range(0, len(whole), RECORDINGS_AT_ONCE)]
