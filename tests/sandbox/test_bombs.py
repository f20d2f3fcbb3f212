"""Bombs, in a real child: each is refused by name or done within the limits, and the child lives on.

SOUNDSCAPE_WHOLE_BOMBS=1 decodes those that lie about their length up to the product's own limit, four hours
of each; otherwise up to one minute.
"""

from __future__ import annotations

import asyncio
import io
import math
import os
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundscape.audio.limits import Limits
from soundscape.errors import PolicyRefusal, Refusal, UnreadableAudio
from soundscape.sandbox.parent import Sandbox
from soundscape.sandbox.protocol import Analysis
from tests.sandbox import bombs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

WHOLE = "SOUNDSCAPE_WHOLE_BOMBS" in os.environ
PEAK_BYTES = 500e6
LIMITS = Limits()
A_MINUTE = LIMITS if WHOLE else Limits(max_duration_s=60)
GIGABYTES_8 = 8_000_000_000
MAKE = Callable[[Path], Path]


@dataclass
class Trial:
    """A child for all of them, one after another."""

    runner: asyncio.Runner
    sandbox: Sandbox

    def analyze(self, path: Path, limits: Limits = LIMITS) -> Analysis:
        async def run() -> Analysis:
            with path.open("rb") as file:
                return await self.sandbox.analyze(file, wall_s=300, limits=limits)

        return self.runner.run(run())

    @property
    def pid(self) -> int:
        assert self.sandbox._process is not None
        return self.sandbox._process.pid

    @property
    def peak_bytes(self) -> int:
        """What the child says only with a record, by the kernel's own account."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no such line")


@pytest.fixture(scope="module")
def trial(scratch: Path) -> Iterator[Trial]:
    with asyncio.Runner() as runner:
        sandbox = Sandbox(scratch)
        runner.run(sandbox.start())
        yield Trial(runner, sandbox)
        runner.run(sandbox.stop())


def tone() -> np.ndarray:
    return 0.25 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)


def sound(kind: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, tone(), 44_100, format=kind)
    return file.getvalue()


def patched(kind: str, offset: int, value: bytes) -> MAKE:
    """A second of a tone with other bytes in its header."""

    def make(path: Path) -> Path:
        data = bytearray(sound(kind))
        data[offset : offset + len(value)] = value
        path.write_bytes(data)
        return path

    return make


def aiff_rate(path: Path) -> Path:
    """AIFF keeps its rate in 80 bits: 10^300 Hz."""
    data = bytearray(sound("AIFF"))
    at = data.index(b"COMM") + 16
    data[at : at + 10] = struct.pack(">HQ", 16383 + 996, 1 << 63)
    path.write_bytes(data)
    return path


def silent_flac(channels: int, sample_rate: int, *, claim: int | None = None) -> MAKE:
    """FLAC that decodes to 8 GB of 16-bit samples."""
    frames = GIGABYTES_8 // (2 * channels)
    return lambda path: bombs.flac(
        path, frames=frames, sample_rate=sample_rate, channels=channels, claim=claim
    )


@pytest.mark.parametrize(
    ("make", "limits", "expected"),
    [
        pytest.param(silent_flac(2, 44_100), LIMITS, "too_long", id="FLAC of 8 GB"),
        pytest.param(
            silent_flac(2, 44_100, claim=0), A_MINUTE, "too_long", id="FLAC of 8 GB that does not say so"
        ),
        pytest.param(
            silent_flac(2, 44_100, claim=44_100), A_MINUTE, "ready", id="FLAC of 8 GB that says 1 s"
        ),
        pytest.param(lambda p: bombs.opus(p, hours=6), LIMITS, "too_long", id="six hours of Opus"),
        pytest.param(
            lambda p: bombs.opus(p, hours=6, claimed_s=10),
            A_MINUTE,
            "too_long",
            id="six hours of Opus that say 10 s",
        ),
        pytest.param(
            lambda p: bombs.wav(p, frames=192_000 * 20, sample_rate=192_000, channels=8),
            LIMITS,
            "ready",
            id="20 s of 8 channels at 192 kHz",
        ),
        pytest.param(
            lambda p: bombs.wav(p, frames=192_000 * 600, sample_rate=192_000, channels=8),
            LIMITS,
            "too_large",
            id="10 minutes of 8 channels at 192 kHz",
        ),
        pytest.param(
            lambda p: bombs.flac(p, frames=192_000 * 20, sample_rate=192_000, channels=8),
            LIMITS,
            "ready",
            id="the same as 3 kB of FLAC",
        ),
        pytest.param(
            lambda p: bombs.wav(p, frames=44_100, sample_rate=44_100, channels=2, claim_bytes=0xFFFF_0000),
            LIMITS,
            "too_large",
            id="WAV that claims 4 GB",
        ),
        pytest.param(
            lambda p: bombs.wav(p, frames=44_100, sample_rate=44_100, channels=2, claim_bytes=1 << 30),
            LIMITS,
            "ready",
            id="WAV that claims 1 GB",
        ),
        pytest.param(
            lambda p: bombs.wav(
                p, frames=44_100, sample_rate=8_000, channels=1, claim_bytes=4000 * 8_000 * 3 * 8
            ),
            LIMITS,
            "too_long",
            id="WAV that claims nine hours",
        ),
        pytest.param(
            lambda p: bombs.wav(p, frames=44_100, sample_rate=44_100, channels=2, said_channels=65_535),
            LIMITS,
            "decode_failed",
            id="WAV that claims 65,535 channels",
        ),
        pytest.param(
            lambda p: bombs.wav(p, frames=44_100, sample_rate=44_100, channels=2, said_rate=0xFFFF_FFFF),
            LIMITS,
            "decode_failed",
            id="WAV that claims 4 GHz",
        ),
        pytest.param(
            lambda p: bombs.wav(p, frames=44_100, sample_rate=44_100, channels=2, said_rate=1),
            LIMITS,
            "sample_rate_out_of_range",
            id="WAV that claims 1 Hz",
        ),
        pytest.param(
            patched("FLAC", 18, b"\xff\xff\xf0"),
            LIMITS,
            "sample_rate_out_of_range",
            id="FLAC that claims 1 MHz",
        ),
        pytest.param(
            patched("FLAC", 21, b"\xff" * 5), LIMITS, "too_long", id="FLAC that claims 68 billion samples"
        ),
        pytest.param(aiff_rate, LIMITS, "sample_rate_out_of_range", id="AIFF that claims 1e300 Hz"),
        pytest.param(
            lambda p: bombs.id3(p, sound("MP3"), size_bytes=20 << 20),
            LIMITS,
            "ready",
            id="20 MB of ID3 before MP3",
        ),
        pytest.param(
            lambda p: bombs.id3(p, sound("FLAC"), size_bytes=20 << 20),
            LIMITS,
            "ready",
            id="20 MB of ID3 before FLAC",
        ),
        pytest.param(
            lambda p: bombs.id3(p, sound("MP3"), size_bytes=1 << 10, claim_bytes=256_000_000),
            LIMITS,
            "decode_failed",
            id="ID3 that claims 256 MB",
        ),
    ],
)
def test_a_bomb(trial: Trial, tmp_path: Path, make: MAKE, limits: Limits, expected: str) -> None:
    child, path = trial.pid, make(tmp_path / "bomb")
    refused: Refusal | None = None
    try:
        record = trial.analyze(path, limits).record
        outcome = "ready"
        # What was decoded is what is said, whatever the header claims.
        assert record["source"]["duration_s"] <= limits.max_duration_s
    except Refusal as refusal:
        outcome, refused = refusal.code, refusal
    if refused is not None:
        assert refused.message
        assert refused.remedy
        policy = outcome.startswith(("too_", "sample_rate"))
        assert isinstance(refused, PolicyRefusal if policy else UnreadableAudio)
    assert outcome == expected
    assert trial.pid == child, "it needed no new child"
    assert trial.peak_bytes < PEAK_BYTES


def test_eight_gigabytes_fit_into_four_megabytes(tmp_path: Path) -> None:
    path = silent_flac(2, 44_100)(tmp_path / "bomb")
    assert path.stat().st_size < 4 << 20
    assert soundfile.info(path).frames * 4 == GIGABYTES_8


def test_settings_bound_length_size_and_channels(trial: Trial, tmp_path: Path) -> None:
    """A deployment's own limits reach the child."""
    path = tmp_path / "tone.wav"
    soundfile.write(path, np.stack([tone()] * 4, axis=1), 44_100)
    for limits, code in (
        (Limits(max_duration_s=0.5), "too_long"),
        (Limits(max_channels=3), "too_many_channels"),
        (Limits(max_size_bytes=1000), "too_large"),
    ):
        with pytest.raises(PolicyRefusal) as refused:
            trial.analyze(path, limits)
        assert refused.value.code == code
    assert math.isclose(trial.analyze(path).record["source"]["duration_s"], 1.0)
