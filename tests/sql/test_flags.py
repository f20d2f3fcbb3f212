"""Feature flags: for whom they are on, the same in every place, and not sooner or later than said."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from uuid import UUID

import psycopg
import pytest

from .conftest import Database

USERS = [str(UUID(int=0x4000_8000 << 64 | number)) for number in range(10_000)]


@pytest.fixture(autouse=True)
def _no_other_flags(db: Database) -> Iterator[None]:
    yield
    db.rows("delete from public.feature_flags where key like 'test%%'")
    db.rows("update public.feature_flags set state = 'on'")


def put(db: Database, key: str = "test", state: str = "some", **columns: Any) -> None:
    names = ", ".join(("key", "description", "state", *columns))
    places = ", ".join(["%s"] * (3 + len(columns)))
    db.rows(
        f"insert into public.feature_flags ({names}) values ({places})",
        key,
        "A test",
        state,
        *columns.values(),
    )


def ask(db: Database, user: str | None, key: str = "test", fallback: bool = False) -> bool:
    with db.acting("authenticated" if user else "anon", user or "") as session:
        row = session.execute("select public.flag(%s, %s) as is_on", (key, fallback)).fetchone()
    assert row is not None
    worker = db.value("select public.flag_for(%s, %s)", key, user)
    assert row["is_on"] == (fallback if worker is None else worker)
    return bool(row["is_on"])


@pytest.mark.parametrize(("state", "expected"), [("on", True), ("off", False), ("some", False)])
def test_for_everybody_or_nobody(db: Database, alice: str, state: str, expected: bool) -> None:
    put(db, state=state)
    assert ask(db, alice) is expected
    assert ask(db, None) is expected


def test_for_named_users_and_roles(db: Database, alice: str, bob: str) -> None:
    put(db, user_ids=[alice])
    assert (ask(db, alice), ask(db, bob), ask(db, None)) == (True, False, False)
    db.rows("insert into public.user_roles (user_id, role) values (%s, 'moderator')", bob)
    db.rows("update public.feature_flags set user_ids = '{}', roles = '{moderator}' where key = 'test'")
    assert (ask(db, alice), ask(db, bob), ask(db, None)) == (False, True, False)
    db.rows("update public.feature_flags set roles = '{user}' where key = 'test'")
    assert (ask(db, alice), ask(db, bob), ask(db, None)) == (True, True, False)


@pytest.mark.parametrize(
    ("begins", "ends", "expected"),
    [("-1 hour", None, True), ("1 hour", None, False), (None, "1 hour", True), (None, "-1 hour", False),
     ("-2 hours", "-1 hour", False), ("-1 hour", "1 hour", True)],
)  # fmt: skip
def test_from_and_until(
    db: Database, alice: str, begins: str | None, ends: str | None, expected: bool
) -> None:
    put(db, state="on")
    db.rows(
        "update public.feature_flags set active_from = now() + %s::interval,"
        " active_until = now() + %s::interval where key = 'test'",
        begins, ends,
    )  # fmt: skip
    assert ask(db, alice) is expected


def test_an_unknown_flag_is_its_fallback(db: Database, alice: str) -> None:
    assert (ask(db, alice, "test_unknown"), ask(db, alice, "test_unknown", True)) == (False, True)
    assert db.value("select public.flag_for('test_unknown')") is None
    with db.acting("authenticated", alice) as session:
        told = session.execute("select key from public.flags()").fetchall()
    assert [row["key"] for row in told] == ["captions", "live_listening", "recommendation_model"]


def test_an_unknown_flag_is_logged_once_a_session(db: Database, alice: str) -> None:
    """In each way that SQL asks, also where nothing may be written, and not without end."""

    def open_session() -> tuple[psycopg.Connection[Any], list[str]]:
        session, logged = db.connect(autocommit=True), list[str]()
        session.execute("set client_min_messages = 'log'")
        session.add_notice_handler(
            lambda said: logged.append(f"{said.severity_nonlocalized} {said.message_primary}")
        )
        return session, logged

    def ask_twice(session: psycopg.Connection[Any], question: str, *values: Any) -> None:
        for _ in range(2):
            session.execute(question.encode(), values)

    expected = ['LOG The flag "test_unknown" is not known, its fallback is used.']
    for question in (
        "select soundscape.flag('test_unknown')",
        "select public.flag('test_unknown', true)",
        "select public.flag_for('test_unknown', gen_random_uuid())",
        "select public.flags_for('{test_unknown, captions}', '{null, null}')",
        "select from public.feature_flags where (select soundscape.flag('test_unknown'))",
    ):
        session, logged = open_session()
        session.execute("set default_transaction_read_only = on")
        ask_twice(session, question)
        ask_twice(session, "select soundscape.flag('captions'), soundscape.flags()")
        assert logged == expected, question
    session, logged = open_session()
    ask_twice(session, "select soundscape.flag(null)")
    ask_twice(
        session,
        "select soundscape.flag('a line' || chr(10) || 'another' || n) from generate_series(1, 300) n",
    )
    assert len(logged) == 100
    assert logged[0] == 'LOG The flag "a line\\nanother1" is not known, its fallback is used.'
    put(db, user_ids=[None])
    session, logged = open_session()
    row = session.execute("select soundscape.flag_for('test', %s) as is_on", (alice,)).fetchone()
    assert row == {"is_on": False}, "a flag that names nobody is known"
    assert logged == []


def test_many_answers_in_one_call(db: Database, alice: str, bob: str) -> None:
    put(db, user_ids=[alice])
    asked = ["test", "captions", "test_unknown", "test"], [alice, None, bob, bob]
    assert db.value("select public.flags_for(%s, %s::uuid[])", *asked) == [True, True, None, False]
    assert db.value("select public.flags_for('{}', '{}')") == []
    for keys, users in ((["test"], []), (["test"] * 1001, [alice] * 1001), ([], [alice])):
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            db.value("select public.flags_for(%s::text[], %s::uuid[])", keys, users)


def test_a_percentage_is_a_stable_hash(db: Database) -> None:
    """As documented, so that another program can compute it."""
    buckets = db.rows(
        "select u, soundscape.flag_bucket('test', u::uuid) as bucket from unnest(%s::text[]) as u",
        USERS[:500],
    )
    for row in buckets:
        digest = sha256(f"test/{row['u']}".encode()).digest()
        assert row["bucket"] == int.from_bytes(digest[:4], "big") % 10_000
    put(db, percentage=25)

    def users() -> set[str]:
        rows = db.rows("select u from unnest(%s::text[]) as u where public.flag_for('test', u::uuid)", USERS)
        return {row["u"] for row in rows}

    quarter = users()
    # The ids are fixed, so this is one number. Four standard deviations are 173.
    assert abs(len(quarter) - 2500) < 173
    db.rows("update public.feature_flags set percentage = 50 where key = 'test'")
    assert quarter < users()
    db.rows("update public.feature_flags set percentage = 100 where key = 'test'")
    assert len(users()) == len(USERS)
    db.rows("update public.feature_flags set percentage = 25, key = 'test2' where key = 'test'")
    other = {row["u"] for row in db.rows(
        "select u from unnest(%s::text[]) as u where public.flag_for('test2', u::uuid)", USERS)}  # fmt: skip
    assert len(other & quarter) < len(quarter) / 2, "another flag has other users"


def test_a_policy_answers_as_the_function_does(db: Database) -> None:
    """For 10,000 users, each in their own session as the Data API opens it."""
    put(db, percentage=40, user_ids=USERS[:50])
    db.rows(
        """
        create table public.flagged (only_row boolean);
        insert into public.flagged values (true);
        alter table public.flagged enable row level security;
        grant select on public.flagged to authenticated;
        create policy flagged_read on public.flagged for select to authenticated
            using ((select soundscape.flag('test')));
        create function public.users_who_see(users text[]) returns text[] language plpgsql as $$
        declare
            seen text[] := '{}';
            who text;
        begin
            foreach who in array users loop
                perform set_config('request.jwt.claims', json_build_object('sub', who)::text, true);
                if exists (select from public.flagged) then
                    seen := seen || who;
                end if;
            end loop;
            return seen;
        end
        $$;
        grant execute on function public.users_who_see to authenticated;
        """
    )
    try:
        with db.acting("authenticated", USERS[0]) as session:
            row = session.execute("select public.users_who_see(%s) as seen", (USERS,)).fetchone()
        assert row is not None
        expected = db.value(
            "select array_agg(u) from unnest(%s::text[]) as u where public.flag_for('test', u::uuid)", USERS
        )
        assert row["seen"] == expected
        assert 3500 < len(expected) < 4500
    finally:
        db.rows("drop function public.users_who_see; drop table public.flagged")


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_nobody_switches_or_sees_whom_a_flag_names(db: Database, alice: str, role: str) -> None:
    put(db, user_ids=[alice])
    for statement in (
        "select user_ids from public.feature_flags",
        "select * from public.feature_flags",
        "update public.feature_flags set state = 'on'",
        "insert into public.feature_flags (key, description) values ('test_mine', 'Mine')",
        "delete from public.feature_flags",
        "select public.flag_for('test', gen_random_uuid())",
    ):
        with db.acting(role, alice) as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute(statement)


def test_whom_the_flag_is_off_for_has_no_model(db: Database, alice: str) -> None:
    db.rows("insert into soundscape.recommendation_models (state) values ('in_force')")

    def models() -> int:
        with db.acting("authenticated", alice) as session:
            return len(session.execute("select id from soundscape.recommendation_models").fetchall())

    assert models() == 1
    db.rows("update public.feature_flags set state = 'off' where key = 'recommendation_model'")
    assert models() == 0
    with db.acting("authenticated", alice) as session:
        session.execute("select * from public.recommended_audio()")
    # A project whose flag was deleted keeps its model.
    db.rows("update public.feature_flags set key = 'test_away' where key = 'recommendation_model'")
    assert models() == 1
    db.rows("update public.feature_flags set key = 'recommendation_model' where key = 'test_away'")


def test_the_touch_says_when(db: Database) -> None:
    put(db)
    before = db.value("select updated_at from public.feature_flags where key = 'test'")
    db.rows("update public.feature_flags set state = 'on' where key = 'test'")
    assert db.value("select updated_at from public.feature_flags where key = 'test'") > before
