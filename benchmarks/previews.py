"""What previews cost and change: MP3 and AAC, by the processor time of an hour and the change of loudness.

python benchmarks/previews.py
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from soundscape.audio.decode.audio_file import open_audio
from soundscape.audio.loudness.meter import LoudnessMeter

SAMPLE_RATE = 48_000
SECONDS = 30
CODECS = {
    "MP3 192 kbit/s": ("libmp3lame", "mp3", {"compression_level": "7"}, 192_000),
    "MP3 256 kbit/s": ("libmp3lame", "mp3", {"compression_level": "7"}, 256_000),
    "MP3 192 kbit/s, level 5": ("libmp3lame", "mp3", {"compression_level": "5"}, 192_000),
    "AAC 160 kbit/s": ("aac", "mp4", {}, 160_000),
    "AAC 192 kbit/s": ("aac", "mp4", {}, 192_000),
    "AAC 192 kbit/s, whole band": ("aac", "mp4", {"cutoff": "22000", "aac_is": "0"}, 192_000),
}
LAME_SCALES = {192_000: 0.97}
"""What `soundscape.audio.preview` undoes."""


def make_sounds() -> dict[str, np.ndarray]:
    """Sounds by name, shape (2, n)."""
    rng = np.random.default_rng(0)
    n = SAMPLE_RATE * SECONDS
    spectrum = np.fft.rfft(rng.normal(size=(2, n)))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(n, 1 / SAMPLE_RATE), 1))
    pink = np.fft.irfft(spectrum, n)
    pink *= 0.1 / pink.std()
    notes = 0.02 * pink
    note = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for _ in range(240):
        start, pitch_hz = rng.integers(0, n - SAMPLE_RATE), 110 * 2 ** (rng.integers(0, 36) / 12)
        tones = sum(np.sin(2 * np.pi * pitch_hz * k * note + k) / k for k in range(1, 9))
        notes[:, start : start + SAMPLE_RATE] += tones * np.exp(-4 * note)
    return {
        "notes": 0.8 * notes / np.abs(notes).max(),
        "pink noise": pink,
        "clipped pink noise": np.clip(8 * pink, -1, 1),
        "white noise": rng.normal(0, 0.05, (2, n)),
    }


def measure_lufs(y: np.ndarray) -> float:
    """Integrated loudness of a stereo sound."""
    meter = LoudnessMeter(sample_rate=SAMPLE_RATE, channels=2, layout=("FL", "FR"))
    meter.push(np.ascontiguousarray(y, dtype=np.float32))
    lufs = meter.result().integrated_lufs
    assert lufs is not None
    return lufs


def encode(
    y: np.ndarray, path: Path, codec: str, container: str, options: dict[str, str], rate: int
) -> float:
    """Encode a sound. Returns the processor time in seconds."""
    began_s = time.process_time()
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=SAMPLE_RATE, layout="stereo", options=options)
        stream.format, stream.bit_rate = "fltp", rate
        gain = 1 / LAME_SCALES.get(rate, 1.0) if codec == "libmp3lame" else 1.0
        for start in range(0, y.shape[1], SAMPLE_RATE):
            block = np.ascontiguousarray(gain * y[:, start : start + SAMPLE_RATE], dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return time.process_time() - began_s


def main() -> None:
    """Print a line for each codec and sound."""
    with tempfile.TemporaryDirectory() as folder:
        for name, y in make_sounds().items():
            before = measure_lufs(y)
            for codec, (encoder, container, options, rate) in CODECS.items():
                path = Path(folder) / "preview"
                spent_s = encode(y, path, encoder, container, options, rate)
                with path.open("rb") as file, open_audio(file) as audio:
                    after = np.concatenate(list(audio.blocks()), axis=1)
                hour = 3600 / SECONDS
                megabytes = os.path.getsize(path) * hour / 1e6
                print(
                    f"{name:20} {codec:27} {spent_s * hour:4.0f} s/h {megabytes:4.0f} MB/h "
                    f"{measure_lufs(after) - before:+.2f} LU, {after.shape[1] - y.shape[1]:+d} samples"
                )


if __name__ == "__main__":
    main()
