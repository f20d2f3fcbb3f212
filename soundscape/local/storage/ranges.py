"""`Range` and `If-Range`: which bytes of an object a request wants (RFC 9110)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from soundscape.local.storage.errors import StorageError

_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII | re.IGNORECASE)


def wanted_bytes(headers: Mapping[str, str], *, size: int, etag: str) -> tuple[int, int] | None:
    """The half-open range `[start, end)` a request asks for; None for the whole object.

    Raises `InvalidRange` for a range outside the object, a malformed one, and several at once, which
    the real server refuses too. A unit other than bytes is ignored, as is a range whose `If-Range`
    names another version.
    """
    header = headers.get("range", "").strip()
    if not header.lower().startswith("bytes") or headers.get("if-range") not in (None, etag):
        return None
    match = _RANGE.fullmatch(header)
    first, last = match.groups() if match else ("", "")
    if first:
        start, end = int(first), min(size, int(last) + 1 if last else size)
    else:
        start, end = max(0, size - int(last or 0)), size
    if start >= end:
        raise StorageError("InvalidRange")
    return start, end
