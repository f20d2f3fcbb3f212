"""The compiled loops of verification: stored peaks are looked up in the bits of a query.

A stored peak at frame f and cell c agrees at (lag, tempo) if bit c of the query's frame
round((f - lag) / tempo) is set. Peaks outside the query are not counted.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from soundscape.audio.compiled import compiled

from .keys import CELLS

Frames = npt.NDArray[np.int32]
Bits = npt.NDArray[np.uint64]


@compiled()
def set_bits(frames: Frames, cells: Frames, bits: Bits) -> None:
    """Set the bits within one frame and one cell of each peak."""
    for i in range(frames.shape[0]):
        if cells[i] < 0:
            continue
        for t in range(max(0, frames[i] - 1), min(bits.shape[0], frames[i] + 2)):
            for c in range(max(0, cells[i] - 1), min(CELLS, cells[i] + 2)):
                bits[t, c >> 6] |= np.uint64(1) << np.uint64(c & 63)


@compiled()
def count_agreeing(frames: Frames, cells: Frames, bits: Bits, lag: float, tempo: float) -> tuple[int, int]:
    """Count the peaks inside the query, n, and those that agree, k."""
    n = 0
    k = 0
    for i in range(frames.shape[0]):
        t = int(np.floor((frames[i] - lag) / tempo + 0.5))
        if 0 <= t < bits.shape[0]:
            n += 1
            c = cells[i]
            k += int((bits[t, c >> 6] >> np.uint64(c & 63)) & np.uint64(1))
    return n, k


@compiled()
def mark_agreeing(
    frames: Frames, cells: Frames, bits: Bits, lag: float, tempo: float
) -> npt.NDArray[np.int8]:
    """Mark each peak: 1 agrees, 0 does not, -1 is outside the query."""
    found = np.full(frames.shape[0], -1, np.int8)
    for i in range(frames.shape[0]):
        t = int(np.floor((frames[i] - lag) / tempo + 0.5))
        if 0 <= t < bits.shape[0]:
            c = cells[i]
            found[i] = (bits[t, c >> 6] >> np.uint64(c & 63)) & np.uint64(1)
    return found


@compiled()
def measure_rates_at_lags(
    frames: Frames, cells: Frames, bits: Bits, lag: float, tempo: float, away: Frames
) -> npt.NDArray[np.float64]:
    """Measure the rate of agreement that many frames away. One hit and one miss are added to each."""
    rates = np.empty(away.shape[0])
    for a in range(away.shape[0]):
        n, k = count_agreeing(frames, cells, bits, lag + away[a], tempo)
        rates[a] = (k + 1.0) / (n + 2.0)
    return rates


@compiled()
def measure_rates_at_pitches(
    frames: Frames, cells: Frames, bits: Bits, lag: float, tempo: float, away: Frames
) -> npt.NDArray[np.float64]:
    """Measure the rate of agreement that many cells away. One hit and one miss are added to each."""
    n = np.full(away.shape[0], 2.0)
    k = np.ones(away.shape[0])
    for i in range(frames.shape[0]):
        t = int(np.floor((frames[i] - lag) / tempo + 0.5))
        if t < 0 or t >= bits.shape[0]:
            continue
        for a in range(away.shape[0]):
            c = cells[i] + away[a]
            if 0 <= c < CELLS:
                n[a] += 1.0
                k[a] += float((bits[t, c >> 6] >> np.uint64(c & 63)) & np.uint64(1))
    rates: npt.NDArray[np.float64] = k / n
    return rates


@compiled()
def fit_alignment(
    frames: Frames,
    cells: Frames,
    bits: Bits,
    lag: float,
    tempo: float,
    middle: float,
    reach: float,
    tempo_step: float,
    tempo_steps: int,
    lag_steps: int,
    reluctance: float,
) -> tuple[float, float]:
    """Find the lag and tempo with the most agreement within `reach` frames of the query's frame `middle`.

    Tempos are tried in steps around `tempo`, each with whole-frame shifts of `middle`. They are tried from
    the given values outwards, so that among equals the nearest one is kept. The agreement at another tempo
    counts less, by the share `reluctance`. Otherwise chance would bend every short match.
    """
    anchor = lag + middle * tempo
    low = np.searchsorted(frames, anchor - reach - lag_steps)
    high = np.searchsorted(frames, anchor + reach + lag_steps + 1)
    frames = frames[low:high]
    cells = cells[low:high]
    best_worth = -1.0
    best_lag = lag
    best_tempo = tempo
    for s in range(2 * tempo_steps + 1):
        tried = tempo + ((s + 1) // 2 if s % 2 else -(s // 2)) * tempo_step
        for d in range(2 * lag_steps + 1):
            shifted = anchor + ((d + 1) // 2 if d % 2 else -(d // 2)) - middle * tried
            _, k = count_agreeing(frames, cells, bits, shifted, tried)
            worth = float(k) if s == 0 else (1.0 - reluctance) * k
            if worth > best_worth:
                best_worth = worth
                best_lag = shifted
                best_tempo = tried
    return best_lag, best_tempo


@compiled()
def find_heaviest_run(gain: npt.NDArray[np.float64]) -> tuple[int, int]:
    """Find the contiguous run with the greatest sum (Kadane). Returns its first and last index."""
    best = -1e300
    low = high = start = 0
    total = 0.0
    for i in range(gain.shape[0]):
        if total <= 0.0:
            total = 0.0
            start = i
        total += gain[i]
        if total > best:
            best = total
            low = start
            high = i
    return low, high
