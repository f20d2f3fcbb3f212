"""`soundscape analyze`: the analysis at the command line, without Supabase."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from soundscape.cli.analysis_display import AnalysisDisplay
from soundscape.cli.file_analysis import (
    FileAnalysis,
    analyze_in_parallel,
    analyze_in_turn,
    assign_directories,
    find_files,
)
from soundscape.errors import SoundScapeError

EXIT_SOME_FAILED = 1
EXIT_NOTHING_TO_DO = 2


def analyze(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Files, directories (searched for audio files), glob patterns, or - for standard input."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write results below this directory: record.json, waveform, pictures and fingerprint, in "
            "one directory per file."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per file, each on one line.")
    ] = False,
    jobs: Annotated[
        int,
        typer.Option(min=1, help="Number of files to analyse at a time. Each takes up to 500 MB of memory."),
    ] = 1,
    tags: Annotated[
        bool,
        typer.Option(
            help="Tag the sounds in each file. On a terminal, the first use downloads the model (4 MB)."
        ),
    ] = True,
    pictures: Annotated[
        bool, typer.Option(help="Draw the waveform and the spectrogram. Needs --out.")
    ] = True,
    models_dir: Annotated[
        Path | None,
        typer.Option(help="Directory of the downloaded models. By default the one that `models pull` uses."),
    ] = None,
) -> None:
    """Analyse recordings: loudness, tempo, key, spectrum, tags, fingerprint, pictures.

    Exit status 0: every file was analysed. 1: a file was refused or could not be read. 2: there was no file
    to analyse.
    """
    found = list(find_files(files))
    directories = assign_directories((path for _, path in found), out) if out else [None] * len(found)
    analyses = [
        FileAnalysis(name, path, directory, tags, pictures, models_dir)
        for (name, path), directory in zip(found, directories, strict=True)
    ]
    if not analyses:
        typer.echo("No audio files found.", err=True)
        raise typer.Exit(EXIT_NOTHING_TO_DO)
    if tags:
        from soundscape.cli.model_progress import pull_tag_model_once

        pull_tag_model_once(directory=models_dir)
    failed = False
    with AnalysisDisplay(as_json=as_json, files=len(analyses)) as display:
        results = (
            analyze_in_turn(analyses, display.begin, display.advance)
            if jobs == 1
            else analyze_in_parallel(analyses, jobs, display.begin)
        )
        for analysis, result in results:
            failed |= isinstance(result, SoundScapeError)
            display.show(analysis, result)
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED)
