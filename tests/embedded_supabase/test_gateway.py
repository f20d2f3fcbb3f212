"""One port for everything: what is mounted where, what a browser may read, and work that does not give up."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from embedded_supabase import gateway
from embedded_supabase.errors import EmbeddedError
from soundscape.cli.embedded_project import Project
from tests.waiting import LIMIT_S


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/auth/v1/health", 200),
        ("/auth/v1/.well-known/jwks.json", 200),
        ("/rest/v1/users?limit=1", 200),
        ("/api/health/live", 200),
        ("/api/openapi.json", 200),
        ("/api/docs", 200),
        ("/functions/v1/anything", 404),
        ("/nothing", 404),
    ],
)
def test_where_things_are(embedded: Project, path: str, status: int) -> None:
    answer = httpx.get(f"{embedded.url}{path}", headers={"apikey": embedded.keys.publishable_key})
    assert answer.status_code == status


@pytest.mark.row("project.no-functions", "project.no-graphql", by="http")
@pytest.mark.parametrize("path", ["/functions/v1/x", "/functions/v1/x/y", "/graphql/v1", "/graphql/v1/"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_what_is_no_part_of_it(embedded: Project, method: str, path: str) -> None:
    answer = httpx.request(method, f"{embedded.url}{path}", headers={"apikey": embedded.keys.publishable_key})
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "path", ["/rest/v1/users", "/storage/v1/object/x", "/auth/v1/user", "/api/webhooks/storage"]
)
def test_any_page_may_ask(embedded: Project, path: str) -> None:
    asked = httpx.options(
        f"{embedded.url}{path}",
        headers={
            "origin": "http://a.page",
            "access-control-request-method": "POST",
            "access-control-request-headers": "apikey,authorization,x-client-info,tus-resumable,content-type",
        },
    )
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == "*"
    allowed = asked.headers["access-control-allow-headers"].lower()
    assert "tus-resumable" in allowed
    answer = httpx.get(f"{embedded.url}{path}", headers={"origin": "http://a.page"})
    exposed = answer.headers["access-control-expose-headers"].lower()
    assert {"content-range", "location", "upload-offset"} <= {name.strip() for name in exposed.split(",")}
    assert "access-control-allow-credentials" not in answer.headers


async def test_background_work_that_fails_begins_again(
    embedded: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One service fails at its start and later; the others, and the gateway itself, do not notice."""
    monkeypatch.setattr(gateway, "RESTART_DELAY_S", 0.01)
    began: list[str] = []
    cancelled: list[str] = []
    steady = asyncio.Event()

    async def flaky(_: Any) -> None:
        began.append("flaky")
        if len(began) < 4:
            raise RuntimeError("not yet")
        steady.set()
        await asyncio.Event().wait()

    async def sound(_: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("sound")
            raise

    monkeypatch.setattr(gateway, "BACKGROUND", {"flaky": flaky, "sound": sound})
    app = gateway.build(embedded.supabase)
    async with app.router.lifespan_context(app):
        async with asyncio.timeout(LIMIT_S):
            await steady.wait()
    assert (began, cancelled) == (["flaky"] * 4, ["sound"])


async def test_an_app_beside_that_does_not_start(embedded: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing starts, and nothing is left running."""
    monkeypatch.setattr(gateway, "BACKGROUND", {"idle": lambda _: asyncio.Event().wait()})

    async def lifespan(_: Starlette) -> Any:
        raise EmbeddedError("It does not start.")
        yield

    beside = Starlette(lifespan=asynccontextmanager(lifespan))
    app = gateway.build(embedded.supabase, beside={"/api": beside})
    before = asyncio.all_tasks()
    with pytest.raises(BaseExceptionGroup) as failed:
        async with app.router.lifespan_context(app):
            pass
    assert failed.group_contains(EmbeddedError)
    assert asyncio.all_tasks() == before
