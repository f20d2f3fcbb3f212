"""Traces by OpenTelemetry. Without a configured endpoint nothing happens here.

The id of a trace is the job's `trace_id`, made with the job in the transaction of the upload. Every attempt,
of any worker, is a span of that trace. Log lines carry the same id as `trace.id`.
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
    """The part of a span that is used here."""

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute."""


class _Untraced:
    def set_attribute(self, key: str, value: Any) -> None:
        """Do nothing."""


_UNTRACED = _Untraced()


def configure(settings: Settings) -> None:
    """Send traces to `settings.otlp_endpoint` from now on. Without one, do nothing.

    Raises
    ------
    SettingsError
        If the packages for it are not installed.
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
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, but {error.name} is not installed.",
            code="telemetry_missing",
            remedy='Install it: pip install "soundscape[telemetry]", or leave the endpoint out.',
        ) from error

    class JobIds(RandomIdGenerator):
        """Gives a trace that begins within a job the id of the job."""

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
    """Send the remaining spans and stop tracing."""
    global _provider
    if _provider is not None:
        ended, _provider = _provider, None
        await asyncio.to_thread(ended.shutdown)


@contextmanager
def span(name: str, **attributes: Any) -> Iterator[Span]:
    """Open a span below the current one. An exception that leaves the block is its error."""
    if _provider is None:
        yield _UNTRACED
        return
    tracer = _provider.get_tracer("soundscape", __version__)
    with tracer.start_as_current_span(name, attributes=attributes) as opened:
        yield opened


@contextmanager
def job_span(trace_id: str, job_id: int, audio_id: str, attempt: int) -> Iterator[Span]:
    """Open the span of one attempt, in the trace of its job."""
    # If the id is invalid, the trace gets an id of its own.
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
