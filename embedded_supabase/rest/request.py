"""A request: method, name, query string and body, and what its `Prefer` and `Accept` headers mean."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from pydantic_core import from_json

from embedded_supabase.rest.errors import refusal
from embedded_supabase.rest.grammar import has_operator, read
from embedded_supabase.rest.syntax import Comparison, Query

MAX_PARAMETERS = 500

_PREFERENCES = {
    "resolution": ("merge-duplicates", "ignore-duplicates"),
    "return": ("representation", "minimal"),
    "count": ("exact", "planned", "estimated"),
    "missing": ("default", "null"),
    "handling": ("strict", "lenient"),
}

_JSON, _VENDOR = "application/json", "application/vnd.pgrst."
MEDIA = {
    **dict.fromkeys(
        ("*/*", "application/*", "application/json", "application/openapi+json"), "application/json"
    ),
    **dict.fromkeys((f"{_VENDOR}object+json", f"{_VENDOR}object"), f"{_VENDOR}object+json"),
    **dict.fromkeys((f"{_VENDOR}array+json", f"{_VENDOR}array"), f"{_VENDOR}array+json"),
    **dict.fromkeys(("text/csv", "text/*"), "text/csv"),
}
"""The media type of the response to each media range."""

# A browser's fetch labels a string as text/plain; PostgREST's clients always say JSON.
_JSON_TYPES = ("", "application/json", "application/vnd.pgrst.object+json", "text/plain")


@dataclass(frozen=True, slots=True)
class Media:
    """The representation to send."""

    type: str = "application/json"
    strip_nulls: bool = False

    @property
    def single(self) -> bool:
        return self.type == f"{_VENDOR}object+json"

    @property
    def content_type(self) -> str:
        return f"{self.type}{'; nulls=stripped' if self.strip_nulls else ''}; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    schema: str
    name: str
    is_call: bool
    pairs: list[tuple[str, str]]
    """Of the query string."""
    preferences: dict[str, str]
    """The known ones, by name."""
    media: Media
    body: bytes = b""
    content_type: str = ""

    @property
    def is_read(self) -> bool:
        return self.method in ("GET", "HEAD")

    @property
    def shows_rows(self) -> bool:
        return self.preferences.get("return") == "representation"

    @property
    def max_affected(self) -> int | None:
        found = self.preferences.get("max-affected")
        return None if found is None else int(found)

    def query(self) -> Query:
        """Parse the parameters. Raises PGRST100 and PGRST103."""
        return parse_query(self.pairs, is_call=self.is_call and self.is_read)

    def json(self) -> tuple[str, Any]:
        """The body as text and as a value. Raises PGRST102 for what is not strict JSON."""
        media = self.content_type.partition(";")[0].strip().lower()
        if media not in _JSON_TYPES:
            raise refusal("PGRST102", f"Content-Type not acceptable: {media}")
        return read_json(self.body)


def read_json(text: str | bytes) -> tuple[str, Any]:
    """Parse strict JSON: no NaN, limited nesting. Raises PGRST102."""
    try:
        text = text if isinstance(text, str) else text.decode("utf-8-sig")
        return text, from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise refusal("PGRST102", "Empty or invalid json") from error


def parse_prefer(header: str) -> dict[str, str]:
    """Read RFC 7240's comma list; the first of two contradicting ones wins.

    Raises PGRST127 for a preference of PostgREST that is not supported here and would change the response.
    Raises PGRST122 for an unknown one together with `handling=strict`.
    """
    given: dict[str, str] = {}
    unknown: list[str] = []
    for preference in filter(None, (part.strip() for part in header.split(","))):
        name, _, value = preference.partition("=")
        number = name == "max-affected" and value.isascii() and value.isdecimal() and len(value) <= 18
        if value in _PREFERENCES.get(name, ()) or number:
            given.setdefault(name, value)
        elif name == "timezone" or preference == "return=headers-only":
            raise refusal("PGRST127", details=f"The preference {preference} is not supported here.")
        else:
            unknown.append(preference)
    if given.get("handling") != "strict":
        given.pop("max-affected", None)
    elif unknown:
        raise refusal("PGRST122", details=f"Invalid preferences: {', '.join(unknown)}")
    return given


def negotiate(header: str) -> Media:
    """Choose the first supported media type, whatever the weights. Raises PGRST107 without any."""
    offered = [part.replace(" ", "").lower().split(";") for part in header.split(",") if part.strip()]
    for name, *parameters in offered or [["*/*"]]:
        if name in MEDIA:
            return Media(MEDIA[name], name.startswith(_VENDOR) and "nulls=stripped" in parameters)
    raise refusal("PGRST107", ", ".join(name for name, *_ in offered))


# -- the query string ------------------------------------------------------------------------------


def split_query_string(raw: bytes) -> list[tuple[str, str]]:
    """Percent-decoded pairs in their order. Raises PGRST100 where they are not UTF-8."""
    try:
        text = raw.decode()
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError as error:
        raise refusal("PGRST100", '"failed to parse the query string"', details=str(error)) from error


def parse_query(pairs: Iterable[tuple[str, str]], *, is_call: bool = False) -> Query:
    """The tree of a query string. In a call, a parameter without an operator is an argument."""
    query = Query()
    for key, value in pairs:
        names, field = read("target", key)
        if key == "select":
            query.select = read("select", value)
        elif key == "columns":
            query.columns = read("names", value)
        elif key == "on_conflict":
            query.on_conflict = read("names", value)
        elif field.name == "order":
            query.order[names] = read("order", value)
        elif field.name == "limit":
            query.limit[names] = _number(field.name, value)
        elif field.name == "offset":
            query.offset[names] = _number(field.name, value)
        elif field.name in ("and", "or"):
            tree = read("logic", f"{'not.' if 'not' in names else ''}{field.name}{value}")
            query.conditions.append((tuple(name for name in names if name != "not"), tree))
        elif is_call and not has_operator(value):
            query.arguments[key] = value
        else:
            negated, (operator, operand, *extra) = read("filter", value)
            query.conditions.append((names, Comparison(field, operator, operand, negated, *extra)))
    return query


def _number(name: str, text: str) -> int:
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 18:
        message = f'"failed to parse {name} ({text})" (line 1, column 1)'
        raise refusal("PGRST100", message, details="expecting digit")
    if int(text) < 0:
        raise refusal("PGRST103", details=f"{name.capitalize()} should be greater than or equal to zero.")
    return int(text)
