"""How well recordings are recognised, and how the probability was calibrated.

    python benchmarks/fingerprint.py table    the acceptance table, on the evaluation half
    python benchmarks/fingerprint.py fit      the calibration, on the design half
    python benchmarks/fingerprint.py speed    extraction and look-up times

Recordings come from `--recordings` (default: ../shared/audio beside the project), synthesised sounds fill
the index up to `--references`. Recordings are split by name into a design and an evaluation half,
synthesised sounds by seed; `table` sees nothing that `fit` saw.

Every query is asked twice: of the whole index, where its own source should be found, and of the index
without its source, where anything found is a false match. Fingerprints are cached under the system's
temporary folder; delete soundscape-fingerprint-benchmark there after changing a condition.
"""

from __future__ import annotations

import argparse
import hashlib
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import fingerprint_sounds as sounds
import numpy as np
import soxr
from fingerprint_corpus import CALIBRATION, assemble, cached, fingerprint, synthesised
from fingerprint_sounds import SAMPLE_RATE, Samples, Sound

from soundscape.audio.fingerprint import (
    FRAME_RATE_HZ,
    Candidate,
    Fingerprint,
    Fingerprinter,
    Keys,
    MemoryIndex,
    Verdict,
    find_matches,
    make_query_keys,
    make_stored_keys,
    score,
)
from soundscape.audio.fingerprint.match import MAX_CANDIDATES, MIN_PEAKS, SPEEDS, has_enough_content
from soundscape.audio.fingerprint.verify import make_screen, verify

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "audio"
DESIGN, EVALUATION = 0, 1
CAUTION = 0.6
"""Taken from the log odds: what was fitted may not pass what it was fitted on."""
BACKWARDS_WEIGHT = 0.2
"""In the fit, of recordings played backwards: the worst false friends, and rarer in life than here."""


# -------------------------------------------------------------------------------------------------- queries


@dataclass(frozen=True)
class Altered:
    """What a condition made of a sound, and where in it the result starts."""

    y: Samples
    offset_s: float = 0.0
    speed: float = 1.0


Condition = Callable[[Samples, np.random.Generator], Altered]


def segment(y: Samples, rng: np.random.Generator, length_s: float) -> tuple[Samples, float]:
    n = int(length_s * SAMPLE_RATE)
    first = int(rng.integers(0, max(1, y.shape[0] - n)))
    return y[first : first + n], first / SAMPLE_RATE


def whole(change: Callable[[Samples], Samples]) -> Condition:
    return lambda y, rng: Altered(change(y))


def clean(length_s: float) -> Condition:
    return lambda y, rng: Altered(*segment(y, rng, length_s))


def in_noise(noise: Callable[[int, np.random.Generator], Samples], snr_db: float) -> Condition:
    def condition(y: Samples, rng: np.random.Generator) -> Altered:
        part, offset_s = segment(y, rng, 10.0)
        return Altered(sounds.mixed(part, noise(part.shape[0], rng), snr_db), offset_s)

    return condition


def played(*speeds: float) -> Condition:
    def condition(y: Samples, rng: np.random.Generator) -> Altered:
        speed = float(rng.choice(speeds))
        part, offset_s = segment(y, rng, 10.0 * speed)
        return Altered(sounds.faster(part, speed), offset_s, speed)

    return condition


def rain(n: int, rng: np.random.Generator) -> Samples:
    recording = sounds.decode(SHARED / "rain.ogg")
    first = int(rng.integers(0, recording.shape[0]))
    return np.tile(recording, 2 + n // recording.shape[0])[first : first + n]


CONDITIONS: dict[str, Condition] = {
    "mp3 64k": whole(lambda y: sounds.recode(y, "mp3", "libmp3lame", 44_100, 64_000)),
    "aac 48k": whole(lambda y: sounds.recode(y, "ipod", "aac", 44_100, 48_000)),
    "opus 32k": whole(lambda y: sounds.recode(y, "ogg", "libopus", 48_000, 32_000)),
    "resampled to 16 kHz": whole(
        lambda y: soxr.resample(soxr.resample(y, SAMPLE_RATE, 16_000), 16_000, SAMPLE_RATE)
    ),
    "-12 dB": whole(lambda y: y * np.float32(10 ** (-12 / 20))),
    "low-pass 4 kHz": whole(lambda y: sounds.low_pass(y, 4000.0)),
    "5 s clean": clean(5.0),
    "pink noise 10 dB": in_noise(sounds.pink, 10.0),
    "pink noise 5 dB": in_noise(sounds.pink, 5.0),
    "pink noise 0 dB": in_noise(sounds.pink, 0.0),
    "pink noise -5 dB": in_noise(sounds.pink, -5.0),
    "rain 0 dB": in_noise(rain, 0.0),
    "speed ±1 %": played(0.99, 1.01),
    "speed ±2 %": played(0.98, 1.02),
    "speed ±3 %": played(0.97, 1.03),
    "speed ±4 %": played(0.96, 1.04),
    "reversed": whole(lambda y: np.ascontiguousarray(y[::-1])),
    "speeds between": played(0.965, 0.975, 0.985, 0.995, 1.005, 1.015, 1.025, 1.035),
}


@dataclass(frozen=True)
class Trial:
    """One query: a sound under a condition."""

    condition: str
    sound: Sound
    offset_s: float
    speed: float
    fingerprint: Fingerprint

    @property
    def real(self) -> bool:
        return self.sound.path is not None

    def excluded(self) -> set[str]:
        """Sources that truly are in the query. Played backwards, a recording is foreign even to itself."""
        if self.condition == "reversed":
            return set()
        return {self.sound.source} | ({"rain"} if self.condition.startswith("rain") else set())


def references(half: int, folders: list[Path], count: int) -> list[Sound]:
    """Recordings of one half, filled up with synthesised sounds that the other half does not hold."""
    real = list({s.name: s for s in reversed(sounds.recordings(folders, half=half))}.values())[:count]
    first = half * 1_000_000
    return real + [
        Sound(f"synth-{first + i}", f"synth-{first + i}", seed=first + i) for i in range(count - len(real))
    ]


def trials(half: int, found: list[Sound], max_real: int, max_synthesised: int) -> Iterator[Trial]:
    """Every condition on a choice of the references."""
    rng = np.random.default_rng([half, 1])
    real = [s for s in found if s.path is not None]
    synthesised = [s for s in found if s.path is None]
    chosen = [real[i] for i in rng.permutation(len(real))[:max_real]]
    chosen += [synthesised[i] for i in rng.permutation(len(synthesised))[:max_synthesised]]
    for sound in chosen:
        y = sound.samples()
        for name, condition in CONDITIONS.items():
            if name.startswith("rain") and sound.source == "rain":
                continue
            seed = [half, zlib.crc32(sound.name.encode()), zlib.crc32(name.encode())]
            altered = condition(y, np.random.default_rng(seed))
            yield Trial(name, sound, altered.offset_s, altered.speed, fingerprint(altered.y))


# ------------------------------------------------------------------------------------------------- commands


class Without:
    """An index that does not know some sources."""

    def __init__(self, index: MemoryIndex, source_of: dict[str, str], excluded: set[str]) -> None:
        self._index, self._source_of, self._excluded = index, source_of, excluded

    def find_candidates(self, keys: Keys, limit: int) -> list[Candidate]:
        found = self._index.find_candidates(keys, limit + 32)
        return [c for c in found if self._source_of[c.recording_id] not in self._excluded][:limit]

    def read_fingerprint(self, recording_id: str) -> Fingerprint:
        return self._index.read_fingerprint(recording_id)


def prepare(half: int, arguments: argparse.Namespace) -> tuple[MemoryIndex, dict[str, Sound], list[Trial]]:
    folders = [Path(folder) for folder in arguments.recordings]
    found = references(half, folders, arguments.references)
    label = hashlib.sha256(repr([half, *found]).encode()).hexdigest()[:12]
    chosen = hashlib.sha256(repr([label, arguments.queries, *CONDITIONS]).encode()).hexdigest()[:12]
    stored = cached(f"references-{label}", lambda: {s.name: fingerprint(s.samples()) for s in found})
    asked = cached(
        f"queries-{chosen}", lambda: list(trials(half, found, arguments.queries, arguments.queries))
    )
    index = MemoryIndex()
    for name, known in stored.items():
        index.add(name, known)
    return index, {s.name: s for s in found}, asked


def table(arguments: argparse.Namespace) -> None:
    """Print the acceptance table, asked through `match` as anyone would."""
    index, by_name, asked = prepare(EVALUATION, arguments)
    source_of = {name: sound.source for name, sound in by_name.items()}
    hours = sum(index.read_fingerprint(name).duration_s for name in index) / 3600
    real = sum(1 for name in index if not name.startswith("synth-"))
    print(f"{len(index)} references ({real} sections of recordings), {hours:.1f} h; {len(asked)} queries")
    print(f"threshold {score.THRESHOLD}, calibration {score.CALIBRATION}\n")
    print("| condition | all | recordings | synthesised | offset ≤ 50 ms | too little to tell |")
    print("|---|---|---|---|---|---|")
    false_matches: list[str] = []
    shared: list[str] = []
    foreign = reversed_matches = 0
    for condition in CONDITIONS:
        found: dict[bool, list[bool]] = {True: [], False: []}
        offsets: list[bool] = []
        little = 0
        for trial in (t for t in asked if t.condition == condition):
            answer = find_matches(trial.fingerprint, index)
            identifiable = has_enough_content(index.read_fingerprint(trial.sound.name))
            if answer.verdict is Verdict.NOT_ENOUGH_CONTENT or not identifiable:
                little += 1
                continue
            own = [
                h
                for h in answer.matches
                if condition != "reversed" and source_of[h.recording_id] == trial.sound.source
            ]
            found[trial.real].append(bool(own))
            for match in own:
                if match.recording_id == trial.sound.name:
                    near = (match.offset_s, *match.other_offsets_s)
                    offsets.append(min(abs(offset_s - trial.offset_s) for offset_s in near) <= 0.05)
            elsewhere = find_matches(trial.fingerprint, Without(index, source_of, trial.excluded()))
            if condition == "reversed":
                reversed_matches += bool(elsewhere.matches)
                continue
            foreign += 1
            if not elsewhere.matches:
                continue
            match = elsewhere.matches[0]
            told = (
                f"{condition}: {trial.sound.name} as {match.recording_id} at {match.offset_s:.2f} s, "
                f"speed {match.speed:.3f}, probability {match.probability:.3f}"
            )
            other, lag_s = by_name[match.recording_id], match.offset_s - trial.offset_s
            if sounds.share_waveform(trial.sound.samples(), other.samples(), lag_s):
                shared.append(told)
            else:
                false_matches.append(told)
        if condition == "reversed":
            continue
        cells = [
            f"{100 * np.mean(some):.1f} % of {len(some)}" if some else ""
            for some in (found[True] + found[False], found[True], found[False])
        ]
        right = f"{100 * np.mean(offsets):.1f} %"
        print(f"| {condition} | {' | '.join(cells)} | {right} | {little} |", flush=True)
    print(
        f"\nfalse matches: {len(false_matches)} of {foreign} foreign queries "
        f"({1000 * len(false_matches) / foreign:.2f} in 1,000)"
    )
    for line in false_matches:
        print(f"  {line}")
    print(f"matches elsewhere that the waveforms confirm: {len(shared)}, counted neither way")
    for line in shared:
        print(f"  {line}")
    backwards = sum(t.condition == "reversed" for t in asked)
    print(f"played backwards, matched to itself or another: {reversed_matches} of {backwards}")


class Fitted:
    """Rows of the fit: one for each candidate that was verified."""

    def __init__(self) -> None:
        self.features: list[tuple[float, ...]] = []
        self.right: list[bool] = []
        self.query: list[int] = []
        self.log_size: list[float] = []
        self.backwards: list[bool] = []
        self.pairs: list[tuple[str, str, float]] = []
        self.conditions: list[str] = []

    def ask(
        self, heard: Fingerprint, index: MemoryIndex, condition: str, *, any_speed: bool
    ) -> Iterator[tuple[str, float, list[bool | None]]]:
        """Verify as the worker does: one key in three first, then all, at every speed.

        The caller says of each (recording, lag in frames), in the list given with it, whether it is right, or
        None where it counts neither way.
        """
        number = len(self.conditions)
        self.conditions.append(condition)
        steps = [(3, 1.0), *((1, speed) for speed in (SPEEDS if any_speed else SPEEDS[:1]))]
        for one_in, speed in steps:
            keys = make_query_keys(heard, speed=speed)
            some = Keys(keys.values[::one_in], keys.frames[::one_in])
            laid_out = make_screen(heard, speed=speed)
            for candidate in index.find_candidates(some, MAX_CANDIDATES + 16):
                evidence = verify(
                    laid_out, index.read_fingerprint(candidate.recording_id), candidate.lag_frames
                )
                if evidence is None or evidence.n < MIN_PEAKS:
                    continue
                right: list[bool | None] = []
                yield candidate.recording_id, evidence.lag_frames, right
                if right[0] is not None:
                    self.features.append(score.make_features(candidate, evidence))
                    self.right.append(right[0])
                    self.query.append(number)
                    self.log_size.append(np.log(max(1.0, candidate.among / score.AMONG_KEYS)))
                    self.backwards.append(condition == "reversed")


def conditions_asked(rows: Fitted, arguments: argparse.Namespace) -> np.ndarray:
    """Every condition, of 2,000 references; which of the rows count."""
    index, by_name, asked = prepare(DESIGN, arguments)
    for trial in asked:
        if not has_enough_content(trial.fingerprint):
            continue
        excluded = trial.excluded()
        for recording_id, lag_frames, right in rows.ask(
            trial.fingerprint, index, trial.condition, any_speed=True
        ):
            lag_s = lag_frames / FRAME_RATE_HZ - trial.offset_s
            itself = recording_id == trial.sound.name and abs(lag_s) < 0.1 and bool(excluded)
            related = by_name[recording_id].source in excluded
            right.append(itself if itself or not related else None)
            if right[0] is not None:
                rows.pairs.append((trial.sound.name, recording_id, lag_s))
    return ~_shared(np.array(rows.features), np.array(rows.right), rows.pairs, by_name)


def snippets_asked(rows: Fitted, count: int, assembled: int) -> None:
    """Snippets and whole sounds, of an index that holds them among many of three minutes."""
    rng = np.random.default_rng(1_000_000)
    known = list(synthesised(CALIBRATION, count))
    stretches = [fingerprint(sounds.synthesise(1_000_000 + seed)) for seed in range(120)]
    index = MemoryIndex()
    for sound in known:
        index.add(sound.audio_id, sound.whole)
    for number in range(assembled):
        index.add(f"assembled-{number}", assemble(rng, stretches))
    for sound in known:
        for heard, condition in ((sound.snippet, "snippet"), (sound.whole, "whole")):
            if has_enough_content(heard):
                for recording_id, _, right in rows.ask(
                    heard, index, condition, any_speed=condition == "snippet"
                ):
                    right.append(recording_id == sound.audio_id)


def fit(arguments: argparse.Namespace) -> None:
    """Fit the logistic on the design half and on a large index; print what to freeze in score.py."""
    from scipy.optimize import minimize
    from sklearn.linear_model import LogisticRegression

    rows = Fitted()
    keep = conditions_asked(rows, arguments)
    snippets_asked(rows, arguments.snippets, arguments.assembled)
    keep = np.concatenate([keep, np.ones(len(rows.right) - len(keep), bool)])
    X, y, asked_by = np.array(rows.features)[keep], np.array(rows.right)[keep], np.array(rows.query)[keep]
    log_size, backwards = np.array(rows.log_size)[keep], np.array(rows.backwards)[keep]
    model = LogisticRegression(C=10.0, max_iter=10_000).fit(X, y, np.where(backwards, BACKWARDS_WEIGHT, 1.0))
    z = model.decision_function(X)
    # A probability is read of a query's best candidate, so that is what it is scaled for; where the index is
    # larger, at odds that are smaller by as much.
    best = {side: np.full(len(rows.conditions), -np.inf) for side in (False, True)}
    sizes = np.zeros(len(rows.conditions))
    sizes[asked_by] = log_size
    for side in (False, True):
        chosen = (y == side) & ~backwards
        np.maximum.at(best[side], asked_by[chosen], z[chosen])
    seen = {side: best[side] > -np.inf for side in (False, True)}

    def cost(scale: np.ndarray) -> float:
        true = scale[0] * best[True][seen[True]] + scale[1] - sizes[seen[True]]
        foreign = scale[0] * best[False][seen[False]] + scale[1] - sizes[seen[False]]
        return float(np.logaddexp(0, -true).sum() * len(foreign) / len(true) + np.logaddexp(0, foreign).sum())

    slope, shift = minimize(cost, [1.0, 0.0]).x
    weights = tuple(round(float(w) * slope, 3) for w in model.coef_[0])
    bias = float(model.intercept_[0]) * slope + shift - CAUTION
    print(f"FITTED = Logistic(bias={bias:.3f}, weights={weights})")
    conditions = np.array(rows.conditions)
    claimed = {
        side: best[side] * slope + shift - CAUTION - sizes > np.log(score.THRESHOLD / (1 - score.THRESHOLD))
        for side in (False, True)
    }
    for condition in dict.fromkeys(rows.conditions):
        mine = conditions == condition
        print(
            f"  {condition:22s} {100 * np.mean(claimed[True][mine]):.1f} % of {mine.sum()}, "
            f"{claimed[False][mine].sum()} foreign"
        )


def _shared(
    X: np.ndarray, y: np.ndarray, pairs: list[tuple[str, str, float]], by_name: dict[str, Sound]
) -> np.ndarray:
    """Rows between two sources whose waveforms show that they share material: neither true nor foreign."""
    strongest = [i for i in np.argsort(-X[:, 2]) if not y[i]][:400]
    known: dict[tuple[str, str], bool] = {}
    for i in strongest:
        ours, theirs, lag_s = pairs[i]
        between = (by_name[ours].source, by_name[theirs].source)
        if not known.get(between) and len(known) < 40:
            known[between] = sounds.share_waveform(by_name[ours].samples(), by_name[theirs].samples(), lag_s)
    sharing = {frozenset(between) for between, shares in known.items() if shares}
    print(f"sources that share material, by waveform: {sorted(map(sorted, sharing))}")
    return np.array([frozenset((by_name[a].source, by_name[b].source)) in sharing for a, b, _ in pairs])


def speed(arguments: argparse.Namespace) -> None:
    """Time extraction beyond the spectrum, and a 10 s query of 2,000 recordings."""
    y = np.tile(sounds.decode(SHARED / "lets_go_fishin.ogg"), 5)[: 600 * SAMPLE_RATE]
    white = np.random.default_rng(0).standard_normal(y.shape[0]).astype(np.float32) * np.float32(0.1)
    for name, signal in (("song", y), ("white noise", white)):
        S = sounds.magnitudes(signal)
        times = []
        for _ in range(4):
            fingerprinter = Fingerprinter()
            began = time.process_time()
            for first in range(0, S.shape[0], 1024):
                fingerprinter.push(S[first : first + 1024])
            made = fingerprinter.result()
            times.append(time.process_time() - began)
        per_hour = 3600 / made.duration_s
        print(
            f"{name}: {min(times) * per_hour:.2f} s per hour, "
            f"{len(make_stored_keys(made)) / made.duration_s:.1f} keys/s, "
            f"{len(made) / made.duration_s:.0f} peaks/s, "
            f"{len(made.to_bytes()) * per_hour / 1e6:.2f} MB per hour"
        )
    index, by_name, asked = prepare(EVALUATION, arguments)
    source_of = {name: sound.source for name, sound in by_name.items()}
    ten = [t for t in asked if t.condition == "pink noise 0 dB"]
    find_matches(ten[0].fingerprint, index)
    began = time.process_time()
    for trial in ten:
        find_matches(trial.fingerprint, Without(index, source_of, trial.excluded()))
    print(f"10 s query, nothing found, nine speeds: {1000 * (time.process_time() - began) / len(ten):.1f} ms")
    began = time.process_time()
    for trial in ten:
        index.find_candidates(make_query_keys(trial.fingerprint), MAX_CANDIDATES)
    lookups = np.mean([len(make_query_keys(t.fingerprint)) for t in ten])
    print(
        f"candidates at one speed: {1000 * (time.process_time() - began) / len(ten):.2f} ms, "
        f"{lookups:.0f} look-ups"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["table", "fit", "speed"])
    parser.add_argument("--recordings", nargs="+", default=[str(SHARED)], metavar="FOLDER")
    parser.add_argument("--references", type=int, default=2000)
    parser.add_argument("--queries", type=int, default=100, help="at most this many of each kind")
    parser.add_argument(
        "--snippets", type=int, default=2500, help="fit: sounds in the large index, asked for"
    )
    parser.add_argument("--assembled", type=int, default=10_000, help="fit: what else is in that index")
    arguments = parser.parse_args()
    {"table": table, "fit": fit, "speed": speed}[arguments.command](arguments)


if __name__ == "__main__":
    main()
