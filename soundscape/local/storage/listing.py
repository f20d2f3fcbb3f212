"""Lists of objects: by folder with an offset (list), by prefix with a cursor (list-v2).

Both run as the caller, so they show what the policies show; an unknown bucket is an empty list.
"""

from __future__ import annotations

import base64
import json
from typing import Literal

from pydantic import Field

from soundscape.local import strict_json
from soundscape.local.storage.call import Answer, Call, Said
from soundscape.local.storage.errors import StorageError

_OBJECT_FIELDS = ("id", "updated_at", "created_at", "last_accessed_at", "metadata")
MAX_V2_KEYS = 1000


class Sort(Said):
    column: Literal["name", "updated_at", "created_at", "last_accessed_at"] = "name"
    order: Literal["asc", "desc"] = "asc"


class FolderSaid(Said):
    prefix: str
    search: str = ""
    limit: int = Field(100, ge=1, lt=2**31)
    offset: int = Field(0, ge=0, lt=2**31)
    sort: Sort = Field(Sort(), alias="sortBy")


class PrefixSaid(Said):
    prefix: str = ""
    limit: int = Field(MAX_V2_KEYS, ge=1, lt=2**31)
    with_delimiter: bool = False
    cursor: str = ""
    sort: Sort = Field(Sort(), alias="sortBy")


async def list_folder(call: Call) -> Answer:
    said = await call.said(FolderSaid)
    folder = said.prefix.removesuffix("/") + "/" if said.prefix else ""
    return await call.rows(
        "list_objects",
        bucket=call.bucket_id,
        start=folder + said.search,
        level=folder.count("/") + 1,
        limit=said.limit,
        offset=said.offset,
        column=said.sort.column,
        order=said.sort.order,
    )


async def list_prefix(call: Call) -> Answer:
    said = await call.said(PrefixSaid)
    after = _read_cursor(said.cursor)
    limit = min(said.limit, MAX_V2_KEYS)
    rows = await call.rows(
        "list_objects_v2",
        bucket=call.bucket_id,
        prefix=said.prefix,
        delimited=said.with_delimiter,
        after_rank=after and after[0],
        after_key=after and after[1],
        limit=limit + 1,
        column=said.sort.column,
        order=said.sort.order,
    )
    page, last = rows[:limit], rows[limit - 1] if len(rows) > limit else None
    folders = [{"key": row["key"].rstrip("/"), "name": row["key"]} for row in page if row["id"] is None]
    objects = [
        {"name": row["key"], **({"key": row["key"]} if said.with_delimiter else {})}
        | {field: row[field] for field in _OBJECT_FIELDS}
        for row in page
        if row["id"] is not None
    ]
    answer = {"hasNext": last is not None, "folders": folders, "objects": objects}
    if last is not None:
        cursor = json.dumps([last["rank"], last["key"]]).encode()
        answer |= {"nextCursor": base64.urlsafe_b64encode(cursor).decode(), "nextCursorKey": last["key"]}
    return answer


def _read_cursor(text: str) -> tuple[str, str] | None:
    """The sort value and key a page ended with. Raises `InvalidParameter` for what is no cursor of ours."""
    if not text:
        return None
    try:
        rank, key = strict_json.parse(base64.urlsafe_b64decode(text.encode("ascii")))
    except (ValueError, TypeError) as error:
        raise StorageError("InvalidParameter", "Invalid Parameter cursor") from error
    if not isinstance(rank, str) or not isinstance(key, str):
        raise StorageError("InvalidParameter", "Invalid Parameter cursor")
    return rank, key
