"""Descriptors of the spectrum: where its energy lies, how it is shaped, how it changes.

Each follows librosa's definition on the same frames (`librosa.feature.spectral_centroid` and so on), with one
difference that streaming asks for: where librosa clips decibels 80 below the loudest of the whole recording
(contrast, MFCC, onset strength), nothing is clipped but the floor of 1e-10, as `power_to_db(top_db=None)`
does.

Only frames that hold sound are summarised (RMS above -80 dBFS): the pauses of a recording have no timbre, and
a centroid of 0 Hz for them would say more about the pauses than about the sound.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from soundscape.audio.compiled import compiled
from soundscape.audio.descriptors import Summary
from soundscape.audio.measurements import Mfcc, Spectral
from soundscape.audio.spectrum import BINS, FASTMATH, MELS, N_FFT, SAMPLE_RATE, Float32, Frames

ACTIVE_DBFS = -80.0
ROLLOFF_SHARE = 0.85
CONTRAST_BANDS = 7
CONTRAST_FMIN_HZ = 200.0
CONTRAST_QUANTILE = 0.02
MFCCS = 20

_AMIN = 1e-10
_BIN_HZ = SAMPLE_RATE / N_FFT
_CENTROID, _BANDWIDTH, _ROLLOFF, _FLATNESS = range(4)


class SpectralMeter:
    """Descriptors of streamed `Frames`. Keeps 28 bytes a frame: 4 MB for an hour."""

    def __init__(self) -> None:
        self._bands = _contrast_bands()
        self._dct = _dct()
        self._last_log_mel_db = np.full(MELS, np.nan, dtype=np.float32)
        self._frames = 0
        self._series: list[Float32] = []
        self._contrast_sum = np.zeros(CONTRAST_BANDS)
        self._mfcc_sum = np.zeros(MFCCS)
        self._mfcc_square_sum = np.zeros(MFCCS)

    def push(self, frames: Frames) -> None:
        """Add the next batch of frames."""
        level_dbfs = 10.0 * np.log10(np.maximum(frames.mean_square, 1e-20))
        active = level_dbfs > ACTIVE_DBFS
        self._frames += len(active)
        if active.any():
            flux = _flux(frames.log_mel_db, self._last_log_mel_db)
            described, contrast_db = _describe(frames.S, *self._bands)
            series = np.stack([*described.T, flux, level_dbfs, frames.zero_crossing_rate])
            self._series.append(series[:, active].astype(np.float32))
            self._contrast_sum += contrast_db[active].sum(axis=0, dtype=np.float64)
            _add_mfcc(frames.log_mel_db, active, self._dct, self._mfcc_sum, self._mfcc_square_sum)
        self._last_log_mel_db = frames.log_mel_db[-1].copy()

    def result(self) -> Spectral | None:
        """The summaries; None where no frame holds sound."""
        if not self._series:
            return None
        centroid, bandwidth, rolloff, flatness, flux, level, crossings = np.concatenate(self._series, axis=1)
        count = len(level)
        mfcc_mean = self._mfcc_sum / count
        mfcc_variance = np.maximum(self._mfcc_square_sum / count - mfcc_mean**2, 0.0)
        return Spectral(
            active_share=count / self._frames,
            centroid_hz=_summary(centroid),
            bandwidth_hz=_summary(bandwidth),
            rolloff_hz=_summary(rolloff),
            flatness=_summary(flatness),
            flux=_summary(flux),
            contrast_db=tuple((self._contrast_sum / count).tolist()),
            zero_crossing_rate=_summary(crossings),
            rms_dbfs=_summary(level),
            mfcc=Mfcc(mean=tuple(mfcc_mean.tolist()), std=tuple(np.sqrt(mfcc_variance).tolist())),
        )


def _summary(values: Float32) -> Summary:
    return Summary(
        mean=float(values.mean(dtype=np.float64)),
        std=float(values.std(dtype=np.float64)),
        min=float(values.min()),
        max=float(values.max()),
        median=float(np.median(values)),
    )


def _contrast_bands() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First bin, end, and number of extreme bins of each band of `librosa.feature.spectral_contrast`."""
    frequencies = np.arange(BINS) * _BIN_HZ
    edges = np.concatenate([[0.0], CONTRAST_FMIN_HZ * 2.0 ** np.arange(CONTRAST_BANDS)])
    begins, ends, extremes = [], [], []
    for band in range(CONTRAST_BANDS):
        bins = np.flatnonzero((frequencies >= edges[band]) & (frequencies <= edges[band + 1]))
        begin = int(bins[0]) - (1 if band > 0 else 0)
        last = band == CONTRAST_BANDS - 1
        end = BINS if last else int(bins[-1]) + 1
        extremes.append(max(1, int(np.rint(CONTRAST_QUANTILE * (end - begin)))))
        begins.append(begin)
        ends.append(end if last else end - 1)
    return np.array(begins), np.array(ends), np.array(extremes)


def _dct() -> Float32:
    """The first coefficients of the orthonormal DCT-II over the mel bands, float32, shape (20, 128)."""
    import scipy.fft

    basis: Float32 = scipy.fft.dct(np.eye(MELS), type=2, norm="ortho", axis=0)[:MFCCS].astype(np.float32)
    return basis


@compiled(fastmath=FASTMATH)
def _flux(log_mel_db: Float32, before: Float32) -> Float32:
    """Mean rise over the mel bands from each frame to the next; 0 for the very first (`before` is NaN)."""
    flux = np.zeros(len(log_mel_db), dtype=np.float32)
    for t in range(len(log_mel_db)):
        previous = before if t == 0 else log_mel_db[t - 1]
        rise = np.float32(0.0)
        for m in range(MELS):
            rise += max(log_mel_db[t, m] - previous[m], np.float32(0.0))
        flux[t] = rise / np.float32(MELS)
    if np.isnan(before[0]):
        flux[0] = np.float32(0.0)
    return flux


@compiled(fastmath=FASTMATH)
def _describe(
    S: Float32,
    begins: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    extremes: npt.NDArray[np.int64],
) -> tuple[Float32, Float32]:
    """Centroid, bandwidth, rolloff and flatness, shape (frames, 4), and contrast, shape (frames, 7)."""
    rows = np.zeros((len(S), 4), dtype=np.float32)
    contrast_db = np.zeros((len(S), CONTRAST_BANDS), dtype=np.float32)
    lanes = np.empty(16)
    most = extremes.max()
    low = np.empty(most, dtype=np.float32)
    high = np.empty(most, dtype=np.float32)
    for t in range(len(S)):
        s = S[t]
        total = np.float32(0.0)
        moment = np.float32(0.0)
        power = np.float32(0.0)
        for k in range(BINS):
            total += s[k]
            moment += s[k] * np.float32(k)
            power += s[k] * s[k]
        if total <= 0.0:
            continue
        centre = moment / total
        spread = np.float32(0.0)
        for k in range(BINS):
            off = np.float32(k) - centre
            spread += s[k] * off * off
        rows[t, _CENTROID] = centre * _BIN_HZ
        rows[t, _BANDWIDTH] = np.sqrt(spread / total) * _BIN_HZ
        rows[t, _ROLLOFF] = _rolloff(s, float(total)) * _BIN_HZ
        rows[t, _FLATNESS] = _geometric_mean_power(s, lanes) / max(float(power) / BINS, _AMIN)
        for band in range(CONTRAST_BANDS):
            valley, peak = _valley_and_peak(s[begins[band] : ends[band]], extremes[band], low, high)
            contrast_db[t, band] = 10.0 * np.log10(max(peak, _AMIN) / max(valley, _AMIN))
    return rows, contrast_db


@compiled(fastmath=FASTMATH)
def _rolloff(s: Float32, total: float) -> int:
    """The first bin up to which `ROLLOFF_SHARE` of the magnitude lies."""
    wanted = ROLLOFF_SHARE * total
    below = 0.0
    k = 0
    # Steps of 32 bins are summed in one go, then the last is walked.
    while k + 32 <= BINS:
        step = np.float32(0.0)
        for i in range(k, k + 32):
            step += s[i]
        if below + float(step) >= wanted:
            break
        below += float(step)
        k += 32
    while k < BINS - 1:
        below += float(s[k])
        if below >= wanted:
            break
        k += 1
    return k


@compiled(fastmath=FASTMATH)
def _geometric_mean_power(s: Float32, lanes: npt.NDArray[np.float64]) -> float:
    """Geometric mean of max(|S|², 1e-10) over the bins.

    Sixteen factors are multiplied before a logarithm is taken: they lie between 1e-10 and about 1e10 (100
    times full scale, squared, by the window's sum), so sixteen of them keep within a double's range.
    """
    log_sum = 0.0
    for begin in range(0, BINS - 1, 256):
        for lane in range(16):
            lanes[lane] = 1.0
        for row in range(begin, begin + 256, 16):
            for lane in range(16):
                value = s[row + lane]
                lanes[lane] *= max(np.float64(value * value), _AMIN)
        for lane in range(16):
            log_sum += np.log(lanes[lane])
    log_sum += np.log(max(np.float64(s[BINS - 1]) ** 2, _AMIN))
    return float(np.exp(log_sum / BINS))


# Magnitudes are finite: minima and maxima may be found many at a time.
@compiled(fastmath={"nnan", "nsz"})
def _extremes(s: Float32) -> tuple[float, float]:
    smallest, largest = s[0], s[0]
    for value in s:
        smallest = min(smallest, value)
        largest = max(largest, value)
    return float(smallest), float(largest)


@compiled(fastmath=FASTMATH)
def _valley_and_peak(s: Float32, count: int, low: Float32, high: Float32) -> tuple[float, float]:
    """Means of the `count` smallest and the `count` largest values; low and high are working space."""
    if count == 1:
        return _extremes(s)
    last = count - 1
    low[:count] = np.inf
    high[:count] = -np.inf
    # Both are kept in order, the one to be beaten last; on most values neither test holds.
    for value in s:
        if value < low[last]:
            i = last
            while i > 0 and low[i - 1] > value:
                low[i] = low[i - 1]
                i -= 1
            low[i] = value
        if value > high[last]:
            i = last
            while i > 0 and high[i - 1] < value:
                high[i] = high[i - 1]
                i -= 1
            high[i] = value
    return float(low[:count].sum()) / count, float(high[:count].sum()) / count


@compiled(fastmath=FASTMATH)
def _add_mfcc(
    log_mel_db: Float32,
    active: npt.NDArray[np.bool_],
    dct: Float32,
    total: npt.NDArray[np.float64],
    square_total: npt.NDArray[np.float64],
) -> None:
    for t in range(len(log_mel_db)):
        if not active[t]:
            continue
        for c in range(MFCCS):
            mfcc = np.float32(0.0)
            for m in range(MELS):
                mfcc += log_mel_db[t, m] * dct[c, m]
            total[c] += mfcc
            square_total[c] += np.float64(mfcc) * np.float64(mfcc)
