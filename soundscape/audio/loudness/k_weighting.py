"""K-weighting: the ear's rough frequency response, and the energy of sound seen through it.

ITU-R BS.1770-4 annex 1 prints coefficients for 48 kHz only: a shelf of +4 dB for the head, then a high-pass.
Here they are computed for any rate from the analogue prototypes those coefficients come from (the
parameters are libebur128's), so that at 48 kHz they are the printed ones.

Public surface: `k_filter(sample_rate)`, `channel_weights(channels, layout)`, `WeightedEnergy`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from soundscape.audio.compiled import compiled
from soundscape.errors import PolicyRefusal

# Energies are kept per 10 ms: fine enough to find the loudest 400 ms wherever they begin (EBU Tech 3341
# case 13).
SEGMENTS_PER_SECOND = 100
# The shelf's corner is 1.7 kHz; below this rate there is hardly a spectrum left to weigh.
MIN_SAMPLE_RATE_HZ = 4_000

_SURROUND_GAIN = 1.41
_DENORMAL_GUARD = 1e-25

# FFmpeg's layout names, as PyAV reports them, in the order in which the channels come.
_LAYOUTS = {
    "mono": "FC",
    "stereo": "FL FR",
    "downmix": "FL FR",
    "2.1": "FL FR LFE",
    "3.0": "FL FR FC",
    "3.0(back)": "FL FR BC",
    "4.0": "FL FR FC BC",
    "quad": "FL FR BL BR",
    "quad(side)": "FL FR SL SR",
    "3.1": "FL FR FC LFE",
    "5.0": "FL FR FC BL BR",
    "5.0(side)": "FL FR FC SL SR",
    "4.1": "FL FR FC LFE BC",
    "5.1": "FL FR FC LFE BL BR",
    "5.1(side)": "FL FR FC LFE SL SR",
    "6.0": "FL FR FC BC SL SR",
    "hexagonal": "FL FR FC BL BR BC",
    "6.1": "FL FR FC LFE BC SL SR",
    "6.1(back)": "FL FR FC LFE BL BR BC",
    "7.0": "FL FR FC BL BR SL SR",
    "7.1": "FL FR FC LFE BL BR SL SR",
    "7.1(wide)": "FL FR FC LFE BL BR FLC FRC",
    "7.1(wide-side)": "FL FR FC LFE FLC FRC SL SR",
    "octagonal": "FL FR FC BL BR BC SL SR",
}
# What a file means that names no layout: the order of WAVE_FORMAT_EXTENSIBLE for its number of channels.
_BY_COUNT = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


def channel_weights(channels: int, layout: str | Sequence[str] | None = None) -> NDArray[np.float64]:
    """How much each channel counts, shape (channels,): BS.1770-4 table 3 and annex 3.

    Low-frequency effects count nothing, surrounds at 60 to 120 degrees 1.41, all others 1. Back channels
    are the surrounds when there are no side channels (5.1 puts them at 110 degrees whatever they are
    called); where both exist, the backs stand behind 120 degrees and count 1.

    Parameters
    ----------
    channels
        How many there are.
    layout
        FFmpeg's name of a layout ("5.1(side)") or the channels' names in order ("FL", "FR", "LFE",
        ...). A name that is not known, like none, means the usual layout for the number of channels.

    Raises
    ------
    ValueError
        `layout` lists another number of channels.
    """
    if channels < 1:
        raise ValueError(f"channels must be at least 1, got {channels}")
    names: Sequence[str]
    if layout is None or isinstance(layout, str):
        known = _LAYOUTS.get(layout or "")
        if known is None:
            known = _LAYOUTS.get(_BY_COUNT.get(channels, ""), " ".join(["M"] * channels))
        names = known.split()
    else:
        names = layout
    if len(names) != channels:
        raise ValueError(f"layout {layout!r} has {len(names)} channels, the signal has {channels}")
    surrounds = {"SL", "SR"} if {"SL", "SR"} & set(names) else {"BL", "BR"}
    gains = [0.0 if n in ("LFE", "LFE2") else _SURROUND_GAIN if n in surrounds else 1.0 for n in names]
    return np.array(gains)


def k_filter(sample_rate: int) -> NDArray[np.float64]:
    """Coefficients of the two stages, shape (2, 5): b0, b1, b2, a1, a2 of each (a0 = 1).

    Raises
    ------
    PolicyRefusal
        The rate is below 4 kHz.
    """
    if sample_rate < MIN_SAMPLE_RATE_HZ:
        raise PolicyRefusal(
            f"Loudness is not defined at {sample_rate} Hz.",
            code="sample_rate_unsupported",
            remedy=f"Use a recording of at least {MIN_SAMPLE_RATE_HZ} Hz.",
        )
    corner_hz, gain_db, q = 1681.974450955533, 3.999843853973347, 0.7071752369554196
    k = math.tan(math.pi * corner_hz / sample_rate)
    high = 10 ** (gain_db / 20)
    band = high**0.4996667741545416
    a0 = 1 + k / q + k * k
    shelf = [
        (high + band * k / q + k * k) / a0,
        2 * (k * k - high) / a0,
        (high - band * k / q + k * k) / a0,
        2 * (k * k - 1) / a0,
        (1 - k / q + k * k) / a0,
    ]
    corner_hz, q = 38.13547087602444, 0.5003270373238773
    k = math.tan(math.pi * corner_hz / sample_rate)
    a0 = 1 + k / q + k * k
    # BS.1770 leaves this stage's numerator unscaled.
    high_pass = [1.0, -2.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]
    return np.array([shelf, high_pass])


# A product and its sum in one rounding: a fifth faster, and 1e-14 away.
@compiled(fastmath={"contract"})
def _feed_forward(
    block: NDArray[np.float32],
    history: NDArray[np.float64],
    taps: NDArray[np.float64],
    x: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """The numerators of both stages at once, of the samples after `history`; x is working space."""
    n = block.size
    for k in range(4):
        x[k] = history[k]
    for t in range(n):
        x[4 + t] = block[t]
    h0, h1, h2, h3, h4 = taps[0], taps[1], taps[2], taps[3], taps[4]
    for t in range(n):
        out[t] = h0 * x[t + 4] + h1 * x[t + 3] + h2 * x[t + 2] + h3 * x[t + 1] + h4 * x[t]
    for k in range(4):
        history[k] = x[n + k]


@compiled(fastmath={"contract"})
def _weigh(
    block: NDArray[np.float32],
    rows: NDArray[np.int64],
    weights: NDArray[np.float64],
    filters: NDArray[np.float64],
    taps: NDArray[np.float64],
    state: NDArray[np.float64],
    start: int,
    first_segment: int,
    sample_rate: int,
    out: NDArray[np.float64],
) -> None:
    a1, a2 = filters[0, 3], filters[0, 4]
    c1, c2 = filters[1, 3], filters[1, 4]
    n = block.shape[1]
    length = sample_rate // SEGMENTS_PER_SECOND + 1
    x = np.empty(length + 4)
    pu = np.empty(length)
    qu = np.empty(length)
    # The numerators have no feedback, so their loops become vector instructions. The rest takes two channels
    # side by side because each waits on its own feedback; an odd last one keeps itself company.
    for r in range(0, rows.size, 2):
        s = min(r + 1, rows.size - 1)
        p, q = rows[r], rows[s]
        pv1, pv2, py1, py2, p_sum = state[r, 4], state[r, 5], state[r, 6], state[r, 7], state[r, 8]
        qv1, qv2, qy1, qy2, q_sum = state[s, 4], state[s, 5], state[s, 6], state[s, 7], state[s, 8]
        i = 0
        segment = first_segment
        while i < n:
            boundary = (segment + 1) * sample_rate // SEGMENTS_PER_SECOND - start
            stop = min(n, boundary)
            _feed_forward(block[p, i:stop], state[r], taps, x, pu)
            if s != r:
                _feed_forward(block[q, i:stop], state[s], taps, x, qu)
            else:
                qu = pu
            for t in range(stop - i):
                pv = (pu[t] - a2 * pv2) - a1 * pv1
                qv = (qu[t] - a2 * qv2) - a1 * qv1
                py = (pv - c2 * py2) - c1 * py1
                qy = (qv - c2 * qy2) - c1 * qy1
                p_sum += py * py
                q_sum += qy * qy
                pv2, pv1, py2, py1 = pv1, pv, py1, py
                qv2, qv1, qy2, qy1 = qv1, qv, qy1, qy
            if stop == boundary:
                out[segment - first_segment] += weights[p] * p_sum
                if s != r:
                    out[segment - first_segment] += weights[q] * q_sum
                p_sum = 0.0
                q_sum = 0.0
                # After a fade the feedback would ring on in denormals, which cost a hundred times as much.
                if abs(pv1) + abs(pv2) + abs(py1) + abs(py2) < _DENORMAL_GUARD:
                    pv1 = pv2 = py1 = py2 = 0.0
                if abs(qv1) + abs(qv2) + abs(qy1) + abs(qy2) < _DENORMAL_GUARD:
                    qv1 = qv2 = qy1 = qy2 = 0.0
                segment += 1
            i = stop
        # One by one: numba takes three seconds to compile the assignment of a whole row.
        state[r, 4], state[r, 5], state[r, 6], state[r, 7], state[r, 8] = pv1, pv2, py1, py2, p_sum
        state[s, 4], state[s, 5], state[s, 6], state[s, 7], state[s, 8] = qv1, qv2, qy1, qy2, q_sum


class WeightedEnergy:
    """Streaming K-weighted energy in segments of 10 ms, channels summed by their weights.

    Segment k spans the samples from floor(k * sample_rate / 100) to the next segment's first, so that ten
    of them are 100 ms at any rate without drift.
    """

    def __init__(self, *, sample_rate: int, channels: int, layout: str | Sequence[str] | None = None) -> None:
        self._filters = k_filter(sample_rate)
        self._weights = channel_weights(channels, layout)
        self._rows = np.flatnonzero(self._weights)
        self._taps = np.convolve(self._filters[0, :3], self._filters[1, :3])
        # Of each channel: its last four samples, the last two of each stage, and the sum of squares.
        self._state = np.zeros((self._rows.size, 9))
        self._sample_rate = sample_rate
        self._frames = 0

    def push(self, block: NDArray[np.float32]) -> NDArray[np.float64]:
        """Take samples, float32, shape (channels, n); give the sums of squares of the segments they
        complete."""
        start, stop = self._frames, self._frames + block.shape[1]
        first = self._segments(start)
        energies = np.zeros(self._segments(stop) - first)
        if block.shape[1] and self._rows.size:
            filters, rate = self._filters, self._sample_rate
            _weigh(
                block,
                self._rows,
                self._weights,
                filters,
                self._taps,
                self._state,
                start,
                first,
                rate,
                energies,
            )
        self._frames = stop
        return energies

    def _segments(self, frames: int) -> int:
        """How many segments end at or before this frame: the k with floor(k * rate / 100) <= frames."""
        return ((frames + 1) * SEGMENTS_PER_SECOND - 1) // self._sample_rate
