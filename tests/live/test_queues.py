"""Both directions are bounded: what waits for a slow reader, and what waits to be heard."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st

from soundscape.live.answers import MERGED_KINDS
from soundscape.live.inbox import Inbox
from soundscape.live.outbox import Outbox


async def test_the_newest_of_a_kind_waits_and_says_how_many_it_replaced() -> None:
    outbox = Outbox()
    for place in range(5):
        outbox.put({"type": "levels", "place": place}, {"type": "saved", "place": place})
    taken = await outbox.take()
    assert [answer for answer in taken if answer["type"] == "levels"] == [
        {"type": "levels", "place": 4, "merged": 4}
    ]
    assert [answer["place"] for answer in taken if answer["type"] == "saved"] == [0, 1, 2, 3, 4]
    outbox.put({"type": "levels", "place": 5})
    assert await outbox.take() == [{"type": "levels", "place": 5}]


@given(st.lists(st.sampled_from(sorted(MERGED_KINDS)), max_size=200))
def test_the_outbox_is_never_longer_than_the_kinds_there_are(kinds: list[str]) -> None:
    outbox = Outbox()
    for kind in kinds:
        outbox.put({"type": kind})
    assert len(outbox) == len(set(kinds))

    async def take() -> int:
        return sum(1 + answer.get("merged", 0) for answer in await outbox.take())

    if kinds:
        assert asyncio.run(take()) == len(kinds)


async def test_a_closed_outbox_gives_what_is_left_and_then_nothing() -> None:
    outbox = Outbox()
    outbox.put({"type": "stopped"})
    outbox.close()
    assert await outbox.take() == [{"type": "stopped"}]
    assert await outbox.take() == []


async def test_the_inbox_lets_wait_whoever_brings_too_much() -> None:
    inbox = Inbox(max_bytes=100)
    await inbox.put(b"a" * 60)
    putting = asyncio.create_task(inbox.put(b"b" * 60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not putting.done()
    assert inbox.waiting_bytes == 60
    assert inbox.take() == b"a" * 60
    await putting
    assert inbox.take() == b"b" * 60
    assert inbox.received_bytes == 120


async def test_closing_lets_nobody_wait_and_drops_nothing_that_arrived() -> None:
    inbox = Inbox(max_bytes=100)
    await inbox.put(b"a" * 100)
    putting = asyncio.create_task(inbox.put(b"b"))
    await asyncio.sleep(0)
    inbox.close()
    await putting
    await inbox.wait()
    assert inbox.take() == b"a" * 100


@given(st.lists(st.integers(1, 400), min_size=1, max_size=50), st.integers(0, 1000))
def test_every_byte_goes_through_in_order_and_few_wait(sizes: list[int], seed: int) -> None:
    chance = random.Random(seed)

    async def main() -> None:
        inbox = Inbox(max_bytes=300)
        sent, received = b"", b""

        async def bring() -> None:
            nonlocal sent
            for place, size in enumerate(sizes):
                piece = bytes([place % 256]) * size
                sent += piece
                await inbox.put(piece)
                if chance.random() < 0.5:
                    await asyncio.sleep(0)
            inbox.close()

        bringing = asyncio.create_task(bring())
        while True:
            await inbox.wait()
            assert inbox.waiting_bytes <= max(300, *sizes)
            if inbox.is_closed and not inbox.waiting_bytes:
                break
            received += inbox.take()
            await asyncio.sleep(0)
        await bringing
        assert received == sent

    asyncio.run(main())


async def test_what_ends_a_flush_comes_after_the_answers_before_it_though_it_is_merged() -> None:
    outbox = Outbox()
    outbox.put({"type": "flushed", "place": 1})
    outbox.put({"type": "levels", "place": 2}, {"type": "flushed", "place": 2})
    assert [answer["type"] for answer in await outbox.take()] == ["levels", "flushed"]
