"""Flags as the worker asks for them: the database's answer, and the default where there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import structlog
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode

from soundscape.errors import ProjectError, ProjectUnreachable
from soundscape.project import flags as flags_module
from soundscape.project.flag_provider import FlagProvider
from soundscape.project.flags import Flags
from tests.waiting import LIMIT_S

from .conftest import WorkerClients

USERS = [str(UUID(int=0x4000_8000 << 64 | number)) for number in range(200)]


@pytest.fixture
def flag(clients: WorkerClients) -> Iterator[str]:
    clients.sql(
        "insert into public.feature_flags (key, description, state, percentage, user_ids)"
        " values ('test', 'A test', 'some', 40, %s)",
        USERS[:20],
    )
    yield "test"
    clients.sql("delete from public.feature_flags where key = 'test'")


async def test_a_switch_is_seen_within_two_seconds(clients: WorkerClients, flag: str) -> None:
    flags, user = Flags(clients.client), USERS[0]
    assert await flags.is_on(flag, user) is True
    clients.sql("update public.feature_flags set state = 'off' where key = 'test'")
    loop = asyncio.get_running_loop()
    switched_at = loop.time()
    while await flags.is_on(flag, user):
        assert loop.time() - switched_at < LIMIT_S
        await asyncio.sleep(0.05)
    # What is promised, where the machine is free: the answer is kept for a second.
    assert flags_module.CACHED_S <= 1.0


async def test_an_unknown_flag_is_its_default_and_logged_once(clients: WorkerClients) -> None:
    flags = Flags(clients.client)
    with structlog.testing.capture_logs() as logs:
        for user in (None, *USERS[:3]):
            assert await flags.is_on("test_unknown", user) is False
            assert await flags.is_on("test_unknown", user, default=True) is True
    assert [(entry["event"], entry["flag"]) for entry in logs] == [
        ("a flag is not known, its default is used", "test_unknown")
    ]


async def test_openfeature_says_why_it_returns_the_default(clients: WorkerClients, flag: str) -> None:
    api.set_provider(FlagProvider(Flags(clients.client)), domain="reasons")
    client = api.get_client(domain="reasons")
    try:
        unknown = await client.get_boolean_details_async("test_unknown", True)
        assert (unknown.value, unknown.error_code) == (True, ErrorCode.FLAG_NOT_FOUND)
        typed = await client.get_string_details_async(flag, "none")
        assert (typed.value, typed.error_code) == ("none", ErrorCode.TYPE_MISMATCH)
        known = await client.get_boolean_details_async(flag, False, EvaluationContext(targeting_key=USERS[0]))
        assert (known.value, known.variant, known.error_code) == (True, "on", None)
        assert client.get_boolean_details(flag, True).error_code == ErrorCode.GENERAL
    finally:
        api.clear_providers()


async def test_a_project_that_does_not_answer(
    clients: WorkerClients, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last answer holds; without one, the default."""
    monkeypatch.setattr(flags_module, "CACHED_S", -1.0)
    flags = Flags(clients.client)
    assert await flags.is_on(flag, USERS[0]) is True

    async def refuse(*_: object, **__: object) -> None:
        raise ProjectUnreachable("away")

    monkeypatch.setattr(flags, "_call", refuse)
    assert await flags.is_on(flag, USERS[0]) is True
    assert await flags.is_on(flag, USERS[1]) is False
    assert await flags.is_on(flag, USERS[1], default=True) is True


async def test_what_is_asked_together_is_one_request(
    clients: WorkerClients, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = Flags(clients.client)
    sizes: list[int] = []
    call = flags._call

    async def count(function: str, /, **arguments: Any) -> Any:
        sizes.append(len(arguments["keys"]))
        return await call(function, **arguments)

    monkeypatch.setattr(flags, "_call", count)
    monkeypatch.setattr(flags_module, "MAX_QUESTIONS", 150)
    answers = await asyncio.gather(*(flags.is_on(flag, user) for user in (*USERS, *USERS)))
    assert sizes == [150, 150, 100]
    assert answers[:200] == answers[200:]
    # Who goes away takes nobody's answer along.
    leaver, stayer = (asyncio.create_task(Flags.is_on(flags, flag, str(UUID(int=1)))) for _ in range(2))
    await asyncio.sleep(0)
    leaver.cancel()
    assert await stayer in (True, False)


async def test_a_question_that_no_project_can_answer_spoils_no_other(
    clients: WorkerClients, flag: str
) -> None:
    flags = Flags(clients.client)
    answers = await asyncio.gather(
        *(flags.is_on(key, user, default=True) for key, user in (("A flag\0", None), (flag, "no uuid"))),
        flags.is_on(flag, USERS[0]),
    )
    assert answers == [True, True, True]
    with pytest.raises(flags_module.UnknownFlag):
        await flags.evaluate("A flag\0")
    with pytest.raises(ProjectError) as refused:
        await flags.evaluate(flag, "no uuid")
    assert refused.value.code == "flag_user_invalid"
    assert await flags.is_on(flag, USERS[0].upper()) is True
