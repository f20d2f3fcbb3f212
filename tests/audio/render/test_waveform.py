"""Waveform data: audiowaveform's formats, and windows that stay small."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signals import Samples, tone

from soundscape.audio.record import Waveform, WaveformLevel
from soundscape.audio.render import waveform
from soundscape.audio.render.sums import SampleSums


def peaks_of(y: Samples, cuts: tuple[int, ...] = (65536,), samples_per_pixel: int = 256) -> waveform.Peaks:
    return meter_of(y, cuts, samples_per_pixel).result()


def meter_of(
    y: Samples, cuts: tuple[int, ...] = (65536,), samples_per_pixel: int = 256
) -> waveform.PeakMeter:
    meter = waveform.PeakMeter(sample_rate=44_100, channels=len(y), samples_per_pixel=samples_per_pixel)
    start = turn = 0
    while start < y.shape[1]:
        length = cuts[turn % len(cuts)]
        meter.push(y[:, start : start + length])
        start, turn = start + length, turn + 1
    meter.finish()
    return meter


def test_peaks_are_the_extremes_of_each_pixel() -> None:
    samples = np.array([[0, 100, -200, 50, 7, -32768, 32767, 3, -9]], dtype=np.int16)
    found = peaks_of((samples / 32768).astype(np.float32), samples_per_pixel=4)
    assert found.tolist() == [[[-200, 100]], [[-32768, 32767]], [[-9, -9]]]


def test_floats_beyond_full_scale_are_clipped() -> None:
    found = peaks_of(np.array([[1.5, -7.0]], np.float32), samples_per_pixel=2)
    assert found.tolist() == [[[-32768, 32767]]]


@pytest.mark.filterwarnings("error")
def test_huge_floats_are_clipped_too() -> None:
    y = np.array([[1e25, -1e25, 3e38, 0.5], [0.5, 0.5, -0.5, 0.25]], np.float32)
    meter = meter_of(y, samples_per_pixel=2)
    assert meter.result().tolist() == [
        [[-32768, 32767], [16384, 16384]],
        [[16384, 32767], [-16384, 8192]],
    ]
    assert meter.sums.rms(2) == pytest.approx([1, np.sqrt((1 + 0.25) / 2)])


@pytest.mark.parametrize("cuts", [(1, 255, 256, 257, 0), (1000,), (100_000,)])
def test_cuts_change_nothing(cuts: tuple[int, ...]) -> None:
    y = tone(seconds=0.3, sample_rate=44_100, channels=3)
    assert np.array_equal(peaks_of(y, cuts), peaks_of(y))


@given(st.integers(0, 40), st.integers(1, 3), st.integers(2, 5))
@settings(max_examples=50, deadline=None)
def test_coarser_is_the_same_as_measured_coarser(pixels: int, channels: int, ratio: int) -> None:
    y = np.random.default_rng(pixels).uniform(-1, 1, (channels, pixels * 8 + 3)).astype(np.float32)
    fine = peaks_of(y, samples_per_pixel=8)
    assert np.array_equal(waveform.coarsen(fine, ratio), peaks_of(y, samples_per_pixel=8 * ratio))


@pytest.mark.parametrize(("samples", "offset"), [(100_000, -0.02), (44_100, 0.3), (3000, 0.3)])
def test_a_constant_offset_is_not_in_the_peaks(samples: int, offset: float) -> None:
    y = tone(seconds=samples / 44_100, sample_rate=44_100)
    shifted = y.copy()
    shifted[1] += np.float32(offset)
    expected, found = (peaks_of(channels).astype(int) for channels in (y, shifted))
    # The tone's own mean, over periods that are not whole, is not its offset.
    assert np.abs(found - expected).max() <= 32768 * 0.002
    assert np.array_equal(found[:, 0], expected[:, 0])


@pytest.mark.parametrize(
    ("sample_rate", "samples", "is_taken_off"),
    # Eight pixels begin at sample 1,793; 0.05 s are 2,205 samples at 44.1 kHz.
    [(8_000, 1792, False), (8_000, 1793, True), (44_100, 2204, False), (44_100, 2205, True)],
)
def test_a_very_short_clip_keeps_its_offset(sample_rate: int, samples: int, *, is_taken_off: bool) -> None:
    meter = waveform.PeakMeter(sample_rate=sample_rate, channels=1)
    meter.push(np.full((1, samples), 0.25, np.float32))
    meter.finish()
    assert (meter.result() == (0 if is_taken_off else 8192)).all()


@pytest.mark.parametrize("samples", [100_000, 44_100, 3000])
def test_nor_in_the_rms(samples: int) -> None:
    y = tone(seconds=samples / 44_100, sample_rate=44_100, channels=1)
    found = meter_of(y + np.float32(0.3)).sums.rms(10)
    assert found == pytest.approx(meter_of(y).sums.rms(10), rel=0.02)


def test_what_is_not_constant_is_not_an_offset() -> None:
    """A switch that closes half way, and a mean that sways."""
    step = np.repeat(np.array([[0.0, 0.4]], np.float32), 50_000, axis=1)
    sway = 0.4 * np.sin(2 * np.pi * np.arange(100_000) / 80_000, dtype=np.float32)[np.newaxis]
    for y in (step, sway):
        assert peaks_of(y).max() == round(0.4 * 32768)


@pytest.mark.parametrize("samples", [1, 255, 700, 266 * 256, 5_000_000])
def test_rms_follows_the_level(samples: int) -> None:
    """Noise that grows; the second channel is softer and does not count. 266 bars, as in the picture."""
    level = np.linspace(0.01, 0.3, samples, dtype=np.float32)
    noise = np.random.default_rng(3).choice(np.array([-1, 1], np.float32), samples)
    y = np.stack([level * noise, level * noise / 2])
    found = meter_of(y, (65_536, 100)).sums.rms(266)
    assert found.shape == (266,)
    middles = level[np.minimum(((np.arange(266) + 0.5) * samples / 266).astype(int), samples - 1)]
    assert found == pytest.approx(middles, abs=0.003 if samples > 1000 else 0.2)


@pytest.mark.parametrize("pixels", [8191, 8192, 8193, 16_385, 40_000])
def test_sums_of_long_recordings_are_complete(pixels: int) -> None:
    values = np.random.default_rng(4).uniform(-1, 1, (pixels, 1, 2)).astype(np.float32)
    sums = SampleSums(sample_rate=44_100, channels=1, samples_per_pixel=4)
    for start in range(0, pixels, 777):
        part = values[start : start + 777]
        sums.push(part, 4 * len(part))
    expected = np.sqrt(np.maximum(values[..., 1].sum(dtype=np.float64), 0) / (4 * pixels))
    assert sums.rms(1)[0] == pytest.approx(expected)


def test_the_dat_file_is_audiowaveforms_version_2() -> None:
    # By hand, from the format: version, flags, rate, samples per pixel, length, channels.
    peaks = np.array([[[-1, 2], [-3, 4]], [[-5, 6], [-7, 8]]], dtype=np.int16)
    expected = struct.pack("<iIiiIi8h", 2, 0, 44_100, 256, 2, 2, -1, 2, -3, 4, -5, 6, -7, 8)
    assert waveform.encode_dat(peaks, sample_rate=44_100, samples_per_pixel=256) == expected


def test_the_json_says_the_same() -> None:
    peaks = np.array([[[-1, 2], [-3, 4]]], dtype=np.int16)
    found = json.loads(waveform.encode_json(peaks, sample_rate=48_000, samples_per_pixel=512))
    assert found == {
        "version": 2,
        "channels": 2,
        "sample_rate": 48_000,
        "samples_per_pixel": 512,
        "bits": 16,
        "length": 1,
        "data": [-1, 2, -3, 4],
    }


def test_written_levels_are_complete_files(tmp_path: Path) -> None:
    y = tone(seconds=60, sample_rate=44_100)
    peaks = peaks_of(y)
    written = waveform.write(peaks, tmp_path, sample_rate=44_100)
    assert written.levels[-1].path == written.path == "waveform.dat"
    assert [level.samples_per_pixel for level in written.levels] == [256, 1024]
    for level in written.levels:
        data = (tmp_path / level.path).read_bytes()
        assert len(data) == level.size_bytes == 24 + level.length * 2 * 4
        assert struct.unpack("<iIiiIi", data[:24]) == (2, 0, 44_100, level.samples_per_pixel, level.length, 2)
    overview = json.loads((tmp_path / written.json_path).read_text())
    assert overview["length"] == written.levels[-1].length


def test_a_window_reads_exactly_its_pixels(tmp_path: Path) -> None:
    y = tone(seconds=60, sample_rate=44_100)
    peaks = peaks_of(y)
    written = waveform.write(peaks, tmp_path, sample_rate=44_100)
    found = waveform.find_window(written, start_s=10, end_s=12, width_px=300)
    assert found.samples_per_pixel == 256
    data = (tmp_path / found.path).read_bytes()[found.start_byte : found.end_byte]
    first, last = 441_000 // 256, -(-529_200 // 256)
    assert np.array_equal(np.frombuffer(data, "<i2").reshape(-1, 2, 2), peaks[first:last])


def six_hours(channels: int, sample_rate: int) -> Waveform:
    """The levels a recording of six hours has, without the recording."""
    covers = waveform.FINEST_SAMPLES_PER_PIXEL
    length = -(-6 * 3600 * sample_rate // covers)
    levels = []
    while True:
        size = 24 + length * channels * 4
        levels.append(WaveformLevel("waveform.dat", covers, length, size))
        if length <= waveform.OVERVIEW_MAX_PIXELS:
            break
        covers, length = covers * waveform.LEVEL_RATIO, -(-length // waveform.LEVEL_RATIO)
    return Waveform("waveform.dat", "waveform.json", sample_rate, channels, 16, tuple(levels), (0,) * 200)


@given(
    start_s=st.floats(0, 6 * 3600),
    span_s=st.floats(0.001, 6 * 3600),
    sample_rate=st.sampled_from([8_000, 44_100, 48_000, 192_000]),
    width_px=st.integers(100, 2500),
)
def test_any_window_of_six_hours_takes_at_most_200_kb(
    start_s: float, span_s: float, sample_rate: int, width_px: int
) -> None:
    recording = six_hours(2, sample_rate)
    end_s = min(start_s + span_s, 6 * 3600.0)
    found = waveform.find_window(recording, start_s=start_s, end_s=end_s, width_px=width_px)
    assert 0 <= found.end_byte - found.start_byte <= 200_000
    # Enough to draw with, as far as the finest level goes.
    finest = (end_s - start_s) * sample_rate / waveform.FINEST_SAMPLES_PER_PIXEL
    assert found.pixels >= min(width_px, finest) - 1


def test_the_overview_is_small_as_well() -> None:
    assert six_hours(8, 192_000).levels[-1].size_bytes <= 200_000
    assert six_hours(2, 44_100).levels[-1].size_bytes <= 50_000


@pytest.mark.parametrize("pixels", [0, 1, 199, 200, 201, 6000])
def test_the_summary_is_200_bytes_with_the_loudest_at_255(pixels: int) -> None:
    level = np.linspace(1, 30_000, pixels).astype(np.int16)
    peaks = np.stack([np.stack([-level, level // 2], axis=1), np.zeros((pixels, 2), np.int16)], axis=1)
    bars = waveform.summarize(peaks)
    assert len(bars) == 200
    assert sorted(bars) == list(bars)
    assert (bars[0] >= 0, max(bars)) == (True, 255 if pixels else 0)


def test_a_click_stands_in_its_bar_whatever_the_length() -> None:
    peaks = np.zeros((40_000, 2, 2), dtype=np.int16)
    peaks[30_001, 1, 0] = -32768
    assert [i for i, bar in enumerate(waveform.summarize(peaks)) if bar] == [150]
