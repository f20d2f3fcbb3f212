"""The binary form: exact, compact, and safe to read from anywhere."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundscape.audio.fingerprint import VERSION, Fingerprint, FingerprintError
from soundscape.audio.fingerprint.levels import LEVEL_BANDS, count_rows
from soundscape.errors import SoundScapeError

from .sounds import fingerprint, melody

GOOD = fingerprint(melody(0, 5.0)).to_bytes()


@st.composite
def fingerprints(draw: st.DrawFn) -> Fingerprint:
    steps = draw(st.lists(st.one_of(st.integers(0, 3), st.integers(0, 100_000)), max_size=40))
    frames = np.cumsum(steps, dtype=np.int64).astype(np.int32)
    n = len(steps)
    frame_count = (int(frames[-1]) if n else 0) + draw(st.integers(n, n + 10)) + 1
    levels = np.random.default_rng(n).integers(0, 256, (count_rows(frame_count), LEVEL_BANDS))
    return Fingerprint(
        frame_count=frame_count,
        frames=frames,
        pitches=np.array(draw(st.lists(st.integers(0, 2047), min_size=n, max_size=n)), np.uint16),
        ranks=np.array(draw(st.lists(st.integers(0, 31), min_size=n, max_size=n)), np.uint8),
        levels=levels.astype(np.uint8),
    )


@given(fingerprints())
def test_round_trip(made: Fingerprint) -> None:
    assert Fingerprint.from_bytes(made.to_bytes()) == made


def test_the_form_is_compact() -> None:
    found = fingerprint(melody(3))
    assert len(found.to_bytes()) < 3 * len(found) + found.levels.size + 40


def test_the_bytes_are_reproducible() -> None:
    assert fingerprint(melody(0, 5.0)).to_bytes() == GOOD


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "nothing"),
        (b"SSFP", "a magic alone"),
        (b"RIFF" + GOOD[4:], "another magic"),
        (GOOD[:-1], "a byte short"),
        (GOOD + b"\0", "a byte long"),
        (GOOD[:20], "no body"),
        (GOOD[:40], "cut in the body"),
    ],
)
def test_malformed_bytes_are_refused_by_name(data: bytes, what: str) -> None:
    with pytest.raises(FingerprintError) as refused:
        Fingerprint.from_bytes(data)
    assert refused.value.code == "fingerprint_invalid"
    assert isinstance(refused.value, SoundScapeError)


@pytest.mark.parametrize("version", [1, 9])
def test_another_version_says_so(version: int) -> None:
    with pytest.raises(FingerprintError, match=f"version {version}") as refused:
        Fingerprint.from_bytes(GOOD[:4] + bytes([version]) + GOOD[5:])
    assert refused.value.code == "fingerprint_version"
    assert refused.value.remedy


def forged(frame_count: int, peaks: int, raw: bytes) -> bytes:
    body = zlib.compress(raw)
    return struct.pack("<4sBxxxIII", b"SSFP", VERSION, frame_count, peaks, zlib.crc32(body)) + body


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (forged(2**32 - 1, 0, b""), "longer than a day"),
        (forged(10, 1000, b""), "more peaks than frames can hold"),
        (forged(10, 1, bytes(50_000_000)), "a body that unpacks to fifty megabytes"),
        (forged(10, 2, b"\x01\x0c" + bytes(4 + LEVEL_BANDS)), "a peak after the end"),
        (forged(10, 2, b"\x80\x80\x80\x80\x80\x80\x01"), "a step that never ends"),
        (forged(10, 2, b"\x01"), "fewer steps than peaks"),
        (forged(10, 2, b"\x01\x01" + bytes(3)), "half a peak"),
        (forged(10, 2, b"\x01\x01" + bytes(4)), "no levels"),
        (forged(10, 2, b"\x01\x01" + bytes(4 + LEVEL_BANDS - 1)), "a level too few"),
        (struct.pack("<4sBxxxIII", b"SSFP", VERSION, 10, 1, zlib.crc32(b"no")) + b"no", "not compressed"),
    ],
)
def test_forged_bytes_with_a_right_checksum_are_refused(data: bytes, what: str) -> None:
    with pytest.raises(FingerprintError):
        Fingerprint.from_bytes(data)


@settings(max_examples=200)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_changed_byte_never_passes_for_another_fingerprint(place: int, change: int) -> None:
    data = bytearray(GOOD)
    data[place] ^= change
    try:
        read = Fingerprint.from_bytes(bytes(data))
    except FingerprintError:
        return
    # The three padding bytes and the length are not under the checksum; peaks always are.
    original = Fingerprint.from_bytes(GOOD)
    assert np.array_equal(read.frames, original.frames)
    assert np.array_equal(read.pitches, original.pitches)
    assert np.array_equal(read.levels, original.levels)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for attempt in (data, GOOD[:20] + data):
        with pytest.raises(FingerprintError):
            Fingerprint.from_bytes(attempt)
