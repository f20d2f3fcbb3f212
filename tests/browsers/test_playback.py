"""What browsers play: each format as it is, and its preview, in Chromium and in Firefox.

    pytest tests/browsers -s        # prints a line for each format

The browsers are Debian's. Where one is missing its tests are skipped.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from soundscape.audio.analysis import analyze
from soundscape.audio.decode.audio_file import open_audio
from soundscape.audio.preview import encode_preview
from tests.waiting import LIMIT_S

SECONDS = 3.0
SEEK_S = 1.5
BIT_RATE = 192_000
LENGTH_TOLERANCE_S = 0.06
END_TOLERANCE_S = 0.5
"""A player's clock runs on at the end of a recording while the machine is busy."""
"""Firefox counts the padding of the last frame of some formats."""
LOUDNESS_TOLERANCE_DB = 0.1
PAGE = Path(__file__).parent / "page.html"

# Container, codec and sample rate of each file; by PyAV.
ENCODED: dict[str, tuple[str, str, int]] = {
    "wav_u8.wav": ("wav", "pcm_u8", 44_100),
    "wav_16.wav": ("wav", "pcm_s16le", 44_100),
    "wav_24.wav": ("wav", "pcm_s24le", 48_000),
    "wav_float.wav": ("wav", "pcm_f32le", 96_000),
    "aiff.aiff": ("aiff", "pcm_s16be", 44_100),
    "au.au": ("au", "pcm_s16be", 44_100),
    "w64.w64": ("w64", "pcm_s16le", 44_100),
    "caf.caf": ("caf", "pcm_s16le", 44_100),
    "flac.flac": ("flac", "flac", 44_100),
    "alac.m4a": ("ipod", "alac", 44_100),
    "wavpack.wv": ("wv", "wavpack", 44_100),
    "tta.tta": ("tta", "tta", 44_100),
    "mp3.mp3": ("mp3", "libmp3lame", 44_100),
    "mp2.mp2": ("mp2", "mp2", 44_100),
    "ac3.ac3": ("ac3", "ac3", 48_000),
    "eac3.eac3": ("eac3", "eac3", 48_000),
    "wma.wma": ("asf", "wmav2", 44_100),
    "aac.aac": ("adts", "aac", 44_100),
    "aac.m4a": ("ipod", "aac", 44_100),
    "opus.ogg": ("ogg", "libopus", 48_000),
    "opus.webm": ("webm", "libopus", 48_000),
    "opus.mkv": ("matroska", "libopus", 48_000),
}
OTHERS = ("vorbis.ogg", "film.mp4")


def make_sound(sample_rate: int) -> np.ndarray:
    """Two notes of different strength, float32, shape (2, n)."""
    t = np.arange(round(SECONDS * sample_rate)) / sample_rate
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 0.7 * t)
    left = 0.2 * np.sin(2 * np.pi * 440 * t) * swell
    right = 0.15 * np.sin(2 * np.pi * 660 * t) * swell
    return np.stack([left, right]).astype(np.float32)


def write(output: Any, stream: Any, y: np.ndarray, sample_rate: int) -> None:
    resampler = av.AudioResampler(
        format=stream.codec_context.format,
        layout="stereo",
        rate=sample_rate,
        frame_size=stream.codec_context.frame_size or 1024,
    )
    frame = av.AudioFrame.from_ndarray(y, format="fltp", layout="stereo")
    frame.sample_rate = sample_rate
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        output.mux(stream.encode(piece))
    output.mux(stream.encode(None))


def make_file(name: str) -> bytes:
    file = io.BytesIO()
    if name == "vorbis.ogg":
        soundfile.write(file, make_sound(44_100).T, 44_100, format="OGG", subtype="VORBIS")
        return file.getvalue()
    if name == "film.mp4":
        with av.open(file, "w", format="mp4") as output:
            pictures: Any = output.add_stream("libx264", rate=Fraction(10))
            pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "yuv420p"
            sound: Any = output.add_stream("aac", rate=44_100, layout="stereo")
            for index in range(int(SECONDS * 10)):
                picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 8 * index % 256, np.uint8))
                picture.pts = index
                output.mux(pictures.encode(picture))
            output.mux(pictures.encode(None))
            write(output, sound, make_sound(44_100), 44_100)
        return file.getvalue()
    container, codec, sample_rate = ENCODED[name]
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=sample_rate, layout="stereo")
        stream.bit_rate = BIT_RATE
        write(output, stream, make_sound(sample_rate), sample_rate)
    return file.getvalue()


@dataclass(frozen=True)
class Subject:
    """One format: the file, its preview, and what the analysis says of it."""

    playable: bool
    preview: bool
    duration_s: float
    rms: float
    sample_rate: int


@dataclass
class Library:
    """Files on a server of their own, and what browsers sent back."""

    files: dict[str, bytes] = field(default_factory=dict)
    rates: dict[str, int] = field(default_factory=dict)
    subjects: dict[str, Subject] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    are_there: threading.Event = field(default_factory=threading.Event)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    found = Library()
    folder = tmp_path_factory.mktemp("previews")
    for name in (*ENCODED, *OTHERS):
        data = make_file(name)
        source = analyze(io.BytesIO(data), tags=False).source
        with open_audio(io.BytesIO(data)) as audio:
            y = np.concatenate(list(audio.blocks()), axis=1)
        found.subjects[name] = Subject(
            source.playable,
            source.preview,
            source.duration_s,
            float(np.sqrt((y**2).mean())),
            source.sample_rate,
        )
        encode_preview(io.BytesIO(data), folder)
        preview = (folder / "preview.mp3").read_bytes()
        found.files |= {name: data, f"{name}.preview.mp3": preview}
        found.rates |= {name: source.sample_rate, f"{name}.preview.mp3": min(source.sample_rate, 48_000)}
    return found


MEDIA_TYPES = {
    ".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".m4a": "audio/mp4",
    ".mp4": "video/mp4", ".ogg": "audio/ogg", ".webm": "audio/webm", ".aac": "audio/aac",
}  # fmt: skip


@contextmanager
def serving(library: Library) -> Iterator[str]:
    """Serve the page, the files (with ranges) and the place for results."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def answer(self, body: bytes, kind: str, status: int = 200, **headers: str) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            name = self.path.removeprefix("/files/")
            if self.path == "/list":
                listed = [{"name": name, "rate": library.rates[name]} for name in library.files]
                self.answer(json.dumps(listed).encode(), "application/json")
            elif name in library.files:
                self.answer_file(library.files[name], MEDIA_TYPES.get(Path(name).suffix, "audio/x-unknown"))
            elif self.path == "/":
                self.answer(PAGE.read_bytes(), "text/html")
            else:
                self.answer(b"", "text/plain", 404)

        def answer_file(self, data: bytes, kind: str) -> None:
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
            if wanted is None:
                self.answer(data, kind, accept_ranges="bytes")
                return
            start, end = int(wanted[1]), int(wanted[2] or len(data) - 1)
            part = data[start : end + 1]
            span = f"bytes {start}-{start + len(part) - 1}/{len(data)}"
            self.answer(part, kind, 206, accept_ranges="bytes", content_range=span)

        def do_POST(self) -> None:
            library.results = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self.answer(b"", "text/plain")
            library.are_there.set()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def start_browser(browser: str, url: str, profile: Path) -> subprocess.Popen[bytes]:
    program = shutil.which(browser)
    if program is None:
        pytest.skip(f"{browser} is not here")
    if browser == "chromium":
        command = [
            program, "--headless=new", "--no-sandbox", "--mute-audio", "--remote-debugging-port=0",
            "--autoplay-policy=no-user-gesture-required", f"--user-data-dir={profile}", url,
        ]  # fmt: skip
    else:
        (profile / "user.js").write_text(
            'user_pref("media.autoplay.default", 0);\n'
            'user_pref("media.hardware-video-decoding.enabled", false);\n'
            'user_pref("media.cubeb.backend", "null");\nuser_pref("datareporting.policy.firstRunURL", "");\n'
        )
        command = [program, "--headless", "--no-remote", "--profile", str(profile), url]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"HOME": str(profile)}
    )


@pytest.mark.parametrize("browser", ["chromium", "firefox"])
def test_every_recording_plays(browser: str, library: Library, tmp_path: Path) -> None:
    library.are_there.clear()
    with serving(library) as url:
        process = start_browser(browser, url, tmp_path)
        try:
            # A page that loads 48 files, each once.
            assert library.are_there.wait(5 * LIMIT_S), f"{browser} sent nothing"
        finally:
            process.kill()
            process.wait()
    problems = []
    print(f"\n{browser}")
    for name, subject in library.subjects.items():
        original = find_problem(library.results[name], subject, library.rates[name])
        copy = f"{name}.preview.mp3"
        preview = find_problem(library.results[copy], subject, library.rates[copy])
        called = "playable" if subject.playable else "not playable"
        print(f"  {name:14} {called:12} original {original or 'plays':40} preview {preview or 'plays'}")
        if subject.playable and original is not None:
            problems.append(f"{name} is called playable, and {original}")
        if preview is not None:
            problems.append(f"the preview of {name} {preview}")
    assert problems == []


def find_problem(result: dict[str, Any], subject: Subject, rate: int) -> str | None:
    """What is wrong with how a browser played a file, decoded at `rate`; None if nothing is."""
    if "error" in result:
        return f"does not play: {result['error'][:60]}"
    for what, tolerance_s in (("duration_s", LENGTH_TOLERANCE_S), ("ended_s", END_TOLERANCE_S)):
        if result[what] is None or abs(result[what] - subject.duration_s) > tolerance_s:
            return f"has {what} {result[what]} instead of {subject.duration_s}"
    if abs(result["seeked_s"] - SEEK_S) > LENGTH_TOLERANCE_S:
        return f"seeks to {result['seeked_s']}"
    # Silence that a decoder adds at the ends has no energy.
    energy = result["rms"] ** 2 * result["frames"] / rate
    change_db = 10 * math.log10(energy / (subject.rms**2 * subject.duration_s))
    return None if abs(change_db) <= LOUDNESS_TOLERANCE_DB else f"is {change_db:+.2f} dB louder"
