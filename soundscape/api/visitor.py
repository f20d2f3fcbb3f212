"""Reads of a route's caller: rows and signed addresses, with the caller's own rights.

Row level security decides what a route may hand out, not the route. Without a caller the requests are
anonymous. The worker's secret key is never used here.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx

from soundscape.api.tokens import Caller, NotSignedIn
from soundscape.errors import ProjectError, ProjectUnreachable
from soundscape.project.client import http_client, translate_errors
from soundscape.settings import Settings


class VisitorRights:
    """The project as a caller or a stranger may read it.

    Methods raise `ProjectUnreachable` or `ProjectError`, and `NotSignedIn` if the caller's session has ended:
    an API key was revoked, or the account was closed. The token alone does not tell.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.supabase_url
        self._public_key = settings.public_key
        self._http = http_client()

    async def read_rows(self, caller: Caller | None, table: str, **query: str) -> list[dict[str, Any]]:
        """Read rows through the Data API. `query`: PostgREST's parameters."""
        with translate_errors(f"reading {table} for a visitor"):
            response = await self._http.get(
                f"{self._url}/rest/v1/{table}", params=query, headers=self._headers(caller)
            )
            _raise_for(response, caller, f"reading {table} for a visitor")
            rows: list[dict[str, Any]] = response.json()
            return rows

    async def require_session(self, caller: Caller) -> None:
        """Refuse a caller whose session has ended, in routes that may read nothing as the caller."""
        if not await self.read_rows(caller, "users", select="id", id=f"eq.{caller.user_id}"):
            raise NotSignedIn("The account of this session is closed.", code="session_ended")

    async def sign(self, caller: Caller | None, bucket: str, name: str, *, valid_s: int) -> str | None:
        """Sign an address of an object.

        Parameters
        ----------
        caller
            Who asks; None for a stranger.
        bucket, name
            The object.
        valid_s
            How long the address is valid, in seconds.

        Returns
        -------
        str or None
            An absolute URL. None if the caller may not read the object, or there is none.
        """
        doing = f"signing {bucket}/{name}"
        with translate_errors(doing):
            response = await self._http.post(
                f"{self._url}/storage/v1/object/sign/{bucket}/{quote(name)}",
                json={"expiresIn": valid_s},
                headers=self._headers(caller),
            )
            # Storage answers 400 with the status in the body where the object is hidden or missing.
            if response.status_code in (400, 403, 404):
                return None
            _raise_for(response, caller, doing)
            path = str(response.json()["signedURL"])
        # A proxy may have changed the name on the way, and a client would accept another host's URL.
        if unquote(urlsplit(path).path, errors="strict") != f"/object/sign/{bucket}/{name}":
            raise ProjectError(f"{doing}: another name was signed.", code="storage_refused")
        return f"{self._url}/storage/v1{path}"

    async def close(self) -> None:
        """Close connections."""
        await self._http.aclose()

    def _headers(self, caller: Caller | None) -> dict[str, str]:
        token = self._public_key if caller is None else caller.token
        return {"apikey": self._public_key, "authorization": f"Bearer {token}"}


def _raise_for(response: httpx.Response, caller: Caller | None, doing: str) -> None:
    if response.status_code == 401 and caller is not None:
        raise NotSignedIn("The project refuses the session of this access token.", code="session_ended")
    if response.status_code >= 500 or response.status_code in (401, 429):
        raise ProjectUnreachable(f"{doing}: HTTP {response.status_code}.", remedy="Try again in a moment.")
    if response.status_code != 200:
        raise ProjectError(f"{doing}: HTTP {response.status_code}.", code="project_refused")
