"""Database functions, called with the project's secret key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from supabase import AsyncClient

from soundscape.project.client import connect, translate_errors
from soundscape.settings import ProjectSettings

T = TypeVar("T")
F = TypeVar("F", bound="Functions")


class Functions:
    """A group of database functions as methods. They raise what `translate_errors` raises."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def _call(self, function: str, /, **arguments: Any) -> Any:
        with translate_errors(function):
            return (await self._client.rpc(function, arguments).execute()).data


def call_project(kind: type[F], work: Callable[[F], Awaitable[T]]) -> T:
    """Run `work(functions)` against the project that the environment names: for the command line.

    Raises `SettingsError`, and whatever `work` raises.
    """

    async def main() -> T:
        project = ProjectSettings.from_environment()
        async with connect(project.supabase_url, project.secret_key) as (client, _):
            return await work(kind(client))

    return asyncio.run(main())
