"""What the worker stands on, each by name, as readiness tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Literal

from supabase import AsyncClient

from soundscape.audio.tagging import models
from soundscape.errors import ProjectError
from soundscape.project.client import translated
from soundscape.project.objects import AUDIO_BUCKET, WAVEFORM_BUCKET
from soundscape.sandbox.confinement import Protections

State = Literal["ok", "degraded", "failed"]
PROBE_TIMEOUT_S = 5.0
GOOD_FOR_S = 2.0
"""Balancers ask often, and each answer is a query."""


@dataclass(frozen=True)
class Check:
    """One thing: `failed` keeps work from the worker, `degraded` only makes it poorer."""

    state: State
    reason: str = ""

    def as_dict(self, *, with_reason: bool) -> dict[str, str]:
        return {"state": self.state, "reason": self.reason} if with_reason else {"state": self.state}


class ProjectHealth:
    """Asks the project's database and storage, at most once in two seconds."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._asking = asyncio.Lock()
        self._asked_at = -GOOD_FOR_S
        self._found: dict[str, Check] = {}

    async def checks(self) -> dict[str, Check]:
        """`database` and `storage`."""
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if now - self._asked_at >= GOOD_FOR_S:
                database, storage = await asyncio.gather(
                    _checked(self._ask_database()), _checked(self._ask_storage())
                )
                self._found = {"database": database, "storage": storage}
                self._asked_at = asyncio.get_running_loop().time()
            return self._found

    async def _ask_database(self) -> None:
        with translated("reading audio_files"):
            await self._client.table("audio_files").select("id").limit(1).execute()

    async def _ask_storage(self) -> None:
        for bucket in (AUDIO_BUCKET, WAVEFORM_BUCKET):
            with translated(f"looking for the bucket {bucket}"):
                await self._client.storage.get_bucket(bucket)


def models_check() -> Check:
    """Without its model a worker skips a stage and says so; with a wrong one something is amiss."""
    try:
        found = models.statuses()
    except OSError as error:
        return Check("failed", f"the models cannot be read: {error.strerror}")
    wrong = [status.model.name for status in found if status.state == "corrupt"]
    missing = [status.model.name for status in found if status.state == "missing"]
    if wrong:
        return Check("failed", f"{', '.join(wrong)}: not the right bytes. Run `soundscape models pull`.")
    if missing:
        return Check("degraded", f"{', '.join(missing)} is not here. Run `soundscape models pull`.")
    return Check("ok")


def sandbox_check(protections: Protections) -> Check:
    """Strangers' files are always decoded in a child; a kernel may not grant all that should hold it."""
    # A worker that is not root has no other user to give: the rest holds its children.
    missing = {name: why for name, why in protections.off.items() if name != "user"}
    if not missing and "files" in protections.on:
        return Check("ok")
    return Check("degraded", "; ".join(f"no {name}: {why}" for name, why in missing.items()))


async def _checked(asking: Awaitable[None]) -> Check:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await asking
    except ProjectError as error:
        return Check("failed", error.message)
    except TimeoutError:
        return Check("failed", f"no answer within {PROBE_TIMEOUT_S:.0f} s")
    return Check("ok")
