"""Any recording as blocks of float32, within limits.

`open_audio` looks at the header, refuses by name what is beyond the limits, and hands out blocks that are
checked again while they are decoded, because headers lie. `soundscape.audio.decode.refusals` lists the codes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from soundscape.audio.decode.capture import UNKNOWN, Capture, read_chunks, read_tags
from soundscape.audio.decode.container import Container, identify
from soundscape.audio.decode.ffmpeg_file import read_metadata
from soundscape.audio.decode.ffmpeg_reader import FfmpegReader
from soundscape.audio.decode.file_view import FileView
from soundscape.audio.decode.joined_reader import ChainReader, FallbackReader
from soundscape.audio.decode.reader import Header, Hole, Reader, ReaderError, Samples, SourceWarning
from soundscape.audio.decode.refusals import (
    check_header,
    check_samples,
    check_size,
    refuse_content,
    refuse_length,
    refuse_silence,
)
from soundscape.audio.decode.sndfile_reader import SndfileReader
from soundscape.audio.limits import Limits

Source = Path | str | BinaryIO | int

BLOCK_LENGTH = 65536
# FFmpeg reads ID3 before these by itself, and keeps what it says. Larger tags are cover art by the megabyte.
_FFMPEG_READS_ID3 = {"mp3", "aac"}
_MAX_ID3_BYTES = 4 << 20
# Encoders round lengths to their frames; less than this is no truncation.
_LENGTH_TOLERANCE_S = 0.25


class AudioFile:
    """An opened recording: `header` states the facts, `blocks()` gives the sound once, in order.

    After the blocks are exhausted `frames`, `truncated`, `damaged_packets`, `holes` and `warnings` say what
    was really there.
    """

    def __init__(
        self,
        reader: Reader,
        limits: Limits,
        *,
        size_bytes: int,
        claimed_frames: int | None = None,
        ends_early: bool = False,
        capture: Capture = UNKNOWN,
    ) -> None:
        self.header: Header = replace(reader.header, capture=capture.or_else(reader.header.capture))
        self.size_bytes = size_bytes
        self.claimed_frames = claimed_frames
        self._ends_early = ends_early
        self.frames = 0
        self._reader = reader
        self._limits = limits

    @property
    def claimed_duration_s(self) -> float | None:
        """The header's own word on the duration; None where it gives none, or only a guess."""
        return None if self.claimed_frames is None else self.claimed_frames / self.header.sample_rate

    @property
    def duration_s(self) -> float:
        """Seconds decoded so far; the duration once `blocks()` is exhausted."""
        return self.frames / self.header.sample_rate

    @property
    def damaged_packets(self) -> int:
        """Pieces that could not be decoded cleanly, so far."""
        return self._reader.damaged_packets

    @property
    def holes(self) -> tuple[Hole, ...]:
        """Spans without sound in the file, silence in the blocks, so far."""
        return tuple(self._reader.holes)

    @property
    def truncated(self) -> bool:
        """True when the sound ended clearly before the header said it would, or without its end mark."""
        claim = self.claimed_duration_s
        return self._ends_early or (
            claim is not None and claim - self.duration_s > _LENGTH_TOLERANCE_S + 0.001 * claim
        )

    @property
    def warnings(self) -> tuple[SourceWarning, ...]:
        """What the owner should know of the file, in the order of its weight."""
        found = []
        if self.truncated:
            claim = self.claimed_duration_s
            promised = f"; its header promises {claim:.1f} s" if claim and claim > self.duration_s else ""
            found.append(
                SourceWarning(
                    "truncated", f"The file was cut off: it ends after {self.duration_s:.1f} s{promised}."
                )
            )
        if self.damaged_packets:
            places = "one place" if self.damaged_packets == 1 else f"{self.damaged_packets} places"
            found.append(SourceWarning("damaged", f"The file is damaged in {places}; the rest was analysed."))
        if self.holes:
            total_s = sum(hole.end_s - hole.start_s for hole in self.holes)
            first = self.holes[0]
            count = "a hole" if len(self.holes) == 1 else f"{len(self.holes)} holes"
            found.append(
                SourceWarning(
                    "holes",
                    f"The recording has {count} without sound, {total_s:.1f} s in all, the first from "
                    f"{first.start_s:.1f} to {first.end_s:.1f} s. They count as silence.",
                )
            )
        if self.header.tracks > 1:
            found.append(
                SourceWarning(
                    "other_tracks",
                    f"The file has {self.header.tracks} audio tracks. Number {self.header.track}, which "
                    "players choose, was analysed.",
                )
            )
        return tuple(found)

    def blocks(self, block_length: int = BLOCK_LENGTH) -> Iterator[Samples]:
        """Decode the sound.

        Parameters
        ----------
        block_length
            Frames of a block; the last may be shorter.

        Yields
        ------
        Samples
            float32, shape (channels, n), C-contiguous; full scale is 1.

        Raises
        ------
        PolicyRefusal
            `too_long`.
        UnreadableAudio
            `non_finite_samples`, `absurd_samples`, `no_samples` or `decode_failed`.
        """
        longest = self._limits.max_duration_s * self.header.sample_rate
        for block in self._reader.blocks(block_length):
            check_samples(block, at_s=self.duration_s)
            self.frames += block.shape[1]
            if self.frames > longest:
                raise refuse_length(self._limits, "The recording goes on")
            yield block
        if self.frames == 0:
            raise refuse_silence(self.header.container, is_damaged=bool(self.damaged_packets))


@contextmanager
def open_binary(source: Source) -> Iterator[BinaryIO]:
    """Open a path, descriptor or binary file as a seekable binary file; only what was opened here is closed.

    Raises
    ------
    OSError
        The path cannot be opened.
    io.UnsupportedOperation
        It is a pipe.
    """
    if isinstance(source, int):
        with os.fdopen(os.dup(source), "rb") as file:
            yield file
    elif isinstance(source, str | Path):
        with open(source, "rb") as file:
            yield file
    else:
        yield source


@contextmanager
def open_audio(file: BinaryIO, limits: Limits | None = None) -> Iterator[AudioFile]:
    """Open a seekable binary file as audio.

    Parameters
    ----------
    file
        The file, at any position. It is read by one decoder after the other, through its own descriptor.
    limits
        What is accepted; None: the product's defaults.

    Raises
    ------
    UnreadableAudio, PolicyRefusal
        With a code that `soundscape.audio.decode.refusals` lists.
    """
    limits = limits or Limits()
    size_bytes = file.seek(0, os.SEEK_END)
    check_size(size_bytes, limits, "The file has")
    container = identify(file)
    if container.header.claimed_data_bytes is not None:
        check_size(container.header.claimed_data_bytes, limits, "The header claims")
    reader = _open_reader(file, container)
    try:
        claimed_frames = _count_claimed_frames(reader.header, container)
        check_header(reader.header, claimed_frames, limits)
        yield AudioFile(
            reader,
            limits,
            size_bytes=size_bytes,
            claimed_frames=claimed_frames,
            ends_early=container.ends_early,
            capture=read_chunks(container.header.capture_chunks),
        )
    finally:
        reader.close()


def _open_reader(file: BinaryIO, container: Container) -> Reader:
    name, header = container.name, container.header
    start = 0 if name in _FFMPEG_READS_ID3 and container.id3_bytes <= _MAX_ID3_BYTES else container.id3_bytes
    view = file
    if start or header.patches:
        patches = tuple((offset - start, correct) for offset, correct in header.patches)
        view = cast("BinaryIO", FileView(file, start, patches=patches))

    def open_ffmpeg() -> FfmpegReader:
        link = container.links[0] if container.links else None
        return FfmpegReader(view, name, link=link, knows_length=container.knows_length)

    reasons: list[ReaderError] = []
    if container.decoder == "sndfile":
        try:
            # libsndfile tells neither ID3 nor the comments of FLAC that say when and where.
            tags = read_metadata(view) if name == "flac" or header.has_id3 else {}
            first = SndfileReader(view, str(name), header.channel_mask, header.tags, read_tags(tags))
            return FallbackReader(first, open_ffmpeg)
        except ReaderError as error:
            reasons.append(error)
    try:
        if len(container.links) > 1:
            return ChainReader(file, str(name), container.links)
        return open_ffmpeg()
    except ReaderError as error:
        reasons.append(error)
    raise refuse_content(name, reasons)


def _count_claimed_frames(header: Header, container: Container) -> int | None:
    """Samples per channel that the header claims, however many there are."""
    claimed_bytes = container.header.claimed_data_bytes
    if claimed_bytes is not None and header.bit_depth is not None:
        return claimed_bytes // (header.channels * header.bit_depth // 8)
    if container.name in ("wav", "rf64", "w64", "au") and claimed_bytes is None:
        return None
    if container.name == "aiff":
        return container.header.claimed_frames
    return container.claimed_frames or header.claimed_frames
