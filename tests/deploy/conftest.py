"""A cluster of our own, and fresh hosted-like projects in it."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from embedded_supabase.platform import install_platform
from embedded_supabase.postgres import SUPERUSER, Postgres
from soundscape.cli.dev import Project, running

from .projects import told


@pytest.fixture(scope="session")
def cluster(data_dirs: Path) -> Iterator[Postgres]:
    """A cluster whose database `postgres` is an untouched project: the template of every other."""
    postgres = Postgres(home=data_dirs / "deploy" / "postgres", password="for-tests-only", durable=False)
    postgres.home.parent.mkdir(mode=0o711)
    postgres.start()
    try:
        install_platform(postgres)
        yield postgres
    finally:
        postgres.stop()


@pytest.fixture
def fresh(cluster: Postgres) -> Iterator[Callable[..., str]]:
    """Make fresh projects; each call returns the connection string of `postgres` on a new one.

    `template`: the database to copy.
    """
    made: list[str] = []

    def make(template: str = "postgres") -> str:
        name = f"project_{secrets.token_hex(4)}"
        with psycopg.connect(cluster.dsn(SUPERUSER, dbname="template1"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("create database {} template {}").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
            connection.execute(
                sql.SQL("grant create, connect, temporary on database {} to postgres").format(
                    sql.Identifier(name)
                )
            )
        made.append(name)
        return cluster.dsn(dbname=name)

    yield make
    with psycopg.connect(cluster.dsn(SUPERUSER, dbname="template1"), autocommit=True) as connection:
        for name in made:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def project(fresh: Callable[[], str]) -> str:
    """One fresh project."""
    return fresh()


@pytest.fixture(scope="session")
def template(cluster: Postgres) -> str:
    """The name of a deployed project's database, for copies."""
    name = "deployed"
    with psycopg.connect(cluster.dsn(SUPERUSER, dbname="template1"), autocommit=True) as connection:
        connection.execute("create database deployed template postgres")
        connection.execute("grant create, connect, temporary on database deployed to postgres")
    assert told(cluster.dsn(dbname=name))[0].succeeded
    return name


@pytest.fixture
def deployed(fresh: Callable[..., str], template: str) -> str:
    """A deployed project."""
    return fresh(template)


@pytest.fixture(scope="session")
def served(data_dirs: Path) -> Iterator[Project]:
    """An embedded project without a worker, served by a thread of its own."""
    started: Future[Project] = Future()
    finished = asyncio.Event()

    async def serve() -> None:
        try:
            async with running(data_dirs / "checked", port=0, durable=False, with_worker=False) as project:
                started.set_result(project)
                await finished.wait()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        yield started.result(timeout=60)
    finally:
        loop.call_soon_threadsafe(finished.set)
        thread.join(timeout=60)
        loop.close()
