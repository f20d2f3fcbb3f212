"""After the warm-up no live session waits for a function to be compiled."""

from __future__ import annotations

import subprocess
import sys

from tests.waiting import LIMIT_S

HEAR = """
import numpy as np
from soundscape.audio.compiled import compile_counts
from soundscape.audio.streaming.pcm import PcmFormat, PcmStream
from soundscape.audio.streaming.readings import FEATURES, Readings
from soundscape.audio.streaming.recording import StreamRecording
from soundscape.audio.streaming.warm_up import warm_up

warm_up()
before = compile_counts.compiled + compile_counts.loaded
assert before > 20, before
random = np.random.default_rng(1)
for encoding in ("s16le", "f32le"):
    for rate, channels in ((8_000, 1), (44_100, 2), (48_000, 2), (96_000, 1)):
        format = PcmFormat(encoding, rate, channels)
        t = np.arange(24 * rate) / rate
        beat = np.exp(-((t * 2) % 1) * 50) * random.standard_normal(len(t)) * 0.2 + 0.1 * np.sin(2764 * t)
        sound = np.repeat(beat[:, np.newaxis], channels, axis=1)
        data = (sound * 32767).astype("<i2") if encoding == "s16le" else sound.astype("<f4")
        stream, readings = PcmStream(format), Readings(format.header, FEATURES)
        recording = StreamRecording(format.header, tags=False)
        whole = data.tobytes()
        for start in range(0, len(whole), 9999):
            samples = stream.push(whole[start : start + 9999])
            readings.push(samples)
            recording.push(samples)
        recording.finish(stream, sha256=stream.sha256)
print(compile_counts.compiled + compile_counts.loaded - before)
"""


def test_nothing_is_compiled_or_loaded_while_somebody_listens() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HEAR], capture_output=True, text=True, check=False, timeout=LIMIT_S
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "0"
