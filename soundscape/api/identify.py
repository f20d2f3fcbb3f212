"""`POST /api/identify`: which recordings, of those that the caller may see, a snippet comes from.

The index is searched as the caller. The recordings it names are then read with the caller's own token, under
the policies. A recording that they hide is left out, whatever the index said.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import BaseModel
from starlette.requests import Request

from soundscape.api.body import BodyReader, read_form_file
from soundscape.api.rates import TooManyRequests
from soundscape.api.tokens import Caller
from soundscape.audio.limits import Limits
from soundscape.errors import AnalysisCrashed, ProjectError, RequestRefused
from soundscape.project.client import http_client, translate_errors
from soundscape.project.fingerprint_index import CLAIM_KINDS, describe_evidence
from soundscape.project.matching import match_fingerprint
from soundscape.sandbox.parent import Sandbox
from soundscape.sandbox.protocol import Analysis
from soundscape.sandbox.results import Results
from soundscape.settings import Settings
from soundscape.worker.worker import Worker

if TYPE_CHECKING:
    from soundscape.audio.fingerprint import Fingerprint

log = structlog.get_logger(__name__)

MAX_BYTES = 12 << 20
"""Thirty seconds of uncompressed stereo at 48 kHz and 24 bits, and some more."""
MAX_DISCARDED_BYTES = 24 << 20
"""A larger snippet is received without being kept, so that its sender gets to read the refusal."""
RECEIVE_TIMEOUT_S = 30.0
MAX_SNIPPET_S = 30.0
WALL_S = 20.0
MAX_WAITING = 8
MAX_WAITING_PER_CALLER = 2
WARM_UP_AFTER_S = 10.0
"""When a worker starts, recordings may be waiting: the child that analyses them starts first."""
VERSION = "snippet"
"""The analysis version of a snippet; nothing of it is stored."""


class IdentifiedRecording(BaseModel):
    """One recording that the snippet comes from."""

    audio_id: str
    title: str
    user_id: str
    kind: str
    probability: float
    offset_s: float
    span_s: tuple[float, float]
    share: float
    share_of_matched: float
    share_of_energy: float | None
    level_correlation: float | None
    speed: float
    score: float
    other_offsets_s: list[float]


class Identification(BaseModel):
    """The response; `answer` is match, no_match or not_enough_content."""

    answer: str
    heard_s: float
    threshold: float
    matches: list[IdentifiedRecording]


class SnippetRefused(RequestRefused):
    """There is no sound in the request, or no time for it."""

    code = "snippet_missing"
    status = 422


class Identifier:
    """Identifies snippets with a child of its own, so that no recording waits for them.

    Parameters
    ----------
    settings
        The project.
    worker
        Provides the index and the scratch folder.
    bodies
        Reads the bodies.
    """

    def __init__(self, settings: Settings, worker: Worker, bodies: BodyReader) -> None:
        self._settings = settings
        self._worker = worker
        self._bodies = bodies
        self._http = http_client()
        self._sandbox: Sandbox | None = None
        self._sandbox_lock = asyncio.Lock()
        self._waiting: Counter[str] = Counter()
        self._warm_up_task: asyncio.Task[None] | None = None

    def start(self, *, after_s: float = WARM_UP_AFTER_S) -> None:
        """Start the child in the background; a snippet that comes earlier starts it itself."""
        self._warm_up_task = asyncio.create_task(self._warm_up(after_s))

    async def identify(self, caller: Caller, request: Request) -> Identification:
        """Identify the snippet in a request.

        Raises
        ------
        BodyTooLarge, BodyTooSlow, SnippetRefused, TooManyRequests
            If the request is refused.
        Refusal
            If the snippet cannot be decoded.
        ProjectError
            If the project does not answer as it should.
        """
        # Received before it takes a slot: a client that sends nothing must not keep others out.
        snippet = await self._receive(request)
        with self._slot(caller):
            fingerprint, heard_s = await self._fingerprint(snippet)
        return await self.find_recordings(
            fingerprint, heard_s, user_id=caller.user_id, token=caller.token, any_speed=True
        )

    async def find_recordings(
        self, fingerprint: Fingerprint, heard_s: float, *, user_id: str, token: str, any_speed: bool
    ) -> Identification:
        """Find the recordings that a sound comes from, of those that a user may see.

        Parameters
        ----------
        fingerprint, heard_s
            The sound, and its length in seconds.
        user_id, token
            The user, and a valid access token.
        any_speed
            Also find recordings that are played up to 4 % too slowly or too fast.

        Raises
        ------
        ProjectError
            If the project does not answer as it should.
        """
        from soundscape.audio.fingerprint import THRESHOLD

        result = await match_fingerprint(
            self._worker.fingerprint_index, fingerprint, viewer=user_id, any_speed=any_speed
        )
        visible = await self._read_visible(token, [match.recording_id for match in result.matches])
        recordings = [
            IdentifiedRecording(
                audio_id=match.recording_id,
                title=visible[match.recording_id]["title"],
                user_id=visible[match.recording_id]["user_id"],
                kind=CLAIM_KINDS[match.kind.value],
                probability=round(match.probability, 6),
                **describe_evidence(match),
            )
            for match in result.matches
            if match.recording_id in visible
        ]
        answer = result.verdict.value.replace(" ", "_")
        return Identification(
            answer="no_match" if answer == "match" and not recordings else answer,
            heard_s=round(heard_s, 3),
            threshold=THRESHOLD,
            matches=recordings,
        )

    async def stop(self) -> None:
        """End the child and close connections."""
        if self._warm_up_task is not None:
            self._warm_up_task.cancel()
            await asyncio.gather(self._warm_up_task, return_exceptions=True)
        if self._sandbox is not None:
            await self._sandbox.stop()
        await self._http.aclose()

    async def _warm_up(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        # Until the worker's children are ready, a first start compiles; two at once would compile the same.
        await self._worker.warmed.wait()
        async with self._sandbox_lock:
            try:
                sandbox = self._make_sandbox()
                if sandbox.needs_new_child:
                    await sandbox.stop()
                    await sandbox.start()
            except (AnalysisCrashed, ProjectError, OSError) as error:
                log.warning(
                    "the child for snippets did not start; the next snippet starts one", error=str(error)
                )

    def _make_sandbox(self) -> Sandbox:
        if self._sandbox is None:
            self._sandbox = Sandbox(self._worker.scratch_folder, task="snippets")
        return self._sandbox

    async def _receive(self, request: Request) -> bytes:
        """The sound in the body, or in the first file of a form."""
        data = await self._bodies.read(
            request,
            max_bytes=MAX_BYTES,
            timeout_s=RECEIVE_TIMEOUT_S,
            max_discarded_bytes=MAX_DISCARDED_BYTES,
        )
        if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            data = await read_form_file(request, data)
        if not data:
            raise SnippetRefused(
                "There is no sound in the request.", remedy="Send it as the body, or as a file in a form."
            )
        return data

    @contextmanager
    def _slot(self, caller: Caller) -> Iterator[None]:
        """Wait among those whose snippets are decoded. Their number bounds the memory."""
        if self._waiting[caller.user_id] >= MAX_WAITING_PER_CALLER:
            raise TooManyRequests(
                f"{MAX_WAITING_PER_CALLER} of your snippets are being identified.",
                remedy="Wait for their responses.",
                headers={"Retry-After": "2"},
            )
        if self._waiting.total() >= MAX_WAITING:
            raise SnippetRefused(
                "Too many snippets are being identified.",
                status=503,
                code="busy",
                remedy="Try again in a moment.",
                headers={"Retry-After": "2"},
            )
        self._waiting[caller.user_id] += 1
        try:
            yield
        finally:
            self._waiting[caller.user_id] -= 1
            self._waiting += Counter()  # forgets callers with none

    async def _fingerprint(self, snippet: bytes) -> tuple[Fingerprint, float]:
        """The fingerprint of a snippet, and how many seconds of it were decoded."""
        try:
            async with self._sandbox_lock:
                return await self._fingerprint_in(self._make_sandbox(), snippet)
        finally:
            if self._sandbox is not None and self._sandbox.needs_new_child:
                self.start(after_s=0)

    async def _fingerprint_in(self, sandbox: Sandbox, snippet: bytes) -> tuple[Fingerprint, float]:
        # Long recordings are welcome: only their beginning is decoded.
        limits = Limits(max_size_bytes=MAX_BYTES)
        with tempfile.TemporaryFile(dir=self._worker.scratch_folder) as file:
            await asyncio.to_thread(file.write, snippet)
            file.seek(0)
            try:
                analysis = await sandbox.fingerprint(
                    file, snippet_s=MAX_SNIPPET_S, wall_s=WALL_S, limits=limits
                )
                return _read_result(analysis)
            except AnalysisCrashed as error:
                raise SnippetRefused(
                    "The snippet could not be decoded.",
                    code="snippet_unheard",
                    remedy="Try again, or in another format.",
                ) from error
            finally:
                with suppress(OSError):
                    sandbox.clear()

    async def _read_visible(self, token: str, recordings: list[str]) -> dict[str, dict[str, Any]]:
        """Read those of the recordings that the bearer of a token may see."""
        if not recordings:
            return {}
        with translate_errors("reading recordings as the caller"):
            response = await self._http.get(
                f"{self._settings.supabase_url}/rest/v1/audio_files",
                params={"select": "id,title,user_id", "id": f"in.({','.join(recordings)})"},
                headers={"apikey": self._settings.public_key, "authorization": f"Bearer {token}"},
            )
            response.raise_for_status()
            return {str(row["id"]): row for row in response.json()}


def describe_body() -> dict[str, Any]:
    """The request body for the OpenAPI document. FastAPI would read and keep a body that it knows of."""
    raw = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"file": raw}, "required": ["file"]}
    content = {"audio/*": {"schema": raw}, "multipart/form-data": {"schema": form}}
    return {"requestBody": {"required": True, "content": content}}


def _read_result(analysis: Analysis) -> tuple[Fingerprint, float]:
    record = analysis.record | {"analysis_version": VERSION}
    fingerprint = Results(record, analysis.folder).read_fingerprint(record)
    heard_s = record.get("heard_s")
    if fingerprint is None or not isinstance(heard_s, float | int):
        raise AnalysisCrashed("The child left no fingerprint.")
    return fingerprint, float(heard_s)
