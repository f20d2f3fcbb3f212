"""scripts/process.py, by which scripts/test-web stops a journey that does not end."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from pathlib import Path

import pytest

from tests.waiting import LIMIT_S, until

MODULE = Path(__file__).resolve().parents[1] / "scripts" / "process.py"
BLOCKED = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(3600)
"""
"""A program that SIGTERM does not end."""
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BLOCKED!r}])"
"""SIGTERM ends it, but its child keeps the pipe open."""


@pytest.mark.parametrize("program", [BLOCKED, PARENT], ids=["blocked", "child_keeps_pipe"])
def test_stopping_ends_what_ignores_sigterm(program: str, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("process", MODULE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    process = module.Process([sys.executable, "-c", program], cwd=tmp_path, environment=dict(os.environ))
    lines: list[str] = []
    statuses: list[int] = []

    def read() -> None:
        lines.extend(process.lines())
        statuses.append(process.wait())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    until(lambda: lines, "the program did not start")
    process.stop(max_stop_s=0.2)
    reader.join(LIMIT_S)
    assert lines == ["ready\n"]
    assert [status < 0 for status in statuses] == [True]
