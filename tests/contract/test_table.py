"""The document's tables cannot drift from the tests: each row names what drives it, and is driven by that."""

from __future__ import annotations

import pytest

from . import table

ROWS = table.documented()


@pytest.fixture(scope="module")
def driven() -> dict[str, table.Drivers]:
    return table.driven()


def test_every_row_can_be_read() -> None:
    unread = [f"line {row.line}" for row in ROWS if row.id is None or row.drivers is None]
    assert not unread, "each row begins with its `section.name` and ends with what drives it"
    ids = [row.id for row in ROWS]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.id))
def test_a_row_is_driven_as_it_says(row: table.Row, driven: dict[str, table.Drivers]) -> None:
    assert driven.get(str(row.id)) == row.drivers
    assert row.drivers is not None
    clients = (row.drivers.anywhere | row.drivers.here) & {"py", "js"}
    assert len(clients) in (0, 2), "by both clients, or by neither where they have no call for it"


def test_a_test_names_rows_that_exist(driven: dict[str, table.Drivers]) -> None:
    assert set(driven) <= {row.id for row in table.documented()}
