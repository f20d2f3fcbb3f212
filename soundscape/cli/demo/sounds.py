"""Four sounds made by arithmetic, for a demonstration without recordings. They are what their names say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

SAMPLE_RATE = 44_100
SEED = 20_261_122

Signal = npt.NDArray[np.float64]


def write_all(folder: Path) -> list[Path]:
    """Write every sound into `folder` and return the files."""
    sounds = {
        "rain-like noise.wav": rain(12.0),
        "chirping bird.flac": bird(8.0),
        "chords in C at 100 BPM.ogg": chords(19.2),
        "speech-like formants.wav": speech(9.0),
    }
    paths = []
    for name, y in sounds.items():
        path = folder / name
        soundfile.write(path, y, SAMPLE_RATE)
        paths.append(path)
    return paths


def rain(duration_s: float) -> Signal:
    """Two channels, shape (n, 2): noise shaped like steady rain, with single drops in it."""
    rng = np.random.default_rng(SEED)
    n = int(duration_s * SAMPLE_RATE)
    channels = []
    for _ in range(2):
        spectrum = np.fft.rfft(rng.standard_normal(n))
        frequency_hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
        # Rain is hiss: little below 300 Hz, most around some kHz, falling above.
        spectrum *= (frequency_hz / 300) / (1 + (frequency_hz / 300) ** 2) ** 0.5 / (1 + frequency_hz / 6000)
        hiss = np.fft.irfft(spectrum, n)
        for start in rng.integers(0, n - 2000, int(duration_s * 14)):
            hiss[start : start + 2000] += _drop(rng)
        channels.append(hiss)
    y = np.stack(channels, axis=1)
    return np.asarray(0.25 * y / np.abs(y).max())


def _drop(rng: np.random.Generator) -> Signal:
    t = np.arange(2000) / SAMPLE_RATE
    pitch_hz = rng.uniform(1500, 5000)
    return rng.uniform(0.3, 1.5) * np.exp(-t * 400) * np.sin(2 * np.pi * pitch_hz * t)


def bird(duration_s: float) -> Signal:
    """Mono, shape (n,): phrases of quick sweeps between 2 and 6 kHz, and silence between."""
    rng = np.random.default_rng(SEED + 1)
    n = int(duration_s * SAMPLE_RATE)
    y = 1e-4 * rng.standard_normal(n)
    at_s = 0.3
    while at_s < duration_s - 1.2:
        low_hz, high_hz = rng.uniform(2000, 3000), rng.uniform(4000, 6000)
        for _ in range(int(rng.integers(3, 8))):
            length_s = rng.uniform(0.04, 0.11)
            t = np.arange(int(length_s * SAMPLE_RATE)) / SAMPLE_RATE
            start_hz, end_hz = (high_hz, low_hz) if rng.random() < 0.7 else (low_hz, high_hz)
            phase = 2 * np.pi * (start_hz * t + (end_hz - start_hz) * t**2 / (2 * length_s))
            chirp = np.sin(phase) * np.sin(np.pi * t / length_s) ** 2
            start = int(at_s * SAMPLE_RATE)
            y[start : start + t.size] += 0.4 * chirp
            at_s += length_s + rng.uniform(0.02, 0.05)
        at_s += rng.uniform(0.4, 1.1)
    return y


def chords(duration_s: float, *, tempo_bpm: float = 100.0) -> Signal:
    """Mono, shape (n,): C G Am F over and over, a chord a bar, with a kick on each beat and a hat between."""
    rng = np.random.default_rng(SEED + 2)
    n = int(duration_s * SAMPLE_RATE)
    y = np.zeros(n)
    beat_s = 60 / tempo_bpm
    triads = ((60, 64, 67), (55, 59, 62), (57, 60, 64), (53, 57, 60))  # MIDI notes
    for bar in range(int(duration_s / (4 * beat_s)) + 1):
        for note in (*triads[bar % 4], triads[bar % 4][0] - 12):
            _add(y, 4 * bar * beat_s, 0.11 * _string(440 * 2 ** ((note - 69) / 12), 4 * beat_s))
    for half_beat in range(int(duration_s / beat_s * 2) + 1):
        at_s = half_beat * beat_s / 2
        t = np.arange(int(0.12 * SAMPLE_RATE)) / SAMPLE_RATE
        if half_beat % 2 == 0:
            _add(y, at_s, 0.5 * np.exp(-t * 30) * np.sin(2 * np.pi * (50 * t + 4 * (1 - np.exp(-t * 40)))))
        else:
            _add(y, at_s, 0.06 * np.exp(-t * 90) * rng.standard_normal(t.size))
    return y


def _string(frequency_hz: float, length_s: float) -> Signal:
    t = np.arange(int(length_s * SAMPLE_RATE)) / SAMPLE_RATE
    tone = sum(np.sin(2 * np.pi * k * frequency_hz * t) / k**1.5 for k in range(1, 7))
    return np.asarray(tone * np.exp(-t * 1.2) * np.minimum(1, t * 200))


def speech(duration_s: float) -> Signal:
    """Mono, shape (n,): a pulse train through moving vowel formants, in syllables and pauses. No words."""
    from scipy.signal import lfilter

    rng = np.random.default_rng(SEED + 3)
    n = int(duration_s * SAMPLE_RATE)
    y = 2e-4 * rng.standard_normal(n)
    # First three formants of a, e, i, o, u (Peterson & Barney 1952, men).
    vowels = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240))
    at_s = 0.2
    while at_s < duration_s - 0.6:
        for _ in range(int(rng.integers(3, 7))):
            length_s = rng.uniform(0.12, 0.24)
            m = int(length_s * SAMPLE_RATE)
            pitch_hz = np.linspace(rng.uniform(105, 135), rng.uniform(90, 120), m)
            phase = np.cumsum(pitch_hz) / SAMPLE_RATE
            syllable = np.diff(np.floor(phase), prepend=0.0) + 0.01 * rng.standard_normal(m)
            for formant_hz in vowels[rng.integers(len(vowels))]:
                radius = np.exp(-np.pi * 80 / SAMPLE_RATE)
                theta = 2 * np.pi * formant_hz / SAMPLE_RATE
                syllable = lfilter([1 - radius], [1, -2 * radius * np.cos(theta), radius**2], syllable)
            syllable = 0.3 * syllable / np.abs(syllable).max() * np.hanning(m)
            if at_s + length_s >= duration_s:
                break
            _add(y, at_s, syllable)
            at_s += length_s + rng.uniform(0.0, 0.04)
        at_s += rng.uniform(0.25, 0.5)
    return y


def _add(y: Signal, at_s: float, sound: Signal) -> None:
    start = int(at_s * SAMPLE_RATE)
    end = min(y.size, start + sound.size)
    if start < end:
        y[start:end] += sound[: end - start]
