"""Readers made of readers: the links of a chain, and FFmpeg from where libsndfile stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import BinaryIO, cast

from soundscape.audio.decode.ffmpeg_reader import FfmpegReader
from soundscape.audio.decode.file_view import FileView
from soundscape.audio.decode.ogg import Link
from soundscape.audio.decode.reader import Hole, ReaderError, Samples, cut_blocks, drop_frames
from soundscape.audio.decode.sndfile_reader import SndfileReader


class ChainReader:
    """A chained Ogg stream: each link is decoded by itself, at the rate and with the channels of the first.

    No header says how long a chain is, so it claims no length.
    """

    def __init__(self, file: BinaryIO, container: str, links: tuple[Link, ...]) -> None:
        """Open the first link that can be decoded.

        Raises
        ------
        ReaderError
            None of them can.
        """
        self._file = file
        self._links = list(links)
        self.damaged_packets = 0
        self.holes: list[Hole] = []
        self._first: FfmpegReader | None = None
        self._first = self._reader = self._open_next()
        self.header = replace(self._reader.header, container=container, claimed_frames=None)

    def blocks(self, block_length: int) -> Iterator[Samples]:
        """Blocks of `block_length` frames (the last may be shorter), float32, shape (channels, n)."""
        return cut_blocks(self._pieces(), block_length)

    def close(self) -> None:
        """Release the decoder; the file stays open."""
        self._reader.close()

    def _pieces(self) -> Iterator[Samples]:
        frames = 0
        while True:
            begin_s = frames / self.header.sample_rate
            for piece in self._reader.pieces():
                frames += piece.shape[1]
                yield piece
            self.damaged_packets += self._reader.damaged_packets
            self.holes += [Hole(begin_s + hole.start_s, begin_s + hole.end_s) for hole in self._reader.holes]
            self._reader.close()
            try:
                self._reader = self._open_next()
            except ReaderError:
                return

    def _open_next(self) -> FfmpegReader:
        """The next link that can be decoded; those before it count as damaged."""
        while self._links:
            link = self._links.pop(0)
            view = cast("BinaryIO", FileView(self._file, link.start, link.end))
            try:
                return FfmpegReader(view, "ogg", link=link, target=self._first)
            except ReaderError as error:
                self.damaged_packets += 1
                if not self._links:
                    raise error
        raise ReaderError("the chain ends here")


class FallbackReader:
    """libsndfile, and FFmpeg from where libsndfile stops before the end of the sound."""

    def __init__(self, first: SndfileReader, open_second: Callable[[], FfmpegReader]) -> None:
        """Read by `first`; `open_second` is called when that stops early."""
        self.header = first.header
        self._first = first
        self._open_second = open_second
        self._second: FfmpegReader | None = None

    @property
    def damaged_packets(self) -> int:
        """Pieces that could not be decoded cleanly, so far."""
        second = self._second.damaged_packets if self._second is not None else 0
        # Both may have met the same damage.
        return max(self._first.damaged_packets, second)

    @property
    def holes(self) -> list[Hole]:
        """Spans that were filled with silence, so far."""
        return self._second.holes if self._second is not None else []

    def blocks(self, block_length: int) -> Iterator[Samples]:
        """Blocks of `block_length` frames (the last may be shorter), float32, shape (channels, n)."""
        frames = 0
        for block in self._first.blocks(block_length):
            frames += block.shape[1]
            yield block
        rest = self._first.rest
        if not self._first.stopped_early or rest is None:
            return
        # FFmpeg decodes what is known already once more: a jump to a sample is not exact in every format.
        went_on = False
        if self._open_fallback():
            second = cast("FfmpegReader", self._second)
            for block in cut_blocks(drop_frames(second.pieces(), frames), block_length):
                went_on = True
                yield block
        if not went_on and rest.shape[1]:
            yield rest

    def close(self) -> None:
        """Release both decoders; the file stays open."""
        self._first.close()
        if self._second is not None:
            self._second.close()

    def _open_fallback(self) -> bool:
        try:
            self._second = self._open_second()
        except ReaderError:
            return False
        shape = (self._second.header.sample_rate, self._second.header.channels)
        return shape == (self.header.sample_rate, self.header.channels)
