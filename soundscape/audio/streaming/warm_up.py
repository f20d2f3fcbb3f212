"""Everything that a live session needs, compiled or loaded in advance."""

from __future__ import annotations

from functools import cache
from typing import get_args

import numpy as np

from soundscape.audio.streaming.pcm import Encoding, PcmFormat, PcmStream
from soundscape.audio.streaming.readings import FEATURES, Readings
from soundscape.audio.streaming.recording import StreamRecording

_RATE = 48_000
_SECONDS = 20
"""Some meters sum up what they have only then."""


@cache
def warm_up() -> None:
    """Hear clicks in a tone, from the bytes to the record, so that no session waits for a compiler.

    A second call in a process does nothing.
    """
    # Not a whole number of pixels: what is left over is another kind of array.
    t = np.arange(_SECONDS * _RATE + 100) / _RATE
    click = np.exp(-((t * 2) % 1) * 200) * np.sin(2 * np.pi * 1500 * t)
    tone = 0.1 * np.sin(2 * np.pi * 440 * t) + 0.5 * click
    for channels, encoding in enumerate(get_args(Encoding), start=1):
        stream = PcmStream(PcmFormat(encoding, _RATE, channels))
        readings = Readings(stream.header, {*FEATURES, "match"})
        recording = StreamRecording(stream.header, tags=False)
        scale, dtype = (32767, "<i2") if encoding == "s16le" else (1, "<f4")
        data = np.repeat((tone * scale).astype(dtype), channels).tobytes()
        step = stream.format.bytes_per_s // 10
        for start in range(0, len(data), step):
            samples = stream.push(data[start : start + step])
            readings.push(samples)
            recording.push(samples)
        readings.fingerprint()
        recording.finish(stream, sha256=stream.sha256)
