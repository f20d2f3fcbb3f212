"""Cells must look as Postgres' own `to_jsonb` writes them; Postgres is asked."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundscape.local.realtime.cell import json_value, parse_array

if TYPE_CHECKING:
    from soundscape.local.postgres import Postgres

LITERALS = [
    ("int2", "-7"), ("int8", "9007199254740993"), ("float8", "0.1"), ("float8", "1e20"), ("float8", "NaN"),
    ("float4", "-Infinity"), ("numeric", "12.50"), ("numeric", "NaN"), ("numeric", "1e20"), ("bool", "true"),
    ("text", "a\"b\\c\n'"), ("uuid", "0192d9d8-0000-7000-8000-000000000000"), ("date", "2026-02-03"),
    ("timestamp", "2026-02-03 04:05:06.7"), ("timestamptz", "2026-02-03 04:05:06+02"),
    ("timestamptz", "infinity"), ("time", "04:05"), ("interval", "1 day 2 hours"), ("bytea", "\\x00ff"),
    ("json", '{"a": [1, 2.50, "x"]}'), ("jsonb", '[null, {"b": false}]'), ("int4range", "[1,5)"),
    ("_text", '{a,"b,c",NULL,"NULL","q\\"","\\\\"}'), ("_int4", "{{1,2},{3,4}}"), ("_bool", "{t,f}"),
    ("_timestamptz", '{"2026-02-03 04:05:06+00"}'), ("_jsonb", '{"{\\"a\\": 1}"}'), ("_numeric", "{1.5,NaN}"),
    ("_int4", "[0:1]={7,8}"), ("_text", "{}"), ("inet", "10.0.0.1"), ("oid", "26"), ("money", "1.50"),
    ("point", "(1,2)"), ("halfvec", "[1,2.5]"),
]  # fmt: skip


@pytest.mark.parametrize(("type_name", "literal"), LITERALS)
def test_as_postgres_says(platform: Postgres, type_name: str, literal: str) -> None:
    with psycopg.connect(
        platform.dsn("supabase_admin"), options="-c timezone=UTC -c datestyle=ISO"
    ) as connection:
        connection.execute("create extension if not exists vector schema extensions")
        connection.execute("set local search_path = public, extensions")
        row = connection.execute(
            psycopg.sql.SQL(
                "select format('%%s', value), to_jsonb(value)::text from (select %s::{} as value) v"
            ).format(psycopg.sql.Identifier(type_name)),
            [literal],
        ).fetchone()
    assert row is not None
    assert json_value(row[0], type_name) == json.loads(row[1])


def test_null() -> None:
    assert json_value(None, "jsonb") is None


def test_numbers_too_large_for_json_readers_stay_text() -> None:
    assert json_value('{"a": 1e999}', "jsonb") == {"a": "1e999"}


elements = st.recursive(
    st.text() | st.none(), lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=8
)


def quote(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return "{" + ",".join(map(quote, value)) + "}"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.lists(elements, max_size=5))
def test_quoted_arrays_come_back(values: list[Any]) -> None:
    assert parse_array(quote(values)) == values


@given(st.text())
def test_any_text_is_an_array_or_an_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse_array(text), list)
