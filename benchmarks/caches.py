"""What a cache beside Postgres would save: the questions that Redis usually answers, each way, in turns.

    python benchmarks/caches.py [--recordings 20000] [--rounds 5] [--calls 200]

An embedded project with 20,000 recordings. Each question is asked through the Data API as a frontend does, of
Postgres alone on an open connection under row level security, and of Redis, which holds the finished answer.
Counts are the limit of listening events (one statement), the limiter within the worker, and INCR with EXPIRE.
A session is a token that is verified, or a key that is read. The download is a file of 2 MB from Storage,
whole, and asked again with its ETag. Prints the median of all calls in milliseconds.

Redis is no dependency: the benchmark takes `redis-server` where it is, or Debian's packages from apt-get,
unpacked into build/benchmarks/redis. Without either its column stays empty. Everything is on one machine.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, LiteralString

import httpx
import jwt
import psycopg
from cryptography.hazmat.primitives.asymmetric import ec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import queries
from soundscape.api.rates import Rates
from tests import embedded

ROOT = Path(__file__).resolve().parents[1]
ME = "00000000-0000-4000-8000-000000000007"
RECORDING = "10000000-0000-4000-8000-000000000006"
DEBIAN = ("redis-server", "redis-tools", "liblzf1", "libjemalloc2", "liblua5.1-0")
ONE: LiteralString = (
    "select f.*, to_jsonb(a) from public.audio_files f "
    "left join public.audio_features a on a.audio_id = f.id where f.id = %(recording)s"
)
LIBRARY: LiteralString = (
    "select * from public.audio_files where user_id = %(me)s order by created_at desc limit 20"
)
COUNT: LiteralString = """
insert into soundscape.action_counts as c (user_id, max_column, since, actions)
values (%(me)s, 'max_events_per_hour', date_trunc('hour', now()), 1)
on conflict on constraint action_counts_pkey do update
set since = greatest(c.since, excluded.since),
    actions = excluded.actions + case when c.since >= excluded.since then c.actions else 0 end
returning c.actions
"""

Asked = dict[str, dict[str, Callable[[], object]]]


class Redis:
    """The few commands of Redis' protocol that are needed here."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def call(self, *parts: str) -> bytes:
        """Send one command and return its answer."""
        sent = [part.encode() for part in parts]
        lines = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in sent)
        self._socket.sendall(b"*%d\r\n%s" % (len(sent), lines))
        line = self._file.readline()
        if line.startswith(b"-"):
            raise RuntimeError(line.decode())
        return self._file.read(int(line[1:]) + 2)[:-2] if line.startswith(b"$") else line[1:-2]


@contextmanager
def served(recordings: int) -> Iterator[dict[str, str]]:
    """A filled project in a process of its own: a thread of this one would share its interpreter."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, recordings))
    child.start()
    try:
        yield ours.recv()
    finally:
        ours.send("stop")
        child.join()


def _serve(connection: Connection, recordings: int) -> None:
    with tempfile.TemporaryDirectory(prefix="soundscape-caches-") as folder:
        Path(folder).chmod(0o711)
        with embedded.served(Path(folder) / "project", with_worker=False) as project:
            postgres, tokens = project.supabase.postgres, project.supabase.tokens
            queries.fill(postgres, recordings, 1_000)
            claims = {"sub": ME, "role": "authenticated", "aud": "authenticated", "iss": tokens.issuer}
            connection.send(
                {
                    "url": project.url,
                    "people": postgres.dsn("authenticator"),
                    "admin": postgres.dsn("supabase_admin"),
                    "key": project.keys.publishable_key,
                    "token": tokens.mint(claims | {"exp": int(time.time()) + 3600}),
                }
            )
            connection.recv()


@contextmanager
def redis() -> Iterator[Redis | None]:
    """A Redis of our own on a free port; None where there is none."""
    folder = ROOT / "build" / "benchmarks" / "redis"
    program = shutil.which("redis-server") or str(folder / "usr" / "bin" / "redis-server")
    if not Path(program).exists() and shutil.which("apt-get"):
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["apt-get", "download", "-qq", *DEBIAN], cwd=folder, check=False, stderr=subprocess.DEVNULL
        )
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, folder], check=True)
    if not Path(program).exists():
        yield None
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    libraries = os.pathsep.join(map(str, (folder / "usr" / "lib").glob("*-linux-gnu")))
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        env=os.environ | {"LD_LIBRARY_PATH": libraries},
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                found = Redis(port)
                break
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield found
    finally:
        server.terminate()
        server.wait()


def as_user(connection: psycopg.Connection[Any], question: LiteralString) -> Callable[[], object]:
    """Ask Postgres as PostgREST does: role and claims in a transaction of its own."""
    claims = json.dumps({"role": "authenticated", "sub": ME})

    def ask() -> object:
        with connection.transaction():
            connection.execute(
                "select set_config('role', 'authenticated', true), "
                "set_config('request.jwt.claims', %s, true)",
                (claims,),
            )
            return connection.execute(question, {"me": ME, "recording": RECORDING}).fetchall()

    return ask


def make_questions(
    client: httpx.Client, people: psycopg.Connection[Any], admin: psycopg.Connection[Any], store: Redis | None
) -> Asked:
    """Return each question with its ways, by name."""

    def get(path: str, **headers: str) -> Callable[[], object]:
        def ask() -> object:
            answer = client.get(path, headers=headers)
            assert answer.status_code in (200, 304), answer.text
            return answer.content

        return ask

    one = f"/rest/v1/audio_files?select=*,audio_features(*)&id=eq.{RECORDING}"
    library = f"/rest/v1/audio_files?select=*&user_id=eq.{ME}&order=created_at.desc&limit=20"
    path = f"/storage/v1/object/authenticated/audio-files/{ME}/cached.wav"
    uploaded = client.post(
        f"/storage/v1/object/audio-files/{ME}/cached.wav",
        content=os.urandom(2_000_000),
        headers={"content-type": "audio/wav"},
    )
    uploaded.raise_for_status()
    tag = client.get(path).headers["etag"]
    again = client.get(path, headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    rates = Rates(per_caller_per_minute=10**9, per_address_per_minute=10**9)
    private = ec.generate_private_key(ec.SECP256R1())
    token = jwt.encode({"sub": ME, "exp": time.time() + 3600}, private, algorithm="ES256")
    asked: Asked = {
        "a recording with its features": {"Data API": get(one), "Postgres": as_user(people, ONE)},
        "a page of a library": {"Data API": get(library), "Postgres": as_user(people, LIBRARY)},
        "count a call": {
            "in the worker": lambda: rates.count_caller(ME),
            "Postgres": lambda: admin.execute(COUNT, {"me": ME}).fetchall(),
        },
        "who is calling": {
            "in the worker": lambda: jwt.decode(token, private.public_key(), algorithms=["ES256"])
        },
        "a file of 2 MB": {"Storage": get(path), "Storage, 304": get(path, **{"if-none-match": tag})},
    }
    if store is not None:
        for name, address in (("a recording with its features", one), ("a page of a library", library)):
            store.call("SET", name, client.get(address).text)
            asked[name]["Redis"] = lambda name=name: json.loads(store.call("GET", name))  # type: ignore[misc]
        store.call("SET", "session", json.dumps({"sub": ME}))
        asked["who is calling"]["Redis"] = lambda: json.loads(store.call("GET", "session"))
        asked["count a call"]["Redis"] = lambda: (
            store.call("INCR", "calls"),
            store.call("EXPIRE", "calls", "60", "NX"),
        )
    return asked


def main() -> None:
    """Measure in turns and print medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=200)
    given = parser.parse_args()
    times: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as stack:
        project = stack.enter_context(served(given.recordings))
        people = stack.enter_context(psycopg.connect(project["people"]))
        admin = stack.enter_context(psycopg.connect(project["admin"], autocommit=True))
        headers = {"apikey": project["key"], "authorization": f"Bearer {project['token']}"}
        client = stack.enter_context(httpx.Client(base_url=project["url"], headers=headers, timeout=60))
        store = stack.enter_context(redis())
        print(f"load {os.getloadavg()[0]:.1f} before")
        asked = make_questions(client, people, admin, store)
        for number in range(-1, given.rounds):
            for name, ways in asked.items():
                for way, ask in ways.items():
                    for _ in range(given.calls if number >= 0 else 20):
                        began = time.perf_counter()
                        ask()
                        if number >= 0:
                            times.setdefault((name, way), []).append((time.perf_counter() - began) * 1000)
    for name, ways in asked.items():
        print(name)
        for way in ways:
            print(f"    {way:<16}{statistics.median(times[name, way]):8.3f} ms")
    print(f"load {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
