"""What a session needs of those who take part in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from soundscape.live.owner import Owner

if TYPE_CHECKING:
    from soundscape.audio.decode.reader import Samples
    from soundscape.audio.fingerprint import Fingerprint

Reading = dict[str, Any]
MAX_QUICK_S = 0.1
"""So much sound is heard on the event loop at once. It takes 0.3 ms for stereo at 48 kHz, and 1.2 ms for
eight channels at 192 kHz. The work grows with the duration."""
Matcher = Callable[[Owner, "Fingerprint"], Awaitable[list[dict[str, Any]]]]
"""Looks a fingerprint up for a user."""


@dataclass
class SessionResult:
    """What a session leaves: the record, and the folder of the files that it names."""

    record: dict[str, Any]
    folder: Path | None = None


RecordMaker = Callable[[], Awaitable[SessionResult]]
"""Makes the record of what was heard."""


class Listening(Protocol):
    """What a session does with its samples; see `Listener`.

    `hear` is called by one thread at a time, and so is `keep`; the two may run side by side.
    """

    @property
    def duration_s(self) -> float:
        """Seconds heard so far."""
        ...

    @property
    def keep_frames(self) -> int:
        """So many samples per channel are kept at a time."""
        ...

    def is_quick(self, data: bytes) -> bool:
        """Whether to hear these bytes takes less than to wake a thread for it."""
        ...

    def hear(self, data: bytes) -> tuple[Samples, list[Reading]]:
        """Take bytes; return them as samples, and what can be read now. Raises `Refusal`, `SessionEnded`."""
        ...

    def fingerprint(self) -> Fingerprint:
        """Fingerprint the latest 10 s."""
        ...

    def keep(self, pieces: list[Samples]) -> list[Reading]:
        """Take samples for the record; return what was read from them."""
        ...


class Saver(Protocol):
    """Stores what was heard; see `SavedSound`."""

    async def renew(self, owner: Owner) -> None:
        """Note a newer token."""
        ...

    async def store(self, result: SessionResult) -> dict[str, Any]:
        """Store the sound with its record, and return the answer."""
        ...

    async def discard(self) -> None:
        """Nothing was heard."""
        ...

    def release(self) -> None:
        """Leave what is not stored yet to be stored later."""
        ...
