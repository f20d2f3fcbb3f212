"""Sound from a source that blocks: read in a thread that nobody has to wait for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator

import pytest

from soundscape.cli import listen_device
from soundscape.cli.reader_thread import read_in_thread
from tests.waiting import LIMIT_S, eventually


class Device:
    """Brings one piece, then nothing until it may go on."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.is_reading = False
        self.is_closed = False
        self.was_closed_while_reading = False

    def read(self) -> Generator[bytes, None, None]:
        try:
            yield b"first"
            self.is_reading = True
            self.may_go_on.wait(LIMIT_S)
            self.is_reading = False
            yield b"second"
        finally:
            self.was_closed_while_reading = self.is_reading
            self.is_closed = True


async def test_pieces_come_in_order_and_the_source_is_closed() -> None:
    device = Device()
    device.may_go_on.set()
    assert [piece async for piece in read_in_thread(device.read)] == [b"first", b"second"]
    await eventually(lambda: device.is_closed)


async def test_an_error_of_the_source_is_raised_to_the_reader() -> None:
    def read() -> Generator[bytes, None, None]:
        yield b"first"
        raise OSError("unplugged")

    pieces = read_in_thread(read)
    assert await anext(pieces) == b"first"
    with pytest.raises(OSError, match="unplugged"):
        await anext(pieces)


@pytest.mark.parametrize("stop_timeout_s", [0.0, 0.01])
async def test_a_source_that_stalls_is_left_alone_and_closed_only_after_its_read(
    stop_timeout_s: float,
) -> None:
    device = Device()
    pieces = read_in_thread(device.read, stop_timeout_s=stop_timeout_s)
    assert await anext(pieces) == b"first"
    reading = asyncio.ensure_future(anext(pieces))
    await eventually(lambda: device.is_reading)
    reading.cancel()
    await asyncio.wait({reading}, timeout=LIMIT_S)
    assert reading.cancelled()
    assert not device.is_closed
    device.may_go_on.set()
    await eventually(lambda: device.is_closed)
    assert not device.was_closed_while_reading


async def test_the_end_waits_for_a_read_that_is_under_way() -> None:
    device = Device()
    pieces = read_in_thread(device.read, stop_timeout_s=LIMIT_S)
    assert await anext(pieces) == b"first"
    reading = asyncio.ensure_future(anext(pieces))
    await eventually(lambda: device.is_reading)
    reading.cancel()
    asyncio.get_running_loop().call_soon(device.may_go_on.set)
    await asyncio.gather(reading, return_exceptions=True)
    assert device.is_closed
    assert not device.was_closed_while_reading


def test_a_default_input_that_is_not_there_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """DirectShow has no default input: the first one is taken, if there is one."""
    monkeypatch.setattr(listen_device, "_find_format", lambda: "dshow")
    monkeypatch.setattr(listen_device, "list_devices", list)
    with pytest.raises(listen_device.DeviceUnavailable) as refused:
        listen_device.open_device("default")
    assert refused.value.remedy


async def test_small_frames_of_a_device_are_sent_together() -> None:
    """A device may have periods of a millisecond. The worker takes 250 messages a second."""
    name = "lavfi:sine=sample_rate=48000:samples_per_frame=48:duration=0.52"
    _, pieces = listen_device.open_device(name)
    sizes = [len(piece) // 4 async for piece in pieces]
    assert sizes == [2400] * 10 + [960]
