"""A deployed database with one row of every sort, and probes that leave no trace."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from tests import cluster

from .matrix import NAMES, ROLES, SESSIONS, Cell

HERE = Path(__file__).parent
RESULT = {
    "analysis_version": "1",
    "source": {"duration_s": 1, "sample_rate": 8000, "channels": 1, "sha256": "0" * 64},
    "waveform": {"path": "w.dat"},
}


@dataclass
class World:
    """One open transaction of the schema's owner; every probe in it is taken back."""

    connection: psycopg.Connection
    dsn: str
    names: dict[str, str]

    def outcomes(self, cells: Sequence[Cell], *, after: str = "select 1") -> list[str]:
        """What each cell gives once `after` (a change of the schema, taken back) was run."""
        claims = [self._claims(cell.actor) for cell in cells]
        roles = [ROLES.get(cell.actor, "authenticated") for cell in cells]
        row = self.connection.execute(
            "select pg_temp.probes_after(%s, %s, %s, %s)",
            (after, roles, claims, [self._statement(cell) for cell in cells]),
        ).fetchone()
        assert row is not None
        return [_outcome(answer) for answer in row[0]]

    def wrong(self, cells: Sequence[Cell], *, after: str = "select 1") -> list[str]:
        """The cells that are not as the matrix says."""
        return [
            f"{cell.subject}: {cell.what} as {cell.actor}: {outcome} instead of {cell.expected}"
            for cell, outcome in zip(cells, self.outcomes(cells, after=after), strict=True)
            if outcome != cell.expected
        ]

    def rows(self, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        with self.connection.transaction():
            return self.connection.execute(query, values or None).fetchall()

    def _statement(self, cell: Cell) -> str:
        literals = {name: sql.Literal(value) for name, value in self.names.items()}
        template = sql.SQL(cell.statement)
        return template.format(**literals).as_string(self.connection)

    def _claims(self, actor: str) -> str:
        if actor in SESSIONS:
            session = {"sub": NAMES["owner"], "role": "authenticated", "session_id": SESSIONS[actor]}
            return json.dumps(session)
        role = ROLES.get(actor, "authenticated")
        subject = {"sub": NAMES[actor]} if role == "authenticated" else {}
        return json.dumps(subject | {"role": role})


def _outcome(answer: str) -> str:
    if answer.isdigit():
        return "nothing" if answer == "0" else "works"
    return "refused" if answer.startswith("42501") else answer


@pytest.fixture(scope="package")
def world(data_dirs: Path) -> Iterator[World]:
    with (
        cluster.deployed(data_dirs / "access") as postgres,
        psycopg.connect(postgres.dsn()) as connection,
    ):
        connection.execute((HERE / "world.sql").read_bytes())
        connection.execute((HERE / "probe.sql").read_bytes())
        connection.execute("set local storage.allow_delete_query = 'true'")
        job = connection.execute(
            "select id, msg_id || '.1' from soundscape.jobs where state = 'running'"
        ).fetchone()
        assert job is not None
        names = NAMES | {"job": str(job[0]), "token": job[1], "result": json.dumps(RESULT)}
        yield World(connection, postgres.dsn(), names)
        connection.rollback()
