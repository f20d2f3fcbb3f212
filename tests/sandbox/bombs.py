"""Files that are small, or seem so, and ask for a great deal. Each is made in a moment, byte by byte."""

from __future__ import annotations

import struct
from pathlib import Path

FLAC_BLOCK = 65_535
_FLAC_RATES = {44_100: 9, 48_000: 10, 192_000: 3}


def flac(path: Path, *, frames: int, sample_rate: int, channels: int, claim: int | None = None) -> Path:
    """`frames` of digital silence, each block of 65,535 in some twenty bytes (RFC 9639): constant subframes.

    claim: what the header says of the length; None: the truth; 0: nothing.
    """
    claimed = frames if claim is None else claim
    packed = sample_rate << 44 | (channels - 1) << 41 | 15 << 36 | claimed
    streaminfo = struct.pack(">HH", FLAC_BLOCK, FLAC_BLOCK) + bytes(6) + packed.to_bytes(8, "big") + bytes(16)
    with path.open("wb") as file:
        file.write(b"fLaC" + b"\x80\x00\x00\x22" + streaminfo)
        for number in range(frames // FLAC_BLOCK):
            # Sync, fixed blocks; a block length in 16 bits and the rate by its code; channels, 16 bits each.
            head = bytes([0xFF, 0xF8, 0x70 | _FLAC_RATES[sample_rate], (channels - 1) << 4 | 4 << 1])
            head += _utf8(number) + struct.pack(">H", FLAC_BLOCK - 1)
            head += bytes([_crc8(head)])
            frame = head + bytes(3 * channels)
            file.write(frame + struct.pack(">H", _crc16(frame)))
    return path


def opus(path: Path, *, hours: float, claimed_s: float | None = None) -> Path:
    """Silence: packets of 120 ms, six frames each that say "nothing new" (RFC 6716, RFC 7845)."""
    packets = round(hours * 3600 / 0.12)
    with path.open("wb") as file:
        head = b"OpusHead" + struct.pack("<BBHIhB", 1, 2, 0, 48_000, 0, 0)
        file.write(_page(0, 0, [head], first=True))
        file.write(_page(1, 0, [b"OpusTags" + struct.pack("<II", 0, 0)]))
        done, sequence = 0, 2
        while done < packets:
            count = min(255, packets - done)
            done += count
            last = done == packets
            granule = done * 5760
            if claimed_s is not None:
                granule = min(granule, round(claimed_s * 48_000))
            silent = bytes([31 << 3 | 1 << 2 | 3, 6])
            file.write(_page(sequence, granule, [silent] * count, last=last))
            sequence += 1
    return path


def wav(path: Path, *, frames: int, sample_rate: int, channels: int, claim_bytes: int | None = None,
        said_rate: int | None = None, said_channels: int | None = None) -> Path:  # fmt: skip
    """24-bit silence in a file with holes; `claim_bytes` and `said_…` are what its header says instead."""
    size = frames * channels * 3
    rate, count = said_rate or sample_rate, said_channels or channels
    width = count * 3
    claim = min(size if claim_bytes is None else claim_bytes, 0xFFFF_FFFF)
    fmt = struct.pack("<HHIIHH", 1, count, rate, rate * width & 0xFFFF_FFFF, width & 0xFFFF, 24)
    with path.open("wb") as file:
        file.write(b"RIFF" + struct.pack("<I", min(claim + 36, 0xFFFF_FFFF)) + b"WAVE")
        file.write(b"fmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", claim))
        file.truncate(file.tell() + size)
    return path


def id3(path: Path, sound: bytes, *, size_bytes: int, claim_bytes: int | None = None) -> Path:
    """A picture of `size_bytes` in an ID3v2.4 tag before the sound."""
    claim = size_bytes if claim_bytes is None else claim_bytes
    content = b"\x00image/png\x00\x03\x00"
    frame = b"APIC" + _synchsafe(claim - 10) + bytes(2) + content
    with path.open("wb") as file:
        file.write(b"ID3\x04\x00\x00" + _synchsafe(claim))
        file.write(frame + bytes(size_bytes - len(frame)))
        file.write(sound)
    return path


def _synchsafe(value: int) -> bytes:
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


def _utf8(number: int) -> bytes:
    """FLAC numbers its blocks as UTF-8 codes characters, surrogates included."""
    return chr(number).encode("utf-8", "surrogatepass")


def _table(bits: int, polynomial: int) -> list[int]:
    top, mask = 1 << bits - 1, (1 << bits) - 1
    table = []
    for value in range(256):
        rest = value << bits - 8
        for _ in range(8):
            rest = (rest << 1 ^ polynomial if rest & top else rest << 1) & mask
        table.append(rest)
    return table


_CRC8, _CRC16, _CRC32 = _table(8, 0x07), _table(16, 0x8005), _table(32, 0x04C1_1DB7)


def _crc8(data: bytes) -> int:
    rest = 0
    for byte in data:
        rest = _CRC8[rest ^ byte]
    return rest


def _crc16(data: bytes) -> int:
    rest = 0
    for byte in data:
        rest = (rest << 8 & 0xFFFF) ^ _CRC16[rest >> 8 ^ byte]
    return rest


def _crc32(data: bytes) -> int:
    rest = 0
    for byte in data:
        rest = (rest << 8 & 0xFFFF_FFFF) ^ _CRC32[rest >> 24 ^ byte]
    return rest


def _page(
    sequence: int, granule: int, packets: list[bytes], *, first: bool = False, last: bool = False
) -> bytes:
    """An Ogg page (RFC 3533) of packets shorter than 255 bytes."""
    head = struct.pack("<4sBBqIII", b"OggS", 0, first << 1 | last << 2, granule, 7, sequence, 0)
    page = head + bytes([len(packets), *map(len, packets)]) + b"".join(packets)
    return page[:22] + struct.pack("<I", _crc32(page)) + page[26:]
