"""What a GET answers, on the wire."""

from __future__ import annotations

import json

import httpx
import pytest

ALBUMS = "/albums?select="

# Each: the query, the rows.
SELECTS = [
    ("/labels?select=id,name&order=id&id=lt.3", [{"id": 1, "name": "Warp"}, {"id": 2, "name": "Ninja Tune"}]),
    ("/labels?id=eq.1", [{"id": 1, "name": "Warp", "founded": "1989-01-01"}]),
    ("/labels?select=*&id=eq.1", [{"id": 1, "name": "Warp", "founded": "1989-01-01"}]),
    ("/labels?select=&id=eq.1", [{}]),
    (ALBUMS + "called:title,id::text&id=eq.1", [{"called": "Amber", "id": "1"}]),
    (ALBUMS + "price::int&id=eq.2", [{"price": 12}]),
    (ALBUMS + "price::double precision&id=eq.2", [{"price": 12}]),
    (ALBUMS + "mood::text&id=eq.1", [{"mood": "calm"}]),
    (ALBUMS + "data->deep->list->0&id=eq.1", [{"list": 10}]),
    (ALBUMS + "data->deep->>name&id=eq.1", [{"name": "x"}]),
    (ALBUMS + "last:data->deep->list->>-1&id=eq.1", [{"last": "20"}]),
    (ALBUMS + "data->a::text&id=eq.1", [{"a": "1"}]), (ALBUMS + "tags->0&id=eq.1", [{"tags": "ambient"}]),
    (ALBUMS + "notes->k&id=eq.1", [{"k": "v"}]),
    ("/artists?select=name,shout&id=eq.2", [{"name": "Boards of Canada", "shout": "BOARDS OF CANADA"}]),
    ("/artists?select=id&shout=eq.AUTECHRE", [{"id": 1}]),
    ("/keyless?select=word&order=n.desc", [{"word": "two"}, {"word": "one"}]),
    ("/cheap_albums", [{"id": 3, "title": "Geogaddi", "price": 4.5}]),
]  # fmt: skip


@pytest.mark.row("rest.select", by="http")
@pytest.mark.parametrize(("query", "rows"), SELECTS)
def test_select(anon: httpx.Client, query: str, rows: object) -> None:
    answer = anon.get(query)
    assert answer.status_code == 200, answer.text
    assert answer.json() == rows
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


# Each: a filter on albums (ids 1 to 4), the ids it leaves.
FILTERS = [
    ("id=eq.1", [1]), ("id=neq.1", [2, 3, 4]), ("id=gt.2", [3, 4]), ("id=gte.2", [2, 3, 4]),
    ("id=lt.2", [1]), ("id=lte.2", [1, 2]), ("id=not.eq.1", [2, 3, 4]), ("id=in.(1,3)", [1, 3]),
    ("id=not.in.(1,3)", [2, 4]), ("id=in.()", []), ("title=in.(Amber,\"Tri Repetae\")", [1, 2]),
    ("id=eq(any).{1,2}", [1, 2]), ("id=gt(all).{1,2}", [3, 4]), ("title=like.*r*", [1, 2, 4]),
    ("title=ilike.AMB*", [1]), ("title=like(any).{A*,G*}", [1, 3]), ("title=ilike(all).{*a*,*b*}", [1]),
    ("title=match.^[AG]", [1, 3]), ("title=imatch.^g", [3]), ("title=not.like.*r*", [3]),
    ("price=is.null", [4]), ("price=not.is.null", [1, 2, 3]), ("price=is.not_null", [1, 2, 3]),
    ("price=isdistinct.12", [1, 3, 4]), ("mood=eq.dark", [2, 3]), ("tags=cs.{idm}", [1, 2]),
    ("tags=cd.{idm,ambient}", [1, 2, 3]), ("tags=ov.{ambient,x}", [1]), ('tags=cs.{"drum, bass"}', [4]),
    ('data=cs.{"a":1}', [1]), ("data->a=eq.2", [2]), ("data->>a=eq.2", [2]),
    ("data->deep->>name=eq.x", [1]), ("data->>a=in.(1,2)", [1, 2]), ("data->>b=is.null", [1, 2, 3, 4]),
    ("span=cs.[3,4)", [1]), ("span=ov.[4,6)", [1, 2]), ("span=sl.[5,10)", [1]), ("span=sr.[5,10)", [4]),
    ("span=nxr.[1,10)", [1, 2]), ("span=nxl.[5,10)", [2, 4]), ("span=adj.[5,10)", [1]),
    ("search=fts.amber", [1]), ("search=plfts(english).tri", [2]),
    ("title=wfts(english).supermodified", [4]), ("title=phfts.tri repetae", [2]),
    ("search=not.fts(english).amber", [2, 3, 4]), ("released=gte.2000-01-01T00:00:00%2B00:00", [3, 4]),
    ("stars=eq.5&mood=eq.dark", [2, 3]), ("id=gt.1&id=lt.4", [2, 3]), ("or=(id.eq.1,id.eq.4)", [1, 4]),
    ("or=(id.eq.1,and(id.gt.2,mood.eq.dark))", [1, 3]), ("not.or=(id.eq.1,id.eq.4)", [2, 3]),
    ("and=(id.gt.1,not.or(id.eq.2,id.eq.4))", [3]),
    ("or=(title.eq.\"Amber\",tags.cs.{\"drum, bass\"})", [1, 4]),
    ("or=(id.in.(1,2),title.like.*gaddi)", [1, 2, 3]), ("or=(data->>a.eq.1,data->a.eq.3)", [1, 3]),
    ("or=(id.not.in.(1,2,3),id.is.null)", [4]), ("or=( id.eq.1 , id.eq.2 )", [1, 2]),
    ("stars=is.null", [4]), ('title=eq."Amber"', []), ("tags=eq.{}", [3]),
    ("released=lt.now", [1, 2, 3, 4]),
]  # fmt: skip


@pytest.mark.row("rest.filters", by="http")
@pytest.mark.parametrize(("query", "ids"), FILTERS)
def test_filter(anon: httpx.Client, query: str, ids: list[int]) -> None:
    answer = anon.get(f"/albums?select=id&order=id&{query}")
    assert answer.status_code == 200, answer.text
    assert [row["id"] for row in answer.json()] == ids


ORDERS = [
    ("price", [3, 1, 2, 4]), ("price.desc", [4, 2, 1, 3]), ("price.desc.nullslast", [2, 1, 3, 4]),
    ("price.nullsfirst", [4, 3, 1, 2]), ("mood.asc,id.desc", [1, 3, 2, 4]),
    ("data->a.desc.nullslast", [3, 2, 1, 4]), ("data->>a.desc.nullsfirst", [4, 3, 2, 1]),
    (" title ", [1, 3, 4, 2]),
]  # fmt: skip


@pytest.mark.parametrize(("order", "ids"), ORDERS)
def test_order(anon: httpx.Client, order: str, ids: list[int]) -> None:
    answer = anon.get("/albums", params={"select": "id", "order": order})
    assert [row["id"] for row in answer.json()] == ids, answer.text


# Each: query, Prefer, status, Content-Range.
WINDOWS = [
    ("", "", 200, "0-3/*"), ("limit=2", "", 200, "0-1/*"), ("limit=2&offset=1", "", 200, "1-2/*"),
    ("", "count=exact", 200, "0-3/4"), ("limit=2", "count=exact", 206, "0-1/4"),
    ("limit=0", "count=exact", 206, "*/4"), ("id=eq.99", "count=exact", 200, "*/0"),
    ("id=eq.99", "", 200, "*/*"), ("offset=4", "count=exact", 206, "*/4"),
    ("offset=5", "count=exact", 416, None), ("limit=2", "count=estimated", 206, "0-1/4"),
    ("offset=5", "", 200, "*/*"),
    ("or=(id.eq.1,id.eq.2)&limit=1", "return=minimal, count=exact", 206, "0-0/2"),
]  # fmt: skip


@pytest.mark.row("rest.windows", by="http")
@pytest.mark.parametrize(("query", "prefer", "status", "content_range"), WINDOWS)
def test_windows_and_counts(
    anon: httpx.Client, query: str, prefer: str, status: int, content_range: str | None
) -> None:
    answer = anon.get(f"/albums?select=id&{query}", headers={"Prefer": prefer})
    assert answer.status_code == status, answer.text
    assert answer.headers.get("content-range") == content_range
    if status == 416:
        assert answer.json()["code"] == "PGRST103"


def test_planned_count_is_the_planners(anon: httpx.Client) -> None:
    answer = anon.get("/albums?limit=1", headers={"Prefer": "count=planned"})
    assert answer.status_code in (200, 206)
    assert answer.headers["content-range"].split("/")[1].isdecimal()
    assert answer.headers["preference-applied"] == "count=planned"


def test_head_has_headers_and_no_body(anon: httpx.Client) -> None:
    answer = anon.head("/albums?id=lt.3", headers={"Prefer": "count=exact"})
    assert (answer.status_code, answer.headers["content-range"], answer.content) == (200, "0-1/2", b"")


def test_range_header_is_refused(anon: httpx.Client) -> None:
    answer = anon.get("/albums?select=id&order=id", headers={"Range-Unit": "items", "Range": "1-2"})
    assert (answer.status_code, answer.json()["code"]) == (400, "PGRST127")


def test_max_rows_bounds_every_level(service: httpx.Client) -> None:
    assert len(service.get("/rpc/words?n=80").json()) == 50
    assert len(service.get("/rpc/words?n=80&limit=70").json()) == 50


# -- representations ---------------------------------------------------------------------------------

SINGLE = {"Accept": "application/vnd.pgrst.object+json"}


def test_single_object(anon: httpx.Client) -> None:
    answer = anon.get("/labels?select=id&id=eq.1", headers=SINGLE)
    assert (answer.status_code, answer.json()) == (200, {"id": 1})
    assert answer.headers["content-type"] == "application/vnd.pgrst.object+json; charset=utf-8"


@pytest.mark.parametrize(("query", "rows"), [("id=eq.99", 0), ("id=lt.3", 2)])
def test_not_a_single_object(anon: httpx.Client, query: str, rows: int) -> None:
    answer = anon.get(f"/labels?{query}", headers=SINGLE)
    assert answer.status_code == 406
    assert answer.json() == {
        "code": "PGRST116",
        "message": "Cannot coerce the result to a single JSON object",
        "details": f"The result contains {rows} rows",
        "hint": None,
    }


def test_nulls_stripped(anon: httpx.Client) -> None:
    accept = "application/vnd.pgrst.array+json;nulls=stripped"
    answer = anon.get("/labels?id=gt.2", headers={"Accept": accept})
    assert answer.json() == [{"id": 3, "name": "Empty"}]
    answer = anon.get(
        "/labels?id=gt.2", headers={"Accept": "application/vnd.pgrst.object+json;nulls=stripped"}
    )
    assert answer.json() == {"id": 3, "name": "Empty"}


def test_csv(anon: httpx.Client) -> None:
    answer = anon.get(
        "/albums?select=id,tags,label:title&order=id&id=in.(2,4)", headers={"Accept": "text/csv"}
    )
    assert (
        answer.text
        == 'id,tags,label\n2,{idm},"Tri Repetae"\n4,"{""drum, bass"",""quo\\\\""te""}",Supermodified'
    )
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json, text/plain, */*", "", "text/html,application/json;q=0.9"]
)
def test_accepts_json(anon: httpx.Client, accept: str) -> None:
    assert (
        anon.get("/labels?limit=1", headers={"Accept": accept})
        .headers["content-type"]
        .startswith("application/json")
    )


@pytest.mark.row("rest.other-media", by="http")
@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/labels", "image/png"),
        ("/labels", "application/geo+json"),
        ("/labels", "application/octet-stream"),
        ("/labels", 'application/vnd.pgrst.plan+json; for="application/json"'),
        # A function's scalar result, which PostgREST sends bare.
        ("/rpc/add?a=1", "text/plain"),
        ("/rpc/add?a=1", "application/octet-stream"),
        ("/rpc/add?a=1", "application/x-twkb"),
    ],
)
def test_other_media_are_refused(anon: httpx.Client, path: str, accept: str) -> None:
    answer = anon.get(path, headers={"Accept": accept})
    assert (answer.status_code, answer.json()["code"]) == (406, "PGRST107")


def test_bytes_are_postgres_own(anon: httpx.Client) -> None:
    """Numbers and text pass as Postgres wrote them, without a float in between."""
    text = anon.get("/albums?select=price&id=eq.1").text
    assert json.loads(text, parse_float=str) == [{"price": "10.50"}]
