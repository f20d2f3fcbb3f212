"""The `Prefer` and `Accept` headers: what the client would like done and get back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from soundscape.local.rest.errors import RestError

_VALUES: dict[str, tuple[str, ...]] = {
    "resolution": ("merge-duplicates", "ignore-duplicates"),
    "return": ("representation", "minimal", "headers-only"),
    "count": ("exact", "planned", "estimated"),
    "tx": ("commit", "rollback"),
    "missing": ("default", "null"),
    "handling": ("strict", "lenient"),
}
_ORDER = ("resolution", "missing", "return", "count", "tx", "handling", "timezone", "max-affected")

MEDIA = {
    "application/json": "application/json; charset=utf-8",
    "application/vnd.pgrst.object+json": "application/vnd.pgrst.object+json; charset=utf-8",
    "application/vnd.pgrst.object": "application/vnd.pgrst.object+json; charset=utf-8",
    "application/vnd.pgrst.array+json": "application/vnd.pgrst.array+json; charset=utf-8",
    "application/vnd.pgrst.array": "application/vnd.pgrst.array+json; charset=utf-8",
    "text/csv": "text/csv; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Preferences:
    resolution: Literal["merge-duplicates", "ignore-duplicates"] | None = None
    returned: Literal["representation", "minimal", "headers-only"] | None = None
    count: Literal["exact", "planned", "estimated"] | None = None
    rollback: bool = False
    missing_default: bool = False
    max_affected: int | None = None
    timezone: str | None = None
    given: tuple[tuple[str, str], ...] = ()

    def applied(self, *names: str) -> str | None:
        """The `Preference-Applied` header: of those given, the ones this kind of request honours."""
        given = dict(self.given)
        kept = [f"{name}={given[name]}" for name in _ORDER if name in names and name in given]
        return ", ".join(kept) or None


def parse_prefer(header: str, *, rollback_allowed: bool = False) -> Preferences:
    """Read RFC 7240's comma list; the first of two contradicting ones wins.

    Raises PGRST122 for an unknown one together with `handling=strict`.
    """
    given: dict[str, str] = {}
    unknown: list[str] = []
    for preference in filter(None, (part.strip() for part in header.split(","))):
        name, _, value = preference.partition("=")
        number = name == "max-affected" and value.isascii() and value.isdecimal()
        if value in _VALUES.get(name, ()) or number or (name == "timezone" and value):
            given.setdefault(name, value)
        else:
            unknown.append(preference)
    strict = given.get("handling") == "strict"
    if strict and unknown:
        raise RestError(
            400,
            "PGRST122",
            "Invalid preferences given with handling=strict",
            details=f"Invalid preferences: {', '.join(unknown)}",
        )
    if not rollback_allowed:
        given.pop("tx", None)
    if not strict:
        given.pop("max-affected", None)
    known: dict[str, Any] = given
    return Preferences(
        resolution=known.get("resolution"),
        returned=known.get("return"),
        count=known.get("count"),
        rollback=given.get("tx") == "rollback",
        missing_default=given.get("missing") == "default",
        max_affected=int(given["max-affected"][:18]) if "max-affected" in given else None,
        timezone=given.get("timezone"),
        given=tuple(given.items()),
    )


@dataclass(frozen=True, slots=True)
class Media:
    """The representation to send."""

    type: str = "application/json"
    strip_nulls: bool = False

    @property
    def single(self) -> bool:
        return self.type.startswith("application/vnd.pgrst.object")

    @property
    def content_type(self) -> str:
        stripped = MEDIA[self.type].replace("+json;", "+json; nulls=stripped;")
        return stripped if self.strip_nulls else MEDIA[self.type]


def negotiate(header: str) -> Media:
    """The first acceptable representation that we have. Raises PGRST107 when there is none."""
    offered = [_media_range(part) for part in header.split(",") if part.strip()] or [("*/*", {})]
    offered.sort(key=lambda media: -_quality(media[1]))
    for name, parameters in offered:
        if name in ("*/*", "application/*", "application/openapi+json"):
            return Media()
        if name in MEDIA:
            vendor = name.startswith("application/vnd.pgrst")
            return Media(name, strip_nulls=vendor and parameters.get("nulls") == "stripped")
        if name == "text/*":
            return Media("text/csv")
    names = ", ".join(name for name, _ in offered)
    raise RestError(406, "PGRST107", f"None of these media types are available: {names}")


def _media_range(text: str) -> tuple[str, dict[str, str]]:
    name, *parts = (part.strip() for part in text.split(";"))
    return name.lower(), dict(_pairs(parts))


def _pairs(parts: Iterable[str]) -> Iterable[tuple[str, str]]:
    for part in parts:
        key, _, value = part.partition("=")
        yield key.strip().lower(), value.strip().strip('"')


def _quality(parameters: dict[str, str]) -> float:
    try:
        return float(parameters.get("q", "1"))
    except ValueError:
        return 0.0
