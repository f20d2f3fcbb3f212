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
    before = _descriptors()
    yield
    assert _descriptors() <= before
    assert _children() == set()


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _children() -> set[str]:
    """Child processes of this one that run analysis."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue  # ended meanwhile
        if parent == str(os.getpid()) and b"soundscape.worker.child" in command:
            found.add(folder.name)
    return found
