"""Routes of /realtime/v1: the websocket, and broadcasting over HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from soundscape.local.postgres import SUPERUSER
from soundscape.local.realtime.authorization import permissions
from soundscape.local.realtime.connection import Connection
from soundscape.local.realtime.delivery import Delivery
from soundscape.local.realtime.feed import Feed
from soundscape.local.realtime.hub import BroadcastPayload, Hub
from soundscape.local.realtime.limits import Limits
from soundscape.local.realtime.serializer import SERIALIZERS, MalformedFrame, UserBroadcast, load_json
from soundscape.local.stack import Stack
from soundscape.local.tokens import Caller, InvalidToken

CALLER_CONNECTIONS = 4
MESSAGE_RETENTION = "3 days"
SWEEP_S = 3600.0
# A topic may hold slashes, escaped or not.
_ONE = "/api/broadcast/{topic:path}/events/{event:path}"
_SWEEP = "delete from realtime.messages where inserted_at < now() - %s::interval"

log = structlog.get_logger("soundscape.local.realtime")
_services: dict[int, Service] = {}


class Service:
    """Realtime for one stack: everything that its routes and its background work share."""

    def __init__(self, stack: Stack, limits: Limits | None = None) -> None:
        self.stack = stack
        self.limits = limits or Limits()
        self.hub = Hub()
        self.callers: AsyncConnectionPool[Any] = AsyncConnectionPool(
            stack.postgres.dsn("authenticator"), min_size=1, max_size=CALLER_CONNECTIONS, open=False
        )
        self.delivery = Delivery(self.hub, stack.admin, self.callers)
        self.feed = Feed(
            dsn=stack.postgres.dsn(SUPERUSER),
            admin=stack.admin,
            listening=lambda: bool(self.hub),
            wants=self.delivery.wants,
            deliver=self.delivery.deliver,
            interrupted=self._interrupted,
        )

    def _interrupted(self) -> None:
        for channel in list(self.hub.channels()):
            if channel.bindings:
                channel.system(
                    "postgres_changes", "error", "The stream of changes was interrupted; some may be missing"
                )

    async def sweep(self) -> None:
        """Delete messages nobody will ask for again; the hosted service drops old partitions."""
        while True:
            try:
                async with self.stack.admin.connection() as connection:
                    await connection.execute(_SWEEP, [MESSAGE_RETENTION])
            except (psycopg.Error, PoolTimeout) as error:
                log.warning("realtime.sweep_failed", error=str(error).strip())
            await asyncio.sleep(SWEEP_S)


def service(stack: Stack) -> Service:
    """The one service of a stack, made when first asked for."""
    if id(stack) not in _services:
        _services[id(stack)] = Service(stack)
    return _services[id(stack)]


async def run(stack: Stack) -> None:
    """The background work, until cancelled. May be started again if it fails."""
    serving = service(stack)
    await serving.callers.open()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serving.feed.run())
            tasks.create_task(serving.sweep())
    except asyncio.CancelledError:
        _services.pop(id(stack), None)
        await serving.callers.close()
        raise


def build(stack: Stack) -> Starlette:
    """The routes, relative to /realtime/v1."""
    endpoints = Endpoints(service(stack))
    return Starlette(
        routes=[
            WebSocketRoute("/websocket", endpoints.websocket),
            Route("/api/broadcast", endpoints.broadcast_many, methods=["POST"]),
            Route(_ONE, endpoints.broadcast_one, methods=["POST"]),
        ]
    )


@dataclass
class Endpoints:
    serving: Service

    async def websocket(self, websocket: WebSocket) -> None:
        """Refuse at the handshake what can never work; then serve frames until the client goes."""
        stack = self.serving.stack
        key = websocket.headers.get("x-api-key") or websocket.query_params.get("apikey") or ""
        serializer = SERIALIZERS.get(websocket.query_params.get("vsn", "1.0.0"))
        try:
            stack.tokens.caller(apikey=key, authorization=None)
        except InvalidToken as error:
            log.info("realtime.refused", reason=error.message)
            await websocket.close(1008, error.message)
            return
        if serializer is None:
            await websocket.close(1008, "unsupported vsn")
            return
        await websocket.accept()
        connection = Connection(
            websocket,
            serializer,
            key=key,
            headers={name: value for name, value in websocket.headers.items() if name.startswith("x-")},
            stack=stack,
            hub=self.serving.hub,
            feed=self.serving.feed,
            callers=self.serving.callers,
            limits=self.serving.limits,
        )
        await connection.serve()

    async def broadcast_many(self, request: Request) -> Response:
        """`{messages: [{topic, event, payload, private}]}`; those the caller may not write are left out."""
        caller = self._caller(request)
        if caller is None:
            return _error(401, "Unauthorized")
        try:
            given = load_json(await _body(request, self.serving.limits.frame_bytes))
        except MalformedFrame:
            return _error(400, "Bad Request")
        messages = given.get("messages") if isinstance(given, dict) else None
        if not isinstance(messages, list) or not messages:
            return JSONResponse({"errors": {"messages": ["can't be blank"]}}, 422)
        problems = [_problem(message, self.serving.limits.payload_bytes) for message in messages]
        if any(problems):
            return JSONResponse({"errors": {"messages": problems}}, 422)
        allowed: dict[str, bool] = {}
        for message in messages:
            topic, private = message["topic"], message.get("private") is True
            if private and topic not in allowed:
                found = await permissions(self.serving.stack.admin, caller, topic, _headers(request))
                allowed[topic] = "broadcast" in found.write
            if not private or allowed[topic]:
                payload = {"type": "broadcast", "event": message["event"], "payload": message["payload"]}
                self.serving.hub.broadcast(topic, private, payload)
        return Response(status_code=202)

    async def broadcast_one(self, request: Request) -> Response:
        """The body is the payload: JSON, or bytes as `application/octet-stream`."""
        caller = self._caller(request)
        if caller is None:
            return _error(401, "Unauthorized")
        if "persist" in request.query_params or "persist[ttl]" in request.query_params:
            return _error(422, "persist is not supported")
        topic, event = request.path_params["topic"], request.path_params["event"]
        try:
            body = await _body(request, self.serving.limits.payload_bytes)
            payload = _payload(event, body, request.headers.get("content-type", ""))
        except MalformedFrame as error:
            return _error(422, str(error))
        private = request.query_params.get("private") == "true"
        if private:
            found = await permissions(self.serving.stack.admin, caller, topic, _headers(request))
            if "broadcast" not in found.write:
                return _error(401, "Unauthorized")
        self.serving.hub.broadcast(topic, private, payload)
        return Response(status_code=202)

    def _caller(self, request: Request) -> Caller | None:
        try:
            return self.serving.stack.tokens.caller(
                apikey=request.headers.get("apikey"), authorization=request.headers.get("authorization")
            )
        except InvalidToken:
            return None


def _payload(event: str, body: bytes, content_type: str) -> BroadcastPayload:
    if content_type.startswith("application/octet-stream"):
        return UserBroadcast(event, body, is_json=False)
    if not content_type.startswith("application/json"):
        raise MalformedFrame("content type must be application/json or application/octet-stream")
    load_json(body)
    return UserBroadcast(event, body, is_json=True)


async def _body(request: Request, most_bytes: int) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > most_bytes:
            raise MalformedFrame("Payload size exceeded")
    return body


def _problem(message: Any, most_bytes: int) -> dict[str, list[str]]:
    if not isinstance(message, dict):
        return {"message": ["is invalid"]}
    blank = {name: ["can't be blank"] for name in ("topic", "event", "payload") if message.get(name) is None}
    wrong = {
        name: ["is invalid"] for name in ("topic", "event") if not isinstance(message.get(name), str | None)
    }
    large = {"payload": ["Payload size exceeded"]} if len(str(message.get("payload"))) > most_bytes else {}
    return blank | wrong | large


def _headers(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name.startswith("x-")}


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"message": message}, status)
