"""How much chaos: what fits into CI unless said otherwise."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos")
    group.addoption("--chaos-uploads", type=int, default=80, help="Recordings to upload.")
    group.addoption("--chaos-workers", type=int, default=3, help="Workers at a time.")
    group.addoption("--chaos-kill-every-s", type=float, default=6.0, help="Seconds between two SIGKILLs.")
    group.addoption("--chaos-seed", type=int, default=1, help="Which doorbells are lost, who is killed.")
