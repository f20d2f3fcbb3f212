"""The tempi that a recording may have.

The onset strength is levelled over four seconds and correlated with itself. Candidates are the tempi at which
it repeats best at one to four beats (a comb), simple ratios of these, and those that would make the
recording a whole number of bars. `tempo_features` describes each.

Public surface: `find_candidates(regions, ...) -> Candidates`, `MIN_BPM`, `MAX_BPM`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, uniform_filter1d

from soundscape.audio.rhythm.loops import LOOP_BEATS, MAX_LOOP_S, TRIPLE_LOOP_BEATS, WHOLE_BPM
from soundscape.audio.rhythm.onsets import add_regions
from soundscape.audio.rhythm.tempo_features import (
    CLIP_FEATURES,
    FEATURES,
    LAGS_BEATS,
    describe,
    describe_clip,
)

Float64 = NDArray[np.float64]

MIN_BPM, MAX_BPM = 45.0, 215.0

_STEP = 0.005
_GRID_BPM = np.exp(np.arange(np.log(MIN_BPM), np.log(MAX_BPM), _STEP))
_COMB_BEATS = np.array([1.0, 2.0, 3.0, 4.0])[:, np.newaxis]
_RATIOS = (2, 1 / 2, 3 / 2, 2 / 3, 3, 1 / 3, 4 / 3, 3 / 4)
_MAX_PEAKS, _MAX_RELATED = 8, 5
_SAME = 0.02
# Onsets are smeared by 30 ms, about what players err by.
_SMOOTHING_FRAMES = 1.4
_LEVELLING_S = 4.0
BLOCK_FRAMES = 1 << 16


@dataclass(frozen=True)
class Candidates:
    """What a recording's tempo may be.

    Attributes
    ----------
    bpm
        Beats a minute, shape (n,).
    features
        What speaks for each, in the order of `FEATURES`, shape (n, features).
    clip_features
        What speaks for there being none, in the order of `CLIP_FEATURES`, shape (features,).
    """

    bpm: Float64
    features: Float64
    clip_features: Float64


def find_candidates(
    regions: NDArray[np.float32], *, frame_rate_hz: float, duration_s: float | None = None
) -> Candidates:
    """Find the tempi that a recording may have; none where it is shorter than a second or nothing repeats.

    Parameters
    ----------
    regions
        Onset strength from `OnsetEnvelope.by_region`, shape (frames, 4).
    frame_rate_hz
        Frames a second.
    duration_s
        Exact length of the recording, if known, to recognise loops.
    """
    frames = regions.shape[0]
    nothing = Candidates(np.empty(0), np.empty((0, len(FEATURES))), np.zeros(len(CLIP_FEATURES)))
    if frames < frame_rate_hz:
        return nothing
    loop_s = duration_s if duration_s is not None and duration_s < MAX_LOOP_S else None
    levelled = np.stack([_level(row, frame_rate_hz) for row in (add_regions(regions), *regions.T)])
    longest_lag = min(frames, int(LAGS_BEATS[-1] * 60 * frame_rate_hz / MIN_BPM) + 8)
    correlations = np.stack([autocorrelate(row, longest_lag) for row in levelled])
    bpm = _choose(_comb(correlations[0], 60 * frame_rate_hz / _GRID_BPM, frames), loop_s)
    if not bpm.size:
        return nothing
    comb = _comb(correlations[0], 60 * frame_rate_hz / bpm, frames)
    features = describe(
        bpm, comb, correlations, levelled, regions, frame_rate_hz=frame_rate_hz, loop_s=loop_s
    )
    clip_features = describe_clip(comb, regions, features, frame_rate_hz=frame_rate_hz)
    return Candidates(bpm, features, clip_features)


def _level(strength: NDArray[np.float32], frame_rate_hz: float) -> NDArray[np.float32]:
    """Zero mean and unit variance over four seconds, so that loud passages do not speak for all."""
    x = gaussian_filter1d(strength.astype(np.float64), _SMOOTHING_FRAMES, mode="constant")
    length = int(_LEVELLING_S * frame_rate_hz) | 1
    x -= uniform_filter1d(x, length)
    squares = x * x
    overall = float(np.sqrt(squares.mean()))
    local = np.sqrt(np.maximum(uniform_filter1d(squares, length), 0.0))
    # Where nothing happens, nothing is to be amplified.
    x /= np.maximum(local, 0.25 * overall + 1e-3)
    levelled: NDArray[np.float32] = x.astype(np.float32)
    return levelled


def autocorrelate(x: NDArray[np.float32], lags: int) -> Float64:
    """1 at no lag, shape (lags,); means over what overlaps."""
    frames, sums = x.size, np.zeros(lags)
    # In blocks, so that a day takes no more memory than an hour.
    n = scipy.fft.next_fast_len(min(frames, BLOCK_FRAMES) + lags, real=True)
    for first in range(0, frames, BLOCK_FRAMES):
        block = scipy.fft.rfft(x[first : first + BLOCK_FRAMES].astype(np.float64), n)
        with_next = scipy.fft.rfft(x[first : first + BLOCK_FRAMES + lags].astype(np.float64), n)
        sums += scipy.fft.irfft(np.conj(block) * with_next, n)[:lags]
    energy = max(float(sums[0]) / frames, 1e-12)
    correlation: Float64 = sums / ((frames - np.arange(lags)) * energy)
    return correlation


def _comb(correlation: Float64, period: Float64, frames: int) -> Float64:
    """Mean correlation at one to four beats, as far as the recording reaches."""
    lags = _COMB_BEATS * period
    weight = np.maximum(0, 1 - lags / frames) * (lags < 0.75 * frames)
    heard = np.interp(lags, np.arange(correlation.size), correlation, right=0.0)
    comb: Float64 = (heard * weight).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-9)
    return comb


def _choose(comb: Float64, loop_s: float | None) -> Float64:
    """The best tempi of the grid, their simple ratios, and those of whole bars, each once."""
    peaks = np.flatnonzero((comb == maximum_filter1d(comb, 9)) & (comb > 0.02))
    peaks = peaks[np.argsort(-comb[peaks], kind="stable")][:_MAX_PEAKS]
    best = [float(_GRID_BPM[i] * np.exp(_STEP * _vertex(comb, i))) for i in peaks.tolist()]
    tried = [*best, *(bpm * ratio for ratio in _RATIOS for bpm in best[:_MAX_RELATED])]
    if loop_s is not None:
        loops = [60 * beats / loop_s for beats in (*LOOP_BEATS, *TRIPLE_LOOP_BEATS)]
        # A whole tempo is known better from the length than from the onsets.
        tried = [*(bpm for bpm in loops if abs(bpm - round(bpm)) < WHOLE_BPM), *tried, *loops]
    chosen: list[float] = []
    for bpm in tried:
        if MIN_BPM <= bpm <= MAX_BPM and all(abs(np.log(bpm / other)) > _SAME for other in chosen):
            chosen.append(bpm)
    return np.array(chosen)


def _vertex(values: Float64, i: int) -> float:
    """Where the parabola through three values has its top, in steps from the middle one."""
    if not 0 < i < values.size - 1:
        return 0.0
    before, here, after = values[i - 1 : i + 2]
    curvature = before - 2 * here + after
    return float(np.clip(0.5 * (before - after) / curvature, -1, 1)) if curvature < 0 else 0.0
