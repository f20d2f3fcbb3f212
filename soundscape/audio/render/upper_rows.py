"""The rows of a spectrogram that the shared spectrum does not reach: above 10 kHz, up to 96 kHz.

The resampler in front of the shared spectrum fades out below 11,025 Hz. So the picture takes the rows from
there on from the recording's own transform, whose frames are about half as long. Frame t is centred where the
shared spectrum's frame t is. The power of neighbouring frames is averaged so that a click is as wide in these
rows as in those below.
"""

from __future__ import annotations

import numpy as np

from soundscape.audio.own_spectrum import OwnFrames, choose_n_fft
from soundscape.audio.render.axis import FrequencyAxis, sum_transform
from soundscape.audio.spectrum import HOP_LENGTH, N_FFT, SAMPLE_RATE, Float32

# Standard deviation of the square of a Hann window, as a share of its length.
_SPREAD = 0.1414


class UpperRows:
    """Powers of the upper rows of a streamed signal, frame by frame.

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
        n_fft = choose_n_fft(sample_rate)
        self._n_fft = n_fft
        self._hop = sample_rate * HOP_LENGTH / SAMPLE_RATE
        self._rows = len(rows)
        self._filters = axis.make_filters(
            rows, bin_hz=sample_rate / n_fft, bins=n_fft // 2 + 1, gain=(N_FFT / n_fft) ** 2
        )
        wanted = (_SPREAD * N_FFT * sample_rate / SAMPLE_RATE) ** 2 - (_SPREAD * n_fft) ** 2
        self._side_weight = np.float32(wanted / self._hop**2 / 2)
        # Powers every half frame that are still needed, and the number of the first.
        self._own = np.empty((0, self._rows), dtype=np.float32)
        self._own_first = 0
        self._samples = 0
        self._frames = 0
        # The last two frames, which have not had all their neighbours.
        self._recent = np.empty((0, self._rows), dtype=np.float32)

    def push(self, frames: OwnFrames) -> Float32:
        """Take the next frames; return powers that are ready, float32, shape (frames, rows)."""
        self._samples = frames.samples
        power = sum_transform(frames.X, *self._filters)
        if frames.hop == self._n_fft:
            # Each stands for two that would overlap.
            power = power.repeat(2, axis=0)
        else:
            # A short recording has twice as many frames as are wanted here.
            stride = self._n_fft // 2 // frames.hop
            power = power[-frames.first % stride :: stride]
        self._own = np.concatenate([self._own, power])
        return self._smooth(self._advance())

    def finish(self) -> Float32:
        """The last frames; call once, after the last `push`."""
        wanted = 1 + int(self._samples / self._hop) if self._samples else 0
        # Beyond the last frame it goes on as there.
        self._own = np.concatenate([self._own, self._own[-1:], self._own[-1:]])
        rest = self._advance()
        rest = rest[: len(rest) - max(0, self._frames - wanted)]
        last = np.concatenate([self._recent, rest])[-1:]
        return self._smooth(np.concatenate([rest, last]))

    def _advance(self) -> Float32:
        """Powers where the shared spectrum's frames are, as far as is known, float32, shape (frames, rows).

        At most rates they are interpolated.
        """
        hops = self._hop / (self._n_fft / 2)
        if hops == 1:
            # At 44.1 kHz its frames and these have the same centres.
            ready, self._own = self._own, self._own[:0]
            self._own_first += len(ready)
            self._frames += len(ready)
            return ready
        end = self._own_first + len(self._own) - 1
        positions = np.arange(self._frames, self._frames + int(len(self._own) / hops) + 2) * hops
        positions = positions[positions <= end]
        before = positions.astype(np.int64)
        after = np.minimum(before + 1, end)
        share = (positions - before).astype(np.float32)[:, np.newaxis]
        low, high = self._own[before - self._own_first], self._own[after - self._own_first]
        self._frames += len(positions)
        passed = min(int(self._frames * hops) - self._own_first, len(self._own))
        self._own, self._own_first = self._own[passed:], self._own_first + passed
        powers: Float32 = low + share * (high - low)
        return powers

    def _smooth(self, power: Float32) -> Float32:
        """Average each frame with its neighbours; the last one waits for its own."""
        if not len(self._recent):
            power = np.concatenate([power[:1], power])
        power = np.concatenate([self._recent, power])
        self._recent = power[-2:].copy()
        side = self._side_weight
        smoothed: Float32 = (1 - 2 * side) * power[1:-1] + side * (power[:-2] + power[2:])
        return smoothed
