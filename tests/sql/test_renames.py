"""Names that strangers may have signed are left when a recording is not listed any more."""

from __future__ import annotations

import json
from uuid import uuid4

import psycopg
import pytest

from .conftest import RESULT, Connection, Database, Held, Row


def publish(db: Database, audio_id: str, is_public: bool = True) -> None:
    db.rows("update public.audio_files set is_public = %s where id = %s", is_public, audio_id)


def analysed(db: Database, owner: str, *, names: tuple[str, ...] = ("waveform.dat", "waveform.png")) -> Held:
    """A recording whose pictures are stored."""
    db.recording(owner)
    (held,) = db.claim()
    store_pictures(db, held, names)
    db.complete(held, pictures_of(held))
    return held


def store_pictures(db: Database, held: Held, names: tuple[str, ...]) -> None:
    for name in names:
        db.store(held.picture.replace("waveform.dat", name), owner=None, bucket="waveforms")


def pictures_of(held: Held) -> Row:
    picture = held.picture.replace("waveform.dat", "waveform.png")
    return RESULT | {"waveform": {"path": held.picture}, "pictures": {"waveform": picture}}


def pending(db: Database, most: int = 10) -> list[Row]:
    return db.rows("select * from public.pending_renames(%s)", most)


def move(db: Database, name: str, new_name: str, *, etag: str | None = None) -> None:
    """What Storage writes when an object is moved. Hosted, its eTag may change."""
    metadata = {"eTag": etag or "of a move", "size": 1000, "mimetype": "audio/wav"}
    moved = db.rows(
        "update storage.objects set name = %s, version = %s, metadata = %s"
        " where bucket_id = 'audio-files' and name = %s returning id",
        new_name, str(uuid4()), json.dumps(metadata), name,
    )  # fmt: skip
    assert len(moved) == 1


def copy(db: Database, rename: Row, *, all_but: int = 0) -> None:
    for name in rename["objects"][all_but:]:
        db.store(rename["new_name"] + name.removeprefix(rename["name"]), owner=None, bucket="waveforms")


def complete(db: Database, rename: Row) -> bool:
    return bool(
        db.value(
            "select public.complete_rename(%s, %s, %s)",
            rename["rename_id"], rename["attempt"], rename["new_name"],
        )
    )  # fmt: skip


def by_bucket(renames: list[Row]) -> dict[str, Row]:
    return {row["bucket_id"]: row for row in renames}


def features(db: Database, audio_id: str) -> Row:
    return db.row("select * from public.audio_features where audio_id = %s", audio_id)


@pytest.mark.parametrize("how", ["made private", "hidden"])
def test_a_recording_that_is_not_listed_any_more_gets_new_names(db: Database, alice: str, how: str) -> None:
    held = analysed(db, alice)
    publish(db, held.audio_id)
    assert pending(db) == []
    if how == "hidden":
        db.rows(
            "update public.audio_files set hidden_at = now(), hidden_reason = 'r' where id = %s",
            held.audio_id,
        )
    else:
        publish(db, held.audio_id, is_public=False)
    renames = by_bucket(pending(db))
    assert pending(db) == [], "they are taken"
    file, pictures = renames["audio-files"], renames["waveforms"]
    assert file["objects"] == [file["name"]] == [held.object_name]
    folder, last = held.object_name.rsplit("/", 1)
    assert file["new_name"].startswith(f"{folder}/r-")
    assert file["new_name"].endswith(f"/{last}")
    move(db, file["name"], file["new_name"])
    assert (db.file(held.audio_id)["file_path"], db.file(held.audio_id)["status"]) == (
        file["new_name"],
        "ready",
    )
    assert db.states(held.audio_id) == ["succeeded"], "and nothing is analysed again"
    stored = db.row("select version from storage.objects where name = %s", file["new_name"])
    assert features(db, held.audio_id)["object_version"] == stored["version"]

    copy(db, pictures)
    assert complete(db, pictures)
    now = features(db, held.audio_id)
    assert now["waveform_path"] == pictures["new_name"] + "waveform.dat"
    assert now["pictures"] == {"waveform": pictures["new_name"] + "waveform.png"}
    assert now["descriptors"]["waveform"]["path"] == now["waveform_path"]
    assert pictures["name"] not in json.dumps(now, default=str)
    assert db.deletions() == {("waveforms", name) for name in pictures["objects"]}
    assert db.value("select count(*) from soundscape.renames") == 0
    assert db.reconcile() == {"attached": 0, "drafted": 0, "resent": 0, "discarded": 0}


def test_a_preview_gets_a_new_name_too(db: Database, alice: str) -> None:
    """An analysis that ends meanwhile asks for the deletion of what no row names yet."""
    held = analysed(db, alice)
    preview = f"{held.audio_id}/preview-1/v/1-1/preview.mp3"
    db.rows(
        "update public.audio_files set is_public = true, preview_path = %s, preview_size_bytes = 1000"
        " where id = %s",
        preview,
        held.audio_id,
    )
    db.store(preview, owner=None, bucket="waveforms")
    publish(db, held.audio_id, is_public=False)
    (rename,) = (row for row in pending(db) if row["objects"] == [preview])
    copy(db, rename)
    db.rows(
        "select soundscape.delete_former_pictures(%s, %s)",
        held.audio_id,
        held.picture.rsplit("/", 1)[0] + "/",
    )
    assert complete(db, rename)
    assert db.file(held.audio_id)["preview_path"] == rename["new_name"] + "preview.mp3"
    gone = {name for _, name in db.deletions()}
    assert preview in gone
    assert rename["new_name"] + "preview.mp3" not in gone


def test_a_private_recording_keeps_its_names(db: Database, alice: str) -> None:
    held = analysed(db, alice)
    db.rows("update public.audio_files set title = 'New' where id = %s", held.audio_id)
    publish(db, held.audio_id)
    db.rows("update public.audio_files set title = 'Newer' where id = %s", held.audio_id)
    assert pending(db) == []


def test_listed_again_before_the_worker_came(db: Database, alice: str) -> None:
    held = analysed(db, alice)
    for is_public in (True, False, True):
        publish(db, held.audio_id, is_public)
    assert pending(db) == []
    assert db.value("select count(*) from soundscape.renames") == 0
    publish(db, held.audio_id, is_public=False)
    assert len(pending(db)) == 2


def test_what_a_killed_worker_leaves(db: Database, alice: str) -> None:
    """Killed after the move, in the middle of the copies, after them, and after the change of the row."""
    held = analysed(db, alice)
    publish(db, held.audio_id)
    publish(db, held.audio_id, is_public=False)
    first = by_bucket(pending(db))
    move(db, first["audio-files"]["name"], first["audio-files"]["new_name"])
    copy(db, first["waveforms"], all_but=1)
    assert not complete(db, first["waveforms"]), "one is missing"
    assert features(db, held.audio_id)["waveform_path"] == held.picture
    db.rows("update soundscape.renames set taken_at = now() - interval '3 minutes'")
    (second,) = pending(db)
    assert (second["bucket_id"], second["attempt"]) == ("waveforms", 2)
    assert second["new_name"] != first["waveforms"]["new_name"]
    copy(db, second)
    # The first one comes back.
    copy(db, first["waveforms"])
    assert not complete(db, first["waveforms"])
    assert complete(db, second)
    assert not complete(db, second)
    assert features(db, held.audio_id)["waveform_path"].startswith(second["new_name"])
    gone = {name for _, name in db.deletions()}
    kept = {
        row["name"] for row in db.rows("select name from storage.objects where bucket_id = 'waveforms'")
    } - gone
    # Its answer was late: what it says a second time must not take the present pictures away.
    assert kept >= {second["new_name"] + "waveform.dat", second["new_name"] + "waveform.png"}


def test_new_results_during_the_copies(db: Database, alice: str) -> None:
    held = analysed(db, alice)
    publish(db, held.audio_id)
    publish(db, held.audio_id, is_public=False)
    pictures = by_bucket(pending(db))["waveforms"]
    db.store(held.object_name, owner=alice)
    (again,) = db.claim()
    store_pictures(db, again, ("waveform.dat",))
    db.complete(again, pictures_of(again))
    copy(db, pictures)
    assert not complete(db, pictures)
    assert features(db, held.audio_id)["waveform_path"] == again.picture
    assert {("waveforms", pictures["new_name"] + "waveform.dat")} <= db.deletions()


def test_pictures_of_an_analysis_that_was_running(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    publish(db, audio_id)
    (held,) = db.claim()
    store_pictures(db, held, ("waveform.dat",))
    publish(db, audio_id, is_public=False)
    assert set(by_bucket(pending(db))) == {"audio-files"}, "no row names the folder yet"
    db.complete(held, pictures_of(held))
    assert [row["bucket_id"] for row in pending(db)] == ["waveforms"]


@pytest.mark.parametrize("how", ["deleted", "moved", "renamed"])
def test_a_name_that_was_exposed_is_not_used_for_private_bytes(db: Database, alice: str, how: str) -> None:
    """The owner uploads something else under the old name, to which somebody has a signed URL."""
    held = analysed(db, alice)
    publish(db, held.audio_id)
    if how == "deleted":
        db.rows("delete from public.audio_files where id = %s", held.audio_id)
        db.remove(held.object_name)
        db.rows("delete from soundscape.deletions")
    elif how == "moved":
        move(db, held.object_name, f"{alice}/elsewhere.wav")
    else:
        publish(db, held.audio_id, is_public=False)
        file = by_bucket(pending(db))["audio-files"]
        move(db, file["name"], file["new_name"])
    db.rows("delete from soundscape.renames")
    private = db.describe(held.object_name, owner=alice)
    db.store(held.object_name, owner=alice)
    assert [(str(row["audio_id"]), row["name"]) for row in pending(db)] == [(private, held.object_name)]


def test_a_deletion_that_is_cancelled_by_a_private_row(db: Database, alice: str) -> None:
    held = analysed(db, alice)
    publish(db, held.audio_id)
    db.rows("delete from public.audio_files where id = %s", held.audio_id)
    db.describe(held.object_name, owner=alice)
    assert [row["name"] for row in pending(db)] == [held.object_name]


def test_a_deletion_follows_an_object_that_is_moved_meanwhile(db: Database, alice: str) -> None:
    held = analysed(db, alice)
    new_name = f"{alice}/elsewhere.wav"
    db.rows("update storage.objects set created_at = now() - interval '2 minutes'")
    db.rows("delete from public.audio_files where id = %s", held.audio_id)
    move(db, held.object_name, new_name)
    assert ("audio-files", new_name) in db.deletions()
    assert ("audio-files", held.object_name) not in db.deletions()
    db.rows("update soundscape.undescribed_objects set written_at = now() - interval '2 minutes'")
    assert db.reconcile()["drafted"] == 0, "what was deleted does not come back"


@pytest.mark.parametrize("how", ["replaced", "deleted"])
def test_another_object_under_the_name_is_not_moved(db: Database, alice: str, bob: str, how: str) -> None:
    """The worker knows the name only. Meanwhile the object under it was removed, and there is another one."""
    name = "public/song.wav"
    audio_id = db.describe(name, owner=alice)
    db.store(name, owner=alice)
    publish(db, audio_id)
    publish(db, audio_id, is_public=False)
    (file,) = pending(db)
    if how == "deleted":
        db.rows("delete from public.audio_files where id = %s", audio_id)
    db.remove(name)
    db.rows("delete from soundscape.deletions")
    if how == "deleted":
        publish(db, db.describe(name, owner=bob))
    db.store(name, owner=alice if how == "replaced" else bob)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="was not given to this object"):
        move(db, name, file["new_name"])
    db.rows("update soundscape.renames set taken_at = now() - interval '3 minutes'")
    for again in pending(db):
        move(db, name, again["new_name"])
    assert db.value("select count(*) from storage.objects where name = %s", name) == int(how == "deleted")


def hide(db: Database, audio_id: str) -> None:
    db.rows("update public.audio_files set hidden_at = now(), hidden_reason = 'r' where id = %s", audio_id)


def unlisted(db: Database, owner: str) -> str:
    audio_id = db.recording(owner)
    publish(db, audio_id)
    publish(db, audio_id, is_public=False)
    return audio_id


def test_hidden_recordings_come_first_and_then_each_owner_in_turn(db: Database, alice: str, bob: str) -> None:
    many = [unlisted(db, alice) for _ in range(6)]
    others = [unlisted(db, bob) for _ in range(2)]
    bad = db.recording(bob)
    publish(db, bad)
    hide(db, bad)
    order = [str(row["audio_id"]) for row in (*pending(db, 1), *pending(db, 4))]
    assert order == [bad, many[0], others[0], many[1], others[1]]


@pytest.mark.parametrize("why", ["locked", "running"])
def test_what_cannot_be_taken_now_keeps_nobody_waiting(db: Database, alice: str, why: str) -> None:
    first = db.recording(alice)
    publish(db, first)
    if why == "running":
        (held,) = db.claim()
        store_pictures(db, held, ("waveform.dat",))
    publish(db, first, is_public=False)
    if why == "running":
        assert [row["bucket_id"] for row in pending(db)] == ["audio-files"]
    second = unlisted(db, alice)
    other: Connection = db.connect()
    if why == "locked":
        other.execute("select from public.audio_files where id = %s for update", (first,))
    assert [str(row["audio_id"]) for row in pending(db, 1)] == [second]


def test_what_was_hidden_before_leaves_its_names(db: Database, alice: str) -> None:
    held = analysed(db, alice)
    publish(db, held.audio_id)
    hide(db, held.audio_id)
    db.rows("delete from soundscape.renames")
    with psycopg.connect(db.dsn("supabase_admin"), autocommit=True) as admin:
        admin.execute("delete from soundscape.exposed_names")
    db.rows(
        "select soundscape.leave_names(f, file_path) from public.audio_files f where f.hidden_at is not null"
    )
    assert set(by_bucket(pending(db))) == {"audio-files", "waveforms"}


@pytest.mark.parametrize("status", ["queued", "analyzing", "failed"])
def test_a_moved_file_with_another_etag_is_the_same_sound(db: Database, alice: str, status: str) -> None:
    """Hosted, a copy of what was uploaded in parts has another eTag."""
    audio_id = db.recording(alice)
    if status != "queued":
        (held,) = db.claim()
    if status == "failed":
        db.fail(held, "failed")
    before = db.states(audio_id)
    move(db, db.file(audio_id)["file_path"], f"{alice}/elsewhere.wav", etag="another")
    file = db.file(audio_id)
    assert (file["status"], file["object_etag"], db.states(audio_id)) == (status, "another", before)
    assert db.reconcile()["attached"] == 0


def test_unlisting_while_the_worker_looks(db: Database, alice: str) -> None:
    """A request is not dropped because the recording was listed a moment ago."""
    held = analysed(db, alice)
    for is_public in (True, False, True):
        publish(db, held.audio_id, is_public)
    owner: Connection = db.connect()
    owner.execute("update public.audio_files set is_public = false where id = %s", (held.audio_id,))
    assert pending(db) == []
    owner.commit()
    assert len(pending(db)) == 2


def test_new_names(db: Database) -> None:
    def new(name: str) -> str:
        return str(db.value("select soundscape.new_object_name(%s)", name))

    once = new("public/a b/x.wav")
    assert once != new("public/a b/x.wav")
    assert once.startswith("public/a b/r-")
    twice = new(once)
    assert (len(twice), twice != once, twice.endswith("/x.wav")) == (len(once), True, True)
    long = new("public/" + "\u00e9" * 508)
    assert long.startswith("public/r-")
    assert db.value("select soundscape.object_name_problem(%s)", long) is None
    folder = "select soundscape.new_folder_name(%s, 7, %s)"
    assert db.value(folder, "a/1/v/3-1/", 1) == "a/1/v/3-1-r7-1/"
    assert db.value(folder, "a/1/v/3-1-r7-1/", 2) == "a/1/v/3-1-r7-2/"


def test_nobody_else_sees_them(db: Database, alice: str) -> None:
    for role in ("anon", "authenticated", "service_role"):
        for table in ("renames", "exposed_names"):
            with db.acting(role, alice) as caller, pytest.raises(psycopg.errors.InsufficientPrivilege):
                caller.execute(f"select from soundscape.{table}")  # type: ignore[arg-type]
