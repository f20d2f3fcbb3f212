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
        # Linux counts kilobytes, macOS bytes.
        "max_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1024 if sys.platform == "linux" else 1),
    }


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
