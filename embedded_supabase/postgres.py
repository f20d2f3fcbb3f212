"""The embedded Postgres: makes, starts and stops a cluster on loopback."""

from __future__ import annotations

import ctypes
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import psycopg

from embedded_supabase.binaries import (
    REACHABLE_HOME,
    UNPRIVILEGED_UID,
    choose_user,
    find_binaries,
    is_reachable,
)
from embedded_supabase.errors import EmbeddedError

SUPERUSER = "supabase_admin"
EXTENSIONS = Path(__file__).parent / "extensions"
CONFIGURATION = Path(__file__).with_name("postgresql.conf")
NOBODYS_PID = 999_999_999  # above any kernel's limit
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0


@dataclass
class Postgres:
    """A cluster.

    Parameters
    ----------
    home : Path
        Its folder. As root, the cluster lies elsewhere where `nobody` cannot enter this folder.
    password : str
        Of every role that can log in.
    durable : bool
        False turns fsync off: for tests, whose data nobody will miss.
    port : int
        On 127.0.0.1; 0 takes a free one at `start`.
    """

    home: Path
    password: str
    durable: bool = True
    port: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def dsn(self, role: str = "postgres", *, dbname: str = "postgres") -> str:
        """The connection string of a role.

        Parameters
        ----------
        role : str
            `SUPERUSER`, `postgres` or a role of a service.
        dbname : str

        Returns
        -------
        str
            A `postgresql://` URL with the password.
        """
        return f"postgresql://{role}:{self.password}@127.0.0.1:{self.port}/{dbname}"

    @property
    def log_path(self) -> Path:
        """The server's log file."""
        return self._root / "postgres.log"

    def start(self) -> None:
        """Start the server. Makes the cluster first where there is none, and stops a dead owner's server.

        Raises
        ------
        EmbeddedError
            `postgres_missing` without binaries, `postgres_failed` when the server does not come up. Its own
            messages are in `log_path`.
        """
        if ":" in str(self._root):
            raise EmbeddedError(
                f"The path {self._root} has a colon. Postgres reads a colon as the end of a path.",
                code="postgres_failed",
                remedy="Name another --data-dir.",
            )
        self._root.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(self._root, UNPRIVILEGED_UID, -1)
        self._root.chmod(0o700)
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        self._end_orphan()
        self._install_extensions()
        self.port = self.port or _find_free_port()
        self._launch()
        self._await_ready()

    def stop(self) -> None:
        """Shut down fast: sessions end, data is checkpointed. Does nothing when it is not running."""
        if self._process is None:
            return
        for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            self._process.send_signal(how)
            try:
                self._process.wait(STOP_TIMEOUT_S)
                break
            except subprocess.TimeoutExpired:
                continue
        self._process = None

    def erase(self) -> None:
        """Delete the cluster in `home`. Stops the server that a killed owner left running on it."""
        if self._data.exists():
            self._end_orphan()
        shutil.rmtree(self._root, ignore_errors=True)

    # -- where things lie ---------------------------------------------------------------------

    @property
    def _root(self) -> Path:
        """`home`, or a place the unprivileged uid can enter when `home` is not one."""
        if os.geteuid() != 0 or is_reachable(self.home.parent.resolve()):
            return self.home
        name = sha256(str(self.home.resolve()).encode()).hexdigest()[:16]
        return REACHABLE_HOME / name

    @property
    def _data(self) -> Path:
        return self._root / "data"

    def _run(self, command: list[str]) -> None:
        result = subprocess.run(command, capture_output=True, text=True, cwd="/", **choose_user())  # noqa: S603
        if result.returncode != 0:
            raise EmbeddedError(
                f"{Path(command[0]).name} failed: {result.stderr.strip() or result.stdout.strip()}",
                code="postgres_failed",
                remedy=f"Remove {self.home} to start afresh, or name a Postgres in SOUNDSCAPE_POSTGRES_BIN.",
            )

    # -- life -------------------------------------------------------------------------------------

    def _initialise(self) -> None:
        # A cluster whose initdb was killed has no PG_VERSION: start over.
        shutil.rmtree(self._data, ignore_errors=True)
        making = self._root / f"making-{secrets.token_hex(4)}"
        with tempfile.NamedTemporaryFile("w", dir=self._root, suffix=".pw") as password_file:
            password_file.write(self.password)
            password_file.flush()
            if os.geteuid() == 0:
                os.chown(password_file.name, UNPRIVILEGED_UID, -1)
            self._run([
                str(find_binaries() / "initdb"), "-D", str(making), "-U", SUPERUSER, "--auth=scram-sha-256",
                f"--pwfile={password_file.name}", "--encoding=UTF8", "--locale-provider=builtin",
                "--locale=C.UTF-8", "--no-sync",
            ])  # fmt: skip
        making.rename(self._data)

    def _install_extensions(self) -> None:
        """Copy our SQL extensions to where Postgres can read them, whatever its uid."""
        target = self._root / "share" / "extension"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(EXTENSIONS, target)
        _write_pgmq(target)
        _trust_vector(target)
        if os.geteuid() == 0:
            for path in (target.parent, target, *target.iterdir()):
                os.chown(path, UNPRIVILEGED_UID, -1)

    def _launch(self) -> None:
        shutil.copyfile(CONFIGURATION, self._data / "postgresql.conf")
        command = [str(find_binaries() / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        command += ["-c", f"extension_control_path={self._root / 'share'}:$system"]
        if not self.durable:
            # synchronous_commit stays on. The logical stream ends where the log was flushed; the background
            # flush alone would make every change 200 ms late.
            command += ["-c", "fsync=off", "-c", "full_page_writes=off"]
        # The signal comes when the thread that forked ends, so only the main thread may ask for it.
        may_die_with_us = sys.platform == "linux" and threading.current_thread() is threading.main_thread()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                # A Ctrl-C in the terminal must not reach Postgres: we stop it after the services.
                start_new_session=True,
                preexec_fn=_die_with_parent if may_die_with_us else None,
                **choose_user(),
            )

    def _await_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                psycopg.connect(self.dsn(SUPERUSER), connect_timeout=2).close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    tail = self.log_path.read_text(errors="replace")[-2000:]
                    raise EmbeddedError(
                        f"Postgres did not start: {error}\n{tail}",
                        code="postgres_failed",
                        remedy=f"The log is {self.log_path}.",
                    ) from error
            time.sleep(0.02)

    def _end_orphan(self) -> None:
        """Stop the server that a killed owner left running on this directory.

        The caller holds the lock of the data directory, so the owner is not alive.
        """
        pid_file = self._data / "postmaster.pid"
        try:
            first, _, rest = pid_file.read_text().partition("\n")
            pid = int(first)
        except FileNotFoundError:
            return
        except ValueError:
            pid_file.unlink()  # a full disk or a power cut left it broken: Postgres would refuse to start
            return
        command_line = _read_command_line(pid)
        if str(self._data) not in command_line:
            # After a reboot another process may have the pid: `pg_ctl stop` would signal it, and Postgres
            # would take it for a running server. In the rest Postgres finds the dead server's children.
            if command_line:
                pid_file.write_text(f"{NOBODYS_PID}\n{rest}")
            return
        self._run([
            str(find_binaries() / "pg_ctl"), "stop", "-D", str(self._data), "-m", "fast", "-w", "-t", "20",
        ])  # fmt: skip


def _die_with_parent() -> None:
    """Shut Postgres down fast when this process is killed (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGINT)


def _read_command_line(pid: int) -> str:
    """The command line of process `pid`; empty when there is no such process."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    command = ["ps", "-o", "args=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write_pgmq(target: Path) -> None:
    """`create extension pgmq` from the SQL that the PyPI package carries."""
    import pgmq.sql

    folder = Path(pgmq.sql.__file__).parent
    version = (folder / "pgmq.sql.version").read_text().strip().removeprefix("v")
    (target / "pgmq.control").write_text(
        f"comment = 'A lightweight message queue (PyPI pgmq)'\ndefault_version = '{version}'\n"
        "relocatable = false\nschema = pgmq\nsuperuser = true\ntrusted = true\n"
    )
    # Hosted projects hand the queue's objects to `postgres` after creating the extension.
    hand_over = (EXTENSIONS / "pgmq.after").read_text()
    (target / f"pgmq--{version}.sql").write_text((folder / "pgmq.sql").read_text() + "\n" + hand_over)


def _trust_vector(target: Path) -> None:
    """Let `postgres`, which is no superuser, create pgvector, as on hosted projects."""
    shipped = find_binaries().parent / "share" / "extension"
    control = (shipped / "vector.control").read_text()
    match = re.search(r"default_version = '([^']+)'", control)
    if match is None:
        raise EmbeddedError("This Postgres has no pgvector.", code="postgres_missing")
    shutil.copyfile(shipped / f"vector--{match[1]}.sql", target / f"vector--{match[1]}.sql")
    (target / "vector.control").write_text(control + "trusted = true\n")
