"""What is alike and what is found, as a frontend asks it."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest
from postgrest.exceptions import APIError
from supabase import AsyncClient

from .conftest import User, tone

NOBODYS = "00000000-0000-4000-8000-000000000000"
PARTS = ("timbre", "rhythm", "tonality", "tags")


async def ask(client: AsyncClient, function: str, **arguments: Any) -> list[dict[str, Any]]:
    rows: Any = (await client.rpc(function, arguments).execute()).data
    return list(rows)


async def ready(user: User, frequency_hz: float, **columns: Any) -> str:
    row = await user.add(tone(frequency_hz), **columns)
    assert (await user.ended(row["id"]))["status"] == "ready"
    return str(row["id"])


async def test_alike_from_the_moment_it_is_ready(alice: User, bob: User, anonymous: AsyncClient) -> None:
    word = secrets.token_hex(6)
    first = await ready(alice, 440.0, is_public=True, title=f"First {word}", tags=[word])
    second = await ready(alice, 441.0, is_public=True, title=f"Second {word}", tags=[word], license="CC0-1.0")
    private = await ready(alice, 440.5, title=f"Third {word}", tags=[word], license="CC0-1.0")

    own = await ask(alice.client, "similar_audio", audio_id=first, limit=5, labels=[word])
    assert {row["id"] for row in own} == {second, private}
    for row in own:
        assert row["score"] == pytest.approx(sum(row[part] for part in PARTS))
        assert row["recording"]["id"] == row["id"]
    for client in (bob.client, anonymous):
        (seen,) = await ask(client, "similar_audio", audio_id=first, labels=[word.upper()], diversity=0.5)
        assert seen["id"] == second
        assert await ask(client, "similar_audio", audio_id=first, labels=[word], min_duration_s=3600) == []

        (row,) = (await client.table("audio_embeddings").select("*").eq("audio_id", first).execute()).data
        assert isinstance(row, dict)
        place = {"space": row["space"], "embedding": json.loads(str(row["embedding"]))}
        near = await ask(client, "similar_to_embedding", **place, labels=[word])
        assert [row["id"] for row in near] == [first, second]

        refusals = []
        for audio_id in (private, NOBODYS):
            with pytest.raises(APIError) as refused:
                await ask(client, "similar_audio", audio_id=audio_id)
            refusals.append(refused.value.json())
        assert refusals[0] == refusals[1]

        found = await ask(client, "search_audio", query=word)
        assert {row["id"] for row in found} == {first, second}
        counts = await ask(client, "search_facets", query=word, license="CC0-1.0")
        assert {"facet": "all", "value": "exactly", "recordings": 1} in counts
    assert {row["id"] for row in await ask(alice.client, "search_audio", query=word)} == {
        first,
        second,
        private,
    }


async def test_page_by_page(alice: User) -> None:
    word = secrets.token_hex(6)
    there = [await ready(alice, 300.0 + 10 * n, title=f"{word} {n}") for n in range(3)]
    given: list[str] = []
    page = await ask(alice.client, "search_audio", query=word, sort="title", limit=2)
    while page:
        given += [row["id"] for row in page]
        page = await ask(
            alice.client, "search_audio", query=word, sort="title", limit=2, after=page[-1]["cursor"]
        )
    assert given == there


@pytest.mark.parametrize(
    ("function", "arguments", "told"),
    [
        ("similar_to_embedding", {"space": "s", "embedding": [1.0]}, "128 finite numbers"),
        ("similar_audio", {"audio_id": NOBODYS, "limit": 501}, "no such recording"),
        ("search_audio", {"after": "made up"}, "cursor does not belong"),
        ("search_audio", {"key": "H"}, "no key H"),
    ],
)
async def test_refusals_say_what_is_wrong(
    anonymous: AsyncClient, function: str, arguments: dict[str, Any], told: str
) -> None:
    with pytest.raises(APIError, match=told):
        await ask(anonymous, function, **arguments)
