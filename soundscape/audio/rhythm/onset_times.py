"""When an onset is, to a fraction of a frame: from how its energy enters the window, frame by frame.

A frame sees 93 ms, so a sound appears in it before the frame's centre reaches the sound. The onset strength
jumps at the first frame that sees a little of it, which is up to a frame (23 ms) after the sound. How much
of it the next frames see says where in the window it began: the power of a frame is that of the sound under
the squared window. So the powers of four frames are compared with those of made sounds, which begin
anywhere and decay in 1 ms to never. Each band counts by the square of its rise.

Measured on clicks, kicks and snares at eight sample rates (`benchmarks/music.py`): medians from -4 to +1 ms.

Public surface: `OnsetTimes().push(log_mel, strength)`, `.result()`, and `time_beats(...)`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from soundscape.audio.compiled import FASTMATH, compiled
from soundscape.audio.rhythm.onsets import MIN_DB, ONSET_RISE_DB, TOP_DB, WINDOW_HALF_FRAMES

Float32 = NDArray[np.float32]

# Frames compared: from one before the strongest rise to two after it. The one before those holds what
# sounded already.
_BEFORE, _AFTER = 1, 2
_REACH = 3
# 10^(dB / 10) is exp(this * dB).
_NEPERS = float(np.log(10) / 10)
_MIN_RISE_DB = 6.0
# A fourth root lets the small powers of the window's edge speak; more smoothing or less makes little
# difference.
_ROOT = 0.25
_DECAYS_FRAMES = (0.04, 0.2, 0.65, 1.7, 1e5)
_STEPS_PER_FRAME = 32
# Of an onset whose place was not found: what it is for most.
_TYPICAL_FRAMES = -0.85
# A beat is on an onset that is this much of a typical beat's.
_MIN_SHARE = 0.25


@cache
def _templates() -> tuple[Float32, Float32]:
    """Roots of the powers of made sounds, shape (n, 4), and how far each reaches into the window, frames."""
    steps = 4 * _STEPS_PER_FRAME
    window = np.sin(np.pi * (np.arange(16 * steps) + 0.5) / (16 * steps)) ** 4
    time = np.arange(window.size) / (window.size / 4)
    shapes, depths = [], []
    for decay in _DECAYS_FRAMES:
        for depth in np.arange(-0.35, 1.5, 1 / _STEPS_PER_FRAME):
            powers = []
            for frame in range(-_BEFORE, _AFTER + 1):
                since = time - (4 - depth - frame)
                powers.append(np.sum(window * np.exp(-np.maximum(since, 0) / decay) * (since >= 0)))
            shapes.append((np.array(powers) / max(powers)) ** _ROOT)
            depths.append(depth)
    return np.array(shapes, dtype=np.float32), np.array(depths, dtype=np.float32)


@compiled(fastmath=FASTMATH)
def _place(log_mel: Float32, strength: Float32, shapes: Float32, depths: Float32, out: Float32) -> None:
    """Write to `out` how far after its frame the onset is, for each frame that is a peak."""
    bands, seen = log_mel.shape[1], shapes.shape[1]
    shape = np.empty(seen)
    for t in range(_REACH, log_mel.shape[0] - _REACH):
        if strength[t] < ONSET_RISE_DB:
            continue
        is_peak = True
        for k in range(t - _REACH, t + _REACH + 1):
            is_peak = is_peak and strength[k] <= strength[t]
        if not is_peak:
            continue
        first = t - _BEFORE
        floor_db = log_mel[first - 1, 0]
        for k in range(first - 1, first + seen):
            for b in range(bands):
                floor_db = max(floor_db, log_mel[k, b])
        floor_db = max(floor_db - TOP_DB, MIN_DB)
        shape[:] = 0.0
        for b in range(bands):
            earlier_db = max(log_mel[first - 1, b], floor_db)
            largest_db = log_mel[first, b]
            for k in range(1, seen):
                largest_db = max(largest_db, log_mel[first + k, b])
            rise_db = largest_db - earlier_db
            if rise_db <= _MIN_RISE_DB:
                continue
            weight = (rise_db - _MIN_RISE_DB) ** 2
            earlier = np.exp(_NEPERS * (earlier_db - largest_db))
            for k in range(seen):
                power = np.exp(_NEPERS * (log_mel[first + k, b] - largest_db))
                shape[k] += weight * max(0.0, power - earlier) / (1 - earlier)
        largest = shape.max()
        if largest == 0.0:
            continue
        for k in range(seen):
            shape[k] = (shape[k] / largest) ** _ROOT
        nearest, least = 0, np.inf
        for i in range(shapes.shape[0]):
            error = 0.0
            for k in range(seen):
                error += (shapes[i, k] - shape[k]) ** 2
            if error < least:
                nearest, least = i, error
        out[t] = -depths[nearest]


class OnsetTimes:
    """Streaming places of the onsets between the frames; keeps four bytes a frame."""

    def __init__(self) -> None:
        self._log_mel = np.empty((0, 0), dtype=np.float32)
        self._strength = np.empty(0, dtype=np.float32)
        self._late: list[Float32] = []
        self._frames = 0

    def push(self, log_mel: Float32, strength: Float32) -> None:
        """Take frames in order, as `OnsetEnvelope.push` takes them, and their strengths, shape (frames,)."""
        if not log_mel.shape[0]:
            return
        if not self._log_mel.shape[0]:
            # Before the recording there is nothing that could be higher.
            self._log_mel = np.repeat(log_mel[:1], _REACH, axis=0)
            self._strength = np.zeros(_REACH, dtype=np.float32)
        self._frames += log_mel.shape[0]
        self._log_mel = np.concatenate([self._log_mel, log_mel])
        self._strength = np.concatenate([self._strength, strength])
        late = np.full(len(self._strength), np.nan, dtype=np.float32)
        _place(self._log_mel, self._strength, *_templates(), late)
        self._late.append(late[_REACH:-_REACH])
        self._log_mel = self._log_mel[-2 * _REACH :].copy()
        self._strength = self._strength[-2 * _REACH :].copy()

    def result(self) -> Float32:
        """How many frames after a frame of `OnsetEnvelope.result` its onset is; NaN where is none.

        Float32, shape (frames,). It is negative: the onset strength lags.
        """
        if not self._late:
            return np.empty(0, dtype=np.float32)
        known = np.concatenate(self._late)
        late = np.full(self._frames, np.nan, dtype=np.float32)
        late[WINDOW_HALF_FRAMES : WINDOW_HALF_FRAMES + known.size] = known
        return late


def time_beats(
    beats: NDArray[np.int32], envelope: Float32, late: Float32, *, frame_rate_hz: float
) -> NDArray[np.float64]:
    """Times of beats in seconds, each on the onset beside it where there is one.

    Parameters
    ----------
    beats
        Frames from `find_beats`.
    envelope
        Onset strength from `OnsetEnvelope`, shape (frames,).
    late
        From `OnsetTimes`, shape (frames,).
    frame_rate_hz
        Frames a second.
    """
    frames = beats.astype(np.float64) + _TYPICAL_FRAMES
    around = np.clip(beats[:, np.newaxis] + np.arange(-2, 3), 0, max(envelope.size - 1, 0))
    if beats.size:
        strength = np.where(np.isnan(late[around]), 0.0, envelope[around])
        best = around[np.arange(beats.size), strength.argmax(axis=1)]
        heard = strength.max(axis=1) > _MIN_SHARE * np.median(envelope[around].max(axis=1))
        frames[heard] = best[heard] + late[best[heard]]
    times: NDArray[np.float64] = np.maximum(frames, 0) / frame_rate_hz
    return times
