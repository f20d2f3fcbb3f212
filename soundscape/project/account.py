"""The user in whose name a command works: signed in by an API key, or by address and password."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from soundscape.errors import ProjectError
from soundscape.project.client import translate_errors
from soundscape.project.retries import raise_if_passing, retry
from soundscape.settings import UserSettings

RENEW_BEFORE_S = 300.0
"""A token is renewed when less of its time is left: a request may take minutes."""


class SignInRefused(ProjectError):
    """The API key, or the address and password, are not accepted."""

    code = "sign_in_refused"


@dataclass(frozen=True)
class _Session:
    access_token: str = field(repr=False)
    expires_at_s: float
    user_id: str
    refresh_token: str | None = field(default=None, repr=False)


class Account:
    """A signed-in user. Made by `sign_in`."""

    def __init__(
        self,
        settings: UserSettings,
        http: httpx.AsyncClient,
        session: _Session,
        renew: Callable[[_Session], Awaitable[_Session]],
    ) -> None:
        self.url = settings.supabase_url
        self.http = http
        self._public_key = settings.public_key
        self._session = session
        self._renew = renew
        self._lock = asyncio.Lock()

    @property
    def user_id(self) -> str:
        """The user's id."""
        return self._session.user_id

    async def headers(self) -> dict[str, str]:
        """Return the headers of a request as this user. Renews the token in time.

        Raises
        ------
        SignInRefused
            If the token cannot be renewed, for example because the API key was revoked.
        """
        async with self._lock:
            if self._session.expires_at_s - time.time() < RENEW_BEFORE_S:
                self._session = await self._renew(self._session)
        return {"apikey": self._public_key, "authorization": f"Bearer {self._session.access_token}"}

    async def client(self) -> AsyncClient:
        """Make a supabase-py client for this user. It lasts as long as the present token."""
        options = AsyncClientOptions(
            auto_refresh_token=False,
            persist_session=False,
            headers={"Authorization": (await self.headers())["authorization"]},
            httpx_client=self.http,
        )
        return await acreate_client(self.url, self._public_key, options)


@asynccontextmanager
async def sign_in(settings: UserSettings, http: httpx.AsyncClient) -> AsyncIterator[Account]:
    """Sign in as the settings say: by the API key if there is one.

    Raises
    ------
    SignInRefused
        If the project does not accept it.
    ProjectUnreachable
        If it does not answer, after several attempts.
    """

    async def renew(session: _Session | None) -> _Session:
        return await retry(lambda: renew_once(session))

    async def renew_once(session: _Session | None) -> _Session:
        if settings.api_key is not None:
            return await _exchange_key(settings, http)
        if session is not None and session.refresh_token is not None:
            return await _ask_auth(settings, http, "refresh_token", {"refresh_token": session.refresh_token})
        given = {"email": settings.email, "password": settings.password}
        return await _ask_auth(settings, http, "password", given)

    account = Account(settings, http, await renew(None), renew)
    try:
        yield account
    finally:
        if settings.api_key is None:
            with translate_errors("signing out"):
                await http.post(
                    f"{settings.supabase_url}/auth/v1/logout?scope=local", headers=await account.headers()
                )


async def _exchange_key(settings: UserSettings, http: httpx.AsyncClient) -> _Session:
    worker = settings.worker_url or settings.supabase_url
    with translate_errors("exchanging the API key"):
        answer = await http.post(
            f"{worker}/api/token", headers={"authorization": f"Bearer {settings.api_key}"}
        )
        raise_if_passing(answer, "The worker")
        reply: dict[str, Any] = answer.json()
        if answer.is_success:
            return _Session(reply["access_token"], float(reply["expires_at"]), str(reply["user_id"]))
        raise SignInRefused(
            str(reply.get("message")), code=str(reply.get("code")), remedy=str(reply.get("remedy"))
        )


async def _ask_auth(
    settings: UserSettings, http: httpx.AsyncClient, grant: str, given: dict[str, Any]
) -> _Session:
    with translate_errors("signing in"):
        answer = await http.post(
            f"{settings.supabase_url}/auth/v1/token",
            params={"grant_type": grant},
            json=given,
            headers={"apikey": settings.public_key},
        )
        raise_if_passing(answer, "Auth")
        reply: dict[str, Any] = answer.json()
        if answer.is_success:
            expires_at_s = time.time() + float(reply["expires_in"])
            return _Session(
                reply["access_token"], expires_at_s, str(reply["user"]["id"]), reply.get("refresh_token")
            )
        raise SignInRefused(
            f"Auth refuses the sign-in: {reply.get('msg') or answer.status_code}.",
            remedy="Check the address and the password.",
        )
