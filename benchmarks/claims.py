"""A claim's question to the index of fingerprints, in libraries of several sizes, at equal postings.

    python benchmarks/claims.py [--recordings 10000 100000 1000000] [--runs 20]

Real Postgres with fsync off, migrations and policies applied. 100 recordings share the keys that are asked
for, half of them listed. All others have fingerprints without keys, half of them listed. Prints the processor
time of `fingerprint_candidates()` with its planning, and the pages of 8 kB that it reads: as a claim asks,
for all owners, and as `POST /api/identify` asks, for one viewer. Wanted: 60 ms of it at 1,000,000 recordings.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import psycopg
from sweep import Cost, measure

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from embedded_supabase.postgres import SUPERUSER
from soundscape.deploy.database import apply
from tests import cluster, templates

WANTED_MS = 60.0
CHUNK = 50_000
ALIKE, KEYS = 100, 1300

ADD_ALIKE = """
with made as (
    insert into public.audio_files (user_id, title, file_path, is_public)
    select %(owner)s, 'Alike', %(owner)s || '/alike-' || n, n %% 2 = 0 from generate_series(1, %(count)s) n
    returning id, is_public)
insert into soundscape.fingerprints (
    audio_id, number, user_id, is_listed, object_version, version, peaks, keys, frames)
select m.id, soundscape.next_fingerprint_number(), %(owner)s, m.is_public, '1', 1, '',
       array(select (n * 2654435761 %% 4194304)::integer from generate_series(1::bigint, %(keys)s) n),
       array(select n from generate_series(1, %(keys)s) n)
from made m"""

# The triggers are off: there are no objects to look for, and no postings to write.
ADD_OTHERS = """
set session_replication_role = replica;
with made as (
    insert into public.audio_files (user_id, title, file_path, is_public)
    select %(owner)s::uuid, 'Other', %(owner)s || '/other-' || n, n %% 2 = 0
    from generate_series(%(first)s::integer, %(last)s::integer) n returning id, is_public)
insert into soundscape.fingerprints (
    audio_id, number, user_id, is_listed, object_version, version, peaks, keys, frames, compared_within)
select m.id, soundscape.next_fingerprint_number(), %(owner)s::uuid, m.is_public, '1', 1, '', '{}', '{}',
       '[1,2)'
from made m;
set session_replication_role = origin"""

QUESTION = """
explain (analyze, buffers, format json)
select * from soundscape.fingerprint_candidates(
    array(select (n * 2654435761 % 4194304)::integer from generate_series(1::bigint, {keys}) n),
    array(select n from generate_series(1, {keys}) n), 1, 64, {viewer}, {all_owners}, {recording})"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recordings", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--runs", type=int, default=20)
    arguments = parser.parse_args()

    print(f"load average {os.getloadavg()[0]:.1f}")
    owner, former = str(uuid4()), 0
    bases: dict[str, Cost] = {}
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o711)
        (folder / "templates").mkdir(mode=0o711)
        os.environ[templates.FOLDER_VARIABLE] = str(folder / "templates")
        postgres = opened.enter_context(cluster.started(folder / "cluster"))
        apply(postgres.dsn())
        admin = opened.enter_context(psycopg.connect(postgres.dsn(SUPERUSER), autocommit=True))
        ask = psycopg.ClientCursor(admin)
        admin.execute("insert into auth.users (id, email) values (%s, 'a@example.com')", (owner,))
        ask.execute(ADD_ALIKE.encode(), {"owner": owner, "count": ALIKE, "keys": KEYS})
        (recording,) = admin.execute("select audio_id from soundscape.fingerprints limit 1").fetchone() or (
            "",
        )
        questions = {
            "claim": QUESTION.format(keys=KEYS, viewer="null", all_owners="true", recording=f"'{recording}'"),
            "identify": QUESTION.format(keys=KEYS, viewer=f"'{owner}'", all_owners="false", recording="null"),
        }
        worst_ms = 0.0
        for recordings in sorted(arguments.recordings):
            began = time.monotonic()
            for first in range(former + 1, recordings + 1, CHUNK):
                last = min(first + CHUNK - 1, recordings)
                ask.execute(ADD_OTHERS.encode(), {"owner": owner, "first": first, "last": last})
            former = recordings
            admin.execute("vacuum (analyze) soundscape.fingerprints, soundscape.postings, public.audio_files")
            admin.execute("vacuum (analyze) soundscape.unlisted_postings")
            filled_s = time.monotonic() - began
            for name, question in questions.items():
                cost = measure(admin, question, arguments.runs)
                base = bases.setdefault(name, cost)
                worst_ms = max(worst_ms, cost.processor_ms)
                print(
                    f"{recordings:>9,} recordings, {name}: {cost.processor_ms:5.1f} ms of processor time, "
                    f"{cost.median_ms:5.1f} ms in all, {cost.pages:,} pages "
                    f"({cost.pages / base.pages:.2f})   filled in {filled_s:.0f} s",
                    flush=True,
                )
    return 0 if worst_ms <= WANTED_MS else 1


if __name__ == "__main__":
    sys.exit(main())
