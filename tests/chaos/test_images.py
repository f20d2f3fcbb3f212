"""Profile images are checked while workers are killed: each counts once, and what is no image goes."""

from __future__ import annotations

import asyncio
import io
import threading
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from soundscape.project.visitor import signed_up_visitor
from tests.waiting import until

from . import test_chaos
from .test_chaos import Scene, kill_some

chaotic_project, scene = test_chaos.chaotic_project, test_chaos.scene
COUNT = 16
KILL_EVERY_S = 2.0


def picture(index: int) -> bytes:
    """Every second one is cut off."""
    file = io.BytesIO()
    Image.effect_noise((900, 900), 50 + index).save(file, "PNG")
    data = file.getvalue()
    return data if index % 2 == 0 else data[: len(data) // 2]


async def upload_pictures(scene: Scene) -> str:
    async with signed_up_visitor(
        scene.project.url, scene.project.keys.publishable_key, called="chaos"
    ) as visitor:
        bucket = visitor.client.storage.from_("profile-images")
        for index in range(COUNT):
            name = f"{visitor.user_id}/{index}.png"
            await bucket.upload(name, picture(index), {"content-type": "image/png"})
        return visitor.user_id


def test_images_are_checked_whatever_dies(scene: Scene) -> None:
    ledger = scene.ledger
    scene.fleet.grow_to(2)
    killed = scene.fleet.killed
    finished = threading.Event()
    with ThreadPoolExecutor(1) as others:
        killer = others.submit(kill_some, scene, KILL_EVERY_S, finished)
        try:
            owner = asyncio.run(upload_pictures(scene))
            names = "select count(*) from storage.objects where bucket_id = 'profile-images' and name like %s"

            ended = 0

            def are_checked() -> bool:
                # The lease of a killed worker is minutes. Here all leases end with it, those of others too.
                nonlocal ended
                if scene.fleet.killed > ended:
                    ended = scene.fleet.killed
                    ledger.rows(
                        "update soundscape.image_checks set retry_at = now()"
                        " where checked_at is null returning object_id"
                    )
                left = ledger.rows(names, f"{owner}/%")[0]["count"]
                unchecked = ledger.value(
                    "select count(*) from soundscape.image_checks where checked_at is null"
                )
                return bool(left == COUNT // 2 and unchecked == 0)

            until(are_checked, "images are not checked")
            until(lambda: scene.fleet.killed > killed, "no worker was killed")
        finally:
            finished.set()
    killer.result()
    kept = {
        row["name"]
        for row in ledger.rows(
            "select name from storage.objects where bucket_id = 'profile-images' and name like %s",
            f"{owner}/%",
        )
    }
    assert kept == {f"{owner}/{index}.png" for index in range(0, COUNT, 2)}
    told = ledger.rows("select error_code from public.notifications where user_id = %s", owner)
    assert told == [{"error_code": "image_unreadable"}] * (COUNT // 2)
    print(f"\n{COUNT} images checked while {scene.fleet.killed - killed} workers were killed")
