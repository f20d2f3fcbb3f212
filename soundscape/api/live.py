"""`WS /api/live`: the socket of live listening. docs/live.md has the protocol.

One task reads and one writes. The reader stops while two seconds of sound wait. TCP then holds the client
back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, assert_never

import orjson
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from soundscape.api.access import Access
from soundscape.api.errors import make_error_response
from soundscape.api.identify import Identifier
from soundscape.api.rates import TooManyRequests
from soundscape.api.tokens import Caller, NotSignedIn
from soundscape.api.visitor import VisitorRights
from soundscape.errors import ProjectError, RequestRefused
from soundscape.live import endings
from soundscape.live.endings import Ending, SessionEnded
from soundscape.live.owner import Owner
from soundscape.live.requests import Flush, KeepAlive, Resume, Stop, Token, parse_first, parse_later
from soundscape.live.session import IDLE_S, Session
from soundscape.live.sessions import MAX_MESSAGES_PER_S, Sessions

if TYPE_CHECKING:
    from soundscape.audio.fingerprint import Fingerprint

log = structlog.get_logger(__name__)

SEND_TIMEOUT_S = 20.0
"""A client that reads nothing for so long is not waited for."""
MATCH_WINDOW_S = 10.0
"""As `soundscape.audio.streaming.readings` keeps it; that module is only imported with the meters."""
BURST_S = 4.0
"""Messages may come in bursts, as after a pause of the network."""


class LiveSocket:
    """Serves one connection after the other, each in its own task."""

    def __init__(
        self,
        sessions: Sessions,
        access: Access,
        rights: VisitorRights,
        identifier: Identifier,
        is_offered: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._is_offered = is_offered
        self._identifier = identifier
        self._sessions = sessions
        self._access = access
        self._rights = rights

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one connection to its end."""
        try:
            self._access.rates.count_address(_get_address(websocket))
        except TooManyRequests as refused:
            # Before the handshake, as every other route does.
            await websocket.send_denial_response(make_error_response(refused))
            return
        await websocket.accept()
        try:
            session, answers = await self._begin(websocket)
        except SessionEnded as ended:
            await _say_and_close(websocket, ended.ending)
            return
        except WebSocketDisconnect:
            return
        await self._serve(websocket, session, answers)

    async def _begin(self, websocket: WebSocket) -> tuple[Session, list[dict[str, Any]]]:
        try:
            async with asyncio.timeout(IDLE_S):
                message = await websocket.receive()
        except TimeoutError:
            raise SessionEnded(endings.IDLE.saying(f"No start within {IDLE_S:g} s.")) from None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect
        if message.get("text") is None:
            raise SessionEnded(
                endings.BAD_MESSAGE.saying("The first message is start or resume, as JSON text.")
            )
        request = parse_first(message["text"])
        caller = await self._admit(request.token)
        owner = _make_owner(caller)
        if isinstance(request, Resume):
            session = self._sessions.find(owner, request.session_id)
            await session.renew(owner)
            return session, [
                {"type": "resumed", "session_id": session.id, "received_bytes": session.received_bytes}
            ]
        return await self._sessions.open(owner, request, match=self._match)

    async def _match(self, owner: Owner, fingerprint: Fingerprint) -> list[dict[str, Any]]:
        found = await self._identifier.find_recordings(
            fingerprint, MATCH_WINDOW_S, user_id=owner.user_id, token=owner.token, any_speed=False
        )
        return [
            match.model_dump(include={"audio_id", "title", "offset_s", "probability"})
            for match in found.matches
        ]

    async def _admit(self, token: str) -> Caller:
        """Verify a token as the other routes do. Raises `SessionEnded`."""
        try:
            caller = await self._access.admit_token(token)
            await self._rights.require_session(caller)
            is_offered = await self._is_offered(caller.user_id)
        except NotSignedIn as refused:
            raise SessionEnded(endings.NOT_AUTHORISED.saying(refused.message)) from refused
        except TooManyRequests as refused:
            raise SessionEnded(endings.TOO_MANY_YOURS.saying(str(refused))) from refused
        except (RequestRefused, ProjectError) as refused:
            log.warning("a live session could not be admitted", error=str(refused))
            raise SessionEnded(
                endings.FAILED.saying("The project did not answer as it should. Try again.")
            ) from refused
        if not is_offered:
            raise SessionEnded(endings.NOT_OFFERED)
        return caller

    async def _serve(self, websocket: WebSocket, session: Session, answers: list[dict[str, Any]]) -> None:
        replaced = session.presence.attach()
        reading = asyncio.create_task(self._read(websocket, session, replaced))
        writing = asyncio.create_task(_write(websocket, session, answers))
        try:
            await asyncio.wait({reading, writing, replaced}, return_when=asyncio.FIRST_COMPLETED)
            if replaced.done():
                await _stop(reading, writing)
                await _say_and_close(websocket, endings.TAKEN_OVER)
                return
            if not writing.done() and not reading.cancelled() and reading.exception() is None:
                # The client said what it had to say: the last answers follow.
                await asyncio.wait({writing, replaced}, return_when=asyncio.FIRST_COMPLETED)
            if writing.done() and writing.exception() is None:
                assert session.ending is not None
                await _close(websocket, session.ending)
            elif writing.done() and isinstance(writing.exception(), TimeoutError):
                session.end(endings.NOT_READING, replaced)
                await _stop(reading)
                # It arrives if the client reads again before the connection is cut.
                await _close(websocket, endings.NOT_READING)
        finally:
            await _stop(reading, writing)
            session.presence.detach(replaced)
            for task in (reading, writing):
                _log_unexpected(task)

    async def _read(self, websocket: WebSocket, session: Session, connection: asyncio.Future[None]) -> None:
        """Read until the client stops, or breaks a rule. Raises `WebSocketDisconnect`."""
        loop = asyncio.get_running_loop()
        budget, counted_at = MAX_MESSAGES_PER_S * BURST_S, loop.time()
        try:
            while session.ending is None and session.presence.belongs_to(connection):
                message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    raise WebSocketDisconnect(message.get("code", 1005))
                now = loop.time()
                budget = (
                    min(budget + (now - counted_at) * MAX_MESSAGES_PER_S, MAX_MESSAGES_PER_S * BURST_S) - 1
                )
                counted_at = now
                if budget < 0:
                    raise SessionEnded(endings.TOO_MANY_MESSAGES)
                data = message.get("bytes")
                if data is None:
                    await self._handle(message["text"], session, connection, _get_address(websocket))
                elif len(data) > session.max_frame_bytes:
                    most = session.max_frame_bytes
                    raise SessionEnded(
                        endings.TOO_LARGE.saying(f"A binary message has at most {most:,} bytes here.")
                    )
                else:
                    await session.feed(data, connection)
        except SessionEnded as ended:
            session.end(ended.ending, connection)

    async def _handle(
        self, text: str, session: Session, connection: asyncio.Future[None], address: str | None
    ) -> None:
        request = parse_later(text)
        if not session.presence.belongs_to(connection):
            return
        session.presence.note()
        match request:
            case Token():
                await self._renew(request.token, session, connection, address)
            case Flush():
                session.flush(connection)
            case Stop():
                session.end(endings.STOPPED, connection)
            case KeepAlive():
                pass
            case _:
                assert_never(request)

    async def _renew(
        self, token: str, session: Session, connection: asyncio.Future[None], address: str | None
    ) -> None:
        """Take a newer token. If it cannot be verified now, the session goes on with the one that it has."""
        try:
            self._access.rates.count_address(address)
            owner = _make_owner(await self._admit(token))
        except TooManyRequests as refused:
            session.outbox.put(_warn_of_token(str(refused)))
            return
        except SessionEnded as ended:
            if ended.ending.name not in (endings.TOO_MANY_YOURS.name, endings.FAILED.name):
                raise
            session.outbox.put(_warn_of_token(ended.ending.sentence))
            return
        if owner.user_id != session.owner.user_id:
            raise SessionEnded(endings.NOT_AUTHORISED.saying("The token is of another user."))
        if session.presence.belongs_to(connection):
            await session.renew(owner)


def _get_address(websocket: WebSocket) -> str | None:
    return websocket.client.host if websocket.client else None


def _warn_of_token(reason: str) -> dict[str, Any]:
    return {
        "type": "warning",
        "code": "token_not_taken",
        "message": f"{reason} The session keeps its token until that expires. Send the newer one again.",
    }


def _make_owner(caller: Caller) -> Owner:
    return Owner(caller.user_id, float(caller.claims["exp"]), caller.token)


async def _write(websocket: WebSocket, session: Session, answers: list[dict[str, Any]]) -> None:
    """Write answers until the last one. Raises `TimeoutError` if the client does not read."""
    while answers:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            for answer in answers:
                await websocket.send_text(_encode(answer))
        answers = await session.outbox.take()


def _encode(answer: dict[str, Any]) -> str:
    # The library of Python takes ten times as long for a spectrum.
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY).decode()


async def _say_and_close(websocket: WebSocket, ending: Ending) -> None:
    message = {"type": "error", "code": ending.name, "message": ending.sentence}
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await websocket.send_text(_encode(message))
    except (WebSocketDisconnect, RuntimeError, TimeoutError):
        return
    await _close(websocket, ending)


async def _close(websocket: WebSocket, ending: Ending) -> None:
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await websocket.close(ending.code, ending.reason)
    except (WebSocketDisconnect, RuntimeError, TimeoutError):
        return  # it is gone already


def _log_unexpected(task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    # RuntimeError: Starlette knows that the connection is gone.
    if error is not None and not isinstance(error, WebSocketDisconnect | TimeoutError | RuntimeError):
        log.error("a live connection failed", exc_info=error)


async def _stop(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
