"""What the first bytes of a file say it is, read before any decoder is let near it.

Three things are wanted early: which decoder to use, how much the header claims (a claim beyond the limits is
refused before a byte is decoded, a claim beyond the file is a truncation), and how large a leading ID3 tag is
(a decoder that reads tags reads all of them, cover art included, into memory).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO, Literal

# Writers that cannot seek back (pipes) leave one of these where the length of the data belongs.
_UNKNOWN_RIFF_LENGTHS = (range(1), range(0x7FFF_F000, 0x8000_0000), range(0xFFFF_F000, 0x1_0000_0000))
_SNDFILE_WAVE_TAGS = {0x0001, 0x0003, 0x0006, 0x0007}
_WAVE_EXTENSIBLE = 0xFFFE
_MAX_CHUNKS = 4096
_MAX_ID3_TAGS = 64
_LARGEST_OGG_PAGE = 27 + 255 + 255 * 255


@dataclass(frozen=True)
class Container:
    """The outside of a file: `name` as people call it, the decoder that reads it best, and its claims.

    ends_early: the format marks its end, and the mark is missing.
    """

    name: str | None
    decoder: Literal["sndfile", "av"]
    claimed_data_bytes: int | None = None
    claimed_frames: int | None = None
    id3_bytes: int = 0
    channel_mask: int | None = None
    ends_early: bool = False


def identify(file: BinaryIO) -> Container:
    """Identify a seekable file by content alone; names and content types lie.

    An unknown beginning is left to the demuxers' own probing (`name` is None then).
    """
    id3_bytes = _id3_length(file)
    file.seek(id3_bytes)
    head = file.read(16)
    if head[:4] in (b"RIFF", b"RF64", b"BW64", b"RIFX") and head[8:12] == b"WAVE":
        return _walk_wave(file, id3_bytes, head[:4])
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        # libsndfile reads the uncompressed kinds; `decode` tries the other decoder where it refuses.
        return Container("aiff", "sndfile", claimed_frames=_aiff_frames(file, id3_bytes), id3_bytes=id3_bytes)
    if head[:4] == b"fLaC":
        return Container("flac", "sndfile" if id3_bytes == 0 else "av", id3_bytes=id3_bytes)
    if head == b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00":
        return Container("w64", "sndfile", id3_bytes=id3_bytes)
    if head[:4] == b".snd":
        return Container("au", "sndfile", id3_bytes=id3_bytes)
    name = _name_of(head, id3_bytes)
    return Container(
        name,
        "av",
        claimed_frames=_xing_frames(file, id3_bytes) if name == "mp3" else None,
        id3_bytes=id3_bytes,
        ends_early=name == "ogg" and not _ogg_ends(file),
    )


def _name_of(head: bytes, id3_bytes: int) -> str | None:
    if head[:4] == b"OggS":
        return "ogg"
    if head[4:8] == b"ftyp":
        return "m4a" if head[8:11] == b"M4A" else "mp4"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    if head[:4] == b"caff":
        return "caf"
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "aac"
    # A frame header of MPEG audio, not only its sync: UTF-16 text begins with FF FE.
    if (
        len(head) > 2
        and head[0] == 0xFF
        and head[1] & 0xE0 == 0xE0
        and head[1] & 0x18 != 0x08
        and head[1] & 0x06
        and head[2] >> 4 not in (0, 15)
        and head[2] & 0x0C != 0x0C
    ):
        return "mp3"
    return "mp3" if id3_bytes else None


def _id3_length(file: BinaryIO) -> int:
    """Bytes of the ID3v2 tags at the beginning (several may follow one another, but not without end); 0
    without one."""
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


def _aiff_frames(file: BinaryIO, start: int) -> int | None:
    """Sample frames by the COMM chunk, which comes before the sound."""
    offset = start + 12
    for _ in range(_MAX_CHUNKS):
        file.seek(offset)
        header = file.read(14)
        if len(header) < 14:
            return None
        if header[:4] == b"COMM":
            return int(struct.unpack_from(">I", header, 10)[0]) or None
        length = struct.unpack_from(">I", header, 4)[0]
        offset += 8 + length + (length & 1)
    return None


def _xing_frames(file: BinaryIO, start: int) -> int | None:
    """Samples per channel that the Xing or Info header of an MP3 counts, encoder delay included."""
    file.seek(start)
    frame = file.read(192)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0 or len(frame) < at + 12 or not frame[at + 7] & 1:
        return None
    mpeg_1 = frame[1] & 0x18 == 0x18
    return int(struct.unpack_from(">I", frame, at + 8)[0]) * (1152 if mpeg_1 else 576)


def _ogg_ends(file: BinaryIO) -> bool:
    """Whether the last Ogg page is whole and carries the end-of-stream mark."""
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - _LARGEST_OGG_PAGE)
    file.seek(start)
    tail = file.read(_LARGEST_OGG_PAGE)
    at = tail.rfind(b"OggS")
    if at < 0 or len(tail) < at + 27:
        return False
    table = tail[at + 27 : at + 27 + tail[at + 26]]
    return bool(tail[at + 5] & 4) and len(tail) >= at + 27 + len(table) + sum(table)


def _walk_wave(file: BinaryIO, start: int, magic: bytes) -> Container:
    """Follow the RIFF chunks to `data`; sizes that point outside the file end the walk."""
    order = ">" if magic == b"RIFX" else "<"
    name = "wav" if magic in (b"RIFF", b"RIFX") else "rf64"
    end = file.seek(0, os.SEEK_END)
    tag: int | None = None
    mask: int | None = None
    long_data: int | None = None
    offset = start + 12
    for _ in range(_MAX_CHUNKS):
        file.seek(offset)
        header = file.read(8)
        if len(header) < 8:
            break
        chunk, length = header[:4], struct.unpack(order + "I", header[4:])[0]
        body = offset + 8
        if chunk == b"ds64":
            sizes = file.read(16)
            if len(sizes) == 16:
                long_data = struct.unpack("<QQ", sizes)[1]
        elif chunk == b"fmt ":
            fields = file.read(min(length, 40))
            if len(fields) >= 2:
                tag = struct.unpack_from(order + "H", fields)[0]
            if tag == _WAVE_EXTENSIBLE and len(fields) >= 26:
                mask, tag = struct.unpack_from(order + "IH", fields, 20)
        elif chunk == b"data":
            claim: int | None = length
            if length == 0xFFFF_FFFF and long_data is not None:
                claim = long_data
            elif any(length in unknown for unknown in _UNKNOWN_RIFF_LENGTHS):
                claim = None
            # libsndfile believes a length of 0; FFmpeg reads on to the end of the file.
            unfinished = length == 0 and end > body
            readable = tag in _SNDFILE_WAVE_TAGS and not unfinished
            decoder: Literal["sndfile", "av"] = "sndfile" if readable else "av"
            return Container(name, decoder, claim, id3_bytes=start, channel_mask=mask or None)
        offset = body + length + (length & 1)
        if offset >= end:
            break
    return Container(name, "sndfile", id3_bytes=start, channel_mask=mask or None)
