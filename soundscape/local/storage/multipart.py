"""`multipart/form-data` as a stream: the fields before the file, then the file's bytes as they arrive.

supabase-js puts the file under the empty field name after `cacheControl` and `metadata`; supabase-py
under `file`. Whatever its name, the first part with a file name is the file, and as on the real server
fields after it are not looked at.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from soundscape.local.storage.errors import StorageError, invalid_request

MAX_FIELDS_BYTES = 1 << 20
EVENT_BYTES = 64
"""What each event counts towards that limit, so that empty parts are not endless."""
_KINDS = ("part_data", "part_end", "header_field", "header_value", "header_end", "headers_finished", "end")


class Form:
    """A form read as far as its file."""

    def __init__(self, body: AsyncIterator[bytes], content_type: str) -> None:
        self.fields: dict[str, str] = {}
        self.mime_type = ""
        self._events = _events(body, parse_options_header(content_type)[1].get(b"boundary", b""))

    async def read_fields(self) -> None:
        """Read on until the file begins. Raises `InvalidRequest` where there is none."""
        headers: defaultdict[bytes, bytes] = defaultdict(bytes)
        header = name = value = b""
        size = 0
        async for kind, data in self._events:
            size += len(data) + EVENT_BYTES
            if size > MAX_FIELDS_BYTES:
                raise StorageError("EntityTooLarge", "The user_metadata exceeded the maximum allowed size")
            if kind == "header_field":
                header += data
            elif kind == "header_value":
                headers[header.lower()] += data
            elif kind == "header_end":
                header = b""
            elif kind == "headers_finished":
                options = parse_options_header(headers[b"content-disposition"])[1]
                if b"filename" in options or b"filename*" in options:
                    self.mime_type = parse_options_header(headers[b"content-type"])[0].decode("latin-1")
                    return
                name = options.get(b"name", b"")
            elif kind == "part_data":
                value += data
            elif kind == "part_end":
                self.fields[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
                headers, value = defaultdict(bytes), b""
        raise invalid_request("No content provided")

    async def file(self) -> AsyncIterator[bytes]:
        """The file's bytes; then the rest of the body, which is read and forgotten.

        Raises `InvalidRequest` when the body stops before its closing boundary.
        """
        in_file, ended = True, False
        async for kind, data in self._events:
            if in_file and kind == "part_data":
                yield data
            in_file = in_file and kind != "part_end"
            ended = ended or kind == "end"
        if not ended:
            raise invalid_request("Unexpected end of multipart data")


async def _events(body: AsyncIterator[bytes], boundary: bytes) -> AsyncIterator[tuple[str, bytes]]:
    """What the parser finds, by the name of its callback."""
    found: deque[tuple[str, bytes]] = deque()

    def noting(kind: str) -> Callable[..., None]:
        return lambda data=b"", start=0, end=None: found.append((kind, data[start:end]))

    if not boundary:
        raise invalid_request("No content provided")
    callbacks: Any = {f"on_{kind}": noting(kind) for kind in _KINDS}
    try:
        parser = MultipartParser(boundary, callbacks)
        async for chunk in body:
            parser.write(chunk)
            while found:
                yield found.popleft()
    except FormParserError as error:
        raise invalid_request(f"Malformed multipart body: {error}") from error
