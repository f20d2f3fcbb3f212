"""The one pass: a recording is decoded once, block by block, and every part listens as it goes by."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

import numpy as np

from soundscape.audio import fingerprint, record
from soundscape.audio.decode.file import AudioFile, Source, open_audio, opened
from soundscape.audio.descriptors import DescriptorMeter
from soundscape.audio.fingerprint.acoustid import AcoustIdMeter
from soundscape.audio.fingerprint.exact import PcmDigest
from soundscape.audio.limits import Limits
from soundscape.audio.loudness import meter as loudness
from soundscape.audio.record import Record, Stage
from soundscape.audio.render import pictures, waveform
from soundscape.audio.render.spectrogram import Spectrogram
from soundscape.audio.rhythm import meter as rhythm
from soundscape.audio.spectrum import (
    FRAME_RATE_HZ,
    HOP_LENGTH,
    MELS,
    N_FFT,
    SAMPLE_RATE,
    MonoSignal,
    Spectrum,
)
from soundscape.audio.tagging import embedding, models, yamnet
from soundscape.audio.tagging.tagger import VERSION as TAGGING_VERSION
from soundscape.audio.tagging.tagger import Tagger
from soundscape.audio.tonality.meter import ToneProfile
from soundscape.errors import ModelError

if TYPE_CHECKING:
    from soundscape.audio.decode.readers import Samples

# A stage's version counts up when its results change; the stages are in the order in which they are reported.
STAGES = {
    "decode": "2",
    "hash": "1",
    "loudness": "1",
    "spectrum": "1",
    "spectral": "1",
    "rhythm": "1",
    "tonality": "1",
    "fingerprint": str(fingerprint.VERSION),
    "tags": f"yamnet-{TAGGING_VERSION}",
    "embedding": "1",
    "waveform": "1",
    "pictures": "1",
}
_PARAMETERS = {"sample_rate": SAMPLE_RATE, "n_fft": N_FFT, "hop_length": HOP_LENGTH, "mels": MELS}

_NO_OUT_DIR = "There is no directory to write to; name one with --out."
_TURNED_OFF = "Turned off for this analysis."


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


def analysis_version(*, tagged: bool) -> str:
    """Name of the code and its parameters: `a1-` and a digest, safe in object names.

    tagged: whether the model listened; without it tags are missing and the embedding is of another space.
    """
    space = embedding.projection("yamnet-128" if tagged else "descriptors-128").space
    named = json.dumps([STAGES, _PARAMETERS, space], sort_keys=True)
    return f"a1-{hashlib.sha256(named.encode()).hexdigest()[:10]}"


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

    source: a path, a descriptor, or an open, seekable binary file. Content decides what it is, not its name.
    out_dir: where waveform, fingerprint and pictures are written (made if missing); None: nothing is written.
    tags, draw: whether to listen with the model, and to draw the pictures.
    models_dir: where pulled models lie; None: where `soundscape models pull` puts them.
    progress: called after each block.

    Raises `UnreadableAudio` or `PolicyRefusal` with a code of the table in `soundscape.audio.decode.file`,
    and `OSError` where the source cannot be read.
    """
    with opened(source) as file:
        listening = _Pass(out_dir=out_dir, draw=draw)
        tagger = listening.open_tagger(models_dir) if tags else None
        if not tags:
            listening.clock.skip("tags", _TURNED_OFF)
        return listening.run(file, limits or Limits(), tagger, progress)


@dataclass
class _Clock:
    """Seconds spent in each stage, and why some were skipped."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    skipped: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - begin

    def skip(self, name: str, reason: str) -> None:
        self.skipped[name] = reason

    def stages(self) -> tuple[Stage, ...]:
        return tuple(
            Stage(
                name=name,
                version=version,
                status="skipped" if name in self.skipped else "done",
                seconds=round(self.seconds[name], 6),
                reason=self.skipped.get(name),
            )
            for name, version in STAGES.items()
        )


class _Pass:
    """The parts of one analysis, and the way of a block through them."""

    def __init__(self, *, out_dir: Path | None, draw: bool) -> None:
        self.clock = _Clock()
        self.out_dir = out_dir
        self.draw = draw and out_dir is not None
        self.pcm_digest = PcmDigest()
        self.spectrum = Spectrum()
        self.descriptors = DescriptorMeter()
        self.onsets = rhythm.OnsetEnvelope()
        self.tones = ToneProfile()
        self.fingerprinter = fingerprint.Fingerprinter()
        self.spectrogram = Spectrogram()
        self.to_network = MonoSignal(sample_rate=SAMPLE_RATE, channels=1, target_rate=yamnet.SAMPLE_RATE)
        self.tagger: Tagger | None = None

    def open_tagger(self, models_dir: Path | None) -> Tagger | None:
        try:
            tagger = Tagger(models.find("yamnet", directory=models_dir))
            # Now, not at the first full batch, which a short recording only reaches when the record is made.
            tagger.load()
            return tagger
        except ModelError as error:
            self.clock.skip("tags", str(error))
            return None

    def run(
        self,
        file: BinaryIO,
        limits: Limits,
        tagger: Tagger | None,
        progress: Callable[[Progress], None] | None,
    ) -> Record:
        self.tagger = tagger
        begin = time.perf_counter()
        with open_audio(file, limits) as audio:
            header = audio.header
            rate, channels = header.sample_rate, header.channels
            self.loudness = loudness.LoudnessMeter(sample_rate=rate, channels=channels, layout=header.layout)
            self.acoustid = AcoustIdMeter(sample_rate=rate, channels=channels)
            self.peaks = waveform.PeakMeter(channels=channels)
            self.to_mono = MonoSignal(sample_rate=rate, channels=channels)
            blocks = audio.blocks()
            while True:
                with self.clock.stage("decode"):
                    block = next(blocks, None)
                if block is None:
                    break
                self._push(block)
                if progress is not None:
                    elapsed_s = time.perf_counter() - begin
                    progress(Progress(audio.duration_s, audio.claimed_duration_s, elapsed_s))
            self._finish()
            with self.clock.stage("hash"):
                file.seek(0)
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
            return self._record(self._source(audio, sha256))

    def _push(self, block: Samples) -> None:
        with self.clock.stage("hash"):
            self.pcm_digest.push(block)
        with self.clock.stage("loudness"):
            self.loudness.push(block)
        with self.clock.stage("fingerprint"):
            self.acoustid.push(block)
        with self.clock.stage("waveform"):
            self.peaks.push(block)
        with self.clock.stage("spectrum"):
            mono = self.to_mono.push(block)
        self._push_mono(mono)

    def _push_mono(self, mono: Samples, *, last: bool = False) -> None:
        with self.clock.stage("spectrum"):
            batches = list(self.spectrum.push(mono))
            if last:
                batches += self.spectrum.finish()
        for frames in batches:
            with self.clock.stage("spectral"):
                self.descriptors.push(frames)
            with self.clock.stage("rhythm"):
                self.onsets.push(frames.log_mel_db)
            with self.clock.stage("tonality"):
                self.tones.push(frames.S)
            with self.clock.stage("fingerprint"):
                self.fingerprinter.push(frames.S)
            if self.draw:
                with self.clock.stage("pictures"):
                    self.spectrogram.push(frames.log_mel_db)
        if self.tagger is not None:
            with self.clock.stage("tags"):
                self.tagger.push(self.to_network.push(mono[np.newaxis]))
                if last:
                    self.tagger.push(self.to_network.finish())

    def _finish(self) -> None:
        with self.clock.stage("spectrum"):
            rest = self.to_mono.finish()
        self._push_mono(rest, last=True)

    def _source(self, audio: AudioFile, sha256: str) -> record.Source:
        header = audio.header
        return record.Source(
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
            pcm_sha256=self.pcm_digest.result(),
            tags=header.tags,
        )

    def _record(self, source: record.Source) -> Record:
        with self.clock.stage("loudness"):
            loud = record.Loudness(**asdict(self.loudness.result()))
        with self.clock.stage("spectral"):
            spectral = self.descriptors.result()
        with self.clock.stage("rhythm"):
            beats = record.Rhythm(
                **asdict(
                    rhythm.rhythm(
                        self.onsets.result(), frame_rate_hz=FRAME_RATE_HZ, duration_s=source.duration_s
                    )
                )
            )
        with self.clock.stage("tonality"):
            tones = self.tones.result()
            tonality = record.Tonality(
                key=tones.key,
                mode=cast("Literal['major', 'minor'] | None", tones.mode),
                confidence=tones.confidence,
                chroma=tones.chroma,
                tuning_cents=tones.tuning_cents,
            )
        with self.clock.stage("tags"):
            heard = self.tagger.result() if self.tagger is not None else None
        with self.clock.stage("embedding"):
            place = (
                embedding.project(heard.mean_embedding)
                if heard is not None
                else embedding.from_descriptors(
                    spectral=asdict(spectral) if spectral is not None else None,
                    tonality=asdict(tonality),
                    rhythm=asdict(beats),
                    loudness=asdict(loud),
                )
            )
        if place is None:
            self.clock.skip("embedding", "The recording holds no sound to place.")
        if self.out_dir is not None:
            self.out_dir.mkdir(parents=True, exist_ok=True)
        found = self._fingerprint()
        drawn, pictured = self._draw(source)
        return Record(
            source=source,
            loudness=loud,
            rhythm=beats,
            tonality=tonality,
            spectral=spectral,
            tags=None if heard is None else tuple(record.Tag(**asdict(tag)) for tag in heard.tags),
            embedding=None if place is None else record.Embedding(place.space, tuple(place.values.tolist())),
            fingerprint=found,
            waveform=drawn,
            pictures=pictured,
            stages=self.clock.stages(),
            analysis_version=analysis_version(tagged=heard is not None),
        )

    def _fingerprint(self) -> record.Fingerprint:
        with self.clock.stage("fingerprint"):
            found = self.fingerprinter.result()
            path = None
            if self.out_dir is not None:
                path = "fingerprint.bin"
                (self.out_dir / path).write_bytes(found.to_bytes())
            acoustid = self.acoustid.result().fingerprint
        return record.Fingerprint(
            algorithm=fingerprint.ALGORITHM,
            version=fingerprint.VERSION,
            peaks=len(found),
            path=path,
            acoustid=acoustid,
        )

    def _draw(self, source: record.Source) -> tuple[record.Waveform | None, record.Pictures | None]:
        if self.out_dir is None:
            self.clock.skip("waveform", _NO_OUT_DIR)
            self.clock.skip("pictures", _NO_OUT_DIR)
            return None, None
        with self.clock.stage("waveform"):
            peaks = self.peaks.result()
            drawn = waveform.write(peaks, self.out_dir, sample_rate=source.sample_rate)
        if not self.draw:
            self.clock.skip("pictures", _TURNED_OFF)
            return drawn, None
        with self.clock.stage("pictures"):
            pictured = pictures.draw(peaks, self.spectrogram, self.out_dir, duration_s=source.duration_s)
        return drawn, pictured
