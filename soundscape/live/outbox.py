"""Answers that wait for a slow reader: the newest of each kind, and how many were merged into it."""

from __future__ import annotations

import asyncio
from typing import Any

from soundscape.live.answers import MERGED_KINDS

Answer = dict[str, Any]


class Outbox:
    """Never longer than the kinds that there are, and the few messages of which none may be missed."""

    def __init__(self) -> None:
        self._waiting: dict[str | int, Answer] = {}
        self._merged: dict[str | int, int] = {}
        self._number = 0
        self._filled = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, *answers: Answer) -> None:
        """Add answers. One that is merged takes the older one's place; `flushed` is the last."""
        for answer in answers:
            kind: str | int = answer["type"]
            if kind not in MERGED_KINDS:
                self._number += 1
                kind = self._number
            elif kind in self._waiting:
                self._merged[kind] = self._merged.get(kind, 0) + 1
                if kind == "flushed":
                    # It stands for all answers before it.
                    del self._waiting[kind]
            self._waiting[kind] = answer
        self._filled.set()

    def close(self) -> None:
        """Say that nothing more comes."""
        self._closed = True
        self._filled.set()

    async def take(self) -> list[Answer]:
        """Wait for answers and take all of them; none once the outbox is closed and empty."""
        while not self._waiting and not self._closed:
            self._filled.clear()
            await self._filled.wait()
        taken = [
            {**answer, "merged": self._merged[kind]} if kind in self._merged else answer
            for kind, answer in self._waiting.items()
        ]
        self._waiting, self._merged = {}, {}
        return taken
