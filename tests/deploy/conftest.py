"""A cluster of our own, and fresh hosted-like projects in it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

import tests.cluster
from embedded_supabase.postgres import SUPERUSER, Postgres
from soundscape.cli.embedded_project import Project
from soundscape.deploy import pre_request
from tests import embedded

from .projects import told


@pytest.fixture(scope="session")
def cluster(data_dirs: Path) -> Iterator[Postgres]:
    """A cluster whose database `postgres` is an untouched project: the template of every other."""
    with tests.cluster.started(data_dirs / "deploy") as postgres:
        yield postgres


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
            if template != "postgres":
                # Settings of a role in a database are not copied with it.
                connection.execute(
                    sql.SQL("alter role authenticator in database {} set pgrst.db_pre_request = {}").format(
                        sql.Identifier(name), sql.Literal(pre_request.FUNCTION)
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
    """An embedded Supabase without a worker."""
    with embedded.served(data_dirs / "checked", with_worker=False) as project:
        yield project
