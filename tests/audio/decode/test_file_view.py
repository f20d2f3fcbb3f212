"""A view reads as the bytes that it shows."""

from __future__ import annotations

import io
import os
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundscape.audio.decode.file_view import FileView


@given(
    data=st.binary(max_size=60),
    bounds=st.tuples(st.integers(0, 60), st.integers(0, 60)),
    patches=st.lists(st.tuples(st.integers(0, 50), st.binary(min_size=1, max_size=8)), max_size=3),
    steps=st.lists(
        st.tuples(st.integers(-70, 70), st.sampled_from([0, 1, 2]), st.integers(-1, 70)), max_size=8
    ),
)
def test_a_view_is_like_a_file_of_its_own(
    data: bytes, bounds: tuple[int, int], patches: list[tuple[int, bytes]], steps: list[tuple[int, int, int]]
) -> None:
    start, end = min(bounds) % (len(data) + 1), min(max(bounds), len(data))
    end = max(start, end)
    shown = bytearray(data[start:end])
    for offset, correct in patches:
        for index, byte in enumerate(correct):
            if offset + index < len(shown):
                shown[offset + index] = byte
    view = FileView(cast("BinaryIO", io.BytesIO(data)), start, end, tuple(patches))
    expected = io.BytesIO(bytes(shown))
    for offset, whence, size in steps:
        base = {0: 0, 1: expected.tell(), 2: len(shown)}[whence]
        expected.seek(max(0, base + offset))
        assert view.seek(offset, whence) == expected.tell()
        assert view.read(size) == expected.read(size)
        assert view.tell() == expected.tell()


def test_a_view_to_the_end_has_no_descriptor() -> None:
    view = FileView(io.BytesIO(b"0123456789"), 4)
    assert view.read() == b"456789"
    assert view.seek(0, os.SEEK_END) == 6
    with pytest.raises(OSError, match="descriptor"):
        view.fileno()
