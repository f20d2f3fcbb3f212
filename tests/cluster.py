"""A Postgres of the tests' own, shaped as a hosted project, with as many empty databases as are wanted."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from embedded_supabase.postgres import SUPERUSER, Postgres
from tests import templates


@contextmanager
def started(folder: Path) -> Iterator[Postgres]:
    """A cluster whose database `postgres` has the platform's roles and schemas, and nothing of ours."""
    folder.mkdir(mode=0o711)
    templates.copy_platform(folder / "postgres")
    postgres = Postgres(home=folder / "postgres", password=templates.PASSWORD, durable=False)
    postgres.start()
    try:
        yield postgres
    finally:
        postgres.stop()


@contextmanager
def deployed(folder: Path) -> Iterator[Postgres]:
    """A cluster whose database `postgres` has every migration and policy applied."""
    templates.copy_project(folder)
    postgres = Postgres(home=folder / "postgres", password=templates.PASSWORD, durable=False)
    postgres.start()
    try:
        yield postgres
    finally:
        postgres.stop()


@contextmanager
def database(postgres: Postgres) -> Iterator[str]:
    """The name of a new database that is a copy of the cluster's `postgres`; dropped afterwards."""
    name = f"test_{secrets.token_hex(4)}"
    identifier = sql.Identifier(name)
    with psycopg.connect(postgres.dsn(SUPERUSER, dbname="template1"), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} template postgres").format(identifier))
        connection.execute(
            sql.SQL("grant create, connect, temporary on database {} to postgres").format(identifier)
        )
        try:
            yield name
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(identifier))
