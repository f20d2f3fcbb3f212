"""Recordings with class labels to fit and judge embeddings on: real ones where they lie, and made-up ones.

`shared` is the folder of licensed recordings beside the repository. The others are sounds of Debian packages
(unpacked with `dpkg -x` into one directory, see `PACKAGES`), phrases played through the General MIDI sound
font by fluidsynth, sentences spoken by espeak-ng, and synthesised test signals. What is not on the machine is
left out, and said. Only statistics of these recordings leave this script; none is part of the product.
"""

from __future__ import annotations

import re
import shutil
import struct
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
PACKAGES = (
    "sonic-pi-samples",
    "wesnoth-1.16-data",
    "klettres-data",
    "hyperrogue-music",
    "fluid-soundfont-gm",
)
SHARED_CLASSES = {
    "bird": "birds1 robin",
    "weather": "rain thunder",
    "speech": "speech_a speech_b_16k",
    "crowd": "applause crowd_24bit",
    "vehicle": "car_engine train",
    "drums": "loop_amen loop_breakbeat drum_cymbal_open",
    "music": "jazz_guitar piano hungarian_dance_5 vibe_ace lets_go_fishin cinematic_48k trumpet_F_90bpm",
    "electronic": "arcade_music_f32 bass_voxy_c ambi_lunar_land",
    "typing": "typing_22k",
    "snoring": "snoring",
    "whale": "humpback",
    "hiss": "vinyl_hiss",
}
GM_FAMILIES = [
    *("piano", "chromatic", "organ", "guitar", "bass", "strings", "ensemble", "brass"),
    *("reed", "pipe", "lead", "pad", "fx", "ethnic", "percussive", "effects"),
]
SENTENCES = {
    "en": "The old harbour was quiet that morning, and nobody had noticed the boat drifting past the pier.",
    "de": "Der alte Hafen war an jenem Morgen still, und niemand hatte das Boot bemerkt.",
    "fr": "Le vieux port était calme ce matin, et personne ne remarquait le bateau.",
    "es": "El viejo puerto estaba tranquilo aquella mañana y nadie vio el barco.",
}


@dataclass(frozen=True)
class Segment:
    """Up to 7.5 s of one recording: mono float32 (n,) at `sample_rate`."""

    source: str
    label: str
    recording: str
    y: Float32
    sample_rate: int


def segments(*, shared: Path, packages: Path | None, log: Callable[[str], None]) -> Iterator[Segment]:
    """Every segment of every source at hand; the same ones in the same order each time."""
    if shared.is_dir():
        yield from _shared(shared)
    else:
        log(f"left out: shared ({shared} is not there)")
    for name, source in (
        ("sonic-pi-samples", _sonic_pi),
        ("wesnoth-1.16-data", _wesnoth),
        ("klettres-data", _klettres),
        ("hyperrogue-music", _hyperrogue),
        ("fluid-soundfont-gm", _general_midi),
    ):
        if packages is None or not (packages / name).is_dir():
            log(f"left out: {name}")
        elif source is _general_midi and shutil.which("fluidsynth") is None:
            log("left out: General MIDI phrases (no fluidsynth)")
        else:
            yield from source(packages / name)
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


def cut(
    source: str, label: str, recording: str, y: Float32, sample_rate: int, *, most: int
) -> Iterator[Segment]:
    """At most `most` segments of 5 s, spread evenly; a recording shorter than 10 s is one of up to 7.5 s."""
    length = int(SEGMENT_S * sample_rate)
    count = max(1, y.size // length)
    if y.size < length // 20:
        return
    for index in np.unique(np.linspace(0, count - 1, min(count, most)).astype(int)):
        part = y[index * length : (index + 1) * length] if count > 1 else y[: length * 3 // 2]
        if np.abs(part).max() > 1e-4:
            yield Segment(source, label, f"{source}/{recording}", part, sample_rate)


def _file(
    source: str, label: str, path: Path, *, most: int, recording: str | None = None
) -> Iterator[Segment]:
    try:
        y, sample_rate = read_mono(path)
    except Refusal:
        return
    yield from cut(source, label, recording or path.stem, y, sample_rate, most=most)


def _shared(folder: Path) -> Iterator[Segment]:
    labels = {stem: label for label, stems in SHARED_CLASSES.items() for stem in stems.split()}
    for path in sorted(folder.iterdir()):
        if path.stem in labels:
            yield from _file("shared", labels[path.stem], path, most=8)


def _sonic_pi(package: Path) -> Iterator[Segment]:
    for path in sorted(package.rglob("*.flac")):
        # Four of them are in the shared folder too, under the same names.
        if path.stem not in {"loop_amen", "loop_breakbeat", "drum_cymbal_open", "vinyl_hiss", "bass_voxy_c"}:
            yield from _file("sonic-pi", path.stem.split("_")[0], path, most=8)


def _wesnoth(package: Path) -> Iterator[Segment]:
    folder = next(package.glob("usr/share/games/wesnoth/*/data/core/sounds"))
    for path in sorted([*folder.rglob("*.ogg"), *folder.rglob("*.wav")]):
        stem = re.match(r"[a-zA-Z]+", path.stem)
        label = path.parent.name if path.parent != folder else stem.group() if stem else path.stem
        yield from _file("wesnoth", label, path, most=8, recording=str(path.relative_to(folder)))


def _klettres(package: Path) -> Iterator[Segment]:
    """Letters and syllables of one voice in a row; the language is the class."""
    for folder in sorted(path for path in (package / "usr/share/klettres").glob("*/*") if path.is_dir()):
        parts: list[Float32] = []
        rate = 44_100
        for path in sorted(folder.glob("*.ogg"))[:24]:
            try:
                y, sample_rate = read_mono(path)
            except Refusal:
                continue
            if not parts:
                rate = sample_rate
            if sample_rate == rate:
                parts.append(y)
        if len(parts) >= 5:
            language = folder.parent.name
            recording = f"{language}/{folder.name}"
            yield from cut("klettres", language, recording, np.concatenate(parts), rate, most=4)


def _hyperrogue(package: Path) -> Iterator[Segment]:
    for path in sorted(package.rglob("*.ogg")):
        music = path.stat().st_size > 300_000
        yield from _file("hyperrogue", "music" if music else path.stem.split("-")[0], path, most=4)


def _general_midi(package: Path) -> Iterator[Segment]:
    """Two random phrases for each of 128 programs and the drums; the instrument family is the class."""
    font = next(package.rglob("FluidR3_GM.sf2"))
    with tempfile.TemporaryDirectory() as scratch:
        midi, wav = Path(scratch, "phrase.mid"), Path(scratch, "phrase.wav")
        for program in range(129):
            label = "drums" if program == 128 else GM_FAMILIES[program // 8]
            for take in range(2):
                midi.write_bytes(_phrase(program, seed=program * 10 + take))
                command = ["fluidsynth", "-ni", "-q", "-F", str(wav), "-r", "44100", str(font), str(midi)]
                subprocess.run(command, check=True, capture_output=True)
                yield from _file("general-midi", label, wav, most=1, recording=f"{program}-{take}")


def _phrase(program: int, *, seed: int) -> bytes:
    """Five seconds of chords in a random major key, as a MIDI file; program 128 stands for the drums."""
    random = np.random.default_rng(seed)
    channel = 9 if program == 128 else 0
    events = b"" if channel == 9 else bytes([0, 0xC0, program])
    root, ticks = int(random.integers(40, 76)), 0
    while ticks < 960 * 5:
        pool = (
            [35, 36, 38, 40, 42, 46, 49, 51] if channel == 9 else [root + s for s in (0, 2, 4, 5, 7, 9, 11)]
        )
        notes = random.choice(pool, size=int(random.integers(1, 4)), replace=False).tolist()
        length, velocity = int(random.choice([120, 240, 480, 960])), int(random.integers(60, 120))
        for note in notes:
            events += bytes([0, 0x90 | channel, note, velocity])
        for index, note in enumerate(notes):
            delta = length if index == 0 else 0
            events += bytes([0x80 | delta >> 7, delta & 0x7F] if delta > 127 else [delta])
            events += bytes([0x80 | channel, note, 0])
        ticks += length
    events += b"\0\xff\x2f\0"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480) + b"MTrk" + struct.pack(">I", len(events)) + events


def _spoken() -> Iterator[Segment]:
    with tempfile.TemporaryDirectory() as scratch:
        wav = Path(scratch, "spoken.wav")
        for language, sentence in SENTENCES.items():
            for voice in ("m1", "m3", "f2", "f4", "croak", "whisper"):
                command = ["espeak-ng", "-v", f"{language}+{voice}", "-w", str(wav), sentence]
                subprocess.run(command, check=True, capture_output=True)
                label = "whisper" if voice == "whisper" else "speech"
                yield from _file("espeak", label, wav, most=1, recording=f"{language}-{voice}")


def _synthesised() -> Iterator[Segment]:
    random, rate = np.random.default_rng(5), 44_100
    t = np.arange(int(SEGMENT_S * rate)) / rate
    for take in range(8):
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
        for label, y in signals.items():
            level = 10 ** (-random.uniform(3, 25) / 20)
            scaled = (y / np.abs(y).max() * level).astype(np.float32)
            yield from cut("synthetic", label, f"{label}-{take}", scaled, rate, most=1)
