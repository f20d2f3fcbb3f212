"""Tonality: tuning, the weight of the twelve pitch classes, and the key they suggest.

Public surface::

    profile = TonalityMeter(sample_rate=22_050, n_fft=2048)
    for S in batches:                  # magnitude, float32, shape (frames, 1025), in order
        profile.push(S)
    profile.result()                   # Tonality(key="G", mode="minor", confidence=0.93, ...)

The key is the one whose profile (Albrecht and Shanahan, "The Use of Large Corpora to Train a New Type of
Key-Finding Algorithm", Music Perception 31(1), 2013) correlates best with the pitch classes. Chosen by
measurement on 240 cadences (all keys, detuned, three timbres, two noises) and 96 random diatonic pieces:
Krumhansl-Kessler 234 and 70 right, Temperley 239 and 59, Aarden-Essen 240 and 80, Bellman-Budge 240 and 84,
this one 240 and 83; of the last three only this one hears the trumpet loop in F. Most misses are the
relative key.
"""

from __future__ import annotations

import cmath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from soundscape.audio.measurements import Tonality
from soundscape.audio.tonality.partials import BAND_HZ, MIN_CENTS, STEP_CENTS, PartialMeter, PartialsSummary

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
# Below this there is no key. Measured: rain, noise, applause, speech, birds, engines and single or random
# tones give 0.00, a cymbal and glides at most 0.08; cadences under 3 dB of pink noise 0.6 and more, random
# pieces 0.45 and more, the music among the recordings at hand from 0.13 (a chiptune) over 0.44 (jazz
# guitar) to 1.
CONFIDENCE_THRESHOLD = 0.1

# Steady peaks as a share of all: speech has under 0.01 and rain none, drums and voice over chords about 0.1.
MIN_STEADY_SHARE = 0.015
# How much of their weight keeps to one grid of semitones: 0.1 to 0.3 in random tones and crowds, 0.5 to 1
# in music.
MIN_AGREEMENT = 0.3

_MAJOR = (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081)
_MINOR = (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052)
# A partial may be the second, third or fourth of a tone below: it speaks for that one too, half as loud
# each time.
_MODES: tuple[Literal["major", "minor"], ...] = ("major", "minor")
_HARMONICS = ((2, 0.5), (3, 0.25), (4, 0.125))


class TonalityMeter:
    """Streaming tonality of a magnitude spectrum.

    Parameters
    ----------
    sample_rate
        Of the signal the spectrum was made of, Hz.
    n_fft
        Length of its window; hop n_fft / 4.
    """

    def __init__(self, *, sample_rate: int = 22_050, n_fft: int = 2048) -> None:
        self._partials = PartialMeter(sample_rate=sample_rate, n_fft=n_fft)

    def push(self, S: NDArray[np.float32]) -> None:
        """Take magnitude frames in order, shape (frames, n_fft / 2 + 1)."""
        self._partials.push(S)

    def result(self) -> Tonality:
        """The tonality of what was pushed so far."""
        heard = self._partials.result()
        if heard.steady_share < MIN_STEADY_SHARE:
            return Tonality(
                key=None, mode=None, confidence=0.0, chroma=(0.0,) * 12, tuning_cents=None, band_hz=BAND_HZ
            )
        tuning_cents = cmath.phase(heard.offset) / (2 * cmath.pi) * 100
        chroma = fold(heard.weights, tuning_cents)
        correlations = correlate_keys(fold(_with_fundamentals(heard.weights), tuning_cents))
        best = int(np.argmax(correlations))
        confidence = _confidence(heard, chroma, correlations)
        known = confidence >= CONFIDENCE_THRESHOLD
        return Tonality(
            key=PITCH_CLASSES[best % 12] if known else None,
            mode=_MODES[best // 12] if known else None,
            confidence=round(confidence, 4),
            chroma=tuple(float(c) for c in np.round(chroma / chroma.max(), 4)),
            tuning_cents=round(tuning_cents, 1) if abs(heard.offset) >= MIN_AGREEMENT else None,
            band_hz=BAND_HZ,
        )


def fold(weights: NDArray[np.float64], tuning_cents: float) -> NDArray[np.float64]:
    """Weights by pitch as weights by pitch class from C, shape (12,), on semitones moved by the tuning.

    What lies between two semitones counts little: cos^2, 1 on the semitone and 0 halfway.
    """
    semitones = (MIN_CENTS + STEP_CENTS * np.arange(weights.size) - tuning_cents) / 100
    nearest = np.round(semitones)
    centred = np.cos(np.pi * (semitones - nearest)) ** 2
    # A is the ninth semitone above C.
    classes = (nearest.astype(np.int64) + 9) % 12
    return np.bincount(classes, weights * centred, minlength=12).astype(np.float64)


def correlate_keys(chroma: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation with the 24 keys, shape (24,): C major to B major, then C minor to B minor.

    Of the roots of the weights, which keeps one long note from standing for the whole.
    """
    heard = np.sqrt(chroma) - np.sqrt(chroma).mean()
    length = float(np.linalg.norm(heard))
    if length == 0.0:
        return np.zeros(24)
    correlations = []
    for profile in (np.array(_MAJOR), np.array(_MINOR)):
        centred = profile - profile.mean()
        centred /= np.linalg.norm(centred)
        correlations += [float(heard @ np.roll(centred, tonic)) / length for tonic in range(12)]
    return np.array(correlations)


def _with_fundamentals(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    total = weights.copy()
    for harmonic, gain in _HARMONICS:
        steps = 1200 * np.log2(harmonic) / STEP_CENTS
        whole = int(steps)
        part = steps - whole
        total[:-whole] += gain * (1 - part) * weights[whole:]
        total[: -whole - 1] += gain * part * weights[whole + 1 :]
    return total


def _ramp(value: float, low: float, high: float) -> float:
    return float(np.clip((value - low) / (high - low), 0, 1))


def _confidence(
    heard: PartialsSummary, chroma: NDArray[np.float64], correlations: NDArray[np.float64]
) -> float:
    """All of these must hold, each from 0 (not at all) to 1.

    The tones keep to one grid of semitones (speech, glides and random tones do not); steady tones are a
    fair part of the spectrum's peaks; they fit a key; they are more than one pitch class. The runner-up
    halves it at most.
    """
    share = chroma / chroma.sum()
    classes = float(np.exp(-np.sum(share * np.log(share + 1e-12))))
    second, first = np.sort(correlations)[-2:]
    return (
        _ramp(abs(heard.offset), MIN_AGREEMENT, 0.6)
        * _ramp(heard.steady_share, MIN_STEADY_SHARE, 0.065)
        * _ramp(float(first), 0.6, 0.85)
        * _ramp(classes, 1.5, 3.0)
        * (0.5 + 0.5 * _ramp(float(first - second), 0.0, 0.1))
    )
