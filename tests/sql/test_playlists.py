"""A playlist has one order, whatever happens, and a move writes one row."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.waiting import LIMIT_S, until

from .conftest import Connection, Database


def playlist(db: Database, owner: str, length: int) -> tuple[str, list[str]]:
    made = db.value("insert into public.playlists (user_id, title) values (%s, 'A list') returning id", owner)
    items = []
    for number in range(length):
        audio_id = db.describe(f"{owner}/{number}-{made}.wav", owner=owner)
        items.append(
            str(
                db.value(
                    "insert into public.playlist_items (playlist_id, audio_id) values (%s, %s) returning id",
                    made,
                    audio_id,
                )
            )
        )
    return str(made), items


def order(db: Database, made: str) -> list[str]:
    rows = db.rows(
        "select id, position from public.playlist_items where playlist_id = %s order by position", made
    )
    assert len({row["position"] for row in rows}) == len(rows)
    return [str(row["id"]) for row in rows]


@pytest.mark.parametrize("to", [-1, 1, 2, 3, 4, 5, 99])
@pytest.mark.parametrize("item", range(5))
def test_a_move(db: Database, alice: str, item: int, to: int) -> None:
    made, items = playlist(db, alice, 5)
    with db.acting("authenticated", alice) as connection:
        connection.execute("select public.move_playlist_item(%s, %s)", (items[item], to))
        rows = connection.execute(
            "select id from public.playlist_items where playlist_id = %s order by position", (made,)
        ).fetchall()
    expected = [one for one in items if one != items[item]]
    expected.insert(min(max(to, 1), 5) - 1, items[item])
    assert [str(row["id"]) for row in rows] == expected


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["append", "remove", "move"]), st.integers(0, 9), st.integers(-2, 12))
    )
)
def test_any_sequence_of_changes(db: Database, alice: str, steps: list[tuple[str, int, int]]) -> None:
    made, expected = playlist(db, alice, 4)
    audio_id = db.value("select audio_id from public.playlist_items where id = %s", expected[0])
    db.rows("select set_config('request.jwt.claims', %s, false)", f'{{"sub": "{alice}"}}')
    for step, which, where in steps:
        if step == "append":
            expected.append(
                str(
                    db.value(
                        "insert into public.playlist_items (playlist_id, audio_id) "
                        "values (%s, %s) returning id",
                        made,
                        audio_id,
                    )
                )
            )
        elif expected:
            item = expected.pop(which % len(expected))
            if step == "remove":
                db.rows("delete from public.playlist_items where id = %s", item)
            else:
                expected.insert(min(max(where, 1), len(expected) + 1) - 1, item)
                db.rows("select public.move_playlist_item(%s, %s)", item, where)
        assert order(db, made) == expected
    db.rows("select set_config('request.jwt.claims', '', false)")


def test_recordings_that_go_leave_the_order_of_every_list(db: Database, alice: str) -> None:
    made, items = playlist(db, alice, 4)
    gone = [db.value("select audio_id from public.playlist_items where id = %s", items[i]) for i in (0, 2)]
    db.rows("delete from public.audio_files where id = any(%s)", gone)
    assert order(db, made) == [items[1], items[3]]


def test_several_at_once_are_appended_in_turn(db: Database, alice: str) -> None:
    made, items = playlist(db, alice, 2)
    db.rows(
        "insert into public.playlist_items (playlist_id, audio_id) "
        "select %s, audio_id from public.playlist_items where playlist_id = %s",
        made,
        made,
    )
    assert order(db, made)[:2] == items


def test_a_new_order_is_all_items_each_once(db: Database, alice: str) -> None:
    made, items = playlist(db, alice, 4)
    with db.acting("authenticated", alice) as connection:
        connection.execute("select public.reorder_playlist(%s, %s::uuid[])", (made, items[::-1]))
        rows = connection.execute("select id from public.playlist_items order by position").fetchall()
        assert [str(row["id"]) for row in rows] == items[::-1]
        for wrong in (items[:3], [*items, items[0]], [*items[:3], made], []):
            with pytest.raises(psycopg.errors.InvalidParameterValue), connection.transaction():
                connection.execute("select public.reorder_playlist(%s, %s::uuid[])", (made, wrong))


def count_written(connection: Connection, user_id: str, statement: str, *values: object) -> int:
    """Rows of `playlist_items` that a statement of this user writes, in a transaction of its own."""

    def count() -> int:
        # Also of former transactions, until the session has reported them.
        found = connection.execute(
            "select n_tup_ins + n_tup_upd + n_tup_del as rows from pg_stat_xact_user_tables "
            "where relname = 'playlist_items'"
        ).fetchone()
        assert found is not None
        return int(found["rows"])

    connection.execute(
        "select set_config('request.jwt.claims', json_build_object('sub', %s::text)::text, true)",
        (user_id,),
    )
    before = count()
    connection.execute(statement.encode(), values)
    written = count() - before
    connection.commit()
    return written


def long_playlist(db: Database, owner: str, length: int) -> str:
    audio_id = db.describe(f"{owner}/long.wav", owner=owner)
    made = db.value("insert into public.playlists (user_id, title) values (%s, 'Long') returning id", owner)
    db.rows(
        "insert into public.playlist_items (playlist_id, audio_id) "
        "select %s, %s from generate_series(1, %s)", made, audio_id, length,
    )  # fmt: skip
    return str(made)


@pytest.mark.parametrize(("place", "to"), [(1, 2000), (2000, 1), (1000, 3), (3, 1000), (1000, 1001)])
def test_a_move_in_a_long_list_writes_one_row(db: Database, alice: str, place: int, to: int) -> None:
    made = long_playlist(db, alice, 2000)
    items = order(db, made)
    item = items.pop(place - 1)
    items.insert(to - 1, item)
    session = db.connect()
    assert count_written(session, alice, "select public.move_playlist_item(%s, %s)", item, to) == 1
    assert order(db, made) == items
    assert count_written(session, alice, "select public.move_playlist_item(%s, %s)", item, to) == 0
    assert count_written(session, alice, "delete from public.playlist_items where id = %s", item) == 1


@pytest.mark.parametrize("start", [0, 1e6, 1e9, 1e15])
def test_moves_into_one_gap_for_ever_write_few_rows(db: Database, alice: str, start: float) -> None:
    made = long_playlist(db, alice, 300)
    db.rows("update public.playlist_items set position = position + %s", start)
    items = order(db, made)
    written, moves = 0, 300
    session = db.connect()
    for turn in range(moves):
        # Always between the first item and the second one.
        item = items.pop(2 if turn % 2 else -1)
        items.insert(1, item)
        written += count_written(session, alice, "select public.move_playlist_item(%s, %s)", item, 2)
    assert order(db, made) == items
    assert written < 4 * moves + 300


def test_two_moves_at_once_wait_for_each_other(db: Database, alice: str) -> None:
    made = long_playlist(db, alice, 4)
    a, b, c, d = order(db, made)
    one, other = db.connect(), db.connect()
    for connection in (one, other):
        connection.execute(
            "select set_config('request.jwt.claims', json_build_object('sub', %s::text)::text, false)",
            (alice,),
        )
        connection.commit()
    one.execute("select public.move_playlist_item(%s, 2)", (c,))
    with ThreadPoolExecutor() as pool:
        second = pool.submit(other.execute, "select public.move_playlist_item(%s, 2)", (d,))
        until(db.somebody_waits)
        one.commit()
        second.result(timeout=LIMIT_S)
        other.commit()
    assert order(db, made) == [a, d, c, b]
