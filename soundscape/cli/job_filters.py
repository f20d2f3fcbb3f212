"""Filters of recordings: `--where column=op.value`, as PostgREST writes them."""

from __future__ import annotations

from soundscape.errors import FilterError


def parse_filter(text: str) -> dict[str, str]:
    """Parse `status=in.(failed,ready)` into `{column, op, value}`.

    Lists are written in parentheses (`in`) or braces (`cs`, `ov`). Both may be left out.

    Raises
    ------
    FilterError
        The text is not a filter.
    """
    column, equals, rest = text.partition("=")
    op, dot, value = rest.partition(".")
    if not (equals and dot and column.strip() and op.strip()):
        raise FilterError(
            f"{text!r} is not a filter.", remedy="Write column=operator.value, such as status=eq.failed."
        )
    for opening, closing in ("()", "{}"):
        if value.startswith(opening) and value.endswith(closing):
            value = value[1:-1]
    return {"column": column.strip(), "op": op.strip(), "value": value}
