"""Resumable uploads: TUS 1.0 as tus-js-client speaks it and Supabase Storage answers it.

https://tus.io/protocols/resumable-upload: creation, creation-with-upload, termination, expiration. Refusals
are plain text with their true status; only missing or bad credentials are answered in JSON like everywhere
else in Storage.
"""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from email.utils import format_datetime

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from soundscape.local.storage import tus
from soundscape.local.storage.database import Session
from soundscape.local.storage.errors import StorageError, not_enabled
from soundscape.local.storage.names import check_key, check_mime_type
from soundscape.local.storage.partials import Partial, Partials, Turn
from soundscape.local.storage.tus import Refused
from soundscape.local.storage.uploads import DEFAULT_MIME_TYPE, Candidate
from soundscape.local.storage.wire import (
    Handlers,
    Storage,
    declared_length,
    decode_user_metadata,
    header_text,
    upserts,
)

_SECONDS = re.compile(r"-?\d+", re.ASCII)


class Resumable(Handlers):
    """`/upload/resumable`."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self.partials = Partials(storage.files.resumable)

    async def answer(self, request: Request) -> Response:
        """Any request of the protocol; its refusals become text here."""
        if request.method == "OPTIONS":
            return _response(204, {"tus-version": tus.VERSION, "tus-extension": tus.EXTENSIONS,
                                        "tus-max-size": str(self.storage.size_limit)})  # fmt: skip
        # Credentials come first: this refusal alone is JSON.
        session = self.storage.session(request, _operation(request))
        try:
            tus.check_headers(request)
            return await self._dispatch(request, session)
        except Refused as refusal:
            status, text = refusal.status, refusal.text
        except StorageError as error:
            status, text = error.status, error.message
        return PlainTextResponse(text, status, headers={"tus-resumable": tus.VERSION})

    async def refuse_signed(self, request: Request) -> Response:
        raise not_enabled("signedResumableUpload")

    async def _dispatch(self, request: Request, session: Session) -> Response:
        if "id" not in request.path_params:
            if request.method != "POST":
                raise Refused(*tus.NOT_FOUND)
            return await self._create(request, session)
        bucket, name, identifier = tus.decode_id(request.path_params["id"])
        async with self.partials.turn(identifier) as turn:
            partial = self.partials.find(identifier)
            if partial is None or (partial.candidate.bucket, partial.candidate.name) != (bucket, name):
                raise Refused(*tus.NOT_FOUND)
            if partial.expired:
                raise Refused(*tus.GONE)
            if request.method == "HEAD":
                return self._progress(partial)
            if request.method == "POST":
                raise Refused(*tus.NOT_FOUND)
            if partial.finished:
                raise Refused(*(tus.FINISHED if request.method == "DELETE" else tus.OFFSET_CONFLICT))
            await partial.candidate.probe(session, upsert=upserts(request), length=partial.length)
            if request.method == "DELETE":
                self.partials.remove(partial)
                return _response(204, {})
            return await self._patch(request, session, partial, turn)

    # -- the methods ------------------------------------------------------------------------------

    async def _create(self, request: Request, session: Session) -> Response:
        header = request.headers.get("upload-metadata", "")
        metadata = tus.parse_metadata(header)
        if not metadata:
            raise Refused(400, "Metadata header is required")
        bucket, name = metadata.get("bucketName", ""), check_key(metadata.get("objectName", ""))
        limits = await session.bucket(bucket)
        if "upload-length" not in request.headers:
            raise Refused(*tus.NO_LENGTH)
        length = int(request.headers["upload-length"])
        mime_type = header_text(metadata.get("contentType", "")) or DEFAULT_MIME_TYPE
        check_mime_type(mime_type, limits["allowed_mime_types"])
        if length > self.storage.most_bytes(limits):
            raise Refused(*tus.OVER_LIMIT)
        seconds = metadata.get("cacheControl", "")
        candidate = Candidate(
            bucket,
            name,
            mime_type=mime_type,
            cache_control=f"max-age={seconds}" if _SECONDS.fullmatch(seconds) else "no-cache",
            user_metadata=decode_user_metadata(metadata.get("metadata"), base64_coded=False),
        )
        await candidate.probe(session, upsert=upserts(request), length=length)
        partial = self.partials.create(candidate, length, header)
        headers = {"location": _location(request, partial)}
        async with self.partials.turn(partial.id) as turn:
            if tus.has_body(request):
                await self._append(request, partial, turn)
                headers["upload-offset"] = str(self.partials.offset(partial))
            return await self._advance(session, partial, 201, headers)

    async def _patch(self, request: Request, session: Session, partial: Partial, turn: Turn) -> Response:
        if not tus.has_body(request):
            raise Refused(403, "Content-Type header required\n")
        given = request.headers.get("upload-offset")
        if given is None:
            raise Refused(403, "Upload-Offset header required\n")
        if int(given) != self.partials.offset(partial):
            raise Refused(*tus.OFFSET_CONFLICT)
        await self._append(request, partial, turn)
        headers = {"upload-offset": str(self.partials.offset(partial))}
        return await self._advance(session, partial, 204, headers)

    async def _append(self, request: Request, partial: Partial, turn: Turn) -> None:
        limits = await self.storage.service_session(request, "").bucket(partial.candidate.bucket)
        if partial.length > self.storage.most_bytes(limits):  # the bucket's limit has changed meanwhile
            raise Refused(*tus.OVER_LIMIT)
        room = partial.length - self.partials.offset(partial)
        if (declared_length(request.headers) or 0) > room or not await self.partials.append(
            partial, turn, request.stream(), most=room
        ):
            raise Refused(*tus.TOO_LONG)

    async def _advance(
        self, session: Session, partial: Partial, status: int, headers: dict[str, str]
    ) -> Response:
        """Finish the upload when its last byte has come; else say until when it may go on."""
        if self.partials.offset(partial) < partial.length:
            return _response(status, headers | _expires(partial))
        received = await self.partials.whole(partial, durable=self.storage.files.durable)
        try:
            await partial.candidate.commit(session, self.storage.files, received)
        except StorageError:
            # Its bytes are gone with the refused write: the client must begin again.
            self.partials.remove(partial)
            raise
        partial.finished = True
        self.partials.save(partial)
        return _response(status, headers | {"tus-complete": "1"})

    def _progress(self, partial: Partial) -> Response:
        headers = {
            "cache-control": "no-store",
            "upload-offset": str(self.partials.offset(partial)),
            "upload-length": str(partial.length),
            "upload-metadata": partial.header,
        }
        return _response(200, headers if partial.finished else headers | _expires(partial))


def _operation(request: Request) -> str:
    step = {"POST": "create", "PATCH": "part", "HEAD": "get", "DELETE": "delete"}[request.method]
    return f"storage.tus.upload.{step}"


def _location(request: Request, partial: Partial) -> str:
    """Absolute, on the host the client came by, below the path it posted to."""
    candidate = partial.candidate
    identifier = base64.urlsafe_b64encode(f"{candidate.bucket}/{candidate.name}/{partial.id}".encode())
    base = str(request.url.replace(query="", fragment="")).rstrip("/")
    return f"{base}/{identifier.decode().rstrip('=')}"


def _response(status: int, headers: dict[str, str]) -> Response:
    return Response(status_code=status, headers={"tus-resumable": tus.VERSION, **headers})


def _expires(partial: Partial) -> dict[str, str]:
    expires = datetime.fromtimestamp(partial.expires_at, UTC)
    return {"upload-expires": format_datetime(expires, usegmt=True)}
