"""A child's words: whatever cannot be written is the child's fault, not the project's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from soundscape.errors import AnalysisCrashed
from soundscape.sandbox import protocol as answers


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def heard(record: dict[str, Any]) -> answers.Analysis:
    line = json.dumps({"record": record, "max_rss_bytes": 1}).encode()
    return answers.parse_analysis(answers.parse_line(line), Path())


@pytest.mark.parametrize(
    "value",
    [
        *(float("nan"), float("inf"), [-float("inf")], {"deep": [{"er": float("nan")}]}),
        *("a\x00", "\ud800", "\udfff", {"\x00": 1}, ["\udc00"]),
        nested(answers.MAX_DEPTH),
    ],
)
def test_what_no_database_keeps(value: Any) -> None:
    with pytest.raises(AnalysisCrashed):
        heard({"x": value})


@pytest.mark.parametrize("value", [1e308, -1, None, "naïve ✓ 𝄞", [], nested(answers.MAX_DEPTH - 1)])
def test_what_it_does(value: Any) -> None:
    assert heard({"x": value}).record == {"x": value}


def test_nested_without_end() -> None:
    with pytest.raises(AnalysisCrashed):
        answers.parse_analysis(
            answers.parse_line(b'{"max_rss_bytes": 1, "record": {"x": ' + b"[" * 3000 + b"]" * 3000 + b"}}"),
            Path(),
        )
