"""libsndfile as a reader: PCM in WAV, RF64, AIFF, W64 and AU, and FLAC."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from soundscape.audio.decode.capture import UNKNOWN, Capture
from soundscape.audio.decode.reader import Header, Hole, ReaderError, Samples, deinterleave, name_speakers
from soundscape.audio.decode.tags import clean_tags

_CODECS = {
    "PCM_S8": ("pcm_s8", 8),
    "PCM_U8": ("pcm_u8", 8),
    "PCM_16": ("pcm_s16", 16),
    "PCM_24": ("pcm_s24", 24),
    "PCM_32": ("pcm_s32", 32),
    "FLOAT": ("pcm_f32", 32),
    "DOUBLE": ("pcm_f64", 64),
    "ULAW": ("pcm_mulaw", 8),
    "ALAW": ("pcm_alaw", 8),
}


class SndfileReader:
    """One file in libsndfile's hands.

    Attributes
    ----------
    header
        The facts of the header.
    damaged_packets
        1 after libsndfile met something that it cannot read; it goes no further then.
    stopped_early
        Whether the sound ended before libsndfile's own count.
    rest
        What came after the last whole block, where it stopped early; shape (channels, n).
    """

    def __init__(
        self,
        file: BinaryIO,
        container: str,
        channel_mask: int | None = None,
        tags: dict[str, bytes] | None = None,
        capture: Capture = UNKNOWN,
    ) -> None:
        """Open a seekable binary file.

        Raises
        ------
        ReaderError
            libsndfile does not read it.
        """
        import soundfile

        self.damaged_packets = 0
        self.holes: list[Hole] = []
        self.stopped_early = False
        self.rest: Samples | None = None
        self._error = soundfile.LibsndfileError
        file.seek(0)
        descriptor = _descriptor(file)
        if descriptor is not None:
            os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            self._file = soundfile.SoundFile(file if descriptor is None else descriptor, closefd=False)
        except soundfile.SoundFileError as error:
            raise ReaderError.caused_by(error) from error
        subtype = self._file.subtype
        codec, bit_depth = _CODECS.get(subtype, (subtype.lower(), None))
        if container == "flac":
            codec = "flac"
        frames = self._file.frames
        undecoded = {name: text.decode("utf-8", "surrogateescape") for name, text in (tags or {}).items()}
        self.header = Header(
            container=container,
            codec=codec,
            sample_rate=self._file.samplerate,
            channels=self._file.channels,
            layout=name_speakers(self._file.channels, channel_mask),
            bit_depth=bit_depth,
            claimed_frames=frames if 0 < frames < 1 << 48 else None,
            tags=clean_tags({**self._file.copy_metadata(), **undecoded}),
            capture=capture,
        )

    def blocks(self, block_length: int) -> Iterator[Samples]:
        """Blocks of `block_length` frames, as far as libsndfile comes; see `stopped_early`."""
        # libsndfile hands 16-bit samples over as they are faster than as floats.
        is_int16 = self._file.subtype == "PCM_16"
        interleaved = np.empty(
            (block_length, self.header.channels), dtype=np.int16 if is_int16 else np.float32
        )
        scale = np.float32(2**-15 if is_int16 else 1)
        frames = 0
        while True:
            begin = self._file.tell()
            try:
                read = self._file.read(out=interleaved)
            except self._error:
                self.damaged_packets += 1
                # What came before the damage is in the buffer already.
                read = interleaved[: max(0, self._file.tell() - begin)]
            frames += len(read)
            if len(read) < block_length:
                self.stopped_early = bool(self.damaged_packets) or frames < (self.header.claimed_frames or 0)
                if self.stopped_early:
                    self.rest = deinterleave(read, scale)
                elif len(read):
                    yield deinterleave(read, scale)
                return
            yield deinterleave(read, scale)

    def close(self) -> None:
        """Release libsndfile's state; the file stays open."""
        self._file.close()


def _descriptor(file: BinaryIO) -> int | None:
    try:
        return file.fileno()
    except (OSError, AttributeError):
        return None
