"""Statements of many rows: the locks they hold do not grow with the rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from embedded_supabase.postgres import SUPERUSER, Postgres
from tests import cluster

from .conftest import Connection, Database

ROWS = 500
CONNECTIONS = 8
MAX_LOCKS = 250
"""Mostly of tables and indexes: a sweep reads most of them."""

STATEMENTS = {
    "describe": """
        insert into public.audio_files (user_id, title, file_path)
        select %(owner)s::uuid, 'Sound', %(owner)s || '/' || %(part)s || '-' || n
        from generate_series(1, %(rows)s) n""",
    "upload": """
        insert into storage.objects (bucket_id, name, owner_id, version, metadata)
        select 'audio-files', %(owner)s || '/' || %(part)s || '-' || n, %(owner)s, '1',
               '{"eTag": "e", "size": 1}'
        from generate_series(1, %(rows)s) n""",
    "describe what was uploaded": """
        with uploaded as (
            insert into storage.objects (bucket_id, name, owner_id, version, metadata, user_metadata)
            select 'audio-files', %(owner)s || '/' || %(part)s || '-' || n, %(owner)s, '1',
                   '{"eTag": "e", "size": 1}', '{"title": "Sound"}'
            from generate_series(1, %(rows)s) n returning name)
        select count(*) from uploaded""",
    "rename": """
        update storage.objects
        set name = %(owner)s || '/renamed-' || %(part)s || '-' || split_part(name, '-', -1)
        where name like %(owner)s || '/' || %(part)s || '-%%'""",
    "delete": "delete from public.audio_files where file_path like %(owner)s || '/' || %(part)s || '-%%'",
    "take the deletions": "select * from soundscape.pending_deletions(500)",
    "sweep": "select soundscape.reconcile()",
}


def _count_locks(connection: Connection) -> int:
    found = connection.execute(
        "select count(*) as locks from pg_locks where pid = pg_backend_pid()"
    ).fetchone()
    assert found is not None
    return int(found["locks"])


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_holds_few_locks(db: Database, alice: str, statement: str) -> None:
    with db.connect() as connection:
        ask = psycopg.ClientCursor(connection)
        values = {"owner": alice, "part": "a", "rows": 600}
        before = {"rename": "upload", "delete": "describe what was uploaded"}.get(statement)
        if before is not None:
            ask.execute(STATEMENTS[before].encode(), values)
            connection.commit()
        if statement == "take the deletions":
            db.rows(
                "insert into soundscape.deletions (bucket_id, name) "
                "select 'waveforms', 'x/' || n from generate_series(1, 600) n"
            )
        if statement == "sweep":
            ask.execute(STATEMENTS["upload"].encode(), values)
            ask.execute(b"update storage.objects set created_at = now() - interval '2 minutes'")
            connection.commit()
        ask.execute(STATEMENTS[statement].encode(), values)
        assert _count_locks(connection) < MAX_LOCKS
        connection.rollback()


@pytest.fixture(scope="module")
def few_locks(data_dirs: Path) -> Iterator[Postgres]:
    """A deployed cluster with room for 2,500 locks. To fill the usual one takes 26,000 rows, and minutes."""
    with cluster.deployed(data_dirs / "few-locks") as postgres:
        with psycopg.connect(postgres.dsn(SUPERUSER), autocommit=True) as connection:
            connection.execute("alter system set max_locks_per_transaction = 10")
            # Locks take the room of these too.
            connection.execute("alter system set max_pred_locks_per_transaction = 10")
            connection.execute("alter system set max_connections = 60")
        # They are read at a start.
        postgres.stop()
        postgres.start()
        yield postgres


def test_eight_connections_describe_more_recordings_than_there_are_locks(few_locks: Postgres) -> None:
    """All transactions are open at once: together they would need more advisory locks than there are."""
    with ExitStack() as opened:
        connections = [
            opened.enter_context(psycopg.connect(few_locks.dsn(), row_factory=dict_row))
            for _ in range(CONNECTIONS)
        ]
        first = connections[0]
        with pytest.raises(psycopg.errors.OutOfMemory), first.transaction():
            first.execute(
                "select count(pg_advisory_xact_lock(n)) from generate_series(1, %s) n", (CONNECTIONS * ROWS,)
            )
        alice = str(uuid4())
        first.execute("insert into auth.users (id, email) values (%s, 'alice@example.com')", (alice,))
        first.commit()
        for part, connection in enumerate(connections):
            psycopg.ClientCursor(connection).execute(
                STATEMENTS["describe"].encode(), {"owner": alice, "part": part, "rows": ROWS}
            )
        for connection in connections:
            connection.commit()
        (found,) = first.execute("select count(*) as recordings from public.audio_files").fetchall()
        assert found["recordings"] == CONNECTIONS * ROWS


def test_locks_leave_nothing(db: Database, alice: str) -> None:
    db.recording(alice)
    assert db.rows("select * from soundscape.name_locks") == []
