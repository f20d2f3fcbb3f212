"""The official CLI from npm, without Docker or login, for tests that ask Supabase's own opinion.

It is fetched once into a cache outside the checkout; tests are skipped when npm cannot fetch it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests import node

VERSION = "3.1.0"
PROJECT = Path(__file__).resolve().parents[1] / "supabase"


def run(folder: Path, *arguments: str, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run `supabase {arguments}` on a copy of `supabase/` in `folder`, since it leaves files behind."""
    command = node.modules([f"supabase@{VERSION}"]) / "node_modules" / ".bin" / "supabase"
    if not (folder / "supabase").exists():
        shutil.copytree(PROJECT, folder / "supabase", ignore=shutil.ignore_patterns(".temp", ".branches"))
    return subprocess.run(
        [str(command), *arguments, "--workdir", str(folder)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        cwd=folder,
        env=os.environ | {"SUPABASE_TELEMETRY_DISABLED": "1", "DO_NOT_TRACK": "1"},
    )
