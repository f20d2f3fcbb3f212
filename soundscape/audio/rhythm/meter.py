"""Rhythm: tempo, beats and how often sounds begin.

The onset strength is four float32 for every 23 ms (15 MB in six hours). Everything after it takes time linear
in its length.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from soundscape.audio.measurements import Rhythm
from soundscape.audio.rhythm.beats import accent, find_beats, find_loop_beats
from soundscape.audio.rhythm.onset_times import OnsetTimes, time_beats
from soundscape.audio.rhythm.onsets import OnsetEnvelope, add_regions, find_onsets
from soundscape.audio.rhythm.tempo import MIN_BPM, Tempo, estimate_tempo

# Engines and mains hum throb regularly without anything beginning: that is no tempo. Chords under 6 dB of
# noise, of which one onset in three is heard, still have theirs.
MIN_ONSETS_PER_BEAT = 0.1
# A single stroke may be as long as a bar, but it is no rhythm.
MIN_ONSETS = 4

# Fewer beats do not tell the tempo better than the length of a loop does.
MIN_COUNTED_BEATS = 16
MAX_COUNTED_APART = 16

# What the shared spectrum covers.
BAND_HZ = (0.0, 11_025.0)


class RhythmMeter:
    """Rhythm of a streamed log-mel spectrum.

    Parameters
    ----------
    frame_rate_hz
        Frames a second (sample rate / hop length).
    """

    def __init__(self, *, frame_rate_hz: float) -> None:
        self._frame_rate_hz = frame_rate_hz
        self._onsets = OnsetEnvelope()
        self._times = OnsetTimes()

    def push(self, log_mel_db: NDArray[np.float32]) -> None:
        """Take frames in order: mel power in dB, float32, shape (frames, 128)."""
        self._times.push(log_mel_db, add_regions(self._onsets.push(log_mel_db)))

    def result(self, duration_s: float | None = None) -> Rhythm:
        """Measure the rhythm of what was pushed so far.

        Parameters
        ----------
        duration_s
            Exact length of the recording (samples / sample rate). With it the tempo of a short loop is
            recognised from its length.
        """
        return measure_rhythm(
            self._onsets.by_region(),
            self._times.result(),
            frame_rate_hz=self._frame_rate_hz,
            duration_s=duration_s,
        )


def measure_rhythm(
    regions: NDArray[np.float32],
    late: NDArray[np.float32] | None = None,
    *,
    frame_rate_hz: float,
    duration_s: float | None = None,
) -> Rhythm:
    """Measure the rhythm of a recording.

    Parameters
    ----------
    regions
        Onset strength from `OnsetEnvelope.by_region`, shape (frames, 4).
    late
        Where the onsets are between the frames, from `OnsetTimes`, shape (frames,). None: nobody knows.
    frame_rate_hz
        Frames a second (sample rate / hop length).
    duration_s
        Exact length of the recording (samples / sample rate). With it the tempo of a short loop is
        recognised from its length.
    """
    strength = add_regions(regions)
    onsets = find_onsets(strength, frame_rate_hz=frame_rate_hz)
    length_s = duration_s or strength.size / frame_rate_hz
    onset_rate_hz = onsets.size / length_s if length_s else 0.0
    found = estimate_tempo(regions, frame_rate_hz=frame_rate_hz, duration_s=duration_s)
    if onsets.size < MIN_ONSETS or onset_rate_hz < MIN_ONSETS_PER_BEAT * (found.bpm or MIN_BPM) / 60:
        found = Tempo(bpm=None, confidence=0.0)
    if found.bpm is None:
        return Rhythm(None, round(found.confidence, 4), (), round(onset_rate_hz, 4), BAND_HZ)
    accents, bpm, loop = accent(regions), found.bpm, None
    if duration_s is not None:
        loop = find_loop_beats(accents, bpm=bpm, frame_rate_hz=frame_rate_hz, duration_s=duration_s)
    if duration_s is not None and loop is not None:
        beats, bpm = loop, 60 * loop.size / duration_s
    else:
        beats = find_beats(accents, bpm=bpm, frame_rate_hz=frame_rate_hz)
    if late is None:
        late = np.full_like(strength, np.nan)
    beats_s = time_beats(beats, strength, late, frame_rate_hz=frame_rate_hz)
    return Rhythm(
        tempo_bpm=round(bpm if loop is not None else refine(bpm, beats_s), 2),
        tempo_confidence=round(found.confidence, 4),
        beats_s=tuple(float(t) for t in np.round(beats_s, 4)),
        onset_rate_hz=round(onset_rate_hz, 4),
        band_hz=BAND_HZ,
    )


def refine(bpm: float, beats_s: NDArray[np.float64]) -> float:
    """The tempo of the beats, which many of them give to more digits, where it is nearly the same."""
    if beats_s.size < MIN_COUNTED_BEATS:
        return bpm
    # Of beats this near, few have a stumble of the path between them.
    apart = min(beats_s.size // 2, MAX_COUNTED_APART)
    period_s = float(np.median(beats_s[apart:] - beats_s[:-apart])) / apart
    return 60 / period_s if abs(60 / period_s / bpm - 1) < 0.015 else bpm
