"""The parent of an analysis child: starts it warm and confined, ends it when it must, and replaces it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import structlog

from soundscape.audio.limits import Limits
from soundscape.audio.tagging.models import models_directory
from soundscape.errors import AnalysisCrashed, Refusal
from soundscape.sandbox import protocol as answers
from soundscape.sandbox.child_folder import MAX_FOLDER_BYTES, MAX_FOLDER_FILES, ChildFolder
from soundscape.sandbox.confinement import Protections, choose_user
from soundscape.sandbox.limits import LIFE_CPU_S
from soundscape.sandbox.protocol import Analysis, CompiledCode

log = structlog.get_logger(__name__)

START_TIMEOUT_S = 120.0
JOBS_PER_CHILD = 200
MAX_ANSWER_BYTES = 64 << 20
WATCH_INTERVAL_S = 1.0
END_TIMEOUT_S = 2.0
STDERR_LINES = 20
# The whole environment of a child: no keys, no proxies.
INHERITED_VARIABLES = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "NUMBA_CACHE_DIR",
    "NUMBA_CPU_NAME",
    "NUMBA_CPU_FEATURES",
    "XDG_CACHE_HOME",
    "SOUNDSCAPE_MODELS_DIR",
    "HOME",
)
SINGLE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)


class Sandbox:
    """One child process. It takes one file at a time.

    Parameters
    ----------
    scratch_dir
        Where the child gets its folder.
    jobs_per_child
        After so many files the child is replaced.
    niceness
        How far the child stands back for other processes, 0 to 19.
    task
        What the child is for, of `warm_up.TASKS`. It starts sooner and smaller when it is not `everything`.
    """

    def __init__(
        self,
        scratch_dir: Path,
        *,
        jobs_per_child: int = JOBS_PER_CHILD,
        niceness: int = 0,
        task: str = "everything",
    ) -> None:
        self._scratch_dir = scratch_dir
        self._task = task
        self._niceness = niceness
        self._jobs_per_child = jobs_per_child
        self._process: asyncio.subprocess.Process | None = None
        self._socket: socket.socket | None = None
        self._folder: ChildFolder | None = None
        self._stderr_lines: deque[str] = deque(maxlen=STDERR_LINES)
        self._stderr_reader: asyncio.Task[None] | None = None
        self._exceeded_disk = False
        self._jobs = 0
        self._busy_s = 0.0
        self.protections = Protections((), {})
        self.code = CompiledCode(0, 0)

    @property
    def needs_new_child(self) -> bool:
        """Whether the next file needs a new child: there is none, it died, or it has done its share."""
        ended = self._process is None or self._process.returncode is not None
        # Well before the kernel ends it: half of its processor time is more than any one file may use.
        return ended or self._jobs >= self._jobs_per_child or self._busy_s > LIFE_CPU_S / 2

    async def start(self) -> None:
        """Start a child and wait until it is warm. Raises `AnalysisCrashed` if it does not start."""
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        self._jobs = 0
        self._busy_s = 0.0
        self._exceeded_disk = False
        self._stderr_lines.clear()
        try:
            with theirs:
                user, why_none = choose_user([models_directory()])
                self._folder = ChildFolder(self._scratch_dir, user)
                self._folder.empty()
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *("-I", "-m", "soundscape.sandbox.child", str(theirs.fileno())),
                    "-" if user is None else str(user),
                    self._task,
                    pass_fds=(theirs.fileno(),),
                    env=SINGLE_THREAD
                    | {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ},
                    cwd=self._folder.path,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    # Not passed through: a child that a file has taken over would write into our log.
                    stderr=asyncio.subprocess.PIPE,
                    # A session of its own: Ctrl-C in the terminal is for the parent.
                    start_new_session=True,
                )
            if self._niceness:
                os.setpriority(os.PRIO_PROCESS, self._process.pid, self._niceness)
            self._stderr_reader = asyncio.create_task(self._read_stderr(self._process.stderr))
            ready = await self._read(START_TIMEOUT_S)
            self.protections = answers.parse_protections(ready, why_no_user=why_none)
            self.code = answers.parse_code(ready)
        except AnalysisCrashed as crashed:
            await self.stop()
            # It has read no file yet: what it wrote is not a stranger's.
            raise AnalysisCrashed(
                " ".join([crashed.message, *list(self._stderr_lines)[-1:]]), code=crashed.code
            ) from crashed
        except BaseException:
            await self.stop()
            raise

    async def analyze(
        self,
        file: BinaryIO,
        *,
        wall_s: float,
        limits: Limits | None = None,
        progress: Callable[[float], None] = lambda _: None,
    ) -> Analysis:
        """Analyse an open file. A child that died is replaced by the next call.

        Parameters
        ----------
        file
            Opened for reading only: the child gets its descriptor.
        wall_s
            Time limit in seconds.
        limits
            Which recordings are accepted.
        progress
            Called about once a second with the share of the recording that is decoded, 0 to 1.

        Raises
        ------
        Refusal
            If the recording cannot or may not be analysed.
        AnalysisCrashed
            If the child died, took longer than `wall_s`, or filled its folder.
        """
        wanted = {"limits": asdict(limits or Limits())}
        return await self._send_request("everything", file, wanted, wall_s, progress)

    async def fingerprint(
        self, file: BinaryIO, *, snippet_s: float, wall_s: float, limits: Limits
    ) -> Analysis:
        """Fingerprint the first `snippet_s` seconds of an open file. Raises as `analyze` does.

        The record holds `fingerprint` and `heard_s`, the seconds that there were.
        """
        wanted = {"limits": asdict(limits), "snippet_s": snippet_s}
        return await self._send_request("snippets", file, wanted, wall_s)

    async def encode_preview(self, file: BinaryIO, *, wall_s: float, limits: Limits) -> Analysis:
        """Encode the preview of an open file. Raises as `analyze` does.

        The record holds `preview`: the name of the file in the folder, and its duration in seconds.
        """
        wanted = {"limits": asdict(limits), "preview": True}
        return await self._send_request("previews", file, wanted, wall_s)

    async def check_image(self, file: BinaryIO, *, media_type: str, wall_s: float) -> Analysis:
        """Decode an open file as an image of this media type. Raises as `analyze` does.

        The record holds `width`, `height` and `frames`.
        """
        return await self._send_request("images", file, {"image": media_type}, wall_s)

    async def _send_request(
        self,
        task: str,
        file: BinaryIO,
        wanted: dict[str, Any],
        wall_s: float,
        progress: Callable[[float], None] = lambda _: None,
    ) -> Analysis:
        if self._task not in (task, "everything"):
            # What it has not warmed up for, it would import and compile after it has read a stranger's file.
            raise ValueError(f"This child is for {self._task}, not for {task}.")
        if self.needs_new_child:
            await self.stop()
            await self.start()
        assert self._socket is not None
        assert self._folder is not None
        self._jobs += 1
        request = wanted | {"cpu_s": int(wall_s) + 1}
        watching: asyncio.Task[None] | None = None
        began = asyncio.get_running_loop().time()
        try:
            out_dir = self._folder.empty()
            socket.send_fds(self._socket, [json.dumps(request).encode()], [file.fileno()])
            watching = asyncio.create_task(self._watch(self._folder))
            return answers.parse_analysis(await self._read(wall_s, progress), out_dir)
        except Refusal:
            raise
        except OSError as error:
            crashed = await self._diagnose_crash()
            await self.stop()
            raise crashed from error
        except BaseException:
            # The child is dead, hangs, was cancelled half-way or sent nonsense: the next file gets a new one.
            await self.stop()
            raise
        finally:
            self._busy_s += asyncio.get_running_loop().time() - began
            if watching is not None:
                watching.cancel()

    def clear(self) -> None:
        """Remove the files of the latest analysis. If the child has ended, its folder is gone already."""
        if self._folder is not None:
            self._folder.empty()

    async def stop(self) -> None:
        """End the child."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
            self._process = None
        if self._stderr_reader is not None:
            await asyncio.wait({self._stderr_reader}, timeout=END_TIMEOUT_S)
            self._stderr_reader.cancel()
            self._stderr_reader = None
        if self._folder is not None:
            folder, self._folder = self._folder, None
            await asyncio.to_thread(folder.remove)

    async def _read(
        self, timeout_s: float, progress: Callable[[float], None] = lambda _: None
    ) -> dict[str, Any]:
        """Read an answer from the child. Raises `AnalysisCrashed` if it dies, takes longer or says more."""
        assert self._socket is not None
        loop = asyncio.get_running_loop()
        received, left_bytes, searched = bytearray(), MAX_ANSWER_BYTES, 0
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    chunk = await loop.sock_recv(self._socket, 1 << 18)
                    left_bytes -= len(chunk)
                    if not chunk or left_bytes < 0:
                        raise await self._diagnose_crash()
                    received += chunk
                    while (end := received.find(b"\n", searched)) >= 0:
                        answer = answers.parse_line(received[:end])
                        del received[: end + 1]
                        searched = 0
                        share = answers.parse_progress(answer)
                        if share is None:
                            answers.check_end(received)
                            return answer
                        progress(share)
                    searched = len(received)
        except TimeoutError as error:
            raise AnalysisCrashed(
                f"The analysis took longer than {timeout_s:.0f} s.",
                code="analysis_timeout",
                remedy="The recording is analysed again.",
            ) from error

    async def _watch(self, folder: ChildFolder) -> None:
        """End the child if it fills the disk: the kernel limits the size of a file, not their number."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            if folder.is_too_full():
                break
        self._exceeded_disk = True
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.kill()

    async def _read_stderr(self, errors: asyncio.StreamReader | None) -> None:
        """Keep the last lines of the child's standard error. It may write any amount."""
        assert errors is not None
        begun = b""
        while chunk := await errors.read(1 << 14):
            *lines, begun = (begun + chunk).split(b"\n")
            begun = begun[: 1 << 14]
            self._stderr_lines.extend(line.decode(errors="replace") for line in lines)
        if begun:
            self._stderr_lines.append(begun.decode(errors="replace"))

    async def _diagnose_crash(self) -> AnalysisCrashed:
        reason = await self._describe_end()
        if self._stderr_reader is not None:
            await asyncio.wait({self._stderr_reader}, timeout=END_TIMEOUT_S)
        log.warning("analysis child ended", reason=reason, stderr=list(self._stderr_lines))
        if self._exceeded_disk:
            return AnalysisCrashed(
                f"The analysis wrote more than {MAX_FOLDER_BYTES / 1e9:.1f} GB or {MAX_FOLDER_FILES} files.",
                code="analysis_disk",
                remedy="The recording is analysed again.",
            )
        return AnalysisCrashed(reason, remedy="The recording is analysed again.")

    async def _describe_end(self) -> str:
        """Say how the child ended."""
        assert self._process is not None
        try:
            async with asyncio.timeout(END_TIMEOUT_S):
                code = await self._process.wait()
        except TimeoutError:
            return "The analysis child closed its connection."
        if code < 0:
            return f"The analysis child was ended by {signal.Signals(-code).name}."
        return f"The analysis child ended with status {code}."
