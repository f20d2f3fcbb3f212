"""A request's way to the database: each transaction carries who asks, and what for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb

from soundscape.local.queries import read_queries
from soundscape.local.stack import Stack
from soundscape.local.storage.errors import StorageError, from_database, no_such_bucket, no_such_key
from soundscape.local.storage.names import as_uuid, check_bucket_name
from soundscape.local.tokens import SERVICE, Caller

Cursor = psycopg.AsyncCursor[DictRow]


QUERIES = read_queries(Path(__file__).with_name("queries.sql"))


# What a unique violation of a statement means to the client.
_TAKEN = {"insert_object": "Key", "upsert_object": "Key", "insert_bucket": "Bucket"}


@dataclass(frozen=True)
class Session:
    """One request: the caller, and the facts its policies and triggers may ask for."""

    stack: Stack
    caller: Caller
    operation: str
    """`storage.object.upload` and its like; policies read it with `storage.operation()`."""
    method: str = ""
    path: str = ""
    headers: Mapping[str, str] | None = None
    owner_id: str | None = None
    """Whom new objects belong to: the caller's subject, or the one a signed upload names."""

    @asynccontextmanager
    async def transaction(
        self, *, service: bool = False, rollback: bool = False, taken: str = "Resource"
    ) -> AsyncIterator[Cursor]:
        """A transaction as the caller, or with `service` as the service role without a subject.

        `rollback` makes it a probe: it happens, triggers and all, and leaves nothing behind. `taken`
        names a unique violation for the client (Key, Bucket, Resource). Raises `StorageError`.
        """
        caller = SERVICE if service else self.caller
        headers = dict(self.headers or {})
        settings = {
            "role": caller.role,
            "sub": str(caller.user_id or ""),
            "claims": json.dumps(caller.claims),
            "token": "" if service else headers.get("authorization", "").partition(" ")[2],
            "headers": json.dumps(headers),
            "method": self.method,
            "path": self.path,
            "operation": self.operation,
        }
        try:
            async with (
                self.stack.storage_admin.connection() as connection,
                connection.transaction(force_rollback=rollback),
                connection.cursor(row_factory=dict_row) as cursor,
            ):
                await cursor.execute(QUERIES["set_caller"], settings)
                yield cursor
        except psycopg.Error as error:
            raise from_database(error, taken=taken) from error
        except UnicodeEncodeError as error:
            raise StorageError(400, "InvalidParameter", "Invalid Parameter value") from error

    async def rows(
        self, query: str, *, service: bool = False, rollback: bool = False, **values: Any
    ) -> list[DictRow]:
        """One statement of `queries.sql` in a transaction of its own. Raises `StorageError`."""
        taken = _TAKEN.get(query, "Resource")
        async with self.transaction(service=service, rollback=rollback, taken=taken) as cursor:
            await cursor.execute(QUERIES[query], values)
            return await cursor.fetchall() if cursor.description else []

    async def row(self, query: str, **values: Any) -> DictRow | None:
        """The first of `rows`, or None."""
        found = await self.rows(query, **values)
        return found[0] if found else None

    async def bucket(self, bucket: str) -> DictRow:
        """The bucket's row, whoever asks: its limits hold for all. Raises `NoSuchBucket`."""
        row = await self.row("find_bucket", service=True, bucket=check_bucket_name(bucket))
        if row is None:
            raise no_such_bucket()
        return row

    async def object(self, bucket: str, name: str, *, service: bool = False) -> DictRow:
        """The object as the caller sees it. Raises `NoSuchKey`."""
        row = await self.row("find_object", service=service, bucket=bucket, name=name)
        if row is None:
            raise no_such_key()
        return row

    def object_values(
        self,
        bucket: str,
        name: str,
        version: str,
        metadata: Mapping[str, Any] | None,
        user_metadata: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """The parameters of `insert_object` and `upsert_object`."""
        return {
            "bucket": bucket,
            "name": name,
            "version": version,
            "metadata": None if metadata is None else Jsonb(dict(metadata)),
            "user_metadata": None if user_metadata is None else Jsonb(dict(user_metadata)),
            **self.owner_values(),
        }

    def owner_values(self) -> dict[str, str | UUID | None]:
        return {"owner": as_uuid(self.owner_id), "owner_id": self.owner_id}
