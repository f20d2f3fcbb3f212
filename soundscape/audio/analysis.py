"""The one pass: a recording is decoded once, block by block, and every part listens as it goes by."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from soundscape.audio import pictures, waveform
from soundscape.audio.decode import AudioFile, Limits, Source, open_audio, opened
from soundscape.audio.record import Pictures, Record, Stage, Waveform
from soundscape.audio.record import Source as SourceFacts

# Counts up when results change although no parameter below does.
GENERATION = 1
STAGES = {
    "hash": "1",
    "decode": "1",
    "loudness": "0",
    "spectral": "0",
    "rhythm": "0",
    "tonality": "0",
    "fingerprint": "0",
    "tags": "0",
    "embedding": "0",
    "waveform": "1",
    "pictures": "1",
}
_NO_OUT_DIR = "No output directory was given; name one with --out."
_NOT_BUILT = "Not part of this version."


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


def analysis_version() -> str:
    """Name of the code and its parameters, safe in object names: `a<generation>-<digest>`."""
    digest = hashlib.sha256(json.dumps(STAGES, sort_keys=True).encode()).hexdigest()
    return f"a{GENERATION}-{digest[:8]}"


def analyze(
    source: Source,
    *,
    out_dir: Path | None = None,
    limits: Limits | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Record:
    """Analyse one recording in one pass, in memory that does not grow with its length.

    source: a path, a descriptor, or an open, seekable binary file. Content decides what it is, names are not
    used.
    out_dir: where waveform and pictures are written (made if missing); None: those stages are skipped.
    progress: called after each block.

    Raises `UnreadableAudio` or `PolicyRefusal` with a code of the table in `soundscape.audio.decode`, and
    `OSError` where the source cannot be read.
    """
    with opened(source) as file:
        return _Pass(file, out_dir=out_dir, limits=limits or Limits(), progress=progress).run()


@dataclass
class _Clock:
    """Seconds spent in each stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin

    def stages(self) -> tuple[Stage, ...]:
        return tuple(
            Stage(
                name=name,
                version=version,
                status="skipped" if name in self.skipped else "done",
                seconds=round(self.seconds.get(name, 0.0), 6),
                reason=self.skipped.get(name),
            )
            for name, version in STAGES.items()
        )


class _Pass:
    def __init__(
        self,
        file: BinaryIO,
        *,
        out_dir: Path | None,
        limits: Limits,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.file = file
        self.out_dir = out_dir
        self.limits = limits
        self.progress = progress
        self.clock = _Clock()

    def run(self) -> Record:
        begin = time.perf_counter()
        for name in ("loudness", "spectral", "rhythm", "tonality", "fingerprint", "tags", "embedding"):
            self.clock.skipped[name] = _NOT_BUILT
        with open_audio(self.file, self.limits) as audio:
            peak_meter = waveform.PeakMeter(channels=audio.header.channels)
            pcm_hash = hashlib.sha256()
            blocks = audio.blocks()
            while True:
                with self.clock.stage("decode"):
                    block = next(blocks, None)
                if block is None:
                    break
                with self.clock.stage("hash"):
                    pcm_hash.update(np.ascontiguousarray(block.T).data)
                with self.clock.stage("waveform"):
                    peak_meter.push(block)
                if self.progress is not None:
                    self.progress(
                        Progress(audio.duration_s, audio.claimed_duration_s, time.perf_counter() - begin)
                    )
            source = self._source(audio, pcm_hash.hexdigest())
        drawn, pictured = self._write(peak_meter.result(), source)
        return Record(
            source=source,
            loudness=None,
            rhythm=None,
            tonality=None,
            spectral=None,
            tags=None,
            embedding=None,
            fingerprint=None,
            waveform=drawn,
            pictures=pictured,
            stages=self.clock.stages(),
            analysis_version=analysis_version(),
        )

    def _source(self, audio: AudioFile, pcm_sha256: str) -> SourceFacts:
        with self.clock.stage("hash"):
            self.file.seek(0)
            sha256 = hashlib.file_digest(self.file, "sha256").hexdigest()  # type: ignore[arg-type]
        header = audio.header
        return SourceFacts(
            container=header.container,
            codec=header.codec,
            sample_rate=header.sample_rate,
            channels=header.channels,
            layout=header.layout,
            bit_depth=header.bit_depth,
            duration_s=audio.duration_s,
            claimed_duration_s=audio.claimed_duration_s,
            truncated=audio.truncated,
            damaged_packets=audio.damaged_packets,
            size_bytes=audio.size_bytes,
            sha256=sha256,
            pcm_sha256=pcm_sha256,
            tags=header.tags,
        )

    def _write(self, peaks: waveform.Peaks, source: SourceFacts) -> tuple[Waveform | None, Pictures | None]:
        if self.out_dir is None:
            self.clock.skipped["waveform"] = self.clock.skipped["pictures"] = _NO_OUT_DIR
            return None, None
        self.out_dir.mkdir(parents=True, exist_ok=True)
        with self.clock.stage("waveform"):
            drawn = waveform.write(
                peaks,
                self.out_dir,
                sample_rate=source.sample_rate,
                samples_per_pixel=waveform.FINEST_SAMPLES_PER_PIXEL,
            )
        with self.clock.stage("pictures"):
            pictures.draw_waveform(peaks, self.out_dir / "waveform.png", theme=pictures.LIGHT)
            pictures.draw_waveform(peaks, self.out_dir / "waveform_dark.png", theme=pictures.DARK)
        return drawn, Pictures(
            waveform="waveform.png",
            waveform_dark="waveform_dark.png",
            spectrogram=None,
            spectrogram_dark=None,
            spectrogram_tiles=None,
        )
