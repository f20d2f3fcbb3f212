"""The clock of a track: where it begins and ends by FFmpeg's time stamps, and by the header."""

from __future__ import annotations

import re
from typing import Any

from soundscape.audio.decode.ogg import Link
from soundscape.audio.decode.timeline import Timeline

# Demuxers whose time stamps are the writer's own; those of the others are counted by FFmpeg.
_TIMED = {"matroska", "mov", "mpegts", "mpeg", "ogg", "flv", "asf", "flac"}
_BROADCAST = {"mpegts", "mpeg"}
# A stream that begins later than this after zero shows a clock that was running before.
_MAX_LEAD_S = 600.0
_DURATION_TAG = re.compile(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d{1,9})?)")


class TrackClock:
    """The time stamps of one track.

    Parameters
    ----------
    container, stream
        PyAV's, after the first frame was decoded.
    demuxer
        FFmpeg's name of the format.
    link
        What the pages of an Ogg file tell.

    Attributes
    ----------
    start_s
        Where the track begins by its time stamps, seconds.
    """

    def __init__(self, container: Any, stream: Any, demuxer: str, link: Link | None) -> None:
        self._container, self._stream, self._demuxer, self._link = container, stream, demuxer, link
        self.start_s = 0.0
        if demuxer in _TIMED and stream.start_time is not None:
            self.start_s = float(stream.start_time * stream.time_base)

    def is_start_lost(self) -> bool:
        """Whether FFmpeg counts a stream that began late from 0, as it does with FLAC in Ogg."""
        return self._link is not None and self._link.starts_late and self.start_s <= 0

    def measure_end(self) -> float | None:
        """Where the track ends by the header, on the clock of the time stamps, seconds."""
        stream, container = self._stream, self._container
        if self._demuxer == "ogg" and self._link is not None:
            granule = self._link.last_granule
            if granule is None or stream.time_base is None:
                return None
            return float((granule - self._count_pre_skip()) * stream.time_base)
        if stream.duration is not None and stream.time_base is not None:
            duration_s = float(stream.duration * stream.time_base)
            return duration_s if self._demuxer in ("flac", "asf") else self.start_s + duration_s
        # Matroska states one duration, the longest track's; a video may go on after its sound. What its
        # writers note beside a track is that track's own.
        if (noted := _DURATION_TAG.fullmatch(stream.metadata.get("DURATION", ""))) is not None:
            hours, minutes, seconds = noted.groups()
            return 3600.0 * int(hours) + 60.0 * int(minutes) + float(seconds)
        if container.duration is not None and len(container.streams) == 1:
            duration_s = float(container.duration) * 1e-6
            return duration_s if self._demuxer == "matroska" else self.start_s + duration_s
        return None

    def _count_pre_skip(self) -> int:
        """Samples at 48 kHz that an Opus decoder leaves out at the beginning (RFC 7845, 5.1)."""
        extradata = self._stream.codec_context.extradata or b""
        return int.from_bytes(extradata[10:12], "little") if extradata[:8] == b"OpusHead" else 0

    def open_timeline(self, first: Any, end_s: float | None) -> tuple[float, Timeline | None]:
        """How much later than the recording the track begins, and the time line, where there is one.

        Parameters
        ----------
        first
            The first decoded frame.
        end_s
            What `measure_end` found; None: nobody knows.
        """
        if self._demuxer not in _TIMED or first.pts is None:
            return 0.0, None
        if self._demuxer == "flac" and self._stream.time_base * first.sample_rate != 1:
            # Without its header a FLAC stream's time stamps are of a rate that FFmpeg guessed.
            return 0.0, None
        lead_s = self.start_s - self._find_origin()
        timeline = Timeline(
            first_s=float(first.pts * first.time_base),
            lead_s=lead_s,
            end_s=None if end_s is None else end_s - self.start_s + lead_s,
            is_broadcast=self._demuxer in _BROADCAST,
            is_start_known=not self.is_start_lost(),
        )
        return lead_s, timeline

    def _find_origin(self) -> float:
        """The time stamp at which a player's clock shows zero."""
        starts_at_zero = self._demuxer in ("matroska", "mov", "asf") or (
            self._demuxer == "ogg" and self._link is not None and not self._link.starts_late
        )
        if starts_at_zero and 0 <= self.start_s < _MAX_LEAD_S:
            return 0.0
        start_time = self._container.start_time
        if start_time is None or len(self._container.streams) == 1:
            return self.start_s
        return min(self.start_s, float(start_time) * 1e-6)
