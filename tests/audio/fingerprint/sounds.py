"""Sounds for these tests, from seeds, and their fingerprints by librosa's spectrum."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import av
import librosa
import numpy as np
import numpy.typing as npt
import soxr

from soundscape.audio.fingerprint import Fingerprint, Fingerprinter

SAMPLE_RATE = 22_050
Samples = npt.NDArray[np.float32]


def spectrum(y: Samples) -> Samples:
    S = librosa.stft(np.asarray(y, np.float32), n_fft=2048, hop_length=512, pad_mode="constant")
    return np.ascontiguousarray(np.abs(S).T, np.float32)


def fingerprint(y: Samples) -> Fingerprint:
    fingerprinter = Fingerprinter()
    fingerprinter.push(spectrum(y))
    return fingerprinter.result()


@lru_cache(maxsize=64)
def melody(seed: int, duration_s: float = 20.0) -> Samples:
    """Random notes on an instrument and in a tuning of the seed's own, over a quiet hiss."""
    rng = np.random.default_rng(seed)
    tuning_hz = 110 * 2 ** (rng.uniform(-0.5, 0.5) / 12)
    timbre = rng.uniform(0.3, 1.0, 7) / np.arange(1, 8)
    n = int(duration_s * SAMPLE_RATE)
    y = 0.002 * rng.standard_normal(n)
    at_s = 0.0
    while at_s < duration_s - 0.1:
        length_s = rng.choice([0.12, 0.18, 0.25, 0.4])
        t = np.arange(int(min(length_s * 2, duration_s - at_s) * SAMPLE_RATE)) / SAMPLE_RATE
        pitch_hz = tuning_hz * 2 ** (rng.integers(0, 36) / 12)
        for harmonic in range(1, 8):
            y[int(at_s * SAMPLE_RATE) :][: t.size] += (
                0.2
                * timbre[harmonic - 1]
                * np.exp(-t * harmonic * 4)
                * np.sin(2 * np.pi * pitch_hz * harmonic * t)
            )
        at_s += length_s
    return y.astype(np.float32)


@lru_cache(maxsize=64)
def drum_loop(seed: int, bars: int = 6, bpm: float = 120.0) -> Samples:
    """Kick, snare and hat: a kit and a one-bar pattern of the seed's own, all seeds on one tempo and grid.

    Bars repeat, but as played: no two hits are quite alike.
    """
    rng = np.random.default_rng([seed, 1])
    t = np.arange(int(0.25 * SAMPLE_RATE)) / SAMPLE_RATE
    kick = np.sin(2 * np.pi * (rng.uniform(45, 60) * t + rng.uniform(3, 6) * (1 - np.exp(-t * 30))))
    kick *= np.exp(-t * 15)
    ring = np.sin(2 * np.pi * rng.uniform(170, 230) * t) * np.exp(-t * 25)
    step = int(60 / bpm / 4 * SAMPLE_RATE)
    y = np.zeros(bars * 16 * step + t.size + 100)
    pattern = rng.random((3, 16)) < np.array([[0.3], [0.2], [0.6]])
    for i in range(bars * 16):
        noise = rng.standard_normal(t.size + 1)
        hits = (kick, ring + 0.5 * noise[1:] * np.exp(-t * 20), 0.4 * np.diff(noise) * np.exp(-t * 60))
        for hit, on in zip(hits, pattern[:, i % 16], strict=True):
            if on:
                y[i * step + rng.integers(0, 100) :][: t.size] += hit * rng.uniform(0.5, 1.0)
    return (0.3 * y).astype(np.float32)


def pink(n: int, seed: int) -> Samples:
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n))
    y = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.fft.rfftfreq(n, 1 / SAMPLE_RATE), 20.0)), n)
    return np.asarray(y / np.std(y), dtype=np.float32)


def mixed(y: Samples, noise: Samples, snr_db: float) -> Samples:
    return np.asarray(y + noise * np.std(y) / np.std(noise) * 10 ** (-snr_db / 20), dtype=np.float32)


def faster(y: Samples, speed: float) -> Samples:
    return np.asarray(soxr.resample(y, SAMPLE_RATE * speed, SAMPLE_RATE), np.float32)


def recoded(y: Samples, container: str, codec: str, rate: int, bit_rate: int) -> Samples:
    """Through a lossy codec and back, with PyAV."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=rate)
        stream.bit_rate = bit_rate
        stream.layout = "mono"
        stream.open()
        z = np.ascontiguousarray(np.clip(soxr.resample(y, SAMPLE_RATE, rate), -1, 1), np.float32)
        frame = av.AudioFrame.from_ndarray(z[None, :], format="fltp", layout="mono")
        frame.sample_rate = rate
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
    with av.open(buffer, "r") as container_:
        planar = av.AudioResampler(format="fltp", layout="mono", rate=rate)
        blocks = [
            part.to_ndarray()[0] for frame in container_.decode(audio=0) for part in planar.resample(frame)
        ]
    return np.asarray(soxr.resample(np.concatenate(blocks), rate, SAMPLE_RATE), np.float32)
