"""A place among sounds: 128 numbers of unit length, so that recordings that sound alike lie near each other.

It has two parts, each of unit length before they are joined:

* 80 numbers of what a network heard: the square root of its features (which tames the few loud ones, as
  RootSIFT does for images: Arandjelović & Zisserman, CVPR 2012), projected;
* 48 of the recording's own descriptors: its character (`soundscape.audio.tagging.character`), dynamics and
  rhythm, each brought to a fixed scale, softly limited, projected.

Two spaces, which never compare with one another:

* `yamnet-128-v3`: the network is YAMNet, the mean over windows of its 1024-d embedding. The descriptors weigh
  0.7.
* `descriptors-128-v4`, for machines without the model: the network is `small_network`. The descriptors weigh
  1.

Nearness is the cosine, the dot product of two `values`. It is the mean of both parts' cosines, weighted by
the squares of their weights. The three projections are files under `data/`, fitted by
benchmarks/fit_projection.py. docs/audio/tags.md says on what, and how well they do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from soundscape.audio.measurements import Embedding

HEARD_SIZE, DESCRIBED_SIZE = 80, 48
SIZE = HEARD_SIZE + DESCRIBED_SIZE
CONTRAST_BANDS = 7

Float32 = npt.NDArray[np.float32]
Section = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Projection:
    """A frozen map: (input - `centre`) @ `matrix`, shapes (n,) and (n, m), to unit length.

    `location` and `scale`, (n,), bring the input to a common scale before; 0 and 1 where it has one already.
    """

    centre: Float32
    matrix: Float32
    location: Float32
    scale: Float32

    def __call__(self, features: Float32) -> Float32:
        """A direction, float32, shape (m,); zeros where the map gives none."""
        values = (features - self.centre) @ self.matrix
        norm = float(np.linalg.norm(values))
        return (values / np.float32(norm) if norm > 0 else values).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Space:
    """What a place is made of: `heard` projects the network's features, the descriptors have `weight`."""

    name: str
    heard: str
    weight: float


WITH_MODEL = Space("yamnet-128-v3", "yamnet_80", 0.7)
WITHOUT_MODEL = Space("descriptors-128-v4", "small_network_80", 1.0)


@cache
def load_projection(name: str) -> Projection:
    """The frozen map `yamnet_80`, `small_network_80` or `descriptors_48`."""
    file = resources.files("soundscape.audio").joinpath(f"data/{name}.npz")
    with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
        arrays = {key: stored[key].astype(np.float32) for key in stored.files}
    return Projection(
        centre=arrays["centre"],
        matrix=arrays["matrix"],
        location=arrays.get("location", np.zeros(1, dtype=np.float32)),
        scale=arrays.get("scale", np.ones(1, dtype=np.float32)),
    )


def place(space: Space, heard: Float32, described: Float32) -> Embedding | None:
    """Place a recording.

    Parameters
    ----------
    space
        `WITH_MODEL` or `WITHOUT_MODEL`.
    heard
        The network's features, not negative: shape (1024,) as in `TagResult.mean_embedding`, or what
        `SmallNetwork.result` gives, squared.
    described
        As from `list_features`.

    Returns
    -------
    Embedding or None
        None where the network heard nothing at all: its features are all zeros.
    """
    if not heard.any():
        return None
    descriptors = load_projection("descriptors_48")
    # The hyperbolic tangent is a soft limit: one outlandish descriptor cannot outshout all others.
    limited = np.tanh((described - descriptors.location) / descriptors.scale)
    parts = load_projection(space.heard)(np.sqrt(heard)), space.weight * descriptors(limited)
    values = np.concatenate(parts)
    norm = np.linalg.norm(values)
    if not norm > 0:
        return None
    return Embedding(space.name, tuple((values / norm).astype(np.float32).tolist()))


def list_features(*, character: Section, rhythm: Section | None, loudness: Section | None) -> Float32:
    """The 87 numbers before scaling, float32, none of which depends on the recording's level.

    In order: MFCC means without the first (19) and standard deviations (20); mean, std, min, max, median of
    centroid, bandwidth and rolloff in octaves (15), of flatness in decades (5), of flux (5) and of zero
    crossings (5); spread of the level in dB (4); contrast (7); share of the frames that count; tempo as a
    direction on the octave circle, as long as the confidence in it (2), that confidence, onset rate; loudness
    range and the distance from integrated loudness to true peak.

    What is missing stands for its neutral value: no tempo is the circle's centre, an undefined loudness range
    0 LU and an undefined distance to peak 12 dB.

    Parameters
    ----------
    character
        A `soundscape.audio.tagging.character.Character`.
    rhythm
        Of the record.
    loudness
        Of `LoudnessMeter.result(relative=True)`.
    """
    rhythm, loudness = rhythm or {}, loudness or {}
    features: list[float] = [*character["mfcc"]["mean"][1:20], *character["mfcc"]["std"][:20]]
    for name in ("centroid_hz", "bandwidth_hz", "rolloff_hz"):
        features += [math.log2(1 + value / 50) for value in _summary(character[name])]
    features += [math.log10(1e-6 + value) for value in _summary(character["flatness"])]
    features += [math.log1p(value) for value in _summary(character["flux"])]
    features += [math.sqrt(value) for value in _summary(character["zero_crossing_rate"])]
    level_mean, level_std, level_min, level_max, level_median = _summary(character["rms_dbfs"])
    features += [level_std, level_min - level_mean, level_max - level_mean, level_median - level_mean]
    contrast_db = list(character["contrast_db"][:CONTRAST_BANDS])
    # The upper bands of a recording at a low rate: as if they were like the highest that it has.
    contrast_db += contrast_db[-1:] * (CONTRAST_BANDS - len(contrast_db))
    features += [*contrast_db, character["active_share"]]

    tempo_bpm, confidence = rhythm.get("tempo_bpm"), rhythm.get("tempo_confidence") or 0.0
    angle = 2 * math.pi * math.log2(tempo_bpm / 120) if tempo_bpm else 0.0
    radius = confidence if tempo_bpm else 0.0
    features += [radius * math.cos(angle), radius * math.sin(angle), radius]
    features.append(math.log1p(rhythm.get("onset_rate_hz") or 0.0))

    peak_dbtp, integrated_lufs = loudness.get("true_peak_dbtp"), loudness.get("integrated_lufs")
    features.append(loudness.get("range_lu") or 0.0)
    features.append(12.0 if peak_dbtp is None or integrated_lufs is None else peak_dbtp - integrated_lufs)
    return np.asarray(features, dtype=np.float32)


def _summary(summary: Section) -> list[float]:
    return [float(summary[name]) for name in ("mean", "std", "min", "max", "median")]
