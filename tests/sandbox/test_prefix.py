"""What a job makes of its record."""

from __future__ import annotations

from typing import Any

import pytest

from soundscape.sandbox.results import add_prefix

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
def test_prefix(record: dict[str, Any], expected: dict[str, Any]) -> None:
    before = repr(record)
    assert add_prefix(record, PREFIX) == expected
    assert repr(record) == before
