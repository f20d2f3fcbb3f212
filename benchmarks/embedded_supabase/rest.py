"""A simple select under Row Level Security: through the Data API, and through a bare FastAPI route.

Both are served by one process on one pool, asked in turns by one lean client, so that whatever else
the machine does strikes both. The bare route does the least that gives the same bytes: role and
claims set, the same query, its JSON written by Postgres; it does not even look at the token.

    python benchmarks/embedded_supabase/rest.py [--seconds 2] [--rounds 5] [--connections 8]

Prints the two rates and their ratio; at least 0.5 is wanted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
import uvicorn
from fastapi import FastAPI, Response

from embedded_supabase.config import Config
from embedded_supabase.embedded import open_embedded
from embedded_supabase.keys import Keys
from embedded_supabase.platform import install_platform
from embedded_supabase.postgres import Postgres
from embedded_supabase.rest import app as rest
from embedded_supabase.tokens import Caller

OWNER = "00000000-0000-0000-0000-00000000000a"
WANTED_RATIO = 0.5
SCHEMA = """
create table public.recordings (
    id bigint generated always as identity primary key,
    owner uuid not null default auth.uid(), title text not null, duration real not null
);
create index on public.recordings (owner);
alter table public.recordings enable row level security;
create policy own on public.recordings for select to authenticated using (owner = (select auth.uid()));
grant select on public.recordings to authenticated;
insert into public.recordings (owner, title, duration)
select ('00000000-0000-0000-0000-0000000000' || lpad(to_hex(i % 100), 2, '0'))::uuid, 'sound ' || i, i
from generate_series(1, 5000) i;
analyze public.recordings;
"""
BARE = """
select coalesce(json_agg(t), '[]')::text
from (select id, title, duration from public.recordings where owner = %s order by id limit 10) t
"""
SET_CALLER = """
select set_config('role', 'authenticated', true), set_config('request.jwt.claims', %s, true)
"""
REST_PATH = f"/rest/v1/recordings?select=id,title,duration&owner=eq.{OWNER}&order=id&limit=10"


async def serve(postgres: Postgres) -> None:
    """Both ways on one port, until the process is ended."""
    keys = Keys.make()
    arguments: dict[str, Any] = {"data_dir": Path(), "url": "http://127.0.0.1", "keys": keys}
    async with open_embedded(**arguments, config=Config({}), postgres=postgres) as embedded:
        app = FastAPI()
        caller = Caller("authenticated", {"sub": OWNER, "role": "authenticated"})
        claims = json.dumps(caller.claims)

        @app.get("/bare")
        async def bare() -> Response:
            async with embedded.authenticator.connection() as connection:
                await connection.execute(SET_CALLER, (claims,))
                row = await (await connection.execute(BARE, (OWNER,))).fetchone()
            assert row is not None
            return Response(row[0], media_type="application/json")

        app.mount("/rest/v1", rest.build(embedded))
        token = embedded.tokens.mint(
            caller.claims | {"exp": int(time.time()) + 3600, "iss": embedded.tokens.issuer}
        )
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", access_log=False))
        task = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        print(json.dumps({"port": port, "token": token, "key": keys.publishable_key}), flush=True)
        await task


async def rate(port: int, request: bytes, *, seconds: float, connections: int) -> tuple[float, bytes]:
    """Requests a second over keep-alive connections, and one of the bodies."""
    deadline = time.perf_counter() + seconds
    body = b""

    async def ask() -> int:
        nonlocal body
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answered = 0
        while time.perf_counter() < deadline:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            answered += 1
        writer.close()
        return answered

    started = time.perf_counter()
    answered = sum(await asyncio.gather(*(ask() for _ in range(connections))))
    return answered / (time.perf_counter() - started), body


def _request(path: str, headers: dict[str, str]) -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        *(f"{key}: {value}" for key, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def compare(facts: dict[str, Any], *, seconds: float, rounds: int, connections: int) -> float:
    headers = {
        "apikey": facts["key"],
        "Authorization": f"Bearer {facts['token']}",
        "Accept": "application/json",
    }
    ways = {"bare": _request("/bare", headers), "rest": _request(REST_PATH, headers)}
    rates: dict[str, list[float]] = {"bare": [], "rest": []}
    bodies: dict[str, Any] = {}
    for round_ in range(-1, rounds):
        for way, request in ways.items():
            figure, body = await rate(
                facts["port"], request, seconds=seconds if round_ >= 0 else 0.5, connections=connections
            )
            bodies[way] = json.loads(body)
            if round_ >= 0:
                rates[way].append(figure)
    assert bodies["bare"] == bodies["rest"], "both ways must give the same rows"
    assert len(bodies["bare"]) == 10
    ratio = statistics.median(r / b for r, b in zip(rates["rest"], rates["bare"], strict=True))
    print(f"bare FastAPI route  {statistics.median(rates['bare']):8.0f} requests/s")
    print(f"Data API            {statistics.median(rates['rest']):8.0f} requests/s")
    print(f"ratio               {ratio:8.2f}   (at least {WANTED_RATIO} is wanted)")
    return ratio


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--serve", nargs=2, metavar=("HOME", "PORT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        postgres = Postgres(
            Path(arguments.serve[0]), "benchmark", durable=False, port=int(arguments.serve[1])
        )
        asyncio.run(serve(postgres))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        postgres = Postgres(Path(folder) / "postgres", "benchmark", durable=False)
        postgres.start()
        try:
            install_platform(postgres)
            with psycopg.connect(postgres.dsn("postgres")) as connection:
                connection.execute(SCHEMA)
            command = [sys.executable, __file__, "--serve", str(postgres.home), str(postgres.port)]
            server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            try:
                assert server.stdout is not None
                facts = json.loads(server.stdout.readline())
                ratio = asyncio.run(
                    compare(
                        facts,
                        seconds=arguments.seconds,
                        rounds=arguments.rounds,
                        connections=arguments.connections,
                    )
                )
            finally:
                server.terminate()
                server.wait(10)
        finally:
            postgres.stop()
    return 0 if ratio >= WANTED_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
