"""From every released schema to the newest, with data in it: nothing is lost and nothing stands still.

A release adds a file to `released/`: data as that schema takes it, named after its last migration.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from embedded_supabase.postgres import Postgres
from soundscape.deploy import sources
from soundscape.deploy.database import apply
from tests import cluster

RELEASED = sorted((Path(__file__).parent / "released").glob("*.sql"))
TABLES = """
select n.nspname as schema, c.relname as name,
       array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0
             and not a.attisdropped) as columns
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and n.nspname in ('public', 'soundscape', 'auth', 'storage', 'pgmq')
  -- A bucket's limits are the policies', which each deploy sets.
  and c.relname <> 'buckets'
"""
REPLACED: dict[str, set[str]] = {}
"""Columns that a later migration took out, by table, because another one says the same."""
Tables = dict[str, list[dict[str, Any]]]


@pytest.fixture(params=RELEASED, ids=lambda path: path.stem)
def released(
    request: pytest.FixtureRequest, data_dirs: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Postgres]:
    """A project that was deployed by the release, with its data."""
    path: Path = request.param
    everything = sources.migrations()
    then = [migration for migration in everything if migration.version <= path.stem]
    assert then[-1].version == path.stem
    with cluster.started(data_dirs / f"upgrade-{path.stem}") as postgres:
        with monkeypatch.context() as at_release:
            at_release.setattr(sources, "migrations", lambda: then)
            # Policies are no data, and those of today speak of tables that came later.
            at_release.setattr(sources, "policies", list)
            apply(postgres.dsn(), worker_url="http://127.0.0.1:9")
        with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
            connection.execute(path.read_bytes())
        yield postgres


def read(postgres: Postgres) -> Tables:
    """Every row of every table, as JSON has it."""
    found: Tables = {}
    with psycopg.connect(postgres.dsn("supabase_admin"), row_factory=dict_row) as connection:
        for table in connection.execute(TABLES).fetchall():
            name = sql.Identifier(table["schema"], table["name"])
            rows = connection.execute(sql.SQL("select to_jsonb(t) as row from {} t").format(name)).fetchall()
            found[f"{table['schema']}.{table['name']}"] = [each["row"] for each in rows]
    return found


def test_nothing_is_lost(released: Postgres) -> None:
    before = read(released)
    assert sum(map(len, before.values())) > 100
    applied = apply(released.dsn(), worker_url="http://127.0.0.1:9")
    assert applied.migrations
    after = read(released)
    lost = {name: rows for name, rows in before.items() if rows and name not in after}
    assert lost == {}
    gone = {name: {*rows[0]} - {*after[name][0]} for name, rows in before.items() if rows}
    assert {name: columns for name, columns in gone.items() if columns} == REPLACED
    missing = []
    for name, rows in before.items():
        for row in rows:
            if not any(_is_kept(row, now) for now in after[name]):
                missing.append((name, json.dumps(row)[:300]))
    assert missing == []
    # A second deploy finds nothing to do.
    assert apply(released.dsn(), worker_url="http://127.0.0.1:9").migrations == []


def _is_kept(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether a row still says what it said, in the columns that are still there."""
    return all(after[column] == value for column, value in before.items() if column in after)
