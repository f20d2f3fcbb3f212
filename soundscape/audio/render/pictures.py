"""Pictures of a recording: the waveform and the spectrogram, for light and for dark pages."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from soundscape.audio.record import Pictures, SpectrogramTiles
from soundscape.audio.render.spectrogram import LONG_COLUMNS, Spectrogram
from soundscape.audio.render.waveform import build_levels, measure_bars

if TYPE_CHECKING:
    from PIL.Image import Image

    from soundscape.audio.render.waveform import Peaks

WIDTH_PX = 1600
WAVEFORM_HEIGHT_PX = 320
SPECTROGRAM_HEIGHT_PX = 480
TILE_WIDTH_PX = 1024
THUMBNAIL_PX = (320, 96)
THUMBNAIL_MAX_BYTES = 6000
RANGE_DB = 80.0
# Twice as fast as the default, and the file is a tenth larger.
_COMPRESSION = 3

# Bars are drawn this much larger and averaged, which softens their round ends.
_OVERSAMPLING = 2
_BAR_PX = 4
_GAP_PX = 2
BARS = WIDTH_PX // (_BAR_PX + _GAP_PX)
_PEAK_OPACITY = 0.45

_PLOT_LEFT, _PLOT_TOP, _PLOT_RIGHT, _PLOT_BOTTOM = 90, 20, WIDTH_PX - 108, SPECTROGRAM_HEIGHT_PX - 50
_LEGEND_LEFT, _LEGEND_WIDTH = WIDTH_PX - 88, 14
_FONT_PX = 20
# A palette instead of true colour is a quarter of the bytes to compress: shades, ink by opacity, lines.
_HEAT_COLOURS = 224
_INK_COLOURS = range(224, 255)
_GRID_COLOUR = 255
_FREQUENCIES_HZ = (50, 100, 200, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000)
_TIME_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
_MAX_TIME_TICKS = 9

Colour = tuple[int, int, int]
Shades = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Theme:
    """Colours for one kind of page. `heat`: the spectrogram's from nothing to loudest, at equal steps."""

    edge: Colour
    middle: Colour
    text: Colour
    grid: Colour
    heat: tuple[Colour, ...]


LIGHT = Theme(
    edge=(79, 70, 229),
    middle=(14, 165, 233),
    text=(71, 85, 105),
    grid=(203, 213, 225),
    heat=((248, 250, 252), (219, 234, 254), (147, 197, 253), (79, 120, 240), (67, 56, 202), (30, 20, 90)),
)
DARK = Theme(
    edge=(129, 140, 248),
    middle=(94, 234, 212),
    text=(148, 163, 184),
    grid=(51, 65, 85),
    heat=((8, 11, 26), (38, 24, 92), (112, 31, 130), (205, 56, 104), (248, 142, 83), (253, 243, 190)),
)


def draw(
    peaks: Peaks,
    rms: npt.NDArray[np.float64],
    spectrogram: Spectrogram,
    out_dir: Path,
    *,
    duration_s: float,
) -> Pictures:
    """Draw the waveform, the spectrogram, its tiles and the thumbnail into `out_dir`.

    Parameters
    ----------
    peaks
        int16, shape (pixels, channels, 2).
    rms
        One value a bar, full scale is 1, shape (266,).
    spectrogram
        A finished one.
    out_dir
        An existing folder.
    duration_s
        Of the recording, seconds.
    """
    peak_bars, rms_bars = (draw_bars(heights) for heights in scale_bars(build_levels(peaks)[-1], rms))
    shades = scale_spectrogram(spectrogram)
    for theme, suffix in ((LIGHT, ""), (DARK, "_dark")):
        paint_waveform(peak_bars, rms_bars, theme=theme).save(out_dir / f"waveform{suffix}.png")
        painted = paint_spectrogram(
            shades, duration_s=duration_s, theme=theme, locate=spectrogram.axis.locate
        )
        painted.save(out_dir / f"spectrogram{suffix}.png", compress_level=_COMPRESSION)
    (out_dir / "thumbnail.webp").write_bytes(encode_thumbnail(shades))
    return Pictures(
        waveform="waveform.png",
        waveform_dark="waveform_dark.png",
        spectrogram="spectrogram.png",
        spectrogram_dark="spectrogram_dark.png",
        spectrogram_tiles=_write_tiles(spectrogram, out_dir),
        thumbnail="thumbnail.webp",
    )


def encode_thumbnail(shades: Shades) -> bytes:
    """A spectrogram without axes in the dark page's colours, as WebP of at most 6 kB.

    shades: uint8, shape (height, width), any size.
    """
    from PIL import Image

    encoded = b""
    # Nothing but white noise needs more than the first two.
    for quality, divisor in ((60, 1), (20, 1), (0, 1), (0, 2)):
        width_px, height_px = THUMBNAIL_PX
        size = (width_px // divisor, height_px // divisor)
        small = Image.fromarray(shades).resize(size, Image.Resampling.BOX)
        small.putpalette(make_palette(DARK).tobytes())
        buffer = io.BytesIO()
        small.convert("RGB").save(buffer, "WEBP", quality=quality, method=2)
        encoded = buffer.getvalue()
        if len(encoded) <= THUMBNAIL_MAX_BYTES:
            break
    return encoded


def _write_tiles(spectrogram: Spectrogram, out_dir: Path) -> SpectrogramTiles | None:
    """Bare pictures, a pixel a column and a row, dark page's colours; None for a short recording."""
    from PIL import Image

    columns = spectrogram.result()
    if len(columns) <= LONG_COLUMNS:
        return None
    paths = []
    for index, start in enumerate(range(0, len(columns), TILE_WIDTH_PX)):
        shades = spectrogram.shades(columns[start : start + TILE_WIDTH_PX], range_db=RANGE_DB)
        tile = Image.fromarray(np.ascontiguousarray(np.flipud(shades.T)))
        tile.putpalette(make_palette(DARK).tobytes())
        paths.append(f"spectrogram_{index:03}.png")
        # Of most recordings within 7 % of the size that the default gives, in 40 % of its time. Steady tones
        # and exact loops take more.
        tile.save(out_dir / paths[-1], compress_level=_COMPRESSION, compress_type=zlib.Z_RLE)
    return SpectrogramTiles(
        paths=tuple(paths),
        seconds_per_pixel=spectrogram.seconds_per_column,
        width_px=TILE_WIDTH_PX,
        height_px=columns.shape[1],
    )


def draw_bars(heights: npt.NDArray[np.float64]) -> Shades:
    """Bars about a middle line, of heights from 0 to 1, shape (266,): opacity, shape (320, 1600)."""
    bar, step = _BAR_PX * _OVERSAMPLING, (_BAR_PX + _GAP_PX) * _OVERSAMPLING
    height = WAVEFORM_HEIGHT_PX * _OVERSAMPLING
    # A capsule: the ends of a bar are half circles, and the quietest bar is a dot.
    radius = bar / 2
    across = np.abs(np.arange(bar) + 0.5 - radius)
    down = np.abs(np.arange(height) + 0.5 - height / 2)
    inside = np.zeros((height, WIDTH_PX * _OVERSAMPLING), dtype=np.uint16)
    for index, share in enumerate(heights):
        beyond = np.maximum(down[:, np.newaxis] - share * (height / 2 - radius), 0.0)
        inside[:, index * step : index * step + bar] = beyond**2 + across**2 <= radius**2
    parts = range(_OVERSAMPLING)
    covered = np.zeros((WAVEFORM_HEIGHT_PX, WIDTH_PX), dtype=np.uint16)
    for y, x in product(parts, parts):
        covered += inside[y::_OVERSAMPLING, x::_OVERSAMPLING]
    return (covered * 255 // _OVERSAMPLING**2).astype(np.uint8)


def scale_bars(
    peaks: Peaks, rms: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Heights of the bars of the peaks and of the RMS within them, 0 to 1.

    The loudest peak touches the edges, so quiet recordings are as readable as loud ones (the record has the
    level). Both have one scale.

    Parameters
    ----------
    peaks
        int16, shape (pixels, channels, 2).
    rms
        One value a bar, full scale is 1, shape (266,).
    """
    heights = measure_bars(peaks, BARS)
    loudest = max(heights.max(), 1 / 32768)
    return heights / loudest, np.minimum(rms, heights) / loudest


def paint_waveform(peaks: Shades, rms: Shades, *, theme: Theme) -> Image:
    """Bars in the theme's colours, from the middle line to the edges, on a transparent ground.

    The peaks are paler than the RMS, which lies over them.
    """
    from PIL import Image

    height, width = peaks.shape
    mix = (np.abs(np.arange(height) + 0.5 - height / 2) / (height / 2))[:, np.newaxis]
    colours = np.rint((1 - mix) * np.array(theme.middle) + mix * np.array(theme.edge)).astype(np.uint8)
    rgba = np.empty((height, width, 4), dtype=np.uint8)
    rgba[..., :3] = colours[:, np.newaxis]
    rgba[..., 3] = np.maximum(rms, np.rint(peaks * _PEAK_OPACITY).astype(np.uint8))
    return Image.fromarray(rgba)


def scale_spectrogram(spectrogram: Spectrogram) -> Shades:
    """The whole recording fitted to the plot, from 80 dB below the loudest (0) to the loudest (255)."""
    from PIL import Image

    width, height = _PLOT_RIGHT - _PLOT_LEFT, _PLOT_BOTTOM - _PLOT_TOP
    overview = Image.fromarray(np.flipud(spectrogram.overview(width).T))
    fitted = overview.resize((width, height), Image.Resampling.BICUBIC)
    return spectrogram.shades(np.asarray(fitted), range_db=RANGE_DB)


def paint_spectrogram(
    shades: Shades, *, duration_s: float, theme: Theme, locate: Callable[[float], float]
) -> Image:
    """Paint shades with axes for time, frequency and level, on a transparent ground.

    Parameters
    ----------
    shades
        The plot, uint8, shape (height, width).
    duration_s
        Time that the plot covers, seconds.
    theme
        Colours.
    locate
        Where a frequency in hertz lies on the axis, 0 to 1 (`FrequencyAxis.locate`).
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = shades.shape
    indices = np.full((SPECTROGRAM_HEIGHT_PX, WIDTH_PX), _INK_COLOURS.start, dtype=np.uint8)
    ink = Image.new("L", (WIDTH_PX, SPECTROGRAM_HEIGHT_PX))
    pen = ImageDraw.Draw(ink)
    font = ImageFont.load_default(_FONT_PX)
    label_y = float(SPECTROGRAM_HEIGHT_PX)
    for frequency_hz in _FREQUENCIES_HZ:
        if locate(frequency_hz) > 1:
            break
        y = _PLOT_BOTTOM - locate(frequency_hz) * height
        pen.line((_PLOT_LEFT - 7, y, _PLOT_LEFT - 2, y), fill=255)
        if label_y - y >= _FONT_PX:
            label = f"{frequency_hz // 1000} kHz" if frequency_hz >= 1000 else f"{frequency_hz} Hz"
            pen.text((_PLOT_LEFT - 12, y), label, fill=255, font=font, anchor="rm")
            label_y = y
    for time_s, label in place_ticks(duration_s):
        x = _PLOT_LEFT + time_s / duration_s * width
        pen.line((x, _PLOT_BOTTOM + 1, x, _PLOT_BOTTOM + 6), fill=255)
        pen.text((x, _PLOT_BOTTOM + 12), label, fill=255, font=font, anchor="ma")
    for down_db in range(0, int(RANGE_DB) + 1, 20):
        y = _PLOT_TOP + down_db / RANGE_DB * height
        label = "0 dB" if down_db == 0 else f"-{down_db}"
        pen.text((_LEGEND_LEFT + _LEGEND_WIDTH + 8, y), label, fill=255, font=font, anchor="lm")
    indices += np.rint(np.asarray(ink) * ((len(_INK_COLOURS) - 1) / 255)).astype(np.uint8)
    steps = np.linspace(255, 0, height)[:, np.newaxis].repeat(_LEGEND_WIDTH, axis=1)
    for left, colours in ((_PLOT_LEFT, shades), (_LEGEND_LEFT, steps)):
        right = left + colours.shape[1]
        indices[_PLOT_TOP - 1 : _PLOT_BOTTOM + 1, left - 1 : right + 1] = _GRID_COLOUR
        indices[_PLOT_TOP:_PLOT_BOTTOM, left:right] = np.rint(colours * ((_HEAT_COLOURS - 1) / 255))
    picture = Image.fromarray(indices)
    inks = [theme.text] * len(_INK_COLOURS)
    palette = np.concatenate([make_palette(theme, _HEAT_COLOURS), inks, [theme.grid]])
    picture.putpalette(palette.astype(np.uint8).tobytes())
    opacities = np.full(256, 255)
    opacities[_INK_COLOURS.start : _INK_COLOURS.stop] = np.linspace(0, 255, len(_INK_COLOURS))
    picture.info["transparency"] = opacities.astype(np.uint8).tobytes()
    return picture


def make_palette(theme: Theme, colours: int = 256) -> Shades:
    """From nothing to loudest, uint8, shape (colours, 3)."""
    stops = np.array(theme.heat, dtype=np.float64)
    at = np.linspace(0, len(stops) - 1, colours)
    channels = [np.interp(at, np.arange(len(stops)), stops[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


def place_ticks(duration_s: float) -> list[tuple[float, str]]:
    """Round times from 0 to the end with labels, at most nine or so."""
    step = next((s for s in _TIME_STEPS_S if duration_s / s <= _MAX_TIME_TICKS), _TIME_STEPS_S[-1])
    times = [index * step for index in range(int(duration_s / step) + 1)]
    return [(time_s, _clock(time_s, step)) for time_s in times]


def _clock(time_s: float, step: float) -> str:
    if step < 1:
        return f"{time_s:.1f} s"
    hours, rest = divmod(round(time_s), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
