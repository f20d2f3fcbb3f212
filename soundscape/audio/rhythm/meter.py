"""Rhythm: tempo, beats and how often sounds begin.

Public surface::

    onsets = OnsetEnvelope()
    for log_mel in batches:                  # mel power in dB, float32, shape (frames, 128), in order
        onsets.push(log_mel)
    rhythm(onsets.result(), frame_rate_hz=22_050 / 512, duration_s=exact_length)

The envelope is one float32 for every 23 ms (3.7 MB in six hours); everything after it is linear in its
length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soundscape.audio.rhythm.beats import beat_frames
from soundscape.audio.rhythm.onsets import OnsetEnvelope, onset_frames
from soundscape.audio.rhythm.tempo import SLOWEST_BPM, Tempo, tempo

__all__ = ["OnsetEnvelope", "Rhythm", "rhythm"]

# Engines and mains hum throb regularly without anything beginning: that is no tempo. Chords under 6 dB of
# noise, of which one onset in three is heard, still have theirs.
FEWEST_ONSETS_PER_BEAT = 0.1


@dataclass(frozen=True)
class Rhythm:
    """What repeats.

    Attributes:
        tempo_bpm: `None` where no tempo is heard.
        tempo_confidence: 0 to 1; below 0.1 no tempo is given.
        beats_s: moments of the beats, ascending; empty without a tempo.
        onset_rate_hz: onsets a second.
    """

    tempo_bpm: float | None
    tempo_confidence: float
    beats_s: tuple[float, ...]
    onset_rate_hz: float


def rhythm(
    onset_envelope: NDArray[np.float32], *, frame_rate_hz: float, duration_s: float | None = None
) -> Rhythm:
    """Rhythm of a recording.

    Args:
        onset_envelope: from `OnsetEnvelope`, shape (frames,).
        frame_rate_hz: frames a second (sample rate / hop length).
        duration_s: exact length of the recording (samples / sample rate). With it the tempo of a short
            loop is recognised from its length.
    """
    onsets = onset_frames(onset_envelope, frame_rate_hz=frame_rate_hz)
    length_s = duration_s or onset_envelope.size / frame_rate_hz
    onset_rate_hz = onsets.size / length_s if length_s else 0.0
    found = tempo(onset_envelope, frame_rate_hz=frame_rate_hz, duration_s=duration_s)
    if onset_rate_hz < FEWEST_ONSETS_PER_BEAT * (found.bpm or SLOWEST_BPM) / 60:
        found = Tempo(bpm=None, confidence=0.0)
    if found.bpm is None:
        return Rhythm(None, round(found.confidence, 4), (), round(onset_rate_hz, 4))
    beats = beat_frames(onset_envelope, bpm=found.bpm, frame_rate_hz=frame_rate_hz)
    return Rhythm(
        tempo_bpm=round(found.bpm, 2),
        tempo_confidence=round(found.confidence, 4),
        beats_s=tuple(float(t) for t in np.round(beats / frame_rate_hz, 4)),
        onset_rate_hz=round(onset_rate_hz, 4),
    )
