"""`soundscape.expose`: one private function, its twin in `public`, and one role that may call both."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import ROOT

from .conftest import Database

FUNCTIONS = ROOT / "supabase" / "policies" / "functions.sql"


@pytest.fixture
def rolled_back(db: Database) -> Iterator[Database]:
    """The database in a transaction that ends with the test."""
    with db.connection.transaction(force_rollback=True):
        yield db


def twins(db: Database) -> list[str]:
    return [
        row["signature"]
        for row in db.rows(
            "select proname || '(' || pg_get_function_arguments(oid) || ')' as signature from pg_proc"
            " where pronamespace = 'public'::regnamespace and proname = 'answer' order by 1"
        )
    ]


def test_a_twin_has_the_arguments_the_comment_and_the_role_of_the_call(rolled_back: Database) -> None:
    db = rolled_back
    db.rows(
        'create function soundscape.answer(a integer, "limit" integer default 2)'
        " returns table (sum integer) language sql stable security definer rows 7 set search_path = ''"
        ' as $$ select a + "limit" $$'
    )
    db.rows("comment on function soundscape.answer(integer, integer) is 'It''s a sum.'")
    db.rows("select soundscape.expose('answer', 'service_role')")
    assert twins(db) == ['answer(a integer, "limit" integer DEFAULT 2)']
    made = db.row(
        "select prosecdef, provolatile, prorows, obj_description(oid) as comment, proacl::text as rights"
        " from pg_proc where oid = 'public.answer'::regproc"
    )
    assert (made["prosecdef"], made["provolatile"], made["prorows"]) == (False, "s", 7)
    assert made["comment"] == "It's a sum."
    assert made["rights"] == "{postgres=X/postgres,service_role=X/postgres}"
    db.rows("set local role service_role")
    assert db.rows("select * from public.answer(1)") == [{"sum": 3}]
    assert db.rows('select * from public.answer(1, "limit" => 3)') == [{"sum": 4}]


def test_the_twin_of_a_former_signature_goes(rolled_back: Database) -> None:
    db = rolled_back
    db.rows("create function soundscape.answer(a integer) returns integer language sql return a")
    db.rows("select soundscape.expose('answer', 'service_role')")
    db.rows("create function public.answer() returns integer language sql return 42")
    db.rows("drop function soundscape.answer(integer)")
    db.rows("create function soundscape.answer(a text) returns text language sql return a")
    db.rows("select soundscape.expose('answer', 'authenticated')")
    # A function of that name that is no twin belongs to somebody else.
    assert twins(db) == ["answer()", "answer(a text)"]


def test_a_function_that_does_not_exist_is_an_error(rolled_back: Database) -> None:
    with pytest.raises(psycopg.errors.NoDataFound), rolled_back.connection.transaction():
        rolled_back.rows("select soundscape.expose('no_such_function', 'service_role')")


def test_no_twin_is_written_by_hand(db: Database) -> None:
    """Every function of `public` that only calls its private namesake is made by `expose`."""
    exposed = set(
        re.findall(r"'(\w+)'", "".join(re.findall(r"expose\(.*?as name", FUNCTIONS.read_text(), re.S)))
    )
    exposed -= {"authenticated", "service_role"}
    found = db.rows(
        "select p.proname as name from pg_proc p join pg_proc q on q.proname = p.proname"
        " where p.pronamespace = 'public'::regnamespace and q.pronamespace = 'soundscape'::regnamespace"
    )
    assert {row["name"] for row in found} == exposed
    written = "".join(path.read_text() for path in (ROOT / "supabase" / "migrations").glob("*.sql"))
    assert [name for name in exposed if f"create function public.{name}(" in written] == []
