"""Sessions that become recordings: described when they start, uploaded when they end, by their user's rights.

The sound is written down while it is heard (`journal`). What a killed worker left is uploaded by the next one
on the same disk, with the user's token, or with the next that the user starts a session with.
"""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from soundscape.errors import ProjectError, Refusal
from soundscape.live.endings import BAD_MESSAGE, FAILED, NO_ROOM, SessionEnded
from soundscape.live.journal import Journal, Note
from soundscape.live.owner import Owner
from soundscape.live.requests import Save
from soundscape.live.room import Room
from soundscape.live.saved_sound import AddPrepared, SavedSound
from soundscape.live.user_requests import UserRequests
from soundscape.project.resumable import UploadRefused
from soundscape.sandbox.scratch import Scratch

log = structlog.get_logger(__name__)

LEFT_EVERY_S = 60.0
KEPT_DAYS = 7
"""How long a sound waits for its user's next token."""


class Recordings:
    """Recordings of live sessions, in one project.

    Parameters
    ----------
    url, public_key
        The project.
    parent
        The folder that outlives the worker.
    scratch
        Returns the worker's own folder, for files of records.
    add_prepared
        Called with a record and the folder of its files, before its sound is uploaded.
    min_free_bytes
        How much of the disk stays free. None: as much as downloads leave.
    clock
        Seconds since 1970.
    """

    def __init__(
        self,
        url: str,
        public_key: str,
        *,
        parent: Path,
        scratch: Callable[[], Path],
        add_prepared: AddPrepared,
        min_free_bytes: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._parent = parent
        self._scratch = scratch
        self._add_prepared = add_prepared
        more = {} if min_free_bytes is None else {"min_free_bytes": min_free_bytes}
        self._disk = Scratch(parent, budget_bytes=0, **more)
        self._clock = clock
        self._requests = UserRequests(url, public_key, clock=clock)
        self._left_lock = asyncio.Lock()

    async def begin(
        self, owner: Owner, session_id: str, save: Save, *, suffix: str, content_type: str, bit_depth: int
    ) -> SavedSound:
        """Describe the recording, and make a place for its sound.

        Raises
        ------
        SessionEnded
            The description is refused, the project does not answer, or the disk has no room.
        """
        file_path = f"{owner.user_id}/live-{session_id}.{suffix}"
        try:
            max_bytes = await self._requests.read_max_bytes(owner.token)
            room = Room(max_bytes, self._disk.find_problem)
            room.require(0)
            described = await self._requests.describe(owner.token, save.as_row() | {"file_path": file_path})
        except ProjectError as error:
            log.warning("a live recording could not be described", error=str(error))
            raise SessionEnded(FAILED.saying("The recording could not be described. Try again.")) from error
        if described["result"] == "refused":
            raise SessionEnded(BAD_MESSAGE.saying(f"save: {described['message']}"))
        note = Note(
            owner.user_id,
            str(described["id"]),
            file_path,
            content_type,
            bit_depth,
            owner.expires_at_s,
            owner.token,
        )
        try:
            out_dir = await asyncio.to_thread(tempfile.mkdtemp, prefix="live-", dir=self._scratch())
            try:
                journal = await asyncio.to_thread(Journal.make, self._parent, session_id, note)
            except OSError:
                await asyncio.to_thread(os.rmdir, out_dir)
                raise
        except (OSError, ProjectError) as error:
            log.warning("a live recording has no place on the disk", error=str(error))
            await self._requests.delete_row(note)
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise SessionEnded(NO_ROOM) from error
            raise SessionEnded(FAILED.saying("The worker has no place for the recording.")) from error
        return SavedSound(
            journal, room, Path(out_dir), requests=self._requests, add_prepared=self._add_prepared
        )

    async def upload_left(self, owner: Owner | None = None) -> int:
        """Upload what killed workers left behind, or what was delayed. Returns how many there were.

        Parameters
        ----------
        owner
            Who has a new token. None: with the tokens that are there.
        """
        count = 0
        async with self._left_lock:
            left = await asyncio.to_thread(lambda: list(Journal.find_left(self._parent)))
            try:
                for journal in left:
                    note = journal.note
                    if owner is not None and owner.user_id == note.user_id:
                        note.token, note.expires_at_s = owner.token, owner.expires_at_s
                    try:
                        count += await self._upload_one_left(journal)
                    except Exception:
                        # One that cannot be read or written keeps no other from its user.
                        log.exception("a live recording was not recovered", folder=journal.folder.name)
            finally:
                for journal in left:
                    journal.release()
        return count

    async def keep_uploading_left(self) -> None:
        """Upload what was left behind, now and every minute."""
        while True:
            try:
                await self.upload_left()
            except Exception:
                # It may be another one in a minute: a disk that is full, a folder that is not ours.
                log.exception("live recordings were not looked for")
            await asyncio.sleep(LEFT_EVERY_S)

    async def close(self) -> None:
        """Close connections."""
        await self._requests.close()

    async def _upload_one_left(self, journal: Journal) -> bool:
        note = journal.note
        if note.expires_at_s < self._clock():
            if note.expires_at_s < self._clock() - KEPT_DAYS * 86_400:
                log.warning(
                    "a live recording is given up: its user did not come back", audio_id=note.audio_id
                )
                await asyncio.to_thread(journal.remove)
            return False
        try:
            file = await asyncio.to_thread(journal.repair)
            await self._requests.upload(journal, file)
        except (Refusal, UploadRefused) as refused:
            log.warning("a live recording cannot be saved", audio_id=note.audio_id, error=str(refused))
            await self._requests.delete_row(note)
        except (ProjectError, OSError) as error:
            log.warning("a live recording still waits to be uploaded", error=str(error))
            return False
        else:
            log.info("a live recording was recovered", audio_id=note.audio_id)
        await asyncio.to_thread(journal.remove)
        return True
