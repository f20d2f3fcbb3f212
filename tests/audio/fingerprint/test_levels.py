"""Levels: by another way of computing them, and how they follow a sound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundscape.audio.fingerprint.levels import (
    BELL_ROWS,
    LAST_BIN,
    LEVEL_BANDS,
    LEVEL_CELLS,
    LEVEL_FRAMES,
    LEVEL_STEP_DB,
    LOWEST_LEVEL_DB,
    LevelMeter,
    bell,
    bin_to_cell,
    cell_to_bin,
    count_rows,
)

from .sounds import SAMPLE_RATE, fingerprint, melody, spectrum


def measure(S: np.ndarray) -> np.ndarray:
    meter = LevelMeter()
    meter.push(S)
    return meter.result()


@pytest.mark.parametrize("frames", [0, 1, 5, 6, 11, 12, 100, 5000])
def test_levels_are_the_power_within_the_bells(frames: int) -> None:
    S = np.random.default_rng(frames).exponential(1.0, (frames, 1025)).astype(np.float32)
    middles = np.arange(count_rows(frames)) * LEVEL_FRAMES + LEVEL_FRAMES // 2
    in_time = bell((np.arange(frames)[None, :] - middles[:, None]) / (BELL_ROWS * LEVEL_FRAMES))
    distance = (bin_to_cell(np.arange(LAST_BIN))[:, None] - LEVEL_CELLS[None, :]) / np.diff(LEVEL_CELLS)[0]
    power = in_time @ (S[:, :LAST_BIN].astype(np.float64) ** 2) @ bell(distance) / (BELL_ROWS * LEVEL_FRAMES)
    level_db = 10.0 * np.log10(power + 1e-30)
    found_db = measure(S) * LEVEL_STEP_DB + LOWEST_LEVEL_DB
    assert found_db.shape == (count_rows(frames), LEVEL_BANDS)
    # A quarter of a decibel is half a step.
    assert found_db == pytest.approx(level_db, abs=0.26)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 100), max_size=12))
def test_batches_do_not_matter(sizes: list[int]) -> None:
    S = spectrum(melody(1, 6.0))
    meter, first = LevelMeter(), 0
    for size in sizes:
        meter.push(S[first : first + size])
        first = min(first + size, S.shape[0])
    meter.push(S[first:])
    assert np.array_equal(meter.result(), measure(S))


def test_a_quarter_of_the_amplitude_is_twelve_decibels_less() -> None:
    loud, soft = fingerprint(melody(2)).levels, fingerprint(melody(2) * np.float32(0.25)).levels
    steps = loud[loud > 40].astype(int) - soft[loud > 40]
    assert set(steps.tolist()) <= {24, 25}


def test_silence_and_what_is_not_finite_have_levels() -> None:
    assert np.all(measure(np.zeros((50, 1025), np.float32)) == 0)
    for odd in (np.nan, np.inf, 1e30):
        assert measure(np.full((50, 1025), odd, np.float32)).shape == (5, LEVEL_BANDS)


def test_a_tone_is_loudest_in_its_band() -> None:
    t = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    for band in range(LEVEL_BANDS):
        pitch_hz = float(cell_to_bin(LEVEL_CELLS[band])) * SAMPLE_RATE / 2048
        levels = fingerprint(np.sin(2 * np.pi * pitch_hz * t).astype(np.float32)).levels
        assert set(np.argmax(levels[2:-2], axis=1).tolist()) == {band}


def test_bells_add_up() -> None:
    assert bell(np.arange(-3, 4)[:, None] + np.linspace(0, 1, 11)).sum(axis=0) == pytest.approx(1.0)


def test_cells_and_bins_are_inverse() -> None:
    bins = np.linspace(0, 600, 100)
    assert cell_to_bin(bin_to_cell(bins)) == pytest.approx(bins)
