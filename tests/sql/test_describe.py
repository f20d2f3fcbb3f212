"""Many recordings described at once: a result for each, whatever happens to the others."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from .conftest import Database


def describe(db: Database, who: str, rows: Any, *, role: str = "authenticated") -> list[dict[str, Any]]:
    with db.acting(role, who) as session:
        cursor = session.execute("select * from public.describe_audio(%s)", [json.dumps(rows)])
        assert cursor.description is not None
        names = [column.name for column in cursor.description]
        found = [
            dict(zip(names, row.values() if isinstance(row, dict) else row, strict=True))
            for row in cursor.fetchall()
        ]
        session.commit()
        return found


def test_each_row_has_its_own_result(db: Database, alice: str, bob: str) -> None:
    db.describe("public/his.wav", owner=bob, title="His")
    rows = [
        {"file_path": f"{alice}/1.wav", "title": "One", "tags": ["rain"], "is_public": True},
        {"file_path": f"{alice}/2.wav"},
        {"file_path": "public/his.wav", "title": "Mine"},
        {"file_path": f"{alice}/3.wav", "title": "Three", "status": "ready"},
        {"file_path": f"{alice}/4.wav", "title": "Four", "tags": "rain"},
        {"file_path": f"{alice}/../5.wav", "title": "Five"},
        {"title": "Six"},
        7,
        {"file_path": f"{alice}/8.wav", "title": "Eight", "user_id": bob},
        {"file_path": f"{alice}/1.wav", "title": "One again"},
        {"file_path": f"{alice}/9.wav", "title": "Nine", "nonsense": 1},
    ]
    found = describe(db, alice, rows)
    assert [row["place"] for row in found] == list(range(len(rows)))
    assert [(row["result"], row["code"]) for row in found] == [
        ("created", None),
        ("refused", "value_refused"),
        ("refused", "not_allowed"),
        ("refused", "value_refused"),
        ("refused", "value_refused"),
        ("refused", "value_refused"),
        ("refused", "value_refused"),
        ("refused", "value_refused"),
        ("refused", "not_allowed"),
        ("updated", None),
        ("refused", "value_refused"),
    ]
    assert all(row["message"] for row in found if row["result"] == "refused")
    assert found[2]["message"] == "The name public/his.wav cannot be used."
    (row,) = db.rows(
        "select id::text, title, tags, is_public, status from public.audio_files where user_id = %s", alice
    )
    assert row == {
        "id": str(found[0]["id"]),
        "title": "One again",
        "tags": ["rain"],
        "is_public": True,
        "status": "awaiting_upload",
    }


def test_describing_again_changes_nothing(db: Database, alice: str) -> None:
    row = {"file_path": f"{alice}/1.wav", "title": "One", "tags": ["a", "b"], "license": "CC0-1.0"}
    assert describe(db, alice, [row])[0]["result"] == "created"
    before = db.rows("select xmin::text, * from public.audio_files")
    assert describe(db, alice, [row])[0]["result"] == "unchanged"
    assert db.rows("select xmin::text, * from public.audio_files") == before
    assert describe(db, alice, [row | {"tags": ["b"]}])[0]["result"] == "updated"
    assert describe(db, alice, [row | {"tags": []}])[0]["result"] == "updated"
    assert describe(db, alice, [row | {"license": None}])[0]["result"] == "updated"
    mine = db.row("select tags, license from public.audio_files where user_id = %s", alice)
    assert mine == {"tags": ["a", "b"], "license": None}


def test_a_limit_refuses_the_rows_beyond_it(db: Database, alice: str) -> None:
    db.rows("update soundscape.owner_limits set max_awaiting_upload = 2")
    try:
        rows = [{"file_path": f"{alice}/{n}.wav", "title": str(n)} for n in range(4)]
        found = describe(db, alice, rows)
    finally:
        db.rows("update soundscape.owner_limits set max_awaiting_upload = default")
    assert [row["result"] for row in found] == ["created", "created", "refused", "refused"]
    assert {row["code"] for row in found[2:]} == {"limit_reached"}


@pytest.mark.parametrize(("rows", "code"), [({}, "PT400"), (None, "PT400"), ([{}] * 501, "PT413")])
def test_what_is_no_list_of_rows_is_refused(db: Database, alice: str, rows: Any, code: str) -> None:
    with pytest.raises(psycopg.Error) as refused:
        describe(db, alice, rows)
    assert refused.value.sqlstate == code


def test_a_few_refusals_among_many_keep_no_other_from_being_written(
    db: Database, alice: str, bob: str
) -> None:
    """Created, changed, unchanged and refused in one request: each result is that of the row alone."""
    db.describe(f"public/{bob}.wav", owner=bob)
    describe(db, alice, [{"file_path": f"{alice}/{n}.wav", "title": str(n)} for n in range(50)])
    rows: list[dict[str, Any]] = [{"file_path": f"{alice}/{n}.wav", "title": str(n)} for n in range(120)]
    expected = ["unchanged"] * 50 + ["created"] * 70
    for n in (3, 4, 77, 119):
        rows[n]["title"] = " "
        expected[n] = "refused"
    for n in (7, 8, 49):
        rows[n]["title"] = "another"
        expected[n] = "updated"
    rows[60]["file_path"] = f"public/{bob}.wav"
    expected[60] = "refused"
    # Other columns are another statement.
    rows[100] |= {"tags": ["rain"]}
    found = describe(db, alice, rows)
    assert [row["result"] for row in found] == expected
    assert [row["file_path"] for row in found] == [row["file_path"] for row in rows]
    assert {row["code"] for row in found if row["result"] == "refused"} == {"value_refused", "not_allowed"}
    stored = db.rows(
        "select id::text, file_path, title, status from public.audio_files where user_id = %s", alice
    )
    by_path = {row["file_path"]: row for row in stored}
    assert len(stored) == 50 + 70 - 3
    for row, given in zip(found, rows, strict=True):
        if row["result"] != "refused":
            held = by_path[given["file_path"]]
            assert (str(row["id"]), row["status"], given["title"]) == (
                held["id"],
                held["status"],
                held["title"],
            )


def test_a_file_named_twice_is_described_in_order(db: Database, alice: str) -> None:
    path = f"{alice}/1.wav"
    rows = [{"file_path": path, "title": title} for title in ("One", "Two", "Two", "Three")]
    assert [row["result"] for row in describe(db, alice, rows)] == [
        "created",
        "updated",
        "unchanged",
        "updated",
    ]
    assert db.value("select title from public.audio_files") == "Three"


def test_many_are_one_message_to_the_library(db: Database, alice: str) -> None:
    """Not a statement for each row: planning them, and a message for each, took 5 s for 500 rows."""
    rows = [{"file_path": f"{alice}/{n}.wav", "title": str(n)} for n in range(100)]
    topic = f"library:{alice}"
    for _ in range(2):
        db.rows("delete from realtime.messages")
        describe(db, alice, rows)
        sent = db.rows("select payload from realtime.messages where topic = %s", topic)
        assert sum(len(message["payload"]["rows"]) for message in sent) == 100
        assert len(sent) <= 5
        rows = [row | {"title": f"{row['title']} again"} for row in rows]


def test_five_hundred_at_once(db: Database, alice: str) -> None:
    rows = [{"file_path": f"{alice}/{n}.wav", "title": str(n)} for n in range(500)]
    assert {row["result"] for row in describe(db, alice, rows)} == {"created"}
