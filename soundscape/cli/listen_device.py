"""Microphones and other inputs of this machine, by FFmpeg's device formats, which PyAV brings.

ALSA is what Linux has (PipeWire and PulseAudio offer themselves there too), AVFoundation macOS, DirectShow
Windows. https://ffmpeg.org/ffmpeg-devices.html
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soundscape.cli.reader_thread import STOP_TIMEOUT_S, read_in_thread
from soundscape.errors import SoundScapeError

if TYPE_CHECKING:
    from av import DeviceInfo
    from av.container import InputContainer

FORMATS = ("alsa", "pulse", "oss", "jack", "sndio", "avfoundation", "dshow", "lavfi")
"""Those that are inputs. lavfi is none of this machine: it makes sounds, such as `lavfi:sine=duration=5`."""
FORMAT_OF = {"linux": "alsa", "darwin": "avfoundation", "win32": "dshow"}
DEFAULT = "default"
PIECE_S = 0.05
"""A device may bring samples more often than the worker takes messages."""
_ALSA_FOLDER = Path("/usr/share/alsa")
_ALSA_PLUGINS = [
    Path(folder) / "alsa-lib"
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib")
]


class DeviceUnavailable(SoundScapeError):
    """There is no such input, or it cannot be opened."""

    code = "device_unavailable"


def list_devices() -> list[tuple[str, str]]:
    """List the inputs of this machine that have sound: each as `--device` wants it, and what it is.

    Raises
    ------
    DeviceUnavailable
        If this platform's inputs cannot be listed.
    """
    import av

    format = _find_format()
    _find_alsa_settings()
    try:
        found: list[DeviceInfo] = av.enumerate_input_devices(format)
    except (av.FFmpegError, ValueError, OSError) as error:
        raise DeviceUnavailable(f"The inputs cannot be listed: {error}", remedy=_remedy()) from error
    return [
        (device.name, device.description) for device in found if "audio" in (device.media_types or ["audio"])
    ]


def open_device(name: str) -> tuple[dict[str, Any], AsyncGenerator[bytes, None]]:
    """Open an input.

    Parameters
    ----------
    name
        As `list_devices` has it, `default`, or a format of FFmpeg with a name in it: `alsa:hw:1`.

    Returns
    -------
    tuple of (dict, AsyncGenerator)
        How its samples are announced, and the samples, until the input or the reader ends.

    Raises
    ------
    DeviceUnavailable
        If it cannot be opened.
    """
    import av

    prefix, _, rest = name.partition(":")
    format, address = (prefix, rest) if rest and prefix in FORMATS else (_find_format(), name)
    if format == "dshow":
        address = f"audio={_find_first_device() if address == DEFAULT else address}"
    elif format == "avfoundation" and not address.startswith(":"):
        address = f":{address}"
    _find_alsa_settings()
    try:
        container = av.open(address, format=format)
    except (av.FFmpegError, ValueError, OSError) as error:
        raise DeviceUnavailable(
            f"{name!r} cannot be opened by {format}: {error}.", remedy=_remedy()
        ) from error
    if not container.streams.audio:
        container.close()
        raise DeviceUnavailable(f"{name!r} has no sound.", remedy=_remedy())
    stream = container.streams.audio[0]
    start = {"format": "f32le", "sample_rate": stream.rate, "channels": stream.channels}
    return start, read_in_thread(lambda: _decode(container), stop_timeout_s=STOP_TIMEOUT_S)


def _decode(container: InputContainer) -> Generator[bytes, None, None]:
    import av

    resampler = av.AudioResampler(format="flt")
    gathered = bytearray()
    with container:
        stream = container.streams.audio[0]
        piece_bytes = int(stream.rate * PIECE_S) * stream.channels * 4
        for frame in container.decode(audio=0):
            for piece in resampler.resample(frame):
                gathered += piece.to_ndarray().astype("<f4", copy=False).tobytes()
            if len(gathered) >= piece_bytes:
                yield bytes(gathered)
                gathered.clear()
        if gathered:
            yield bytes(gathered)


def _find_first_device() -> str:
    """DirectShow has no default of its own."""
    found = list_devices()
    if not found:
        raise DeviceUnavailable("This machine has no input.", remedy=_remedy())
    return found[0][0]


def _find_format() -> str:
    import av

    format = FORMAT_OF.get(sys.platform)
    if format is None or format not in av.formats_available:
        raise DeviceUnavailable("This build of PyAV opens no inputs of this machine.", remedy=_remedy())
    return format


def _find_alsa_settings() -> None:
    """PyAV brings its own ALSA, which looks for the system's settings and plugins where it was built."""
    if sys.platform != "linux":
        return
    if _ALSA_FOLDER.is_dir():
        os.environ.setdefault("ALSA_CONFIG_DIR", str(_ALSA_FOLDER))
        os.environ.setdefault("ALSA_CONFIG_PATH", str(_ALSA_FOLDER / "alsa.conf"))
    for folder in _ALSA_PLUGINS:
        if folder.is_dir():
            os.environ.setdefault("ALSA_PLUGIN_DIR", str(folder))
            return


def _remedy() -> str:
    remedy = "Name another one of soundscape listen --devices"
    if sys.platform == "linux":
        return f"{remedy}, or send samples: arecord -f S16_LE -r 48000 -c 1 | soundscape listen -"
    return f"{remedy}, and allow this terminal to use the microphone."
