"""Reading objects, whole or in part: with credentials, publicly or by a signed URL; and their metadata."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote

from psycopg.rows import DictRow
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.staticfiles import StaticFiles

from embedded_supabase.storage.call import Call, Result
from embedded_supabase.storage.candidate import clean_header
from embedded_supabase.storage.errors import StorageError, invalid_request, not_enabled

CHUNK_BYTES = 256 << 10
OPEN_ATTEMPTS = 5
_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII | re.IGNORECASE)
_CONDITIONS = StaticFiles(check_dir=False)


async def get_authenticated(call: Call) -> Result:
    """The row and its bytes. When an overwrite removes the bytes in between, the new row and bytes."""
    for _ in range(OPEN_ATTEMPTS):
        row = await _find(call)
        with contextlib.suppress(FileNotFoundError):
            return _respond_with_bytes(call.request, row, call.storage.files.path(row["version"]))
    raise StorageError("NoSuchKey")


async def get_as_anyone(call: Call) -> Result:
    """Like `get_authenticated`; a public bucket needs no credentials."""
    try:
        call = call.storage.call(call.request, call.operation)
    except StorageError as error:
        if not (await call.bucket())["public"]:
            raise error if error.code == "AccessDenied" else StorageError("NoSuchBucket") from error
    return await get_authenticated(call)


async def get_public(call: Call) -> Result:
    if not (await call.bucket())["public"]:
        raise StorageError("NoSuchBucket")
    return await get_authenticated(call)


async def get_signed(call: Call) -> Result:
    token = call.request.query_params.get("token")
    if token is None:
        raise invalid_request("querystring must have required property 'token'")
    # supabase-js encodes the URL a second time. A key never has a percent sign of its own.
    call.request.path_params["key"] = unquote(call.request.path_params["key"])
    path = f"{call.request.path_params['bucket']}/{call.request.path_params['key']}"
    claims = call.storage.signatures.verify(token, path, "download")
    response = await get_authenticated(call)
    assert isinstance(response, Response)
    del response.headers["cache-control"]
    response.headers["expires"] = format_datetime(datetime.fromtimestamp(claims["exp"], UTC), usegmt=True)
    return response


async def get_info(call: Call) -> Result:
    return await _find(call, "describe_object")


async def get_public_info(call: Call) -> Result:
    if not (await call.bucket())["public"]:
        raise StorageError("NoSuchBucket")
    return await get_info(call)


async def render_image(call: Call) -> Result:
    raise not_enabled("imageTransformation")


async def _find(call: Call, query: str = "find_object") -> DictRow:
    """The object's row, if the caller sees it. Everybody sees a public bucket."""
    bucket = await call.bucket()
    values = {"service": bool(bucket["public"]), "bucket": bucket["id"], "name": call.key}
    return await call.row(query, absent="NoSuchKey", **values)


def _respond_with_bytes(request: Request, row: DictRow, path: Path) -> Response:
    metadata, size = row["metadata"] or {}, path.stat().st_size
    # HTML from here could act in the visitor's name, so it is served as text.
    kind = clean_header(str(metadata.get("mimetype", "application/octet-stream")))
    headers = {
        "accept-ranges": "bytes",
        "etag": clean_header(str(metadata.get("eTag", ""))),
        "last-modified": format_datetime(row["updated_at"].astimezone(UTC), usegmt=True),
        "cache-control": clean_header(str(metadata.get("cacheControl", "no-cache"))),
        "content-type": "text/plain" if "text/html" in kind.lower() else kind,
    }
    if _CONDITIONS.is_not_modified(Headers(headers), request.headers):
        return Response(status_code=304, headers=headers)
    if encoding := clean_header(str(metadata.get("contentEncoding") or "")):
        headers["content-encoding"] = encoding
    if (filename := request.query_params.get("download")) is not None:
        encoded = quote(filename, safe="!'()*", errors="replace")
        named = f" filename={encoded}; filename*=UTF-8''{encoded};" if filename else ""
        headers["content-disposition"] = f"attachment;{named}"
    wanted = parse_range(request.headers, size=size, etag=headers["etag"])
    start, end = wanted or (0, size)
    if wanted:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    headers["content-length"] = str(end - start)
    # The open file stays readable when the version is removed meanwhile.
    chunks = _chunks(path.open("rb"), start, start if request.method == "HEAD" else end)
    return StreamingResponse(chunks, 206 if wanted else 200, headers)


async def _chunks(file: BinaryIO, start: int, end: int) -> AsyncIterator[bytes]:
    """A part of the file, read by a thread at the client's pace."""
    with file:
        file.seek(start)
        while start < end:
            chunk = await asyncio.to_thread(file.read, min(CHUNK_BYTES, end - start))
            if not chunk:
                # Too late for an error status: the client takes a short response for an error.
                raise OSError(f"{file.name} is shorter than its row says")
            start += len(chunk)
            yield chunk


def parse_range(headers: Mapping[str, str], *, size: int, etag: str) -> tuple[int, int] | None:
    """The requested bytes `[start, end)` (RFC 9110); None for the whole object.

    Raises `InvalidRange` for a range outside the object, a malformed one, and several ranges, as the real
    server does. A unit other than bytes is ignored, and so is a range whose `If-Range` names another version.
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
