"""The Storage service: its routes, its errors, its sweep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from soundscape.local.stack import Stack
from soundscape.local.storage.buckets import Buckets
from soundscape.local.storage.database import Session
from soundscape.local.storage.downloads import Downloads
from soundscape.local.storage.errors import StorageError
from soundscape.local.storage.files import Files
from soundscape.local.storage.listing import Listing
from soundscape.local.storage.names import parse_size
from soundscape.local.storage.objects import Objects
from soundscape.local.storage.partials import Partials
from soundscape.local.storage.resumable import Resumable
from soundscape.local.storage.signatures import Signatures
from soundscape.local.storage.sweep import SWEEP_INTERVAL_S, sweep
from soundscape.local.storage.uploads import Uploads
from soundscape.local.storage.wire import JsonResponse, Storage
from soundscape.local.tokens import SERVICE

log = structlog.get_logger(__name__)
DEFAULT_SIZE_LIMIT = "50MiB"
"""What the official CLI allows when `config.toml` does not say."""


def build(stack: Stack) -> Starlette:
    """The service over `stack`, its routes relative to `/storage/v1`."""
    storage = Storage(
        stack=stack,
        files=_files(stack),
        signatures=Signatures(stack.keys.storage_secret),
        size_limit=parse_size(str(stack.config.get("storage.file_size_limit", DEFAULT_SIZE_LIMIT))),
    )
    return Starlette(
        routes=[Route(path, handler, methods=methods.split()) for methods, path, handler in _routes(storage)],
        exception_handlers={
            StorageError: _answer_storage_error,
            HTTPException: _answer_http_error,
            ClientDisconnect: _answer_disconnect,
            Exception: _answer_failure,
        },
    )


def _routes(storage: Storage) -> list[tuple[str, str, Callable[[Request], Awaitable[Response]]]]:
    """Methods, path and handler, the first that matches: at the end every longer path looks like a key."""
    buckets, listing, objects = Buckets(storage), Listing(storage), Objects(storage)
    uploads, downloads, resumable = Uploads(storage), Downloads(storage), Resumable(storage)
    return [
        ("GET", "/bucket", buckets.list_buckets),
        ("POST", "/bucket", buckets.create),
        ("GET", "/bucket/{bucket}", buckets.get),
        ("PUT", "/bucket/{bucket}", buckets.update),
        ("DELETE", "/bucket/{bucket}", buckets.delete),
        ("POST", "/bucket/{bucket}/empty", buckets.empty),
        ("POST", "/object/list/{bucket}", listing.list_folder),
        ("POST", "/object/list-v2/{bucket}", listing.list_prefix),
        ("POST", "/object/upload/sign/{bucket}/{key:path}", uploads.sign),
        ("PUT", "/object/upload/sign/{bucket}/{key:path}", uploads.upload_signed),
        ("POST HEAD PATCH DELETE OPTIONS", "/upload/resumable/sign", resumable.refuse_signed),
        ("POST OPTIONS", "/upload/resumable", resumable.answer),
        ("POST OPTIONS", "/upload/resumable/", resumable.answer),
        ("POST HEAD PATCH DELETE OPTIONS", "/upload/resumable/{id}", resumable.answer),
        ("POST", "/object/move", objects.move),
        ("POST", "/object/copy", objects.copy),
        ("POST", "/object/sign/{bucket}", objects.sign_many),
        ("POST", "/object/sign/{bucket}/{key:path}", objects.sign),
        ("DELETE", "/object/{bucket}", objects.remove_many),
        ("GET", "/object/public/{bucket}/{key:path}", downloads.public),
        ("GET", "/object/authenticated/{bucket}/{key:path}", downloads.authenticated),
        ("GET", "/object/sign/{bucket}/{key:path}", downloads.signed),
        ("GET", "/object/info/public/{bucket}/{key:path}", downloads.public_info),
        ("GET", "/object/info/authenticated/{bucket}/{key:path}", downloads.info),
        ("GET", "/object/info/{bucket}/{key:path}", downloads.info),
        ("GET", "/render/{rest:path}", downloads.render_image),
        ("POST", "/object/{bucket}/{key:path}", uploads.upload),
        ("PUT", "/object/{bucket}/{key:path}", uploads.update),
        ("GET", "/object/{bucket}/{key:path}", downloads.any_caller),
        ("DELETE", "/object/{bucket}/{key:path}", objects.remove),
    ]


async def run(stack: Stack) -> None:
    """Sweep at start and now and then, until cancelled."""
    files = _files(stack)
    session = Session(stack, SERVICE, "storage.sweep")
    idle_since: float | None = time.time()
    while True:
        try:
            await sweep(session, files, idle_since=idle_since)
            idle_since = None
            await asyncio.to_thread(Partials(files.resumable).discard_expired)
        except StorageError as error:
            log.warning("storage.sweep_failed", error=error.message)
        await asyncio.sleep(SWEEP_INTERVAL_S)


def _files(stack: Stack) -> Files:
    return Files(stack.data_dir / "storage", durable=stack.postgres.durable)


async def _answer_storage_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, StorageError)
    if error.http_status >= 500:
        log.warning("storage.error", path=request.url.path, cause=repr(error.__cause__ or error))
    return JsonResponse(error.body(), status_code=error.http_status)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    body = {
        "message": f"Route {request.method}:{request.url.path} not found",
        "error": "Not Found",
        "statusCode": "404",
    }
    return JsonResponse(body, status_code=404)


async def _answer_disconnect(request: Request, error: Exception) -> Response:
    """Nobody is left to read this; 499 is what the real server logs."""
    return Response(status_code=499)


async def _answer_failure(request: Request, error: Exception) -> Response:
    log.error("storage.failure", path=request.url.path, exc_info=error)
    return JsonResponse(StorageError(500, "InternalError", "Internal server error").body(), status_code=500)
