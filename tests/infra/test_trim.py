"""What is taken out of the image: everything left still loads."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import uvloop

TRIM = Path(__file__).resolve().parents[2] / "infra" / "docker" / "trim.py"

pytestmark = pytest.mark.skipif(shutil.which("strip") is None, reason="needs strip: Debian's binutils")


@pytest.fixture
def trim() -> ModuleType:
    spec = importlib.util.spec_from_file_location("trim", TRIM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def copy_library(folder: Path) -> Path:
    (library,) = Path(uvloop.__file__).parent.glob("loop*.so")
    return Path(shutil.copy(library, folder))


def test_a_library_is_stripped_and_loads(trim: ModuleType, tmp_path: Path) -> None:
    library = copy_library(tmp_path)
    size_bytes = library.stat().st_size
    assert trim.strip(library) == size_bytes - library.stat().st_size > 0
    assert trim.loads(library)
    assert list(tmp_path.iterdir()) == [library]


def test_one_that_does_not_load_afterwards_stays_whole(
    trim: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = copy_library(tmp_path)
    whole = library.read_bytes()
    tools = tmp_path / "tools"
    tools.mkdir()
    strip = tools / "strip"
    strip.write_text('#!/bin/sh\nhead -c 100000 "$2" > "$2.cut" && mv "$2.cut" "$2"\n')
    strip.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    assert trim.strip(library) == 0
    assert library.read_bytes() == whole


def test_tests_and_accelerators_go(tmp_path: Path) -> None:
    kept = tmp_path / "scipy" / "fft" / "_basic.py"
    gone = [
        tmp_path / "scipy" / "fft" / "tests" / "tests" / "test_basic.py",
        tmp_path / "ai_edge_litert" / "vendors" / "qualcomm" / "plugin.so",
        tmp_path / "implicit" / "gpu" / "_cuda.cpython-313-x86_64-linux-gnu.so",
    ]
    for path in (kept, *gone):
        path.parent.mkdir(parents=True)
        path.write_text("")
    done = subprocess.run([sys.executable, TRIM, tmp_path], stdout=subprocess.PIPE, text=True, check=True)
    assert [path for path in (kept, *gone) if path.exists()] == [kept]
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        "tests",
        "accelerators",
        "symbols",
    ]
