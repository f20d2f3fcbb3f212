"""Lists of objects: by folder with an offset (list), by prefix with a cursor (list-v2).

Both run as the caller, so they show what the policies show; an unknown bucket is an empty list.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Literal

from pydantic import Field, TypeAdapter

from soundscape.local.storage.call import Answer, Call, Said
from soundscape.local.storage.errors import StorageError

_OBJECT_FIELDS = ("id", "updated_at", "created_at", "last_accessed_at", "metadata")
MAX_V2_KEYS = 1000
_CURSOR = TypeAdapter(tuple[str, str])


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
        **said.sort.model_dump(),
    )


async def list_prefix(call: Call) -> Answer:
    said = await call.said(PrefixSaid)
    (after_rank, after_key), limit = _read_cursor(said.cursor), min(said.limit, MAX_V2_KEYS)
    rows = await call.rows(
        "list_objects_v2",
        bucket=call.bucket_id,
        prefix=said.prefix,
        delimited=said.with_delimiter,
        after_rank=after_rank,
        after_key=after_key,
        limit=limit + 1,
        **said.sort.model_dump(),
    )
    answer: dict[str, Any] = {"hasNext": len(rows) > limit, "folders": [], "objects": []}
    for row in rows[:limit]:
        if row["id"] is None:
            answer["folders"].append({"key": row["key"].rstrip("/"), "name": row["key"]})
        else:
            named = {"name": row["key"]} | ({"key": row["key"]} if said.with_delimiter else {})
            answer["objects"].append(named | {field: row[field] for field in _OBJECT_FIELDS})
    if len(rows) > limit:
        last = rows[limit - 1]
        cursor = json.dumps([last["rank"], last["key"]]).encode()
        answer |= {"nextCursor": base64.urlsafe_b64encode(cursor).decode(), "nextCursorKey": last["key"]}
    return answer


def _read_cursor(text: str) -> tuple[str | None, str | None]:
    """The sort value and key a page ended with. Raises `InvalidParameter` for what is no cursor of ours."""
    try:
        return _CURSOR.validate_json(base64.urlsafe_b64decode(text)) if text else (None, None)
    except ValueError as error:
        raise StorageError("InvalidParameter", "Invalid Parameter cursor") from error
