"""Files to analyse: found by name, and analysed one after the other or several at a time.

Nothing heavy is imported before there is a file to analyse.
"""

from __future__ import annotations

import contextlib
import glob
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
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

    A long file at the front does not delay the others. A child that dies (killed for memory, say) takes down
    its pool: the file at the front is reported, and the others begin again in a new pool.
    """
    waiting = list(files)
    while waiting:
        under_way: list[tuple[FileAnalysis, Future[Result]]] = []
        # Spawned, because forking a process that runs threads of its own is not safe.
        with ProcessPoolExecutor(min(width, len(waiting)), mp_context=get_context("spawn")) as pool:
            shown: FileAnalysis | None = None
            while waiting or under_way:
                unfinished = {future for _, future in under_way if not future.done()}
                while waiting and len(unfinished) < width:
                    file = waiting.pop(0)
                    under_way.append((file, _submit(pool, file)))
                    unfinished.add(under_way[-1][1])
                file, future = under_way[0]
                if file is not shown:
                    begin(file)
                    shown = file
                if not future.done():
                    wait(unfinished, return_when=FIRST_COMPLETED)
                    continue
                under_way.pop(0)
                try:
                    yield file, future.result()
                except BrokenProcessPool:
                    # The pool waits for a child that was just starting, and never tells it to end
                    # (https://github.com/python/cpython/issues/94777).
                    for child in active_children():
                        child.kill()
                    waiting = [other for other, _ in under_way] + waiting
                    yield (
                        file,
                        AnalysisCrashed(
                            "The process that analysed this file died, or one beside it did.",
                            remedy="Analyse this file alone, or use a smaller --jobs.",
                        ),
                    )
                    break


def _submit(pool: ProcessPoolExecutor, file: FileAnalysis) -> Future[Result]:
    try:
        return pool.submit(_analyze, file)
    except BrokenProcessPool as error:
        broken: Future[Result] = Future()
        broken.set_exception(error)
        return broken


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
