"""What an export of a large account costs a worker: time, and memory while it runs.

    python benchmarks/export.py                    # 1,000 recordings of 300 kB
    python benchmarks/export.py --recordings 100 --json

The embedded Supabase serves in another process than the one that exports. That one's resident memory is read
ten times a second. Wanted: no more than 64 MB above where it began, however many recordings there are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
from worker_load import a_project, machine, rss_bytes

WANTED_MB = 64.0
EXPORT = """
import asyncio, sys
from pathlib import Path
from soundscape.project.client import connect
from soundscape.worker.exporting import Exporter

async def main(url, key, folder):
    async with connect(url, key) as (client, http):
        exporter = Exporter(client, http, storage_url=url + "/storage/v1", secret_key=key,
                            folder=Path(folder), lease_s=60)
        print("ready", flush=True)
        sys.stdin.readline()
        assert await exporter.run_next()
        print("done", flush=True)
        sys.stdin.readline()

asyncio.run(main(*sys.argv[1:]))
"""


async def fill(url: str, key: str, recordings: int, size_bytes: int) -> tuple[httpx.AsyncClient, str]:
    """Sign up a user with so many recordings, and ask for the export."""
    http = httpx.AsyncClient(base_url=url, timeout=120, headers={"apikey": key})
    email = f"export-{secrets.token_hex(6)}@example.com"
    signed = (
        await http.post("/auth/v1/signup", json={"email": email, "password": secrets.token_hex()})
    ).json()
    http.headers["authorization"] = f"Bearer {signed['access_token']}"
    room = asyncio.Semaphore(8)

    async def upload(number: int) -> None:
        async with room:
            answer = await http.post(
                f"/storage/v1/object/audio-files/{signed['user']['id']}/{number}.wav",
                content=b"RIFF" + secrets.token_bytes(size_bytes),
                headers={"content-type": "audio/wav"},
            )
            answer.raise_for_status()

    await asyncio.gather(*(upload(number) for number in range(recordings)))
    rows = [
        {"file_path": f"{signed['user']['id']}/{number}.wav", "title": f"Recording {number}"}
        for number in range(recordings)
    ]
    for start in range(0, recordings, 50):
        answer = await http.post("/rest/v1/rpc/describe_audio", json={"rows": rows[start : start + 50]})
        answer.raise_for_status()
    asked = await http.post("/rest/v1/rpc/export_my_data", json={})
    asked.raise_for_status()
    return http, str(asked.json())


def run(url: str, secret_key: str, folder: Path) -> dict[str, float]:
    """Run one exporter in a process of its own."""
    command = [sys.executable, "-c", EXPORT, url, secret_key, str(folder)]
    found: list[int] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        before, ended = rss_bytes(process.pid), threading.Event()

        def watch() -> None:
            while not ended.wait(0.1):
                found.append(rss_bytes(process.pid))

        watching = threading.Thread(target=watch)
        watching.start()
        started_s = time.monotonic()
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"
        seconds = time.monotonic() - started_s
        ended.set()
        watching.join()
        process.stdin.write("\n")
        process.stdin.close()
    return {"seconds": seconds, "before_mb": before / 1e6, "peak_mb": max(found) / 1e6}


async def measure(recordings: int, size_bytes: int) -> dict[str, Any]:
    """Fill an account, export it, and look at the zip."""
    with tempfile.TemporaryDirectory(prefix="soundscape-export-") as folder:
        async with a_project(Path(folder)) as load:
            keys = load.project.keys
            http, export = await fill(load.project.url, keys.publishable_key, recordings, size_bytes)
            cost = await asyncio.to_thread(run, load.project.url, keys.secret_key, Path(folder))
            (row,) = (await http.get("/rest/v1/exports", params={"id": f"eq.{export}"})).json()
            await http.aclose()
    assert row["status"] == "ready", row
    return {"recordings": recordings, "zip_mb": row["size_bytes"] / 1e6, **cost}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=1000)
    parser.add_argument("--size-kb", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = asyncio.run(measure(arguments.recordings, arguments.size_kb * 1000))
    more_mb = found["peak_mb"] - found["before_mb"]
    if arguments.json:
        print(json.dumps({"machine": machine(), **found}))
    else:
        print(
            f"{found['recordings']} recordings, zip of {found['zip_mb']:.0f} MB: {found['seconds']:.1f} s, "
            f"{found['before_mb']:.0f} MB before, {found['peak_mb']:.0f} MB at most ({more_mb:+.0f} MB)"
        )
    if more_mb > WANTED_MB:
        sys.exit(f"wanted: {WANTED_MB:.0f} MB more at most")


if __name__ == "__main__":
    main()
