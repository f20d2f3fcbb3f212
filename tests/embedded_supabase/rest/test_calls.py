"""Functions called through `/rpc`."""

from __future__ import annotations

import httpx
import pytest

from .conftest import A, Shop

# Each: the path, the body (None: GET), the answer.
CALLS = [
    ("/rpc/pairs?select=right_one&left_one=eq.2", None, [{"right_one": "two"}]),
    ("/rpc/hidden_things?id=gt.6", None, [{"id": 7}]),
    ("/rpc/halves", {"whole": 5}, {"near": 2, "far": 3}),
    ("/rpc/halves?whole=5&select=far", None, {"far": 3}),
    ("/rpc/anything", {}, {"a": 1, "b": "x"}),
    ("/rpc/add", {"a": 2, "b": 3}, 5),
    ("/rpc/add", {"a": 2}, 3),
    ("/rpc/add?a=2&b=3", None, 5),
    ("/rpc/add?a=2", None, 3),
    ("/rpc/words", {"n": 2}, ["word 1", "word 2"]),
    ("/rpc/words?n=3&limit=1&offset=1", None, ["word 2"]),
    ("/rpc/sum_list?numbers={4,5}", None, 9),
    ("/rpc/sum_list", {"numbers": [4, 6]}, 10),
    ("/rpc/echo", {"given": ["thing"]}, ["thing"]),
    ('/rpc/echo?given={"a":[1]}', None, {"a": [1]}),
    ("/rpc/over", {"a": 1}, "integer"),
    ("/rpc/over", {"a": "x", "b": "y"}, "texts"),
    ("/rpc/over?a=x&b=y", None, "texts"),
    ("/rpc/stats", {}, [{"albums": 4, "dearest": 12.00}]),
    ("/rpc/stats?select=albums", None, [{"albums": 4}]),
    ("/rpc/stats?albums=gt.10", None, []),
    ("/rpc/albums_of?select=id&order=id.desc", {"artist": 1}, [{"id": 2}, {"id": 1}]),
    ("/rpc/albums_of?artist=1&select=title&price=gt.11", None, [{"title": "Tri Repetae"}]),
    (
        "/rpc/albums_of?artist=1&select=id,genres(name)&id=eq.2",
        None,
        [{"id": 2, "genres": [{"name": "IDM"}]}],
    ),
    ("/rpc/one_album?select=id,title", {"album": 3}, {"id": 3, "title": "Geogaddi"}),
    (
        "/rpc/one_album?album=3&select=id,maker:artists!albums_artist_id_fkey(name)",
        None,
        {"id": 3, "maker": {"name": "Boards of Canada"}},
    ),
]


@pytest.mark.row("rest.rpc", by="http")
@pytest.mark.parametrize(("path", "body", "expected"), CALLS)
def test_call(service: httpx.Client, path: str, body: object, expected: object) -> None:
    answer = service.get(path) if body is None else service.post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json() == expected


@pytest.mark.row("rest.rpc", by="http")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_max_affected(service: httpx.Client, method: str) -> None:
    def call(function: str, most: int) -> httpx.Response:
        headers = {"Prefer": f"handling=strict, max-affected={most}"}
        given = {"params": {"artist": 1}} if method == "GET" else {"json": {"artist": 1}}
        return service.request(method, f"/rpc/{function}", headers=headers, **given)  # type: ignore[arg-type]

    answer = call("albums_of", 1)
    assert (answer.status_code, answer.json()["code"]) == (400, "PGRST124")
    assert answer.json()["details"] == "The query affects 2 rows"
    assert len(call("albums_of", 2).json()) == 2


def test_call_without_a_body(service: httpx.Client) -> None:
    assert service.post("/rpc/stats").json()[0]["albums"] == 4


def test_void_answers_nothing(shop: Shop, service: httpx.Client) -> None:
    answer = service.post("/rpc/touch", json={"label": 1})
    assert (answer.status_code, answer.content) == (204, b"")
    assert shop.sql("select founded::text from public.labels where id = 1") == [("1999-01-01",)]
    shop.sql("update public.labels set founded = '1989-01-01' where id = 1")


def test_count_and_single_of_a_call(service: httpx.Client) -> None:
    answer = service.get("/rpc/words?n=10&limit=2", headers={"Prefer": "count=exact"})
    assert (answer.status_code, answer.headers["content-range"]) == (206, "0-1/10")
    headers = {"Accept": "application/vnd.pgrst.object+json"}
    assert service.post("/rpc/albums_of?id=eq.1&select=id", json={"artist": 1}, headers=headers).json() == {
        "id": 1
    }
    assert service.post("/rpc/albums_of", json={"artist": 1}, headers=headers).json()["code"] == "PGRST116"


def test_csv_of_a_call(service: httpx.Client) -> None:
    answer = service.get("/rpc/stats", headers={"Accept": "text/csv"})
    assert answer.text == "albums,dearest\n4,12.00"


def test_head_of_a_call(service: httpx.Client) -> None:
    answer = service.head("/rpc/words?n=3")
    assert (answer.status_code, answer.content, answer.headers["content-range"]) == (200, b"", "0-2/*")


@pytest.mark.row("rest.session", by="http")
def test_the_session_a_function_sees(user: httpx.Client) -> None:
    seen = user.post("/rpc/whoami", json={}, headers={"User-Agent": "probe"}).json()
    assert seen == {
        "role": "authenticated", "sub": A, "method": "POST", "path": "/rpc/whoami", "agent": "probe",
        "read_only": "on",
    }  # fmt: skip


def test_get_may_not_write(service: httpx.Client) -> None:
    answer = service.get("/rpc/write_in_get")
    assert (answer.status_code, answer.json()["code"]) == (405, "25006")


def test_a_function_may_set_the_response(service: httpx.Client) -> None:
    answer = service.post("/rpc/respond", json={})
    assert (answer.status_code, answer.json()) == (202, "accepted")
    assert (answer.headers["x-mark"], answer.headers["cache-control"]) == ("7", "no-store")


# Each: what `refuse` raises, the status, the body.
REFUSALS = [
    ("plain", 400, {"code": "P0001", "message": "plain refusal", "details": None, "hint": None}),
    ("teapot", 418, {"code": "PT418", "message": "short and stout", "details": None, "hint": "tip me over"}),
    (
        "full",
        500,
        {
            "code": "PGRST121",
            "message": "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error",
            "details": None,
            "hint": "Responses written by RAISE are not supported here: use PTxyz.",
        },
    ),
]


@pytest.mark.row("rest.raise", by="http")
@pytest.mark.parametrize(("kind", "status", "body"), REFUSALS)
def test_raised_errors(service: httpx.Client, kind: str, status: int, body: object) -> None:
    answer = service.post("/rpc/refuse", json={"kind": kind})
    assert (answer.status_code, answer.json()) == (status, body)


# Each: path, body, status, code, a part of the hint.
WRONG = [
    ("/rpc/ad", {"a": 1}, 404, "PGRST202", "public.add"),
    ("/rpc/add", {"aa": 1}, 404, "PGRST202", "public.add(a, b)"), ("/rpc/add", {}, 404, "PGRST202", None),
    ("/rpc/unclear", {"a": 1}, 300, "PGRST203", "renaming"), ("/rpc/add", [1], 400, "PGRST102", None),
    ("/rpc/add", {"a": "x"}, 400, "22P02", None), ("/rpc/add?nothing=eq.1", {"a": 1}, 400, "42703", None),
    ("/rpc/shout", {}, 404, "PGRST202", None), ("/rpc/add?select=x", {"a": 1}, 400, "42703", None),
    ("/rpc/total", {"numbers": [1]}, 404, "PGRST202", None), ("/rpc/unnamed", {}, 404, "PGRST202", None),
    ("/rpc/echo?given={", None, 400, "PGRST102", None), ("/rpc/stats", [1], 400, "PGRST102", None),
    ("/rpc/stats", "x", 400, "PGRST102", None), ("/rpc/stats", [{}], 400, "PGRST102", None),
]  # fmt: skip


@pytest.mark.row("rest.positional", by="http")
@pytest.mark.parametrize(("path", "body", "status", "code", "hint"), WRONG)
def test_wrong_calls(
    service: httpx.Client, path: str, body: object, status: int, code: str, hint: str | None
) -> None:
    answer = service.get(path) if body is None else service.post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert hint is None or hint in answer.json()["hint"]


def test_wrong_method(service: httpx.Client) -> None:
    answer = service.patch("/rpc/add", json={"a": 1})
    assert (answer.status_code, answer.json()["code"]) == (405, "PGRST101")
