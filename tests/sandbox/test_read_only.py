"""A read-only installation of a user without a home, as hardened containers have it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# All is read-only but the folder of temporary files, which is new and empty.
READ_ONLY = """
mount --make-rprivate / && mount --bind / / && mount -o remount,bind,ro / && mount -t tmpfs tmpfs "$TMPDIR" ||
    exit 77
exec "$@"
"""
CHILDREN = """
import asyncio, json, tempfile
from pathlib import Path
import numpy as np, soundfile
from soundscape.audio import code_folder
from soundscape.sandbox import parent
from soundscape.worker.readiness import check_code

folder = Path(tempfile.gettempdir())
soundfile.write(folder / "tone.wav", 0.25 * np.sin(np.arange(22_050) * 0.125), 22_050)

# How often it compiles is tested, not how soon: 17 s of processor time are minutes on a busy machine.
parent.START_TIMEOUT_S = 600

async def main():
    for _ in range(2):
        box = parent.Sandbox(folder)
        await box.start()
        with open(folder / "tone.wav", "rb") as file:
            found = await box.analyze(file, wall_s=600)
        duration_s = found.record["source"]["duration_s"]
        print(json.dumps([box.code.compiled, check_code(box.code).state, duration_s]))
        await box.stop()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mount namespaces")
def test_it_analyses_and_compiles_once(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "NUMBA_"))}
    answer = subprocess.run(
        ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", sys.executable, "-c", CHILDREN],
        # Nobody has compiled for this processor.
        env=kept | {"HOME": "/nonexistent", "TMPDIR": str(tmp_path), "NUMBA_CPU_NAME": "generic"},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode == 77 or "unshare failed" in answer.stderr:
        pytest.skip(f"no read-only view of the disk can be made here: {answer.stderr.strip()}")
    assert answer.returncode == 0, answer.stderr
    first, second = map(json.loads, answer.stdout.splitlines())
    # Readiness tells that the next worker will compile again; the next child of this one does not.
    assert first[0] > 0
    assert first[1:] == ["degraded", 1.0]
    assert second == [0, "ok", 1.0]
