"""Works that share notes: how often one is named as another, and what telling them apart costs.

    python benchmarks/fingerprint_works.py table     false names, and recall with and without the test
    python benchmarks/fingerprint_works.py measure   the rows that fingerprint_sameness.py fits
    python benchmarks/fingerprint_works.py beds      what copies and sounds over one bed are called
    python benchmarks/fingerprint_works.py pitch     recordings a semitone higher, at their own tempo

`--works FOLDER` holds a folder for each instrument, and in it a file for each work, rendered by a sampler
from scores: `fluidsynth -ni -r 22050 -F 001.wav FONT.sf2 001.mid`. Without it, works are synthesised: random
chords and melodies of one key, on one tempo, played by the same decaying notes. `measure` and `table` are
given different folders. Where scores are beside the works, as `001.mid`, one of two works of an instrument
that hold the same sound is left out (`fingerprint_notes.py`).

Each work is asked for in 10 s and as a whole, of an index that holds all other works. Every match is then
false. Recordings come from `--recordings`, and are asked for under the conditions of `fingerprint.py`,
mixed over each other, and in pairs that hold the same 6 s of a third. Sounds with few peaks are synthesised,
and asked for both ways. `measure` sees the design half of recordings and seeds, `table` the other.
Fingerprints are kept under the system's temporary folder.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import math
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import fingerprint_sounds as sounds
import numpy as np
from fingerprint import CONDITIONS, DESIGN, EVALUATION, SHARED, Without
from fingerprint_corpus import Query, cached, fingerprint
from fingerprint_notes import RULES, Notes, are_same_sound, read_notes
from fingerprint_sameness import FEW_PEAKS, ROWS
from fingerprint_sounds import SAMPLE_RATE, Samples
from fingerprint_sparse import FAMILIES, SPARSE_CONDITIONS, make_sparse
from music import interval

from soundscape.audio.fingerprint import (
    THRESHOLD,
    Candidate,
    Fingerprint,
    Keys,
    Match,
    MatchKind,
    MemoryIndex,
    find_matches,
)
from soundscape.audio.fingerprint.match import (
    SPEEDS,
    VerifiedCandidate,
    has_enough_content,
    verify_candidates,
)
from soundscape.audio.fingerprint.sameness import Sameness
from soundscape.audio.fingerprint.score import estimate_sameness

PASSES = math.log(THRESHOLD / (1.0 - THRESHOLD))
MAX_WORK_S = 60.0
SNIPPETS = 2
BEDS_DB = (0.0, 6.0)
STRETCH_S = 6.0
STRETCH_CONDITIONS: dict[str, Callable[[Samples, np.random.Generator], Samples]] = {
    "as it is": lambda y, rng: y,
    "MP3 at 64 kb/s": lambda y, rng: sounds.recode(y, "mp3", "libmp3lame", 44_100, 64_000),
    "pink noise 10 dB": lambda y, rng: sounds.mixed(y, sounds.pink(y.size, rng), 10.0),
}
COMPARED_BEDS_DB = (-6.0, 0.0, 6.0, 12.0, 20.0)
COPIES: dict[str, Callable[[Samples, np.random.Generator], Samples]] = {
    "MP3 at 64 kb/s": lambda y, rng: sounds.recode(y, "mp3", "libmp3lame", 44_100, 64_000),
    "AAC at 24 kb/s": lambda y, rng: sounds.recode(y, "ipod", "aac", 44_100, 24_000),
    "Opus at 24 kb/s": lambda y, rng: sounds.recode(y, "ogg", "libopus", 48_000, 24_000),
    "low-pass at 2 kHz": lambda y, rng: sounds.low_pass(y, 2000.0),
    "pink noise 20 dB below": lambda y, rng: sounds.mixed(y, sounds.pink(y.size, rng), 20.0),
    "pink noise 10 dB below": lambda y, rng: sounds.mixed(y, sounds.pink(y.size, rng), 10.0),
    "pink noise 0 dB": lambda y, rng: sounds.mixed(y, sounds.pink(y.size, rng), 0.0),
    "3 % too fast": lambda y, rng: sounds.faster(y, 1.03),
    "4 % too slow": lambda y, rng: sounds.faster(y, 0.96),
}
"""Copies that ought to be the same recording."""
MADE = {"piano": 6.0, "organ": 0.0, "plucked": 12.0, "bells": 3.0}
"""Synthesised instruments: how fast their notes decay, per second."""


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


def read_works(folder: Path | None, half: int) -> Iterator[tuple[str, str, Samples]]:
    """Yield (instrument, name, samples) of each work. Synthesised ones are of half of the instruments."""
    if folder is None:
        for instrument in sorted(MADE)[half::2]:
            for number in range(40):
                yield instrument, f"{instrument}/{number:03d}", make_work(instrument, number)
        return
    kept: dict[str, list[Notes]] = {}
    for path in sorted(p for p in folder.glob("*/*") if p.suffix.lower() in sounds.SUFFIXES):
        if (score := path.with_suffix(".mid")).exists():
            notes, others = read_notes(score, MAX_WORK_S), kept.setdefault(path.parent.name, [])
            if any(are_same_sound(notes, other) for other in others):
                continue
            others.append(notes)
        y = sounds.decode(path)
        loud = np.flatnonzero(np.abs(y) > 1e-4)
        if loud.size:
            y = y[loud[0] : loud[-1] + 1][: int(MAX_WORK_S * SAMPLE_RATE)]
        if y.size >= 10 * SAMPLE_RATE:
            yield path.parent.name, f"{path.parent.name}/{path.stem}", y


def prepare_works(folder: Path | None, half: int) -> tuple[dict[str, Fingerprint], list[Query]]:
    """Fingerprint all works, whole and in snippets."""
    references: dict[str, Fingerprint] = {}
    asked: list[Query] = []
    for instrument, name, y in read_works(folder, half):
        references[name] = fingerprint(y)
        asked.append(Query(name, f"{instrument}, whole", references[name]))
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        for _ in range(SNIPPETS):
            first = int(rng.integers(0, max(1, y.size - 10 * SAMPLE_RATE)))
            asked.append(Query(name, f"{instrument}, 10 s", fingerprint(y[first : first + 10 * SAMPLE_RATE])))
    return references, asked


def prepare_sparse(half: int, count: int) -> tuple[dict[str, Fingerprint], list[Query], list[Query]]:
    """Fingerprint sounds with few peaks. Returns references, queries without a change, and changed ones."""
    references: dict[str, Fingerprint] = {}
    plain: list[Query] = []
    changed: list[Query] = []
    for family in FAMILIES:
        for number in range(half * 1_000, half * 1_000 + count):
            y, name = make_sparse(family, number), f"{family}/{number}"
            references[name] = fingerprint(y)
            plain.append(Query(name, f"{family}, whole", references[name]))
            plain.append(Query(name, f"{family}, 10 s", fingerprint(y[: 10 * SAMPLE_RATE])))
            for label, condition in SPARSE_CONDITIONS.items():
                rng = np.random.default_rng([number, zlib.crc32((family + label).encode())])
                changed.append(Query(name, f"{family}, {label}", fingerprint(condition(y, rng))))
    return references, plain, changed


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


def prepare_stretches(
    folders: list[Path], half: int, count: int
) -> tuple[dict[str, Fingerprint], list[Query]]:
    """Fingerprint recordings of one half in pairs that hold the same 6 s of a third, such as a jingle."""
    found = list({s.name: s for s in sounds.recordings(folders, half=half, max_sections=1)}.values())
    order = np.random.default_rng(half).permutation(len(found))[:count]
    signals = [y for y in (found[i].samples() for i in order) if y.size >= 16 * SAMPLE_RATE]
    references: dict[str, Fingerprint] = {}
    asked: list[Query] = []
    for i, y in enumerate(signals):
        stretch = y[5 * SAMPLE_RATE :][: int(STRETCH_S * SAMPLE_RATE)]
        one, other = (
            np.concatenate([around[:middle], stretch, around[middle : 2 * middle]])
            for around in (signals[(i + 1) % len(signals)], signals[(i + 2) % len(signals)])
            for middle in [min(around.size // 2, 16 * SAMPLE_RATE)]
        )
        references[f"stretch-{i}"] = fingerprint(one)
        for name, condition in STRETCH_CONDITIONS.items():
            heard = fingerprint(condition(other, np.random.default_rng([half, i])))
            asked.append(Query(f"stretch-{i}", name, heard))
    return references, asked


def gather(
    arguments: argparse.Namespace, half: int
) -> tuple[MemoryIndex, list[Query], dict[str, list[Query]]]:
    """Fill an index with one half of everything. Returns it, queries of others, and those of the same."""
    label = hashlib.sha256(repr([half, arguments.works, MAX_WORK_S, *RULES]).encode()).hexdigest()[:12]
    works, others = cached(f"works-{label}", lambda: prepare_works(arguments.works, half))
    named = repr([half, arguments.recordings, arguments.queries, *CONDITIONS, BEDS_DB])
    label = hashlib.sha256(named.encode()).hexdigest()[:12]
    known, asked = cached(
        f"works-recordings-{label}",
        lambda: prepare_recordings(arguments.recordings, half, arguments.queries),
    )
    parts, stretches = cached(
        f"works-stretches-{label}-{STRETCH_S}-{'-'.join(STRETCH_CONDITIONS)}",
        lambda: prepare_stretches(arguments.recordings, half, arguments.queries),
    )
    few, plain, changed = cached(
        f"works-sparse-{half}-{arguments.sparse}-{'-'.join(FAMILIES)}",
        lambda: prepare_sparse(half, arguments.sparse),
    )
    index = MemoryIndex()
    for name, whole in {**works, **known, **parts, **few}.items():
        index.add(name, whole)
    same = {
        "recordings": [query for query in asked if not query.kind.startswith("bed")],
        FEW_PEAKS: changed,
        "one bed": [query for query in asked if query.kind.startswith("bed")],
        "a short stretch": stretches,
    }
    enough = {
        kind: [query for query in queries if has_enough_content(query.heard)]
        for kind, queries in same.items()
    }
    return index, others + [query for query in plain if has_enough_content(query.heard)], enough


class OneRecording(Without):
    """An index that answers with the candidates of one recording, if they are among the best."""

    def find_candidates(self, keys: Keys, limit: int) -> list[Candidate]:
        found = self._index.find_candidates(keys, limit)
        return [candidate for candidate in found if candidate.recording_id not in self._excluded]


def verify_query(query: Query, index: MemoryIndex, *, is_other: bool) -> list[VerifiedCandidate]:
    """Find what agrees with a query, of what it is not or of what it is.

    Whole works are asked for at their own speed only, as claims are.
    """
    names = {name: name for name in index}
    asked = (
        Without(index, names, {query.name})
        if is_other
        else OneRecording(index, names, names.keys() - {query.name})
    )
    return [
        candidate
        for speed in (SPEEDS[:1] if query.kind.endswith("whole") else SPEEDS)
        for candidate in verify_candidates(query.heard, asked, speed=speed)
    ]


def find_margin(candidates: list[VerifiedCandidate]) -> float:
    """Find by how much the best candidate passes the test, in log odds; -inf if nothing agrees."""
    sure = (min(estimate_sameness(candidate.sameness), 1.0 - 1e-12) for candidate in candidates)
    return max((math.log(p / (1.0 - p)) - PASSES for p in sure), default=-math.inf)


def table(arguments: argparse.Namespace) -> None:
    """Print false names and recall, with the test and without it, and what another bias would give."""
    index, others, same = gather(arguments, EVALUATION)
    named: dict[str, list[float]] = {}
    for query in others:
        margin = find_margin(verify_query(query, index, is_other=True))
        instrument, part = query.kind.split(", ")
        everything = FEW_PEAKS if instrument in FAMILIES else "all works"
        for group in (query.kind, f"{everything}, {part}"):
            named.setdefault(group, []).append(margin)
    print_table("named as another work", named)
    curve = {"works named as another, 10 s": named["all works, 10 s"]}
    for kind, queries in same.items():
        found: dict[str, list[float]] = {}
        for query in queries:
            margin = find_margin(verify_query(query, index, is_other=False))
            family, _, condition = query.kind.partition(", ")
            for group in (family, condition, "all") if condition else (query.kind, "all"):
                found.setdefault(group, []).append(margin)
        print_table(f"found: {kind}", found)
        curve[f"{kind} found"] = found["all"]
    print(f"\n| bias | {' | '.join(curve)} |")
    print("|---" * (1 + len(curve)) + "|")
    for shift in (-2.0, -1.0, 0.0, 1.0, 2.0, math.inf):
        shares = (
            f"{np.mean([margin > -math.inf and margin + shift >= 0 for margin in side]):.1%}"
            for side in curve.values()
        )
        print(f"| {shift:+.0f} | {' | '.join(shares)} |")


def print_table(title: str, margins: dict[str, list[float]]) -> None:
    """Print shares without and with the test, with their 95 % intervals."""
    print(f"\n| {title} | queries | without the test | with it |\n|---|---|---|---|")
    for group, side in margins.items():
        without, with_test = sum(margin > -math.inf for margin in side), sum(margin >= 0 for margin in side)
        print(
            f"| {group} | {len(side)} | {without}: {interval(without, len(side))} "
            f"| {with_test}: {interval(with_test, len(side))} |",
            flush=True,
        )


def measure(arguments: argparse.Namespace) -> None:
    """Write the rows of the fit, from the design half."""
    index, others, same = gather(arguments, DESIGN)
    with ROWS.open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["truth", "kind", "query", *Sameness.NAMES])
        for number, query in enumerate(others):
            rows = {format_features(c.sameness) for c in verify_query(query, index, is_other=True)}
            for row in sorted(rows) or [("",)]:
                out.writerow(["other", kind_of_work(query), number, *row])
        for kind, queries in same.items():
            for number, query in enumerate(queries):
                candidates = verify_query(query, index, is_other=False)
                if candidates:
                    best = max(candidates, key=lambda candidate: candidate.evidence.rhythm_tail)
                    out.writerow(["same", f"{kind}, {query.kind}", number, *format_features(best.sameness)])


def kind_of_work(query: Query) -> str:
    """The instrument of a work, or that it has few peaks."""
    instrument = query.kind.split(", ")[0]
    return FEW_PEAKS if instrument in FAMILIES else instrument


def format_features(sameness: Sameness) -> tuple[str, ...]:
    """The features as text, to three decimals."""
    return tuple(f"{feature:.3f}" for feature in sameness.features)


def beds(arguments: argparse.Namespace) -> None:
    """Print what copies and different sounds over one bed are called, and how alike their levels are."""
    found = list({s.name: s for s in sounds.recordings(arguments.recordings, half=EVALUATION)}.values())
    order = np.random.default_rng(EVALUATION).permutation(len(found))[: arguments.queries]
    signals = [found[i].samples()[: 25 * SAMPLE_RATE] for i in order]
    matched: dict[str, list[Match | None]] = {}

    def compare(kind: str, y: Samples, other: Samples) -> None:
        index = MemoryIndex()
        index.add("other", fingerprint(other))
        query = fingerprint(y)
        if has_enough_content(query) and has_enough_content(index.read_fingerprint("other")):
            matches = find_matches(query, index).matches
            matched.setdefault(kind, []).append(matches[0] if matches else None)

    for i, bed in enumerate(signals):
        one, other = signals[(i + 1) % len(signals)], signals[(i + 2) % len(signals)]
        n = min(one.size, other.size, bed.size)
        for bed_db in COMPARED_BEDS_DB:
            compare(
                f"others over one bed, {bed_db:+.0f} dB",
                sounds.mixed(one[:n], bed[:n], -bed_db),
                sounds.mixed(other[:n], bed[:n], -bed_db),
            )
        for kind, change in COPIES.items():
            compare(f"copy, {kind}", change(bed, np.random.default_rng(i)), bed)
    print("| of two | matched | called the same, or an excerpt | level correlation | share of energy |")
    print("|---" * 5 + "|")
    for kind, matches in matched.items():
        hits = [match for match in matches if match]
        same = sum(match.kind is not MatchKind.SHARED_MATERIAL for match in hits)
        correlation, energy = (
            " to ".join(f"{x:.2f}" for x in np.quantile(values, (0.1, 0.9))) if hits else ""
            for values in (
                [match.level_correlation for match in hits],
                [match.share_of_energy for match in hits],
            )
        )
        print(f"| {kind} | {len(hits)} of {len(matches)} | {same} | {correlation} | {energy} |", flush=True)


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
    parser.add_argument("command", choices=["table", "measure", "beds", "pitch"])
    parser.add_argument("--works", type=Path, metavar="FOLDER", help="a folder for each instrument")
    parser.add_argument("--recordings", nargs="+", type=Path, default=[SHARED], metavar="FOLDER")
    parser.add_argument("--queries", type=int, default=100, help="at most so many recordings")
    parser.add_argument("--sparse", type=int, default=12, help="so many sounds of each family with few peaks")
    arguments = parser.parse_args()
    {"table": table, "measure": measure, "beds": beds, "pitch": pitch}[arguments.command](arguments)


if __name__ == "__main__":
    main()
