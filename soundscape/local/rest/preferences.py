"""The `Prefer` and `Accept` headers: what the client would like done and get back."""

from __future__ import annotations

from dataclasses import dataclass

from soundscape.local.rest.errors import refusal

_VALUES: dict[str, tuple[str, ...]] = {
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


@dataclass(frozen=True, slots=True)
class Preferences:
    given: dict[str, str]
    """Those that we know, by name."""

    def get(self, name: str) -> str | None:
        return self.given.get(name)

    @property
    def shows_rows(self) -> bool:
        return self.given.get("return") == "representation"

    @property
    def max_affected(self) -> int | None:
        found = self.given.get("max-affected")
        return None if found is None else int(found[:18])

    @property
    def applied(self) -> str:
        """The `Preference-Applied` header."""
        return ", ".join(f"{name}={value}" for name, value in self.given.items())


def parse_prefer(header: str) -> Preferences:
    """Read RFC 7240's comma list; the first of two contradicting ones wins.

    Raises PGRST122 for an unknown one together with `handling=strict`.
    """
    given: dict[str, str] = {}
    unknown: list[str] = []
    for preference in filter(None, (part.strip() for part in header.split(","))):
        name, _, value = preference.partition("=")
        number = name == "max-affected" and value.isascii() and value.isdecimal()
        if value in _VALUES.get(name, ()) or number:
            given.setdefault(name, value)
        else:
            unknown.append(preference)
    if given.get("handling") != "strict":
        given.pop("max-affected", None)
    elif unknown:
        raise refusal("PGRST122", details=f"Invalid preferences: {', '.join(unknown)}")
    return Preferences(given)


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


def negotiate(header: str) -> Media:
    """The first of those named that we have, weights aside. Raises PGRST107 when there is none."""
    offered = [part.replace(" ", "").lower().split(";") for part in header.split(",") if part.strip()]
    for name, *parameters in offered or [["*/*"]]:
        if name in MEDIA:
            stripped = name.startswith(_VENDOR) and "nulls=stripped" in parameters
            return Media(MEDIA[name], stripped)
    raise refusal("PGRST107", ", ".join(name for name, *_ in offered))
