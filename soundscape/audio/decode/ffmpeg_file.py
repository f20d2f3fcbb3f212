"""A file in FFmpeg's hands (PyAV): how it is opened, which of its tracks is heard, and its tags."""

from __future__ import annotations

from typing import Any, BinaryIO

# Content decides what a file is, and some demuxers read *other* files or addresses named in the content
# (hls, concat, dash, image sequences). Only formats that keep their sound to themselves are listed.
_DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,iff,matroska,webm,mov,mp4,m4a,3gp,mp3,mpc,mpc8,"
    "mpeg,mpegts,ogg,oma,rm,tak,truehd,tta,voc,w64,wav,wv"
)


def read_metadata(file: BinaryIO) -> dict[str, str]:
    """The tags of a seekable binary file, by FFmpeg's names; none where FFmpeg does not read it."""
    import av

    file.seek(0)
    try:
        with open_container(file) as container:
            found: dict[str, str] = dict(container.metadata)
            for stream in container.streams.audio[:1]:
                found.update(stream.metadata)
            return found
    except (av.error.FFmpegError, ValueError):
        return {}


def open_container(file: BinaryIO) -> Any:
    """Open a binary file, at its current position. Raises `av.error.FFmpegError` or `ValueError`."""
    import av

    return av.open(
        file,
        metadata_errors="surrogateescape",
        container_options={"format_whitelist": _DEMUXERS, "protocol_whitelist": "none"},
    )


def has_video(container: Any) -> bool:
    """Whether there are moving pictures. A cover is a stream too."""
    from av.stream import Disposition

    return any(not video.disposition & Disposition.attached_pic for video in container.streams.video)


def find_default_track(tracks: Any) -> int:
    """The index of the track that players choose: the first one marked as default, or else the first."""
    from av.stream import Disposition

    marked = (index for index, track in enumerate(tracks) if track.disposition & Disposition.default)
    return next(marked, 0)
