"""The frequency axis: where a frequency lies, and that a row hears its own."""

from __future__ import annotations

import math

import numpy as np
import pytest

from soundscape.audio.render.axis import FrequencyAxis, sum_magnitudes
from soundscape.audio.spectrum import BINS, N_FFT, SAMPLE_RATE

BIN_HZ = SAMPLE_RATE / N_FFT


@pytest.mark.parametrize("top_hz", [4_000, 8_000, 11_025, 22_050, 24_000, 96_000])
def test_the_axis_ends_with_the_recordings_band(top_hz: float) -> None:
    axis = FrequencyAxis(top_hz)
    assert axis.locate(20) == 0
    assert 1 <= axis.locate(top_hz) < 1 + 1 / axis.rows
    for row in (0, axis.rows // 2, axis.rows - 1):
        assert axis.locate(axis.centre_hz(row)) == pytest.approx((row + 0.5) / axis.rows)


def test_the_formula_of_the_documentation() -> None:
    axis = FrequencyAxis(22_050)
    height = (math.asinh(1000 / 150) - math.asinh(20 / 150)) / (axis.rows / 32)
    assert axis.locate(1000) == pytest.approx(height)


def test_low_sounds_have_room() -> None:
    """A sixth of the height below 200 Hz; octaves above are equally high."""
    axis = FrequencyAxis(22_050)
    assert axis.locate(200) > 0.15
    octaves = np.diff([axis.locate(1000 * 2**n) for n in range(5)])
    assert octaves == pytest.approx(octaves[-1], rel=0.03)


def test_a_row_is_loudest_at_its_own_frequency() -> None:
    axis = FrequencyAxis(SAMPLE_RATE / 2)
    filters = axis.make_filters(range(axis.rows), bin_hz=BIN_HZ, bins=BINS)
    time_s = np.arange(N_FFT) / SAMPLE_RATE
    for frequency_hz in (30, 55, 110, 440, 3000, 9000):
        y = np.sin(2 * np.pi * frequency_hz * time_s) * np.hanning(N_FFT + 1)[:-1]
        S = np.abs(np.fft.rfft(y)).astype(np.float32)[np.newaxis]
        row = int(sum_magnitudes(S, *filters)[0].argmax())
        # Bins are 10.8 Hz apart, and the window's main lobe is four of them.
        assert axis.centre_hz(row) == pytest.approx(frequency_hz, rel=0.04, abs=6)


def test_white_noise_has_one_level_in_all_rows() -> None:
    axis = FrequencyAxis(SAMPLE_RATE / 2)
    filters = axis.make_filters(range(axis.rows), bin_hz=BIN_HZ, bins=BINS)
    levels = sum_magnitudes(np.ones((1, BINS), np.float32), *filters)[0]
    assert levels == pytest.approx(1 / BIN_HZ, rel=1e-4)


def test_an_offset_is_in_no_row() -> None:
    axis = FrequencyAxis(SAMPLE_RATE / 2)
    filters = axis.make_filters(range(axis.rows), bin_hz=BIN_HZ, bins=BINS)
    window = np.hanning(N_FFT + 1)[:-1]
    S = np.abs(np.fft.rfft(0.5 * window)).astype(np.float32)[np.newaxis]
    assert sum_magnitudes(S, *filters).max() <= 1e-10 * 1.01
