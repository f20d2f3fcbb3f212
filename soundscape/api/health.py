"""Health and metrics: what a load balancer, an orchestrator and Prometheus ask."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from soundscape.api.access import OperatorAccess
from soundscape.telemetry import metrics
from soundscape.worker.readiness import SCRAPES_CACHED_S
from soundscape.worker.worker import Worker


def make_router(
    worker: Worker, operators: OperatorAccess, gauges: Sequence[metrics.RefreshedGauges]
) -> APIRouter:
    """Make the routes `/health/live`, `/health/ready` and `/metrics`."""
    router = APIRouter()

    @router.get("/health/live", tags=["health"])
    async def live() -> dict[str, str]:
        """The process answers. This says nothing about what it depends on."""
        return {"status": "ok"}

    @router.get("/health/ready", tags=["health"])
    async def ready(request: Request) -> JSONResponse:
        """200 if the worker can work, else 503. Each check is listed by name.

        Reasons may name hosts and folders: only whoever may read the metrics gets them.
        """
        checks = await worker.run_checks()
        with_reasons = operators.is_operator(request)
        states = {check.state for check in checks.values()}
        healthy = "failed" not in states
        content = {
            "status": "unready" if not healthy else "degraded" if "degraded" in states else "ok",
            "checks": {name: check.as_dict(with_reason=with_reasons) for name, check in checks.items()},
        }
        return JSONResponse(content, status_code=200 if healthy else 503)

    @router.get("/metrics", tags=["operation"], response_class=PlainTextResponse)
    async def read_metrics(request: Request) -> Response:
        """Metrics for Prometheus. For programs on this machine, or with SOUNDSCAPE_METRICS_TOKEN."""
        operators.admit(request)
        # At once: one after the other, a project that hangs would take longer than Prometheus waits.
        refreshed = asyncio.gather(*(each.refresh() for each in gauges))
        checks, _ = await asyncio.gather(worker.run_checks(max_age_s=SCRAPES_CACHED_S), refreshed)
        metrics.set_check_gauges({name: check.state for name, check in checks.items()})
        return Response(metrics.render(), media_type=CONTENT_TYPE_LATEST)

    return router
