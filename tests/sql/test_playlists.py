"""Positions run from 1 without gaps, whatever happens."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import Database


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
    assert [row["position"] for row in rows] == list(range(1, len(rows) + 1))
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


def test_recordings_that_go_close_the_gaps_in_every_list(db: Database, alice: str) -> None:
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
