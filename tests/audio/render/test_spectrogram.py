"""The spectrogram of real signals: nothing shows where its two parts meet, and no offset."""

from __future__ import annotations

import numpy as np
import pytest

from soundscape.audio.levels import FLOOR_DB, STEP_DB
from soundscape.audio.own_spectrum import OVERLAPPING_S, OwnSpectrum
from soundscape.audio.render import spectrogram
from soundscape.audio.render.spectrogram import LONG_COLUMNS, LONG_FRAMES_PER_COLUMN, Spectrogram
from soundscape.audio.spectrum import FRAME_RATE_HZ, Float32, MonoSignal, Spectrum

RATES = [8_000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000]


def draw(
    y: Float32, sample_rate: int, cut: int = 65_536, overlapping_s: float = OVERLAPPING_S
) -> Spectrogram:
    """The spectrogram of a mono signal, float32, shape (n,)."""
    filled, spectrum = Spectrogram(sample_rate=sample_rate), Spectrum()
    own = OwnSpectrum(sample_rate=sample_rate, overlapping_s=overlapping_s)
    signal = MonoSignal(sample_rate=sample_rate, channels=1)
    for at in range(0, len(y), cut):
        block = y[at : at + cut]
        for own_frames in own.push(block):
            filled.push_own(own_frames)
        for frames in spectrum.push(signal.push(block[np.newaxis])):
            filled.push(frames.S)
    for own_frames in own.finish():
        filled.push_own(own_frames)
    for part in (spectrum.push(signal.finish()), spectrum.finish()):
        for frames in part:
            filled.push(frames.S)
    filled.finish()
    return filled


def noise(sample_rate: int, seconds: float) -> Float32:
    """White noise, RMS 0.1 in the band up to 11,025 Hz, whatever the rate."""
    random = np.random.default_rng(5)
    y = random.standard_normal(round(seconds * sample_rate)) * 0.1 * (sample_rate / 22_050) ** 0.5
    return y.astype(np.float32)


def levels_db(filled: Spectrogram) -> Float32:
    return filled.result().astype(np.float32) * np.float32(STEP_DB) + np.float32(FLOOR_DB)


@pytest.mark.parametrize("sample_rate", RATES)
def test_white_noise_shows_no_seam(sample_rate: int) -> None:
    filled = draw(noise(sample_rate, 12), sample_rate)
    power = (10 ** (levels_db(filled)[4:-4].astype(np.float64) / 10)).mean(axis=0)
    levels = 10 * np.log10(power)
    # The mean of 250 frames that overlap, of rows as narrow as a bin below 200 Hz.
    high = np.array([filled.axis.centre_hz(row) for row in range(filled.axis.rows)]) > 1000
    assert np.ptp(levels[high][:-1]) < 1
    assert np.abs(np.diff(levels[high][:-1])).max() < 0.7


@pytest.mark.parametrize("sample_rate", [22_050, 44_100, 48_000])
def test_columns_of_a_long_recording_are_the_loudest_of_four_frames(
    monkeypatch: pytest.MonkeyPatch, sample_rate: int
) -> None:
    """However it is cut, and though the upper rows become long before or after the lower ones."""
    y = noise(sample_rate, 4) * np.geomspace(0.01, 1, 4 * sample_rate, dtype=np.float32)
    frames = draw(y, sample_rate).result()
    starts = np.arange(0, len(frames), LONG_FRAMES_PER_COLUMN)
    expected = np.maximum.reduceat(frames, starts, axis=0)
    monkeypatch.setattr(spectrogram, "LONG_COLUMNS", 41)
    for cut in (777, 5000, 65_536):
        found = draw(y, sample_rate, cut)
        assert found.frames_per_column == LONG_FRAMES_PER_COLUMN
        assert np.array_equal(found.result(), expected)


@pytest.mark.parametrize("sample_rate", [32_000, 44_100, 48_000, 96_000])
def test_rows_go_on_where_frames_stop_overlapping(sample_rate: int) -> None:
    """As many columns, at the same times, and as loud."""
    y = noise(sample_rate, 12)
    y[round(8 * sample_rate) :] *= 10
    always, at_first = (levels_db(draw(y, sample_rate, overlapping_s=s)) for s in (OVERLAPPING_S, 4))
    assert always.shape == at_first.shape
    columns = slice(None, round(3.9 * FRAME_RATE_HZ))
    assert np.array_equal(always[columns], at_first[columns])
    for columns in (slice(200, 330), slice(350, 500)):
        power = [(10 ** (levels[columns, -12:] / 10)).mean() for levels in (always, at_first)]
        assert 10 * np.log10(power[1] / power[0]) == pytest.approx(0, abs=0.5)
    rises = []
    for levels in (always, at_first):
        row = levels[:, -12:].mean(axis=1)
        assert row[350:].mean() - row[:330].mean() == pytest.approx(20, abs=1)
        rises.append(int((row > row.mean()).argmax()))
    assert abs(rises[0] - rises[1]) <= 2
    assert rises[0] / FRAME_RATE_HZ == pytest.approx(8, abs=0.1)


@pytest.mark.parametrize("sample_rate", [32_000, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("at_s", [1.0, 1.011, 1.02, 1.031])
def test_a_click_is_as_wide_and_as_loud_on_both_sides_of_the_seam(sample_rate: int, at_s: float) -> None:
    y = np.zeros(2 * sample_rate, np.float32)
    y[round(at_s * sample_rate)] = 0.9
    levels = levels_db(draw(y, sample_rate))
    below, above = levels[:, 50], levels[:, -2]
    # The frames above are shorter: how much they hear of a click depends on where in them it lies.
    assert above.max() == pytest.approx(below.max(), abs=3)
    loud = [np.flatnonzero(row > row.max() - 12) for row in (below, above)]
    assert abs(len(loud[0]) - len(loud[1])) <= 2
    assert loud[0].mean() == pytest.approx(loud[1].mean(), abs=0.6)


@pytest.mark.parametrize("frequency_hz", [10_500, 15_000, 19_000])
def test_a_tone_above_the_shared_spectrum_is_at_its_height(frequency_hz: float) -> None:
    y = np.sin(2 * np.pi * frequency_hz * np.arange(2 * 44_100) / 44_100).astype(np.float32)
    filled = draw(y, 44_100)
    assert filled.axis.centre_hz(int(filled.result()[40].argmax())) == pytest.approx(frequency_hz, rel=0.025)


@pytest.mark.parametrize("sample_rate", [16_000, 44_100])
def test_an_offset_draws_no_line(sample_rate: int) -> None:
    """Even one that the mix did not take off: the spectrogram is as it was, but where the offset begins."""
    y = noise(sample_rate, 3) * 0.01
    plain, shifted = draw(y, sample_rate), draw(y + np.float32(0.25), sample_rate)
    inside = slice(4, -4)
    difference = shifted.result()[inside].astype(int) - plain.result()[inside].astype(int)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("sample_rate", RATES)
def test_the_division_into_blocks_does_not_matter(sample_rate: int) -> None:
    y = noise(sample_rate, 0.7)
    # The resampler's rounding depends on its blocks, in the last bit.
    difference = draw(y, sample_rate, 997).result().astype(int) - draw(y, sample_rate).result().astype(int)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("samples", [0, 1, 5, 900, 5000])
@pytest.mark.parametrize("sample_rate", RATES)
def test_short_clips(samples: int, sample_rate: int) -> None:
    filled = draw(noise(sample_rate, 1)[:samples], sample_rate)
    columns = filled.result()
    resampled = int(samples * 22_050 / sample_rate + 0.5)
    assert len(columns) == (1 + resampled // 512 if resampled else 0)
    assert columns.shape[1] == filled.axis.rows
    assert (columns > 0).any() == (resampled > 0)


def test_both_parts_of_a_long_recording_have_the_same_columns() -> None:
    seconds = LONG_COLUMNS / FRAME_RATE_HZ + 5
    y = noise(24_000, seconds)
    y[: (100 * 24_000)] *= 0.01
    filled = draw(y, 24_000)
    assert filled.frames_per_column == LONG_FRAMES_PER_COLUMN
    columns = filled.result()
    assert len(columns) == pytest.approx(seconds * FRAME_RATE_HZ / LONG_FRAMES_PER_COLUMN, abs=1.5)
    begin = 100 * FRAME_RATE_HZ / LONG_FRAMES_PER_COLUMN
    for row in (100, filled.axis.rows - 2):
        jump = int(np.diff(columns[5:-5, row].astype(int)).argmax()) + 6
        assert jump == pytest.approx(begin, abs=2)
