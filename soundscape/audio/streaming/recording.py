"""The record of sound that streams in: the meters of a file, fed block by block."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from soundscape.audio.decode.audio_file import BLOCK_LENGTH
from soundscape.audio.decode.reader import BlockCutter, Header, Samples
from soundscape.audio.meter_chain import MeterChain
from soundscape.audio.origin import Origin
from soundscape.audio.record import Record

if TYPE_CHECKING:
    from soundscape.audio.tagging.tagger import Tagger


class StreamRecording:
    """Feeds the meters of a file with a stream.

    The record is that of `soundscape.audio.analyze` of the same samples, whatever pieces they came in.

    Parameters
    ----------
    header
        Sample rate, channels and layout.
    tags
        Whether to listen with the model.
    out_dir
        Where waveform, fingerprint and pictures are written. None: nothing is written.
    models_dir
        Where pulled models lie. None: where `soundscape models pull` puts them.
    """

    def __init__(
        self, header: Header, *, tags: bool, out_dir: Path | None = None, models_dir: Path | None = None
    ) -> None:
        self._chain = MeterChain(header, out_dir=out_dir)
        self._cutter = BlockCutter(BLOCK_LENGTH)
        if tags:
            self._chain.open_tagger(models_dir)
        else:
            self._chain.skip_tags()

    @property
    def tagger(self) -> Tagger | None:
        """The model at work; None where it is left out or missing."""
        return self._chain.tagger

    def push(self, piece: Samples) -> None:
        """Take a piece, float32, shape (channels, n), any n >= 0."""
        for block in self._cutter.push(piece):
            self._chain.push(block)

    def finish(self, origin: Origin, *, sha256: str) -> Record:
        """Make the record; nothing may be pushed afterwards.

        Parameters
        ----------
        origin
            Where the samples came from.
        sha256
            Of its bytes, hexadecimal.
        """
        for block in self._cutter.finish():
            self._chain.push(block)
        self._chain.finish()
        return self._chain.make_record(origin, sha256=sha256)
