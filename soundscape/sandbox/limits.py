"""How much an analysis child may use: set by the child on itself, before it sees a stranger's bytes."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path

MEMORY_BYTES = 2 << 30
"""Address space beyond what the warm child has; analysis of any length takes a quarter of it."""
FILE_SIZE_BYTES = 512 << 20
OPEN_FILES = 256
LIFE_CPU_S = 8 * 3600
"""Processor time of a child's whole life; its share for one file it could raise by itself, but not this."""
_LIKELIEST_TO_BE_ENDED = "1000"


def set_limits() -> None:
    """Take rights away for good: core files, large files, many files, endless computing, and on Linux
    memory.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE_BYTES, FILE_SIZE_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (_until(_used_s() + LIFE_CPU_S, hard),) * 2)
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        # Where memory runs out after all, it is not the worker or the database that goes. A wish: some
        # containers forbid even to be modest.
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_LIKELIEST_TO_BE_ENDED)


def allow_cpu(seconds: int) -> None:
    """Grant `seconds` more of CPU time from now, of what is left; the kernel ends the process beyond them."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (_until(_used_s() + seconds, hard), hard))


def _until(wanted_s: int, hard_s: int) -> int:
    return wanted_s if hard_s == resource.RLIM_INFINITY else min(wanted_s, hard_s)


def _used_s() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return int(used.ru_utime + used.ru_stime)
