"""The command line: quick to answer, exact about what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
from typer.testing import CliRunner

from soundscape import __version__
from soundscape.cli.app import app
from tests.waiting import LIMIT_S

COMMAND = (sys.executable, "-m", "soundscape")
HEAVY = ("numpy", "scipy", "numba", "librosa", "supabase", "fastapi", "uvicorn", "psycopg", "av", "httpx")


def run(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in an empty folder, knowing of no project but the one it is told."""
    known = {
        name: value for name, value in os.environ.items() if not name.startswith(("SUPABASE_", "SOUNDSCAPE_"))
    }
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        cwd=folder,
        env=known | environment,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "ending"),
    [
        (["--help"], "answer.exit_code == 0"),
        (["env", "--data-dir", "none"], "answer.exception.code == 'not_running'"),
        (["dev", "--data-dir", "."], "answer.exception.code == 'already_running'"),
    ],
)
def test_what_has_nothing_to_run_loads_nothing_heavy(
    arguments: list[str], ending: str, tmp_path: Path
) -> None:
    """Asked of the interpreter itself, not of a clock."""
    program = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from typer.testing import CliRunner\n"
        "from embedded_supabase.lock import hold_lock\n"
        "from soundscape.cli.app import app\n"
        "with hold_lock(Path()):\n"
        f"    answer = CliRunner().invoke(app, {arguments})\n"
        f"assert {ending}, answer.output\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    loaded = set(json.loads(ended.stdout))
    assert "typer" in loaded
    assert loaded & set(HEAVY) == set()


def _commands(group: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command and group below `group`, by the words that call it."""
    for word, command in getattr(group, "commands", {}).items():
        yield f"{name} {word}".strip(), command
        yield from _commands(command, f"{name} {word}")


COMMANDS = dict(_commands(typer.main.get_command(app)))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    answer = CliRunner().invoke(app, [*command.split(), "--help"])
    assert answer.exit_code == 0
    assert "Usage" in answer.output
    assert COMMANDS[command].help
    for parameter in COMMANDS[command].params:
        assert getattr(parameter, "help", None), f"{parameter.name} explains nothing"


def test_the_commands_that_are_promised() -> None:
    promised = "dev env demo analyze worker deploy check models jobs reanalyze recommend stats"
    assert set(promised.split()) <= set(COMMANDS)


def test_version() -> None:
    answer = CliRunner().invoke(app, ["--version"])
    assert (answer.exit_code, answer.output.strip()) == (0, __version__)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("env", "--data-dir", "nowhere"), "not_running"),
        (("worker",), "settings_missing"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path, arguments: tuple[str, ...], code: str) -> None:
    answer = run(*arguments, folder=tmp_path)
    assert answer.returncode == 2
    assert answer.stderr.startswith(f"{code}: ")
    assert len(answer.stderr.strip().splitlines()) == 2, "what is wrong, and what to do"
    assert answer.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_deploy_without_a_database(tmp_path: Path) -> None:
    answer = run("deploy", folder=tmp_path)
    assert answer.returncode == 2
    assert "SUPABASE_DB_URL" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_demo_with_a_file_that_is_not_there(tmp_path: Path) -> None:
    answer = run("demo", "no such file.wav", folder=tmp_path)
    assert answer.returncode == 2
    assert "no such file.wav" in answer.stderr.replace("\n", " ")
    assert "Traceback" not in answer.stderr


def test_the_worker_reads_the_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SUPABASE_URL=https://your-project.supabase.co\n")
    answer = run("worker", folder=tmp_path)
    assert (answer.returncode, "SUPABASE_URL still holds a placeholder" in answer.stderr) == (2, True)
