"""The analysis child: the process that decodes strangers' bytes, so that no other has to.

It has limits on what it may use, no network where the kernel allows, and no key in its environment. It runs
under the worker's own uid and can read what that can.

Started by `sandbox` as `python -m soundscape.worker.child FD`. FD is a Unix socket. Each request is one
line of JSON with the input's descriptor beside it (SCM_RIGHTS): `{"out_dir": …, "cpu_s": …}`. The
answer is one line: `{"record": …}`, `{"refusal": {status, code, message, remedy}}` or
`{"crash": …}`. Before the first request the child says `{"ready": {…}}`.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
import tempfile
import wave
from pathlib import Path
from typing import Any

from soundscape.errors import Refusal
from soundscape.worker import limits

REQUEST_BYTES = 1 << 16


def main() -> None:
    """Serve requests until the parent closes the socket."""
    with socket.socket(fileno=int(sys.argv[1])) as parent:
        granted = limits.confine()
        _warm_up()
        _send(parent, {"ready": granted})
        while True:
            message, descriptors, _, _ = socket.recv_fds(parent, REQUEST_BYTES, 1)
            if not message:
                return
            request = json.loads(message)
            with os.fdopen(descriptors[0], "rb") as file:
                _send(parent, _answer(file, request))


def _answer(file: Any, request: dict[str, Any]) -> dict[str, Any]:
    from soundscape.audio.analysis import analyze

    limits.allow_cpu(int(request["cpu_s"]))
    try:
        record = analyze(file, out_dir=Path(request["out_dir"]))
    except Refusal as refusal:
        return {"refusal": {"status": refusal.status, **refusal.as_dict()}}
    except MemoryError:
        return {"crash": "out of memory"}
    return {
        "record": record.as_dict(),
        "max_rss_bytes": _peak_rss_bytes(),
    }


def _peak_rss_bytes() -> int:
    """The largest resident memory of this process so far."""
    if sys.platform == "linux":
        # Not ru_maxrss: that starts from what the parent had when it forked.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _warm_up() -> None:
    """Import and compile everything once, on a second of a quiet tone, so that no job waits for it."""
    import numpy as np

    from soundscape.audio.analysis import analyze

    tone = (1000 * np.sin(np.arange(22050) * (2 * np.pi * 440 / 22050))).astype("<i2")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tone.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(22050)
            file.writeframes(np.repeat(tone, 2).tobytes())
        analyze(path, out_dir=Path(folder) / "out")


def _send(parent: socket.socket, message: dict[str, Any]) -> None:
    parent.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main()
