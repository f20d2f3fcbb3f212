"""One owner a data directory: an advisory lock that the kernel gives up when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from soundscape.errors import LocalStackError


@contextmanager
def hold(data_dir: Path, *, url: str) -> Iterator[Callable[..., None]]:
    """Own `data_dir` until the block ends; the yielded function adds facts for `read` to find.

    Raises `LocalStackError` naming the present owner.
    """
    path = data_dir / "lock"
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = read(data_dir) or {}
            raise LocalStackError(
                f"{data_dir} is in use by process {owner.get('pid')}, which serves {owner.get('url')}.",
                code="already_running",
                remedy="Use that one, stop it, or name another --data-dir.",
            ) from error
        facts: dict[str, str | int] = {"pid": os.getpid(), "url": url}

        def tell(**more: str | int) -> None:
            facts.update(more)
            file.seek(0)
            file.truncate()
            json.dump(facts, file)
            file.flush()

        tell()
        try:
            yield tell
        finally:
            file.seek(0)
            file.truncate()


def read(data_dir: Path) -> dict[str, str | int] | None:
    """Pid and URL of the running owner, or None."""
    try:
        text = (data_dir / "lock").read_text()
    except FileNotFoundError:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
