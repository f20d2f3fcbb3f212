"""The confinement of an analysis child: what it gives up for good before it reads a stranger's file.

The protections are independent. A kernel that lacks one still gives the others:

| name | what it takes away | by |
|---|---|---|
| `memory` | memory, file size, open files, core files, hours of computing | rlimits |
| `network` | every network, loopback included | a network namespace; else no sockets (seccomp) |
| `user` | being the worker's user | a user id of its own, where the worker is root |
| `privileges` | capabilities, and gaining any | capset(2), no_new_privs |
| `files` | all files but Python, the models and its own folder | Landlock |
| `calls` | processes, programs, sockets, signals, shared memory, file modes | seccomp |

docs/decisions/analysis-sandbox.md says what holds on which kernel.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import site
import struct
import sys
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from soundscape.sandbox import landlock, limits, seccomp

NAMES = ("memory", "network", "user", "privileges", "files", "calls")
FIRST_USER, LAST_USER = 61_184, 65_519
"""User ids that systemd reserves for services while they run."""

_CLONE_NEWUSER, _CLONE_NEWNET = 0x1000_0000, 0x4000_0000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CAPABILITY_VERSION_3 = 0x2008_0522
_SYSTEM_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")


@dataclass(frozen=True)
class Protections:
    """Which protections are on, and why each other one is off."""

    on: tuple[str, ...]
    off: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Return both fields, for JSON."""
        return asdict(self)


def confine(folder: Path, *, user: int | None = None, read: Iterable[Path] = ()) -> Protections:
    """Give up everything that analysis does not need.

    Parameters
    ----------
    folder
        The only folder to write in.
    user
        The user and group id to change to. Needs root.
    read
        What may be read besides Python.

    Returns
    -------
    Protections
        What the kernel granted. A protection that it does not support is in `off`; nothing is raised.
    """
    if sys.platform != "linux":
        limits.set_limits()
        return Protections((), dict.fromkeys(NAMES, "only Linux has it"))
    on: list[str] = []
    off: dict[str, str] = {}

    def attempt(name: str, step: Callable[[], object]) -> None:
        try:
            step()
        except OSError as error:
            off[name] = error.strerror or str(error)
        else:
            on.append(name)

    attempt("memory", limits.set_limits)
    rules: landlock.Ruleset | None = None
    try:
        # Its folders are opened now, while the user may still open them.
        rules = _file_rules(folder, read)
    except OSError as error:
        off["files"] = str(error)
    attempt("network", _leave_network)
    if user is None:
        off["user"] = "no other user id was given"
    else:
        attempt("user", lambda: _change_user(user))
    attempt("privileges", _drop_privileges)
    if rules is not None:
        attempt("files", rules.restrict)
    # Before seccomp, which refuses these calls.
    _die_with_parent()
    _prctl(_PR_SET_DUMPABLE, 0)
    attempt("calls", seccomp.install)
    if "network" in off and "calls" in on:
        del off["network"]
        on.append("network")
    return Protections(tuple(name for name in NAMES if name in on), off)


def list_python_folders() -> list[Path]:
    """List the folders of Python, its packages and libraries. None of them may hold a `.env` file."""
    paths = sysconfig.get_paths()
    named = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    named |= {entry for entry in sys.path if entry.endswith(("-packages", "lib-dynload"))}
    named |= {*site.getsitepackages(), *_SYSTEM_LIBRARIES, *_DEVICES}
    # In a checkout the package is beside .env: the package's folder, not the one on the path.
    return [*map(Path, sorted(named)), Path(__file__).resolve().parents[1]]


def choose_user(read: Iterable[Path]) -> tuple[int | None, str]:
    """Choose a user id for a child.

    Parameters
    ----------
    read
        What the child must be able to read besides Python.

    Returns
    -------
    tuple of (int or None, str)
        The id; or None and the reason why there is none.
    """
    if os.geteuid() != 0:
        return None, "the worker does not run as root"
    closed = find_closed_folder([*list_python_folders(), *read])
    if closed is not None:
        return None, f"only root may enter {closed}"
    # At random, so that children hardly ever share one.
    return random.randint(FIRST_USER, LAST_USER), ""  # noqa: S311 - no secret


def find_closed_folder(paths: Iterable[Path]) -> Path | None:
    """Find the first folder on the way to `paths` that another user may not enter. None if there is none."""
    for path in paths:
        for step in (path.resolve(), *path.resolve().parents):
            if step.is_dir() and not step.stat().st_mode & 0o001:
                return step
    return None


def hide_environment() -> None:
    """Hide the memory and the environment of this process from other processes of the same user."""
    if sys.platform == "linux":
        _prctl(_PR_SET_DUMPABLE, 0)


def _file_rules(folder: Path, read: Iterable[Path]) -> landlock.Ruleset:
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads > 1:
        # Landlock confines only the thread that asks for it.
        raise OSError(f"{threads} threads run already")
    return landlock.Ruleset(read=[*list_python_folders(), *read], write=[folder])


def _leave_network() -> None:
    # Even loopback is down there. Ordinary users need a user namespace, which some kernels forbid.
    flags = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWUSER | _CLONE_NEWNET
    _check(_libc().unshare(flags), "unshare")


def _change_user(user: int) -> None:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def _drop_privileges() -> None:
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    # struct __user_cap_header_struct and two __user_cap_data_struct: effective, permitted, inheritable.
    header, nothing = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), bytes(24)
    _check(_libc().capset(header, nothing), "capset")


def _die_with_parent() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    _check(_libc().prctl(option, value, 0, 0, 0), "prctl")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
