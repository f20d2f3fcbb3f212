"""Opus in a container: decoded in a child of its own while it arrives, and kept as it came.

The readings are of what the child decodes. The record is that of the file, made at the end as for an upload.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from soundscape.audio.decode.reader import Samples
from soundscape.audio.streaming.pcm import PcmFormat, PcmStream
from soundscape.audio.streaming.readings import Readings
from soundscape.audio.streaming.recording import StreamRecording
from soundscape.live.endings import NO_ROOM, SessionEnded
from soundscape.live.inbox import Inbox
from soundscape.live.listening import MAX_QUICK_S, Reading, SessionResult
from soundscape.live.room import Room
from soundscape.sandbox.stream_decoder import StreamDecoder

if TYPE_CHECKING:
    from soundscape.audio.fingerprint import Fingerprint

log = structlog.get_logger(__name__)

OPUS_RATE = 48_000
MAX_BYTES_PER_S = 128_000
"""Twice what Opus has at most for two channels; a message may be as long as two seconds of it."""
WAITING_BYTES_PER_S = OPUS_RATE * 2 * 4
"""Of the decoded sound that may wait."""
END_TIMEOUT_S = 10.0


class CompressedSource:
    """The way of the bytes: onto the disk, and through the child into the inbox.

    Parameters
    ----------
    decoder
        The child, started.
    file
        Where the bytes are kept as they came.
    room
        How many there may be.
    folder
        Removed at the end. None: the bytes are kept for longer.
    """

    def __init__(self, decoder: StreamDecoder, file: Path, *, room: Room, folder: Path | None = None) -> None:
        self._decoder = decoder
        self.file = file
        self._room = room
        self._folder = folder
        self.received_bytes = 0
        self._has_failed = False
        self._ending: asyncio.TimerHandle | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None

    async def write(self, data: bytes, *, is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Take bytes; wait while enough of them wait to be decoded.

        Bytes that are counted are written whole, though the connection that brought them ends meanwhile.

        Raises
        ------
        SessionEnded
            They have no room.
        """
        while self._writing is not None and not self._writing.done():
            await asyncio.wait({self._writing})
        if not data or not is_wanted():
            return
        if self._has_failed:
            raise SessionEnded(NO_ROOM)
        self._room.require(self.received_bytes + len(data))
        self.received_bytes += len(data)
        self._writing = asyncio.create_task(self._write(data))
        await asyncio.shield(self._writing)

    def end_input(self) -> None:
        """Say that nothing more comes. A child that does not come to its end is ended."""
        self._decoder.end_input()
        if self._ending is None:
            self._ending = asyncio.get_running_loop().call_later(END_TIMEOUT_S, self._give_up)

    async def pump(self, inbox: Inbox) -> None:
        """Bring what is decoded into the inbox until the end. Raises what `StreamDecoder.read` raises."""
        try:
            while samples := await self._decoder.read():
                await inbox.put(samples)
        finally:
            inbox.close()

    @property
    def format(self) -> PcmFormat:
        """How the decoded samples are written; known once there are some."""
        facts = self._decoder.facts
        assert facts is not None
        return PcmFormat("f32le", facts.sample_rate, facts.channels)

    async def close(self) -> None:
        """End the child, and remove what is not kept."""
        if self._ending is not None:
            self._ending.cancel()
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        await self._decoder.stop()
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _write(self, data: bytes) -> None:
        try:
            await asyncio.to_thread(self._append, data)
        except OSError as error:
            # What follows would not fit behind what is missing.
            self._has_failed = True
            log.warning("a live sound was not written", error=str(error))
            raise SessionEnded(NO_ROOM) from error
        await self._decoder.write(data)

    def _append(self, data: bytes) -> None:
        with self.file.open("ab") as file:
            file.write(data)

    def _give_up(self) -> None:
        self._stopping = asyncio.create_task(self._decoder.stop())


class CompressedListener:
    """The readings of decoded sound. See `Listener` for the methods."""

    def __init__(self, source: CompressedSource, features: frozenset[str]) -> None:
        self._source = source
        self._features = features
        self._stream: PcmStream | None = None
        self._readings: Readings | None = None
        self._model: StreamRecording | None = None
        self._sent_tags_s = 0.0

    @property
    def duration_s(self) -> float:
        """Seconds heard so far."""
        return self._stream.duration_s if self._stream is not None else 0.0

    @property
    def keep_frames(self) -> int:
        """So many samples per channel are kept at a time."""
        return OPUS_RATE

    def is_quick(self, data: bytes) -> bool:
        """Whether to hear these bytes takes less than to wake a thread for it."""
        return len(data) <= MAX_QUICK_S * self._source.format.bytes_per_s

    def hear(self, data: bytes) -> tuple[Samples, list[Reading]]:
        """Take decoded bytes; return them as samples, and what can be read now."""
        if self._stream is None or self._readings is None:
            self._stream = PcmStream(self._source.format)
            self._readings = Readings(self._stream.header, self._features)
            if "tags" in self._features:
                self._model = StreamRecording(self._stream.header, tags=True)
        samples = self._stream.push(data)
        return samples, self._readings.push(samples)

    def fingerprint(self) -> Fingerprint:
        """Fingerprint the latest 10 s."""
        assert self._readings is not None
        return self._readings.fingerprint()

    def keep(self, pieces: list[Samples]) -> list[Reading]:
        """Listen with the model, if that was asked for."""
        tagger = None if self._model is None else self._model.tagger
        if self._model is None or tagger is None:
            return []
        for piece in pieces:
            self._model.push(piece)
        if tagger.batches_s <= self._sent_tags_s:
            return []
        self._sent_tags_s = tagger.batches_s
        heard = [{"label": label, "confidence": confidence} for label, confidence in tagger.latest()]
        return [{"type": "tags", "audio_time_s": round(self._sent_tags_s, 4), "tags": heard}]


def copy_results(record: dict[str, Any], folder: Path, out_dir: Path) -> SessionResult:
    """Copy the files of a record out of the child's folder, which is emptied."""
    from soundscape.sandbox.results import Results

    results = Results(record, folder)
    for name in results.names:
        with results.open(name) as source, (out_dir / name).open("wb") as target:
            shutil.copyfileobj(source, target)
    return SessionResult(record, out_dir)
