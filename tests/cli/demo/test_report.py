"""What people are shown: shapes that follow the numbers, on any terminal."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from soundscape.cli.demo import report
from soundscape.cli.demo.journey import AccessAttempt, Recording


def dat(values: list[list[int]], *, version: int = 2, flags: int = 0) -> bytes:
    """audiowaveform's own format: a header of six numbers, then 16-bit pairs of each pixel and channel."""
    channels = len(values[0]) // 2 if values else 1
    header = struct.pack("<iIiiIi", version, flags, 44100, 256, len(values), channels)
    return header + np.array(values, "<i2").tobytes()


def shown(what: RenderableType, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[-16384, 8192], [0, 0]], [0.5, 0.0]),  # the larger side of each pixel
        ([[-1, 1, -32768, 32767]], [1.0]),  # the loudest channel
        ([], []),
    ],
)
def test_peaks(values: list[list[int]], expected: list[float]) -> None:
    assert report.peaks(dat(values)).tolist() == expected


@pytest.mark.parametrize("broken", [dat([[0, 0]], version=1), dat([[0, 0]], flags=1)])
def test_other_forms_are_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match="audiowaveform"):
        report.peaks(broken)


def test_a_line_follows_the_sound() -> None:
    rising = report.sparkline(np.linspace(0, 1, 90), 9)
    assert list(rising) == sorted(rising, key=report.LEVELS.index)
    assert rising[-1] == "█"
    assert report.sparkline(np.zeros(50), 5) == " " * 5
    assert report.sparkline(np.ones(50) * 1e-3, 5) == "█" * 5, "scaled to its loudest"


@given(st.lists(st.floats(0, 1), max_size=60), st.integers(1, 80), st.integers(1, 6))
def test_any_waveform_fits_its_box(values: list[float], width: int, half_rows: int) -> None:
    height = np.array(values, dtype=np.float64)
    lines = report.drawing(height, width=width, rows=2 * half_rows).split("\n")
    assert [len(line) for line in lines] == [width] * 2 * half_rows
    assert len(report.sparkline(height, width)) == width


READY = Recording(
    Path("a recording with quite a long name.wav"),
    status="ready",
    audio_id="1",
    features={
        "duration_s": 12.345,
        "integrated_lufs": -23.04,
        "sample_peak_dbfs": -1.0,
        "tempo_bpm": None,
        "key": "A",
        "mode": "minor",
        "centroid_hz": 1234.5,
        "descriptors": {"source": {"sample_rate": 44100, "channels": 2}},
    },
    waveform=dat([[-100 * i, 100 * i] for i in range(100)]),
    seconds=0.84,
)
FAILED = Recording(
    Path("text.wav"), status="failed", code="not_audio", reason="This is not audio. Upload sound."
)


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_the_table_on_any_terminal(width: int) -> None:
    text = shown(report.table([READY, FAILED], width=width), width)
    assert max(len(line) for line in text.splitlines()) <= width
    for number in ("12.3 s", "-23.0", "Am", "0.8 s"):
        assert number in text, "numbers are never cut"
    assert "a recording" in text
    assert "text.wav: not_audio. This is not audio." in text.replace("\n", " ")
    if width >= report.WIDE:
        assert "44,100" in text
        assert "1234 Hz" in text


def test_what_was_not_found_is_a_dash() -> None:
    text = shown(report.table([Recording(Path("x.wav"))], width=120), 120)
    assert "–" in text
    assert "None" not in text


def test_a_leak_is_not_to_be_overlooked() -> None:
    tries = [
        AccessAttempt("nobody", "read its row", refused=True),
        AccessAttempt("another user", "hear it", refused=False),
    ]
    lines = shown(report.privacy(tries), 100).splitlines()
    assert "refused" in next(line for line in lines if "nobody" in line)
    assert "GOT THROUGH" in next(line for line in lines if "another user" in line)
    assert "GOT THROUGH" not in next(line for line in lines if "nobody" in line)


def test_progress_counts() -> None:
    recordings = [
        Recording(Path("a"), status=status) for status in ("ready", "queued", "ready", "awaiting_upload")
    ]
    assert report.progress_line(recordings) == "1 awaiting upload, 1 queued, 2 ready"
