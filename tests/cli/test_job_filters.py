"""Filters as they are typed."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundscape.cli.job_filters import parse_filter
from soundscape.errors import FilterError


@pytest.mark.parametrize(
    ("text", "column", "op", "value"),
    [
        ("status=eq.failed", "status", "eq", "failed"),
        ("status=in.(failed,ready)", "status", "in", "failed,ready"),
        ("status=in.failed,ready", "status", "in", "failed,ready"),
        ("tags=cs.{rain,night}", "tags", "cs", "rain,night"),
        ("analyzed_at=lt.2026-01-01T00:00:00.5Z", "analyzed_at", "lt", "2026-01-01T00:00:00.5Z"),
        ("content_type=eq.a=b.c", "content_type", "eq", "a=b.c"),
        (" status = eq.x", "status", "eq", "x"),
        ("error_code=eq.", "error_code", "eq", ""),
    ],
)
def test_parsed(text: str, column: str, op: str, value: str) -> None:
    assert parse_filter(text) == {"column": column, "op": op, "value": value}


@pytest.mark.parametrize("text", ["", "status", "status=", "status=eq", "=eq.x", "status=.x", "true"])
def test_what_is_no_filter(text: str) -> None:
    with pytest.raises(FilterError) as refused:
        parse_filter(text)
    assert "column=operator.value" in refused.value.remedy


@given(st.text())
def test_anything_is_a_filter_or_an_error_of_ours(text: str) -> None:
    with suppress(FilterError):
        assert set(parse_filter(text)) == {"column", "op", "value"}
