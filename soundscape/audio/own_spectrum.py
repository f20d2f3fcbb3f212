"""The transform of the whole band, at a recording's own rate, shared by the descriptors and the pictures.

Frames of about 46 ms (2048 samples at 44.1 kHz) begin half a frame before the first sample, which centres
them. They overlap by half where pictures are drawn, and lie one after the other where not. A recording of
fewer than eight frames gets four times as many, so that nothing in it falls between two windows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.fft

from soundscape.audio.spectrum import N_FFT, SAMPLE_RATE, Float32, cut_frames

FRAME_S = N_FFT / 2 / SAMPLE_RATE
# Frames that lie one after the other take half the work. A column of a long recording's picture lasts longer.
OVERLAPPING_S = 600.0

_SHORT_FRAMES = 8
_SHORT_HOPS = 4
_BATCH_FRAMES = 64


def choose_n_fft(sample_rate: int) -> int:
    """Choose the power of two that is nearest to `FRAME_S`, in samples."""
    return int(2 ** round(math.log2(sample_rate * FRAME_S)))


@dataclass(frozen=True)
class OwnFrames:
    """A batch of consecutive frames.

    X: the transform as pairs of real and imaginary parts, float32, shape (frames, n_fft + 2). y: the samples
    that it was made of. first: the number of the first frame, which begins `first * hop` samples after the
    padding does. hop: samples from one frame to the next. samples: how many the recording has so far,
    without the padding.
    """

    X: Float32
    y: Float32
    first: int
    hop: int
    samples: int


class OwnSpectrum:
    """The transform, streaming: `push` samples and `finish`; both yield `OwnFrames`.

    Parameters
    ----------
    sample_rate
        The recording's own, Hz.
    overlapping_s
        How long frames overlap by half, seconds. After that they do not overlap.
    """

    def __init__(self, *, sample_rate: int, overlapping_s: float) -> None:
        self.n_fft = choose_n_fft(sample_rate)
        # An even number, so that the frames that follow keep their places.
        self._overlapping_frames = 2 * round(overlapping_s * sample_rate / self.n_fft)
        self._hop = self.n_fft // 2 if self._overlapping_frames else self.n_fft
        self._window = np.hanning(self.n_fft + 1)[:-1].astype(np.float32)
        # One buffer for all batches: fresh memory costs as much as the product.
        self._windowed = np.empty((_BATCH_FRAMES, self.n_fft), dtype=np.float32)
        self._tail = np.zeros(self.n_fft // 2, dtype=np.float32)
        self._frames = 0
        self._samples = 0

    def push(self, y: Float32) -> Iterator[OwnFrames]:
        """Take samples, float32, shape (n,), any n >= 0."""
        self._samples += len(y)
        self._tail = np.concatenate([self._tail, y])
        if not self._is_short():
            yield from self._advance()

    def finish(self) -> Iterator[OwnFrames]:
        """The frames that reach beyond the end; call once, after the last `push`."""
        if not self._samples:
            return
        if self._is_short():
            self._hop = self.n_fft // _SHORT_HOPS
        self._tail = np.concatenate([self._tail, np.zeros(self.n_fft // 2, dtype=np.float32)])
        yield from self._advance()

    def _is_short(self) -> bool:
        return self._samples < _SHORT_FRAMES * self.n_fft

    def _advance(self) -> Iterator[OwnFrames]:
        yield from self._transform(
            self._overlapping_frames - self._frames if self._is_overlapping() else None
        )
        if self._is_overlapping() and self._frames == self._overlapping_frames:
            self._hop, self._frames = self.n_fft, self._frames // 2
            yield from self._transform()

    def _is_overlapping(self) -> bool:
        return self._hop == self.n_fft // 2

    def _transform(self, limit: int | None = None) -> Iterator[OwnFrames]:
        """The frames that are ready, at most `limit` of them."""
        n_fft, hop, y = self.n_fft, self._hop, self._tail
        ready = max(0, 1 + (len(y) - n_fft) // hop)
        ready = ready if limit is None else min(ready, limit)
        for first in range(0, ready, _BATCH_FRAMES):
            windowed = self._windowed[: min(_BATCH_FRAMES, ready - first)]
            part = y[first * hop : (first + len(windowed) - 1) * hop + n_fft]
            cut_frames(part, hop, self._window, windowed)
            X = scipy.fft.rfft(windowed, axis=1, workers=1, overwrite_x=True)
            yield OwnFrames(X.view(np.float32), part, self._frames + first, hop, self._samples)
        self._frames += ready
        self._tail = y[ready * hop :].copy()
