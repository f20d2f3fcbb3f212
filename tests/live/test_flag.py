"""The flag `live_listening`: users without it are refused. A session that has begun goes on."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from soundscape.cli.embedded_project import Project
from tests.live.conversation import sign_up, talk
from tests.live.test_live import make_sound


@pytest.fixture
def flag(embedded: Project) -> Iterator[psycopg.Connection]:
    """A connection to change the flag. Afterwards it is on for everybody."""
    change = "update public.feature_flags set state = 'on', user_ids = '{}' where key = 'live_listening'"
    with psycopg.connect(embedded.db_url, autocommit=True) as connection:
        yield connection
        connection.execute(change)


@pytest.mark.parametrize("state", ["off", "some"])
async def test_who_does_not_have_it_is_told_so(
    embedded: Project, flag: psycopg.Connection, state: str
) -> None:
    # Users that the worker has not asked for yet: it knows an answer for a second.
    user, other = await sign_up(embedded), await sign_up(embedded)
    flag.execute(
        "update public.feature_flags set state = %s, user_ids = %s where key = 'live_listening'",
        [state, [other.id]],
    )
    async with talk(embedded.url) as conversation:
        await conversation.say("start", token=user.token, format="s16le", sample_rate=48_000, channels=2)
        assert await conversation.end() == (4403, "Live listening is switched off here.")
    assert [answer["type"] for answer in conversation.answers] == ["error"]
    async with talk(embedded.url) as conversation:
        await conversation.say("start", token=other.token, format="s16le", sample_rate=48_000, channels=2)
        if state == "some":
            await conversation.answer("started")
        else:
            assert (await conversation.end())[0] == 4403


async def test_a_session_that_goes_on_is_not_ended_by_it(embedded: Project, flag: psycopg.Connection) -> None:
    user = await sign_up(embedded)
    async with talk(embedded.url) as conversation:
        await conversation.start(user.token)
        flag.execute("update public.feature_flags set state = 'off' where key = 'live_listening'")
        await conversation.send(make_sound(0.2))
        await conversation.say("stop")
        assert (await conversation.end())[0] == 1000
    assert conversation.of_kind("record")
