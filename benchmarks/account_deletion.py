"""The deletion of an account with many recordings: how long each step of it takes.

    python benchmarks/account_deletion.py [--recordings 10000]

Real Postgres with fsync off, migrations and policies applied. Each recording has its object, a picture,
features and an ended job. Prints how long `delete_my_account()` takes, and of the calls of `empty_accounts()`
that follow how many they are, the longest one, and the processor time of all. Wanted: no statement over 8 s,
the limit of the API.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import psycopg
from sweep import fill, read_processor_s

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from embedded_supabase.postgres import SUPERUSER
from soundscape.deploy.database import apply
from tests import cluster, templates

LIMIT_S = 8.0


def close(dsn: str, owner: str) -> float:
    """Seconds that `delete_my_account()` takes."""
    claims = json.dumps({"sub": owner, "role": "authenticated"})
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "select set_config('role', 'authenticated', true), set_config('request.jwt.claims', %s, true)",
            (claims,),
        )
        began_s = time.monotonic()
        connection.execute("select public.delete_my_account()")
        return time.monotonic() - began_s


def empty(admin: psycopg.Connection) -> list[float]:
    """Seconds of each call of `empty_accounts()` until nothing is left."""
    times_s = []
    left = 1
    while left:
        began_s = time.monotonic()
        (left,) = admin.execute("select soundscape.empty_accounts()").fetchone() or (0,)
        times_s.append(time.monotonic() - began_s)
    return times_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recordings", type=int, default=10_000)
    recordings = parser.parse_args().recordings

    print(f"load average {os.getloadavg()[0]:.1f}")
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o711)
        (folder / "templates").mkdir(mode=0o711)
        os.environ[templates.FOLDER_VARIABLE] = str(folder / "templates")
        postgres = opened.enter_context(cluster.started(folder / "cluster"))
        apply(postgres.dsn())
        admin = opened.enter_context(psycopg.connect(postgres.dsn(SUPERUSER), autocommit=True))
        owner = str(uuid4())
        admin.execute("insert into auth.users (id, email) values (%s, 'a@example.com')", (owner,))
        fill(admin, owner, 1, recordings)
        print(f"delete_my_account(): {1000 * close(postgres.dsn('authenticator'), owner):.0f} ms")
        began_s = read_processor_s(admin.info.backend_pid)
        times_s = empty(admin)
        used_s = read_processor_s(admin.info.backend_pid) - began_s
    print(
        f"empty_accounts(): {len(times_s)} calls for {recordings:,} recordings, the longest "
        f"{max(times_s):.1f} s, {sum(times_s):.1f} s in all, {used_s:.1f} s of processor time"
    )
    return 0 if max(times_s) <= LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())
