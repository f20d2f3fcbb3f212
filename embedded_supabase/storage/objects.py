"""Existing objects: move, copy, remove, sign, list.

`list` lists a folder with an offset, `list-v2` a prefix with a cursor. Both show what the caller's policies
allow; an unknown bucket is an empty list.
"""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

from pydantic import Field, TypeAdapter

from embedded_supabase.storage.call import Body, Call, Result
from embedded_supabase.storage.candidate import clean_header, decode_user_metadata
from embedded_supabase.storage.errors import StorageError, not_enabled
from embedded_supabase.storage.files import iso_time
from embedded_supabase.storage.names import check_bucket_name, check_key
from embedded_supabase.storage.signatures import MAX_SECONDS
from embedded_supabase.storage.uploads import build_signed_path, probe, write

_OBJECT_FIELDS = ("id", "updated_at", "created_at", "last_accessed_at", "metadata")
MAX_V2_KEYS = 1000
_CURSOR = TypeAdapter(tuple[str, str])
_UNSIGNABLE = "Either the object does not exist or you do not have access to it"


class MoveBody(Body):
    bucket: str = Field(alias="bucketId")
    source: str = Field(alias="sourceKey")
    destination: str = Field(alias="destinationKey")
    destination_bucket: str | None = Field(None, alias="destinationBucket")

    def target(self) -> tuple[str, str]:
        """The bucket and key to move or copy to."""
        bucket = self.bucket if self.destination_bucket is None else self.destination_bucket
        return check_bucket_name(bucket), check_key(self.destination)


class CopiedMetadata(Body):
    """What a copy says of itself instead of what its source says."""

    mimetype: str | None = None
    cache_control: str | None = Field(default=None, alias="cacheControl")


class CopyBody(MoveBody):
    copies_metadata: bool = Field(True, alias="copyMetadata")
    metadata: CopiedMetadata = CopiedMetadata()


class RemoveBody(Body):
    prefixes: list[str] = Field(min_length=1, max_length=1000)


class SignBody(Body):
    expires_in_s: int = Field(alias="expiresIn", ge=1, le=MAX_SECONDS)
    transform: Any = None


class SignManyBody(SignBody):
    paths: list[str] = Field(min_length=1, max_length=1000)


class Sort(Body):
    column: Literal["name", "updated_at", "created_at", "last_accessed_at"] = "name"
    order: Literal["asc", "desc"] = "asc"


class ListFolderBody(Body):
    prefix: str
    search: str = ""
    limit: int = Field(100, ge=1, lt=2**31)
    offset: int = Field(0, ge=0, lt=2**31)
    sort: Sort = Field(Sort(), alias="sortBy")


class ListPrefixBody(Body):
    prefix: str = ""
    limit: int = Field(MAX_V2_KEYS, ge=1, lt=2**31)
    with_delimiter: bool = False
    cursor: str = ""
    sort: Sort = Field(Sort(), alias="sortBy")


async def move(call: Call) -> Result:
    body = await call.read_body(MoveBody)
    to_bucket, to_name = body.target()
    source = await call.object(check_bucket_name(body.bucket), body.source)
    values: dict[str, Any] = {"bucket": body.bucket, "name": body.source, "source_version": source["version"]}
    values |= {"to_bucket": to_bucket, "to_name": to_name, "version": str(uuid4())} | call.owner_values()
    await call.row("move_object", absent="NoSuchKey", rollback=True, **values)
    if (body.bucket, body.source) != (to_bucket, to_name):
        await _duplicate(call, source["version"], values["version"])
        await write(call, "move_object", values)
    return {"message": "Successfully moved"}


async def copy(call: Call) -> Result:
    """Copy an object. As on the real server, the type that a client gives is not held to the bucket's."""
    body = await call.read_body(CopyBody)
    to_bucket, to_name = body.target()
    source = await call.object(check_bucket_name(body.bucket), body.source)
    metadata, user_metadata = dict(source["metadata"] or {}), source["user_metadata"]
    if not body.copies_metadata:
        given_values = body.metadata.model_dump(by_alias=True, exclude_none=True)
        metadata |= {name: clean_header(value) for name, value in given_values.items()}
        given = call.request.headers.get("x-metadata")
        user_metadata = None if given is None else decode_user_metadata(given, base64_coded=True)
    await probe(call, to_bucket, to_name, metadata, user_metadata)
    metadata["lastModified"] = iso_time(datetime.now(UTC))
    values = call.object_values(to_bucket, to_name, str(uuid4()), metadata, user_metadata)
    await _duplicate(call, source["version"], values["version"])
    row = await write(call, "upsert_object", values)
    return {"Id": row["id"], "Key": f"{to_bucket}/{to_name}", **row}


async def _duplicate(call: Call, version: str, new_version: str) -> None:
    try:
        await asyncio.to_thread(call.storage.files.duplicate, version, new_version)
    except FileNotFoundError as error:
        raise StorageError("NoSuchKey") from error


async def remove(call: Call) -> Result:
    row = await call.row("delete_object", absent="NoSuchKey", bucket=call.bucket_id, name=call.key)
    call.storage.files.remove(row["version"])
    return {"message": "Successfully deleted"}


async def remove_many(call: Call) -> Result:
    """Delete what the caller may. Keys that do not exist or are hidden are skipped."""
    body = await call.read_body(RemoveBody)
    rows = await call.rows("delete_named", bucket=call.bucket_id, names=body.prefixes)
    for row in rows:
        call.storage.files.remove(row["version"])
    return rows


async def sign(call: Call) -> Result:
    body = await call.read_body(SignBody)
    if body.transform:
        raise not_enabled("imageTransformation")
    await call.object(call.bucket_id, call.key)
    return {"signedURL": _build_signed_url(call, call.key, body.expires_in_s)}


async def sign_many(call: Call) -> Result:
    body = await call.read_body(SignManyBody)
    found = await call.rows("find_names", bucket=call.bucket_id, names=body.paths)
    visible = {row["name"] for row in found}
    return [
        {
            "error": None if path in visible else _UNSIGNABLE,
            "path": path,
            "signedURL": _build_signed_url(call, path, body.expires_in_s) if path in visible else None,
        }
        for path in body.paths
    ]


def _build_signed_url(call: Call, key: str, expires_in_s: int) -> str:
    path = f"{call.bucket_id}/{key}"
    return build_signed_path(
        "/object/sign", path, call.storage.signatures.sign(path, "download", expires_in_s)
    )


# -- lists ------------------------------------------------------------------------------------------


async def list_folder(call: Call) -> Result:
    body = await call.read_body(ListFolderBody)
    folder = body.prefix.removesuffix("/") + "/" if body.prefix else ""
    return await call.rows(
        "list_objects",
        bucket=call.bucket_id,
        start=folder + body.search,
        level=folder.count("/") + 1,
        limit=body.limit,
        offset=body.offset,
        **body.sort.model_dump(),
    )


async def list_prefix(call: Call) -> Result:
    body = await call.read_body(ListPrefixBody)
    (after_rank, after_key), limit = _read_cursor(body.cursor), min(body.limit, MAX_V2_KEYS)
    rows = await call.rows(
        "list_objects_v2",
        bucket=call.bucket_id,
        prefix=body.prefix,
        delimited=body.with_delimiter,
        after_rank=after_rank,
        after_key=after_key,
        limit=limit + 1,
        **body.sort.model_dump(),
    )
    page: dict[str, Any] = {"hasNext": len(rows) > limit, "folders": [], "objects": []}
    for row in rows[:limit]:
        if row["id"] is None:
            page["folders"].append({"key": row["key"].rstrip("/"), "name": row["key"]})
        else:
            named = {"name": row["key"]} | ({"key": row["key"]} if body.with_delimiter else {})
            page["objects"].append(named | {field: row[field] for field in _OBJECT_FIELDS})
    if len(rows) > limit:
        last = rows[limit - 1]
        cursor = json.dumps([last["rank"], last["key"]]).encode()
        page |= {"nextCursor": base64.urlsafe_b64encode(cursor).decode(), "nextCursorKey": last["key"]}
    return page


def _read_cursor(text: str) -> tuple[str | None, str | None]:
    """The last sort value and key of the page before. Raises `InvalidParameter` for another text."""
    try:
        return _CURSOR.validate_json(base64.urlsafe_b64decode(text)) if text else (None, None)
    except ValueError as error:
        raise StorageError("InvalidParameter", "Invalid Parameter cursor") from error
