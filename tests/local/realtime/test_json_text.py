"""What Postgres wrote as JSON, as clients are sent it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundscape.local.realtime import json_text

DEEP = "[" * 200 + "]" * 200
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (None, None), ("12.50", 12.5), ('"NaN"', "NaN"), ('{"a": 1e999}', {"a": "1e999"}),
        ("9007199254740993", 9007199254740993), (DEEP, DEEP), ("[" * 100_000, "[" * 100_000),
        ("9" * 5000, "9" * 5000),
    ],
)  # fmt: skip
def test_what_few_readers_would_follow_stays_text(text: str | None, value: Any) -> None:
    assert json_text.shown(text) == value


@given(values)
def test_everything_else_comes_back(value: Any) -> None:
    assert json_text.shown(json.dumps(value)) == value
