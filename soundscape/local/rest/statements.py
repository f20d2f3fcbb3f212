"""Whole statements: one row that holds the body, the counts and what the database says of the response.

body text, rows bigint, total bigint, inserted int, location json, headers text, status text
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from soundscape.local.rest.calls import Call
from soundscape.local.rest.payload import Payload
from soundscape.local.rest.plan import Read
from soundscape.local.rest.preferences import Media
from soundscape.local.rest.schema_cache import Table
from soundscape.local.rest.sql import COMMA, EMPTY, Composer, array_literal
from soundscape.local.rest.writes import Batch, Delete, Insert, Update, Write

SOURCE = SQL("pgrst_source")

NO_TOTAL = SQL("null::bigint")
NO_LOCATION = SQL("null::json")

# An upsert says 201 only when it made a row: count what goes in, take back what met a conflict.
_COUNTED_INSERT = SQL(
    " where set_config('pgrst.inserted',"
    " (coalesce(nullif(current_setting('pgrst.inserted', true), ''), '0')::int + 1)::text, true) <> ''"
)
_COUNTED_CONFLICT = SQL(
    " where set_config('pgrst.inserted',"
    " (current_setting('pgrst.inserted', true)::int - 1)::text, true) <> ''"
)


@dataclass(frozen=True, slots=True)
class Statement:
    query: Composed
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """How rows become the body."""

    media: Media
    names: tuple[str, ...] = ()
    """The columns, for the first line of a CSV."""
    scalar: bool = False
    """The rows are a function's bare values."""
    only: bool = False
    """There is one row and it stands without brackets."""
    empty: bool = False
    """Nothing is to be shown."""


def read_statement(
    read: Read, shape: Shape, *, counted: bool, version: int, ceiling: int | None = None
) -> Statement:
    """Counts no further than `ceiling`, where there is one."""
    composer = Composer()
    source = Identifier(*read.table.key)
    rows = composer.read(read, source)
    total: Composable = NO_TOTAL
    if counted:
        found = composer.count(read, source)
        total = _total(found if ceiling is None else SQL("{} limit {}").format(found, Literal(ceiling)))
    return _finish(composer, EMPTY, rows, shape, total, version)


def call_statement(call: Call, read: Read, shape: Shape, *, counted: bool, version: int) -> Statement:
    """`read` shapes what the function returned."""
    composer = Composer()
    with_ = SQL("with {} as ({}) ").format(SOURCE, _call(composer, call))
    rows = composer.read(read, SOURCE)
    total = _total(composer.count(read, SOURCE)) if counted else NO_TOTAL
    return _finish(composer, with_, rows, shape, total, version)


def write_statement(write: Write, shown: Read, shape: Shape, *, version: int, locate: bool) -> Statement:
    composer = Composer()
    if isinstance(write, Insert):
        parts = [_insert(composer, write, batch) for batch in write.batches]
    elif isinstance(write, Update):
        parts = [_update(composer, write)]
    else:
        parts = [_delete(composer, write)]
    names = [SQL("pgrst_write_{}").format(number) for number in range(len(parts))]
    ctes = [SQL("{} as ({})").format(name, part) for name, part in zip(names, parts, strict=True)]
    union = SQL(" union all ").join(SQL("select * from {}").format(name) for name in names)
    ctes.append(SQL("{} as ({})").format(SOURCE, union))
    with_ = SQL("with {} ").format(COMMA.join(ctes))
    rows = SQL("select * from {}").format(SOURCE) if shape.empty else composer.read(shown, SOURCE)
    location: Composable = NO_LOCATION
    if locate:
        location = SQL("case when count(*) = 1 then json_agg(pgrst_t) -> 0 end")
    return _finish(composer, with_, rows, shape, NO_TOTAL, version, location)


def count_statement(read: Read) -> Statement:
    """The planner's estimate of how many rows a read has."""
    composer = Composer()
    counted = composer.count(read, Identifier(*read.table.key))
    return Statement(SQL("explain (format json) {}").format(counted), composer.parameters)


# -- the answer ------------------------------------------------------------------------------------


def _finish(
    composer: Composer,
    with_: Composable,
    rows: Composable,
    shape: Shape,
    total: Composable,
    version: int,
    location: Composable = NO_LOCATION,
) -> Statement:
    query = SQL(
        "{}select {} as body, count(*) as rows, {} as total,"
        " nullif(current_setting('pgrst.inserted', true), '')::int as inserted, {} as location,"
        " nullif(current_setting('response.headers', true), '') as headers,"
        " nullif(current_setting('response.status', true), '') as status,"
        # A new reading of the schema is a new text: no statement prepared before it is used again.
        " {} as schema_version from ({}) as pgrst_t"
    ).format(with_, _body(composer, shape), total, location, Literal(version), rows)
    return Statement(query, composer.parameters)


def _body(composer: Composer, shape: Shape) -> Composable:
    if shape.empty:
        return SQL("''")
    item = SQL("pgrst_t.pgrst_scalar") if shape.scalar else SQL("pgrst_t")
    if shape.media.type == "text/csv":
        # A row's own text form is already a line of CSV, but for its parentheses.
        header = ",".join(shape.names)
        return SQL(
            "{}::text || coalesce(string_agg("
            "substring(pgrst_t::text, 2, length(pgrst_t::text) - 2), E'\\n'), '')"
        ).format(composer.value(header + "\n"))
    rows: Composable = SQL("json_agg({})").format(item)
    if shape.only or shape.media.single:
        rows = SQL("{} -> 0").format(rows)
    if shape.media.strip_nulls:
        rows = SQL("json_strip_nulls({})").format(rows)
    nothing = SQL("'null'") if shape.only or shape.media.single else SQL("'[]'")
    return SQL("coalesce(({})::text, {})").format(rows, nothing)


def _total(counted: Composable) -> Composable:
    return SQL("(select count(*) from ({}) as pgrst_counted)").format(counted)


# -- writes ----------------------------------------------------------------------------------------


def _insert(composer: Composer, write: Insert, batch: Batch) -> Composable:
    columns = COMMA.join(map(Identifier, batch.columns))
    target = SQL("insert into {}").format(Identifier(*write.table.key))
    if batch.columns:
        target = SQL("{} ({})").format(target, columns)
    return Composed(
        [
            target,
            SQL(" select {} from ").format(columns),
            _payload_rows(composer, write.table, write.payload, batch),
            _COUNTED_INSERT if write.conflict and write.merge else EMPTY,
            _on_conflict(write, batch),
            _returning(write.table.name, write.returning),
        ]
    )


def _on_conflict(write: Insert, batch: Batch) -> Composable:
    if not write.conflict:
        return EMPTY
    key = COMMA.join(map(Identifier, write.conflict))
    if not (write.merge and batch.columns):
        return SQL(" on conflict ({}) do nothing").format(key)
    changes = COMMA.join(
        SQL("{} = excluded.{}").format(Identifier(column), Identifier(column)) for column in batch.columns
    )
    return SQL(" on conflict ({}) do update set {}{}").format(key, changes, _COUNTED_CONFLICT)


def _update(composer: Composer, write: Update) -> Composable:
    place = Identifier(write.place)
    if not (write.columns or write.defaulted):
        shown = COMMA.join(map(Identifier, write.returning)) if write.returning else SQL("1")
        return SQL("select {} from {} where false").format(shown, Identifier(*write.table.key))
    changes = [
        SQL("{} = {}").format(Identifier(column), Identifier("pgrst_body", column))
        for column in write.columns
    ]
    changes += [SQL("{} = default").format(Identifier(column)) for column in write.defaulted]
    return Composed(
        [
            SQL("update {} as {} set {} from ").format(
                Identifier(*write.table.key), place, COMMA.join(changes)
            ),
            _payload_rows(composer, write.table, write.payload),
            composer.conditions([composer.where(where) for where in write.where]),
            _returning(write.place, write.returning),
        ]
    )


def _delete(composer: Composer, write: Delete) -> Composable:
    return Composed(
        [
            SQL("delete from {} as {}").format(Identifier(*write.table.key), Identifier(write.place)),
            composer.conditions([composer.where(where) for where in write.where]),
            _returning(write.place, write.returning),
        ]
    )


def _payload_rows(
    composer: Composer, table: Table, payload: Payload, batch: Batch | None = None
) -> Composable:
    """The body as rows of the table's own type, so that every column is read as Postgres reads it."""
    body = SQL("{}::json").format(composer.value(payload.text))
    if batch is not None and not batch.columns:
        if not payload.is_array:
            return SQL("(select 1) as pgrst_body")
        return SQL("json_array_elements({}) as pgrst_body").format(body)
    if batch is not None and batch.numbers is not None:
        body = SQL(
            "(select json_agg(e.value order by e.number) from json_array_elements({})"
            " with ordinality as e (value, number) where e.number = any({}))"
        ).format(body, composer.value(list(batch.numbers)))
    reader = SQL("json_populate_recordset" if payload.is_array else "json_populate_record")
    return SQL("{}(null::{}, {}) as pgrst_body").format(reader, Identifier(*table.key), body)


def _returning(place: str, columns: Iterable[str]) -> Composable:
    names = [Identifier(place, column) for column in columns]
    # A constant asks for no SELECT privilege and no SELECT policy.
    return SQL(" returning {}").format(COMMA.join(names)) if names else SQL(" returning 1")


# -- calls -----------------------------------------------------------------------------------------


def _call(composer: Composer, call: Call) -> Composable:
    function = Identifier(call.function.schema, call.function.name)
    source: Composable = EMPTY
    if call.raw is not None:
        argument = call.function.arguments[0]
        arguments: Composable = SQL("{}::{}").format(
            composer.value(call.raw), Identifier(*argument.type_name)
        )
    elif call.json_text is not None and call.named:
        columns = COMMA.join(
            SQL("{} {}").format(Identifier(argument.name), Identifier(*argument.type_name))
            for argument in call.named
        )
        source = SQL("json_to_record({}::json) as pgrst_args ({})").format(
            composer.value(call.json_text), columns
        )
        arguments = COMMA.join(
            SQL("{}{} => {}").format(
                SQL("variadic ") if argument.variadic else EMPTY,
                Identifier(argument.name),
                Identifier("pgrst_args", argument.name),
            )
            for argument in call.named
        )
    else:
        arguments = COMMA.join(
            SQL("{}{} => {}::{}").format(
                SQL("variadic ") if argument.variadic else EMPTY,
                Identifier(argument.name),
                composer.value(array_literal(text) if isinstance(text, tuple) else text),
                Identifier(*argument.type_name),
            )
            for argument, text in call.texts
        )
    called = SQL("{}({})").format(function, arguments)
    if call.function.is_scalar:
        from_ = SQL(" from {}").format(source) if source is not EMPTY else EMPTY
        return SQL("select {} as pgrst_scalar{}").format(called, from_)
    before = SQL("{}, lateral ").format(source) if source is not EMPTY else EMPTY
    return SQL("select pgrst_call.* from {}{} as pgrst_call").format(before, called)
