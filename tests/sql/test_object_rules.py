"""What may lie in a bucket: the questions a trigger asks of every write, and their order."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from .conftest import MIME_TYPES, Connection, Database

Refused = psycopg.errors.InsufficientPrivilege
BUCKETS = tuple(bucket for bucket in MIME_TYPES if bucket != "exports")
TYPES = {
    "audio-files": (
        ["audio/mpeg", "audio/mp4;codecs=opus", "AUDIO/WAV", "video/mp4", "text/plain; charset=utf-8", None],
        ["image/png", "image/svg+xml", "text/html", "text/plainer", "application/pdf", "audio", "/wav"],
    ),
    "profile-images": (
        ["image/png", "image/jpeg", "image/webp", "image/avif", "IMAGE/PNG", "image/png;x=y"],
        ["image/svg+xml", "text/html", "image/*", "image/png/x", "image/png, text/html", "image/png\n", None],
    ),
    "waveforms": (
        ["application/octet-stream", "application/json", "image/png", None],
        ["text/html", "image/svg+xml", "audio/wav", "application/json5"],
    ),
}  # fmt: skip
COPY, MOVE = "storage.object.copy", "storage.object.move"


def write(caller: Connection, bucket: str, name: str, owner: str | None, **metadata: Any) -> None:
    """What Storage writes when all bytes are there."""
    said = {key: value for key, value in {"eTag": "e", "size": 1, **metadata}.items() if value is not None}
    caller.execute(
        "insert into storage.objects (bucket_id, name, owner_id, version, metadata)"
        " values (%s, %s, %s, 'v', %s)",
        (bucket, name, owner, json.dumps(said)),
    )


@pytest.mark.parametrize("bucket", BUCKETS)
def test_types(db: Database, alice: str, bucket: str) -> None:
    taken, refused = TYPES[bucket]
    with db.acting("service_role") as server:
        for number, mimetype in enumerate(taken):
            write(server, bucket, f"{alice}/{number}", alice, mimetype=mimetype)
        for mimetype in refused:
            with pytest.raises(Refused, match="does not take files of the type"), server.transaction():
                write(server, bucket, f"{alice}/x", alice, mimetype=mimetype)
            changed = json.dumps({"eTag": "e", "size": 1, "mimetype": mimetype or "application/octet-stream"})
            with pytest.raises(Refused, match="does not take files of the type"), server.transaction():
                server.execute(
                    "update storage.objects set metadata = %s where name = %s", (changed, f"{alice}/0")
                )


@pytest.mark.parametrize("bucket", BUCKETS)
def test_sizes(db: Database, alice: str, bucket: str) -> None:
    limit = db.value("select file_size_limit from storage.buckets where id = %s", bucket)
    with db.acting("service_role") as server:
        write(server, bucket, f"{alice}/most", alice, mimetype=MIME_TYPES[bucket], size=limit)
        with pytest.raises(Refused, match=f"takes {limit} at most"):
            write(server, bucket, f"{alice}/more", alice, mimetype=MIME_TYPES[bucket], size=limit + 1)


def test_a_bucket_whose_types_were_taken_away_takes_none(db: Database, alice: str) -> None:
    with psycopg.connect(db.dsn("supabase_admin")) as admin:
        admin.execute("update storage.buckets set allowed_mime_types = null where id = 'profile-images'")
        with pytest.raises(Refused):
            write(admin, "profile-images", f"{alice}/x", alice, mimetype="image/png")  # type: ignore[arg-type]
        admin.rollback()


@pytest.mark.parametrize("bucket", BUCKETS)
def test_the_owner_of_an_upload_has_an_account(db: Database, bucket: str) -> None:
    """A token lives an hour longer than its account, an address to upload to two hours."""
    gone = db.sign_up()
    db.rows("delete from auth.users where id = %s", gone)
    for role in ("service_role", "authenticated"):
        with db.acting(role, gone) as caller, pytest.raises(Refused, match=r"account|row-level security"):
            write(caller, bucket, f"{gone}/x", gone, mimetype=MIME_TYPES[bucket])
    for owner in ("", "nobody"):
        with db.acting("service_role") as server, pytest.raises(Refused, match="account"):
            write(server, bucket, f"{gone}/x", owner, mimetype=MIME_TYPES[bucket])


def asking(caller: Connection, operation: str) -> None:
    caller.execute("select set_config('storage.operation', %s, true)", (operation,))


@pytest.fixture
def hidden(db: Database, alice: str) -> str:
    """The name of a recording that a moderator has hidden."""
    audio_id = db.recording(alice, etag="of the hidden one")
    db.rows(
        "update public.audio_files set is_public = true, hidden_at = now(), hidden_reason = 'r'"
        " where id = %s",
        audio_id,
    )
    return str(db.file(audio_id)["file_path"])


@pytest.mark.parametrize("row", ["is there", "is deleted"])
def test_a_hidden_recording_is_not_copied(db: Database, alice: str, hidden: str, row: str) -> None:
    if row == "is deleted":
        # The worker has not come yet: the file is there still.
        with db.acting("authenticated", alice) as owner:
            owner.execute("delete from public.audio_files where file_path = %s", (hidden,))
            owner.commit()
    audio_id = db.recording(alice, etag="of another")
    other = db.file(audio_id)["file_path"]
    sees = "select count(*) from storage.objects where name = %s"
    with db.acting("authenticated", alice) as owner:
        for operation in (COPY, "storage.s3.object.copy", "storage.s3.upload.part_copy"):
            asking(owner, operation)
            assert [owner.execute(sees, (name,)).fetchone() for name in (hidden, other)] == [
                {"count": 0},
                {"count": 1},
            ]
        write(owner, "audio-files", f"{alice}/twin.wav", alice, eTag="of another", mimetype="audio/wav")
        # Were the source seen all the same, its bytes are known.
        with pytest.raises(Refused, match="cannot be copied"):
            write(
                owner, "audio-files", f"{alice}/x.wav", alice, eTag="of the hidden one", mimetype="audio/wav"
            )


@pytest.mark.parametrize("row", ["is there", "is deleted"])
def test_others_learn_nothing_of_a_hidden_recording(
    db: Database, alice: str, bob: str, hidden: str, row: str
) -> None:
    """Bob has the same bytes, so the same eTag, and copies his own."""
    if row == "is deleted":
        db.rows("delete from public.audio_files where file_path = %s", hidden)
    with db.acting("authenticated", bob) as other:
        write(other, "audio-files", f"{bob}/twin.wav", bob, eTag="of the hidden one", mimetype="audio/wav")


def test_a_hidden_recording_is_not_moved_by_its_owner(db: Database, alice: str, hidden: str) -> None:
    move = "update storage.objects set name = %s where name = %s"
    with db.acting("authenticated", alice) as owner, pytest.raises(Refused, match="cannot be moved"):
        owner.execute(move, (f"{alice}/elsewhere.wav", hidden))
    with db.acting("service_role") as server:
        assert server.execute(move, (f"{alice}/elsewhere.wav", hidden)).rowcount == 1


def store_readable(db: Database, owner: str, bucket: str) -> str:
    """An object that its owner may read."""
    audio_id = db.recording(owner)
    if bucket == "audio-files":
        return str(db.file(audio_id)["file_path"])
    name = {
        "profile-images": f"{owner}/face.png",
        "waveforms": f"{audio_id}/1/waveform.png",
        "exports": f"{owner}/{audio_id}.zip",
    }[bucket]
    db.store(name, owner=owner if bucket == "profile-images" else None, bucket=bucket)
    if bucket == "exports":
        db.rows(
            "insert into public.exports (user_id, status, file_path, expires_at)"
            " values (%s, 'ready', %s, now() + interval '1 day')",
            owner,
            name,
        )
    return name


def test_nothing_is_copied_between_buckets(db: Database, alice: str) -> None:
    """Only a recording is read to be copied, and only among recordings a copy is written: of all buckets."""
    buckets = [row["id"] for row in db.rows("select id from storage.buckets order by id")]
    names = {bucket: store_readable(db, alice, bucket) for bucket in buckets}
    sees = "select from storage.objects where bucket_id = %s and name = %s"
    read, written = set(), set()
    for bucket, name in names.items():
        with db.acting("authenticated", alice) as owner:
            asking(owner, "storage.object.get_authenticated")
            assert owner.execute(sees, (bucket, name)).rowcount == 1, bucket
            asking(owner, COPY)
            if owner.execute(sees, (bucket, name)).rowcount:
                read.add(bucket)
            # Were the source seen all the same.
            with suppress(Refused):
                write(owner, bucket, f"{alice}/copy", alice, mimetype=MIME_TYPES[bucket])
                written.add(bucket)
    assert (read, written) == ({"audio-files"}, {"audio-files"})
    with db.acting("service_role") as server:
        asking(server, COPY)
        for bucket in buckets:
            write(server, bucket, f"{alice}/copy", None, mimetype=MIME_TYPES[bucket])


def test_only_its_owner_copies_a_public_recording(db: Database, alice: str, bob: str) -> None:
    audio_id = db.recording(alice)
    db.rows("update public.audio_files set is_public = true where id = %s", audio_id)
    name = db.file(audio_id)["file_path"]
    for role, user, seen in (("authenticated", alice, 1), ("authenticated", bob, 0), ("anon", "", 0)):
        with db.acting(role, user) as caller:
            assert caller.execute("select from storage.objects where name = %s", (name,)).rowcount == 1
            asking(caller, COPY)
            assert caller.execute("select from storage.objects where name = %s", (name,)).rowcount == seen


def test_the_order_of_refusals(db: Database, alice: str, hidden: str) -> None:
    """Bucket, name, owner, source, type, size: of two that fail the earlier one speaks."""
    gone = db.sign_up()
    db.rows("delete from auth.users where id = %s", gone)
    with db.acting("authenticated", alice) as owner:
        for values, words in (
            (
                {"bucket_id": "profile-images", "name": "a//b", "metadata": '{"size": 1}'},
                "do not move between",
            ),
            ({"name": "a//b", "owner_id": gone, "metadata": '{"mimetype": "x"}'}, "name of the file"),
            ({"name": "a/b", "owner_id": gone, "metadata": '{"mimetype": "x"}'}, "account"),
            ({"name": "a/b", "metadata": '{"mimetype": "x", "size": 1e12}'}, "cannot be moved"),
            ({"metadata": '{"mimetype": "x", "size": 1000000000000}'}, "does not take files"),
            ({"metadata": '{"mimetype": "audio/wav", "size": 1000000000000}'}, "at most"),
        ):
            changes = ", ".join(f"{column} = %({column})s" for column in values)
            with pytest.raises(Refused, match=words), owner.transaction():
                owner.execute(
                    f"update storage.objects set {changes} where name = %(hidden)s",  # type: ignore[arg-type]
                    {**values, "hidden": hidden},
                )
    fired = db.rows(
        "select tgname from pg_trigger where tgrelid = 'storage.objects'::regclass"
        " and tgname like 'soundscape%%' and tgtype & 2 = 2 order by tgname"
    )
    assert [row["tgname"] for row in fired] == [
        "soundscape_object_moved",
        "soundscape_object_name",
        "soundscape_object_rules",
        "soundscape_object_taken",
    ]


@pytest.mark.parametrize("how", ["described", "stored", "both", "public"])
def test_a_name_that_somebody_else_has_tells_nothing(db: Database, alice: str, bob: str, how: str) -> None:
    """One answer, whatever is there, by whatever route: for a row, an upload, an overwrite and a move."""
    name = "public/secret.wav"
    if how != "stored":
        audio_id = db.describe(name, owner=alice)
    if how != "described":
        db.store(name, owner=alice)
    if how == "public":
        db.rows("update public.audio_files set is_public = true where id = %s", audio_id)
    db.store(f"{bob}/mine.wav", owner=bob)
    upload = (
        "insert into storage.objects (bucket_id, name, owner_id, version) values ('audio-files', %s, %s, '1')"
    )
    answers = set()
    with db.acting("authenticated", bob) as caller:
        for statement, values in (
            ("insert into public.audio_files (title, file_path) values ('t', %s)", (name,)),
            (upload, (name, bob)),
            (f"{upload} on conflict (bucket_id, name) do update set version = '2'", (name, bob)),
            ("update storage.objects set name = %s where name = %s", (name, f"{bob}/mine.wav")),
        ):
            with pytest.raises(Refused) as refused, caller.transaction():
                caller.execute(statement, values)  # type: ignore[arg-type]
            answers.add((refused.value.diag.message_primary, refused.value.diag.message_hint))
    assert len(answers) == 1, answers
    assert alice not in str(answers)


def test_a_row_without_a_file_keeps_its_name_for_a_day(db: Database, alice: str, bob: str) -> None:
    squatted = db.describe("public/song.wav", owner=bob)
    with pytest.raises(Refused, match="cannot be used"):
        db.store("public/song.wav", owner=alice)
    db.rows("update public.audio_files set created_at = now() - interval '25 hours' where id = %s", squatted)
    db.store("public/song.wav", owner=alice)
    assert db.states(db.describe("public/song.wav", owner=alice)) == ["queued"]
    assert db.file(squatted)["file_path"] == f"{bob}/{squatted}"
    # One that has its file keeps it.
    with pytest.raises(Refused, match="cannot be used"):
        db.store("public/song.wav", owner=bob)


def test_a_recording_keeps_its_name_while_its_file_is_replaced(db: Database, alice: str, bob: str) -> None:
    """It is old, but its file was there until now."""
    name = "public/song.wav"
    audio_id = db.describe(name, owner=alice)
    db.store(name, owner=alice)
    db.rows("update public.audio_files set created_at = now() - interval '1 year' where id = %s", audio_id)
    db.remove(name)
    with pytest.raises(Refused, match="cannot be used"):
        db.store(name, owner=bob)
    db.store(name, owner=alice)
    db.remove(name)
    db.rows("update soundscape.file_removals set removed_at = now() - interval '25 hours'")
    db.store(name, owner=bob)
    assert db.file(audio_id)["file_path"] == f"{alice}/{audio_id}"
