"""What `soundscape analyze` shows: a progress bar on standard error, results on standard output."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from soundscape.cli.file_analysis import FileAnalysis, Result
from soundscape.errors import SoundScapeError

if TYPE_CHECKING:
    from soundscape.audio.analysis import Progress

MAX_TAGS = 5


class AnalysisDisplay:
    """The progress bar and the results of one command."""

    def __init__(self, *, as_json: bool, files: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.as_json = as_json
        self.files = files
        self._number = 0
        self._out = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
        errors = Console(stderr=True)
        self._bar = Bar(
            TextColumn("{task.fields[number]}/{task.fields[files]} {task.description}"),
            BarColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=errors,
            transient=True,
            disable=not errors.is_terminal,
        )
        self._task: Any = None

    def __enter__(self) -> AnalysisDisplay:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begin(self, file: FileAnalysis) -> None:
        """Show that this file is analysed now."""
        self._number += 1
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(
            Path(file.name).name, total=None, number=self._number, files=self.files, speed=""
        )

    def advance(self, progress: Progress) -> None:
        """Show how far the present file is."""
        self._bar.update(
            self._task,
            completed=progress.done_s,
            total=progress.total_s,
            speed=f"{progress.speed:.0f}x real time",
        )

    def show(self, file: FileAnalysis, result: Result) -> None:
        """Print the result of one file."""
        if self.as_json:
            fields = {"error": result.as_dict()} if isinstance(result, SoundScapeError) else result
            typer.echo(json.dumps({"file": file.name, **fields}))
        elif isinstance(result, SoundScapeError):
            self._bar.console.print(f"{file.name}: {result} ({result.code})", markup=False, soft_wrap=True)
        else:
            self._bar.stop()
            for line in describe_record(file.name, result):
                self._out.print(line, markup=False, soft_wrap=True)
            if file.out_dir is not None:
                self._out.print(f"  written    {file.out_dir}", markup=False, soft_wrap=True)
            self._bar.start()


def describe_record(name: str, record: dict[str, Any]) -> list[str]:
    """Return a record as a few lines for people."""
    source, loudness, rhythm, tonality = (record[key] for key in ("source", "loudness", "rhythm", "tonality"))
    channels = {1: "mono", 2: "stereo"}.get(source["channels"], f"{source['channels']} channels")
    minutes, seconds = divmod(source["duration_s"], 60)
    lines = [
        name,
        f"  sound      {int(minutes)}:{seconds:04.1f}, {source['codec']} in {source['container']}, "
        f"{source['sample_rate']} Hz, {channels}",
    ]
    lines += [f"  warning    {warning['message']}" for warning in source["warnings"]]
    if loudness is not None:
        lufs, peak_dbtp = loudness["integrated_lufs"], loudness["true_peak_dbtp"]
        lines.append("  loudness   none" if lufs is None else f"  loudness   {lufs:.1f} LUFS")
        if peak_dbtp is not None:
            lines[-1] += f", true peak {peak_dbtp:.1f} dBTP"
    if rhythm is not None:
        tempo = rhythm["tempo_bpm"]
        lines.append(f"  tempo      {tempo:.1f} BPM" if tempo is not None else "  tempo      none")
    if tonality is not None:
        key = tonality["key"]
        lines.append(f"  key        {key} {tonality['mode']}" if key is not None else "  key        none")
    if record["tags"]:
        weights: dict[str, float] = {}
        for tag in record["tags"]:
            length_s = tag["end_s"] - tag["start_s"]
            weights[tag["label"]] = weights.get(tag["label"], 0.0) + tag["confidence"] * length_s
        labels = sorted(weights, key=lambda label: -weights[label])[:MAX_TAGS]
        lines.append(f"  tags       {'; '.join(labels)}")
    lines += [
        f"  skipped    {stage['name']}: {stage['reason']}"
        for stage in record["stages"]
        if stage["status"] == "skipped" and stage["name"] not in ("waveform", "pictures")
    ]
    return lines
