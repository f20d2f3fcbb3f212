"""What is asked: method, name, query string, body, and the `Prefer` and `Accept` headers understood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from soundscape.local.rest.errors import refusal

_PREFERENCES = {
    "resolution": ("merge-duplicates", "ignore-duplicates"),
    "return": ("representation", "minimal"),
    "count": ("exact", "planned", "estimated"),
    "missing": ("default", "null"),
    "handling": ("strict", "lenient"),
}

_VENDOR = "application/vnd.pgrst."
MEDIA = {
    "*/*": "application/json",
    "application/*": "application/json",
    "application/json": "application/json",
    "application/openapi+json": "application/json",
    f"{_VENDOR}object+json": f"{_VENDOR}object+json",
    f"{_VENDOR}object": f"{_VENDOR}object+json",
    f"{_VENDOR}array+json": f"{_VENDOR}array+json",
    f"{_VENDOR}array": f"{_VENDOR}array+json",
    "text/csv": "text/csv",
    "text/*": "text/csv",
}
"""What is answered to each media range."""

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
    """The query string's."""
    preferences: dict[str, str]
    """Those that we know, by name."""
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

    def json(self) -> tuple[str, Any]:
        """The body as text and as a value. Raises PGRST102 for what is not strict JSON."""
        media = self.content_type.partition(";")[0].strip().lower()
        if media not in _JSON_TYPES:
            raise refusal("PGRST102", f"Content-Type not acceptable: {media}")
        return read_json(self.body)


def read_json(text: str | bytes) -> tuple[str, Any]:
    """Strict JSON: no NaN, no bottomless nesting. Raises PGRST102."""
    try:
        text = text if isinstance(text, str) else text.decode("utf-8-sig")
        return text, from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise refusal("PGRST102", "Empty or invalid json") from error


def parse_prefer(header: str) -> dict[str, str]:
    """Read RFC 7240's comma list; the first of two contradicting ones wins.

    Raises PGRST127 for those that PostgREST knows and we do not, which would change the answer;
    PGRST122 for an unknown one together with `handling=strict`.
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
    """The first of those named that we have, weights aside. Raises PGRST107 when there is none."""
    offered = [part.replace(" ", "").lower().split(";") for part in header.split(",") if part.strip()]
    for name, *parameters in offered or [["*/*"]]:
        if name in MEDIA:
            return Media(MEDIA[name], name.startswith(_VENDOR) and "nulls=stripped" in parameters)
    raise refusal("PGRST107", ", ".join(name for name, *_ in offered))
