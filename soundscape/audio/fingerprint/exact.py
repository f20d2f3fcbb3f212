"""Exact copies: a digest of the decoded samples, the same whatever the file around them.

Two files hold the same PCM where their decoders give the same sample values: a WAV and the FLAC made of
it, one file under two titles. The definition is what `ffmpeg -i FILE -f f32le - | b3sum` prints: BLAKE3
over every sample as little-endian float32 (an integer sample divided by 2^(bits - 1)), interleaved, at
the file's own rate and channel count, without a header. Rate and channel count are no part of it;
compare them beside it.
"""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from soundscape.audio.compiled import compiled

_CHUNK_FRAMES = 8192  # interleaved while it fits the cache


class PcmDigest:
    """BLAKE3 of decoded samples, block by block; the split into blocks does not matter.

    Nobody can make a recording with the digest of another, and it is four times as fast as SHA-256.
    """

    def __init__(self) -> None:
        self._hash = blake3()
        self._buffer = np.empty(0, np.float32)

    def push(self, block: npt.NDArray[np.float32]) -> None:
        """Take samples, float32, shape (channels, n), as the decoder gave them."""
        channels, n = block.shape
        if self._buffer.shape[0] != channels * _CHUNK_FRAMES:
            self._buffer = np.empty(channels * _CHUNK_FRAMES, np.float32)
        for first in range(0, n, _CHUNK_FRAMES):
            part = block[:, first : first + _CHUNK_FRAMES]
            used = self._buffer[: part.shape[1] * channels]
            _interleave(part, used)
            self._hash.update((used if sys.byteorder == "little" else used.byteswap()).view(np.uint8).data)

    def result(self) -> str:
        """The digest so far, 64 hexadecimal digits."""
        return self._hash.hexdigest()


@compiled()
def _interleave(block: npt.NDArray[np.float32], out: npt.NDArray[np.float32]) -> None:
    channels = block.shape[0]
    if channels == 2:
        # Both in one loop, which becomes vector instructions.
        for i in range(block.shape[1]):
            out[2 * i] = block[0, i]
            out[2 * i + 1] = block[1, i]
        return
    for channel in range(channels):
        for i in range(block.shape[1]):
            out[i * channels + channel] = block[channel, i]
