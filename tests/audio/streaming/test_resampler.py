"""The resampler of the readings: the same signal, at once, however it is cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundscape.audio.spectrum import SAMPLE_RATE
from soundscape.audio.streaming.resampler import QuickResampler

RATES = [8_000, 11_025, 16_000, 32_000, 44_100, 48_000, 96_000, 192_000, 384_000]


def sine(hz: float, rate: int, samples: int) -> np.ndarray[Any, Any]:
    return np.sin(2 * np.pi * hz * np.arange(samples) / rate).astype(np.float32)


def level_db(y: np.ndarray[Any, Any]) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(y[500:-500].astype(np.float64) ** 2)) * np.sqrt(2)))


@pytest.mark.parametrize("share", [0.01, 0.2, 0.4])
@pytest.mark.parametrize("rate", RATES)
def test_a_sine_stays_what_it_is(rate: int, share: float) -> None:
    hz = share * min(rate, SAMPLE_RATE)
    y = QuickResampler(sample_rate=rate).push(sine(hz, rate, rate))
    assert level_db(y - sine(hz, SAMPLE_RATE, len(y))) < -70


@pytest.mark.parametrize("rate", [rate for rate in RATES if rate > 30_000])
def test_what_is_too_high_does_not_fold_back(rate: int) -> None:
    assert level_db(QuickResampler(sample_rate=rate).push(sine(13_000, rate, rate))) < -70


@pytest.mark.parametrize("rate", RATES)
def test_a_sample_comes_out_within_four_milliseconds(rate: int) -> None:
    resampler, pushed, out = QuickResampler(sample_rate=rate), 0, 0
    for samples in (1, 7, 100, 1001, rate // 20, rate // 50):
        out += len(resampler.push(np.zeros(samples, np.float32)))
        pushed += samples
        assert 0 <= pushed / rate - (out - 1) / SAMPLE_RATE < 0.004 + 1 / SAMPLE_RATE


@given(st.sampled_from(RATES), st.lists(st.integers(0, 900), max_size=20))
def test_it_does_not_matter_how_a_signal_is_cut(rate: int, sizes: list[int]) -> None:
    signal = np.random.default_rng(0).standard_normal(sum(sizes)).astype(np.float32)
    whole = QuickResampler(sample_rate=rate).push(signal)
    resampler, pieces, at = QuickResampler(sample_rate=rate), [np.empty(0, np.float32)], 0
    for size in sizes:
        pieces.append(resampler.push(signal[at : at + size]))
        at += size
    assert np.array_equal(np.concatenate(pieces), whole)


def test_a_rate_of_many_phases_is_resampled_too() -> None:
    y = QuickResampler(sample_rate=44_101).push(sine(1000, 44_101, 44_101))
    assert level_db(y - sine(1000, SAMPLE_RATE, len(y))) < -70
