"""The report of a demonstration: a table, and waveforms drawn with characters."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from soundscape.cli.demo.journey import AccessAttempt, Recording

LEVELS = " ▁▂▃▄▅▆▇█"
STYLES = {"ready": "green", "refused": "yellow", "failed": "yellow", "rejected": "yellow"}


def peaks(data: bytes) -> npt.NDArray[np.float64]:
    """Largest absolute peak of each pixel, 0 to 1, from audiowaveform .dat (version 2)."""
    version, flags, _, _, length, channels = struct.unpack_from("<iIiiIi", data)
    if version != 2 or flags & 1:
        raise ValueError("not a 16-bit audiowaveform .dat of version 2")
    values = np.frombuffer(data, "<i2", offset=24, count=length * channels * 2).reshape(length, channels * 2)
    return np.asarray(np.abs(values.astype(np.float64)).max(axis=1, initial=0) / 32768)


def sparkline(height: npt.NDArray[np.float64], width: int) -> str:
    """One line of block characters, scaled to the loudest."""
    columns = _columns(height, width)
    top = columns.max(initial=0) or 1.0
    return "".join(LEVELS[round(value / top * 8)] for value in columns)


def drawing(height: npt.NDArray[np.float64], *, width: int, rows: int) -> str:
    """`rows` lines of block characters, mirrored about the middle as waveforms are."""
    columns = _columns(height, width)
    columns = columns / (columns.max(initial=0) or 1.0)
    half = rows // 2
    upper = []
    for row in range(half):
        floor = half - 1 - row
        filled = np.clip(columns * half - floor, 0, 1)
        upper.append("".join(LEVELS[round(value * 8)] for value in filled))
    # The lower half has no eighth blocks hanging from above; half blocks come nearest.
    lower = []
    for row in range(half):
        filled = np.clip(columns * half - row, 0, 1)
        lower.append("".join("█" if v > 0.75 else "▀" if v > 0.25 else " " for v in filled))
    return "\n".join((*upper, *lower))


def _columns(height: npt.NDArray[np.float64], width: int) -> npt.NDArray[np.float64]:
    """Root mean square of each of `width` equal spans: the maximum would hide the shape."""
    if height.size == 0:
        return np.zeros(width)
    edges = np.linspace(0, height.size, width + 1).astype(int)
    return np.array([np.sqrt(np.mean(height[a : max(b, a + 1)] ** 2)) for a, b in pairwise(edges)])


def progress_line(recordings: list[Recording]) -> str:
    """Return how many recordings have which status, for a progress bar."""
    counts: dict[str, int] = {}
    for recording in recordings:
        counts[recording.status] = counts.get(recording.status, 0) + 1
    return ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in sorted(counts.items()))


def table(recordings: list[Recording], *, width: int) -> RenderableType:
    """Return a table with one row per recording, and one waveform drawn large. `width` is the terminal's."""
    found = Table(title="Results", title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    columns = [column for column in COLUMNS if width >= WIDE or column.narrow]
    others_width = ALL_OTHER_COLUMNS_WIDTH if width >= WIDE else OTHER_COLUMNS_WIDTH
    for column in columns:
        found.add_column(
            column.name,
            justify=column.justify,
            no_wrap=True,
            overflow="ellipsis",
            min_width=column.min_width,
            # Only names give way to a narrow terminal; numbers are what the table is for.
            max_width=width - others_width if column.min_width == NAME_WIDTH else None,
        )
    for recording in recordings:
        found.add_row(*(column.cell(recording) for column in columns))
    parts: list[RenderableType] = [found]
    reasons = [recording for recording in recordings if recording.reason and recording.status != "ready"]
    parts += [Text(f"{r.path.name}: {r.code}. {r.reason}", style="yellow") for r in reasons]
    drawable = [(r.path.name, peaks(r.waveform)) for r in recordings if r.waveform]
    if drawable:
        # The most varied one shows best what a waveform is.
        name, height = max(drawable, key=lambda named: named[1].std() / (named[1].mean() or 1.0))
        picture = drawing(height, width=min(76, width), rows=8)
        parts += [Text(f"\n{name}", style="bold"), Text(picture, style="cyan")]
    return Group(*parts)


@dataclass(frozen=True)
class Column:
    """One column of the table; `narrow` ones are shown on every terminal."""

    name: str
    cell: Callable[[Recording], Text | str]
    justify: Literal["left", "right"] = "right"
    narrow: bool = True
    min_width: int | None = None


def _feature(name: str, form: str) -> Callable[[Recording], str]:
    return lambda recording: _number((recording.features or {}).get(name), form)


def _source(name: str, form: str) -> Callable[[Recording], str]:
    return lambda recording: _number(
        (recording.features or {}).get("descriptors", {}).get("source", {}).get(name), form
    )


def _key(recording: Recording) -> str:
    features = recording.features or {}
    if not features.get("key"):
        return "–"
    return f"{features['key']}{'m' if features['mode'] == 'minor' else ''}"


def _status(recording: Recording) -> Text:
    return Text(recording.status, style=STYLES.get(recording.status, "red"))


def _line(recording: Recording) -> Text:
    return Text(sparkline(peaks(recording.waveform), SPARK_WIDTH) if recording.waveform else "", style="cyan")


WIDE = 120
SPARK_WIDTH = 12
NAME_WIDTH = 14
OTHER_COLUMNS_WIDTH = 67
ALL_OTHER_COLUMNS_WIDTH = 104
COLUMNS = (
    Column("recording", lambda recording: recording.path.name, justify="left", min_width=NAME_WIDTH),
    Column("status", _status, justify="left", min_width=6),
    Column("length", _feature("duration_s", "{:.1f} s")),
    Column("rate", _source("sample_rate", "{:,}"), narrow=False),
    Column("ch", _source("channels", "{}"), narrow=False),
    Column("LUFS", _feature("integrated_lufs", "{:.1f}")),
    Column("peak dBFS", _feature("sample_peak_dbfs", "{:.1f}"), narrow=False),
    Column("BPM", _feature("tempo_bpm", "{:.0f}")),
    Column("key", _key),
    Column("centroid", _feature("centroid_hz", "{:.0f} Hz"), narrow=False),
    Column("waveform", _line, justify="left", min_width=SPARK_WIDTH),
    Column("took", lambda recording: _number(recording.seconds, "{:.1f} s")),
)


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def privacy(tries: list[AccessAttempt]) -> RenderableType:
    """Return a table with one row per attempt to reach the private recording."""
    found = Table(
        title="Attempts of others to reach a private recording",
        title_justify="left",
        header_style="bold",
        box=SIMPLE_HEAD,
    )
    for name in ("who", "tries to", "outcome"):
        found.add_column(name)
    for attempt in tries:
        outcome = Text("refused", style="green") if attempt.refused else Text("GOT THROUGH", style="bold red")
        found.add_row(attempt.who, attempt.what, outcome)
    return found
