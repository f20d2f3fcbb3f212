"""Every promise of docs/security.md names a test that exists."""

from __future__ import annotations

import re

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()


def test_every_promise_names_its_tests() -> None:
    promises = re.findall(r"^\| (?P<promise>[^|]+) \| (?P<tests>[^|]+) \|$", PAGE, re.MULTILINE)
    bare = [promise for promise, tests in promises if promise != "promise" and "tests/" not in tests]
    assert bare == []
    assert len(promises) > 20


def test_every_test_that_it_names_exists() -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE))
    assert len(named) > 20
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []
