"""Exchanges an API key for an access token of its owner.

No signing key of the project is needed. The admin API makes the token of a sign-in link, which is not sent
to anybody, and `/verify` turns it into a session, as Auth does for a link in a mail
(https://github.com/supabase/auth, internal/api/mail.go and verify.go). The session is recorded in the
database, which holds it to the key's scope, and then ended in Auth. Its access token stays valid for the Data
API, Storage and Realtime until it expires. Auth refuses it (`session_not_found`), so that no script changes
the user's address or password with it, or prolongs it.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from weakref import WeakValueDictionary

import httpx
import jwt
from supabase import AsyncClient

from soundscape.errors import ProjectError, ProjectUnreachable, RequestRefused
from soundscape.project.client import translate_errors
from soundscape.project.functions import Functions

KEY = re.compile(r"soundscape_[0-9a-f]{48}")
ATTEMPTS = 5
"""Two requests for one user at once spend each other's link."""
NEW_KEY = "Make a new one: soundscape keys make."


class KeyRefused(RequestRefused):
    """The API key gives no session."""

    code = "api_key_invalid"
    status = 401


@dataclass(frozen=True)
class KeySession:
    """A session for an API key."""

    access_token: str = field(repr=False)
    expires_in_s: int
    expires_at_s: int
    """Seconds since 1970."""
    user_id: str
    scope: str


class KeySessions(Functions):
    """Opens sessions, with the project's secret key.

    Parameters
    ----------
    client, http
        As `soundscape.project.client.connect` yields them.
    url, secret_key
        The project.
    """

    def __init__(self, client: AsyncClient, http: httpx.AsyncClient, *, url: str, secret_key: str) -> None:
        super().__init__(client)
        self._http = http
        self._url = url
        self._secret_key = secret_key
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def open(self, api_key: str, *, address: str | None = None) -> KeySession:
        """Exchange the key.

        Parameters
        ----------
        api_key
            The whole key.
        address
            Network address of the client. Auth counts it where the project forwards addresses
            (https://supabase.com/docs/guides/auth/rate-limits); without it, this machine's own.

        Raises
        ------
        KeyRefused
            If the key is unknown, revoked, expired or used too often, or if its owner cannot sign in.
        ProjectError
            If the project does not answer as it should.
        """
        if KEY.fullmatch(api_key) is None:
            raise _REFUSALS["unknown"]()
        # A key is compared by its hash alone: how long that takes tells nothing about the key.
        digest = hashlib.sha256(api_key.encode()).hexdigest()
        (found,) = await self._call("open_key_session", key_hash=digest)
        if found["problem"] is not None:
            raise _REFUSALS[found["problem"]]()
        lock = self._locks.setdefault(found["user_id"], asyncio.Lock())
        async with lock:
            signed_in = await self._sign_in(found["user_id"], found["email"], address)
        with translate_errors("a session for an API key"):
            token = str(signed_in["access_token"])
            claims = _read_claims(token)
            session_id, expires_at_s = str(claims["session_id"]), int(claims["exp"])
            expires_in_s = int(signed_in["expires_in"])
        # In this order: whoever has the token is held to the scope, and Auth refuses the token.
        is_valid = await self._call(
            "record_key_session",
            key=found["key_id"],
            session=session_id,
            expires_at=_as_timestamp(expires_at_s),
        )
        await self._end_in_auth(token)
        if not is_valid:
            raise _REFUSALS["unknown"]()
        return KeySession(token, expires_in_s, expires_at_s, found["user_id"], found["scope"])

    async def _sign_in(self, user_id: str, email: str, address: str | None) -> dict[str, Any]:
        for attempt in range(ATTEMPTS):
            try:
                return await self._try_sign_in(user_id, email, address)
            # `otp_expired`: another request spent the link. Auth answers 500 where two make one at once.
            except (_AuthRefused, ProjectUnreachable) as failed:
                if isinstance(failed, _AuthRefused) and failed.auth_code != "otp_expired":
                    raise
                if attempt == ATTEMPTS - 1:
                    raise
            await asyncio.sleep(random.uniform(0, 0.2 * 2**attempt))  # noqa: S311 - no secret
        raise AssertionError("unreachable")

    async def _try_sign_in(self, user_id: str, email: str, address: str | None) -> dict[str, Any]:
        link = await self._ask_auth("admin/generate_link", {"type": "magiclink", "email": email})
        if link.get("id") != user_id:
            # The address changed hands a moment ago. Auth makes a user for an address that has none.
            if link.get("verification_type") == "signup":
                await self._ask_auth(f"admin/users/{link['id']}", method="DELETE")
            raise _REFUSALS["no_address"]()
        proof = {"type": "magiclink", "token_hash": link.get("hashed_token")}
        try:
            return await self._ask_auth("verify", proof, address=address)
        except _AuthRefused as refused:
            if refused.auth_code == "user_banned":
                raise _REFUSALS["banned"]() from None
            raise

    async def _end_in_auth(self, token: str) -> None:
        try:
            await self._ask_auth("logout?scope=local", bearer=token)
        except _AuthRefused as refused:
            # Ended already, for example because the project allows one session per user.
            if refused.auth_code not in ("session_not_found", "user_not_found"):
                raise

    async def _ask_auth(
        self,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        method: str = "POST",
        bearer: str | None = None,
        address: str | None = None,
    ) -> dict[str, Any]:
        headers = {"apikey": self._secret_key, "authorization": f"Bearer {bearer or self._secret_key}"}
        if address is not None:
            headers["sb-forwarded-for"] = address
        with translate_errors(f"auth {path.partition('?')[0]}"):
            response = await self._http.request(
                method, f"{self._url}/auth/v1/{path}", json=body, headers=headers
            )
            answer = response.json() if response.content else {}
            if not isinstance(answer, dict):
                raise ValueError("no JSON object")
        if response.is_success:
            return answer
        if response.status_code == 429:
            raise _REFUSALS["too_many"]()
        if response.status_code >= 500:
            raise ProjectUnreachable(f"auth {path}: HTTP {response.status_code}", remedy="Try again.")
        raise _AuthRefused(path, response.status_code, str(answer.get("error_code") or answer.get("code")))


# What `open_key_session` finds, and what the client is told.
_REFUSALS: dict[str, Callable[[], KeyRefused]] = {
    "unknown": lambda: KeyRefused(
        "The API key is not valid: it is unknown, revoked or has expired.",
        remedy=NEW_KEY,
        headers={"WWW-Authenticate": "Bearer"},
    ),
    "too_many": lambda: KeyRefused(
        "The API key was exchanged too often.",
        status=429,
        code="too_many_requests",
        remedy="Keep a token until it expires. Try again in an hour.",
        headers={"Retry-After": "3600"},
    ),
    "no_address": lambda: KeyRefused(
        "The owner of this API key has no confirmed e-mail address to sign in with.",
        status=403,
        code="api_key_without_address",
        remedy="Confirm an e-mail address. Accounts of single sign-on cannot use API keys.",
    ),
    "banned": lambda: KeyRefused(
        "The owner of this API key is banned.", status=403, code="user_banned", remedy="Ask the project."
    ),
    "not_enforced": lambda: KeyRefused(
        "API keys are off, because the Data API of this project would not hold them to their scope.",
        status=503,
        code="api_keys_not_enforced",
        remedy="For operators: run soundscape deploy, which sets pgrst.db_pre_request.",
    ),
}


class _AuthRefused(ProjectError):
    def __init__(self, path: str, status: int, auth_code: str) -> None:
        super().__init__(f"auth {path}: HTTP {status} {auth_code}", remedy="Check the secret key.")
        self.auth_code = auth_code


def _read_claims(token: str) -> dict[str, Any]:
    """Raises `ValueError`. The signature needs no check: Auth itself sent the token."""
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError as error:
        raise ValueError(f"no access token: {error}") from error
    return claims


def _as_timestamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
