"""Pictures: what they must show. How they look is for eyes; docs/audio/waveform.md describes them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from soundscape.audio.levels import STEP_DB
from soundscape.audio.render import pictures
from soundscape.audio.render.spectrogram import (
    LONG_COLUMNS,
    LONG_FRAMES_PER_COLUMN,
    Spectrogram,
)
from soundscape.audio.spectrum import BINS, FRAME_RATE_HZ, N_FFT, SAMPLE_RATE

ROWS = Spectrogram().axis.rows
BIN = 100
SHARE = Spectrogram().axis.locate(BIN * SAMPLE_RATE / N_FFT)
RMS = np.full(pictures.BARS, 0.01)


def ramp_peaks() -> np.ndarray:
    """Louder and louder, int16, shape (5000, 2, 2)."""
    loud = np.linspace(0, 3000, 5000).astype(np.int16)
    return np.stack([np.stack([-loud, loud], axis=1)] * 2, axis=1)


def spectrogram(frames: int) -> Spectrogram:
    """One loud bin over a floor 60 dB below."""
    filled = Spectrogram()
    for start in range(0, frames, 1000):
        S = np.full((min(1000, frames - start), BINS), 0.1, dtype=np.float32)
        S[:, BIN] = 100.0
        filled.push(S)
    filled.finish()
    return filled


def test_bars_follow_the_level_and_the_loudest_touches_the_edges() -> None:
    bars = pictures.draw_bars(pictures.scale_bars(ramp_peaks(), RMS)[0])
    assert bars.shape == (pictures.WAVEFORM_HEIGHT_PX, pictures.WIDTH_PX)
    heights = (bars > 127).sum(axis=0)[1::6][:-1]
    assert (np.diff(heights.astype(int)) >= 0).all()
    assert heights[0] <= 6
    assert heights[-1] >= pictures.WAVEFORM_HEIGHT_PX - 4
    assert np.array_equal(bars, bars[::-1])


@pytest.mark.parametrize("pixels", [0, 1, 3, 265, 266, 267, 100_000])
def test_any_length_fills_the_width(pixels: int) -> None:
    peaks = np.tile(np.array([[[-5, 5]]], dtype=np.int16), (pixels, 1, 1))
    shown = (pictures.draw_bars(pictures.scale_bars(peaks, RMS)[0]) > 127).any(axis=0)
    assert shown[:4].all()
    assert shown[-10:].any()


@pytest.mark.parametrize("theme", [pictures.LIGHT, pictures.DARK])
def test_the_waveform_stands_on_a_transparent_ground(theme: pictures.Theme) -> None:
    bars = pictures.draw_bars(pictures.scale_bars(ramp_peaks(), RMS)[0])
    image = np.asarray(pictures.paint_waveform(bars, bars, theme=theme))
    assert image.shape == (320, 1600, 4)
    assert image[0, 0, 3] == 0
    assert tuple(image[160, 1, :3]) == pytest.approx(theme.middle, abs=2)


def test_the_rms_is_seen_within_the_peaks() -> None:
    """A mastered song: all peaks at full scale, the RMS a quarter of that, louder in the second half."""
    peaks = np.tile(np.array([[[-32768, 32767]]], dtype=np.int16), (5000, 1, 1))
    rms = np.repeat([0.2, 0.4], pictures.BARS // 2)
    image = pictures.paint_waveform(
        *(pictures.draw_bars(heights) for heights in pictures.scale_bars(peaks, rms)), theme=pictures.LIGHT
    )
    opacity = np.asarray(image)[..., 3]
    for x, share in ((1 + 6 * 50, 0.2), (1 + 6 * 200, 0.4)):
        column = opacity[:, x].astype(int)
        assert (column > 250).mean() == pytest.approx(share, abs=0.03)
        assert ((column > 80) & (column < 150)).mean() == pytest.approx(1 - share, abs=0.03)


def test_the_rms_is_never_outside_the_peaks() -> None:
    peak_heights, rms_heights = pictures.scale_bars(ramp_peaks(), np.full(pictures.BARS, 0.5))
    assert (rms_heights <= peak_heights).all()


def test_silence_is_a_row_of_dots() -> None:
    silent = np.zeros((5000, 1, 2), dtype=np.int16)
    for heights in pictures.scale_bars(silent, np.zeros(pictures.BARS)):
        assert (pictures.draw_bars(heights) > 127).sum(axis=0).max() <= 6


@pytest.mark.parametrize("frames", [1, 2, 100, LONG_COLUMNS, LONG_COLUMNS + 1, 3 * LONG_COLUMNS + 2])
def test_every_frame_is_in_the_spectrogram(frames: int) -> None:
    filled = spectrogram(frames)
    long = frames > LONG_COLUMNS
    assert filled.frames_per_column == (LONG_FRAMES_PER_COLUMN if long else 1)
    columns = filled.result()
    assert len(columns) == -(-frames // filled.frames_per_column)
    loudest = columns.argmax(axis=1)
    assert (np.abs(loudest - SHARE * ROWS) < 1.5).all()
    assert filled.seconds_per_column * len(columns) == pytest.approx(frames / FRAME_RATE_HZ, abs=0.1)
    assert filled.overview(500).shape == (min(len(columns), 500), ROWS)


def test_a_short_burst_in_long_silence_is_seen_in_the_overview() -> None:
    filled = Spectrogram()
    S = np.zeros((int(600 * FRAME_RATE_HZ), BINS), dtype=np.float32)
    S[int(306 * FRAME_RATE_HZ) : int(306.4 * FRAME_RATE_HZ), BIN] = 1.0
    filled.push(S)
    overview = filled.overview(50)
    row = int(filled.result().max(axis=0).argmax())
    assert overview[25, row] == filled.result().max()
    assert (np.delete(overview[:, row], 25) < overview[25, row]).all()


def test_a_tone_is_drawn_at_its_height() -> None:
    filled = spectrogram(3000)
    shades = pictures.scale_spectrogram(filled)
    row = shades.mean(axis=1).argmax()
    assert 1 - row / len(shades) == pytest.approx(SHARE, abs=0.01)
    assert shades.max() > 245
    levels = filled.result().astype(float) * STEP_DB
    below_db = levels.max() - np.median(levels)
    assert 45 < below_db < 65
    assert np.median(shades) == pytest.approx(255 * (1 - below_db / 80), abs=4)


def test_silence_is_dark() -> None:
    silent = Spectrogram()
    silent.push(np.full((500, BINS), 1e-6, dtype=np.float32))
    assert pictures.scale_spectrogram(silent).max() == 0


@pytest.mark.parametrize(
    ("duration_s", "labels"),
    [
        (0.05, ["0.0 s"]),
        (0.95, ["0.0 s", "0.2 s", "0.4 s", "0.6 s", "0.8 s"]),
        (9, ["0:00", "0:01", "0:02", "0:03", "0:04", "0:05", "0:06", "0:07", "0:08", "0:09"]),
        (65, ["0:00", "0:10", "0:20", "0:30", "0:40", "0:50", "1:00"]),
        (6 * 3600, ["0:00", "1:00:00", "2:00:00", "3:00:00", "4:00:00", "5:00:00", "6:00:00"]),
    ],
)
def test_times_on_the_axis(duration_s: float, labels: list[str]) -> None:
    assert [label for _, label in pictures.place_ticks(duration_s)] == labels


def test_a_long_recording_is_tiled(tmp_path: Path) -> None:
    frames = 4 * LONG_COLUMNS + 4 * 3000
    drawn = pictures.draw(ramp_peaks(), RMS, spectrogram(frames), tmp_path, duration_s=frames / FRAME_RATE_HZ)
    tiles = drawn.spectrogram_tiles
    assert tiles is not None
    sizes = [Image.open(tmp_path / path).size for path in tiles.paths]
    assert sizes == [(1024, ROWS)] * 10 + [((LONG_COLUMNS + 3000) - 10 * 1024, ROWS)]
    assert tiles.seconds_per_pixel == pytest.approx(LONG_FRAMES_PER_COLUMN / FRAME_RATE_HZ)
    for name in (drawn.waveform, drawn.waveform_dark, drawn.spectrogram, drawn.spectrogram_dark):
        assert name is not None
        assert Image.open(tmp_path / name).size[0] == pictures.WIDTH_PX


def test_a_short_recording_is_not(tmp_path: Path) -> None:
    drawn = pictures.draw(ramp_peaks(), RMS, spectrogram(500), tmp_path, duration_s=11.6)
    assert drawn.spectrogram_tiles is None


@pytest.mark.parametrize(
    "shades",
    [
        np.random.default_rng(1).integers(0, 256, (410, 1402), dtype=np.uint8),
        np.kron(np.random.default_rng(2).integers(0, 2, (96, 320)), np.full((4, 4), 255)).astype(np.uint8),
        np.zeros((410, 1402), np.uint8),
    ],
    ids=["noise", "checks", "silence"],
)
def test_the_thumbnail_is_small_whatever_it_shows(shades: np.ndarray) -> None:
    encoded = pictures.encode_thumbnail(shades)
    assert len(encoded) <= pictures.THUMBNAIL_MAX_BYTES
    assert Image.open(io.BytesIO(encoded)).format == "WEBP"


def test_the_thumbnail_shows_the_spectrogram(tmp_path: Path) -> None:
    drawn = pictures.draw(ramp_peaks(), RMS, spectrogram(500), tmp_path, duration_s=11.6)
    image = np.asarray(Image.open(tmp_path / drawn.thumbnail).convert("L"))
    assert image.shape == pictures.THUMBNAIL_PX[::-1]
    loudest = int(image.mean(axis=1).argmax())
    assert loudest == pytest.approx(96 * (1 - SHARE), abs=2)
