"""Many callers at once on few connections: nobody ever sees another's rows, role or claims."""

from __future__ import annotations

import asyncio
import uuid

import httpx

from tests.waiting import LIMIT_S

from .conftest import Shop

CALLERS = 50
ROUNDS = 3


async def test_callers_never_mix(shop: Shop) -> None:
    users = [str(uuid.uuid4()) for _ in range(CALLERS)]
    key = shop.embedded.keys.publishable_key

    async def live(user: str) -> None:
        headers = {"apikey": key, "authorization": f"Bearer {shop.token(user)}"}
        async with httpx.AsyncClient(
            base_url=f"{shop.url}/rest/v1", headers=headers, timeout=LIMIT_S
        ) as client:
            for number in range(ROUNDS):
                entry = f"{user} {number}"
                made = await client.post(
                    "/diaries", json={"entry": entry}, headers={"Prefer": "return=representation"}
                )
                assert made.json()[0]["owner"] == user, made.text
                me, refused, mine = await asyncio.gather(
                    client.post("/rpc/whoami", json={}),
                    client.post(
                        "/diaries", json={"entry": "x", "owner": users[0] if user != users[0] else users[1]}
                    ),
                    client.get("/diaries?select=owner,entry&order=id"),
                )
                assert (me.json()["role"], me.json()["sub"]) == ("authenticated", user)
                assert refused.status_code == 403
                assert [row["owner"] for row in mine.json()] == [user] * (number + 1)
            await client.delete(f"/diaries?owner=eq.{user}")

    async def anonymous() -> None:
        async with shop_client(shop) as client:
            for _ in range(ROUNDS * 2):
                assert (await client.get("/diaries")).status_code == 401
                assert len((await client.get("/labels?select=id&id=lt.4")).json()) == 3

    await asyncio.gather(*(live(user) for user in users), anonymous())
    assert shop.sql("select count(*) from public.diaries where owner <> all (%s::uuid[])", users) == [(2,)]


def shop_client(shop: Shop) -> httpx.AsyncClient:
    headers = {"apikey": shop.embedded.keys.publishable_key}
    return httpx.AsyncClient(base_url=f"{shop.url}/rest/v1", headers=headers, timeout=LIMIT_S)
