"""SQL in files: `-- name: x` begins each statement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg.sql import Composed


class Queries:
    """The statements of a file by name."""

    def __init__(self, path: Path) -> None:
        parts = (part.partition("\n") for part in path.read_text().split("-- name: ")[1:])
        self._texts = {name: text.encode() for name, _, text in parts}

    async def rows(
        self, connection: AsyncConnection[Any], query: str | Composed, /, **values: Any
    ) -> list[DictRow]:
        """What a statement gives, one of the file's or a composed one; no rows where it returns none."""
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(self._texts[query] if isinstance(query, str) else query, values)
            return await cursor.fetchall() if cursor.description else []
