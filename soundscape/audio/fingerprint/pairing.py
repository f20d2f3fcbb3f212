"""Pairing: which peak of a query is which peak of a recording, and what that says of their alignment.

Verification counts in whole frames, and any lag within a frame agrees as well. Levels need it better.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from soundscape.audio.compiled import compiled

from .code import Fingerprint
from .keys import undo_speed
from .peaks import PITCH_STEPS
from .verify import Evidence

NEAR_PITCH = 2 * PITCH_STEPS
"""Paired peaks are at most two cells apart, and at most a frame."""
ALIGNED_PITCH = 5
"""Those that tell the alignment are nearer: less than a cell."""
REACHES_FRAMES = (2.5, 2.0, 1.6)
MIN_PAIRS = 15
STEADINESS_FRAMES = 50.0
"""The tempo is corrected as if each pair were seen once more, without a fault, this far from the middle."""


def refine_alignment(
    query: Fingerprint, stored: Fingerprint, evidence: Evidence, speed: float
) -> tuple[float, float]:
    """Find lag and speed to a fraction of a frame, from all pairs of peaks within the span.

    Parameters
    ----------
    query, stored
        The fingerprints.
    evidence
        As from `verify`.
    speed
        The speed of the query that was undone.

    Returns
    -------
    lag_frames, speed
        Where the query's first frame lies in the recording, and how fast the query plays it.
    """
    lag, played = evidence.lag_frames, speed * evidence.tempo
    low, high = np.searchsorted(stored.frames, (evidence.span[0], evidence.span[1] + 1))
    frames, pitches = stored.frames[low:high].astype(np.float64), stored.pitches[low:high].astype(np.float64)
    _, other_pitches = undo_speed(query.frames, query.pitches, played)
    for reach in REACHES_FRAMES:
        moved = query.frames.astype(np.float64) * played + lag
        partners = pair_peaks(frames, pitches, moved, other_pitches, reach, ALIGNED_PITCH, 2.0)
        found = partners >= 0
        count = int(np.count_nonzero(found))
        if count < MIN_PAIRS:
            break
        asked = query.frames[partners[found]].astype(np.float64)
        late = frames[found] - moved[partners[found]]
        middle = float(np.mean(asked))
        distance = asked - middle
        step = float(np.sum(distance * late) / (np.sum(distance**2) + count * STEADINESS_FRAMES**2))
        lag += float(np.mean(late)) - step * middle
        played += step
    return lag, played


@compiled()
def pair_peaks(
    frames: npt.NDArray[np.float64],
    pitches: npt.NDArray[np.float64],
    other_frames: npt.NDArray[np.float64],
    other_pitches: npt.NDArray[np.float64],
    max_frames: float,
    max_pitch: float,
    frame_cost: float,
) -> npt.NDArray[np.int64]:
    """Pair each peak with the nearest of the others. Returns its index, or -1 where none is near.

    A frame counts as `frame_cost` units of pitch. Both are sorted by frame.
    """
    partners = np.full(frames.shape[0], -1, np.int64)
    start = 0
    for i in range(frames.shape[0]):
        while start < other_frames.shape[0] and other_frames[start] < frames[i] - max_frames:
            start += 1
        nearest = 1e9
        j = start
        while j < other_frames.shape[0] and other_frames[j] <= frames[i] + max_frames:
            step = abs(other_pitches[j] - pitches[i])
            distance = step + frame_cost * abs(other_frames[j] - frames[i])
            if step <= max_pitch and distance < nearest:
                nearest = distance
                partners[i] = j
            j += 1
    return partners
