"""What a saved session has heard, on disk: a worker that is killed loses less than a second of it.

Each session has a folder with a note and the sound. The folders lie beside those of workers, and outlive
them. A lock tells whose worker is alive.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from soundscape.errors import UnreadableAudio

if TYPE_CHECKING:
    from soundscape.audio.decode.reader import Samples

log = structlog.get_logger(__name__)

FOLDER = "soundscape-live"
_NOTE, _SOUND, _WHOLE = "session.json", "sound", "whole.flac"
_NEW_PREFIX = "new-"
_BUFFERED_FRAMES = 2 * 4096
"""The FLAC encoder holds back a block of 4096 samples per channel, until it has one more sample."""


@dataclass
class Note:
    """Whose sound it is, and where it goes.

    `token` is the user's: the recording is uploaded by the user's own rights. It is deleted with the folder.
    """

    user_id: str
    audio_id: str
    file_path: str
    content_type: str
    bit_depth: int
    """Of FLAC; 0 for sound that is written down as it came."""
    expires_at_s: float
    token: str = field(repr=False)


class Journal:
    """The folder of one session. Its methods block."""

    def __init__(self, folder: Path, lock: int, note: Note) -> None:
        self.folder = folder
        self._lock = lock
        self.note = note
        self._note_lock = threading.Lock()
        self._file: Any = None
        self._buffered_bytes = 0

    @classmethod
    def make(cls, parent: Path, session_id: str, note: Note) -> Journal:
        """Make the folder of a new session.

        Raises
        ------
        OSError
            There is no room, or others could read what is written there.
        """
        (parent / FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_folder(parent / FOLDER)
        # Held until the new folder has its name: what is new while nobody holds it was left behind.
        with _lock(parent / FOLDER, fcntl.LOCK_SH):
            made = Path(tempfile.mkdtemp(prefix=_NEW_PREFIX, dir=parent / FOLDER))
            lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                journal = cls(made, lock, note)
                journal.write_note()
                # It gets the name that others look for only once it is locked and has its note.
                journal.folder = made.rename(parent / FOLDER / session_id)
            except BaseException:
                shutil.rmtree(made, ignore_errors=True)
                os.close(lock)
                raise
        return journal

    @classmethod
    def find_left(cls, parent: Path) -> Iterator[Journal]:
        """Find what workers that were killed left behind, and lock it.

        Raises
        ------
        OSError
            The folder of all sessions is not this user's alone.
        """
        if not (parent / FOLDER).exists():
            return
        _check_folder(parent / FOLDER)
        _remove_unnamed(parent / FOLDER)
        for folder in sorted((parent / FOLDER).glob("*/")):
            if folder.name.startswith(_NEW_PREFIX):
                continue  # being made
            try:
                lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError:
                continue  # gone meanwhile
            try:
                if os.fstat(lock).st_uid != os.geteuid():
                    raise PermissionError
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                note = Note(**json.loads((folder / _NOTE).read_text()))
            except (OSError, ValueError, TypeError) as error:
                os.close(lock)
                if not isinstance(error, BlockingIOError | PermissionError):
                    # It was being made or removed: nothing was heard yet, or everything is stored.
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            yield cls(folder, lock, note)

    @property
    def sound(self) -> Path:
        """The sound as it was written down."""
        return self.folder / _SOUND

    def write_note(self) -> None:
        """Write the note anew, as with a newer token."""
        with self._note_lock:
            aside = self.folder / f"{_NOTE}.new"
            aside.touch(mode=0o600)
            aside.write_text(json.dumps(asdict(self.note)))
            aside.replace(self.folder / _NOTE)

    def open_flac(self, *, sample_rate: int, channels: int) -> None:
        """Begin to write samples."""
        self._file = self._open(self.sound, sample_rate, channels)
        self._buffered_bytes = _BUFFERED_FRAMES * channels * self.note.bit_depth // 8

    def max_size_with(self, sample_bytes: int) -> int:
        """How large the file is at most, once so many more bytes of samples are written.

        Noise does not become smaller by FLAC, and its frames have heads.
        """
        samples = self._buffered_bytes + sample_bytes
        return self.sound.stat().st_size + samples + samples // 64 + 1024

    def write_samples(self, block: Samples) -> None:
        """Write samples, float32, shape (channels, n), that have the bits of the file. Raises `OSError`."""
        import soundfile

        try:
            self._file.write(_to_integers(block))
        except soundfile.LibsndfileError as error:
            raise OSError(errno.EIO, error.error_string) from error

    def close_flac(self) -> None:
        """Write the rest, and the length into the header."""
        self._file.close()
        self._file = None

    def repair(self) -> Path:
        """Make a whole file of what a killed worker wrote. Returns its path.

        Raises
        ------
        UnreadableAudio
            There is no sound in it.
        """
        if not self.sound.exists():
            raise UnreadableAudio("Nothing was heard.", code="no_samples")
        if self.note.content_type != "audio/flac":
            return self.sound
        from soundscape.audio.decode.audio_file import open_audio

        whole = self.folder / _WHOLE
        with self.sound.open("rb") as file, open_audio(file) as audio:
            rewritten = self._open(whole, audio.header.sample_rate, audio.header.channels)
            with rewritten:
                for block in audio.blocks():
                    rewritten.write(_to_integers(block))
        return whole

    def _open(self, path: Path, sample_rate: int, channels: int) -> Any:
        import soundfile

        subtype = f"PCM_{self.note.bit_depth}"
        return soundfile.SoundFile(path, "w", sample_rate, channels, subtype=subtype, format="FLAC")

    def release(self) -> None:
        """Leave the folder to whoever looks for it next. A second call does nothing."""
        # Once: by then another file or socket may have the number.
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def remove(self) -> None:
        """Remove the folder: everything is stored, or nothing is wanted."""
        # The note first: without it nobody takes the rest for a session.
        with suppress(OSError):
            (self.folder / _NOTE).unlink()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.release()


@contextmanager
def _lock(folder: Path, how: int) -> Iterator[None]:
    """Lock the folder of all sessions until the block ends. Raises `OSError`."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, how)
        yield
    finally:
        os.close(lock)


def _remove_unnamed(parent: Path) -> None:
    """Remove folders whose worker was killed while it made them, unless one is being made now."""
    with suppress(BlockingIOError), _lock(parent, fcntl.LOCK_EX | fcntl.LOCK_NB):
        for folder in parent.glob(f"{_NEW_PREFIX}*/"):
            shutil.rmtree(folder, ignore_errors=True)


def _check_folder(folder: Path) -> None:
    """Refuse a folder that another user made, or may read: the notes hold tokens."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(
            errno.EPERM,
            "not a folder of this user alone; remove it, or set SOUNDSCAPE_SCRATCH_DIR",
            str(folder),
        )


def _to_integers(block: Samples) -> Any:
    import numpy as np

    # libsndfile takes the bits of a sample as the upper ones of 32.
    return (block.T.astype(np.float64) * 2**31).astype(np.int32)
