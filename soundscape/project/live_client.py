"""A client of live listening (docs/live.md): sends sound as fast as it sounds, and yields the answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from soundscape.errors import ProjectError, ProjectUnreachable
from soundscape.project.account import Account


class LiveRefused(ProjectError):
    """The worker ended the session, and not because it was asked to."""

    code = "live_refused"


async def listen(
    account: Account,
    worker_url: str,
    frames: AsyncIterator[bytes],
    *,
    start: dict[str, Any],
    frame_s: float,
    in_real_time: bool = True,
) -> AsyncIterator[dict[str, Any]]:
    """Send frames and yield the answers, to the last one.

    Parameters
    ----------
    account
        Whose session it is.
    worker_url
        Where the worker answers, without `/api`.
    frames
        The sound, in pieces of `frame_s` seconds.
    start
        The fields of the message `start`, without the token.
    frame_s
        Seconds of a frame.
    in_real_time
        Whether to wait until each frame would have sounded; otherwise the worker sets the pace.

    Raises
    ------
    LiveRefused
        If the worker ends the session with an error.
    ProjectUnreachable
        If there is no connection, or it breaks.
    """
    token = (await account.headers())["authorization"].removeprefix("Bearer ")
    address = f"{worker_url.replace('http', 'ws', 1)}/api/live"
    try:
        async with connect(address, compression=None) as socket:
            await socket.send(json.dumps({"type": "start", "token": token, **start}))
            sending = asyncio.create_task(_send(socket, frames, frame_s if in_real_time else 0.0))
            try:
                async for text in socket:
                    answer: dict[str, Any] = json.loads(text)
                    if answer["type"] == "error":
                        raise LiveRefused(answer["message"], code=answer["code"])
                    yield answer
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
    except (OSError, WebSocketException) as error:
        raise ProjectUnreachable(
            f"The worker at {worker_url} cannot be reached: {error}", remedy="Check SOUNDSCAPE_WORKER_URL."
        ) from error


async def _send(socket: ClientConnection, frames: AsyncIterator[bytes], frame_s: float) -> None:
    loop = asyncio.get_running_loop()
    due_at = loop.time()
    try:
        async for frame in frames:
            await socket.send(frame)
            due_at += frame_s
            await asyncio.sleep(max(0.0, due_at - loop.time()))
        await socket.send('{"type": "stop"}')
    except ConnectionClosed:
        return  # the reader learns why
