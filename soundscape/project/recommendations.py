"""Recommendation models and the choices behind them: supabase/migrations/*_recommendation_models.sql."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from soundscape.project.client import translate_errors
from soundscape.project.functions import Functions

PEOPLE_PER_PAGE = 500
RECORDINGS_PER_CALL = 250
Row = dict[str, Any]


@dataclass(frozen=True)
class FitLease:
    """The right to fit a model. `token` fences its writes; `in_force` is the row of the model in use."""

    token: str
    space: str | None
    listed: int
    """How many recordings there are to recommend."""
    in_force: Row | None
    weights: Row
    """The weights that recommended_audio serves with."""


@dataclass(frozen=True)
class FitPostponed:
    """No fit now: another one holds the lease, or none is due. `until` says when that ends."""

    until: datetime
    held: bool


class Recommendations(Functions):
    """Models in the project's database. Every method raises `ProjectUnreachable` or `ProjectError`.

    Those that take a lease also raise `LeaseLost` if another fit holds it now.
    """

    async def begin(self, *, every_h: float | None = None) -> FitLease | FitPostponed:
        """Take the lease, unless it is held or the last fit began less than `every_h` hours ago."""
        answer = await self._call("begin_fit", every_h=every_h)
        with translate_errors("begin_fit"):
            if "token" in answer:
                return FitLease(
                    answer["token"], answer["space"], answer["listed"], answer["in_force"], answer["weights"]
                )
            held = "held_until" in answer
            return FitPostponed(datetime.fromisoformat(answer["held_until" if held else "due_at"]), held)

    async def end(self, lease: FitLease) -> None:
        """Release the lease."""
        await self._call("end_fit", token=lease.token)

    async def history(self) -> AsyncIterator[Row]:
        """Read what people chose among listed recordings of others, in columns: user, item, weight, time."""
        after: str | None = None
        while True:
            page: Row = await self._call("fit_history", after=after, max_people=PEOPLE_PER_PAGE)
            if page["after"] is None:
                return
            yield page
            after = page["after"]

    async def embeddings(self, recordings: Sequence[str], space: str) -> dict[str, str]:
        """Read the embeddings of recordings, as pgvector prints them. Those of other spaces are left out."""
        found: dict[str, str] = {}
        for part in _parts(recordings):
            found |= await self._call("fit_embeddings", recordings=part, space=space)
        return found

    async def items(self, model: int, recordings: Sequence[str]) -> list[Row]:
        """Read the rows of a model for recordings."""
        found: list[Row] = []
        for part in _parts(recordings):
            found += await self._call("model_items", model=model, recordings=part)
        return found

    async def stage(
        self, lease: FitLease, model: Row, *, map_rows: Sequence[Row] = (), refused: bool = False
    ) -> int:
        """Begin to write a model, or record one that was refused."""
        found: int = await self._call(
            "stage_model", token=lease.token, model=model, map=list(map_rows), refused=refused
        )
        return found

    async def stage_items(self, lease: FitLease, model: int, items: Sequence[Row]) -> None:
        """Write factors and neighbours of recordings."""
        for part in _parts(items):
            await self._call("stage_items", token=lease.token, model=model, items=part)

    async def stage_cold(self, lease: FitLease, model: int) -> int:
        """Place the recordings that the model was not fitted on. Returns how many."""
        after: str | None = None
        placed = 0
        while True:
            answer = await self._call("stage_cold", token=lease.token, model=model, after=after)
            if answer["after"] is None:
                return placed
            after, placed = answer["after"], placed + answer["placed"]

    async def publish(self, lease: FitLease, model: int) -> None:
        """Put this model into use."""
        await self._call("publish_model", token=lease.token, model=model)

    async def clear(self, lease: FitLease) -> None:
        """Delete the rows of models that are no longer in use."""
        while await self._call("clear_models", token=lease.token):
            pass

    async def models(self, limit: int = 10) -> list[Row]:
        """List the model in use and the latest others."""
        found: list[Row] = await self._call("list_models", max_models=limit)
        return found


def _parts(whole: Sequence[Any]) -> list[list[Any]]:
    return [list(whole[at : at + RECORDINGS_PER_CALL]) for at in range(0, len(whole), RECORDINGS_PER_CALL)]
