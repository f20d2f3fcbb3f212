"""Resource limits of an analysis child. It sets them on itself, before it reads a stranger's file."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path

MEMORY_BYTES = 2 << 30
"""Address space beyond that of the warm child. Analysis of any length takes a quarter of it."""
FILE_SIZE_BYTES = 512 << 20
OPEN_FILES = 256
LIFE_CPU_S = 8 * 3600
"""Processor time of a child's whole life. A child could raise its limit for one file, but not this one."""
_LIKELIEST_TO_BE_ENDED = "1000"


def set_limits() -> None:
    """Limit core files, file size, open files, processor time and, on Linux, memory, for good."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE_BYTES, FILE_SIZE_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (_until(_used_s() + LIFE_CPU_S, hard),) * 2)
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        max_bytes = pages * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))
        # If memory runs out after all, the kernel ends the child before the worker or the database. Some
        # containers forbid this setting.
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_LIKELIEST_TO_BE_ENDED)


def allow_cpu(seconds: int) -> None:
    """Allow `seconds` more of processor time from now. Beyond them the kernel ends the process."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (_until(_used_s() + seconds, hard), hard))


def _until(wanted_s: int, hard_s: int) -> int:
    return wanted_s if hard_s == resource.RLIM_INFINITY else min(wanted_s, hard_s)


def _used_s() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return int(used.ru_utime + used.ru_stime)
