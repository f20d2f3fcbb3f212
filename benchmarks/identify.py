"""Identification and the index behind it, on a deployed Postgres, asked as the worker asks it.

    python benchmarks/identify.py [--recordings 10000] [--sounds 3000] [--asked 300] [--folders DIR…]

Fills the index with recordings of three minutes: assembled from stretches of fingerprints of synthesised
sounds, each moved in pitch and tempo, so that keys are as frequent as in sound. Beside them lie synthesised
sounds and real recordings (../shared/audio and other folders, the half that no calibration saw); from each,
snippets of 10 s are cut at random, re-encoded as MP3 at 64 kb/s and asked for: with the recording in the
index, and without it, when whatever is accepted is foreign. Whole sounds are asked for too, as claims of
duplicates are.

All of them are asked of the index in memory, which answers as the table does but for the bound on common
keys; `--asked` of them of the table as well, timed, and the answers are compared. All that is then public.
Afterwards 98 % of it are made private to somebody else, and the table is asked as `POST /api/identify` asks
it, for a caller who sees the other 2 %: half of them listed, half the caller's own.

Prints size of the index, what one more recording costs, the time of a question (ratio: beside the same
question in memory) and of a whole answer, first rank, and foreign accepted with its interval (95 %, exact).
Fails when a wish is missed: 99 % first, one foreign in 1,000, 100 ms for a question. Synthesised snippets
are kept under the system's temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fingerprint_sounds as sounds
from fingerprint_corpus import EVALUATION, SNIPPET_S, Known, assemble, fingerprint, snippet, synthesised

from soundscape.audio.fingerprint import (
    THRESHOLD,
    VERSION,
    Candidate,
    Fingerprint,
    Keys,
    MatchResult,
    MemoryIndex,
    Verdict,
    find_matches,
    make_query_keys,
    make_stored_keys,
)
from soundscape.audio.fingerprint.index import drop_near_offsets
from soundscape.audio.fingerprint.match import SPEEDS
from soundscape.deploy.database import apply
from soundscape.project.fingerprint_index import make_entry
from soundscape.project.matching import CANDIDATES_PER_MATCH, FIRST_PASS_STEP, sample_keys
from tests import cluster

SHARED = Path(__file__).resolve().parents[2] / "shared" / "audio"
WANTED_FIRST = 0.99
WANTED_FOREIGN = 0.001
WANTED_MS = 100.0
OWNER = "00000000-0000-4000-8000-000000000001"
CALLER = "00000000-0000-4000-8000-000000000002"
SEEN = 0.02
"""What the caller sees of an index that is private to others but for that."""


class Asked:
    """An index as the worker asks it: one in so many keys, of long sounds no more than so many; some sources
    left out. `candidates` and `fingerprint` are those of the index in memory, or of the table.
    """

    def __init__(self, ask: MemoryIndex | Table, *, step: int, besides: set[str]) -> None:
        self._ask = ask
        self._step = step
        self._besides = besides

    def find_candidates(self, keys: Keys, limit: int) -> list[Candidate]:
        """As the worker does."""
        some = sample_keys(keys, step=self._step)
        found = self._ask.find_candidates(some, CANDIDATES_PER_MATCH * limit)
        others = (candidate for candidate in found if candidate.recording_id not in self._besides)
        return drop_near_offsets(sorted(others, key=lambda candidate: -candidate.pairs), limit)

    def read_fingerprint(self, recording_id: str) -> Fingerprint:
        """The stored one."""
        return self._ask.read_fingerprint(recording_id)


class Table:
    """The index in Postgres: everybody's, or what `viewer` sees of it."""

    def __init__(self, connection: psycopg.Connection[Any], *, viewer: str | None = None) -> None:
        self._connection = connection
        self._viewer = viewer

    def find_candidates(self, keys: Keys, limit: int) -> list[Candidate]:
        """Best first."""
        rows = self._connection.execute(
            "select audio_id, lag_frames, pairs, among "
            f"from public.fingerprint_candidates(%s, %s, {VERSION}, %s, %s, %s)",
            (keys.values.tolist(), keys.frames.tolist(), limit, self._viewer, self._viewer is None),
        ).fetchall()
        return [Candidate(str(row[0]), row[1], row[2], len(keys), int(row[3])) for row in rows]

    def read_fingerprint(self, recording_id: str) -> Fingerprint:
        """The stored one."""
        row = self._connection.execute(
            "select peaks from soundscape.fingerprints where audio_id = %s", (recording_id,)
        ).fetchone()
        assert row is not None
        return Fingerprint.from_bytes(row[0])


def identified(
    index: MemoryIndex | Table, heard: Fingerprint, besides: set[str], *, any_speed: bool
) -> MatchResult:
    """What `POST /api/identify` finds; at its own speed only, what a claim of duplicates rests on."""
    first = find_matches(heard, Asked(index, step=FIRST_PASS_STEP, besides=besides), speeds=SPEEDS[:1])
    if first.verdict is not Verdict.NO_MATCH:
        return first
    return find_matches(
        heard, Asked(index, step=1, besides=besides), speeds=SPEEDS if any_speed else SPEEDS[:1]
    )


def recorded(folders: list[Path], snippets: int, rng: np.random.Generator) -> Iterator[Known]:
    """Sections of real recordings that no calibration saw, each with some snippets."""
    for sound in sounds.recordings([folder for folder in folders if folder.is_dir()], half=1):
        y = sound.samples()
        room = len(y) - int((SNIPPET_S + 1) * sounds.SAMPLE_RATE)
        audio_id, whole = str(uuid4()), fingerprint(y)
        for _ in range(snippets if room > 0 else 0):
            first = int(rng.integers(room))
            yield Known(audio_id, sound.source, first / sounds.SAMPLE_RATE, whole, snippet(y, first))


def fill(dsn: str, stored: dict[str, Fingerprint], owned: set[str]) -> None:
    """Bulk: rows first, the index last, as nobody but a benchmark may. owned: what is the caller's."""
    began = time.perf_counter()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set maintenance_work_mem = '1GB'")
        for user_id in (OWNER, CALLER):
            connection.execute(
                "insert into auth.users (id, email) values (%s, %s)", (user_id, f"{user_id}@example.com")
            )
        connection.execute("alter table soundscape.fingerprints disable trigger fingerprints_written")
        with connection.cursor() as cursor:
            with cursor.copy(
                "copy public.audio_files (id, user_id, title, file_path, is_public) from stdin"
            ) as rows:
                for audio_id in stored:
                    owner = CALLER if audio_id in owned else OWNER
                    rows.write_row((audio_id, owner, "A sound", f"public/{audio_id}", True))
            with cursor.copy(
                "copy soundscape.fingerprints "
                "(audio_id, number, user_id, is_listed, object_version, version, peaks, keys, frames) "
                "from stdin (format binary)"
            ) as rows:
                rows.set_types(["uuid", "int4", "uuid", "bool", "text", "int2", "bytea", "int4[]", "int4[]"])
                for number, (audio_id, heard) in enumerate(stored.items()):
                    keys = make_stored_keys(heard)
                    owner = CALLER if audio_id in owned else OWNER
                    rows.write_row(
                        (UUID(audio_id), number, UUID(owner), True, "1", 1, heard.to_bytes(),
                         keys.values.tolist(), keys.frames.tolist())
                    )  # fmt: skip
        connection.execute("alter table soundscape.fingerprints enable trigger fingerprints_written")
        connection.execute("select setval('soundscape.fingerprint_numbers', %s)", (len(stored),))
        connection.execute("alter table soundscape.postings drop constraint postings_pkey")
        with connection.cursor().copy("copy soundscape.postings from stdin (format binary)") as rows:
            rows.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
            for number, heard in enumerate(stored.values()):
                keys = make_stored_keys(heard)
                rows.write(pack_postings(number, keys))
            rows.write(b"\xff\xff")
        connection.execute("alter table soundscape.postings add primary key (key, number, frame)")
        connection.execute(
            "insert into soundscape.index_sizes (version, key_count) "
            "select version, sum(key_count) from soundscape.fingerprints group by version"
        )
        connection.execute("vacuum analyze")
        print(f"filled in {time.perf_counter() - began:.0f} s")
        for name in ("soundscape.postings", "soundscape.fingerprints"):
            print(f"{name}: {size(connection, name) / len(stored) / 1e3:.0f} kB a recording")


def pack_postings(number: int, keys: Keys) -> bytes:
    """Rows of `soundscape.postings` in the binary form of COPY."""
    found = np.unique(np.stack([keys.values.astype(np.int64), keys.frames.astype(np.int64)], axis=1), axis=0)
    columns = [("key_length", ">i4"), ("key", ">i4"), ("number_length", ">i4"), ("number", ">i4")]
    packed = np.empty(
        len(found), dtype=[("columns", ">i2"), *columns, ("frame_length", ">i4"), ("frame", ">i4")]
    )
    packed["columns"] = 3
    packed["key_length"] = packed["number_length"] = packed["frame_length"] = 4
    packed["key"], packed["number"], packed["frame"] = found[:, 0] | VERSION << 22, number, found[:, 1]
    return packed.tobytes()


def size(connection: psycopg.Connection[Any], name: str) -> int:
    row = connection.execute("select pg_total_relation_size(%s::regclass)", (name,)).fetchone()
    assert row is not None
    return int(row[0])


def seen_by_few(rng: np.random.Generator, chosen: list[Known], stored: dict[str, Fingerprint]) -> list[str]:
    """What the caller sees: half of it, where there is enough, recordings whose snippets are asked for."""
    count = max(4, int(SEEN * len(stored)))
    asked = list(dict.fromkeys(sound.audio_id for sound in chosen))[: count // 2]
    others = [audio_id for audio_id in stored if audio_id not in set(asked)]
    return [*asked, *(others[i] for i in rng.permutation(len(others))[: count - len(asked)])]


def hide(connection: psycopg.Connection[Any], listed: list[str]) -> None:
    """Make everything else private in bulk, postings in one go, as nobody but a benchmark may."""
    began = time.perf_counter()
    table = "alter table soundscape.fingerprints {} trigger fingerprints_listed"
    connection.execute(table.format("disable"))
    connection.execute(
        "update public.audio_files set is_public = false where not id = any (%s::uuid[])", (listed,)
    )
    connection.execute(table.format("enable"))
    connection.execute(
        "insert into soundscape.unlisted_postings (owner_hash, key, number, frame) "
        "select soundscape.owner_hash(f.user_id), p.* from soundscape.postings p "
        "join soundscape.fingerprints f using (number) where not f.is_listed order by 1, 2, 3, 4"
    )
    connection.execute(
        "create temporary table listed as select p.* from soundscape.postings p "
        "join soundscape.fingerprints f using (number) where f.is_listed"
    )
    connection.execute("truncate soundscape.postings")
    connection.execute("insert into soundscape.postings select * from listed order by 1, 2, 3")
    connection.execute("truncate soundscape.index_sizes, soundscape.index_size_changes")
    connection.execute(
        "insert into soundscape.index_sizes (version, owner, key_count) "
        "select version, case when not is_listed then user_id end, sum(key_count) "
        "from soundscape.fingerprints group by 1, 2"
    )
    connection.execute("vacuum analyze")
    row = connection.execute("select count(*) from soundscape.fingerprints where not is_listed").fetchone()
    assert row is not None
    print(
        f"{row[0]} made private in {time.perf_counter() - began:.0f} s; soundscape.unlisted_postings: "
        f"{size(connection, 'soundscape.unlisted_postings') / row[0] / 1e3:.0f} kB a recording"
    )


def one_more(connection: psycopg.Connection[Any], heard: Fingerprint) -> None:
    """What writing and deleting one further recording takes."""
    audio_id = str(uuid4())
    connection.execute(
        "insert into public.audio_files (id, user_id, title, file_path) values (%s, %s, 't', %s)",
        (audio_id, OWNER, f"public/{audio_id}"),
    )
    written = json.dumps(make_entry(heard))
    for what, statement in (
        (
            "written",
            "select soundscape.write_fingerprint(f, '1', %s) from public.audio_files f where id = %s",
        ),
        (
            "made public",
            "update public.audio_files set is_public = true where %s::text is not null and id = %s",
        ),
        (
            "made private",
            "update public.audio_files set is_public = false where %s::text is not null and id = %s",
        ),
        ("deleted", "delete from public.audio_files where %s::text is not null and id = %s"),
    ):
        before = connection.execute("select pg_current_wal_lsn()").fetchone()
        began = time.perf_counter()
        connection.execute(statement, (written, audio_id))
        took_ms = (time.perf_counter() - began) * 1000
        wal = connection.execute("select pg_current_wal_lsn() - %s::pg_lsn", before).fetchone()
        assert wal is not None
        print(f"one recording of three minutes {what}: {took_ms:.0f} ms, {float(wal[0]) / 1e6:.1f} MB of log")
    print(f"its fingerprint on the way to complete_job: {len(written) / 1e3:.0f} kB")


def timed(table: Table, queries: list[Fingerprint], one_in: int) -> list[float]:
    times_ms = []
    for heard in queries:
        keys = sample_keys(make_query_keys(heard), step=one_in)
        began = time.perf_counter()
        table.find_candidates(keys, 64)
        times_ms.append((time.perf_counter() - began) * 1000)
    return times_ms


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=10_000, help="assembled ones of three minutes")
    parser.add_argument("--sounds", type=int, default=3_000, help="synthesised sounds with a snippet each")
    parser.add_argument("--snippets", type=int, default=3, help="of each section of a real recording")
    parser.add_argument("--asked", type=int, default=300, help="snippets asked of the table as well")
    parser.add_argument("--folders", type=Path, nargs="*", default=[], help="more real recordings")
    given = parser.parse_args()
    rng = np.random.default_rng(2)
    known = [
        *recorded([SHARED, *given.folders], given.snippets, rng),
        *synthesised(EVALUATION, given.sounds),
    ]
    # Of seeds that no snippet is cut from, or what is assembled would truly hold some of them.
    stretches = [fingerprint(sounds.synthesise(2_000_000 + seed)) for seed in range(120)]
    stored = {sound.audio_id: sound.whole for sound in known}
    real = sum(sound.real for sound in {sound.audio_id: sound for sound in known}.values())
    print(f"{given.recordings} assembled, {real} sections of recordings, {len(stored) - real} synthesised")
    stored |= {str(uuid4()): assemble(rng, stretches) for _ in range(given.recordings)}
    index = MemoryIndex()
    for audio_id, heard in stored.items():
        index.add(audio_id, heard)
    wrong = judged(index, known)
    chosen = [known[i] for i in rng.permutation(len(known))[: given.asked]]
    seen = seen_by_few(rng, chosen, stored)
    with tempfile.TemporaryDirectory(prefix="soundscape-benchmark-") as folder:
        Path(folder).chmod(0o711)
        with cluster.started(Path(folder) / "cluster") as postgres:
            apply(postgres.dsn())
            fill(postgres.dsn(), stored, owned=set(seen[::2]))
            with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
                print("all of it public, asked for everybody's:")
                wrong += measured(Table(connection), chosen, index, unseen=set())
                one_more(connection, assemble(rng, stretches))
                hide(connection, listed=seen[1::2])
                print(f"all but {len(seen)} private to somebody else, asked for what the caller sees:")
                few = MemoryIndex()
                for audio_id in seen:
                    few.add(audio_id, stored[audio_id])
                unseen = stored.keys() - set(seen)
                wrong += measured(Table(connection, viewer=CALLER), chosen, few, unseen=unseen)
    print("\n".join(wrong) or "all as wished")
    return 1 if wrong else 0


def judged(index: MemoryIndex, known: list[Known]) -> list[str]:
    """First rank, and foreign accepted, in memory; what is not as wished."""
    sources: dict[str, set[str]] = {}
    for sound in known:
        sources.setdefault(sound.source, set()).add(sound.audio_id)
    wrong = []
    began = time.perf_counter()
    for kind, real, whole in (
        ("snippets of recordings", True, False),
        ("snippets of synthesised sounds", False, False),
        ("whole synthesised sounds", False, True),
    ):
        asked = first = accepted = little = 0
        for sound in (sound for sound in known if sound.real == real):
            heard = sound.whole if whole else sound.snippet
            found = identified(index, heard, set(), any_speed=not whole)
            if found.verdict is Verdict.NOT_ENOUGH_CONTENT:
                little += 1
                continue
            asked += 1
            right = bool(found.matches) and found.matches[0].recording_id in sources[sound.source]
            first += right
            foreign = identified(index, heard, sources[sound.source], any_speed=not whole)
            accepted += bool(foreign.matches)
            if not right or foreign.matches:
                others = [
                    (round(match.probability, 3), round(match.offset_s, 1)) for match in foreign.matches
                ]
                print(
                    f"  {sound.source} at {sound.start_s:.1f} s: first {right}, foreign {others}", flush=True
                )
            if asked % 500 == 0:
                print(f"  {time.perf_counter() - began:.0f} s: {asked} {kind}", flush=True)
        if not asked:
            continue
        low, high = interval(accepted, asked)
        print(
            f"{kind}: {first} of {asked} first ({100 * first / asked:.2f} %); "
            f"foreign accepted at {THRESHOLD}: {accepted}, {1000 * accepted / asked:.2f} in 1,000 "
            f"({1000 * low:.2f} to {1000 * high:.2f}); "
            f"{little} had too little to tell"
        )
        wrong += [f"{kind}: {first} of {asked} first"] if first < WANTED_FIRST * asked else []
        wrong += [f"{kind}: {accepted} foreign of {asked}"] if accepted > WANTED_FOREIGN * asked else []
    return wrong


def interval(events: int, trials: int) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval of a rate."""
    from scipy.stats import beta

    low = beta.ppf(0.025, events, trials - events + 1) if events else 0.0
    high = beta.ppf(0.975, events + 1, trials - events) if events < trials else 1.0
    return float(low), float(high)


def measured(table: Table, chosen: list[Known], index: MemoryIndex, unseen: AbstractSet[str]) -> list[str]:
    """Times of the table, and whether it answers as the index in memory does; what is not as wished.

    unseen: what must not be found; snippets of it are asked for all the same, as foreign ones.
    """
    heard = [sound.snippet for sound in chosen]
    index.find_candidates(make_query_keys(heard[0]), 16)
    began = time.perf_counter()
    for query in heard:
        index.find_candidates(make_query_keys(query), 16)
    memory_ms = (time.perf_counter() - began) * 1000 / len(heard)
    wrong = []
    for one_in, name in ((FIRST_PASS_STEP, "one key in three"), (1, "every key")):
        timed(table, heard[:20], one_in)
        times_ms = timed(table, heard, one_in)
        p50, p99 = np.percentile(times_ms, [50, 99])
        print(
            f"a question with {name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, "
            f"{p50 / memory_ms:.1f} times the index in memory ({memory_ms:.1f} ms); "
            f"load {os.getloadavg()[0]:.1f}"
        )
        wrong += [f"{name}: p99 {p99:.0f} ms"] if p99 > WANTED_MS else []
    alike = asked = 0
    for name, without in (("found", False), ("foreign, at nine speeds", True)):
        times_ms = []
        for sound in chosen:
            if not without and sound.audio_id in unseen:
                continue
            besides = {sound.audio_id} if without else set[str]()
            began = time.perf_counter()
            found = identified(table, sound.snippet, besides, any_speed=True)
            times_ms.append((time.perf_counter() - began) * 1000)
            in_memory = identified(index, sound.snippet, besides, any_speed=True)
            asked += 1
            alike += [match.recording_id for match in found.matches[:1]] == [
                match.recording_id for match in in_memory.matches[:1]
            ]
            wrong += [
                "what the caller does not see was found"
                for match in found.matches
                if match.recording_id in unseen
            ]
        p50, p99 = np.percentile(times_ms, [50, 99])
        print(
            f"a whole answer, {name} ({len(times_ms)}): p50 {p50:.0f} ms, p99 {p99:.0f} ms; "
            f"load {os.getloadavg()[0]:.1f}"
        )
    print(f"answered as in memory: {alike} of {asked}")
    return wrong + ([f"answers differ: {alike} of {asked}"] if alike < asked * 0.995 else [])


if __name__ == "__main__":
    raise SystemExit(main())
