"""The beginning of a FLAC file (RFC 9639): how long it says it is, and where it really begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

_MAX_METADATA_BLOCKS = 1024
_FRAME_SYNC = 0xFFF8


@dataclass(frozen=True)
class FlacStart:
    """What a FLAC file says before its sound.

    Attributes
    ----------
    total_samples
        Samples per channel; 0 where the writer did not know, as when it wrote to a pipe.
    first_sample
        The number of the first sample; more than 0 in a part of a longer file. None where no frame was found.
    """

    total_samples: int
    first_sample: int | None


def read_flac_start(file: BinaryIO, start: int) -> FlacStart | None:
    """Read the metadata and the first frame's number of a FLAC file at offset `start`; None if damaged."""
    offset, total_samples, block_size = start + 4, None, 0
    for _ in range(_MAX_METADATA_BLOCKS):
        file.seek(offset)
        block = file.read(4 + 34)
        if len(block) < 4:
            return None
        if block[0] & 0x7F == 0 and len(block) == 38:
            block_size = int.from_bytes(block[4:6])
            total_samples = int.from_bytes(block[14:22]) & (1 << 36) - 1
        offset += 4 + int.from_bytes(block[1:4])
        if block[0] & 0x80:
            break
    if total_samples is None:
        return None
    file.seek(offset)
    return FlacStart(total_samples, _first_sample(file.read(16), block_size))


def _first_sample(frame: bytes, block_size: int) -> int | None:
    if len(frame) < 16 or int.from_bytes(frame[:2]) & 0xFFFE != _FRAME_SYNC:
        return None
    # The number is coded as UTF-8 would code a character, in up to seven bytes.
    lead = frame[4]
    extra = 0
    while lead & 0x80 >> extra:
        extra += 1
    number = lead if extra == 0 else lead & (0x7F >> extra)
    for byte in frame[5 : 5 + max(0, extra - 1)]:
        number = number << 6 | byte & 0x3F
    is_variable = bool(frame[1] & 1)
    return number if is_variable else number * block_size
