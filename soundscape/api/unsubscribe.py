"""The link in a mail that ends mails like it: a page for people, a POST for mail programs (RFC 8058)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse
from supabase import AsyncClient

from soundscape.api.access import Access
from soundscape.project.client import connect
from soundscape.project.outbox import Outbox
from soundscape.settings import Settings
from soundscape.worker.letters import LANGUAGES, write_unsubscribe_page
from soundscape.worker.unsubscription import InvalidToken, Unsubscription

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    # The address is the permission.
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
}
Token = Annotated[str, Query(description="The signed token of the link.")]
_HTML: dict[str, Any] = {"response_class": HTMLResponse, "tags": ["notifications"]}


def make_router(settings: Settings, access: Access) -> APIRouter:
    """Make the routes of `/notifications/unsubscribe`."""
    router = APIRouter()
    links = Unsubscription(settings.webhook_secrets)

    @router.get("/notifications/unsubscribe", **_HTML)
    async def ask(request: Request, token: Token) -> Response:
        """Ask whether to end mails. It changes nothing: programs open links in mails to look at them."""
        _count(request, access)
        try:
            _, kinds = links.read_token(token)
        except InvalidToken:
            return _page(request, [], "invalid")
        return _page(request, kinds, "ask")

    @router.post("/notifications/unsubscribe", **_HTML)
    async def unsubscribe(request: Request, token: Token) -> Response:
        """End mails of the kinds in the link, without a session. The body is not read."""
        _count(request, access)
        try:
            user_id, kinds = links.read_token(token)
        except InvalidToken:
            return _page(request, [], "invalid")
        async with connect(settings.supabase_url, settings.secret_key) as (client, _):
            await _unsubscribe(client, user_id, kinds)
        return _page(request, kinds, "done")

    return router


async def _unsubscribe(client: AsyncClient, user_id: str, kinds: list[str]) -> None:
    await Outbox(client).unsubscribe(user_id, kinds)


def _count(request: Request, access: Access) -> None:
    access.rates.count_address(request.client.host if request.client else None)


def _page(request: Request, kinds: list[str], state: str) -> Response:
    wanted = request.headers.get("accept-language", "")[:2].lower()
    language = wanted if wanted in LANGUAGES else LANGUAGES[0]
    return HTMLResponse(
        write_unsubscribe_page(language, kinds, state=state),
        status_code=400 if state == "invalid" else 200,
        headers=HEADERS | {"content-language": language},
    )
