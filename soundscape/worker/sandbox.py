"""Analysis in a child process: pre-warmed, limited, killed when it must be, replaced when it dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from soundscape.errors import AnalysisCrashed, PolicyRefusal, Refusal, UnreadableAudio

START_TIMEOUT_S = 120.0
JOBS_PER_CHILD = 200
ANSWER_BYTES = 64 << 20
EPITAPH_S = 2.0
UNINTELLIGIBLE = "The analysis child gave an answer that makes no sense."
# The whole environment of a child: no key, no proxy, no path of ours.
PASSED_ON = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "NUMBA_CACHE_DIR", "SOUNDSCAPE_MODELS_DIR", "HOME")
SINGLE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)


@dataclass(frozen=True)
class Analysis:
    """What a child answered: the record as a plain dict, and its peak resident memory so far."""

    record: dict[str, Any]
    max_rss_bytes: int


class Sandbox:
    """One child process. Not for concurrent use: one file at a time."""

    def __init__(self, scratch_dir: Path) -> None:
        self._scratch_dir = scratch_dir
        self._process: asyncio.subprocess.Process | None = None
        self._socket: socket.socket | None = None
        self._jobs = 0
        self.granted: dict[str, bool] = {}

    async def start(self) -> None:
        """Start a child and wait until it is warm. Raises `AnalysisCrashed`; then no child is left."""
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        self._jobs = 0
        try:
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *("-I", "-m", "soundscape.worker.child", str(theirs.fileno())),
                    pass_fds=(theirs.fileno(),),
                    env=SINGLE_THREAD | {name: os.environ[name] for name in PASSED_ON if name in os.environ},
                    cwd=self._scratch_dir,
                    stdin=asyncio.subprocess.DEVNULL,
                    # A session of its own: a Ctrl-C in the terminal is for the parent to handle.
                    start_new_session=True,
                )
            self.granted = (await self._read(START_TIMEOUT_S))["ready"]
        except BaseException:
            await self.stop()
            raise

    async def analyze(self, file: BinaryIO, out_dir: Path, *, wall_s: float) -> Analysis:
        """Analyse an open file, results into `out_dir`.

        Raises `Refusal` when the recording is at fault, `AnalysisCrashed` when the child died or
        outlived `wall_s`; a new child is there for the next call either way.
        """
        if self._process is None or self._process.returncode is not None or self._jobs >= JOBS_PER_CHILD:
            await self.stop()
            await self.start()
        assert self._socket is not None
        self._jobs += 1
        request = json.dumps({"out_dir": str(out_dir), "cpu_s": int(wall_s) + 1}).encode()
        try:
            socket.send_fds(self._socket, [request], [file.fileno()])
            return _understood(await self._read(wall_s))
        except Refusal:
            raise
        except OSError as error:
            epitaph = await self._epitaph()
            await self.stop()
            raise AnalysisCrashed(epitaph, remedy="It is tried again.") from error
        except BaseException:
            # Dead, hanging, cancelled half-way, or talking nonsense: the next file gets a new one.
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the child, whatever it is doing."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
            self._process = None

    async def _read(self, timeout_s: float) -> dict[str, Any]:
        """One line from the child. Raises `AnalysisCrashed` when it dies or takes longer."""
        assert self._socket is not None
        loop = asyncio.get_running_loop()
        line = bytearray()
        try:
            async with asyncio.timeout(timeout_s):
                while not line.endswith(b"\n"):
                    chunk = await loop.sock_recv(self._socket, 1 << 18)
                    if not chunk or len(line) > ANSWER_BYTES:
                        raise AnalysisCrashed(await self._epitaph(), remedy="It is tried again.")
                    line += chunk
        except TimeoutError as error:
            raise AnalysisCrashed(
                f"The analysis took longer than {timeout_s:.0f} s.",
                code="analysis_timeout",
                remedy="It is tried again.",
            ) from error
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise AnalysisCrashed(UNINTELLIGIBLE, remedy="It is tried again.") from error
        if not isinstance(answer, dict):
            raise AnalysisCrashed(UNINTELLIGIBLE, remedy="It is tried again.")
        return answer

    async def _epitaph(self) -> str:
        """How the child that no longer answers came to its end."""
        assert self._process is not None
        try:
            code = await asyncio.wait_for(self._process.wait(), EPITAPH_S)
        except TimeoutError:
            return "The analysis child stopped talking."
        if code < 0:
            return f"The analysis child was ended by {signal.Signals(-code).name}."
        return f"The analysis child ended with status {code}."


def _understood(answer: dict[str, Any]) -> Analysis:
    """The answer as an analysis. Raises the `Refusal` in it, or `AnalysisCrashed`: strangers' bytes have
    been through the child, so its words are checked.
    """
    match answer:
        case {"record": dict(record), "max_rss_bytes": int(max_rss_bytes)}:
            return Analysis(record, max_rss_bytes)
        case {
            "refusal": {"status": status, "message": str(message), "code": str(code), "remedy": str(remedy)}
        }:
            kind = PolicyRefusal if status == PolicyRefusal.status else UnreadableAudio
            raise kind(message, code=code, remedy=remedy)
        case {"crash": str(reason)}:
            raise AnalysisCrashed(
                f"The analysis ended: {reason}.", code="analysis_out_of_memory", remedy="It is tried again."
            )
    raise AnalysisCrashed(UNINTELLIGIBLE, remedy="It is tried again.")
