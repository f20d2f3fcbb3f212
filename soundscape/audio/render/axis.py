"""The frequency axis of the spectrogram: linear at the bottom, logarithmic above, and the rows along it.

A frequency f lies at arsinh(f / 150 Hz). Well below 150 Hz that is linear, as the transform's bins are; above
it, every octave has the same height. The axis begins at 20 Hz, where hearing does. What lies below is an
offset and rumble. Rows are 1/32 of a unit high: 4 Hz at the bottom, 3 % of the frequency at the top.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from soundscape.audio.bands import Bands, add_up_bands, find_bands, write_decibels
from soundscape.audio.compiled import FASTMATH, compiled
from soundscape.audio.levels import FLOOR_DB, STEP_DB, Levels
from soundscape.audio.spectrum import Float32

BOTTOM_HZ = 20.0
BEND_HZ = 150.0
ROWS_PER_UNIT = 32

# A constant fills bins 0 and 1 of a Hann window and no other.
_FIRST_BIN = 2


class FrequencyAxis:
    """From 20 Hz to the end of a recording's band.

    Parameters
    ----------
    top_hz
        Where the band ends.
    """

    def __init__(self, top_hz: float) -> None:
        self.rows = max(1, int((_height(top_hz) - _height(BOTTOM_HZ)) * ROWS_PER_UNIT + 1e-6))

    def locate(self, frequency_hz: float) -> float:
        """Where a frequency lies: 0 at 20 Hz, 1 at the upper edge of the highest row."""
        return (_height(frequency_hz) - _height(BOTTOM_HZ)) * ROWS_PER_UNIT / self.rows

    def centre_hz(self, row: float) -> float:
        """The frequency in the middle of a row, counted from the bottom."""
        return BEND_HZ * math.sinh(_height(BOTTOM_HZ) + (row + 0.5) / ROWS_PER_UNIT)

    def count_rows_below(self, frequency_hz: float) -> int:
        """Count the rows whose filters end below a frequency."""
        return sum(self.centre_hz(row + 1) <= frequency_hz for row in range(self.rows))

    def make_filters(self, rows: range, *, bin_hz: float, bins: int, gain: float = 1.0) -> Bands:
        """Make a triangle for each row, over |X|²; where rows are closer than bins, it interpolates.

        Parameters
        ----------
        rows
            Which rows.
        bin_hz, bins
            The transform's bins.
        gain
            A factor for all weights. Each triangle has the area `gain` in hertz, so that noise of one
            density has one level in all rows.
        """
        bins_hz = np.arange(bins) * bin_hz
        filters = []
        for row in rows:
            centre = min(max(self.centre_hz(row), _FIRST_BIN * bin_hz), bins_hz[-1])
            below = max(centre - self.centre_hz(row - 1), bin_hz)
            above = max(self.centre_hz(row + 1) - centre, bin_hz)
            triangle = np.minimum(1 + (bins_hz - centre) / below, 1 + (centre - bins_hz) / above)
            triangle[:_FIRST_BIN] = 0
            triangle[triangle <= 1e-9] = 0
            filters.append((triangle * (gain / bin_hz / triangle.sum())).astype(np.float32))
        return find_bands(filters)


def _height(frequency_hz: float) -> float:
    return math.asinh(frequency_hz / BEND_HZ)


@compiled(fastmath=FASTMATH)
def quantize_power(power: Float32) -> Levels:
    """Powers, float32, shape (frames, rows), at least 1e-20, to steps of a level, uint8."""
    frames, rows = power.shape
    quantized = np.empty((frames, rows), dtype=np.uint8)
    levels = np.empty(rows, dtype=np.float32)
    bits = np.empty(rows, dtype=np.int32)
    exponents = np.empty(rows, dtype=np.float32)
    floor, step, max_steps = np.float32(FLOOR_DB), np.float32(1 / STEP_DB), np.float32(255.0)
    for t in range(frames):
        for row in range(rows):
            levels[row] = power[t, row]
        write_decibels(levels, bits, exponents)
        for row in range(rows):
            # Half a step more, because whole numbers are cut off.
            steps = (levels[row] - floor) * step + np.float32(0.5)
            steps = steps if steps > np.float32(0.0) else np.float32(0.0)
            quantized[t, row] = np.uint8(np.int32(steps if steps < max_steps else max_steps))
    return quantized


@compiled(fastmath=FASTMATH)
def sum_magnitudes(
    S: Float32,
    weights: Float32,
    offsets: npt.NDArray[np.int64],
    first_bins: npt.NDArray[np.int64],
) -> Float32:
    """The power in each row, of magnitudes; float32, shape (frames, rows), at least 1e-20."""
    frames = S.shape[0]
    rows = len(first_bins)
    energies = np.empty((frames, rows), dtype=np.float32)
    used = first_bins[rows - 1] + offsets[rows] - offsets[rows - 1]
    power = np.zeros((8, used), dtype=np.float32)
    for first in range(0, frames, 8):
        ready = min(8, frames - first)
        for t in range(ready):
            magnitudes, squared = S[first + t], power[t]
            for k in range(used):
                squared[k] = magnitudes[k] * magnitudes[k]
        add_up_bands(power, weights, offsets, first_bins, energies[first : first + ready])
    return energies


@compiled(fastmath=FASTMATH)
def sum_transform(
    X: Float32,
    weights: Float32,
    offsets: npt.NDArray[np.int64],
    first_bins: npt.NDArray[np.int64],
) -> Float32:
    """The same of a transform as pairs of real and imaginary parts."""
    frames = X.shape[0]
    rows = len(first_bins)
    energies = np.empty((frames, rows), dtype=np.float32)
    used = first_bins[rows - 1] + offsets[rows] - offsets[rows - 1]
    power = np.zeros((8, used), dtype=np.float32)
    for first in range(0, frames, 8):
        ready = min(8, frames - first)
        for t in range(ready):
            x, squared = X[first + t], power[t]
            for k in range(first_bins[0], used):
                squared[k] = x[2 * k] * x[2 * k] + x[2 * k + 1] * x[2 * k + 1]
        add_up_bands(power, weights, offsets, first_bins, energies[first : first + ready])
    return energies
