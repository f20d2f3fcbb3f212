"""Checks of profile images, as a worker makes them. The SQL: supabase/migrations/*_profile_images.sql."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from soundscape.errors import Refusal
from soundscape.project.client import translate_errors
from soundscape.project.functions import Functions


@dataclass(frozen=True)
class ImageCheck:
    """One file that this worker has to decode."""

    object_id: str
    token: str = field(repr=False)
    attempt: int
    name: str
    version: str | None
    media_type: str
    size_bytes: int | None
    etag: str | None
    max_bytes: int


class ImageChecks(Functions):
    """The checks as one worker sees them. Methods raise what `translate_errors` raises, as `LeaseLost`."""

    async def claim(self, *, lease_s: int) -> ImageCheck | None:
        """Claim a check; None if there is nothing to do."""
        rows = await self._call("claim_image_check", lease_s=lease_s)
        with translate_errors("claim_image_check"):
            checks = [
                ImageCheck(**{each.name: row[each.name] for each in fields(ImageCheck)}) for row in rows
            ]
        return checks[0] if checks else None

    async def accept(self, check: ImageCheck) -> None:
        """Note that the file is an image."""
        await self._call("complete_image_check", object_id=check.object_id, token=check.token)

    async def refuse(self, check: ImageCheck, refusal: Refusal) -> None:
        """End the check: the file is deleted, and its owner is notified."""
        await self._call(
            "complete_image_check",
            object_id=check.object_id,
            token=check.token,
            error_code=refusal.code,
            error_message=str(refusal).replace("\x00", "").encode("utf-8", "replace").decode(),
        )
