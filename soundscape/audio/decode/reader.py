"""What every decoder offers: the facts of the header, blocks of samples, and what went wrong on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Protocol

import numpy as np
import numpy.typing as npt

from soundscape.audio.compiled import compiled
from soundscape.audio.decode.capture import UNKNOWN, Capture

Samples = npt.NDArray[np.float32]

# The bits of the WAVE channel mask, in order.
_SPEAKERS = ("FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR", "TC", "TFL", "TFC", "TFR")
_USUAL_LAYOUTS = {
    1: ("FC",),
    2: ("FL", "FR"),
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}


class ReaderError(Exception):
    """The decoder cannot open the file; `no_audio` when it could but found no sound in it."""

    def __init__(self, message: str, *, no_audio: bool = False) -> None:
        super().__init__(message)
        self.no_audio = no_audio

    @classmethod
    def caused_by(cls, error: Exception) -> ReaderError:
        """An error of a decoder, without the path of the file that many put into their message."""
        reason = getattr(error, "strerror", None) or getattr(error, "error_string", None)
        return cls(str(reason or error))


@dataclass(frozen=True)
class Header:
    """The facts a header states.

    Attributes
    ----------
    claimed_frames
        Samples per channel that the header states; None where it states none or only a guess.
    track, tracks
        Which audio track is read, counted from 1, and how many there are.
    has_video
        Whether there are moving pictures beside the sound.
    capture
        When and where it was recorded, by its tags.
    """

    container: str
    codec: str
    sample_rate: int
    channels: int
    layout: tuple[str, ...] | None
    bit_depth: int | None
    claimed_frames: int | None
    tags: dict[str, str] = field(default_factory=dict)
    track: int = 1
    tracks: int = 1
    has_video: bool = False
    capture: Capture = UNKNOWN


@dataclass(frozen=True)
class Hole:
    """A span of the recording for which the file holds no sound."""

    start_s: Annotated[float, "Begin, seconds"]
    end_s: Annotated[float, "End, seconds"]


@dataclass(frozen=True)
class SourceWarning:
    """Something about the file that its owner should know."""

    code: Annotated[str, "Stable name: truncated, damaged, holes, other_tracks, …"]
    message: Annotated[str, "A sentence for people"]


class Reader(Protocol):
    """One decoder at work on one file."""

    header: Header

    @property
    def damaged_packets(self) -> int:
        """Pieces that could not be decoded cleanly, so far."""
        ...

    @property
    def holes(self) -> list[Hole]:
        """Spans that were filled with silence, so far."""
        ...

    def blocks(self, block_length: int) -> Iterator[Samples]:
        """Blocks of `block_length` frames (the last may be shorter), float32, shape (channels, n)."""
        ...

    def close(self) -> None:
        """Release the decoder; the file stays open."""
        ...


def cut_blocks(pieces: Iterable[Samples], block_length: int) -> Iterator[Samples]:
    """Join pieces and cut them into blocks.

    Parameters
    ----------
    pieces
        Arrays of any length, shape (channels, n).
    block_length
        Frames of a block.

    Yields
    ------
    Samples
        C-contiguous blocks of `block_length` frames; the last may be shorter.
    """
    cutter = BlockCutter(block_length)
    for piece in pieces:
        yield from cutter.push(piece)
    yield from cutter.finish()


class BlockCutter:
    """Joins pieces of sound and cuts them into blocks, as they come.

    Parameters
    ----------
    block_length
        Frames of a block.
    """

    def __init__(self, block_length: int) -> None:
        self._block_length = block_length
        self._pending: list[Samples] = []
        self.pending_frames = 0

    def push(self, piece: Samples) -> Iterator[Samples]:
        """Take a piece, shape (channels, n), any n >= 0; yield the blocks that are complete, C-contiguous."""
        if not piece.shape[1]:
            return
        self._pending.append(piece)
        self.pending_frames += piece.shape[1]
        while self.pending_frames >= self._block_length:
            joined = np.concatenate(self._pending, axis=1)
            self._pending[:] = [joined[:, self._block_length :]]
            self.pending_frames -= self._block_length
            yield np.ascontiguousarray(joined[:, : self._block_length])

    def finish(self) -> Iterator[Samples]:
        """Yield what is left, if anything is."""
        if self.pending_frames:
            joined = np.concatenate(self._pending, axis=1)
            self._pending, self.pending_frames = [], 0
            yield np.ascontiguousarray(joined)


def deinterleave(interleaved: npt.NDArray[np.int16] | Samples, scale: np.float32) -> Samples:
    """Shape (n, channels), integers or floats, to floats of shape (channels, n), C-contiguous."""
    planar = np.empty(interleaved.T.shape, dtype=np.float32)
    _deinterleave(interleaved, scale, planar)
    return planar


@compiled()
def _deinterleave(interleaved: npt.NDArray[np.int16] | Samples, scale: np.float32, planar: Samples) -> None:
    if planar.shape[0] == 2:
        # Both in one loop, which becomes vector instructions: almost three times as fast.
        left, right = planar[0], planar[1]
        for i in range(planar.shape[1]):
            left[i] = np.float32(interleaved[i, 0]) * scale
            right[i] = np.float32(interleaved[i, 1]) * scale
        return
    for channel in range(planar.shape[0]):
        for i in range(planar.shape[1]):
            planar[channel, i] = np.float32(interleaved[i, channel]) * scale


def drop_frames(pieces: Iterable[Samples], count: int) -> Iterator[Samples]:
    """The pieces without their first `count` frames."""
    for piece in pieces:
        if count < piece.shape[1]:
            yield piece[:, count:]
        count = max(0, count - piece.shape[1])


def name_speakers(channels: int, mask: int | None) -> tuple[str, ...] | None:
    """The speaker of each channel, by the WAVE channel mask or else the usual ones for their number."""
    if mask:
        named = tuple(name for bit, name in enumerate(_SPEAKERS) if mask >> bit & 1)
        if len(named) == channels:
            return named
    return _USUAL_LAYOUTS.get(channels)
