"""Routes of /realtime/v1: the websocket, and broadcasting over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from soundscape.local.realtime.authorization import permissions
from soundscape.local.realtime.connection import Connection, policy_headers
from soundscape.local.realtime.hub import BroadcastPayload
from soundscape.local.realtime.serializer import SERIALIZERS, MalformedFrame, UserBroadcast, load_json
from soundscape.local.realtime.service import Service, service
from soundscape.local.stack import Stack
from soundscape.local.tokens import Caller, InvalidToken

# A topic may hold slashes, escaped or not.
_ONE = "/api/broadcast/{topic:path}/events/{event:path}"

log = structlog.get_logger("soundscape.local.realtime")


async def run(stack: Stack) -> None:
    await service(stack).run()


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


class Refused(Exception):
    """An answer other than 202."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(status)
        self.response = JSONResponse(body, status)


@dataclass
class Endpoints:
    service: Service

    async def websocket(self, websocket: WebSocket) -> None:
        """Refuse at the handshake what can never work; then serve frames until the client goes."""
        key = websocket.headers.get("x-api-key") or websocket.query_params.get("apikey") or ""
        serializer = SERIALIZERS.get(websocket.query_params.get("vsn", "1.0.0"))
        try:
            self.service.stack.tokens.caller(apikey=key, authorization=None)
        except InvalidToken as error:
            log.info("realtime.refused", reason=error.message)
            await websocket.close(1008, error.message)
            return
        if serializer is None:
            await websocket.close(1008, "unsupported vsn")
            return
        await websocket.accept()
        await Connection(websocket, serializer, self.service, key).serve()

    async def broadcast_many(self, request: Request) -> Response:
        """`{messages: [{topic, event, payload, private}]}`; those the caller may not write are left out."""
        limits = self.service.limits
        try:
            caller = self._caller(request)
            given = load_json(await _body(request, limits.frame_bytes))
            messages = given.get("messages") if isinstance(given, dict) else None
            if not isinstance(messages, list) or not messages:
                raise Refused(422, {"errors": {"messages": ["can't be blank"]}})
            problems = [_problem(message, limits.payload_bytes) for message in messages]
            if any(problems):
                raise Refused(422, {"errors": {"messages": problems}})
        except MalformedFrame:
            return JSONResponse({"message": "Bad Request"}, 400)
        except Refused as refused:
            return refused.response
        for message in messages:
            topic, private = message["topic"], message.get("private") is True
            if not private or await self._may_write(request, caller, topic):
                payload = {"type": "broadcast", "event": message["event"], "payload": message["payload"]}
                self.service.hub.broadcast(topic, private, payload)
        return Response(status_code=202)

    async def broadcast_one(self, request: Request) -> Response:
        """The body is the payload: JSON, or bytes as `application/octet-stream`."""
        topic, event = request.path_params["topic"], request.path_params["event"]
        private = request.query_params.get("private") == "true"
        try:
            caller = self._caller(request)
            if "persist" in request.query_params or "persist[ttl]" in request.query_params:
                raise MalformedFrame("persist is not supported")
            body = await _body(request, self.service.limits.payload_bytes)
            payload = _payload(event, body, request.headers.get("content-type", ""))
        except MalformedFrame as error:
            return JSONResponse({"message": str(error)}, 422)
        except Refused as refused:
            return refused.response
        if private and not await self._may_write(request, caller, topic):
            return JSONResponse({"message": "Unauthorized"}, 401)
        self.service.hub.broadcast(topic, private, payload)
        return Response(status_code=202)

    def _caller(self, request: Request) -> Caller:
        key, bearer = request.headers.get("apikey"), request.headers.get("authorization")
        try:
            return self.service.stack.tokens.caller(apikey=key, authorization=bearer)
        except InvalidToken as error:
            raise Refused(401, {"message": "Unauthorized"}) from error

    async def _may_write(self, request: Request, caller: Caller, topic: str) -> bool:
        admin, headers = self.service.stack.admin, policy_headers(request)
        return "broadcast" in (await permissions(admin, caller, topic, headers)).write


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
    texts = {name: message.get(name) for name in ("topic", "event")}
    problems = {name: ["is invalid"] for name, text in texts.items() if not isinstance(text, str)}
    problems |= {name: ["can't be blank"] for name in (*texts, "payload") if message.get(name) is None}
    if len(str(message.get("payload"))) > most_bytes:
        problems["payload"] = ["Payload size exceeded"]
    return problems
