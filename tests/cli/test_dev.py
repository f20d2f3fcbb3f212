"""The life of `soundscape dev`: it starts, says where it is, stops whole, and survives being killed."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from embedded_supabase.keys import Keys
from soundscape.cli.embedded_environment import make_environment
from soundscape.cli.embedded_project import make_worker_settings
from tests import templates
from tests.waiting import LIMIT_S, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

COMMAND = (sys.executable, "-m", "soundscape")


@dataclass
class Dev:
    """One `soundscape dev` process."""

    process: subprocess.Popen[str]
    data_dir: Path
    url: str = ""

    def await_up(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"up at (http://\S+),", line):
                self.url = found[1]
            if line.startswith("Settings:"):
                return
        raise AssertionError(f"it ended with {self.process.wait()}")

    def environment(self) -> dict[str, str]:
        printed = soundscape("env", "--data-dir", str(self.data_dir))
        assert printed.returncode == 0, printed.stderr
        return dict(line.split("=", 1) for line in printed.stdout.splitlines())

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(LIMIT_S)


Start = Callable[..., Dev]


@pytest.fixture
def start(data_dirs: Path, request: pytest.FixtureRequest) -> Iterator[Start]:
    started: list[Dev] = []
    # One folder for the whole module: making a cluster takes longer than using one.
    shared = data_dirs / "dev"
    if not shared.exists():
        templates.copy_project(shared)

    def run(*options: str, data_dir: Path = shared) -> Dev:
        # Children of the worker know no name of ours, but their working directory is in here.
        temporary = data_dir.with_name(f"{data_dir.name}-tmp")
        temporary.mkdir(exist_ok=True)
        process = subprocess.Popen(
            [*COMMAND, "dev", "--port", "0", "--data-dir", str(data_dir), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"TMPDIR": str(temporary)},
        )
        started.append(Dev(process, data_dir))
        started[-1].await_up()
        return started[-1]

    yield run
    for dev in started:
        if dev.process.poll() is None:
            dev.process.kill()
        dev.process.wait()
        assert dev.process.stdout is not None
        dev.process.stdout.close()


def soundscape(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def processes_of(data_dir: Path) -> dict[int, str]:
    """Every living process that names the folder in its command line, or works beside it."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            cwd = os.readlink(folder / "cwd")
        except OSError:
            continue
        if state != "Z" and (str(data_dir) in command or cwd.startswith(f"{data_dir}-tmp")):
            found[int(folder.name)] = command
    return found


def children_of(dev: Dev) -> list[int]:
    """The analysis children of its worker. Those of one that was killed before end alone."""
    found = []
    for pid, command in processes_of(dev.data_dir).items():
        with suppress(OSError):
            parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == dev.process.pid and "sandbox.child" in command:
                found.append(pid)
    return found


def await_gone(data_dir: Path) -> None:
    until(lambda: not processes_of(data_dir), "processes are left")


def test_killed_and_started_again_and_anew(start: Start) -> None:
    """kill -9 leaves no Postgres and no child behind; the same data is there the next time, warm."""
    first = start()
    settings = first.environment()
    with psycopg.connect(settings["SUPABASE_DB_URL"], autocommit=True) as connection:
        connection.execute("create table if not exists public.kept (n int)")
        connection.execute("delete from public.kept")
        connection.execute("insert into public.kept values (42)")
    first.process.kill()
    first.process.wait()
    assert soundscape("env", "--data-dir", str(first.data_dir)).returncode == 2, "nobody runs there now"

    second = start()
    again = second.environment()
    changed = {name for name in settings if settings[name] != again[name]}
    ports = {"SUPABASE_URL", "SUPABASE_DB_URL", "SOUNDSCAPE_WORKER_URL"}
    assert changed <= ports, "keys survive, ports may not"
    with psycopg.connect(again["SUPABASE_DB_URL"]) as connection:
        assert connection.execute("select n from public.kept").fetchall() == [(42,)]

    def count_postgres() -> int:
        return sum("/bin/postgres " in command for command in processes_of(second.data_dir).values())

    # A process that Postgres has just forked has its command line for a moment.
    until(lambda: count_postgres() == 1, "the killed one's Postgres is left")

    # Killed once more and begun anew: even what the killed one left running is forgotten.
    second.process.kill()
    second.process.wait()
    third = start("--fresh")
    anew = third.environment()
    assert anew["SUPABASE_SECRET_KEY"] != again["SUPABASE_SECRET_KEY"]
    with psycopg.connect(anew["SUPABASE_DB_URL"]) as connection:
        assert connection.execute("select to_regclass('public.kept')").fetchone() == (None,)
    assert third.end(signal.SIGTERM) == 0
    await_gone(third.data_dir)


def test_a_second_start_on_the_same_folder(start: Start) -> None:
    first = start()
    second = soundscape("dev", "--port", "0", "--data-dir", str(first.data_dir))
    assert second.returncode == 2
    assert str(first.process.pid) in second.stderr
    assert first.url in second.stderr
    assert "Traceback" not in second.stderr
    # Even where the port would be the first thing to fail.
    port = first.url.rpartition(":")[2]
    third = soundscape("dev", "--port", port, "--data-dir", str(first.data_dir))
    assert (third.returncode, "already_running" in third.stderr) == (2, True)
    # On another folder, the port is what is wrong.
    fourth = soundscape("dev", "--port", port, "--data-dir", f"{first.data_dir}-other")
    assert (fourth.returncode, "port_taken" in fourth.stderr) == (2, True)
    assert httpx.get(f"{first.url}/api/health/live").status_code == 200
    assert first.end(signal.SIGINT) == 0
    await_gone(first.data_dir)


def test_what_env_prints_works(start: Start) -> None:
    dev = start()
    settings = dev.environment()
    assert settings["SUPABASE_URL"] == dev.url
    assert settings["SOUNDSCAPE_WEBHOOK_SECRET"].startswith("whsec_")
    assert settings["SOUNDSCAPE_WORKER_URL"] == dev.url
    for key in ("ANON_KEY", "PUBLISHABLE_KEY", "SECRET_KEY", "SERVICE_ROLE_KEY"):
        answer = httpx.get(
            f"{dev.url}/rest/v1/users?select=id", headers={"apikey": settings[f"SUPABASE_{key}"]}
        )
        assert (answer.status_code, answer.json()) == (200, []), key
    assert httpx.get(f"{dev.url}/rest/v1/users", headers={"apikey": "no key"}).status_code == 401
    keys = dev.data_dir / "keys.json"
    assert keys.stat().st_mode & 0o777 == 0o600
    # Nothing but the loopback hears it.
    address, port = dev.url.removeprefix("http://").split(":")
    assert address == "127.0.0.1"
    listening = [
        line.split()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{int(port):04X}")
    ]
    assert listening == [f"0100007F:{int(port):04X}"]


def test_stopped_while_the_worker_warms_up(start: Start) -> None:
    dev = start()
    # However long warming up takes: these never end it by themselves.
    for pid in until(lambda: children_of(dev)):
        os.kill(pid, signal.SIGSTOP)
    assert dev.end(signal.SIGTERM) == 0
    await_gone(dev.data_dir)


def test_a_second_signal_waits_for_no_job(start: Start) -> None:
    """The first lets the running job finish, the second gives it back; the next start does it."""
    dev = start()
    settings = dev.environment()
    until(lambda: httpx.get(f"{dev.url}/api/health/ready").status_code == 200)
    # One for recordings, one for snippets: whichever it is.
    for pid in children_of(dev):
        os.kill(pid, signal.SIGSTOP)
    key = {"apikey": settings["SUPABASE_PUBLISHABLE_KEY"]}
    person = {"email": "somebody@example.com", "password": "correct horse battery"}
    session = httpx.post(f"{dev.url}/auth/v1/signup", headers=key, json=person).json()
    headers = key | {"authorization": f"Bearer {session['access_token']}"}
    name = f"{session['user']['id']}/x.wav"
    httpx.post(
        f"{dev.url}/storage/v1/object/audio-files/{name}",
        headers=headers | {"content-type": "audio/wav"},
        content=b"These bytes are never heard: their listener is stopped.",
    ).raise_for_status()
    httpx.post(
        f"{dev.url}/rest/v1/audio_files", headers=headers, json={"title": "x", "file_path": name}
    ).raise_for_status()

    def job(db_url: str) -> tuple[str, str | None]:
        with psycopg.connect(db_url) as connection:
            row = connection.execute(
                "select j.state, j.error_code from soundscape.jobs j"
                " join public.audio_files f on f.id = j.audio_id where f.file_path = %s",
                (name,),
            ).fetchone()
        assert row is not None
        return row

    until(lambda: job(settings["SUPABASE_DB_URL"])[0] == "running")
    dev.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert dev.process.poll() is None, "a running job is waited for"
    assert dev.end(signal.SIGTERM) == 130
    await_gone(dev.data_dir)

    dev = start()
    db_url = dev.environment()["SUPABASE_DB_URL"]
    seen: list[tuple[str, str | None]] = []

    def is_refused() -> bool:
        seen.append(job(db_url))
        return seen[-1][0] == "refused"

    until(is_refused)
    assert seen.pop() == ("refused", "not_audio")
    # Given back, it waits for no lease to run out.
    assert {state for state in seen if state[0] != "running"} <= {("queued", "worker_stopped")}
    assert dev.end(signal.SIGTERM) == 0


def test_the_worker_in_it_heeds_the_environment() -> None:
    project = make_environment("http://127.0.0.1:1", Keys.make(), "postgresql://")
    elsewhere = {
        "SUPABASE_URL": "https://another.supabase.co",
        "SUPABASE_SECRET_KEY": "sb_secret_of_another",
        "SOUNDSCAPE_WEBHOOK_SECRET": "whsec_of_another",
        "SOUNDSCAPE_WORKERS": "3",
        "SOUNDSCAPE_LEASE_S": "7",
    }
    settings = make_worker_settings(project, elsewhere)
    assert (settings.workers, settings.lease_s) == (3, 7)
    assert settings.supabase_url == "http://127.0.0.1:1"
    assert settings.secret_key == project["SUPABASE_SECRET_KEY"]
    assert settings.webhook_secrets == (project["SOUNDSCAPE_WEBHOOK_SECRET"],)


def test_env_where_nobody_runs(data_dirs: Path) -> None:
    answer = soundscape("env", "--data-dir", str(data_dirs / "nowhere"))
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "not_running" in answer.stderr
    assert "soundscape dev --data-dir" in answer.stderr


def test_a_port_somebody_else_has(data_dirs: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        answer = soundscape("dev", "--port", str(port), "--data-dir", str(data_dirs / "elsewhere"))
    assert answer.returncode == 2
    assert "port_taken" in answer.stderr
    assert "--port" in answer.stderr
