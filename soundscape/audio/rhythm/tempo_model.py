"""How likely each tempo is, and that there is none: a small network over what speaks for each.

A candidate's score is a weighted sum of its features and of a few hidden units (tanh) of them; so is the
score of "there is none", of the features of the recording. The softmax of the scores gives probabilities,
and a logistic curve makes a confidence of the best. `benchmarks/fit_tempo.py` fits the weights, which
`data/tempo_model.npz` holds with the names of the features they are for.

Fitted on 2,179 recordings: made pieces, drums, basses and chords of arranger styles, pop songs, game music
and melodies played from their scores, rock and electronic songs, loops named after their tempo, three
recordings of `../shared/audio`, and 962 sounds without a tempo.

Public surface: `weigh(candidates) -> probabilities`, `calibrate(probability) -> confidence`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soundscape.audio.rhythm.tempo_candidates import Candidates

Float64 = NDArray[np.float64]
Weights = dict[str, NDArray[np.float64]]

PATH = Path(__file__).parents[1] / "data" / "tempo_model.npz"
# Features are this many standard deviations from their mean at most: nobody knows what lies beyond.
MAX_DEVIATION = 4.0


@cache
def load() -> Weights:
    """The weights, by name; `features` and `clip_features` hold the names of the features."""
    with np.load(PATH) as file:
        return {
            name: file[name] if file[name].dtype.kind == "U" else file[name].astype(np.float64)
            for name in file
        }


def score(features: Float64, weights: Weights, part: str) -> Float64:
    """Scores of rows of features, shape (n,).

    Parameters
    ----------
    features
        Shape (n, features).
    weights
        As `load` gives them.
    part
        Whose weights: "tempo" or "clip".
    """
    scaled = (features - weights[f"{part}_mean"]) / weights[f"{part}_spread"]
    scaled = np.clip(scaled, -MAX_DEVIATION, MAX_DEVIATION)
    hidden = np.tanh(scaled @ weights[f"{part}_hidden"] + weights[f"{part}_hidden_bias"])
    scores: Float64 = scaled @ weights[f"{part}_direct"] + hidden @ weights[f"{part}_out"]
    return scores + weights[f"{part}_bias"]


def weigh(found: Candidates) -> Float64:
    """The probability of each candidate, and last that there is no tempo, shape (n + 1,)."""
    weights = load()
    none = score(found.clip_features[np.newaxis], weights, "clip")
    scores = np.concatenate([score(found.features, weights, "tempo"), none])
    probability = np.exp(scores - scores.max())
    likely: Float64 = probability / probability.sum()
    return likely


def calibrate(probability: float) -> float:
    """The share of tempi of that probability that are right, on recordings the weights were not fitted on."""
    slope, offset = load()["calibration"]
    odds = np.log(max(probability, 1e-9) / max(1 - probability, 1e-9))
    return float(1 / (1 + np.exp(-(slope * odds + offset))))
