"""Sums of samples and of their squares along a recording, in memory that does not grow with its length."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from soundscape.audio.mono import MIN_OFFSET_S, STRETCHES, find_offsets

Float64 = npt.NDArray[np.float64]

MAX_ENTRIES = 8192


class SampleSums:
    """Sums over equal stretches; where they become too many, every two are joined.

    Parameters
    ----------
    sample_rate
        Hz.
    channels
        Of the recording.
    samples_per_pixel
        What each row of a `push` covers, but for the last one.
    """

    def __init__(self, *, sample_rate: int, channels: int, samples_per_pixel: int) -> None:
        self._sample_rate = sample_rate
        self._samples_per_pixel = samples_per_pixel
        self._pixels_per_entry = 1
        self._entries = np.empty((MAX_ENTRIES, channels, 2))
        self._count = 0
        self._rest = np.empty((0, channels, 2))
        self._samples = 0

    def push(self, sums: npt.NDArray[np.float32], samples: int) -> None:
        """Add the sums of a number of samples, float32, shape (pixels, channels, 2): of x and of x²."""
        self._samples += samples
        self._rest = np.concatenate([self._rest, sums])
        while self._count + len(self._rest) // self._pixels_per_entry > MAX_ENTRIES:
            self._join()
        whole = len(self._rest) // self._pixels_per_entry * self._pixels_per_entry
        ready = self._rest[:whole].reshape(-1, self._pixels_per_entry, *self._rest.shape[1:]).sum(axis=1)
        self._entries[self._count : self._count + len(ready)] = ready
        self._count += len(ready)
        self._rest = self._rest[whole:].copy()

    def _join(self) -> None:
        pairs = self._count // 2
        odd = self._entries[2 * pairs : self._count]
        if len(odd):
            # It waits for its partner: as its first pixel, and nothing in the others.
            nothing = np.zeros((self._pixels_per_entry - 1, *odd.shape[1:]))
            self._rest = np.concatenate([odd, nothing, self._rest])
        joined = self._entries[: 2 * pairs].reshape(pairs, 2, *self._entries.shape[1:]).sum(axis=1)
        self._entries[:pairs] = joined
        self._count = pairs
        self._pixels_per_entry *= 2

    def _all(self) -> tuple[Float64, npt.NDArray[np.int64]]:
        """The entries, and the samples at which they begin, and where the last one ends."""
        entries = self._entries[: self._count]
        if len(self._rest):
            entries = np.concatenate([entries, self._rest.sum(axis=0, keepdims=True)])
        edges = np.arange(len(entries) + 1) * (self._pixels_per_entry * self._samples_per_pixel)
        return entries, np.minimum(edges, self._samples)

    def offsets(self) -> Float64:
        """Find the constant offset of each channel.

        Returns
        -------
        ndarray
            Float64, shape (channels,), full scale is 1. 0 where a channel has none, and for a recording
            shorter than `MIN_OFFSET_S` or `STRETCHES` rows: too short to tell an offset from a low tone.
        """
        entries, edges = self._all()
        channels = entries.shape[1]
        if len(entries) < STRETCHES or self._samples < MIN_OFFSET_S * self._sample_rate:
            return np.zeros(channels)
        starts = np.arange(STRETCHES) * len(entries) // STRETCHES
        sums = np.add.reduceat(entries[..., 0], starts, axis=0)
        return find_offsets(sums, np.append(edges[starts], self._samples))

    def rms(self, count: int) -> Float64:
        """Find the louder channel's RMS along the recording, without the offset.

        Parameters
        ----------
        count
            Number of equal parts.

        Returns
        -------
        ndarray
            Float64, shape (count,), full scale is 1. Zeros for no samples.
        """
        entries, edges = self._all()
        if not len(entries):
            return np.zeros(count)
        lengths = np.diff(edges)[:, np.newaxis].astype(np.float64)
        starts = np.arange(count) * len(entries) // count
        if len(entries) >= count:
            entries, lengths = np.add.reduceat(entries, starts), np.add.reduceat(lengths, starts)
        else:
            entries, lengths = entries[starts], lengths[starts]
        offsets = self.offsets()
        squares = entries[..., 1] - 2 * offsets * entries[..., 0] + lengths * offsets**2
        rms: Float64 = np.sqrt(np.maximum(squares / lengths, 0.0).max(axis=1))
        return rms
