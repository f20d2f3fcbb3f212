"""One owner a folder, whoever died before."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from embedded_supabase import lock
from embedded_supabase.errors import EmbeddedError
from tests.waiting import LIMIT_S

HOLD = """
import sys, time
from pathlib import Path
from embedded_supabase import lock
with lock.hold_lock(Path(sys.argv[1])) as tell:
    tell(url="http://127.0.0.1:1")
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_what_an_owner_tells_is_read(tmp_path: Path) -> None:
    assert lock.read(tmp_path) is None
    with lock.hold_lock(tmp_path) as tell:
        assert lock.read(tmp_path) == {"pid": os.getpid()}
        tell(url="http://x", db_url="postgresql://y")
        tell(url="http://z")
        assert lock.read(tmp_path) == {"pid": os.getpid(), "url": "http://z", "db_url": "postgresql://y"}
    assert lock.read(tmp_path) is None
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600, "it holds a password"


def test_a_second_owner_is_told_of_the_first(tmp_path: Path) -> None:
    process = holder(tmp_path)
    with pytest.raises(EmbeddedError) as refused, lock.hold_lock(tmp_path):
        pass
    assert refused.value.code == "already_running"
    assert f"process {process.pid}, which serves http://127.0.0.1:1" in refused.value.message
    process.communicate("", timeout=LIMIT_S)
    with lock.hold_lock(tmp_path):
        pass


def test_an_owner_that_is_starting(tmp_path: Path) -> None:
    with (
        lock.hold_lock(tmp_path),
        pytest.raises(EmbeddedError, match="is starting"),
        lock.hold_lock(tmp_path),
    ):
        pass


def test_a_killed_owner_holds_nothing(tmp_path: Path) -> None:
    process = holder(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=LIMIT_S)
    assert json.loads((tmp_path / "lock").read_text())["pid"] == process.pid, "its words are still there"
    assert lock.read(tmp_path) is None
    with lock.hold_lock(tmp_path):
        assert lock.read(tmp_path) == {"pid": os.getpid()}


def test_reading_never_stands_in_the_way(tmp_path: Path) -> None:
    with lock.hold_lock(tmp_path):
        pass
    ended = threading.Event()

    def keep_reading() -> None:
        while not ended.is_set():
            lock.read(tmp_path)

    readers = [threading.Thread(target=keep_reading) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(50):
            with lock.hold_lock(tmp_path):
                pass
    finally:
        ended.set()
        for reader in readers:
            reader.join()


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "null", '{"pid": '])
def test_a_file_half_written(tmp_path: Path, text: str) -> None:
    with lock.hold_lock(tmp_path):
        (tmp_path / "lock").write_text(text)
        assert lock.read(tmp_path) == {}
