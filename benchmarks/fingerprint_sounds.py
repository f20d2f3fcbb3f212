"""Sounds for the fingerprint's benchmark: recordings, synthesised ones, and what the world does to them.

Everything is mono float32 at 22,050 Hz and follows from a seed.
"""

from __future__ import annotations

import io
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.signal
import soxr

SAMPLE_RATE = 22_050
Samples = npt.NDArray[np.float32]

SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a"}
SECTION_S = 40.0


@dataclass(frozen=True)
class Sound:
    """A reference: a section of a recording, or a seed. Sounds of one `source` may share material."""

    name: str
    source: str
    path: Path | None = None
    start_s: float = 0.0
    duration_s: float = 0.0
    seed: int = 0

    def samples(self) -> Samples:
        if self.path is None:
            return synthesise(self.seed)
        y = decode(self.path)
        first = int(self.start_s * SAMPLE_RATE)
        return y[first : first + int(self.duration_s * SAMPLE_RATE)]


def recordings(folders: list[Path], *, half: int, max_sections: int = 3) -> list[Sound]:
    """Sections of the recordings under `folders` that belong to one half (0 design, 1 evaluation).

    The half follows from the source's name, so that two encodings of one recording fall together.
    """
    sounds = []
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES):
            source = re.sub(r"_(128k|excerpt|enhanced)$", "", path.stem)
            if zlib.crc32(source.encode()) % 2 != half:
                continue
            try:
                with av.open(str(path)) as container:
                    duration_s = (container.duration or 0) / 1e6
            except (av.error.FFmpegError, UnicodeDecodeError):
                continue
            if duration_s < 5.0:
                continue
            sections = max(1, min(max_sections, int(duration_s // SECTION_S)))
            for i in range(sections):
                start_s = i * duration_s / sections
                length_s = min(SECTION_S, duration_s - start_s)
                sounds.append(Sound(f"{path.stem}@{start_s:.0f}", source, path, start_s, length_s))
    return sounds


def decode(source: Path | io.BytesIO) -> Samples:
    """Decode, mix to mono, resample to 22,050 Hz."""
    with av.open(str(source) if isinstance(source, Path) else source) as container:
        stream = container.streams.audio[0]
        rate = stream.rate
        planar = av.AudioResampler(format="fltp")
        blocks = [
            part.to_ndarray().mean(axis=0)
            for frame in container.decode(stream)
            for part in planar.resample(frame)
        ]
    y = np.concatenate(blocks).astype(np.float32)
    return soxr.resample(y, rate, SAMPLE_RATE, quality="HQ") if rate != SAMPLE_RATE else y


def recode(y: Samples, container: str, codec: str, rate: int, bit_rate: int) -> Samples:
    """Through a lossy codec and back."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.bit_rate = bit_rate
        stream.layout = "mono"
        z = np.ascontiguousarray(soxr.resample(y, SAMPLE_RATE, rate), np.float32)
        frame = av.AudioFrame.from_ndarray(np.clip(z, -1, 1)[None, :], format="fltp", layout="mono")
        frame.sample_rate = rate
        stream.open()
        fit = av.AudioResampler(
            format=stream.codec_context.format.name,
            layout="mono",
            rate=rate,
            frame_size=stream.codec_context.frame_size or 1024,
        )
        for part in [*fit.resample(frame), *fit.resample(None)]:
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    buffer.seek(0)
    return decode(buffer)


def faster(y: Samples, speed: float) -> Samples:
    """Played `speed` times as fast: frequencies up, duration down."""
    return np.asarray(soxr.resample(y, SAMPLE_RATE * speed, SAMPLE_RATE, quality="HQ"), np.float32)


def low_pass(y: Samples, cutoff_hz: float) -> Samples:
    sos = scipy.signal.butter(8, cutoff_hz, fs=SAMPLE_RATE, output="sos")
    return scipy.signal.sosfilt(sos, y).astype(np.float32)


def mixed(y: Samples, noise: Samples, snr_db: float) -> Samples:
    """y plus noise at a signal-to-noise ratio over the whole of y."""
    signal = float(np.sqrt(np.mean(y.astype(np.float64) ** 2)))
    level = float(np.sqrt(np.mean(noise.astype(np.float64) ** 2)))
    return (y + noise * (signal / max(level, 1e-9) * 10 ** (-snr_db / 20))).astype(np.float32)


def pink(n: int, rng: np.random.Generator) -> Samples:
    return coloured(n, rng, 0.5)


def coloured(n: int, rng: np.random.Generator, slope: float) -> Samples:
    """Gaussian noise with amplitude falling as f ** -slope above 20 Hz."""
    size = scipy.fft.next_fast_len(n, real=True)
    spectrum = scipy.fft.rfft(rng.standard_normal(size).astype(np.float32))
    f = np.maximum(scipy.fft.rfftfreq(size, 1 / SAMPLE_RATE), 20.0)
    y = scipy.fft.irfft(spectrum * ((f / 1000.0) ** -slope).astype(np.float32), size)[:n]
    return (y / max(float(np.std(y)), 1e-9)).astype(np.float32)


def share_waveform(ours: Samples, theirs: Samples, lag_s: float) -> bool:
    """Whether two sounds hold the same sound `lag_s` apart (ours at 0 is theirs at lag_s), by waveform alone.

    Windows of a second are each aligned by cross-correlation within 100 ms. Of independent recordings
    each window prefers another shift; where half of them or more prefer one and the same, to two samples,
    a track of the mix is shared. Needs no fingerprint, so it may judge one.
    """
    sos = scipy.signal.butter(4, 200.0, "high", fs=SAMPLE_RATE, output="sos")
    a, b = scipy.signal.sosfilt(sos, ours), scipy.signal.sosfilt(sos, theirs)
    lag, reach = int(lag_s * SAMPLE_RATE), SAMPLE_RATE // 10
    shifts = []
    for first in range(
        max(0, -lag + reach), min(a.shape[0], b.shape[0] - lag - reach) - SAMPLE_RATE, SAMPLE_RATE
    ):
        window = a[first : first + SAMPLE_RATE]
        around = b[first + lag - reach : first + lag + reach + SAMPLE_RATE]
        if np.std(window) < 1e-4 or np.std(around) < 1e-4:
            continue
        product = scipy.signal.fftconvolve(around, window[::-1], "valid")
        shifts.append(int(np.argmax(np.abs(product))))
    if len(shifts) < 5:
        return False
    return bool(np.mean(np.abs(np.array(shifts) - np.median(shifts)) <= 2) >= 0.5)


def magnitudes(y: Samples) -> npt.NDArray[np.float32]:
    """The shared spectrum (Hann 2048, hop 512, centred, zero-padded), shape (frames, 1025)."""
    padded = np.pad(y, 1024)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2048)[::512]
    window = np.hanning(2049)[:-1].astype(np.float32)
    return np.abs(scipy.fft.rfft(frames * window, axis=1)).astype(np.float32)


# ------------------------------------------------------------------------------------------------ synthesis


def synthesise(seed: int) -> Samples:
    """20 to 40 s of one of five kinds of sound, by seed."""
    rng = np.random.default_rng([seed, 7])
    kind = (melody, drums, chirps, speech_like, ambience)[seed % 5]
    n = int(rng.uniform(20, 40) * SAMPLE_RATE)
    y = kind(n, rng)
    return (0.3 * y / max(float(np.max(np.abs(y))), 1e-9)).astype(np.float32)


def _add(y: Samples, at_s: float, sound: npt.NDArray[np.floating]) -> None:
    first = int(at_s * SAMPLE_RATE)
    part = y[first : first + sound.shape[0]]
    part += sound[: part.shape[0]].astype(np.float32)


def _seconds(length_s: float) -> npt.NDArray[np.float32]:
    return np.arange(max(1, int(length_s * SAMPLE_RATE)), dtype=np.float32) / SAMPLE_RATE


def melody(n: int, rng: np.random.Generator) -> Samples:
    """Voices in a scale over a beat; each seed has its own timbre, tuning, tempo and repetition."""
    y = 10 ** rng.uniform(-3.5, -2.3) * coloured(n, rng, 0.5)
    beat_s = 60 / rng.uniform(60, 160)
    scale = np.sort(rng.choice(12, size=rng.integers(5, 8), replace=False))
    tuning = 440 * 2 ** (rng.uniform(-0.5, 0.5) / 12)
    harmonics = np.arange(1, rng.integers(4, 12))
    timbre = rng.uniform(0.1, 1.0, harmonics.size) / harmonics ** rng.uniform(0.6, 1.6)
    for _ in range(rng.integers(1, 4)):
        low, fall = rng.integers(-3, 2), rng.uniform(1.5, 8)
        lengths = rng.choice([0.25, 0.5, 0.5, 1.0, 1.5, 2.0], size=rng.integers(6, 40)) * beat_s
        notes = 12 * (low + rng.integers(0, 2, lengths.size)) + rng.choice(scale, lengths.size)
        at_s, i, duration_s = rng.uniform(0, 1), 0, n / SAMPLE_RATE
        while at_s < duration_s:
            length_s = lengths[i % lengths.size] * rng.normal(1, 0.01)
            if rng.random() > 0.1:
                t = _seconds(length_s * 1.4)
                f = tuning * 2 ** (notes[i % lengths.size] / 12)
                vibrato = 1 + 0.003 * rng.random() * np.sin(2 * np.pi * rng.uniform(4, 7) * t)
                phase = 2 * np.pi * f * np.cumsum(vibrato) / SAMPLE_RATE
                tone = np.zeros_like(t)
                for h, weight in zip(harmonics, timbre, strict=True):
                    if f * h < 10_000:
                        tone += weight * np.exp(-t * fall * (1 + 0.2 * h)) * np.sin(h * phase)
                _add(y, at_s, tone * np.minimum(t * 200, 1) * rng.uniform(0.3, 1))
            at_s += length_s
            i += 1
            if rng.random() < 0.02:
                notes = rng.permutation(notes)
    return y


def drums(n: int, rng: np.random.Generator) -> Samples:
    """A kit of its own, a bar on a sixteenth grid with small variations, often a bass line."""
    y = 10 ** rng.uniform(-4, -2.5) * coloured(n, rng, 0.5)
    t = _seconds(0.4)
    kit = [
        np.sin(2 * np.pi * (rng.uniform(40, 70) * t + rng.uniform(2, 8) * (1 - np.exp(-t * 30))))
        * np.exp(-t * 12)
    ]
    for _ in range(rng.integers(2, 6)):
        low = rng.uniform(200, 5000)
        sos = scipy.signal.butter(
            2, [low, min(low * rng.uniform(1.5, 4), 10_500)], "band", fs=SAMPLE_RATE, output="sos"
        )
        hit = scipy.signal.sosfilt(sos, rng.standard_normal(t.size)) * np.exp(-t * rng.uniform(8, 60))
        ring = (
            np.sin(2 * np.pi * rng.uniform(150, 2500) * t)
            * np.exp(-t * rng.uniform(10, 40))
            * rng.uniform(0, 0.7)
        )
        kit.append(hit + ring)
    step_s = 60 / rng.uniform(70, 175) / 4
    pattern = rng.random((len(kit), 16)) < rng.uniform(0.1, 0.45, (len(kit), 1))
    bass = rng.integers(-24, -5, 16)
    has_bass = rng.random() < 0.5
    for step in range(int(n / SAMPLE_RATE / step_s)):
        if step % 16 == 0 and rng.random() < 0.6:
            pattern[rng.integers(len(kit)), rng.integers(16)] ^= True
        at_s = max(0.0, step * step_s + rng.normal(0, 0.002))
        for hit, on in zip(kit, pattern[:, step % 16], strict=True):
            if on:
                _add(y, at_s, hit * rng.uniform(0.6, 1))
        if has_bass and step % 2 == 0 and rng.random() < 0.8:
            tone = _seconds(step_s * 2)
            f = 440 * 2 ** (bass[step % 16] / 12)
            _add(y, at_s, 0.4 * scipy.signal.sawtooth(2 * np.pi * f * tone) * np.exp(-tone * 4))
    return y


def chirps(n: int, rng: np.random.Generator) -> Samples:
    """Calls like those of birds and insects: families of sweeps, varied each time."""
    y = 10 ** rng.uniform(-3, -1.7) * coloured(n, rng, rng.uniform(0, 1))
    duration_s = n / SAMPLE_RATE
    for _ in range(rng.integers(1, 4)):
        base, span, length = rng.uniform(700, 4500), rng.uniform(-0.6, 0.6), rng.uniform(0.04, 0.4)
        trill, harmonic = rng.uniform(0, 40), rng.random() < 0.5
        at_s = rng.uniform(0, 1)
        while at_s < duration_s:
            for _ in range(rng.integers(1, 7)):
                t = _seconds(length * rng.uniform(0.7, 1.4))
                curve = (
                    base * rng.normal(1, 0.06) * (1 + span * rng.normal(1, 0.2) * t / t[-1] if t[-1] else 1)
                )
                curve = curve * (1 + 0.06 * np.sin(2 * np.pi * trill * t))
                phase = 2 * np.pi * np.cumsum(curve) / SAMPLE_RATE
                call = np.sin(phase) + (0.3 * np.sin(2 * phase) if harmonic else 0)
                _add(y, at_s, call * np.hanning(t.size) * rng.uniform(0.2, 1))
                at_s += t.size / SAMPLE_RATE * rng.uniform(1.1, 1.6)
            at_s += rng.uniform(0.1, 1.2)
    return y


def speech_like(n: int, rng: np.random.Generator) -> Samples:
    """Pulses through three moving formants, in syllables, with fricatives and pauses."""
    y = 10 ** rng.uniform(-3.5, -2) * coloured(n, rng, 0.5)
    voice_hz, tract = rng.uniform(85, 260), rng.uniform(0.85, 1.2)
    vowels = np.array(
        [[730, 1090, 2440], [270, 2290, 3010], [300, 870, 2240], [530, 1840, 2480], [570, 840, 2410]]
    )
    at_s, duration_s, inflection = 0.1, n / SAMPLE_RATE, 0.0
    while at_s < duration_s:
        t = _seconds(rng.uniform(0.08, 0.3))
        if rng.random() < 0.25:
            low = rng.uniform(1800, 6000)
            sos = scipy.signal.butter(2, [low, low * 1.6], "band", fs=SAMPLE_RATE, output="sos")
            _add(y, at_s, 0.5 * scipy.signal.sosfilt(sos, rng.standard_normal(t.size)) * np.hanning(t.size))
        else:
            inflection = 0.7 * inflection + rng.normal(0, 0.08)
            f = voice_hz * (1 + inflection + rng.normal(0, 0.1) * t / t[-1])
            phase = np.cumsum(f) / SAMPLE_RATE
            a, b = vowels[rng.integers(5)] * tract, vowels[rng.integers(5)] * tract
            tone = np.zeros_like(t)
            mix = t / t[-1]
            for h in range(1, int(5000 / voice_hz)):
                gain = sum(
                    weight / (1 + ((h * f - (a[i] * (1 - mix) + b[i] * mix)) / 90) ** 2)
                    for i, weight in enumerate((1.0, 0.5, 0.25))
                )
                tone += gain * np.sin(2 * np.pi * h * phase)
            _add(y, at_s, tone * np.hanning(t.size) ** 0.5)
        at_s += t.size / SAMPLE_RATE * rng.uniform(0.8, 1.1) + (
            rng.uniform(0.15, 0.6) if rng.random() < 0.12 else 0
        )
    return y


def ambience(n: int, rng: np.random.Generator) -> Samples:
    """A bed of coloured, slowly swelling noise with events: knocks, drops, resonances, hums."""
    swell = 1 + 0.5 * np.sin(2 * np.pi * np.arange(n) / SAMPLE_RATE / rng.uniform(3, 15))
    y = (0.05 * swell * coloured(n, rng, rng.uniform(0.2, 1.2))).astype(np.float32)
    at_s = 0.0
    rate_hz = rng.uniform(1, 8)
    while at_s < n / SAMPLE_RATE:
        t = _seconds(rng.uniform(0.02, 0.8))
        event = np.zeros(t.size)
        for _ in range(rng.integers(1, 5)):
            event += np.sin(
                2 * np.pi * rng.uniform(80, 5000) * t * (1 + rng.normal(0, 0.05) * t)
            ) * rng.uniform(0.2, 1)
        if rng.random() < 0.4:
            event = event * 0.3 + rng.standard_normal(t.size)
        _add(y, at_s, event * np.exp(-t * rng.uniform(4, 40)) * rng.uniform(0.05, 0.6))
        at_s += rng.exponential(1 / rate_hz)
    return y
