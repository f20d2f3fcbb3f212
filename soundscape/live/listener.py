"""What one session does with its samples. It blocks, so that it is called in threads."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from soundscape.audio.decode.audio_file import BLOCK_LENGTH, open_audio
from soundscape.audio.streaming.pcm import PcmFormat, PcmStream
from soundscape.audio.streaming.readings import Readings
from soundscape.audio.streaming.recording import StreamRecording
from soundscape.live.endings import NO_ROOM, SessionEnded
from soundscape.live.listening import MAX_QUICK_S, Reading, SessionResult

if TYPE_CHECKING:
    from soundscape.audio.decode.reader import Samples
    from soundscape.audio.fingerprint import Fingerprint
    from soundscape.live.journal import Journal
    from soundscape.live.room import Room

log = structlog.get_logger(__name__)


class Listener:
    """The meters of one session.

    `hear` is called by one thread at a time, and so are `keep` and `finish`; the two may run side by side.

    Parameters
    ----------
    format
        How the samples are written.
    features
        What is to be read.
    journal
        Where the sound is written down, as FLAC. None: it is not saved.
    room
        How large it may become; with a journal.
    out_dir
        Where the files of the record are written; only with a journal.
    """

    def __init__(
        self,
        format: PcmFormat,
        features: frozenset[str],
        *,
        journal: Journal | None = None,
        room: Room | None = None,
        out_dir: Path | None = None,
    ) -> None:
        self._stream = PcmStream(format, round_to_24_bits=journal is not None)
        self._readings = Readings(self._stream.header, features)
        self._recording = StreamRecording(self._stream.header, tags="tags" in features, out_dir=out_dir)
        self._journal = journal
        self._room = room
        self._out_dir = out_dir
        self._sent_tags_s = 0.0
        if journal is not None:
            journal.open_flac(sample_rate=format.sample_rate, channels=format.channels)

    @property
    def keep_frames(self) -> int:
        """So many samples per channel are kept at a time: a block of the record."""
        return BLOCK_LENGTH

    @property
    def lacks_model(self) -> bool:
        """Whether there is no model to listen with."""
        return self._recording.tagger is None

    @property
    def bytes_per_s(self) -> int:
        """Bytes of a second of sound, as it arrives."""
        return self._stream.format.bytes_per_s

    @property
    def duration_s(self) -> float:
        """Seconds heard so far."""
        return self._stream.duration_s

    def is_quick(self, data: bytes) -> bool:
        """Whether to hear these bytes takes less than to wake a thread for it: a disk may not."""
        return self._journal is None and len(data) <= MAX_QUICK_S * self.bytes_per_s

    def hear(self, data: bytes) -> tuple[Samples, list[Reading]]:
        """Take bytes; return them as samples, and what can be read now.

        Raises
        ------
        UnreadableAudio
            They are no sound.
        SessionEnded
            They have no room. Nothing of them was taken.
        """
        journal = self._journal
        if journal is None:
            samples = self._stream.push(data)
            return samples, self._readings.push(samples)
        if self._room is not None:
            self._room.require(journal.max_size_with(len(data)))
        samples = self._stream.push(data)
        try:
            # First: what was answered for is on the disk, but for the encoder's last block.
            journal.write_samples(samples)
        except OSError as error:
            log.warning("a live sound was not written", error=str(error))
            raise SessionEnded(NO_ROOM) from error
        return samples, self._readings.push(samples)

    def fingerprint(self) -> Fingerprint:
        """Fingerprint the latest 10 s."""
        return self._readings.fingerprint()

    def keep(self, pieces: list[Samples]) -> list[Reading]:
        """Take samples for the record; return the tags that were heard meanwhile."""
        for piece in pieces:
            self._recording.push(piece)
        tagger = self._recording.tagger
        if tagger is None or tagger.batches_s <= self._sent_tags_s:
            return []
        self._sent_tags_s = tagger.batches_s
        heard = [{"label": label, "confidence": confidence} for label, confidence in tagger.latest()]
        return [{"type": "tags", "audio_time_s": round(self._sent_tags_s, 4), "tags": heard}]

    def finish(self) -> SessionResult:
        """Make the record; nothing may be kept afterwards. Of a sound that is saved, that of its file."""
        if self._journal is None:
            record = self._recording.finish(self._stream, sha256=self._stream.sha256)
            return SessionResult(record.as_dict())
        self._journal.close_flac()
        with self._journal.sound.open("rb") as file, open_audio(file) as audio:
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            # Written by us a moment ago: it need not be decoded to know what is in it.
            audio.frames = self._stream.frames
            record = self._recording.finish(audio, sha256=sha256)
        return SessionResult(record.as_dict(), self._out_dir)
