"""Tags: what can be heard, from when to when.

YAMNet scores 521 AudioSet classes every 0.48 s. A score is not a tag: it flickers. A class's tag starts
where its score reaches `on`, lasts while it stays at `off` or above, bridges gaps up to `gap_s`, and is
dropped when shorter than `minimum_s`. Its confidence is made from the mean score over its windows and from
their number.

A window is 0.96 s long and they overlap by half, so each speaks for its middle 0.48 s (the first and the
last also for the recording's ends). That places a beginning or an end within about half a second; a window's
own span would smear every tag by a quarter of a second more on both sides.

A recording in which fewer than five classes reach `on` gets the strongest of the others as well, each from
its start to its end: an uncertain name says more than none.

Scores are not probabilities. A tag's confidence estimates how probable it is that the label is right
(`calibrate`). A stretch of a second or two is often a slip of the network, so its score is first drawn
towards the class's mean over the recording, as if two more windows had that (`shrink`).

Silence is not what the network calls so, which is any soft sound, but what is as quiet as the noise of a
converter.

After ten minutes the windows no longer overlap, which halves the work. Each then speaks for its whole 0.96 s,
as two steps of 0.48 s that hold the same scores. Beginnings and ends are a quarter of a second less certain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from soundscape.audio.measurements import Tag
from soundscape.audio.tagging import yamnet
from soundscape.audio.tagging.segments import Segments

VERSION = 7
BATCH_WINDOWS = 16
OVERLAPPING_S = 600.0
# What the network hears depends on the level, and soft sounds are silence to it. So the loudest window so far
# is brought to this level, unless there is nothing in it but the noise of a converter.
LEVEL_DBFS = -20.0
NOISE_FLOOR_DBFS = -80.0
# Whether there is more is told by 15 ms: a soft click is no noise, though a window around it is softer.
_FRAME_SAMPLES = 240
_SPARSE_STEPS = 2
# A recording has at least so many labels, as far as their mean score reaches this.
MIN_LABELS = 5
MIN_MEAN_SCORE = 0.01
# A stretch's mean score counts as if so many more windows had the class's mean over the recording.
PRIOR_WINDOWS = 2
# The log odds that a tag is right: a line of the score's log odds, flatter below a knee, where one low score
# says hardly less than another. benchmarks/tagging.py --calibrate
CALIBRATION_BIAS, CALIBRATION_SLOPE = 0.42, 0.84
CALIBRATION_KNEE, CALIBRATION_SLOPE_BELOW = -1.25, 0.21
_SCORE_STEP = 1 / 256

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TagResult:
    """What `Tagger` heard.

    `tags`: by start, then by falling confidence. `mean_scores`: (521,) mean score of every class over the
    recording, in the order of `yamnet.class_names()`. `mean_embedding`, `std_embedding`: (1024,) over the
    steps. `windows`: how many steps of 0.48 s there were; 0 for an empty recording, whose arrays are zeros.
    `dropped_tags`: the weakest stretches left out to keep `tags` within the tagger's `limit`.
    """

    tags: tuple[Tag, ...]
    mean_scores: Float32
    mean_embedding: Float32
    std_embedding: Float32
    windows: int
    duration_s: float
    dropped_tags: int


def shrink(score: float, windows: int, mean_score: float) -> float:
    """Draw a stretch's mean score towards the class's mean over the recording, the more the shorter it is."""
    return (score * windows + mean_score * PRIOR_WINDOWS) / (windows + PRIOR_WINDOWS)


def calibrate(score: float) -> float:
    """Estimate from a tag's score how probable it is that its label is right, from 0 to 1."""
    x = math.log((score + _SCORE_STEP) / (1 - score + _SCORE_STEP))
    above, below = max(x, CALIBRATION_KNEE), min(x - CALIBRATION_KNEE, 0.0)
    log_odds = CALIBRATION_BIAS + CALIBRATION_SLOPE * above + CALIBRATION_SLOPE_BELOW * below
    return 1 / (1 + math.exp(-log_odds))


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
        overlapping_s: float = OVERLAPPING_S,
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
        self._overlapping_windows = int(overlapping_s / yamnet.HOP_S) // BATCH_WINDOWS * BATCH_WINDOWS
        self._hop_steps = 1 if self._overlapping_windows else _SPARSE_STEPS
        self._pending = np.zeros(_batch_samples(_SPARSE_STEPS), dtype=np.float32)
        self._filled = 0
        self._samples = 0
        self._score_sum: Float64 = np.zeros(yamnet.CLASSES)
        self._embedding_sum: Float64 = np.zeros(yamnet.EMBEDDING_SIZE)
        self._embedding_square_sum: Float64 = np.zeros(yamnet.EMBEDDING_SIZE)
        self._latest_scores: Float32 | None = None
        self._loudest_rms = 0.0
        self._holds_sound = False
        self._limit = limit

    @property
    def batches_s(self) -> float:
        """How many seconds the network has listened to so far."""
        return self._segments.windows * yamnet.HOP_S

    def latest(self, *, min_score: float = 0.15, limit: int = 5) -> list[tuple[str, float]]:
        """The classes of the latest batch with their confidence, the highest first; empty before the first.

        A confidence is that of a tag as long as the batch: the calibrated mean score.

        Parameters
        ----------
        min_score
            Classes of a lower mean score are left out.
        limit
            How many classes at most.
        """
        if self._latest_scores is None:
            return []
        names, mean = yamnet.class_names(), self._latest_scores
        best = np.argsort(-mean, kind="stable")[:limit]
        return [
            (names[label], round(calibrate(float(mean[label])), 4))
            for label in best
            if mean[label] >= min_score
        ]

    def load(self) -> None:
        """Load the network now, and raise what is wrong with it before a recording is under way."""
        self._network.load()

    def push(self, y: Float32) -> None:
        """`y`: mono float32 at 16 kHz, shape (n,), full scale 1.0, any n >= 0."""
        if y.ndim != 1:
            raise ValueError(f"expected mono samples of shape (n,), got {y.shape}")
        self._samples += y.size
        while y.size:
            batch_samples = _batch_samples(self._hop_steps)
            taken = y[: batch_samples - self._filled]
            self._pending[self._filled : self._filled + taken.size] = taken
            self._filled += taken.size
            y = y[taken.size :]
            if self._filled == batch_samples:
                self._run(BATCH_WINDOWS)
                # The next batch starts a hop after this one's last window; the overlap stays.
                kept = yamnet.WINDOW_SAMPLES - self._hop_steps * yamnet.HOP_SAMPLES
                self._pending[:kept] = self._pending[batch_samples - kept : batch_samples].copy()
                self._filled = kept
                if self._segments.windows >= self._overlapping_windows:
                    self._hop_steps = _SPARSE_STEPS

    def result(self) -> TagResult:
        """Sum up; call it once, after the last block.

        The end is padded with zeros to a whole window, as YAMNet's own code does. For its tags, a recording
        that is shorter than one window fills it by repeating itself. Its embedding is that of the padded one.
        """
        if self._is_end_unheard():
            rest = max(0, self._filled - yamnet.WINDOW_SAMPLES - self._negligible_samples())
            self._pending[self._filled :] = 0
            self._run(1 + -(-rest // (self._hop_steps * yamnet.HOP_SAMPLES)))
        windows, duration_s = self._segments.windows, self._samples / yamnet.SAMPLE_RATE
        names = yamnet.class_names()
        tags = []
        stretches = self._segments.finish()
        count = max(windows, 1)
        mean_scores = self._score_sum / count
        for label, first, last, score in [*stretches, *self._find_weaker(stretches)]:
            start_s = 0.0 if first == 0 else self._begin_s(first)
            end_s = duration_s if last == windows - 1 else self._begin_s(last) + yamnet.HOP_S
            shrunk = shrink(score, last - first + 1, float(mean_scores[label]))
            confidence = round(calibrate(shrunk), 4)
            tags.append(Tag(names[label], confidence, round(start_s, 3), round(min(end_s, duration_s), 3)))
        tags.sort(key=lambda tag: (tag.start_s, -tag.confidence, tag.label))
        mean = self._embedding_sum / count
        variance = np.maximum(self._embedding_square_sum / count - mean * mean, 0)
        return TagResult(
            tags=tuple(tags),
            mean_scores=mean_scores.astype(np.float32),
            mean_embedding=mean.astype(np.float32),
            std_embedding=np.sqrt(variance).astype(np.float32),
            windows=windows,
            duration_s=duration_s,
            dropped_tags=self._segments.dropped,
        )

    def _find_weaker(self, stretches: list[tuple[int, int, int, float]]) -> list[tuple[int, int, int, float]]:
        """The strongest classes without a stretch, over the whole recording, up to `MIN_LABELS` in all."""
        windows = self._segments.windows
        if not windows:
            return []
        mean = self._score_sum / windows
        labels = {label for label, *_ in stretches}
        others = [int(label) for label in np.argsort(-mean, kind="stable") if label not in labels]
        missing = max(0, min(MIN_LABELS - len(labels), self._limit - len(stretches)))
        return [
            (label, 0, windows - 1, float(mean[label]))
            for label in others[:missing]
            if mean[label] >= MIN_MEAN_SCORE
        ]

    def _begin_s(self, step: int) -> float:
        """When the stretch begins that a step speaks for: the middle of its window where windows overlap."""
        return (step + (0.5 if step < self._overlapping_windows else 0.0)) * yamnet.HOP_S

    def _is_end_unheard(self) -> bool:
        if not self._segments.windows:
            return self._samples > 0
        heard_samples = yamnet.WINDOW_SAMPLES - self._hop_steps * yamnet.HOP_SAMPLES
        return self._filled - heard_samples > self._negligible_samples()

    def _negligible_samples(self) -> int:
        """Count the samples at the end that need no window: half of one, where windows do not overlap."""
        return (self._hop_steps - 1) * yamnet.HOP_SAMPLES

    def _run(self, windows: int) -> None:
        hop_samples = self._hop_steps * yamnet.HOP_SAMPLES
        used = yamnet.WINDOW_SAMPLES + (windows - 1) * hop_samples
        y = self._pending[:used]
        gain = self._gain(y)
        scores, embeddings = self._network.predict(y * gain, hop_samples=hop_samples)
        if self._samples < yamnet.WINDOW_SAMPLES:
            # The network hears a bark in an otherwise silent window as silence, so tags come from the bark
            # repeated. The embedding is better when it comes from the padded window.
            tiled = np.resize(self._pending[: self._filled], yamnet.WINDOW_SAMPLES)
            scores, _ = self._network.predict(tiled * self._gain(tiled))
        scores = _correct_silence(scores, y * gain, hop_samples)
        self._segments.push(np.repeat(scores, self._hop_steps, axis=0))
        self._latest_scores = scores.mean(axis=0)
        self._score_sum += self._hop_steps * scores.sum(axis=0, dtype=np.float64)
        self._embedding_sum += self._hop_steps * embeddings.sum(axis=0, dtype=np.float64)
        self._embedding_square_sum += self._hop_steps * np.square(embeddings, dtype=np.float64).sum(axis=0)

    def _gain(self, y: Float32) -> np.float32:
        """What brings the loudest window so far to `LEVEL_DBFS`; 1 where there is but a converter's noise."""
        windows = np.lib.stride_tricks.sliding_window_view(y, yamnet.WINDOW_SAMPLES)[:: yamnet.HOP_SAMPLES]
        loudest = max(float(np.dot(window, window)) for window in windows)
        self._loudest_rms = max(self._loudest_rms, (loudest / yamnet.WINDOW_SAMPLES) ** 0.5)
        frames = y.reshape(-1, _FRAME_SAMPLES)
        loudest_frame = float(np.einsum("ij,ij->i", frames, frames).max()) / _FRAME_SAMPLES
        self._holds_sound |= loudest_frame > 10 ** (NOISE_FLOOR_DBFS / 10)
        if not self._holds_sound:
            return np.float32(1)
        return np.float32(10 ** (LEVEL_DBFS / 20) / self._loudest_rms)


def _correct_silence(scores: Float32, y: Float32, hop_samples: int) -> Float32:
    """Windows below the noise floor, as the network hears them, are `Silence` alone; others never are."""
    windows = np.lib.stride_tricks.sliding_window_view(y, yamnet.WINDOW_SAMPLES)[::hop_samples]
    rms = np.sqrt(np.einsum("ij,ij->i", windows, windows) / yamnet.WINDOW_SAMPLES)
    silent = rms[: len(scores)] < 10 ** (NOISE_FLOOR_DBFS / 20)
    label = yamnet.class_names().index("Silence")
    corrected = np.where(silent[:, np.newaxis], np.float32(0), scores)
    corrected[:, label] = silent
    return corrected.astype(np.float32)


def _batch_samples(hop_steps: int) -> int:
    return yamnet.WINDOW_SAMPLES + (BATCH_WINDOWS - 1) * hop_steps * yamnet.HOP_SAMPLES
