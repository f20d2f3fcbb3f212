"""The committed lock holds what pyproject.toml asks for, for every Python and platform, with hashes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ("uv", "local", "test", "web", "worker", "image", "infra", "docs")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def locked(name: str) -> list[tuple[Requirement, int]]:
    """Each entry of a lock file, with how many hashes it has."""
    entries = re.split(r"\n(?=\S)", (ROOT / "lock" / f"{name}.txt").read_text())
    return [
        (Requirement(entry.split("\\")[0]), entry.count("--hash=sha256:"))
        for entry in entries
        if not entry.startswith("#")
    ]


def wanted(extras: list[str], groups: list[str]) -> list[Requirement]:
    """What pyproject.toml asks for, with the extras that an extra names."""
    lines: list[str] = list(PROJECT["project"]["dependencies"]) if extras else []
    for group in groups:
        lines += PROJECT["dependency-groups"][group]
    for extra in extras:
        lines += PROJECT["project"]["optional-dependencies"][extra]
    found = []
    for requirement in map(Requirement, lines):
        if requirement.name == PROJECT["project"]["name"]:
            found += wanted(sorted(requirement.extras), [])
        else:
            found.append(requirement)
    return found


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    ("name", "extras", "groups"),
    [
        ("uv", [], ["uv"]),
        ("local", ["local", "models"], ["build"]),
        ("test", ["test"], ["build"]),
        ("web", ["local", "models", "web"], ["build"]),
        ("worker", ["models", "factors", "telemetry"], ["build"]),
        ("image", [], ["image"]),
        ("infra", [], ["infra"]),
        ("docs", [], ["docs"]),
    ],
)
def test_the_lock_holds_one_fitting_version_of_each_requirement(
    name: str, extras: list[str], groups: list[str], python: str
) -> None:
    environment = {**default_environment(), "python_version": python, "python_full_version": f"{python}.0"}
    versions: dict[str, list[Version]] = {}
    for entry, _ in locked(name):
        if entry.marker is None or entry.marker.evaluate(environment):
            (specifier,) = entry.specifier
            versions.setdefault(canonicalize_name(entry.name), []).append(Version(specifier.version))
    assert [each for each in versions.values() if len(each) > 1] == []
    requirements = [
        each
        for each in wanted(extras, groups)
        if each.marker is None or each.marker.evaluate({**environment, "extra": ""})
    ]
    assert requirements
    for requirement in requirements:
        found = versions.get(canonicalize_name(requirement.name), [])
        assert found, f"{requirement} is not in lock/{name}.txt: run scripts/lock"
        assert requirement.specifier.contains(found[0]), (
            f"{requirement}, locked at {found[0]}: run scripts/lock"
        )


@pytest.mark.parametrize("name", LOCKS)
def test_every_entry_has_a_hash(name: str) -> None:
    entries = locked(name)
    assert entries
    assert [str(entry) for entry, hashes in entries if not hashes] == []


@pytest.mark.parametrize("name", ["local", "web", "worker"])
def test_one_venv_serves_all_locks(name: str) -> None:
    versions = {entry.name: set[str]() for entry, _ in locked("test")}
    for entry, _ in locked("test"):
        versions[entry.name].add(str(entry.specifier))
    others = [
        entry for entry, _ in locked(name) if str(entry.specifier) not in versions.get(entry.name, set())
    ]
    # What the tests do not need may have any version.
    assert [str(entry) for entry in others if entry.name in versions] == []


def test_the_project_sets_no_constraints_for_uv() -> None:
    """`uv pip install --require-hashes` refuses them, and the install would fall back to pip."""
    assert "constraint-dependencies" not in PROJECT["tool"].get("uv", {})
