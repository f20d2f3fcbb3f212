"""One owner a data directory: an advisory lock that the kernel gives up when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from embedded_supabase.errors import EmbeddedError

TRY_FOR_S = 0.2
"""A reader holds the lock for an instant to see whether anybody else does."""


@contextmanager
def hold(data_dir: Path) -> Iterator[Callable[..., None]]:
    """Own `data_dir` until the block ends; the yielded function adds facts for `read` to find.

    Raises `EmbeddedError` naming the present owner.
    """
    path = data_dir / "lock"
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        deadline = time.monotonic() + TRY_FOR_S
        while not _locked(file, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                owner = _facts(file.read())
                does = f"serves {owner['url']}" if "url" in owner else "is starting"
                raise EmbeddedError(
                    f"{data_dir} is in use by process {owner.get('pid')}, which {does}.",
                    code="already_running",
                    remedy="Use that one, stop it, or name another --data-dir.",
                )
            time.sleep(0.01)
        facts: dict[str, str | int] = {"pid": os.getpid()}

        def tell(**more: str | int) -> None:
            facts.update(more)
            path.write_text(json.dumps(facts))

        tell()
        try:
            yield tell
        finally:
            path.write_text("")


def read(data_dir: Path) -> dict[str, str | int] | None:
    """What the running owner told of itself, `pid` at least; None where nobody runs.

    A killed owner leaves its facts behind, but not its lock.
    """
    try:
        with (data_dir / "lock").open() as file:
            return None if _locked(file, fcntl.LOCK_SH) else _facts(file.read())
    except FileNotFoundError:
        return None


def _locked(file: TextIO, kind: int) -> bool:
    """Whether the lock could be had; it is given up when `file` is closed."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _facts(text: str) -> dict[str, str | int]:
    try:
        found = json.loads(text)
    except ValueError:  # caught in the middle of being written
        return {}
    return found if isinstance(found, dict) else {}
