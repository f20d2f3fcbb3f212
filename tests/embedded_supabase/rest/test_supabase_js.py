"""The same service through supabase-js."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests import node

from .conftest import A, Shop


@pytest.fixture(scope="module")
def seen(shop: Shop) -> Iterator[dict[str, Any]]:
    keys = shop.embedded.keys
    given = {"url": shop.url, "key": keys.publishable_key, "secret": keys.secret_key, "token": shop.token(A)}
    yield node.run("rest.mjs", given)
    shop.sql("update public.labels set founded = null where id = 3")


EXPECTED: list[tuple[str, Any]] = [
    ("select", [{"id": 1, "name": "Warp"}, {"id": 2, "name": "Ninja Tune"}]),
    ("count", {"count": 4, "status": 200}),
    ("planned", True),
    (
        "embed",
        {
            "title": "Amber",
            "maker": {"name": "Autechre", "labels": {"name": "Warp"}},
            "genres": [{"name": "Downtempo"}, {"name": "IDM"}],
        },
    ),
    ("inner", [{"name": "Autechre"}, {"name": "Boards of Canada"}]),
    ("spread", [{"name": "Amon Tobin", "label": "Ninja Tune"}]),
    ("filters", [{"id": 1}, {"id": 4}]),
    ("contains", [{"id": 2}]),
    ("search", [{"id": 2}]),
    ("regex", [{"id": 3}]),
    ("range", [{"id": 2}, {"id": 3}]),
    ("maybe", None),
    ("csv", "id,name\n1,IDM\n2,Downtempo"),
    ("stripped", [{"id": 3, "name": "Empty"}]),
    ("insert", {"data": None, "status": 201}),
    (
        "insert_many",
        [{"id": 301, "name": "one", "founded": None}, {"id": 302, "name": "two", "founded": "2002-02-02"}],
    ),
    ("defaults", [{"title": "d", "price": 9.99}, {"title": "e", "price": 1}]),
    ("upsert", {"name": "merged"}),
    ("ignore", []),
    ("update", [{"founded": "2003-03-03"}]),
    ("delete", {"count": 3, "status": 204}),
    ("delete_albums", 204),
    ("rpc", 5),
    ("rpc_get", 6),
    ("rpc_rows", [{"id": 2}]),
    ("rpc_head", {"count": 7, "data": None}),
    ("rpc_void", {"data": None, "status": 204}),
    ("own", [{"entry": "of a"}]),
]


@pytest.mark.parametrize(("what", "expected"), EXPECTED)
def test_data(seen: dict[str, Any], what: str, expected: Any) -> None:
    assert seen[what] == expected


REFUSED = [
    ("single", 406, "PGRST116"), ("unknown_table", 404, "PGRST205"), ("unknown_column", 400, "42703"),
    ("ambiguous", 300, "PGRST201"), ("too_many", 400, "PGRST124"), ("delete_all", 400, "21000"),
    ("rpc_missing", 404, "PGRST202"), ("rpc_raised", 400, "P0001"), ("stranger", 401, "42501"),
    ("schema", 406, "PGRST106"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "status", "code"), REFUSED)
def test_errors(seen: dict[str, Any], what: str, status: int, code: str) -> None:
    assert (seen[what]["status"], seen[what]["error"]["code"]) == (status, code), seen[what]
