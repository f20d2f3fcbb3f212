"""Headers of the containers of plain samples: where the sound lies, how long it says it is, and its tags.

A writer that cannot seek back (a pipe) never writes the length. What stands in its place differs: zeros,
ones, or the largest round number.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from soundscape.audio.decode.capture import CHUNKS, MAX_CHUNK_BYTES

_UNKNOWN_32 = (range(1), range(0x7FFF_F000, 0x8000_0000), range(0xFFFF_F000, 0x1_0000_0000))
_MAX_64 = 1 << 62
_MAX_CHUNKS = 4096
_MAX_TAG_BYTES = 1 << 16
_WAVE_EXTENSIBLE = 0xFFFE
_SNDFILE_WAVE_TAGS = {0x0001, 0x0003, 0x0006, 0x0007}
_INFO_TAGS = {
    b"INAM": "title",
    b"IART": "artist",
    b"IPRD": "album",
    b"ICRD": "date",
    b"IGNR": "genre",
    b"ICMT": "comment",
}
_ID3 = (b"id3 ", b"ID3 ")
_SIDE_CHUNKS = (b"LIST", *_ID3, *CHUNKS)
_W64_CHUNK = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_IMA4_BYTES, _IMA4_SAMPLES = 34, 64


@dataclass
class PcmHeader:
    """What such a header says.

    Attributes
    ----------
    claimed_data_bytes, claimed_frames
        The length of the sound; None where it was never written.
    channel_mask
        The WAVE channel mask; None without one.
    is_plain
        Whether libsndfile reads the sound to its end.
    patches
        What the decoders must read in place of lengths that were never written: offsets in the file, bytes.
    tags
        Texts by name, undecoded.
    capture_chunks
        The chunks that say when and where it was recorded, by name.
    has_id3
        Whether a chunk holds an ID3 tag.
    """

    claimed_data_bytes: int | None = None
    claimed_frames: int | None = None
    channel_mask: int | None = None
    is_plain: bool = True
    patches: tuple[tuple[int, bytes], ...] = ()
    tags: dict[str, bytes] = field(default_factory=dict)
    capture_chunks: dict[bytes, bytes] = field(default_factory=dict)
    has_id3: bool = False


def read_wave(file: BinaryIO, start: int, magic: bytes) -> PcmHeader:
    """Read the chunks of a WAV, RF64 or BW64 file. Sizes that point outside the file end the walk."""
    order = ">" if magic == b"RIFX" else "<"
    end = file.seek(0, os.SEEK_END)
    header = PcmHeader()
    tag: int | None = None
    long_at: int | None = None
    found_data = False
    for chunk, body, length in _chunks(file, start + 12, order):
        if chunk == b"ds64":
            long_at = body
        elif chunk == b"fmt ":
            tag, header.channel_mask = _read_format(file, body, length, order)
        elif chunk in _SIDE_CHUNKS:
            _read_side_chunk(file, header, chunk, body, length)
        elif chunk == b"data" and not found_data:
            found_data = True
            # libsndfile believes a length of 0; FFmpeg reads on to the end of the file.
            is_unfinished = length == 0 and end > body
            header.is_plain = tag in _SNDFILE_WAVE_TAGS and not is_unfinished
            header.claimed_data_bytes = None if _is_unknown(length) else length
            if magic in (b"RF64", b"BW64") and long_at is not None and _is_unknown(length):
                _read_long_length(file, header, long_at, body, end)
                header.is_plain = tag in _SNDFILE_WAVE_TAGS
            if header.claimed_data_bytes is None:
                break
            if header.claimed_data_bytes != length:
                at = body + header.claimed_data_bytes + (header.claimed_data_bytes & 1)
                for name, inside, size in _chunks(file, at, order):
                    _read_side_chunk(file, header, name, inside, size)
                break
    if magic == b"BW64":
        # libsndfile knows the same header by its older name.
        header.patches += ((start, b"RF64"),)
    return header


def read_aiff(file: BinaryIO, start: int) -> PcmHeader:
    """Read the chunks of an AIFF or AIFF-C file."""
    header = PcmHeader()
    channels = frames = sound_bytes = 0
    compression = b""
    names = {b"NAME": "title", b"AUTH": "artist", b"ANNO": "comment"}
    for chunk, _, length in _chunks(file, start + 12, ">"):
        if chunk == b"COMM":
            fields = file.read(22)
            if len(fields) >= 18:
                channels, frames = struct.unpack_from(">hI", fields)
                compression = fields[18:22] if length >= 22 else b""
        elif chunk == b"SSND":
            sound_bytes = length - 8
        elif chunk in _ID3:
            header.has_id3 = True
        elif chunk in names and length <= _MAX_TAG_BYTES:
            header.tags[names[chunk]] = file.read(length).rstrip(b"\0")
    if compression == b"ima4" and frames * _IMA4_BYTES * channels <= sound_bytes + _IMA4_BYTES * channels:
        # QuickTime counts packets of 64 samples here, others count samples.
        frames *= _IMA4_SAMPLES
    header.claimed_frames = None if _is_unknown(frames) or _is_unknown(sound_bytes + 8) else frames
    return header


def read_w64(file: BinaryIO, start: int) -> PcmHeader:
    """Read the chunks of a Sony Wave64 file: names of 16 bytes, sizes of 8 that include the header of 24."""
    header = PcmHeader()
    offset = start + 40
    for _ in range(_MAX_CHUNKS):
        file.seek(offset)
        head = file.read(24)
        if len(head) < 24:
            break
        size = int.from_bytes(head[16:], "little")
        if head[:16] == b"data" + _W64_CHUNK:
            if 24 < size < _MAX_64:
                header.claimed_data_bytes = size - 24
            else:
                end = file.seek(0, os.SEEK_END)
                sizes = [(start + 16, end - start), (offset + 16, end - offset)]
                header.patches = tuple((at, length.to_bytes(8, "little")) for at, length in sizes)
            break
        if size < 24:
            break
        offset += size + -size % 8
    return header


def read_au(file: BinaryIO, start: int) -> PcmHeader:
    """Read the header of a Sun AU file."""
    file.seek(start + 4)
    fields = file.read(8)
    if len(fields) < 8:
        return PcmHeader()
    length = struct.unpack(">II", fields)[1]
    if _is_unknown(length):
        return PcmHeader(patches=((start + 8, b"\xff\xff\xff\xff"),))
    return PcmHeader(claimed_data_bytes=length)


def read_caf(file: BinaryIO, start: int) -> PcmHeader:
    """Read the chunks of a Core Audio file; a length is told of plain samples only."""
    header = PcmHeader()
    offset = start + 8
    is_linear = False
    for _ in range(_MAX_CHUNKS):
        file.seek(offset)
        head = file.read(12)
        if len(head) < 12:
            break
        name, length = head[:4], struct.unpack(">q", head[4:])[0]
        if name == b"desc":
            is_linear = file.read(12)[8:] == b"lpcm"
        if name == b"data":
            # Four bytes before the sound count its edits.
            header.claimed_data_bytes = length - 4 if is_linear and 4 < length < _MAX_64 else None
        if length < 0:
            break
        offset += 12 + length
    return header


def is_riff_cut(file: BinaryIO, start: int) -> bool:
    """Whether the file is shorter than its RIFF header says."""
    end = file.seek(0, os.SEEK_END)
    file.seek(start + 4)
    length = int.from_bytes(file.read(4), "little")
    return not _is_unknown(length) and start + 8 + length > end


def _chunks(file: BinaryIO, offset: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, offset of the body and length of each chunk; the file stands at the body."""
    for _ in range(_MAX_CHUNKS):
        file.seek(offset)
        header = file.read(8)
        if len(header) < 8:
            return
        length = struct.unpack(order + "I", header[4:])[0]
        yield header[:4], offset + 8, length
        offset += 8 + length + (length & 1)


def _is_unknown(length: int) -> bool:
    return any(length in unknown for unknown in _UNKNOWN_32)


def _read_format(file: BinaryIO, body: int, length: int, order: str) -> tuple[int | None, int | None]:
    file.seek(body)
    fields = file.read(min(length, 40))
    if len(fields) < 2:
        return None, None
    tag = struct.unpack_from(order + "H", fields)[0]
    if tag == _WAVE_EXTENSIBLE and len(fields) >= 26:
        mask, tag = struct.unpack_from(order + "IH", fields, 20)
        return tag, mask or None
    return tag, None


def _read_long_length(file: BinaryIO, header: PcmHeader, long_at: int, body: int, end: int) -> None:
    """Take the length of the sound from the chunk ds64, or else from the file."""
    file.seek(long_at)
    fields = file.read(24)
    length = int.from_bytes(fields[8:16], "little")
    if len(fields) == 24 and 0 < length < _MAX_64:
        header.claimed_data_bytes = length
        return
    header.claimed_data_bytes = None
    sizes = struct.pack("<QQQ", end, end - body, 0)
    header.patches = ((long_at, sizes), (body - 4, b"\xff\xff\xff\xff"))


def _read_info(file: BinaryIO, body: int, length: int) -> dict[str, bytes]:
    file.seek(body)
    data = file.read(min(length, _MAX_TAG_BYTES))
    if data[:4] != b"INFO":
        return {}
    found, at = {}, 4
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        if name in _INFO_TAGS:
            found[_INFO_TAGS[name]] = data[at + 8 : at + 8 + size].rstrip(b"\0")
        at += 8 + size + (size & 1)
    return found


def _read_side_chunk(file: BinaryIO, header: PcmHeader, chunk: bytes, body: int, length: int) -> None:
    """Take what a chunk says besides the sound."""
    if chunk == b"LIST":
        header.tags.update(_read_info(file, body, length))
    elif chunk in _ID3:
        header.has_id3 = True
    elif chunk in CHUNKS and length <= MAX_CHUNK_BYTES:
        file.seek(body)
        header.capture_chunks.setdefault(chunk, file.read(length))
