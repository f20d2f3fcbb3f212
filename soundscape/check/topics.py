"""The private topics of Realtime: a library hears its own changes, and nobody joins what is another's."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from websockets.exceptions import WebSocketException

from soundscape.check.capability import CapabilityBroken
from soundscape.check.session import POLL_S, CheckSession, run_query
from soundscape.errors import ProjectError
from soundscape.project.visitor import Visitor

MESSAGE_S = 10.0
OPERATIONS = ("INSERT", "UPDATE", "DELETE")


async def check_topics(session: CheckSession) -> None:
    """The owner hears a row come, change and go, and joins a recording's topic. Others join neither."""
    owner, audio_id = session.owner, str(session.row["id"])
    heard: list[tuple[str, Any]] = []

    def note(payload: dict[str, Any]) -> None:
        heard.extend((payload.get("operation", ""), row.get("title")) for row in payload.get("rows", ()))

    try:
        async with owner.listening_to(f"library:{owner.user_id}", OPERATIONS, note):
            made = await run_query(owner.client.table("playlists").insert({"title": "A check"}))
            lists = owner.client.table("playlists")
            await run_query(lists.update({"title": "A check, renamed"}).eq("id", made[0]["id"]))
            await run_query(lists.delete().eq("id", made[0]["id"]))
            await _await_messages(heard)
        async with owner.listening_to(f"recording:{audio_id}", ("progress",), lambda _: None):
            pass
    except (TimeoutError, OSError, ProjectError, WebSocketException) as failed:
        raise CapabilityBroken(f"The owner: {failed}") from failed
    for who, visitor in (("another user", session.stranger), ("nobody", await _nobody(session))):
        for topic in (f"library:{owner.user_id}", f"recording:{audio_id}"):
            if await _may_join(visitor, topic):
                raise CapabilityBroken(f"{topic.partition(':')[0]}: {who} may join the owner's topic.")


async def _await_messages(heard: list[tuple[str, Any]]) -> None:
    deadline = time.monotonic() + MESSAGE_S
    while True:
        operations = [operation for operation, title in heard if str(title).startswith("A check")]
        missing = [operation for operation in OPERATIONS if operation not in operations]
        if not missing:
            return
        if time.monotonic() > deadline:
            raise CapabilityBroken(f"The library did not hear of: {', '.join(missing)}.")
        await asyncio.sleep(POLL_S)


async def _nobody(session: CheckSession) -> Visitor:
    return Visitor(await session.anonymous(), "", email="", password="")


async def _may_join(visitor: Visitor, topic: str) -> bool:
    try:
        async with visitor.listening_to(topic, OPERATIONS, lambda _: None):
            return True
    except ProjectError:
        return False
