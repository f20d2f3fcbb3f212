"""The beginning of an MP3 file: ID3 tags, frame headers, and the Xing header that counts the frames."""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

_MAX_ID3_TAGS = 64
# Bit rates of layer III in kbit/s by the index in the frame header (ISO 11172-3, 13818-3).
_KBPS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def measure_id3(file: BinaryIO) -> int:
    """Bytes of the ID3v2 tags at the beginning; 0 without one.

    Several may follow one another, but not without end.
    """
    end = file.seek(0, os.SEEK_END)
    offset = 0
    for _ in range(_MAX_ID3_TAGS):
        file.seek(offset)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 0x7F:
            return offset
        length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        offset += 10 + length + (10 if head[5] & 0x10 else 0)
        if offset >= end:
            return end
    return offset


def is_frame_header(head: bytes) -> bool:
    """Whether MPEG audio begins here. The sync alone is not enough: UTF-16 text begins with FF FE."""
    return (
        len(head) > 2
        and head[0] == 0xFF
        and head[1] & 0xE0 == 0xE0
        and head[1] & 0x18 != 0x08
        and bool(head[1] & 0x06)
        and head[2] >> 4 not in (0, 15)
        and head[2] & 0x0C != 0x0C
    )


def count_xing_samples(file: BinaryIO, start: int) -> int | None:
    """Samples per channel by the Xing or Info header of the frame at `start`, encoder delay included.

    Returns None where there is no such header, and where the sound after it began earlier: then the header
    is that of a longer stream, which was joined in the middle.
    """
    file.seek(start)
    frame = file.read(192)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0 or len(frame) < at + 12 or not frame[at + 7] & 1:
        return None
    length = _frame_length(frame)
    if length is not None and _needs_earlier_frames(file, start + length):
        return None
    is_mpeg_1 = frame[1] & 0x18 == 0x18
    return int(struct.unpack_from(">I", frame, at + 8)[0]) * (1152 if is_mpeg_1 else 576)


def _frame_length(head: bytes) -> int | None:
    """Bytes of the layer III frame that begins with `head`."""
    if not is_frame_header(head) or head[1] & 0x06 != 0x02:
        return None
    version = head[1] >> 3 & 3
    kbps = (_KBPS_1 if version == 3 else _KBPS_2)[head[2] >> 4]
    rate_hz = _RATES_HZ[version][head[2] >> 2 & 3]
    return (144_000 if version == 3 else 72_000) * kbps // rate_hz + (head[2] >> 1 & 1)


def _needs_earlier_frames(file: BinaryIO, offset: int) -> bool:
    """Whether the frame at `offset` takes bits from frames before it; an encoder's first never does."""
    file.seek(offset)
    head = file.read(8)
    if len(head) < 8:
        return False
    if not is_frame_header(head):
        # Cut anywhere: the middle of a frame follows.
        return True
    side = head[4 if head[1] & 1 else 6 :]
    # main_data_begin: nine bits in MPEG 1, eight in MPEG 2.
    return bool(side[0] or (head[1] >> 3 & 3 == 3 and side[1] & 0x80))
