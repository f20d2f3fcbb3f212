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
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from soundscape.local.storage.database import Session
from soundscape.local.storage.errors import StorageError, not_enabled
from soundscape.local.storage.names import check_key, check_mime_type
from soundscape.local.storage.partials import Partial, Partials, TakenOver, Turn
from soundscape.local.storage.tus import (
    EXTENSIONS,
    FINISHED,
    GONE,
    NO_LENGTH,
    NOT_FOUND,
    OFFSET_CONFLICT,
    OVER_LIMIT,
    TAKEN_OVER,
    TOO_LONG,
    VERSION,
    Refused,
    check_headers,
    decode_id,
    has_body,
    parse_metadata,
)
from soundscape.local.storage.uploads import commit, probe
from soundscape.local.storage.wire import (
    Handlers,
    Storage,
    declared_length,
    decode_user_metadata,
    header_text,
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
            return self._response(204, {"tus-version": VERSION, "tus-extension": EXTENSIONS,
                                        "tus-max-size": str(self.storage.size_limit)})  # fmt: skip
        # Credentials come first: this refusal alone is JSON.
        session = self.storage.session(request, _operation(request))
        try:
            check_headers(request)
            return await self._dispatch(request, session)
        except TakenOver:
            status, text = TAKEN_OVER
        except TimeoutError:
            status, text = 500, "failed to acquire lock before timeout\n"
        except Refused as refusal:
            status, text = refusal.status, refusal.text
        except StorageError as error:
            status, text = error.status, error.message
        return PlainTextResponse(text, status, headers={"tus-resumable": VERSION})

    async def refuse_signed(self, request: Request) -> Response:
        raise not_enabled("signedResumableUpload")

    async def _dispatch(self, request: Request, session: Session) -> Response:
        if "id" not in request.path_params:
            if request.method != "POST":
                raise Refused(*NOT_FOUND)
            return await self._create(request, session)
        bucket, name, identifier = decode_id(request.path_params["id"])
        upsert = request.headers.get("x-upsert") == "true"
        async with self.partials.turn(identifier) as turn:
            partial = self.partials.find(identifier)
            if partial is None or (partial.bucket, partial.name) != (bucket, name):
                raise Refused(*NOT_FOUND)
            if partial.expired:
                raise Refused(*GONE)
            if request.method == "HEAD":
                return self._progress(partial)
            if request.method == "POST":
                raise Refused(*NOT_FOUND)
            if partial.finished:
                raise Refused(*(FINISHED if request.method == "DELETE" else OFFSET_CONFLICT))
            await self._probe(session, partial, upsert=upsert)
            if request.method == "DELETE":
                self.partials.remove(partial)
                return self._response(204, {})
            return await self._patch(request, session, partial, turn)

    # -- the methods ------------------------------------------------------------------------------

    async def _create(self, request: Request, session: Session) -> Response:
        header = request.headers.get("upload-metadata", "")
        metadata = parse_metadata(header)
        if not metadata:
            raise Refused(400, "Metadata header is required")
        bucket, name = metadata.get("bucketName", ""), check_key(metadata.get("objectName", ""))
        upsert = request.headers.get("x-upsert") == "true"
        limits = await session.bucket(bucket)
        if "upload-length" not in request.headers:
            raise Refused(*NO_LENGTH)
        length = int(request.headers["upload-length"])
        mime_type = header_text(metadata.get("contentType", "")) or "application/octet-stream"
        check_mime_type(mime_type, limits["allowed_mime_types"])
        if length > self._most(limits):
            raise Refused(*OVER_LIMIT)
        seconds = metadata.get("cacheControl", "")
        facts: dict[str, Any] = {
            "bucket": bucket,
            "name": name,
            "length": length,
            "mime_type": mime_type,
            "cache_control": f"max-age={seconds}" if _SECONDS.fullmatch(seconds) else "no-cache",
            "user_metadata": decode_user_metadata(metadata.get("metadata"), base64_coded=False),
            "header": header,
        }
        await self._probe(session, Partial(id="", expires_at=0, **facts), upsert=upsert)
        partial = self.partials.create(**facts)
        headers = {"location": _location(request, partial)}
        async with self.partials.turn(partial.id) as turn:
            if has_body(request):
                await self._append(request, partial, turn)
                headers["upload-offset"] = str(self.partials.offset(partial))
            return await self._advance(session, partial, 201, headers)

    async def _patch(self, request: Request, session: Session, partial: Partial, turn: Turn) -> Response:
        if not has_body(request):
            raise Refused(403, "Content-Type header required\n")
        given = request.headers.get("upload-offset")
        if given is None:
            raise Refused(403, "Upload-Offset header required\n")
        if int(given) != self.partials.offset(partial):
            raise Refused(*OFFSET_CONFLICT)
        await self._append(request, partial, turn)
        headers = {"upload-offset": str(self.partials.offset(partial))}
        return await self._advance(session, partial, 204, headers)

    async def _append(self, request: Request, partial: Partial, turn: Turn) -> None:
        most = self._most(await self.storage.service_session(request, "").bucket(partial.bucket))
        if partial.length > most:  # the bucket's limit has changed meanwhile
            raise Refused(*OVER_LIMIT)
        room = partial.length - self.partials.offset(partial)
        if (declared_length(request.headers) or 0) > room or not await self.partials.append(
            partial, turn, request.stream(), most=room
        ):
            raise Refused(*TOO_LONG)

    async def _advance(
        self, session: Session, partial: Partial, status: int, headers: dict[str, str]
    ) -> Response:
        """Finish the upload when its last byte has come; else say until when it may go on."""
        if self.partials.offset(partial) < partial.length:
            expires = datetime.fromtimestamp(partial.expires_at, UTC)
            return self._response(status, headers | {"upload-expires": format_datetime(expires, usegmt=True)})
        received = await self.partials.whole(partial, durable=self.storage.files.durable)
        try:
            await commit(
                session,
                self.storage.files,
                partial.bucket,
                partial.name,
                received,
                metadata=received.metadata(partial.mime_type, partial.cache_control),
                user_metadata=partial.user_metadata,
            )
        except StorageError:
            # Its bytes are gone with the refused write: the client must begin again.
            self.partials.remove(partial)
            raise
        partial.finished = True
        self.partials.save(partial)
        return self._response(status, headers | {"tus-complete": "1"})

    def _progress(self, partial: Partial) -> Response:
        headers = {
            "cache-control": "no-store",
            "upload-offset": str(self.partials.offset(partial)),
            "upload-length": str(partial.length),
            "upload-metadata": partial.header,
        }
        if not partial.finished:
            expires = datetime.fromtimestamp(partial.expires_at, UTC)
            headers["upload-expires"] = format_datetime(expires, usegmt=True)
        return self._response(200, headers)

    # -- who, how much -------------------------------------------------------------------------------

    async def _probe(self, session: Session, partial: Partial, *, upsert: bool) -> None:
        await probe(
            session,
            partial.bucket,
            partial.name,
            upsert=upsert,
            metadata={"mimetype": partial.mime_type, "contentLength": partial.length},
            user_metadata=partial.user_metadata,
        )

    def _most(self, limits: dict[str, Any]) -> int:
        return min(self.storage.size_limit, limits["file_size_limit"] or self.storage.size_limit)

    def _response(self, status: int, headers: dict[str, str]) -> Response:
        return Response(status_code=status, headers={"tus-resumable": VERSION, **headers})


def _operation(request: Request) -> str:
    step = {"POST": "create", "PATCH": "part", "HEAD": "get", "DELETE": "delete"}[request.method]
    return f"storage.tus.upload.{step}"


def _location(request: Request, partial: Partial) -> str:
    """Absolute, on the host the client came by, below the path it posted to."""
    identifier = base64.urlsafe_b64encode(f"{partial.bucket}/{partial.name}/{partial.id}".encode())
    base = str(request.url.replace(query="", fragment="")).rstrip("/")
    return f"{base}/{identifier.decode().rstrip('=')}"
