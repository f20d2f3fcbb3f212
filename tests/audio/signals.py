"""Signals that the tests synthesise, and files that they encode."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "audio"

Samples = npt.NDArray[np.float32]

# Container, codec and rate of the kinds of file that PyAV writes; Vorbis is left to libsndfile.
FORMATS = {
    "wav": ("wav", "pcm_s16le", 44_100),
    "wav24": ("wav", "pcm_s24le", 44_100),
    "wavfloat": ("wav", "pcm_f32le", 44_100),
    "aiff": ("aiff", "pcm_s16be", 44_100),
    "flac": ("flac", "flac", 44_100),
    "mp3": ("mp3", "libmp3lame", 44_100),
    "opus": ("ogg", "libopus", 48_000),
    "m4a": ("ipod", "aac", 44_100),
    "webm": ("webm", "libopus", 48_000),
    "caf": ("caf", "pcm_s16le", 44_100),
}


def tone(*, seconds: float, sample_rate: int, channels: int = 2, frequency_hz: float = 440.0) -> Samples:
    """A sine at -12 dBFS with a little noise, each channel 3 dB below the one before: (channels, n)."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    noise = np.random.default_rng(7).standard_normal(time.size) * 0.002
    mono = 0.25 * np.sin(2 * np.pi * frequency_hz * time) + noise
    gains = 10 ** (-3 * np.arange(channels) / 20)
    return (gains[:, np.newaxis] * mono).astype(np.float32)


def wav(y: Samples, sample_rate: int, *, subtype: str = "PCM_16", container: str = "WAV") -> bytes:
    """y of shape (channels, n) as the bytes of a file that libsndfile writes."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", sample_rate, len(y), subtype, format=container) as output:
        # In pieces: libvorbis keeps a whole write on the stack.
        for start in range(0, y.shape[1], 4096):
            output.write(y.T[start : start + 4096])
    return file.getvalue()


def recorded(name: str) -> tuple[Samples, int, str]:
    """A shared recording as FFmpeg decodes it: (channels, n), sample rate, layout.

    The test is skipped where the recording is not.
    """
    path = RECORDINGS / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return decoded(path.read_bytes())


def decoded(file: bytes) -> tuple[Samples, int, str]:
    """A sound file as FFmpeg decodes it: (channels, n), sample rate, layout."""
    with av.open(io.BytesIO(file), "r") as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp", layout=stream.layout.name)
        frames = [f for frame in [*container.decode(stream), None] for f in resampler.resample(frame)]
        y = np.concatenate([f.to_ndarray() for f in frames], axis=1)
        return np.ascontiguousarray(y, dtype=np.float32), stream.rate, stream.layout.name


def encode(kind: str, y: Samples) -> bytes:
    """y of shape (channels, n), at the rate of FORMATS[kind], as the bytes of such a file."""
    container, codec, sample_rate = FORMATS[kind]
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        output.metadata["title"] = "A tone"
        stream: Any = output.add_stream(codec, rate=sample_rate, layout={1: "mono", 2: "stereo"}[len(y)])
        resampler = av.AudioResampler(
            format=stream.codec_context.format,
            layout=stream.layout,
            rate=sample_rate,
            frame_size=stream.codec_context.frame_size or 1024,
        )
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(y), format="fltp", layout=stream.layout.name)
        frame.sample_rate = sample_rate
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    return file.getvalue()
