"""Captions, as a worker writes them. The SQL behind each call: supabase/migrations/*_captions.sql."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from soundscape.project.client import translate_errors
from soundscape.project.functions import Functions


@dataclass(frozen=True)
class CaptionJob:
    """One recording that a model is to be asked about, and all that it may be told."""

    audio_id: str
    token: str = field(repr=False)
    attempt: int
    title: str
    language: str
    duration_s: float | None
    descriptors: dict[str, Any] | None
    tags: list[dict[str, Any]]


class Captions(Functions):
    """The captions as one worker sees them. Methods raise what `translate_errors` raises, as `LeaseLost`."""

    async def claim(self, *, lease_s: int, max_requests: int, max_tokens: int) -> CaptionJob | None:
        """Claim a job and count its request. None if there is none, or today's budget is used up."""
        rows = await self._call(
            "claim_caption", lease_s=lease_s, max_requests=max_requests, max_tokens=max_tokens
        )
        with translate_errors("claim_caption"):
            jobs = [CaptionJob(**{each.name: row[each.name] for each in fields(CaptionJob)}) for row in rows]
        return jobs[0] if jobs else None

    async def complete(
        self, job: CaptionJob, *, caption: str, keywords: list[str], model: str, version: int, tokens: int
    ) -> None:
        """Write the caption and end the job, in one transaction."""
        await self._call(
            "complete_caption",
            recording=job.audio_id,
            token=job.token,
            caption=caption,
            keywords=keywords,
            model=model,
            version=version,
            tokens=tokens,
        )

    async def fail(
        self, job: CaptionJob, *, code: str, retry_s: int | None, tokens: int, is_counted: bool
    ) -> str:
        """End the job without a caption, or re-queue it. Returns failed or queued."""
        ending: str = await self._call(
            "fail_caption",
            recording=job.audio_id,
            token=job.token,
            code=code,
            retry_s=retry_s,
            tokens=tokens,
            is_counted=is_counted,
        )
        return ending
