"""Minimum and maximum peaks in BBC audiowaveform's formats, in several resolutions.

A level is one `.dat` file of version 2 (https://github.com/bbc/audiowaveform/blob/master/doc/DataFormat.md):
24 bytes of header (version, flags, sample rate, samples per pixel, length, channels; little-endian 32-bit),
then for each pixel and each channel a minimum and a maximum, int16. Every level is complete by itself, so
peaks.js and wavesurfer.js read any of them, and pixels [a, b) are the bytes [24 + a·4·channels, 24 +
b·4·channels): a player fetches a window by Range without reading anything else.

Neighbouring levels differ by a factor of four. The finest that shows a window of W pixels without leaving any
empty has at most 4·W pixels in it, so 2,000 pixels of stereo cost at most 64 kB, whatever the length.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from soundscape.audio.compiled import FASTMATH, compiled
from soundscape.audio.record import Waveform, WaveformLevel
from soundscape.audio.render.sums import SampleSums

if TYPE_CHECKING:
    from soundscape.audio.decode.reader import Samples

FINEST_SAMPLES_PER_PIXEL = 256
LEVEL_RATIO = 4
# The overview is fetched whole, and drawn at most a screen wide.
OVERVIEW_MAX_PIXELS = 6000
SUMMARY_BARS = 200
HEADER_BYTES = 24
_VALUE_BYTES = 2

Peaks = npt.NDArray[np.int16]


class PeakMeter:
    """Peaks of a streamed recording at the finest resolution, and its RMS.

    Values are what a 16-bit decoder would have seen: sample × 32768, rounded, clipped to int16. A constant
    offset is taken off at the end. The last pixel may cover fewer samples, as audiowaveform's does.

    Parameters
    ----------
    sample_rate
        Hz.
    channels
        Rows of the blocks pushed.
    samples_per_pixel
        How many samples a pixel covers.
    """

    def __init__(
        self, *, sample_rate: int, channels: int, samples_per_pixel: int = FINEST_SAMPLES_PER_PIXEL
    ) -> None:
        self.channels = channels
        self.samples_per_pixel = samples_per_pixel
        self.sums = SampleSums(
            sample_rate=sample_rate, channels=channels, samples_per_pixel=samples_per_pixel
        )
        self._rest = np.empty((channels, 0), dtype=np.float32)
        self._parts: list[Peaks] = []

    def push(self, block: Samples) -> None:
        """Add a block of samples, float32, shape (channels, n)."""
        if self._rest.shape[1]:
            block = np.concatenate([self._rest, block], axis=1)
        end = block.shape[1] // self.samples_per_pixel * self.samples_per_pixel
        if end:
            peaks, sums = _measure(block[:, :end], self.samples_per_pixel)
            self._parts.append(peaks)
            self.sums.push(sums, end)
        self._rest = block[:, end:].copy()

    def finish(self) -> None:
        """Measure the last pixel; call once, after the last `push`."""
        samples = self._rest.shape[1]
        if samples:
            peaks, sums = _measure(self._rest, self.samples_per_pixel)
            self._parts.append(peaks)
            self.sums.push(sums, samples)
            self._rest = self._rest[:, :0]

    def result(self) -> Peaks:
        """All peaks without the offset, int16, shape (pixels, channels, 2), minimum before maximum."""
        if not self._parts:
            return np.empty((0, self.channels, 2), dtype=np.int16)
        peaks = np.concatenate(self._parts)
        offsets = np.rint(self.sums.offsets() * 32768).astype(np.int32)
        if not offsets.any():
            return peaks
        centred: Peaks = np.clip(peaks - offsets[:, np.newaxis], -32768, 32767).astype(np.int16)
        return centred


@dataclass(frozen=True)
class Window:
    """Where the peaks of a stretch of time lie: bytes [start_byte, end_byte) of a level's file."""

    path: str
    samples_per_pixel: int
    start_pixel: int
    pixels: int
    start_byte: int
    end_byte: int


@compiled(fastmath=FASTMATH)
def _measure(block: Samples, samples_per_pixel: int) -> tuple[Peaks, Samples]:
    """The extremes of every `samples_per_pixel` samples, the last pixel's of what is left.

    And the sums of the samples and of their squares, float32, shape (pixels, channels, 2).
    """
    channels, samples = block.shape
    pixels = -(-samples // samples_per_pixel)
    peaks = np.empty((pixels, channels, 2), dtype=np.int16)
    sums = np.empty((pixels, channels, 2), dtype=np.float32)
    magnitude_bits = np.int32(0x7FFFFFFF)
    extreme_bits = np.empty(2, dtype=np.int32)
    extremes = extreme_bits.view(np.float32)
    for channel in range(channels):
        for pixel in range(pixels):
            begin = pixel * samples_per_pixel
            y = block[channel, begin : min(begin + samples_per_pixel, samples)]
            total = np.float32(0.0)
            energy = np.float32(0.0)
            for i in range(y.size):
                # Clipped as the extremes are: no RMS is above its peaks, and no square is infinite.
                x = max(np.float32(-1.0), min(np.float32(1.0), y[i]))
                total += x
                energy += x * x
            # With the magnitude of negative ones inverted, the bits of floats order as integers do. Integer
            # extremes become vector instructions, and those of floats do not.
            bits = y.view(np.int32)
            low, high = magnitude_bits, -magnitude_bits
            for i in range(y.size):
                ordered = bits[i] ^ ((bits[i] >> np.int32(31)) & magnitude_bits)
                low = min(low, ordered)
                high = max(high, ordered)
            extreme_bits[0] = low ^ ((low >> np.int32(31)) & magnitude_bits)
            extreme_bits[1] = high ^ ((high >> np.int32(31)) & magnitude_bits)
            for k in range(2):
                clipped = max(np.float32(-1.0), min(np.float32(1.0), extremes[k]))
                peaks[pixel, channel, k] = min(32767, round(clipped * np.float32(32768.0)))
            sums[pixel, channel, 0] = total
            sums[pixel, channel, 1] = energy
    return peaks, sums


def coarsen(peaks: Peaks, ratio: int = LEVEL_RATIO) -> Peaks:
    """The same peaks with `ratio` pixels in one; the last may cover fewer."""
    starts = np.arange(0, len(peaks), ratio)
    merged = np.empty((len(starts), *peaks.shape[1:]), dtype=np.int16)
    if len(starts):
        merged[..., 0] = np.minimum.reduceat(peaks[..., 0], starts, axis=0)
        merged[..., 1] = np.maximum.reduceat(peaks[..., 1], starts, axis=0)
    return merged


def build_levels(peaks: Peaks) -> list[Peaks]:
    """From the finest to the first that is small enough to be the overview."""
    found = [peaks]
    while len(found[-1]) > OVERVIEW_MAX_PIXELS:
        found.append(coarsen(found[-1]))
    return found


def measure_bars(peaks: Peaks, count: int) -> npt.NDArray[np.float64]:
    """The largest absolute value of each of `count` equal parts, full scale is 1.

    Parameters
    ----------
    peaks
        int16, shape (pixels, channels, 2). Fewer pixels than bars repeat; no pixels are silence.
    count
        Number of bars.

    Returns
    -------
    ndarray
        Shape (count,), 0 to 1. Zeros for silence.
    """
    if len(peaks) == 0:
        return np.zeros(count)
    loudest = np.abs(peaks.astype(np.int32)).max(axis=(1, 2))
    starts = (np.arange(count) * len(loudest)) // count
    bars = np.maximum.reduceat(loudest, starts) if len(loudest) >= count else loudest[starts]
    return bars / 32768


def summarize(peaks: Peaks) -> tuple[int, ...]:
    """The recording as 200 bars, 0 to 255, the loudest 255: what a list draws.

    peaks: int16, shape (pixels, channels, 2).
    """
    bars = measure_bars(peaks, SUMMARY_BARS)
    scaled = np.rint(bars / max(bars.max(), 1 / 32768) * 255).astype(int)
    return tuple(scaled.tolist())


def encode_dat(peaks: Peaks, *, sample_rate: int, samples_per_pixel: int) -> bytes:
    """One level as an audiowaveform version 2 `.dat` file."""
    header = np.array([2, 0, sample_rate, samples_per_pixel, len(peaks), peaks.shape[1]], dtype="<i4")
    return b"".join([header.tobytes(), peaks.astype("<i2", copy=False).data])


def encode_json(peaks: Peaks, *, sample_rate: int, samples_per_pixel: int) -> str:
    """One level as audiowaveform JSON."""
    return json.dumps(
        {
            "version": 2,
            "channels": peaks.shape[1],
            "sample_rate": sample_rate,
            "samples_per_pixel": samples_per_pixel,
            "bits": 16,
            "length": len(peaks),
            "data": peaks.ravel().tolist(),
        },
        separators=(",", ":"),
    )


def write(
    peaks: Peaks, out_dir: Path, *, sample_rate: int, samples_per_pixel: int = FINEST_SAMPLES_PER_PIXEL
) -> Waveform:
    """Write `waveform.dat` (the overview), `waveform.json` and a file for each finer level.

    peaks: int16, shape (pixels, channels, 2), at `samples_per_pixel`.
    """
    written = []
    found = build_levels(peaks)
    for depth, level in enumerate(found):
        covers = samples_per_pixel * LEVEL_RATIO**depth
        path = "waveform.dat" if level is found[-1] else f"waveform_{covers}.dat"
        content = encode_dat(level, sample_rate=sample_rate, samples_per_pixel=covers)
        (out_dir / path).write_bytes(content)
        written.append(
            WaveformLevel(path=path, samples_per_pixel=covers, length=len(level), size_bytes=len(content))
        )
    overview = written[-1]
    (out_dir / "waveform.json").write_text(
        encode_json(found[-1], sample_rate=sample_rate, samples_per_pixel=overview.samples_per_pixel)
    )
    return Waveform(
        path=overview.path,
        json_path="waveform.json",
        sample_rate=sample_rate,
        channels=peaks.shape[1],
        bits=8 * _VALUE_BYTES,
        levels=tuple(written),
        peaks=summarize(found[-1]),
    )


def find_window(waveform: Waveform, *, start_s: float, end_s: float, width_px: int) -> Window:
    """The bytes a player needs to draw [start_s, end_s) `width_px` wide.

    The coarsest level that still has a pixel for every pixel on the screen; the finest where none has.
    """
    span = (end_s - start_s) * waveform.sample_rate
    enough = [level for level in waveform.levels if span >= width_px * level.samples_per_pixel]
    level = enough[-1] if enough else waveform.levels[0]
    first = min(max(int(start_s * waveform.sample_rate) // level.samples_per_pixel, 0), level.length)
    last = min(max(int(-(-end_s * waveform.sample_rate // level.samples_per_pixel)), first), level.length)
    pixel_bytes = waveform.channels * 2 * _VALUE_BYTES
    return Window(
        path=level.path,
        samples_per_pixel=level.samples_per_pixel,
        start_pixel=first,
        pixels=last - first,
        start_byte=HEADER_BYTES + first * pixel_bytes,
        end_byte=HEADER_BYTES + last * pixel_bytes,
    )
