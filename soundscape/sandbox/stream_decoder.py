"""The parent of a child that decodes one stream: bytes in, samples out, both while they arrive."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from soundscape.errors import AnalysisCrashed, UnreadableAudio
from soundscape.sandbox.confinement import choose_user
from soundscape.sandbox.decoder_child import UNDECODABLE
from soundscape.sandbox.parent import INHERITED_VARIABLES, SINGLE_THREAD

START_TIMEOUT_S = 60.0
READ_BYTES = 1 << 16
MAX_HEADER_BYTES = 256


@dataclass(frozen=True)
class StreamFacts:
    """What the stream is."""

    sample_rate: int
    channels: int


class StreamDecoder:
    """One child for one stream.

    Parameters
    ----------
    scratch_dir
        Where the child gets its folder.
    format
        A name of `decoder_child.FORMATS`.
    """

    def __init__(self, scratch_dir: Path, format: str) -> None:
        self._scratch_dir = scratch_dir
        self._format = format
        self._process: asyncio.subprocess.Process | None = None
        self._socket: socket.socket | None = None
        self._folder: Path | None = None
        self._read = b""
        self.facts: StreamFacts | None = None

    async def start(self) -> None:
        """Start the child and wait until it is confined. Raises `AnalysisCrashed` if it does not start."""
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        user, _ = choose_user([])
        self._folder = Path(tempfile.mkdtemp(prefix="decoder-", dir=self._scratch_dir))
        self._folder.chmod(0o711)
        try:
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *("-I", "-m", "soundscape.sandbox.decoder_child", str(theirs.fileno())),
                    "-" if user is None else str(user),
                    self._format,
                    pass_fds=(theirs.fileno(),),
                    env=SINGLE_THREAD
                    | {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ},
                    cwd=self._folder,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,
                    start_new_session=True,
                )
            async with asyncio.timeout(START_TIMEOUT_S):
                if await asyncio.get_running_loop().sock_recv(self._socket, 1) != b"\n":
                    raise AnalysisCrashed("The decoding child did not start.")
        except BaseException as error:
            await self.stop()
            if isinstance(error, TimeoutError | OSError):
                raise AnalysisCrashed("The decoding child did not start.") from error
            raise

    async def write(self, data: bytes) -> None:
        """Hand over bytes; wait while the child has enough. What comes after the child's end is dropped."""
        if self._socket is not None:
            with suppress(ConnectionError):
                await asyncio.get_running_loop().sock_sendall(self._socket, data)

    def end_input(self) -> None:
        """Say that nothing more comes."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    async def read(self) -> bytes:
        """Read samples, interleaved float32; nothing at the end.

        Raises
        ------
        UnreadableAudio
            The stream cannot be decoded.
        AnalysisCrashed
            The child died.
        """
        assert self._socket is not None
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = await loop.sock_recv(self._socket, READ_BYTES)
            except ConnectionError:
                data = b""
            if not data:
                await self._check_end()
                return b""
            if self.facts is not None:
                return data
            self._read += data
            line, mark, rest = self._read.partition(b"\n")
            if mark:
                self.facts = _parse_facts(line)
                if rest:
                    return rest
            elif len(self._read) > MAX_HEADER_BYTES:
                raise _make_answer_error()

    async def _check_end(self) -> None:
        assert self._process is not None
        code = await self._process.wait()
        if code == UNDECODABLE:
            raise UnreadableAudio(
                f"The sound is not {self._format}, or it is damaged.",
                code="decode_failed",
                remedy="Send the container from its beginning.",
            )
        if code != 0:
            raise AnalysisCrashed(f"The decoding child ended with status {code}.")

    async def stop(self) -> None:
        """End the child."""
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._folder is not None:
            folder, self._folder = self._folder, None
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _parse_facts(line: bytes) -> StreamFacts:
    try:
        match json.loads(line):
            case {"sample_rate": int(rate), "channels": int(channels)} if (
                8_000 <= rate <= 192_000 and 1 <= channels <= 8
            ):
                return StreamFacts(rate, channels)
    except ValueError:
        raise _make_answer_error() from None
    raise _make_answer_error()


def _make_answer_error() -> AnalysisCrashed:
    return AnalysisCrashed("The answer of the decoding child is invalid.")
