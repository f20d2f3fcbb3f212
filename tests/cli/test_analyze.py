"""`soundscape analyze` as people and scripts use it."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner, Result

from soundscape.cli.analysis_display import AnalysisDisplay
from soundscape.cli.analyze import analyze
from soundscape.cli.file_analysis import FileAnalysis, analyze_in_parallel
from soundscape.errors import AnalysisCrashed
from tests.waiting import LIMIT_S

app = typer.Typer()
app.command()(analyze)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Two recordings, one of them in a folder of its own, beside a cover and a text."""
    folder = tmp_path / "recordings"
    (folder / "inner").mkdir(parents=True)
    time_s = np.arange(22_050) / 22_050
    y = 0.25 * np.sin(2 * np.pi * 440 * time_s)
    for path in (folder / "b.wav", folder / "inner" / "b.wav"):
        soundfile.write(path, np.stack([y, 0.7 * y], axis=1), 22_050)
    (folder / "cover.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a sound")
    (folder / "notes.mp3").write_bytes(b"these are only words\n" * 100)
    return folder


def run(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["--no-tags", *map(str, arguments)], input=stdin)


def lines(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_one_file_as_json(recordings: Path) -> None:
    result = run(recordings / "b.wav", "--json")
    assert result.exit_code == 0
    (record,) = lines(result)
    assert record["file"] == str(recordings / "b.wav")
    assert record["source"]["duration_s"] == 1.0  # type: ignore[index]


def test_a_directory_is_searched_and_refusals_are_named(recordings: Path) -> None:
    result = run(recordings, "--json")
    assert result.exit_code == 1
    found = lines(result)
    assert [Path(str(record["file"])).relative_to(recordings).as_posix() for record in found] == [
        *("b.wav", "inner/b.wav", "notes.mp3")
    ]
    assert found[2]["error"]["code"] == "not_audio"  # type: ignore[index]


@pytest.mark.parametrize("pattern", ["*.wav", "**/*.wav"])
def test_globs(recordings: Path, pattern: str) -> None:
    result = run(recordings / pattern, "--json")
    assert result.exit_code == 0
    assert len(lines(result)) == (2 if "**" in pattern else 1)


def test_standard_input(recordings: Path) -> None:
    result = run("-", "--json", stdin=(recordings / "b.wav").read_bytes())
    assert result.exit_code == 0
    assert lines(result)[0]["file"] == "standard input"


def test_out_has_a_directory_for_each_file(recordings: Path, tmp_path: Path) -> None:
    result = run(recordings / "b.wav", recordings / "inner" / "b.wav", "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"b.wav", "b.wav-2"}
    record = json.loads((tmp_path / "out" / "b.wav-2" / "record.json").read_text())
    assert (tmp_path / "out" / "b.wav-2" / record["waveform"]["path"]).exists()


def test_for_people(recordings: Path) -> None:
    result = run(recordings / "b.wav", recordings / "notes.mp3")
    assert result.exit_code == 1
    assert "0:01.0, pcm_s16 in wav, 22050 Hz, stereo" in result.stdout
    assert "not_audio" in result.stderr


def test_a_missing_file(tmp_path: Path) -> None:
    result = run(tmp_path / "nowhere.wav", "--json")
    assert result.exit_code == 1
    assert lines(result)[0]["error"]["code"] == "file_unreadable"  # type: ignore[index]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_results_that_cannot_be_written(recordings: Path, tmp_path: Path, jobs: str) -> None:
    (tmp_path / "out").write_text("a file, where a directory is wanted")
    result = run(recordings / "b.wav", "--out", tmp_path / "out", "--json", "--jobs", jobs)
    assert result.exit_code == 1
    assert lines(result)[0]["error"]["code"] == "io_failed"  # type: ignore[index]


def test_results_beside_the_recordings(recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No directory can have the name of a file that is there: the recording's, or that of its namesake."""
    monkeypatch.chdir(recordings)
    for _ in range(2):  # the second time into the same directories
        result = run("b.wav", "inner/b.wav", "--out", ".", "--json")
        assert result.exit_code == 0, result.output
        assert [(Path(name) / "record.json").exists() for name in ("b.wav-2", "b.wav-3")] == [True, True]
        assert not (recordings / "b.wav-4").exists()
    assert (recordings / "b.wav").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes")
def test_a_pipe_by_its_name(recordings: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes((recordings / "b.wav").read_bytes()))
    writer.start()
    result = run(pipe, "--json")
    writer.join(timeout=LIMIT_S)
    assert result.exit_code == 0
    assert lines(result)[0]["source"]["duration_s"] == 1.0  # type: ignore[index]


def test_nothing_to_do(tmp_path: Path) -> None:
    assert run(tmp_path).exit_code == 2
    assert run(tmp_path / "*.wav").exit_code == 2


def test_several_at_a_time_keep_the_order(recordings: Path) -> None:
    result = run(recordings, "--json", "--jobs", "2")
    assert result.exit_code == 1
    assert [record["file"] for record in lines(result)] == [
        record["file"] for record in lines(run(recordings, "--json"))
    ]


class DeadlyWhenOpened(type(Path())):  # type: ignore[misc]
    """A file that ends the process that reads it."""

    def open(self, *_: object, **__: object) -> NoReturn:
        os._exit(1)


def end_process(*_: object) -> NoReturn:
    os._exit(1)


class DeadlyWhenSent(DeadlyWhenOpened):
    """A file that ends the process to which it is sent, before its analysis begins."""

    def __reduce__(self) -> tuple[Callable[[str], NoReturn], tuple[str]]:
        return end_process, (str(self),)


@pytest.mark.parametrize(
    ("width", "when_opened", "when_sent"),
    [
        (2, {0}, set()),
        (2, set(), {0}),
        (3, {0, 2}, {1}),
        (2, {2, 7}, {3}),
        (2, set(), {0, 1, 2, 3, 4, 5}),
    ],
)
def test_a_child_that_dies_costs_one_file(
    recordings: Path, width: int, when_opened: set[int], when_sent: set[int]
) -> None:
    """However early it dies, and however many do."""
    deadly = dict.fromkeys(when_opened, DeadlyWhenOpened) | dict.fromkeys(when_sent, DeadlyWhenSent)
    path = recordings / "b.wav"
    files = [FileAnalysis(str(n), deadly.get(n, Path)(path), None, False, False, None) for n in range(8)]
    with AnalysisDisplay(as_json=True, files=len(files)) as display:
        results = list(analyze_in_parallel(files, width, display.begin))
    assert [file for file, _ in results] == files
    assert {int(file.name) for file, result in results if isinstance(result, AnalysisCrashed)} == set(deadly)
    assert sum(isinstance(result, dict) for _, result in results) == len(files) - len(deadly)
    assert not multiprocessing.active_children()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_the_bar_on_a_terminal(recordings: Path) -> None:
    import pty

    controller, terminal = pty.openpty()
    code = "import sys, typer; from soundscape.cli.analyze import analyze; typer.run(analyze)"
    arguments = [
        sys.executable,
        "-c",
        code,
        "--no-tags",
        str(recordings / "b.wav"),
        str(recordings / "inner"),
    ]
    child = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=terminal, env={**os.environ, "TERM": "xterm"}
    )
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # the terminal ends with the child
        while piece := os.read(controller, 1024):
            shown += piece
    output, _ = child.communicate(timeout=LIMIT_S)
    os.close(controller)
    assert child.returncode == 0, shown.decode()
    assert output.count(b"pcm_s16 in wav") == 2
    assert b"1/2 b.wav" in shown
    assert b"x real time" in shown


def test_importing_the_command_loads_nothing_heavy() -> None:
    code = (
        "import sys, soundscape.audio, soundscape.cli.analyze\n"
        "heavy = {'numpy', 'scipy', 'numba', 'librosa', 'av', 'soundfile', 'PIL'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
