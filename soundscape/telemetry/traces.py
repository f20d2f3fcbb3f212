"""Traces by OpenTelemetry, when an endpoint for them is configured; otherwise nothing happens here.

A trace's id is the job's `trace_id`, made with the job in the upload's own transaction: every attempt, by
whichever worker, is a span of that one trace, and log lines carry the same id as `trace.id`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from soundscape import __version__
from soundscape.errors import SettingsError
from soundscape.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

FLUSH_TIMEOUT_S = 5
_trace_id: ContextVar[int | None] = ContextVar("trace_id", default=None)
_provider: TracerProvider | None = None


class Span(Protocol):
    """As much of a span as is used here."""

    def set_attribute(self, key: str, value: Any) -> None:
        """Say something about it."""


class _Untraced:
    def set_attribute(self, key: str, value: Any) -> None:
        """Nobody listens."""


_UNTRACED = _Untraced()


def configure(settings: Settings) -> None:
    """Send traces to `settings.otlp_endpoint` from now on; without one, do nothing.

    Raises `SettingsError` when the packages for it are not installed.
    """
    global _provider
    if settings.otlp_endpoint is None or _provider is not None:
        return
    try:
        import requests
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
        from opentelemetry.util.re import parse_env_headers
    except ImportError as error:
        raise SettingsError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, and {error.name} is not installed.",
            code="telemetry_missing",
            remedy='Install it: pip install "soundscape[telemetry]", or leave the endpoint out.',
        ) from error

    class JobIds(RandomIdGenerator):
        """A trace begun within a job is the job's."""

        def generate_trace_id(self) -> int:
            return _trace_id.get() or super().generate_trace_id()

    session = requests.Session()
    session.trust_env = False
    session.max_redirects = 0
    exporter = OTLPSpanExporter(
        endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces",
        headers=parse_env_headers(settings.otlp_headers, liberal=True),
        timeout=FLUSH_TIMEOUT_S,
        session=session,
    )
    _provider = TracerProvider(
        resource=Resource.create({"service.name": "soundscape", "service.version": __version__}),
        id_generator=JobIds(),
        shutdown_on_exit=False,
    )
    _provider.add_span_processor(BatchSpanProcessor(exporter))


async def shut_down() -> None:
    """Send what is waiting, and trace no more."""
    global _provider
    if _provider is not None:
        ended, _provider = _provider, None
        await asyncio.to_thread(ended.shutdown)


@contextmanager
def span(name: str, **attributes: Any) -> Iterator[Span]:
    """A span under the one that is open; an exception that leaves the block is its error."""
    if _provider is None:
        yield _UNTRACED
        return
    tracer = _provider.get_tracer("soundscape", __version__)
    with tracer.start_as_current_span(name, attributes=attributes) as opened:
        yield opened


@contextmanager
def job_span(trace_id: str, job_id: int, audio_id: str, attempt: int) -> Iterator[Span]:
    """The span of one attempt at a job: the first of its own in the job's trace."""
    # An id that is none, of a project deployed by somebody else, gives a trace with an id of its own.
    number = int(trace_id, 16) if len(trace_id) == 32 and set(trace_id) <= set("0123456789abcdef") else None
    before = _trace_id.set(number)
    try:
        with span(
            "job",
            **{"soundscape.job.id": job_id, "soundscape.audio.id": audio_id, "soundscape.attempt": attempt},
        ) as opened:
            yield opened
    finally:
        _trace_id.reset(before)
