"""The Data API: `/{table}`, `/rpc/{function}` and the OpenAPI document at the root."""

from __future__ import annotations

import json
import time
from weakref import WeakValueDictionary

import psycopg
import structlog
from psycopg.sql import SQL, Identifier
from psycopg_pool import PoolTimeout
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from soundscape.local.rest import openapi, schema_cache
from soundscape.local.rest.answers import Answer
from soundscape.local.rest.dispatch import plan_request
from soundscape.local.rest.errors import RestError, UnknownName, from_postgres
from soundscape.local.rest.parameters import split_query_string
from soundscape.local.rest.preferences import negotiate, parse_prefer
from soundscape.local.rest.request import Request
from soundscape.local.rest.schema_cache import SchemaCache
from soundscape.local.rest.session import Session
from soundscape.local.stack import Stack
from soundscape.local.tokens import Caller, InvalidToken

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 64 * 1024 * 1024
RELOAD_PAUSE_S = 0.5
METHODS = ["GET", "HEAD", "POST", "PATCH", "DELETE", "PUT"]


class DataApi:
    """One project's Data API and the schema cache it answers from."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        exposed = stack.config.get("api.schemas", ["public"])
        self.schemas: list[str] = [schema for schema in exposed if schema != "graphql_public"] or ["public"]
        self.extra: list[str] = stack.config.get("api.extra_search_path", ["public", "extensions"])
        self.max_rows: int | None = stack.config.get("api.max_rows", 1000)
        # Quoted once: Postgres reads this setting as a list of identifiers.
        self._search_paths = {
            schema: SQL(", ").join(map(Identifier, (schema, *self.extra))).as_string()
            for schema in self.schemas
        }
        self.version = 0
        self._cache: SchemaCache | None = None
        self._loaded_at = 0.0

    async def reload(self) -> SchemaCache:
        async with self.stack.authenticator.connection() as connection:
            cache = await schema_cache.load(connection, self.schemas, self.extra)
        self._loaded_at = time.monotonic()
        if cache != self._cache:
            self._cache = cache
            self.version += 1
            log.debug("schema cache loaded", tables=len(cache.tables), version=self.version)
        return cache

    async def answer(self, http: HttpRequest) -> Response:
        caller = None
        try:
            caller = self._caller(http)
            body = await _body(http)
            cache = self._cache or await self.reload()
            try:
                answer = await self._answer(http, caller, body, cache)
            except UnknownName:
                # The name may be newer than the cache: the notification of a change can lag behind it.
                if time.monotonic() - self._loaded_at < RELOAD_PAUSE_S:
                    raise
                answer = await self._answer(http, caller, body, await self.reload())
        except RestError as error:
            return _refusal(http, error)
        except PoolTimeout:
            message = "Timed out acquiring connection from connection pool."
            return _refusal(http, RestError(504, "PGRST003", message))
        except psycopg.Error as error:
            return _refusal(http, from_postgres(error, anonymous=caller is None or caller.role == "anon"))
        return Response(answer.body, answer.status, answer.headers)

    async def _answer(self, http: HttpRequest, caller: Caller, body: bytes, cache: SchemaCache) -> Answer:
        path = http.path_params.get("path", "")
        schema, negotiated = self._schema(http)
        if not path:
            return await self._describe(http, self._session(http, caller, cache, schema), cache, schema)
        first, _, name = path.partition("/")
        is_call = first == "rpc" and bool(name)
        if "/" in name or (name and not is_call):
            raise RestError(404, "PGRST125", "Invalid path specified in request URL")
        headers = http.headers
        query_string: bytes = http.scope["query_string"]
        request = Request(
            method=http.method,
            name=name if is_call else first,
            schema=schema,
            query_string=query_string,
            pairs=split_query_string(query_string),
            preferences=parse_prefer(
                ",".join(headers.getlist("prefer")), rollback_allowed=cache.rollback_allowed
            ),
            media=negotiate(headers.get("accept", "")),
            body=body,
            content_type=headers.get("content-type", ""),
            range=headers.get("range", ""),
        )
        work = plan_request(request, cache, self.version, self.max_rows, call=is_call)
        session = self._session(
            http, caller, cache, schema, read_only=work.read_only, timezone=request.preferences.timezone
        )
        async with session.begin(self.stack.authenticator) as connection:
            answer = await work.run(connection)
        if negotiated:
            answer.headers["Content-Profile"] = schema
        return answer

    async def _describe(self, http: HttpRequest, session: Session, cache: SchemaCache, schema: str) -> Answer:
        if http.method not in ("GET", "HEAD"):
            raise RestError(405, "PGRST117", f"Unsupported HTTP method: {http.method}")
        async with session.begin(self.stack.authenticator) as connection:
            reachable = set(
                await (await connection.execute(openapi.REACHABLE, {"schema": schema})).fetchall()
            )
        described = openapi.document(cache, schema, f"{self.stack.url}/rest/v1/", reachable)
        body = b"" if http.method == "HEAD" else json.dumps(described).encode()
        return Answer(200, body, {"Content-Type": "application/openapi+json; charset=utf-8"})

    def _session(
        self,
        http: HttpRequest,
        caller: Caller,
        cache: SchemaCache,
        schema: str,
        *,
        read_only: bool = True,
        timezone: str | None = None,
    ) -> Session:
        return Session(
            caller,
            method=http.method,
            path=f"/{http.path_params.get('path', '')}",
            headers={key: value for key, value in http.headers.items() if key != "cookie"},
            cookies=http.cookies,
            search_path=self._search_paths[schema],
            read_only=read_only,
            statement_timeout=cache.statement_timeout(caller.role),
            timezone=timezone,
        )

    def _schema(self, http: HttpRequest) -> tuple[str, bool]:
        header = "accept-profile" if http.method in ("GET", "HEAD") else "content-profile"
        wanted = http.headers.get(header)
        if wanted is None:
            return self.schemas[0], False
        if wanted not in self.schemas:
            raise RestError(
                406,
                "PGRST106",
                f"Invalid schema: {wanted}",
                hint=f"Only the following schemas are exposed: {', '.join(self.schemas)}",
            )
        return wanted, len(self.schemas) > 1

    def _caller(self, http: HttpRequest) -> Caller:
        headers = http.headers
        try:
            return self.stack.tokens.caller(
                apikey=headers.get("apikey"), authorization=headers.get("authorization")
            )
        except InvalidToken as error:
            if error.code in ("no_api_key", "invalid_api_key"):
                hint = "No `apikey` request header or url param was found."
                if error.code == "invalid_api_key":
                    hint = "Double check your Supabase `anon` or `service_role` API key."
                raise RestError(401, "PGRST302", error.message, hint=hint) from error
            expired = error.code == "expired"
            message = "JWT expired" if expired else error.message
            challenge = (
                f'Bearer error="invalid_token", error_description="{message.replace(chr(34), chr(39))}"'
            )
            code = "PGRST303" if expired else "PGRST301"
            raise RestError(401, code, message, headers={"WWW-Authenticate": challenge}) from error


_apis: WeakValueDictionary[int, DataApi] = WeakValueDictionary()


def _api(stack: Stack) -> DataApi:
    """The app and its listener share one cache; the app keeps it alive."""
    api = _apis.get(id(stack))
    if api is None:
        api = _apis[id(stack)] = DataApi(stack)
    return api


def build(stack: Stack) -> Starlette:
    """The ASGI app, relative to `/rest/v1`."""
    api = _api(stack)
    return Starlette(routes=[Route("/{path:path}", api.answer, methods=METHODS)])


async def run(stack: Stack) -> None:
    """Reload the schema cache on `notify pgrst`, for as long as the project runs."""
    api = _api(stack)
    async with await psycopg.AsyncConnection.connect(
        stack.postgres.dsn("authenticator"), autocommit=True
    ) as connection:
        await connection.execute("listen pgrst")
        await api.reload()
        async for notice in connection.notifies():
            if notice.payload in ("", "reload schema", "reload config"):
                await api.reload()


async def _body(http: HttpRequest) -> bytes:
    parts, size = [], 0
    async for part in http.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise RestError(413, "PGRST102", f"The body is larger than {MAX_BODY_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def _refusal(http: HttpRequest, error: RestError) -> Response:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if error.code.isascii() and error.code.isalnum():  # a function may call its error anything
        headers["Proxy-Status"] = f"PostgREST; error={error.code}"
    body = b"" if http.method == "HEAD" else error.body()
    return Response(body, error.status, headers | error.headers)
