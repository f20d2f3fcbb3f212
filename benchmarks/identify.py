"""Identification and the index behind it, on a deployed Postgres, asked as the worker asks it.

    .venv/bin/python benchmarks/identify.py [--recordings 10000] [--sounds 120]

Fills the index with recordings of three minutes: assembled from stretches of fingerprints of synthesised
sounds, each moved in pitch and tempo, so that keys are as frequent as in sound. Beside them lie real
recordings (../shared/audio, where it is there) and synthesised sounds; from each of these, snippets of 10 s
are cut at random, re-encoded as MP3 at 64 kb/s and asked for: with the recording in the index, and without
it, when whatever is accepted is foreign.

Prints build time, size of the index, what one more recording costs, the time of one question for candidates
(ratio: beside the same question of the index in memory), first rank and foreign accepted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fingerprint_sounds as sounds

from soundscape.audio.fingerprint import (
    FRAME_RATE_HZ,
    Answer,
    Candidate,
    Fingerprint,
    Fingerprinter,
    Index,
    Keys,
    Matches,
    match,
    query_keys,
    stored_keys,
)
from soundscape.audio.fingerprint.index import spaced_out
from soundscape.audio.fingerprint.match import SPEEDS
from soundscape.deploy.database import apply
from soundscape.worker.recognition import CANDIDATES_PER_HIT, FIRST_ONE_IN, entry
from tests import cluster

SHARED = Path(__file__).resolve().parents[2] / "shared" / "audio"
ASSEMBLED_S = 180.0
SNIPPET_S = 10.0
OWNER = "00000000-0000-4000-8000-000000000001"


@dataclass(frozen=True)
class Known:
    """A sound that snippets are cut from, indexed under `audio_id`."""

    audio_id: str
    source: str
    y: sounds.Samples


def fingerprint(y: sounds.Samples) -> Fingerprint:
    fingerprinter = Fingerprinter()
    fingerprinter.push(sounds.magnitudes(np.asarray(y, np.float32)))
    return fingerprinter.result()


def assembled(rng: np.random.Generator, stretches: list[Fingerprint]) -> Fingerprint:
    """Three minutes of stretches of 6 to 20 s, each moved by up to 20 cells and 10 % of speed."""
    length = int(ASSEMBLED_S * FRAME_RATE_HZ)
    frames, pitches, ranks, at = [], [], [], 0
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
        at += n
    return Fingerprint(
        length,
        np.concatenate(frames).astype(np.int32),
        np.concatenate(pitches).astype(np.uint16),
        np.concatenate(ranks),
    )


class Table:
    """The index in Postgres as `match` asks one."""

    def __init__(self, connection: psycopg.Connection[Any], *, one_in: int, besides: set[str]) -> None:
        self._connection = connection
        self._one_in = one_in
        self._besides = besides

    def candidates(self, keys: Keys, limit: int) -> list[Candidate]:
        """As the worker does."""
        rows = ask(self._connection, keys, self._one_in, CANDIDATES_PER_HIT * limit)
        found = [Candidate(str(row[0]), row[1], row[2]) for row in rows if str(row[0]) not in self._besides]
        return spaced_out(sorted(found, key=lambda candidate: -candidate.pairs), limit)

    def fingerprint(self, recording_id: str) -> Fingerprint:
        """The stored one."""
        row = self._connection.execute(
            "select peaks from soundscape.fingerprints where audio_id = %s", (recording_id,)
        ).fetchone()
        assert row is not None
        return Fingerprint.from_bytes(row[0])


def ask(connection: psycopg.Connection[Any], keys: Keys, one_in: int, most: int) -> list[Any]:
    return connection.execute(
        "select audio_id, lag_frames, pairs from public.fingerprint_candidates(%s, %s, 1, %s, null, true)",
        (keys.values[::one_in].tolist(), keys.frames[::one_in].tolist(), most),
    ).fetchall()


def identified(connection: psycopg.Connection[Any], heard: Fingerprint, besides: set[str]) -> Matches:
    """What `POST /api/identify` finds."""
    first = match(heard, Table(connection, one_in=FIRST_ONE_IN, besides=besides), speeds=SPEEDS[:1])
    if first.answer is not Answer.NO_MATCH:
        return first
    return match(heard, Table(connection, one_in=1, besides=besides))


def known_sounds(synthesised: int) -> Iterator[Known]:
    if SHARED.is_dir():
        for half in (0, 1):
            for sound in sounds.recordings([SHARED], half=half):
                yield Known(str(uuid4()), sound.source, sound.samples())
    for seed in range(synthesised):
        yield Known(str(uuid4()), f"synth-{seed}", sounds.synthesise(seed))


def fill(dsn: str, stored: dict[str, Fingerprint]) -> None:
    """Bulk: rows first, the index last, as nobody but a benchmark may."""
    began = time.perf_counter()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set maintenance_work_mem = '1GB'")
        connection.execute("insert into auth.users (id, email) values (%s, 'a@example.com')", (OWNER,))
        with connection.cursor() as cursor:
            with cursor.copy(
                "copy public.audio_files (id, user_id, title, file_path, is_public) from stdin"
            ) as rows:
                for audio_id in stored:
                    rows.write_row((audio_id, OWNER, "A sound", f"public/{audio_id}", True))
            with cursor.copy(
                "copy soundscape.fingerprints "
                "(audio_id, number, user_id, is_listed, object_version, version, peaks, keys, frames) "
                "from stdin (format binary)"
            ) as rows:
                rows.set_types(["uuid", "int4", "uuid", "bool", "text", "int2", "bytea", "int4[]", "int4[]"])
                for number, (audio_id, heard) in enumerate(stored.items()):
                    keys = stored_keys(heard)
                    rows.write_row(
                        (UUID(audio_id), number, UUID(OWNER), True, "1", 1, heard.to_bytes(),
                         keys.values.tolist(), keys.frames.tolist())
                    )  # fmt: skip
        connection.execute("select setval('soundscape.fingerprint_numbers', %s)", (len(stored),))
        connection.execute("alter table soundscape.postings drop constraint postings_pkey")
        with connection.cursor().copy("copy soundscape.postings from stdin (format binary)") as rows:
            rows.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
            for number, heard in enumerate(stored.values()):
                keys = stored_keys(heard)
                values = np.unique((keys.values.astype(np.int64) << 42) | (number << 20) | keys.frames)
                packed = np.empty(
                    len(values), dtype=[("columns", ">i2"), ("length", ">i4"), ("posting", ">i8")]
                )
                packed["columns"], packed["length"], packed["posting"] = 1, 8, values
                rows.write(packed.tobytes())
            rows.write(b"\xff\xff")
        connection.execute("alter table soundscape.postings add primary key (posting)")
        connection.execute("vacuum analyze")
        print(f"filled in {time.perf_counter() - began:.0f} s")
        for name in ("soundscape.postings", "soundscape.fingerprints"):
            size = connection.execute("select pg_total_relation_size(%s::regclass)", (name,)).fetchone()
            assert size is not None
            print(f"{name}: {size[0] / len(stored) / 1e3:.0f} kB a recording")


def one_more(connection: psycopg.Connection[Any], heard: Fingerprint) -> None:
    """What writing and deleting one further recording takes."""
    audio_id = str(uuid4())
    connection.execute(
        "insert into public.audio_files (id, user_id, title, file_path) values (%s, %s, 't', %s)",
        (audio_id, OWNER, f"public/{audio_id}"),
    )
    written = json.dumps(entry(heard))
    for what, statement in (
        (
            "written",
            "select soundscape.write_fingerprint(f, '1', %s) from public.audio_files f where id = %s",
        ),
        ("deleted", "delete from public.audio_files where %s::text is not null and id = %s"),
    ):
        before = connection.execute("select pg_current_wal_lsn()").fetchone()
        began = time.perf_counter()
        connection.execute(statement, (written, audio_id))  # type: ignore[arg-type]
        took_ms = (time.perf_counter() - began) * 1000
        wal = connection.execute("select pg_current_wal_lsn() - %s::pg_lsn", before).fetchone()
        assert wal is not None
        print(f"one recording of three minutes {what}: {took_ms:.0f} ms, {float(wal[0]) / 1e6:.1f} MB of log")
    print(f"its fingerprint on the way to complete_job: {len(written) / 1e3:.0f} kB")


def timed(connection: psycopg.Connection[Any], queries: list[Fingerprint], one_in: int) -> list[float]:
    times_ms = []
    for heard in queries:
        keys = query_keys(heard)
        began = time.perf_counter()
        ask(connection, keys, one_in, 64)
        times_ms.append((time.perf_counter() - began) * 1000)
    return times_ms


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=10_000)
    parser.add_argument(
        "--sounds", type=int, default=120, help="synthesised sounds that snippets are cut from"
    )
    parser.add_argument("--snippets", type=int, default=3, help="of each sound")
    given = parser.parse_args()
    rng = np.random.default_rng(1)
    known = list(known_sounds(given.sounds))
    # Of seeds that no snippet is cut from, or what is assembled would truly hold some of them.
    stretches = [fingerprint(sounds.synthesise(1_000_000 + seed)) for seed in range(120)]
    stored = {sound.audio_id: fingerprint(sound.y) for sound in known}
    while len(stored) < given.recordings:
        stored[str(uuid4())] = assembled(rng, stretches)
    real = sum(not sound.source.startswith("synth-") for sound in known)
    print(f"{len(stored)} recordings: {real} real, {len(known) - real} synthesised, the rest assembled")
    index = Index()
    for audio_id, heard in stored.items():
        index.add(audio_id, heard)
    with tempfile.TemporaryDirectory(prefix="soundscape-benchmark-") as folder:
        Path(folder).chmod(0o711)
        with cluster.started(Path(folder) / "cluster") as postgres:
            apply(postgres.dsn())
            fill(postgres.dsn(), stored)
            with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
                measure(connection, known, index, rng, given.snippets)
                one_more(connection, assembled(rng, stretches))


def measure(
    connection: psycopg.Connection[Any],
    known: list[Known],
    index: Index,
    rng: np.random.Generator,
    snippets: int,
) -> None:
    queries: list[tuple[Known, float, Fingerprint]] = []
    for sound in known:
        length_s = len(sound.y) / sounds.SAMPLE_RATE
        for _ in range(snippets if length_s > SNIPPET_S + 1 else 0):
            start_s = rng.uniform(0, length_s - SNIPPET_S)
            cut = sound.y[int(start_s * sounds.SAMPLE_RATE) :][: int(SNIPPET_S * sounds.SAMPLE_RATE)]
            queries.append(
                (sound, start_s, fingerprint(sounds.recode(cut, "mp3", "libmp3lame", 44_100, 64_000)))
            )
    heard = [query for _, _, query in queries]
    index.candidates(query_keys(heard[0]), 16)
    began = time.perf_counter()
    for query in heard:
        index.candidates(query_keys(query), 16)
    memory_ms = (time.perf_counter() - began) * 1000 / len(heard)
    for one_in, name in ((FIRST_ONE_IN, "first question"), (1, "every key")):
        timed(connection, heard[:20], one_in)
        times_ms = timed(connection, heard, one_in)
        p50, p99 = np.percentile(times_ms, [50, 99])
        print(
            f"{name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, {p50 / memory_ms:.1f} times the index in memory "
            f"({memory_ms:.1f} ms); load {os.getloadavg()[0]:.1f}"
        )
    sources: dict[str, set[str]] = {}
    for sound in known:
        sources.setdefault(sound.source, set()).add(sound.audio_id)
    outcome = {"real": [0, 0, 0, 0], "synthesised": [0, 0, 0, 0]}
    for sound, start_s, query in queries:
        counts = outcome["synthesised" if sound.source.startswith("synth-") else "real"]
        found = identified(connection, query, set())
        if found.answer is Answer.NOT_ENOUGH_CONTENT:
            counts[3] += 1
            continue
        counts[0] += 1
        first = bool(found.hits) and found.hits[0].recording_id in sources[sound.source]
        counts[1] += first
        foreign = identified(connection, query, sources[sound.source])
        counts[2] += bool(foreign.hits)
        if not first or foreign.hits:
            others = [(hit.probability, hit.offset_s) for hit in foreign.hits]
            print(f"  {sound.source} at {start_s:.1f} s: first {first}, foreign {others}")
    for kind, (asked, firsts, foreign_hits, little) in outcome.items():
        if asked:
            print(
                f"{kind}: {firsts} of {asked} first ({100 * firsts / asked:.1f} %), "
                f"{foreign_hits} foreign accepted; {little} had too little to tell"
            )


if __name__ == "__main__":
    main()
