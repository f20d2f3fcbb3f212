"""Buckets: create, read, list, update, empty, delete."""

from __future__ import annotations

from typing import Any

from psycopg import sql
from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from soundscape.local.storage.database import QUERIES, Session
from soundscape.local.storage.errors import (
    StorageError,
    access_denied,
    invalid_request,
    no_such_bucket,
    too_large,
)
from soundscape.local.storage.names import check_bucket_name, check_mime_patterns, parse_size
from soundscape.local.storage.wire import Body, Handlers, JsonResponse

_LIST = """
select * from storage.buckets
where %(search)s = '' or strpos(lower(name), lower(%(search)s)) > 0
order by {column} {order} limit %(limit)s offset %(offset)s
"""
_SORTABLE = ("id", "name", "created_at", "updated_at")
_SHOWN = (
    "id", "name", "owner", "public", "type", "file_size_limit", "allowed_mime_types",
    "created_at", "updated_at",
)  # fmt: skip


class Buckets(Handlers):
    """`/bucket` and below."""

    async def list_buckets(self, request: Request) -> Response:
        session = self.storage.session(request, "storage.bucket.list")
        query = Body(dict(request.query_params))
        column = query.text("sortColumn", "name")
        order = query.text("sortOrder", "asc").lower()
        if column not in _SORTABLE or order not in ("asc", "desc"):
            raise invalid_request("querystring/sortColumn or sortOrder is not one of the allowed values")
        statement = sql.SQL(_LIST).format(column=sql.Identifier(column), order=sql.SQL(order))
        async with session.transaction() as cursor:
            await cursor.execute(
                statement,
                {
                    "search": query.text("search", ""),
                    "limit": query.integer("limit", 10_000, least=1),
                    "offset": query.integer("offset", 0, least=0),
                },
            )
            return JsonResponse([_shown(row) for row in await cursor.fetchall()])

    async def create(self, request: Request) -> Response:
        session = self.storage.session(request, "storage.bucket.create")
        body = await Body.read(request)
        name = check_bucket_name(body.text("name"))
        if body.text("type", "STANDARD") != "STANDARD":
            raise StorageError(403, "FeatureNotEnabled", "Only buckets of type STANDARD are enabled")
        values = {
            "id": check_bucket_name(body.text("id", name)),
            "name": name,
            "public": body.boolean("public", False),
            **self._limits(body),
            **session.owner_values(),
        }
        await session.rows("insert_bucket", **values)
        return JsonResponse({"name": name})

    async def get(self, request: Request) -> Response:
        session = self.storage.session(request, "storage.bucket.get")
        return JsonResponse(_shown(await self._visible(session, request)))

    async def update(self, request: Request) -> Response:
        session = self.storage.session(request, "storage.bucket.update")
        body = await Body.read(request)
        values = {
            "bucket": check_bucket_name(request.path_params["bucket"]),
            "set_public": "public" in body,
            "public": body.boolean("public", False),
            "set_limit": "file_size_limit" in body.values,
            "set_types": "allowed_mime_types" in body.values,
            **self._limits(body),
        }
        if not await session.rows("update_bucket", **values):
            raise no_such_bucket()
        return JsonResponse({"message": "Successfully updated"})

    async def delete(self, request: Request) -> Response:
        session = self.storage.session(request, "storage.bucket.delete")
        bucket = await session.bucket(request.path_params["bucket"])
        if await session.row("any_object", service=True, bucket=bucket["id"]):
            raise StorageError(409, "ResourceNotEmpty", "The bucket you tried to delete is not empty")
        if not await session.rows("delete_bucket", bucket=bucket["id"]):
            raise no_such_bucket()
        return JsonResponse({"message": "Successfully deleted"})

    async def empty(self, request: Request) -> Response:
        """Delete every object of the bucket, if the caller may delete one it sees.

        As on the real server the rest goes as the service role; there later, here before the answer.
        """
        session = self.storage.session(request, "storage.bucket.empty")
        bucket = await self._visible(session, request)
        async with session.transaction(rollback=True) as cursor:
            await cursor.execute(QUERIES["any_object"], {"bucket": bucket["id"]})
            seen = await cursor.fetchone()
            if seen is not None:
                await cursor.execute(QUERIES["delete_object"], {"bucket": bucket["id"], "name": seen["name"]})
                if cursor.rowcount == 0:
                    raise access_denied(
                        f"Cannot delete: {seen['name']}, you may have SELECT but not DELETE permissions"
                    )
        while seen is not None:
            gone = await session.rows("delete_some", service=True, bucket=bucket["id"])
            for row in gone:
                self.storage.files.remove(row["version"])
            if not gone:
                break
        return JsonResponse({"message": "Empty bucket has been queued. Completion may take up to an hour."})

    async def _visible(self, session: Session, request: Request) -> DictRow:
        row = await session.row("find_bucket", bucket=check_bucket_name(request.path_params["bucket"]))
        if row is None:
            raise no_such_bucket()
        return row

    def _limits(self, body: Body) -> dict[str, Any]:
        """`file_size_limit` (a number, or text such as 20MB) and `allowed_mime_types`, checked."""
        limit, types = None, None
        if "file_size_limit" in body:
            given = body.values["file_size_limit"]
            if isinstance(given, str) and not given.isdigit():
                limit = parse_size(given)
            else:
                limit = body.integer("file_size_limit", least=0, most=2**53)
            if limit > self.storage.size_limit:
                raise too_large()
        if body.values.get("allowed_mime_types"):
            types = body.texts("allowed_mime_types")
            check_mime_patterns(types)
        return {"file_size_limit": limit or None, "allowed_mime_types": types}


def _shown(row: DictRow) -> dict[str, Any]:
    """A bucket as clients read it; supabase-py requires `owner` to be text."""
    shown = {name: row[name] for name in _SHOWN}
    return shown | {"owner": row["owner_id"] or str(row["owner"] or "")}
