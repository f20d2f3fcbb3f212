"""Lists of objects: by folder with an offset (list), by prefix with a cursor (list-v2).

Both run as the caller, so they show what the policies show; an unknown bucket is an empty list.
"""

from __future__ import annotations

import base64
import json

from psycopg import sql
from starlette.requests import Request
from starlette.responses import Response

from soundscape.local.storage.database import QUERIES
from soundscape.local.storage.errors import StorageError, invalid_request
from soundscape.local.storage.names import check_bucket_name
from soundscape.local.storage.wire import Body, Handlers, JsonResponse, parse_json

_DIRECTIONS = {"asc": sql.SQL("asc"), "desc": sql.SQL("desc")}
_LIST_COLUMNS = ("name", "updated_at", "created_at", "last_accessed_at")
_V2_COLUMNS = ("name", "updated_at", "created_at")
_OBJECT_FIELDS = ("id", "updated_at", "created_at", "last_accessed_at", "metadata")
MAX_V2_KEYS = 1000


class Listing(Handlers):
    """`POST /object/list/…` and `/object/list-v2/…`."""

    async def list_folder(self, request: Request) -> Response:
        session = self.storage.session(request, "storage.object.list")
        body = await Body.read(request)
        bucket = check_bucket_name(request.path_params["bucket"])
        folder = body.text("prefix")
        if folder and not folder.endswith("/"):
            folder += "/"
        column, direction = _sort(body, _LIST_COLUMNS)
        if column == "name":
            order = sql.SQL('lower(name) collate "C" {}').format(direction)
        else:
            # Folders have no times: they come first, by name, as on the real server.
            order = sql.SQL("id is not null, case when id is null then name end {0}, {1} {0}").format(
                direction, sql.Identifier(column)
            )
        async with session.transaction() as cursor:
            await cursor.execute(
                sql.SQL(QUERIES["list_objects"]).format(order=order),
                {
                    "bucket": bucket,
                    "start": folder + body.text("search", ""),
                    "level": folder.count("/") + 1,
                    "limit": body.integer("limit", 100, least=1),
                    "offset": body.integer("offset", 0, least=0),
                },
            )
            return JsonResponse(await cursor.fetchall())

    async def list_prefix(self, request: Request) -> Response:
        session = self.storage.session(request, "storage.object.list_v2")
        body = await Body.read(request)
        bucket = check_bucket_name(request.path_params["bucket"])
        column, direction = _sort(body, _V2_COLUMNS)
        limit = min(body.integer("limit", MAX_V2_KEYS, least=1), MAX_V2_KEYS)
        delimited = body.boolean("with_delimiter", False)
        after = _read_cursor(body.text("cursor", ""))
        statement = sql.SQL(QUERIES["list_objects_v2"]).format(
            rank=sql.SQL("''::text")
            if column == "name"
            else sql.SQL("coalesce(to_char({}, 'YYYYMMDDHH24MISSUS'), '')").format(sql.Identifier(column)),
            beyond=sql.SQL("<" if direction is _DIRECTIONS["desc"] else ">"),
            direction=direction,
        )
        async with session.transaction() as cursor:
            await cursor.execute(
                statement,
                {
                    "bucket": bucket,
                    "prefix": body.text("prefix", ""),
                    "delimited": delimited,
                    "resumed": after is not None,
                    "after_rank": after[0] if after else "",
                    "after_key": after[1] if after else "",
                    "limit": limit + 1,
                },
            )
            rows = await cursor.fetchall()
        page, last = rows[:limit], rows[limit - 1] if len(rows) > limit else None
        folders = [{"key": row["key"].rstrip("/"), "name": row["key"]} for row in page if row["id"] is None]
        objects = [
            {"name": row["key"], **({"key": row["key"]} if delimited else {})}
            | {field: row[field] for field in _OBJECT_FIELDS}
            for row in page
            if row["id"] is not None
        ]
        answer: dict[str, object] = {"hasNext": last is not None, "folders": folders, "objects": objects}
        if last is not None:
            cursor_text = json.dumps([last["rank"], last["key"]])
            answer["nextCursor"] = base64.urlsafe_b64encode(cursor_text.encode()).decode()
            answer["nextCursorKey"] = last["key"]
        return JsonResponse(answer)


def _sort(body: Body, columns: tuple[str, ...]) -> tuple[str, sql.SQL]:
    by = body.part("sortBy")
    column, order = by.text("column", "name"), by.text("order", "asc").lower()
    if column not in columns:
        raise invalid_request(f"body/sortBy/column must be one of {', '.join(columns)}")
    if order not in _DIRECTIONS:
        raise invalid_request("body/sortBy/order must be one of asc, desc")
    return column, _DIRECTIONS[order]


def _read_cursor(text: str) -> tuple[str, str] | None:
    """The sort value and key a page ended with. Raises `InvalidParameter` for what is no cursor of ours."""
    if not text:
        return None
    try:
        rank, key = parse_json(base64.urlsafe_b64decode(text.encode("ascii")))
        if isinstance(rank, str) and isinstance(key, str):
            return rank, key
    except (ValueError, TypeError, StorageError):
        pass
    raise StorageError(400, "InvalidParameter", "Invalid Parameter cursor")
