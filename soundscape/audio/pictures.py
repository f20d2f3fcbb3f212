"""Pictures of a recording as PNG: the waveform, light and dark, on a transparent ground."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from soundscape.audio.waveform import Peaks

WAVEFORM_WIDTH_PX = 1600
WAVEFORM_HEIGHT_PX = 320
# Bars are drawn this much larger and scaled down, which rounds and softens their ends.
_OVERSAMPLING = 2
_BAR_PX = 4
_GAP_PX = 2


@dataclass(frozen=True)
class Theme:
    """Colours for one kind of page."""

    top: tuple[int, int, int]
    middle: tuple[int, int, int]


LIGHT = Theme(top=(79, 70, 229), middle=(14, 165, 233))
DARK = Theme(top=(129, 140, 248), middle=(94, 234, 212))


def draw_waveform(peaks: Peaks, path: Path, *, theme: Theme) -> None:
    """Draw peaks, int16, shape (pixels, channels, 2), as bars about a middle line.

    Every bar reaches the largest absolute peak of its stretch; the loudest touches the edges, so quiet
    recordings are as readable as loud ones (the record has the level).
    """
    from PIL import Image

    bars = WAVEFORM_WIDTH_PX // (_BAR_PX + _GAP_PX)
    heights = _bar_heights(peaks, bars)
    scale = _OVERSAMPLING
    width, height = WAVEFORM_WIDTH_PX * scale, WAVEFORM_HEIGHT_PX * scale
    distance = np.abs(np.arange(height) + 0.5 - height / 2) / (height / 2)
    bar, step = _BAR_PX * scale, (_BAR_PX + _GAP_PX) * scale
    # A capsule: the ends of a bar are half circles, and the quietest bar is a dot.
    radius = bar / 2
    across = np.abs(np.arange(bar) + 0.5 - radius)
    reach = np.maximum(heights * (height / 2 - radius), radius * 0.01)
    alpha = np.zeros((height, width), dtype=np.uint8)
    down = np.abs(np.arange(height) + 0.5 - height / 2)
    for index, length in enumerate(reach):
        beyond = np.maximum(down[:, np.newaxis] - length, 0.0)
        inside = np.hypot(beyond, across[np.newaxis, :]) <= radius
        alpha[:, index * step : index * step + bar] = inside * 255
    mix = distance[:, np.newaxis, np.newaxis]
    colour = (1 - mix) * np.array(theme.middle) + mix * np.array(theme.top)
    rgba = np.empty((height, width, 4), dtype=np.uint8)
    rgba[..., :3] = np.rint(colour)
    rgba[..., 3] = alpha
    image = Image.fromarray(rgba, "RGBA").resize(
        (WAVEFORM_WIDTH_PX, WAVEFORM_HEIGHT_PX), Image.Resampling.BOX
    )
    image.save(path, optimize=False, compress_level=6)


def _bar_heights(peaks: Peaks, bars: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The largest absolute value of each of `bars` equal stretches, the loudest scaled to 1."""
    heights = np.zeros(bars)
    if len(peaks) == 0:
        return heights
    loudest = np.abs(peaks.astype(np.int32)).max(axis=(1, 2))
    edges = np.linspace(0, len(loudest), bars + 1)
    starts = np.minimum(edges[:-1].astype(np.int64), len(loudest) - 1)
    heights[:] = np.maximum.reduceat(loudest, starts) if len(loudest) >= bars else loudest[starts]
    largest = heights.max()
    return heights / largest if largest > 0 else heights
