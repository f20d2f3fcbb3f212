"""The preview: an MP3 that every browser plays, as loud and as long as the recording.

MP3 with a constant bit rate and a Xing header: players find the length, skip the encoder's delay and seek by
arithmetic. docs/decisions/previews.md compares it with AAC.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import soxr

from soundscape.audio.decode.audio_file import AudioFile, Source, open_audio, open_binary
from soundscape.audio.limits import Limits
from soundscape.audio.loudness.meter import LoudnessMeter

if TYPE_CHECKING:
    import numpy.typing as npt

    from soundscape.audio.decode.reader import Samples

VERSION = "preview-1"
"""Changes with the encoding. It is a part of the preview's object name."""
FILE_NAME = "preview.mp3"
SAMPLE_RATES = (32_000, 44_100, 48_000)
"""Those of MPEG-1; players are less sure of the lower ones of MPEG-2."""
BIT_RATES = {1: 128_000, 2: 192_000}
# LAME turns the sound down at these rates (presets.c, `scale`), to leave room for its own noise. Undone here.
LAME_SCALES = {1: 0.95, 2: 0.97}
# Of 0 (slow) to 9. 7 takes a third less time, and makes pink noise 0.2 LU softer instead of 0.1.
_COMPRESSION_LEVEL = "5"
_LAYOUTS = {1: "mono", 2: "stereo"}
# BS.1770 gives surround channels 1.41 times the power of the front.
_SURROUND_GAIN = 1.41**0.5
_SURROUND = ("BL", "BR", "SL", "SR", "BC")
MAX_GAIN = 4.0


@dataclass(frozen=True)
class Preview:
    """An encoded preview. `duration_s`: seconds of sound in it."""

    path: str
    duration_s: float


def encode_preview(source: Source, out_dir: Path, *, limits: Limits | None = None) -> Preview:
    """Encode the preview of a recording into `out_dir`, in memory that does not grow with its length.

    Parameters
    ----------
    source
        As for `soundscape.audio.analysis.analyze`.
    out_dir
        Where `preview.mp3` is written.
    limits
        Which recordings are accepted. None: the product's limits.

    Raises
    ------
    UnreadableAudio, PolicyRefusal
        The recording is refused, as its analysis would be.
    """
    limits = limits or Limits()
    with open_binary(source) as file:
        gain = _measure_gain(file, limits)
        with open_audio(file, limits) as audio:
            rate, channels = choose_rate(audio.header.sample_rate), min(audio.header.channels, 2)
            blocks = _resample(_mix_blocks(audio, gain), audio.header.sample_rate, rate)
            frames = _write_mp3(blocks, out_dir / FILE_NAME, rate=rate, channels=channels)
    return Preview(FILE_NAME, frames / rate)


def choose_rate(sample_rate: int) -> int:
    """The sample rate of the preview: that of the source, or the one that divides it best."""
    if sample_rate in SAMPLE_RATES:
        return sample_rate
    return 44_100 if sample_rate % 11_025 == 0 else 48_000


def make_downmix(channels: int, layout: tuple[str, ...] | None) -> npt.NDArray[np.float32]:
    """The gains of each channel in left and right, shape (2, channels).

    Each channel keeps the power that BS.1770 gives it. So uncorrelated channels keep their loudness; the rest
    is measured. The low-frequency channel has no part in loudness and is left out, as in broadcasting.

    Parameters
    ----------
    channels
        How many there are, more than two.
    layout
        Their speakers; None: every second one is on the right.
    """
    gains = np.zeros((2, channels), dtype=np.float32)
    names = layout or tuple("FL" if index % 2 == 0 else "FR" for index in range(channels))
    for index, name in enumerate(names):
        gain = _SURROUND_GAIN if name in _SURROUND else 1.0
        if name == "LFE":
            continue
        if name.endswith(("L", "R")) or name in ("FLC", "FRC"):
            is_left = name.endswith("L") or name == "FLC"
            gains[0 if is_left else 1, index] = gain
        else:
            gains[:, index] = gain * 0.5**0.5
    return gains


def _measure_gain(file: BinaryIO, limits: Limits) -> float:
    """What makes a mix to two channels as loud as the recording; 1 where there is nothing to mix."""
    with open_audio(file, limits) as audio:
        header = audio.header
        if header.channels <= 2:
            return 1.0
        whole = LoudnessMeter(sample_rate=header.sample_rate, channels=header.channels, layout=header.layout)
        mixed = LoudnessMeter(sample_rate=header.sample_rate, channels=2, layout=("FL", "FR"))
        downmix = make_downmix(header.channels, header.layout)
        for block in audio.blocks():
            whole.push(block)
            mixed.push(np.ascontiguousarray(downmix @ block))
        wanted_lufs, found_lufs = whole.result().integrated_lufs, mixed.result().integrated_lufs
    if wanted_lufs is None or found_lufs is None:
        return 1.0
    return float(np.clip(10 ** ((wanted_lufs - found_lufs) / 20), 1 / MAX_GAIN, MAX_GAIN))


def _mix_blocks(audio: AudioFile, gain: float) -> Iterator[Samples]:
    """Blocks of one or two channels, shape (channels, n)."""
    channels = audio.header.channels
    gain /= LAME_SCALES[min(channels, 2)]
    mix = make_downmix(channels, audio.header.layout) * np.float32(gain) if channels > 2 else None
    for block in audio.blocks():
        mixed = block * np.float32(gain) if mix is None else mix @ block
        yield mixed.astype(np.float32, copy=False)


def _resample(blocks: Iterator[Samples], source_rate: int, rate: int) -> Iterator[Samples]:
    if source_rate == rate:
        yield from blocks
        return
    stream: Any = None
    channels = 0
    for block in blocks:
        if stream is None:
            channels = len(block)
            stream = soxr.ResampleStream(source_rate, rate, channels, dtype="float32", quality="HQ")
        # soxr takes and gives shape (n,) for one channel, (n, channels) for more.
        resampled: Samples = stream.resample_chunk(np.ascontiguousarray(block.T))
        yield resampled.reshape(-1, channels).T
    if stream is not None:
        rest: Samples = stream.resample_chunk(np.empty((0, channels), np.float32), last=True)
        yield rest.reshape(-1, channels).T


def _write_mp3(blocks: Iterator[Samples], path: Path, *, rate: int, channels: int) -> int:
    """Encode blocks of shape (channels, n). Returns how many frames there were."""
    import av

    frames = 0
    with av.open(str(path), "w", format="mp3") as file:
        stream: Any = file.add_stream(
            "libmp3lame",
            rate=rate,
            layout=_LAYOUTS[channels],
            options={"compression_level": _COMPRESSION_LEVEL},
        )
        # Whole numbers, which PyAV would choose, would clip what is above full scale.
        stream.format, stream.bit_rate = "fltp", BIT_RATES[channels]
        for block in blocks:
            if not block.shape[1]:
                continue
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(block, dtype=np.float32), format="fltp", layout=_LAYOUTS[channels]
            )
            frame.sample_rate, frame.pts = rate, frames
            frames += block.shape[1]
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return frames
