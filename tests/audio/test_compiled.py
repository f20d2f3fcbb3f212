"""Compiled code on disk: what another process finds there was compiled for what it is asked with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from soundscape.audio.compiled import compiled

HALVES = """
import sys
import numpy as np
from halves import halves
for dtype in sys.argv[1:]:
    print(halves(np.arange(4, dtype=dtype)).tolist(), sum(halves.stats.cache_hits.values()))
"""
FORKS = f"""
import json, os, sys
import numba, numpy
import soundscape.audio.compiled
# Once something is compiled, numba has read its tables.
numba.njit(lambda x: x / 2)(numpy.arange(2.0))
# Files are written anew within the second of which Python's own cache keeps them apart.
sys.dont_write_bytecode = True
for line in sys.stdin:
    folder, numba.config.CACHE_DIR, sys.argv[1:] = json.loads(line)
    if (child := os.fork()) == 0:
        sys.path.insert(0, folder)
        exec({HALVES!r})
        sys.stdout.flush()
        os._exit(0)
    print("status", os.waitpid(child, 0)[1], flush=True)
"""
"""For each line of its input, a folder, one for code, and types, it runs `HALVES` in a new process."""
MODULE = """
from soundscape.audio.compiled import compiled

@compiled()
def halves(x):
    return x / 2
"""
ROOT = Path(__file__).resolve().parents[2]


Run = Callable[..., list[str]]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """`run(folder, cache, "f8")` halves numbers in a new process, forked where numba is imported already."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", FORKS],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as forks:
        assert forks.stdin is not None
        assert forks.stdout is not None
        asked, answers = forks.stdin, forks.stdout

        def run_one(folder: Path, cache: Path, *dtypes: str) -> list[str]:
            print(json.dumps([str(folder), str(cache), dtypes]), file=asked, flush=True)
            lines = list(iter(lambda: answers.readline().rstrip(), "status 0"))
            assert all(lines), "it ended without an answer"
            return lines

        yield run_one


def check_compiled_anew(run: Run, folder: Path, file: str, before: str, after: str) -> None:
    """What another file says makes halves before and quarters after: each is compiled once, and kept."""
    for text, expected in ((before, "[0.0, 0.5, 1.0, 1.5]"), (after, "[0.0, 0.25, 0.5, 0.75]")):
        (folder / file).write_text(f"{text}\n")
        assert run(folder, folder / "cache", "f8") == [f"{expected} 0"]
        assert run(folder, folder / "cache", "f8") == [f"{expected} 1"]


def test_code_is_kept_for_the_next_process(run: Run, tmp_path: Path) -> None:
    (tmp_path / "halves.py").write_text(MODULE)
    cache = tmp_path / "cache"
    assert run(tmp_path, cache, "f4", "f8") == ["[0.0, 0.5, 1.0, 1.5] 0"] * 2
    assert run(tmp_path, cache, "f8", "f4") == ["[0.0, 0.5, 1.0, 1.5] 1", "[0.0, 0.5, 1.0, 1.5] 2"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("part = compiled()(lambda x: x / 2)", "part = compiled()(lambda x: x / 4)"),
        (
            "SHARE = 2\npart = compiled()(lambda x: x / SHARE)",
            "SHARE = 4\npart = compiled()(lambda x: x / SHARE)",
        ),
        (
            "inner = compiled()(lambda x: x / 2)\npart = compiled()(lambda x: inner(x))",
            "inner = compiled()(lambda x: x / 4)\npart = compiled()(lambda x: inner(x))",
        ),
    ],
)
def test_a_change_of_what_is_called_is_compiled_anew(
    run: Run, tmp_path: Path, before: str, after: str
) -> None:
    """The caller's own file stays as it is, to the second of its last change."""
    (tmp_path / "halves.py").write_text(
        MODULE.replace("return x / 2", "return part(x)").replace("\n\n", "\nfrom parts import part\n\n", 1)
    )
    imports = "from soundscape.audio.compiled import compiled\n\n"
    check_compiled_anew(run, tmp_path, "parts.py", imports + before, imports + after)


def test_other_liberties_are_compiled_anew(run: Run, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    text = MODULE.replace("compiled()", "compiled(fastmath=LIBERTIES)")
    (tmp_path / "halves.py").write_text(text.replace("\n\n", "\nfrom liberties import LIBERTIES\n\n", 1))
    for liberties in ("{'nsz'}", "{'nsz', 'contract', 'reassoc'}"):
        (tmp_path / "liberties.py").write_text(f"LIBERTIES = {liberties}\n")
        assert run(tmp_path, cache, "f8") == ["[0.0, 0.5, 1.0, 1.5] 0"]
        assert run(tmp_path, cache, "f8") == ["[0.0, 0.5, 1.0, 1.5] 1"]


def test_what_is_written_below_the_caller_counts_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / "halves.py").write_text(
        MODULE.replace("x / 2", "below(x)").replace("\n\n", "\nfrom shares import SHARE\n\n", 1)
        + "\n@compiled()\ndef below(x):\n    return x / SHARE\n"
    )
    check_compiled_anew(run, tmp_path, "shares.py", "SHARE = 2", "SHARE = 4")


@pytest.mark.parametrize(("before", "after"), [("2", "4"), ("np.array([2.0])", "np.array([4.0])")])
def test_a_change_of_a_constant_elsewhere_is_compiled_anew(
    run: Run, tmp_path: Path, before: str, after: str
) -> None:
    (tmp_path / "halves.py").write_text(
        MODULE.replace("x / 2", "x / SHARE").replace("\n\n", "\nfrom shares import SHARE\n\n", 1)
    )
    definition = "import numpy as np\n\nSHARE = "
    check_compiled_anew(run, tmp_path, "shares.py", definition + before, definition + after)


def test_two_that_compile_at_once_never_lead_to_each_others_code(run: Run, tmp_path: Path) -> None:
    """The index of one, the code of the other, as when both were written at the same moment."""
    (tmp_path / "halves.py").write_text(MODULE)
    one, other, both = tmp_path / "one", tmp_path / "other", tmp_path / "both"
    run(tmp_path, one, "i2")
    run(tmp_path, other, "f8")
    shutil.copytree(one, both)
    for code in other.rglob("*.nbc"):
        shutil.copy(code, both / code.relative_to(other))
    assert run(tmp_path, both, "i2", "f8") == ["[0.0, 0.5, 1.0, 1.5] 1"] * 2


def test_what_is_compiled_is_the_function() -> None:
    @compiled(fastmath={"nnan"})
    def double(x: float) -> float:
        """Twice as much."""
        return 2 * x

    assert (double(2.0), double.__doc__, double.__name__) == (4.0, "Twice as much.", "double")


def test_code_of_a_read_only_installation_is_found(run: Run, tmp_path: Path) -> None:
    """What was compiled beside the modules is loaded, though new code goes to another folder."""
    (tmp_path / "halves.py").write_text(MODULE)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    environment.pop("NUMBA_CACHE_DIR", None)
    subprocess.run([sys.executable, "-c", HALVES, "float64"], env=environment, check=True)
    assert list((tmp_path / "__pycache__").glob("halves.halves*.nbc"))
    elsewhere = tmp_path / "elsewhere"
    lines = run(tmp_path, elsewhere, "float64", "float32")
    assert [line.rsplit(" ", 1)[1] for line in lines] == ["1", "1"]
    assert len(list(elsewhere.rglob("halves.halves*.nbc"))) == 1
