"""Statements of many rows: the locks they hold do not grow with the rows."""

from __future__ import annotations

from contextlib import ExitStack

import psycopg
import pytest

from .conftest import Connection, Database

ROWS = 5500
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


def test_eight_connections_describe_5500_recordings_each(db: Database, alice: str) -> None:
    """All transactions are open at once: together they would need more advisory locks than there are."""
    with ExitStack() as opened:
        connections = [opened.enter_context(db.connect()) for _ in range(CONNECTIONS)]
        for part, connection in enumerate(connections):
            psycopg.ClientCursor(connection).execute(
                STATEMENTS["describe"].encode(), {"owner": alice, "part": part, "rows": ROWS}
            )
        for connection in connections:
            connection.commit()
    assert db.value("select count(*) from public.audio_files") == CONNECTIONS * ROWS


def test_locks_leave_nothing(db: Database, alice: str) -> None:
    db.recording(alice)
    assert db.rows("select * from soundscape.name_locks") == []
