"""Tempo, beats and key against the truth, ours beside librosa, essentia and aubio.

    python benchmarks/music.py TRUTH.csv [TRUTH.csv ...] [--others] [--only songs,loops]

A truth file has the columns `path, bpm, key, beats`: a path beside it, beats a minute, `A# minor`, times in
seconds. `none` says that there is no tempo or no key, an empty cell that nobody knows. The folder that a path
begins with is its kind; `benchmarks/music_corpus.py` makes such files. `--others` needs `pip install essentia
aubio` (or aubio-ledfx), and uses those that are there. Brackets hold Wilson's 95 % interval.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import numpy.typing as npt

from soundscape.audio import analyze

Samples = npt.NDArray[np.float32]
Beats = tuple[float, ...]

TEMPO_TOLERANCE = 0.04
BEAT_TOLERANCE_S = 0.07
TONICS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_FLATS = {"Db": "C#", "Eb": "D#", "Gb": "F#", "Ab": "G#", "Bb": "A#"}


@dataclass(frozen=True)
class Truth:
    """A row of a truth file; None is "nobody knows", "none" is "there is none"."""

    path: Path
    kind: str
    bpm: float | str | None
    key: str | None
    beats_s: Beats


@dataclass(frozen=True)
class Answer:
    """What a tool says of a recording; None is "there is none"."""

    bpm: float | None = None
    bpm_confidence: float | None = None
    key: str | None = None
    key_confidence: float | None = None
    beats_s: Beats | None = None


def read_truth(path: Path) -> list[Truth]:
    with path.open(newline="") as file:
        return [
            Truth(
                path.parent / row["path"],
                row["path"].split("/")[0] if "/" in row["path"] else path.parent.name,
                row["bpm"] if row["bpm"] == "none" else float(row["bpm"]) if row["bpm"] else None,
                row["key"] or None,
                tuple(float(at) for at in (row.get("beats") or "").split()),
            )
            for row in csv.DictReader(file)
        ]


def ours(path: Path) -> Answer:
    record = analyze(path, tags=False, draw=False)
    if record.rhythm is None or record.tonality is None:
        return Answer(bpm_confidence=0.0, key_confidence=0.0, beats_s=())
    rhythm, tonality = record.rhythm, record.tonality
    key = None if tonality.key is None else f"{tonality.key} {tonality.mode}"
    return Answer(rhythm.tempo_bpm, rhythm.tempo_confidence, key, tonality.confidence, rhythm.beats_s)


def by_librosa(path: Path) -> Answer:
    y, rate = librosa.load(path, sr=22_050)
    bpm, beats = librosa.beat.beat_track(y=y, sr=rate, units="time")
    value = float(np.atleast_1d(bpm)[0])
    return Answer(bpm=value or None, beats_s=tuple(beats))


def by_essentia(path: Path) -> Answer:
    standard = importlib.import_module("essentia.standard")
    y = librosa.load(path, sr=44_100)[0]
    bpm, beats, *_ = standard.RhythmExtractor2013(method="multifeature")(y)
    key, mode, strength = standard.KeyExtractor(profileType="bgate")(y)
    return Answer(
        bpm or None, None, f"{_FLATS.get(key, key)} {mode}", float(strength), tuple(map(float, beats))
    )


def by_aubio(path: Path) -> Answer:
    aubio = importlib.import_module("aubio")
    y = librosa.load(path, sr=44_100)[0]
    track = aubio.tempo("default", 1024, 512, 44_100)
    beats = [
        float(track.get_last_s())
        for at in range(0, y.size - 511, 512)
        if track(np.ascontiguousarray(y[at : at + 512]))[0]
    ]
    return Answer(bpm=float(60 / np.median(np.diff(beats))) if len(beats) > 2 else None, beats_s=tuple(beats))


TOOLS: dict[str, Callable[[Path], Answer]] = {
    "librosa": by_librosa,
    "essentia": by_essentia,
    "aubio": by_aubio,
}


def available(names: Iterable[str]) -> dict[str, Callable[[Path], Answer]]:
    return {name: TOOLS[name] for name in names if importlib.util.find_spec(name) is not None}


def tempo_is_right(found: float | None, true: float, *, octaves: bool = False) -> bool:
    factors = (1.0, 2.0, 0.5, 3.0, 1 / 3) if octaves else (1.0,)
    return found is not None and any(abs(found / (true * f) - 1) <= TEMPO_TOLERANCE for f in factors)


def f_measure(found: Beats, true: Beats) -> float:
    """Of beats within 70 ms, each used once; as `mir_eval.beat.f_measure`, from the first second on."""
    pairs, j, hits = sorted(found), 0, 0
    for at in true:
        while j < len(pairs) and pairs[j] < at - BEAT_TOLERANCE_S:
            j += 1
        if j < len(pairs) and pairs[j] <= at + BEAT_TOLERANCE_S:
            hits, j = hits + 1, j + 1
    return 2 * hits / max(len(found) + len(true), 1)


def offsets_ms(found: Beats, true: Beats) -> list[float]:
    """Of each true beat, how late the nearest found one is, if within 70 ms."""
    times = np.array(found)
    nearest = [float(times[np.argmin(np.abs(times - at))] - at) for at in true] if times.size else []
    return [1000 * late for late in nearest if abs(late) <= BEAT_TOLERANCE_S]


def mirex(found: str | None, true: str) -> float:
    """MIREX's weights: fifth .5, relative .3, parallel .2."""
    if found is None:
        return 0.0
    (tonic, mode), (right, right_mode) = found.split(), true.split()
    up = (TONICS.index(tonic) - TONICS.index(right)) % 12
    if mode == right_mode:
        return {0: 1.0, 7: 0.5, 5: 0.5}.get(up, 0.0)
    if up == 0:
        return 0.2
    return 0.3 if up == (9 if right_mode == "major" else 3) else 0.0


def interval(hits: float, n: int) -> str:
    """A share with Wilson's 95 % interval."""
    if not n:
        return "—"
    z, p = 1.96, hits / n
    centre, half = p + z * z / 2 / n, z * math.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    return f"{p:.2f} ({max(low, 0):.2f}–{min(high, 1):.2f})"


def mean(values: Sequence[float]) -> str:
    """A mean with its 95 % interval."""
    if not values:
        return "—"
    half = 1.96 * float(np.std(values)) / math.sqrt(len(values))
    return f"{np.mean(values):.2f} (±{half:.2f})"


def summarise(rows: list[tuple[Truth, Answer]]) -> dict[str, str]:
    tempo = [(t, a) for t, a in rows if isinstance(t.bpm, float)]
    right = sum(tempo_is_right(a.bpm, float(t.bpm or 0)) for t, a in tempo)
    nearly = sum(tempo_is_right(a.bpm, float(t.bpm or 0), octaves=True) for t, a in tempo)
    still = [a for t, a in rows if t.bpm == "none"]
    beats = [(t, a) for t, a in rows if t.beats_s and a.beats_s is not None]
    late = [
        float(np.median(x))
        for t, a in beats
        if t.kind == "onsets" and (x := offsets_ms(a.beats_s or (), t.beats_s))
    ]
    keyed = [(t, a) for t, a in rows if t.key not in (None, "none")]
    keyless = [a for t, a in rows if t.key == "none"]
    return {
        "tempo within 4 %": interval(right, len(tempo)),
        "octaves allowed": interval(nearly, len(tempo)),
        "a tempo where is none": interval(sum(a.bpm is not None for a in still), len(still)),
        "beats, F": mean([f_measure(a.beats_s or (), t.beats_s) for t, a in beats if t.kind != "onsets"]),
        "beats' offset, ms": f"{np.median(late):+.1f} ({min(late):+.1f} to {max(late):+.1f})"
        if late
        else "—",
        "key, MIREX": mean([mirex(a.key, t.key or "") for t, a in keyed]),
        "a key where is none": interval(sum(a.key is not None for a in keyless), len(keyless)),
    }


def calibration(pairs: list[tuple[float, bool]]) -> str:
    """For each fifth of confidence: how many, what they say, and the share that is right."""
    cells = []
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        inside = [(c, r) for c, r in pairs if low <= c < low + 0.2 or (low == 0.8 and c >= 0.8)]
        if inside:
            said, true = np.mean([c for c, _ in inside]), np.mean([r for _, r in inside])
            cells.append(f"{len(inside)}: says {said:.2f}, right {true:.2f}")
        else:
            cells.append("0")
    return " | ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("truth", type=Path, nargs="+")
    parser.add_argument("--others", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    kinds = {kind for kind in options.only.split(",") if kind}
    truths = [t for path in options.truth for t in read_truth(path) if not kinds or t.kind in kinds]
    tools = {"ours": ours} | (available(TOOLS) if options.others else {})
    for name, tool in tools.items():
        by_kind: dict[str, list[tuple[Truth, Answer]]] = defaultdict(list)
        for truth in truths:
            by_kind[truth.kind].append((truth, tool(truth.path)))
        everything = [row for rows in by_kind.values() for row in rows]
        columns = list(summarise(everything))
        print(f"\n| {name} | n | {' | '.join(columns)} |\n|---|---|{'---|' * len(columns)}")
        for kind, rows in [*by_kind.items(), ("all", everything)]:
            print(f"| {kind} | {len(rows)} | {' | '.join(summarise(rows).values())} |")
        if name == "ours":
            said = [(t, a) for t, a in everything if t.bpm is not None and a.bpm is not None]
            tempo = [
                (a.bpm_confidence or 0.0, isinstance(t.bpm, float) and tempo_is_right(a.bpm, t.bpm))
                for t, a in said
            ]
            key = [
                (a.key_confidence or 0.0, a.key == t.key)
                for t, a in everything
                if t.key and a.key is not None
            ]
            print("\n| confidence | 0 to .2 | to .4 | to .6 | to .8 | to 1 |\n|---|---|---|---|---|---|")
            print(f"| tempo | {calibration(tempo)} |\n| key | {calibration(key)} |", flush=True)


if __name__ == "__main__":
    main()
