"""Sessions of compressed sound: a child for each, and one that makes their records."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soundscape.audio.limits import Limits
from soundscape.live.owner import Owner
from soundscape.live.requests import Start
from soundscape.live.room import Room
from soundscape.live.saved_sound import SavedSound
from soundscape.live.session import Session
from soundscape.sandbox.parent import Sandbox
from soundscape.sandbox.scratch import Scratch
from soundscape.sandbox.stream_decoder import StreamDecoder

if TYPE_CHECKING:
    from soundscape.live.listening import SessionResult

FILE_TYPES = {
    "s16le": ("flac", "audio/flac"),
    "f32le": ("flac", "audio/flac"),
    "webm-opus": ("webm", "audio/webm"),
    "ogg-opus": ("ogg", "audio/ogg"),
}
"""How sound of each format is saved: the end of its name, and its media type."""
WALL_BASE_S, WALL_PER_MEGABYTE_S = 180.0, 10.0
"""Of the analysis at the end; an hour of Opus has 30 MB."""


class Decoders:
    """Makes sessions of compressed sound.

    Parameters
    ----------
    scratch
        Returns the worker's folder for temporary files.
    limits
        Which recordings are accepted.
    """

    def __init__(self, scratch: Callable[[], Path], limits: Limits) -> None:
        self._scratch = scratch
        self._limits = limits
        self._sandbox: Sandbox | None = None
        self._sandbox_lock = asyncio.Lock()

    async def make_session(
        self, owner: Owner, start: Start, saved: SavedSound | None, more: dict[str, Any]
    ) -> Session:
        """Start a child, and make the session that it decodes for. Raises `AnalysisCrashed` or `OSError`."""
        from soundscape.live.compressed import (
            MAX_BYTES_PER_S,
            WAITING_BYTES_PER_S,
            CompressedListener,
            CompressedSource,
        )

        scratch = self._scratch()
        decoder = StreamDecoder(scratch, start.format)
        await decoder.start()
        if saved is None:
            out_dir = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="live-", dir=scratch))
            room = Room(self._limits.max_size_bytes, Scratch(scratch, budget_bytes=0).find_problem)
            source = CompressedSource(decoder, out_dir / "sound", room=room, folder=out_dir)
        else:
            out_dir = saved.out_dir
            source = CompressedSource(decoder, saved.journal.sound, room=saved.room)
        return Session(
            owner,
            start,
            source=source,
            listening=CompressedListener(source, frozenset(start.features)),
            make_record=lambda: self._analyze(source.file, out_dir),
            bytes_per_s=WAITING_BYTES_PER_S,
            max_frame_bytes=2 * MAX_BYTES_PER_S,
            **more,
        )

    async def _analyze(self, path: Path, out_dir: Path) -> SessionResult:
        """Make the record of a file, in the child for that."""
        from soundscape.live.compressed import copy_results

        async with self._sandbox_lock:
            if self._sandbox is None:
                self._sandbox = Sandbox(self._scratch())
            with path.open("rb") as file:
                wall_s = WALL_BASE_S + WALL_PER_MEGABYTE_S * os.fstat(file.fileno()).st_size / 1e6
                analysis = await self._sandbox.analyze(file, wall_s=wall_s, limits=self._limits)
            try:
                return await asyncio.to_thread(copy_results, analysis.record, analysis.folder, out_dir)
            finally:
                self._sandbox.clear()

    async def stop(self) -> None:
        """End the child."""
        if self._sandbox is not None:
            await self._sandbox.stop()
