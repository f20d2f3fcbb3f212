"""The child that decodes one stream of Opus while it arrives.

The parent starts it as `python -m soundscape.sandbox.decoder_child FD USER FORMAT`. FD is a Unix socket: Opus
in a container comes in, until the parent shuts its side down. An empty line goes out when the child is
confined, then a line of JSON, `{"sample_rate": …, "channels": …}`, then samples as interleaved little-endian
float32.

It ends with status 0 at the end of the stream, and with status 3 where the stream cannot be decoded. It is
confined before it reads a byte, as the child that analyses files is.
"""

from __future__ import annotations

import io
import json
import os
import socket
import sys
from pathlib import Path

import av
import av.codec
import numpy as np

from soundscape.sandbox.confinement import confine

FORMATS = {"webm-opus": "matroska", "ogg-opus": "ogg"}
UNDECODABLE = 3
CODEC = "opus"
# The first packets say everything: with more, the first reading would be late.
OPTIONS = {"probesize": "8192", "analyzeduration": "0", "fflags": "nobuffer"}


class _ArrivingFile:
    """A file that can only be read on: what it has no method for, libavformat does not try."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def read(self, size: int) -> bytes:
        """Read what there is, at most `size` bytes; nothing at the end."""
        return self._connection.recv(size)


def main() -> None:
    """Decode until the stream ends."""
    descriptor, user, format = sys.argv[1:]
    os.umask(0o077)
    _warm_up()
    confine(Path.cwd(), user=None if user == "-" else int(user))
    with socket.socket(fileno=int(descriptor)) as parent:
        parent.sendall(b"\n")
        try:
            with av.open(_ArrivingFile(parent), "r", format=FORMATS[format], options=OPTIONS) as container:
                stream = container.streams.audio[0]
                if stream.codec_context.name not in (CODEC, f"lib{CODEC}"):
                    sys.exit(UNDECODABLE)
                resampler = av.AudioResampler(format="flt")
                is_first = True
                for frame in container.decode(stream):
                    if is_first:
                        facts = {"sample_rate": frame.sample_rate, "channels": frame.layout.nb_channels}
                        parent.sendall(json.dumps(facts).encode() + b"\n")
                        is_first = False
                    for part in resampler.resample(frame):
                        samples = part.to_ndarray().astype("<f4", copy=False)
                        parent.sendall(np.ascontiguousarray(samples).data)
        except (av.FFmpegError, IndexError, ValueError):
            sys.exit(UNDECODABLE)
        except (BrokenPipeError, ConnectionResetError):
            return  # the parent has gone on


def _warm_up() -> None:
    """Load what decoding loads, while files may still be opened."""
    av.codec.CodecContext.create(CODEC, "r")
    frame = av.AudioFrame.from_ndarray(np.zeros((2, 960), dtype=np.float32), format="fltp", layout="stereo")
    frame.sample_rate = 48_000
    for part in av.AudioResampler(format="flt").resample(frame):
        part.to_ndarray()
    try:
        av.open(io.BytesIO(b"OggS"), "r", format="ogg")
    except av.FFmpegError:
        return


if __name__ == "__main__":
    main()
