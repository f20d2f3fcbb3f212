"""Files that cannot be analysed end with a code and a remedy, and the worker goes on."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from .conftest import User, tone, wav


def claiming(size_bytes: int) -> bytes:
    """A WAV file of one second whose header claims `size_bytes` of samples."""
    data = bytearray(tone())
    struct.pack_into("<I", data, 4, min(size_bytes + 36, 0xFFFFFFFF))
    struct.pack_into("<I", data, data.index(b"data") + 4, min(size_bytes, 0xFFFFFFFF))
    return bytes(data)


NOT_A_NUMBER = np.full(22_050, np.nan, dtype=np.float32)


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        pytest.param(b"", "failed", "empty_file", id="empty"),
        pytest.param(b"This is text under a wrong name.\n" * 50, "failed", "not_audio", id="text"),
        pytest.param(claiming(3 << 30), "rejected", "too_large", id="3 GB claimed"),
        pytest.param(wav(NOT_A_NUMBER, subtype="FLOAT"), "failed", "non_finite_samples", id="NaN"),
        pytest.param(wav(np.zeros((100, 16))), "rejected", "too_many_channels", id="16 channels"),
        pytest.param(
            wav(np.zeros(100), sample_rate=1000), "rejected", "sample_rate_out_of_range", id="1 kHz"
        ),
    ],
)
async def test_refused_with_a_reason(alice: User, data: bytes, status: str, code: str) -> None:
    ended = await alice.ended((await alice.add(data))["id"])
    assert (ended["status"], ended["error_code"]) == (status, code)
    # A sentence that says what, and one that says what to do.
    assert ended["error_message"].count(".") >= 2, ended["error_message"]

    after = await alice.ended((await alice.add(tone(901.0)))["id"])
    assert after["status"] == "ready"


async def test_a_refused_recording_is_heard_again_when_better_bytes_come(alice: User) -> None:
    row = await alice.add(b"not audio at all")
    assert (await alice.ended(row["id"]))["status"] == "failed"
    await alice.audio.update(row["file_path"], tone(902.0), {"content-type": "audio/wav"})
    ended = await alice.ended(row["id"])
    assert (ended["status"], ended["error_code"], ended["error_message"]) == ("ready", None, None)
