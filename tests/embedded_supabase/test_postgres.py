"""A real Postgres of our own: made once, only on loopback, stopped whole, nobody else's process touched."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from embedded_supabase.errors import EmbeddedError
from embedded_supabase.postgres import SUPERUSER, Postgres, _read_command_line
from tests.waiting import LIMIT_S


@pytest.fixture(scope="module")
def cluster(data_dirs: Path) -> Iterator[Postgres]:
    home = data_dirs / "one-postgres"
    home.mkdir(mode=0o711)
    postgres = Postgres(home=home / "postgres", password="a-password", durable=False)
    postgres.start()
    yield postgres
    postgres.stop()


def postmaster(postgres: Postgres) -> int:
    return int((postgres._data / "postmaster.pid").read_text().split("\n", 1)[0])


def query(postgres: Postgres, text: str, *, role: str = SUPERUSER) -> object:
    with psycopg.connect(postgres.dsn(role), autocommit=True) as connection:
        cursor = connection.execute(text)
        row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None


def test_as_it_should_be(cluster: Postgres) -> None:
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "wal_level": "logical",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
    }
    for name, expected in settings.items():
        assert query(cluster, f"show {name}") == expected
    assert cluster._root.stat().st_mode & 0o777 == 0o700
    if os.geteuid() == 0:
        owner = os.stat(f"/proc/{postmaster(cluster)}").st_uid
        assert owner == 65534, "it never runs as root"


def test_no_entry_without_the_password(cluster: Postgres) -> None:
    stranger = Postgres(home=cluster.home, password="wrong", port=cluster.port)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(stranger.dsn(SUPERUSER))


def test_stopped_and_started_warm(cluster: Postgres) -> None:
    query(cluster, "create table if not exists kept (n int)")
    before, port = postmaster(cluster), cluster.port
    cluster.stop()
    assert not Path(f"/proc/{before}").exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=2)
    cluster.stop()  # twice is once
    cluster.start()
    assert query(cluster, "select count(*) from kept") == 0


def test_an_orphan_is_ended_before_the_next_start(cluster: Postgres) -> None:
    """Its owner was killed; the new one takes over the directory, and there is one server again."""
    orphan = postmaster(cluster)
    left = cluster._process
    assert left is not None
    successor = Postgres(home=cluster.home, password=cluster.password, durable=False)
    successor.start()
    try:
        left.wait(LIMIT_S)
        assert postmaster(successor) != orphan
        assert query(successor, "select 1") == 1
    finally:
        successor.stop()
        cluster._process = None
        cluster.port = 0
        cluster.start()


def test_a_pid_that_is_somebody_elses_now(cluster: Postgres) -> None:
    """After a reboot the number in postmaster.pid may be anybody's: nobody is signalled for it."""
    cluster.stop()
    with subprocess.Popen(["sleep", "60"]) as bystander:
        (cluster._data / "postmaster.pid").write_text(f"{bystander.pid}\n{cluster._data}\n0\n0\n\n\n")
        cluster.start()
        try:
            assert bystander.poll() is None
            assert query(cluster, "select 1") == 1
        finally:
            bystander.kill()


@pytest.mark.parametrize("text", ["", "no number\n", "99999999\n", "1"])
def test_a_pid_file_that_says_nothing(cluster: Postgres, text: str) -> None:
    cluster.stop()
    (cluster._data / "postmaster.pid").write_text(text)
    cluster.start()
    assert query(cluster, "select 1") == 1


def test_a_port_that_is_taken(cluster: Postgres) -> None:
    cluster.stop()
    port = cluster.port
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            cluster.port = server.getsockname()[1]
            with pytest.raises(EmbeddedError) as refused:
                cluster.start()
        assert refused.value.code == "postgres_failed"
        assert "postgres.log" in refused.value.remedy
        assert cluster._process is None
    finally:
        cluster.port = port
        cluster.start()


def test_a_cluster_half_made_is_made_again(data_dirs: Path) -> None:
    home = data_dirs / "half"
    home.mkdir(mode=0o711)
    postgres = Postgres(home=home / "postgres", password="x", durable=False)
    (postgres._root / "data" / "base").mkdir(parents=True)
    postgres.start()
    try:
        assert query(postgres, "select 1") == 1
    finally:
        postgres.erase()
    assert not postgres._root.exists()


def test_the_binaries_may_be_named(monkeypatch: pytest.MonkeyPatch, data_dirs: Path) -> None:
    monkeypatch.setenv("SOUNDSCAPE_POSTGRES_BIN", "/nowhere")
    postgres = Postgres(home=data_dirs / "named" / "postgres", password="x")
    postgres.home.parent.mkdir(mode=0o711)
    with pytest.raises((EmbeddedError, FileNotFoundError), match=r"/nowhere|initdb"):
        postgres.start()


def test_how_a_process_was_started() -> None:
    program = "print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "a word"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert "a word" in _read_command_line(process.pid)
        process.communicate(b"\n")
    assert _read_command_line(process.pid) == ""
