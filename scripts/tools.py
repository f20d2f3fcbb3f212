"""Tools of other scripts, each set in a virtual environment of its own, from a lock with hashes."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


def execute_command(*command: str | Path) -> None:
    """Run a command, and show what it prints. Raises `CalledProcessError`."""
    subprocess.run(command, check=True)


def install_tools(lock: Path, folder: Path, *, execute: Callable[..., None] = execute_command) -> Path:
    """Install what `lock` names into `folder`, unless it is there. Returns the folder of its programs.

    `execute` runs each command, and raises where one fails.
    """
    mark = folder / hashlib.sha256(lock.read_bytes()).hexdigest()
    if not mark.exists():
        shutil.rmtree(folder, ignore_errors=True)
        execute("uv", "venv", "--quiet", "--python", sys.executable, folder)
        install = ("uv", "pip", "install", "--quiet", "--python", folder / "bin" / "python")
        execute(*install, "--require-hashes", "-r", lock)
        mark.touch()
    return folder / "bin"
