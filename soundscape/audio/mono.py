"""The one signal that the analysis listens to: all channels in one, without offset, and never cancelled.

The mean of the channels is silence where two of them are each other's opposite. So each channel goes in with
the sign that keeps the most energy: for stereo that is the mid (L + R) / 2 or the side (L - R) / 2. A file
and its copy with one channel inverted give the same signal, but for its sign.

The signs are chosen for stretches of an eighth of a block. A change fades over 512 samples.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt

from soundscape.audio.compiled import FASTMATH, compiled
from soundscape.audio.decode.reader import SourceWarning

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

# An offset is what all eighths of a block have in common. Music has none: their means differ in sign.
STRETCHES = 8
_MIN_STEADINESS = 0.3
# -80 dBFS, the level from which on a frame holds sound.
_MIN_OFFSET = 1e-4
# A period of 20 Hz: in less, an offset cannot be told from a low tone.
MIN_OFFSET_S = 0.05
# A block shorter than this tells less about the offset than the one before it.
_MIN_BLOCK_S = 0.4

# Signs change at once where they cancel (6 dB), and otherwise when others were better for some time.
_CANCELLED = 4.0
_FORGETTING = 0.9
_BETTER_STEREO, _BETTER_MULTICHANNEL = 1.25, 2.0
_MAX_SEARCHED_CHANNELS = 8
_FADE = 512

# Played through one speaker, such channels lose 6 dB.
MIN_PHASE_CORRELATION = -0.5
# -40 dBFS: less is the fault of many converters, and does no harm.
MAX_DC_OFFSET = 0.01


class MonoMix:
    """Blocks of any number of channels to one signal at the same rate.

    Parameters
    ----------
    sample_rate
        Hz.
    channels
        Rows of the blocks pushed.
    """

    def __init__(self, *, sample_rate: int, channels: int) -> None:
        self._sample_rate = sample_rate
        self._channels = channels
        self._samples = 0
        self._sums = np.zeros(channels)
        self._covariance = np.zeros((channels, channels))
        self._offsets = np.zeros(channels)
        self._weights: Float64 | None = None
        self._signs = np.ones((1, channels))
        if 1 < channels <= _MAX_SEARCHED_CHANNELS:
            # The first channel is always positive: a signal and its opposite sound alike.
            self._signs = np.array([(1, *rest) for rest in product((1, -1), repeat=channels - 1)], float)
        self._chosen = 0
        self._energies = np.zeros(len(self._signs))

    def push(self, block: Float32) -> Float32:
        """Mix the next block.

        Parameters
        ----------
        block
            Samples, float32, shape (channels, n), any n >= 0.

        Returns
        -------
        Samples, float32, shape (n,).
        """
        samples = block.shape[1]
        if not samples:
            return np.empty(0, dtype=np.float32)
        edges = _edges(samples)
        sums, products = _gather(block, edges)
        is_first = self._samples == 0
        self._samples += samples
        self._sums += sums.sum(axis=0)
        before = self._offsets
        if samples >= _MIN_BLOCK_S * self._sample_rate or is_first:
            is_long_enough = samples >= MIN_OFFSET_S * self._sample_rate
            self._offsets = find_offsets(sums, edges) if is_long_enough else np.zeros(self._channels)
        if self._offsets.any():
            products = _centre(products, sums, np.diff(edges), self._offsets)
        self._covariance += products.sum(axis=0)
        weights = self._choose(products)
        first = weights[0] if self._weights is None else self._weights
        self._weights = weights[-1]
        if is_first:
            before = self._offsets
        if (weights == first).all() and (before == self._offsets).all():
            return _mix_steadily(block, first.astype(np.float32), np.float32(first @ self._offsets))
        mono = np.empty(samples, dtype=np.float32)
        _mix(
            block,
            edges,
            np.concatenate([first[np.newaxis], weights]).astype(np.float32),
            before.astype(np.float32),
            self._offsets.astype(np.float32),
            mono,
        )
        return mono

    @property
    def dc_offset(self) -> float:
        """Mean of the samples so far, of the channel where it is farthest from zero; full scale is 1."""
        means = self._sums / max(self._samples, 1)
        return float(means[np.argmax(np.abs(means))])

    @property
    def phase_correlation(self) -> float | None:
        """Lowest correlation of any two channels so far: 1 the same, 0 unrelated, -1 opposite.

        None where fewer than two channels hold sound.
        """
        energy = np.diag(self._covariance)
        heard = energy > self._samples * _MIN_OFFSET**2
        if heard.sum() < 2:
            return None
        spread = np.sqrt(energy[heard])
        correlations = self._covariance[np.ix_(heard, heard)] / np.outer(spread, spread)
        return float(np.clip(correlations[np.triu_indices(len(spread), 1)].min(), -1, 1))

    def warnings(self) -> tuple[SourceWarning, ...]:
        """What the owner should know: channels that cancel each other, an offset."""
        found = []
        correlation = self.phase_correlation
        if correlation is not None and correlation < MIN_PHASE_CORRELATION:
            found.append(
                SourceWarning(
                    "opposite_phase",
                    f"Two channels are nearly each other's opposite (correlation {correlation:.2f}): they "
                    "cancel where they are played through one speaker. They were analysed without that.",
                )
            )
        if abs(self.dc_offset) > MAX_DC_OFFSET:
            found.append(
                SourceWarning(
                    "dc_offset",
                    f"The samples are off centre by {self.dc_offset:.3f} of full scale. The spectrum was "
                    "measured without that.",
                )
            )
        return tuple(found)

    def _choose(self, covariances: Float64) -> Float64:
        """The weights of the channels for stretches with these covariances, shape (stretches, channels)."""
        if self._channels > _MAX_SEARCHED_CHANNELS:
            whole = covariances.sum(axis=0)
            loudest = whole[np.argmax(np.diag(whole))]
            self._signs = np.array([np.ones(self._channels), np.where(loudest < 0, -1.0, 1.0)])
            self._energies = np.zeros(2)
            self._chosen = 0
        chosen = np.empty(len(covariances), dtype=np.int64)
        self._chosen = _follow(
            covariances, self._signs, self._energies, self._chosen, self._channels == 2, chosen
        )
        weights: Float64 = self._signs[chosen] / self._channels
        return weights


@lru_cache(maxsize=8)
def _edges(samples: int) -> npt.NDArray[np.int64]:
    """Where the stretches of a block begin, and where the last one ends."""
    return np.arange(STRETCHES + 1) * samples // STRETCHES


@compiled()
def find_offsets(sums: Float64, edges: npt.NDArray[np.int64]) -> Float64:
    """The offset of each channel, shape (channels,); 0 where the stretches have none in common.

    Parameters
    ----------
    sums
        Of the samples of each stretch, float64, shape (stretches, channels).
    edges
        Where the stretches begin, and where the last one ends, int64, shape (stretches + 1,).
    """
    stretches, channels = sums.shape
    offsets = np.zeros(channels)
    for c in range(channels):
        smallest, largest = np.inf, -np.inf
        for stretch in range(stretches):
            length = edges[stretch + 1] - edges[stretch]
            mean = sums[stretch, c] / length if length else 0.0
            smallest = min(smallest, mean)
            largest = max(largest, mean)
        nearest, farthest = (smallest, largest) if smallest > 0 else (-largest, -smallest)
        if nearest > 0 and nearest >= _MIN_STEADINESS * farthest:
            mean = sums[:, c].sum() / edges[-1]
            if abs(mean) > _MIN_OFFSET:
                offsets[c] = mean
    return offsets


def _mix_steadily(block: Float32, weights: Float32, offset: np.float32) -> Float32:
    """Weighted sum of the channels, all weights being of one size."""
    mono: Float32 = block[0].copy()
    for channel, weight in zip(block[1:], weights[1:], strict=True):
        if weight > 0:
            mono += channel
        else:
            mono -= channel
    mono *= weights[0]
    if offset:
        mono -= offset
    return mono


def _centre(products: Float64, sums: Float64, lengths: npt.NDArray[np.int64], offsets: Float64) -> Float64:
    """Sums of products as if the offsets had been taken off before."""
    crossed = sums[:, :, np.newaxis] * offsets
    squared = lengths[:, np.newaxis, np.newaxis] * np.outer(offsets, offsets)
    centred: Float64 = products - crossed - crossed.transpose(0, 2, 1) + squared
    return centred


@compiled()
def _follow(
    covariances: Float64,
    signs: Float64,
    lately: Float64,
    chosen: int,
    is_stereo: bool,
    out: npt.NDArray[np.int64],
) -> int:
    """Choose signs for each stretch by the energy they keep, now and lately; write their numbers to `out`."""
    channels = signs.shape[1]
    now = np.empty(len(signs))
    for stretch in range(len(covariances)):
        for p in range(len(signs)):
            energy = 0.0
            for c in range(channels):
                for d in range(channels):
                    energy += signs[p, c] * covariances[stretch, c, d] * signs[p, d]
            now[p] = energy
        better = _BETTER_STEREO if is_stereo else _BETTER_MULTICHANNEL
        if is_stereo and lately.max() == 0.0:
            # Nothing was heard yet, so nothing is to be kept.
            better = 1.0
        lately *= _FORGETTING
        lately += now
        best, best_lately = int(np.argmax(now)), int(np.argmax(lately))
        if now[best] > _CANCELLED * now[chosen]:
            chosen = best
        elif lately[best_lately] > better * lately[chosen] and now[best_lately] >= now[chosen]:
            chosen = best_lately
        out[stretch] = chosen
    return chosen


@compiled(fastmath=FASTMATH)
def _gather(block: Float32, edges: npt.NDArray[np.int64]) -> tuple[Float64, Float64]:
    """Sums of each stretch and channel, and of the products of every two channels."""
    channels = block.shape[0]
    stretches = len(edges) - 1
    sums = np.zeros((stretches, channels))
    products = np.zeros((stretches, channels, channels))
    for stretch in range(stretches):
        for start in range(edges[stretch], edges[stretch + 1], 1024):
            stop = min(start + 1024, edges[stretch + 1])
            for c in range(channels):
                x = block[c, start:stop]
                total = np.float32(0.0)
                energy = np.float32(0.0)
                for i in range(x.size):
                    total += x[i]
                    energy += x[i] * x[i]
                sums[stretch, c] += total
                products[stretch, c, c] += energy
                for d in range(c):
                    y = block[d, start:stop]
                    crossed = np.float32(0.0)
                    for i in range(x.size):
                        crossed += x[i] * y[i]
                    products[stretch, c, d] += crossed
                    products[stretch, d, c] += crossed
    return sums, products


@compiled(fastmath=FASTMATH)
def _mix(
    block: Float32,
    edges: npt.NDArray[np.int64],
    weights: Float32,
    first_offsets: Float32,
    offsets: Float32,
    out: Float32,
) -> None:
    """Weighted sum of the channels; weights and offsets reach their new values by a straight line."""
    channels = block.shape[0]
    for stretch in range(len(edges) - 1):
        begin, end = edges[stretch], edges[stretch + 1]
        settled = min(begin + _FADE, end)
        for i in range(begin, settled):
            share = np.float32(i - begin + 1) / np.float32(_FADE)
            value = np.float32(0.0)
            for c in range(channels):
                weight = weights[stretch, c] + share * (weights[stretch + 1, c] - weights[stretch, c])
                offset = offsets[c]
                if stretch == 0:
                    offset = first_offsets[c] + share * (offsets[c] - first_offsets[c])
                value += weight * (block[c, i] - offset)
            out[i] = value
        for i in range(settled, end):
            out[i] = np.float32(0.0)
        for c in range(channels):
            weight, offset = weights[stretch + 1, c], offsets[c]
            x = block[c]
            for i in range(settled, end):
                out[i] += weight * (x[i] - offset)
