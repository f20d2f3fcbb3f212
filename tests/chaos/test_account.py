"""An account with everything: exported whole, then deleted, and nothing of it is left.

    pytest tests/chaos/test_account.py -n 0 -s
    pytest tests/chaos/test_account.py -n 0 -s --account-recordings 1000

No worker is killed here. Recordings are 5 s to 5 minutes long: 3.6 MB on average.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from soundscape.project.visitor import Visitor, signed_up_visitor
from tests.waiting import LIMIT_S, until

from . import test_chaos
from .ledger import Ledger
from .test_chaos import Scene, await_previews, await_the_end, clip, upload

chaotic_project, scene = test_chaos.chaotic_project, test_chaos.scene
LENGTHS_S = (5, 30, 120, 300)
AT_ONCE = 4
SCHEMAS = ("public", "soundscape", "storage", "auth", "pgmq", "realtime", "net")
# The sweep deletes these by the clock. They hold no content of the account.
KEPT = {"realtime.messages", "realtime.messages_default"}


def make(index: int) -> bytes:
    kind = "AIFF" if index % 10 == 0 else "WAV"
    return clip(index, LENGTHS_S[index % len(LENGTHS_S)], kind=kind)


async def fill(visitor: Visitor, count: int) -> None:
    some = asyncio.Semaphore(AT_ONCE)

    async def one(index: int) -> None:
        async with some:
            data = await asyncio.to_thread(make, index)
            await upload(visitor, f"{visitor.user_id}/{index}.wav", data)

    await asyncio.gather(*(one(index) for index in range(count)))


async def keep_what_people_keep(visitor: Visitor) -> None:
    """A playlist, likes and listening."""
    client: Any = visitor.client
    ids = [row["id"] for row in (await client.table("audio_files").select("id").limit(10).execute()).data]
    playlist = (await client.table("playlists").insert({"title": "Everything"}).execute()).data[0]["id"]
    await (
        client.table("playlist_items")
        .insert([{"playlist_id": playlist, "audio_id": each} for each in ids])
        .execute()
    )
    await client.table("likes").insert([{"audio_id": each} for each in ids]).execute()
    await (
        client.table("listening_events")
        .insert([{"audio_id": each, "listened_s": 3} for each in ids])
        .execute()
    )


def await_ready(scene: Scene, export: str) -> dict[str, Any]:
    """The row of the export, once it is ready; as long as it grows from time to time."""

    def read() -> dict[str, Any]:
        (row,) = scene.ledger.rows("select * from public.exports where id = %s", export)
        return row

    def has_changed() -> bool:
        now = read()
        return (now["status"], now["stored_bytes"]) != (row["status"], row["stored_bytes"])

    while (row := read())["status"] in ("queued", "running"):
        until(has_changed, "the export does not grow")
    return row


def download(url: str, file: Path) -> Path:
    with httpx.stream("GET", url, timeout=LIMIT_S) as answer, file.open("wb") as opened:
        assert answer.status_code == 200
        for data in answer.iter_bytes():
            opened.write(data)
    return file


def check_zips(zips: list[Path], owner: str, count: int) -> None:
    """Each original is in them, with its bytes."""
    found: dict[str, str] = {}
    for file in zips:
        with zipfile.ZipFile(file) as opened:
            assert opened.testzip() is None
            for name in opened.namelist():
                if name.startswith("originals/"):
                    with opened.open(name) as original:
                        found[name] = hashlib.file_digest(original, "sha256").hexdigest()  # type: ignore[arg-type]
    expected = {
        f"originals/{owner}/{index}.wav": hashlib.sha256(make(index)).hexdigest() for index in range(count)
    }
    assert found == expected


def mentions(ledger: Ledger, words: list[str]) -> Iterator[str]:
    """Tables with a row in which one of the words stands."""
    tables = ledger.rows(
        "select n.nspname as schema, c.relname as name from pg_class c join pg_namespace n"
        " on n.oid = c.relnamespace where c.relkind in ('r', 'p') and n.nspname = any (%s)",
        list(SCHEMAS),
    )
    for table in tables:
        name = f"{table['schema']}.{table['name']}"
        if name in KEPT:
            continue
        query: Any = f"select count(*) from {name} t where to_jsonb(t)::text ~ %s"
        if count := ledger.value(query, "|".join(words)):
            yield f"{name}: {count}"


def test_an_account_is_exported_whole_and_deleted_without_a_rest(
    scene: Scene, pytestconfig: pytest.Config
) -> None:
    count = pytestconfig.getoption("--account-recordings")
    scene.fleet.grow_to(2)
    asyncio.run(live_and_leave(scene, count))


async def live_and_leave(scene: Scene, count: int) -> None:
    ledger, url = scene.ledger, scene.project.url
    began = time.monotonic()
    async with signed_up_visitor(url, scene.project.keys.publishable_key, called="mover") as visitor:
        owner = visitor.user_id
        await fill(visitor, count)
        await asyncio.to_thread(await_the_end, ledger)
        await asyncio.to_thread(await_previews, ledger)
        await keep_what_people_keep(visitor)
        ids = [
            str(row["id"])
            for row in ledger.rows("select id from public.audio_files where user_id = %s", owner)
        ]
        assert len(ids) == count
        ready_s = time.monotonic() - began

        began = time.monotonic()
        client: Any = visitor.client
        export = str((await client.rpc("export_my_data", {}).execute()).data)
        row = await asyncio.to_thread(await_ready, scene, export)
        assert row["status"] == "ready", row
        exported_s = time.monotonic() - began
        with tempfile.TemporaryDirectory() as folder:
            signed: Any = await visitor.client.storage.from_("exports").create_signed_urls(
                row["file_paths"], 3600
            )
            zips = [
                await asyncio.to_thread(download, each["signedURL"], Path(folder) / f"{part}.zip")
                for part, each in enumerate(signed)
            ]
            await asyncio.to_thread(check_zips, zips, owner, count)

        began = time.monotonic()
        await client.rpc("delete_my_account", {}).execute()
    left = "select count(*) from storage.objects where name like %s or path_tokens[1] = any (%s)"

    def is_gone() -> bool:
        return not ledger.rows("select from auth.users where id = %s", owner) and not ledger.value(
            left, f"{owner}/%", ids
        )

    def count_left() -> int:
        return int(ledger.value(left, f"{owner}/%", ids))

    while not is_gone():
        before = count_left()
        await asyncio.to_thread(
            until, lambda before=before: is_gone() or count_left() < before, f"{before} objects are left"
        )
    gone_s = time.monotonic() - began

    print(
        f"\n{count} recordings ready after {ready_s:.0f} s, {row['size_bytes'] / 1e6:.0f} MB exported in"
        f" {exported_s:.0f} s ({row['parts']} zips), gone {gone_s:.0f} s after delete_my_account"
    )
    # What pg_cron does within ten minutes: sums are made of single events.
    ledger.rows("select soundscape.reconcile()")
    ledger.rows("select soundscape.roll_up_stats(1000000)")
    for at in range(0, len(ids), 100):
        found = list(mentions(ledger, [owner, *ids[at : at + 100]]))
        assert found == [], "\n".join(found)
