"""A cluster of our own, and fresh hosted-like projects in it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from soundscape.local.platform import install_platform
from soundscape.local.postgres import SUPERUSER, Postgres


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
def fresh(cluster: Postgres) -> Iterator[Callable[[], str]]:
    """Make fresh projects; each call returns the connection string of `postgres` on a new one."""
    made: list[str] = []

    def make() -> str:
        name = f"project_{secrets.token_hex(4)}"
        with psycopg.connect(cluster.dsn(SUPERUSER, dbname="template1"), autocommit=True) as connection:
            connection.execute(sql.SQL("create database {} template postgres").format(sql.Identifier(name)))
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
