"""What is asked, once the headers are understood."""

from __future__ import annotations

from dataclasses import dataclass

from soundscape.local.rest.preferences import Media, Preferences


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    schema: str
    name: str
    is_call: bool
    pairs: list[tuple[str, str]]
    """The query string's."""
    preferences: Preferences
    media: Media
    body: bytes = b""
    content_type: str = ""

    @property
    def is_read(self) -> bool:
        return self.method in ("GET", "HEAD")
