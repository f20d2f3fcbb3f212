"""Beats: the sequence of moments that fits both the onsets and a steady tempo best.

Dynamic programming after Ellis, "Beat Tracking by Dynamic Programming", 2007, with the tightness and
smoothing of `librosa.beat.beat_track`. Unlike there the period is not rounded to whole frames, and the path
may begin and end anywhere at no cost, which keeps the first and last beats on their onsets.

Public surface: `find_beats(envelope, bpm=..., frame_rate_hz=...)`. Time and memory are linear in the frames.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from soundscape.audio.compiled import compiled

_TIGHTNESS = 100.0


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
