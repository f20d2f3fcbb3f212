"""Any recording as blocks of float32, within limits.

`open_audio` looks at the header, refuses by name what is beyond the limits, and hands out blocks that are
checked again while they are decoded, because headers lie. What went wrong on the way is a `Refusal` with a
stable code:

| code | kind | when |
|---|---|---|
| `empty_file` | unreadable | the file has no bytes |
| `not_audio` | unreadable | no decoder knows the content |
| `no_audio_track` | unreadable | a container, but without sound in it |
| `no_samples` | unreadable | a header that is followed by no sound |
| `decode_failed` | unreadable | the container is known, the content cannot be decoded |
| `non_finite_samples` | unreadable | NaN or infinity among the samples |
| `absurd_samples` | unreadable | samples beyond +40 dBFS: integers stored as floats, or damage |
| `too_large` | policy | more bytes than allowed, present or claimed |
| `too_long` | policy | more time than allowed, claimed or decoded |
| `too_many_channels` | policy | |
| `sample_rate_out_of_range` | policy | |
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from soundscape.audio.decode.containers import Container, identify
from soundscape.audio.decode.readers import AvReader, Header, Reader, ReaderError, Samples, SndfileReader
from soundscape.audio.limits import Limits
from soundscape.errors import PolicyRefusal, UnreadableAudio

Source = Path | str | BinaryIO | int

BLOCK_LENGTH = 65536
_ABSURD_SAMPLE = 100.0
# Larger ID3 tags are cover art by the megabyte; they are stepped over, not parsed.
_MAX_ID3_BYTES = 4 << 20
# Encoders round lengths to their frames; less than this is no truncation.
_LENGTH_TOLERANCE_S = 0.25


class AudioFile:
    """An opened recording: `header` states the facts, `blocks()` gives the sound once, in order.

    After the blocks are exhausted `frames`, `truncated` and `damaged_packets` say what was really there.
    """

    def __init__(
        self,
        reader: Reader,
        limits: Limits,
        *,
        size_bytes: int,
        claimed_frames: int | None = None,
        ends_early: bool = False,
    ) -> None:
        self.header: Header = reader.header
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
        return self._reader.damaged_packets

    @property
    def truncated(self) -> bool:
        """True when the sound ended clearly before the header said it would, or without its end mark."""
        claim = self.claimed_duration_s
        return self._ends_early or (
            claim is not None and claim - self.duration_s > _LENGTH_TOLERANCE_S + 0.001 * claim
        )

    def blocks(self, block_length: int = BLOCK_LENGTH) -> Iterator[Samples]:
        """Blocks of `block_length` frames (the last may be shorter), float32, shape (channels, n),
        C-contiguous.

        Raises `PolicyRefusal` (`too_long`) and `UnreadableAudio` (`non_finite_samples`, `absurd_samples`,
        `no_samples`, `decode_failed`).
        """
        longest = self._limits.max_duration_s * self.header.sample_rate
        for block in self._reader.blocks(block_length):
            _check_samples(block, at_s=self.duration_s)
            self.frames += block.shape[1]
            if self.frames > longest:
                raise _too_long(self._limits, "The recording goes on")
            yield block
        if self.frames == 0:
            if self.damaged_packets:
                raise UnreadableAudio(
                    f"This {self.header.container} file is damaged: no sound could be decoded.",
                    code="decode_failed",
                    remedy="Export it again from where it was made, and upload that.",
                )
            raise UnreadableAudio(
                f"This {self.header.container} file has a header and no sound after it.",
                code="no_samples",
                remedy="The recording or its export was probably cut off; upload it again.",
            )


@contextmanager
def opened(source: Source) -> Iterator[BinaryIO]:
    """A path, descriptor or binary file as a seekable binary file; only what was opened here is closed.

    Raises `OSError` where the path cannot be opened and `io.UnsupportedOperation` for a pipe.
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

    Raises `UnreadableAudio` or `PolicyRefusal` with a code of the table above.
    """
    limits = limits or Limits()
    size_bytes = file.seek(0, os.SEEK_END)
    if size_bytes == 0:
        raise UnreadableAudio(
            "The file is empty.",
            code="empty_file",
            remedy="Upload it again; the transfer was probably cut off.",
        )
    _check_size(size_bytes, limits, "The file has")
    container = identify(file)
    if container.claimed_data_bytes is not None:
        _check_size(container.claimed_data_bytes, limits, "The header claims")
    reader = _open_reader(file, container)
    try:
        claimed_frames = _claimed_frames(reader.header, container)
        _check_header(reader.header, claimed_frames, limits)
        yield AudioFile(
            reader,
            limits,
            size_bytes=size_bytes,
            claimed_frames=claimed_frames,
            ends_early=container.ends_early,
        )
    finally:
        reader.close()


def _open_reader(file: BinaryIO, container: Container) -> Reader:
    if container.id3_bytes > _MAX_ID3_BYTES:
        file = _Tail(file, container.id3_bytes)  # type: ignore[assignment]
    reasons: list[ReaderError] = []
    if container.decoder == "sndfile":
        try:
            return SndfileReader(file, str(container.name), container.channel_mask)
        except ReaderError as error:
            reasons.append(error)
    try:
        return AvReader(file, container.name)
    except ReaderError as error:
        reasons.append(error)
    if any(reason.no_audio for reason in reasons):
        raise UnreadableAudio(
            "The file holds no audio track.",
            code="no_audio_track",
            remedy="Upload a recording, or a video that has sound.",
        )
    if container.name is None:
        raise UnreadableAudio(
            "The content is not audio in any format that can be read here, whatever its name says.",
            code="not_audio",
            remedy="Upload WAV, FLAC, MP3, Ogg, Opus, M4A, AIFF or WebM.",
        )
    raise UnreadableAudio(
        f"The file begins like {container.name}, but it cannot be decoded ({reasons[-1]}).",
        code="decode_failed",
        remedy="Export it again from where it was made, and upload that.",
    )


def _claimed_frames(header: Header, container: Container) -> int | None:
    if container.claimed_data_bytes is not None and header.bit_depth is not None:
        return container.claimed_data_bytes // (header.channels * header.bit_depth // 8)
    if container.name in ("wav", "rf64") and container.claimed_data_bytes is None:
        return None
    return container.claimed_frames or header.claimed_frames


def _check_size(size_bytes: int, limits: Limits, what: str) -> None:
    if size_bytes > limits.max_size_bytes:
        raise PolicyRefusal(
            f"{what} {size_bytes:,} bytes; at most {limits.max_size_bytes:,} are accepted.",
            code="too_large",
            remedy="Upload it compressed (FLAC, Opus, MP3), or in parts.",
        )


def _check_header(header: Header, claimed_frames: int | None, limits: Limits) -> None:
    if header.channels > limits.max_channels:
        raise PolicyRefusal(
            f"The recording has {header.channels} channels; at most {limits.max_channels} are accepted.",
            code="too_many_channels",
            remedy="Upload a mix-down, or the channels as separate recordings.",
        )
    if not limits.min_sample_rate_hz <= header.sample_rate <= limits.max_sample_rate_hz:
        raise PolicyRefusal(
            f"The sample rate is {header.sample_rate:,} Hz; from {limits.min_sample_rate_hz:,} to "
            f"{limits.max_sample_rate_hz:,} Hz are accepted.",
            code="sample_rate_out_of_range",
            remedy="Convert it to 44,100 or 48,000 Hz.",
        )
    if claimed_frames is not None and claimed_frames > limits.max_duration_s * header.sample_rate:
        raise _too_long(limits, f"The header claims {claimed_frames / header.sample_rate:,.0f} s, which is")


def _too_long(limits: Limits, what: str) -> PolicyRefusal:
    return PolicyRefusal(
        f"{what} beyond the {limits.max_duration_s:,.0f} s that are accepted.",
        code="too_long",
        remedy="Upload it in parts.",
    )


def _check_samples(block: Samples, *, at_s: float) -> None:
    # Two reductions without a temporary; NaN makes either comparison false.
    if block.size == 0 or (block.min() >= -_ABSURD_SAMPLE and block.max() <= _ABSURD_SAMPLE):
        return
    if not np.isfinite(block).all():
        raise UnreadableAudio(
            f"The recording holds NaN or infinite samples (within the block at {at_s:.1f} s).",
            code="non_finite_samples",
            remedy="Export it again from where it was made, as 16 or 24-bit PCM.",
        )
    raise UnreadableAudio(
        f"The recording holds samples of {np.abs(block).max():.3g} times full scale "
        f"(within the block at {at_s:.1f} s).",
        code="absurd_samples",
        remedy="If integers were stored as floats, scale them to ±1.0 before the export.",
    )


class _Tail:
    """A file from an offset on, for readers that would parse what lies before it."""

    def __init__(self, file: BinaryIO, offset: int) -> None:
        self._file = file
        self._offset = offset

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def tell(self) -> int:
        return self._file.tell() - self._offset

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET:
            offset = max(offset, 0) + self._offset
        return self._file.seek(offset, whence) - self._offset

    def fileno(self) -> int:
        raise OSError("a view of a file has no descriptor of its own")
