"""Sameness: one recording in noise, and two works of the same notes on the same instrument."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.fingerprint_sameness import fit, read_rows
from soundscape.audio.fingerprint import THRESHOLD, Fingerprint, MemoryIndex, find_matches
from soundscape.audio.fingerprint import match as match_module
from soundscape.audio.fingerprint.likeness import MIN_CORRELATION, Likeness
from soundscape.audio.fingerprint.sameness import MAX_TELLING, Sameness, measure_sameness
from soundscape.audio.fingerprint.score import FITTED_SAMENESS, estimate_sameness
from soundscape.audio.fingerprint.verify import make_screen, verify

from .sounds import SAMPLE_RATE, Samples, fingerprint, melody, mixed, pink, recoded

SCALE = (0, 2, 4, 5, 7, 9, 11)


def work(seed: int, duration_s: float = 24.0) -> Samples:
    """A work of one key and tempo: every note of a pitch is the same sound, as a sampler plays it."""
    rng = np.random.default_rng([seed, 2])
    y = np.zeros(int((duration_s + 2) * SAMPLE_RATE))
    t = np.arange(int(1.2 * SAMPLE_RATE)) / SAMPLE_RATE
    degree = 0
    for eighth in range(int(duration_s * 4)):
        notes = []
        if eighth % 4 == 0:
            degree = int(rng.choice([0, 3, 4]))
            notes = [48 + SCALE[(degree + third) % 7] + 12 * ((degree + third) // 7) for third in (0, 2, 4)]
        if rng.random() < 0.5:
            notes.append(60 + SCALE[rng.integers(0, 7)])
        for note in notes:
            pitch_hz = 440 * 2 ** ((note - 69) / 12)
            for harmonic in range(1, 9):
                y[int(eighth * 0.25 * SAMPLE_RATE) :][: t.size] += (
                    0.1 / harmonic * np.exp(-4 * t) * np.sin(2 * np.pi * harmonic * pitch_hz * t)
                )
    return y.astype(np.float32)


def tune(seed: int, duration_s: float = 20.0) -> Samples:
    """Single sines on a grid of beats, and nothing else."""
    rng = np.random.default_rng([seed, 3])
    y = np.zeros(int((duration_s + 1) * SAMPLE_RATE))
    at_s, degree = 0.0, 4
    while at_s < duration_s:
        length_s = rng.choice([0.25, 0.5, 0.5, 1.0])
        t = np.arange(int(0.95 * length_s * SAMPLE_RATE)) / SAMPLE_RATE
        degree = int(np.clip(degree + rng.integers(-3, 4), 0, 13))
        pitch_hz = 262 * 2 ** ((SCALE[degree % 7] + 12 * (degree // 7)) / 12)
        ramp = np.minimum(1.0, np.minimum(t, t[-1] - t) / 0.01)
        y[int(at_s * SAMPLE_RATE) :][: t.size] += 0.3 * ramp * np.sin(2 * np.pi * pitch_hz * t)
        at_s += length_s
    return y.astype(np.float32)


def measure(query: Fingerprint, stored: Fingerprint, lag_frames: int = 0) -> Sameness:
    evidence = verify(make_screen(query), stored, lag_frames)
    assert evidence is not None
    return measure_sameness(query, stored, evidence, 1.0)


@pytest.fixture(scope="module")
def works() -> MemoryIndex:
    index = MemoryIndex()
    for seed in range(8):
        index.add(f"work-{seed}", fingerprint(work(seed)))
    return index


def test_works_that_share_notes_are_not_one_recording(
    works: MemoryIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [fingerprint(work(seed)) for seed in range(20, 32)]
    named = sum(bool(find_matches(other, works).matches) for other in others)
    monkeypatch.setattr(match_module, "estimate_sameness", lambda _: 1.0)
    named_without = sum(bool(find_matches(other, works).matches) for other in others)
    # Half of their bars are the same chord, so now and then one passes.
    assert named_without >= 8
    assert named <= 2


@pytest.mark.parametrize("seed", range(4))
def test_a_work_in_noise_is_itself_alone(works: MemoryIndex, seed: int) -> None:
    y = work(seed)[5 * SAMPLE_RATE : 15 * SAMPLE_RATE]
    (match,) = find_matches(fingerprint(mixed(y, pink(y.size, seed), 5.0)), works).matches
    assert match.recording_id == f"work-{seed}"
    assert match.probability > THRESHOLD


def test_a_copy_agrees_in_every_way() -> None:
    one = fingerprint(melody(3))
    sameness = measure(one, one)
    assert sameness.equal_ranks == 1.0
    assert sameness.share > 0.95
    assert sameness.likeness is not None
    assert sameness.likeness.correlation > MAX_TELLING
    assert sameness.ranks_or_levels == 1.0
    assert estimate_sameness(sameness) > 0.99


def test_noise_changes_ranks_and_leaves_levels_alike() -> None:
    y = melody(3)
    clean, noisy = fingerprint(y), fingerprint(mixed(y, pink(y.size, 1), 0.0))
    sameness = measure(noisy, clean)
    assert sameness.equal_ranks < 0.5
    assert sameness.likeness is not None
    assert sameness.likeness.correlation > 0.98
    assert estimate_sameness(sameness) > THRESHOLD


def test_either_ranks_or_levels_say_that_it_is_one_recording() -> None:
    def say(equal_ranks: float, correlation: float | None) -> float:
        levels = None if correlation is None else Likeness(correlation, correlation)
        return Sameness(equal_ranks, 1.0, 20.0, levels).ranks_or_levels

    assert say(0.0, 0.5) == say(0.0, 0.8) == 0.0
    assert say(1.0, 0.5) == say(0.0, 1.0) == say(1.0, 1.0) == 1.0
    assert 0.0 < say(0.1, 0.5) < say(0.1, 0.95) < say(0.2, 0.95) < say(0.2, 0.99) < 1.0
    assert say(0.1, None) == say(0.1, MIN_CORRELATION)


def test_the_weights_are_what_the_fit_prints() -> None:
    """`python benchmarks/fingerprint_sameness.py` prints them, from the rows beside it."""
    fitted = fit(read_rows())
    assert fitted.weights == pytest.approx(FITTED_SAMENESS.weights, abs=0.011)
    assert fitted.bias == pytest.approx(FITTED_SAMENESS.bias, abs=0.011)


@pytest.fixture(scope="module")
def tunes() -> MemoryIndex:
    index = MemoryIndex()
    for seed in range(12):
        index.add(f"tune-{seed}", fingerprint(tune(seed)))
    return index


@pytest.mark.parametrize("bit_rate", [32_000, 64_000, 128_000])
def test_tunes_of_pure_tones_are_found_through_opus(tunes: MemoryIndex, bit_rate: int) -> None:
    """A codec fills the bands that are silent in them with peaks of its own."""
    for seed in range(12):
        y = recoded(tune(seed), "ogg", "libopus", 48_000, bit_rate)
        named = {match.recording_id for match in find_matches(fingerprint(y), tunes).matches}
        assert named == {f"tune-{seed}"}
