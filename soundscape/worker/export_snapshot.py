"""What an export contains, as of one moment: the rows, and a list of the files. Stored beside the zips.

So that another worker, which takes over, makes the same bytes.
"""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any

from soundscape.project.exports import Export, Exports
from soundscape.project.objects import EXPORT_BUCKET, Objects
from soundscape.worker.export_parts import lay_out

FOLDERS = {"audio-files": "originals", "profile-images": "profile-images"}
MAX_PLAN_BYTES = 1 << 30
README = """This is everything that your account has.

data/            the tables, as JSON. docs/data-model.md of SoundScape explains them.
originals/       the files you uploaded. audio_files.json says by file_path which recording each is.
profile-images/  your pictures.

If there are several zips, manifest.json in the last one says which file is in which.

Originals and pictures are as you uploaded them, with what they say of time, place and device.
Remember that when you pass this on.
"""


class Snapshots:
    """Takes, stores and loads the snapshot of an export.

    Parameters
    ----------
    exports, objects
        The project.
    folder
        For temporary files.
    lease_s
        How long an export is ours without a word.
    """

    def __init__(self, exports: Exports, objects: Objects, folder: Path, *, lease_s: int) -> None:
        self._exports = exports
        self._objects = objects
        self._folder = folder
        self._lease_s = lease_s

    async def take(self, export: Export, records: FileIO) -> dict[str, Any]:
        """Read the rows into `records`, list the files, and store both. Returns the plan for `lay_out`."""
        files: list[dict[str, Any]] = []

        def end_file(name: str, start: int) -> None:
            files.append({"name": name, "size_bytes": records.tell() - start, "start": start})

        records.write(README.encode())
        end_file("README.txt", 0)
        contents = await self._exports.list_contents(export)
        for table in (each["name"] for each in contents if each["kind"] == "table"):
            start, last = records.tell(), None
            records.write(b"[")
            while rows := await self._exports.read(export, table, last):
                for row in rows:
                    records.write(b",\n" if last else b"\n")
                    records.write(json.dumps(row, ensure_ascii=False).encode())
                    last = row
            records.write(b"\n]\n")
            end_file(f"data/{table}.json", start)
        for each in (each for each in contents if each["kind"] == "file"):
            files.append(
                {
                    "name": f"{FOLDERS[each['bucket_id']]}/{each['name']}",
                    "size_bytes": each["size_bytes"],
                    "bucket": each["bucket_id"],
                    "object_name": each["name"],
                    "version": each["version"],
                    "etag": each["etag"],
                }
            )
        plan = {"at": datetime.now(UTC).isoformat(), "files": files}
        records.flush()
        records.seek(0)
        await self._store(export, "records", records, "application/octet-stream")
        await self.store_plan(export, plan)
        return plan

    async def store_plan(self, export: Export, plan: dict[str, Any]) -> None:
        """Store the list of files, and note how large the zips become."""
        with tempfile.TemporaryFile(dir=self._folder, buffering=0) as file:
            file.write(json.dumps(plan).encode())
            file.seek(0)
            await self._store(export, "plan", file, "application/json")
        await self._exports.save(export, lease_s=self._lease_s, size_bytes=lay_out(plan)[-1].end)

    async def _store(self, export: Export, ending: str, file: FileIO, content_type: str) -> None:
        await self._objects.store(EXPORT_BUCKET, export.name(ending), file, content_type=content_type)

    async def load(self, export: Export, records: FileIO) -> dict[str, Any]:
        """Read what `take` stored: the rows into `records`. Returns the plan."""
        with tempfile.TemporaryFile(dir=self._folder, buffering=0) as file:
            await self._objects.fetch(EXPORT_BUCKET, export.name("plan"), file, max_bytes=MAX_PLAN_BYTES)
            file.seek(0)
            plan: dict[str, Any] = json.loads(file.read())
        await self._objects.fetch(EXPORT_BUCKET, export.name("records"), records, max_bytes=1 << 40)
        return plan
