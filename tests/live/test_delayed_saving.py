"""A saved sound is kept until it is stored, or until Storage says for certain that it never will be."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import numpy as np
import psycopg
import pytest

from embedded_supabase.tokens import Tokens
from soundscape.cli.embedded_project import Project
from soundscape.errors import ProjectUnreachable
from soundscape.live.endings import SessionEnded
from soundscape.live.journal import FOLDER, Journal, Note
from soundscape.live.listening import SessionResult
from soundscape.live.owner import Owner
from soundscape.live.recordings import Recordings
from soundscape.live.requests import Save
from soundscape.live.saved_sound import SavedSound
from soundscape.live.user_requests import UserRequests
from soundscape.project.resumable import CHUNK_BYTES, ResumableUploads
from tests.live.conversation import User, sign_up
from tests.live.test_compressed import encode
from tests.live.test_saving import download, make_recordings, rows, wait_until_ready
from tests.waiting import LIMIT_S, eventually

HEARD = SessionResult({"source": {}})


@pytest.fixture
async def user(embedded: Project) -> User:
    return await sign_up(embedded)


def make_expired(project: Project, user: User) -> str:
    """The user's token, as it was an hour and a half ago."""
    claims = jwt.decode(user.token, options={"verify_signature": False})
    claims |= {"iat": claims["iat"] - 5400, "exp": claims["exp"] - 5400}
    return Tokens(project.keys, claims["iss"]).mint(claims)


async def record(recordings: Recordings, user: User, *, seconds: float = 1.0) -> SavedSound:
    """A session that has heard its sound."""
    saved = await recordings.begin(
        Owner(user.id, time.time() + 3600, user.token),
        "abc",
        Save(title="Long"),
        suffix="flac",
        content_type="audio/flac",
        bit_depth=16,
    )
    saved.journal.open_flac(sample_rate=48_000, channels=2)
    random = np.random.default_rng(5)
    for _ in range(round(seconds * 10)):
        noise = random.integers(-32768, 32768, (2, 4800)).astype(np.float32) / np.float32(32768)
        saved.journal.write_samples(noise)
    saved.journal.close_flac()
    return saved


def token_expires(project: Project, user: User, saved: SavedSound) -> None:
    saved.journal.note.token = make_expired(project, user)
    saved.journal.note.expires_at_s = time.time() - 5400 + 3600


def token_is_not_taken_any_more(project: Project, user: User, saved: SavedSound) -> None:
    """As when the project changes its keys: by its own time the token is still valid."""
    saved.journal.note.token = make_expired(project, user)


@pytest.mark.parametrize("seconds", [1.0, 60.0], ids=["at once", "in chunks"])
@pytest.mark.parametrize("happens", [token_expires, token_is_not_taken_any_more])
async def test_a_token_that_is_not_taken_delays_the_recording_and_loses_nothing(
    embedded: Project,
    user: User,
    tmp_path: Path,
    seconds: float,
    happens: Callable[[Project, User, SavedSound], None],
) -> None:
    recordings = make_recordings(embedded, tmp_path)
    saved = await record(recordings, user, seconds=seconds)
    content = saved.journal.sound.read_bytes()
    assert (len(content) > CHUNK_BYTES) == (seconds > 30)
    happens(embedded, user, saved)
    saved.journal.write_note()
    answer = await saved.store(HEARD)
    saved.release()
    assert (answer["type"], answer["code"]) == ("warning", "save_delayed")
    assert "token" in answer["message"]
    assert (tmp_path / FOLDER / "abc" / "sound").read_bytes() == content
    assert [row["status"] for row in rows(embedded, user)] == ["awaiting_upload"]
    # Nothing changes for whoever tries again with the same token.
    assert await recordings.upload_left() == 0
    assert await recordings.upload_left(Owner(user.id, time.time() + 3600, user.token)) == 1
    row = await wait_until_ready(embedded, user)
    assert (row["title"], float(row["duration"])) == ("Long", seconds)
    await recordings.close()


async def test_an_upload_goes_on_where_its_token_expired(
    embedded: Project, user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings = make_recordings(embedded, tmp_path)
    saved = await record(recordings, user, seconds=60)
    note = saved.journal.note
    tokens = iter([user.token] * 3)  # for the row, the first request and the first chunk
    expired = make_expired(embedded, user)
    monkeypatch.setattr(
        type(note), "token", property(lambda _: next(tokens, expired), lambda _, __: None), raising=False
    )
    answer = await saved.store(HEARD)
    saved.release()
    monkeypatch.undo()
    assert answer["code"] == "save_delayed"
    assert [path.suffix for path in saved.journal.folder.iterdir()].count(".json") == 2
    assert await recordings.upload_left(Owner(user.id, time.time() + 3600, user.token)) == 1
    assert float((await wait_until_ready(embedded, user))["duration"]) == 60
    await recordings.close()


async def test_a_recording_that_storage_never_takes_is_discarded(
    embedded: Project, user: User, tmp_path: Path
) -> None:
    recordings = make_recordings(embedded, tmp_path)
    saved = await record(recordings, user)
    # Refused with 403, as an expired token is.
    saved.journal.note.file_path = f"{uuid.uuid4()}/live-abc.flac"
    answer = await saved.store(HEARD)
    saved.release()
    assert (answer["type"], answer["code"]) == ("warning", "save_refused")
    assert list((tmp_path / FOLDER).iterdir()) == []
    assert rows(embedded, user) == []
    await recordings.close()


def make_note(**more: Any) -> Note:
    known: dict[str, Any] = {
        "user_id": "u",
        "audio_id": "a",
        "file_path": "u/a.flac",
        "content_type": "audio/flac",
        "bit_depth": 16,
        "expires_at_s": 2e9,
        "token": "secret",
    }
    return Note(**known | more)


@pytest.mark.parametrize("again", ["release", "remove"])
@pytest.mark.parametrize("first", ["release", "remove"])
def test_a_journal_closes_its_descriptor_once(tmp_path: Path, first: str, again: str) -> None:
    journal = Journal.make(tmp_path, "abc", make_note())
    getattr(journal, first)()
    # The number is free: it is the next that somebody else gets.
    reader, writer = os.pipe()
    getattr(journal, again)()
    os.write(writer, b"mine")
    assert os.read(reader, 4) == b"mine"
    os.close(reader)
    os.close(writer)


async def leave(project: Project, parent: Path, session_id: str, user: User, sound: bytes) -> str:
    """What a killed worker leaves of a session of Opus, which is kept as it came. Returns its row."""
    recordings = make_recordings(project, parent)
    saved = await recordings.begin(
        Owner(user.id, time.time() + 3600, user.token),
        session_id,
        Save(title=f"Left {session_id}"),
        suffix="ogg",
        content_type="audio/ogg",
        bit_depth=0,
    )
    saved.journal.sound.write_bytes(sound)
    saved.release()
    await recordings.close()
    return saved.audio_id


async def delete(project: Project, user: User, audio_id: str) -> None:
    headers = {"apikey": project.keys.publishable_key, "authorization": f"Bearer {user.token}"}
    async with httpx.AsyncClient(headers=headers, timeout=LIMIT_S) as http:
        answer = await http.delete(f"{project.url}/rest/v1/audio_files", params={"id": f"eq.{audio_id}"})
        answer.raise_for_status()


def objects(project: Project, user: User) -> list[Any]:
    with psycopg.connect(project.db_url) as connection:
        return connection.execute(
            "select name from storage.objects where bucket_id = 'audio-files' and name like %s",
            [f"{user.id}/%"],
        ).fetchall()


async def test_a_recording_that_its_user_deleted_does_not_come_back(
    embedded: Project, user: User, tmp_path: Path
) -> None:
    """Its sound without its row would be an object that nobody described: the sweep makes a draft of it."""
    await delete(embedded, user, await leave(embedded, tmp_path, "a", user, encode("ogg-opus", 1.0)))
    recordings = make_recordings(embedded, tmp_path)
    assert await recordings.upload_left() == 1
    assert list((tmp_path / FOLDER).iterdir()) == []
    saved = await record(recordings, user)
    await delete(embedded, user, saved.audio_id)
    answer = await saved.store(HEARD)
    assert (answer["type"], answer["code"]) == ("warning", "save_refused")
    assert answer["message"] == "The recording was deleted before it was stored."
    assert objects(embedded, user) == []
    await recordings.close()


@pytest.mark.parametrize("when", ["before Storage has it", "after Storage has it"])
async def test_a_recording_that_is_deleted_during_its_upload_does_not_come_back(
    embedded: Project, user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    store = ResumableUploads.store

    async def store_and_delete(self: ResumableUploads, *arguments: Any) -> None:
        if when == "before Storage has it":
            await delete(embedded, user, saved.audio_id)
            await store(self, *arguments)
            assert objects(embedded, user) != []
        else:
            await store(self, *arguments)
            await delete(embedded, user, saved.audio_id)

    monkeypatch.setattr(ResumableUploads, "store", store_and_delete)
    recordings = make_recordings(embedded, tmp_path)
    saved = await record(recordings, user)
    answer = await saved.store(HEARD)
    assert (answer["type"], answer["code"]) == ("warning", "save_refused")
    assert answer["message"] == "The recording was deleted before it was stored."
    assert objects(embedded, user) == []
    assert list((tmp_path / FOLDER).iterdir()) == []
    await recordings.close()


async def test_a_sound_without_its_row_is_removed_though_the_project_was_away_meanwhile(
    embedded: Project, user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was stored and its row deleted, and the sweep made a draft of it, before anybody could look."""
    recordings = make_recordings(embedded, tmp_path)
    saved = await record(recordings, user)
    with monkeypatch.context() as patched:
        has_row = UserRequests._has_row
        looked: list[bool] = []

        async def look_once(self: UserRequests, note: Note) -> bool:
            if looked:
                await delete(embedded, user, note.audio_id)
                raise ProjectUnreachable("The project is away.")
            looked.append(await has_row(self, note))
            return looked[0]

        patched.setattr(UserRequests, "_has_row", look_once)
        assert (await saved.store(HEARD))["code"] == "save_delayed"
    saved.release()
    headers = {"apikey": embedded.keys.publishable_key, "authorization": f"Bearer {user.token}"}
    path = saved.journal.note.file_path
    async with httpx.AsyncClient(headers=headers, timeout=LIMIT_S) as http:
        # What the deletion had not removed yet, and what the sweep writes.
        await http.post(
            f"{embedded.url}/storage/v1/object/audio-files/{path}",
            content=saved.journal.sound.read_bytes(),
            headers={"content-type": "audio/flac", "x-upsert": "true"},
        )
        await http.post(
            f"{embedded.url}/rest/v1/audio_files",
            json={"user_id": user.id, "title": "Draft", "file_path": path},
        )
    assert await recordings.upload_left() == 1
    assert objects(embedded, user) == []
    with psycopg.connect(embedded.db_url) as connection:
        left = connection.execute("select 1 from audio_files where user_id = %s", [user.id]).fetchall()
    assert left == []
    await recordings.close()


def without_time(journal: Journal) -> None:
    """A note that another version wrote: what it holds is of another type."""
    journal.note.expires_at_s = "soon"  # type: ignore[assignment]
    journal.write_note()


def with_a_folder_for_a_sound(journal: Journal) -> None:
    journal.sound.unlink()
    journal.sound.mkdir()


def of_unknown_depth(journal: Journal) -> None:
    """Its FLAC cannot be written: libsndfile has an exception of its own."""
    import soundfile

    journal.note.content_type, journal.note.bit_depth = "audio/flac", 17
    journal.write_note()
    soundfile.write(journal.sound, np.zeros((4800, 2), np.float32), 48_000, format="FLAC")


@pytest.mark.parametrize("damage", [without_time, with_a_folder_for_a_sound, of_unknown_depth])
async def test_one_bad_journal_keeps_no_other_from_being_uploaded(
    embedded: Project, user: User, tmp_path: Path, damage: Callable[[Journal], None]
) -> None:
    for session_id in ("a", "b", "c"):
        await leave(embedded, tmp_path, session_id, user, encode("ogg-opus", 1.0))
    for journal in Journal.find_left(tmp_path):
        if journal.folder.name == "b":
            damage(journal)
        journal.release()
    recordings = make_recordings(embedded, tmp_path)
    assert await recordings.upload_left() == 2
    left = list(Journal.find_left(tmp_path))
    assert [journal.folder.name for journal in left] == ["b"], "it is kept, and not locked"
    for journal in left:
        journal.release()
    for session_id in ("a", "c"):
        assert await download(embedded, user, f"{user.id}/live-{session_id}.ogg")
    await eventually(
        lambda: (
            sorted((row["title"], row["status"]) for row in rows(embedded, user))
            == [("Left a", "ready"), ("Left b", "awaiting_upload"), ("Left c", "ready")]
        )
    )
    await recordings.close()


async def test_recordings_are_looked_for_again_after_a_failure(
    embedded: Project, user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soundscape.live.recordings.LEFT_EVERY_S", 0.05)
    await leave(embedded, tmp_path, "a", user, encode("ogg-opus", 1.0))
    find_left, failures = Journal.find_left, iter([OSError(5, "the disk does not answer")])

    def fail_once(parent: Path) -> Any:
        for failure in failures:
            raise failure
        return find_left(parent)

    monkeypatch.setattr(Journal, "find_left", fail_once)
    recordings = make_recordings(embedded, tmp_path)
    looking = asyncio.create_task(recordings.keep_uploading_left())
    await eventually(lambda: not list((tmp_path / FOLDER).iterdir()))
    assert (await wait_until_ready(embedded, user))["title"] == "Left a"
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    await recordings.close()


def test_a_session_that_is_being_made_is_not_removed_as_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks for what was left may do so between any two steps of another worker."""
    looked = 0

    def look_before(step: Any) -> Any:
        def look(*given: Any, **more: Any) -> Any:
            nonlocal looked
            looked += 1
            assert list(Journal.find_left(tmp_path)) == []
            return step(*given, **more)

        return look

    flock = fcntl.flock

    def look_before_locking(lock: int, how: int) -> None:
        if not how & fcntl.LOCK_NB:
            look_before(flock)(lock, how)
        else:
            flock(lock, how)

    monkeypatch.setattr(fcntl, "flock", look_before_locking)
    monkeypatch.setattr(Journal, "write_note", look_before(Journal.write_note))
    journal = Journal.make(tmp_path, "abc", make_note())
    assert looked == 3
    assert list(Journal.find_left(tmp_path)) == []
    assert [path.name for path in journal.folder.iterdir()] == ["session.json"]
    journal.release()
    assert [left.folder.name for left in Journal.find_left(tmp_path)] == ["abc"]


MAKE_AND_HANG = """
import sys, time
from pathlib import Path
from soundscape.live.journal import Journal, Note
Journal.write_note = lambda self: (print("made", flush=True), time.sleep(3600))
Journal.make(Path(sys.argv[1]), "abc", Note("u", "a", "f", "audio/flac", 16, 0.0, "secret"))
"""


async def test_a_folder_whose_worker_was_killed_while_it_made_it_is_removed(tmp_path: Path) -> None:
    """And no other: as long as the worker lives, it may go on."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MAKE_AND_HANG, str(tmp_path)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"made\n"
    assert list(Journal.find_left(tmp_path)) == []
    assert len(list((tmp_path / FOLDER).iterdir())) == 1
    process.kill()
    await process.wait()
    assert list(Journal.find_left(tmp_path)) == []
    assert list((tmp_path / FOLDER).iterdir()) == []


def owned_by_another(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)


def readable_by_others(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)


def a_link(folder: Path) -> None:
    folder.with_name("elsewhere").mkdir(mode=0o700)
    folder.symlink_to("elsewhere")


@pytest.mark.parametrize("prepare", [owned_by_another, readable_by_others, a_link])
async def test_no_token_is_written_where_another_user_may_read_it(
    embedded: Project, user: User, tmp_path: Path, prepare: Callable[[Path], None]
) -> None:
    if prepare is owned_by_another and os.geteuid() != 0:
        pytest.skip("only root gives a folder away")
    prepare(tmp_path / FOLDER)
    recordings = make_recordings(embedded, tmp_path)
    with pytest.raises(SessionEnded) as ended:
        await record(recordings, user)
    assert ended.value.ending.code == 4500
    assert list((tmp_path / FOLDER).iterdir()) == []
    assert rows(embedded, user) == [], "no row waits for a sound that never comes"
    assert list(tmp_path.glob("live-*")) == []
    with pytest.raises(PermissionError):
        await recordings.upload_left()
    await recordings.close()


async def test_a_recording_without_files_of_its_record_leaves_no_folder(
    embedded: Project, user: User, tmp_path: Path
) -> None:
    recordings = make_recordings(embedded, tmp_path)
    saved = await record(recordings, user)
    assert (await saved.store(HEARD))["type"] == "saved"
    assert not saved.out_dir.exists()
    await recordings.close()
