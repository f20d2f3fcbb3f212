"""Pieces whose tempo, beats and key are known because they are made here, with a file that says so.

    python benchmarks/music_corpus.py FOLDER [--seed 1] [--sounds ../shared/training]

Writes FLAC files and FOLDER/truth.csv (`path, bpm, key, beats`, as `benchmarks/music.py` reads it). Another
seed gives other pieces: fit on one and report another. The folder of a piece is its kind:

* `onsets`: a click, kick or snare on every beat, at eight sample rates;
* `drums`: patterns from 70 to 180 BPM, by themselves;
* `songs`: the same with bass, chords and a melody, in all 24 keys;
* `loops`: one, two or four bars, cut to the sample;
* `chords`: progressions in all 24 keys without drums, of 6 to 30 s;
* `pulses`: plain, accented, unsteady and swung pulses of clicks or chords from 50 to 200 BPM;
* `phrases`: loops of a melody or chords without drums;
* `irregular`: random clicks, irregular bursts and noise, which have no tempo;
* `sounds`: speech, animals, weather, engines from archives without labels; they have neither tempo nor key.
"""

from __future__ import annotations

import argparse
import csv
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

Samples = npt.NDArray[np.float64]

RATES = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000)
RATE = 44_100
TONICS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")

# Steps of a bar of sixteenths; `beats` of them a bar. Kick, snare, closed hat.
PATTERNS: dict[str, tuple[int, str, str, str]] = {
    "four on the floor": (4, "x...x...x...x...", "....x.......x...", "..x...x...x...x."),
    "four on the floor, bare": (4, "x...x...x...x...", "................", "..x...x...x...x."),
    "techno": (4, "x...x...x...x...", "....x.......x..x", "x.xxx.xxx.xxx.xx"),
    "rock": (4, "x.......x.......", "....x.......x...", "x.x.x.x.x.x.x.x."),
    "rock, busy": (4, "x..x..x.x.x.....", "....x.......x...", "x.x.x.x.x.x.x.x."),
    "funk": (4, "x.x....x..x..x..", "....x..x.x..x..x", "xxxxxxxxxxxxxxxx"),
    "ballad": (4, "x.........x.....", "....x.......x...", "x...x...x...x..."),
    "hip hop": (4, "x.....x...x.....", "....x.......x...", "x.x.x.x.x.x.xxx."),
    "jungle": (4, "x.x.......xx....", "....x..x.x..x..x", "x.x.x.x.x.x.x.x."),
    "two step": (4, "x.........x.....", "....x.......x...", "x.x.x.x.x.x.x.x."),
    "waltz": (3, "x...........", "....x...x...", "x...x...x..."),
    "backbeat": (4, "................", "....x.......x...", "x...x...x...x..."),
    "samba": (4, "x..xx..xx..xx..x", "..x..x.x..x.x.x.", "x.xxx.xxx.xxx.xx"),
    "reggaeton": (4, "x...x...x...x...", "...x..x....x..x.", "x...x...x...x..."),
}
# Tempi at which a pattern is played; elsewhere people would count it otherwise.
TEMPI: dict[str, tuple[float, float]] = {
    "ballad": (60, 100), "hip hop": (75, 110), "funk": (80, 125), "jungle": (150, 180),
    "two step": (120, 180), "samba": (85, 125), "reggaeton": (85, 105),
    "waltz": (80, 180), "techno": (115, 150),
}  # fmt: skip
ANY_TEMPO = (65, 180)
PROGRESSIONS = {
    "major": ((0, 3, 4, 0), (0, 5, 3, 4), (0, 4, 5, 3), (1, 4, 0, 0), (0, 3, 0, 4)),
    "minor": ((0, 3, 4, 0), (0, 5, 2, 6), (0, 6, 5, 4), (0, 3, 6, 2), (0, 5, 3, 4)),
}
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
SOUNDS = (
    "speech",
    "speech-shout",
    "animals",
    "baby-cry",
    "birds-frogs",
    "birds-soundscape",
    "engines",
    "ambience-nature-city",
    "city-effects",
)


@dataclass(frozen=True)
class Piece:
    """A piece and its truth; `bpm` and `key` are "none" where there is none, "" where nobody knows."""

    path: str
    y: Samples
    sample_rate: int
    bpm: str = ""
    key: str = ""
    beats_s: tuple[float, ...] = ()


class Kit:
    """Drums of one piece, each a little different from those of another."""

    def __init__(self, rng: np.random.Generator, rate: int = RATE) -> None:
        t = np.arange(round(0.4 * rate)) / rate
        low, sweep = rng.uniform(42, 70), rng.uniform(2, 6)
        noise = rng.standard_normal(t.size)
        self.kick = np.sin(2 * np.pi * (low * t + sweep * (1 - np.exp(-t * 35)))) * np.exp(
            -t * rng.uniform(8, 18)
        )
        body = np.sin(2 * np.pi * rng.uniform(160, 240) * t) * np.exp(-t * 25)
        self.snare = (0.5 * noise * np.exp(-t * rng.uniform(12, 30)) + body) * rng.uniform(0.4, 0.8)
        self.hat = np.diff(noise, append=0.0) * np.exp(-t * rng.uniform(40, 90)) * rng.uniform(0.05, 0.3)
        self.click = np.sin(2 * np.pi * rng.uniform(900, 1600) * t) * np.exp(-t * 120)


def add(y: Samples, sound: Samples, at_s: float, gain: float, rate: int = RATE) -> None:
    at = round(at_s * rate)
    if 0 <= at < y.size:
        piece = sound[: y.size - at]
        y[at : at + piece.size] += gain * piece


def tone(midi: float, seconds: float, timbre: int) -> Samples:
    """One note: 0 a piano's decay, 1 an organ, 2 a soft pad, 3 a sawtooth."""
    t = np.arange(round(seconds * RATE)) / RATE
    f = 440 * 2 ** ((midi - 69) / 12)
    partials = [(h, h ** -(1.0, 1.4, 2.2, 1.0)[timbre]) for h in range(1, 10) if h * f < 9_000]
    y = sum(a * np.sin(2 * np.pi * h * f * t + h * h) for h, a in partials)
    attack_s = (0.004, 0.01, 0.12, 0.008)[timbre]
    decay = np.exp(-t * 2.5) if timbre == 0 else 1.0
    shape: Samples = np.minimum(1, t / attack_s) * np.clip((seconds - t) / 0.04, 0, 1) * decay
    return np.asarray(y) * shape


def chord_pitches(tonic: int, mode: str, degree: int) -> list[int]:
    scale = SCALES[mode]
    pitches = [tonic + scale[(degree + i) % 7] + 12 * ((degree + i) // 7) for i in (0, 2, 4)]
    if mode == "minor" and degree == 4:
        pitches[1] += 1  # the dominant is major
    return pitches


def play_drums(
    y: Samples, rng: np.random.Generator, pattern: str, bpm: float, start_s: float, swing: float
) -> None:
    beats, kick, snare, hat = PATTERNS[pattern]
    kit, step_s, steps = Kit(rng), 15 / bpm, len(kick)
    for bar in range(int((y.size / RATE - start_s) / (beats * 60 / bpm)) + 1):
        fill = bar % 8 == 7 and rng.uniform() < 0.5
        for step in range(steps):
            at = start_s + (bar * steps + step + (swing if step % 2 else 0)) * step_s
            at += rng.normal() * 0.004
            accent = 1.0 if step % 4 == 0 else 0.8
            for line, sound in ((kick, kit.kick), (snare, kit.snare), (hat, kit.hat)):
                if line[step] == "x" or (fill and sound is kit.snare and step >= steps - 4):
                    add(y, sound, at, accent * rng.uniform(0.85, 1.0))


def play_harmony(
    y: Samples,
    rng: np.random.Generator,
    tonic: int,
    mode: str,
    bpm: float,
    start_s: float,
    beats: int,
    drums: bool,
) -> None:
    progression = PROGRESSIONS[mode][rng.integers(len(PROGRESSIONS[mode]))]
    timbre, lead, style = int(rng.integers(4)), int(rng.integers(4)), int(rng.integers(3 if drums else 4))
    # The fourth style is a melody alone.
    beat_s, has_lead = 60 / bpm, style == 3 or rng.uniform() < 0.7
    gain = 0.12 if drums else 0.3
    for bar in range(int((y.size / RATE - start_s) / (beats * beat_s)) + 1):
        pitches = chord_pitches(tonic, mode, progression[bar % 4])
        at = start_s + bar * beats * beat_s
        for beat in range(beats):
            add(
                y,
                tone(36 + pitches[0] % 12, beat_s * 0.9, 0),
                at + beat * beat_s,
                1.6 * gain if beat in (0, 2) and style < 3 else 0.0,
            )
            if style == 0 or (style == 1 and beat == 0):  # comping on each beat, or held chords
                length = beat_s * 0.9 if style == 0 else beats * beat_s
                for p in pitches:
                    add(y, tone(60 + p % 12, length, timbre), at + beat * beat_s, gain)
            if style == 2:  # broken chords
                for half in (0, 1):
                    p = pitches[(2 * beat + half) % 3]
                    add(y, tone(60 + p % 12, beat_s / 2, timbre), at + (beat + half / 2) * beat_s, 1.5 * gain)
        t = 0.0
        while has_lead and t < beats - 0.1:
            length = float(rng.choice([0.5, 1, 1, 2]))
            degree = int(rng.integers(7)) if rng.uniform() < 0.4 else None
            p = tonic + SCALES[mode][degree] if degree is not None else pitches[rng.integers(3)]
            add(y, tone(72 + p % 12, length * beat_s * 0.9, lead), at + t * beat_s, 0.9 * gain)
            t += length


def finish(y: Samples, rng: np.random.Generator) -> Samples:
    """Set the level, with a little noise in half of them."""
    y = y / max(float(np.abs(y).max()), 1e-9)
    if rng.uniform() < 0.5:
        y = y + rng.standard_normal(y.size) * 10 ** (-rng.uniform(30, 60) / 20)
    scaled: Samples = y / np.abs(y).max() * 10 ** (-rng.uniform(1, 20) / 20)
    return scaled


def onset_pieces(rng: np.random.Generator) -> Iterator[Piece]:
    for rate in RATES:
        for kind in ("click", "kick", "snare"):
            bpm = float(rng.uniform(75, 165))
            beats = np.arange(rng.uniform(0.3, 0.8), 13.5, 60 / bpm)
            y, sound = np.zeros(14 * rate), getattr(Kit(rng, rate), kind)
            for at in beats:
                add(y, sound, at, 1.0, rate)
            beats = np.round(beats * rate) / rate
            yield Piece(
                f"onsets/{kind}_{rate}.flac", 0.7 * y / np.abs(y).max(), rate, f"{bpm:.3f}", "", tuple(beats)
            )


def rhythm_pieces(rng: np.random.Generator, count: int, *, harmony: bool) -> Iterator[Piece]:
    names = list(PATTERNS)
    for i in range(count):
        pattern = names[i % len(names)]
        bpm = float(
            np.round(np.exp(rng.uniform(*np.log(TEMPI.get(pattern, ANY_TEMPO)))), int(rng.integers(2)))
        )
        beats, seconds, start_s = PATTERNS[pattern][0], float(rng.uniform(10, 28)), float(rng.uniform(0, 1))
        y = np.zeros(round(seconds * RATE))
        swing = float(rng.uniform(0.2, 0.6)) if rng.uniform() < 0.15 else 0.0
        play_drums(y, rng, pattern, bpm, start_s, swing)
        key = "none"
        if harmony:
            tonic, mode = int(rng.integers(12)), str(rng.choice(["major", "minor"]))
            play_harmony(y, rng, tonic, mode, bpm, start_s, beats, drums=True)
            key = f"{TONICS[tonic]} {mode}"
        at = np.arange(start_s, seconds - 0.05, 60 / bpm)
        kind = "songs" if harmony else "drums"
        yield Piece(
            f"{kind}/{i:03d}_{pattern.replace(' ', '_')}.flac",
            finish(y, rng),
            RATE,
            f"{bpm:g}",
            key,
            tuple(at),
        )


def loop_pieces(rng: np.random.Generator, count: int) -> Iterator[Piece]:
    names = list(PATTERNS)
    for i in range(count):
        pattern = names[int(rng.integers(len(names)))]
        low, high = TEMPI.get(pattern, ANY_TEMPO)
        bpm, bars, beats = (
            float(rng.integers(int(low), int(high))),
            int(rng.choice([1, 2, 2, 4])),
            PATTERNS[pattern][0],
        )
        y = np.zeros(round(bars * beats * 60 / bpm * RATE))
        key = ""
        play_drums(y, rng, pattern, bpm, 0.0, 0.0)
        if i % 2:
            play_harmony(y, rng, int(rng.integers(12)), "minor", bpm, 0.0, beats, drums=True)
        at = np.arange(bars * beats) * 60 / bpm
        yield Piece(
            f"loops/{i:03d}_{pattern.replace(' ', '_')}_{bars}.flac",
            finish(y, rng),
            RATE,
            f"{bpm:g}",
            key,
            tuple(at),
        )


def chord_pieces(rng: np.random.Generator) -> Iterator[Piece]:
    for mode in ("major", "minor"):
        for tonic in range(12):
            for seconds in (rng.uniform(5, 9), rng.uniform(15, 25)):
                bpm = float(rng.uniform(70, 150))
                y = np.zeros(round(seconds * RATE))
                play_harmony(y, rng, tonic, mode, bpm, -float(rng.integers(4)) * 240 / bpm, 4, drums=False)
                name = f"chords/{TONICS[tonic].replace('#', 's')}_{mode}_{round(seconds)}s.flac"
                yield Piece(name, finish(y, rng), RATE, "", f"{TONICS[tonic]} {mode}")


def pulse_pieces(rng: np.random.Generator) -> Iterator[Piece]:
    for kind in ("plain", "accented", "unsteady", "swung", "swung little", "chords"):
        for low in range(50, 200, 15):
            bpm, kit = float(rng.uniform(low, low + 15)), Kit(rng)
            y, beat_s = np.zeros(round(rng.uniform(9, 18) * RATE)), 60 / bpm
            beats = np.arange(rng.uniform(0.05, 0.05 + beat_s), y.size / RATE - 0.05, beat_s)
            pitch = int(rng.integers(40, 70))
            for i, at in enumerate(beats):
                if kind == "chords":
                    shift = int(rng.integers(12))
                    for p in (0, 4, 7):
                        add(y, tone(pitch + shift + p, 0.95 * beat_s, 0), at, 0.4)
                    continue
                gain = 0.5 if kind == "accented" and i % 4 else 1.0
                add(y, kit.click, at + (rng.normal() * 0.01 if kind == "unsteady" else 0), gain)
                if kind.startswith("swung"):
                    add(y, kit.click, at + beat_s * (2 / 3 if kind == "swung" else 3 / 5), 0.5)
            if rng.uniform() < 0.5:
                y += rng.standard_normal(y.size) * np.sqrt(np.mean(y**2)) * 10 ** (-rng.uniform(6, 20) / 20)
            name = f"pulses/{kind.replace(' ', '_')}_{low}.flac"
            yield Piece(name, finish(y, rng), RATE, f"{bpm:.3f}", "", tuple(beats))


def phrase_pieces(rng: np.random.Generator, count: int) -> Iterator[Piece]:
    for i in range(count):
        bpm, bars = float(rng.integers(70, 170)), int(rng.choice([1, 2, 2, 4]))
        y = np.zeros(round(bars * 240 / bpm * RATE))
        tonic, mode = int(rng.integers(12)), str(rng.choice(["major", "minor"]))
        play_harmony(y, rng, tonic, mode, bpm, 0.0, 4, drums=False)
        beats = tuple(np.arange(bars * 4) * 60 / bpm)
        yield Piece(f"phrases/{i:03d}_{bars}.flac", finish(y, rng), RATE, f"{bpm:g}", "", beats)


def irregular_pieces(rng: np.random.Generator, count: int) -> Iterator[Piece]:
    for i in range(count):
        seconds, kit = float(np.geomspace(4, 45, count)[i]), Kit(rng)
        y = np.zeros(round(seconds * RATE))
        kind = ("clicks", "bursts", "noise")[i % 3]
        if kind == "clicks":
            for at in rng.uniform(0, seconds, int(rng.uniform(1, 8) * seconds)):
                add(y, kit.click, at, float(rng.uniform(0.1, 1)))
        elif kind == "bursts":
            for at in rng.gamma(4, rng.uniform(0.15, 0.6) / 4, size=400).cumsum():
                add(y, kit.snare, at, float(rng.uniform(0.2, 1)))
        else:
            y += (
                np.cumsum(rng.standard_normal(y.size)) % 1
                if rng.uniform() < 0.3
                else rng.standard_normal(y.size)
            )
        yield Piece(f"irregular/{i:03d}_{kind}.flac", finish(y, rng), RATE, "none", "none")


def is_music(manifest: Path) -> set[str]:
    """The files of the archives that do have a tempo, by what their source is called."""
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        row["file"] for row in rows if any(word in row["path"] for word in ("music", "binaural", "clock"))
    }


def sounds(rng: np.random.Generator, folder: Path, count: int) -> Iterator[Piece]:
    """Sounds of at least 3 s out of the archives, as many of each."""
    left_out = is_music(folder / "manifest.csv")
    for kind in SOUNDS:
        path = folder / f"{kind}.tar"
        if not path.exists():
            continue
        with tarfile.open(path) as archive:
            members = [
                m for m in archive.getmembers() if m.isfile() and m.size > 8_000 and m.name not in left_out
            ]
            chosen = rng.permutation(len(members))[: 2 * count]
            taken = 0
            for member in (members[i] for i in chosen):
                opened = archive.extractfile(member)
                assert opened is not None
                y, rate = soundfile.read(io.BytesIO(opened.read()))
                if y.size >= 3 * rate and taken < count:
                    taken += 1
                    yield Piece(f"sounds/{kind}_{Path(member.name).stem}.flac", y, rate, "none", "none")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sounds", type=Path)
    parser.add_argument(
        "--count", type=int, default=60, help="of drums, songs and loops each, and sounds in all"
    )
    options = parser.parse_args()
    rng, count = np.random.default_rng(options.seed), options.count
    made: list[Iterator[Piece]] = [
        onset_pieces(rng),
        rhythm_pieces(rng, count, harmony=False),
        rhythm_pieces(rng, count, harmony=True),
        loop_pieces(rng, count),
        chord_pieces(rng),
        pulse_pieces(rng),
        phrase_pieces(rng, count // 2),
        irregular_pieces(rng, count // 2),
    ]
    if options.sounds is not None:
        made.append(sounds(rng, options.sounds, 2 * count // len(SOUNDS)))
    options.folder.mkdir(parents=True, exist_ok=True)
    with (options.folder / "truth.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "bpm", "key", "beats"])
        for piece in (piece for pieces in made for piece in pieces):
            path = options.folder / piece.path
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, piece.y, piece.sample_rate)
            rows.writerow([piece.path, piece.bpm, piece.key, " ".join(f"{at:.4f}" for at in piece.beats_s)])


if __name__ == "__main__":
    main()
