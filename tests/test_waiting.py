"""No test has a time limit of its own: on a busy machine it would fail for no fault of the product."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SHORTEST_LIMIT_S = 60.0
LONGEST_SILENCE_S = 1.0
"""Up to this, something is waited for that must not come."""
LIMITED = {"timeout", "wait_for", "join", "result", "wait", "communicate", "run", "Client", "AsyncClient"}
CLOCKS = {"perf_counter", "monotonic", "time"}
FILES = sorted(path.relative_to(TESTS) for path in TESTS.rglob("*.py"))


def number(node: ast.AST) -> float | None:
    return float(node.value) if isinstance(node, ast.Constant) and type(node.value) in (int, float) else None


def called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "attr", None) or getattr(node.func, "id", "")


def limits(tree: ast.AST) -> Iterator[tuple[int, float]]:
    """Line and seconds of every number that is given as a time limit."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or called(node) not in LIMITED:
            continue
        if called(node) in ("join", "result", "wait") and not isinstance(node.func, ast.Attribute):
            continue
        given = [keyword.value for keyword in node.keywords if keyword.arg == "timeout"]
        if called(node) in ("timeout", "wait_for", "join", "result", "wait"):
            given += node.args[-1:]
        for value in given:
            if (seconds := number(value)) is not None:
                yield node.lineno, seconds


def stopwatches(tree: ast.AST) -> Iterator[int]:
    """The line of every assertion that something took less than a number of seconds."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assert):
            continue
        for compared in ast.walk(node.test):
            if not isinstance(compared, ast.Compare) or number(compared.comparators[-1]) is None:
                continue
            times = any(called(part) in CLOCKS for part in ast.walk(compared.left))
            if times and isinstance(compared.ops[-1], ast.Lt | ast.LtE):
                yield node.lineno


@pytest.mark.parametrize("file", FILES, ids=str)
def test_no_limit_depends_on_the_machine(file: Path) -> None:
    """Use `tests.waiting`: its `LIMIT_S`, `until` and `eventually`."""
    tree = ast.parse((TESTS / file).read_text())
    short = [(line, s) for line, s in limits(tree) if LONGEST_SILENCE_S < s < SHORTEST_LIMIT_S]
    assert short == []
    assert list(stopwatches(tree)) == []


def test_what_it_looks_for_is_found() -> None:
    tree = ast.parse(
        "began = time.monotonic()\n"
        "thread.join(timeout=10)\n"
        "asyncio.timeout(5)\n"
        "httpx.Client(timeout=20)\n"
        "assert time.monotonic() - began < 10\n"
        "thread.join(LIMIT_S)\n"
    )
    assert list(limits(tree)) == [(2, 10), (3, 5), (4, 20)]
    assert list(stopwatches(tree)) == [5]
