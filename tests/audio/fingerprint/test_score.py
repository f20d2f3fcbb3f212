"""The calibration: its version stands for its numbers."""

from __future__ import annotations

from soundscape.audio.fingerprint import CALIBRATION, THRESHOLD
from soundscape.audio.fingerprint.score import AMONG_KEYS, FITTED, FITTED_SAMENESS, Logistic

FROZEN = {
    "5": (
        0.7,
        1_420_000,
        Logistic(bias=-2.75, weights=(3.442, 2.182, 1.635, 2.705)),
        Logistic(bias=-21.84, weights=(3.17, 20.32, 4.9, 9.13, 8.9)),
    ),
    "6": (
        0.7,
        1_420_000,
        Logistic(bias=-2.75, weights=(3.442, 2.182, 1.635, 2.705)),
        Logistic(bias=-19.8, weights=(1.73, 9.49, 17.58)),
    ),
    "7": (
        0.7,
        1_420_000,
        Logistic(bias=-2.75, weights=(3.442, 2.182, 1.635, 2.705)),
        Logistic(bias=-18.78, weights=(1.75, 7.8, 18.14)),
    ),
}
"""What each version of the calibration stands for. Add an entry for new numbers: one is never changed."""


def test_the_numbers_are_those_of_the_version() -> None:
    """Two recordings whose probabilities have one version were judged by the same numbers."""
    assert FROZEN[CALIBRATION] == (THRESHOLD, AMONG_KEYS, FITTED, FITTED_SAMENESS)
