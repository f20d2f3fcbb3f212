"""`Range`, `If-None-Match` and `If-Range`: which bytes of an object a request wants (RFC 9110)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from soundscape.local.storage.errors import invalid_range

_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII | re.IGNORECASE)


def wanted_bytes(headers: Mapping[str, str], *, size: int, etag: str) -> tuple[int, int] | None:
    """The half-open range `[start, end)` a request asks for; None for the whole object.

    Raises `InvalidRange` for a range outside the object, a malformed one, and several at once, which
    the real server refuses too. A unit other than bytes is ignored, as is a range whose `If-Range`
    names another version.
    """
    header = headers.get("range")
    if header is None or not header.strip().lower().startswith("bytes"):
        return None
    if headers.get("if-range") not in (None, etag):
        return None
    match = _RANGE.fullmatch(header.strip())
    if not match or not (match[1] or match[2]):
        raise invalid_range()
    if not match[1]:
        start, end = max(0, size - int(match[2])), size
    else:
        start, end = int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)
    if start >= end:
        raise invalid_range()
    return start, end


def not_modified(headers: Mapping[str, str], *, etag: str, last_modified: datetime) -> bool:
    """Whether the caller's copy is still good. `If-None-Match` decides alone where it is given."""
    if tags := headers.get("if-none-match"):
        known = {tag.strip().removeprefix("W/") for tag in tags.split(",")}
        return "*" in known or etag in known
    if since := headers.get("if-modified-since"):
        try:
            known_since = parsedate_to_datetime(since)
        except ValueError:
            return False
        if known_since.tzinfo is None:
            known_since = known_since.replace(tzinfo=UTC)
        return last_modified.replace(microsecond=0) <= known_since
    return False
