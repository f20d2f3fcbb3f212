"""The rule by which the benchmark of works leaves out one of two that hold the same sound."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fingerprint_notes import Notes, are_same_sound, read_notes


def make_tune(seed: int, length_s: float = 20.0) -> Notes:
    """Four notes a second, of twenty pitches."""
    starts = np.arange(0.0, length_s, 0.25)
    return np.column_stack([starts, np.random.default_rng(seed).integers(50, 70, starts.size)])


def insert(tune: Notes, phrase: Notes, at_s: float) -> Notes:
    """Play a phrase in place of what the tune has there."""
    end_s = at_s + phrase[-1, 0]
    kept = tune[(tune[:, 0] < at_s) | (tune[:, 0] > end_s)]
    both = np.concatenate([kept, phrase + np.array([at_s, 0.0])])
    return both[np.argsort(both[:, 0], kind="stable")]


@pytest.mark.parametrize(("phrase_s", "same"), [(3.0, False), (5.0, True)])
def test_a_phrase_as_long_as_a_match_is_the_same_sound(phrase_s: float, same: bool) -> None:
    phrase = make_tune(9, phrase_s)
    assert are_same_sound(insert(make_tune(1), phrase, 4.0), insert(make_tune(2), phrase, 11.0)) is same


def test_a_phrase_over_other_notes_is_another_sound() -> None:
    phrase = make_tune(9, 5.0)
    other = insert(make_tune(2), phrase, 11.0)
    with_bass = np.concatenate([other, [[at_s + 0.1, 40.0] for at_s in range(20)]])
    with_bass = with_bass[np.argsort(with_bass[:, 0])]
    assert not are_same_sound(insert(make_tune(1), phrase, 4.0), with_bass)


def test_variations_that_share_half_of_their_notes_are_the_same_sound() -> None:
    tune = make_tune(1)
    variation = tune.copy()
    variation[::3, 1] += 30.0
    assert are_same_sound(tune, variation)
    variation[1::3, 1] += 30.0
    assert not are_same_sound(tune, variation)


def test_a_score_is_read_with_its_tempo(tmp_path: Path) -> None:
    """A beat at 120 BPM, and one at 60 BPM from there on. The second note has no status of its own."""
    track = bytes.fromhex("00 903c58 8360 3e58 00 ff51030f4240 8360 9040 58 00 903c00 00 ff2f00")
    head = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480)
    path = tmp_path / "score.mid"
    path.write_bytes(head + b"MTrk" + struct.pack(">I", len(track)) + track)
    assert read_notes(path, 60.0).tolist() == [[0.0, 60.0], [0.5, 62.0], [1.5, 64.0]]
    assert read_notes(path, 1.0).tolist() == [[0.0, 60.0], [0.5, 62.0]]
