"""A project to break and to repair."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from soundscape.cli.embedded_project import Project
from tests import embedded


@pytest.fixture(scope="session")
def served(data_dirs: Path) -> Iterator[Project]:
    """An embedded project without a worker."""
    with embedded.served(data_dirs / "broken", with_worker=False) as project:
        yield project
