"""Files as the world makes them, written by PyAV, soundfile and struct."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from signals import Samples

from soundscape.audio.decode.audio_file import AudioFile, open_audio
from soundscape.audio.limits import Limits
from soundscape.audio.loudness.meter import LoudnessMeter

ID3_TAG = b"ID3\x03\0\0\0\0\0\x15" + b"TIT2\0\0\0\x0b\0\0\0hello tag!"
# Container, codec and rate.
KINDS = {
    "flac": ("flac", "flac", 44_100),
    "wav": ("wav", "pcm_s16le", 44_100),
    "w64": ("w64", "pcm_s16le", 44_100),
    "aiff": ("aiff", "pcm_s16be", 44_100),
    "au": ("au", "pcm_s16be", 44_100),
    "caf": ("caf", "pcm_s16be", 44_100),
    "mp3": ("mp3", "libmp3lame", 44_100),
    "aac": ("adts", "aac", 44_100),
    "m4a": ("ipod", "aac", 44_100),
    "opus": ("ogg", "libopus", 48_000),
    "vorbis": ("ogg", "vorbis", 44_100),
    "oggflac": ("ogg", "flac", 44_100),
    "webm": ("webm", "libopus", 48_000),
    "mka": ("matroska", "aac", 44_100),
    "mkaflac": ("matroska", "flac", 44_100),
    "ts": ("mpegts", "aac", 44_100),
    "flv": ("flv", "aac", 44_100),
    "wma": ("asf", "wmav2", 44_100),
    "mpg": ("mpeg", "mp2", 44_100),
    "avi": ("avi", "libmp3lame", 44_100),
    "wv": ("wv", "wavpack", 44_100),
    "tta": ("tta", "tta", 44_100),
    "ac3": ("ac3", "ac3", 44_100),
}
Span = tuple[float, float]


class Pipe:
    """A file that can only be written on, as a pipe is."""

    def __init__(self) -> None:
        self._written = io.BytesIO()

    def write(self, data: bytes) -> int:
        return self._written.write(data)

    def getvalue(self) -> bytes:
        return self._written.getvalue()


def noise(seconds: float, sample_rate: int, channels: int = 2, seed: int = 7) -> Samples:
    """White noise at -20 dBFS, every channel of its own, shape (channels, n)."""
    generator = np.random.default_rng(seed)
    return (0.1 * generator.standard_normal((channels, round(seconds * sample_rate)))).astype(np.float32)


def write(
    kind: str,
    *,
    seconds: float = 4.0,
    spans: Iterable[Span] | None = None,
    channels: int = 2,
    sample_rate: int | None = None,
    piped: bool = False,
    video_s: float = 0.0,
    options: dict[str, str] | None = None,
) -> bytes:
    """A file of noise.

    kind: of KINDS. spans: when there is sound, seconds; the time stamps leave out the rest. piped: whether
    the writer could not seek back. video_s: how long a picture track beside it is.
    """
    container, codec, rate = KINDS[kind]
    rate = sample_rate or rate
    file = Pipe() if piped else io.BytesIO()
    with av.open(file, "w", format=container, options=options or {}) as output:
        stream: Any = output.add_stream(codec, rate=rate, layout={1: "mono", 2: "stereo"}[channels])
        if codec == "vorbis":
            stream.options = {"strict": "experimental"}
        stream.codec_context.bit_rate = 128_000
        if video_s:
            video_codec = {"webm": "libvpx", "mpegts": "mpeg2video", "flv": "flv"}.get(container, "mpeg4")
            pictures: Any = output.add_stream(video_codec, rate=25)
            pictures.width = pictures.height = 64
            for index in range(round(video_s * 25)):
                frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))
                frame.pts, frame.time_base = index, Fraction(1, 25)
                output.mux(pictures.encode(frame))
            output.mux(pictures.encode(None))
        stream.codec_context.time_base = Fraction(1, rate)
        _encode(output, stream, noise(seconds, rate, channels), list(spans or [(0.0, seconds)]))
    return file.getvalue()


def write_tracks(container: str, codec: str, lengths_s: Sequence[float], default: int) -> bytes:
    """Tracks of these lengths at 48 kHz, of which one is marked as default."""
    from av.stream import Disposition

    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        streams: list[Any] = [output.add_stream(codec, rate=48_000, layout="stereo") for _ in lengths_s]
        for index, stream in enumerate(streams):
            stream.disposition = Disposition.default if index == default else Disposition(0)
        for seed, (stream, length_s) in enumerate(zip(streams, lengths_s, strict=True)):
            _encode(output, stream, noise(length_s, 48_000, seed=seed), [(0.0, length_s)])
    return file.getvalue()


def _encode(
    output: av.container.OutputContainer, stream: av.AudioStream, y: Samples, spans: list[Span]
) -> None:
    rate = stream.codec_context.sample_rate
    length = stream.codec_context.frame_size or 1024
    resampler = av.AudioResampler(format=stream.codec_context.format, layout=stream.layout, rate=rate)
    for start_s, end_s in spans:
        # Whole frames, but for the last: encoders fill a short one with silence.
        begin, end = round(start_s * rate) // length * length, round(end_s * rate)
        if (start_s, end_s) != spans[-1]:
            end = end // length * length
        for at in range(begin, end, length):
            piece = y[:, at : min(at + length, end)]
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(piece), format="fltp", layout=stream.layout.name
            )
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            for converted in resampler.resample(frame):
                converted.pts, converted.time_base = at, Fraction(1, rate)
                output.mux(stream.encode(converted))
    output.mux(stream.encode(None))


def decode(data: bytes, limits: Limits | None = None) -> tuple[AudioFile, Samples]:
    """What the product decodes, shape (channels, n)."""
    with open_audio(io.BytesIO(data), limits) as audio:
        return audio, np.concatenate(list(audio.blocks()), axis=1)


def decode_plainly(data: bytes) -> Samples:
    """What FFmpeg decodes of the first track, time stamps ignored, damaged packets left out."""
    pieces = []
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp", layout=stream.layout.name)
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue
            for frame in frames:
                pieces += [piece.to_ndarray() for piece in resampler.resample(frame)]
        pieces += [piece.to_ndarray() for piece in resampler.resample(None)]
    return np.ascontiguousarray(np.concatenate(pieces, axis=1), dtype=np.float32)


def measure_lufs(y: Samples, sample_rate: int) -> float | None:
    """Integrated loudness of samples of shape (channels, n)."""
    meter = LoudnessMeter(sample_rate=sample_rate, channels=len(y), layout=None)
    meter.push(np.ascontiguousarray(y))
    return meter.result().integrated_lufs


def split_pages(data: bytes) -> list[bytes]:
    """The pages of an undamaged Ogg file."""
    pages, at = [], 0
    while data[at : at + 4] == b"OggS":
        count = data[at + 26]
        length = 27 + count + sum(data[at + 27 : at + 27 + count])
        pages.append(data[at : at + length])
        at += length
    return pages


def flip_bit(data: bytes, share: float, bit: int = 0) -> bytes:
    """The file with one bit changed, at a share of its length."""
    changed = bytearray(data)
    changed[int(len(data) * share)] ^= 1 << bit
    return bytes(changed)
