"""Standard uploads: raw or multipart, by a caller or by a signed URL; and the two steps every upload takes.

A *probe* writes the row as the caller and rolls back: the policies and triggers decide before bytes
move. The *final* write happens as the service role once the bytes lie whole. This is how the real server
does it, so triggers see here what they see there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from soundscape.local.storage.database import QUERIES, Session
from soundscape.local.storage.errors import StorageError, no_such_key
from soundscape.local.storage.files import Files, Received
from soundscape.local.storage.multipart import Form
from soundscape.local.storage.names import check_bucket_name, check_key, check_mime_type
from soundscape.local.storage.signatures import UPLOAD_SECONDS
from soundscape.local.storage.wire import (
    Handlers,
    JsonResponse,
    declared_length,
    decode_user_metadata,
    header_text,
    upserts,
)

Place = Callable[[DictRow | None], None]
"""Makes a new version's bytes, told of the row that is there already."""
PROBE_VERSION = "1"
DEFAULT_MIME_TYPE = "application/octet-stream"
FOLDER_PLACEHOLDER = ".emptyFolderPlaceholder"


@dataclass(frozen=True)
class Candidate:
    """An object that somebody wants to write, known before its bytes."""

    bucket: str
    name: str
    mime_type: str
    cache_control: str
    user_metadata: dict[str, Any]
    content_encoding: str = ""

    async def probe(self, session: Session, *, upsert: bool, length: int | None) -> None:
        """Ask the policies and triggers whether the caller may write it. Raises `StorageError`."""
        metadata = {"mimetype": self.mime_type, "contentLength": length}
        await probe(session, self.bucket, self.name, upsert, metadata, self.user_metadata)

    async def commit(self, session: Session, files: Files, received: Received) -> DictRow:
        """Place the bytes and write the row that makes them the object; the row. Raises `StorageError`."""
        metadata = received.metadata(self.mime_type, self.cache_control)
        if self.content_encoding:
            metadata["contentEncoding"] = self.content_encoding
        version = str(uuid4())
        values = session.object_values(self.bucket, self.name, version, metadata, self.user_metadata)
        await asyncio.to_thread(files.place, received.path, version)
        return await write(session, files, "upsert_object", values, lambda replaced: None)


async def probe(
    session: Session,
    bucket: str,
    name: str,
    upsert: bool,
    metadata: Mapping[str, Any] | None = None,
    user_metadata: Mapping[str, Any] | None = None,
) -> None:
    """Ask the policies and triggers whether the caller may write this object. Raises `StorageError`."""
    values = session.object_values(bucket, name, PROBE_VERSION, metadata, user_metadata)
    await session.rows("upsert_object" if upsert else "insert_object", rollback=True, **values)


async def write(session: Session, files: Files, query: str, values: dict[str, Any], place: Place) -> DictRow:
    """The final write of a version whose bytes `place` provides; the row.

    Of two first uploads at once both succeed, the later as an overwrite. The bytes of a refused write
    are removed, as are those that a successful one replaces. Raises `StorageError`.
    """
    target = {
        "bucket": values.get("to_bucket", values["bucket"]),
        "name": values.get("to_name", values["name"]),
    }
    try:
        async with session.transaction(service=True, taken="Key") as cursor:
            await cursor.execute(QUERIES["lock_object"], target)
            await cursor.execute(QUERIES["version_for_update"], values)
            replaced = await cursor.fetchone()
            await asyncio.to_thread(place, replaced)
            await cursor.execute(QUERIES[query], values)
            row = await cursor.fetchone()
            if row is None:
                raise no_such_key()
    except StorageError as error:
        if certainly_rolled_back(error):
            files.remove(values["version"])
        raise
    if replaced is not None:
        files.remove(replaced["version"])
    return row


def certainly_rolled_back(error: StorageError) -> bool:
    """Whether the database said no. A lost connection leaves it open: then the sweep decides by the row."""
    cause = error.__cause__
    return isinstance(cause, psycopg.Error) and cause.sqlstate is not None and cause.sqlstate[:2] != "57"


class Uploads(Handlers):
    """`POST` and `PUT /object/…`, `POST` and `PUT /object/upload/sign/…`."""

    async def upload(self, request: Request) -> Response:
        session = self.storage.session(request, "storage.object.upload")
        return await self._receive(request, session, upsert=upserts(request))

    async def update(self, request: Request) -> Response:
        session = self.storage.session(request, "storage.object.upload_update")
        return await self._receive(request, session, upsert=True)

    async def sign(self, request: Request) -> Response:
        bucket, key = request.path_params["bucket"], request.path_params["key"]
        session = self.storage.session(request, "storage.object.sign_upload_url")
        upsert = upserts(request)
        await session.bucket(bucket)
        check_key(key)
        await probe(session, bucket, key, upsert)
        token = self.storage.signatures.sign(
            f"{bucket}/{key}", "upload", UPLOAD_SECONDS, owner=session.owner_id, upsert=upsert
        )
        path = f"{bucket}/{key}".replace("?", "%3F")
        return JsonResponse({"url": f"/object/upload/sign/{path}?token={token}", "token": token})

    async def upload_signed(self, request: Request) -> Response:
        bucket, key = request.path_params["bucket"], request.path_params["key"]
        claims = self.storage.signatures.verify(
            request.query_params.get("token", ""), f"{check_bucket_name(bucket)}/{key}", "upload"
        )
        session = self.storage.service_session(
            request, "storage.object.upload_signed", owner_id=claims.get("owner")
        )
        return await self._receive(request, session, upsert=claims.get("upsert") is True)

    async def _receive(self, request: Request, session: Session, *, upsert: bool) -> Response:
        bucket, key = request.path_params["bucket"], request.path_params["key"]
        limits = await session.bucket(bucket)
        check_key(key)
        candidate, chunks = await self._candidate(request, bucket, key)
        most_bytes = self.storage.most_bytes(limits)
        if key.endswith(FOLDER_PLACEHOLDER):
            most_bytes = 0
        else:
            check_mime_type(candidate.mime_type, limits["allowed_mime_types"])
        await candidate.probe(session, upsert=upsert, length=declared_length(request.headers))
        received = await self.storage.files.receive(chunks, limit=most_bytes)
        row = await candidate.commit(session, self.storage.files, received)
        return JsonResponse({"Key": f"{bucket}/{key}", "Id": row["id"]})

    async def _candidate(
        self, request: Request, bucket: str, key: str
    ) -> tuple[Candidate, AsyncIterator[bytes]]:
        content_type = request.headers.get("content-type", "")
        if not content_type.lower().startswith("multipart/form-data"):
            candidate = Candidate(
                bucket,
                key,
                mime_type=header_text(content_type) or DEFAULT_MIME_TYPE,
                cache_control=header_text(request.headers.get("cache-control", "")) or "no-cache",
                user_metadata=decode_user_metadata(request.headers.get("x-metadata"), base64_coded=True),
                content_encoding=header_text(request.headers.get("content-encoding", "")),
            )
            return candidate, request.stream()
        form = Form(request.stream(), content_type)
        await form.read_fields()
        said = {name: header_text(value) for name, value in form.fields.items()}
        metadata = form.fields.get("metadata", form.fields.get("userMetadata"))
        candidate = Candidate(
            bucket,
            key,
            mime_type=said.get("contentType") or form.mime_type,
            cache_control=f"max-age={said['cacheControl']}" if said.get("cacheControl") else "no-cache",
            user_metadata=decode_user_metadata(metadata, base64_coded=False),
            content_encoding=said.get("contentEncoding", ""),
        )
        return candidate, form.file()
