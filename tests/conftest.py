"""Fixtures shared by every test: a cluster, a running embedded Supabase, Node, the shared recordings."""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import structlog
from httpx._transports import default
from hypothesis import settings

from embedded_supabase.postgres import Postgres
from soundscape.cli.embedded_project import Project
from tests import cluster, passwords, templates
from tests.embedded import served
from tests.waiting import LIMIT_S

# A first example may compile a kernel or start a connection; a hang is what the time limit of CI is for.
# Each run tries the same examples, so that a change is judged by what it changed. Another profile looks for
# new ones: scripts/test --hypothesis-profile search
settings.register_profile("soundscape", deadline=None, print_blob=True, derandomize=True)
settings.register_profile("search", deadline=None, print_blob=True)
settings.load_profile("soundscape")

# A worker that a fixture left in a thread may log at any moment: never into what a command prints.
# Tracebacks are plain, as in the product. The pretty ones print local variables, which takes long.
structlog.configure(
    logger_factory=structlog.PrintLoggerFactory(sys.__stderr__),
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ],
)

# No test downloads the model, not even one that runs on a terminal.
os.environ.setdefault("SOUNDSCAPE_MODELS", "off")

passwords.make_cheap()

# A client reads all certificates anew, which takes 30 ms of CPU. No test needs another set of them.
default.create_ssl_context = functools.cache(  # type: ignore[attr-defined]
    default.create_ssl_context  # type: ignore[attr-defined]
)

# A client that does not say how long it waits for an answer waits five seconds: too little on a busy machine.
_PATIENCE = inspect.signature(httpx.Client).parameters["timeout"].default
for _phase in ("connect", "read", "write", "pool"):
    setattr(_PATIENCE, _phase, LIMIT_S)

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much chaos, how many at once: what fits into CI unless said otherwise."""
    group = parser.getgroup("chaos")
    group.addoption("--chaos-uploads", type=int, default=80, help="Recordings to upload.")
    group.addoption("--chaos-workers", type=int, default=3, help="Workers at a time.")
    group.addoption("--chaos-kill-every-s", type=float, default=6.0, help="Seconds between two SIGKILLs.")
    group.addoption(
        "--account-recordings",
        type=int,
        default=8,
        help="Recordings of the account that is exported and deleted.",
    )
    group.addoption("--chaos-seed", type=int, default=1, help="Which doorbells are lost, who is killed.")
    parser.addoption("--clients", type=int, default=50, help="Clients at once in the contract tests.")


def pytest_configure(config: pytest.Config) -> None:
    """Prepare what the processes of this run share."""
    if hasattr(config, "workerinput"):
        return
    # `tests/contract/table.py` collects in a session of its own inside this one: the folder stays ours.
    if templates.FOLDER_VARIABLE not in os.environ:
        folder = Path(tempfile.mkdtemp(prefix="soundscape-templates-"))
        folder.chmod(0o711)
        os.environ[templates.FOLDER_VARIABLE] = str(folder)

        def remove_templates() -> None:
            shutil.rmtree(folder)
            del os.environ[templates.FOLDER_VARIABLE]

        config.add_cleanup(remove_templates)
    if config.getoption("numprocesses", None):
        # By `LONGEST_GROUPS`, not by how many tests a group has.
        config.option.loadscopereorder = False
        # numba keeps two files for each function that librosa compiles when it is imported. It takes no care
        # that both come from one process: mixed, they crash whoever loads them.
        for name in ("util.utils", "beat", "core.audio", "core.pitch"):
            importlib.import_module(f"librosa.{name}")


LONGEST_GROUPS = (
    *("sql", "cli", "worker", "audio", "check", "contract", "deploy", "chaos", "recommend", "sandbox"),
    *("embedded_supabase/rest", "embedded_supabase/storage", "embedded_supabase/auth"),
)
"""The groups of tests that take longest, the longest first: begun last, one would keep the others waiting."""


def group_of(test: Path) -> str:
    """What runs in one process: a folder of `tests/`, or one within it whose fixtures are its own."""
    folders = test.relative_to(ROOT / "tests").parts[:-1]
    own = folders[:1] in (("embedded_supabase",), ("sql",))
    return "/".join(folders[: 2 if own else 1]) or "tests"


# First: xdist reads the groups in the same hook.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fixtures of a folder are made once: with several processes, its tests go to one of them.

    Against another project, tests that only the embedded one can pass are skipped with their reason.
    """
    order = {group: place for place, group in enumerate(LONGEST_GROUPS)}
    items.sort(key=lambda item: order.get(group_of(item.path), len(order)))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item.path)))
    if not os.environ.get("SUPABASE_URL"):
        return
    for item in items:
        if marker := item.get_closest_marker("embedded_only"):
            item.add_marker(pytest.mark.skip(reason=marker.args[0]))


def pytest_collection_finish(session: pytest.Session) -> None:
    """pytest-xdist groups by what it appends to the ids of tests; without it every fixture is made twice."""
    if hasattr(session.config, "workerinput") and not all("@" in item.nodeid for item in session.items):
        raise pytest.UsageError("This pytest-xdist does not group tests under this pytest.")


@pytest.fixture(scope="session")
def shared_audio() -> Path:
    """The folder of real recordings beside the checkout; tests that need it are skipped without it."""
    folder = SHARED / "audio"
    if not folder.is_dir():
        pytest.skip("../shared/audio is not here")
    return folder


@pytest.fixture(scope="session")
def data_dirs() -> Iterator[Path]:
    """A folder for clusters that Postgres's own uid can enter, even when the tests run as root.

    Not pytest's own: that one is closed to other uids again whenever another run starts.
    """
    with tempfile.TemporaryDirectory(prefix="soundscape-tests-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture(scope="session")
def platform(data_dirs: Path) -> Iterator[Postgres]:
    """A cluster with a hosted project's roles and schemas, and nothing of ours."""
    with cluster.started(data_dirs / "platform") as postgres:
        yield postgres


@pytest.fixture(scope="session")
def embedded(data_dirs: Path) -> Iterator[Project]:
    """The whole embedded Supabase on a free port, deployed, with its worker, served by a thread of its own.

    `embedded.url`, `embedded.keys`, `embedded.db_url`, `embedded.supabase.postgres.dsn(role)`.
    """
    with served(data_dirs / "project") as project:
        yield project


@pytest.fixture
def own_logging() -> Iterator[None]:
    """The test may set up logging; what was set up before comes back."""
    before, handlers, level = structlog.get_config(), list(logging.root.handlers), logging.root.level
    yield
    structlog.configure(**before)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
