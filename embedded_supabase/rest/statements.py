"""Whole statements. Each has one row: the body, the counts, and the status and headers that SQL has set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg.sql import SQL, Composable, Composed, Literal

from embedded_supabase.database import quote
from embedded_supabase.rest.call_plan import CallPlan
from embedded_supabase.rest.mutate_plan import MutatePlan, RowGroup
from embedded_supabase.rest.read_plan import ReadPlan
from embedded_supabase.rest.request import Media
from embedded_supabase.rest.sql import COMMA, EMPTY, Statement

SOURCE = SQL("pgrst_source")
NO_TOTAL: Composable = SQL("null::bigint")

# An upsert is 201 only when it inserted a row: count all rows, subtract those with a conflict.
_COUNTED = SQL(
    " where set_config('pgrst.inserted',"
    " (coalesce(nullif(current_setting('pgrst.inserted', true), ''), '0')::int + {})::text, true) <> ''"
)
_COUNTED_INSERT, _COUNTED_CONFLICT = _COUNTED.format(Literal(1)), _COUNTED.format(Literal(-1))


@dataclass(frozen=True, slots=True)
class Shape:
    """How the rows become the body."""

    media: Media
    names: list[str]
    """The columns, for the header line of CSV."""
    empty: bool
    """Whether the response shows no rows."""
    version: int
    """Of the schema cache. It is in the text, so that a new cache never uses an old prepared statement."""
    call: CallPlan | None = None
    """The call that makes the rows, if any."""


def compose_read(
    read: ReadPlan, shape: Shape, *, counted: bool = False, ceiling: int | None = None
) -> Statement:
    """The rows of a table or of a call. Counts up to `ceiling` rows, if it is set."""
    statement, with_, total = Statement(), EMPTY, NO_TOTAL
    source: Composable = quote(*read.table.key)
    if shape.call is not None:
        with_, source = SQL("with {} as ({}) ").format(SOURCE, _compose_call(statement, shape.call)), SOURCE
    rows = statement.read(read, source)
    if counted:
        found = statement.count(read, source)
        if ceiling is not None:
            found = SQL("{} limit {}").format(found, Literal(ceiling + 1))
        total = SQL("(select count(*) from ({}) as pgrst_counted)").format(found)
    return _finish(statement, with_, rows, shape, total)


def compose_mutation(plan: MutatePlan, shape: Shape) -> Statement:
    statement = Statement()
    if plan.method == "DELETE":
        parts = [_compose_delete(statement, plan)]
    else:
        change = _compose_insert if plan.method == "POST" else _compose_update
        parts = [change(statement, plan, group) for group in plan.groups]
    names = [SQL("pgrst_write_{}").format(number) for number in range(len(parts))]
    ctes = [SQL("{} as ({})").format(name, part) for name, part in zip(names, parts, strict=True)]
    union: Composable = SQL(" union all ").join(SQL("select * from {}").format(name) for name in names)
    if len(names) > 1 and plan.returning:
        union = _restore_order(statement, plan, names)
    with_ = SQL("with {}, {} as ({}) ").format(COMMA.join(ctes), SOURCE, union)
    rows = SQL("select * from {}").format(SOURCE) if shape.empty else statement.read(plan.shown, SOURCE)
    return _finish(statement, with_, rows, shape, NO_TOTAL)


def _restore_order(statement: Statement, plan: MutatePlan, names: Iterable[Composable]) -> Composable:
    """The written rows in the order of the body. A skipped row is not counted: the later rows of its group
    then come one position too early."""
    numbered = [
        SQL("select ({}::int[])[row_number() over ()] as pgrst_number, * from {}").format(
            statement.value(list(group.numbers or ())), name
        )
        for group, name in zip(plan.groups, names, strict=True)
    ]
    union = SQL(" union all ").join(numbered)
    return SQL("select {} from ({}) as pgrst_rows order by pgrst_number").format(
        _list_columns(plan.returning), union
    )


def compose_estimate(read: ReadPlan) -> Statement:
    """Ask Postgres's planner how many rows a read has."""
    statement = Statement()
    counted = statement.count(read, quote(*read.table.key))
    statement.query = SQL("explain (format json) {}").format(counted)
    return statement


# -- the response ------------------------------------------------------------------------------------


def _finish(
    statement: Statement, with_: Composable, rows: Composable, shape: Shape, total: Composable
) -> Statement:
    statement.query = SQL(
        "{}select {} as body, count(*) as rows, {} as total,"
        " nullif(current_setting('pgrst.inserted', true), '')::int as inserted,"
        " nullif(current_setting('response.headers', true), '') as headers,"
        " nullif(current_setting('response.status', true), '') as status,"
        " {} as schema_version from ({}) as pgrst_t"
    ).format(with_, _compose_body(statement, shape), total, Literal(shape.version), rows)
    return statement


def _compose_body(statement: Statement, shape: Shape) -> Composable:
    if shape.empty:
        return SQL("''")
    if shape.media.type == "text/csv":
        # The text form of a row is a line of CSV in parentheses.
        return SQL(
            "{}::text || coalesce(string_agg("
            "substring(pgrst_t::text, 2, length(pgrst_t::text) - 2), E'\\n'), '')"
        ).format(statement.value(",".join(shape.names) + "\n"))
    function = shape.call and shape.call.function
    scalar = function and function.is_scalar
    rows: Composable = SQL("json_agg(pgrst_t.pgrst_scalar)" if scalar else "json_agg(pgrst_t)")
    # One row has no brackets around it.
    single = shape.media.single or (function and not function.returns_set)
    rows = SQL("{} -> 0").format(rows) if single else rows
    rows = SQL("json_strip_nulls({})").format(rows) if shape.media.strip_nulls else rows
    return SQL("coalesce(({})::text, {})").format(rows, SQL("'null'") if single else SQL("'[]'"))


# -- writes ----------------------------------------------------------------------------------------


def _compose_insert(statement: Statement, plan: MutatePlan, group: RowGroup) -> Composable:
    columns, conflict = _list_columns(group.columns), _list_columns(plan.conflict)
    head = "insert into {0} ({1}) select {1} from " if group.columns else "insert into {0} select from "
    counted, on_conflict = EMPTY, EMPTY
    if plan.conflict and plan.merge and group.columns:
        counted = _COUNTED_INSERT
        on_conflict = SQL(" on conflict ({}) do update set {}{}").format(
            conflict, _compose_changes(group, "excluded"), _COUNTED_CONFLICT
        )
    elif plan.conflict:
        on_conflict = SQL(" on conflict ({}) do nothing").format(conflict)
    into = SQL(head).format(quote(*plan.target.table.key), columns)
    return Composed(
        [into, _compose_body_rows(statement, plan, group), counted, on_conflict, _compose_returning(plan)]
    )


def _compose_update(statement: Statement, plan: MutatePlan, group: RowGroup) -> Composable:
    table, alias = quote(*plan.target.table.key), quote(plan.target.alias)
    if not group.columns:
        shown = _list_columns(plan.returning) if plan.returning else SQL("1")
        return SQL("select {} from {} where false").format(shown, table)
    return SQL("update {} as {} set {} from {}{}{}").format(
        table,
        alias,
        _compose_changes(group, "pgrst_body"),
        _compose_body_rows(statement, plan, group),
        statement.conditions(plan.target),
        _compose_returning(plan),
    )


def _compose_delete(statement: Statement, plan: MutatePlan) -> Composable:
    table, alias = quote(*plan.target.table.key), quote(plan.target.alias)
    where = statement.conditions(plan.target)
    return SQL("delete from {} as {}{}{}").format(table, alias, where, _compose_returning(plan))


def _compose_changes(group: RowGroup, source: str) -> Composable:
    return COMMA.join(SQL("{} = {}").format(quote(column), quote(source, column)) for column in group.columns)


def _compose_body_rows(statement: Statement, plan: MutatePlan, group: RowGroup) -> Composable:
    """The body as rows of the table's type: Postgres reads each value."""
    body = SQL("{}::json").format(statement.value(plan.text))
    if not group.columns:
        return SQL("json_array_elements({}) as pgrst_body").format(body)
    if group.numbers is not None:
        body = SQL(
            "(select json_agg(e.value order by e.number) from json_array_elements({})"
            " with ordinality as e (value, number) where e.number = any({}))"
        ).format(body, statement.value(list(group.numbers)))
    row = quote(*plan.target.table.key)
    return SQL("json_populate_recordset(null::{}, {}) as pgrst_body").format(row, body)


def _compose_returning(plan: MutatePlan) -> Composable:
    names = [quote(plan.target.table.name, column) for column in plan.returning]
    # A constant needs no SELECT privilege and no SELECT policy.
    return SQL(" returning {}").format(COMMA.join(names) if names else SQL("1"))


def _list_columns(columns: Iterable[str]) -> Composable:
    return COMMA.join(map(quote, columns))


# -- calls -----------------------------------------------------------------------------------------


def _compose_call(statement: Statement, call: CallPlan) -> Composable:
    types = [SQL("{} {}").format(quote(it.name), quote(*it.type_name)) for it in call.arguments]
    source: Composable = SQL("(select) as pgrst_args")
    if types:
        text = statement.value(call.text)
        source = SQL("json_to_record({}::json) as pgrst_args ({})").format(text, COMMA.join(types))
    arguments = [SQL("{0} => pgrst_args.{0}").format(quote(it.name)) for it in call.arguments]
    called = SQL("{}({})").format(quote(call.function.schema, call.function.name), COMMA.join(arguments))
    if call.function.is_scalar:
        return SQL("select {} as pgrst_scalar from {}").format(called, source)
    return SQL("select pgrst_call.* from {}, lateral {} as pgrst_call").format(source, called)
