"""Readiness: what the worker depends on, one check each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Literal

from supabase import AsyncClient

from soundscape.audio.tagging import models
from soundscape.errors import ProjectError
from soundscape.project.client import translate_errors
from soundscape.project.objects import AUDIO_BUCKET, WAVEFORM_BUCKET
from soundscape.sandbox.confinement import Protections

State = Literal["ok", "degraded", "failed"]
PROBE_TIMEOUT_S = 5.0
CACHED_S = 2.0
"""Load balancers ask often, and each answer costs a query."""


@dataclass(frozen=True)
class Check:
    """One check: `failed` stops the worker from working, `degraded` only makes its results poorer."""

    state: State
    reason: str = ""

    def as_dict(self, *, with_reason: bool) -> dict[str, str]:
        """Return the state, and the reason where the caller may read it."""
        return {"state": self.state, "reason": self.reason} if with_reason else {"state": self.state}


class ProjectHealth:
    """Checks the project's database and storage, at most once in two seconds."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._lock = asyncio.Lock()
        self._checked_at = -CACHED_S
        self._checks: dict[str, Check] = {}

    async def run_checks(self) -> dict[str, Check]:
        """Check `database` and `storage`."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if now - self._checked_at >= CACHED_S:
                database, storage = await asyncio.gather(
                    _run(self._ask_database()), _run(self._ask_storage())
                )
                self._checks = {"database": database, "storage": storage}
                self._checked_at = asyncio.get_running_loop().time()
            return self._checks

    async def _ask_database(self) -> None:
        with translate_errors("reading audio_files"):
            await self._client.table("audio_files").select("id").limit(1).execute()

    async def _ask_storage(self) -> None:
        for bucket in (AUDIO_BUCKET, WAVEFORM_BUCKET):
            with translate_errors(f"looking for the bucket {bucket}"):
                await self._client.storage.get_bucket(bucket)


def check_models() -> Check:
    """Check the models: without one a stage is skipped, one with the wrong bytes is a failure."""
    try:
        found = models.statuses()
    except OSError as error:
        return Check("failed", f"the models cannot be read: {error.strerror}")
    wrong = [status.model.name for status in found if status.state == "corrupt"]
    missing = [status.model.name for status in found if status.state == "missing"]
    if wrong:
        return Check("failed", f"{', '.join(wrong)}: wrong checksum. Run `soundscape models pull`.")
    if missing:
        return Check("degraded", f"{', '.join(missing)} is missing. Run `soundscape models pull`.")
    return Check("ok")


def check_sandbox(protections: Protections) -> Check:
    """Check the confinement of the children: a kernel may not support every protection."""
    # A worker that is not root cannot change the user of its children. The other protections suffice.
    missing = {name: why for name, why in protections.off.items() if name != "user"}
    if not missing and "files" in protections.on:
        return Check("ok")
    return Check("degraded", "; ".join(f"no {name}: {why}" for name, why in missing.items()))


async def _run(probe: Awaitable[None]) -> Check:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await probe
    except ProjectError as error:
        return Check("failed", error.message)
    except TimeoutError:
        return Check("failed", f"no answer within {PROBE_TIMEOUT_S:.0f} s")
    return Check("ok")
