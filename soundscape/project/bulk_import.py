"""Many files into an account: hashed, described and uploaded, several at a time.

An object is named by the SHA-256 of its bytes, so that a second run finds what the first one did. What is
uploaded is not sent again, and what is described is only brought up to date.
"""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from soundscape.errors import ProjectError
from soundscape.project.account import Account
from soundscape.project.client import translate_errors
from soundscape.project.retries import retry
from soundscape.project.uploads import Uploader, read_in_chunks

BATCH = 50
"""Files that are described in one request: a row waits for its file for as short a time as is practical."""
State = Literal["uploaded", "present", "duplicate", "refused"]


@dataclass(frozen=True)
class ImportItem:
    """A file, and the columns of its row."""

    file: Path
    columns: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a file."""

    file: Path
    state: State
    audio_id: str | None = None
    code: str | None = None
    message: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it for `--json`."""
        entry = {"file": str(self.file), "state": self.state, "audio_id": self.audio_id}
        return entry | {"code": self.code, "message": self.message} if self.code else entry


@dataclass
class Progress:
    """Called as the import goes on; does nothing by default."""

    hashed: Callable[[int], None] = lambda _: None
    """Bytes that were read and hashed."""
    stored: Callable[[int], None] = lambda _: None
    """Bytes that are in Storage now."""
    ended: Callable[[Outcome], None] = lambda _: None


class BulkImport:
    """Imports files into one account.

    Parameters
    ----------
    account
        Whose recordings they become.
    parallel
        How many files are uploaded at a time.
    uploader
        By default, one that keeps its notes in the platform's cache directory.
    progress
        Told what happens.
    fill_from_file
        Whether the uploads say that when and where a recording was made is read from its file. None: the
        account's setting decides.
    """

    def __init__(
        self,
        account: Account,
        *,
        parallel: int = 4,
        uploader: Uploader | None = None,
        progress: Progress | None = None,
        fill_from_file: bool | None = None,
    ) -> None:
        self._metadata = None if fill_from_file is None else {"fill_from_file": fill_from_file}
        self._account = account
        self._parallel = parallel
        self._uploader = uploader or Uploader(account)
        self._progress = progress or Progress()
        self._named: dict[str, Path] = {}

    async def run(self, items: Iterable[ImportItem]) -> list[Outcome]:
        """Import all of them, and return what became of each.

        Raises
        ------
        ProjectUnreachable, SignInRefused
            If nothing more can be done. What was done stays; run it again.
        """
        outcomes: list[Outcome] = []
        room = asyncio.Semaphore(self._parallel)
        # The next batch is hashed and described while the last files of this one are uploaded.
        turns = asyncio.Semaphore(2)

        async def work(batch: tuple[ImportItem, ...]) -> None:
            try:
                outcomes.extend(await self._import_batch(batch, room))
            finally:
                turns.release()

        try:
            async with asyncio.TaskGroup() as group:
                for batch in batched(items, BATCH):
                    await turns.acquire()
                    group.create_task(work(batch))
        except BaseExceptionGroup as failed:
            raise _first(failed) from None
        return outcomes

    async def _import_batch(self, batch: tuple[ImportItem, ...], room: asyncio.Semaphore) -> list[Outcome]:
        named: list[tuple[ImportItem, str]] = []
        outcomes: list[Outcome] = []

        def end(outcome: Outcome) -> None:
            outcomes.append(outcome)
            self._progress.ended(outcome)

        for item in batch:
            try:
                name = await self._name(item.file)
            except OSError as error:
                end(Outcome(item.file, "refused", code="unreadable_file", message=str(error)))
                continue
            if (first := self._named.setdefault(name, item.file)) != item.file:
                end(Outcome(item.file, "duplicate", code="duplicate", message=f"The same bytes as {first}."))
            else:
                named.append((item, name))
        rows = [{"title": item.file.stem, **item.columns, "file_path": name} for item, name in named]
        described = await retry(lambda: self._describe(rows)) if rows else []

        async def upload(item: ImportItem, name: str, row: dict[str, Any]) -> None:
            if row["result"] == "refused" and row["status"] is None:
                end(Outcome(item.file, "refused", code=row["code"], message=row["message"]))
                return
            if row["status"] != "awaiting_upload":
                self._progress.stored(item.file.stat().st_size)
                end(Outcome(item.file, "present", row["id"]))
                return
            try:
                async with room:
                    await self._upload(item.file, name)
            except (OSError, ProjectError) as error:
                if isinstance(error, ProjectError) and error.code in (
                    "project_unreachable",
                    "sign_in_refused",
                ):
                    raise
                code = error.code if isinstance(error, ProjectError) else "unreadable_file"
                end(Outcome(item.file, "refused", row["id"], code, str(error)))
            else:
                end(Outcome(item.file, "uploaded", row["id"]))

        async with asyncio.TaskGroup() as group:
            for (item, name), row in zip(named, described, strict=True):
                group.create_task(upload(item, name, row))
        return outcomes

    async def _upload(self, file: Path, name: str) -> None:
        stored = 0

        def sent(count: int) -> None:
            nonlocal stored
            self._progress.stored(count - stored)
            stored = count

        content_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        await self._uploader.upload(name, file, content_type, metadata=self._metadata, sent=sent)

    async def _name(self, file: Path) -> str:
        digest = hashlib.sha256()
        async for data in read_in_chunks(file):
            await asyncio.to_thread(digest.update, data)
            self._progress.hashed(len(data))
        suffix = "".join(letter for letter in file.suffix.lower() if letter.isascii() and letter.isalnum())
        name = f"{self._account.user_id}/{digest.hexdigest()}"
        return f"{name}.{suffix}" if suffix else name

    async def _describe(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        with translate_errors("describe_audio"):
            client = await self._account.client()
            found: Any = (await client.rpc("describe_audio", {"rows": rows}).execute()).data
            return sorted(found, key=lambda row: int(row["place"]))


def batched(items: Iterable[ImportItem], size: int) -> Iterator[tuple[ImportItem, ...]]:
    """Yield the items in groups of at most `size`. `itertools` has it from Python 3.12 on."""
    remaining = iter(items)
    while batch := tuple(islice(remaining, size)):
        yield batch


def _first(failed: BaseException) -> BaseException:
    """The first of the errors that ended the tasks."""
    while isinstance(failed, BaseExceptionGroup):
        failed = failed.exceptions[0]
    return failed
