"""`soundscape listen`: a microphone, a file or standard input, and what the worker reads from it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from soundscape.cli.options import AsJson, Email, read_user_settings
from soundscape.cli.reader_thread import STOP_TIMEOUT_S, read_in_thread
from soundscape.cli.signals import run_until_signalled

if TYPE_CHECKING:
    from rich.table import Table

    from soundscape.settings import UserSettings

FRAME_S = 0.05
FLOOR_LUFS = -60.0
BAR_CHARS = 40
SHADES = " ▁▂▃▄▅▆▇█"
FEATURES = ["levels", "spectrum", "pitch", "tempo", "key", "tags", "match"]


def listen(
    source: Annotated[
        str | None, typer.Argument(help="A file, or - for samples on standard input (s16le).")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="A microphone: default, a name of --devices, or FORMAT:NAME as FFmpeg has them."),
    ] = None,
    devices: Annotated[bool, typer.Option("--devices", help="List the inputs of this machine.")] = False,
    rate: Annotated[int, typer.Option(help="Sample rate of standard input, Hz.")] = 48_000,
    channels: Annotated[int, typer.Option(help="Channels of standard input.")] = 1,
    title: Annotated[str | None, typer.Option(help="Keep the sound as a recording with this title.")] = None,
    features: Annotated[
        str, typer.Option(help="What to read, separated by commas; see docs/live.md.")
    ] = ",".join(FEATURES),
    as_json: AsJson = False,
    email: Email = None,
) -> None:
    """Send a sound to the worker while it sounds, and show what it reads.

    A microphone: soundscape listen --device default

    The first Ctrl-C ends the session with its record, the second one at once. --json prints each answer on a
    line, the record among them.
    """
    from soundscape.cli.listen_device import list_devices, open_device

    if devices:
        _print_devices(list_devices(), as_json)
        return
    if (source is None) == (device is None):
        raise typer.BadParameter("Name a file, - for standard input, or --device.")
    if device is not None:
        start, frames = open_device(device)
    elif source == "-":
        start = {"format": "s16le", "sample_rate": rate, "channels": channels}
        size, descriptor = int(rate * FRAME_S) * channels * 2, sys.stdin.fileno()
        frames = read_in_thread(lambda: _read_samples(descriptor, size))
    else:
        start, frames = _open_file(Path(str(source)))
    start |= {"features": features.split(",")}
    if title is not None:
        start |= {"save": {"title": title}}
    settings = read_user_settings(email)
    # A device and standard input come as fast as they sound.
    in_real_time = device is None and source != "-"
    run_until_signalled(lambda ended: _listen(settings, start, _until(ended, frames), in_real_time, as_json))


async def _listen(
    settings: UserSettings,
    start: dict[str, Any],
    frames: AsyncIterator[bytes],
    in_real_time: bool,
    as_json: bool,
) -> None:
    from rich.live import Live

    from soundscape.project.account import sign_in
    from soundscape.project.client import http_client
    from soundscape.project.live_client import listen as send

    async with http_client() as http, sign_in(settings, http) as account:
        worker_url = settings.worker_url or settings.supabase_url
        answers = send(account, worker_url, frames, start=start, frame_s=FRAME_S, in_real_time=in_real_time)
        if as_json:
            async for answer in answers:
                typer.echo(json.dumps(answer))
            return
        latest: dict[str, dict[str, Any]] = {}
        with Live(refresh_per_second=15) as display:
            async for answer in answers:
                latest[answer["type"]] = answer
                display.update(_show(latest))


async def _until(ended: asyncio.Event, frames: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """The frames until somebody ends it, though none comes; then the session ends with its record."""
    ending = asyncio.create_task(ended.wait())
    reading: asyncio.Future[bytes] | None = None
    try:
        while True:
            reading = asyncio.ensure_future(anext(frames))
            await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                return
            try:
                frame = reading.result()
            except StopAsyncIteration:
                return
            yield frame
    finally:
        ending.cancel()
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        await frames.aclose()


def _print_devices(found: list[tuple[str, str]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([{"name": name, "description": what} for name, what in found]))
        return
    for name, what in found:
        typer.echo(f"{name}\t{what}")
    if not found:
        typer.echo("This machine has no input that FFmpeg knows of.", err=True)


def _open_file(path: Path) -> tuple[dict[str, Any], AsyncGenerator[bytes, None]]:
    """How the samples of a file are announced, and the samples."""
    from soundscape.audio.decode.audio_file import open_audio

    with path.open("rb") as file, open_audio(file) as audio:
        header = audio.header

    def read() -> Generator[bytes, None, None]:
        with path.open("rb") as file, open_audio(file) as audio:
            for block in audio.blocks(int(header.sample_rate * FRAME_S)):
                yield block.T.astype("<f4").tobytes()

    start = {"format": "f32le", "sample_rate": header.sample_rate, "channels": header.channels}
    return start, read_in_thread(read, stop_timeout_s=STOP_TIMEOUT_S)


def _read_samples(descriptor: int, size: int) -> Generator[bytes, None, None]:
    # Not by sys.stdin: the lock of its buffer would be taken when the interpreter ends.
    while data := os.read(descriptor, size):
        yield data


def _show(latest: dict[str, dict[str, Any]]) -> Table:
    """The latest answers as a table."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    levels, spectrum = latest.get("levels", {}), latest.get("spectrum", {})
    loudness = levels.get("momentary_lufs")
    share = 0.0 if loudness is None else min(1.0, max(0.0, 1 - loudness / FLOOR_LUFS))
    table.add_row(
        "loudness", "█" * round(share * BAR_CHARS), "–" if loudness is None else f"{loudness:.1f} LUFS"
    )
    bands = spectrum.get("bands_db", [])
    loudest = [max(bands[i : i + 3]) for i in range(0, len(bands), 3)]
    steps = [min(8, max(0, round(8 * (1 + level / 90)))) for level in loudest]
    table.add_row("spectrum", "".join(SHADES[step] for step in steps), "")
    for kind, name, unit in (("pitch", "frequency_hz", "Hz"), ("tempo", "tempo_bpm", "BPM")):
        value = latest.get(kind, {}).get(name)
        table.add_row(kind, "–" if value is None else f"{value:.0f} {unit}", "")
    key = latest.get("key", {})
    table.add_row("key", f"{key['key']} {key['mode']}" if key.get("key") else "–", "")
    tags = ", ".join(tag["label"] for tag in latest.get("tags", {}).get("tags", []))
    table.add_row("tags", tags or "–", "")
    for match in latest.get("match", {}).get("matches", []):
        table.add_row("playing", match["title"], f"{match['offset_s']:.0f} s")
    if "warning" in latest:
        table.add_row("warning", latest["warning"]["message"], "")
    if "saved" in latest:
        table.add_row("saved", latest["saved"]["file_path"], "")
    if "stopped" in latest:
        table.add_row("heard", f"{latest['stopped']['duration_s']:.1f} s", "")
    return table
