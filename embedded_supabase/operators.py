"""The operators of filters. One entry makes an operator known to the REST grammar, to SQL and to Realtime.

Source: PostgREST's documentation, "Operators"; Supabase's documentation, "Postgres Changes" (filters).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Operator:
    """How an operator is written in a filter, and what it becomes in SQL."""

    sql: str
    """Postgres's operator; the function that makes the query of a text search."""
    form: Literal["simple", "quantified", "search", "list", "keyword"]
    """`quantified` takes `(any)` and `(all)`, `search` a text search configuration, `list` a list in
    parentheses, `keyword` one of `KEYWORDS`."""
    in_realtime: bool = False
    """Whether filters of `postgres_changes` have it too."""


OPERATORS = {
    "eq": Operator("=", "quantified", True), "neq": Operator("<>", "simple", True),
    "gt": Operator(">", "quantified", True), "gte": Operator(">=", "quantified", True),
    "lt": Operator("<", "quantified", True), "lte": Operator("<=", "quantified", True),
    "like": Operator("like", "quantified", True), "ilike": Operator("ilike", "quantified", True),
    "match": Operator("~", "quantified", True), "imatch": Operator("~*", "quantified", True),
    "isdistinct": Operator("is distinct from", "simple", True),
    "in": Operator("= any", "list", True), "is": Operator("is", "keyword", True),
    "cs": Operator("@>", "simple"), "cd": Operator("<@", "simple"), "ov": Operator("&&", "simple"),
    "sl": Operator("<<", "simple"), "sr": Operator(">>", "simple"), "nxr": Operator("&<", "simple"),
    "nxl": Operator("&>", "simple"), "adj": Operator("-|-", "simple"),
    "fts": Operator("to_tsquery", "search"), "plfts": Operator("plainto_tsquery", "search"),
    "phfts": Operator("phraseto_tsquery", "search"), "wfts": Operator("websearch_to_tsquery", "search"),
}  # fmt: skip
KEYWORDS = ("null", "not_null", "true", "false", "unknown")
"""The values of `is`. Realtime has all but `not_null`."""
