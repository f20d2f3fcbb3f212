"""The same service through supabase-py's own client of the Data API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from postgrest import APIError, AsyncPostgrestClient, CountMethod, ReturnMethod

from .conftest import A, Shop


def _client(shop: Shop, key: str, bearer: str | None = None) -> AsyncPostgrestClient:
    headers = {"apikey": key, "Authorization": f"Bearer {bearer or key}"}
    return AsyncPostgrestClient(f"{shop.url}/rest/v1", headers=headers, retry_enabled=False)


@pytest.fixture
async def api(shop: Shop) -> AsyncIterator[AsyncPostgrestClient]:
    async with _client(shop, shop.embedded.keys.secret_key) as client:
        yield client


async def test_select(api: AsyncPostgrestClient) -> None:
    answer = await (
        api.from_("albums")
        .select("id", "  title  ", "sleeves ( colour )", count=CountMethod.exact)
        .in_("title", ["Amber", "Tri Repetae", 'a, "b"'])
        .order("title", desc=True)
        .limit(1)
        .execute()
    )
    assert answer.data == [{"id": 2, "title": "Tri Repetae", "sleeves": None}]
    assert answer.count == 2


FILTERS: list[tuple[Any, list[int]]] = [
    (lambda q: q.eq("mood", "calm"), [1]),
    (lambda q: q.neq("id", 1).lt("id", 4), [2, 3]),
    (lambda q: q.is_("price", None), [4]),
    (lambda q: q.not_.is_("price", None), [1, 2, 3]),
    (lambda q: q.like("title", "%e%").ilike("title", "A%"), [1]),
    (lambda q: q.like_any_of("title", "A%,G%"), [1, 3]),
    (lambda q: q.ilike_all_of("title", "%g%,%i"), [3]),
    (lambda q: q.contains("tags", ["idm", "ambient"]), [1]),
    (lambda q: q.contains("tags", ["drum, bass"]), [4]),
    (lambda q: q.contains("data", {"a": 2}), [2]),
    (lambda q: q.contained_by("tags", ["idm"]), [2, 3]),
    (lambda q: q.overlaps("tags", ["ambient", "nothing"]), [1]),
    (lambda q: q.range_gt("span", (6, 9)), [4]),
    (lambda q: q.range_lt("span", (6, 9)), [1]),
    (lambda q: q.range_adjacent("span", (10, 12)), []),
    (lambda q: q.fts("search", "amber"), [1]),
    (lambda q: q.text_search("search", "tri & repetae"), [2]),
    (lambda q: q.match({"mood": "dark", "id": 3}), [3]),
    (lambda q: q.or_("id.eq.1,and(id.gt.2,mood.eq.dark)"), [1, 3]),
    (lambda q: q.not_.or_("id.eq.1,id.eq.2"), [3, 4]),
    (lambda q: q.eq("data->>a", "2"), [2]),
    (lambda q: q.filter("released", "gte", "2000-01-01T00:00:00+00:00"), [3, 4]),
    (lambda q: q.range(1, 2), [2, 3]),
]


@pytest.mark.parametrize("number", range(len(FILTERS)))
async def test_filters(api: AsyncPostgrestClient, number: int) -> None:
    narrow, ids = FILTERS[number]
    answer = await narrow(api.from_("albums").select("id").order("id")).execute()
    assert [row["id"] for row in answer.data] == ids


async def test_embedded_tables(api: AsyncPostgrestClient) -> None:
    answer = await (
        api.from_("labels")
        .select("name, artists!inner(name)")
        .order("name", desc=True, foreign_table="artists")
        .limit(1, foreign_table="artists")
        .or_("id.eq.1,name.like.Amon*", reference_table="artists")
        .order("id")
        .execute()
    )
    assert answer.data == [
        {"name": "Warp", "artists": [{"name": "Autechre"}]},
        {"name": "Ninja Tune", "artists": [{"name": "Amon Tobin"}]},
    ]


async def test_one_and_maybe_one(api: AsyncPostgrestClient) -> None:
    labels = api.from_("labels").select("name")
    assert (await labels.eq("id", 1).single().execute()).data == {"name": "Warp"}
    maybe = await api.from_("labels").select("name").eq("id", 99).maybe_single().execute()
    assert maybe is None
    with pytest.raises(APIError) as refused:
        await api.from_("labels").select("name").single().execute()
    assert refused.value.code == "PGRST116"


async def test_writes(api: AsyncPostgrestClient) -> None:
    labels = api.from_("labels")
    try:
        made = await labels.insert(
            [{"id": 200, "name": "a"}, {"id": 201, "name": "b", "founded": "2001-01-01"}]
        ).execute()
        assert made.data == [
            {"id": 200, "name": "a", "founded": None},
            {"id": 201, "name": "b", "founded": "2001-01-01"},
        ]
        merged = await labels.upsert({"id": 200, "name": "c"}, count=CountMethod.exact).execute()
        assert (merged.data[0]["name"], merged.count) == ("c", 1)
        kept = await labels.upsert(
            {"id": 202, "name": "c"}, on_conflict="name", ignore_duplicates=True
        ).execute()
        assert kept.data == []
        silent = await labels.update({"name": "d"}, returning=ReturnMethod.minimal).eq("id", 200).execute()
        assert silent.data == []
        with pytest.raises(APIError) as refused:
            await labels.delete().gte("id", 200).max_affected(1).execute()
        assert refused.value.code == "PGRST124"
    finally:
        gone = await labels.delete().gte("id", 200).execute()
    assert [row["name"] for row in gone.data] == ["d", "b"] or len(gone.data) == 2


async def test_missing_values_may_be_defaults(api: AsyncPostgrestClient) -> None:
    albums = api.from_("albums")
    rows = [{"title": "x", "artist_id": 4}, {"title": "y", "artist_id": 4, "price": None}]
    try:
        made = await albums.insert(rows, default_to_null=False).execute()
        assert sorted((row["title"], row["price"]) for row in made.data) == [("x", 9.99), ("y", None)]
        made = await albums.insert(rows).execute()
        assert [row["price"] for row in made.data] == [None, None]
    finally:
        await albums.delete().eq("artist_id", 4).execute()


async def test_csv(api: AsyncPostgrestClient) -> None:
    assert (
        await api.from_("genres").select("*").order("id").csv().execute()
    ).data == "id,name\n1,IDM\n2,Downtempo"


async def test_calls(api: AsyncPostgrestClient) -> None:
    assert (await api.rpc("add", {"a": 1, "b": 2}).execute()).data == 3
    assert (await api.rpc("add", {"a": 1, "b": 2}, get=True).execute()).data == 3
    assert (await api.rpc("albums_of", {"artist": 1}).select("id").order("id").limit(1).execute()).data == [
        {"id": 1}
    ]
    counted = await api.rpc("words", {"n": 4}, count=CountMethod.exact, head=True).execute()
    assert counted.count == 4
    with pytest.raises(APIError) as refused:
        await api.rpc("nothing", {}).execute()
    assert refused.value.code == "PGRST202"


async def test_as_a_user(shop: Shop) -> None:
    async with _client(shop, shop.embedded.keys.anon_jwt, shop.token(A)) as client:
        assert [row["entry"] for row in (await client.from_("diaries").select("entry").execute()).data] == [
            "of a"
        ]
    async with _client(shop, shop.embedded.keys.publishable_key) as client:
        with pytest.raises(APIError) as refused:
            await client.from_("diaries").select("entry").execute()
    assert refused.value.code == "42501"


async def test_another_schema_is_refused(api: AsyncPostgrestClient) -> None:
    with pytest.raises(APIError) as refused:
        await api.schema("hidden").from_("things").select("*").execute()
    assert refused.value.code == "PGRST106"
