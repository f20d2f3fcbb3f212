"""Sounds with fingerprints for the benchmarks of fingerprints: synthesised by seed, kept on disk once made.

The seeds of calibration and evaluation are apart, so that what was fitted is not judged by what it saw.
"""

from __future__ import annotations

import hashlib
import pickle
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import fingerprint_sounds as sounds
import numpy as np

from soundscape.audio.fingerprint import FRAME_RATE_HZ, Fingerprint, Fingerprinter
from soundscape.audio.fingerprint.levels import LEVEL_BANDS, LEVEL_FRAMES, count_rows

CACHE = Path(tempfile.gettempdir()) / "soundscape-fingerprint-benchmark"
ASSEMBLED_S = 180.0
SNIPPET_S = 10.0
PORTION = 500
CALIBRATION = 3_000_000
EVALUATION = 4_000_000
"""Seeds of the sounds that `fingerprint.py fit` sees, and of those that `identify.py` judges."""


@dataclass(frozen=True)
class Known:
    """A sound in the index, and a snippet of it."""

    audio_id: str
    source: str
    start_s: float
    whole: Fingerprint
    snippet: Fingerprint

    @property
    def real(self) -> bool:
        return not self.source.startswith("synth-")


@dataclass(frozen=True)
class Query:
    """A sound that is asked for: `name` is the reference that it comes from, `kind` how it was made."""

    name: str
    kind: str
    heard: Fingerprint


def fingerprint(y: sounds.Samples) -> Fingerprint:
    fingerprinter = Fingerprinter()
    fingerprinter.push(sounds.magnitudes(np.asarray(y, np.float32)))
    return fingerprinter.result()


def assemble(rng: np.random.Generator, stretches: list[Fingerprint]) -> Fingerprint:
    """Three minutes of stretches of 6 to 20 s, their peaks moved by up to 20 cells and 10 % of speed."""
    length = int(ASSEMBLED_S * FRAME_RATE_HZ)
    frames, pitches, ranks, at = [], [], [], 0
    levels = np.zeros((count_rows(length), LEVEL_BANDS), np.uint8)
    while at < length:
        one = stretches[rng.integers(len(stretches))]
        n = int(min(rng.integers(260, 860), one.frame_count, length - at))
        start = int(rng.integers(0, one.frame_count - n + 1))
        low, high = np.searchsorted(one.frames, [start, start + n])
        moved = np.rint((one.frames[low:high] - start) * rng.uniform(0.9, 1.1)).astype(np.int32)
        inside = moved < n
        frames.append(moved[inside] + at)
        pitches.append((one.pitches[low:high][inside] + rng.integers(-140, 141)).clip(60, 2000))
        ranks.append(one.ranks[low:high][inside])
        row, rows = at // LEVEL_FRAMES, one.levels[start // LEVEL_FRAMES :][: n // LEVEL_FRAMES]
        levels[row : row + rows.shape[0]] = rows
        at += n
    return Fingerprint(
        length,
        np.concatenate(frames).astype(np.int32),
        np.concatenate(pitches).astype(np.uint16),
        np.concatenate(ranks),
        levels,
    )


def cached(name: str, make: Callable[[], Any]) -> Any:
    """Made once, as long as sounds are synthesised and fingerprinted as they were."""
    code = b"".join(fingerprint(sounds.synthesise(seed)).to_bytes() for seed in range(5))
    path = CACHE / f"{name}-{hashlib.sha256(code).hexdigest()[:12]}.pickle"
    if path.exists():
        return pickle.loads(path.read_bytes())
    made = make()
    CACHE.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(made))
    return made


def synthesised(first: int, count: int) -> Iterator[Known]:
    """Sounds by seed, each with a snippet; in portions that are kept."""
    for start in range(first, first + count, PORTION):
        for seed, start_s, *packed in cached(f"snippets-{start}", partial(made, start)):
            if seed < first + count:
                whole, heard = map(Fingerprint.from_bytes, packed)
                yield Known(str(uuid4()), f"synth-{seed}", start_s, whole, heard)


def made(start: int) -> list[tuple[int, float, bytes, bytes]]:
    portion = []
    for seed in range(start, start + PORTION):
        y = sounds.synthesise(seed)
        first = int(np.random.default_rng([seed, 99]).uniform(0, len(y) - SNIPPET_S * sounds.SAMPLE_RATE))
        portion.append(
            (seed, first / sounds.SAMPLE_RATE, fingerprint(y).to_bytes(), snippet(y, first).to_bytes())
        )
    return portion


def snippet(y: sounds.Samples, first: int) -> Fingerprint:
    """Ten seconds from a sample on, through MP3 at 64 kb/s."""
    cut = y[first : first + int(SNIPPET_S * sounds.SAMPLE_RATE)]
    return fingerprint(sounds.recode(cut, "mp3", "libmp3lame", 44_100, 64_000))
