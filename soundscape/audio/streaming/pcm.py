"""Samples as bytes, in pieces of any size, to blocks of float32.

A stream of samples is a WAV file whose length was never written, as FFmpeg writes one to a pipe. The facts of
its record are those of this file: `soundscape analyze` of it gives the same record.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np

from soundscape.audio.decode.reader import (
    Header,
    Hole,
    Samples,
    SourceWarning,
    deinterleave,
    name_speakers,
)
from soundscape.audio.decode.refusals import check_header, check_samples
from soundscape.audio.limits import Limits

Encoding = Literal["s16le", "f32le"]

_UNKNOWN_LENGTH = 0xFFFF_FFFF
_FULL_SCALE_24 = np.float32(1 << 23)


@dataclass(frozen=True)
class PcmFormat:
    """How the samples are written: interleaved, little-endian.

    Attributes
    ----------
    encoding
        s16le, or f32le with a full scale of 1.
    sample_rate
        Hz.
    channels
        How many are interleaved.
    """

    encoding: Encoding
    sample_rate: int
    channels: int

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample of one channel."""
        return 2 if self.encoding == "s16le" else 4

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return self.channels * self.sample_bytes

    @property
    def bytes_per_s(self) -> int:
        """Bytes of a second."""
        return self.sample_rate * self.frame_bytes

    @property
    def header(self) -> Header:
        """The facts, as a decoder reads them from the WAV file."""
        is_integer = self.encoding == "s16le"
        return Header(
            container="wav",
            codec="pcm_s16" if is_integer else "pcm_f32",
            sample_rate=self.sample_rate,
            channels=self.channels,
            layout=name_speakers(self.channels, None),
            bit_depth=16 if is_integer else 32,
            claimed_frames=None,
        )

    def check(self, limits: Limits) -> None:
        """Raise `PolicyRefusal` if the rate or the channels are beyond the limits."""
        check_header(self.header, None, limits)

    def wave_header(self) -> bytes:
        """The first 44 bytes of the WAV file, its length unknown."""
        tag = 1 if self.encoding == "s16le" else 3
        fields = (tag, self.channels, self.sample_rate, self.bytes_per_s, self.frame_bytes)
        return (
            struct.pack("<4sI4s4sI", b"RIFF", _UNKNOWN_LENGTH, b"WAVE", b"fmt ", 16)
            + struct.pack("<HHIIHH", *fields, 8 * self.sample_bytes)
            + struct.pack("<4sI", b"data", _UNKNOWN_LENGTH)
        )


class PcmStream:
    """Bytes to samples. It is the `Origin` of the record, as the WAV file would be.

    Parameters
    ----------
    format
        How the samples are written.
    round_to_24_bits
        Round floats to 24 bits, and clip them to full scale, as FLAC keeps them.
    """

    def __init__(self, format: PcmFormat, *, round_to_24_bits: bool = False) -> None:
        self.format = format
        self.header = format.header
        self._rounds = round_to_24_bits and format.encoding == "f32le"
        self._rest = b""
        self._sha256 = hashlib.sha256(format.wave_header())
        self.frames = 0
        self.claimed_duration_s: float | None = None
        self.truncated = False
        self.damaged_packets = 0
        self.holes: tuple[Hole, ...] = ()
        self.warnings: tuple[SourceWarning, ...] = ()

    @property
    def duration_s(self) -> float:
        """Seconds of sound so far."""
        return self.frames / self.format.sample_rate

    @property
    def size_bytes(self) -> int:
        """Size of the WAV file so far."""
        return len(self.format.wave_header()) + self.frames * self.format.frame_bytes

    @property
    def sha256(self) -> str:
        """SHA-256 of the WAV file so far, hexadecimal."""
        return self._sha256.hexdigest()

    def push(self, data: bytes) -> Samples:
        """Take bytes; half a sample waits for its other half.

        Returns
        -------
        Samples, float32, shape (channels, n), any n >= 0; full scale is 1.

        Raises
        ------
        UnreadableAudio
            `non_finite_samples` or `absurd_samples`.
        """
        if self._rest:
            data = self._rest + data
        whole = len(data) // self.format.frame_bytes * self.format.frame_bytes
        self._rest = data[whole:]
        data = data[:whole]
        if self.format.encoding == "s16le":
            samples = np.frombuffer(data, dtype="<i2").reshape(-1, self.format.channels)
            block = deinterleave(samples, np.float32(2**-15))
        else:
            block = deinterleave(
                np.frombuffer(data, dtype="<f4").reshape(-1, self.format.channels), np.float32(1)
            )
            check_samples(block, at_s=self.duration_s)
            if self._rounds:
                np.multiply(block, _FULL_SCALE_24, out=block)
                np.rint(block, out=block)
                np.clip(block, -_FULL_SCALE_24, _FULL_SCALE_24 - 1, out=block)
                np.multiply(block, 1 / _FULL_SCALE_24, out=block)
        self._sha256.update(data)
        self.frames += block.shape[1]
        return block
