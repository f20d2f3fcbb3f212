"""Exports: everything an account has, in one zip or several, written as a stream from Storage to Storage.

First the records are read, and the list of files is made. Both are stored beside the zip, so that another
worker makes the same bytes. Then the zip is uploaded in chunks. After each one the database knows how far
it is: a worker that takes over continues with the next chunk. One chunk is in memory at a time.

Storage says no to a zip that is larger than the project's limit. The limit is then found by asking, and the
files are spread over parts (`export_parts`). They are one stream of bytes, in which each part has its place.
"""

from __future__ import annotations

import asyncio
import tempfile
from io import FileIO
from pathlib import Path
from typing import Any

import httpx
import structlog
from supabase import AsyncClient

from soundscape.errors import LeaseLost, ProjectError, ProjectUnreachable
from soundscape.project.client import connect
from soundscape.project.exports import Export, Exports
from soundscape.project.objects import EXPORT_BUCKET, Objects
from soundscape.project.resumable import CHUNK_BYTES, ResumableUploads, UploadRefused
from soundscape.project.retries import retry
from soundscape.settings import Settings
from soundscape.worker.export_parts import Part, lay_out
from soundscape.worker.export_snapshot import Snapshots
from soundscape.worker.zip_stream import write_zip

log = structlog.get_logger(__name__)

CHANGED = {"object_changed", "object_unreadable", "storage_refused"}
"""A file is not what the list says: the list is made anew."""
MIN_PART_BYTES = 1 << 20
"""A project that does not take that much takes no export."""
TOO_LARGE = "upload_too_large"


async def keep_exporting(settings: Settings, folder: Path) -> None:
    """Make exports, one at a time, until cancelled.

    Parameters
    ----------
    settings
        The project.
    folder
        Where the records lie while they are read.
    """
    async with connect(settings.supabase_url, settings.secret_key) as (client, http):
        exporter = Exporter(
            client,
            http,
            storage_url=f"{settings.supabase_url}/storage/v1",
            secret_key=settings.secret_key,
            folder=folder,
            lease_s=settings.lease_s,
        )
        while True:
            try:
                did_one = await exporter.run_next()
            except ProjectError as error:
                log.warning("exports cannot be made at the moment", error=str(error))
                did_one = False
            except Exception:
                log.exception("an export failed unexpectedly, it is tried again")
                did_one = False
            if not did_one:
                await asyncio.sleep(settings.poll_max_s)


class Exporter:
    """Makes exports with the project's secret key.

    Parameters
    ----------
    client, http
        As `soundscape.project.client.connect` yields them.
    storage_url
        The project's `/storage/v1`.
    secret_key
        The project's.
    folder
        For temporary files.
    lease_s
        How long an export is ours without a word.
    """

    def __init__(
        self,
        client: AsyncClient,
        http: httpx.AsyncClient,
        *,
        storage_url: str,
        secret_key: str,
        folder: Path,
        lease_s: int,
    ) -> None:
        self._exports = Exports(client)
        self._objects = Objects(client, http)
        self._folder = folder
        self._lease_s = lease_s
        self._snapshots = Snapshots(self._exports, self._objects, folder, lease_s=lease_s)
        self._begun_parts = 1
        self._unsaved: tuple[Part, int, list[int]] | None = None

        async def headers() -> dict[str, str]:
            return {"apikey": secret_key, "authorization": f"Bearer {secret_key}"}

        self._uploads = ResumableUploads(http, storage_url, EXPORT_BUCKET, headers)

    async def run_next(self) -> bool:
        """Claim an export and make it. False if there was none.

        Raises
        ------
        ProjectError
            If the project does not answer as it should. The export is tried again.
        """
        export = await self._exports.claim(lease_s=self._lease_s)
        if export is None:
            return False
        try:
            await self._run(export)
        except LeaseLost:
            log.info("an export is not ours any more", export=export.export_id)
            # If it was deleted or has failed, nobody else removes what was stored since.
            if not await self._exports.is_live(export):
                names = [export.name_zip(part) for part in range(1, self._begun_parts + 1)]
                await self._objects.remove(
                    EXPORT_BUCKET, [*names, export.name("records"), export.name("plan")]
                )
        return True

    async def _run(self, export: Export) -> None:
        writing = asyncio.create_task(self._write(export))
        beating = asyncio.create_task(self._keep_lease(export))
        try:
            ended, _ = await asyncio.wait({writing, beating}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writing, beating):
                task.cancel()
            await asyncio.gather(writing, beating, return_exceptions=True)
        try:
            if writing not in ended:
                beating.result()
            await self._exports.complete(export, parts=writing.result())
        except LeaseLost:
            raise
        except UploadRefused as refused:
            message = f"{refused.message} A file of it may be larger than the project allows."
            await self._exports.fail(export, code=refused.code, message=message, is_final=True)
        except ProjectError as error:
            if error.code in CHANGED:
                await self._exports.restart(export)
            log.warning("an export could not go on", export=export.export_id, error=str(error))
            await self._exports.fail(export, code=error.code, message=error.message)

    async def _keep_lease(self, export: Export) -> None:
        while True:
            await asyncio.sleep(self._lease_s / 3)
            try:
                await self._exports.save(export, lease_s=self._lease_s)
            except ProjectUnreachable as error:
                log.warning("the lease of an export was not extended", error=str(error))

    async def _write(self, export: Export) -> int:
        """Write the zips. Returns how many they are."""
        self._begun_parts, self._unsaved = 1, None
        with tempfile.TemporaryFile(dir=self._folder, buffering=0) as records:
            if export.is_snapshot_stored:
                plan = await self._snapshots.load(export, records)
            else:
                plan = await self._snapshots.take(export, records)
            parts = lay_out(plan)
            begun = export.upload_url
            if begun is None:
                begun, parts = await self._begin_first(export, plan, parts)
            checksums = list(export.checksums)
            number, stored = await self._find_position(export, parts, begun)
            for part in parts[number:]:
                if stored is None:
                    begun, stored = await self._begin(export, part), 0
                await self._write_part(export, part, begun, stored, records, checksums)
                stored = None
            return len(parts)

    async def _find_position(self, export: Export, parts: list[Part], url: str) -> tuple[int, int | None]:
        """The part to go on with, and how much of it is stored; None if its upload has to begin."""
        # The address is that of the part in which the last saved byte lies, or which begins after it.
        number = next(
            (place for place, part in enumerate(parts) if export.stored_bytes < part.end), len(parts) - 1
        )
        return number, await retry(lambda: self._uploads.read_offset(url))

    async def _write_part(
        self, export: Export, part: Part, url: str, stored: int, records: FileIO, checksums: list[int]
    ) -> None:
        known = checksums[part.first_place :]
        saved = len(checksums)
        chunk = bytearray()

        async def append(data: bytes) -> None:
            nonlocal stored, saved
            stored = await self._append(url, stored, data)
            # The last chunk is saved with the address of the next part: see `_find_position`.
            if stored < part.archive.size_bytes:
                checksums[part.first_place :] = known
                await self._exports.save(
                    export,
                    lease_s=self._lease_s,
                    stored_bytes=part.start + stored,
                    first_place=saved,
                    checksums=checksums[saved:],
                )
                saved = len(checksums)

        async for data in write_zip(part, records, self._objects, known, stored):
            chunk += data
            while len(chunk) >= CHUNK_BYTES:
                await append(bytes(chunk[:CHUNK_BYTES]))
                del chunk[:CHUNK_BYTES]
        if chunk:
            await append(bytes(chunk))
        if stored != part.archive.size_bytes:
            raise ProjectError(
                f"{stored} of {part.archive.size_bytes} bytes are stored.", code="object_changed"
            )
        checksums[part.first_place :] = known
        self._unsaved = (part, saved, checksums[saved:])

    async def _append(self, url: str, offset: int, data: bytes) -> int:
        stored = await retry(lambda: self._uploads.append(url, offset, data, replaces=True))
        if stored != offset + len(data):
            raise ProjectError(f"The upload is at {stored}, not {offset + len(data)}.", code="object_changed")
        return stored

    async def _begin_first(
        self, export: Export, plan: dict[str, Any], parts: list[Part]
    ) -> tuple[str, list[Part]]:
        """Begin the first part. If the project takes none that large, lay out smaller ones."""
        try:
            return await self._begin(export, parts[0]), parts
        except UploadRefused as refused:
            if refused.code != TOO_LARGE:
                raise
            plan["part_bytes"] = await self._find_part_bytes(export, parts[0].archive.size_bytes, refused)
        await self._snapshots.store_plan(export, plan)
        parts = lay_out(plan)
        log.info("an export comes in parts", export=export.export_id, parts=len(parts))
        return await self._begin(export, parts[0]), parts

    async def _find_part_bytes(self, export: Export, refused_bytes: int, refused: UploadRefused) -> int:
        """The size of a zip that the project takes, to a thirty-second of the largest."""
        taken_bytes = 0
        while refused_bytes - taken_bytes > max(MIN_PART_BYTES, taken_bytes // 32):
            size_bytes = (taken_bytes + refused_bytes) // 2
            try:
                await self._ask_begin(export.name_zip(1), size_bytes)
            except UploadRefused as again:
                if again.code != TOO_LARGE:
                    raise
                refused_bytes = size_bytes
            else:
                taken_bytes = size_bytes
        if taken_bytes < MIN_PART_BYTES:
            raise refused
        return taken_bytes

    async def _begin(self, export: Export, part: Part) -> str:
        """Begin the upload of a part, and note that the one before is stored."""
        begun = await self._ask_begin(export.name_zip(part.number), part.archive.size_bytes)
        self._begun_parts = max(self._begun_parts, part.number)
        stored: dict[str, Any] = {}
        if self._unsaved is not None:
            before, first_place, checksums = self._unsaved
            stored = {"stored_bytes": before.end, "first_place": first_place, "checksums": checksums}
            self._unsaved = None
        await self._exports.save(export, lease_s=self._lease_s, upload_url=begun, **stored)
        return begun

    async def _ask_begin(self, name: str, size_bytes: int) -> str:
        begun = await retry(lambda: self._uploads.begin(name, size_bytes, "application/zip", replaces=True))
        if begun is None:
            raise ProjectError("Storage says that the zip is there already.", code="upload_refused")
        return begun
