"""The analysis signal: channels that are each other's opposite, offsets, and that nothing else is touched."""

from __future__ import annotations

import numpy as np
import pytest
from signals import Samples

from soundscape.audio.mono import MAX_DC_OFFSET, MonoMix

RATE = 44_100
BLOCK = 65_536


def mix(y: Samples, sample_rate: int = RATE, block: int = BLOCK) -> tuple[Samples, MonoMix]:
    """The analysis signal of y, shape (channels, n), pushed as decoding does."""
    mono = MonoMix(sample_rate=sample_rate, channels=len(y))
    y = np.ascontiguousarray(y, np.float32)
    return np.concatenate([mono.push(y[:, at : at + block]) for at in range(0, y.shape[1], block)]), mono


def related(correlation: float, *, seed: int = 1, seconds: float = 6) -> Samples:
    """Two channels of noise of equal level with this correlation."""
    one, other = np.random.default_rng(seed).standard_normal((2, round(seconds * RATE)))
    right = correlation * one + np.sqrt(1 - correlation**2) * other
    return (np.stack([one, right]) * 0.1).astype(np.float32)


def level_db(y: Samples) -> float:
    return float(10 * np.log10(np.mean(np.square(y, dtype=np.float64))))


@pytest.mark.parametrize("correlation", [-1, -0.98, -0.9, -0.7, -0.5, -0.2, 0, 0.2, 0.5, 0.7, 0.9, 1])
def test_no_correlation_of_two_channels_cancels(correlation: float) -> None:
    y = related(correlation)
    mono, state = mix(y)
    # Signals that are unrelated lose 3 dB in any sum.
    assert level_db(mono) > level_db(y) - 3.2
    assert state.phase_correlation == pytest.approx(correlation, abs=0.02)
    assert bool(state.warnings()) == (correlation < -0.5 - 0.02)


@pytest.mark.parametrize("correlation", [0.05, 0.3, 0.6, 0.95, 1])
@pytest.mark.parametrize("inverted", [0, 1])
def test_a_copy_with_one_channel_inverted_gives_the_same_signal(correlation: float, inverted: int) -> None:
    y = related(correlation)
    other = y.copy()
    other[inverted] *= -1
    upright, _ = mix(y)
    copy, _ = mix(other)
    assert np.array_equal(copy, upright if inverted else -upright)


@pytest.mark.parametrize("channels", [3, 4, 6, 8])
def test_more_channels_do_not_cancel_either(channels: int) -> None:
    sound = (np.random.default_rng(2).standard_normal(3 * RATE) * 0.1).astype(np.float32)
    signs = np.where(np.arange(channels) % 2, -1, 1).astype(np.float32)
    mono, state = mix(signs[:, np.newaxis] * sound)
    assert level_db(mono) == pytest.approx(level_db(sound), abs=0.1)
    assert state.phase_correlation == pytest.approx(-1)
    apart = (np.random.default_rng(3).standard_normal((channels, 3 * RATE)) * 0.1).astype(np.float32)
    unrelated, _ = mix(apart)
    np.testing.assert_allclose(unrelated, apart.mean(axis=0), atol=1e-6)


def test_many_channels_do_not_cancel() -> None:
    sound = (np.random.default_rng(2).standard_normal(RATE) * 0.1).astype(np.float32)
    signs = np.where(np.arange(20) % 2, -1, 1).astype(np.float32)
    mono, _ = mix(signs[:, np.newaxis] * sound)
    assert level_db(mono) == pytest.approx(level_db(sound), abs=0.1)


def test_a_passage_of_opposite_phase_fades_in_and_out() -> None:
    """A sine whose right channel is inverted for two seconds: no gap, and no step where the signs change."""
    time_s = np.arange(8 * RATE) / RATE
    sine = (0.3 * np.sin(2 * np.pi * 220 * time_s)).astype(np.float32)
    right = np.where((time_s >= 3) & (time_s < 5), -sine, sine)
    mono, _ = mix(np.stack([sine, right]))
    inside = mono[round(3.3 * RATE) : round(4.7 * RATE)]
    assert level_db(inside) == pytest.approx(level_db(sine), abs=0.1)
    steepest = 0.3 * 2 * np.pi * 220 / RATE
    # The signs change where a stretch begins; the recording itself steps where it was inverted.
    steps = np.abs(np.diff(mono))
    for cut_s in (3, 5):
        steps[round(cut_s * RATE) - 2 : round(cut_s * RATE) + 2] = 0
    assert steps.max() < 1.3 * steepest


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_what_has_no_offset_and_is_in_phase_is_the_plain_mean(channels: int) -> None:
    random = np.random.default_rng(5)
    common = random.standard_normal(5 * RATE)
    y = (0.1 * (common + 0.5 * random.standard_normal((channels, 5 * RATE)))).astype(np.float32)
    mono, state = mix(y)
    np.testing.assert_allclose(mono, y.mean(axis=0), atol=1e-7)
    assert state.warnings() == ()


@pytest.mark.parametrize("offset", [-0.5, -0.02, 0.003, 0.1, 0.3])
@pytest.mark.parametrize("seconds", [0.1, 0.5, 4])
def test_an_offset_is_removed_and_said(offset: float, seconds: float) -> None:
    time_s = np.arange(round(seconds * RATE)) / RATE
    sine = 0.2 * np.sin(2 * np.pi * 400 * time_s).astype(np.float32)
    y = np.stack([sine + np.float32(offset), sine])
    mono, state = mix(y)
    np.testing.assert_allclose(mono, sine, atol=2e-3 * abs(offset) + 1e-4)
    assert state.dc_offset == pytest.approx(offset, abs=1e-4)
    assert {warning.code for warning in state.warnings()} == (
        {"dc_offset"} if abs(offset) > MAX_DC_OFFSET else set()
    )


def test_an_offset_alone_is_silence() -> None:
    mono, state = mix(np.full((2, 3 * RATE), 0.25, np.float32))
    assert np.abs(mono).max() < 1e-6
    assert state.phase_correlation is None
    assert state.dc_offset == pytest.approx(0.25)


@pytest.mark.parametrize("name", ["bass", "kick", "pop and silence"])
def test_low_sounds_are_no_offset(name: str) -> None:
    time_s = np.arange(3 * RATE) / RATE
    y = {
        "bass": 0.5 * np.sin(2 * np.pi * 25 * time_s),
        "kick": np.exp(-time_s * 12) * np.sin(2 * np.pi * 50 * time_s),
        "pop and silence": 0.5 * (time_s < 0.05),
    }[name].astype(np.float32)
    mono, _ = mix(y[np.newaxis])
    assert np.array_equal(mono, y)


def test_a_single_sample_is_no_offset() -> None:
    mono, state = mix(np.full((1, 1), 0.5, np.float32))
    assert mono.tolist() == [0.5]
    assert state.dc_offset == 0.5
