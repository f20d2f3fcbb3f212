"""Beats: the sequence of moments that fits both the onsets and a steady tempo best.

Dynamic programming after Ellis, "Beat Tracking by Dynamic Programming", 2007, with the tightness and
smoothing of `librosa.beat.beat_track`. Unlike there the period is not rounded to whole frames, and the path
may begin and end anywhere at no cost, which keeps the first and last beats on their onsets.

Public surface: `accent(regions)`, `find_beats(envelope, bpm=..., frame_rate_hz=...)`,
`find_loop_beats(envelope, ...)`.
Time and memory are linear in the frames.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from soundscape.audio.compiled import compiled
from soundscape.audio.rhythm.loops import count_loop_beats

_TIGHTNESS = 100.0
# How much the regions of `onsets.REGION_ENDS` tell about where the beats are: kicks and basses most.
_ACCENTS = np.array([5.0, 1.0, 1.0, 0.7], dtype=np.float32)

# Onset strength lags by about a frame.
_LAG_FRAMES = 0.85
# The beats of a loop are counted from its begin if what sounds there is at least this much of what sounds at
# the best places; the second where its length is only about whole bars.
_MIN_SHARE_OF_BEST, _MIN_SHARE_OF_BEST_ABOUT = 0.3, 0.7


@compiled()
def _smooth(x: NDArray[np.float64], period: float) -> NDArray[np.float64]:
    # A Gaussian of 1/32 beat: onsets a little off the beat still count.
    reach = int(np.ceil(period / 8))
    window = np.exp(-0.5 * (np.arange(-reach, reach + 1) * 32.0 / period) ** 2)
    score = np.zeros(x.size)
    for t in range(x.size):
        for k in range(max(-reach, -t), min(reach, x.size - 1 - t) + 1):
            score[t] += window[k + reach] * x[t + k]
    return score


@compiled()
def _best_path(score: NDArray[np.float64], period: float) -> NDArray[np.int32]:
    n = score.size
    nearest, farthest = max(1, round(period / 2)), round(2 * period)
    penalty = _TIGHTNESS * np.log(np.arange(nearest, farthest + 1) / period) ** 2
    total = np.zeros(n)
    previous = np.full(n, -1, dtype=np.int32)
    for t in range(n):
        # Beginning here costs nothing, so a path is never forced back into the silence before the music.
        best, at = 0.0, -1
        for distance in range(nearest, min(farthest, t) + 1):
            candidate = total[t - distance] - penalty[distance - nearest]
            if candidate > best:
                best, at = candidate, t - distance
        total[t] = score[t] + best
        previous[t] = at
    # From the highest total on nothing adds to it: that is the last beat that is played.
    found = np.empty(n // nearest + 2, dtype=np.int32)
    count, t = 0, int(np.argmax(total))
    while t >= 0:
        found[count] = t
        count += 1
        t = previous[t]
    return found[:count][::-1].copy()


def accent(regions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Onset strength for `find_beats`, shape (frames,), of that by region, shape (frames, 4)."""
    accents: NDArray[np.float32] = regions @ _ACCENTS
    return accents


def find_beats(envelope: NDArray[np.float32], *, bpm: float, frame_rate_hz: float) -> NDArray[np.int32]:
    """Frames of the beats, ascending.

    Parameters
    ----------
    envelope
        Onset strength, shape (frames,).
    bpm
        The tempo to keep to.
    frame_rate_hz
        Frames a second.
    """
    x = envelope.astype(np.float64)
    spread = float(x.std(ddof=1)) if x.size > 1 else 0.0
    if spread == 0.0:
        return np.empty(0, dtype=np.int32)
    period = 60 * frame_rate_hz / bpm
    score = _smooth(x / spread, period)
    beats = _best_path(score, period)
    if not beats.size:
        return beats
    strength = np.convolve(score[beats], [0.25, 0.5, 0.25])
    # Before the first and after the last moment that is half as strong as the beats are, nobody plays.
    heard = np.flatnonzero(score > 0.5 * np.sqrt(np.mean(strength**2)))
    if not heard.size:
        return beats[:0]
    kept: NDArray[np.int32] = beats[(beats >= heard[0]) & (beats <= heard[-1])]
    return kept


def find_loop_beats(
    envelope: NDArray[np.float32], *, bpm: float, frame_rate_hz: float, duration_s: float
) -> NDArray[np.int32] | None:
    """Frames of the beats of a loop, which begins on one; None if the recording seems to be none.

    The first beat of a loop has no onset that could be measured, because nothing comes before it, and in a
    short one its off-beats may be stronger.

    Parameters
    ----------
    envelope
        Onset strength, shape (frames,).
    bpm
        The tempo, about.
    frame_rate_hz
        Frames a second.
    duration_s
        Exact length of the recording.
    """
    count = count_loop_beats(bpm, duration_s)
    if count is None:
        return None
    period = duration_s * frame_rate_hz / count
    near = maximum_filter1d(envelope, 5)

    def strength(first: float) -> float:
        # What begins with the recording is not in the onset strength.
        at = np.round(first + period * np.arange(int(first < 2), count)).astype(np.int64)
        at = at[at < near.size]
        return float(near[at].mean()) if at.size else 0.0

    exactly = count_loop_beats(bpm, duration_s, exactly=True) is not None
    share = _MIN_SHARE_OF_BEST if exactly else _MIN_SHARE_OF_BEST_ABOUT
    if strength(_LAG_FRAMES) < share * max(strength(first) for first in range(int(period))):
        return None
    return np.round(_LAG_FRAMES + period * np.arange(count)).astype(np.int32)
