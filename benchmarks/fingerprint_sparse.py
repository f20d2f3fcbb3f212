"""Sounds with few peaks, by seed: tunes of pure tones, whistles, bells, beeps, calls, pairs of tones.

A fingerprint ranks peaks within bands. Where a band holds nothing but what a codec adds, its strongest peaks
are the codec's. So a copy of such a sound differs more from it than a copy of a song does.

Tunes and beeps of all seeds are in one scale and on one of three grids, so two of them share notes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import fingerprint_sounds as sounds
import numpy as np
from fingerprint_sounds import SAMPLE_RATE, Samples

Condition = Callable[[Samples, np.random.Generator], Samples]

SCALE = (0, 2, 4, 5, 7, 9, 11)
BEAT_S = (0.4, 0.5, 0.6)
DURATION_S = (15.0, 30.0)


def make_sparse(family: str, number: int) -> Samples:
    """Make 15 to 30 s of a family."""
    rng = np.random.default_rng([zlib.crc32(family.encode()), number])
    y = np.zeros(int(rng.uniform(*DURATION_S) * SAMPLE_RATE), np.float32)
    FAMILIES[family](y, rng)
    return y * np.float32(rng.uniform(0.1, 0.8) / max(float(np.max(np.abs(y))), 1e-9))


def tune(y: Samples, rng: np.random.Generator) -> None:
    """Single sines, each as long as its beat or half of it, at one level, with short ramps."""
    beat_s, key, ramp_s = rng.choice(BEAT_S), 57 + rng.integers(0, 12), rng.choice([0.003, 0.01, 0.03])
    degree, at_s = int(rng.integers(0, 8)), 0.0
    while at_s < y.size / SAMPLE_RATE:
        length_s = beat_s * rng.choice([0.5, 0.5, 1.0, 1.0, 2.0])
        degree = int(np.clip(degree + rng.integers(-3, 4), 0, 14))
        if rng.random() < 0.93:
            t = _seconds(length_s * 0.95)
            _add(y, at_s, np.sin(2 * np.pi * _pitch(key, degree) * t) * _ramps(t, ramp_s))
        at_s += length_s


def slow_tune(y: Samples, rng: np.random.Generator) -> None:
    """A tune whose notes last 0.4 to 1.2 s, often without ramps: between them, nothing happens."""
    note_s, key, ramp_s = rng.uniform(0.4, 1.2), 57 + rng.integers(0, 12), rng.choice([1e-6, 0.003, 0.02])
    for number in range(int(y.size / SAMPLE_RATE / note_s)):
        t = _seconds(note_s)
        _add(
            y,
            number * note_s,
            np.sin(2 * np.pi * _pitch(key, int(rng.integers(0, 8))) * t) * _ramps(t, ramp_s),
        )


def whistle(y: Samples, rng: np.random.Generator) -> None:
    """A tune that glides from note to note with vibrato, over breath 30 to 60 dB below it."""
    beat_s, key = rng.uniform(0.3, 0.7), 72 + rng.uniform(0, 12)
    vibrato_hz, depth = rng.uniform(4, 7), rng.uniform(0.0, 0.01)
    degree, at_s, before = 4, 0.0, _pitch(key, 4)
    while at_s < y.size / SAMPLE_RATE:
        length_s = beat_s * rng.choice([0.5, 1.0, 1.0, 2.0])
        degree = int(np.clip(degree + rng.integers(-3, 4), 0, 11))
        t = _seconds(length_s * rng.uniform(0.8, 1.0))
        f = _pitch(key, degree) + (before - _pitch(key, degree)) * np.exp(-t / 0.03)
        f = f * (1 + depth * np.sin(2 * np.pi * vibrato_hz * t))
        _add(y, at_s, np.sin(2 * np.pi * np.cumsum(f) / SAMPLE_RATE) * _ramps(t, 0.03))
        before, at_s = _pitch(key, degree), at_s + length_s
    y += 10 ** rng.uniform(-3.0, -1.5) * sounds.coloured(y.size, rng, 0.5)


def bell(y: Samples, rng: np.random.Generator) -> None:
    """Struck bars and bells: inharmonic partials that ring on."""
    partials = np.array([0.5, 1.0, 1.2, 1.5, 2.0, 2.67, 4.1]) * rng.normal(1, 0.01, 7)
    levels, decay = rng.uniform(0.1, 1.0, 7), rng.uniform(0.5, 4.0)
    key, at_s = 60 + rng.uniform(0, 12), 0.2
    while at_s < y.size / SAMPLE_RATE:
        t = _seconds(3.0)
        f = _pitch(key, int(rng.integers(0, 12)))
        tone = np.zeros_like(t)
        for partial, level in zip(partials, levels, strict=True):
            tone += level * np.exp(-t * decay * partial) * np.sin(2 * np.pi * f * partial * t)
        _add(y, at_s, tone * rng.uniform(0.4, 1.0) * _ramps(t, 0.002))
        at_s += rng.choice([0.25, 0.5, 1.0, 1.5]) * rng.normal(1, 0.02)


def beeps(y: Samples, rng: np.random.Generator) -> None:
    """Signals of a machine: bursts of five to eight pitches, in patterns with pauses."""
    key, unit_s, at_s = 69 + rng.integers(0, 12), rng.choice([0.1, 0.125, 0.15]), 0.1
    degrees = rng.choice(15, size=rng.integers(5, 9), replace=False)
    while at_s < y.size / SAMPLE_RATE:
        f = _pitch(key, int(rng.choice(degrees)))
        for _ in range(rng.integers(1, 5)):
            t = _seconds(unit_s)
            _add(y, at_s, np.sin(2 * np.pi * f * t) * _ramps(t, 0.004))
            at_s += unit_s * rng.choice([1.5, 2.0])
        at_s += unit_s * rng.choice([1, 2, 4])


def song(y: Samples, rng: np.random.Generator) -> None:
    """A bird's song: phrases of sweeps, repeated with small changes, over next to nothing."""
    phrases = [
        [(rng.uniform(1500, 5000), rng.uniform(-0.4, 0.4), rng.uniform(0.04, 0.25)) for _ in range(n)]
        for n in rng.integers(2, 8, rng.integers(3, 7))
    ]
    at_s = 0.2
    while at_s < y.size / SAMPLE_RATE:
        for base, span, length_s in phrases[rng.integers(len(phrases))]:
            t = _seconds(length_s * rng.normal(1, 0.05))
            f = base * rng.normal(1, 0.01) * (1 + span * t / t[-1])
            tone = np.sin(2 * np.pi * np.cumsum(f) / SAMPLE_RATE)
            _add(y, at_s, tone * np.hanning(t.size) * rng.uniform(0.3, 1))
            at_s += t[-1] * rng.uniform(1.1, 1.5)
        at_s += rng.uniform(0.2, 1.5)
    y += np.float32(10 ** rng.uniform(-4.0, -2.5)) * sounds.coloured(y.size, rng, 0.5)


def dial(y: Samples, rng: np.random.Generator) -> None:
    """Pairs of tones, as a telephone dials them."""
    low, high = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
    length_s, at_s = rng.uniform(0.08, 0.3), 0.1
    while at_s < y.size / SAMPLE_RATE:
        t = _seconds(length_s)
        pair = np.sin(2 * np.pi * rng.choice(low) * t) + np.sin(2 * np.pi * rng.choice(high) * t)
        _add(y, at_s, pair * _ramps(t, 0.004))
        at_s += length_s * rng.uniform(1.3, 2.5)


FAMILIES: dict[str, Callable[[Samples, np.random.Generator], None]] = {
    "tune": tune,
    "slow tune": slow_tune,
    "whistle": whistle,
    "bell": bell,
    "beeps": beeps,
    "song": song,
    "dial": dial,
}


def _opus(kbit_s: int) -> Condition:
    return lambda y, rng: sounds.recode(y, "ogg", "libopus", 48_000, 1000 * kbit_s)


def _cut(y: Samples, rng: np.random.Generator) -> Samples:
    first = int(rng.integers(0, max(1, y.size - 10 * SAMPLE_RATE)))
    return y[first : first + 10 * SAMPLE_RATE]


SPARSE_CONDITIONS: dict[str, Condition] = {
    **{f"opus {kbit_s}k": _opus(kbit_s) for kbit_s in (32, 64, 96, 128)},
    "mp3 64k": lambda y, rng: sounds.recode(y, "mp3", "libmp3lame", 44_100, 64_000),
    "aac 48k": lambda y, rng: sounds.recode(y, "ipod", "aac", 44_100, 48_000),
    "10 s, opus 64k": lambda y, rng: _opus(64)(_cut(y, rng), rng),
    "10 s, pink noise 10 dB": lambda y, rng: sounds.mixed(
        part := _cut(y, rng), sounds.pink(part.size, rng), 10.0
    ),
    "10 s, pink noise 0 dB": lambda y, rng: sounds.mixed(
        part := _cut(y, rng), sounds.pink(part.size, rng), 0.0
    ),
    "10 s, speed +3 %": lambda y, rng: sounds.faster(_cut(y, rng), 1.03),
}


def _pitch(key: float, degree: int) -> float:
    return float(440 * 2 ** ((key + SCALE[degree % 7] + 12 * (degree // 7) - 69) / 12))


def _seconds(length_s: float) -> np.ndarray:
    return np.arange(max(2, int(length_s * SAMPLE_RATE))) / SAMPLE_RATE


def _ramps(t: np.ndarray, ramp_s: float) -> np.ndarray:
    return np.minimum(1, np.minimum(t, t[-1] - t) / ramp_s)


def _add(y: Samples, at_s: float, sound: np.ndarray) -> None:
    part = y[int(at_s * SAMPLE_RATE) :][: sound.size]
    part += sound[: part.size].astype(np.float32)
