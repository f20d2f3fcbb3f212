"""Files to analyse: found by name, and analysed one after the other or several at a time.

Nothing heavy is imported before there is a file to analyse.
"""

from __future__ import annotations

import contextlib
import glob
import json
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

from soundscape.errors import AnalysisCrashed, SoundScapeError

STDIN = "-"

# Directories hold covers and play lists too. A file named on the command line is tried whatever its name.
SUFFIXES = (
    *(".aac", ".ac3", ".aif", ".aiff", ".amr", ".ape", ".au", ".caf", ".dsf", ".flac", ".m4a", ".mka"),
    *(".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpc", ".oga", ".ogg", ".opus", ".rf64", ".tta", ".w64"),
    *(".wav", ".webm", ".wma", ".wv"),
)

Result = dict[str, Any] | SoundScapeError
"""A record, or why there is none."""


@dataclass(frozen=True)
class FileAnalysis:
    """One file to analyse, and how."""

    name: str
    """As people know it."""
    path: Path | None
    """None is standard input."""
    out_dir: Path | None
    tags: bool
    draw: bool
    models_dir: Path | None


def find_files(names: Iterable[str]) -> Iterator[tuple[str, Path | None]]:
    """Yield every file that is meant, with its name; None is standard input."""
    for name in names:
        path = Path(name)
        if name == STDIN:
            yield "standard input", None
        elif path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
            yield from ((str(p), p) for p in inside)
        elif not path.exists() and glob.has_magic(name):
            matches = sorted(Path(match) for match in glob.glob(name, recursive=True))
            yield from ((str(p), p) for p in matches if p.is_file())
        else:
            yield name, path


def assign_directories(paths: Iterable[Path | None], out: Path) -> Iterator[Path]:
    """Yield a directory inside `out` for each file, named after the file.

    A number tells equal names apart. It also tells a directory from a file of that name in `out`, such as
    the recording itself.
    """
    taken: set[str] = set()
    for path in paths:
        wanted = path.name if path is not None else "stdin"
        name, number = wanted, 2
        while name in taken or _is_file(out / name):
            name, number = f"{wanted}-{number}", number + 1
        taken.add(name)
        yield out / name


def _is_file(path: Path) -> bool:
    return path.exists() and not path.is_dir()


def analyze_in_turn(
    files: list[FileAnalysis], begin: Callable[[FileAnalysis], None], advance: Callable[[Any], None]
) -> Iterator[tuple[FileAnalysis, Result]]:
    """Analyse one file after the other. `begin` is told each file, `advance` its progress."""
    for file in files:
        begin(file)
        yield file, _analyze(file, advance)


def analyze_in_parallel(
    files: list[FileAnalysis], width: int, begin: Callable[[FileAnalysis], None]
) -> Iterator[tuple[FileAnalysis, Result]]:
    """Analyse at most `width` files at a time, each in a process of its own. Results keep the order given.

    A long file at the front does not delay the others. A child that dies (killed for memory, say) costs the
    file that it had, and no other.
    """
    width = min(width, len(files))
    if not files:
        return
    free: SimpleQueue[_Child] = SimpleQueue()
    for _ in range(width):
        free.put(_Child())
    threads = ThreadPoolExecutor(width)
    try:
        results = deque(threads.submit(_analyze_in_child, file, free) for file in files)
        for file in files:
            begin(file)
            yield file, results.popleft().result()
    finally:
        threads.shutdown(cancel_futures=True)
        for _ in range(width):
            free.get_nowait().end()


class _Child:
    """A process that analyses file after file. After its death there is a new one."""

    def __init__(self) -> None:
        self._pool = _make_pool()

    def analyze(self, file: FileAnalysis) -> Result:
        try:
            return self._pool.submit(_analyze, file).result()
        except BrokenProcessPool:
            self.end()
            self._pool = _make_pool()
            return AnalysisCrashed(
                "The process that analysed this file died.",
                remedy="Analyse this file alone, or use a smaller --jobs.",
            )

    def end(self) -> None:
        self._pool.shutdown()


def _make_pool() -> ProcessPoolExecutor:
    # Of one process: a larger pool may start a child while it closes the pipes of those that a dead one took
    # along, and then fails. Spawned, because forking a process that runs threads of its own is not safe.
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def _analyze_in_child(file: FileAnalysis, free: SimpleQueue[_Child]) -> Result:
    child = free.get()
    try:
        return child.analyze(file)
    finally:
        free.put(child)


def _analyze(file: FileAnalysis, progress: Any = None) -> Result:
    """Analyse one file. Runs in a child process when several are analysed at a time."""
    from soundscape.audio.analysis import analyze

    try:
        with _open(file) as data:
            record = analyze(
                data,
                out_dir=file.out_dir,
                tags=file.tags,
                draw=file.draw,
                models_dir=file.models_dir,
                progress=progress,
            ).as_dict()
        if file.out_dir is not None:
            (file.out_dir / "record.json").write_text(json.dumps(record, indent=2) + "\n")
        return record
    except SoundScapeError as error:
        return error
    except OSError as error:
        return SoundScapeError(
            f"The file cannot be read, or its results cannot be written: {error}.",
            code="io_failed",
            remedy="Check that the disk has room and that --out is a directory you can write to.",
        )


@contextlib.contextmanager
def _open(file: FileAnalysis) -> Iterator[BinaryIO]:
    from soundscape.audio.limits import Limits

    with contextlib.ExitStack() as stack:
        data: Any = sys.stdin.buffer
        if file.path is not None:
            try:
                data = stack.enter_context(file.path.open("rb"))
            except OSError as error:
                raise SoundScapeError(
                    f"The file cannot be read: {error.strerror}.",
                    code="file_unreadable",
                    remedy="Check its name and permissions.",
                ) from error
        if file.path is None or not data.seekable():
            # Decoders seek, pipes cannot. One byte more than the limit is enough to be refused.
            pipe, data = data, stack.enter_context(tempfile.TemporaryFile())
            _copy(pipe, data, Limits().max_size_bytes + 1)
        yield data


def _copy(source: BinaryIO, target: Any, max_bytes: int) -> None:
    while max_bytes > 0 and (piece := source.read(min(1 << 20, max_bytes))):
        target.write(piece)
        max_bytes -= len(piece)
