"""Buckets: create, read, list, update, empty, delete."""

from __future__ import annotations

from typing import Any, Literal

from psycopg.rows import DictRow
from pydantic import Field

from embedded_supabase.storage.call import Body, Call, Result, validate
from embedded_supabase.storage.errors import StorageError
from embedded_supabase.storage.names import check_bucket_name, check_mime_patterns, parse_size


class ListBucketsQuery(Body):
    column: Literal["id", "name", "created_at", "updated_at"] = Field("name", alias="sortColumn")
    order: Literal["asc", "desc"] = Field("asc", alias="sortOrder")
    search: str = ""
    limit: int = Field(10_000, ge=1, lt=2**31)
    offset: int = Field(0, ge=0, lt=2**31)


class UpdateBucketBody(Body):
    public: bool = False
    file_size_limit: str | None = None
    allowed_mime_types: list[str] | None = Field(None, max_length=1000)

    def limits(self, call: Call) -> dict[str, Any]:
        """`file_size_limit` (a number, or text such as 20MB) and `allowed_mime_types`, checked."""
        limit = parse_size(self.file_size_limit) if self.file_size_limit else None
        if limit and limit > call.storage.size_limit:
            raise StorageError("EntityTooLarge")
        check_mime_patterns(self.allowed_mime_types or ())
        return {"file_size_limit": limit or None, "allowed_mime_types": self.allowed_mime_types or None}


class CreateBucketBody(UpdateBucketBody):
    name: str
    id: str | None = None
    type: str = "STANDARD"


async def list_buckets(call: Call) -> Result:
    query = validate(ListBucketsQuery, dict(call.request.query_params))
    return await call.rows("list_buckets", **query.model_dump())


async def create(call: Call) -> Result:
    body = await call.read_body(CreateBucketBody)
    name = check_bucket_name(body.name)
    bucket_id = name if body.id is None else check_bucket_name(body.id)
    if body.type != "STANDARD":
        raise StorageError("FeatureNotEnabled", "Only buckets of type STANDARD are enabled")
    values = body.limits(call) | call.owner_values()
    await call.rows("insert_bucket", id=bucket_id, name=name, public=body.public, **values)
    return {"name": name}


async def get(call: Call) -> DictRow:
    return await call.row("find_bucket", absent="NoSuchBucket", bucket=call.bucket_id)


async def update(call: Call) -> Result:
    body = await call.read_body(UpdateBucketBody)
    values = body.limits(call) | {"public": body.public, "given": list(body.model_fields_set)}
    await call.row("update_bucket", absent="NoSuchBucket", bucket=call.bucket_id, **values)
    return {"message": "Successfully updated"}


async def delete(call: Call) -> Result:
    bucket = await call.bucket()
    if await call.rows("any_object", service=True, bucket=bucket["id"]):
        raise StorageError("ResourceNotEmpty")
    await call.row("delete_bucket", absent="NoSuchBucket", bucket=bucket["id"])
    return {"message": "Successfully deleted"}


async def empty(call: Call) -> Result:
    """Delete every object of the bucket, if the caller may delete an object that it sees.

    As on the real server, the service role deletes the rest: there later, here before the response.
    """
    bucket = (await get(call))["id"]
    for seen in await call.rows("delete_any_object", rollback=True, bucket=bucket):
        if not seen["may_be_deleted"]:
            message = f"Cannot delete: {seen['name']}, you may have SELECT but not DELETE permissions"
            raise StorageError("AccessDenied", message)
        while gone := await call.rows("delete_some", service=True, bucket=bucket):
            for row in gone:
                call.storage.files.remove(row["version"])
    return {"message": "Empty bucket has been queued. Completion may take up to an hour."}
