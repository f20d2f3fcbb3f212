"""Sandboxes to share: a child takes seconds to warm up, and each test may use up one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="soundscape-scratch-") as folder:
        yield Path(folder)


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """The test leaves no open descriptor and no child process behind."""
    descriptors, children = _descriptors(), _children()
    yield
    assert _descriptors() <= descriptors
    assert _children() <= children


def _descriptors() -> int:
    """Open descriptors but for TCP sockets: the embedded Supabase of other tests, in a thread, opens such."""
    local = {line.split()[6] for line in Path("/proc/net/unix").read_text().splitlines()[1:]}
    count = 0
    for number in os.listdir("/proc/self/fd"):
        try:
            name = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue  # the listing's own
        count += not name.startswith("socket:") or name[8:-1] in local
    return count


def _children() -> set[str]:
    """Child processes of this one that run analysis."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue  # ended meanwhile
        if parent == str(os.getpid()) and b"soundscape.sandbox.child" in command:
            found.add(folder.name)
    return found
