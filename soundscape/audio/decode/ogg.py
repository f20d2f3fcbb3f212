"""The pages of an Ogg file (RFC 3533): its links, and which pages are damaged.

FFmpeg gives up where a chained stream changes its codec, rate or channels. So each link is found here and
decoded by itself.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

_MAGIC = b"OggS\0"
_HEADER = struct.Struct("<5sBqIII B".replace(" ", ""))
_READ_BYTES = 1 << 20
_LARGEST_PAGE = 27 + 255 + 255 * 255
_FIRST, _LAST = 2, 4
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class Link:
    """One stream of a chain.

    Attributes
    ----------
    start, end
        Offsets in bytes.
    last_granule
        The granule position at its end; None where several streams are interleaved.
    damaged_pages
        Pages whose checksum is wrong. Decoders leave them out.
    starts_damaged
        The first page of sound is among them.
    starts_late
        The beginning is missing: somebody tuned in to a running stream.
    has_end
        The last page carries the end mark.
    is_cut
        The last page is incomplete.
    """

    start: int
    end: int = 0
    last_granule: int | None = None
    damaged_pages: int = 0
    starts_damaged: bool = False
    starts_late: bool = False
    has_end: bool = False
    is_cut: bool = False


@dataclass(frozen=True)
class _Page:
    offset: int
    length: int
    flags: int
    granule: int
    serial: int
    sequence: int
    is_whole: bool
    is_intact: bool


def find_links(file: BinaryIO, start: int) -> tuple[Link, ...]:
    """Read all pages from offset `start` on.

    Parameters
    ----------
    file
        A seekable binary file.
    start
        Where the first page begins, in bytes.

    Returns
    -------
    tuple of Link
        In order; one for a stream that is not chained, none where no page is intact.
    """
    links: list[Link] = []
    end = file.seek(0, os.SEEK_END)
    serials: set[int] = set()
    in_headers = True
    last_sequence = 0
    damaged_since_header = False
    for page in _pages(file, start, end):
        is_first = page.is_intact and bool(page.flags & _FIRST)
        if is_first and (not links or not in_headers or page.serial in serials):
            if links:
                links[-1] = replace(links[-1], end=page.offset)
            links.append(Link(page.offset))
            serials = set()
            in_headers, damaged_since_header = True, False
        if not links:
            continue
        link = links[-1]
        if is_first:
            serials.add(page.serial)
        if not page.is_whole:
            links[-1] = replace(link, is_cut=True, has_end=False)
            continue
        changes: dict[str, object] = {"has_end": bool(page.flags & _LAST)}
        if not page.is_intact:
            damaged_since_header = True
            changes["damaged_pages"] = link.damaged_pages + 1
        elif in_headers and page.granule > 0:
            in_headers = False
            changes["starts_damaged"] = damaged_since_header
            changes["starts_late"] = not damaged_since_header and page.sequence > last_sequence + 1
        if page.granule > 0 and len(serials) == 1:
            changes["last_granule"] = page.granule
        last_sequence = page.sequence
        links[-1] = replace(link, **changes)  # type: ignore[arg-type]
    if links:
        links[-1] = replace(links[-1], end=end)
    return tuple(links)


def _pages(file: BinaryIO, start: int, end: int) -> Iterator[_Page]:
    """Every page, damaged ones included as far as they can be told from noise."""
    data, base, at = b"", start, 0
    while True:
        if len(data) - at < _LARGEST_PAGE and base + len(data) < end:
            data, base, at = data[at:], base + at, 0
            file.seek(base + len(data))
            more = file.read(_READ_BYTES)
            end = end if more else base + len(data)
            data += more
        at = data.find(_MAGIC, at)
        if at < 0:
            if base + len(data) >= end:
                return
            at = max(0, len(data) - len(_MAGIC) + 1)
            continue
        if len(data) - at < _LARGEST_PAGE and base + len(data) < end:
            continue
        page = _read_page(data, at, base)
        if page is None:
            return
        yield page
        # A damaged length must not lead past intact pages.
        at += page.length if page.is_intact or _follows(data, at + page.length) else len(_MAGIC)


def _read_page(data: bytes, at: int, base: int) -> _Page | None:
    if len(data) - at < 27:
        return None
    _, flags, granule, serial, sequence, checksum, segments = _HEADER.unpack_from(data, at)
    length = 27 + segments + sum(data[at + 27 : at + 27 + segments])
    page = data[at : at + length]
    is_whole = len(page) == length
    is_intact = is_whole and _checksum(page) == checksum
    return _Page(base + at, length, flags, granule, serial, sequence, is_whole, is_intact)


def _follows(data: bytes, at: int) -> bool:
    return at == len(data) or data.startswith(_MAGIC, at)


def _checksum(page: bytes) -> int:
    """Ogg's CRC-32: zlib's polynomial with the bits in the other order, from 0 and without inversion."""
    cleared = page[:22] + bytes(4) + page[26:]
    reversed_crc = zlib.crc32(cleared.translate(_REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{reversed_crc:032b}"[::-1], 2)
