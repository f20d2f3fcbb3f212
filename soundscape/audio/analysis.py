"""The one pass: a recording is decoded once, block by block, and each block goes through every meter."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from soundscape.audio.decode.audio_file import Source, open_audio, open_binary
from soundscape.audio.limits import Limits
from soundscape.audio.meter_chain import MeterChain
from soundscape.audio.record import Record


@dataclass(frozen=True)
class Progress:
    """How far the pass has come; `total_s` is None where the header gives no duration."""

    done_s: float
    total_s: float | None
    elapsed_s: float

    @property
    def speed(self) -> float:
        """Seconds of sound per second of work."""
        return self.done_s / self.elapsed_s if self.elapsed_s > 0 else 0.0


def analyze(
    source: Source,
    *,
    out_dir: Path | None = None,
    limits: Limits | None = None,
    tags: bool = True,
    draw: bool = True,
    models_dir: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Record:
    """Analyse one recording in one pass, in memory that hardly grows with its length.

    Parameters
    ----------
    source
        A path, a descriptor, or an open, seekable binary file. Its content decides what it is, not its name.
    out_dir
        Where waveform, fingerprint and pictures are written (made if missing). None: nothing is written.
    limits
        Which recordings are accepted. None: the product's limits.
    tags, draw
        Whether to listen with the model, and to draw the pictures.
    models_dir
        Where pulled models lie. None: where `soundscape models pull` puts them.
    progress
        Called after each block.

    Raises
    ------
    UnreadableAudio, PolicyRefusal
        The recording is refused, with a code of the table in `soundscape.audio.decode.refusals`.
    OSError
        The source cannot be read.
    """
    with open_binary(source) as file, open_audio(file, limits or Limits()) as audio:
        chain = MeterChain(audio.header, out_dir=out_dir, draw=draw)
        if tags:
            chain.open_tagger(models_dir)
        else:
            chain.skip_tags()
        begin = time.perf_counter()
        blocks = audio.blocks()
        while True:
            with chain.clock.run("decode"):
                block = next(blocks, None)
            if block is None:
                break
            chain.push(block)
            if progress is not None:
                elapsed_s = time.perf_counter() - begin
                progress(Progress(audio.duration_s, audio.claimed_duration_s, elapsed_s))
        chain.finish()
        with chain.clock.run("hash"):
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        return chain.make_record(audio, sha256=sha256)
