"""Recognition, small and quick: the full table is benchmarks/fingerprint.py's."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from soundscape.audio.fingerprint import Answer, Fingerprint, Fingerprinter, Index, Kind, match

SAMPLE_RATE = 22_050


def fingerprint(y: np.ndarray) -> Fingerprint:
    S = np.abs(librosa.stft(y.astype(np.float32), n_fft=2048, hop_length=512, pad_mode="constant")).T
    fingerprinter = Fingerprinter()
    fingerprinter.push(np.ascontiguousarray(S, np.float32))
    return fingerprinter.result()


def melody(seed: int, duration_s: float = 20.0) -> np.ndarray:
    """Random notes with harmonics that decay, over a quiet hiss."""
    rng = np.random.default_rng(seed)
    n = int(duration_s * SAMPLE_RATE)
    y = 0.002 * rng.standard_normal(n)
    at = 0.0
    while at < duration_s - 0.1:
        length = rng.choice([0.12, 0.18, 0.25, 0.4])
        t = np.arange(int(min(length * 2, duration_s - at) * SAMPLE_RATE)) / SAMPLE_RATE
        pitch = 110 * 2 ** (rng.integers(0, 36) / 12)
        for harmonic in range(1, 8):
            y[int(at * SAMPLE_RATE) :][: t.size] += (
                0.2 / harmonic * np.exp(-t * harmonic * 4) * np.sin(2 * np.pi * pitch * harmonic * t)
            )
        at += length
    return y.astype(np.float32)


@pytest.fixture(scope="module")
def library() -> dict[str, np.ndarray]:
    return {f"melody-{seed}": melody(seed) for seed in range(12)}


@pytest.fixture(scope="module")
def index(library: dict[str, np.ndarray]) -> Index:
    index = Index()
    for name, y in library.items():
        index.add(name, fingerprint(y))
    return index


def test_a_recording_is_itself(library: dict[str, np.ndarray], index: Index) -> None:
    (hit,) = match(fingerprint(library["melody-3"]), index).hits
    assert hit.recording_id == "melody-3"
    assert hit.kind is Kind.SAME_RECORDING
    assert hit.speed == pytest.approx(1.0, abs=1e-3)
    assert abs(hit.offset_s) < 0.05


def test_a_segment_is_an_excerpt_at_its_offset(library: dict[str, np.ndarray], index: Index) -> None:
    start_s = 7.3
    y = library["melody-5"][int(start_s * SAMPLE_RATE) :][: 5 * SAMPLE_RATE]
    (hit,) = match(fingerprint(y), index).hits
    assert hit.recording_id == "melody-5"
    assert hit.kind is Kind.EXCERPT
    assert abs(hit.offset_s - start_s) < 0.05


def test_a_foreign_recording_matches_nothing(index: Index) -> None:
    assert match(fingerprint(melody(99)), index).answer is Answer.NO_MATCH


def test_silence_is_not_enough_content(index: Index) -> None:
    assert match(fingerprint(np.zeros(SAMPLE_RATE * 5)), index).answer is Answer.NOT_ENOUGH_CONTENT
