"""Sessions that become recordings: by the user's rights, with the record that is there already, and once."""

from __future__ import annotations

import asyncio
import io
import shutil
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psycopg
import pytest
import soundfile

from soundscape.audio.analysis import analyze
from soundscape.audio.streaming.pcm import PcmFormat
from soundscape.cli.embedded_project import Project
from soundscape.live.journal import FOLDER, Journal
from soundscape.live.owner import Owner
from soundscape.live.recordings import Recordings
from soundscape.live.requests import Save
from tests.live.conversation import User, sign_up, talk
from tests.live.test_live import comparable, make_sound
from tests.waiting import LIMIT_S, eventually


@pytest.fixture
async def user(embedded: Project) -> User:
    return await sign_up(embedded)


def rows(project: Project, user: User) -> list[dict[str, Any]]:
    with psycopg.connect(project.db_url, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute(
            "select f.*, f.id::text as audio_id, count(v.*) as jobs from public.audio_files f "
            "left join soundscape.jobs v on v.audio_id = f.id where f.user_id = %s group by f.id",
            [user.id],
        ).fetchall()


async def download(project: Project, user: User, path: str) -> bytes:
    headers = {"apikey": project.keys.publishable_key, "authorization": f"Bearer {user.token}"}
    async with httpx.AsyncClient(headers=headers, timeout=LIMIT_S) as http:
        answer = await http.get(f"{project.url}/storage/v1/object/audio-files/{path}")
        answer.raise_for_status()
        return answer.content


async def wait_until_ready(project: Project, user: User) -> dict[str, Any]:
    await eventually(lambda: [row["status"] for row in rows(project, user)] == ["ready"])
    return rows(project, user)[0]


@pytest.mark.parametrize("encoding", ["s16le", "f32le"])
async def test_what_was_heard_becomes_a_recording_of_the_user(
    embedded: Project, user: User, encoding: Any
) -> None:
    format = PcmFormat(encoding, 48_000, 2)
    sound = make_sound(2.5, format)
    async with talk(embedded.url) as conversation:
        started = await conversation.start(
            user.token,
            format=encoding,
            sample_rate=48_000,
            channels=2,
            save={"title": "Dawn", "tags": ["birds"], "is_public": True},
        )
        assert [row["status"] for row in rows(embedded, user)] == ["awaiting_upload"]
        await conversation.send(sound)
        await conversation.say("stop")
        code, _ = await conversation.end()
    assert code == 1000
    saved = conversation.of_kind("saved")[0]
    assert saved["audio_id"] == started["audio_id"]
    content = await download(embedded, user, saved["file_path"])
    heard, rate = soundfile.read(io.BytesIO(content), always_2d=True, dtype="float32")
    assert rate == 48_000
    if encoding == "s16le":
        assert (heard * 32768).astype("<i2").tobytes() == sound
    else:
        assert np.abs(heard.ravel() - np.frombuffer(sound, "<f4")).max() <= 2.0**-24
    # The record is that of the file that was saved.
    of_file = analyze(io.BytesIO(content), tags=False).as_dict()
    assert comparable(conversation.of_kind("record")[0]["record"]) == comparable(of_file)
    row = await wait_until_ready(embedded, user)
    assert (row["title"], row["tags"], row["is_public"]) == ("Dawn", ["birds"], True)
    assert float(row["duration"]) == 2.5


async def test_the_record_is_taken_over_where_it_is_the_same_analysis(
    embedded: Project, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert embedded.worker is not None
    taken = []
    take = embedded.worker.prepared.take

    def note(file: Path) -> Any:
        found = take(file)
        taken.append(found is not None)
        return found

    monkeypatch.setattr(embedded.worker.prepared, "take", note)
    async with talk(embedded.url) as conversation:
        await conversation.start(user.token, features=["levels", "tags"], save={"title": "Heard before"})
        await conversation.send(make_sound(2))
        await conversation.say("stop")
        await conversation.end()
    record = conversation.of_kind("record")[0]["record"]
    row = await wait_until_ready(embedded, user)
    assert taken == [True]
    assert record["waveform"]["peaks"] == row["peaks"]
    content = await download(embedded, user, row["file_path"])
    with psycopg.connect(embedded.db_url) as connection:
        stored = connection.execute(
            "select integrated_lufs from public.audio_features where audio_id = %s", [row["audio_id"]]
        ).fetchone()
    assert stored is not None
    assert stored[0] == pytest.approx(
        analyze(io.BytesIO(content), tags=False).loudness.integrated_lufs,
        rel=1e-6,  # type: ignore[union-attr]
    )


async def test_a_saved_sound_is_matched_while_it_sounds_again(embedded: Project, user: User) -> None:
    random = np.random.default_rng(11)
    notes = np.repeat(random.choice([220, 262, 294, 330, 392, 440, 523, 587, 659], 64), 12_000)
    t = np.arange(len(notes)) / 48_000
    melody = 0.3 * np.sin(2 * np.pi * notes * t) + 0.01 * random.standard_normal(len(t))
    sound = (np.stack([melody, melody], 1) * 32767).astype("<i2").tobytes()
    async with talk(embedded.url) as conversation:
        await conversation.start(user.token, features=[], save={"title": "Melody"})
        await conversation.send(sound)
        await conversation.say("stop")
        await conversation.end()
    row = await wait_until_ready(embedded, user)
    stranger = await sign_up(embedded)
    for listener, expected in ((user, [row["audio_id"]]), (stranger, [])):
        async with talk(embedded.url) as conversation:
            await conversation.start(listener.token, features=["match"])
            await conversation.send(sound[: 12 * 192_000])
            while True:
                match = await conversation.answer("match")
                if match["audio_time_s"] >= 10 or match["matches"]:
                    break
            await conversation.say("stop")
            await conversation.end()
        assert [found["audio_id"] for found in match["matches"]] == expected


async def test_a_session_without_sound_leaves_no_recording(embedded: Project, user: User) -> None:
    async with talk(embedded.url) as conversation:
        await conversation.start(user.token, save={"title": "Nothing"})
        await conversation.say("stop")
        await conversation.end()
    assert rows(embedded, user) == []


@pytest.mark.parametrize(
    "save",
    [{}, {"title": ""}, {"title": "x", "user_id": "y"}, {"title": "x", "license": "no such licence"}, "x"],
)
async def test_a_description_that_is_refused_ends_the_session_at_once(
    embedded: Project, user: User, save: Any
) -> None:
    async with talk(embedded.url) as conversation:
        await conversation.say(
            "start", token=user.token, format="s16le", sample_rate=48_000, channels=2, save=save
        )
        assert (await conversation.end())[0] == 4400
    assert rows(embedded, user) == []


def make_recordings(project: Project, parent: Path, **more: Any) -> Recordings:
    def add(record: Any, folder: Path) -> None:
        raise AssertionError("no session ended")

    return Recordings(
        project.url,
        project.keys.publishable_key,
        parent=parent,
        scratch=lambda: parent,
        add_prepared=add,
        **more,
    )


async def leave_behind(project: Project, user: User, parent: Path, expires_at_s: float) -> None:
    """What a killed worker leaves of a session of three seconds: no file is closed, the lock is gone."""
    recordings = make_recordings(project, parent)
    saved = await recordings.begin(
        Owner(user.id, expires_at_s, user.token),
        "abc",
        Save(title="Cut off"),
        suffix="flac",
        content_type="audio/flac",
        bit_depth=16,
    )
    journal = saved.journal
    journal.open_flac(sample_rate=48_000, channels=2)
    samples = np.frombuffer(make_sound(3), "<i2").reshape(-1, 2).T.astype(np.float32) / np.float32(32768)
    for start in range(0, samples.shape[1], 12_000):
        journal.write_samples(np.ascontiguousarray(samples[:, start : start + 12_000]))
    copy = parent / "copy"
    shutil.copytree(journal.folder, copy)
    journal.close_flac()
    journal.remove()
    copy.rename(parent / FOLDER / "abc")
    await recordings.close()


async def test_what_a_killed_worker_left_is_uploaded_once(
    embedded: Project, user: User, tmp_path: Path
) -> None:
    await leave_behind(embedded, user, tmp_path, expires_at_s=2e9)
    first, second = make_recordings(embedded, tmp_path), make_recordings(embedded, tmp_path)
    assert sorted(await asyncio.gather(first.upload_left(), second.upload_left())) == [0, 1]
    assert await first.upload_left() == 0
    assert list((tmp_path / FOLDER).iterdir()) == []
    row = await wait_until_ready(embedded, user)
    assert row["title"] == "Cut off"
    assert 2.0 < float(row["duration"]) <= 3.0
    heard = soundfile.read(
        io.BytesIO(await download(embedded, user, row["file_path"])), dtype="int16", always_2d=True
    )[0]
    assert heard.tobytes() == make_sound(3)[: heard.nbytes]
    await first.close()
    await second.close()


async def test_an_upload_whose_end_was_not_noted_is_not_made_twice(
    embedded: Project, user: User, tmp_path: Path
) -> None:
    await leave_behind(embedded, user, tmp_path, expires_at_s=2e9)
    shutil.copytree(tmp_path / FOLDER / "abc", tmp_path / "again")
    recordings = make_recordings(embedded, tmp_path)
    await recordings.upload_left()
    before = await wait_until_ready(embedded, user)
    (tmp_path / "again").rename(tmp_path / FOLDER / "abc")
    await recordings.upload_left()
    after = await wait_until_ready(embedded, user)
    assert (after["jobs"], after["updated_at"]) == (before["jobs"], before["updated_at"])
    await recordings.close()


async def test_what_is_left_waits_for_a_token_of_its_user(
    embedded: Project, user: User, tmp_path: Path
) -> None:
    await leave_behind(embedded, user, tmp_path, expires_at_s=1.8e9)
    recordings = make_recordings(embedded, tmp_path, clock=lambda: 1.8e9 + 60)
    assert await recordings.upload_left() == 0
    assert await recordings.upload_left(Owner("somebody else", 2e9, user.token)) == 0
    assert await recordings.upload_left(Owner(user.id, 2e9, user.token)) == 1
    await wait_until_ready(embedded, user)
    await recordings.close()


async def test_a_live_session_is_nobody_elses(embedded: Project, user: User, tmp_path: Path) -> None:
    recordings = make_recordings(embedded, tmp_path)
    saved = await recordings.begin(
        Owner(user.id, 2e9, user.token),
        "abc",
        Save(title="Going on"),
        suffix="flac",
        content_type="audio/flac",
        bit_depth=16,
    )
    assert list(Journal.find_left(tmp_path)) == []
    saved.release()
    assert [journal.folder.name for journal in Journal.find_left(tmp_path)] == ["abc"]
    await recordings.close()


def test_a_note_is_for_the_worker_alone(tmp_path: Path) -> None:
    from soundscape.live.journal import Note

    journal = Journal.make(tmp_path, "abc", Note("u", "a", "f", "audio/flac", 16, 0.0, "secret"))
    assert (journal.folder / "session.json").stat().st_mode & 0o077 == 0
    assert journal.folder.stat().st_mode & 0o077 == 0
    assert "secret" not in repr(journal.note)
