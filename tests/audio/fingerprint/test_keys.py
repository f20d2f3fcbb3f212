"""Keys: small integers, bounded in number, the same under a speed once it is undone."""

from __future__ import annotations

import numpy as np
import pytest

from soundscape.audio.fingerprint import KEY_SPACE, make_query_keys, make_stored_keys
from soundscape.audio.fingerprint.keys import CELLS, pitch_to_cell
from soundscape.audio.fingerprint.peaks import bin_to_pitch

from .sounds import SAMPLE_RATE, drum_loop, faster, fingerprint, melody, pink

SOUNDS = {
    "melody": melody(0),
    "drums": drum_loop(0),
    "noise": np.random.default_rng(0).standard_normal(10 * SAMPLE_RATE).astype(np.float32),
    "pink noise": pink(10 * SAMPLE_RATE, 0),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_at_most_thirty_stored_keys_in_a_second(name: str) -> None:
    keys = make_stored_keys(fingerprint(SOUNDS[name]))
    seconds, counts = np.unique((keys.frames * 512 / SAMPLE_RATE).astype(int), return_counts=True)
    assert counts.max() <= 30
    assert len(keys) >= 5 * len(seconds)


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("speed", [0.96, 1.0, 1.04])
def test_keys_fit_an_integer_column(name: str, speed: float) -> None:
    for keys in (
        make_stored_keys(fingerprint(SOUNDS[name])),
        make_query_keys(fingerprint(SOUNDS[name]), speed=speed),
    ):
        assert keys.values.dtype == np.int32
        assert keys.values.min() >= 0
        assert keys.values.max() < KEY_SPACE < 2**22
        assert np.all(keys.frames >= 0)


def test_a_query_asks_for_what_is_stored() -> None:
    found = fingerprint(melody(4))
    stored, asked = make_stored_keys(found), make_query_keys(found)
    at = set(zip(asked.values.tolist(), asked.frames.tolist(), strict=True))
    held = [pair in at for pair in zip(stored.values.tolist(), stored.frames.tolist(), strict=True)]
    assert np.mean(held) > 0.95


def test_undoing_a_speed_brings_the_keys_back() -> None:
    stored = set(make_stored_keys(fingerprint(melody(5))).values.tolist())
    played = fingerprint(faster(melody(5), 1.03))
    undone = len(stored & set(make_query_keys(played, speed=1.03).values.tolist()))
    as_played = len(stored & set(make_query_keys(played).values.tolist()))
    assert undone > 4 * as_played


def test_silence_and_the_empty_have_no_keys() -> None:
    found = fingerprint(np.zeros(SAMPLE_RATE, np.float32))
    assert len(make_stored_keys(found)) == len(make_query_keys(found, speed=0.97)) == 0


def test_the_axis_is_covered_by_cells() -> None:
    cells = pitch_to_cell(np.rint(bin_to_pitch(np.arange(6, 512))))
    assert cells.min() == 0
    assert cells.max() == CELLS - 1
    assert np.all(np.diff(cells) >= 0)
    assert pitch_to_cell(np.array([0, 5000])).tolist() == [-1, -1]
