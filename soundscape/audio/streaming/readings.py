"""Readings of the moment, from sound as it arrives: the meters of the analysis, in short steps.

They are apart from the meters of the record. Those need whole blocks of more than a second to be the same as
for a file; a reading is wanted within some milliseconds.

Every reading has `audio_time_s`: where the sound ends that it was measured on, in seconds from the beginning.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache
from typing import Any

import numpy as np

from soundscape.audio.decode.reader import Header, Samples
from soundscape.audio.fingerprint import Fingerprint, Fingerprinter
from soundscape.audio.loudness.meter import LoudnessMeter
from soundscape.audio.loudness.true_peak import TruePeakMeter
from soundscape.audio.mono import MonoMix
from soundscape.audio.spectrum import (
    BINS,
    HOP_LENGTH,
    MELS,
    N_FFT,
    SAMPLE_RATE,
    Float32,
    Frames,
    Spectrum,
    mel_filters,
)
from soundscape.audio.streaming.pitch import WINDOW_SAMPLES, find_pitch
from soundscape.audio.streaming.resampler import QuickResampler
from soundscape.audio.streaming.rhythm import RecentRhythm
from soundscape.audio.tonality.meter import TonalityMeter

FEATURES = ("levels", "spectrum", "pitch", "onset", "beat", "tempo", "key")
"""What is measured here. Tags and matches are measured elsewhere."""
MATCH_WINDOW_S = 10.0
TEMPO_EVERY_S = 1.0
BEATS_EVERY_S = 0.25
KEY_EVERY_S = 2.0
KEY_WINDOW_S = 30.0
"""The key is that of the latest 15 to 30 s."""
SPECTRUM_DELAY_S = N_FFT / 2 / SAMPLE_RATE
FLOOR_DB = -120.0

Reading = dict[str, Any]
_MONO_FEATURES = {"spectrum", "pitch", "onset", "beat", "tempo", "key", "match"}


class Readings:
    """Measures what was asked for.

    Parameters
    ----------
    header
        Sample rate, channels and layout.
    features
        Names of `FEATURES`; `match` keeps the latest 10 s for `fingerprint`.
    """

    def __init__(self, header: Header, features: Collection[str]) -> None:
        rate, channels = header.sample_rate, header.channels
        self._features = frozenset(features)
        self._sample_rate = rate
        self._samples = 0
        self._loudness = LoudnessMeter(sample_rate=rate, channels=channels, layout=header.layout)
        self._peak = TruePeakMeter(sample_rate=rate, channels=channels)
        self._mix = MonoMix(sample_rate=rate, channels=channels)
        self._resampler = QuickResampler(sample_rate=rate)
        self._spectrum = Spectrum()
        self._mono_samples = 0
        self._recent = np.empty(0, dtype=np.float32)
        self._kept_samples = 0
        if "pitch" in self._features:
            self._kept_samples = WINDOW_SAMPLES
        if "match" in self._features:
            self._kept_samples = int(MATCH_WINDOW_S * SAMPLE_RATE)
        self._rhythm = RecentRhythm() if self._features & {"onset", "beat", "tempo"} else None
        self._keys = [TonalityMeter()]
        self._frames = 0
        self._due: dict[str, float] = {}

    @property
    def audio_time_s(self) -> float:
        """Seconds of sound so far."""
        return self._samples / self._sample_rate

    def push(self, block: Samples) -> list[Reading]:
        """Take samples, float32, shape (channels, n), any n >= 0; return what can be read now."""
        if not block.shape[1]:
            return []
        self._samples += block.shape[1]
        found: list[Reading] = []
        if "levels" in self._features:
            found.append(self._read_levels(block))
        if self._features & _MONO_FEATURES:
            found += self._read_mono(self._resampler.push(self._mix.push(block)))
        return found

    def fingerprint(self) -> Fingerprint:
        """Fingerprint the latest 10 s."""
        spectrum, fingerprinter = Spectrum(), Fingerprinter()
        for frames in (*spectrum.push(self._recent), *spectrum.finish()):
            fingerprinter.push(frames.S)
        return fingerprinter.result()

    def _read_levels(self, block: Samples) -> Reading:
        self._loudness.push(block)
        self._peak.push(block)
        return {
            "type": "levels",
            "audio_time_s": round(self.audio_time_s, 4),
            "momentary_lufs": _rounded(self._loudness.latest_momentary_lufs()),
            "short_term_lufs": _rounded(self._loudness.latest_short_term_lufs()),
            "true_peak_dbtp": _rounded(self._peak.take().true_peak_dbtp),
        }

    def _read_mono(self, y: Float32) -> Iterator[Reading]:
        self._mono_samples += len(y)
        if self._kept_samples:
            self._recent = np.concatenate([self._recent, y])[-self._kept_samples :]
        batches = list(self._spectrum.push(y))
        for frames in batches:
            self._frames += len(frames.S)
            if self._rhythm is not None:
                self._rhythm.push(frames.log_mel_db)
            if "key" in self._features:
                self._push_key(frames)
        if batches and "spectrum" in self._features:
            yield self._read_spectrum(batches)
        if "pitch" in self._features:
            yield self._read_pitch()
        if batches and self._rhythm is not None:
            yield from self._read_rhythm(self._rhythm)
        if batches and "key" in self._features and self._is_due("key", KEY_EVERY_S):
            yield self._read_key()

    def _read_spectrum(self, batches: list[Frames]) -> Reading:
        # The loudest of the frames since the last reading, so that nothing short is missed.
        level_db = np.max([frames.log_mel_db.max(axis=0) for frames in batches], axis=0) - full_scale_db()
        return {
            "type": "spectrum",
            "audio_time_s": self._spectrum_time_s(),
            "bands_db": np.round(np.maximum(level_db, FLOOR_DB), 1).tolist(),
        }

    def _read_pitch(self) -> Reading:
        pitch = find_pitch(self._recent)
        return {
            "type": "pitch",
            "audio_time_s": round(self._mono_samples / SAMPLE_RATE, 4),
            "frequency_hz": pitch.frequency_hz,
            "confidence": pitch.confidence,
        }

    def _read_rhythm(self, rhythm: RecentRhythm) -> Iterator[Reading]:
        now_s = self._spectrum_time_s()
        if "onset" in self._features:
            for onset in rhythm.find_onsets():
                yield {
                    "type": "onset",
                    "audio_time_s": now_s,
                    "time_s": onset.time_s,
                    "strength_db": onset.strength_db,
                }
        if not self._features & {"tempo", "beat"}:
            return
        if self._is_due("tempo", TEMPO_EVERY_S):
            tempo = rhythm.measure_tempo()
            if "tempo" in self._features:
                yield {
                    "type": "tempo",
                    "audio_time_s": now_s,
                    "tempo_bpm": _rounded(tempo.bpm),
                    "confidence": round(tempo.confidence, 4),
                }
        if "beat" in self._features and self._is_due("beat", BEATS_EVERY_S):
            for time_s in rhythm.find_beats():
                yield {"type": "beat", "audio_time_s": now_s, "time_s": time_s}

    def _push_key(self, frames: Frames) -> None:
        # Two meters, half a window apart: the older one is read, and then replaced by the younger one.
        if self._is_due("key window", KEY_WINDOW_S / 2):
            self._keys = [*self._keys[-1:], TonalityMeter()]
        for meter in self._keys:
            meter.push(frames.S)

    def _read_key(self) -> Reading:
        tonality = self._keys[0].result()
        return {
            "type": "key",
            "audio_time_s": self._spectrum_time_s(),
            "key": tonality.key,
            "mode": tonality.mode,
            "confidence": tonality.confidence,
        }

    def _spectrum_time_s(self) -> float:
        """Where the latest frame ends."""
        return round(((self._frames - 1) * HOP_LENGTH) / SAMPLE_RATE + SPECTRUM_DELAY_S, 4)

    def _is_due(self, name: str, every_s: float) -> bool:
        now_s = self.audio_time_s
        if now_s < self._due.get(name, every_s):
            return False
        self._due[name] = now_s + every_s
        return True


@cache
def full_scale_db() -> Float32:
    """Level of each mel band for a sine of full scale at its centre, float32, shape (128,)."""
    filters = mel_filters().astype(np.float64)
    window = np.hanning(N_FFT + 1)[:-1]
    levels = np.empty(MELS, dtype=np.float32)
    for band, centre_hz in enumerate(band_centres_hz()):
        sine = np.sin(2 * np.pi * centre_hz / SAMPLE_RATE * np.arange(N_FFT)) * window
        power = np.abs(np.fft.rfft(sine)) ** 2
        levels[band] = 10 * np.log10(filters[band] @ power)
    return levels


@cache
def band_centres_hz() -> tuple[float, ...]:
    """Centre of each mel band, Hz: its highest weight."""
    bins_hz = np.arange(BINS) * (SAMPLE_RATE / N_FFT)
    return tuple(round(float(bins_hz[int(np.argmax(row))]), 1) for row in mel_filters())


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
