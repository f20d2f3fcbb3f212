"""Segments of sound that are analysed to place recordings as real ones are: real ones, and made-up ones.

`shared` is the folder of licensed recordings beside the repository. The others are sentences spoken by
espeak-ng and synthesised test signals. What is not on the machine is left out, and said. None is part of the
product.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from soundscape.audio.decode.audio_file import open_audio
from soundscape.errors import Refusal

Float32 = npt.NDArray[np.float32]

SEGMENT_S = 5.0
RECORDINGS = frozenset(
    [
        "birds1",
        "robin",
        "rain",
        "thunder",
        "speech_a",
        "speech_b_16k",
        "applause",
        "crowd_24bit",
        "car_engine",
        "train",
        "loop_amen",
        "loop_breakbeat",
        "drum_cymbal_open",
        "jazz_guitar",
        "piano",
        "hungarian_dance_5",
        "vibe_ace",
        "lets_go_fishin",
        "cinematic_48k",
        "trumpet_F_90bpm",
        "arcade_music_f32",
        "bass_voxy_c",
        "ambi_lunar_land",
        "typing_22k",
        "snoring",
        "humpback",
        "vinyl_hiss",
    ]
)
"""No silence, no steady tone, and nothing twice."""
SENTENCES = {
    "en": "The old harbour was quiet that morning, and nobody had noticed the boat drifting past the pier.",
    "de": "Der alte Hafen war an jenem Morgen still, und niemand hatte das Boot bemerkt.",
    "fr": "Le vieux port était calme ce matin, et personne ne remarquait le bateau.",
    "es": "El viejo puerto estaba tranquilo aquella mañana y nadie vio el barco.",
}


@dataclass(frozen=True)
class Segment:
    """Up to 7.5 s of one recording: mono float32 (n,) at `sample_rate`."""

    y: Float32
    sample_rate: int


def segments(*, shared: Path, log: Callable[[str], None]) -> Iterator[Segment]:
    """Every segment of every source at hand; the same ones in the same order each time."""
    if shared.is_dir():
        for path in sorted(shared.iterdir()):
            if path.stem in RECORDINGS:
                yield from _file(path, most=8)
    else:
        log(f"left out: shared ({shared} is not there)")
    if shutil.which("espeak-ng"):
        yield from _spoken()
    else:
        log("left out: spoken sentences (no espeak-ng)")
    yield from _synthesised()


def read_mono(path: Path) -> tuple[Float32, int]:
    """The whole file as mono float32 (n,), and its rate."""
    with path.open("rb") as file, open_audio(file) as audio:
        blocks = [block.mean(axis=0) for block in audio.blocks()]
        return np.concatenate(blocks).astype(np.float32), audio.header.sample_rate


def cut(y: Float32, sample_rate: int, *, most: int) -> Iterator[Segment]:
    """At most `most` segments of 5 s, spread evenly; a recording shorter than 10 s is one of up to 7.5 s."""
    length = int(SEGMENT_S * sample_rate)
    count = max(1, y.size // length)
    if y.size < length // 20:
        return
    for index in np.unique(np.linspace(0, count - 1, min(count, most)).astype(int)):
        part = y[index * length : (index + 1) * length] if count > 1 else y[: length * 3 // 2]
        if np.abs(part).max() > 1e-4:
            yield Segment(part, sample_rate)


def _file(path: Path, *, most: int) -> Iterator[Segment]:
    try:
        y, sample_rate = read_mono(path)
    except Refusal:
        return
    yield from cut(y, sample_rate, most=most)


def _spoken() -> Iterator[Segment]:
    with tempfile.TemporaryDirectory() as scratch:
        wav = Path(scratch, "spoken.wav")
        for language, sentence in SENTENCES.items():
            for voice in ("m1", "m3", "f2", "f4", "croak", "whisper"):
                command = ["espeak-ng", "-v", f"{language}+{voice}", "-w", str(wav), sentence]
                subprocess.run(command, check=True, capture_output=True)
                yield from _file(wav, most=1)


def _synthesised() -> Iterator[Segment]:
    random, rate = np.random.default_rng(5), 44_100
    t = np.arange(int(SEGMENT_S * rate)) / rate
    for _ in range(8):
        white, f0 = random.standard_normal(t.size), random.uniform(80, 3000)
        bins = np.arange(t.size // 2 + 1) + 1
        clicks = np.zeros(t.size)
        clicks[:: int(rate * 60 / random.uniform(60, 200))] = 1
        signals = {
            "white": white,
            "pink": np.fft.irfft(np.fft.rfft(white) / np.sqrt(bins)),
            "brown": np.fft.irfft(np.fft.rfft(white) / bins),
            "sine": np.sin(2 * np.pi * f0 * t),
            "saw": (t * f0 / 4) % 1 - 0.5,
            "square": np.sign(np.sin(np.pi / 2 * f0 * t)),
            "chirp": np.sin(2 * np.pi * (random.uniform(100, 500) * t + random.uniform(50, 600) * t**2 / 2)),
            "clicks": clicks,
            "pulsing": white * (1 + np.sin(2 * np.pi * random.uniform(1, 8) * t)),
            "fm": np.sin(
                2 * np.pi * f0 * t + random.uniform(1, 8) * np.sin(2 * np.pi * random.uniform(3, 200) * t)
            ),
        }
        for y in signals.values():
            level = 10 ** (-random.uniform(3, 25) / 20)
            scaled = (y / np.abs(y).max() * level).astype(np.float32)
            yield from cut(scaled, rate, most=1)
