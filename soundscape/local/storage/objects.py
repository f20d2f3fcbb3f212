"""What is done to objects that exist: move, copy, remove, sign."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from soundscape.local.storage.errors import no_such_key, not_enabled
from soundscape.local.storage.names import check_bucket_name, check_key
from soundscape.local.storage.signatures import MAX_SECONDS
from soundscape.local.storage.uploads import Place, probe, write
from soundscape.local.storage.wire import (
    Body,
    Handlers,
    JsonResponse,
    decode_user_metadata,
    iso_time,
    upserts,
)

_UNSIGNABLE = "Either the object does not exist or you do not have access to it"


class Objects(Handlers):
    """`/object/move`, `/object/copy`, `/object/sign/…` and the deletes."""

    async def move(self, request: Request) -> Response:
        session = self.storage.session(request, "storage.object.move")
        body = await Body.read(request)
        bucket = check_bucket_name(body.text("bucketId"))
        values: dict[str, Any] = {
            "bucket": bucket,
            "name": body.text("sourceKey"),
            "to_bucket": check_bucket_name(body.text("destinationBucket", bucket)),
            "to_name": check_key(body.text("destinationKey")),
            "version": str(uuid4()),
            "metadata": None,
            **session.owner_values(),
        }
        await session.object(bucket, values["name"])
        if not await session.rows("move_object", rollback=True, **values):
            raise no_such_key()
        if (bucket, values["name"]) != (values["to_bucket"], values["to_name"]):
            await write(session, self.storage.files, "move_object", values, self._same_bytes(values))
        return JsonResponse({"message": "Successfully moved"})

    async def copy(self, request: Request) -> Response:
        session = self.storage.session(request, "storage.object.copy")
        body = await Body.read(request)
        bucket = check_bucket_name(body.text("bucketId"))
        to_bucket = check_bucket_name(body.text("destinationBucket", bucket))
        to_name = check_key(body.text("destinationKey"))
        source = await session.object(bucket, body.text("sourceKey"))
        metadata, user_metadata = dict(source["metadata"] or {}), source["user_metadata"]
        if not body.boolean("copyMetadata", True):
            given = body.part("metadata")
            for field in ("cacheControl", "mimetype"):
                if field in given:
                    metadata[field] = given.text(field)
            user_metadata = decode_user_metadata(request.headers.get("x-metadata"), base64_coded=True)
        await probe(session, to_bucket, to_name, upserts(request), metadata, user_metadata)
        metadata["lastModified"] = iso_time(datetime.now(UTC))
        values = session.object_values(to_bucket, to_name, str(uuid4()), metadata, user_metadata or {})
        duplicate = self._same_bytes(values, source["version"])
        row = await write(session, self.storage.files, "upsert_object", values, duplicate)
        return JsonResponse({"Id": row["id"], "Key": f"{to_bucket}/{to_name}", **row})

    def _same_bytes(self, values: dict[str, Any], source_version: str | None = None) -> Place:
        """Gives the new version the bytes of `source_version`, or of what is replaced."""

        def duplicate(replaced: DictRow | None) -> None:
            version = replaced["version"] if replaced and source_version is None else source_version
            try:
                self.storage.files.duplicate(version, values["version"])
            except FileNotFoundError as error:
                raise no_such_key() from error

        return duplicate

    async def remove(self, request: Request) -> Response:
        session = self.storage.session(request, "storage.object.delete")
        values = {
            "bucket": check_bucket_name(request.path_params["bucket"]),
            "name": check_key(request.path_params["key"]),
        }
        row = await session.row("delete_object", **values)
        if row is None:
            raise no_such_key()
        self.storage.files.remove(row["version"])
        return JsonResponse({"message": "Successfully deleted"})

    async def remove_many(self, request: Request) -> Response:
        """Delete what the caller may; keys that are absent or hidden are passed over in silence."""
        session = self.storage.session(request, "storage.object.delete_many")
        bucket = check_bucket_name(request.path_params["bucket"])
        names = (await Body.read(request)).texts("prefixes")
        rows = await session.rows("delete_named", bucket=bucket, names=names)
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
        await session.object(bucket, key)
        return JsonResponse({"signedURL": self._signed_url(bucket, key, expires_in_s)})

    async def sign_many(self, request: Request) -> Response:
        session = self.storage.session(request, "storage.object.sign_many")
        body = await Body.read(request)
        expires_in_s = body.integer("expiresIn", least=1, most=MAX_SECONDS)
        bucket = check_bucket_name(request.path_params["bucket"])
        paths = body.texts("paths")
        visible = {row["name"] for row in await session.rows("find_names", bucket=bucket, names=paths)}
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
        token = self.storage.signatures.sign(f"{bucket}/{key}", "download", expires_in_s)
        # Clients encode the rest themselves; a question mark would begin the query.
        path = f"{bucket}/{key}".replace("?", "%3F")
        return f"/object/sign/{path}?token={token}"
