"""Running a planned request, and saying what happened in HTTP's words."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from psycopg import AsyncConnection

from soundscape.local.rest.errors import RestError, header_value, not_single, out_of_range
from soundscape.local.rest.request import Request
from soundscape.local.rest.statements import Statement

Connection = AsyncConnection[tuple[Any, ...]]


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
    location: dict[str, Any] | None
    headers: str | None
    status: str | None
    schema_version: int


@dataclass(frozen=True, slots=True)
class Work:
    """A request, planned: what is left is to run it."""

    request: Request
    read_only: bool
    statement: Statement
    planned: Statement | None = None
    """Asks the planner for the count."""
    ceiling: int | None = None
    """Up to this many rows are counted before the planner is asked."""
    offset: int = 0
    kind: str = "read"
    nothing: bool = False
    """Whether the call answers without a body."""

    async def run(self, connection: Connection) -> Answer:
        result = Result(*await _row(connection, self.statement))
        total = result.total
        if self.planned is not None and (self.ceiling is None or (total or 0) > self.ceiling):
            plan = (await _row(connection, self.planned))[0]
            total = max(total or 0, int(plan[0]["Plan"]["Plan Rows"]))
        preferences = self.request.preferences
        if self.request.media.single and result.rows != 1 and not (self.kind != "read" and not result.body):
            raise not_single(result.rows)
        if preferences.max_affected is not None and self.kind in ("PATCH", "DELETE", "call"):
            _check_affected(result.rows, preferences.max_affected)
        if preferences.rollback:
            await connection.rollback()
        if self.kind in ("read", "call"):
            answer = self._read_answer(result, total)
        else:
            answer = self._write_answer(result)
        return _overridden(answer, result)

    def _read_answer(self, result: Result, total: int | None) -> Answer:
        if total is not None and self.offset > total:
            raise out_of_range(f"An offset of {self.offset} was requested, but there are only {total} rows.")
        last = self.offset + result.rows - 1
        window = f"{self.offset}-{last}" if result.rows and total != 0 else "*"
        headers = {
            "Content-Type": self.request.media.content_type,
            "Content-Range": f"{window}/{'*' if total is None else total}",
        }
        status = 206 if total is not None and result.rows < total else 200
        if self.kind == "read":
            headers["Content-Location"] = self.request.location
        self._say_applied(headers, "count", "tx", "handling", "timezone", "max-affected")
        if self.nothing:
            del headers["Content-Type"]
            return Answer(204, b"", headers)
        body = b"" if self.request.method == "HEAD" else result.body.encode()
        return Answer(status, body, headers)

    def _write_answer(self, result: Result) -> Answer:
        preferences = self.request.preferences
        total = str(result.rows) if preferences.count else "*"
        window = f"0-{result.rows - 1}" if self.kind == "PATCH" and result.rows else "*"
        headers = {"Content-Range": f"{window}/{total}"}
        names = ["missing", "return", "count", "tx", "handling", "timezone", "max-affected"]
        if self.kind == "POST":
            names.append("resolution")
        self._say_applied(headers, *names)
        shown = preferences.returned == "representation"
        if shown:
            headers["Content-Type"] = self.request.media.content_type
        if self.kind == "POST":
            merged = preferences.resolution == "merge-duplicates" and (result.inserted or 0) <= 0
            status = 200 if merged and result.inserted is not None else 201
            if result.location:
                pairs = {
                    key: "is.null" if value is None else f"eq.{value}"
                    for key, value in result.location.items()
                }
                headers["Location"] = f"/{quote(self.request.name)}?{urlencode(pairs)}"
        else:
            status = 200 if shown else 204
        return Answer(status, result.body.encode() if shown else b"", headers)

    def _say_applied(self, headers: dict[str, str], *names: str) -> None:
        applied = self.request.preferences.applied(*names)
        if applied:
            headers["Preference-Applied"] = applied


async def _row(connection: Connection, statement: Statement) -> tuple[Any, ...]:
    row = await (await connection.execute(statement.query, statement.parameters)).fetchone()
    assert row is not None, "every statement aggregates to one row"
    return row


def _check_affected(rows: int, allowed: int) -> None:
    if rows > allowed:
        raise RestError(
            400,
            "PGRST124",
            "Query result exceeds max-affected preference constraint",
            details=f"The query affects {rows} rows",
        )


def _overridden(answer: Answer, result: Result) -> Answer:
    """What a function or trigger set in `response.status` and `response.headers`."""
    if result.status is not None:
        if not (result.status.isdecimal() and 200 <= int(result.status) <= 599):
            raise RestError(500, "PGRST112", "response.status guc must be a valid status code")
        answer.status = int(result.status)
    if result.headers is not None:
        try:
            entries = json.loads(result.headers)
            if not isinstance(entries, list):
                raise TypeError("not an array")
            for entry in entries:
                ((key, value),) = entry.items()
                known = next((name for name in answer.headers if name.lower() == key.lower()), key)
                answer.headers[known] = header_value(value)
        except (ValueError, AttributeError, TypeError) as error:
            raise RestError(
                500,
                "PGRST111",
                "response.headers guc must be a JSON array composed of objects with a single key "
                "and a string value",
            ) from error
    return answer
