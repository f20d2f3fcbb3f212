"""Running a planned request, and saying what happened in HTTP's words."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from soundscape.local.rest.errors import refusal
from soundscape.local.rest.request import Request
from soundscape.local.rest.statements import Statement
from soundscape.local.stack import Connection


@dataclass(slots=True)
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """The one row of a statement."""

    body: str
    rows: int
    total: int | None
    inserted: int | None
    headers: str | None
    status: str | None
    schema_version: int


@dataclass(frozen=True, slots=True)
class Work:
    """A request, planned: what is left is to run it."""

    request: Request
    statement: Statement
    read_only: bool = True
    planned: Statement | None = None
    """Asks the planner for the count."""
    ceiling: int | None = None
    """Up to this many rows are counted before the planner is asked."""
    offset: int = 0
    nothing: bool = False
    """Whether the call answers without a body."""

    async def run(self, connection: Connection) -> Answer:
        request = self.request
        result = Result(*await _row(connection, self.statement))
        total = result.total
        if self.planned is not None and (self.ceiling is None or (total or 0) > self.ceiling):
            plan = (await _row(connection, self.planned))[0]
            total = max(total or 0, int(plan[0]["Plan"]["Plan Rows"]))
        shows = request.is_read or result.body
        if request.media.single and result.rows != 1 and shows:
            raise refusal("PGRST116", details=f"The result contains {result.rows} rows")
        most = request.max_affected
        if most is not None and result.rows > most and not request.is_read and request.method != "POST":
            raise refusal("PGRST124", details=f"The query affects {result.rows} rows")
        answers = request.is_read or request.is_call
        answer = self._read_answer(result, total) if answers else self._write_answer(result)
        if request.preferences:
            applied = (f"{name}={value}" for name, value in request.preferences.items())
            answer.headers["Preference-Applied"] = ", ".join(applied)
        return _overridden(answer, result)

    def _read_answer(self, result: Result, total: int | None) -> Answer:
        if total is not None and self.offset > total:
            asked = f"An offset of {self.offset} was requested, but there are only {total} rows."
            raise refusal("PGRST103", details=asked)
        window = f"{self.offset}-{self.offset + result.rows - 1}" if result.rows and total != 0 else "*"
        headers = {"Content-Range": f"{window}/{'*' if total is None else total}"}
        if self.nothing:
            return Answer(204, b"", headers)
        headers["Content-Type"] = self.request.media.content_type
        status = 206 if total is not None and result.rows < total else 200
        return Answer(status, result.body.encode(), headers)

    def _write_answer(self, result: Result) -> Answer:
        method = self.request.method
        total = result.rows if self.request.preferences.get("count") else "*"
        window = f"0-{result.rows - 1}" if method == "PATCH" and result.rows else "*"
        answer = Answer(204, result.body.encode(), {"Content-Range": f"{window}/{total}"})
        if self.request.shows_rows:
            answer.status, answer.headers["Content-Type"] = 200, self.request.media.content_type
        if method == "POST":
            # An upsert counts the rows it made.
            answer.status = 201 if result.inserted is None or result.inserted > 0 else 200
        return answer


async def _row(connection: Connection, statement: Statement) -> tuple[Any, ...]:
    row = await (await connection.execute(statement.query, statement.parameters)).fetchone()
    assert row is not None, "every statement aggregates to one row"
    return row


def _overridden(answer: Answer, result: Result) -> Answer:
    """What a function or trigger set in `response.status` and `response.headers`."""
    if result.status is not None:
        if not (result.status.isdecimal() and 200 <= int(result.status) <= 599):
            raise refusal("PGRST112")
        answer.status = int(result.status)
    try:
        for entry in json.loads(result.headers or "[]"):
            ((key, value),) = entry.items()
            known = next((name for name in answer.headers if name.lower() == key.lower()), key)
            answer.headers[known] = _header_value(value)
    except (ValueError, AttributeError, TypeError) as error:
        raise refusal("PGRST111") from error
    return answer


def _header_value(value: object) -> str:
    """`value` as a header may carry it. Raises ValueError for line breaks and what Latin-1 lacks."""
    text = str(value)
    text.encode("latin-1")
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("control characters in a header")
    return text
