"""Standard uploads: raw or multipart, by a caller or by a signed URL; and the two steps every upload takes.

A *probe* writes the row as the caller and rolls back: the policies and triggers decide before bytes
move. The *final* write happens as the service role once the bytes lie whole. This is how the real server
does it, so triggers see here what they see there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.rows import DictRow

from soundscape.local.storage.call import QUERIES, Answer, Call, decode_user_metadata, header_text
from soundscape.local.storage.errors import StorageError
from soundscape.local.storage.files import Received
from soundscape.local.storage.multipart import Form
from soundscape.local.storage.names import check_mime_type
from soundscape.local.storage.signatures import UPLOAD_SECONDS

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

    async def probe(self, call: Call, length: int | None) -> None:
        """Ask the policies and triggers whether the caller may write it. Raises `StorageError`."""
        metadata = {"mimetype": self.mime_type, "contentLength": length}
        await probe(call, self.bucket, self.name, metadata, self.user_metadata)

    async def commit(self, call: Call, received: Received) -> DictRow:
        """Place the bytes and write the row that makes them the object; the row. Raises `StorageError`."""
        metadata = received.metadata(self.mime_type, self.cache_control)
        if self.content_encoding:
            metadata["contentEncoding"] = self.content_encoding
        version = str(uuid4())
        await asyncio.to_thread(call.storage.files.place, received.path, version)
        values = call.object_values(self.bucket, self.name, version, metadata, self.user_metadata)
        return await write(call, "upsert_object", values, lambda replaced: None)


async def probe(call: Call, bucket: str, name: str, metadata: Any = None, user_metadata: Any = None) -> None:
    """Ask the policies and triggers whether the caller may write this object. Raises `StorageError`."""
    values = call.object_values(bucket, name, PROBE_VERSION, metadata, user_metadata)
    await call.rows("upsert_object" if call.upserts else "insert_object", rollback=True, **values)


async def write(call: Call, query: str, values: dict[str, Any], place: Place) -> DictRow:
    """The final write of a version whose bytes `place` provides; the row.

    Of two first uploads at once both succeed, the later as an overwrite. The bytes of a refused write
    are removed, as are those that a successful one replaces. Raises `StorageError`.
    """
    remove = call.storage.files.remove
    target = {name: values.get(f"to_{name}", values[name]) for name in ("bucket", "name")}
    try:
        async with call.transaction(service=True, taken="Key") as cursor:
            await cursor.execute(QUERIES["lock_object"], target)
            await cursor.execute(QUERIES["version_for_update"], values)
            replaced = await cursor.fetchone()
            await asyncio.to_thread(place, replaced)
            await cursor.execute(QUERIES[query], values)
            row = await cursor.fetchone()
            if row is None:
                raise StorageError("NoSuchKey")
    except StorageError as error:
        if _certainly_rolled_back(error):
            remove(values["version"])
        raise
    if replaced is not None:
        remove(replaced["version"])
    return row


def _certainly_rolled_back(error: StorageError) -> bool:
    """Whether the database said no. A lost connection leaves it open: then the sweep decides by the row."""
    cause = error.__cause__
    return isinstance(cause, psycopg.Error) and cause.sqlstate is not None and cause.sqlstate[:2] != "57"


async def upload(call: Call) -> Answer:
    """`POST` makes an object, or overwrites with `x-upsert`; `PUT`, and a signed URL, as they say."""
    bucket, key = await call.bucket(), call.key
    candidate, chunks = await _candidate(call)
    most_bytes = call.storage.most_bytes(bucket)
    if key.endswith(FOLDER_PLACEHOLDER):
        most_bytes = 0
    else:
        check_mime_type(candidate.mime_type, bucket["allowed_mime_types"])
    await candidate.probe(call, call.declared_length)
    received = await call.storage.files.receive(chunks, limit=most_bytes)
    row = await candidate.commit(call, received)
    return {"Key": f"{bucket['id']}/{key}", "Id": row["id"]}


async def update(call: Call) -> Answer:
    return await upload(replace(call, upserts=True))


async def sign(call: Call) -> Answer:
    path = f"{(await call.bucket())['id']}/{call.key}"
    await probe(call, call.bucket_id, call.key)
    claims = {"owner": call.owner_id, "upsert": call.upserts}
    token = call.storage.signatures.sign(path, "upload", UPLOAD_SECONDS, **claims)
    return {"url": signed_path("/object/upload/sign", path, token), "token": token}


async def upload_signed(call: Call) -> Answer:
    token, path = call.request.query_params.get("token", ""), f"{call.bucket_id}/{call.key}"
    claims = call.storage.signatures.verify(token, path, "upload")
    return await upload(replace(call, owner_id=claims.get("owner"), upserts=claims.get("upsert") is True))


def signed_path(route: str, path: str, token: str) -> str:
    """Clients encode the rest themselves; a question mark would begin the query."""
    return f"{route}/{path.replace('?', '%3F')}?token={token}"


async def _candidate(call: Call) -> tuple[Candidate, AsyncIterator[bytes]]:
    headers = call.request.headers
    content_type = headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        candidate = Candidate(
            call.bucket_id,
            call.key,
            mime_type=header_text(content_type) or DEFAULT_MIME_TYPE,
            cache_control=header_text(headers.get("cache-control", "")) or "no-cache",
            user_metadata=decode_user_metadata(headers.get("x-metadata"), base64_coded=True),
            content_encoding=header_text(headers.get("content-encoding", "")),
        )
        return candidate, call.request.stream()
    form = Form(call.request.stream(), content_type)
    await form.read_fields()
    said = {name: header_text(value) for name, value in form.fields.items()}
    metadata = form.fields.get("metadata", form.fields.get("userMetadata"))
    candidate = Candidate(
        call.bucket_id,
        call.key,
        mime_type=said.get("contentType") or header_text(form.mime_type) or DEFAULT_MIME_TYPE,
        cache_control=f"max-age={said['cacheControl']}" if said.get("cacheControl") else "no-cache",
        user_metadata=decode_user_metadata(metadata, base64_coded=False),
        content_encoding=said.get("contentEncoding", ""),
    )
    return candidate, form.file()
