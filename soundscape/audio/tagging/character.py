"""The character of a sound: the descriptors that the embedding is made of, at any level and rate.

They are descriptors of the shared spectrum, defined as in the record. Other things count, though. The record
leaves out what is softer than -80 dBFS, so a soft recording loses frames. Here

* a frame counts if it is at most `RANGE_DB` softer than the loudest; after two minutes, one frame in four,
* a mel band counts as no softer than `MEL_RANGE_DB` below the loudest band of its frame,
* the flatness has its floor 100 dB below the frame's mean power,
* the spectrum ends at `TOP_HZ`: files of 16 kHz and more have everything below. Only zero crossings and
  levels are of the whole signal.

So a softer copy has the same character, and a copy at another rate nearly the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from soundscape.audio.compiled import FASTMATH, compiled
from soundscape.audio.descriptors import Summary
from soundscape.audio.measurements import Mfcc
from soundscape.audio.spectral import MFCCS, Contrast, count_mels, make_dct
from soundscape.audio.spectrum import FRAME_RATE_HZ, N_FFT, SAMPLE_RATE, Float32, Frames
from soundscape.audio.wideband import find_rolloff, geometric_mean, summarize

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

TOP_HZ = 7200.0
RANGE_DB = 40
MEL_RANGE_DB = 60.0
# Two minutes, as of the small network. After that one frame in four counts: these of sixteen. With a fixed
# step, a steady beat of four frames would always be seen at the same place.
DENSE_FRAMES = round(120 * FRAME_RATE_HZ)
SPARSE_FRAMES = (0, 5, 10, 15)
_IS_SPARSE = np.isin(np.arange(16), SPARSE_FRAMES)

# What is softer is digital silence, with what filters leave of it.
_MIN_DBFS = -160.0
# Steps of 1 dB from -200 dBFS.
_LEVELS = 260
_BIN_HZ = SAMPLE_RATE / N_FFT
_CENTROID, _BANDWIDTH, _ROLLOFF, _FLATNESS = range(4)


@dataclass(frozen=True)
class Character:
    """Summaries over the frames that count.

    Attributes
    ----------
    active_share
        Share of the frames that count, 0 to 1.
    centroid_hz, bandwidth_hz, rolloff_hz, flatness, rms_dbfs, flux, contrast_db, zero_crossing_rate, mfcc
        Named as in `soundscape.audio.measurements.Spectral`. `rms_dbfs` and the first of the MFCC's means are
        the only ones that a change of level moves.
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


class CharacterMeter:
    """The character of streamed `Frames`. Keeps 28 bytes a frame: 1.2 MB for an hour.

    Which frames count is known only at the end. So MFCC and contrast are summed by the level of the frames,
    in steps of 1 dB.

    Parameters
    ----------
    top_hz
        Up to where the spectrum shows the recording, Hz; see `soundscape.audio.spectral.find_top_hz`.
    """

    def __init__(self, *, top_hz: float) -> None:
        top_hz = min(top_hz, TOP_HZ)
        self._bins = int(top_hz / _BIN_HZ) + 1
        self._mels = count_mels(top_hz)
        self._dct = make_dct(self._mels, size=count_mels(TOP_HZ))
        self._contrast = Contrast(self._bins)
        self._last_log_mel_db: Float32 | None = None
        self._seen = 0
        self._frames = 0
        self._series: list[Float32] = []
        self._counts = np.zeros(_LEVELS, dtype=np.int64)
        self._sums = np.zeros((_LEVELS, self._contrast.bands + MFCCS))
        self._square_sums = np.zeros_like(self._sums)

    def push(self, frames: Frames) -> None:
        """Add the next batch of frames."""
        chosen = self._choose(len(frames.S))
        self._frames += len(chosen)
        level_dbfs = 10.0 * np.log10(np.maximum(frames.mean_square[chosen], 1e-20))
        is_heard = level_dbfs > _MIN_DBFS
        heard, level_dbfs = chosen[is_heard], level_dbfs[is_heard]
        if len(heard):
            before = frames.log_mel_db[0] if self._last_log_mel_db is None else self._last_log_mel_db
            flux = _measure_flux(frames.log_mel_db, heard, before, self._mels)
            described = _describe(frames.S, heard, self._bins)
            series = np.empty((len(heard), 3 + described.shape[1]), dtype=np.float32)
            series[:, 0], series[:, 1], series[:, 2] = level_dbfs, frames.zero_crossing_rate[heard], flux
            series[:, 3:] = described
            self._series.append(series)
            contrast_db = self._contrast.measure(frames.S, heard)
            mfcc = self._measure_mfcc(frames.log_mel_db[heard, : self._dct.shape[1]])
            columns = np.concatenate([contrast_db, mfcc], axis=1)
            steps = _level_steps(level_dbfs)
            _add_by_level(steps, columns, self._counts, self._sums, self._square_sums)
        self._last_log_mel_db = frames.log_mel_db[-1].copy()

    def _choose(self, count: int) -> Int64:
        """Which of the next frames are looked at."""
        numbers = np.arange(self._seen, self._seen + count)
        self._seen += count
        chosen: Int64 = np.flatnonzero((numbers < DENSE_FRAMES) | _IS_SPARSE[numbers % len(_IS_SPARSE)])
        return chosen

    def _measure_mfcc(self, log_mel_db: Float32) -> Float32:
        floor_db = log_mel_db[:, : self._mels].max(axis=1, keepdims=True) - np.float32(MEL_RANGE_DB)
        mfcc: Float32 = np.maximum(log_mel_db, floor_db) @ self._dct.T
        return mfcc

    def result(self) -> Character | None:
        """Sum up; None where all is digital silence."""
        if not self._series:
            return None
        series = np.ascontiguousarray(np.concatenate(self._series).T)
        steps = _level_steps(series[0])
        first = max(0, int(steps.max()) - RANGE_DB)
        level_dbfs, crossings, flux, centroid, bandwidth, rolloff, flatness = series[:, steps >= first]
        count = self._counts[first:].sum()
        mean = self._sums[first:].sum(axis=0) / count
        variance = np.maximum(self._square_sums[first:].sum(axis=0) / count - mean**2, 0.0)
        return Character(
            active_share=len(level_dbfs) / self._frames,
            centroid_hz=summarize(centroid),
            bandwidth_hz=summarize(bandwidth),
            rolloff_hz=summarize(rolloff),
            flatness=summarize(flatness),
            rms_dbfs=summarize(level_dbfs),
            flux=summarize(flux),
            contrast_db=tuple(mean[:-MFCCS].tolist()),
            zero_crossing_rate=summarize(crossings),
            mfcc=Mfcc(mean=tuple(mean[-MFCCS:].tolist()), std=tuple(np.sqrt(variance[-MFCCS:]).tolist())),
        )


def _level_steps(level_dbfs: npt.NDArray[np.floating[Any]]) -> Int64:
    steps: Int64 = np.clip(np.floor(level_dbfs) + 200, 0, _LEVELS - 1).astype(np.int64)
    return steps


@compiled(fastmath=FASTMATH)
def _measure_flux(log_mel_db: Float32, heard: Int64, before: Float32, mels: int) -> Float32:
    """Mean rise of the bands that are in the range of the louder of a frame and the one before it."""
    flux = np.empty(len(heard), dtype=np.float32)
    for n in range(len(heard)):
        t = heard[n]
        now, previous = log_mel_db[t], before if t == 0 else log_mel_db[t - 1]
        loudest = now[0]
        for m in range(mels):
            loudest = max(loudest, max(now[m], previous[m]))
        floor = loudest - np.float32(MEL_RANGE_DB)
        rise = np.float32(0.0)
        for m in range(mels):
            rise += max(max(now[m], floor) - max(previous[m], floor), np.float32(0.0))
        flux[n] = rise / np.float32(mels)
    return flux


@compiled(fastmath=FASTMATH)
def _describe(S: Float32, heard: Int64, bins: int) -> Float32:
    """Centroid, bandwidth, rolloff and flatness of the first bins, shape (heard frames, 4)."""
    rows = np.zeros((len(heard), 4), dtype=np.float32)
    lanes = np.empty(16)
    squares = np.empty(bins, dtype=np.float32)
    # A float beside each bin: the conversion of the loop's own integer costs more than the sum.
    numbers = np.arange(bins).astype(np.float32)
    for t in range(len(heard)):
        s = S[heard[t], :bins]
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
        # The geometric mean has a floor of 1e-10: it is taken of powers whose mean is 1.
        scale = np.float32(bins / max(float(power), 1e-30))
        spread = np.float32(0.0)
        for k in range(bins):
            off = numbers[k] - centre
            spread += s[k] * off * off
            squares[k] *= scale
        rows[t, _CENTROID] = centre * _BIN_HZ
        rows[t, _BANDWIDTH] = np.sqrt(spread / total) * _BIN_HZ
        rows[t, _ROLLOFF] = find_rolloff(s, float(total)) * _BIN_HZ
        rows[t, _FLATNESS] = geometric_mean(squares, lanes)
    return rows


@compiled()
def _add_by_level(steps: Int64, columns: Float32, counts: Int64, sums: Float64, square_sums: Float64) -> None:
    """Add each frame and its columns to what its level has."""
    for t in range(len(steps)):
        step = steps[t]
        counts[step] += 1
        for c in range(columns.shape[1]):
            value = np.float64(columns[t, c])
            sums[step, c] += value
            square_sums[step, c] += value * value
