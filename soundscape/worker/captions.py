"""Captions: a language model writes a sentence or two from what was measured. It never gets the sound.

Where a setting says so, it gets the picture of the spectrogram too.

Without a key this work does not run, and the database says `skipped`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from io import BytesIO
from typing import Any

import structlog

from soundscape.errors import LeaseLost, PolicyRefusal, ProjectError
from soundscape.project.captions import CaptionJob, Captions
from soundscape.project.objects import WAVEFORM_BUCKET, Objects
from soundscape.settings import Settings
from soundscape.worker.background import BackgroundWork
from soundscape.worker.grok import PROMPT_VERSION, TIMEOUT_S, CaptionFailure, Grok

log = structlog.get_logger(__name__)

LEASE_S = int(2 * TIMEOUT_S)
MAX_TITLE_CHARS = 200
SECTIONS = ("loudness", "rhythm", "tonality", "spectral")
NAMED = frozenset({"key", "mode"})
"""Measured texts. Other texts of a record may come from the file, and from whoever made it."""
MAX_PICTURE_BYTES = 1_000_000
"""Of a spectrogram. A larger one is not sent."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def pick_facts(job: CaptionJob) -> dict[str, Any]:
    """What the model is told: title, length, numbers that were measured, and tags with their times."""
    facts: dict[str, Any] = {
        "title": job.title[:MAX_TITLE_CHARS],
        "duration_s": job.duration_s,
        "tags": job.tags,
    }
    for section in SECTIONS:
        values = (job.descriptors or {}).get(section)
        if isinstance(values, dict):
            facts[section] = {name: value for name, value in values.items() if _is_measured(name, value)}
    return facts


def _is_measured(name: str, value: Any) -> bool:
    return isinstance(value, bool | int | float) or (name in NAMED and isinstance(value, str))


class CaptionWork(BackgroundWork):
    """Claims recordings and asks the model, until it is cancelled.

    Parameters
    ----------
    captions, objects
        The project.
    grok
        The model.
    settings
        The worker's: what a day may cost.
    may_work
        Whether the project's schema fits this worker.
    """

    name = "captions"

    def __init__(
        self,
        captions: Captions,
        objects: Objects,
        grok: Grok,
        settings: Settings,
        *,
        may_work: Callable[[], bool],
    ) -> None:
        super().__init__(interval_s=settings.poll_max_s)
        self._captions = captions
        self._objects = objects
        self._grok = grok
        self._settings = settings
        self._may_work = may_work
        self._paused_until_s = 0.0

    async def run_next(self) -> bool:
        """Write one caption. False if there is none to write, or the model cannot be asked now.

        Raises
        ------
        ProjectError
            If the project does not answer. The lease runs out, and another attempt follows.
        """
        loop = asyncio.get_running_loop()
        if loop.time() < self._paused_until_s or not self._may_work():
            return False
        job = await self._captions.claim(
            lease_s=LEASE_S,
            max_requests=self._settings.grok_requests_per_day,
            max_tokens=self._settings.grok_tokens_per_day,
        )
        if job is None:
            return False
        try:
            await self._write(job)
        except LeaseLost:
            log.info("a caption is not wanted any more", **{"audio.id": job.audio_id})
        return True

    async def _write(self, job: CaptionJob) -> None:
        png = await self._read_spectrogram(job) if self._settings.grok_spectrogram else None
        try:
            caption = await self._grok.describe(pick_facts(job), language=job.language, png=png)
        except CaptionFailure as failure:
            if failure.pauses and failure.retry_s is not None:
                self._paused_until_s = asyncio.get_running_loop().time() + failure.retry_s
            log.warning(
                "a caption was not written",
                **{"audio.id": job.audio_id},
                code=failure.code,
                error=failure.message,
            )
            await self._captions.fail(
                job,
                code=failure.code,
                retry_s=failure.retry_s,
                tokens=failure.tokens,
                is_counted=failure.is_counted,
            )
            return
        await self._captions.complete(
            job,
            caption=caption.text,
            keywords=caption.keywords,
            model=self._grok.model,
            version=PROMPT_VERSION,
            tokens=caption.tokens,
        )

    async def _read_spectrogram(self, job: CaptionJob) -> bytes | None:
        """The stored picture. None if there is none that can be sent: the caption is written without it."""
        name = ((job.descriptors or {}).get("pictures") or {}).get("spectrogram")
        # The folder of this recording: a record that names another's picture does not send it.
        if not isinstance(name, str) or not name.startswith(f"{job.audio_id}/"):
            return None
        png = BytesIO()
        try:
            await self._objects.fetch(WAVEFORM_BUCKET, name, png, max_bytes=MAX_PICTURE_BYTES)
        except (ProjectError, PolicyRefusal) as error:
            log.info(
                "a caption is written without the picture", **{"audio.id": job.audio_id}, error=str(error)
            )
            return None
        return png.getvalue() if png.getvalue().startswith(PNG_SIGNATURE) else None
