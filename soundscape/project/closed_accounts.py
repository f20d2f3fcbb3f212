"""Accounts that are being deleted. The SQL behind each call: supabase/migrations/*_account_deletion.sql."""

from __future__ import annotations

import httpx
from supabase import AuthApiError, AuthError

from soundscape.errors import ProjectError, ProjectUnreachable
from soundscape.project.functions import Functions

EMPTYING_S = 3
"""Of one call. Below every time limit of the API."""


class ClosedAccounts(Functions):
    """Closed accounts, to empty and delete. Methods raise `ProjectUnreachable` or `ProjectError`."""

    async def empty(self) -> int:
        """Delete rows of closed accounts for some seconds. Returns how many are not empty yet.

        0 if there was nothing to do: other workers empty them, or they are tried again later.
        """
        return int(await self._call("empty_accounts", max_s=EMPTYING_S))

    async def list_emptied(self) -> list[str]:
        """List accounts of which nothing is left but the auth user."""
        return [str(user_id) for user_id in await self._call("emptied_accounts")]

    async def delete_user(self, user_id: str) -> None:
        """Delete an auth user. It is no error if a former call, cut short, did so."""
        try:
            await self._client.auth.admin.delete_user(user_id)
        except AuthApiError as error:
            if error.status != 404:
                raise ProjectError(
                    f"deleting a user: {error.message}", code="user_not_deleted", remedy="It is tried again."
                ) from error
        except (AuthError, httpx.HTTPError) as error:
            raise ProjectUnreachable(f"deleting a user: {error}", remedy="It is tried again.") from error
