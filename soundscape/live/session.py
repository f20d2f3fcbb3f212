"""One session: a sound that is heard, from its start to its record."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog

from soundscape.errors import Refusal, SoundScapeError
from soundscape.live import endings
from soundscape.live.endings import Ending, SessionEnded
from soundscape.live.engine import Engine
from soundscape.live.inbox import Inbox
from soundscape.live.listening import Listening, Matcher, RecordMaker, Saver
from soundscape.live.matching import keep_matching
from soundscape.live.outbox import Outbox
from soundscape.live.owner import Owner
from soundscape.live.pace import Pace
from soundscape.live.presence import Presence
from soundscape.live.record_feed import RecordFeed
from soundscape.live.requests import Start

if TYPE_CHECKING:
    from soundscape.live.compressed import CompressedSource

log = structlog.get_logger(__name__)

MAX_WAITING_S = 2.0
MAX_FRAME_S = 2.0
MAX_FRAME_BYTES = 4 << 20
"""The server reads no larger message."""
IDLE_S = 10.0
RESUME_S = 30.0
WATCH_EVERY_S = 1.0
MIN_SAVING_RATE_HZ = 4.0


class Session:
    """One sound.

    Parameters
    ----------
    owner
        Whose it is.
    start
        What was asked for.
    session_id
        Names it for whoever continues it.
    bytes_per_s
        Of the sound as it arrives.
    max_frame_bytes
        Size of a message. None: two seconds of sound.
    max_duration_s
        How long it may last.
    listening
        The meters.
    engine
        The threads for them.
    make_record
        Makes the record, once all samples are kept.
    source
        Decodes what arrives. None: it is plain samples.
    match
        Looks up a fingerprint. None: nothing is looked up.
    save
        Stores the sound. None: it is not kept.
    clock
        Seconds since 1970.
    """

    def __init__(
        self,
        owner: Owner,
        start: Start,
        *,
        session_id: str,
        bytes_per_s: int,
        max_frame_bytes: int | None = None,
        max_duration_s: float,
        listening: Listening,
        engine: Engine,
        make_record: RecordMaker,
        source: CompressedSource | None = None,
        match: Matcher | None = None,
        save: Saver | None = None,
        clock: Callable[[], float],
    ) -> None:
        self.id = session_id
        self.owner = owner
        self.presence = Presence()
        self.outbox = Outbox()
        self.ending: Ending | None = None
        self.max_frame_bytes = max_frame_bytes or min(int(MAX_FRAME_S * bytes_per_s), MAX_FRAME_BYTES)
        self._max_duration_s = max_duration_s
        self._listening = listening
        self._engine = engine
        self._source = source
        self._make_record = make_record
        self._match = match
        self._save = save
        self._clock = clock
        # What is to be saved is not left waiting for the next answer.
        rate_hz = start.rate_hz if save is None else max(start.rate_hz, MIN_SAVING_RATE_HZ)
        self._pace = Pace(rate_hz)
        self._inbox = Inbox(int(MAX_WAITING_S * bytes_per_s))
        self._flushes: list[int] = []
        self._heard_bytes = 0
        self._feed = RecordFeed(listening, engine, self.outbox.put)
        self._began_at = asyncio.get_running_loop().time()

    @property
    def received_bytes(self) -> int:
        """Bytes of sound that have arrived."""
        return self._inbox.received_bytes if self._source is None else self._source.received_bytes

    async def renew(self, owner: Owner) -> None:
        """Go on with a newer token."""
        self.owner = owner
        if self._save is not None:
            await self._save.renew(owner)

    async def feed(self, data: bytes, connection: asyncio.Future[None] | None = None) -> None:
        """Take sound; wait while two seconds of it wait. A connection that was replaced is not heard.

        Raises
        ------
        SessionEnded
            It has no room.
        """

        def is_wanted() -> bool:
            return self.presence.belongs_to(connection)

        if self._source is None:
            await self._inbox.put(data, is_wanted=is_wanted)
        else:
            await self._source.write(data, is_wanted=is_wanted)
        if is_wanted():
            self.presence.note()

    def flush(self, connection: asyncio.Future[None] | None = None) -> None:
        """Read now what has arrived so far."""
        if not self.presence.belongs_to(connection):
            return
        self._flushes.append(self._inbox.received_bytes)
        if self._inbox.received_bytes > self._heard_bytes:
            self._pace.hurry()
        else:
            self._answer_flushes()

    def end(self, ending: Ending, connection: asyncio.Future[None] | None = None) -> None:
        """Take no more sound; what arrived is heard. The first ending counts."""
        if not self.presence.belongs_to(connection):
            return
        if self.ending is None:
            self.ending = ending
        if self._source is None:
            self._inbox.close()
        else:
            # What was not decoded yet follows.
            self._source.end_input()
        self._pace.hurry()

    async def run(self) -> None:
        """Listen until the session ends, then leave the record and the last messages in the outbox."""
        keeping = asyncio.create_task(self._keep_all())
        others = [asyncio.create_task(self._watch())]
        if self._source is not None:
            others.append(asyncio.create_task(self._decode(self._source)))
        if self._match is not None:
            matching = keep_matching(
                self._match,
                self._listening,
                self._engine,
                read_owner=lambda: self.owner,
                answer=self.outbox.put,
            )
            others.append(asyncio.create_task(matching))
        try:
            await self._hear_all()
        except Refusal as refusal:
            self.end(endings.BAD_FORMAT.saying(str(refusal.message)))
        except SessionEnded as ended:
            self.end(ended.ending)
            # Even if the client has said stop by now.
            self.ending = ended.ending
        except Exception:
            # Of one session: the others go on.
            log.exception("a live session failed")
            self.end(endings.FAILED)
        finally:
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            self._feed.close()
        try:
            await keeping
            await self._finish()
        except Refusal as refusal:
            self.outbox.put({"type": "warning", "code": refusal.code, "message": refusal.message})
            if self._save is not None:
                await self._save.discard()
        except Exception:
            log.exception("the record of a live session failed")
            self.ending = endings.FAILED
        finally:
            if self._source is not None:
                await self._source.close()
            if self._save is not None:
                self._save.release()
            self._say_end()

    async def _hear_all(self) -> None:
        while True:
            await self._inbox.wait()
            if self._inbox.is_closed and not self._inbox.waiting_bytes:
                self._answer_flushes()
                return
            await self._pace.wait(self._listening.duration_s, is_last=self._inbox.is_closed)
            data = self._inbox.take()
            samples, readings = await self._engine.hear(self._listening, data)
            self._heard_bytes += len(data)
            self.outbox.put(*readings)
            self._answer_flushes()
            await self._feed.put(samples)

    async def _keep_all(self) -> None:
        try:
            await self._feed.run()
        except BaseException:
            self.end(endings.FAILED)
            raise

    async def _decode(self, source: CompressedSource) -> None:
        """Bring decoded sound into the inbox, which is closed at the end."""
        try:
            await source.pump(self._inbox)
        except Refusal as refusal:
            # Even if the client has said stop by now.
            self.ending = endings.BAD_FORMAT.saying(refusal.message)
        except SoundScapeError as error:
            log.warning("a live stream was not decoded", error=str(error))
            self.ending = endings.BAD_FORMAT.saying("The sound could not be decoded.")
        else:
            # The stream said itself that it ends here.
            self.end(endings.STOPPED)

    async def _watch(self) -> None:
        """Acknowledge what arrived, and end what lasts too long."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            self.outbox.put(self._acknowledge())
            if self._listening.duration_s >= self._max_duration_s:
                self.end(endings.TOO_LONG.saying(f"A session lasts at most {self._max_duration_s:g} s."))
            elif loop.time() - self._began_at > 2 * self._max_duration_s:
                self.end(endings.TOO_LONG)
            elif self._clock() > self.owner.expires_at_s:
                self.end(
                    endings.NOT_AUTHORISED.saying("The access token has expired. Send a newer one in time.")
                )
            elif self.presence.broken_s is not None:
                if self.presence.broken_s > RESUME_S:
                    self.end(endings.BROKEN)
            elif self.presence.silent_s > IDLE_S and self._heard_bytes == self._inbox.received_bytes:
                self.end(endings.IDLE.saying(f"Nothing arrived for {IDLE_S:g} s. Send keep_alive."))

    async def _finish(self) -> None:
        if not self._listening.duration_s:
            if self._save is not None:
                await self._save.discard()
            self.outbox.put({"type": "warning", "code": "no_samples", "message": "No sound arrived."})
            return
        result = await self._make_record()
        self.outbox.put({"type": "record", "record": result.record})
        if self._save is not None:
            self.outbox.put(await self._save.store(result))

    def _say_end(self) -> None:
        assert self.ending is not None
        ending = self.ending
        if ending is not endings.STOPPED:
            self.outbox.put({"type": "error", "code": ending.name, "message": ending.sentence})
        duration_s = round(self._listening.duration_s, 6)
        self.outbox.put({"type": "stopped", "reason": ending.name, "duration_s": duration_s})
        self.outbox.close()

    def _acknowledge(self) -> dict[str, Any]:
        return {
            "type": "acknowledged",
            "audio_time_s": round(self._listening.duration_s, 4),
            "received_bytes": self.received_bytes,
        }

    def _answer_flushes(self) -> None:
        due = bisect_right(self._flushes, self._heard_bytes)
        if due:
            del self._flushes[:due]
            flushed = {"type": "flushed", "audio_time_s": round(self._listening.duration_s, 4)}
            self.outbox.put(self._acknowledge(), *[flushed] * due)
