"""One short-time Fourier transform, shared by everything that looks at frequencies.

The sound is mixed to mono (mean of the channels), brought to 22,050 Hz by soxr, and cut into frames of 2048
samples every 512, centred as `librosa.stft(center=True, pad_mode="constant")` centres them: n samples give
1 + n // 512 frames, frame t is centred on sample 512·t. What is delivered are batches of consecutive frames,
frame-major: `S` has shape (frames, 1025), the transpose of librosa's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import scipy.fft
from librosa import mel_frequencies

from soundscape.audio.bands import Bands, add_up_bands, find_bands, write_decibels
from soundscape.audio.compiled import FASTMATH, compiled
from soundscape.audio.mono import MonoMix

Float32 = npt.NDArray[np.float32]

SAMPLE_RATE = 22_050
N_FFT = 2048
HOP_LENGTH = 512
BINS = N_FFT // 2 + 1
MELS = 128
FRAME_RATE_HZ = SAMPLE_RATE / HOP_LENGTH

# A block of a file at 44.1 kHz gives 64 frames, and now and then a few more. A batch of two frames costs as
# many calls as one of 64. 96 frames and their spectrum are 2 MB, the second-level cache of many processors.
_MAX_BATCH_FRAMES = 96
_AMIN = 1e-10


@dataclass(frozen=True)
class Frames:
    """A batch of consecutive frames of the shared spectrum.

    S: magnitude, float32, shape (frames, 1025). log_mel_db: 10·log10 of the mel power spectrum (128 Slaney
    bands of |S|², floor 1e-20), float32, shape (frames, 128). mean_square: of the unwindowed frame,
    within the recording, float64, shape (frames,). zero_crossing_rate: sign changes per sample, likewise.
    """

    S: Float32
    log_mel_db: Float32
    mean_square: npt.NDArray[np.float64]
    zero_crossing_rate: npt.NDArray[np.float64]


class Resampler:
    """One signal to another rate, streaming (soxr HQ).

    Parameters
    ----------
    sample_rate, target_rate
        Hz.
    """

    def __init__(self, *, sample_rate: int, target_rate: int = SAMPLE_RATE) -> None:
        import soxr

        self._stream = (
            None
            if sample_rate == target_rate
            else soxr.ResampleStream(sample_rate, target_rate, 1, dtype="float32", quality="HQ")
        )

    def push(self, y: Float32) -> Float32:
        """Take samples, float32, shape (n,); return those that are ready, float32, shape (m,)."""
        return y if self._stream is None else self._stream.resample_chunk(y)

    def finish(self) -> Float32:
        """Return the samples that were still under way, float32, shape (m,)."""
        nothing = np.empty(0, dtype=np.float32)
        return nothing if self._stream is None else self._stream.resample_chunk(nothing, last=True)


class MonoSignal:
    """Blocks of any channels and rate to the analysis signal at another rate, streaming.

    Parameters
    ----------
    sample_rate, target_rate
        Hz.
    channels
        Rows of the blocks pushed.
    """

    def __init__(self, *, sample_rate: int, channels: int, target_rate: int = SAMPLE_RATE) -> None:
        self._mix = MonoMix(sample_rate=sample_rate, channels=channels)
        self._resampler = Resampler(sample_rate=sample_rate, target_rate=target_rate)

    def push(self, block: Float32) -> Float32:
        """Take a block, float32, shape (channels, n); return what is ready, float32, shape (m,)."""
        return self._resampler.push(self._mix.push(block))

    def finish(self) -> Float32:
        """Return the samples that were still under way, float32, shape (m,)."""
        return self._resampler.finish()


class Spectrum:
    """The transform, streaming: `push` mono samples at 22,050 Hz and `finish`; both yield `Frames`.

    Frames do not depend on how the signal was cut into blocks, to the last bit.
    """

    def __init__(self) -> None:
        self._window = _hann()
        self._mel = _sparse_mel()
        # One buffer for all batches: fresh memory costs as much as the product.
        self._windowed = np.empty((_MAX_BATCH_FRAMES, N_FFT), dtype=np.float32)
        self._padding = np.zeros(N_FFT // 2, dtype=np.float32)
        self._tail = self._padding
        # Where the tail begins, counted from the first sample: the padding before it is negative.
        self._tail_at = -len(self._padding)
        self.samples = 0

    def push(self, y: Float32) -> Iterator[Frames]:
        """y: float32, shape (n,), any n >= 0."""
        self.samples += len(y)
        yield from self._advance(y)

    def finish(self) -> Iterator[Frames]:
        """The frames that reach beyond the end; call once, after the last `push`."""
        if self.samples:
            yield from self._advance(self._padding)

    def _advance(self, y: Float32) -> Iterator[Frames]:
        self._tail = np.concatenate([self._tail, y])
        ready = max(0, 1 + (len(self._tail) - N_FFT) // HOP_LENGTH)
        for first in range(0, ready, _MAX_BATCH_FRAMES):
            frames = min(_MAX_BATCH_FRAMES, ready - first)
            start = first * HOP_LENGTH
            yield self._transform(
                self._tail[start : start + (frames - 1) * HOP_LENGTH + N_FFT], self._tail_at + start
            )
        self._tail = self._tail[ready * HOP_LENGTH :].copy()
        self._tail_at += ready * HOP_LENGTH

    def _transform(self, y: Float32, at: int) -> Frames:
        windowed = self._windowed[: 1 + (len(y) - N_FFT) // HOP_LENGTH]
        cut_frames(y, HOP_LENGTH, self._window, windowed)
        X = scipy.fft.rfft(windowed, axis=1, workers=1, overwrite_x=True)
        S, log_mel_db = _magnitudes(X.view(np.float32), *self._mel)
        # Within the padding there is no sign to change.
        mean_square, zero_crossing_rate = _levels(y, max(0, -at), min(len(y), self.samples - at))
        return Frames(S, log_mel_db, mean_square, zero_crossing_rate)


@cache
def mel_filters() -> Float32:
    """Make triangles that are even on the mel scale, each of area 1 in hertz; float32, shape (128, 1025).

    They are those of `librosa.filters.mel(sr=22050, n_fft=2048)`, whose module takes as long to import as
    everything else that the analysis needs.
    """
    corners_hz = mel_frequencies(MELS + 2, fmin=0.0, fmax=SAMPLE_RATE / 2)
    bins_hz = np.arange(BINS) * (SAMPLE_RATE / N_FFT)
    low, centre, high = corners_hz[:-2, None], corners_hz[1:-1, None], corners_hz[2:, None]
    triangles = np.minimum((bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre))
    filters: Float32 = (np.maximum(0, triangles) * (2 / (high - low))).astype(np.float32)
    return filters


@cache
def _hann() -> Float32:
    # Periodic: the last sample is that before the next period's first.
    window: Float32 = np.hanning(N_FFT + 1)[:-1].astype(np.float32)
    return window


@cache
def _sparse_mel() -> Bands:
    return find_bands(mel_filters())


@compiled()
def cut_frames(y: Float32, hop: int, window: Float32, out: Float32) -> None:
    """Write the frames of y that begin every `hop` samples, windowed, to `out`, shape (frames, n_fft).

    Five times as fast as numpy's product with a view of overlapping rows.
    """
    for t in range(len(out)):
        part, row = y[t * hop : t * hop + window.size], out[t]
        for i in range(window.size):
            row[i] = part[i] * window[i]


@compiled(fastmath=FASTMATH)
def _magnitudes(
    X: Float32, weights: Float32, offsets: npt.NDArray[np.int64], first_bins: npt.NDArray[np.int64]
) -> tuple[Float32, Float32]:
    """Magnitude and log-mel power of X, the transform as pairs of real and imaginary parts."""
    frames = X.shape[0]
    S = np.empty((frames, BINS), dtype=np.float32)
    log_mel_db = np.empty((frames, MELS), dtype=np.float32)
    power = np.zeros((8, BINS), dtype=np.float32)
    for first in range(0, frames, 8):
        ready = min(8, frames - first)
        for t in range(ready):
            row, squared = X[first + t], power[t]
            for k in range(BINS):
                squared[k] = row[2 * k] * row[2 * k] + row[2 * k + 1] * row[2 * k + 1]
            for k in range(BINS):
                S[first + t, k] = np.sqrt(squared[k])
        add_up_bands(power, weights, offsets, first_bins, log_mel_db[first : first + ready])
    bits = np.empty(MELS, dtype=np.int32)
    exponents = np.empty(MELS, dtype=np.float32)
    for t in range(frames):
        write_decibels(log_mel_db[t], bits, exponents)
    return S, log_mel_db


@compiled(fastmath=FASTMATH)
def _levels(y: Float32, begin: int, end: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean square and zero-crossing rate of the frames in y, whose own samples are y[begin:end].

    Both are of those samples of a frame that are the recording's own. A crossing belongs to the later of its
    two samples, and to a frame only if both lie in it.
    """
    hops = len(y) // HOP_LENGTH
    energy = np.zeros(hops)
    crossings = np.zeros(hops, dtype=np.int64)
    entering = np.zeros(hops, dtype=np.int64)
    below = np.float32(-_AMIN)
    for h in range(hops):
        start = h * HOP_LENGTH
        total = np.float32(0.0)
        for i in range(start, start + HOP_LENGTH):
            total += y[i] * y[i]
        energy[h] = total
        count = np.int32(0)
        for i in range(max(start, begin + 1), min(start + HOP_LENGTH, end)):
            count += np.int32((y[i] < below) != (y[i - 1] < below))
        crossings[h] = count
        if begin < start < end:
            entering[h] = (y[start] < below) != (y[start - 1] < below)
    in_frame = N_FFT // HOP_LENGTH
    frames = hops - in_frame + 1
    mean_square = np.empty(frames)
    rate = np.empty(frames)
    for t in range(frames):
        start = t * HOP_LENGTH
        inside = max(1, min(start + N_FFT, end) - max(start, begin))
        mean_square[t] = energy[t : t + in_frame].sum() / inside
        rate[t] = (crossings[t : t + in_frame].sum() - entering[t]) / inside
    return mean_square, rate
