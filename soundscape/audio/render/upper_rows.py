"""The rows of a spectrogram that the shared spectrum does not reach: above 10 kHz, up to 96 kHz.

The resampler in front of the shared spectrum fades out below 11,025 Hz. So the picture takes the rows from
there on from the recording at its own rate. Frame t is centred where the shared spectrum's frame t is. Frames
are about half as long here, which costs half as much. The power of neighbouring frames is averaged so that a
click is as wide in these rows as in those below.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import scipy.fft

from soundscape.audio.compiled import compiled
from soundscape.audio.levels import Levels
from soundscape.audio.render.axis import FrequencyAxis, quantize_power, sum_transform
from soundscape.audio.spectrum import HOP_LENGTH, N_FFT, SAMPLE_RATE, Float32

_BATCH_FRAMES = 32
# Standard deviation of the square of a Hann window, as a share of its length.
_SPREAD = 0.1414


class UpperRows:
    """Levels of the upper rows of a streamed signal, frame by frame.

    Parameters
    ----------
    sample_rate
        Hz.
    axis
        The picture's axis.
    rows
        Which of its rows, at least one.
    """

    def __init__(self, *, sample_rate: int, axis: FrequencyAxis, rows: range) -> None:
        n_fft = 2 ** round(math.log2(sample_rate * N_FFT / 2 / SAMPLE_RATE))
        self._n_fft = n_fft
        self._hop = sample_rate * HOP_LENGTH / SAMPLE_RATE
        self._rows = len(rows)
        self._window = np.hanning(n_fft + 1)[:-1].astype(np.float32)
        self._filters = axis.make_filters(
            rows, bin_hz=sample_rate / n_fft, bins=n_fft // 2 + 1, gain=(N_FFT / n_fft) ** 2
        )
        wanted = (_SPREAD * N_FFT * sample_rate / SAMPLE_RATE) ** 2 - (_SPREAD * n_fft) ** 2
        self._side_weight = np.float32(wanted / self._hop**2 / 2)
        self._windowed = np.empty((_BATCH_FRAMES, n_fft), dtype=np.float32)
        self._tail = np.zeros(n_fft // 2, dtype=np.float32)
        self._tail_at = -(n_fft // 2)
        self._samples = 0
        self._frames = 0
        # The last two frames, which have not had all their neighbours.
        self._recent = np.empty((0, self._rows), dtype=np.float32)

    def push(self, y: Float32) -> Levels:
        """Take samples, float32, shape (n,); return levels that are ready, uint8, shape (frames, rows)."""
        self._samples += len(y)
        return quantize_power(self._smooth(self._advance(y)))

    def finish(self) -> Levels:
        """The last frames; call once, after the last `push`."""
        wanted = 1 + int(self._samples / self._hop) if self._samples else 0
        rest = self._advance(np.zeros(self._n_fft, dtype=np.float32))
        rest = rest[: len(rest) - max(0, self._frames - wanted)]
        last = np.concatenate([self._recent, rest])[-1:]
        return quantize_power(self._smooth(np.concatenate([rest, last])))

    def _advance(self, y: Float32) -> Float32:
        """Powers of the frames that are complete with y, float32, shape (frames, rows)."""
        self._tail = np.concatenate([self._tail, y])
        end, half = self._tail_at + len(self._tail), self._n_fft // 2
        beyond = max(self._frames, int((end - half) / self._hop) + 2)
        starts = np.rint(np.arange(self._frames, beyond + 1) * self._hop).astype(np.int64) - half
        next_start = int(starts[np.searchsorted(starts, end - self._n_fft, side="right")])
        starts = starts[starts <= end - self._n_fft] - self._tail_at
        parts = [np.empty((0, self._rows), dtype=np.float32)]
        for first in range(0, len(starts), _BATCH_FRAMES):
            batch = starts[first : first + _BATCH_FRAMES]
            windowed = self._windowed[: len(batch)]
            _cut(self._tail, batch, self._window, windowed)
            X = scipy.fft.rfft(windowed, axis=1, workers=1, overwrite_x=True)
            parts.append(sum_transform(X.view(np.float32), *self._filters))
        self._frames += len(starts)
        self._tail = self._tail[next_start - self._tail_at :].copy()
        self._tail_at = next_start
        return np.concatenate(parts)

    def _smooth(self, power: Float32) -> Float32:
        """Average each frame with its neighbours; the last one waits for its own."""
        if not len(self._recent):
            power = np.concatenate([power[:1], power])
        power = np.concatenate([self._recent, power])
        self._recent = power[-2:].copy()
        side = self._side_weight
        smoothed: Float32 = (1 - 2 * side) * power[1:-1] + side * (power[:-2] + power[2:])
        return smoothed


@compiled()
def _cut(y: Float32, starts: npt.NDArray[np.int64], window: Float32, out: Float32) -> None:
    for t in range(len(starts)):
        part = y[starts[t] : starts[t] + window.size]
        for i in range(window.size):
            out[t, i] = part[i] * window[i]
