"""The index in memory: what is in, what is out, and what it counts."""

from __future__ import annotations

import pytest

from soundscape.audio.fingerprint import MemoryIndex, make_query_keys, make_stored_keys

from .sounds import SAMPLE_RATE, fingerprint, melody


@pytest.fixture
def index() -> MemoryIndex:
    index = MemoryIndex()
    for seed in range(4):
        index.add(f"melody-{seed}", fingerprint(melody(seed)))
    return index


def test_an_empty_index_has_no_candidates() -> None:
    assert MemoryIndex().find_candidates(make_query_keys(fingerprint(melody(0))), 16) == []


def test_the_best_candidate_counts_the_keys_held_at_its_offset(index: MemoryIndex) -> None:
    found = fingerprint(melody(2))
    best = index.find_candidates(make_query_keys(found), 16)[0]
    assert best.recording_id == "melody-2"
    assert abs(best.lag_frames) <= 2
    assert best.pairs >= 0.8 * len(make_stored_keys(found))


def test_candidates_come_best_first_and_no_more_than_asked(index: MemoryIndex) -> None:
    found = index.find_candidates(make_query_keys(fingerprint(melody(1))), 3)
    assert len(found) == 3
    assert [c.pairs for c in found] == sorted((c.pairs for c in found), reverse=True)


def test_what_is_removed_is_not_found(index: MemoryIndex) -> None:
    index.remove("melody-2")
    assert "melody-2" not in index
    assert len(index) == 3
    found = index.find_candidates(make_query_keys(fingerprint(melody(2))), 16)
    assert all(c.recording_id != "melody-2" for c in found)
    with pytest.raises(KeyError):
        index.read_fingerprint("melody-2")
    with pytest.raises(KeyError):
        index.remove("melody-2")


def test_adding_again_replaces(index: MemoryIndex) -> None:
    index.add("melody-1", fingerprint(melody(9)))
    assert len(index) == 4
    best = index.find_candidates(make_query_keys(fingerprint(melody(9))), 1)[0]
    assert best.recording_id == "melody-1"
    assert index.find_candidates(make_query_keys(fingerprint(melody(1))), 1)[:1] != [best]


def test_a_query_from_before_the_start_has_a_negative_offset(index: MemoryIndex) -> None:
    import numpy as np

    late = np.concatenate([np.zeros(3 * SAMPLE_RATE, np.float32), melody(0)])
    best = index.find_candidates(make_query_keys(fingerprint(late)), 1)[0]
    assert best.recording_id == "melody-0"
    assert best.lag_frames == pytest.approx(-3 * SAMPLE_RATE / 512, abs=2)


def test_the_ids_are_iterated_in_order_of_arrival(index: MemoryIndex) -> None:
    assert list(index) == [f"melody-{seed}" for seed in range(4)]
