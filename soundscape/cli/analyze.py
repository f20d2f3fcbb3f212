"""`soundscape analyze`: the analysis at the command line, with no Supabase at all.

Nothing heavy is imported before there is a file to analyse.
"""

from __future__ import annotations

import contextlib
import glob
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from soundscape.errors import AnalysisCrashed, SoundScapeError

if TYPE_CHECKING:
    from soundscape.audio.analysis import Progress

STDIN = "-"
EXIT_SOME_FAILED = 1
EXIT_NOTHING_TO_DO = 2

# Directories hold covers and play lists too; a file named on the command line is tried whatever its name.
_SUFFIXES = (
    *(
        ".aac",
        ".ac3",
        ".aif",
        ".aiff",
        ".amr",
        ".ape",
        ".au",
        ".caf",
        ".dsf",
        ".flac",
        ".m4a",
        ".mka",
        ".mkv",
    ),
    *(".mov", ".mp2", ".mp3", ".mp4", ".mpc", ".oga", ".ogg", ".opus", ".rf64", ".tta", ".w64", ".wav"),
    *(".webm", ".wma", ".wv"),
)


@dataclass(frozen=True)
class Job:
    """One file to analyse."""

    name: str
    path: Path | None
    out_dir: Path | None
    tags: bool
    draw: bool
    models_dir: Path | None


def analyze(
    files: Annotated[
        list[str],
        typer.Argument(help="Files, directories (searched through), globs, or - for standard input."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Write record.json, waveform, pictures and fingerprint here, a directory a file."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line, for each file.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Files analysed at a time; each takes up to 500 MB.")] = 1,
    tags: Annotated[bool, typer.Option(help="Name what is heard (needs `soundscape models pull`).")] = True,
    pictures: Annotated[bool, typer.Option(help="Draw waveform and spectrogram (with --out).")] = True,
    models_dir: Annotated[Path | None, typer.Option(help="Where pulled models lie.")] = None,
) -> None:
    """Say what recordings are: loudness, tempo, key, spectrum, tags, fingerprint, pictures.

    Exit status: 0 when every file was analysed, 1 when one was refused or could not be read, 2 when there
    was nothing to analyse.
    """
    found = [
        Job(name, path, directory, tags, pictures, models_dir)
        for name, path, directory in _with_directories(_find(files), out)
    ]
    if not found:
        typer.echo("No audio files there.", err=True)
        raise typer.Exit(EXIT_NOTHING_TO_DO)
    failed = False
    with _Display(as_json=as_json, files=len(found)) as display:
        results = _in_turn(found, display) if jobs == 1 else _in_parallel(found, jobs, display)
        for job, result in results:
            failed |= isinstance(result, SoundScapeError)
            display.show(job, result)
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED)


def _find(names: Iterable[str]) -> Iterator[tuple[str, Path | None]]:
    """Every file meant, named as people know it; None is standard input."""
    for name in names:
        path = Path(name)
        if name == STDIN:
            yield "standard input", None
        elif path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file())
            yield from ((str(p), p) for p in inside)
        elif not path.exists() and glob.has_magic(name):
            matches = sorted(Path(match) for match in glob.glob(name, recursive=True))
            yield from ((str(p), p) for p in matches if p.is_file())
        else:
            yield name, path


def _with_directories(
    found: Iterable[tuple[str, Path | None]], out: Path | None
) -> Iterator[tuple[str, Path | None, Path | None]]:
    """A directory of its own for each file, named after it; a number tells equal names apart."""
    taken: set[str] = set()
    for name, path in found:
        wanted = path.name if path is not None else "stdin"
        own, number = wanted, 2
        while own in taken:
            own, number = f"{wanted}-{number}", number + 1
        taken.add(own)
        yield name, path, out / own if out is not None else None


Result = dict[str, Any] | SoundScapeError


def _run(job: Job, progress: Any = None) -> Result:
    """Analyse one file; refusals are results too. Runs in a child when there are several jobs."""
    from soundscape.audio.analysis import analyze as analyze_file

    try:
        with _opened(job) as file:
            record = analyze_file(
                file,
                out_dir=job.out_dir,
                tags=job.tags,
                draw=job.draw,
                models_dir=job.models_dir,
                progress=progress,
            ).as_dict()
        if job.out_dir is not None:
            (job.out_dir / "record.json").write_text(json.dumps(record, indent=2) + "\n")
        return record
    except SoundScapeError as error:
        return error
    except OSError as error:
        return SoundScapeError(
            f"Reading it or writing what was found failed: {error}.",
            code="io_failed",
            remedy="Check the disk, and that --out names a directory that can be written.",
        )


@contextlib.contextmanager
def _opened(job: Job) -> Iterator[BinaryIO]:
    from soundscape.audio.limits import Limits

    with contextlib.ExitStack() as stack:
        file: Any = sys.stdin.buffer
        if job.path is not None:
            try:
                file = stack.enter_context(job.path.open("rb"))
            except OSError as error:
                raise SoundScapeError(
                    f"It cannot be read: {error.strerror}.",
                    code="file_unreadable",
                    remedy="Check its name and permissions.",
                ) from error
        if job.path is None or not file.seekable():
            # Decoders seek, pipes cannot. One byte more than is allowed is enough to be refused.
            pipe, file = file, stack.enter_context(tempfile.TemporaryFile())
            _copy(pipe, file, Limits().max_size_bytes + 1)
        yield file


def _copy(source: BinaryIO, target: Any, most: int) -> None:
    while most > 0 and (piece := source.read(min(1 << 20, most))):
        target.write(piece)
        most -= len(piece)


def _in_turn(jobs: list[Job], display: _Display) -> Iterator[tuple[Job, Result]]:
    for job in jobs:
        display.begin(job)
        yield job, _run(job, display.advance)


def _in_parallel(jobs: list[Job], width: int, display: _Display) -> Iterator[tuple[Job, Result]]:
    """In the order given. At most `width` files are analysed at a time, in processes of their own; a long
    one at the front keeps none of the others waiting.

    A child that dies (killed for memory, say) takes down its pool: the file at the front is reported, and
    the others begin again in a new pool.
    """
    waiting = list(jobs)
    while waiting:
        under_way: list[tuple[Job, Future[Result]]] = []
        # Spawned, because forking a process that runs threads of its own is not safe.
        with ProcessPoolExecutor(min(width, len(waiting)), mp_context=get_context("spawn")) as pool:
            shown: Job | None = None
            while waiting or under_way:
                unfinished = {future for _, future in under_way if not future.done()}
                while waiting and len(unfinished) < width:
                    job = waiting.pop(0)
                    under_way.append((job, _submit(pool, job)))
                    unfinished.add(under_way[-1][1])
                job, future = under_way[0]
                if job is not shown:
                    display.begin(job)
                    shown = job
                if not future.done():
                    wait(unfinished, return_when=FIRST_COMPLETED)
                    continue
                under_way.pop(0)
                try:
                    yield job, future.result()
                except BrokenProcessPool:
                    # One that was being started meanwhile is waited for and never told to end
                    # (https://github.com/python/cpython/issues/94777).
                    for child in active_children():
                        child.kill()
                    waiting = [other for other, _ in under_way] + waiting
                    yield (
                        job,
                        AnalysisCrashed(
                            "The analysis died, or another did beside it.",
                            remedy="Analyse this file by itself, or use fewer --jobs.",
                        ),
                    )
                    break


def _submit(pool: ProcessPoolExecutor, job: Job) -> Future[Result]:
    try:
        return pool.submit(_run, job)
    except BrokenProcessPool as error:
        broken: Future[Result] = Future()
        broken.set_exception(error)
        return broken


class _Display:
    """The progress bar on standard error, results on standard output."""

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

    def __enter__(self) -> _Display:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begin(self, job: Job) -> None:
        self._number += 1
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(
            Path(job.name).name, total=None, number=self._number, files=self.files, speed=""
        )

    def advance(self, progress: Progress) -> None:
        self._bar.update(
            self._task,
            completed=progress.done_s,
            total=progress.total_s,
            speed=f"{progress.speed:.0f}x real time",
        )

    def show(self, job: Job, result: Result) -> None:
        if self.as_json:
            answer = {"error": result.as_dict()} if isinstance(result, SoundScapeError) else result
            typer.echo(json.dumps({"file": job.name, **answer}))
        elif isinstance(result, SoundScapeError):
            self._bar.console.print(f"{job.name}: {result} ({result.code})", markup=False, soft_wrap=True)
        else:
            self._bar.stop()
            for line in describe(job.name, result):
                self._out.print(line, markup=False, soft_wrap=True)
            if job.out_dir is not None:
                self._out.print(f"  written    {job.out_dir}", markup=False, soft_wrap=True)
            self._bar.start()


def describe(name: str, found: dict[str, Any]) -> list[str]:
    """A record in a few lines for people."""
    source, loudness, rhythm, tonality = (found[key] for key in ("source", "loudness", "rhythm", "tonality"))
    channels = {1: "mono", 2: "stereo"}.get(source["channels"], f"{source['channels']} channels")
    minutes, seconds = divmod(source["duration_s"], 60)
    lines = [
        name,
        f"  sound      {int(minutes)}:{seconds:04.1f}, {source['codec']} in {source['container']}, "
        f"{source['sample_rate']} Hz, {channels}",
    ]
    if source["truncated"]:
        lines[-1] += f" (cut short: the header promises {source['claimed_duration_s']:.1f} s)"
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
    if found["tags"]:
        heard: dict[str, float] = {}
        for tag in found["tags"]:
            length_s = tag["end_s"] - tag["start_s"]
            heard[tag["label"]] = heard.get(tag["label"], 0.0) + tag["confidence"] * length_s
        most = sorted(heard, key=lambda label: -heard[label])[:5]
        lines.append(f"  heard      {'; '.join(most)}")
    lines += [
        f"  skipped    {stage['name']}: {stage['reason']}"
        for stage in found["stages"]
        if stage["status"] == "skipped" and stage["name"] not in ("waveform", "pictures")
    ]
    return lines
