"""The Storage service: its routes, its errors, its sweep."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime
from typing import Any

import psycopg
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from embedded_supabase.database import Pool
from embedded_supabase.embedded import EmbeddedSupabase
from embedded_supabase.storage import buckets, downloads, objects, tus, uploads
from embedded_supabase.storage.call import QUERIES, Call, Handler, Storage
from embedded_supabase.storage.errors import StorageError
from embedded_supabase.storage.files import Files, discard_idle, iso_time
from embedded_supabase.storage.names import parse_size
from embedded_supabase.storage.signatures import Signatures
from embedded_supabase.storage.tus_store import TusStore

log = structlog.get_logger(__name__)
DEFAULT_SIZE_LIMIT = "50MiB"
"""What the official CLI allows when `config.toml` does not say."""
GRACE_S = 600.0
"""How long stored bytes may wait for their row: far longer than a transaction may last."""
SWEEP_INTERVAL_S = 300.0
IDLE_S = 3600.0
"""How long a half-received body is kept without a further byte."""
OBJECT = "{bucket}/{key:path}"
OPEN = "open: "
"""Prefix of the operation of a route that needs no credentials."""


def build(embedded: EmbeddedSupabase) -> Starlette:
    """The service over `embedded`, its routes relative to `/storage/v1`."""
    files, signatures = _files(embedded), Signatures(embedded.keys.storage_secret)
    size_limit = parse_size(str(embedded.config.get("storage.file_size_limit", DEFAULT_SIZE_LIMIT)))
    storage = Storage(embedded, files, TusStore(files.resumable), signatures, size_limit)
    # The first match counts: at the end every longer path looks like a key.
    table: list[tuple[str, str, str, Handler]] = [
        ("GET", "/bucket", "bucket.list", buckets.list_buckets),
        ("POST", "/bucket", "bucket.create", buckets.create),
        ("GET", "/bucket/{bucket}", "bucket.get", buckets.get),
        ("PUT", "/bucket/{bucket}", "bucket.update", buckets.update),
        ("DELETE", "/bucket/{bucket}", "bucket.delete", buckets.delete),
        ("POST", "/bucket/{bucket}/empty", "bucket.empty", buckets.empty),
        ("POST", "/object/list/{bucket}", "object.list", objects.list_folder),
        ("POST", "/object/list-v2/{bucket}", "object.list_v2", objects.list_prefix),
        ("POST", f"/object/upload/sign/{OBJECT}", "object.sign_upload_url", uploads.sign),
        ("PUT", f"/object/upload/sign/{OBJECT}", OPEN + "object.upload_signed", uploads.upload_signed),
        ("POST HEAD PATCH DELETE OPTIONS", "/upload/resumable/sign", OPEN, tus.refuse_signed),
        ("OPTIONS", "/upload/resumable{rest:path}", OPEN, tus.describe_options),
        ("POST", "/upload/resumable", "tus.upload.create", tus.in_plain_text(tus.create)),
        ("POST", "/upload/resumable/", "tus.upload.create", tus.in_plain_text(tus.create)),
        ("HEAD", "/upload/resumable/{id}", "tus.upload.get", tus.in_plain_text(tus.read_progress)),
        ("PATCH", "/upload/resumable/{id}", "tus.upload.part", tus.in_plain_text(tus.append)),
        ("DELETE", "/upload/resumable/{id}", "tus.upload.delete", tus.in_plain_text(tus.terminate)),
        ("POST", "/object/move", "object.move", objects.move),
        ("POST", "/object/copy", "object.copy", objects.copy),
        ("POST", "/object/sign/{bucket}", "object.sign_many", objects.sign_many),
        ("POST", f"/object/sign/{OBJECT}", "object.sign", objects.sign),
        ("DELETE", "/object/{bucket}", "object.delete_many", objects.remove_many),
        ("GET", f"/object/public/{OBJECT}", OPEN + "object.get_public", downloads.get_public),
        ("GET", f"/object/authenticated/{OBJECT}", "object.get_authenticated", downloads.get_authenticated),
        ("GET", f"/object/sign/{OBJECT}", OPEN + "object.get_signed", downloads.get_signed),
        ("GET", f"/object/info/public/{OBJECT}", OPEN + "object.info_public", downloads.get_public_info),
        ("GET", f"/object/info/authenticated/{OBJECT}", "object.info_authenticated", downloads.get_info),
        ("GET", f"/object/info/{OBJECT}", "object.info_authenticated", downloads.get_info),
        ("GET", "/render/{rest:path}", OPEN, downloads.render_image),
        ("POST", f"/object/{OBJECT}", "object.upload", uploads.upload),
        ("PUT", f"/object/{OBJECT}", "object.upload_update", uploads.update),
        ("GET", f"/object/{OBJECT}", OPEN + "object.get_authenticated", downloads.get_as_anyone),
        ("DELETE", f"/object/{OBJECT}", "object.delete", objects.remove),
    ]  # fmt: skip
    return Starlette(
        routes=[_route(storage, *row) for row in table],
        exception_handlers={
            StorageError: _respond_storage_error,
            HTTPException: _respond_not_found,
            ClientDisconnect: _respond_disconnect,
            Exception: _respond_failure,
        },
    )


def _route(storage: Storage, methods: str, path: str, operation: str, handler: Handler) -> Route:
    async def endpoint(request: Request) -> Response:
        if operation.startswith(OPEN):
            call = Call(storage, request, f"storage.{operation.removeprefix(OPEN)}")
        else:
            call = storage.call(request, f"storage.{operation}")
        result = await handler(call)
        return result if isinstance(result, Response) else _json_response(result)

    return Route(path, endpoint, methods=methods.split())


def _json_response(value: Any, status: int = 200) -> Response:
    """JSON as the real server writes it, with ids as text."""
    text = json.dumps(
        value, default=lambda it: iso_time(it) if isinstance(it, datetime) else str(it), separators=(",", ":")
    )
    return Response(text, status, media_type="application/json; charset=utf-8")


async def run(embedded: EmbeddedSupabase) -> None:
    """Sweep at start and then at intervals, until cancelled."""
    files = _files(embedded)
    idle_since: float | None = time.time()
    while True:
        try:
            await sweep(embedded.storage_admin, files, idle_since=idle_since)
            await asyncio.to_thread(TusStore(files.resumable).discard_expired)
        except psycopg.Error as error:  # a restart would take live uploads for abandoned ones
            log.warning("storage.sweep_failed", error=str(error))
        idle_since = None
        await asyncio.sleep(SWEEP_INTERVAL_S)


async def sweep(
    pool: Pool, files: Files, *, grace_s: float = GRACE_S, idle_since: float | None = None
) -> int:
    """Remove versions older than `grace_s` that no row names, and abandoned bodies; return how many.

    A half-received body is abandoned when it got no byte since `idle_since` (Unix time). At start that is
    now: its sender went away with the last process. `pool` belongs to the owner of the tables, who sees all
    rows.
    """
    before = time.time() - IDLE_S if idle_since is None else idle_since
    removed = await asyncio.to_thread(discard_idle, files.incoming, before)
    candidates = await asyncio.to_thread(files.find_older_versions, grace_s)
    async with pool.connection() as connection:
        unused = await QUERIES.fetch(connection, "versions_not_in_use", versions=candidates)
    for row in unused:
        await asyncio.to_thread(files.remove, row["version"])
    if removed + len(unused):
        log.info("storage.swept", removed=removed + len(unused))
    return removed + len(unused)


def _files(embedded: EmbeddedSupabase) -> Files:
    return Files(embedded.data_dir / "storage", durable=embedded.postgres.durable)


async def _respond_storage_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, StorageError)
    if error.http_status >= 500:
        log.warning("storage.error", path=request.url.path, cause=repr(error.__cause__ or error))
    return _json_response(error.body(), error.http_status)


async def _respond_not_found(request: Request, error: Exception) -> Response:
    message = f"Route {request.method}:{request.url.path} not found"
    return _json_response({"message": message, "error": "Not Found", "statusCode": "404"}, 404)


async def _respond_disconnect(request: Request, error: Exception) -> Response:
    """The client is gone. 499 is what the real server logs."""
    return Response(status_code=499)


async def _respond_failure(request: Request, error: Exception) -> Response:
    log.error("storage.failure", path=request.url.path, exc_info=error)
    return _json_response(StorageError("InternalError").body(), 500)
