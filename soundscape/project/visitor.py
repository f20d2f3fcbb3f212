"""A project as a frontend sees it: a user with the public key. Not for the worker."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from realtime import RealtimePostgresChangesListenEvent
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from soundscape.errors import ProjectError

JOIN_TIMEOUT_S = 30.0


class ConfirmationWanted(ProjectError):
    """The project made the user, but wants the address confirmed before anybody signs in."""

    code = "confirmation_wanted"

    def __init__(self, user_id: str) -> None:
        super().__init__(
            "The project wants e-mail addresses confirmed. This needs sign-up without confirmation.",
            remedy="Turn off Confirm email (Authentication → Sign In / Providers), or use a staging project.",
        )
        self.user_id = user_id
        """The user that was made; empty if the project does not say."""


class Visitor:
    """A signed-up user of the project. Methods raise what supabase-py raises."""

    def __init__(self, client: AsyncClient, user_id: str, *, email: str, password: str) -> None:
        self.client = client
        self.user_id = user_id
        self.email = email
        self.password = password

    async def upload(self, name: str, file: Path | bytes, content_type: str) -> None:
        """Put a file into the bucket audio-files."""
        await self.client.storage.from_("audio-files").upload(name, file, {"content-type": content_type})

    async def describe(self, name: str, title: str, **columns: Any) -> dict[str, Any]:
        """Insert the recording's row and return it."""
        rows = (
            await self.client.table("audio_files")
            .insert({"title": title, "file_path": name, **columns})
            .execute()
        ).data
        return cast("dict[str, Any]", rows[0])

    async def features(self, audio_id: str) -> dict[str, Any] | None:
        """Read the results of the analysis; None if there are none."""
        rows = (await self.client.table("audio_features").select("*").eq("audio_id", audio_id).execute()).data
        return cast("dict[str, Any]", rows[0]) if rows else None

    @asynccontextmanager
    async def listening(self, note: Callable[[dict[str, Any]], None]) -> AsyncIterator[None]:
        """Call `note` with each new state of the user's own recordings while the block runs.

        Raises `ProjectError` if realtime refuses the subscription, `TimeoutError` if it does not answer.
        """
        joined, failures, settled = set[str](), list[str](), asyncio.Event()

        def state_changed(state: Any, error: Exception | None) -> None:
            if str(state).endswith("SUBSCRIBED"):
                joined.add("channel")
            else:
                failures.append(str(error or state))
            if failures or len(joined) == 2:
                settled.set()

        def system(payload: Any) -> None:
            if payload.status != "ok":
                failures.append(str(payload.message))
            elif payload.extension == "postgres_changes":
                joined.add("changes")
            if failures or len(joined) == 2:
                settled.set()

        def changed(payload: Any) -> None:
            note(payload["data"]["record"])

        channel = self.client.channel(f"recordings-of-{self.user_id}")
        channel.on_postgres_changes(
            RealtimePostgresChangesListenEvent.All,
            schema="public",
            table="audio_files",
            filter=f"user_id=eq.{self.user_id}",
            callback=changed,
        )
        channel.on_system(system)
        await channel.subscribe(state_changed)
        try:
            async with asyncio.timeout(JOIN_TIMEOUT_S):
                await settled.wait()
        except TimeoutError as error:
            raise TimeoutError("realtime did not answer the subscription") from error
        if failures:
            await self.client.remove_channel(channel)
            raise ProjectError(f"realtime did not subscribe: {failures[0]}", code="realtime_refused")
        try:
            yield
        finally:
            await self.client.remove_channel(channel)

    @asynccontextmanager
    async def listening_to(
        self, topic: str, events: Iterable[str], note: Callable[[dict[str, Any]], None]
    ) -> AsyncIterator[None]:
        """Call `note` with the payload of each broadcast of a private topic while the block runs.

        Raises `ProjectError` if the user may not join the topic, `TimeoutError` if there is no answer.
        """
        answered: asyncio.Future[Exception | str | None] = asyncio.get_running_loop().create_future()

        def state_changed(state: Any, error: Exception | None) -> None:
            if not answered.done():
                answered.set_result(None if str(state).endswith("SUBSCRIBED") else error or str(state))

        private: Any = {"config": {"broadcast": None, "presence": None, "private": True}}
        channel = self.client.channel(topic, private)
        for event in events:
            channel.on_broadcast(event, lambda message: note(message["payload"]))
        await channel.subscribe(state_changed)
        try:
            async with asyncio.timeout(JOIN_TIMEOUT_S):
                refused = await answered
            if refused is not None:
                raise ProjectError(f"the private topic cannot be joined: {refused}", code="realtime_refused")
            yield
        except TimeoutError as error:
            raise TimeoutError("realtime did not answer the join of a private topic") from error
        finally:
            await self.client.remove_channel(channel)


async def sign_up(url: str, public_key: str, *, called: str) -> Visitor:
    """Sign up and sign in a new user with an unused address. The caller closes `visitor.client.realtime`.

    Raises `ConfirmationWanted` if the project wants addresses confirmed.
    """
    client = await acreate_client(url, public_key, AsyncClientOptions(auto_refresh_token=False))
    email, password = f"{called}-{secrets.token_hex(6)}@example.com", secrets.token_urlsafe(16)
    answer = await client.auth.sign_up({"email": email, "password": password})
    if answer.user is None or answer.session is None:
        raise ConfirmationWanted(answer.user.id if answer.user else "")
    await client.realtime.set_auth(answer.session.access_token)
    return Visitor(client, answer.user.id, email=email, password=password)


@asynccontextmanager
async def signed_up_visitor(url: str, public_key: str, *, called: str = "demo") -> AsyncIterator[Visitor]:
    """Sign up a new user, and close their sockets afterwards."""
    visitor = await sign_up(url, public_key, called=called)
    try:
        yield visitor
    finally:
        await visitor.client.realtime.close()
