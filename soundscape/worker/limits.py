"""What an analysis child may use: set by the child on itself, before it sees a stranger's bytes."""

from __future__ import annotations

import ctypes
import os
import resource
import sys

ADDRESS_SPACE_BYTES = 8 << 30
FILE_SIZE_BYTES = 1 << 30
OPEN_FILES = 256

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_NO_NEW_PRIVS = 38


def confine() -> dict[str, bool]:
    """Take rights away for good; returns which of the best-effort ones the kernel granted."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE_BYTES, FILE_SIZE_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    if sys.platform != "linux":
        return {"address_space": False, "no_network": False, "no_new_privileges": False}
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    # A network namespace of its own has not even a loopback that is up. As an ordinary user it takes a
    # user namespace, which some kernels forbid.
    flags = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWUSER | _CLONE_NEWNET
    no_network = libc.unshare(flags) == 0
    return {"address_space": True, "no_network": no_network, "no_new_privileges": no_new_privileges}


def allow_cpu(seconds: int) -> None:
    """Grant `seconds` more of CPU time from now; the kernel ends the process beyond them."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + seconds
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
