"""Bodies while they arrive: their size, their time, their rate, and the memory they take together."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from soundscape.api import body
from soundscape.api.body import BodyReader, BodyTooLarge, BodyTooSlow
from tests.waiting import LIMIT_S

LIMIT = 1000


class Sender:
    """A client that sends what a test tells it to, when it tells it to."""

    def __init__(self, *, length: int | None = None) -> None:
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        headers = [] if length is None else [(b"content-length", str(length).encode())]
        self.request = Request({"type": "http", "method": "POST", "headers": headers}, self._messages.get)

    def send(self, part: bytes, *, more: bool = True) -> None:
        self._messages.put_nowait({"type": "http.request", "body": part, "more_body": more})

    def read(self, reader: BodyReader, **limits: Any) -> asyncio.Task[bytes]:
        return asyncio.create_task(reader.read(self.request, **{"max_bytes": LIMIT} | limits))


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_body_in_parts() -> None:
    reader, sender = BodyReader(), Sender()
    reading = sender.read(reader)
    for part in (b"one ", b"", b"two"):
        sender.send(part)
        await turn()
    assert reader.receiving_bytes == 7
    sender.send(b"", more=False)
    assert await reading == b"one two"
    assert reader.receiving_bytes == 0


@pytest.mark.parametrize(
    ("length", "parts", "is_refused"),
    [
        (None, [bytes(LIMIT)], False),
        (None, [bytes(LIMIT), b"x"], True),
        (LIMIT + 1, [b""], True),
        # Larger than declared.
        (1, [bytes(LIMIT), b"x"], True),
        (int("9" * 30), [b"x"], True),
    ],
)
@pytest.mark.parametrize("max_discarded_bytes", [0, 2 * LIMIT])
async def test_a_body_that_is_too_large(
    length: int | None, parts: list[bytes], is_refused: bool, max_discarded_bytes: int
) -> None:
    reader, sender = BodyReader(), Sender(length=length)
    for part in parts:
        sender.send(part)
    sender.send(b"", more=False)
    reading = sender.read(reader, max_discarded_bytes=max_discarded_bytes)
    if is_refused:
        with pytest.raises(BodyTooLarge):
            await reading
    else:
        assert len(await reading) == LIMIT
    assert reader.receiving_bytes == 0


async def test_a_body_that_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long before the time limit of the route."""
    monkeypatch.setattr(body, "GRACE_S", 0.05)
    reader, sender = BodyReader(), Sender()
    reading = sender.read(reader, timeout_s=3600.0)
    sender.send(b"x")
    with pytest.raises(BodyTooSlow):
        await asyncio.wait_for(reading, LIMIT_S)
    assert reader.receiving_bytes == 0


async def test_a_body_that_arrives_steadily(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may take longer than the grace time."""
    monkeypatch.setattr(body, "GRACE_S", 0.2)
    monkeypatch.setattr(body, "MIN_BYTES_PER_S", 1)
    reader, sender = BodyReader(), Sender()
    reading = sender.read(reader, timeout_s=60.0)
    for _ in range(8):
        sender.send(bytes(100))
        await asyncio.sleep(0.05)
    sender.send(b"", more=False)
    assert len(await reading) == 800


async def test_a_body_that_takes_longer_than_the_route_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "MIN_BYTES_PER_S", 1)
    reader, sender = BodyReader(), Sender()
    reading = sender.read(reader, timeout_s=0.1)
    sender.send(bytes(500))
    with pytest.raises(BodyTooSlow):
        await asyncio.wait_for(reading, LIMIT_S)


async def test_all_bodies_together_take_no_more_than_the_budget() -> None:
    """The one that has been arriving for the longest time makes room, and nobody else is refused."""
    reader = BodyReader(max_receiving_bytes=3 * LIMIT)
    holders = [Sender() for _ in range(10)]
    held = []
    for holder in holders:
        held.append(holder.read(reader, timeout_s=3600.0))
        holder.send(bytes(LIMIT - 1))
        await turn()
        assert reader.receiving_bytes <= 3 * LIMIT
    honest = Sender()
    reading = honest.read(reader)
    honest.send(bytes(LIMIT), more=False)
    assert len(await reading) == LIMIT
    await turn()
    assert [task.done() for task in held] == [True] * 8 + [False] * 2
    assert all(isinstance(task.exception(), BodyTooSlow) for task in held[:8])
    for task in held[8:]:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    assert reader.receiving_bytes == 0


async def test_a_client_that_hangs_up() -> None:
    reader, sender = BodyReader(), Sender()
    reading = sender.read(reader)
    sender.send(bytes(10))
    sender._messages.put_nowait({"type": "http.disconnect"})
    assert await reading == b""
    assert reader.receiving_bytes == 0
