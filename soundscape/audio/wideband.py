"""The whole band of a recording: where its energy lies, from 0 Hz to half its sample rate, at most to 96 kHz.

The shared spectrum ends at 11 kHz. What speaks of the whole sound is measured here, at the recording's own
rate: frames of `soundscape.audio.own_spectrum`, one after the other.

Each value follows librosa's definition on the same frames. The level is the mean square of those samples of
a frame that lie within the recording.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from soundscape.audio.compiled import FASTMATH, compiled
from soundscape.audio.descriptors import Summary
from soundscape.audio.own_spectrum import OwnFrames, choose_n_fft
from soundscape.audio.spectrum import Float32

MAX_BAND_HZ = 96_000.0
ACTIVE_DBFS = -80.0
ROLLOFF_SHARE = 0.85

_AMIN = 1e-10


@dataclass(frozen=True)
class Wideband:
    """The whole band over the frames that hold sound.

    Attributes
    ----------
    active_share
        Share of the frames that hold sound, 0 to 1.
    centroid_hz, bandwidth_hz, rolloff_hz, flatness, rms_dbfs
        Summaries over those frames; see `soundscape.audio.measurements.Spectral`.
    narrow_share
        Share of their energy up to `narrow_top_hz`, where everything else is measured.
    """

    active_share: float
    centroid_hz: Summary
    bandwidth_hz: Summary
    rolloff_hz: Summary
    flatness: Summary
    rms_dbfs: Summary
    narrow_share: float


class WidebandMeter:
    """Measures streamed `OwnFrames`. Keeps 20 bytes a frame.

    Parameters
    ----------
    sample_rate
        Hz.
    narrow_top_hz
        Up to where energy counts as narrow, Hz; see `soundscape.audio.spectral.find_top_hz`.
    """

    def __init__(self, *, sample_rate: int, narrow_top_hz: float) -> None:
        self._n_fft = choose_n_fft(sample_rate)
        self._bin_hz = sample_rate / self._n_fft
        self._bins = min(self._n_fft // 2, int(MAX_BAND_HZ / self._bin_hz)) + 1
        self._narrow_bins = min(self._bins, int(narrow_top_hz / self._bin_hz) + 1)
        self._series: list[Float32] = []
        self._levels: list[npt.NDArray[np.float64]] = []
        self._energy = np.zeros(2)

    @property
    def band_hz(self) -> tuple[float, float]:
        """The band that is covered, Hz."""
        return 0.0, (self._bins - 1) * self._bin_hz

    def push(self, frames: OwnFrames) -> None:
        """Take the next frames of the recording's own spectrum. Those that overlap by half are left out."""
        stride = 2 if 2 * frames.hop == self._n_fft else 1
        chosen = np.arange(-frames.first % stride, len(frames.X), stride)
        self._series.append(_describe(frames.X, chosen, self._bins, self._narrow_bins, self._energy))
        at = frames.first * frames.hop - self._n_fft // 2
        self._levels.append(
            _mean_squares(frames.y, chosen * frames.hop, self._n_fft, max(0, -at), frames.samples - at)
        )

    def result(self) -> Wideband | None:
        """Sum up; None where no frame holds sound."""
        levels = 10.0 * np.log10(np.maximum(np.concatenate([np.empty(0), *self._levels]), 1e-20))
        active = levels > ACTIVE_DBFS
        if not active.any():
            return None
        centroid, bandwidth, rolloff, flatness = np.concatenate(self._series)[active].T
        whole, narrow = self._energy
        return Wideband(
            active_share=float(active.mean()),
            centroid_hz=summarize(centroid * np.float32(self._bin_hz)),
            bandwidth_hz=summarize(bandwidth * np.float32(self._bin_hz)),
            rolloff_hz=summarize(rolloff * np.float32(self._bin_hz)),
            flatness=summarize(flatness),
            rms_dbfs=summarize(levels[active].astype(np.float32)),
            narrow_share=float(narrow / whole) if whole else 1.0,
        )


def summarize(values: Float32) -> Summary:
    """Sum up a series in five numbers."""
    return Summary(
        mean=float(values.mean(dtype=np.float64)),
        std=float(values.std(dtype=np.float64)),
        min=float(values.min()),
        max=float(values.max()),
        median=float(np.median(values)),
    )


@compiled(fastmath=FASTMATH)
def _describe(
    X: Float32,
    chosen: npt.NDArray[np.int64],
    bins: int,
    narrow_bins: int,
    energy: npt.NDArray[np.float64],
) -> Float32:
    """Centroid, bandwidth and rolloff in bins, and flatness of the chosen frames, float32, shape (n, 4)."""
    rows = np.zeros((len(chosen), 4), dtype=np.float32)
    power = np.empty(bins, dtype=np.float32)
    s = np.empty(bins, dtype=np.float32)
    # A float beside each bin: the conversion of the loop's own integer costs more than the sum.
    numbers = np.arange(bins).astype(np.float32)
    lanes = np.empty(16)
    for t in range(len(chosen)):
        x = X[chosen[t]]
        for k in range(bins):
            power[k] = x[2 * k] * x[2 * k] + x[2 * k + 1] * x[2 * k + 1]
        narrow = np.float32(0.0)
        whole = np.float32(0.0)
        for k in range(narrow_bins):
            narrow += power[k]
        for k in range(narrow_bins, bins):
            whole += power[k]
        whole += narrow
        energy[0] += whole
        energy[1] += narrow
        total = np.float32(0.0)
        moment = np.float32(0.0)
        for k in range(bins):
            s[k] = np.sqrt(power[k])
        for k in range(bins):
            total += s[k]
            moment += s[k] * numbers[k]
        if total <= 0.0:
            continue
        centre = moment / total
        spread = np.float32(0.0)
        for k in range(bins):
            off = numbers[k] - centre
            spread += s[k] * off * off
        rows[t, 0] = centre
        rows[t, 1] = np.sqrt(spread / total)
        rows[t, 2] = find_rolloff(s, float(total))
        rows[t, 3] = geometric_mean(power, lanes) / max(float(whole) / bins, _AMIN)
    return rows


@compiled(fastmath=FASTMATH)
def find_rolloff(s: Float32, total: float) -> int:
    """The first bin up to which `ROLLOFF_SHARE` of the magnitude lies."""
    wanted = ROLLOFF_SHARE * total
    below = 0.0
    k = 0
    # Steps of 32 bins are summed in one go, then the last is walked.
    while k + 32 <= s.size:
        step = np.float32(0.0)
        for i in range(k, k + 32):
            step += s[i]
        if below + float(step) >= wanted:
            break
        below += float(step)
        k += 32
    while k < s.size - 1:
        below += float(s[k])
        if below >= wanted:
            break
        k += 1
    return k


@compiled(fastmath=FASTMATH)
def geometric_mean(power: Float32, lanes: npt.NDArray[np.float64]) -> float:
    """Geometric mean of max(|S|², 1e-10) over the bins; lanes is working space, float64, shape (16,).

    Sixteen factors are multiplied before their exponents are taken off. They lie between 1e-10 and about 1e12
    (100 times full scale, squared, by the window's sum): two of them keep within a float's range, sixteen
    within a double's. One logarithm is left, of what remains between 1 and 2 in each lane.
    """
    least = np.float32(_AMIN)
    bits = lanes.view(np.int64)
    exponents = 0
    for lane in range(16):
        lanes[lane] = 1.0
    for begin in range(0, power.size, 256):
        end = min(begin + 256, power.size)
        paired = begin + (end - begin) // 32 * 32
        for row in range(begin, paired, 32):
            for lane in range(16):
                lanes[lane] *= np.float64(max(power[row + lane], least) * max(power[row + 16 + lane], least))
        for k in range(paired, end):
            lanes[k % 16] *= np.float64(max(power[k], least))
        for lane in range(16):
            exponents += (bits[lane] >> 52) - 1023
            bits[lane] = (bits[lane] & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000
    product = 1.0
    for lane in range(16):
        product *= lanes[lane]
    log_sum = np.log(product) + exponents * math.log(2)
    return float(np.exp(log_sum / power.size))


@compiled(fastmath=FASTMATH)
def _mean_squares(
    y: Float32, starts: npt.NDArray[np.int64], length: int, begin: int, end: int
) -> npt.NDArray[np.float64]:
    """Mean square of each frame over those of its samples that lie in y[begin:end], the recording's own."""
    levels = np.zeros(len(starts))
    for t in range(len(starts)):
        start = starts[t]
        frame = y[start : start + length]
        inside = min(start + length, end) - max(start, begin)
        total = np.float32(0.0)
        for i in range(length):
            total += frame[i] * frame[i]
        levels[t] = total / max(1, inside)
    return levels
