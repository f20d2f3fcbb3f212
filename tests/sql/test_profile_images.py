"""Files of profile-images are noted, claimed and checked; what is no image goes, and its owner is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from .conftest import Connection, Database, Row

BUCKET = "profile-images"
END = "select public.complete_image_check(%s, %s, %s, %s)"


def claim(db: Database, lease_s: int = 60) -> Row | None:
    rows = db.rows("select * from public.claim_image_check(%s)", lease_s)
    assert len(rows) <= 1
    return rows[0] if rows else None


def claimed(db: Database) -> Row:
    found = claim(db)
    assert found is not None
    return found


def end(db: Database, check: Row, code: str | None = None) -> None:
    db.rows(END, check["object_id"], check["token"], code, code and "It is no image. Upload one.")


def let_leases_run_out(db: Database) -> None:
    db.rows("update soundscape.image_checks set retry_at = now() where checked_at is null")


def told(db: Database, user_id: str) -> list[Row]:
    return db.rows(
        "select kind, audio_id, error_code, error_message from public.notifications where user_id = %s",
        user_id,
    )


def avatar(db: Database, user_id: str) -> Any:
    return db.value("select avatar_path from public.users where id = %s", user_id)


def face(db: Database, user_id: str, name: str = "face.png", **how: Any) -> str:
    path = f"{user_id}/{name}"
    db.store(path, owner=user_id, bucket=BUCKET, **how)
    return path


def test_an_image_is_looked_at_once(db: Database, alice: str) -> None:
    path = face(db, alice, etag="e")
    check = claimed(db)
    assert (check["name"], check["attempt"], check["media_type"], check["size_bytes"], check["etag"]) == (
        path, 1, "image/png", 1000, "e",
    )  # fmt: skip
    assert check["max_bytes"] == 5 << 20
    assert claim(db) is None, "it is taken"
    end(db, check)
    let_leases_run_out(db)
    db.reconcile()
    assert claim(db) is None
    assert (db.deletions(), told(db, alice)) == (set(), [])


def test_what_is_no_image_goes_and_its_owner_is_told(db: Database, alice: str, bob: str) -> None:
    path = face(db, alice)
    db.rows("update public.users set avatar_path = %s where id = %s", path, alice)
    theirs = f"{bob}/face.png"
    db.rows("update public.users set avatar_path = %s where id = %s", theirs, bob)
    end(db, claimed(db), "image_unreadable")
    assert db.deletions() == {(BUCKET, path)}
    assert (avatar(db, alice), avatar(db, bob)) == (None, theirs)
    assert told(db, alice) == [
        {
            "kind": "image_refused",
            "audio_id": None,
            "error_code": "image_unreadable",
            "error_message": "It is no image. Upload one.",
        }
    ]
    assert told(db, bob) == []
    assert claim(db) is None
    db.remove(path, bucket=BUCKET)
    assert db.value("select count(*) from soundscape.image_checks") == 0


def test_another_avatar_stays(db: Database, alice: str) -> None:
    junk, good = face(db, alice, "junk.png"), face(db, alice, "good.png")
    db.rows("update public.users set avatar_path = %s where id = %s", good, alice)
    for _ in range(2):
        check = claimed(db)
        end(db, check, "image_unreadable" if check["name"] == junk else None)
    assert avatar(db, alice) == good
    assert db.deletions() == {(BUCKET, junk)}


def test_new_bytes_are_checked_again(
    db: Database, alice: str, lease_is_lost: Callable[[Callable[[], Any]], None]
) -> None:
    face(db, alice)
    end(db, claimed(db))
    path = face(db, alice)
    before = claimed(db)
    version = db.store(path, owner=alice, bucket=BUCKET)
    lease_is_lost(lambda: end(db, before, "image_unreadable"))
    lease_is_lost(lambda: end(db, before))
    assert (db.deletions(), told(db, alice)) == (set(), [])
    after = claimed(db)
    assert (after["object_id"], after["version"], after["attempt"]) == (before["object_id"], version, 1)
    end(db, after)


def test_another_declared_type_and_a_move_are_checked_again(db: Database, alice: str) -> None:
    path = face(db, alice)
    end(db, claimed(db))
    db.rows(
        'update storage.objects set metadata = metadata || \'{"mimetype": "image/jpeg"}\' where name = %s',
        path,
    )
    check = claimed(db)
    assert check["media_type"] == "image/jpeg"
    end(db, check)
    db.rows("update storage.objects set name = name || '.moved' where name = %s", path)
    assert claimed(db)["name"] == path + ".moved"


def test_reading_a_file_is_no_change(db: Database, alice: str) -> None:
    face(db, alice)
    end(db, claimed(db))
    db.rows("update storage.objects set last_accessed_at = now()")
    assert claim(db) is None


def test_a_worker_that_died_is_followed_by_another(
    db: Database, alice: str, lease_is_lost: Callable[[Callable[[], Any]], None]
) -> None:
    path = face(db, alice)
    first = claimed(db)
    let_leases_run_out(db)
    second = claimed(db)
    assert (second["attempt"], second["token"] != first["token"]) == (2, True)
    lease_is_lost(lambda: end(db, first, "image_unreadable"))
    end(db, second, "image_unreadable")
    lease_is_lost(lambda: end(db, second, "image_unreadable"))
    assert db.deletions() == {(BUCKET, path)}
    assert len(told(db, alice)) == 1


def test_the_end_is_one_transaction(db: Database, alice: str) -> None:
    """A worker or a connection that dies before the commit has changed nothing."""
    path = face(db, alice)
    db.rows("update public.users set avatar_path = %s where id = %s", path, alice)
    check = claimed(db)
    ending: Connection = db.connect()
    ending.execute(END, (check["object_id"], check["token"], "image_unreadable", "It is none."))
    ending.rollback()
    assert (db.deletions(), told(db, alice), avatar(db, alice)) == (set(), [], path)
    end(db, check, "image_unreadable")
    assert (db.deletions(), len(told(db, alice)), avatar(db, alice)) == ({(BUCKET, path)}, 1, None)


def test_each_attempt_has_twice_the_time(db: Database, alice: str) -> None:
    face(db, alice)
    waits = []
    for _ in range(3):
        claimed(db)
        waits.append(
            float(db.value("select extract(epoch from retry_at - now()) from soundscape.image_checks"))
        )
        let_leases_run_out(db)
    assert [round(later / waits[0]) for later in waits] == [1, 2, 4]


def test_two_workers_take_two_images(db: Database, alice: str) -> None:
    face(db, alice, "1.png")
    face(db, alice, "2.png")
    other: Connection = db.connect()
    theirs = other.execute("select * from public.claim_image_check()").fetchall()
    mine = claimed(db)
    other.commit()
    assert {mine["name"], theirs[0]["name"]} == {f"{alice}/1.png", f"{alice}/2.png"}


def test_a_name_that_is_refused_may_be_uploaded_again(db: Database, alice: str) -> None:
    path = face(db, alice)
    end(db, claimed(db), "image_unreadable")
    face(db, alice)
    assert db.deletions() == set(), "the new bytes are not deleted for the former ones"
    end(db, claimed(db), "image_unreadable")
    db.rows("select * from public.pending_deletions(10)")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="is being deleted"):
        face(db, alice)
    db.remove(path, bucket=BUCKET)
    db.rows("select public.confirm_deletions(%s, %s)", BUCKET, [path])
    face(db, alice)
    assert claimed(db)["name"] == path


def test_what_no_trigger_saw_is_noted_by_the_sweep(db: Database, alice: str) -> None:
    path = f"{alice}/face.png"
    with psycopg.connect(db.dsn("supabase_admin"), autocommit=True, row_factory=dict_row) as connection:
        connection.execute("set session_replication_role = replica")
        db.store(path, owner=alice, bucket=BUCKET, connection=connection)
    assert claim(db) is None
    db.rows("select soundscape.check_page('profiles')")
    check = claimed(db)
    assert check["name"] == path
    end(db, check)
    db.rows("select soundscape.check_page('profiles')")
    assert claim(db) is None


def test_other_buckets_and_objects_without_bytes_are_not_noted(db: Database, alice: str) -> None:
    db.recording(alice)
    db.rows(
        "insert into storage.objects (bucket_id, name, owner_id) values (%s, %s, %s)",
        BUCKET, f"{alice}/unfinished.png", alice,
    )  # fmt: skip
    assert db.value("select count(*) from soundscape.image_checks") == 0
    db.rows("select soundscape.check_page('profiles')")
    assert db.value("select count(*) from soundscape.image_checks") == 0


def test_the_owner_is_gone(db: Database, alice: str) -> None:
    path = face(db, alice)
    check = claimed(db)
    db.rows("delete from public.users where id = %s", alice)
    end(db, check, "image_unreadable")
    assert (BUCKET, path) in db.deletions()
    assert db.value("select count(*) from public.notifications") == 0


def test_nobody_else_sees_them(db: Database, alice: str) -> None:
    for role in ("anon", "authenticated", "service_role"):
        with db.acting(role, alice) as caller, pytest.raises(psycopg.errors.InsufficientPrivilege):
            caller.execute("select from soundscape.image_checks")
