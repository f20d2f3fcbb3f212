"""`multipart/form-data` as a stream: the fields before the file, then the file's bytes as they arrive.

supabase-js puts the file under the empty field name after `cacheControl` and `metadata`; supabase-py
under `file`. Whatever its name, the first part with a file name is the file, and as on the real server
fields after it are not looked at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from soundscape.local.storage.errors import StorageError, invalid_request, too_large

MAX_FIELDS_BYTES = 1 << 20
MAX_FIELDS = 100


def _no_content() -> StorageError:
    return invalid_request("No content provided")


class Form:
    """A form read as far as its file. Raises `InvalidRequest` where there is none."""

    def __init__(self, body: AsyncIterator[bytes], content_type: str) -> None:
        self.fields: dict[str, str] = {}
        self.mime_type = ""
        self._body = body
        self._parts: deque[bytes] = deque()
        self._in_file = self._file_ended = self._ended = False
        self._header: tuple[bytes, bytes] = (b"", b"")
        self._headers: dict[bytes, bytes] = {}
        self._field: str | None = None
        self._value = b""
        self._fields_bytes = self._parts_seen = 0
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise _no_content()
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_finished,
                    "on_part_data": self._part_data,
                    "on_part_end": self._part_end,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _no_content() from error

    async def read_fields(self) -> None:
        """Read on until the file begins."""
        async for chunk in self._body:
            self._feed(chunk)
            if self._in_file or self._file_ended:
                return
        raise _no_content()

    async def file(self) -> AsyncIterator[bytes]:
        """The file's bytes; then the rest of the body, which is read and forgotten.

        Raises `InvalidRequest` when the body stops before its closing boundary.
        """
        while self._parts:
            yield self._parts.popleft()
        async for chunk in self._body:
            self._feed(chunk)
            while self._parts:
                yield self._parts.popleft()
        if not self._ended:
            raise invalid_request("Unexpected end of multipart data")

    def _feed(self, chunk: bytes) -> None:
        if self._ended:
            return
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise invalid_request(f"Malformed multipart body: {error}") from error

    # -- what the parser finds -------------------------------------------------------------------

    def _begin_part(self) -> None:
        self._headers, self._header = {}, (b"", b"")
        self._field, self._value = None, b""
        self._parts_seen += 1
        if self._parts_seen > MAX_FIELDS:
            raise invalid_request("Too many multipart fields")

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0] + data[start:end], self._header[1])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0], self._header[1] + data[start:end])

    def _header_end(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = (b"", b"")

    def _headers_finished(self) -> None:
        options = parse_options_header(self._headers.get(b"content-disposition", b""))[1]
        if self._file_ended:
            return
        if b"filename" in options or b"filename*" in options:
            kind = parse_options_header(self._headers.get(b"content-type", b""))[0]
            self.mime_type = kind.decode("latin-1") or "application/octet-stream"
            self._in_file = True
        elif b"name" in options:
            self._field = options[b"name"].decode("utf-8", "replace")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._parts.append(data[start:end])
        elif self._field is not None:
            self._fields_bytes += end - start
            if self._fields_bytes > MAX_FIELDS_BYTES:
                raise too_large("user_metadata")
            self._value += data[start:end]

    def _part_end(self) -> None:
        if self._in_file:
            self._in_file, self._file_ended = False, True
        elif self._field is not None and not self._file_ended:
            self.fields[self._field] = self._value.decode("utf-8", "replace")

    def _end(self) -> None:
        self._ended = True
