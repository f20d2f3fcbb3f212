"""What the feature documents take in jsonb, and how fast they are asked, at 100,000 recordings.

    python benchmarks/feature_documents.py [--recordings 100000] [--rounds 15]

The documents are `audio_features.descriptors`: the record of a real analysis of 30 s, some 7 kB, with other
numbers for each recording. Questions are asked of columns, of the document by an index of one value (an
expression), of the document by an index of everything in it (GIN, jsonb_path_ops), and of the document
without an index. The indexes on the document are this benchmark's: the product has the columns. The questions
take turns, each time with other values; those that take half a second do so three times. Real Postgres with
fsync off; as the table's owner, and as a user under row level security, whose statements end after eight
seconds.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import queries
from soundscape.audio.analysis import analyze
from soundscape.cli.demo import sounds

VARIANTS = 2_000
"""Of the long arrays. All other numbers are each recording's own."""
SLOW_MS = 500.0
KEYS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
INDEXES = {
    "one value": "create index documents_by_flatness on public.audio_features "
    "(((descriptors #>> '{spectral,flatness,mean}')::real))",
    "everything (GIN)": "create index documents_whole on public.audio_features "
    "using gin (descriptors jsonb_path_ops)",
}
SEEN: LiteralString = "select audio_id from public.audio_features where "
ME = "00000000-0000-4000-8000-000000000007"
CONTAINING: LiteralString = SEEN + (
    "descriptors @> jsonb_build_object('tonality', jsonb_build_object('key', %(key)s::text, "
    "'mode', %(mode)s::text), 'rhythm', jsonb_build_object('tempo_bpm', %(tempo)s::numeric))"
)
QUESTIONS: dict[str, LiteralString] = {
    "tempo within 0.1 BPM, by its column": SEEN + "tempo_bpm between %(tempo)s and %(tempo)s + 0.1 limit 20",
    "flatness within 0.0001, by the index of one value": SEEN
    + "(descriptors #>> '{spectral,flatness,mean}')::real between %(flatness)s and %(flatness)s + 0.0001 "
    "limit 20",
    "key and mode, by their columns": SEEN + "key = %(key)s and mode = 'minor' and tempo_bpm > 190 limit 20",
    "key, mode and a tempo, by GIN, at most 20": CONTAINING + " limit 20",
    "key, mode and a tempo, by GIN, all": CONTAINING,
    "centroid above a bound, no index": SEEN
    + "(descriptors #>> '{spectral,centroid_hz,mean}')::real > 3999.5 limit 20",
    "one whole document, by id": "select descriptors from public.audio_features "
    "where audio_id = %(recording)s",
}
SIZES: LiteralString = """
select pg_relation_size(t), coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0), pg_indexes_size(t),
       (select avg(pg_column_size(descriptors)) from public.audio_features tablesample bernoulli (2)),
       (select avg(length(descriptors::text)) from public.audio_features tablesample bernoulli (2))
from (values ('public.audio_features'::regclass)) as one (t) join pg_class c on c.oid = t
"""


def make_template() -> dict[str, Any]:
    """A real record, as `complete_job` keeps it."""
    file = io.BytesIO()
    soundfile.write(file, sounds.chords(30.0, tempo_bpm=97), sounds.SAMPLE_RATE, format="WAV")
    file.seek(0)
    record: dict[str, Any] = analyze(file, draw=False).as_dict()
    return record


def make_documents(count: int) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the values that are asked for, and the document with them."""
    draw = random.Random(4)
    base = make_template()

    def vary(numbers: list[float]) -> list[str]:
        return [
            json.dumps([round(number * draw.uniform(0.9, 1.1), 9) for number in numbers])
            for _ in range(VARIANTS)
        ]

    arrays = {
        "embedding": vary(base["embedding"]["values"]),
        "beats": vary(base["rhythm"]["beats_s"]),
        "mfcc": vary(base["spectral"]["mfcc"]["mean"]),
        "deviations": vary(base["spectral"]["mfcc"]["std"]),
        "chroma": vary(base["tonality"]["chroma"]),
    }
    base["embedding"]["values"] = "@embedding"
    base["rhythm"] |= {"beats_s": "@beats", "tempo_bpm": "@tempo"}
    base["spectral"]["mfcc"] = {"mean": "@mfcc", "std": "@deviations"}
    base["spectral"]["flatness"]["mean"] = "@flatness"
    base["spectral"]["centroid_hz"]["mean"] = "@centroid"
    base["tonality"] |= {"chroma": "@chroma", "key": "@key", "mode": "@mode"}
    base["source"]["sha256"] = "@sha256"
    text = json.dumps(base)
    for _ in range(count):
        values: dict[str, Any] = {
            "tempo": round(draw.uniform(50, 200), 2),
            "flatness": round(draw.uniform(0, 0.5), 9),
            "centroid": round(draw.uniform(200, 4000), 5),
            "key": draw.choice(KEYS),
            "mode": draw.choice(("major", "minor")),
            "sha256": f"{draw.getrandbits(256):064x}",
        }
        document = text
        for name, variants in arrays.items():
            document = document.replace(f'"@{name}"', draw.choice(variants))
        for name, value in values.items():
            document = document.replace(f'"@{name}"', json.dumps(value))
        yield values, document


def load(admin: psycopg.Connection[Any], count: int) -> list[dict[str, Any]]:
    """Give each recording a document and its columns. Returns the values of each."""
    kept = []
    admin.execute("create temp table made (number integer, document jsonb)")
    with admin.cursor().copy("copy made from stdin") as copy:
        for number, (values, document) in enumerate(make_documents(count), start=1):
            copy.write_row([number, document])
            kept.append(values)
    admin.execute("set session_replication_role = replica; truncate public.audio_features cascade")
    admin.execute(
        """
        insert into public.audio_features (audio_id, user_id, is_listed, object_version, analysis_version,
            duration_s, tempo_bpm, key, mode, sha256, waveform_path, descriptors)
        select f.id, f.user_id, f.is_listed, '1', '1', f.duration,
               (m.document #>> '{rhythm,tempo_bpm}')::real, m.document #>> '{tonality,key}',
               m.document #>> '{tonality,mode}', m.document #>> '{source,sha256}', f.id || '/1/w.dat',
               m.document
        from made m join public.audio_files f
          on f.id = ('10000000-0000-4000-8000-' || lpad(m.number::text, 12, '0'))::uuid
        """
    )
    admin.execute("drop table made; set session_replication_role = origin")
    admin.execute("vacuum (analyze) public.audio_features")
    return kept


def ask(
    connection: psycopg.Connection[Any], question: LiteralString, values: dict[str, Any], *, user: bool
) -> float:
    """Milliseconds of one question."""
    with connection.transaction(force_rollback=True):
        if user:
            connection.execute(
                "select set_config('role', 'authenticated', true), "
                "set_config('request.jwt.claims', %s, true)",
                (json.dumps({"role": "authenticated", "sub": ME}),),
            )
        began = time.perf_counter()
        try:
            connection.execute(question, values).fetchall()
        except psycopg.errors.QueryCanceled:
            return math.inf
        return (time.perf_counter() - began) * 1000


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} before")
    with queries.filled(given.recordings, 1_000) as dsn:
        owner = dsn.replace("authenticator", "supabase_admin", 1)
        with psycopg.connect(owner, autocommit=True) as admin, psycopg.connect(dsn) as people:
            began = time.perf_counter()
            known = load(admin, given.recordings)
            print(f"{given.recordings:,} documents in {time.perf_counter() - began:.0f} s")
            heap, toast, indexes, kept, text = admin.execute(SIZES).fetchone() or (0, 0, 0, 0, 0)
            print(
                f"a document: {text:,.0f} characters, {kept:,.0f} bytes kept; the table "
                f"{heap / 1e6:,.0f} MB, its documents out of line {toast / 1e6:,.0f} MB, "
                f"the product's indexes {indexes / 1e6:,.0f} MB"
            )
            for name, statement in INDEXES.items():
                began, before = time.perf_counter(), indexes
                admin.execute(statement)
                (indexes,) = admin.execute("select pg_indexes_size('public.audio_features')").fetchone() or (
                    0,
                )
                took_s = time.perf_counter() - began
                print(f"index of {name}: {(indexes - before) / 1e6:,.0f} MB in {took_s:.0f} s")
            admin.execute("analyze public.audio_features")
            draw = random.Random(5)
            times: dict[tuple[str, bool], list[float]] = {}
            slow: set[tuple[str, bool]] = set()
            for number in range(-1, given.rounds):
                for name, question in QUESTIONS.items():
                    one = draw.randrange(given.recordings)
                    values = {
                        **known[one],
                        "recording": f"10000000-0000-4000-8000-{one + 1:012d}",
                    }
                    for user, connection in ((False, admin), (True, people)):
                        if (name, user) in slow and number >= 3:
                            continue
                        spent_ms = ask(connection, question, values, user=user)
                        slow |= {(name, user)} if spent_ms > SLOW_MS else set()
                        # The first round plans, and reads from the disk.
                        if number >= 0:
                            times.setdefault((name, user), []).append(spent_ms)
    print(f"{'median of ' + str(given.rounds) + ', ms':<52}{'owner':>9}{'a user':>9}")
    for name in QUESTIONS:
        owner_ms, user_ms = (statistics.median(times[name, user]) for user in (False, True))
        print(f"{name:<52}{owner_ms:>9.2f}{user_ms:>9.2f}")
    print(f"load {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
