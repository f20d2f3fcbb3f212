"""What the first bytes of a file say it is, read before any decoder is let near it.

Several things are wanted early: which decoder to use, how much the header claims (a claim beyond the limits
is refused before a byte is decoded, a claim beyond the file is a truncation), and what a decoder would
stumble over: an ID3 tag before another format, a length that was never written, the links of a chain.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO, Literal

from soundscape.audio.decode import pcm_headers
from soundscape.audio.decode.flac import read_flac_start
from soundscape.audio.decode.mpeg_audio import count_xing_samples, is_frame_header, measure_id3
from soundscape.audio.decode.ogg import Link, find_links
from soundscape.audio.decode.pcm_headers import PcmHeader

_W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"
_ASF_FILE_PROPERTIES = b"\xa1\xdc\xab\x8c\x47\xa9\xcf\x11\x8e\xe4\x00\xc0\x0c\x20\x53\x65"
_MAGIC = {
    b"wvpk": "wavpack",
    b"MAC ": "ape",
    b"TTA1": "tta",
    b"TTA2": "tta",
    b"MPCK": "musepack",
    b"MP+\x07": "musepack",
    b"FLV\x01": "flv",
    b"DSD ": "dsf",
    b"#!AM": "amr",
    b".RMF": "rm",
    b"tBaK": "tak",
}


@dataclass(frozen=True)
class Container:
    """The outside of a file.

    Attributes
    ----------
    name
        As people call it; None where only the demuxers' own probing may know.
    decoder
        The one that reads it best.
    header
        What a container of plain samples claims.
    claimed_frames
        What another one claims, read here because the decoder would not tell.
    knows_length
        Whether what the decoder says of the length is more than a guess.
    id3_bytes
        The length of the ID3 tags in front.
    ends_early
        The format marks its end, and the mark is missing.
    links
        The links of an Ogg file.
    """

    name: str | None
    decoder: Literal["sndfile", "av"]
    header: PcmHeader = field(default_factory=PcmHeader)
    claimed_frames: int | None = None
    knows_length: bool = True
    id3_bytes: int = 0
    ends_early: bool = False
    links: tuple[Link, ...] = ()


def identify(file: BinaryIO) -> Container:
    """Identify a seekable file by content alone; names and content types lie.

    Parameters
    ----------
    file
        A seekable binary file.

    Returns
    -------
    Container
        An unknown beginning is left to the demuxers' own probing (`name` is None then).
    """
    start = measure_id3(file)
    file.seek(start)
    head = file.read(16)
    if (plain := _identify_plain(file, head, start)) is not None:
        return plain
    if head[:4] == b"fLaC":
        flac = read_flac_start(file, start)
        # libsndfile cannot seek in such files, and python-soundfile seeks after each read.
        is_whole = flac is not None and flac.total_samples > 0 and not flac.first_sample
        return Container("flac", "sndfile" if start == 0 and is_whole else "av", id3_bytes=start)
    if head[:4] == b"OggS":
        links = find_links(file, start)
        return Container("ogg", "av", id3_bytes=start, ends_early=_ends_early(links), links=links)
    if head[:4] == b"RIFF" and head[8:11] == b"AVI":
        is_cut = pcm_headers.is_riff_cut(file, start)
        return Container("avi", "av", knows_length=False, id3_bytes=start, ends_early=is_cut)
    if head == _ASF:
        return Container("asf", "av", knows_length=not _is_broadcast(file, start), id3_bytes=start)
    name = _name(head, start)
    claimed = count_xing_samples(file, start) if name == "mp3" else None
    return Container(name, "av", claimed_frames=claimed, id3_bytes=start)


def _identify_plain(file: BinaryIO, head: bytes, start: int) -> Container | None:
    """WAV, AIFF and their like."""
    if head[:4] in (b"RIFF", b"RF64", b"BW64", b"RIFX") and head[8:12] == b"WAVE":
        header = pcm_headers.read_wave(file, start, head[:4])
        name = "wav" if head[:2] == b"RI" else "rf64"
        return Container(name, "sndfile" if header.is_plain else "av", header, id3_bytes=start)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        # libsndfile reads the uncompressed kinds; FFmpeg is tried where it refuses.
        return Container("aiff", "sndfile", pcm_headers.read_aiff(file, start), id3_bytes=start)
    if head == _W64:
        return Container("w64", "sndfile", pcm_headers.read_w64(file, start), id3_bytes=start)
    if head[:4] == b".snd":
        return Container("au", "sndfile", pcm_headers.read_au(file, start), id3_bytes=start)
    if head[:4] == b"caff":
        return Container("caf", "av", pcm_headers.read_caf(file, start), id3_bytes=start)
    return None


def _name(head: bytes, id3_bytes: int) -> str | None:
    if head[4:8] == b"ftyp":
        return "m4a" if head[8:11] == b"M4A" else "mp4"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    if head[:4] in _MAGIC:
        return _MAGIC[head[:4]]
    if head[:2] == b"\x0b\x77":
        return "ac3"
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "aac"
    if is_frame_header(head):
        return "mp3"
    return "mp3" if id3_bytes else None


def _ends_early(links: tuple[Link, ...]) -> bool:
    """Whether the last link was cut off. A running stream that somebody left has no end mark either."""
    if not links:
        return True
    last = links[-1]
    is_live = len(links) > 1 or last.starts_late
    return last.is_cut or not (last.has_end or is_live)


def _is_broadcast(file: BinaryIO, start: int) -> bool:
    """Whether an ASF file was written without its length (flag 1 of the file properties object)."""
    file.seek(start)
    head = file.read(1 << 16)
    at = head.find(_ASF_FILE_PROPERTIES)
    return at < 0 or len(head) < at + 92 or bool(head[at + 88] & 1)
