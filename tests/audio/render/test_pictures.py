"""Pictures: what they must show. How they look is for eyes; docs/audio/waveform.md describes them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from soundscape.audio.levels import quantize
from soundscape.audio.render import pictures
from soundscape.audio.render.spectrogram import (
    LONG_COLUMNS,
    LONG_FRAMES_PER_COLUMN,
    Spectrogram,
)
from soundscape.audio.spectrum import FRAME_RATE_HZ, MELS
from soundscape.audio.wideband import UpperBands


def ramp_peaks() -> np.ndarray:
    """Louder and louder, int16, shape (5000, 2, 2)."""
    loud = np.linspace(0, 3000, 5000).astype(np.int16)
    return np.stack([np.stack([-loud, loud], axis=1)] * 2, axis=1)


def spectrogram(frames: int, band: int = 40) -> Spectrogram:
    """One band at -10 dB over a floor of -70 dB."""
    filled = Spectrogram()
    for start in range(0, frames, 1000):
        levels = np.full((min(1000, frames - start), MELS), -70.0, dtype=np.float32)
        levels[:, band] = -10.0
        filled.push(levels)
    return filled


def test_bars_follow_the_level_and_the_loudest_touches_the_edges() -> None:
    bars = pictures.draw_bars(ramp_peaks())
    assert bars.shape == (pictures.WAVEFORM_HEIGHT_PX, pictures.WIDTH_PX)
    heights = (bars > 127).sum(axis=0)[1::6][:-1]
    assert (np.diff(heights.astype(int)) >= 0).all()
    assert heights[0] <= 6
    assert heights[-1] >= pictures.WAVEFORM_HEIGHT_PX - 4
    assert np.array_equal(bars, bars[::-1])


@pytest.mark.parametrize("pixels", [0, 1, 3, 265, 266, 267, 100_000])
def test_any_length_fills_the_width(pixels: int) -> None:
    peaks = np.tile(np.array([[[-5, 5]]], dtype=np.int16), (pixels, 1, 1))
    shown = (pictures.draw_bars(peaks) > 127).any(axis=0)
    assert shown[:4].all()
    assert shown[-10:].any()


@pytest.mark.parametrize("theme", [pictures.LIGHT, pictures.DARK])
def test_the_waveform_stands_on_a_transparent_ground(theme: pictures.Theme) -> None:
    image = np.asarray(pictures.paint_waveform(pictures.draw_bars(ramp_peaks()), theme=theme))
    assert image.shape == (320, 1600, 4)
    assert image[0, 0, 3] == 0
    assert tuple(image[160, 1, :3]) == pytest.approx(theme.middle, abs=2)


@pytest.mark.parametrize("frames", [1, 2, 100, LONG_COLUMNS, LONG_COLUMNS + 1, 3 * LONG_COLUMNS + 2])
def test_every_frame_is_in_the_spectrogram(frames: int) -> None:
    filled = spectrogram(frames)
    long = frames > LONG_COLUMNS
    assert filled.frames_per_column == (LONG_FRAMES_PER_COLUMN if long else 1)
    columns = filled.result()
    assert len(columns) == -(-frames // filled.frames_per_column)
    assert (columns.argmax(axis=1) == 40).all()
    assert filled.seconds_per_column * len(columns) == pytest.approx(frames / FRAME_RATE_HZ, abs=0.1)
    assert filled.overview(500).shape == (min(len(columns), 500), MELS)


def test_a_short_burst_in_long_silence_is_seen_in_the_overview() -> None:
    filled = Spectrogram()
    frames = np.full((int(600 * FRAME_RATE_HZ), MELS), -120.0, dtype=np.float32)
    burst = slice(int(306 * FRAME_RATE_HZ), int(306.4 * FRAME_RATE_HZ))
    frames[burst, 40] = -10.0
    filled.push(frames)
    overview = filled.overview(50)
    assert overview[25, 40] == filled.result().max()
    assert (np.delete(overview[:, 40], 25) < overview[25, 40]).all()


def test_a_band_is_drawn_at_its_height() -> None:
    shades = pictures.scale_spectrogram(spectrogram(3000, band=40))
    row = shades.mean(axis=1).argmax()
    assert 1 - row / len(shades) == pytest.approx(40.5 / MELS, abs=0.01)
    assert shades.max() > 245
    # 60 dB below the loudest, of a range of 80.
    assert np.median(shades) == pytest.approx(255 * 20 / 80, abs=4)


def test_silence_is_dark() -> None:
    silent = Spectrogram()
    silent.push(np.full((500, MELS), -100.0, dtype=np.float32))
    assert pictures.scale_spectrogram(silent).max() == 0


def test_the_axis_is_the_mel_scale() -> None:
    import librosa

    for frequency_hz in (0, 200, 1000, 4000, 11_025):
        expected = librosa.hz_to_mel(frequency_hz) / librosa.hz_to_mel(11_025)
        assert Spectrogram().locate(frequency_hz) == pytest.approx(expected)


@pytest.mark.parametrize("top_hz", [4_000, 8_000, 11_025, 22_050, 24_000, 96_000])
def test_the_axis_ends_with_the_recordings_band(top_hz: float) -> None:
    last, ratio = Spectrogram(top_hz=top_hz).locate(top_hz), 1 + 1 / 80
    assert 1 <= last < ratio


def test_what_lies_above_the_shared_spectrum_is_drawn() -> None:
    filled = Spectrogram(top_hz=22_050)
    filled.push(np.full((400, MELS), -70.0, dtype=np.float32))
    upper = np.full((200, filled.bands - MELS), -70.0, dtype=np.float32)
    upper[100:, 10] = -10.0
    filled.add_upper(UpperBands(quantize(upper), 2 / FRAME_RATE_HZ))
    columns = filled.result()
    assert columns.shape == (400, filled.bands)
    loud = columns[:, MELS + 10] > 100
    assert not loud[:199].any()
    assert loud[201:].all()
    assert filled.shades(columns, range_db=80)[300, MELS + 10] == 255


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
    drawn = pictures.draw(ramp_peaks(), spectrogram(frames), tmp_path, duration_s=frames / FRAME_RATE_HZ)
    tiles = drawn.spectrogram_tiles
    assert tiles is not None
    sizes = [Image.open(tmp_path / path).size for path in tiles.paths]
    assert sizes == [(1024, 128)] * 10 + [((LONG_COLUMNS + 3000) - 10 * 1024, 128)]
    assert tiles.seconds_per_pixel == pytest.approx(LONG_FRAMES_PER_COLUMN / FRAME_RATE_HZ)
    for name in (drawn.waveform, drawn.waveform_dark, drawn.spectrogram, drawn.spectrogram_dark):
        assert name is not None
        assert Image.open(tmp_path / name).size[0] == pictures.WIDTH_PX


def test_a_short_recording_is_not(tmp_path: Path) -> None:
    drawn = pictures.draw(ramp_peaks(), spectrogram(500), tmp_path, duration_s=11.6)
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
    drawn = pictures.draw(ramp_peaks(), spectrogram(500), tmp_path, duration_s=11.6)
    image = np.asarray(Image.open(tmp_path / drawn.thumbnail).convert("L"))
    assert image.shape == pictures.THUMBNAIL_PX[::-1]
    loudest = int(image.mean(axis=1).argmax())
    assert loudest == pytest.approx(96 * (1 - 40.5 / MELS), abs=2)
