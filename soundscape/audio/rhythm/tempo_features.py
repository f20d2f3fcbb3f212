"""What speaks for each tempo that a recording may have, and for there being none.

How well the onset strength repeats after so many beats, and what sounds on and between the beats of one bar:
both of the whole, and of the four regions of `onsets.REGION_ENDS`. A kick that alternates with a snare tells
beats from half beats, which their sum does not. `tempo_model` weighs these numbers.

Public surface: `describe(...)`, `describe_clip(...)`, `FEATURES`, `CLIP_FEATURES`, `LAGS_BEATS`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from soundscape.audio.compiled import compiled
from soundscape.audio.rhythm.loops import measure_loop
from soundscape.audio.rhythm.onsets import REGION_ENDS, add_regions, find_onsets

Float64 = NDArray[np.float64]

REGIONS = ("all", "low", "middle", "high", "top")
LAGS_BEATS = (0.25, 1 / 3, 0.5, 2 / 3, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
_FOLDED = (
    "on the beats",
    "on halves",
    "on quarters",
    "on thirds",
    "every other beat",
    "every other half",
    "one of four",
)
FEATURES = (
    # How well it repeats after so many beats.
    *(f"{region} repeats at {beats:.3g}" for region in REGIONS for beats in LAGS_BEATS),
    *("comb", "comb below the best"),
    # Signs of another level: it repeats at two beats but not at one, at three only, not at halves.
    *("odd below even", "third above others", "halves below wholes"),
    # Octaves from 130 BPM, and of the onsets a beat.
    *("octaves", "octaves squared", "onset octaves"),
    *(f"{region} onset octaves" for region in REGIONS[1:]),
    # The recording is about, or exactly, four, eight, sixteen... beats long, at a whole tempo.
    *("about whole bars", "exactly whole bars", "whole bars at a whole tempo"),
    # By how many periods it is shorter than four.
    "missing periods",
    # What sounds in a bar of four beats, see `_fold`.
    *(f"{region} {what}" for region in REGIONS for what in _FOLDED),
    "one of three",
)
CLIP_FEATURES = (
    *("length octaves", "length squared", "short", "onset rate octaves"),
    *("best comb", "best three combs", "whole bars", "whole bars at a whole tempo"),
    *(f"{region} best repeat" for region in REGIONS[1:]),
    *(f"{region} share" for region in REGIONS[1:]),
    # How strong onsets are and how they lie, and how peaked the onset strength is.
    *("onset height", "irregularity", "peakedness", "highest"),
)

# Long recordings are folded in parts: a period is not known well enough, nor kept, to fold an hour.
_PART_S, _MAX_PARTS = 20.0, 8
_BINS = 24
# Onsets of a region, whose strengths are shares of the whole, are found as if all rose as much.
_REGION_GAIN = 4.0


def describe(
    bpm: Float64,
    comb: Float64,
    correlations: Float64,
    levelled: NDArray[np.float32],
    regions: NDArray[np.float32],
    *,
    frame_rate_hz: float,
    loop_s: float | None,
) -> Float64:
    """What speaks for each tempo, in the order of `FEATURES`, shape (n, features).

    Parameters
    ----------
    bpm, comb
        The tempi, and how well the whole repeats at each, shape (n,).
    correlations
        Autocorrelation of the whole and of each region, shape (5, lags).
    levelled
        Levelled onset strength of the whole and of each region, shape (5, frames).
    regions
        From `OnsetEnvelope.by_region`, shape (frames, 4).
    frame_rate_hz
        Frames a second.
    loop_s
        Exact length, if the recording may be a loop.
    """
    frames, period = levelled.shape[1], 60 * frame_rate_hz / bpm
    lags = np.array(LAGS_BEATS)[:, np.newaxis] * period
    known = np.arange(correlations.shape[1])
    # What is longer than the recording tells nothing: as well as it repeats otherwise.
    repeats = [
        np.where(lags < 0.75 * frames, np.interp(lags, known, row, right=0.0), comb) for row in correlations
    ]
    octaves = np.log2(bpm / 130)
    whole = add_regions(regions)
    rates = [_onset_rate_hz(whole, frame_rate_hz)]
    rates += [_onset_rate_hz(_REGION_GAIN * region, frame_rate_hz) for region in regions.T]
    densities = [np.clip(np.log2(rate * 60 / bpm), -3, 3) for rate in rates]
    folded = _fold(levelled, period, *_parts(frames, frame_rate_hz))
    return np.stack(
        [
            *(row for rows in repeats for row in rows),
            *(comb, comb - comb.max(), *_compare_levels(dict(zip(LAGS_BEATS, repeats[0], strict=True)))),
            *(octaves, octaves**2, *densities),
            *(*measure_loop(bpm, loop_s), np.clip(4 - frames / period, 0, 3)),
            *folded,
        ],
        axis=1,
    )


def describe_clip(
    comb: Float64, regions: NDArray[np.float32], features: Float64, *, frame_rate_hz: float
) -> Float64:
    """What speaks for there being no tempo, in the order of `CLIP_FEATURES`; parameters as `describe`."""
    whole = add_regions(regions).astype(np.float64)
    length_s = whole.size / frame_rate_hz
    onsets = find_onsets(whole.astype(np.float32), frame_rate_hz=frame_rate_hz)
    apart = np.diff(onsets)
    mean = whole.mean() + 1e-3
    squares = (whole - mean) ** 2
    spread = squares.mean() + 1e-6
    at = [FEATURES.index(f"{region} repeats at {beats}") for region in REGIONS[1:] for beats in (1, 2)]
    best = features[:, at].reshape(-1, len(REGION_ENDS), 2).mean(axis=2).max(axis=0)
    return np.array(
        [
            *(np.log2(length_s / 10), np.log(length_s / 10) ** 2, max(0.1, 2.0 / length_s)),
            float(np.clip(np.log2(max(onsets.size / length_s, 0.05) / 2), -3, 3)),
            *(comb.max(), np.sort(comb)[-3:].mean()),
            float(features[:, FEATURES.index("exactly whole bars")].any()),
            float(features[:, FEATURES.index("whole bars at a whole tempo")].any()),
            *best,
            *([float(region.sum()) for region in regions.T] / (whole.sum() + 1e-6)),
            float(np.log(whole[onsets].mean() + 0.1)) if onsets.size else np.log(0.1),
            float(apart.std() / apart.mean()) if apart.size > 2 else 1.5,
            float(np.log((squares * squares).mean() / spread**2 + 0.1)),
            float(np.log(whole.max() / mean + 1)),
        ]
    )


def _onset_rate_hz(strength: NDArray[np.float32], frame_rate_hz: float) -> float:
    length_s = strength.size / frame_rate_hz
    return max(find_onsets(strength, frame_rate_hz=frame_rate_hz).size / length_s, 0.05)


def _compare_levels(at: dict[float, Float64]) -> tuple[Float64, Float64, Float64]:
    odd_below_even = np.maximum(at[2.0] + at[4.0] - at[1.0] - at[3.0], 0) / 2
    third_above_others = np.maximum(at[3.0] - (at[1.0] + at[2.0] + at[4.0]) / 3, 0)
    halves_below_wholes = np.maximum(at[1.0] + at[2.0] - at[0.5] - at[1.5], 0) / 2
    return odd_below_even, third_above_others, halves_below_wholes


def _parts(frames: int, frame_rate_hz: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the parts that are folded begin and end."""
    parts = max(1, round(frames / (_PART_S * frame_rate_hz)))
    edges = np.linspace(0, frames, parts + 1).astype(np.int64)
    chosen = np.unique(np.linspace(0, parts - 1, min(parts, _MAX_PARTS)).astype(np.int64))
    return edges[chosen], edges[chosen + 1]


@compiled()
def _profile(x: NDArray[np.float32], period: float, bins: int) -> Float64:
    """Mean of what is above 0 by phase in the period, smoothed over three bins."""
    sums, counts = np.zeros(bins), np.zeros(bins)
    for t in range(x.size):
        phase = t / period
        at = min(int((phase - np.floor(phase)) * bins), bins - 1)
        sums[at] += max(x[t], 0.0)
        counts[at] += 1
    for i in range(bins):
        sums[i] /= max(counts[i], 1.0)
    smooth = np.empty(bins)
    for i in range(bins):
        smooth[i] = (sums[i - 1] + sums[i] + sums[(i + 1) % bins]) / 3
    return smooth


@compiled()
def _near(bar: Float64, at: int) -> float:
    bins = bar.size
    return float(max(bar[(at - 1) % bins], bar[at % bins], bar[(at + 1) % bins]))


@compiled()
def _fold(
    levelled: NDArray[np.float32], period: Float64, starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> Float64:
    """What sounds in a bar of four beats, shape (36, n): means over the parts of a recording.

    The beats are where the whole is strongest. For each row seven numbers: how far the beats stand out;
    halves and quarters against them; thirds; how unlike every other beat, and every other half, is; how one
    of four beats stands out. Then how one of three does.
    """
    rows, per_row = levelled.shape[0], 7
    out = np.zeros((rows * per_row + 1, period.size))
    on, half = np.empty(4), np.empty(4)
    for part in range(starts.size):
        for i in range(period.size):
            whole = _profile(levelled[0, starts[part] : stops[part]], 4 * period[i], 4 * _BINS)
            first, most = 0, -1.0
            for k in range(_BINS):
                total = whole[k] + whole[k + _BINS] + whole[k + 2 * _BINS] + whole[k + 3 * _BINS]
                if total > most:
                    first, most = k, total
            for row in range(rows):
                bar = whole
                if row:
                    bar = _profile(levelled[row, starts[part] : stops[part]], 4 * period[i], 4 * _BINS)
                quarters, thirds = 0.0, 0.0
                for beat in range(4):
                    at = first + beat * _BINS
                    on[beat], half[beat] = _near(bar, at), _near(bar, at + _BINS // 2)
                    quarters += (_near(bar, at + _BINS // 4) + _near(bar, at + 3 * _BINS // 4)) / 8
                    thirds += (_near(bar, at + _BINS // 3) + _near(bar, at + 2 * _BINS // 3)) / 8
                beats, halves = on.mean(), half.mean()
                top = max(beats, halves, quarters) + 1e-3
                k = row * per_row
                out[k, i] += np.log(beats / (bar.mean() + 1e-3) + 0.1)
                out[k + 1, i] += (halves - beats) / top
                out[k + 2, i] += (quarters - max(beats, halves)) / top
                out[k + 3, i] += (thirds - beats) / (thirds + beats + 1e-3)
                out[k + 4, i] += abs(on[0] + on[2] - on[1] - on[3]) / (4 * beats + 1e-3)
                out[k + 5, i] += abs(half[0] + half[2] - half[1] - half[3]) / (4 * halves + 1e-3)
                out[k + 6, i] += 1 - beats / (on.max() + 1e-3)
            bar = _profile(levelled[0, starts[part] : stops[part]], 3 * period[i], 3 * _BINS)
            three = np.array([bar[first], bar[first + _BINS], bar[first + 2 * _BINS]])
            out[rows * per_row, i] += 1 - three.mean() / (three.max() + 1e-3)
    return out / starts.size
