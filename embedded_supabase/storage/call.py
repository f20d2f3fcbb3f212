"""One request: its caller, its body, and its transactions.

Each transaction has the caller's role and claims, and the settings that policies and triggers can read.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from embedded_supabase import payload
from embedded_supabase.database import Queries, assume_caller
from embedded_supabase.embedded import EmbeddedSupabase
from embedded_supabase.storage.errors import StorageError, from_database, invalid_request
from embedded_supabase.storage.files import Files
from embedded_supabase.storage.names import check_bucket_name, check_key
from embedded_supabase.storage.signatures import Signatures
from embedded_supabase.storage.tus_store import TusStore
from embedded_supabase.tokens import SERVICE, Caller, InvalidToken

MAX_JSON_BYTES = 4 << 20
QUERIES = Queries(Path(__file__).with_name("queries.sql"))
# What already exists when a statement violates a unique constraint.
_TAKEN = {"insert_object": "Key", "upsert_object": "Key", "insert_bucket": "Bucket"}


class Body(BaseModel):
    """A JSON object that a client sends. Digits in text are numbers: supabase-py sends `expiresIn` so."""

    model_config = ConfigDict(coerce_numbers_to_str=True, frozen=True)


_Body = TypeVar("_Body", bound=Body)


@dataclass(frozen=True)
class Storage:
    """What every route of the service works with."""

    embedded: EmbeddedSupabase
    files: Files
    tus_store: TusStore
    signatures: Signatures
    size_limit: int
    """In bytes. It holds for every bucket."""

    def max_bytes(self, bucket: Mapping[str, Any]) -> int:
        """The size limit of an object in the bucket."""
        return min(self.size_limit, bucket["file_size_limit"] or self.size_limit)

    def call(self, request: Request, operation: str) -> Call:
        """Identify the caller. Raises `InvalidRequest` without credentials, `AccessDenied` for bad ones."""
        given = {name: request.headers.get(name) for name in ("apikey", "authorization")}
        try:
            caller = self.embedded.tokens.identify(**given, key_required=False)
        except InvalidToken as error:
            if error.code == "no_api_key":
                raise invalid_request("headers must have required property 'authorization'") from error
            raise StorageError("AccessDenied", error.message) from error
        owner_id = caller.user_id if isinstance(caller.user_id, str) else None
        upserts = request.headers.get("x-upsert") == "true"
        return Call(self, request, operation, caller, owner_id, upserts)


@dataclass(frozen=True)
class Call:
    """A request to one route."""

    storage: Storage
    request: Request
    operation: str
    """`storage.object.upload` and its like; policies read it with `storage.operation()`."""
    caller: Caller = SERVICE
    owner_id: str | None = None
    """The owner of new objects: the caller's subject, or the one that a signed upload names."""
    upserts: bool = False
    """Whether an object that exists may be overwritten."""

    @property
    def bucket_id(self) -> str:
        """Of the path. Raises `InvalidBucketName`."""
        return check_bucket_name(self.request.path_params["bucket"])

    @property
    def key(self) -> str:
        """Of the path. Raises `InvalidKey`."""
        return check_key(self.request.path_params["key"])

    @property
    def declared_length(self) -> int | None:
        """`Content-Length`, where it is one."""
        length = self.request.headers.get("content-length", "")
        return int(length) if length.isascii() and length.isdigit() and len(length) < 19 else None

    async def read_body(self, kind: type[_Body]) -> _Body:
        """Read and check the body; without one it is an empty object. Raises `InvalidRequest`."""
        too_large = StorageError("EntityTooLarge", "The body exceeded the maximum allowed size")
        raw = await payload.read_body(self.request, MAX_JSON_BYTES, too_large)
        try:
            return validate(kind, payload.parse_storable(raw.strip() or b"{}"))
        except ValueError as error:
            raise invalid_request(f"Body is not valid JSON: {error}") from error

    async def rows(
        self, query: str, *, service: bool = False, rollback: bool = False, **values: Any
    ) -> list[DictRow]:
        """Execute a statement of `queries.sql` in a transaction of its own. Raises `StorageError`.

        It runs as the caller, or with `service` as the service role without a subject. `rollback` makes it a
        probe: triggers and policies run, and nothing stays.
        """
        headers = {name.lower(): value for name, value in self.request.headers.items()}
        raw_path: bytes = self.request.scope.get("raw_path", b"")
        settings = {
            "request.jwt": "" if service else headers.get("authorization", "").partition(" ")[2],
            "request.headers": json.dumps(headers),
            "request.method": self.request.method,
            # The gateway of a hosted project removes its prefix too.
            "request.path": raw_path.decode("latin-1").removeprefix(self.request.scope["root_path"]),
            "storage.operation": self.operation,
            "storage.allow_delete_query": "true",
            "statement_timeout": "30s",
            "lock_timeout": "5s",
        }
        try:
            async with (
                self.storage.embedded.storage_admin.connection() as connection,
                connection.transaction(force_rollback=rollback),
            ):
                await assume_caller(connection, SERVICE if service else self.caller, settings)
                return await QUERIES.fetch(connection, query, **values)
        except psycopg.Error as error:
            raise from_database(error, taken=_TAKEN.get(query, "Resource")) from error
        except UnicodeEncodeError as error:
            raise StorageError("InvalidParameter") from error

    async def row(self, query: str, *, absent: str, **values: Any) -> DictRow:
        """The first of `rows`. Raises `absent`, the code of a `StorageError`."""
        for row in await self.rows(query, **values):
            return row
        raise StorageError(absent)

    async def bucket(self, bucket: str | None = None) -> DictRow:
        """The row of that bucket, or of the bucket in the path. Needs no rights: its limits hold for all."""
        named = check_bucket_name(bucket) if bucket is not None else self.bucket_id
        return await self.row("find_bucket", absent="NoSuchBucket", service=True, bucket=named)

    async def object(self, bucket: str, name: str) -> DictRow:
        """The object, if the caller sees it. Raises `NoSuchKey`."""
        return await self.row("find_object", absent="NoSuchKey", bucket=bucket, name=name)

    def object_values(
        self, bucket: str, name: str, version: str, metadata: Any, user_metadata: Any
    ) -> dict[str, Any]:
        """The parameters of `insert_object` and `upsert_object`."""
        return {
            "bucket": bucket,
            "name": name,
            "version": version,
            "metadata": Jsonb(metadata),
            "user_metadata": None if user_metadata is None else Jsonb(user_metadata),
            **self.owner_values(),
        }

    def owner_values(self) -> dict[str, str | UUID | None]:
        """The older column `owner` holds a uuid. A subject that is no uuid goes to `owner_id` only."""
        try:
            return {"owner": UUID(self.owner_id or ""), "owner_id": self.owner_id}
        except ValueError:
            return {"owner": None, "owner_id": self.owner_id}


Result = Response | dict[str, Any] | list[Any]
Handler = Callable[[Call], Awaitable[Result]]


def validate(kind: type[_Body], values: Any) -> _Body:
    """Raises `InvalidRequest`."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = "/".join(["body", *map(str, first["loc"])])
        raise invalid_request(f"{where}: {first['msg']}") from error
