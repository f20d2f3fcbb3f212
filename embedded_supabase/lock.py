"""One owner per data directory: an advisory lock, which the kernel releases when its holder dies."""

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
"""A reader takes the lock for an instant to see whether it is free."""


@contextmanager
def hold_lock(data_dir: Path) -> Iterator[Callable[..., None]]:
    """Own a data directory until the block ends.

    Parameters
    ----------
    data_dir : Path
        A folder that exists.

    Yields
    ------
    callable
        Publishes facts (`url="…"`, `db_url="…"`) for `read`.

    Raises
    ------
    EmbeddedError
        `already_running`, with the process that owns it.
    """
    path = data_dir / "lock"
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        deadline = time.monotonic() + TRY_FOR_S
        while not _try_lock(file, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise _in_use(data_dir, _parse_facts(file.read()))
            time.sleep(0.01)
        facts: dict[str, str | int] = {"pid": os.getpid()}

        def publish(**more: str | int) -> None:
            facts.update(more)
            path.write_text(json.dumps(facts))

        publish()
        try:
            yield publish
        finally:
            path.write_text("")


def check_free(data_dir: Path) -> None:
    """Raise what `hold_lock` would raise. For whoever has much to do before it holds the lock."""
    if (owner := read(data_dir)) is not None:
        raise _in_use(data_dir, owner)


def read(data_dir: Path) -> dict[str, str | int] | None:
    """The facts that the running owner published.

    A killed owner leaves its facts behind, but not its lock.

    Parameters
    ----------
    data_dir : Path

    Returns
    -------
    dict or None
        `pid`, and `url` and `db_url` once they are known. None when nobody owns the directory.
    """
    try:
        with (data_dir / "lock").open() as file:
            return None if _try_lock(file, fcntl.LOCK_SH) else _parse_facts(file.read())
    except FileNotFoundError:
        return None


def _try_lock(file: TextIO, kind: int) -> bool:
    """Whether the lock was free. Closing `file` releases it."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _in_use(data_dir: Path, owner: dict[str, str | int]) -> EmbeddedError:
    does = f"serves {owner['url']}" if "url" in owner else "is starting"
    return EmbeddedError(
        f"{data_dir} is in use by process {owner.get('pid')}, which {does}.",
        code="already_running",
        remedy="Use it, stop it, or name another --data-dir.",
    )


def _parse_facts(text: str) -> dict[str, str | int]:
    try:
        found = json.loads(text)
    except ValueError:  # it is being written
        return {}
    return found if isinstance(found, dict) else {}
