"""A client of live listening for the tests: it holds every answer against its model."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import TypeAdapter
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from soundscape.cli.embedded_project import Project
from soundscape.live.answers import ANSWERS
from tests.waiting import LIMIT_S

MODELS = {model.model_fields["type"].annotation.__args__[0]: TypeAdapter(model) for model in ANSWERS}  # type: ignore[union-attr]


@dataclass
class User:
    """A signed-in user."""

    id: str
    token: str


async def sign_up(project: Project) -> User:
    """A new user of the project."""
    headers = {"apikey": project.keys.publishable_key}
    given = {"email": f"live-{secrets.token_hex(6)}@example.com", "password": "correct horse battery staple"}
    async with httpx.AsyncClient(headers=headers, timeout=LIMIT_S) as http:
        answer = (await http.post(f"{project.url}/auth/v1/signup", json=given)).json()
    return User(answer["user"]["id"], answer["access_token"])


def check_answer(text: str) -> dict[str, Any]:
    """Parse an answer. Raises if it is not as its model says."""
    answer: dict[str, Any] = json.loads(text)
    MODELS[answer["type"]].validate_json(text)
    return answer


@dataclass
class Conversation:
    """One connection, and what was answered so far."""

    socket: ClientConnection
    answers: list[dict[str, Any]] = field(default_factory=list)

    async def say(self, kind: str, **more: Any) -> None:
        """Send a text message."""
        await self.socket.send(json.dumps({"type": kind, **more}))

    async def start(self, token: str, **more: Any) -> dict[str, Any]:
        """Start with 48 kHz stereo, unless said otherwise, and return `started`."""
        pcm = {} if "format" in more else {"format": "s16le", "sample_rate": 48_000, "channels": 2}
        await self.say("start", token=token, **(pcm | more))
        return await self.answer("started")

    async def send(self, data: bytes, *, frame_bytes: int = 3840) -> None:
        """Send sound."""
        for start in range(0, len(data), frame_bytes):
            await self.socket.send(data[start : start + frame_bytes])

    async def answer(self, kind: str) -> dict[str, Any]:
        """Wait for the next answer of a kind. Fails if the connection ends before."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                text = await self.socket.recv()
                assert isinstance(text, str)
                self.answers.append(check_answer(text))
                if self.answers[-1]["type"] == kind:
                    return self.answers[-1]

    async def end(self) -> tuple[int, str]:
        """Read to the end. Returns the close code and the reason."""
        async with asyncio.timeout(LIMIT_S):
            try:
                while True:
                    text = await self.socket.recv()
                    assert isinstance(text, str)
                    self.answers.append(check_answer(text))
            except ConnectionClosed as closed:
                if closed.rcvd is None:
                    raise AssertionError("the connection broke without a close code") from closed
                return closed.rcvd.code, closed.rcvd.reason

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """The answers of a kind so far."""
        return [answer for answer in self.answers if answer["type"] == kind]


@asynccontextmanager
async def talk(url: str, **more: Any) -> AsyncIterator[Conversation]:
    """Connect to a worker. `url`: as http."""
    address = f"{url.replace('http', 'ws', 1)}/api/live"
    async with connect(address, open_timeout=LIMIT_S, max_size=None, **more) as socket:
        yield Conversation(socket)
