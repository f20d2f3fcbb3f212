"""New names for objects whose old names strangers may have signed and may not read any more.

Each step may be the last one before this process is killed. A file is moved by one request, and Storage
changes the row in the same transaction. Pictures are copied first. The row names the copies only once all
are there, and a later attempt copies to other names.
"""

from __future__ import annotations

import asyncio

import structlog

from soundscape.errors import ProjectError
from soundscape.project.objects import AUDIO_BUCKET, Objects
from soundscape.project.queue import Queue, Rename

log = structlog.get_logger(__name__)

RENAMES_PER_BATCH = 10
MAX_COPIES_AT_ONCE = 8
MAX_RENAMING_S = 60.0


async def rename_objects(queue: Queue, objects: Objects) -> int:
    """Give the objects of all requests new names, for about a minute. Returns how many requests were done.

    Raises `ProjectUnreachable` or `ProjectError` if the requests cannot be read. A request that fails is
    tried again later.
    """
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    done = 0
    while loop.time() - started_s < MAX_RENAMING_S:
        renames = await queue.list_renames(RENAMES_PER_BATCH)
        for rename in renames:
            try:
                await _rename(queue, objects, rename)
            except ProjectError as error:
                log.warning("objects got no new name yet", **{"audio.id": rename.audio_id}, error=str(error))
            else:
                done += 1
        if not renames:
            break
    return done


async def _rename(queue: Queue, objects: Objects, rename: Rename) -> None:
    if rename.bucket_id == AUDIO_BUCKET:
        await objects.move(AUDIO_BUCKET, rename.name, rename.new_name)
    else:
        await _copy_folder(objects, rename)
        await queue.complete_rename(rename)
    log.info("objects got a new name", **{"audio.id": rename.audio_id, "bucket": rename.bucket_id})


async def _copy_folder(objects: Objects, rename: Rename) -> None:
    gate = asyncio.Semaphore(MAX_COPIES_AT_ONCE)

    async def copy(name: str) -> None:
        async with gate:
            new_name = rename.new_name + name.removeprefix(rename.name)
            await objects.copy(rename.bucket_id, name, new_name)

    errors = await asyncio.gather(*map(copy, rename.objects), return_exceptions=True)
    for error in errors:
        if error is not None:
            raise error
