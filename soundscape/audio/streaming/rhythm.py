"""Onsets, tempo and beats of the latest seconds, by the same rules as for a whole recording.

An onset is known once the half second around it is, so that it is told about a quarter of a second late. Its
own time says when it was.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from soundscape.audio.rhythm.beats import accent, find_beats
from soundscape.audio.rhythm.onset_times import OnsetTimes, time_beats
from soundscape.audio.rhythm.onsets import (
    REGION_ENDS,
    WINDOW_HALF_FRAMES,
    OnsetEnvelope,
    add_regions,
    find_onsets,
)
from soundscape.audio.rhythm.tempo import Tempo, estimate_tempo
from soundscape.audio.spectrum import FRAME_RATE_HZ, Float32

TEMPO_WINDOW_S = 16.0
_WINDOW_FRAMES = int(TEMPO_WINDOW_S * FRAME_RATE_HZ)
_ONSET_WINDOW_FRAMES = int(2 * FRAME_RATE_HZ)
# Half of the surroundings that an onset stands out from, and the neighbours of a local maximum.
_ONSET_DELAY_FRAMES = int(0.25 * FRAME_RATE_HZ) + 2
# A path's last beat may still move while its surroundings are not complete, and the onset beside it is placed
# by the frames after it.
_BEAT_DELAY_FRAMES = 6
# So many frames are kept to place onsets between frames, as for a whole recording.
_PLACED_FRAMES = int(6 * FRAME_RATE_HZ)
_PLACED_BEFORE_FRAMES = 8
_COMPARED_BEATS = 4


@dataclass(frozen=True)
class Onset:
    """A sound begins at `time_s`, with this strength: the mean rise over the mel bands, dB."""

    time_s: float
    strength_db: float


class RecentRhythm:
    """The onset strength of the latest seconds, and what follows from it."""

    def __init__(self) -> None:
        self._envelope = OnsetEnvelope(keep=False)
        self._regions = np.zeros((WINDOW_HALF_FRAMES, len(REGION_ENDS)), dtype=np.float32)
        self._recent = add_regions(self._regions)
        self._end = WINDOW_HALF_FRAMES
        self._log_mel: deque[Float32] = deque()
        self._log_mel_frames = 0
        self._next_onset_frame = 0
        self._last_beat = -1.0
        self._tempo = Tempo(None, 0.0)

    def push(self, log_mel_db: Float32) -> None:
        """Take frames of the shared spectrum in order, decibels, shape (frames, 128)."""
        strength = self._envelope.push(log_mel_db)
        self._end += len(strength)
        self._regions = np.concatenate([self._regions, strength])[-_WINDOW_FRAMES:]
        self._recent = add_regions(self._regions)
        self._log_mel.append(log_mel_db)
        self._log_mel_frames += len(log_mel_db)
        while self._log_mel_frames - len(self._log_mel[0]) >= _PLACED_FRAMES:
            self._log_mel_frames -= len(self._log_mel.popleft())

    def find_onsets(self) -> list[Onset]:
        """Find the onsets since the last call that are certain by now."""
        window = self._recent[-_ONSET_WINDOW_FRAMES:]
        first = self._end - len(window)
        certain = self._end - _ONSET_DELAY_FRAMES
        found = [
            first + int(frame)
            for frame in find_onsets(window, frame_rate_hz=FRAME_RATE_HZ)
            if self._next_onset_frame <= first + frame < certain
        ]
        self._next_onset_frame = max(self._next_onset_frame, certain)
        return [
            Onset(time_s, round(float(window[frame - first]), 2))
            for frame, time_s in zip(found, self._time(found), strict=True)
        ]

    def measure_tempo(self) -> Tempo:
        """Measure the tempo of the latest 16 s."""
        self._tempo = estimate_tempo(self._regions, frame_rate_hz=FRAME_RATE_HZ)
        return self._tempo

    def find_beats(self) -> list[float]:
        """Find the beats since the last call, in seconds, at the tempo that was measured last."""
        if self._tempo.bpm is None:
            return []
        first = self._end - len(self._recent)
        period = 60 * FRAME_RATE_HZ / self._tempo.bpm
        # A path that is found anew may put a beat a little later than before: that is the same beat.
        earliest = max(self._last_beat + period / 2, self._end - 2 * period)
        latest = self._end - _BEAT_DELAY_FRAMES
        accents = accent(self._regions)
        beats = first + find_beats(accents, bpm=self._tempo.bpm, frame_rate_hz=FRAME_RATE_HZ)
        # Beats before say how strong one is.
        known = beats[(beats > self._end - self._log_mel_frames) & (beats <= latest)]
        count = int((known > earliest).sum())
        if not count:
            return []
        self._last_beat = float(known[-1])
        return self._time(known[-max(count, _COMPARED_BEATS) :].tolist())[-count:]

    def _time(self, frames: list[int]) -> list[float]:
        """When onsets or beats are, to a fraction of a frame, seconds."""
        if not frames:
            return []
        times = OnsetTimes()
        wanted = min(self._log_mel_frames, self._end - frames[0] + _PLACED_BEFORE_FRAMES)
        times.push(np.concatenate(self._log_mel)[-wanted:], self._recent[-wanted:])
        # The strength lags, so that the places of the last frames are not known.
        late = np.full(wanted + WINDOW_HALF_FRAMES, np.nan, dtype=np.float32)
        late[:wanted] = times.result()
        first = self._end - len(late)
        found = time_beats(
            np.array(frames, dtype=np.int32) - np.int32(first),
            self._recent[-len(late) :],
            late,
            frame_rate_hz=FRAME_RATE_HZ,
        )
        return [round(first / FRAME_RATE_HZ + float(time_s), 4) for time_s in found]
