"""One session that becomes a recording: where its sound is written, and how it is stored at the end."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from soundscape.errors import ProjectError
from soundscape.live.journal import Journal
from soundscape.live.owner import Owner
from soundscape.live.room import Room
from soundscape.live.user_requests import TokenRefused, UserRequests
from soundscape.project.resumable import UploadRefused

if TYPE_CHECKING:
    from soundscape.live.listening import SessionResult

log = structlog.get_logger(__name__)

AddPrepared = Callable[[dict[str, Any], Path], None]
"""Called with a record and the folder of its files, before its sound is uploaded."""


class SavedSound:
    """One session's recording.

    Parameters
    ----------
    journal
        Where the sound is written down.
    room
        How large it may become.
    out_dir
        Where files of the record are written.
    requests
        To the project.
    add_prepared
        Takes the record, for the job of the recording.
    """

    def __init__(
        self,
        journal: Journal,
        room: Room,
        out_dir: Path,
        *,
        requests: UserRequests,
        add_prepared: AddPrepared,
    ) -> None:
        self.journal = journal
        self.room = room
        self.out_dir = out_dir
        self._requests = requests
        self._add_prepared = add_prepared
        self._is_done = False

    @property
    def audio_id(self) -> str:
        """The row of `audio_files`."""
        return self.journal.note.audio_id

    async def renew(self, owner: Owner) -> None:
        """Note a newer token."""
        self.journal.note.token = owner.token
        self.journal.note.expires_at_s = owner.expires_at_s
        await asyncio.to_thread(self.journal.write_note)

    async def store(self, result: SessionResult) -> dict[str, Any]:
        """Upload the sound. Its record is taken over when the worker claims its job."""
        note = self.journal.note
        if result.folder is not None:
            self._add_prepared(result.record, result.folder)
        try:
            await self._requests.upload(self.journal, self.journal.sound)
        except UploadRefused as refused:
            await self.discard()
            return {"type": "warning", "code": "save_refused", "message": refused.message}
        except TokenRefused as refused:
            return _delayed(f"{refused.message} {refused.remedy}")
        except (ProjectError, OSError) as error:
            log.warning("a live recording waits to be uploaded", error=str(error))
            return _delayed("The project cannot be reached. The recording is uploaded later.")
        else:
            self._is_done = True
            await asyncio.to_thread(self.journal.remove)
        finally:
            if result.folder is None:
                await self._remove_out_dir()
        return {"type": "saved", "audio_id": note.audio_id, "file_path": note.file_path}

    async def discard(self) -> None:
        """Nothing was heard, or it cannot be saved: remove the row that was described."""
        self._is_done = True
        await self._requests.delete_row(self.journal.note)
        await asyncio.to_thread(self.journal.remove)
        await self._remove_out_dir()

    def release(self) -> None:
        """Leave what is not stored yet to be stored later."""
        if not self._is_done:
            self.journal.release()

    async def _remove_out_dir(self) -> None:
        await asyncio.to_thread(shutil.rmtree, self.out_dir, ignore_errors=True)


def _delayed(message: str) -> dict[str, Any]:
    return {"type": "warning", "code": "save_delayed", "message": message}
