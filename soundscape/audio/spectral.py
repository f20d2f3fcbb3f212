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

from soundscape.audio.compiled import FASTMATH, compiled
from soundscape.audio.descriptors import Summary
from soundscape.audio.measurements import Mfcc, Spectral
from soundscape.audio.spectrum import MELS, N_FFT, SAMPLE_RATE, Float32, Frames
from soundscape.audio.wideband import ACTIVE_DBFS, Wideband, summarize

Int64 = npt.NDArray[np.int64]

CONTRAST_BANDS = 7
CONTRAST_FMIN_HZ = 200.0
CONTRAST_QUANTILE = 0.02
MFCCS = 20

_AMIN = 1e-10
_BIN_HZ = SAMPLE_RATE / N_FFT
_ACTIVE_MEAN_SQUARE = 10 ** (ACTIVE_DBFS / 10)
# The mel bands are cut off at what librosa cuts them off at.
_MIN_MEL_DB = np.float32(-100.0)

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
    """What the record says of the shared spectrum; see `soundscape.audio.measurements.Spectral`."""

    flux: Summary
    contrast_db: tuple[float, ...]
    zero_crossing_rate: Summary
    mfcc: Mfcc


class SpectralMeter:
    """Descriptors of streamed `Frames`. Keeps 8 bytes a frame: 1 MB for an hour.

    Parameters
    ----------
    top_hz
        What lies above is left out, hertz.
    """

    def __init__(self, *, top_hz: float = SAMPLE_RATE / 2) -> None:
        self._mels = count_mels(top_hz)
        self._contrast = Contrast(int(top_hz / _BIN_HZ) + 1)
        self._contrast_sum = np.zeros(self._contrast.bands)
        self._dct = make_dct(self._mels)
        self._last_log_mel_db = np.full(MELS, np.nan, dtype=np.float32)
        self._series: list[Float32] = []
        self._mfcc_sum = np.zeros(MFCCS)
        self._mfcc_square_sum = np.zeros(MFCCS)

    def push(self, frames: Frames) -> None:
        """Add the next batch of frames."""
        active = np.flatnonzero(frames.mean_square > _ACTIVE_MEAN_SQUARE)
        if len(active):
            flux = _measure_flux(frames.log_mel_db, active, self._last_log_mel_db, self._mels)
            self._series.append(np.stack([flux, frames.zero_crossing_rate[active].astype(np.float32)]))
            self._contrast_sum += self._contrast.measure(frames.S, active).sum(axis=0, dtype=np.float64)
            _add_mfcc(frames.log_mel_db, active, self._dct, self._mfcc_sum, self._mfcc_square_sum)
        self._last_log_mel_db = frames.log_mel_db[-1].copy()

    def result(self) -> NarrowSpectral | None:
        """The summaries; None where no frame holds sound."""
        if not self._series:
            return None
        flux, crossings = np.concatenate(self._series, axis=1)
        count = len(flux)
        mfcc_mean = self._mfcc_sum / count
        mfcc_variance = np.maximum(self._mfcc_square_sum / count - mfcc_mean**2, 0.0)
        return NarrowSpectral(
            flux=summarize(flux),
            contrast_db=tuple((self._contrast_sum / count).tolist()),
            zero_crossing_rate=summarize(crossings),
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


def count_mels(top_hz: float) -> int:
    """Count the mel bands that end at or below a frequency."""
    # Triangle m ends at corner m + 2.
    corners_hz = mel_frequencies(MELS + 2, fmin=0.0, fmax=SAMPLE_RATE / 2)
    return int((corners_hz[2:] <= top_hz + 0.5).sum())


def make_dct(mels: int, *, size: int = MELS) -> Float32:
    """Make the first coefficients of the orthonormal DCT-II over mel bands, float32, shape (20, size).

    The bands after the first `mels` are not looked at. They count as if they had the level of the last one.
    """
    import scipy.fft

    basis: Float32 = scipy.fft.dct(np.eye(size), type=2, norm="ortho", axis=0)[:MFCCS].astype(np.float32)
    basis[:, mels - 1] += basis[:, mels:].sum(axis=1)
    basis[:, mels:] = 0
    return basis


@compiled(fastmath=FASTMATH)
def _measure_flux(log_mel_db: Float32, active: Int64, before: Float32, mels: int) -> Float32:
    """Mean rise over the mel bands since the frame before; 0 for the very first (`before` is NaN)."""
    flux = np.zeros(len(active), dtype=np.float32)
    for n in range(len(active)):
        t = active[n]
        previous = before if t == 0 else log_mel_db[t - 1]
        rise = np.float32(0.0)
        for m in range(mels):
            before_db = max(previous[m], _MIN_MEL_DB)
            rise += max(log_mel_db[t, m] - before_db, np.float32(0.0))
        flux[n] = rise / np.float32(mels)
    if active[0] == 0 and np.isnan(before[0]):
        flux[0] = np.float32(0.0)
    return flux


# Magnitudes are finite: minima and maxima may be found many at a time.
@compiled(fastmath={"nnan", "nsz"})
def _find_extremes(S: Float32, active: Int64, begins: Int64, ends: Int64, found: Float32) -> None:
    """Write the smallest and the largest bin of each band to `found`, shape (bands, frames, 2)."""
    for n in range(len(active)):
        for band in range(len(begins)):
            s = S[active[n], begins[band] : ends[band]]
            smallest, largest = s[0], s[0]
            for value in s:
                smallest = min(smallest, value)
                largest = max(largest, value)
            found[band, n, 0] = smallest
            found[band, n, 1] = largest


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


class Contrast:
    """Peak against valley in each band of `librosa.feature.spectral_contrast`."""

    def __init__(self, bins: int) -> None:
        begins, ends, extremes = _contrast_bands(bins)
        # One extreme bin is found by comparing, more by sorting: numpy sorts a band in half a microsecond.
        self._compared = int((extremes == 1).sum())
        self._begins, self._ends = begins[: self._compared], ends[: self._compared]
        self._sorted = list(zip(begins, ends, extremes, strict=True))[self._compared :]
        self.bands = len(begins)

    def measure(self, S: Float32, active: Int64) -> Float32:
        """Decibels of the active frames in each band, float32, shape (active frames, bands)."""
        # Bands first, so that what a band gets is contiguous: machine code differs for what is not.
        found = np.empty((self.bands, len(active), 2), dtype=np.float32)
        _find_extremes(S, active, self._begins, self._ends, found)
        for band, (begin, end, extremes) in enumerate(self._sorted, start=self._compared):
            ordered = S[active, begin:end]
            ordered.sort(axis=1)
            _average_extremes(ordered, extremes, found[band])
        levels = 10 * np.log10(np.maximum(found, _AMIN))
        contrast_db: Float32 = (levels[..., 1] - levels[..., 0]).T
        return contrast_db


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
                mfcc += max(log_mel_db[t, m], _MIN_MEL_DB) * dct[c, m]
            total[c] += mfcc
            square_total[c] += np.float64(mfcc) * np.float64(mfcc)
