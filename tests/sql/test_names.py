"""Object names that strangers chose: none may raise where a policy, a trigger or the sweep reads it."""

from __future__ import annotations

import pytest

from .conftest import Database

UUID = "00000000-0000-4000-8000-00000000000a"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (UUID, UUID),
        (UUID.upper(), UUID),
        ("public", None),
        ("", None),
        (None, None),
        (UUID[:-1], None),
        (UUID + "0", None),
        (UUID + "\n", None),
        ("{" + UUID + "}", None),
    ],
)
def test_uuid_or_null(db: Database, text: str | None, expected: str | None) -> None:
    found = db.value("select soundscape.uuid_or_null(%s)", text)
    assert found == expected or str(found) == expected


def test_a_constant_that_is_no_uuid(db: Database) -> None:
    # Planned with its argument known, a cast may be folded before its condition is asked.
    assert db.value("select soundscape.uuid_or_null('b')") is None


@pytest.mark.parametrize("described", [True, False])
def test_an_object_of_nobody_stops_nothing(db: Database, alice: str, described: bool) -> None:
    db.store("public/nobodys.wav", owner=None, user_metadata={"title": "t"} if described else None)
    db.store("notuuid/1/peaks.dat", owner=None, bucket="waveforms")
    db.rows("update storage.objects set created_at = now() - interval '2 hours'")
    db.store(f"{alice}/hers.wav", owner=alice)
    db.rows("update storage.objects set created_at = now() - interval '2 hours'")
    assert db.reconcile() == {"attached": 0, "drafted": 1, "resent": 0, "discarded": 1}
    assert db.reconcile() == {"attached": 0, "drafted": 0, "resent": 0, "discarded": 0}
    with db.acting("anon") as connection:
        assert connection.execute("select name from storage.objects").fetchall() == []
