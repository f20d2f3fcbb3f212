"""Time stamps against the sound that came: where a recording has holes, and how long they are."""

from __future__ import annotations

from soundscape.audio.decode.reader import Hole

# Containers round time stamps, most to a millisecond, some to their packets. Less than this is no hole.
_TOLERANCE_S = 0.05
# After a packet that could not be decoded the next time stamp says exactly what is missing.
_EXACT_TOLERANCE_S = 0.002
# FFmpeg's own limit (dts_delta_threshold): a longer jump in a broadcast stream is a new clock.
_MAX_BROADCAST_HOLE_S = 10.0
_MAX_HOLES = 1000


class Timeline:
    """Places pieces of sound by their time stamps. A player shows the same times.

    Attributes
    ----------
    position_s
        Where the next piece belongs if nothing is missing, seconds from the beginning of the recording.
    holes
        The spans that were missing so far; after a thousand they are still filled, but no longer listed.
    """

    def __init__(
        self,
        *,
        first_s: float,
        lead_s: float = 0.0,
        end_s: float | None = None,
        is_broadcast: bool = False,
        is_start_known: bool = True,
    ) -> None:
        """Begin a recording.

        Parameters
        ----------
        first_s
            The time stamp of the first piece.
        lead_s
            How much later than the recording the sound begins.
        end_s
            Where the recording ends by its header; a time stamp beyond it is damage and not a hole.
        is_broadcast
            Whether the clock may jump, as in transport streams.
        is_start_known
            Whether the first time stamps are true; else the first jump sets the clock.
        """
        self.position_s = 0.0
        self.holes: list[Hole] = []
        self._offset_s = lead_s - first_s
        self._end_s = end_s
        self._is_broadcast = is_broadcast
        self._is_start_known = is_start_known

    def place(self, time_s: float | None, length_s: float, *, after_damage: bool = False) -> float:
        """Place one piece.

        Parameters
        ----------
        time_s
            Its time stamp; None: it follows the one before.
        length_s
            How long it is.
        after_damage
            Whether a piece before it could not be decoded.

        Returns
        -------
        float
            Seconds of silence that belong before it.
        """
        missing_s = 0.0
        if time_s is not None:
            jump_s = time_s + self._offset_s - self.position_s
            if jump_s < -_TOLERANCE_S or self._is_new_clock(jump_s):
                # A stream was appended, or the clock was set: go on from here.
                self._offset_s -= jump_s
                self._end_s = None
                self._is_start_known = True
            elif jump_s > (_EXACT_TOLERANCE_S if after_damage else _TOLERANCE_S):
                missing_s = jump_s
                self.add_hole(jump_s)
        self.position_s += length_s
        return missing_s

    def add_hole(self, length_s: float) -> None:
        """Let the next `length_s` seconds be silence."""
        if len(self.holes) < _MAX_HOLES:
            self.holes.append(Hole(self.position_s, self.position_s + length_s))
        self.position_s += length_s

    def _is_new_clock(self, jump_s: float) -> bool:
        if not self._is_start_known and jump_s > _TOLERANCE_S:
            return True
        if self._is_broadcast and jump_s > _MAX_BROADCAST_HOLE_S:
            return True
        return self._end_s is not None and self.position_s + jump_s > self._end_s + _TOLERANCE_S
