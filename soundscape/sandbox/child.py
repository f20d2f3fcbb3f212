"""The analysis child: the only process that decodes strangers' files.

It first imports and compiles everything. Then it gives up what `confinement` lists, analyses a tone to see
that it still can, and only then takes a file.

The parent starts it as `python -m soundscape.sandbox.child FD USER`. FD is a Unix socket. USER is the user id
to change to, or `-`. The working directory is the child's own folder, in which the parent makes `out` for the
results.

The child first sends `{"ready": {"on": […], "off": {…}}}`. Each request is one line of JSON, with the
descriptor of the input beside it (SCM_RIGHTS): `{"cpu_s": …, "limits": {…}}`. With `"snippet_s": …` only that
many seconds are fingerprinted. The answer is one line: `{"record": …}`,
`{"refusal": {status, code, message, remedy}}` or `{"crash": …}`.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import socket
import sys
import wave
from contextlib import suppress
from pathlib import Path
from typing import Any

from soundscape.errors import Refusal
from soundscape.sandbox import limits
from soundscape.sandbox.confinement import confine

MAX_REQUEST_BYTES = 1 << 16
OUT = Path("out")
FINGERPRINT = "fingerprint.bin"


def main() -> None:
    """Serve requests until the parent closes the socket."""
    descriptor, user = sys.argv[1:]
    with socket.socket(fileno=int(descriptor)) as parent, _open_status() as status:
        models_dir = _models_dir()
        os.umask(0o077)
        _warm_up()
        _keep_compiled_code_in_memory()
        protections = confine(Path.cwd(), user=None if user == "-" else int(user), read=[models_dir])
        _warm_up()
        _send(parent, {"ready": protections.as_dict()})
        while True:
            message, descriptors, _, _ = socket.recv_fds(parent, MAX_REQUEST_BYTES, 1)
            if not message:
                return
            request = json.loads(message)
            with os.fdopen(descriptors[0], "rb") as file:
                answer = _answer(file, request)
            _send(parent, answer | {"max_rss_bytes": _peak_rss_bytes(status)})


def _answer(file: Any, request: dict[str, Any]) -> dict[str, Any]:
    from soundscape.audio.analysis import analyze
    from soundscape.audio.limits import Limits

    limits.allow_cpu(int(request["cpu_s"]))
    max_s = request.get("snippet_s")
    try:
        if max_s is not None:
            return {"record": _fingerprint(file, float(max_s), Limits(**request["limits"]))}
        record = analyze(file, out_dir=OUT, limits=Limits(**request["limits"]))
    except Refusal as refusal:
        return {"refusal": {"status": refusal.status, **refusal.as_dict()}}
    except MemoryError:
        return {"crash": "out of memory"}
    return {"record": record.as_dict()}


def _fingerprint(file: Any, max_s: float, limits: Any) -> dict[str, Any]:
    from soundscape.audio.snippet import fingerprint_snippet

    snippet = fingerprint_snippet(file, max_s=max_s, limits=limits)
    (OUT / FINGERPRINT).write_bytes(snippet.fingerprint.to_bytes())
    return {"fingerprint": {"path": FINGERPRINT}, "heard_s": snippet.heard_s}


def _models_dir() -> Path:
    """The folder of the models, made if missing: Landlock can only allow a folder that exists."""
    from soundscape.audio.tagging.models import models_directory

    folder = models_directory()
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _open_status() -> Any:
    """Open the kernel's figures about this process, while /proc can still be opened."""
    return Path("/proc/self/status" if sys.platform == "linux" else os.devnull).open()


def _peak_rss_bytes(status: Any) -> int:
    """The largest resident memory of this process so far."""
    status.seek(0)
    # Not ru_maxrss: that starts from what the parent had when it forked.
    for line in status:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _warm_up() -> None:
    """Import and compile everything once, on a second of a quiet tone, so that no job waits for it."""
    import numpy as np

    from soundscape.audio import snippet
    from soundscape.audio.analysis import analyze

    tone = (1000 * np.sin(np.arange(22050) * (2 * np.pi * 440 / 22050))).astype("<i2")
    path = OUT / "tone.wav"
    for channels, decoder in ((1, "sndfile"), (2, "sndfile"), (2, "av")):
        with wave.open(str(path), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(2)
            file.setframerate(22050)
            file.writeframes(np.repeat(tone, channels).tobytes())
        if decoder == "av":
            with path.open("r+b") as file:
                # A WAV that states no length is read by FFmpeg.
                file.seek(40)
                file.write(bytes(4))
        analyze(path, out_dir=OUT)
        snippet.fingerprint_snippet(path, max_s=1.0)
    for left in OUT.iterdir():
        left.unlink()


def _keep_compiled_code_in_memory() -> None:
    """Write no compiled functions to disk from now on.

    Later children and the worker load them. None may come from a process that has read a stranger's file.
    """
    from numba.core.caching import Cache

    for cache in [each for each in gc.get_objects() if isinstance(each, Cache)]:
        cache.disable()


def _send(parent: socket.socket, message: dict[str, Any]) -> None:
    parent.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main()
