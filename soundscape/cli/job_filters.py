"""`--where column=op.value`, as PostgREST writes filters. The database says which there are."""

from __future__ import annotations

from soundscape.errors import FilterError


def parse(text: str) -> dict[str, str]:
    """`status=in.(failed,ready)` as `{column, op, value}`. Raises `FilterError`.

    Lists stand in parentheses (`in`) or braces (`cs`, `ov`), which may be left out.
    """
    column, equals, rest = text.partition("=")
    op, dot, value = rest.partition(".")
    if not (equals and dot and column.strip() and op.strip()):
        raise FilterError(
            f"{text!r} is no filter.", remedy="Write column=operator.value, such as status=eq.failed."
        )
    for opening, closing in ("()", "{}"):
        if value.startswith(opening) and value.endswith(closing):
            value = value[1:-1]
    return {"column": column.strip(), "op": op.strip(), "value": value}
