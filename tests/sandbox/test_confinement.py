"""What a child that a stranger has taken over can still do: each thing is tried, from inside."""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from soundscape.sandbox import confinement, landlock, limits, seccomp
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux confines")

A_USER = 61_999
PREAMBLE = """
import ctypes, fcntl, json, mmap, os, resource, signal, socket, struct, sys, threading
from pathlib import Path
from soundscape.sandbox import confinement, limits
folder = Path(sys.argv[1])
{before}
os.chdir(folder)
protections = confinement.confine(Path("."), user={user})
{cpu}
found = None
libc = ctypes.CDLL(None, use_errno=True)

def tried(attempt):
    try:
        result = attempt()
    except (OSError, RuntimeError, ImportError):
        return "refused"
    return "done" if result is None else result

def made(result):
    check(0 if result >= 0 else result)

def check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), "refused")
"""

# How the child comes to be who it is, and whether that needs root.
WAYS = {
    "another user": ("", str(A_USER)),
    "the worker's user": ("", "None"),
    "not root": (
        f"confinement.list_python_folders(); os.setgroups([]);"
        f" os.setresgid(*[{A_USER}] * 3); os.setresuid(*[{A_USER}] * 3)",
        "None",
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A child's own folder, whoever it is."""
    folder = tmp_path / "own"
    folder.mkdir()
    folder.chmod(0o777)
    for step in (tmp_path, *tmp_path.parents):
        if step.stat().st_uid == os.geteuid() and step != Path("/"):
            step.chmod(step.stat().st_mode | 0o011)
    return folder


def inside(
    folder: Path, tries: str, *, way: str = "the worker's user", before: str = "", cpu_s: int | None = None
) -> Any:
    """What `tries` leaves in `found`, run by a process that has confined itself as a child does; or its
    status, where it was ended.
    """
    becoming, user = WAYS[way]
    script = PREAMBLE.format(
        before=before or becoming, user=user, cpu=f"limits.allow_cpu({cpu_s})" if cpu_s else ""
    ) + textwrap.dedent(tries)
    ended = subprocess.run(
        [sys.executable, "-c", script + "\nprint(json.dumps(found))\n", str(folder)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env=os.environ | {"SUPABASE_SECRET_KEY": "of the worker"},
    )
    if ended.returncode > 0:
        raise AssertionError(ended.stderr)
    return json.loads(ended.stdout) if ended.returncode == 0 else ended.returncode


def ways() -> list[Any]:
    root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
    return [pytest.param(way, marks=() if way == "the worker's user" else root) for way in WAYS]


@pytest.mark.parametrize("way", ways())
def test_what_is_left_to_an_intruder(folder: Path, tmp_path: Path, way: str) -> None:
    """Everything at once: what must be refused, what must still work, and what the report says of it."""
    others = tmp_path / "another-child"
    others.mkdir()
    (others / "recording").write_text("somebody else's")
    secret = tmp_path / "shadow"
    secret.write_text("root:$6$…")
    secret.chmod(0o600)
    for path in (others, others / "recording"):
        path.chmod(0o777)
    checkout = Path(confinement.__file__).resolve().parents[2] / "pyproject.toml"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = inside(
            folder,
            f"""
            parent = os.getppid()
            ours, pid = sys.stdout.fileno(), ctypes.byref(ctypes.c_int(parent))
            found = dict(
                protections=[list(protections.on), protections.off],
                environment=tried(lambda: open(f"/proc/{{parent}}/environ", "rb").read(1) and None),
                memory=tried(lambda: open(f"/proc/{{parent}}/mem", "rb") and None),
                others=tried(lambda: os.listdir("{others}") and None),
                recording=tried(lambda: open("{others}/recording").read() and None),
                overwrite=tried(lambda: open("{others}/recording", "w") and None),
                secret=tried(lambda: open("{secret}").read() and None),
                passwd=tried(lambda: open("/etc/passwd").read() and None),
                checkout=tried(lambda: open("{checkout}").read() and None),
                root=tried(lambda: os.listdir("/") and None),
                poison=tried(lambda: Path(confinement.__file__).with_name("evil.py").touch()),
                tcp=tried(lambda: socket.socket().connect(("127.0.0.1", {port}))),
                udp=tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM) and None),
                unix=tried(lambda: socket.socket(socket.AF_UNIX) and None),
                pair=tried(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) and None),
                memory_file=tried(lambda: os.memfd_create("x") and None),
                secret_memory=tried(lambda: made(libc.syscall(ctypes.c_long(447), 0))),
                shared_memory=tried(lambda: made(libc.shmget(0, ctypes.c_size_t(1 << 20), 0o1600))),
                semaphores=tried(lambda: made(libc.semget(0, 1, 0o1600))),
                messages=tried(lambda: made(libc.msgget(0, 0o1600))),
                queue=tried(lambda: made(libc.mq_open(b"/soundscape-test", os.O_CREAT, 0o600, None))),
                outlive_parent=tried(lambda: check(libc.prctl(1, 0, 0, 0, 0))),
                be_readable=tried(lambda: check(libc.prctl(4, 1, 0, 0, 0))),
                fork=tried(lambda: os.fork() and None),
                spawn=tried(lambda: os.posix_spawn("/bin/true", ["true"], {{}}) and None),
                execute=tried(lambda: os.execv("/bin/true", ["true"])),
                probe=tried(lambda: os.kill(parent, 0)),
                stop=tried(lambda: os.kill(parent, signal.SIGSTOP)),
                signals=tried(lambda: fcntl.fcntl(ours, fcntl.F_SETOWN, parent) and None),
                which_signal=tried(lambda: fcntl.fcntl(ours, 10, int(signal.SIGKILL)) and None),
                signals_by_name=tried(lambda: check(libc.fcntl(ours, 15, struct.pack("ii", 1, parent)))),
                signals_of_terminals=tried(lambda: check(libc.ioctl(ours, 0x8901, pid))),
                signals_of_sockets=tried(lambda: check(libc.ioctl(ours, 0x8902, pid))),
                become_another=tried(lambda: os.setresuid(1, 1, 1)),
                limits=tried(lambda: resource.prlimit(parent, resource.RLIMIT_CPU, (1, 1)) and None),
                modes=tried(lambda: os.chmod(".", 0o700)),
                times=tried(lambda: os.utime(".")),
                subfolder=tried(lambda: os.mkdir("deeper")),
                link=tried(lambda: os.symlink("/etc/passwd", "link")),
                pipe=tried(lambda: os.mkfifo("pipe")),
                namespace=tried(lambda: check(libc.unshare(0x10000000))),
                write=tried(lambda: Path("mine").write_text("x") and None),
                read=tried(lambda: Path("mine").read_text() and None),
                remove=tried(lambda: Path("mine").unlink()),
                late_import=tried(lambda: __import__("colorsys") and None),
                thread=tried(lambda: threading.Thread(target=int).start()),
                own_name=tried(lambda: check(libc.prctl(15, b"analysis", 0, 0, 0))),
                own_limits=tried(lambda: limits.allow_cpu(30)),
                own_flags=tried(lambda: os.set_blocking(ours, True)),
            )
            """,
            way=way,
        )
    on, off = found.pop("protections")
    if landlock.abi() == 0 or platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip(f"this kernel lacks some: {off}")
    expected_off = set() if way == "another user" else {"user"}
    assert set(off) == expected_off
    assert set(on) | set(off) == set(confinement.NAMES)
    allowed = {"write", "read", "remove", "late_import", "thread", "own_name", "own_limits", "own_flags"}
    if way != "the worker's user" and confinement.find_closed_folder(confinement.list_python_folders()):
        del found["late_import"]  # Python lies where only root may look
        allowed -= {"late_import"}
    assert {name for name, outcome in found.items() if outcome != "refused"} == allowed, found


@pytest.mark.parametrize("way", ["the worker's user", "not root"])
def test_no_descriptor_sends_a_signal_for_it(folder: Path, way: str) -> None:
    """On kernels whose Landlock does not scope signals the filter of calls is all that keeps them in."""
    victim = subprocess.Popen(["sleep", "60"], **({"user": A_USER} if way == "not root" else {}))
    try:
        found = inside(
            folder,
            f"""
            ours, theirs = os.pipe()
            found = dict(
                directly=tried(lambda: os.kill({victim.pid}, signal.SIGKILL)),
                owner=tried(lambda: fcntl.fcntl(ours, fcntl.F_SETOWN, {victim.pid}) and None),
                signal=tried(lambda: fcntl.fcntl(ours, 10, int(signal.SIGKILL)) and None),
                flags=tried(lambda: fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC) and None),
                trigger=tried(lambda: os.write(theirs, b"x") and None),
            )
            """,
            way=way,
            before="from soundscape.sandbox import landlock; landlock.abi = lambda: 4\n" + WAYS[way][0],
        )
        assert (found["directly"], found["owner"], found["signal"]) == ("refused",) * 3
        with pytest.raises(subprocess.TimeoutExpired):
            victim.wait(0.5)
    finally:
        victim.kill()
        victim.wait()


# -- one by one ---------------------------------------------------------------------------------------------


def test_memory(folder: Path) -> None:
    found = inside(
        folder,
        """
        fits = mmap.mmap(-1, 256 << 20)
        found = tried(lambda: mmap.mmap(-1, limits.MEMORY_BYTES) and None)
        """,
    )
    assert found == "refused"


def test_memory_that_python_asks_for(folder: Path) -> None:
    assert (
        inside(
            folder,
            """
        try:
            eaten = [bytearray(64 << 20) for _ in range(1000)]
        except MemoryError:
            found = "refused"
        """,
        )
        == "refused"
    )


def test_file_size(folder: Path) -> None:
    found = inside(
        folder,
        """
        with open("large", "wb") as file:
            file.truncate(limits.FILE_SIZE_BYTES)  # sparse: no block is written
            try:
                os.pwrite(file.fileno(), b"x", limits.FILE_SIZE_BYTES)
            except OSError as error:
                found = error.strerror
        """,
    )
    assert found == "File too large"


def test_open_files(folder: Path) -> None:
    found = inside(
        folder,
        """
        opened = []
        try:
            while len(opened) < 10_000:
                opened.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            found = len(opened)
        for fd in opened:
            os.close(fd)
        """,
    )
    assert 200 < found < limits.OPEN_FILES


def test_cpu_time(folder: Path) -> None:
    assert inside(folder, "while True: pass", cpu_s=1) == -signal.SIGXCPU


def test_cpu_time_of_a_life(folder: Path) -> None:
    """What one file is granted may be raised from inside, its signal ignored; the whole life's may not."""
    found = inside(
        folder,
        """
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        limits.allow_cpu(1_000_000)
        found = resource.getrlimit(resource.RLIMIT_CPU)
        while True: pass
        """,
        before="limits.LIFE_CPU_S = 1",
    )
    assert found == -signal.SIGKILL


def test_no_datagram_leaves_by_a_socket_of_a_pair(folder: Path, tmp_path: Path) -> None:
    """Neither Landlock nor a network namespace looks at sockets that are files."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        path.chmod(0o777)
        server.setblocking(False)
        found = inside(
            folder,
            f"""
            def send():
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
                ours.sendto(b"out", "{path}")
            found = tried(send)
            """,
        )
        with pytest.raises(BlockingIOError):
            server.recv(16)
    assert found == "refused"


def test_the_socket_to_the_worker_leads_nowhere_else(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.create_server(str(path), family=socket.AF_UNIX):
        path.chmod(0o777)
        found = inside(
            folder,
            f"""
            found = [
                tried(lambda: ours.connect("{path}")),
                tried(lambda: ours.sendto(b"out", "{path}") and None),
                tried(lambda: ours.sendall(b"to the worker")),
            ]
            """,
            before="ours, theirs = socket.socketpair()",
        )
    assert found == ["refused", "refused", "done"]


def test_limits_cannot_be_raised_again(folder: Path) -> None:
    found = inside(
        folder,
        """
        found = []
        for name in ("RLIMIT_AS", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_CPU"):
            soft, hard = resource.getrlimit(getattr(resource, name))
            def raised(name=name, hard=hard):
                resource.setrlimit(getattr(resource, name), (hard + 1, hard + 1))
            try:
                found.append([soft == hard, tried(raised)])
            except ValueError:
                found.append([soft == hard, "refused"])
        """,
    )
    assert found == [[True, "refused"]] * 5


def test_privileges(folder: Path) -> None:
    status = "os.pread(status, 8192, 0).decode()"
    found = inside(folder, f"found = {status}", before='status = os.open("/proc/self/status", os.O_RDONLY)')
    lines = dict(line.split(":\t", 1) for line in found.splitlines())
    assert [int(lines[f"Cap{kind}"], 16) for kind in ("Eff", "Prm", "Inh", "Amb")] == [0] * 4
    assert (lines["NoNewPrivs"], lines["Seccomp"]) == ("1", "2")


def test_abort_still_ends_it(folder: Path) -> None:
    """A library that aborts must die of it, not go on with half its state."""
    assert inside(folder, "os.abort()") == -signal.SIGABRT


def test_it_ends_with_its_parent(folder: Path) -> None:
    """A worker that is killed leaves no child computing for nobody."""
    spinning = PREAMBLE.format(before="", user="None", cpu="")
    spinning += "print(os.getpid(), flush=True)\nwhile True: pass\n"
    script = textwrap.dedent(f"""
        import os, subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", {spinning!r}, {str(folder)!r}])
        child.wait()
    """)
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert Path(f"/proc/{child}").exists()
    parent.kill()
    parent.wait()
    assert parent.stdout.read() == ""  # the pipe closes when the last of its holders is gone
    parent.stdout.close()


def test_an_unknown_call_is_answered_as_by_an_older_kernel(folder: Path) -> None:
    found = inside(
        folder,
        """
        found = []
        for number in (435, 463, 999):  # clone3, and what this version does not know
            libc.syscall(ctypes.c_long(number), None, ctypes.c_size_t(0))
            found.append(ctypes.get_errno())
        """,
    )
    assert found == [errno.ENOSYS] * 3


@pytest.mark.parametrize(
    ("machine", "header"), [("x86_64", "asm/unistd_64.h"), ("aarch64", "asm-generic/unistd.h")]
)
def test_the_numbers_are_the_kernels(machine: str, header: str) -> None:
    places = [Path("/usr/include") / header, Path("/usr/include/x86_64-linux-gnu") / header]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        pytest.skip(f"no {header} here")
    numbers = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text()))
    column = 0 if machine == "x86_64" else 1
    known = {name: columns[column] for name, columns in seccomp.REFUSED.items()}
    for name, number in known.items():
        if name in numbers:
            assert number == int(numbers[name]), name
        else:
            assert number is None or number > 449, f"{name} is not in {path}"


def test_a_program_is_whole() -> None:
    """Every instruction has eight bytes, every jump lands inside, and the last one returns."""
    for machine in ("x86_64", "aarch64"):
        code = seccomp.make_program(machine, 1234)
        count, rest = divmod(len(code), 8)
        assert rest == 0
        assert count < 4096
        for index in range(count - 1):
            assert index + 1 + max(code[index * 8 + 2 : index * 8 + 4]) < count
        assert code[-8] == 0x06


def test_a_second_thread_is_said(folder: Path) -> None:
    """Landlock would bind one thread only: that is no protection, and not called one."""
    script = PREAMBLE.replace(
        "os.chdir(folder)",
        "import time; threading.Thread(target=time.sleep, args=(2,)).start(); os.chdir(folder)",
    )
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            script.format(before="", user="None", cpu="") + "print(json.dumps(protections.off))",
            str(folder),
        ],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    assert json.loads(ended.stdout)["files"] == "2 threads run already"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("hidden", [False, True])
def test_a_worker_hides_its_environment_from_its_own_user(hidden: bool) -> None:
    """Where a kernel has no Landlock to do it: from a process of the same user, and of no privileges."""
    script = textwrap.dedent(f"""
        import os, sys
        from soundscape.sandbox import confinement
        os.setgroups([]); os.setresgid(*[{A_USER}] * 3); os.setresuid(*[{A_USER}] * 3)
        confinement._prctl(confinement._PR_SET_DUMPABLE, 1)  # as it is after a program is started
        if {hidden}:
            confinement.hide_environment()
        if os.fork() == 0:
            try:
                found = open(f"/proc/{{os.getppid()}}/environ").read().count("SUPABASE_SECRET_KEY")
            except PermissionError:
                found = "refused"
            print(found, flush=True)
            os._exit(0)
        os.wait()
    """)
    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"SUPABASE_SECRET_KEY": "of the worker"},
    )
    assert ended.stdout.strip() == ("refused" if hidden else "1")


def test_what_is_readable_holds_no_settings() -> None:
    """A checkout is on Python's path, and its .env beside the package."""
    root = Path(confinement.__file__).resolve().parents[2]
    assert not any(root.is_relative_to(folder) for folder in confinement.list_python_folders())


def test_unreachable_for_others(tmp_path: Path) -> None:
    open_one, closed = tmp_path / "open", tmp_path / "closed"
    for folder, mode in ((open_one, 0o755), (closed, 0o750)):
        (folder / "inner").mkdir(parents=True)
        folder.chmod(mode)
    assert confinement.find_closed_folder([closed / "inner"]) == closed
    found = confinement.find_closed_folder([open_one / "inner"])
    assert found is None or not found.is_relative_to(open_one)
