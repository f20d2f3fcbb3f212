"""Reading objects: authenticated, public and signed, whole or in part, and what is known of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import BinaryIO
from urllib.parse import quote, unquote

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from soundscape.local.storage.database import Session
from soundscape.local.storage.errors import (
    StorageError,
    invalid_request,
    no_such_bucket,
    no_such_key,
    not_enabled,
)
from soundscape.local.storage.names import check_key
from soundscape.local.storage.ranges import not_modified, wanted_bytes
from soundscape.local.storage.wire import Handlers, JsonResponse, header_text

CHUNK_BYTES = 256 << 10
OPEN_ATTEMPTS = 5


class BytesResponse(Response):
    """A part of an open file, read by a thread as fast as the client takes it; closes the file."""

    def __init__(
        self, file: BinaryIO, start: int, end: int, *, status_code: int, headers: dict[str, str]
    ) -> None:
        super().__init__(None, status_code, headers)
        self._file, self._start, self._end = file, start, end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file as file:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            left = 0 if scope["method"] == "HEAD" else self._end - self._start
            file.seek(self._start)
            while left > 0:
                chunk = await asyncio.to_thread(file.read, min(CHUNK_BYTES, left))
                if not chunk:
                    # Too late for an error status: an answer shorter than promised is one to the client.
                    raise OSError(f"{file.name} is shorter than its row says")
                left -= len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class Downloads(Handlers):
    """`GET` and `HEAD /object/[authenticated|public|sign|info]/…`."""

    async def authenticated(self, request: Request) -> Response:
        session = self.storage.session(request, "storage.object.get_authenticated")
        return await self._render(request, session)

    async def any_caller(self, request: Request) -> Response:
        """Like `authenticated`; and a public bucket answers those without good credentials too."""
        operation = "storage.object.get_authenticated"
        try:
            session = self.storage.session(request, operation)
        except StorageError:
            return await self.public(request, operation)
        return await self._render(request, session)

    async def public(self, request: Request, operation: str = "storage.object.get_public") -> Response:
        session = self.storage.service_session(request, operation)
        if not (await session.bucket(request.path_params["bucket"]))["public"]:
            raise no_such_bucket()
        return await self._render(request, session)

    async def signed(self, request: Request) -> Response:
        if "token" not in request.query_params:
            raise invalid_request("querystring must have required property 'token'")
        bucket, key = request.path_params["bucket"], request.path_params["key"]
        # supabase-js encodes the URL it was given once more; a key never holds a percent sign itself.
        key = request.path_params["key"] = unquote(key)
        claims = self.storage.signatures.verify(request.query_params["token"], f"{bucket}/{key}", "download")
        session = self.storage.service_session(request, "storage.object.get_signed")
        expires = format_datetime(datetime.fromtimestamp(claims["exp"], UTC), usegmt=True)
        return await self._render(request, session, expires=expires)

    async def info(self, request: Request) -> Response:
        session = self.storage.session(request, "storage.object.info_authenticated")
        return self._describe(await self._find(session, request))

    async def public_info(self, request: Request) -> Response:
        session = self.storage.service_session(request, "storage.object.info_public")
        if not (await session.bucket(request.path_params["bucket"]))["public"]:
            raise no_such_bucket()
        return self._describe(await self._find(session, request))

    async def render_image(self, request: Request) -> Response:
        raise not_enabled("imageTransformation")

    async def _find(self, session: Session, request: Request) -> DictRow:
        """The object's row as the caller sees it; in a public bucket everybody sees it."""
        bucket = await session.bucket(request.path_params["bucket"])
        name = check_key(request.path_params["key"])
        return await session.object(bucket["id"], name, service=bool(bucket["public"]))

    async def _open(self, session: Session, request: Request) -> tuple[DictRow, BinaryIO]:
        """The row and its bytes: when an overwrite takes them away in between, the newer pair."""
        for _ in range(OPEN_ATTEMPTS):
            row = await self._find(session, request)
            try:
                return row, self.storage.files.open(row["version"])
            except FileNotFoundError:
                continue
        raise no_such_key()

    async def _render(self, request: Request, session: Session, *, expires: str | None = None) -> Response:
        row, file = await self._open(session, request)
        try:
            return _bytes_response(request, row, file, expires)
        except BaseException:
            file.close()
            raise

    def _describe(self, row: DictRow) -> Response:
        metadata = row["metadata"] or {}
        return JsonResponse(
            {
                "id": row["id"],
                "name": row["name"],
                "version": row["version"],
                "bucket_id": row["bucket_id"],
                "size": metadata.get("size"),
                "content_type": metadata.get("mimetype"),
                "cache_control": metadata.get("cacheControl"),
                "etag": metadata.get("eTag"),
                "metadata": row["user_metadata"],
                "last_modified": row["updated_at"],
                "created_at": row["created_at"],
            }
        )


def _bytes_response(request: Request, row: DictRow, file: BinaryIO, expires: str | None) -> Response:
    metadata = row["metadata"] or {}
    etag = header_text(str(metadata.get("eTag", "")))
    size = file.seek(0, 2)
    modified = row["updated_at"].astimezone(UTC)
    headers = {
        "accept-ranges": "bytes",
        "etag": etag,
        "last-modified": format_datetime(modified, usegmt=True),
    }
    if expires:
        headers["expires"] = expires
    else:
        headers["cache-control"] = header_text(str(metadata.get("cacheControl", "no-cache")))
    if not_modified(request.headers, etag=etag, last_modified=modified):
        file.close()
        return Response(status_code=304, headers=headers)
    if encoding := header_text(str(metadata.get("contentEncoding") or "")):
        headers["content-encoding"] = encoding
    kind = header_text(str(metadata.get("mimetype", "application/octet-stream")))
    # A page served from here could act in the visitor's name: never as HTML.
    headers["content-type"] = "text/plain" if "text/html" in kind.lower() else kind
    if (filename := request.query_params.get("download")) is not None:
        encoded = quote(filename, safe="!'()*", errors="replace")
        named = f" filename={encoded}; filename*=UTF-8''{encoded};" if filename else ""
        headers["content-disposition"] = f"attachment;{named}"
    wanted = wanted_bytes(request.headers, size=size, etag=etag)
    start, end = wanted or (0, size)
    if wanted:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    headers["content-length"] = str(end - start)
    return BytesResponse(file, start, end, status_code=206 if wanted else 200, headers=headers)
