"""A process of its own that stores an object and dies on the way; run by test_crash.py.

argv: JSON {home, password, port, data_dir, key, die, body, url}. `die` names the step after which the process
ends as by kill -9. Prints what it got to see.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import httpx

from embedded_supabase.config import Config
from embedded_supabase.embedded import open_embedded
from embedded_supabase.keys import Keys
from embedded_supabase.postgres import Postgres
from embedded_supabase.storage import app as storage
from embedded_supabase.storage import tus, uploads
from embedded_supabase.storage.files import Files


def _dying(step: Any) -> Any:
    """`step`, and the end of the process right after it."""

    def call(*arguments: Any, **more: Any) -> None:
        step(*arguments, **more)
        os._exit(9)

    return call


async def main(given: dict[str, Any]) -> None:
    if given["die"] == "placed":
        Files.store = _dying(Files.store)  # type: ignore[method-assign]
    elif given["die"] == "committed":
        Files.remove = lambda self, version: os._exit(9)  # type: ignore[method-assign]
    elif given["die"] == "received":
        uploads.commit = tus.commit = _dying(lambda *_, **__: None)  # type: ignore[attr-defined]
    postgres = Postgres(home=Path(given["home"]), password=given["password"], port=given["port"])
    keys = Keys.load_or_make(Path(given["data_dir"]) / "keys.json")
    async with open_embedded(
        data_dir=Path(given["data_dir"]), url="http://local", keys=keys, config=Config({}), postgres=postgres
    ) as embedded:
        transport = httpx.ASGITransport(app=storage.build(embedded))
        headers = {"apikey": keys.secret_key, "x-upsert": "true", "tus-resumable": "1.0.0"}
        async with httpx.AsyncClient(transport=transport, base_url="http://local", headers=headers) as http:
            if given["url"] is None:
                await http.post(f"/object/st-private/{given['key']}", content=given["body"].encode())
            elif given["url"] == "":
                length = {"upload-length": "10", "upload-metadata": given["metadata"]}
                created = await http.post("/upload/resumable", headers=length)
                print(created.headers["location"], flush=True)
                await _patch(http, created.headers["location"], given["body"])
                os._exit(9)
            else:
                head = await http.head(given["url"])
                print(head.headers["upload-offset"], flush=True)
                if given["body"]:
                    await _patch(http, given["url"], given["body"], head.headers["upload-offset"])


async def _patch(http: httpx.AsyncClient, url: str, body: str, offset: str = "0") -> None:
    octets = {"content-type": "application/offset+octet-stream", "upload-offset": offset}
    (await http.patch(url, content=body.encode(), headers=octets)).raise_for_status()


asyncio.run(main(json.loads(sys.argv[1])))
