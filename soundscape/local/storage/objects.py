"""What is done to objects that exist: move, copy, remove, sign."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from soundscape.local.storage.database import QUERIES, Session
from soundscape.local.storage.errors import StorageError, no_such_key, not_enabled
from soundscape.local.storage.names import check_bucket_name, check_key
from soundscape.local.storage.signatures import MAX_SECONDS, Signatures
from soundscape.local.storage.uploads import certainly_rolled_back, probe
from soundscape.local.storage.wire import Body, JsonResponse, Storage, decode_user_metadata, iso_time

_UNSIGNABLE = "Either the object does not exist or you do not have access to it"


class Objects:
    """`/object/move`, `/object/copy`, `/object/sign/…` and the deletes."""

    def __init__(self, storage: Storage, signatures: Signatures) -> None:
        self.storage = storage
        self.signatures = signatures

    def routes(self) -> list[Route]:
        return [
            Route("/object/move", self.move, methods=["POST"]),
            Route("/object/copy", self.copy, methods=["POST"]),
            Route("/object/sign/{bucket}", self.sign_many, methods=["POST"]),
            Route("/object/sign/{bucket}/{key:path}", self.sign, methods=["POST"]),
            Route("/object/{bucket}", self.remove_many, methods=["DELETE"]),
        ]

    def catch_all_routes(self) -> list[Route]:
        return [Route("/object/{bucket}/{key:path}", self.remove, methods=["DELETE"])]

    async def move(self, request: Request) -> Response:
        session = self.storage.session(request, "storage.object.move")
        body = await Body.read(request)
        bucket = check_bucket_name(body.text("bucketId"))
        version = str(uuid4())
        values = {
            "bucket": bucket,
            "name": body.text("sourceKey"),
            "to_bucket": check_bucket_name(body.text("destinationBucket", bucket)),
            "to_name": check_key(body.text("destinationKey")),
            "version": version,
            "metadata": None,
            **session.owner_values(),
        }
        async with session.transaction(rollback=True) as cursor:
            await cursor.execute(QUERIES["find_object"], values)
            if await cursor.fetchone() is None:
                raise no_such_key()
            await cursor.execute(QUERIES["move_object"], values)
            if cursor.rowcount == 0:
                raise no_such_key()
        if (bucket, values["name"]) != (values["to_bucket"], values["to_name"]):
            await self._move(session, values)
        return JsonResponse({"message": "Successfully moved"})

    async def _move(self, session: Session, values: dict[str, Any]) -> None:
        files, version = self.storage.files, values["version"]
        try:
            async with session.transaction(service=True) as cursor:
                await cursor.execute(
                    QUERIES["lock_object"], {"bucket": values["to_bucket"], "name": values["to_name"]}
                )
                await cursor.execute(QUERIES["version_for_update"], values)
                source = await cursor.fetchone()
                if source is None:
                    raise no_such_key()
                await asyncio.to_thread(files.duplicate, source["version"], version)
                await cursor.execute(QUERIES["move_object"], values)
        except FileNotFoundError as error:
            raise no_such_key() from error
        except StorageError as error:
            if certainly_rolled_back(error):
                files.remove(version)
            raise
        files.remove(source["version"])

    async def copy(self, request: Request) -> Response:
        session = self.storage.session(request, "storage.object.copy")
        body = await Body.read(request)
        bucket = check_bucket_name(body.text("bucketId"))
        to_bucket = check_bucket_name(body.text("destinationBucket", bucket))
        to_name = check_key(body.text("destinationKey"))
        source = await _find(session, bucket, body.text("sourceKey"))
        metadata, user_metadata = dict(source["metadata"] or {}), source["user_metadata"]
        if not body.boolean("copyMetadata", True):
            given = body.part("metadata")
            for field in ("cacheControl", "mimetype"):
                if field in given:
                    metadata[field] = given.text(field)
            user_metadata = decode_user_metadata(request.headers.get("x-metadata"), base64_coded=True)
        await probe(
            session,
            to_bucket,
            to_name,
            upsert=request.headers.get("x-upsert") == "true",
            metadata=metadata,
            user_metadata=user_metadata,
        )
        metadata["lastModified"] = iso_time(datetime.now(UTC))
        version = str(uuid4())
        values = session.object_values(to_bucket, to_name, version, metadata, user_metadata or {})
        row = await self._copy(session, source["version"], values)
        return JsonResponse({"Id": row["id"], "Key": f"{to_bucket}/{to_name}", **row})

    async def _copy(self, session: Session, source_version: str, values: dict[str, Any]) -> DictRow:
        files, version = self.storage.files, values["version"]
        try:
            await asyncio.to_thread(files.duplicate, source_version, version)
            async with session.transaction(service=True) as cursor:
                await cursor.execute(QUERIES["lock_object"], values)
                await cursor.execute(QUERIES["version_for_update"], values)
                replaced = await cursor.fetchone()
                await cursor.execute(QUERIES["upsert_object"], values)
                row = await cursor.fetchone()
        except FileNotFoundError as error:
            raise no_such_key() from error
        except StorageError as error:
            if certainly_rolled_back(error):
                files.remove(version)
            raise
        if replaced is not None:
            files.remove(replaced["version"])
        assert row is not None
        return row

    async def remove(self, request: Request) -> Response:
        session = self.storage.session(request, "storage.object.delete")
        values = {
            "bucket": check_bucket_name(request.path_params["bucket"]),
            "name": check_key(request.path_params["key"]),
        }
        async with session.transaction() as cursor:
            await cursor.execute(QUERIES["delete_object"], values)
            row = await cursor.fetchone()
        if row is None:
            raise no_such_key()
        self.storage.files.remove(row["version"])
        return JsonResponse({"message": "Successfully deleted"})

    async def remove_many(self, request: Request) -> Response:
        """Delete what the caller may; keys that are absent or hidden are passed over in silence."""
        session = self.storage.session(request, "storage.object.delete_many")
        bucket = check_bucket_name(request.path_params["bucket"])
        names = (await Body.read(request)).texts("prefixes")
        async with session.transaction() as cursor:
            await cursor.execute(QUERIES["delete_named"], {"bucket": bucket, "names": names})
            rows = await cursor.fetchall()
        for row in rows:
            self.storage.files.remove(row["version"])
        return JsonResponse(rows)

    async def sign(self, request: Request) -> Response:
        session = self.storage.session(request, "storage.object.sign")
        body = await Body.read(request)
        if body.values.get("transform"):
            raise not_enabled("imageTransformation")
        expires_in_s = body.integer("expiresIn", least=1, most=MAX_SECONDS)
        bucket = check_bucket_name(request.path_params["bucket"])
        key = check_key(request.path_params["key"])
        await _find(session, bucket, key)
        return JsonResponse({"signedURL": self._signed_url(bucket, key, expires_in_s)})

    async def sign_many(self, request: Request) -> Response:
        session = self.storage.session(request, "storage.object.sign_many")
        body = await Body.read(request)
        expires_in_s = body.integer("expiresIn", least=1, most=MAX_SECONDS)
        bucket = check_bucket_name(request.path_params["bucket"])
        paths = body.texts("paths")
        async with session.transaction() as cursor:
            await cursor.execute(QUERIES["find_names"], {"bucket": bucket, "names": paths})
            visible = {row["name"] for row in await cursor.fetchall()}
        return JsonResponse(
            [
                {
                    "error": None if path in visible else _UNSIGNABLE,
                    "path": path,
                    "signedURL": self._signed_url(bucket, path, expires_in_s) if path in visible else None,
                }
                for path in paths
            ]
        )

    def _signed_url(self, bucket: str, key: str, expires_in_s: int) -> str:
        token = self.signatures.sign(f"{bucket}/{key}", "download", expires_in_s)
        # Clients encode the rest themselves; a question mark would begin the query.
        path = f"{bucket}/{key}".replace("?", "%3F")
        return f"/object/sign/{path}?token={token}"


async def _find(session: Session, bucket: str, name: str) -> DictRow:
    """The object as the caller sees it. Raises `NoSuchKey`."""
    async with session.transaction() as cursor:
        await cursor.execute(QUERIES["find_object"], {"bucket": bucket, "name": name})
        row = await cursor.fetchone()
    if row is None:
        raise no_such_key()
    return row
