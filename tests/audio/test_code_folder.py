"""Where compiled code is kept, for each combination of what can be written."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from soundscape.audio import code_folder

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("chosen", "beside", "home")
SETS = [some for size in range(4) for some in itertools.combinations(PLACES, size)]


@pytest.mark.parametrize("writable", SETS, ids="+".join)
def test_the_code_lasts_where_any_place_can_be_written(
    writable: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file in the place of a folder: not even root can write below it.
    closed = tmp_path / "file"
    closed.touch()
    places = {name: tmp_path / name if name in writable else closed / name for name in PLACES}
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(places["chosen"]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(places["home"]))
    monkeypatch.setattr(code_folder, "__file__", str(places["beside"] / "code_folder.py"))
    monkeypatch.setattr(code_folder, "_packages", list)
    monkeypatch.setattr(code_folder, "_temporary", None)
    assert code_folder.is_lasting() == bool(writable)
    code_folder.ensure()
    assert code_folder.is_lasting() == bool(writable)
    chosen = Path(os.environ["NUMBA_CACHE_DIR"])
    assert chosen == places["chosen"] if writable else chosen.is_dir()


def test_a_temporary_folder_is_removed(tmp_path: Path) -> None:
    script = (
        "import os; from soundscape.audio import code_folder as c; c.is_lasting = lambda: False; c.ensure(); "
        "print(os.path.isdir(os.environ['NUMBA_CACHE_DIR']), os.environ['NUMBA_CACHE_DIR'])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    answer = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    existed, folder = answer.stdout.split()
    assert (existed, Path(folder).parent, Path(folder).exists()) == ("True", tmp_path, False)
