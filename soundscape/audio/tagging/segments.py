"""Stretches of time in which a class is heard, made of its scores window by window."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]


@dataclass(slots=True)
class _Stretch:
    start: int
    last_on: int
    windows: int
    score_sum: float
    # Of the windows since `last_on`: they count only if the class comes back.
    gap_windows: int = 0
    gap_score_sum: float = 0.0


class Segments:
    """Turns scores into stretches, window by window, without keeping the scores.

    `on`, `off`: score thresholds, `on` >= `off`. `gap_windows`: how many windows below `off` are bridged.
    `minimum_windows`: a stretch of fewer is dropped, unless it is the whole recording. `limit`: at most so
    many stretches are kept, those with the highest sum of scores.
    """

    def __init__(self, *, on: float, off: float, gap_windows: int, minimum_windows: int, limit: int) -> None:
        if not 0 < off <= on <= 1:
            raise ValueError("thresholds must satisfy 0 < off <= on <= 1")
        self._on, self._off = on, off
        self._gap_windows, self._minimum_windows, self._limit = gap_windows, minimum_windows, limit
        self._open: dict[int, _Stretch] = {}
        # (score sum, -start, -class, last window, mean score): the weakest first, ties to the latest.
        self._kept: list[tuple[float, int, int, int, float]] = []
        self.windows = 0
        self.dropped = 0

    def push(self, scores: Float32) -> None:
        """`scores`: (windows, classes) of the windows that follow."""
        for row in scores:
            index = self.windows
            for label in sorted(self._open.keys() | set(np.flatnonzero(row >= self._on).tolist())):
                self._step(label, float(row[label]), index)
            self.windows += 1

    def _step(self, label: int, score: float, index: int) -> None:
        stretch = self._open.get(label)
        if stretch is None:
            self._open[label] = _Stretch(index, index, 1, score)
        elif score >= self._off:
            stretch.windows += stretch.gap_windows + 1
            stretch.score_sum += stretch.gap_score_sum + score
            stretch.gap_windows, stretch.gap_score_sum = 0, 0.0
            stretch.last_on = index
        else:
            stretch.gap_windows += 1
            stretch.gap_score_sum += score
            if stretch.gap_windows > self._gap_windows:
                self._close(label, self._minimum_windows)

    def _close(self, label: int, minimum_windows: int) -> None:
        stretch = self._open.pop(label)
        if stretch.windows < minimum_windows:
            return
        mean_score = stretch.score_sum / stretch.windows
        entry = (stretch.score_sum, -stretch.start, -label, stretch.last_on, mean_score)
        if len(self._kept) < self._limit:
            heapq.heappush(self._kept, entry)
        else:
            heapq.heappushpop(self._kept, entry)
            self.dropped += 1

    def finish(self) -> list[tuple[int, int, int, float]]:
        """Closes what is open and returns (class, first window, last window, mean score), unordered."""
        for label in sorted(self._open):
            self._close(label, min(self._minimum_windows, self.windows))
        return [(-label, -start, last, mean) for _, start, label, last, mean in self._kept]
