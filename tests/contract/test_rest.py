"""The Data API through both clients, on the project's own tables."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from postgrest import APIError, CountMethod, ReturnMethod
from supabase import AsyncClient

from tests import node
from tests.waiting import LIMIT_S

from .conftest import Target, User

RAIN, SONG, WIND = "Rain in Bergen", "Rain song", "Wind, 100% of it"


@dataclass(frozen=True)
class Library:
    """What alice has: three recordings, described but not uploaded, one of them public, and a playlist."""

    owner: User
    playlist: str
    ids: dict[str, str]
    """Of the recordings, by title."""

    def recordings(self, *columns: str, **options: Any) -> Any:
        return self.owner.client.table("audio_files").select(*columns, **options).eq("user_id", self.owner.id)

    async def titles(self, narrow: Callable[[Any], Any]) -> list[str]:
        rows = (await narrow(self.recordings("title").order("title")).execute()).data
        return [row["title"] for row in rows]


@pytest.fixture
async def library(alice: User) -> Library:
    described = [
        {"title": RAIN, "tags": ["rain", "field"], "duration": 61.5, "is_public": True, "license": "CC0-1.0"},
        {"title": SONG, "tags": ["rain", "a, b"], "duration": None, "is_public": False, "license": None},
        {"title": WIND, "tags": [], "duration": 12, "is_public": False, "license": None},
    ]
    rows = [row | {"file_path": f"{alice.id}/{secrets.token_hex(8)}.wav"} for row in described]
    made = (await alice.client.table("audio_files").insert(rows).execute()).data
    ids = {row["title"]: row["id"] for row in made}
    playlist = (await alice.client.table("playlists").insert({"title": "Weather"}).execute()).data[0]["id"]
    for title in (WIND, RAIN):
        item = {"playlist_id": playlist, "audio_id": ids[title]}
        await alice.client.table("playlist_items").insert(item).execute()
    settings = {"player": {"volumes": [3, 5], "skin": "dark"}}
    preferences = alice.client.table("user_preferences").update({"settings": settings})
    await preferences.eq("user_id", alice.id).execute()
    return Library(alice, playlist, ids)


async def refused(query: Any) -> str:
    with pytest.raises(APIError) as error:
        await query.execute()
    return str(error.value.code)


# -- supabase-py --------------------------------------------------------------------------------------


@pytest.mark.row("rest.select", by="py")
async def test_select(library: Library) -> None:
    rows = (
        await library.recordings("called:title", "seconds:duration::text", "tags->0")
        .eq("title", RAIN)
        .execute()
    ).data
    assert rows == [{"called": RAIN, "seconds": "61.5", "tags": "rain"}]
    paths = "settings->player->volumes->1, skin:settings->player->>skin"
    found = await library.owner.client.table("user_preferences").select(paths).single().execute()
    assert found.data["skin"] == "dark"
    assert 5 in found.data.values()


FILTERS: list[tuple[Callable[[Any], Any], list[str]]] = [
    (lambda q: q.eq("license", "CC0-1.0"), [RAIN]),
    (lambda q: q.neq("title", SONG), [RAIN, WIND]),
    (lambda q: q.gt("duration", 12).lte("duration", 61.5), [RAIN]),
    (lambda q: q.gte("duration", 12).lt("duration", 61), [WIND]),
    (lambda q: q.in_("title", [WIND, SONG, 'a "b"']), [SONG, WIND]),
    (lambda q: q.is_("duration", None), [SONG]),
    (lambda q: q.not_.is_("duration", None), [RAIN, WIND]),
    (lambda q: q.like("title", "Rain%").ilike("title", "%SONG"), [SONG]),
    (lambda q: q.like_any_of("title", "%Bergen,Wind%"), [RAIN, WIND]),
    (lambda q: q.ilike_all_of("title", "rain%,%song"), [SONG]),
    (lambda q: q.filter("title", "match", "^R.*g$"), [SONG]),
    (lambda q: q.filter("title", "imatch", "^wind"), [WIND]),
    (lambda q: q.filter("license", "isdistinct", "CC0-1.0"), [SONG, WIND]),
    (lambda q: q.contains("tags", ["a, b"]), [SONG]),
    (lambda q: q.contained_by("tags", ["rain", "field"]), [RAIN, WIND]),
    (lambda q: q.overlaps("tags", ["field", "x"]), [RAIN]),
    (lambda q: q.text_search("title", "rain & song", {"config": "english"}), [SONG]),
    (lambda q: q.text_search("title", '"rain in"', {"config": "simple", "type": "web_search"}), [RAIN]),
    (lambda q: q.or_("license.eq.CC0-1.0,and(duration.lt.20,is_public.is.false)"), [RAIN, WIND]),
    (lambda q: q.not_.or_("is_public.is.true,title.like.Wind*"), [SONG]),
    (lambda q: q.filter("tags->>0", "eq", "rain"), [RAIN, SONG]),
]


@pytest.mark.row("rest.filters", by="py")
@pytest.mark.parametrize("numbers", [range(7), range(7, 14), range(14, 21)])
async def test_filters(library: Library, numbers: range) -> None:
    for number in numbers:
        narrow, titles = FILTERS[number]
        assert await library.titles(narrow) == titles, number


@pytest.mark.row("rest.embedding", by="py")
async def test_embedding(library: Library) -> None:
    client = library.owner.client
    lists = client.table("playlists").select("title, playlist_items(position, audio_files(title))")
    rows = (
        await lists.order("position", desc=True, foreign_table="playlist_items")
        .limit(1, foreign_table="playlist_items")
        .eq("id", library.playlist)
        .execute()
    )
    assert rows.data == [
        {"title": "Weather", "playlist_items": [{"position": 2, "audio_files": {"title": RAIN}}]}
    ]
    items = client.table("playlist_items").select("position, ...audio_files!inner(title)")
    assert (await items.eq("audio_files.license", "CC0-1.0").execute()).data == [
        {"position": 2, "title": RAIN}
    ]
    ordered = client.table("playlist_items").select("by:audio_files!playlist_items_audio_id_fkey(title)")
    found = (await ordered.order("by(title)").execute()).data
    assert [row["by"]["title"] for row in found] == [RAIN, WIND]
    assert (
        await library.recordings("title", "playlist_items()").is_("playlist_items", None).execute()
    ).data == [{"title": SONG}]


@pytest.mark.row("rest.windows", by="py")
async def test_windows(library: Library) -> None:
    answer = await library.recordings("title", count=CountMethod.exact).order("title").range(1, 5).execute()
    assert ([row["title"] for row in answer.data], answer.count) == ([SONG, WIND], 3)
    assert (await library.recordings("id", count=CountMethod.exact, head=True).execute()).count == 3
    for method in (CountMethod.planned, CountMethod.estimated):
        # Statistics count what a policy hides: the project refuses these.
        assert await refused(library.recordings("id", count=method)) == "PT400"
    assert await refused(library.recordings("id", count=CountMethod.exact).range(9, 10)) == "PGRST103"


@pytest.mark.parametrize("others", [["return=representation"], ["count=exact"], ["", "tx=commit"]])
async def test_an_estimate_hides_behind_no_other_prefer_header(
    target: Target, library: Library, others: list[str]
) -> None:
    """PostgREST obeys the first count in any of them, and tells the database of the last header alone."""
    session = await library.owner.client.auth.get_session()
    assert session is not None
    sign_ins = [target.public_key, session.access_token]
    with httpx.Client(timeout=LIMIT_S) as http:
        for token in sign_ins:
            headers = [("apikey", target.public_key)]
            headers += [("authorization", f"Bearer {token}")] if token != target.public_key else []
            headers += [("prefer", "count=planned"), *(("prefer", other) for other in others)]
            for table in ("audio_files?select=id,audio_features(audio_id)", "playlists"):
                answer = http.get(f"{target.url}/rest/v1/{table}", headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (400, "PT400"), answer.text
                assert "count=exact" in answer.json()["hint"]
                assert "content-range" not in answer.headers


@pytest.mark.row("rest.writes", by="py")
async def test_writes(library: Library) -> None:
    owner, playlists = library.owner, library.owner.client.table("playlists")
    uneven = [{"title": "one"}, {"title": "two", "is_public": True}]
    made = (await playlists.insert(uneven, default_to_null=False).execute()).data
    assert sorted((row["title"], row["is_public"]) for row in made) == [("one", False), ("two", True)]
    assert await refused(playlists.insert(uneven)) == "23502", "without it, what is missing is null"
    silent = playlists.update({"description": "d"}, returning=ReturnMethod.minimal)
    assert (await silent.eq("title", "one").execute()).data == []
    assert await refused(playlists.delete().in_("title", ["one", "two"]).max_affected(1)) == "PGRST124"
    gone = await playlists.delete(count=CountMethod.exact).in_("title", ["one", "two"]).execute()
    assert (gone.count, sorted(row["title"] for row in gone.data)) == (2, ["one", "two"])
    like = {"audio_id": library.ids[RAIN]}
    liked = owner.client.table("likes").upsert(like, on_conflict="user_id,audio_id", ignore_duplicates=True)
    assert len((await liked.execute()).data) == 1
    assert (await liked.execute()).data == []
    assert await refused(owner.client.table("likes").insert(like)) == "23505"
    assert await refused(playlists.insert({"titel": "x"})) == "PGRST204"


@pytest.mark.row("rest.writes", by="py")
async def test_an_upsert_merges(library: Library, service: AsyncClient) -> None:
    row = {"id": library.playlist, "user_id": library.owner.id, "title": "Climate"}
    merged = (await service.table("playlists").upsert(row).execute()).data
    assert [(row["id"], row["title"]) for row in merged] == [(library.playlist, "Climate")]


@pytest.mark.row("rest.rpc", by="py")
async def test_rpc(library: Library) -> None:
    client, asked = library.owner.client, {"query": "bergen"}
    for by_get in (False, True):
        found = client.rpc("search_audio", asked, get=by_get).select("id, title:recording->>title")
        assert (await found.eq("id", library.ids[RAIN]).limit(1).execute()).data == [
            {"id": library.ids[RAIN], "title": RAIN}
        ]
    items = (await client.table("playlist_items").select("id").order("position").execute()).data
    moved = {"item": items[0]["id"], "to_position": 2}
    await client.rpc("move_playlist_item", moved).execute()
    assert await refused(client.rpc("search_audio", asked).max_affected(0)) == "PGRST124"
    assert await refused(client.rpc("search_audo", asked)) == "PGRST202"
    assert await refused(client.rpc("search_audio", {"words": "x"})) == "PGRST202"


@pytest.mark.row("rest.media", by="py")
async def test_media(library: Library) -> None:
    one = await library.recordings("title").eq("title", RAIN).single().execute()
    assert one.data == {"title": RAIN}
    assert await refused(library.recordings("title").single()) == "PGRST116"
    assert await library.recordings("title").eq("title", "x").maybe_single().execute() is None
    text = (await library.recordings("title", "tags").eq("title", SONG).csv().execute()).data
    assert text == f'title,tags\n"{SONG}","{{rain,""a, b""}}"'


@pytest.mark.row("rest.media", by="http")
def test_the_document_at_the_root(target: Target) -> None:
    headers = {"apikey": target.secret_key, "authorization": f"Bearer {target.secret_key}"}
    answer = httpx.get(f"{target.url}/rest/v1/", headers=headers, timeout=LIMIT_S)
    assert answer.status_code == 200
    assert "title" in answer.json()["definitions"]["playlists"]["properties"]
    assert "/rpc/search_audio" in answer.json()["paths"]


@pytest.mark.row("rest.session", by="py")
async def test_each_sees_what_the_policies_say(library: Library, bob: User, anonymous: AsyncClient) -> None:
    for client in (bob.client, anonymous):
        rows = await client.table("audio_files").select("title").eq("user_id", library.owner.id).execute()
        assert [row["title"] for row in rows.data] == [RAIN]
    stolen = {"title": "x", "file_path": f"{bob.id}/x.wav", "user_id": library.owner.id}
    assert await refused(bob.client.table("audio_files").insert(stolen)) == "42501"
    assert await refused(anonymous.table("likes").select("*")) == "42501"


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        pytest.param(lambda c: c.table("audio_files").select("duration.sum()"), "PGRST123",
                     marks=pytest.mark.row("rest.aggregates", by="py")),
        pytest.param(lambda c: c.table("audio_files").select("id, user_preferences(theme)"), "PGRST200",
                     marks=pytest.mark.row("rest.unrelated", by="py")),
        pytest.param(lambda c: c.schema("soundscape").table("jobs").select("*"), "PGRST106",
                     marks=pytest.mark.row("rest.hidden-schema", by="py")),
        pytest.param(lambda c: c.table("likes").delete(), "21000",
                     marks=pytest.mark.row("rest.whole-table", by="py")),
    ],
)  # fmt: skip
async def test_refused(alice: User, ask: Callable[[AsyncClient], Any], code: str) -> None:
    assert await refused(ask(alice.client)) == code


# -- supabase-js --------------------------------------------------------------------------------------


@pytest.mark.row(
    "rest.select", "rest.filters", "rest.embedding", "rest.windows", "rest.writes", "rest.rpc", "rest.media",
    "rest.session", "rest.aggregates", "rest.unrelated", "rest.hidden-schema", "rest.whole-table", by="js",
)  # fmt: skip
async def test_through_supabase_js(target: Target, library: Library) -> None:
    session = await library.owner.client.auth.get_session()
    assert session is not None
    seen = node.run(
        "data_api.mjs",
        {
            "url": target.url, "key": target.public_key, "token": session.access_token,
            "user": library.owner.id, "playlist": library.playlist, "rain": library.ids[RAIN],
        },
    )  # fmt: skip
    assert seen == {
        "select": [{"called": RAIN, "seconds": "61.5", "tags": "rain"}],
        "paths": "dark",
        "filters": [
            [RAIN], [RAIN, WIND], [RAIN], [WIND], [SONG, WIND], [SONG], [RAIN, WIND], [SONG], [RAIN, WIND],
            [SONG], [SONG], [WIND], [SONG, WIND], [SONG], [RAIN, WIND], [RAIN], [SONG], [RAIN, WIND], [SONG],
        ],
        "embed": {"title": "Weather", "playlist_items": [{"position": 2, "audio_files": {"title": RAIN}}]},
        "spread": [{"position": 2, "title": RAIN}],
        "related_order": [RAIN, WIND],
        "without": [{"title": SONG}],
        "window": {"titles": [SONG, WIND], "count": 3, "status": 206},
        "head": 3,
        "counts": ["PT400", "PT400"],
        "too_far": "PGRST103",
        "defaults": [["one", False], ["two", True]],
        "uneven": "23502",
        "too_many": "PGRST124",
        "deleted": 2,
        "liked": [1, 0],
        "doubled": "23505",
        "unknown_column": "PGRST204",
        "rpc": [[{"title": RAIN}], [{"title": RAIN}]],
        "rpc_unknown": "PGRST202",
        "rpc_too_many": "PGRST124",
        "single": {"title": RAIN},
        "not_single": "PGRST116",
        "maybe": None,
        "csv": f'title,tags\n"{SONG}","{{rain,""a, b""}}"',
        "stripped": [{"title": SONG}],
        "stranger": [RAIN],
        "stranger_likes": "42501",
        "aggregate": "PGRST123",
        "unrelated": "PGRST200",
        "hidden_schema": "PGRST106",
        "whole_table": "21000",
    }  # fmt: skip


# -- what no client sends -----------------------------------------------------------------------------

NOT_HERE = pytest.mark.embedded_only("PostgREST does it; the embedded Data API leaves it out")


def nested(parentheses: int) -> str:
    return "(" + "and(" * (parentheses - 1) + "title.eq.x" + ")" * parentheses


@pytest.mark.parametrize(
    ("method", "query", "headers", "status", "code"),
    [
        pytest.param("GET", "", {"Accept": "image/png"}, 406, "PGRST107",
                     marks=pytest.mark.row("rest.other-media", by="http")),
        pytest.param("GET", "", {"Range": "0-1"}, 400, "PGRST127",
                     marks=[NOT_HERE, pytest.mark.row("rest.left-out", by="http")]),
        pytest.param("PATCH", "?id=is.null&columns=title", {"Prefer": "missing=default"}, 400, "PGRST127",
                     marks=[NOT_HERE, pytest.mark.row("rest.left-out", by="http")]),
        pytest.param("GET", "", {"Prefer": "timezone=Europe/Berlin"}, 400, "PGRST127",
                     marks=[NOT_HERE, pytest.mark.row("rest.left-out", by="http")]),
        pytest.param("PATCH", "?id=is.null", {"Prefer": "return=headers-only"}, 400, "PGRST127",
                     marks=[NOT_HERE, pytest.mark.row("rest.left-out", by="http")]),
        pytest.param("PUT", "?id=is.null", {}, 405, "PGRST117",
                     marks=[NOT_HERE, pytest.mark.row("rest.put", by="http")]),
        *(pytest.param("POST", "", {"Content-Type": media}, 400, "PGRST102",
                       marks=[NOT_HERE, pytest.mark.row("rest.other-bodies", by="http")])
          for media in ("text/csv", "application/x-www-form-urlencoded", "application/octet-stream")),
        *(pytest.param("GET", query, {}, 400, "PGRST100",
                       marks=[NOT_HERE, pytest.mark.row("rest.too-much", by="http")])
          for query in (f"?or={nested(31)}", f"?{'title=neq.x&' * 500}title=neq.x", "?limit=ten")),
    ],
)  # fmt: skip
def test_refused_over_http(
    target: Target, method: str, query: str, headers: dict[str, str], status: int, code: str
) -> None:
    sent = {"apikey": target.secret_key, "content-type": "application/json"} | {
        name.lower(): value for name, value in headers.items()
    }
    body = None if method == "GET" else b'{"title": "x"}'
    answer = httpx.request(
        method, f"{target.url}/rest/v1/playlists{query}", headers=sent, content=body, timeout=LIMIT_S
    )
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


@pytest.mark.parametrize("query", [f"or={nested(30)}", "&".join(["title=neq.x"] * 498)])
def test_what_is_just_not_too_much(target: Target, query: str) -> None:
    headers = {"apikey": target.secret_key}
    answer = httpx.get(
        f"{target.url}/rest/v1/playlists?select=id&limit=1&{query}", headers=headers, timeout=LIMIT_S
    )
    assert answer.status_code == 200, answer.text
