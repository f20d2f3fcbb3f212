"""How a session ends: a close code of its own for each, with a sentence.

1000 and 1009 are those of RFC 6455. The codes from 4000 on are ours, and follow the nearest HTTP status.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

MAX_REASON_BYTES = 123
"""What a close frame has room for (RFC 6455, section 5.5)."""


@dataclass(frozen=True)
class Ending:
    """One way to end.

    Attributes
    ----------
    code
        The close code.
    name
        Stable, for programs.
    sentence
        For people; it is also the reason in the close frame.
    """

    code: int
    name: str
    sentence: str

    def saying(self, sentence: str) -> Ending:
        """The same ending with a sentence of its own."""
        return replace(self, sentence=sentence)

    @property
    def reason(self) -> str:
        """The sentence, as far as a close frame has room for it."""
        return self.sentence.encode()[:MAX_REASON_BYTES].decode(errors="ignore")


STOPPED = Ending(1000, "stopped", "The session has ended as you asked.")
BAD_MESSAGE = Ending(4400, "bad_message", "The message cannot be read.")
NOT_AUTHORISED = Ending(4401, "not_authorised", "The access token is missing, not valid or expired.")
NOT_OFFERED = Ending(4403, "not_offered", "Live listening is switched off here.")
NO_SESSION = Ending(4404, "no_session", "There is no such session to continue.")
IDLE = Ending(4408, "idle", "Nothing arrived for too long.")
TAKEN_OVER = Ending(4409, "taken_over", "The session continues on another connection.")
TOO_LARGE = Ending(4413, "too_large", "The message is too large.")
TOO_LONG = Ending(4414, "too_long", "The session has reached its longest duration.")
BAD_FORMAT = Ending(4415, "bad_format", "The sound is not in the format that was announced.")
RECORDING_FULL = Ending(4417, "recording_full", "The recording is as large as it may be.")
TOO_MANY_MESSAGES = Ending(
    4428, "too_many_messages", "Messages arrive too often. Send frames of 10 ms or more."
)
TOO_MANY_YOURS = Ending(4429, "too_many_yours", "You have as many sessions as you may have.")
FAILED = Ending(4500, "failed", "The session failed. The worker's log says more.")
TOO_MANY_HERE = Ending(4503, "too_many_here", "This worker has no room for another session.")
NOT_READING = Ending(4504, "not_reading", "You do not read the answers.")
NO_ROOM = Ending(4507, "no_room", "The worker's disk has no room for more sound.")
GOING_DOWN = Ending(4512, "going_down", "The worker is going down. Start again in a moment.")
TOO_BIG = Ending(
    1009, "too_big", "A WebSocket message is larger than 4 MiB. No answer comes before this one."
)
"""Sent by the server's WebSocket library, which does not read such a message."""
BROKEN = Ending(1006, "broken", "The connection broke and was not continued in time.")
"""Nobody reads this code: the connection is gone."""

ALL = (
    STOPPED,
    BAD_MESSAGE,
    NOT_AUTHORISED,
    NOT_OFFERED,
    NO_SESSION,
    IDLE,
    TAKEN_OVER,
    TOO_LARGE,
    TOO_LONG,
    BAD_FORMAT,
    RECORDING_FULL,
    TOO_MANY_MESSAGES,
    TOO_MANY_YOURS,
    FAILED,
    TOO_MANY_HERE,
    NOT_READING,
    NO_ROOM,
    GOING_DOWN,
)
"""Those that a client may see."""


class SessionEnded(Exception):
    """The session ends. `ending` says how."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.sentence)
        self.ending = ending
