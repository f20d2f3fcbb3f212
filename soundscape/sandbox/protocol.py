"""The answers of a child. It has read a stranger's file, so that every answer is checked."""

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
    """The result of an analysis.

    Attributes
    ----------
    record
        The record as a plain dict.
    folder
        Holds the files that the record names, until the sandbox's next `analyze`, `clear` or `stop`.
    max_rss_bytes
        Peak resident memory of the child so far.
    """

    record: dict[str, Any]
    folder: Path
    max_rss_bytes: int


@dataclass(frozen=True)
class CompiledCode:
    """How many functions a child loaded from disk and how many it compiled, until it was ready."""

    loaded: int
    compiled: int


def parse_line(line: bytes | bytearray) -> dict[str, Any]:
    """Parse one line as a JSON object. Raises `AnalysisCrashed` if it is none."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _invalid_answer() from error
    if not isinstance(answer, dict):
        raise _invalid_answer()
    return answer


def parse_progress(answer: dict[str, Any]) -> float | None:
    """Parse a line that is no answer yet: the share that is done, 0 to 1. None if it is an answer.

    Raises `AnalysisCrashed` if the share is none.
    """
    if "progress" not in answer:
        return None
    match answer:
        case {"progress": int(share) | float(share)} if len(answer) == 1 and 0 <= share <= 1:
            return float(share)
    raise _invalid_answer()


def check_end(rest: bytearray) -> None:
    """Raise `AnalysisCrashed` if anything follows an answer."""
    if rest:
        raise _invalid_answer()


def parse_protections(answer: dict[str, Any], *, why_no_user: str) -> Protections:
    """Parse the first answer of a new child.

    Parameters
    ----------
    answer
        The answer.
    why_no_user
        Why the child was given no user id; empty if it has one.

    Raises
    ------
    AnalysisCrashed
        If it is another answer.
    """
    match answer:
        case {"ready": {"on": list(on), "off": dict(off)}}:
            if why_no_user and "user" in off:
                off["user"] = why_no_user
            return Protections(tuple(on), off)
    raise _invalid_answer()


def parse_code(answer: dict[str, Any]) -> CompiledCode:
    """Parse what the first answer of a new child says of compiled code. Raises `AnalysisCrashed`."""
    match answer:
        case {"code": {"loaded": int(loaded), "compiled": int(compiled)}}:
            return CompiledCode(loaded, compiled)
    raise _invalid_answer()


def parse_analysis(answer: dict[str, Any], folder: Path) -> Analysis:
    """Parse the answer to a request.

    Raises
    ------
    Refusal
        The refusal in the answer.
    AnalysisCrashed
        If the child ran out of memory, or the answer is invalid.
    """
    match answer:
        case {"record": dict(record), "max_rss_bytes": int(max_rss_bytes)}:
            _check_storable(record)
            return Analysis(record, folder, max_rss_bytes)
        case {
            "refusal": {"status": status, "message": str(message), "code": str(code), "remedy": str(remedy)}
        }:
            kind = PolicyRefusal if status == PolicyRefusal.status else UnreadableAudio
            raise kind(message, code=code, remedy=remedy)
        case {"crash": str(reason)}:
            raise AnalysisCrashed(
                f"The analysis ended: {reason}.",
                code="analysis_out_of_memory",
                remedy="The recording is analysed again.",
            )
    raise _invalid_answer()


def _check_storable(record: dict[str, Any]) -> None:
    """Raise `AnalysisCrashed` for what Postgres cannot store: NaN, infinities, NUL, half a character."""
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
        "The answer of the analysis child is invalid.", remedy="The recording is analysed again."
    )
