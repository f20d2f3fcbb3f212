"""Standard uploads: raw or multipart, by a caller or by a signed URL; and the two steps of every upload.

A *probe* writes the row as the caller and rolls back, so policies and triggers decide before bytes move. The
service role writes the row finally, when all bytes are there. The real server does the same, so triggers see
the same here.

The first part of a form with a file name is the file. Its field is empty in supabase-js, `file` in
supabase-py. As on the real server, fields after it are ignored.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.rows import DictRow
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from embedded_supabase.storage.call import Call, Result
from embedded_supabase.storage.candidate import (
    DEFAULT_MIME_TYPE,
    Candidate,
    clean_header,
    decode_user_metadata,
)
from embedded_supabase.storage.errors import StorageError, invalid_request
from embedded_supabase.storage.files import ReceivedFile
from embedded_supabase.storage.names import check_mime_type
from embedded_supabase.storage.signatures import UPLOAD_SECONDS

PROBE_VERSION = "1"
MAX_FIELDS_BYTES = 1 << 20
EVENT_BYTES = 64
"""Each parser event counts this much towards the limit, so empty parts are limited too."""
_KINDS = ("part_data", "part_end", "header_field", "header_value", "header_end", "headers_finished", "end")


async def probe_candidate(call: Call, candidate: Candidate, length: int | None) -> None:
    """Ask the policies and triggers whether the caller may write it. Raises `StorageError`."""
    metadata: dict[str, Any] = {"contentLength": length}
    if candidate.mime_type:
        metadata["mimetype"] = candidate.mime_type
    await probe(call, candidate.bucket, candidate.name, metadata, candidate.user_metadata)


async def commit(call: Call, candidate: Candidate, received: ReceivedFile, version: str) -> DictRow:
    """Store the bytes and write the row that makes them the object; return the row. Raises `StorageError`."""
    metadata = received.metadata(candidate.mime_type or DEFAULT_MIME_TYPE, candidate.cache_control)
    if candidate.content_encoding:
        metadata["contentEncoding"] = candidate.content_encoding
    await asyncio.to_thread(call.storage.files.store, received.path, version)
    values = call.object_values(candidate.bucket, candidate.name, version, metadata, candidate.user_metadata)
    return await write(call, "upsert_object", values)


async def probe(call: Call, bucket: str, name: str, metadata: Any = None, user_metadata: Any = None) -> None:
    """Ask the policies and triggers whether the caller may write this object. Raises `StorageError`."""
    values = call.object_values(bucket, name, PROBE_VERSION, metadata, user_metadata)
    await call.rows("upsert_object" if call.upserts else "insert_object", rollback=True, **values)


async def write(call: Call, query: str, values: dict[str, Any]) -> DictRow:
    """Write the final row of a version whose bytes are stored; return the row. Raises `StorageError`.

    Two first uploads at once both succeed; the later one overwrites. The bytes of a refused write are
    removed, and so are replaced bytes.
    """
    try:
        row = await call.row(query, absent="NoSuchKey", service=True, **values)
    except StorageError as error:
        if _is_rolled_back(error):
            call.storage.files.remove(values["version"])
        raise
    call.storage.files.remove(row.pop("replaced_version"))
    return row


def _is_rolled_back(error: StorageError) -> bool:
    """Whether the write is undone for certain. After a lost connection it is not: the sweep decides later."""
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error):
        return error.code == "NoSuchKey"
    return cause.sqlstate is not None and cause.sqlstate[:2] != "57"


async def upload(call: Call) -> Result:
    """`POST` makes an object; it overwrites with `x-upsert`. `PUT` always overwrites."""
    bucket, key = await call.bucket(), call.key
    candidate, chunks = await _read_candidate(call)
    check_mime_type(candidate.mime_type, bucket["allowed_mime_types"])
    await probe_candidate(call, candidate, call.declared_length)
    received = await call.storage.files.receive(chunks, limit=call.storage.max_bytes(bucket))
    row = await commit(call, candidate, received, str(uuid4()))
    return {"Key": f"{bucket['id']}/{key}", "Id": row["id"]}


async def update(call: Call) -> Result:
    return await upload(replace(call, upserts=True))


async def sign(call: Call) -> Result:
    path = f"{(await call.bucket())['id']}/{call.key}"
    await probe(call, call.bucket_id, call.key)
    claims = {"owner": call.owner_id, "upsert": call.upserts}
    token = call.storage.signatures.sign(path, "upload", UPLOAD_SECONDS, **claims)
    return {"url": build_signed_path("/object/upload/sign", path, token), "token": token}


async def upload_signed(call: Call) -> Result:
    token, path = call.request.query_params.get("token", ""), f"{call.bucket_id}/{call.key}"
    claims = call.storage.signatures.verify(token, path, "upload")
    return await upload(replace(call, owner_id=claims.get("owner"), upserts=claims.get("upsert") is True))


def build_signed_path(route: str, path: str, token: str) -> str:
    """Encode the question mark, which would begin the query. Clients encode the rest."""
    return f"{route}/{path.replace('?', '%3F')}?token={token}"


async def _read_candidate(call: Call) -> tuple[Candidate, AsyncIterator[bytes]]:
    headers = call.request.headers
    content_type = headers.get("content-type", "")
    if content_type.lower().startswith("multipart/form-data"):
        form = Form(call.request.stream(), content_type)
        await form.read_fields()
        fields, chunks = form.fields, form.file()
        mime_type, encoding = fields.get("contentType") or form.mime_type, fields.get("contentEncoding", "")
        cache_control = f"max-age={fields['cacheControl']}" if fields.get("cacheControl") else ""
        metadata = fields.get("metadata", fields.get("userMetadata"))
        user_metadata = decode_user_metadata(metadata, base64_coded=False)
    else:
        chunks = call.request.stream()
        mime_type, encoding = content_type, headers.get("content-encoding", "")
        cache_control = headers.get("cache-control", "")
        user_metadata = decode_user_metadata(headers.get("x-metadata"), base64_coded=True)
    mime_type = clean_header(mime_type) or DEFAULT_MIME_TYPE
    cache_control = clean_header(cache_control) or "no-cache"
    encoding = clean_header(encoding)
    return Candidate(call.bucket_id, call.key, mime_type, cache_control, user_metadata, encoding), chunks


# -- forms, read as a stream -------------------------------------------------------------------------


class Form:
    """A multipart form: its fields, then the bytes of its file as they arrive."""

    def __init__(self, body: AsyncIterator[bytes], content_type: str) -> None:
        self.fields: dict[str, str] = {}
        self.mime_type = ""
        self._events = _events(body, parse_options_header(content_type)[1].get(b"boundary", b""))

    async def read_fields(self) -> None:
        """Read until the file begins. Raises `InvalidRequest` without a file."""
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
        """The file's bytes. The rest of the body is read and ignored.

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
    """The parser's events, by the name of the callback."""
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
