"""All sessions of a worker: how many there may be, which can be continued, and their end with the worker."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from soundscape.audio.limits import Limits
from soundscape.errors import AnalysisCrashed, ProjectError, Refusal
from soundscape.live import endings
from soundscape.live.decoders import FILE_TYPES, Decoders
from soundscape.live.endings import SessionEnded
from soundscape.live.engine import Engine
from soundscape.live.listening import Matcher
from soundscape.live.owner import Owner
from soundscape.live.pace import MAX_SPEED
from soundscape.live.recordings import Recordings
from soundscape.live.requests import Start
from soundscape.live.saved_sound import SavedSound
from soundscape.live.session import IDLE_S, MAX_WAITING_S, RESUME_S, Session

if TYPE_CHECKING:
    from soundscape.live.listener import Listener

log = structlog.get_logger(__name__)

MAX_MESSAGES_PER_S = 250.0
STOP_GRACE_S = 60.0
"""For records and uploads, beside the jobs of the worker. An hour of FLAC is 300 MB."""


@dataclass(frozen=True)
class LiveLimits:
    """How many sessions there may be, and how long one may last."""

    max_sessions: int
    max_sessions_per_user: int
    max_duration_s: float


class Sessions:
    """The sessions of this worker.

    Parameters
    ----------
    limits
        How many there may be.
    audio_limits
        Which rates and channels are accepted.
    scratch
        Returns the worker's folder for temporary files.
    recordings
        Where sessions are saved. None: nowhere.
    clock
        Seconds since 1970; tests have their own.
    """

    def __init__(
        self,
        limits: LiveLimits,
        audio_limits: Limits,
        *,
        scratch: Callable[[], Path],
        recordings: Recordings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits
        self._audio_limits = audio_limits
        self._recordings = recordings
        self._clock = clock
        self._engine: Engine | None = None
        self._decoders = Decoders(scratch, audio_limits)
        self._sessions: dict[str, Session] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self._taken: Counter[str] = Counter()
        self._stopping = False

    @property
    def count(self) -> int:
        """How many there are now."""
        return self._taken.total()

    async def open(
        self, owner: Owner, start: Start, *, match: Matcher | None
    ) -> tuple[Session, list[dict[str, Any]]]:
        """Open a session.

        Returns
        -------
        tuple of (Session, list)
            The session, and its first answers.

        Raises
        ------
        SessionEnded
            There is no room, the worker is going down, or the format is not accepted.
        """
        self._take(owner.user_id)
        try:
            session, answers = await self._make(owner, start, match)
        except BaseException:
            self._give_back(owner.user_id)
            raise
        self._sessions[session.id] = session
        if self._recordings is not None:
            # A new token may be what an earlier recording waits for.
            self._start(self._recordings.upload_left(owner))
        self._start(self._run(session))
        if self._stopping:
            session.end(endings.GOING_DOWN)
        return session, answers

    def find(self, owner: Owner, session_id: str) -> Session:
        """Find a session that goes on. Raises `SessionEnded` if there is none of this user."""
        session = self._sessions.get(session_id)
        if session is None or session.owner.user_id != owner.user_id or session.ending is not None:
            raise SessionEnded(endings.NO_SESSION)
        return session

    async def stop(self) -> None:
        """End all sessions with their records. A second call does nothing more."""
        self._stopping = True
        for session in self._sessions.values():
            session.end(endings.GOING_DOWN)
        if self._tasks:
            _, unfinished = await asyncio.wait(self._tasks, timeout=STOP_GRACE_S)
            for task in unfinished:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*unfinished, return_exceptions=True)
        await self._decoders.stop()
        if self._engine is not None:
            self._engine.close()

    def _start(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _take(self, user_id: str) -> None:
        if self._stopping:
            raise SessionEnded(endings.GOING_DOWN)
        if not self._limits.max_sessions:
            raise SessionEnded(endings.NOT_OFFERED)
        if self._taken[user_id] >= self._limits.max_sessions_per_user:
            most = self._limits.max_sessions_per_user
            raise SessionEnded(
                endings.TOO_MANY_YOURS.saying(f"You have {most} sessions, as many as a user may have.")
            )
        if self.count >= self._limits.max_sessions:
            raise SessionEnded(endings.TOO_MANY_HERE)
        self._taken[user_id] += 1

    def _give_back(self, user_id: str) -> None:
        self._taken[user_id] -= 1
        self._taken += Counter()  # forgets users with none

    async def _make(
        self, owner: Owner, start: Start, match: Matcher | None
    ) -> tuple[Session, list[dict[str, Any]]]:
        if self._engine is None:
            self._engine = Engine()
        await self._engine.warm_up()
        session_id = secrets.token_hex(16)
        saved = None if start.save is None else await self._begin_recording(owner, session_id, start)
        try:
            session, lacks_model = await self._make_session(owner, start, session_id, match, saved)
        except BaseException as error:
            if saved is not None:
                await saved.discard()
            if isinstance(error, Refusal):
                raise SessionEnded(endings.BAD_FORMAT.saying(error.message)) from error
            if isinstance(error, AnalysisCrashed | ProjectError | OSError):
                log.warning("a live session did not start", error=str(error))
                raise SessionEnded(endings.FAILED) from error
            raise
        features = frozenset(start.features)
        answers: list[dict[str, Any]] = []
        if "tags" in features and lacks_model:
            features -= {"tags"}
            answers.append(
                {"type": "warning", "code": "model_missing", "message": "This worker has no model for tags."}
            )
        started = {
            "type": "started",
            "session_id": session.id,
            "audio_id": None if saved is None else saved.audio_id,
            "features": [feature for feature in start.features if feature in features],
            "bands_hz": await self._engine.record(_list_bands) if "spectrum" in features else [],
            "limits": {
                "max_duration_s": self._limits.max_duration_s,
                "max_waiting_s": MAX_WAITING_S,
                "max_frame_bytes": session.max_frame_bytes,
                "max_messages_per_s": MAX_MESSAGES_PER_S,
                "max_speed": MAX_SPEED,
                "idle_s": IDLE_S,
                "resume_s": RESUME_S,
            },
        }
        return session, [started, *answers]

    async def _make_session(
        self, owner: Owner, start: Start, session_id: str, match: Matcher | None, saved: SavedSound | None
    ) -> tuple[Session, bool]:
        """Make a session. Returns whether there is no model for it, too."""
        assert self._engine is not None
        features = frozenset(start.features)
        more: dict[str, Any] = {
            "session_id": session_id,
            "max_duration_s": self._limits.max_duration_s,
            "engine": self._engine,
            "match": match if "match" in features else None,
            "save": saved,
            "clock": self._clock,
        }
        if start.is_pcm:
            engine = self._engine
            listener = await engine.record(_make_listener, start, features, self._audio_limits, saved)
            session = Session(
                owner,
                start,
                listening=listener,
                make_record=lambda: engine.record(listener.finish),
                bytes_per_s=listener.bytes_per_s,
                **more,
            )
            return session, listener.lacks_model
        return await self._decoders.make_session(owner, start, saved, more), not await self._engine.record(
            has_model
        )

    async def _begin_recording(self, owner: Owner, session_id: str, start: Start) -> SavedSound:
        if self._recordings is None:
            raise SessionEnded(endings.BAD_MESSAGE.saying("This worker saves no sessions."))
        assert start.save is not None
        suffix, content_type = FILE_TYPES[start.format]
        bit_depth = {"s16le": 16, "f32le": 24}.get(start.format, 0)
        return await self._recordings.begin(
            owner,
            session_id,
            start.save,
            suffix=suffix,
            content_type=content_type,
            bit_depth=bit_depth,
        )

    async def _run(self, session: Session) -> None:
        try:
            await session.run()
        finally:
            self._sessions.pop(session.id, None)
            self._give_back(session.owner.user_id)


def _make_listener(
    start: Start, features: frozenset[str], limits: Limits, saved: SavedSound | None
) -> Listener:
    # Here, in a thread: the first session imports the meters and loads the model.
    from soundscape.audio.streaming.pcm import PcmFormat
    from soundscape.live.listener import Listener

    assert start.is_pcm
    assert start.sample_rate is not None
    assert start.channels is not None
    format = PcmFormat(start.format, start.sample_rate, start.channels)  # type: ignore[arg-type]
    format.check(limits)
    if saved is None:
        return Listener(format, features)
    if "tags" in features:
        return Listener(format, features, journal=saved.journal, room=saved.room, out_dir=saved.out_dir)
    # Without tags it is another analysis than that of an upload: its files would be of no use.
    saved.out_dir.rmdir()
    return Listener(format, features, journal=saved.journal, room=saved.room)


def _list_bands() -> list[float]:
    from soundscape.audio.streaming.readings import band_centres_hz

    return list(band_centres_hz())


def has_model() -> bool:
    """Whether there is a model for tags."""
    from soundscape.audio.tagging import models
    from soundscape.errors import ModelError

    try:
        models.find("yamnet")
    except ModelError:
        return False
    return True
