"""Realtime: its routes, the websocket, broadcasts over HTTP, and what they share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException, WebSocketException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from embedded_supabase import payload
from embedded_supabase.embedded import EmbeddedSupabase
from embedded_supabase.realtime.authorization import read_permissions
from embedded_supabase.realtime.connection import Connection, policy_headers
from embedded_supabase.realtime.serializer import SERIALIZERS, UserBroadcast
from embedded_supabase.realtime.service import Service, open_service
from embedded_supabase.tokens import Caller, InvalidToken

# A topic may hold slashes, escaped or not.
TOO_LARGE = "Payload size exceeded"
_ONE = "/api/broadcast/{topic:path}/events/{event:path}"

log = structlog.get_logger("embedded_supabase.realtime")


class Outgoing(BaseModel):
    """One message. Other fields, such as `persist`, are refused."""

    model_config = ConfigDict(strict=True, extra="forbid")
    topic: str
    event: str
    payload: Any
    private: bool = False


class Broadcasts(BaseModel):
    messages: Annotated[list[Outgoing], Field(min_length=1)]


@dataclass(frozen=True)
class Api:
    """The routes of one service."""

    service: Service

    async def websocket(self, websocket: WebSocket) -> None:
        """Refuse a wrong key or version at the handshake; then serve frames until the client goes."""
        key = websocket.headers.get("x-api-key") or websocket.query_params.get("apikey") or ""
        serializer = SERIALIZERS.get(websocket.query_params.get("vsn", "1.0.0"))
        try:
            self.service.embedded.tokens.identify(apikey=key, authorization=None)
        except InvalidToken as error:
            log.info("realtime.refused", reason=error.message)
            raise WebSocketException(1008, error.message) from error
        if serializer is None:
            raise WebSocketException(1008, "unsupported vsn")
        await websocket.accept()
        await Connection(websocket, serializer, self.service, key).serve()

    async def broadcast_many(self, request: Request) -> Response:
        """`{messages: [{topic, event, payload, private}]}`. Skips those that the caller may not write."""
        caller, limits = self._identify(request), self.service.limits
        body = await payload.read_body(request, limits.frame_bytes, HTTPException(422, TOO_LARGE))
        given = _parse_json(body, status=400)
        try:
            messages = Broadcasts.model_validate(given).messages
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in error.errors()]
            raise HTTPException(422, "; ".join(problems)) from error
        if any(len(json.dumps(it.payload)) > limits.payload_bytes for it in messages):
            raise HTTPException(422, TOO_LARGE)
        for it in messages:
            if not it.private or await self._may_write(request, caller, it.topic):
                sent = {"type": "broadcast", "event": it.event, "payload": it.payload}
                self.service.hub.broadcast((it.topic, it.private), sent)
        return Response(status_code=202)

    async def broadcast_one(self, request: Request) -> Response:
        """The body is the payload: JSON, or bytes as `application/octet-stream`."""
        topic, event = request.path_params["topic"], request.path_params["event"]
        private = request.query_params.get("private", "false")
        caller, content_type = self._identify(request), request.headers.get("content-type", "")
        if "persist" in request.query_params or "persist[ttl]" in request.query_params:
            raise HTTPException(422, "persist is not supported")
        if private not in ("true", "false"):
            raise HTTPException(422, "private must be true or false")
        body = await payload.read_body(
            request, self.service.limits.payload_bytes, HTTPException(422, TOO_LARGE)
        )
        is_json = content_type.startswith("application/json")
        if is_json:
            _parse_json(body, status=422)
        elif not content_type.startswith("application/octet-stream"):
            raise HTTPException(422, "content type must be application/json or application/octet-stream")
        if private == "true" and not await self._may_write(request, caller, topic):
            raise HTTPException(401, "Unauthorized")
        self.service.hub.broadcast((topic, private == "true"), UserBroadcast(event, body, is_json))
        return Response(status_code=202)

    def _identify(self, request: Request) -> Caller:
        key, bearer = request.headers.get("apikey"), request.headers.get("authorization")
        try:
            return self.service.embedded.tokens.identify(apikey=key, authorization=bearer)
        except InvalidToken as error:
            raise HTTPException(401, "Unauthorized") from error

    async def _may_write(self, request: Request, caller: Caller, topic: str) -> bool:
        admin, headers = self.service.embedded.admin, policy_headers(request)
        return "broadcast" in (await read_permissions(admin, caller, topic, headers)).write


async def run(embedded: EmbeddedSupabase) -> None:
    await open_service(embedded).feed.run()


def build(embedded: EmbeddedSupabase) -> Starlette:
    """The routes, relative to /realtime/v1."""
    api = Api(open_service(embedded))
    return Starlette(
        routes=[
            WebSocketRoute("/websocket", api.websocket),
            Route("/api/broadcast", api.broadcast_many, methods=["POST"]),
            Route(_ONE, api.broadcast_one, methods=["POST"]),
        ],
        exception_handlers={HTTPException: _respond_refused},
    )


async def _respond_refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"message": error.detail}, error.status_code)


def _parse_json(body: bytes, *, status: int) -> Any:
    try:
        return payload.parse(body)
    except ValueError as error:
        raise HTTPException(status, str(error)) from error
