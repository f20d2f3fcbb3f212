"""What a child answers, taken apart: strangers' bytes have been through it, so its words are checked."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soundscape.errors import AnalysisCrashed, PolicyRefusal, UnreadableAudio
from soundscape.sandbox.confinement import Protections

MAX_DEPTH = 32
"""Levels of a record; real ones have five."""


@dataclass(frozen=True)
class Analysis:
    """What a child answered: the record as a plain dict, the folder with the files it names, and its peak
    resident memory so far. The folder lasts until the sandbox's next `analyze`, `clear` or `stop`.
    """

    record: dict[str, Any]
    folder: Path
    max_rss_bytes: int


def parse_line(line: bytes | bytearray) -> dict[str, Any]:
    """One line of a child, as JSON. Raises `AnalysisCrashed` where it is no object."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _invalid_answer() from error
    if not isinstance(answer, dict):
        raise _invalid_answer()
    return answer


def parse_protections(answer: dict[str, Any], *, why_no_user: str) -> Protections:
    """What a new child says holds it. Raises `AnalysisCrashed` for anything else.

    why_no_user: why it was given no user id, or nothing.
    """
    match answer:
        case {"ready": {"on": list(on), "off": dict(off)}}:
            if why_no_user and "user" in off:
                off["user"] = why_no_user
            return Protections(tuple(on), off)
    raise _invalid_answer()


def parse_analysis(answer: dict[str, Any], folder: Path) -> Analysis:
    """The answer as an analysis. Raises the `Refusal` in it, or `AnalysisCrashed` where it
    is none.
    """
    match answer:
        case {"record": dict(record), "max_rss_bytes": int(max_rss_bytes)}:
            _check_keepable(record)
            return Analysis(record, folder, max_rss_bytes)
        case {
            "refusal": {"status": status, "message": str(message), "code": str(code), "remedy": str(remedy)}
        }:
            kind = PolicyRefusal if status == PolicyRefusal.status else UnreadableAudio
            raise kind(message, code=code, remedy=remedy)
        case {"crash": str(reason)}:
            raise AnalysisCrashed(
                f"The analysis ended: {reason}.", code="analysis_out_of_memory", remedy="It is tried again."
            )
    raise _invalid_answer()


def _check_keepable(record: dict[str, Any]) -> None:
    """Raises `AnalysisCrashed` for what Postgres cannot keep: NaN, infinities, NUL, half a character."""
    level: list[Any] = [record]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += (*value.keys(), *value.values())
            elif isinstance(value, list):
                inner += value
            elif (isinstance(value, float) and not math.isfinite(value)) or (
                isinstance(value, str) and any(mark == "\0" or "\ud800" <= mark <= "\udfff" for mark in value)
            ):
                raise _invalid_answer()
        level = inner
    if level:
        raise _invalid_answer()


def _invalid_answer() -> AnalysisCrashed:
    return AnalysisCrashed(
        "The analysis child gave an answer that makes no sense.", remedy="It is tried again."
    )
