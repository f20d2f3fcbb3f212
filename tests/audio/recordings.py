"""The real recordings beside the checkout or, where they are not, sounds synthesised in the same formats."""

from __future__ import annotations

import io
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "audio"

# Container, codec, sample rate, channels, seconds of each recording. PyAV encodes all but Vorbis.
FORMATS = {
    "ambi_lunar_land.flac": ("flac", "flac", 44_100, 2, 7.4),
    "applause.wav": ("wav", "pcm_s16le", 44_100, 2, 6.0),
    "arcade_music_f32.wav": ("wav", "pcm_f32le", 44_100, 2, 5.0),
    "bass_voxy_c.flac": ("flac", "flac", 44_100, 2, 6.2),
    "birds1.flac": ("flac", "flac", 44_100, 2, 13.0),
    "car_engine.mp3": ("mp3", "libmp3lame", 44_100, 2, 13.7),
    "cinematic_48k.opus": ("ogg", "libopus", 48_000, 2, 15.4),
    "crowd_24bit.wav": ("wav", "pcm_s24le", 44_100, 2, 5.0),
    "drum_cymbal_open.flac": ("flac", "flac", 44_100, 1, 1.8),
    "humpback.ogg": ("ogg", "vorbis", 22_050, 1, 12.0),
    "hungarian_dance_5.ogg": ("ogg", "vorbis", 22_050, 1, 12.0),
    "jazz_guitar.flac": ("flac", "flac", 44_100, 2, 11.5),
    "lets_go_fishin_excerpt.m4a": ("ipod", "aac", 44_100, 2, 20.0),
    "rain.ogg": ("ogg", "vorbis", 44_100, 2, 12.3),
    "silence.flac": ("flac", "flac", 44_100, 2, 5.0),
    "snoring.ogg": ("ogg", "vorbis", 44_100, 1, 16.5),
    "speech_a.ogg": ("ogg", "vorbis", 22_050, 1, 13.9),
    "speech_b_16k.ogg": ("ogg", "vorbis", 16_000, 1, 14.8),
    "thunder.opus": ("ogg", "libopus", 48_000, 2, 14.0),
    "train.m4a": ("ipod", "aac", 44_100, 2, 17.4),
    "trumpet_F_90bpm.ogg": ("ogg", "vorbis", 44_100, 2, 5.3),
    "typing_22k.wav": ("wav", "pcm_s16le", 22_050, 1, 8.0),
    "vibe_ace.ogg": ("ogg", "vorbis", 44_100, 2, 24.0),
}


def names() -> list[str]:
    """Every recording that is here, or every one that can be synthesised."""
    if not FOLDER.is_dir():
        return list(FORMATS)
    return sorted(path.name for path in FOLDER.iterdir() if path.suffix != ".md")


def read(name: str) -> bytes:
    """The recording, or a sound in its format where the recording is not here."""
    path = FOLDER / name
    return path.read_bytes() if path.exists() else synthesised(name)


@cache
def synthesised(name: str) -> bytes:
    """A file in the format of the recording `name`. Each name has a sound of its own, always the same."""
    container, codec, sample_rate, channels, duration_s = FORMATS[name]
    y = _sound(name, round(duration_s * sample_rate), sample_rate, channels)
    if codec == "vorbis":
        file = io.BytesIO()
        with soundfile.SoundFile(file, "w", sample_rate, channels, "VORBIS", format="OGG") as output:
            # In pieces: libvorbis keeps a whole write on the stack.
            for start in range(0, y.shape[1], 4096):
                output.write(y.T[start : start + 4096])
        return file.getvalue()
    return _encoded(y, container, codec, sample_rate)


def _sound(name: str, n: int, sample_rate: int, channels: int) -> Any:
    """Shape (channels, n): some notes over a noise, both louder and softer from moment to moment."""
    y = np.zeros((channels, n), np.float32)
    if name.startswith("silence"):
        return y
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    t = np.arange(n) / sample_rate
    pitches_hz = 110 * 2 ** (rng.integers(0, 48, 5) / 12)
    steps = np.arange(0, n, sample_rate // 8)
    levels_db = rng.uniform(-8, 0, steps.size) + rng.uniform(-12, 0)
    envelope = 10 ** (np.interp(np.arange(n), steps, levels_db) / 20)
    darkness = rng.uniform(0, 2)
    for channel in range(channels):
        spectrum = np.fft.rfft(rng.standard_normal(n))
        spectrum /= np.maximum(np.fft.rfftfreq(n, 1 / sample_rate), 50) ** darkness
        noise = np.fft.irfft(spectrum, n)
        notes = sum(np.sin(2 * np.pi * pitch_hz * t + channel) for pitch_hz in pitches_hz) / 5
        mixed = 0.5 * noise / np.abs(noise).max() + rng.uniform(0.1, 0.5) * notes
        y[channel] = envelope * mixed * 0.9
    return y


def _encoded(y: Any, container: str, codec: str, sample_rate: int) -> bytes:
    file = io.BytesIO()
    layout = {1: "mono", 2: "stereo"}[len(y)]
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=sample_rate, layout=layout)
        resampler = av.AudioResampler(
            format=stream.codec_context.format,
            layout=stream.layout,
            rate=sample_rate,
            frame_size=stream.codec_context.frame_size or 1024,
        )
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(y), format="fltp", layout=layout)
        frame.sample_rate = sample_rate
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    return file.getvalue()
