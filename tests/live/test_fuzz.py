"""Whatever a client says in whatever order: it is answered, ends with a code of ours, and harms nobody."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from soundscape.cli.embedded_project import Project
from soundscape.live import endings
from tests.live.conversation import sign_up, talk

CODES = {ending.code for ending in endings.ALL}
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20))
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
starts = st.fixed_dictionaries(
    {"type": st.just("start"), "token": st.sampled_from(["TOKEN", "TOKEN", "TOKEN", "HALF", ""])},
    optional={
        "format": st.sampled_from(["s16le", "f32le", "wav"]),
        "sample_rate": st.one_of(st.sampled_from([8_000, 48_000, 192_000]), st.integers()),
        "channels": st.one_of(st.integers(1, 8), st.integers()),
        "features": st.lists(
            st.sampled_from(["levels", "spectrum", "pitch", "key", "match", "x"]), max_size=4
        ),
        "rate_hz": st.one_of(st.floats(1, 50), st.floats()),
        "save": anything,
    },
)
good_start = st.just(
    {"type": "start", "token": "TOKEN", "format": "f32le", "sample_rate": 48_000, "channels": 1}
)
texts = st.one_of(
    starts,
    good_start,
    st.fixed_dictionaries({"type": st.sampled_from(["stop", "flush", "keep_alive", "token", "resume"])}),
    st.fixed_dictionaries({"type": st.just("token"), "token": st.sampled_from(["TOKEN", "HALF"])}),
    st.dictionaries(st.sampled_from(["type", "token", "format", "x"]), anything, max_size=4),
).map(json.dumps)
messages = st.one_of(texts, texts, st.text(max_size=50), st.binary(max_size=4000))


@given(
    st.one_of(st.lists(messages, max_size=8), st.lists(messages, max_size=8).map(lambda rest: [START, *rest]))
)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_any_sequence_of_messages(embedded: Project, said: list[str | bytes]) -> None:
    async def main() -> None:
        user = await sign_up(embedded)
        async with talk(embedded.url) as conversation:
            try:
                for message in said:
                    if isinstance(message, str):
                        message = message.replace("TOKEN", user.token).replace("HALF", user.token[:100])
                    await conversation.socket.send(message)
                await conversation.say("stop")
            except ConnectionClosed:
                pass
            code, _ = await conversation.end()
        assert code in CODES
        if conversation.of_kind("started"):
            assert conversation.answers[-1]["type"] == "stopped"

    asyncio.run(main())
    assert httpx.get(f"{embedded.url}/api/health/live").status_code == 200


START: Any = json.dumps(
    {"type": "start", "token": "TOKEN", "format": "f32le", "sample_rate": 48_000, "channels": 1}
)
