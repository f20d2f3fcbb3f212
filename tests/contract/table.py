"""The tables of `docs/embedded-supabase.md`, and the tests that say which of their rows they drive."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "embedded-supabase.md"
DRIVERS = {"py", "js", "tus", "http", "sql", "config"}
_CELLS = re.compile(r"(?<!\\)\|")
_ID = re.compile(r"`([a-z]+\.[a-z0-9-]+)`")


@dataclass(frozen=True)
class Drivers:
    """What drives a row: on any project, and on the embedded one only."""

    anywhere: frozenset[str]
    here: frozenset[str]

    @classmethod
    def of(cls, anywhere: set[str], here: set[str]) -> Drivers:
        return cls(frozenset(anywhere), frozenset(here - anywhere))


@dataclass(frozen=True)
class Row:
    """A line of a table; `id` is None, and `drivers` too, where it has none that can be read."""

    section: str
    line: int
    id: str | None
    drivers: Drivers | None


def documented() -> list[Row]:
    """Every row below a header, in the order of the document."""
    return list(_rows(DOCUMENT.read_text().splitlines()))


def driven() -> dict[str, Drivers]:
    """What the tests drive by row, as their `row` markers say. Collects the tests, without running them."""
    collector = _Collector()
    arguments = [
        "--collect-only",
        "-qq",
        "-p",
        "no:cacheprovider",
        "tests/contract",
        "tests/embedded_supabase",
    ]
    assert pytest.main([f"--rootdir={ROOT}", *arguments], plugins=[collector]) == 0
    anywhere: defaultdict[str, set[str]] = defaultdict(set)
    here: defaultdict[str, set[str]] = defaultdict(set)
    for item in collector.items:
        only_here = item.path.is_relative_to(ROOT / "tests" / "embedded_supabase") or item.get_closest_marker(
            "embedded_only"
        )
        for marker in item.iter_markers("row"):
            for row in marker.args:
                (here if only_here else anywhere)[row].add(marker.kwargs["by"])
    return {row: Drivers.of(anywhere[row], here[row]) for row in {*anywhere, *here}}


class _Collector:
    def __init__(self) -> None:
        self.items: list[pytest.Item] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.items = items


def _rows(lines: list[str]) -> Iterator[Row]:
    section, in_table = "", False
    for number, line in enumerate(lines, start=1):
        if line.startswith("## "):
            section = line.removeprefix("## ")
        if not line.startswith("|"):
            in_table = False
        elif set(line) <= set("|-: "):
            in_table = True
        elif in_table:
            cells = [cell.strip() for cell in _CELLS.split(line)[1:-1]]
            named = _ID.fullmatch(cells[0])
            yield Row(section, number, named[1] if named else None, _drivers(cells[-1]))


def _drivers(cell: str) -> Drivers | None:
    anywhere, _, here = cell.partition("here:")
    words = set(anywhere.split()), set(here.split())
    return Drivers.of(*words) if words[0] | words[1] and words[0] | words[1] <= DRIVERS else None
