"""Analysis in a child: what kills it costs one attempt, what it may do has limits, nothing is left behind."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import socket
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import soundfile

from soundscape.audio.limits import Limits
from soundscape.audio.tagging.models import YAMNET
from soundscape.errors import AnalysisCrashed, PolicyRefusal, Refusal, UnreadableAudio
from soundscape.sandbox.child_folder import ChildFolder
from soundscape.sandbox.confinement import FIRST_USER, LAST_USER, NAMES
from soundscape.sandbox.parent import Sandbox
from soundscape.sandbox.protocol import Analysis, parse_analysis
from soundscape.sandbox.results import Results
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SAMPLE_RATE = 22_050


def recording(duration_s: float = 1.0) -> io.BytesIO:
    t = np.arange(int(SAMPLE_RATE * duration_s)) / SAMPLE_RATE
    file = io.BytesIO()
    soundfile.write(file, 0.25 * np.sin(2 * np.pi * 440 * t), SAMPLE_RATE, format="WAV")
    return file


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "tone.wav"
    path.write_bytes(recording().getvalue())
    return path


@pytest.fixture
async def sandbox(scratch: Path, no_leaks: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    monkeypatch.setenv("SUPABASE_SECRET_KEY", "sb_secret_of_the_worker")
    monkeypatch.setenv("SOUNDSCAPE_WEBHOOK_SECRET", "whsec_of_the_worker")
    box = Sandbox(scratch)
    await box.start()
    yield box
    await box.stop()


async def analyze(box: Sandbox, path: Path, *, wall_s: float = 60.0) -> Analysis:
    with path.open("rb") as file:
        return await box.analyze(file, wall_s=wall_s)


def pid_of(box: Sandbox) -> int:
    assert box._process is not None
    return box._process.pid


async def test_one_life_of_a_child(sandbox: Sandbox, wav: Path) -> None:
    """One child through what does not kill it: good files, refused ones, and again good ones."""
    first = pid_of(sandbox)
    found = await analyze(sandbox, wav)
    assert found.record["source"]["duration_s"] == 1.0
    assert 20e6 < found.max_rss_bytes < 500e6

    text = wav.with_name("text.wav")
    text.write_text("This is no sound.\n" * 100)
    with pytest.raises(UnreadableAudio) as refused:
        await analyze(sandbox, text)
    assert (refused.value.code, bool(refused.value.remedy)) == ("not_audio", True)

    many = wav.with_name("many.wav")
    soundfile.write(many, np.zeros((100, 16)), SAMPLE_RATE)
    with pytest.raises(PolicyRefusal) as rejected:
        await analyze(sandbox, many)
    assert rejected.value.code == "too_many_channels"

    again = await analyze(sandbox, wav)
    assert again.record["source"] == found.record["source"]
    assert pid_of(sandbox) == first, "a refusal needs no new child"

    # What it carries with it: no secret, no descriptor but its own few, no terminal.
    environment = Path(f"/proc/{first}/environ").read_text()
    assert "SUPABASE" not in environment
    assert "SOUNDSCAPE_WEBHOOK" not in environment
    assert "PATH=" not in environment
    async with asyncio.timeout(LIMIT_S):  # the input is closed as soon as its answer is given
        while any(str(wav.parent) in os.readlink(link) for link in Path(f"/proc/{first}/fd").iterdir()):
            await asyncio.sleep(0.01)
    assert os.getsid(first) == first


BROKEN = {
    "wav": b"RIFF\x00\x00\x00\x00WAVEfmt ",
    "flac": b"fLaC" + bytes(100),
    "ogg": b"OggS" + bytes(100),
    "mp3": b"\xff\xfb\x90\x00" * 3,
    "m4a": b"\x00\x00\x00\x20ftypM4A " + bytes(60),
    "aiff": b"FORM\x00\x00\x00\x10AIFFCOMM",
    "webm": b"\x1a\x45\xdf\xa3" + bytes(60),
    "empty": b"",
    "text": b"This is no sound.",
}


async def test_no_message_names_a_path_of_the_server(
    scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a child says of a file, or of a stage that it skipped, may be shown to the file's owner."""
    models = tmp_path / "models"
    monkeypatch.setenv("SOUNDSCAPE_MODELS_DIR", str(models))
    box = Sandbox(scratch)
    await box.start()
    try:
        said = {}
        for name, content in BROKEN.items():
            path = tmp_path / f"recording.{name}"
            path.write_bytes(content)
            with pytest.raises(Refusal) as refused:
                await analyze(box, path)
            said[name] = str(refused.value)
        path.write_bytes(recording().getvalue())
        said["stages"] = str((await analyze(box, path)).record["stages"])
        models.mkdir(exist_ok=True)
        (models / YAMNET.filename).write_bytes(b"another file")
        said["other model"] = str((await analyze(box, path)).record["stages"])
    finally:
        await box.stop()
    for name, text in said.items():
        assert not re.search(r"/(tmp|proc|dev|root|home|work)/|recording\.", text), (name, text)
        assert str(tmp_path) not in text
    assert "models pull" in said["stages"]
    assert "SHA-256" in said["other model"]


async def test_what_kills_a_child_costs_one_attempt(sandbox: Sandbox, wav: Path) -> None:
    first = pid_of(sandbox)
    # Stopped, so that the kill comes in the middle of the job, however quick analysis is.
    os.kill(first, signal.SIGSTOP)
    working = asyncio.create_task(analyze(sandbox, wav))
    await asyncio.sleep(0.05)
    os.kill(first, signal.SIGKILL)
    with pytest.raises(AnalysisCrashed, match="SIGKILL"):
        await working
    assert not Path(f"/proc/{first}").exists()
    assert (await analyze(sandbox, wav)).record["source"]["duration_s"] == 1.0
    second = pid_of(sandbox)
    assert second != first

    # Dead before the job came: nobody waits for an answer that cannot come.
    os.kill(second, signal.SIGKILL)
    await asyncio.sleep(0.1)
    try:
        await analyze(sandbox, wav)
    except AnalysisCrashed:
        await analyze(sandbox, wav)
    third = pid_of(sandbox)
    assert third not in (first, second)

    # Hanging: the wall clock ends it.
    os.kill(third, signal.SIGSTOP)
    with pytest.raises(AnalysisCrashed, match="longer than") as late:
        await analyze(sandbox, wav, wall_s=0.3)
    assert late.value.code == "analysis_timeout"
    assert not Path(f"/proc/{third}").exists()


async def test_cancelled_half_way(sandbox: Sandbox, wav: Path) -> None:
    """Its lease is lost, or the worker stops: the child ends with the job."""
    child = pid_of(sandbox)
    os.kill(child, signal.SIGSTOP)
    working = asyncio.create_task(analyze(sandbox, wav))
    await asyncio.sleep(0.05)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert not Path(f"/proc/{child}").exists()


async def test_an_idle_child_ends_with_its_parent(scratch: Path, no_leaks: None) -> None:
    box = Sandbox(scratch)
    await box.start()
    child = pid_of(box)
    assert box._socket is not None
    box._socket.close()  # what the kernel does when the parent dies
    box._socket = None
    assert box._process is not None
    assert await asyncio.wait_for(box._process.wait(), LIMIT_S) == 0
    await box.stop()
    assert not Path(f"/proc/{child}").exists()


@pytest.mark.parametrize("how", ["cancelled", "dies", "too slow"])
async def test_a_child_that_does_not_start_is_not_left_behind(
    scratch: Path, no_leaks: None, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    box = Sandbox(scratch)
    if how == "too slow":
        monkeypatch.setattr("soundscape.sandbox.parent.START_TIMEOUT_S", 0.05)
    starting = asyncio.create_task(box.start())
    await asyncio.sleep(0.03)
    if how == "cancelled":
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
    else:
        while how == "dies" and box._process is None:
            await asyncio.sleep(0.01)
        if how == "dies":
            os.kill(pid_of(box), signal.SIGKILL)
        with pytest.raises(AnalysisCrashed):
            await starting
    assert (box._process, box._socket) == (None, None)


class Puppet(Sandbox):
    """A sandbox whose child is a few lines of the test's own, at the other end of a real socket."""

    SCRIPT = """
        import socket, sys
        with socket.socket(fileno=int(sys.argv[1])) as parent:
            while parent.recv(1 << 16):
                parent.sendall(ANSWER)
    """

    def __init__(self, scratch: Path, answer: bytes) -> None:
        super().__init__(scratch)
        self._answer = answer

    async def start(self) -> None:
        script = f"ANSWER = {self._answer!r}\n" + textwrap.dedent(self.SCRIPT)
        ours, theirs = socket.socketpair()
        self._folder = ChildFolder(self._scratch_dir, None)
        with theirs:
            ours.setblocking(False)
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", script, str(theirs.fileno()), str(self._folder.path)),
                pass_fds=(theirs.fileno(),),
                stderr=asyncio.subprocess.PIPE,
            )
        self._stderr_reader = asyncio.create_task(self._read_stderr(self._process.stderr))
        self._socket = ours
        self._jobs = 0


async def test_recycled_after_so_many_jobs(scratch: Path, no_leaks: None, wav: Path) -> None:
    box = Sandbox(scratch, jobs_per_child=2)
    await box.start()
    children = []
    for _ in range(5):
        await analyze(box, wav)
        children.append(pid_of(box))
    assert len(set(children)) == 3
    assert children[0] == children[1] != children[2] == children[3] != children[4]
    await box.stop()


async def test_nothing_is_left_of_an_analysis(sandbox: Sandbox, scratch: Path, wav: Path) -> None:
    found = await analyze(sandbox, wav)
    named = {path.name for path in found.folder.iterdir()}
    assert {"waveform.dat", "waveform.png", "fingerprint.bin"} <= named
    sandbox.clear()
    assert list(found.folder.iterdir()) == []
    await sandbox.stop()
    assert not found.folder.exists()
    sandbox.clear()  # of one that has ended: nothing


async def test_a_child_says_what_holds_it(sandbox: Sandbox) -> None:
    assert set(sandbox.protections.on) | set(sandbox.protections.off) == set(NAMES)
    assert {"memory", "privileges"} <= set(sandbox.protections.on)
    status = Path(f"/proc/{pid_of(sandbox)}/status").read_text()
    assert ("Seccomp:\t2" in status) == ("calls" in sandbox.protections.on)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_a_child_of_another_user(
    scratch: Path, no_leaks: None, wav: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where that user may not enter Python's own folders: all that it needs is loaded before."""
    monkeypatch.setattr("soundscape.sandbox.confinement.find_closed_folder", lambda _: None)
    models_dir = Path(tempfile.mkdtemp())
    models_dir.chmod(0o755)
    monkeypatch.setenv("SOUNDSCAPE_MODELS_DIR", str(models_dir))
    box = Sandbox(scratch)
    await box.start()
    status = Path(f"/proc/{pid_of(box)}/status").read_text()
    user = int(status.split("Uid:")[1].split()[0])
    assert FIRST_USER <= user <= LAST_USER
    assert "user" in box.protections.on
    found = await analyze(box, wav)
    assert {path.stat().st_uid for path in found.folder.iterdir()} == {user}
    # Without Landlock, too: a process of the child's user in its folder may fill `out`, not replace it.
    intruder = await asyncio.create_subprocess_exec(
        *("/usr/bin/setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"),
        *("/bin/sh", "-c", "touch out/mine && mv out gone"),
        cwd=found.folder.parent,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await intruder.communicate()
    assert b"cannot move" in said
    assert (found.folder / "mine").exists()
    assert not found.folder.is_symlink()
    await box.stop()
    models_dir.rmdir()


@pytest.mark.parametrize(("files", "size_bytes"), [(100, 100_000), (2_100, 0)])
async def test_a_child_that_fills_the_disk(
    scratch: Path, no_leaks: None, wav: Path, monkeypatch: pytest.MonkeyPatch, files: int, size_bytes: int
) -> None:
    monkeypatch.setattr("soundscape.sandbox.child_folder.MAX_FOLDER_BYTES", 1 << 20)
    monkeypatch.setattr("soundscape.sandbox.parent.WATCH_INTERVAL_S", 0.05)

    class Writing(Puppet):
        SCRIPT = f"""
            import socket, sys
            from pathlib import Path
            parent = socket.socket(fileno=int(sys.argv[1]))
            parent.recv(1 << 16)
            for number in range({files}):
                Path(sys.argv[2], "out", str(number)).write_bytes(bytes({size_bytes}))
            parent.recv(1)
        """

    box = Writing(scratch, b"")
    await box.start()
    with pytest.raises(AnalysisCrashed) as full:
        await analyze(box, wav, wall_s=30)
    assert full.value.code == "analysis_disk"
    assert (box._process, box._folder) == (None, None)


async def test_what_a_child_says_is_kept_short(scratch: Path, no_leaks: None, wav: Path) -> None:
    """Its standard error is not ours: any number of lines, none of them in our log but as a quotation."""

    class Talking(Puppet):
        SCRIPT = """
            import socket, sys
            parent = socket.socket(fileno=int(sys.argv[1]))
            parent.recv(1 << 16)
            for number in range(100_000):
                print('{"message": "forged"}', number, file=sys.stderr)
            raise SystemExit(3)
        """

    box = Talking(scratch, b"")
    await box.start()
    with pytest.raises(AnalysisCrashed, match="status 3"):
        await analyze(box, wav, wall_s=30)
    assert len(box._stderr_lines) <= 20
    assert "99999" in box._stderr_lines[-1]


# -- answers from a child that strangers' bytes have been through -----------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        b"\n",
        b"no JSON\n",
        b"\xff\xff\n",
        b"[]\n",
        b"null\n",
        b"{}\n",
        b'{"record": "text", "max_rss_bytes": 1}\n',
        b'{"record": {}}\n',
        b'{"refusal": {}}\n',
        b'{"refusal": {"status": "failed", "message": 1, "code": [], "remedy": null}}\n',
        b'{"crash": {}}\n',
        b"[" * 100_000 + b"\n",
        b'{"progress": 2}\n',
        b'{"progress": NaN}\n',
        b'{"progress": "0.5"}\n',
        b'{"progress": 0.5, "record": {}, "max_rss_bytes": 1}\n',
        b'{"record": {}, "max_rss_bytes": 1}\n{"record": {}, "max_rss_bytes": 1}\n',
    ],
)
async def test_nonsense_is_a_crash(scratch: Path, no_leaks: None, wav: Path, answer: bytes) -> None:
    box = Puppet(scratch, answer)
    await box.start()
    with pytest.raises(AnalysisCrashed):
        await analyze(box, wav, wall_s=10)
    assert box._process is None


async def test_progress_comes_before_the_answer(scratch: Path, no_leaks: None, wav: Path) -> None:
    lines = b'{"progress": 0}\n{"progress": 0.25}\n{"progress": 1}\n'
    box = Puppet(scratch, lines + b'{"record": {}, "max_rss_bytes": 1}\n')
    await box.start()
    told: list[float] = []
    with wav.open("rb") as file:
        found = await box.analyze(file, wall_s=LIMIT_S, progress=told.append)
    assert (told, found.record) == ([0, 0.25, 1], {})
    await box.stop()


async def test_a_child_that_reports_without_end(
    scratch: Path, no_leaks: None, wav: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Chattering(Puppet):
        SCRIPT = """
            import socket, sys
            parent = socket.socket(fileno=int(sys.argv[1]))
            parent.recv(1 << 16)
            while True:
                parent.sendall(ANSWER)
        """

    monkeypatch.setattr("soundscape.sandbox.parent.MAX_ANSWER_BYTES", 1 << 16)
    box = Chattering(scratch, b'{"progress": 0}\n')
    await box.start()
    with pytest.raises(AnalysisCrashed):
        await analyze(box, wav, wall_s=LIMIT_S)
    assert box._process is None


async def test_a_long_recording_reports(sandbox: Sandbox, wav: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour takes seconds: some reports come, each further than the one before."""
    t = np.arange(SAMPLE_RATE * 60) / SAMPLE_RATE
    minute = (0.25 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    with soundfile.SoundFile(wav, "w", SAMPLE_RATE, 1, format="WAV") as file:
        for _ in range(60):
            file.write(minute)
    told: list[float] = []
    with wav.open("rb") as source:
        await sandbox.analyze(source, wall_s=LIMIT_S, progress=told.append)
    assert told
    assert told == sorted(set(told))
    assert 0 < told[0] <= told[-1] <= 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"refusal": {"status": "failed", "message": "m", "code": "c", "remedy": "r"}}, UnreadableAudio),
        ({"refusal": {"status": "rejected", "message": "m", "code": "c", "remedy": "r"}}, PolicyRefusal),
        ({"crash": "out of memory"}, AnalysisCrashed),
    ],
)
def test_what_an_answer_means(answer: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        parse_analysis(answer, Path())
    if isinstance(raised.value, Refusal):
        assert (raised.value.message, raised.value.code, raised.value.remedy) == ("m", "c", "r")


async def test_a_descriptor_is_all_a_child_gets(scratch: Path, no_leaks: None, wav: Path) -> None:
    """The name in the request is a folder of ours; the input itself has none that a child is told."""
    asked: list[bytes] = []

    class Listening(Puppet):
        async def _read(self, *_: Any) -> dict[str, Any]:
            return {"record": {}, "max_rss_bytes": 1}

    box = Listening(scratch, b"")
    box._folder = ChildFolder(scratch, None)
    ours, theirs = socket.socketpair()
    box._socket = ours
    box._process = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=-1)
    with theirs:
        await analyze(box, wav)
        message, descriptors, _, _ = socket.recv_fds(theirs, 1 << 16, 4)
        asked.append(message)
    file: BinaryIO = os.fdopen(descriptors[0], "rb")
    with file:
        assert file.read() == wav.read_bytes()
    assert len(descriptors) == 1
    assert "tone.wav" not in asked[0].decode()
    await box.stop()


async def test_a_preview_is_encoded_in_confinement_by_a_child_that_stands_back(
    scratch: Path, no_leaks: None, wav: Path
) -> None:
    box = Sandbox(scratch, niceness=19)
    await box.start()
    try:
        with wav.open("rb") as file:
            encoded = await box.encode_preview(file, wall_s=60.0, limits=Limits())
        assert encoded.record == {"preview": {"path": "preview.mp3", "duration_s": 1.0}}
        results = Results(encoded.record | {"analysis_version": "preview-1"}, encoded.folder)
        with results.open("preview.mp3") as preview:
            assert preview.read(3) in (b"ID3", b"\xff\xfb\x92"), "it is MP3"
        assert os.getpriority(os.PRIO_PROCESS, pid_of(box)) == 19
        wav.write_text("This is no sound.\n" * 100)
        with wav.open("rb") as file, pytest.raises(UnreadableAudio):
            await box.encode_preview(file, wall_s=60.0, limits=Limits())
    finally:
        await box.stop()
