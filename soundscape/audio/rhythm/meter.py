"""Rhythm: tempo, beats and how often sounds begin.

The onset envelope is one float32 for every 23 ms (3.7 MB in six hours). Everything after it takes time linear
in its length.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from soundscape.audio.measurements import Rhythm
from soundscape.audio.rhythm.beats import find_beats
from soundscape.audio.rhythm.onsets import OnsetEnvelope, find_onsets
from soundscape.audio.rhythm.tempo import MIN_BPM, Tempo, estimate_tempo

# Engines and mains hum throb regularly without anything beginning: that is no tempo. Chords under 6 dB of
# noise, of which one onset in three is heard, still have theirs.
MIN_ONSETS_PER_BEAT = 0.1


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

    def push(self, log_mel_db: NDArray[np.float32]) -> None:
        """Take frames in order: mel power in dB, float32, shape (frames, 128)."""
        self._onsets.push(log_mel_db)

    def result(self, duration_s: float | None = None) -> Rhythm:
        """Measure the rhythm of what was pushed so far.

        Parameters
        ----------
        duration_s
            Exact length of the recording (samples / sample rate). With it the tempo of a short loop is
            recognised from its length.
        """
        return measure_rhythm(self._onsets.result(), frame_rate_hz=self._frame_rate_hz, duration_s=duration_s)


def measure_rhythm(
    onset_envelope: NDArray[np.float32], *, frame_rate_hz: float, duration_s: float | None = None
) -> Rhythm:
    """Measure the rhythm of a recording.

    Parameters
    ----------
    onset_envelope
        Onset strength from `OnsetEnvelope`, shape (frames,).
    frame_rate_hz
        Frames a second (sample rate / hop length).
    duration_s
        Exact length of the recording (samples / sample rate). With it the tempo of a short loop is
        recognised from its length.
    """
    onsets = find_onsets(onset_envelope, frame_rate_hz=frame_rate_hz)
    length_s = duration_s or onset_envelope.size / frame_rate_hz
    onset_rate_hz = onsets.size / length_s if length_s else 0.0
    found = estimate_tempo(onset_envelope, frame_rate_hz=frame_rate_hz, duration_s=duration_s)
    if onset_rate_hz < MIN_ONSETS_PER_BEAT * (found.bpm or MIN_BPM) / 60:
        found = Tempo(bpm=None, confidence=0.0)
    if found.bpm is None:
        return Rhythm(None, round(found.confidence, 4), (), round(onset_rate_hz, 4), BAND_HZ)
    beats = find_beats(onset_envelope, bpm=found.bpm, frame_rate_hz=frame_rate_hz)
    return Rhythm(
        tempo_bpm=round(found.bpm, 2),
        tempo_confidence=round(found.confidence, 4),
        beats_s=tuple(float(t) for t in np.round(beats / frame_rate_hz, 4)),
        onset_rate_hz=round(onset_rate_hz, 4),
        band_hz=BAND_HZ,
    )
