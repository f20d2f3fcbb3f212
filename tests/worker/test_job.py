"""What a job makes of its record, and how long it waits before another try."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundscape.worker.job import RETRY_MOST_S, placed, retry_in_s

PREFIX = "id/v1/object/"


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({}, {}),
        ({"waveform": {"path": "waveform.dat"}}, {"waveform": {"path": PREFIX + "waveform.dat"}}),
        # Whatever shape a section has, only names of files in it are changed.
        (
            {"pictures": {"dark": {"path": "s.png", "width": 800}, "light": ["a.png", 1, None, True]}},
            {"pictures": {"dark": {"path": PREFIX + "s.png", "width": 800},
                          "light": [PREFIX + "a.png", 1, None, True]}},
        ),
        ({"fingerprint": {"algorithm": "landmarks", "path": "f.bin"}},
         {"fingerprint": {"algorithm": "landmarks", "path": PREFIX + "f.bin"}}),
        ({"fingerprint": {"version": "1.5", "at": "a.b"}}, {"fingerprint": {"version": "1.5", "at": "a.b"}}),
        # Other sections may say what looks like a file name.
        ({"source": {"name": "song.dat"}}, {"source": {"name": "song.dat"}}),
        ({"tags": [{"label": "x.png"}]}, {"tags": [{"label": "x.png"}]}),
        ({"waveform": None, "pictures": {}}, {"waveform": None, "pictures": {}}),
    ],
)  # fmt: skip
def test_placed(record: dict[str, Any], expected: dict[str, Any]) -> None:
    before = repr(record)
    assert placed(record, PREFIX) == expected
    assert repr(record) == before


@pytest.mark.parametrize(
    ("attempt", "most"), [(1, 2), (2, 4), (3, 8), (4, 16), (8, 256), (9, 300), (20, 300), (2000, 300)]
)
def test_retries_wait_longer_each_time(attempt: int, most: int) -> None:
    waits = [retry_in_s(attempt) for _ in range(300)]
    assert min(waits) >= 1
    assert max(waits) <= most
    if most > 4:
        assert len(set(waits)) > 3, "spread out, so that a crowd does not return as one"
        assert max(waits) > most * 0.6


@given(st.integers(min_value=1, max_value=1_000_000))
def test_any_attempt_has_a_wait(attempt: int) -> None:
    assert 1 <= retry_in_s(attempt) <= RETRY_MOST_S
