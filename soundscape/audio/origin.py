"""Where samples came from: what the record says of its source, besides the samples themselves."""

from __future__ import annotations

from typing import Protocol

from soundscape.audio.decode.reader import Header, Hole, SourceWarning


class Origin(Protocol):
    """Where the samples came from, as the record tells it. `AudioFile` is one."""

    @property
    def header(self) -> Header:
        """The facts of the header."""
        ...

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        ...

    @property
    def duration_s(self) -> float:
        """Seconds of sound."""
        ...

    @property
    def claimed_duration_s(self) -> float | None:
        """Seconds by the header; None where it states none."""
        ...

    @property
    def truncated(self) -> bool:
        """Whether the sound ended before the header said."""
        ...

    @property
    def damaged_packets(self) -> int:
        """Places where the file is damaged."""
        ...

    @property
    def holes(self) -> tuple[Hole, ...]:
        """Spans without sound."""
        ...

    @property
    def warnings(self) -> tuple[SourceWarning, ...]:
        """What the owner should know of the file."""
        ...
