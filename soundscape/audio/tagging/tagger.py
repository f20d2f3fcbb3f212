"""Tags: what can be heard, from when to when.

YAMNet scores 521 AudioSet classes every 0.48 s. A score is not a tag: it flickers. A class's tag starts
where its score reaches `on`, lasts while it stays at `off` or above, bridges gaps up to `gap_s`, and is
dropped when shorter than `minimum_s`. Its confidence is the mean score over its windows.

A window is 0.96 s long and they overlap by half, so each speaks for its middle 0.48 s (the first and the
last also for the recording's ends). That places a beginning or an end within about half a second; a window's
own span would smear every tag by a quarter of a second more on both sides.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from soundscape.audio.measurements import Tag
from soundscape.audio.tagging import yamnet

VERSION = 2
BATCH_WINDOWS = 16

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TagResult:
    """What `Tagger` heard.

    `tags`: by start, then by falling confidence. `mean_scores`: (521,) mean score of every class over the
    recording, in the order of `yamnet.class_names()`. `mean_embedding`, `std_embedding`: (1024,) over the
    windows. `windows`: how many there were; 0 for an empty recording, whose arrays are zeros.
    `dropped_tags`: the weakest stretches left out to keep `tags` within the tagger's `limit`.
    """

    tags: tuple[Tag, ...]
    mean_scores: Float32
    mean_embedding: Float32
    std_embedding: Float32
    windows: int
    duration_s: float
    dropped_tags: int


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


class Tagger:
    """Tags and mean embedding of a recording, pushed in blocks of any size.

    The network runs on batches of 16 windows counted from the recording's start, whatever the blocks, so
    results do not depend on how the signal was cut. Memory does not grow with length beyond `limit` tags.

    `model_path`: the file `models.find("yamnet")` returns. It is opened by `load`, or else when the first
    batch is full or `result` is called. `ModelMissing`, `ModelCorrupt` or `ModelRuntimeMissing` come then.
    """

    def __init__(
        self,
        model_path: Path,
        *,
        on: float = 0.3,
        off: float = 0.15,
        gap_s: float = 0.96,
        minimum_s: float = 0.96,
        limit: int = 1000,
        threads: int = 1,
    ) -> None:
        self._network = yamnet.load_shared(model_path, threads=threads)
        self._segments = Segments(
            on=on,
            off=off,
            gap_windows=round(gap_s / yamnet.HOP_S),
            minimum_windows=round(minimum_s / yamnet.HOP_S),
            limit=limit,
        )
        self._batch_samples = yamnet.WINDOW_SAMPLES + (BATCH_WINDOWS - 1) * yamnet.HOP_SAMPLES
        self._pending = np.zeros(self._batch_samples, dtype=np.float32)
        self._filled = 0
        self._samples = 0
        self._score_sum: Float64 = np.zeros(yamnet.CLASSES)
        self._embedding_sum: Float64 = np.zeros(yamnet.EMBEDDING_SIZE)
        self._embedding_square_sum: Float64 = np.zeros(yamnet.EMBEDDING_SIZE)

    def load(self) -> None:
        """Load the network now, and raise what is wrong with it before a recording is under way."""
        self._network.load()

    def push(self, y: Float32) -> None:
        """`y`: mono float32 at 16 kHz, shape (n,), full scale 1.0, any n >= 0."""
        if y.ndim != 1:
            raise ValueError(f"expected mono samples of shape (n,), got {y.shape}")
        self._samples += y.size
        while y.size:
            taken = y[: self._batch_samples - self._filled]
            self._pending[self._filled : self._filled + taken.size] = taken
            self._filled += taken.size
            y = y[taken.size :]
            if self._filled == self._batch_samples:
                self._run(BATCH_WINDOWS)
                # The next batch starts a hop after this one's last window; the overlap stays.
                kept = self._batch_samples - BATCH_WINDOWS * yamnet.HOP_SAMPLES
                self._pending[:kept] = self._pending[-kept:].copy()
                self._filled = kept

    def result(self) -> TagResult:
        """Sum up; call it once, after the last block.

        The end is padded with zeros to a whole window, as YAMNet's own code does. A recording that is shorter
        than one window fills it by repeating itself.
        """
        covered_samples = self._segments.windows * yamnet.HOP_SAMPLES + (
            yamnet.WINDOW_SAMPLES - yamnet.HOP_SAMPLES if self._segments.windows else 0
        )
        if self._samples > covered_samples:
            rest = max(0, self._filled - yamnet.WINDOW_SAMPLES)
            if self._samples < yamnet.WINDOW_SAMPLES:
                # A bark in a window that is otherwise silent is heard as silence.
                self._pending[: yamnet.WINDOW_SAMPLES] = np.resize(
                    self._pending[: self._filled], yamnet.WINDOW_SAMPLES
                )
            else:
                self._pending[self._filled :] = 0
            self._run(1 + -(-rest // yamnet.HOP_SAMPLES))
        windows, duration_s = self._segments.windows, self._samples / yamnet.SAMPLE_RATE
        names = yamnet.class_names()
        tags = []
        for label, first, last, score in self._segments.finish():
            start_s = 0.0 if first == 0 else (first + 0.5) * yamnet.HOP_S
            end_s = duration_s if last == windows - 1 else (last + 1.5) * yamnet.HOP_S
            tags.append(
                Tag(names[label], round(score, 4), round(start_s, 3), round(min(end_s, duration_s), 3))
            )
        tags.sort(key=lambda tag: (tag.start_s, -tag.confidence, tag.label))
        count = max(windows, 1)
        mean = self._embedding_sum / count
        variance = np.maximum(self._embedding_square_sum / count - mean * mean, 0)
        return TagResult(
            tags=tuple(tags),
            mean_scores=(self._score_sum / count).astype(np.float32),
            mean_embedding=mean.astype(np.float32),
            std_embedding=np.sqrt(variance).astype(np.float32),
            windows=windows,
            duration_s=duration_s,
            dropped_tags=self._segments.dropped,
        )

    def _run(self, windows: int) -> None:
        used = yamnet.WINDOW_SAMPLES + (windows - 1) * yamnet.HOP_SAMPLES
        scores, embeddings = self._network.predict(self._pending[:used])
        self._segments.push(scores)
        self._score_sum += scores.sum(axis=0, dtype=np.float64)
        self._embedding_sum += embeddings.sum(axis=0, dtype=np.float64)
        self._embedding_square_sum += np.square(embeddings, dtype=np.float64).sum(axis=0)
