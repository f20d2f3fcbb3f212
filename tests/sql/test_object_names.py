"""Names of objects: SQL has the worker's rule, and no name that breaks it comes in by any route."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import psycopg
import pytest

from soundscape.project.object_name import find_name_problem
from tests.object_names import CANONICAL, NOT_CANONICAL

from .conftest import Database

PIECES = (
    "/", ".", "..", "\\", "%", "%2f", "%2E", "%41", "%zz", "a", "B", "public", " ", "?", "#", "\u00e9",
    "e\u0301", "\n", "\x7f", "\x85", "~", "\U0001d11e", "\u212b", "\ufffd", "\u00a0",
)  # fmt: skip
GENERATED = ["".join(pieces) for count in (1, 2, 3) for pieces in product(PIECES, repeat=count)]
PEOPLE_WRITE_TO = ("audio-files", "profile-images")
BUCKETS = (*PEOPLE_WRITE_TO, "waveforms")
INSERT = "insert into storage.objects (bucket_id, name, owner_id, version) values (%s, %s, %s, '1')"
WHOLE = (
    "insert into storage.objects (bucket_id, name, owner_id, version, metadata, user_metadata) "
    """values (%s, %s, %s, '1', '{"eTag": "e", "size": 1}', '{"title": "t"}')"""
)


def test_sql_and_python_have_one_rule(db: Database) -> None:
    names = [*CANONICAL, *NOT_CANONICAL, *GENERATED]
    found = db.rows(
        "select name, soundscape.object_name_problem(name) as problem"
        " from unnest(%s::text[]) with ordinality as n (name, place) order by place",
        names,
    )
    assert [(row["name"], row["problem"]) for row in found] == [
        (name, find_name_problem(name)) for name in names
    ]
    problems = {row["problem"] for row in found}
    assert len(problems) == 8, "each problem, and none"


@contextmanager
def without_trigger(db: Database) -> Iterator[None]:
    with psycopg.connect(db.dsn("supabase_admin"), autocommit=True) as admin:
        admin.execute("alter table storage.objects disable trigger soundscape_object_name")
        try:
            yield
        finally:
            admin.execute("alter table storage.objects enable trigger soundscape_object_name")


def in_folder(folder: str, names: tuple[str, ...], *, canonical: bool) -> list[str]:
    found = [
        name
        for name in (f"{folder}/{each}" for each in names)
        if (find_name_problem(name) is None) is canonical
    ]
    assert len(found) > 10
    return found


@pytest.mark.parametrize("bucket", PEOPLE_WRITE_TO)
def test_policies_refuse_such_names(db: Database, alice: str, bucket: str) -> None:
    with without_trigger(db), db.acting("authenticated", alice) as caller:
        for name in in_folder(alice, CANONICAL, canonical=True):
            caller.execute(INSERT, (bucket, name, alice))
        for name in in_folder(alice, NOT_CANONICAL, canonical=False):
            with (
                pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"),
                caller.transaction(),
            ):
                caller.execute(INSERT, (bucket, name, alice))
            with (
                pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"),
                caller.transaction(),
            ):
                caller.execute(
                    "update storage.objects set name = %s where bucket_id = %s and name = %s",
                    (name, bucket, f"{alice}/a"),
                )


@pytest.mark.parametrize("bucket", BUCKETS)
def test_not_even_the_secret_key_writes_them(db: Database, alice: str, bucket: str) -> None:
    with db.acting("service_role") as server:
        server.execute(INSERT, (bucket, f"{alice}/a", alice))
        for name in in_folder(alice, NOT_CANONICAL, canonical=False):
            for statement, values in (
                (WHOLE, (bucket, name, alice)),
                ("update storage.objects set name = %s where name = %s", (name, f"{alice}/a")),
            ):
                with (
                    pytest.raises(psycopg.errors.InsufficientPrivilege, match="name of the file cannot be"),
                    server.transaction(),
                ):
                    server.execute(statement, values)


def test_no_row_has_such_a_name(db: Database, alice: str) -> None:
    with db.acting("authenticated", alice) as caller:
        for name in in_folder(alice, NOT_CANONICAL, canonical=False):
            with pytest.raises(psycopg.errors.CheckViolation), caller.transaction():
                caller.execute("insert into public.audio_files (title, file_path) values ('t', %s)", (name,))
        for name in in_folder(alice, CANONICAL, canonical=True):
            caller.execute("insert into public.audio_files (title, file_path) values ('t', %s)", (name,))


def test_the_sweep_makes_no_row_for_an_older_object(db: Database, alice: str) -> None:
    with without_trigger(db):
        db.store("public//x.wav", owner=alice)
        db.rows("update storage.objects set created_at = now() - interval '2 minutes'")
    assert db.reconcile()["drafted"] == 0
    assert db.rows("select from public.audio_files") == []
