"""Bands of a spectrum: sums over their bins, many frames at once, and decibels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from soundscape.audio.compiled import FASTMATH, compiled

Float32 = npt.NDArray[np.float32]

# Far below what a soft recording holds: a copy 40 dB down loses nothing.
MIN_POWER = 1e-20
_DB_PER_OCTAVE = np.float32(10 * np.log10(2))
_DB_PER_NEPER = np.float32(20 / np.log(10))


class Bands(NamedTuple):
    """Weights of bands one after another, where each band's begin, and at which bin."""

    weights: Float32
    offsets: npt.NDArray[np.int64]
    first_bins: npt.NDArray[np.int64]


def find_bands(filters: Iterable[Float32]) -> Bands:
    """Find what is not zero in the filters of bands.

    Parameters
    ----------
    filters
        The weight of each bin for each band, float32, shape (bands, bins). Every band has some.
    """
    weights, offsets, first_bins = [np.empty(0, dtype=np.float32)], [0], []
    for band in filters:
        bins = np.flatnonzero(band)
        weights.append(band[bins[0] : bins[-1] + 1])
        offsets.append(offsets[-1] + len(weights[-1]))
        first_bins.append(bins[0])
    return Bands(
        np.concatenate(weights), np.array(offsets, dtype=np.int64), np.array(first_bins, dtype=np.int64)
    )


@compiled(fastmath={"contract"})
def add_up_bands(
    values: Float32,
    weights: Float32,
    offsets: npt.NDArray[np.int64],
    first_bins: npt.NDArray[np.int64],
    sums: Float32,
) -> None:
    """Write the bands' weighted sums of up to eight frames, at least 1e-20; values: shape (8, bins).

    A band is too short for vector instructions, and each sum waits for the one before. So eight frames are
    summed side by side, three times as fast as one after the other.
    """
    v0, v1, v2, v3 = values[0], values[1], values[2], values[3]
    v4, v5, v6, v7 = values[4], values[5], values[6], values[7]
    least = np.float32(MIN_POWER)
    totals = np.empty(8, dtype=np.float32)
    for m in range(len(first_bins)):
        e0 = e1 = e2 = e3 = e4 = e5 = e6 = e7 = np.float32(0.0)
        begin = offsets[m]
        shift = first_bins[m] - begin
        for i in range(begin, offsets[m + 1]):
            weight, k = weights[i], i + shift
            e0 += weight * v0[k]
            e1 += weight * v1[k]
            e2 += weight * v2[k]
            e3 += weight * v3[k]
            e4 += weight * v4[k]
            e5 += weight * v5[k]
            e6 += weight * v6[k]
            e7 += weight * v7[k]
        totals[0], totals[1], totals[2], totals[3] = e0, e1, e2, e3
        totals[4], totals[5], totals[6], totals[7] = e4, e5, e6, e7
        for t in range(len(sums)):
            sums[t, m] = max(totals[t], least)


@compiled(fastmath=FASTMATH)
def write_decibels(levels: Float32, bits: npt.NDArray[np.int32], exponents: Float32) -> None:
    """Replace powers, normal positive float32, by 10·log10 of them; the others are working space.

    The logarithm by hand, because the library's cannot be vectorised: x = 2^e · m with m from 1 to 2,
    ln m = 2·artanh((m - 1) / (m + 1)), the series as far as float32 goes.
    """
    levels_bits = levels.view(np.int32)
    mantissas = bits.view(np.float32)
    for m in range(levels.size):
        exponents[m] = np.float32((levels_bits[m] >> 23) - 127)
        bits[m] = (levels_bits[m] & 0x7FFFFF) | 0x3F800000
    for m in range(levels.size):
        above = mantissas[m] > np.float32(1.4142135)
        x = mantissas[m] * (np.float32(0.5) if above else np.float32(1.0))
        e = exponents[m] + (np.float32(1.0) if above else np.float32(0.0))
        z = (x - np.float32(1.0)) / (x + np.float32(1.0))
        zz = z * z
        series = np.float32(1 / 7) + zz * np.float32(1 / 9)
        series = np.float32(1 / 3) + zz * (np.float32(1 / 5) + zz * series)
        levels[m] = _DB_PER_OCTAVE * e + _DB_PER_NEPER * z * (np.float32(1.0) + zz * series)
