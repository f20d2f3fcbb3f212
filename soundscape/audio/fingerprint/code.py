"""The fingerprint itself and its compact binary form.

Layout, little-endian::

    magic    4 bytes  b"SSFP"
    version  u8       2
    zeros    3 bytes
    frames   u32      spectrum frames of the recording (hop 512 at 22,050 Hz)
    peaks    u32      how many peaks follow
    crc      u32      CRC-32 of the compressed body
    body     zlib     the peaks' frame steps (LEB128), per peak u16 = pitch * 32 + rank, and the levels: per
                      row and band u8 = the difference from the row before, modulo 256

A body is about 2 bytes a peak, and half a byte a level: 0.52 MB for an hour of music.

Version 1 had no levels. Its fingerprints are not read: its recordings are analysed again.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from soundscape.audio.compiled import compiled
from soundscape.errors import SoundScapeError

from .levels import LEVEL_BANDS, count_rows

ALGORITHM = "soundscape-peaks"
VERSION = 2
"""Of the binary form, the peaks, levels and keys together: fingerprints of two versions do not compare."""

FRAME_RATE_HZ = 22_050 / 512

_MAGIC = b"SSFP"
_HEADER = struct.Struct("<4sBxxxIII")
_RANK_BITS = 5
_MAX_FRAMES = 24 * 3600 * 44  # a day; a bound on what a forged header may ask for
_MAX_PEAKS_PER_FRAME = 6


class FingerprintError(SoundScapeError):
    """Bytes that are not a fingerprint of this version."""

    code = "fingerprint_invalid"


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """Peaks of a recording, sorted by frame, and its levels.

    Attributes
    ----------
    frame_count
        Length of the recording in frames of 512/22,050 s.
    frames
        int32, shape (n,): the peak's frame.
    pitches
        uint16, shape (n,): its frequency on the warped axis of `peaks.bin_to_pitch`.
    ranks
        uint8, shape (n,): how many peaks of its band within a second are stronger, 0 to 19.
    levels
        uint8, shape (count_rows(frame_count), LEVEL_BANDS): how loud each band is (`levels`).
    """

    frame_count: int
    frames: npt.NDArray[np.int32]
    pitches: npt.NDArray[np.uint16]
    ranks: npt.NDArray[np.uint8]
    levels: npt.NDArray[np.uint8]

    @property
    def duration_s(self) -> float:
        """Length of the recording in seconds."""
        return self.frame_count / FRAME_RATE_HZ

    def __len__(self) -> int:
        return int(self.frames.shape[0])

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Fingerprint)
            and self.frame_count == other.frame_count
            and np.array_equal(self.frames, other.frames)
            and np.array_equal(self.pitches, other.pitches)
            and np.array_equal(self.ranks, other.ranks)
            and np.array_equal(self.levels, other.levels)
        )

    __hash__ = None  # type: ignore[assignment]

    def to_bytes(self) -> bytes:
        """The binary form described in the module's docstring."""
        packed = (self.pitches.astype(np.uint16) << _RANK_BITS) | self.ranks
        steps = np.diff(self.levels, axis=0, prepend=np.uint8(0)).tobytes()
        body = zlib.compress(_write_steps(self.frames) + packed.astype("<u2").tobytes() + steps, 6)
        return _HEADER.pack(_MAGIC, VERSION, self.frame_count, len(self), zlib.crc32(body)) + body

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> Fingerprint:
        """Read `to_bytes`' form back.

        Raises
        ------
        FingerprintError
            If the bytes are not such a form, are of another version, or are damaged. Memory stays
            bounded by the size that the header declares, which is itself bounded.
        """
        data = bytes(data)
        if len(data) < _HEADER.size or data[:4] != _MAGIC:
            raise FingerprintError("These bytes are not a SoundScape fingerprint.")
        _, version, frame_count, count, crc = _HEADER.unpack_from(data)
        if version != VERSION:
            raise FingerprintError(
                f"This fingerprint is of version {version}; this release reads version {VERSION}.",
                code="fingerprint_version",
                remedy="Analyse the recording again.",
            )
        if frame_count > _MAX_FRAMES or count > frame_count * _MAX_PEAKS_PER_FRAME:
            raise FingerprintError("The fingerprint's header declares an impossible size.")
        body, rows = data[_HEADER.size :], count_rows(frame_count)
        if zlib.crc32(body) != crc:
            raise FingerprintError("The fingerprint is damaged: its checksum differs.")
        try:
            unpacker = zlib.decompressobj()
            # A step takes one byte, plus one for each seven further bits of the whole time.
            raw = unpacker.decompress(body, 3 * count + 5 * (frame_count // 128 + 1) + rows * LEVEL_BANDS)
        except zlib.error as error:
            raise FingerprintError("The fingerprint's body cannot be unpacked.") from error
        if not unpacker.eof or unpacker.unused_data:
            raise FingerprintError("The fingerprint's body is longer than its header declares.")
        frames, used = _read_steps(np.frombuffer(raw, np.uint8), count)
        if used < 0 or len(raw) - used != 2 * count + rows * LEVEL_BANDS:
            raise FingerprintError("The fingerprint's body does not hold the peaks and levels it declares.")
        packed = np.frombuffer(raw, "<u2", count, used).astype(np.uint16)
        if count and frames[-1] >= frame_count:
            raise FingerprintError("The fingerprint has a peak after its own end.")
        steps = np.frombuffer(raw, np.uint8, rows * LEVEL_BANDS, used + 2 * count)
        return cls(
            frame_count=frame_count,
            frames=frames,
            pitches=(packed >> _RANK_BITS).astype(np.uint16),
            ranks=(packed & ((1 << _RANK_BITS) - 1)).astype(np.uint8),
            levels=np.cumsum(steps.reshape(rows, LEVEL_BANDS), axis=0, dtype=np.uint8),
        )


def _write_steps(frames: npt.NDArray[np.int32]) -> bytes:
    out = np.empty(5 * frames.shape[0], np.uint8)
    used = _encode(frames, out)
    return out[:used].tobytes()


def _read_steps(data: npt.NDArray[np.uint8], count: int) -> tuple[npt.NDArray[np.int32], int]:
    frames = np.empty(count, np.int32)
    return frames, int(_decode(data, frames))


@compiled()
def _encode(frames: npt.NDArray[np.int32], out: npt.NDArray[np.uint8]) -> int:
    used = 0
    previous = 0
    for i in range(frames.shape[0]):
        step = frames[i] - previous
        previous = frames[i]
        while step >= 128:
            out[used] = (step & 127) | 128
            step >>= 7
            used += 1
        out[used] = step
        used += 1
    return used


@compiled()
def _decode(data: npt.NDArray[np.uint8], frames: npt.NDArray[np.int32]) -> Any:
    """Fill `frames`; return the bytes read, or -1 where they run out or exceed the range."""
    used = 0
    at = np.int64(0)
    for i in range(frames.shape[0]):
        step = np.int64(0)
        shift = 0
        while True:
            if used >= data.shape[0] or shift > 28:
                return -1
            byte = np.int64(data[used])
            used += 1
            step |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
        at += step
        if at > 2147483647:
            return -1
        frames[i] = at
    return used
