"""What is asked, once the headers are understood."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from soundscape.local.rest.errors import out_of_range
from soundscape.local.rest.parameters import parse_query
from soundscape.local.rest.preferences import Media, Preferences
from soundscape.local.rest.syntax import Query


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    name: str
    schema: str
    query_string: bytes
    pairs: list[tuple[str, str]]
    preferences: Preferences
    media: Media
    body: bytes = b""
    content_type: str = ""
    range: str = ""

    @property
    def location(self) -> str:
        """Where this is, as a header says it."""
        query = quote(self.query_string, safe="%&=+!$'()*,;:@/?-._~")
        return f"/{quote(self.name)}" + (f"?{query}" if query else "")

    @property
    def is_read(self) -> bool:
        return self.method in ("GET", "HEAD")

    def query(self, *, is_call: bool = False) -> Query:
        """The parameters as a tree, narrowed by a `Range` header as by limit and offset."""
        query = parse_query(self.pairs, is_call=is_call)
        unit, _, window = self.range.rpartition("=")
        first, dash, last = window.partition("-")
        if self.is_read and unit in ("", "items") and dash and first.isdecimal() and len(window) < 30:
            query.offset[()] = int(first) + query.offset.get((), 0)
            if last.isdecimal():
                if int(last) < int(first):
                    raise out_of_range(
                        "The lower boundary must be lower than or equal to the upper boundary."
                    )
                size = int(last) - int(first) + 1
                query.limit[()] = min(size, query.limit.get((), size))
        return query
