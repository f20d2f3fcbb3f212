"""What every meter has in common: it takes the parts of a recording in order, then gives its result."""

from __future__ import annotations

from typing import Protocol, TypeVar

Part = TypeVar("Part", contravariant=True)
Measured = TypeVar("Measured", covariant=True)


class Meter(Protocol[Part, Measured]):
    """A streaming measurement of one recording."""

    def push(self, part: Part, /) -> None:
        """Take the next part: a block of samples, shape (channels, n), or frames of the spectrum."""
        ...

    def result(self) -> Measured:
        """Give what was measured in the parts pushed so far."""
        ...
