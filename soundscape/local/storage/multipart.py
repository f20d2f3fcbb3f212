"""`multipart/form-data` as a stream: the fields before the file, then the file's bytes as they arrive.

supabase-js puts the file under the empty field name after `cacheControl` and `metadata`; supabase-py
under `file`. Whatever its name, the first part with a file name is the file, and as on the real server
fields after it are not looked at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from soundscape.local.storage.errors import StorageError, invalid_request, too_large

MAX_FIELDS_BYTES = 1 << 20
MAX_FIELDS = 100
Event = tuple[str, bytes]
"""What the parser found, by the name of its callback."""


def _no_content() -> StorageError:
    return invalid_request("No content provided")


class Form:
    """A form read as far as its file. Raises `InvalidRequest` where there is none."""

    def __init__(self, body: AsyncIterator[bytes], content_type: str) -> None:
        self.fields: dict[str, str] = {}
        self.mime_type = ""
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise _no_content()
        self._events = _events(body, boundary)

    async def read_fields(self) -> None:
        """Read on until the file begins."""
        headers: dict[bytes, bytes] = {}
        header = name = value = b""
        parts = size = 0
        async for kind, data in self._events:
            if kind == "part_begin":
                headers, name, value, parts = {}, b"", b"", parts + 1
                if parts > MAX_FIELDS:
                    raise invalid_request("Too many multipart fields")
            elif kind == "header_field":
                header += data
            elif kind == "header_value":
                headers[header.lower()] = headers.get(header.lower(), b"") + data
            elif kind == "header_end":
                header = b""
            elif kind == "headers_finished":
                options = parse_options_header(headers.get(b"content-disposition", b""))[1]
                if b"filename" in options or b"filename*" in options:
                    mime_type = parse_options_header(headers.get(b"content-type", b""))[0]
                    self.mime_type = mime_type.decode("latin-1") or "application/octet-stream"
                    return
                name = options.get(b"name", b"")
            elif kind == "part_data":
                value, size = value + data, size + len(data)
                if size > MAX_FIELDS_BYTES:
                    raise too_large("user_metadata")
            elif kind == "part_end":
                self.fields[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
        raise _no_content()

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


async def _events(body: AsyncIterator[bytes], boundary: bytes) -> AsyncIterator[Event]:
    found: deque[Event] = deque()

    def noting(kind: str) -> Callable[..., None]:
        return lambda data=b"", start=0, end=None: found.append((kind, data[start:end]))

    kinds = ("part_begin", "part_data", "part_end", "header_field", "header_value", "header_end")
    callbacks: Any = {f"on_{kind}": noting(kind) for kind in (*kinds, "headers_finished", "end")}
    try:
        parser = MultipartParser(boundary, callbacks)
        async for chunk in body:
            parser.write(chunk)
            while found:
                yield found.popleft()
    except FormParserError as error:
        raise invalid_request(f"Malformed multipart body: {error}") from error
