"""What other tools say about the schema; each finding that stays is in docs/lints-explained.md."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import psycopg
import pytest

from embedded_supabase.postgres import Postgres
from soundscape.deploy import sources
from soundscape.deploy.database import apply
from tests import cluster, supabase_cli
from tests.waiting import LIMIT_S

HERE = Path(__file__).parent
EXPLAINED = HERE.parents[2] / "docs" / "lints-explained.md"
PGRLS = "0.57.1"
CACHE = (
    Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    / "soundscape-tests"
    # It brings compiled packages, which fit the Python that fetched them.
    / f"pgrls-{PGRLS}-{sys.implementation.cache_tag}"
)


@pytest.fixture(scope="module")
def empty_cluster(data_dirs: Path) -> Iterator[Postgres]:
    with cluster.started(data_dirs / "lints") as postgres:
        yield postgres


@pytest.fixture(scope="module")
def deployed_dsn(empty_cluster: Postgres) -> Iterator[str]:
    with cluster.database(empty_cluster) as name:
        dsn = empty_cluster.dsn(dbname=name)
        apply(dsn)
        yield dsn


def unexplained(tool: str, found: set[tuple[str, str]]) -> list[str]:
    """What the page does not explain, and what it explains that is no longer there."""
    patterns = re.findall(rf"^\| {tool} \| (\S+) \| `(.+?)` \| (.+?) \|$", EXPLAINED.read_text(), re.M)
    fitting = {
        (rule, pattern): {
            (name, subject) for name, subject in found if name == rule and fnmatchcase(subject, pattern)
        }
        for rule, pattern, _ in patterns
    }
    news = found - set().union(*fitting.values())
    stale = [key for key, fits in fitting.items() if not fits]
    return [f"new: {finding}" for finding in sorted(news)] + [f"stale: {key}" for key in stale]


def test_supabases_own_rules(deployed_dsn: str, tmp_path: Path) -> None:
    answer = supabase_cli.run(
        tmp_path,
        "db",
        "advisors",
        f"--remote={deployed_dsn}?sslmode=disable",
        "--level",
        "info",
        "-o",
        "json",
    )
    assert answer.returncode == 0, answer.stderr
    findings = json.loads(answer.stdout or "[]")
    assert isinstance(findings, list)
    found = {
        (finding["name"], finding["cache_key"].removeprefix(finding["name"] + "_")) for finding in findings
    }
    assert unexplained("advisors", found) == []


def test_pgrls(deployed_dsn: str) -> None:
    command = CACHE / "bin" / "pgrls"
    if not command.exists():
        fetched = subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--target", str(CACHE), f"pgrls=={PGRLS}"],
            capture_output=True,
            timeout=300,
        )
        if fetched.returncode != 0:
            pytest.skip(f"pip could not fetch pgrls=={PGRLS}")
    answer = subprocess.run(
        [sys.executable, str(command), "lint", "--database-url", deployed_dsn, "--format", "json"],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env=os.environ | {"PYTHONPATH": str(CACHE)},
    )
    findings = json.loads(answer.stdout)["violations"]
    assert findings, answer.stderr
    assert unexplained("pgrls", {(finding["rule_id"], finding["location"]) for finding in findings}) == []


def test_the_official_cli_pushes_the_same(empty_cluster: Postgres, deployed_dsn: str, tmp_path: Path) -> None:
    with cluster.database(empty_cluster) as name:
        dsn = empty_cluster.dsn(dbname=name)
        pushed = supabase_cli.run(
            tmp_path, "db", "push", f"--remote={dsn}?sslmode=disable", "--include-seed", "--yes"
        )
        assert pushed.returncode == 0, pushed.stderr
        ours = _catalogue(deployed_dsn)
        assert len(ours) > 500
        assert _catalogue(dsn) == ours
        # Neither does anything twice: the other's history is its own.
        again = apply(dsn)
        assert again.migrations == []
        assert (
            [migration.version for migration in sources.migrations()]
            == _history(dsn)
            == _history(deployed_dsn)
        )


def _catalogue(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        return [line for (line,) in connection.execute((HERE / "catalogue.sql").read_bytes())]


def _history(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "select version from supabase_migrations.schema_migrations order by version"
        )
        return [version for (version,) in rows]
