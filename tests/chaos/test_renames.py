"""Recordings are un-published while workers are killed: no old URL serves in the end, and nothing is lost."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from soundscape.project.visitor import signed_up_visitor
from tests.waiting import LIMIT_S, until

from . import test_chaos
from .test_chaos import Scene, await_the_end, clip, crash_postgres, kill_some, upload

chaotic_project, scene = test_chaos.chaotic_project, test_chaos.scene
COUNT = 12
TEN_YEARS_S = 10 * 365 * 24 * 3600


async def publish(scene: Scene) -> None:
    async with signed_up_visitor(
        scene.project.url, scene.project.keys.publishable_key, called="chaos"
    ) as visitor:
        for index in range(COUNT):
            await upload(visitor, f"{visitor.user_id}/renamed-{index}.wav", clip(5000 + index))


async def sign_all(scene: Scene) -> list[str]:
    """Signed URLs of every object of the recordings, as a stranger has them."""
    urls = []
    async with signed_up_visitor(
        scene.project.url, scene.project.keys.publishable_key, called="stranger"
    ) as stranger:
        for row in objects_of(scene):
            bucket = stranger.client.storage.from_(row["bucket_id"])
            signed: Any = await bucket.create_signed_url(row["name"], TEN_YEARS_S)
            urls.append(str(signed["signedURL"]))
    return urls


def objects_of(scene: Scene) -> list[dict[str, Any]]:
    return scene.ledger.rows(
        """
        select o.bucket_id, o.name, o.metadata ->> 'size' as size from public.audio_files f
        join public.audio_features a on a.audio_id = f.id
        join storage.objects o on o.bucket_id = 'audio-files' and o.name = f.file_path
            or o.bucket_id = 'waveforms'
                and starts_with(o.name, regexp_replace(a.waveform_path, '[^/]*$', ''))
        where f.title like '%%/renamed-%%' order by 1, 2
        """
    )


def serving(urls: list[str]) -> int:
    with httpx.Client(timeout=LIMIT_S) as http:
        return sum(http.get(url).status_code == 200 for url in urls)


def test_old_urls_end_whoever_is_killed(scene: Scene) -> None:
    scene.fleet.grow_to(2)
    asyncio.run(publish(scene))
    await_the_end(scene.ledger)
    ledger = scene.ledger
    ledger.rows(
        "update public.audio_files set is_public = true where title like '%%/renamed-%%' returning id"
    )
    before = objects_of(scene)
    urls = asyncio.run(sign_all(scene))
    assert serving(urls) == len(urls) == len(before) > 3 * COUNT
    jobs = ledger.value("select count(*) from soundscape.jobs")

    finished = threading.Event()
    with ThreadPoolExecutor(1) as others:
        killer = others.submit(kill_some, scene, 1.0, finished)
        try:
            # One after the other, so that some are under way whenever a worker dies.
            for row in ledger.rows("select id from public.audio_files where title like '%%/renamed-%%'"):
                ledger.rows(
                    "update public.audio_files set is_public = false where id = %s returning id", row["id"]
                )
            crash_postgres(ledger)
        finally:
            finished.set()
    killer.result()
    # What a killed worker had taken is taken again after two minutes. The test does not wait for that.
    ledger.rows("update soundscape.renames set taken_at = null returning id")
    until(lambda: not ledger.rows("select from soundscape.renames"), "requests are left")
    until(lambda: serving(urls) == 0, "an old URL still serves")

    after = objects_of(scene)
    assert not {row["name"] for row in before} & {row["name"] for row in after}
    last = [sorted((row["name"].rpartition("/")[2], row["size"]) for row in rows) for rows in (before, after)]
    assert last[0] == last[1], "every object is there under a new name"
    assert ledger.value("select count(*) from soundscape.jobs") == jobs, "nothing is analysed again"
    statuses = ledger.rows("select distinct status from public.audio_files where title like '%%/renamed-%%'")
    assert statuses == [{"status": "ready"}]
