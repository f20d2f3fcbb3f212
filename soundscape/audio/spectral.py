"""Descriptors of the shared spectrum, up to 11 kHz: where its energy lies, its shape, how it changes.

Each follows librosa's definition on the same frames (`librosa.feature.spectral_centroid` and so on), with one
difference that streaming asks for: where librosa clips decibels 80 below the loudest of the whole recording
(contrast, MFCC, onset strength), nothing is clipped but the floor of 1e-10, as `power_to_db(top_db=None)`
does.

Only frames that hold sound are summarised (RMS above -80 dBFS): the pauses of a recording have no timbre, and
a centroid of 0 Hz for them would say more about the pauses than about the sound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from librosa import mel_frequencies

from soundscape.audio.compiled import compiled
from soundscape.audio.descriptors import Summary
from soundscape.audio.measurements import Mfcc, Spectral
from soundscape.audio.spectrum import FASTMATH, MELS, N_FFT, SAMPLE_RATE, Float32, Frames
from soundscape.audio.wideband import ACTIVE_DBFS, Wideband, find_rolloff, geometric_mean, summarize

Int64 = npt.NDArray[np.int64]

CONTRAST_BANDS = 7
CONTRAST_FMIN_HZ = 200.0
CONTRAST_QUANTILE = 0.02
MFCCS = 20

_AMIN = 1e-10
_BIN_HZ = SAMPLE_RATE / N_FFT
_ACTIVE_MEAN_SQUARE = 10 ** (ACTIVE_DBFS / 10)
_CENTROID, _BANDWIDTH, _ROLLOFF, _FLATNESS, _FLUX, _LEVEL, _CROSSINGS = range(7)

NARROW_BAND_HZ = (0.0, SAMPLE_RATE / 2)
# Share of its band that the resampler leaves as it was. It ends at 0.91.
PASSBAND = 0.9


def find_top_hz(sample_rate: int) -> float:
    """Find up to where the shared spectrum shows a recording of this rate, and not the resampler.

    Recordings at 22,050 Hz are not resampled. They get the same limit, so that all rates compare.
    """
    return PASSBAND * min(sample_rate, SAMPLE_RATE) / 2


@dataclass(frozen=True)
class NarrowSpectral:
    """Descriptors of the shared spectrum. The record has the last four, the embedding is made of all.

    Attributes
    ----------
    active_share
        Share of the frames that hold sound.
    centroid_hz, bandwidth_hz, rolloff_hz, flatness, rms_dbfs
        As in `Wideband`, of this band alone.
    flux, contrast_db, zero_crossing_rate, mfcc
        See `soundscape.audio.measurements.Spectral`.
    """

    active_share: float
    centroid_hz: Summary
    bandwidth_hz: Summary
    rolloff_hz: Summary
    flatness: Summary
    rms_dbfs: Summary
    flux: Summary
    contrast_db: tuple[float, ...]
    zero_crossing_rate: Summary
    mfcc: Mfcc


class SpectralMeter:
    """Descriptors of streamed `Frames`. Keeps 28 bytes a frame: 4 MB for an hour.

    Parameters
    ----------
    top_hz
        What lies above is left out, hertz.
    """

    def __init__(self, *, top_hz: float = SAMPLE_RATE / 2) -> None:
        self._bins = int(top_hz / _BIN_HZ) + 1
        # Triangle m ends at corner m + 2.
        corners_hz = mel_frequencies(MELS + 2, fmin=0.0, fmax=SAMPLE_RATE / 2)
        self._mels = int((corners_hz[2:] <= top_hz + 0.5).sum())
        self._contrast = _Contrast(self._bins)
        self._dct = _dct(self._mels)
        self._last_log_mel_db = np.full(MELS, np.nan, dtype=np.float32)
        self._frames = 0
        self._series: list[Float32] = []
        self._mfcc_sum = np.zeros(MFCCS)
        self._mfcc_square_sum = np.zeros(MFCCS)

    def push(self, frames: Frames) -> None:
        """Add the next batch of frames."""
        active = np.flatnonzero(frames.mean_square > _ACTIVE_MEAN_SQUARE)
        self._frames += len(frames.S)
        if len(active):
            rows = np.zeros((len(active), 7), dtype=np.float32)
            _describe(frames.S, active, self._bins, rows)
            _add_flux(frames.log_mel_db, active, self._last_log_mel_db, self._mels, rows)
            rows[:, _LEVEL] = 10 * np.log10(frames.mean_square[active])
            rows[:, _CROSSINGS] = frames.zero_crossing_rate[active]
            self._series.append(rows)
            self._contrast.add(frames.S, active)
            _add_mfcc(frames.log_mel_db, active, self._dct, self._mfcc_sum, self._mfcc_square_sum)
        self._last_log_mel_db = frames.log_mel_db[-1].copy()

    def result(self) -> NarrowSpectral | None:
        """The summaries; None where no frame holds sound."""
        if not self._series:
            return None
        series = np.concatenate(self._series)
        centroid, bandwidth, rolloff, flatness, flux, level, crossings = np.ascontiguousarray(series.T)
        count = len(level)
        mfcc_mean = self._mfcc_sum / count
        mfcc_variance = np.maximum(self._mfcc_square_sum / count - mfcc_mean**2, 0.0)
        return NarrowSpectral(
            active_share=count / self._frames,
            centroid_hz=summarize(centroid),
            bandwidth_hz=summarize(bandwidth),
            rolloff_hz=summarize(rolloff),
            flatness=summarize(flatness),
            flux=summarize(flux),
            contrast_db=tuple((self._contrast.sum_db / count).tolist()),
            zero_crossing_rate=summarize(crossings),
            rms_dbfs=summarize(level),
            mfcc=Mfcc(mean=tuple(mfcc_mean.tolist()), std=tuple(np.sqrt(mfcc_variance).tolist())),
        )


def join_bands(
    wideband: Wideband, narrow: NarrowSpectral | None, band_hz: tuple[float, float], top_hz: float
) -> Spectral:
    """Join what was measured on the whole band and on the shared spectrum.

    Parameters
    ----------
    wideband
        The whole band.
    narrow
        The shared spectrum. None: it holds nothing of the sound.
    band_hz
        The whole band's lowest and highest frequency.
    top_hz
        Where the shared spectrum was cut off.
    """
    return Spectral(
        band_hz=band_hz,
        active_share=wideband.active_share,
        centroid_hz=wideband.centroid_hz,
        bandwidth_hz=wideband.bandwidth_hz,
        rolloff_hz=wideband.rolloff_hz,
        flatness=wideband.flatness,
        rms_dbfs=wideband.rms_dbfs,
        narrow_band_hz=(NARROW_BAND_HZ[0], top_hz),
        flux=None if narrow is None else narrow.flux,
        contrast_db=None if narrow is None else narrow.contrast_db,
        zero_crossing_rate=None if narrow is None else narrow.zero_crossing_rate,
        mfcc=None if narrow is None else narrow.mfcc,
    )


def _contrast_bands(bins: int) -> tuple[Int64, Int64, Int64]:
    """First bin, end, and number of extreme bins of each band of `librosa.feature.spectral_contrast`."""
    frequencies = np.arange(bins) * _BIN_HZ
    edges = np.concatenate([[0.0], CONTRAST_FMIN_HZ * 2.0 ** np.arange(CONTRAST_BANDS)])
    count = max(1, min(CONTRAST_BANDS, int((edges < frequencies[-1]).sum())))
    begins, ends, extremes = [], [], []
    for band in range(count):
        inside = np.flatnonzero((frequencies >= edges[band]) & (frequencies <= edges[band + 1]))
        begin = int(inside[0]) - (1 if band > 0 else 0)
        last = band == count - 1
        end = bins if last else int(inside[-1]) + 1
        extremes.append(max(1, int(np.rint(CONTRAST_QUANTILE * (end - begin)))))
        begins.append(begin)
        ends.append(end if last else end - 1)
    return np.array(begins), np.array(ends), np.array(extremes)


def _dct(mels: int) -> Float32:
    """The first coefficients of the orthonormal DCT-II over the mel bands, float32, shape (20, 128).

    The bands after the first `mels` are not looked at. They count as if they had the level of the last one.
    """
    import scipy.fft

    basis: Float32 = scipy.fft.dct(np.eye(MELS), type=2, norm="ortho", axis=0)[:MFCCS].astype(np.float32)
    basis[:, mels - 1] += basis[:, mels:].sum(axis=1)
    basis[:, mels:] = 0
    return basis


@compiled(fastmath=FASTMATH)
def _add_flux(log_mel_db: Float32, active: Int64, before: Float32, mels: int, rows: Float32) -> None:
    """Mean rise over the mel bands since the frame before; 0 for the very first (`before` is NaN)."""
    for n in range(len(active)):
        t = active[n]
        previous = before if t == 0 else log_mel_db[t - 1]
        rise = np.float32(0.0)
        for m in range(mels):
            rise += max(log_mel_db[t, m] - previous[m], np.float32(0.0))
        rows[n, _FLUX] = rise / np.float32(mels)
    if active[0] == 0 and np.isnan(before[0]):
        rows[0, _FLUX] = np.float32(0.0)


@compiled(fastmath=FASTMATH)
def _describe(S: Float32, active: Int64, bins: int, rows: Float32) -> None:
    """Centroid, bandwidth, rolloff and flatness of the first bins."""
    lanes = np.empty(16)
    squares = np.empty(bins, dtype=np.float32)
    # A float beside each bin: the conversion of the loop's own integer costs more than the sum.
    numbers = np.arange(bins).astype(np.float32)
    for n in range(len(active)):
        s = S[active[n], :bins]
        total = np.float32(0.0)
        moment = np.float32(0.0)
        power = np.float32(0.0)
        for k in range(bins):
            total += s[k]
            moment += s[k] * numbers[k]
            squares[k] = s[k] * s[k]
            power += squares[k]
        if total <= 0.0:
            continue
        centre = moment / total
        spread = np.float32(0.0)
        for k in range(bins):
            off = numbers[k] - centre
            spread += s[k] * off * off
        rows[n, _CENTROID] = centre * _BIN_HZ
        rows[n, _BANDWIDTH] = np.sqrt(spread / total) * _BIN_HZ
        rows[n, _ROLLOFF] = find_rolloff(s, float(total)) * _BIN_HZ
        rows[n, _FLATNESS] = geometric_mean(squares, lanes) / max(float(power) / bins, _AMIN)


# Magnitudes are finite: minima and maxima may be found many at a time.
@compiled(fastmath={"nnan", "nsz"})
def _find_extremes(S: Float32, active: Int64, begins: Int64, ends: Int64, found: Float32) -> None:
    """Write the smallest and the largest bin of each band to `found`, shape (frames, bands, 2)."""
    for n in range(len(active)):
        for band in range(len(begins)):
            s = S[active[n], begins[band] : ends[band]]
            smallest, largest = s[0], s[0]
            for value in s:
                smallest = min(smallest, value)
                largest = max(largest, value)
            found[n, band, 0] = smallest
            found[n, band, 1] = largest


@compiled(fastmath=FASTMATH)
def _average_extremes(ordered: Float32, count: int, found: Float32) -> None:
    """Write the means of the `count` smallest and the `count` largest bins of a band to `found`."""
    for t in range(len(ordered)):
        low, high = np.float32(0.0), np.float32(0.0)
        for i in range(count):
            low += ordered[t, i]
            high += ordered[t, ordered.shape[1] - 1 - i]
        found[t, 0] = low / np.float32(count)
        found[t, 1] = high / np.float32(count)


class _Contrast:
    """Peak against valley in each band of `librosa.feature.spectral_contrast`, summed over frames."""

    def __init__(self, bins: int) -> None:
        begins, ends, extremes = _contrast_bands(bins)
        # One extreme bin is found by comparing, more by sorting: numpy sorts a band in half a microsecond.
        self._compared = int((extremes == 1).sum())
        self._begins, self._ends = begins[: self._compared], ends[: self._compared]
        self._sorted = list(zip(begins, ends, extremes, strict=True))[self._compared :]
        self.sum_db = np.zeros(len(begins))

    def add(self, S: Float32, active: Int64) -> None:
        """Add the decibels of the active frames to `sum_db`, float64, shape (bands,)."""
        found = np.empty((len(active), len(self.sum_db), 2), dtype=np.float32)
        _find_extremes(S, active, self._begins, self._ends, found)
        for band, (begin, end, extremes) in enumerate(self._sorted, start=self._compared):
            ordered = S[active, begin:end]
            ordered.sort(axis=1)
            _average_extremes(ordered, extremes, found[:, band])
        levels = 10 * np.log10(np.maximum(found, _AMIN))
        self.sum_db += (levels[..., 1] - levels[..., 0]).sum(axis=0, dtype=np.float64)


@compiled(fastmath=FASTMATH)
def _add_mfcc(
    log_mel_db: Float32,
    active: Int64,
    dct: Float32,
    total: npt.NDArray[np.float64],
    square_total: npt.NDArray[np.float64],
) -> None:
    for t in active:
        for c in range(MFCCS):
            mfcc = np.float32(0.0)
            for m in range(MELS):
                mfcc += log_mel_db[t, m] * dct[c, m]
            total[c] += mfcc
            square_total[c] += np.float64(mfcc) * np.float64(mfcc)
