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
_CENTROID, _BANDWIDTH, _ROLLOFF, _FLATNESS = range(4)


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
        self._contrast_sum = np.zeros(self._contrast.bands)
        self._mfcc_sum = np.zeros(MFCCS)
        self._mfcc_square_sum = np.zeros(MFCCS)

    def push(self, frames: Frames) -> None:
        """Add the next batch of frames."""
        level_dbfs = 10.0 * np.log10(np.maximum(frames.mean_square, 1e-20))
        active = level_dbfs > ACTIVE_DBFS
        self._frames += len(active)
        if active.any():
            flux = _flux(frames.log_mel_db, self._last_log_mel_db, self._mels)
            described = _describe(frames.S, self._bins)
            contrast_db = self._contrast.measure(frames.S)
            series = np.stack([*described.T, flux, level_dbfs, frames.zero_crossing_rate])
            self._series.append(series[:, active].astype(np.float32))
            self._contrast_sum += contrast_db[active].sum(axis=0, dtype=np.float64)
            _add_mfcc(frames.log_mel_db, active, self._dct, self._mfcc_sum, self._mfcc_square_sum)
        self._last_log_mel_db = frames.log_mel_db[-1].copy()

    def result(self) -> NarrowSpectral | None:
        """The summaries; None where no frame holds sound."""
        if not self._series:
            return None
        centroid, bandwidth, rolloff, flatness, flux, level, crossings = np.concatenate(self._series, axis=1)
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
            contrast_db=tuple((self._contrast_sum / count).tolist()),
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
def _flux(log_mel_db: Float32, before: Float32, mels: int) -> Float32:
    """Mean rise over the mel bands from each frame to the next; 0 for the very first (`before` is NaN)."""
    flux = np.zeros(len(log_mel_db), dtype=np.float32)
    for t in range(len(log_mel_db)):
        previous = before if t == 0 else log_mel_db[t - 1]
        rise = np.float32(0.0)
        for m in range(mels):
            rise += max(log_mel_db[t, m] - previous[m], np.float32(0.0))
        flux[t] = rise / np.float32(mels)
    if np.isnan(before[0]):
        flux[0] = np.float32(0.0)
    return flux


@compiled(fastmath=FASTMATH)
def _describe(S: Float32, bins: int) -> Float32:
    """Centroid, bandwidth, rolloff and flatness of the first bins, shape (frames, 4)."""
    rows = np.zeros((len(S), 4), dtype=np.float32)
    lanes = np.empty(16)
    squares = np.empty(bins, dtype=np.float32)
    # A float beside each bin: the conversion of the loop's own integer costs more than the sum.
    numbers = np.arange(bins).astype(np.float32)
    for t in range(len(S)):
        s = S[t, :bins]
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
        rows[t, _CENTROID] = centre * _BIN_HZ
        rows[t, _BANDWIDTH] = np.sqrt(spread / total) * _BIN_HZ
        rows[t, _ROLLOFF] = find_rolloff(s, float(total)) * _BIN_HZ
        rows[t, _FLATNESS] = geometric_mean(squares, lanes) / max(float(power) / bins, _AMIN)
    return rows


# Magnitudes are finite: minima and maxima may be found many at a time.
@compiled(fastmath={"nnan", "nsz"})
def _find_extremes(S: Float32, begins: Int64, ends: Int64, found: Float32) -> None:
    """Write the smallest and the largest bin of each band to `found`, shape (frames, bands, 2)."""
    for t in range(len(S)):
        for band in range(len(begins)):
            s = S[t, begins[band] : ends[band]]
            smallest, largest = s[0], s[0]
            for value in s:
                smallest = min(smallest, value)
                largest = max(largest, value)
            found[t, band, 0] = smallest
            found[t, band, 1] = largest


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
    """Peak against valley in each band of `librosa.feature.spectral_contrast`."""

    def __init__(self, bins: int) -> None:
        begins, ends, extremes = _contrast_bands(bins)
        self.bands = len(begins)
        # One extreme bin is found by comparing, more by sorting: numpy sorts a band in half a microsecond.
        self._compared = int((extremes == 1).sum())
        self._begins, self._ends = begins[: self._compared], ends[: self._compared]
        self._sorted = list(zip(begins, ends, extremes, strict=True))[self._compared :]

    def measure(self, S: Float32) -> Float32:
        """Decibels of each frame and band, float32, shape (frames, bands)."""
        found = np.empty((len(S), self.bands, 2), dtype=np.float32)
        _find_extremes(S, self._begins, self._ends, found)
        for band, (begin, end, extremes) in enumerate(self._sorted, start=self._compared):
            _average_extremes(np.sort(S[:, begin:end], axis=1), extremes, found[:, band])
        levels = 10 * np.log10(np.maximum(found, _AMIN))
        contrast_db: Float32 = levels[..., 1] - levels[..., 0]
        return contrast_db


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
