"""Traces: spans of a job under the job's own id, at a collector that the test runs."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from soundscape.errors import SettingsError
from soundscape.telemetry import traces
from tests.api.test_access import settings
from tests.service import Answer, Request, Service, serving

TRACE_ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
async def ended() -> AsyncIterator[None]:
    yield
    await traces.shut_down()


def collected(service: Service) -> list[dict[str, object]]:
    """Every span that arrived."""
    found = []
    for request in service.requests:
        export = ExportTraceServiceRequest.FromString(request.body)
        for resource in export.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    attributes = {a.key: a.value.string_value or a.value.int_value for a in span.attributes}
                    found.append(
                        {"name": span.name, "trace": span.trace_id.hex(), "id": span.span_id.hex(),
                         "parent": span.parent_span_id.hex(), "failed": span.status.code == 2, **attributes}
                    )  # fmt: skip
    return found


def accepted(_: Request) -> Answer:
    return 200, {"content-type": "application/x-protobuf"}, b""


async def test_one_trace_a_job() -> None:
    async with serving(accepted) as service:
        traces.configure(settings(otlp_endpoint=service.url, otlp_headers="authorization=Bearer%20collector"))
        for attempt in (1, 2):
            with traces.job_span(TRACE_ID, 7, "an-audio-id", attempt) as span:
                with traces.span("fetch"):
                    pass
                if attempt == 1:
                    with pytest.raises(OSError), traces.span("analyze"):
                        raise OSError("the disk is full")
                span.set_attribute("event.outcome", "succeeded")
        with traces.job_span("no id of ours", 8, "another", 1):
            pass
        await traces.shut_down()
        request = service.requests[0]
        assert (request.method, request.path) == ("POST", "/v1/traces")
        assert request.headers["authorization"] == "Bearer collector"
        spans = collected(service)
    ours = [span for span in spans if span["trace"] == TRACE_ID]
    assert [span["name"] for span in ours] == ["fetch", "analyze", "job", "fetch", "job"]
    assert [span["failed"] for span in ours] == [False, True, False, False, False]
    first = ours[2]
    assert (first["parent"], first["soundscape.job.id"], first["event.outcome"]) == ("", 7, "succeeded")
    assert ours[0]["parent"] == ours[1]["parent"] == first["id"]
    (other,) = (span for span in spans if span["trace"] != TRACE_ID)
    assert other["soundscape.job.id"] == 8


async def test_without_an_endpoint_nothing_happens() -> None:
    traces.configure(settings())
    with traces.job_span(TRACE_ID, 7, "an-audio-id", 1) as span:
        span.set_attribute("event.outcome", "succeeded")
    assert traces._provider is None


async def test_a_collector_that_redirects_is_not_followed() -> None:
    async with serving(accepted) as elsewhere:

        def redirect(_: Request) -> Answer:
            return 307, {"location": f"{elsewhere.url}/v1/traces"}, b""

        async with serving(redirect) as service:
            traces.configure(settings(otlp_endpoint=service.url))
            with traces.span("job"):
                pass
            await traces.shut_down()
            assert len(service.requests) >= 1
        assert elsewhere.requests == []


def test_packages_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry.sdk")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    with pytest.raises(SettingsError) as missing:
        traces.configure(settings().model_copy(update={"otlp_endpoint": "http://127.0.0.1:9"}))
    assert missing.value.code == "telemetry_missing"
    assert "soundscape[telemetry]" in missing.value.remedy
