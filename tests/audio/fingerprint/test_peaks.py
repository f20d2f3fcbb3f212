"""Peaks: what is kept, independent of batches, level and tilt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundscape.audio.fingerprint import Fingerprinter
from soundscape.audio.fingerprint.peaks import (
    BANDS,
    NEIGHBOUR_BINS,
    NEIGHBOUR_FRAMES,
    RANKS_KEPT,
    bin_to_pitch,
    pitch_to_bin,
)

from .sounds import SAMPLE_RATE, drum_loop, fingerprint, melody, spectrum


@pytest.mark.parametrize("seconds", [0.0, 0.01, 5.0])
def test_silence_has_no_peaks(seconds: float) -> None:
    found = fingerprint(np.zeros(max(1, int(seconds * SAMPLE_RATE)), np.float32))
    assert len(found) == 0


def test_nothing_pushed_is_an_empty_fingerprint() -> None:
    found = Fingerprinter().result()
    assert (found.frame_count, len(found), found.duration_s) == (0, 0, 0.0)


def test_one_frame() -> None:
    S = np.zeros((1, 1025), np.float32)
    S[0, 100] = 5.0
    fingerprinter = Fingerprinter()
    fingerprinter.push(S)
    found = fingerprinter.result()
    assert found.frames.tolist() == [0]
    assert pitch_to_bin(found.pitches)[0] == pytest.approx(100, abs=0.2)
    assert found.ranks.tolist() == [0]


@pytest.mark.parametrize(
    ("shape", "what"),
    [((3, 1024), "columns"), ((1025,), "one frame without its axis"), ((1025, 4), "transposed")],
)
def test_a_wrong_shape_is_refused(shape: tuple[int, ...], what: str) -> None:
    with pytest.raises(ValueError, match="1025"):
        Fingerprinter().push(np.zeros(shape, np.float32))


def test_other_spectra_are_refused() -> None:
    with pytest.raises(ValueError, match="22,050"):
        Fingerprinter(sample_rate=44_100)


LONG = melody(1, 45.0)
LONG_SPECTRUM, LONG_FINGERPRINT = spectrum(LONG), fingerprint(LONG)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 900), max_size=12))
def test_batches_do_not_matter(sizes: list[int]) -> None:
    """Ranks are given in steps of 12 s, and the last of them at the end."""
    S = LONG_SPECTRUM
    fingerprinter = Fingerprinter()
    first = 0
    for size in sizes:
        fingerprinter.push(S[first : first + size])
        first = min(first + size, S.shape[0])
    fingerprinter.push(S[first:])
    assert fingerprinter.result() == LONG_FINGERPRINT


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.sampled_from([0.0, np.nan, np.inf, 1e30, 1e-30]))
def test_any_spectrum_gives_a_well_formed_fingerprint(seed: int, frames: int, odd: float) -> None:
    rng = np.random.default_rng(seed)
    S = rng.exponential(1.0, (frames, 1025)).astype(np.float32)
    S[rng.random(S.shape) < 0.01] = odd
    fingerprinter = Fingerprinter()
    fingerprinter.push(S)
    found = fingerprinter.result()
    assert found.frame_count == frames
    assert np.all(np.diff(found.frames) >= 0)
    assert np.all(found.frames < max(frames, 1))
    assert np.all(found.ranks < RANKS_KEPT)
    assert np.all((pitch_to_bin(found.pitches) > 5.4) & (pitch_to_bin(found.pitches) < 511.7))


def test_peaks_do_not_depend_on_the_level() -> None:
    loud, soft = fingerprint(melody(2)), fingerprint(melody(2) * np.float32(0.25))
    assert replace(soft, levels=loud.levels) == loud


def test_no_kept_peak_is_under_a_much_stronger_neighbour() -> None:
    y = drum_loop(3)
    S = spectrum(y)
    found = fingerprint(y)
    for frame, position in zip(
        found.frames.tolist(), np.rint(pitch_to_bin(found.pitches)).astype(int), strict=True
    ):
        around = S[
            max(0, frame - NEIGHBOUR_FRAMES) : frame + NEIGHBOUR_FRAMES + 1,
            max(6, position - NEIGHBOUR_BINS + 1) : min(512, position + NEIGHBOUR_BINS),
        ]
        # One bin of slack: the stored position is interpolated.
        assert S[frame, position - 1 : position + 2].max() * 2.0 >= around.max()


def test_a_sine_is_found_at_its_frequency() -> None:
    t = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    y = np.sin(2 * np.pi * 997.0 * t) * (1 + 0.5 * np.sin(2 * np.pi * 3 * t))
    found = fingerprint(y.astype(np.float32))
    strong = pitch_to_bin(found.pitches[found.ranks == 0]) * SAMPLE_RATE / 2048
    assert np.median(strong) == pytest.approx(997.0, abs=3.0)


def test_peaks_are_bounded_in_any_second() -> None:
    found = fingerprint(np.random.default_rng(0).standard_normal(SAMPLE_RATE * 6).astype(np.float32))
    counts = np.searchsorted(found.frames, found.frames + 44) - np.arange(len(found))
    assert counts.max() <= BANDS * RANKS_KEPT
    assert 40 <= len(found) / found.duration_s <= 80


def test_pitch_and_bin_are_inverse() -> None:
    bins = np.linspace(6, 511, 100)
    assert pitch_to_bin(bin_to_pitch(bins)) == pytest.approx(bins)
    assert bin_to_pitch(511.5) < 2**11  # the binary form gives a pitch 11 bits
