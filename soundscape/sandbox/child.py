"""The analysis child: the only process that decodes strangers' files.

It first imports and compiles what it needs. Then it gives up what `confinement` lists, tries a tone or an
image to see that it still can, and only then takes a file.

The parent starts it as `python -m soundscape.sandbox.child FD USER TASK`. FD is a Unix socket. USER is the
user id to change to, or `-`. TASK names what it prepares for, of `warm_up.TASKS`. The working directory is
the child's own folder, in which the parent makes `out` for the results.

The child first sends `{"ready": {"on": […], "off": {…}}, "code": {"loaded": …, "compiled": …}}`. Each
request is one line of JSON, with the
descriptor of the input beside it (SCM_RIGHTS): `{"cpu_s": …, "limits": {…}}`. With `"snippet_s": …` only that
many seconds are fingerprinted. With `"preview": true` the preview is encoded, and nothing else is done. With
`"image": TYPE` the file is decoded as an image of that media type.

The answer is one line: `{"record": …}`, `{"refusal": {status, code, message, remedy}}` or `{"crash": …}`.
During a long analysis a line `{"progress": …}` comes before it at most once a second: the share of the
recording that is decoded.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from soundscape.errors import Refusal
from soundscape.sandbox import limits
from soundscape.sandbox.confinement import confine
from soundscape.sandbox.image import check_image
from soundscape.sandbox.warm_up import TASKS

MAX_REQUEST_BYTES = 1 << 16
OUT = Path("out")
FINGERPRINT = "fingerprint.bin"
PROGRESS_INTERVAL_S = 1.0


def main() -> None:
    """Serve requests until the parent closes the socket."""
    descriptor, user, task = sys.argv[1:]
    warm_up = TASKS[task]
    with socket.socket(fileno=int(descriptor)) as parent, _open_status() as status:
        models_dir = _models_dir()
        os.umask(0o077)
        warm_up(OUT)
        _keep_compiled_code_in_memory()
        code = _count_code()
        protections = confine(Path.cwd(), user=None if user == "-" else int(user), read=[models_dir])
        warm_up(OUT)
        _send(parent, {"ready": protections.as_dict(), "code": code})
        while True:
            message, descriptors, _, _ = socket.recv_fds(parent, MAX_REQUEST_BYTES, 1)
            if not message:
                return
            request = json.loads(message)
            with os.fdopen(descriptors[0], "rb") as file:
                answer = _answer(file, request, lambda message: _send(parent, message))
            _send(parent, answer | {"max_rss_bytes": _peak_rss_bytes(status)})


def _answer(file: Any, request: dict[str, Any], send: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    limits.allow_cpu(int(request["cpu_s"]))
    max_s = request.get("snippet_s")
    # Each task imports its own: a child that is prepared for one can no longer compile for another.
    try:
        if "image" in request:
            return {"record": check_image(file, str(request["image"]))}
        from soundscape.audio.limits import Limits

        if max_s is not None:
            return {"record": _fingerprint(file, float(max_s), Limits(**request["limits"]))}
        limit = Limits(**request["limits"])
        if request.get("preview"):
            return {"record": _encode_preview(file, limit)}
        from soundscape.audio.analysis import analyze

        record = analyze(file, out_dir=OUT, limits=limit, progress=_reporter(send))
    except Refusal as refusal:
        return {"refusal": {"status": refusal.status, **refusal.as_dict()}}
    except MemoryError:
        return {"crash": "out of memory"}
    return {"record": record.as_dict()}


def _reporter(send: Callable[[dict[str, Any]], None]) -> Callable[[Any], None]:
    """Sends how far an analysis has come, at most once in PROGRESS_INTERVAL_S."""
    sent_at_s = time.monotonic()

    def report(progress: Any) -> None:
        nonlocal sent_at_s
        now_s = time.monotonic()
        if progress.total_s and now_s - sent_at_s >= PROGRESS_INTERVAL_S:
            sent_at_s = now_s
            send({"progress": round(min(1.0, progress.done_s / progress.total_s), 4)})

    return report


def _fingerprint(file: Any, max_s: float, limits: Any) -> dict[str, Any]:
    from soundscape.audio.snippet import fingerprint_snippet

    snippet = fingerprint_snippet(file, max_s=max_s, limits=limits)
    (OUT / FINGERPRINT).write_bytes(snippet.fingerprint.to_bytes())
    return {"fingerprint": {"path": FINGERPRINT}, "heard_s": snippet.heard_s}


def _encode_preview(file: Any, limits: Any) -> dict[str, Any]:
    from soundscape.audio.preview import encode_preview

    return {"preview": asdict(encode_preview(file, OUT, limits=limits))}


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


def _keep_compiled_code_in_memory() -> None:
    """Write no compiled functions to disk from now on.

    Later children and the worker load them. None may come from a process that has read a stranger's file.
    """
    if "numba" not in sys.modules:
        return
    from numba.core.caching import Cache

    for cache in [each for each in gc.get_objects() if isinstance(each, Cache)]:
        cache.disable()


def _count_code() -> dict[str, int]:
    if "numba" not in sys.modules:
        return {"loaded": 0, "compiled": 0}
    from soundscape.audio.compiled import compile_counts

    return asdict(compile_counts)


def _send(parent: socket.socket, message: dict[str, Any]) -> None:
    parent.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main()
