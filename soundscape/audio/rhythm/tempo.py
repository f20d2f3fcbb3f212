"""Tempo: the rate of the beat, from how well the onsets repeat themselves.

The onset strength is levelled over four seconds and correlated with itself. A tempo scores by the mean
correlation at one to four beats (a comb), by a log-normal prior about 120 BPM (Ellis 2007), and by two
signs that the comb sits on the wrong metrical level:

* what repeats at two or three beats but hardly at one has been heard too fast;
* what repeats at half a beat just as well as at whole ones is a plain pulse, and has been heard too slowly.

Confidence is the comb's correlation beyond what noise of the same length reaches, see `noise_correlation`.

A loop is another matter: it is too short for statistics, but was cut to length. See `_loop_tempo_bpm`.

Public surface: `estimate_tempo(envelope, frame_rate_hz=..., duration_s=...) -> Tempo`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from soundscape.audio.compiled import compiled

MIN_BPM, MAX_BPM = 45.0, 212.0
PRIOR_CENTRE_BPM, PRIOR_WIDTH_OCTAVES = 120.0, 1.0
# Below this there is no tempo. Measured: of 400 recordings of 4 to 60 s made of random clicks, noise,
# irregular bursts and shuffled pieces of speech, birds, rain and typing, the highest confidence was 0.02;
# of 567 click tracks and chord sequences of 20 s, half of them swung or unsteady and a third under noise of
# 6 dB, the lowest was 0.73.
CONFIDENCE_THRESHOLD = 0.1

_STEP = 0.005
_BEATS = np.array([1.0, 2.0, 3.0, 4.0])[:, np.newaxis]
# Onsets are smeared by 30 ms, about what players err by.
_SMOOTHING_FRAMES = 1.4
_LEVELLING_S = 4.0
_LOOP_BEATS = (4, 8, 16, 32, 64)
_MAX_LOOP_S = 40.0
_LOOP_CONFIDENCE = 0.5


@dataclass(frozen=True)
class Tempo:
    """`bpm` is `None` where no tempo is heard; `confidence` is from 0 to 1 and says how far from chance it
    is."""

    bpm: float | None
    confidence: float


def noise_correlation(duration_s: float) -> float:
    """The comb correlation that sounds without tempo reach at most, in a recording of this length.

    The largest of many chance correlations falls with the number of onsets, hence with the length: of
    random click trains (2 and 5 a second) and noise, the highest was 0.33 in 5 s, 0.17 in 10 s, 0.10 in 20
    s, 0.04 in 60 s. Above 20 s the bound stays at 0.1 for sounds that are almost regular, such as
    breathing.
    """
    return max(0.1, 2.0 / max(duration_s, 1e-9))


def estimate_tempo(
    envelope: NDArray[np.float32], *, frame_rate_hz: float, duration_s: float | None = None
) -> Tempo:
    """The one tempo that serves a recording best.

    Parameters
    ----------
    envelope
        Onset strength, shape (frames,).
    frame_rate_hz
        Frames a second.
    duration_s
        Exact length of the recording, if known, to recognise loops.
    """
    if envelope.size < frame_rate_hz:
        return Tempo(bpm=None, confidence=0.0)
    levelled = _level(envelope, frame_rate_hz)
    longest_lag = min(envelope.size, int(4 * 60 * frame_rate_hz / MIN_BPM) + 8)
    correlation = _autocorrelation(levelled, longest_lag)
    if duration_s is not None and (loop_bpm := _loop_tempo_bpm(correlation, frame_rate_hz, duration_s)):
        return Tempo(bpm=loop_bpm, confidence=_LOOP_CONFIDENCE)
    bpm, comb = _best(correlation, frame_rate_hz, envelope.size)
    noise = noise_correlation(envelope.size / frame_rate_hz)
    confidence = float(np.clip((comb - noise) / (1 - noise), 0, 1)) if noise < 1 else 0.0
    return Tempo(bpm=bpm if confidence >= CONFIDENCE_THRESHOLD else None, confidence=confidence)


def _level(envelope: NDArray[np.float32], frame_rate_hz: float) -> NDArray[np.float64]:
    """Zero mean and unit variance over four seconds, so that loud passages do not speak for all."""
    x = gaussian_filter1d(envelope.astype(np.float64), _SMOOTHING_FRAMES, mode="constant")
    length = int(_LEVELLING_S * frame_rate_hz) | 1
    x -= uniform_filter1d(x, length)
    overall = float(np.sqrt(np.mean(x * x)))
    local = np.sqrt(np.maximum(uniform_filter1d(x * x, length), 0.0))
    # Where nothing happens, nothing is to be amplified.
    levelled: NDArray[np.float64] = x / np.maximum(local, 0.25 * overall + 1e-3)
    return levelled


@compiled()
def _autocorrelation(x: NDArray[np.float64], lags: int) -> NDArray[np.float64]:
    sums = np.zeros(lags)
    for t in range(x.size):
        here = x[t]
        for lag in range(min(lags, x.size - t)):
            sums[lag] += here * x[t + lag]
    energy = max(sums[0] / x.size, 1e-12)
    for lag in range(lags):
        sums[lag] /= (x.size - lag) * energy
    return sums


def _at(correlation: NDArray[np.float64], lags: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.interp(lags, np.arange(correlation.size), correlation, right=0.0)


def _ratio(of: NDArray[np.float64], to: NDArray[np.float64]) -> NDArray[np.float64]:
    """How well it repeats here, compared with there; 1 where it repeats nowhere."""
    ratio: NDArray[np.float64] = np.where(to > 0.05, np.maximum(of, 0) / np.maximum(to, 0.05), 1.0)
    return ratio


def _mean(values: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = (values * known).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return mean


def _best(correlation: NDArray[np.float64], frame_rate_hz: float, frames: int) -> tuple[float, float]:
    """The tempo with the highest score, and its comb correlation."""
    bpm = np.exp(np.arange(np.log(MIN_BPM), np.log(MAX_BPM), _STEP))
    period = 60 * frame_rate_hz / bpm
    lags = _BEATS * period
    known = lags < 0.75 * frames
    r = _at(correlation, lags) * known
    weight = np.maximum(0, 1 - lags / frames) * known
    comb = (r * weight).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-9)

    odd_to_even = _ratio(_mean(r[[0, 2]], known[[0, 2]]), _mean(r[[1, 3]], known[[1, 3]]))
    others_to_third = _ratio(_mean(r[[0, 1, 3]], known[[0, 1, 3]]), r[2])
    too_fast = np.minimum(np.clip(odd_to_even / 0.4, 0, 1), np.clip((others_to_third - 0.1) / 0.6, 0, 1))
    halves = (_at(correlation, period / 2) + _at(correlation, period * 1.5)) / 2
    halves_to_wholes = _ratio(halves, _mean(r[:2], known[:2]))
    plain_pulse = np.where((period / 2 >= period.min()) & (r[0] > 0.05), halves_to_wholes, 0.0)
    too_slow = np.clip((plain_pulse - 0.86) / 0.07, 0, 1)

    prior = np.exp(-0.5 * (np.log2(bpm / PRIOR_CENTRE_BPM) / PRIOR_WIDTH_OCTAVES) ** 2)
    score = comb * prior * (0.25 + 0.75 * too_fast) * (1 - 0.28 * too_slow)
    i = int(np.argmax(score))
    return float(bpm[i] * np.exp(_STEP * _vertex(comb, i))), float(comb[i])


def _vertex(values: NDArray[np.float64], i: int) -> float:
    """Where the parabola through three values has its top, in steps from the middle one."""
    if not 0 < i < values.size - 1:
        return 0.0
    before, here, after = values[i - 1 : i + 2]
    curvature = before - 2 * here + after
    return float(np.clip(0.5 * (before - after) / curvature, -1, 1)) if curvature < 0 else 0.0


def _loop_tempo_bpm(
    correlation: NDArray[np.float64], frame_rate_hz: float, duration_s: float
) -> float | None:
    """The tempo a loop was cut to.

    Loops hold 4, 8, 16... beats and are made at whole tempi, so their length gives the tempo to many digits
    (after Font and Serra, "Tempo Estimation for Music Loops and a Simple Confidence Measure", ISMIR 2016).
    That is believed where the length is not simply a round number of tenths of a second, and the onsets
    repeat at the beat and at its half, if only a little. Of recordings of accidental length 3 % pass the
    first, few of these the second.
    """
    tenths = duration_s * 10
    if duration_s > _MAX_LOOP_S or abs(tenths - round(tenths)) < 0.01:
        return None
    fitting = []
    for beats in _LOOP_BEATS:
        bpm = 60 * beats / duration_s
        if 60 <= bpm <= 190 and abs(bpm - round(bpm)) < 0.01:
            lags = 60 * frame_rate_hz / bpm * np.array([0.5, 1.0])
            around = lags + np.array([[-1.0], [0.0], [1.0]])
            if _at(correlation, around).max(axis=0).min() > 0.15:
                fitting.append(bpm)
    return min(fitting, key=lambda bpm: abs(np.log(bpm / PRIOR_CENTRE_BPM)), default=None)
