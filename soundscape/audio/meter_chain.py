"""The meters of the analysis, and the way of a block of samples through all of them.

A file and a microphone take the same way: `analysis` pushes the blocks of a file, `streaming` those of a
stream.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soundscape.audio import fingerprint, record
from soundscape.audio.fingerprint.acoustid import AcoustIdMeter
from soundscape.audio.fingerprint.exact import PcmDigest
from soundscape.audio.loudness.meter import LoudnessMeter
from soundscape.audio.measurements import Embedding, Rhythm, Spectral
from soundscape.audio.meter import Meter
from soundscape.audio.mono import MonoMix
from soundscape.audio.own_spectrum import OVERLAPPING_S, OwnFrames, OwnSpectrum
from soundscape.audio.playback import is_playable, wants_preview
from soundscape.audio.record import Record
from soundscape.audio.render import pictures, waveform
from soundscape.audio.render.spectrogram import Spectrogram
from soundscape.audio.rhythm.meter import RhythmMeter
from soundscape.audio.spectral import (
    NarrowSpectral,
    SpectralMeter,
    find_top_hz,
    join_bands,
)
from soundscape.audio.spectrum import FRAME_RATE_HZ, N_FFT, SAMPLE_RATE, Frames, Resampler, Spectrum
from soundscape.audio.stages import StageClock, analysis_version
from soundscape.audio.tagging import embedding, models, yamnet
from soundscape.audio.tagging.character import CharacterMeter
from soundscape.audio.tagging.small_network import SmallNetwork
from soundscape.audio.tagging.tagger import Tagger, TagResult
from soundscape.audio.tonality.meter import TonalityMeter
from soundscape.audio.wideband import WidebandMeter
from soundscape.errors import ModelError

if TYPE_CHECKING:
    from soundscape.audio.decode.reader import Header, Samples
    from soundscape.audio.origin import Origin

_NO_OUT_DIR = "There is no directory to write to; name one with --out."
_TURNED_OFF = "Turned off for this analysis."
_OUT_OF_BAND = "The sound lies above {top_hz:.0f} Hz, where this does not listen."
# Bins 6 to 511 of the shared spectrum.
_FINGERPRINT_BAND_HZ = (6 * SAMPLE_RATE / N_FFT, 511 * SAMPLE_RATE / N_FFT)
# What lies 30 dB and more below the rest is not the sound, but its background.
MIN_NARROW_SHARE = 1e-3


class MeterChain:
    """The meters of one recording, and the way of a block through them.

    The blocks are part of the definition: the mix to mono and some sums depend on where a recording is cut.
    Every block but the last has `BLOCK_LENGTH` frames, whether they come from a file or from a microphone.

    Parameters
    ----------
    header
        Sample rate, channels and layout.
    out_dir
        Where files are written, made if missing. None: nothing is written.
    draw
        Whether to draw the pictures; only with `out_dir`.
    """

    def __init__(self, header: Header, *, out_dir: Path | None = None, draw: bool = True) -> None:
        rate, channels = header.sample_rate, header.channels
        self._out_dir = out_dir
        self._draw = draw and out_dir is not None
        self.clock = StageClock()

        self._pcm_digest = PcmDigest()
        self._loudness = LoudnessMeter(sample_rate=rate, channels=channels, layout=header.layout)
        self._acoustid = AcoustIdMeter(sample_rate=rate, channels=channels)
        self._peaks = waveform.PeakMeter(sample_rate=rate, channels=channels)
        self._block_meters: tuple[tuple[str, Meter[Samples, Any]], ...] = (
            ("hash", self._pcm_digest),
            ("loudness", self._loudness),
            ("fingerprint", self._acoustid),
            ("waveform", self._peaks),
        )

        self._mono = MonoMix(sample_rate=rate, channels=channels)
        self._top_hz = find_top_hz(rate)
        self._own_spectrum = OwnSpectrum(sample_rate=rate, overlapping_s=OVERLAPPING_S if self._draw else 0)
        self._wideband = WidebandMeter(sample_rate=rate, narrow_top_hz=self._top_hz)
        self._spectral = SpectralMeter(top_hz=self._top_hz)
        self._character = CharacterMeter(top_hz=self._top_hz)
        self._rhythm = RhythmMeter(frame_rate_hz=FRAME_RATE_HZ)
        self._tonality = TonalityMeter()
        self._fingerprint = fingerprint.Fingerprinter()
        self._spectrogram = Spectrogram(sample_rate=rate)
        self._frame_meters: list[tuple[str, Meter[Any, Any], Callable[[Frames], Any]]] = [
            ("spectral", self._spectral, lambda frames: frames),
            ("embedding", self._character, lambda frames: frames),
            ("rhythm", self._rhythm, attrgetter("log_mel_db")),
            ("tonality", self._tonality, attrgetter("S")),
            ("fingerprint", self._fingerprint, attrgetter("S")),
        ]
        if self._draw:
            self._frame_meters.append(("pictures", self._spectrogram, attrgetter("S")))

        self._resampler = Resampler(sample_rate=rate)
        self._spectrum = Spectrum()
        self._network_signal = Resampler(sample_rate=SAMPLE_RATE, target_rate=yamnet.SAMPLE_RATE)
        self._tagger: Tagger | None = None
        self._small_network = SmallNetwork()

    def open_tagger(self, models_dir: Path | None) -> None:
        """Load the model, or skip its stage with what fixes that."""
        try:
            tagger = Tagger(models.find("yamnet", directory=models_dir))
            # Now, not at the first full batch, which a short recording only reaches when the record is made.
            tagger.load()
            self._tagger = tagger
        except ModelError as error:
            self.clock.skip("tags", str(error))

    def skip_tags(self) -> None:
        """Leave the model out."""
        self.clock.skip("tags", _TURNED_OFF)

    @property
    def tagger(self) -> Tagger | None:
        """The model at work; None where it is left out or missing."""
        return self._tagger

    def push(self, block: Samples) -> None:
        """Take the next block, float32, shape (channels, n)."""
        for stage, meter in self._block_meters:
            with self.clock.run(stage):
                meter.push(block)
        with self.clock.run("spectrum"):
            mono = self._mono.push(block)
            own = list(self._own_spectrum.push(mono))
        self._push_own(own)
        with self.clock.run("spectrum"):
            y = self._resampler.push(mono)
        self._push_mono(y)

    def finish(self) -> None:
        """Push what is still under way in the resamplers; call it once, after the last block."""
        with self.clock.run("spectrum"):
            own = list(self._own_spectrum.finish())
        self._push_own(own)
        with self.clock.run("spectrum"):
            rest = self._resampler.finish()
        self._push_mono(rest, last=True)

    def _push_own(self, batches: list[OwnFrames]) -> None:
        for frames in batches:
            with self.clock.run("spectral"):
                self._wideband.push(frames)
            if self._draw:
                with self.clock.run("pictures"):
                    self._spectrogram.push_own(frames)

    def _push_mono(self, y: Samples, *, last: bool = False) -> None:
        with self.clock.run("spectrum"):
            batches = list(self._spectrum.push(y))
            if last:
                batches += self._spectrum.finish()
        for frames in batches:
            for stage, meter, part_of in self._frame_meters:
                with self.clock.run(stage):
                    meter.push(part_of(frames))
        if self._tagger is not None:
            with self.clock.run("tags"):
                self._tagger.push(self._network_signal.push(y))
                if last:
                    self._tagger.push(self._network_signal.finish())
        else:
            with self.clock.run("embedding"):
                for frames in batches:
                    self._small_network.push(frames.log_mel_db)

    def make_record(self, origin: Origin, *, sha256: str) -> Record:
        """Sum up what the meters measured and write the files; call it once, after `finish`.

        Parameters
        ----------
        origin
            Where the samples came from.
        sha256
            Of its bytes, hexadecimal.
        """
        source = self._source(origin, sha256)
        with self.clock.run("loudness"):
            loudness = self._loudness.result()
        spectral, narrow = self._measure_spectrum()
        rhythm, tonality, heard = None, None, None
        if spectral is not None and narrow is None:
            for stage in ("rhythm", "tonality", "tags", "embedding"):
                self.clock.skip(stage, _OUT_OF_BAND.format(top_hz=self._top_hz))
        else:
            with self.clock.run("rhythm"):
                rhythm = self._rhythm.result(source.duration_s)
            with self.clock.run("tonality"):
                tonality = self._tonality.result()
            with self.clock.run("tags"):
                heard = None if self._tagger is None else self._tagger.result()
        embedded = None
        # Silence sounds like nothing, though the network has an opinion of it too.
        if narrow is not None:
            with self.clock.run("embedding"):
                embedded = self._embed(heard, rhythm)
        if spectral is None:
            self.clock.skip("embedding", "The recording holds no sound to embed.")
        if self._out_dir is not None:
            self._out_dir.mkdir(parents=True, exist_ok=True)
        summary = self._write_fingerprint()
        waveform_files, picture_files = self._write_pictures(source)
        return Record(
            source=source,
            capture=origin.header.capture,
            loudness=loudness,
            rhythm=rhythm,
            tonality=tonality,
            spectral=spectral,
            tags=None if heard is None else heard.tags,
            embedding=embedded,
            fingerprint=summary,
            waveform=waveform_files,
            pictures=picture_files,
            stages=self.clock.report(),
            analysis_version=analysis_version(tagged=heard is not None),
        )

    def _measure_spectrum(self) -> tuple[Spectral | None, NarrowSpectral | None]:
        """What is in the whole band, and in the shared spectrum; None where no sound is."""
        with self.clock.run("spectral"):
            wideband, narrow = self._wideband.result(), self._spectral.result()
            if wideband is None:
                return None, None
            if wideband.narrow_share < MIN_NARROW_SHARE:
                narrow = None
            return join_bands(wideband, narrow, self._wideband.band_hz, self._top_hz), narrow

    def _source(self, origin: Origin, sha256: str) -> record.Source:
        audio, header = origin, origin.header
        playable = is_playable(audio)
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
            holes=audio.holes,
            playable=playable,
            preview=wants_preview(audio, playable=playable),
            track=header.track,
            tracks=header.tracks,
            dc_offset=self._mono.dc_offset,
            phase_correlation=self._mono.phase_correlation,
            warnings=(*audio.warnings, *self._mono.warnings()),
            size_bytes=audio.size_bytes,
            sha256=sha256,
            pcm_blake3=self._pcm_digest.result(),
            tags=header.tags,
        )

    def _embed(self, heard: TagResult | None, rhythm: Rhythm | None) -> Embedding | None:
        character = self._character.result()
        if character is None:
            return None
        described = embedding.list_features(
            character=asdict(character),
            rhythm=None if rhythm is None else asdict(rhythm),
            loudness=asdict(self._loudness.result(relative=True)),
        )
        if heard is not None:
            return embedding.place(embedding.WITH_MODEL, heard.mean_embedding, described)
        features = self._small_network.result()
        return None if features is None else embedding.place(embedding.WITHOUT_MODEL, features, described)

    def _write_fingerprint(self) -> record.FingerprintSummary:
        with self.clock.run("fingerprint"):
            found = self._fingerprint.result()
            path = None
            if self._out_dir is not None:
                path = "fingerprint.bin"
                (self._out_dir / path).write_bytes(found.to_bytes())
            acoustid = self._acoustid.result().fingerprint
        return record.FingerprintSummary(
            algorithm=fingerprint.ALGORITHM,
            version=fingerprint.VERSION,
            peaks=len(found),
            band_hz=_FINGERPRINT_BAND_HZ,
            path=path,
            acoustid=acoustid,
        )

    def _write_pictures(self, source: record.Source) -> tuple[record.Waveform | None, record.Pictures | None]:
        if self._out_dir is None:
            self.clock.skip("waveform", _NO_OUT_DIR)
            self.clock.skip("pictures", _NO_OUT_DIR)
            return None, None
        with self.clock.run("waveform"):
            self._peaks.finish()
            peaks = self._peaks.result()
            waveform_files = waveform.write(peaks, self._out_dir, sample_rate=source.sample_rate)
        if not self._draw:
            self.clock.skip("pictures", _TURNED_OFF)
            return waveform_files, None
        with self.clock.run("pictures"):
            self._spectrogram.finish()
            rms = self._peaks.sums.rms(pictures.BARS)
            picture_files = pictures.draw(
                peaks, rms, self._spectrogram, self._out_dir, duration_s=source.duration_s
            )
        return waveform_files, picture_files
