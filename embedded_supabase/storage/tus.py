"""Resumable uploads: TUS 1.0 (https://tus.io/protocols/resumable-upload), as tus-js-client uses it.

Extensions: creation, creation-with-upload, termination, expiration. Errors are plain text with the true
status, in the words of `@tus/server`, which Supabase runs. Only missing or bad credentials get a JSON error
of Storage.
"""

from __future__ import annotations

import asyncio
import base64
import re
from datetime import UTC, datetime
from email.utils import format_datetime
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from embedded_supabase.storage.call import Call, Handler, Result
from embedded_supabase.storage.candidate import (
    Candidate,
    clean_header,
    decode_user_metadata,
)
from embedded_supabase.storage.errors import StorageError, not_enabled
from embedded_supabase.storage.files import append as append_bytes
from embedded_supabase.storage.names import check_key, check_mime_type
from embedded_supabase.storage.tus_store import TusUpload
from embedded_supabase.storage.uploads import commit, probe_candidate

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,termination,expiration"
BODY_TYPE = "application/offset+octet-stream"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_SECONDS = re.compile(r"-?\d+", re.ASCII)
_NUMBERS = ("upload-offset", "upload-length")
_EXTRAS = ("upload-defer-length", "upload-checksum", "upload-concat")
_METADATA_KEY = re.compile(r"[!-+\--~]+", re.ASCII)


def _refusal(status: int, text: str) -> StorageError:
    return StorageError("InvalidRequest", text + "\n", status=status)


async def describe_options(call: Call) -> Result:
    spoken = {"tus-version": VERSION, "tus-extension": EXTENSIONS}
    return _response(204, spoken | {"tus-max-size": str(call.storage.size_limit)})


async def create(call: Call) -> Result:
    headers, store = call.request.headers, call.storage.tus_store
    metadata = parse_metadata(headers.get("upload-metadata", ""))
    if not metadata:
        raise StorageError("InvalidRequest", "Metadata header is required")
    name = check_key(metadata.get("objectName", ""))
    bucket = await call.bucket(metadata.get("bucketName", ""))
    if "upload-length" not in headers:
        raise _refusal(400, "Upload-Length header required")
    length, seconds = int(headers["upload-length"]), metadata.get("cacheControl", "")
    mime_type = clean_header(metadata.get("contentType", ""))
    if mime_type:  # as on the real server, an upload that names no type is not held to the bucket's
        check_mime_type(mime_type, bucket["allowed_mime_types"])
    if length > call.storage.max_bytes(bucket):
        raise _refusal(413, "Maximum size exceeded")
    cache_control = f"max-age={seconds}" if _SECONDS.fullmatch(seconds) else "no-cache"
    user_metadata = decode_user_metadata(metadata.get("metadata"), base64_coded=False)
    candidate = Candidate(bucket["id"], name, mime_type, cache_control, user_metadata)
    await probe_candidate(call, candidate, length)
    upload = TusUpload(candidate=candidate, length=length, header=headers["upload-metadata"])
    store.save(upload)
    # An absolute URL on the client's host, below the path of the request.
    identifier = base64.urlsafe_b64encode(f"{bucket['id']}/{name}/{upload.id}".encode()).decode().rstrip("=")
    base = str(call.request.url.replace(query="", fragment="")).rstrip("/")
    reply = {"location": f"{base}/{identifier}"}
    async with store.lock(upload.id):
        if headers.get("content-type") == BODY_TYPE:
            await _append(call, upload)
            reply["upload-offset"] = str(store.read_offset(upload))
        return await _advance(call, upload, 201, reply)


async def read_progress(call: Call) -> Result:
    upload = await _find(call)
    offset = call.storage.tus_store.read_offset(upload)
    if offset == upload.length and not upload.finished:
        # The client sees that no byte is missing, so the object must exist.
        async with call.storage.tus_store.lock(upload.id):
            upload = await _find(call)
            if not upload.finished:
                await probe_candidate(call, upload.candidate, upload.length)
                await _advance(call, upload, 200, {})
        offset = call.storage.tus_store.read_offset(upload)
    headers = {
        "cache-control": "no-store",
        "upload-offset": str(offset),
        "upload-length": str(upload.length),
        "upload-metadata": upload.header,
    }
    return _response(200, headers if upload.finished else headers | _expiry_headers(upload))


async def append(call: Call) -> Result:
    async with call.storage.tus_store.lock((await _find(call)).id):
        upload = await _find(call)
        if upload.finished:
            raise _refusal(409, "Upload-Offset conflict")
        await probe_candidate(call, upload.candidate, upload.length)
        for name in ("Content-Type", "Upload-Offset"):
            if name not in call.request.headers:
                raise _refusal(403, f"{name} header required")
        if int(call.request.headers["upload-offset"]) != call.storage.tus_store.read_offset(upload):
            raise _refusal(409, "Upload-Offset conflict")
        await _append(call, upload)
        headers = {"upload-offset": str(call.storage.tus_store.read_offset(upload))}
        return await _advance(call, upload, 204, headers)


async def terminate(call: Call) -> Result:
    async with call.storage.tus_store.lock((await _find(call)).id):
        upload = await _find(call)
        if upload.finished:
            raise _refusal(400, "Cannot terminate an already completed upload")
        await probe_candidate(call, upload.candidate, upload.length)
        call.storage.tus_store.remove(upload)
        return _response(204, {})


async def _find(call: Call) -> TusUpload:
    """The upload that the URL names. After a crash, the object's row tells whether it is finished."""
    try:
        named = base64.urlsafe_b64decode(call.request.path_params["id"] + "==").decode()
    except ValueError:
        named = ""
    upload = call.storage.tus_store.find(named.rpartition("/")[2])
    if upload is None:
        raise _refusal(404, "The file for this url was not found")
    if upload.is_expired:
        raise _refusal(410, "The file for this url no longer exists")
    if upload.version and not call.storage.tus_store.read_offset(upload):
        candidate = upload.candidate
        rows = await call.rows("find_object", service=True, bucket=candidate.bucket, name=candidate.name)
        upload.finished = any(row["version"] == upload.version for row in rows)
    return upload


async def _append(call: Call, upload: TusUpload) -> None:
    limits = await call.bucket(upload.candidate.bucket)
    if upload.length > call.storage.max_bytes(limits):  # the limit was lowered meanwhile
        raise _refusal(413, "Maximum size exceeded")
    room, chunks = upload.length - call.storage.tus_store.read_offset(upload), call.request.stream()
    is_too_long = (call.declared_length or 0) > room
    if is_too_long or not await append_bytes(
        call.storage.tus_store.bytes_path(upload), chunks, max_bytes=room
    ):
        raise _refusal(413, "upload's size exceeded")


async def _advance(call: Call, upload: TusUpload, status: int, headers: dict[str, str]) -> Response:
    """Finish the upload after its last byte; before it, say when the upload expires."""
    if call.storage.tus_store.read_offset(upload) < upload.length:
        return _response(status, headers | _expiry_headers(upload))
    received = await asyncio.to_thread(call.storage.files.finish, call.storage.tus_store.bytes_path(upload))
    upload.version = str(uuid4())
    call.storage.tus_store.save(upload)
    try:
        await commit(call, upload.candidate, received, upload.version)
    except StorageError:
        # The refused write removed the bytes: the client must start over.
        call.storage.tus_store.remove(upload)
        raise
    upload.finished = True
    call.storage.tus_store.save(upload)
    return _response(status, headers | {"tus-complete": "1"})


async def refuse_signed(call: Call) -> Result:
    raise not_enabled("signedResumableUpload")


def in_plain_text(handler: Handler) -> Handler:
    """Wrap a handler: its errors become a status and a line of text, as in the protocol."""

    async def respond(call: Call) -> Result:
        try:
            _check_headers(call.request)
            return await handler(call)
        except StorageError as error:
            return PlainTextResponse(error.message, error.status, headers={"tus-resumable": VERSION})

    return respond


def parse_metadata(header: str) -> dict[str, str]:
    """`Upload-Metadata`: comma-separated pairs of a key and a base64 value, or a key alone.

    Raises `StorageError` (400) for anything else, a doubled key included.
    """
    found: dict[str, str] = {}
    try:
        for pair in header.split(",") if header else ():
            key, _, value = pair.strip().partition(" ")
            if not _METADATA_KEY.fullmatch(key) or key in found:
                raise ValueError(key)
            found[key] = base64.b64decode(value, validate=True).decode()
    except ValueError as error:
        raise _refusal(400, "Invalid upload-metadata") from error
    return found


def _check_headers(request: Request) -> None:
    """Check the headers that the protocol demands of every request."""
    headers = request.headers
    if "tus-resumable" not in headers:
        raise _refusal(412, "Tus-Resumable Required")
    wrong = [name for name in _EXTRAS if name in headers]
    wrong += [name for name in _NUMBERS if not _NUMBER.fullmatch(headers.get(name, "0"))]
    if headers["tus-resumable"] != VERSION:
        wrong.append("tus-resumable")
    if request.method == "PATCH" and headers.get("content-type", BODY_TYPE) != BODY_TYPE:
        wrong.append("content-type")
    if wrong:
        raise _refusal(400, f"Invalid {' '.join(wrong)}")


def _response(status: int, headers: dict[str, str]) -> Response:
    return Response(status_code=status, headers={"tus-resumable": VERSION, **headers})


def _expiry_headers(upload: TusUpload) -> dict[str, str]:
    expires = datetime.fromtimestamp(upload.expires_at, UTC)
    return {"upload-expires": format_datetime(expires, usegmt=True)}
