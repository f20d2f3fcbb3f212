"""The REST service: `/{table}`, `/rpc/{function}` and the OpenAPI document at the root."""

from __future__ import annotations

import json
import time
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import structlog
from psycopg.sql import SQL, Identifier
from psycopg_pool import PoolTimeout
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from embedded_supabase import payload
from embedded_supabase.database import Connection, assume_caller
from embedded_supabase.embedded import EmbeddedSupabase
from embedded_supabase.rest import schema_cache
from embedded_supabase.rest.errors import UNKNOWN_NAMES, RestError, from_postgres, refusal
from embedded_supabase.rest.plan import plan_request
from embedded_supabase.rest.request import Request, negotiate, parse_prefer, split_query_string
from embedded_supabase.rest.response import respond
from embedded_supabase.rest.schema_cache import SchemaCache
from embedded_supabase.tokens import Caller, InvalidToken

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 64 * 1024 * 1024
RELOAD_PAUSE_S = 0.5
METHODS = ["GET", "HEAD", "POST", "PATCH", "DELETE", "PUT"]
KEY_HINTS = {
    "no_api_key": "No `apikey` request header was found.",
    "invalid_api_key": "Double check your Supabase `anon` or `service_role` API key.",
}
OPENAPI = Path(__file__).with_name("openapi.sql").read_text()


class DataApi:
    """The REST API of an embedded Supabase, with its schema cache."""

    def __init__(self, embedded: EmbeddedSupabase) -> None:
        self.embedded = embedded
        exposed = embedded.config.get("api.schemas", ["public"])
        self.schemas: list[str] = [schema for schema in exposed if schema != "graphql_public"] or ["public"]
        self.extra: list[str] = embedded.config.get("api.extra_search_path", ["public", "extensions"])
        self.max_rows: int | None = embedded.config.get("api.max_rows", 1000)
        # Quoted: Postgres reads this setting as a list of identifiers.
        self._search_paths = {
            schema: SQL(", ").join(map(Identifier, (schema, *self.extra))).as_string()
            for schema in self.schemas
        }
        self._version = 0
        self._cache: SchemaCache | None = None
        self._loaded_at = 0.0

    async def reload(self) -> SchemaCache:
        async with self.embedded.authenticator.connection() as connection:
            found = await schema_cache.load(connection, self.schemas, self.extra)
        self._loaded_at = time.monotonic()
        if found != self._cache:
            self._cache = found
            self._version += 1
            log.debug("schema cache loaded", tables=len(found.tables), version=self._version)
        return found

    async def respond(self, http: HttpRequest) -> Response:
        caller = None
        try:
            caller = _identify(self.embedded, http)
            too_large = RestError(413, "PGRST102", f"The body is larger than {MAX_BODY_BYTES} bytes")
            body = await payload.read_body(http, MAX_BODY_BYTES, too_large)
            try:
                return await self._respond(http, caller, body, self._cache or await self.reload())
            except RestError as error:
                # The name may be newer than the cache: a notification can arrive late.
                if error.code not in UNKNOWN_NAMES or time.monotonic() - self._loaded_at < RELOAD_PAUSE_S:
                    raise
                return await self._respond(http, caller, body, await self.reload())
        except RestError as error:
            return _refusal_response(error)
        except PoolTimeout:
            return _refusal_response(refusal("PGRST003"))
        except psycopg.Error as error:
            return _refusal_response(from_postgres(error, anonymous=caller is None or caller.role == "anon"))

    async def _respond(self, http: HttpRequest, caller: Caller, body: bytes, cache: SchemaCache) -> Response:
        header = "accept-profile" if http.method in ("GET", "HEAD") else "content-profile"
        schema = http.headers.get(header, self.schemas[0])
        if schema not in self.schemas:
            hint = f"Only the following schemas are exposed: {', '.join(self.schemas)}"
            raise refusal("PGRST106", schema, hint=hint)
        path: str = http.path_params["path"]
        is_call, name = path.startswith("rpc/"), path.removeprefix("rpc/")
        if "/" in name:
            raise refusal("PGRST125")
        if "range" in http.headers:
            raise refusal("PGRST127", details="Range headers are not read here: use limit and offset.")
        request = Request(
            method=http.method,
            schema=schema,
            name=name,
            is_call=is_call,
            pairs=split_query_string(http.scope["query_string"]),
            preferences=parse_prefer(",".join(http.headers.getlist("prefer"))),
            media=negotiate(http.headers.get("accept", "")),
            body=body,
            content_type=http.headers.get("content-type", ""),
        )
        plan = plan_request(request, cache, self._version, self.max_rows) if path else None
        if plan is None and not request.is_read:
            raise refusal("PGRST117", http.method)
        settings = {
            "search_path": self._search_paths[schema],
            "transaction_read_only": "on" if plan is None or plan.read_only else "off",
            "request.method": http.method,
            "request.path": f"/{path}",
            "request.headers": json.dumps({k: v for k, v in http.headers.items() if k != "cookie"}),
            "request.cookies": json.dumps(http.cookies),
        }
        if caller.role in cache.timeouts:
            settings["statement_timeout"] = cache.timeouts[caller.role]
        async with self.embedded.authenticator.connection() as connection:
            await assume_caller(connection, caller, settings)
            if cache.pre_request is not None:
                function = Identifier(*cache.pre_request.split("."))
                await connection.execute(SQL("select {}()").format(function))
            response = await (
                self._describe(connection, schema) if plan is None else respond(connection, plan)
            )
        if len(self.schemas) > 1:
            response.headers["Content-Profile"] = schema
        return response

    async def _describe(self, connection: Connection, schema: str) -> Response:
        asked = {"schema": schema, "host": urlsplit(self.embedded.url).netloc}
        document = await (await connection.execute(OPENAPI, asked)).fetchone()
        assert document is not None
        return Response(document[0], headers={"Content-Type": "application/openapi+json; charset=utf-8"})


@cache
def _open_api(embedded: EmbeddedSupabase) -> DataApi:
    """The app and its listener share one."""
    return DataApi(embedded)


def build(embedded: EmbeddedSupabase) -> Starlette:
    """The ASGI app, relative to `/rest/v1`."""
    return Starlette(routes=[Route("/{path:path}", _open_api(embedded).respond, methods=METHODS)])


async def run(embedded: EmbeddedSupabase) -> None:
    """Reload the schema cache on `notify pgrst`, until cancelled."""
    api, dsn = _open_api(embedded), embedded.postgres.dsn("authenticator")
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute("listen pgrst")
        await api.reload()
        async for notice in connection.notifies():
            if notice.payload in ("", "reload schema", "reload config"):
                await api.reload()


def _identify(embedded: EmbeddedSupabase, http: HttpRequest) -> Caller:
    key, bearer = http.headers.get("apikey"), http.headers.get("authorization")
    try:
        return embedded.tokens.identify(apikey=key, authorization=bearer)
    except InvalidToken as error:
        if error.code in KEY_HINTS:
            raise refusal("PGRST302", error.message, hint=KEY_HINTS[error.code]) from error
        refused = refusal("PGRST303" if error.code == "expired" else "PGRST301", error.message)
        description = refused.message.replace('"', "'")
        refused.headers["WWW-Authenticate"] = (
            f'Bearer error="invalid_token", error_description="{description}"'
        )
        raise refused from error


def _refusal_response(error: RestError) -> Response:
    headers = {"Content-Type": "application/json; charset=utf-8"} | error.headers
    if error.code.isascii() and error.code.isalnum():  # a function can raise any code
        headers["Proxy-Status"] = f"PostgREST; error={error.code}"
    return Response(error.body(), error.status, headers)
