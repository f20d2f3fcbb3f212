"""Works that share notes: how often one is named as another, and what telling them apart costs.

    python benchmarks/fingerprint_works.py table    false names, and recall with and without the rule
    python benchmarks/fingerprint_works.py fit      the weights of `score.FITTED_SAMENESS`
    python benchmarks/fingerprint_works.py pitch    recordings a semitone higher, at their own tempo

`--works FOLDER` holds a folder for each instrument, and in it a file for each work, rendered by a sampler
from scores: `fluidsynth -ni -r 22050 -F 001.wav FONT.sf2 001.mid`. Without it, works are synthesised: random
chords and melodies of one key, on one tempo, played by the same decaying notes.

Each work is asked for in 10 s and as a whole, of an index that holds all other works of all instruments.
Every match is then false. Recordings come from `--recordings`, and are asked for under the conditions of
`fingerprint.py`, and mixed over each other. `fit` sees the first, third, … of the instruments and the design
half of the recordings, `table` the others. Fingerprints are kept under the system's temporary folder.
"""

from __future__ import annotations

import argparse
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import fingerprint_sounds as sounds
import numpy as np
from fingerprint import CONDITIONS, DESIGN, EVALUATION, SHARED, Without
from fingerprint_corpus import cached, fingerprint
from fingerprint_sounds import SAMPLE_RATE, Samples
from music import interval

from soundscape.audio.fingerprint import Fingerprint, MemoryIndex, find_matches, make_query_keys, score
from soundscape.audio.fingerprint.match import (
    MAX_CANDIDATES,
    MIN_PEAKS,
    MIN_SCORE,
    SPEEDS,
    has_enough_content,
    is_long_enough,
)
from soundscape.audio.fingerprint.sameness import measure_sameness
from soundscape.audio.fingerprint.verify import make_screen, verify

MAX_WORK_S = 60.0
SNIPPETS = 2
FALSE_SHARE = 0.025
"""`fit` puts the threshold where so many of its queries, harsher than life, still name another work."""
BEDS_DB = (0.0, 6.0)
MADE = {"piano": 6.0, "organ": 0.0, "plucked": 12.0, "bells": 3.0}
"""Synthesised instruments: how fast their notes decay, per second."""


@dataclass(frozen=True)
class Query:
    """A sound that is asked for: `name` is the reference that it comes from."""

    name: str
    group: str
    heard: Fingerprint


def make_work(instrument: str, number: int) -> Samples:
    """Make a work of 40 s in C, at 120 BPM: a chord every two beats, and a melody in eighths."""
    rng = np.random.default_rng([zlib.crc32(instrument.encode()), number])
    y = np.zeros(int(42 * SAMPLE_RATE), np.float32)
    scale = np.array([0, 2, 4, 5, 7, 9, 11])
    degree = 0
    for eighth in range(160):
        at = int(eighth * 0.25 * SAMPLE_RATE)
        if eighth % 4 == 0:
            degree = int(rng.choice([0, 3, 4, 5]))
            for third in (0, 2, 4):
                note = 48 + scale[(degree + third) % 7] + 12 * ((degree + third) // 7)
                _play(y, at, note, 1.0, instrument)
        if rng.random() < 0.8:
            step = degree + int(rng.integers(0, 7))
            _play(y, at, 60 + scale[step % 7] + 12 * (step // 7), 0.25 * rng.integers(1, 3), instrument)
    return y / np.float32(np.max(np.abs(y)) * 3)


def _play(y: Samples, at: int, note: int, length_s: float, instrument: str) -> None:
    t = np.arange(int((length_s + 0.1) * SAMPLE_RATE)) / SAMPLE_RATE
    timbre = np.random.default_rng(zlib.crc32(instrument.encode())).uniform(0.2, 1.0, 12) / np.arange(1, 13)
    tone = sum(
        level
        * np.exp(-t * MADE[instrument] * (1 + 0.2 * i))
        * np.sin(2 * np.pi * 440 * 2 ** ((note - 69) / 12) * (i + 1) * t)
        for i, level in enumerate(timbre)
    )
    sound = tone * np.minimum(1, t / 0.005) * np.minimum(1, (t[-1] - t) / 0.1)
    part = y[at : at + t.size]
    part += np.asarray(sound[: part.size], np.float32)


def read_works(folder: Path | None) -> Iterator[tuple[str, str, Samples]]:
    """Yield (instrument, name, samples) of each work."""
    if folder is None:
        for instrument in MADE:
            for number in range(40):
                yield instrument, f"{instrument}/{number:03d}", make_work(instrument, number)
        return
    for path in sorted(p for p in folder.glob("*/*") if p.suffix.lower() in sounds.SUFFIXES):
        y = sounds.decode(path)
        loud = np.flatnonzero(np.abs(y) > 1e-4)
        if loud.size:
            y = y[loud[0] : loud[-1] + 1][: int(MAX_WORK_S * SAMPLE_RATE)]
        if y.size >= 10 * SAMPLE_RATE:
            yield path.parent.name, f"{path.parent.name}/{path.stem}", y


def prepare_works(folder: Path | None) -> tuple[dict[str, Fingerprint], list[Query]]:
    """Fingerprint all works, whole and in snippets."""
    references: dict[str, Fingerprint] = {}
    asked: list[Query] = []
    for instrument, name, y in read_works(folder):
        references[name] = fingerprint(y)
        asked.append(Query(name, f"{instrument}, whole", references[name]))
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        for _ in range(SNIPPETS):
            first = int(rng.integers(0, max(1, y.size - 10 * SAMPLE_RATE)))
            asked.append(Query(name, f"{instrument}, 10 s", fingerprint(y[first : first + 10 * SAMPLE_RATE])))
    return references, asked


def prepare_recordings(
    folders: list[Path], half: int, count: int
) -> tuple[dict[str, Fingerprint], list[Query]]:
    """Fingerprint recordings of one half, under every condition, and over each other."""
    found = list({s.name: s for s in sounds.recordings(folders, half=half, max_sections=1)}.values())
    order = np.random.default_rng(half).permutation(len(found))[:count]
    chosen = [found[i] for i in order]
    references: dict[str, Fingerprint] = {}
    asked: list[Query] = []
    signals = [sound.samples() for sound in chosen]
    for sound, y in zip(chosen, signals, strict=True):
        references[sound.name] = fingerprint(y)
        for name, condition in CONDITIONS.items():
            if name != "reversed" and not (name.startswith("rain") and sound.source == "rain"):
                seed = [half, zlib.crc32(sound.name.encode()), zlib.crc32(name.encode())]
                heard = fingerprint(condition(y, np.random.default_rng(seed)).y)
                asked.append(Query(sound.name, name, heard))
    for i, bed in enumerate(signals):
        one, other = signals[(i + 1) % len(signals)], signals[(i + 2) % len(signals)]
        n = min(one.size, other.size, bed.size, 25 * SAMPLE_RATE)
        for bed_db in BEDS_DB:
            name = f"bed-{i}-{bed_db:+.0f}"
            references[name] = fingerprint(sounds.mixed(one[:n], bed[:n], -bed_db))
            heard = fingerprint(sounds.mixed(other[:n], bed[:n], -bed_db))
            asked.append(Query(name, f"bed {bed_db:+.0f} dB", heard))
    return references, asked


def gather(arguments: argparse.Namespace, half: int) -> tuple[MemoryIndex, list[Query], list[Query]]:
    """Fill one index with all works and the recordings of a half. Returns it, and both sets of queries."""
    label = hashlib.sha256(repr(arguments.works).encode()).hexdigest()[:12]
    works, foreign = cached(f"works-{label}", lambda: prepare_works(arguments.works))
    named = repr([half, arguments.recordings, arguments.queries, *CONDITIONS, BEDS_DB])
    label = hashlib.sha256(named.encode()).hexdigest()[:12]
    known, asked = cached(
        f"works-recordings-{label}",
        lambda: prepare_recordings(arguments.recordings, half, arguments.queries),
    )
    index = MemoryIndex()
    for name, whole in {**works, **known}.items():
        index.add(name, whole)
    instruments = sorted({name.split("/")[0] for name in works})
    ours = instruments[half::2]
    return index, [query for query in foreign if query.name.split("/")[0] in ours], asked


def find_names(query: Query, index: MemoryIndex, *, is_foreign: bool) -> set[str]:
    """Find what a query is called. As claims are, whole works are asked for at their own speed only."""
    speeds = SPEEDS[:1] if query.group.endswith("whole") else SPEEDS
    source_of = {name: name for name in index}
    asked = Without(index, source_of, {query.name} if is_foreign else set())
    return {match.recording_id for match in find_matches(query.heard, asked, speeds=speeds).matches}


def table(arguments: argparse.Namespace) -> None:
    """Print false names and recall, with the rule and without it."""
    index, foreign, asked = gather(arguments, EVALUATION)
    asked = [query for query in asked if has_enough_content(query.heard)]
    fitted = score.FITTED_SAMENESS
    named: dict[bool, dict[str, list[bool]]] = {}
    found: dict[bool, dict[str, list[bool]]] = {}
    for with_rule in (False, True):
        score.FITTED_SAMENESS = fitted if with_rule else replace(fitted, bias=1e3)
        named[with_rule], found[with_rule] = {}, {}
        for query in foreign:
            wrong = find_names(query, index, is_foreign=True)
            for group in (query.group, f"all, {query.group.split(', ')[1]}"):
                named[with_rule].setdefault(group, []).append(bool(wrong))
        for query in asked:
            right = query.name in find_names(query, index, is_foreign=False)
            for group in (query.group, "mixes" if query.group.startswith("bed") else "all"):
                found[with_rule].setdefault(group, []).append(right)
    for title, sides in (("named as another work", named), ("found", found)):
        print(f"\n| {title} | queries | without the rule | with it |\n|---|---|---|---|")
        for group, before in sides[False].items():
            after = sides[True][group]
            print(
                f"| {group} | {len(before)} | {interval(sum(before), len(before))} "
                f"| {interval(sum(after), len(after))} |"
            )


def collect(query: Query, index: MemoryIndex, *, is_foreign: bool) -> list[tuple[float, ...]]:
    """Measure each candidate that would be a match without the rule; of a recording, its own only."""
    rows = []
    asked = Without(index, {name: name for name in index}, {query.name} if is_foreign else set())
    for speed in SPEEDS[:1] if query.group.endswith("whole") else SPEEDS:
        screen = make_screen(query.heard, speed=speed)
        for candidate in asked.find_candidates(make_query_keys(query.heard, speed=speed), MAX_CANDIDATES):
            if not is_foreign and candidate.recording_id != query.name:
                continue
            stored = index.read_fingerprint(candidate.recording_id)
            evidence = verify(screen, stored, candidate.lag_frames)
            if (
                evidence is None
                or evidence.n < MIN_PEAKS
                or not is_long_enough(evidence, query.heard, stored)
            ):
                continue
            probability = score.estimate_probability(candidate, evidence)
            if probability >= score.THRESHOLD and min(evidence.lag_tail, evidence.pitch_tail) >= MIN_SCORE:
                rows.append(measure_sameness(query.heard, stored, evidence, speed).features)
        if rows and not is_foreign:
            break
    return rows


def fit(arguments: argparse.Namespace) -> None:
    """Fit the logistic, and print what to freeze in score.py."""
    from sklearn.linear_model import LogisticRegression

    index, foreign, asked = gather(arguments, DESIGN)
    wrong = [collect(query, index, is_foreign=True) for query in foreign]
    right = [rows[0] for query in asked if (rows := collect(query, index, is_foreign=False))]
    false_rows = [row for rows in wrong for row in rows]
    X = np.array([*false_rows, *right])
    y = np.r_[np.zeros(len(false_rows)), np.ones(len(right))]
    weights = np.r_[np.full(len(false_rows), 3.0 * len(right) / len(false_rows)), np.ones(len(right))]
    model = LogisticRegression(C=100.0, max_iter=10_000).fit(X, y, weights)
    best = np.sort([max(model.decision_function(np.array(rows)), default=-np.inf) for rows in wrong if rows])
    cut = best[::-1][int(FALSE_SHARE * len(foreign))]
    bias = float(model.intercept_[0]) - cut + np.log(score.THRESHOLD / (1 - score.THRESHOLD))
    coefficients = tuple(round(float(w), 2) for w in model.coef_[0])
    print(f"FITTED_SAMENESS = Logistic(bias={bias:.2f}, weights={coefficients})")
    lost = np.mean(model.decision_function(np.array(right)) <= cut)
    print(
        f"{len(foreign)} foreign queries, {len(best)} named without the rule; {lost:.1%} of {len(right)} lost"
    )


def pitch(arguments: argparse.Namespace) -> None:
    """Print how many recordings are found as they are, and a semitone higher."""
    import librosa

    found: dict[int, list[bool]] = {0: [], 1: []}
    index = MemoryIndex()
    signals: dict[str, Samples] = {}
    for folder in arguments.recordings:
        for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in sounds.SUFFIXES):
            y = sounds.decode(path)[: 20 * SAMPLE_RATE]
            if y.size >= 5 * SAMPLE_RATE and has_enough_content(whole := fingerprint(y)):
                index.add(str(path), whole)
                signals[str(path)] = y
    for name, y in signals.items():
        for semitones, hits in found.items():
            shifted = librosa.effects.pitch_shift(y, sr=SAMPLE_RATE, n_steps=semitones)
            matches = find_matches(fingerprint(shifted), index).matches
            hits.append(any(match.recording_id == name for match in matches))
    for semitones, hits in found.items():
        print(f"{semitones:+d} semitones: {sum(hits)} of {len(hits)} found")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["table", "fit", "pitch"])
    parser.add_argument("--works", type=Path, metavar="FOLDER", help="a folder for each instrument")
    parser.add_argument("--recordings", nargs="+", type=Path, default=[SHARED], metavar="FOLDER")
    parser.add_argument("--queries", type=int, default=100, help="at most so many recordings")
    arguments = parser.parse_args()
    {"table": table, "fit": fit, "pitch": pitch}[arguments.command](arguments)


if __name__ == "__main__":
    main()
