"""Profile images: decoded in a confined child. What is no image is deleted, and its owner is notified.

A worker that is killed meanwhile has changed nothing: the check is taken again. Its end is one call.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from soundscape.errors import AnalysisCrashed, Refusal
from soundscape.project.image_checks import ImageCheck, ImageChecks
from soundscape.project.objects import Objects, ObjectVersion
from soundscape.sandbox.image import REMEDY
from soundscape.sandbox.parent import Sandbox
from soundscape.worker.background import BackgroundWork

log = structlog.get_logger(__name__)

IMAGE_BUCKET = "profile-images"
LEASE_S = 180
MAX_DECODING_S = 60.0
MAX_CRASHES = 3
"""Attempts after which a file that ends its child each time counts as no image."""


class ProfileImages(BackgroundWork):
    """Claims and decodes images until it is cancelled.

    Parameters
    ----------
    checks, objects
        The project.
    folder
        For the child and for downloads.
    interval_s
        Pause between two looks, unless it is woken.
    on_refused
        Called when a file is to be deleted.
    """

    name = "images"

    def __init__(
        self,
        checks: ImageChecks,
        objects: Objects,
        folder: Path,
        *,
        interval_s: float,
        on_refused: Callable[[], None],
    ) -> None:
        super().__init__(interval_s=interval_s)
        self._checks = checks
        self._objects = objects
        self._folder = folder
        self._on_refused = on_refused
        self._sandbox = Sandbox(folder, task="images")

    async def rest(self) -> None:
        """End the child and free its memory. It is started again with the next image."""
        await self._sandbox.stop()

    async def run_next(self) -> bool:
        """Check one image. False if there is none.

        Raises
        ------
        ProjectError
            If the project does not answer, or the object changed meanwhile.
        AnalysisCrashed
            If no child starts, or the image ended it. Then it is tried again.
        """
        check = await self._checks.claim(lease_s=LEASE_S)
        if check is None:
            return False
        # First: a child that does not start says nothing about the image.
        if self._sandbox.needs_new_child:
            await self._sandbox.stop()
            await self._sandbox.start()
        try:
            await self._decode(check)
        except Refusal as refusal:
            await self._refuse(check, refusal)
        except AnalysisCrashed as crashed:
            if check.attempt < MAX_CRASHES:
                raise
            message = f"The file could not be decoded: {crashed.message}"
            await self._refuse(check, Refusal(message, code="image_unreadable", remedy=REMEDY))
        else:
            await self._checks.accept(check)
        return True

    async def _decode(self, check: ImageCheck) -> None:
        path = self._folder / f"image-{check.object_id}"
        expected = ObjectVersion(check.version, check.size_bytes, check.etag)
        try:
            with path.open("w+b") as file:
                await self._objects.fetch(
                    IMAGE_BUCKET, check.name, file, max_bytes=check.max_bytes, expected=expected
                )
            with path.open("rb") as source:
                await self._sandbox.check_image(source, media_type=check.media_type, wall_s=MAX_DECODING_S)
        finally:
            path.unlink(missing_ok=True)

    async def _refuse(self, check: ImageCheck, refusal: Refusal) -> None:
        await self._checks.refuse(check, refusal)
        log.info("a profile image was refused", **{"object.id": check.object_id}, code=refusal.code)
        self._on_refused()
