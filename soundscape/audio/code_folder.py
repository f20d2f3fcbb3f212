"""Where compiled machine code is kept: beside the packages, in the user's cache, or nowhere for long.

numba refuses to import a function whose code it is to keep and cannot. That is so in a read-only installation
of a user without a home, as containers have it. A temporary folder then stands in, and is removed at the end.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"
"""numba's setting. Each process that a program starts gets it with the environment."""

_temporary: Path | None = None


def ensure() -> None:
    """See to it that numba can keep what it compiles. To be called before numba is imported."""
    global _temporary
    if is_lasting():
        return
    # Without any folder numba's own error says so, once something is to be compiled.
    with suppress(OSError):
        _temporary = Path(tempfile.mkdtemp(prefix="soundscape-compiled-"))
        os.environ[VARIABLE] = str(_temporary)
        atexit.register(shutil.rmtree, _temporary, ignore_errors=True)


def is_lasting() -> bool:
    """Whether compiled code outlives the process: numba finds a folder by itself."""
    if _temporary is not None:
        return False
    chosen = os.environ.get(VARIABLE)
    if chosen and _is_writable(Path(chosen)):
        return True
    # numba decides for each file; the packages may be elsewhere than this one.
    if all(_is_writable(folder / "__pycache__") for folder in (Path(__file__).parent, *_packages())):
        return True
    return _is_writable(Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "numba")


def _packages() -> list[Path]:
    found = importlib.util.find_spec("numba")
    return [] if found is None or found.origin is None else [Path(found.origin).parent]


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True
