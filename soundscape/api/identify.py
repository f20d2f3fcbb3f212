"""`POST /api/identify`: which recordings, of those that the caller sees, a snippet comes from.

The index is asked for what the caller sees; what it names is then read in the caller's own name, under the
policies, and what that does not show is left out, whatever the index said.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import structlog
from pydantic import BaseModel
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from soundscape.api import body
from soundscape.api.rates import TooManyRequests
from soundscape.api.tokens import Caller
from soundscape.audio.limits import Limits
from soundscape.errors import AnalysisCrashed, ProjectError, RequestRefused
from soundscape.project.client import http_client, translated
from soundscape.sandbox.parent import Sandbox
from soundscape.sandbox.protocol import Analysis
from soundscape.settings import Settings
from soundscape.worker.duplicates import KINDS, evidence, fingerprint_of, matches
from soundscape.worker.loop import Worker
from soundscape.worker.results import Results

log = structlog.get_logger(__name__)

MOST_BYTES = 12 << 20
"""Thirty seconds of uncompressed stereo at 48 kHz and 24 bits, and some more."""
THROWN_AWAY_BYTES = 24 << 20
"""Read of larger ones all the same, so that their sender hears why they are refused."""
RECEIVED_WITHIN_S = 30.0
HEARD_S = 30.0
WALL_S = 20.0
MOST_WAITING = 8
MOST_WAITING_PER_CALLER = 2
WARM_AFTER_S = 10.0
"""Recordings wait when a worker starts, perhaps for a second chance: their child has the processor first."""
VERSION = "snippet"
"""What `Results` calls an analysis version; nothing of a snippet is kept."""


class Match(BaseModel):
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
    speed: float
    score: float
    other_offsets_s: list[float]


class Identified(BaseModel):
    """What a snippet was recognised as: `answer` is match, no_match or not_enough_content."""

    answer: str
    heard_s: float
    threshold: float
    matches: list[Match]


class SnippetRefused(RequestRefused):
    """No sound in the request, or nobody free to hear it."""

    code = "snippet_missing"
    status = 422


class Identifier:
    """Hears snippets in a child of its own, so that no recording waits for them."""

    def __init__(self, settings: Settings, worker: Worker) -> None:
        self._settings = settings
        self._worker = worker
        self._http = http_client()
        self._sandbox: Sandbox | None = None
        self._hearing = asyncio.Lock()
        self._waiting: Counter[str] = Counter()
        self._warming: asyncio.Task[None] | None = None

    def start(self, *, after_s: float = WARM_AFTER_S) -> None:
        """Start the child in the background, so that only who comes before `after_s` waits for it."""
        self._warming = asyncio.create_task(self._warm(after_s))

    async def answer(self, caller: Caller, request: Request) -> Identified:
        """Raises `SnippetRefused`, `BodyTooLarge`, the `Refusal` of a decoder, or `ProjectError`."""
        from soundscape.audio.fingerprint import THRESHOLD

        async with self._place(caller, request):
            fingerprint, heard_s = await self._heard(await _sound(request))
        found = await matches(self._worker.fingerprints, fingerprint, viewer=caller.user_id, any_speed=True)
        visible = await self._visible(caller, [hit.recording_id for hit in found.hits])
        hits = [
            Match(
                audio_id=hit.recording_id,
                title=visible[hit.recording_id]["title"],
                user_id=visible[hit.recording_id]["user_id"],
                kind=KINDS[hit.kind.value],
                probability=round(hit.probability, 6),
                **evidence(hit),
            )
            for hit in found.hits
            if hit.recording_id in visible
        ]
        answer = found.answer.value.replace(" ", "_")
        return Identified(
            answer="no_match" if answer == "match" and not hits else answer,
            heard_s=round(heard_s, 3),
            threshold=THRESHOLD,
            matches=hits,
        )

    async def stop(self) -> None:
        """End the child and let go of connections."""
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)
        if self._sandbox is not None:
            await self._sandbox.stop()
        await self._http.aclose()

    async def _warm(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        async with self._hearing:
            try:
                sandbox = self._child()
                if sandbox.spent:
                    await sandbox.stop()
                    await sandbox.start()
            except (AnalysisCrashed, ProjectError, OSError) as error:
                log.warning(
                    "the child for snippets did not start; the next snippet starts one", error=str(error)
                )

    def _child(self) -> Sandbox:
        if self._sandbox is None:
            self._sandbox = Sandbox(self._worker.scratch_folder)
        return self._sandbox

    @asynccontextmanager
    async def _place(self, caller: Caller, request: Request) -> AsyncIterator[None]:
        """A place among those who are heard, taken before anything of the snippet is kept: it bounds memory.

        Raises `TooManyRequests`, `SnippetRefused`.
        """
        if (refusal := self._full_for(caller)) is not None:
            await body.throw_away(request, most_bytes=THROWN_AWAY_BYTES, within_s=RECEIVED_WITHIN_S)
            raise refusal
        self._waiting[caller.user_id] += 1
        try:
            yield
        finally:
            self._waiting[caller.user_id] -= 1
            self._waiting += Counter()  # forgets who waits no more

    def _full_for(self, caller: Caller) -> RequestRefused | None:
        if self._waiting[caller.user_id] >= MOST_WAITING_PER_CALLER:
            return TooManyRequests(
                f"{MOST_WAITING_PER_CALLER} snippets of yours are waiting to be heard.",
                remedy="Ask again when they are answered.",
                headers={"Retry-After": "2"},
            )
        if self._waiting.total() >= MOST_WAITING:
            return SnippetRefused(
                "Too many snippets are waiting to be heard.",
                status=503,
                code="busy",
                remedy="Try again in a moment.",
                headers={"Retry-After": "2"},
            )
        return None

    async def _heard(self, sound: bytes) -> tuple[Any, float]:
        """The fingerprint of a snippet, and its seconds."""
        try:
            async with self._hearing:
                return await self._listen(sound)
        finally:
            if self._sandbox is not None and self._sandbox.spent:
                self.start(after_s=0)

    async def _listen(self, sound: bytes) -> tuple[Any, float]:
        sandbox = self._child()
        # Long recordings are welcome: only their beginning is heard.
        limits = Limits(max_size_bytes=MOST_BYTES)
        with tempfile.TemporaryFile(dir=self._worker.scratch_folder) as file:
            await asyncio.to_thread(file.write, sound)
            file.seek(0)
            try:
                analysis = await sandbox.listen(file, snippet_s=HEARD_S, wall_s=WALL_S, limits=limits)
                return _understood(analysis)
            except AnalysisCrashed as error:
                raise SnippetRefused(
                    "The snippet could not be heard.",
                    code="snippet_unheard",
                    remedy="Try again, or in another format.",
                ) from error
            finally:
                with suppress(OSError):
                    sandbox.clear()

    async def _visible(self, caller: Caller, recordings: list[str]) -> dict[str, dict[str, Any]]:
        """Those of the recordings that the caller's own rights show."""
        if not recordings:
            return {}
        with translated("reading recordings as the caller"):
            answer = await self._http.get(
                f"{self._settings.supabase_url}/rest/v1/audio_files",
                params={"select": "id,title,user_id", "id": f"in.({','.join(recordings)})"},
                headers={"apikey": self._settings.public_key, "authorization": f"Bearer {caller.token}"},
            )
            answer.raise_for_status()
            return {str(row["id"]): row for row in answer.json()}


def most_content() -> dict[str, Any]:
    """The request's body, for the route's documentation: read by hand, or FastAPI would keep all of it."""
    raw = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"file": raw}, "required": ["file"]}
    content = {"audio/*": {"schema": raw}, "multipart/form-data": {"schema": form}}
    return {"requestBody": {"required": True, "content": content}}


async def _sound(request: Request) -> bytes:
    """The sound in the body, or in the first file of a form. Raises `SnippetRefused`, `BodyTooLarge`."""
    data = await body.read(
        request,
        most_bytes=MOST_BYTES,
        within_s=RECEIVED_WITHIN_S,
        thrown_away_bytes=THROWN_AWAY_BYTES,
    )
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        data = await _file_in(request, data)
    if not data:
        raise SnippetRefused(
            "There is no sound in the request.", remedy="Send it as the body, or as a file in a form."
        )
    return data


async def _file_in(request: Request, data: bytes) -> bytes:
    async def whole() -> Any:
        yield data

    try:
        form = await MultiPartParser(request.headers, whole(), max_files=1, max_fields=16).parse()
    # The last two: a charset that is none, and what is not written in it.
    except (MultiPartException, LookupError, ValueError) as error:
        raise SnippetRefused(
            "The form cannot be read.", status=400, code="form_invalid", remedy="Send multipart/form-data."
        ) from error
    try:
        for _, part in form.multi_items():
            if isinstance(part, UploadFile):
                return await part.read()
    finally:
        await form.close()
    return b""


def _understood(analysis: Analysis) -> tuple[Any, float]:
    record = analysis.record | {"analysis_version": VERSION}
    fingerprint = fingerprint_of(record, Results(record, Path(analysis.folder)))
    heard_s = record.get("heard_s")
    if fingerprint is None or not isinstance(heard_s, float | int):
        raise AnalysisCrashed("The child left no fingerprint.")
    return fingerprint, float(heard_s)
