"""Readiness: what the worker depends on, one check each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from supabase import AsyncClient

from soundscape.audio import code_folder
from soundscape.audio.tagging import models
from soundscape.errors import ProjectError
from soundscape.project.client import translate_errors
from soundscape.project.objects import AUDIO_BUCKET, WAVEFORM_BUCKET
from soundscape.sandbox.confinement import Protections
from soundscape.sandbox.protocol import CompiledCode

State = Literal["ok", "degraded", "failed"]
PROBE_TIMEOUT_S = 5.0
CACHED_S = 2.0
"""Load balancers ask often, and each answer costs three requests to the project."""
MODELS_CACHED_S = 10.0
"""Each answer reads all bytes of the models."""
CODE_CACHED_S = 60.0
"""Each answer writes a file. It changes only when somebody mounts a folder."""
SCRAPES_CACHED_S = 30.0
"""What a scrape may say of the project: Prometheus asks every worker, every few seconds."""


@dataclass(frozen=True)
class Check:
    """One check: `failed` stops the worker from working, `degraded` only makes its results poorer."""

    state: State
    reason: str = ""
    code: str = ""
    """Stable, for programs; empty where the name of the check says enough."""

    def as_dict(self, *, with_reason: bool) -> dict[str, str]:
        """Return the state and the code, and the reason where the caller may read it."""
        known = {"state": self.state} | ({"code": self.code} if self.code else {})
        return known | {"reason": self.reason} if with_reason else known


class LocalChecks:
    """Checks the models and the compiled code, and keeps each answer for a while."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._models: tuple[float, Check] | None = None
        self._code: tuple[float, CompiledCode, Check] | None = None

    def check_models(self) -> Check:
        """Do `check_models`, at most once in ten seconds."""
        now = self._clock()
        if self._models is None or now - self._models[0] >= MODELS_CACHED_S:
            self._models = now, check_models()
        return self._models[1]

    def check_code(self, code: CompiledCode) -> Check:
        """Do `check_code`, at most once in a minute for the same children."""
        now = self._clock()
        if self._code is None or now - self._code[0] >= CODE_CACHED_S or self._code[1] != code:
            self._code = now, code, check_code(code)
        return self._code[2]


class ProjectHealth:
    """Checks the project's database and storage, and keeps the answers for a while."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._lock = asyncio.Lock()
        self._checked_at = 0.0
        self._checks: dict[str, Check] = {}

    async def run_checks(self, *, max_age_s: float = CACHED_S) -> dict[str, Check]:
        """Check `database` and `storage`, unless the latest answers are younger than `max_age_s`."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if not self._checks or now - self._checked_at >= max_age_s:
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


def check_code(code: CompiledCode) -> Check:
    """Check that machine code outlives the worker: else each of its starts compiles it anew."""
    if code.compiled and not code_folder.is_lasting():
        return Check(
            "degraded",
            f"{code.compiled} functions were compiled at the start, and cannot be kept. Set NUMBA_CACHE_DIR "
            "to a folder that this user can write, or run `python -m soundscape.sandbox.warm_up` when the "
            "image is built.",
        )
    return Check("ok")


async def _run(probe: Awaitable[None]) -> Check:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await probe
    except ProjectError as error:
        return Check("failed", error.message)
    except TimeoutError:
        return Check("failed", f"no answer within {PROBE_TIMEOUT_S:.0f} s")
    return Check("ok")
