"""The extensions our SQL uses behave as documented where the embedded Supabase brings its own."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from uuid import UUID

import psycopg
import psycopg.sql
import pytest

from soundscape.cli.embedded_project import Project

sql = pytest.mark.row.with_args(by="sql")


@pytest.fixture
def connection(embedded: Project) -> Iterator[psycopg.Connection]:
    with psycopg.connect(embedded.db_url) as connection:
        yield connection
        connection.rollback()


def value(connection: psycopg.Connection, statement: str, *values: object) -> object:
    row = connection.execute(statement, values).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row[0]


@sql("database.extensions")
@pytest.mark.parametrize("name", ["vector", "pg_trgm", "citext", "pgcrypto", "uuid-ossp", "pg_net"])
def test_what_can_be_created(connection: psycopg.Connection, name: str) -> None:
    identifier = psycopg.sql.Identifier(name)
    create = psycopg.sql.SQL("create extension if not exists {} with schema extensions")
    connection.execute(create.format(identifier))
    assert value(connection, "select extname from pg_extension where extname = %s", name) == name


@sql("database.pgcrypto")
@pytest.mark.parametrize("kind", ["md5", "sha224", "sha256", "sha384", "sha512"])
def test_digests(connection: psycopg.Connection, kind: str) -> None:
    wanted = hashlib.new(kind, "grün".encode(), usedforsecurity=False).digest()
    assert value(connection, "select extensions.digest('grün', %s)", kind) == wanted


@sql("database.pgcrypto")
def test_hmac_random_bytes_and_uuids(connection: psycopg.Connection) -> None:
    for key in ("k", "longer than a block " * 10):
        wanted = hmac.digest(key.encode(), b"message", "sha256")
        assert value(connection, "select extensions.hmac('message', %s, 'sha256')", key) == wanted
    drawn = [value(connection, "select extensions.gen_random_bytes(16)") for _ in range(2)]
    assert drawn[0] != drawn[1]
    made = value(connection, "select extensions.uuid_generate_v4()")
    assert isinstance(made, UUID)
    assert made.version == 4
    assert value(connection, "select extensions.uuid_nil()") == UUID(int=0)


@sql("database.vault")
def test_secrets(connection: psycopg.Connection) -> None:
    made = value(connection, "select vault.create_secret('first', 'of a test', 'why')")
    shown = "select decrypted_secret from vault.decrypted_secrets where id = %s"
    assert value(connection, shown, made) == "first"
    connection.execute("select vault.update_secret(%s, 'second')", (made,))
    assert value(connection, shown, made) == "second"
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("select vault.create_secret('other', 'of a test')")


@sql("database.vault")
@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_secrets_are_nobody_elses(connection: psycopg.Connection, role: str) -> None:
    connection.execute(psycopg.sql.SQL("set local role {}").format(psycopg.sql.Identifier(role)))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select * from vault.decrypted_secrets")


@sql("database.pgmq")
def test_a_queue(connection: psycopg.Connection) -> None:
    connection.execute("create extension if not exists pgmq")
    connection.execute("select pgmq.create('of_a_test')")
    sent = value(connection, "select pgmq.send('of_a_test', '{\"a\": 1}')")
    read = connection.execute("select msg_id, read_ct, message from pgmq.read('of_a_test', 30, 5)").fetchall()
    assert read == [(sent, 1, {"a": 1})]
    assert connection.execute("select * from pgmq.read('of_a_test', 30, 5)").fetchall() == []
    assert value(connection, "select pgmq.delete('of_a_test', %s::bigint)", sent) is True


@sql("database.no-other-hashes")
@pytest.mark.parametrize("call", ["digest('a', 'sha1')", "hmac('a', 'b', 'sha1')"])
def test_other_hashes_say_so(connection: psycopg.Connection, call: str) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match='Cannot use "sha1"'):
        connection.execute(f"select extensions.{call}".encode())


@sql("database.no-rest-of-extensions")
@pytest.mark.parametrize(
    "call",
    [
        "extensions.crypt('a', 'b')",
        "extensions.pgp_sym_encrypt('a', 'b')",
        "extensions.uuid_ns_url()",
        "cron.alter_job(1, schedule := '* * * * *')",
        "cron.schedule_in_database('a', '* * * * *', 'select 1', 'postgres')",
        "net.http_collect_response(1)",
        "net.worker_restart()",
    ],
)
def test_what_is_absent(connection: psycopg.Connection, call: str) -> None:
    with pytest.raises(psycopg.errors.UndefinedFunction):
        connection.execute(f"select {call}".encode())
