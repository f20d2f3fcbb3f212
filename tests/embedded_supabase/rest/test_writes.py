"""What POST, PATCH and DELETE do and answer, on the wire."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from .conftest import A, B, Shop

SHOWN = {"Prefer": "return=representation"}


@pytest.fixture
def clean(shop: Shop) -> Iterator[Shop]:
    """The shop, put back afterwards."""
    yield shop
    shop.sql("delete from public.albums where id > 4")
    shop.sql("delete from public.labels where id > 3")
    shop.sql("update public.labels set founded = '1989-01-01' where id = 1")
    shop.sql("delete from public.keyless where n > 2")
    shop.sql("update public.albums set price = 10.5, notes = '{\"k\":\"v\"}', mood = 'calm' where id = 1")


def test_insert_says_nothing_unless_asked(clean: Shop, service: httpx.Client) -> None:
    answer = service.post("/labels", json={"id": 10, "name": "Ten"})
    assert (answer.status_code, answer.content, answer.headers["content-range"]) == (201, b"", "*/*")
    assert clean.sql("select name from public.labels where id = 10") == [("Ten",)]


def test_insert_shows_the_selected_columns(clean: Shop, service: httpx.Client) -> None:
    answer = service.post("/labels?select=name", json={"id": 10, "name": "Ten"}, headers=SHOWN)
    assert (answer.status_code, answer.json()) == (201, [{"name": "Ten"}])
    assert answer.headers["preference-applied"] == "return=representation"


def test_insert_of_many_keeps_their_order(clean: Shop, service: httpx.Client) -> None:
    rows = [{"id": 20 - n, "name": f"n{n}"} for n in range(5)]
    answer = service.post("/labels?select=id,name&columns=id,name", json=rows, headers=SHOWN)
    assert answer.json() == rows


@pytest.mark.row("rest.writes", by="http")
def test_insert_with_embed_in_the_answer(clean: Shop, service: httpx.Client) -> None:
    answer = service.post(
        "/albums?select=title,artists!albums_artist_id_fkey(name,labels(name))",
        json={"title": "New", "artist_id": 2},
        headers=SHOWN,
    )
    assert answer.json() == [
        {"title": "New", "artists": {"name": "Boards of Canada", "labels": {"name": "Warp"}}}
    ], answer.text


def test_every_type_goes_in_and_comes_out(clean: Shop, service: httpx.Client) -> None:
    row = {
        "title": "ümlaut \"quoted\" \\ 'x'", "artist_id": 1, "price": 1234.5, "mood": "bright", "stars": 3,
        "tags": ["a", "b,c", '"'], "data": {"n": [1, {"m": None}]}, "notes": [1, "2"], "span": "[2,4)",
        "released": "2024-02-29T12:00:00+00:00",
    }  # fmt: skip
    answer = service.post(f"/albums?select={','.join(row)}", json=row, headers=SHOWN)
    assert answer.json() == [row], answer.text


@pytest.mark.parametrize(
    ("rows", "titles"),
    [
        (
            [{"title": "x", "artist_id": 1}, {"title": "y", "artist_id": 1, "price": 3}],
            [("x", None), ("y", 3)],
        ),
    ],
)
def test_missing_is_null_unless_default_is_asked(
    clean: Shop, service: httpx.Client, rows: object, titles: list[tuple[str, object]]
) -> None:
    path = "/albums?select=title,price&columns=title,artist_id,price"
    answer = service.post(path, json=rows, headers=SHOWN)
    assert [(row["title"], row["price"]) for row in answer.json()] == titles
    answer = service.post(path, json=rows, headers={"Prefer": "return=representation,missing=default"})
    assert [(row["title"], row["price"]) for row in answer.json()] == [("x", 9.99), ("y", 3)], answer.text
    assert "missing=default" in answer.headers["preference-applied"]


def test_rows_with_defaults_come_back_as_they_were_sent(clean: Shop, service: httpx.Client) -> None:
    rows = [{"title": str(n), "artist_id": 1} | ({"price": n} if n % 2 else {}) for n in range(7)]
    answer = service.post(
        "/albums?select=title,price,artists!albums_artist_id_fkey(id)&columns=title,artist_id,price",
        json=rows,
        headers={"Prefer": "return=representation,missing=default"},
    )
    shown = [(row["title"], row["price"], row["artists"]) for row in answer.json()]
    assert shown == [(row["title"], row.get("price", 9.99), {"id": 1}) for row in rows]


def test_uneven_rows_without_columns_are_refused(service: httpx.Client) -> None:
    answer = service.post("/labels", json=[{"id": 30, "name": "a"}, {"id": 31}])
    assert (answer.status_code, answer.json()["code"]) == (400, "PGRST102")
    assert answer.json()["message"] == "All object keys must match"


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"a": NaN}', b"[1]", b'"x"', b"\xff", b"[" * 20000, b'[{"id":1},2]']
)
def test_bodies_that_are_not_rows(service: httpx.Client, body: bytes) -> None:
    answer = service.post("/labels", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "PGRST102"), answer.text


def test_nul_is_refused_by_the_type(service: httpx.Client) -> None:
    answer = service.post("/labels", content=b'{"id": 40, "name": "a\\u0000b"}')
    assert (answer.status_code, answer.json()["code"]) == (400, "22P05")


def test_empty_bodies_make_default_rows(clean: Shop, service: httpx.Client) -> None:
    assert service.post("/keyless", json={}, headers=SHOWN).json() == [{"n": None, "word": None}]
    assert len(service.post("/keyless", json=[{}, {}], headers=SHOWN).json()) == 2
    assert service.post("/keyless", json=[], headers=SHOWN).json() == []
    clean.sql("delete from public.keyless where n is null")


@pytest.mark.parametrize("media", ["text/csv", "application/x-www-form-urlencoded"])
def test_bodies_that_are_not_json(service: httpx.Client, media: str) -> None:
    answer = service.post("/labels", content="id,name\n50,a\n", headers={"Content-Type": media})
    assert (answer.status_code, answer.json()["code"]) == (400, "PGRST102")


def test_single_object_answer(clean: Shop, service: httpx.Client) -> None:
    headers = SHOWN | {"Accept": "application/vnd.pgrst.object+json"}
    answer = service.post("/labels", json={"id": 60, "name": "Sixty"}, headers=headers)
    assert answer.json() == {"id": 60, "name": "Sixty", "founded": None}
    answer = service.patch("/labels?id=in.(1,2)", json={"founded": None}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (406, "PGRST116")
    assert clean.sql("select count(founded) from public.labels where id < 3") == [(2,)], "rolled back"


# -- upsert ------------------------------------------------------------------------------------------


def test_merge_duplicates(clean: Shop, service: httpx.Client) -> None:
    prefer = {"Prefer": "return=representation, resolution=merge-duplicates"}
    answer = service.post("/labels", json=[{"id": 80, "name": "a"}], headers=prefer)
    assert answer.status_code == 201
    answer = service.post("/labels", json=[{"id": 80, "name": "b"}], headers=prefer)
    assert (answer.status_code, answer.json()[0]["name"]) == (200, "b")
    answer = service.post("/labels", json=[{"id": 80, "name": "c"}, {"id": 81, "name": "d"}], headers=prefer)
    assert (answer.status_code, [row["name"] for row in answer.json()]) == (201, ["c", "d"])
    assert "resolution=merge-duplicates" in answer.headers["preference-applied"]


def test_ignore_duplicates_on_another_key(clean: Shop, service: httpx.Client) -> None:
    prefer = {"Prefer": "return=representation,resolution=ignore-duplicates"}
    rows = [{"id": 90, "name": "Warp"}, {"id": 91, "name": "fresh"}]
    answer = service.post("/labels?on_conflict=name", json=rows, headers=prefer)
    assert (answer.status_code, [row["id"] for row in answer.json()]) == (201, [91])


def test_conflict_without_upsert(service: httpx.Client) -> None:
    answer = service.post("/labels", json={"id": 1, "name": "again"})
    assert (answer.status_code, answer.json()["code"]) == (409, "23505")
    assert answer.json()["details"] == "Key (id)=(1) already exists."


# -- update and delete -------------------------------------------------------------------------------


def test_update(clean: Shop, service: httpx.Client) -> None:
    answer = service.patch("/labels?id=eq.1", json={"founded": "2000-01-01"})
    assert (answer.status_code, answer.content, answer.headers["content-range"]) == (204, b"", "0-0/*")
    answer = service.patch(
        "/labels?id=lt.3&select=id,founded&order=id.desc",
        json={"founded": "1989-01-01"},
        headers={"Prefer": "return=representation,count=exact"},
    )
    assert (answer.status_code, answer.headers["content-range"]) == (200, "0-1/2")
    assert [row["id"] for row in answer.json()] == [2, 1]
    clean.sql("update public.labels set founded = '1990-01-01' where id = 2")


def test_update_of_nothing(service: httpx.Client) -> None:
    answer = service.patch("/labels?id=eq.99", json={"name": "x"}, headers=SHOWN)
    assert (answer.status_code, answer.json()) == (200, [])
    answer = service.patch("/labels?id=eq.1", json={}, headers=SHOWN)
    assert (answer.status_code, answer.json()) == (200, [])


def test_update_to_the_default_is_refused(service: httpx.Client) -> None:
    headers = {"Prefer": "return=representation,missing=default"}
    answer = service.patch("/albums?id=eq.1&columns=price,mood", json={"mood": "bright"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "PGRST127")


def test_update_by_json_path_and_logic(clean: Shop, service: httpx.Client) -> None:
    path = "/albums?or=(data->>a.eq.1,title.eq.nothing)&select=id,price"
    assert service.patch(path, json={"price": 1}, headers=SHOWN).json() == [{"id": 1, "price": 1.0}]


def test_delete(clean: Shop, service: httpx.Client) -> None:
    service.post("/labels", json=[{"id": 95, "name": "x"}, {"id": 96, "name": "y"}])
    answer = service.delete("/labels?id=eq.95")
    assert (answer.status_code, answer.content, answer.headers["content-range"]) == (204, b"", "*/*")
    answer = service.delete(
        "/labels?id=eq.96&select=name", headers={"Prefer": "return=representation,count=exact"}
    )
    assert (answer.status_code, answer.json(), answer.headers["content-range"]) == (
        200,
        [{"name": "y"}],
        "*/1",
    )


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_everything_at_once_is_refused(service: httpx.Client, method: str) -> None:
    answer = service.request(method, "/labels", json={"name": "all"})
    verb = "UPDATE" if method == "PATCH" else "DELETE"
    assert (answer.status_code, answer.json()["code"]) == (400, "21000")
    assert answer.json()["message"] == f"{verb} requires a WHERE clause"


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_max_affected(clean: Shop, service: httpx.Client, method: str) -> None:
    service.post("/keyless", json=[{"n": 7, "word": "x"}] * 3)
    headers = {"Prefer": "handling=strict, max-affected=2"}
    answer = service.request(method, "/keyless?n=eq.7", json={"word": "y"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "PGRST124")
    assert answer.json()["details"] == "The query affects 3 rows"
    assert clean.sql("select count(*) from public.keyless where word = 'x'") == [(3,)]
    headers = {"Prefer": "handling=strict, max-affected=3"}
    answer = service.request(method, "/keyless?n=eq.7", json={"word": "y"}, headers=headers)
    assert answer.status_code == 204


def test_strict_handling_refuses_unknown_preferences(service: httpx.Client) -> None:
    answer = service.get("/labels", headers={"Prefer": "handling=strict, dance=tango"})
    assert (answer.status_code, answer.json()["code"]) == (400, "PGRST122")
    assert answer.json()["details"] == "Invalid preferences: dance=tango"
    assert service.get("/labels", headers={"Prefer": "dance=tango"}).status_code == 200


def test_rollback_is_ignored_as_where_the_project_does_not_allow_it(
    clean: Shop, service: httpx.Client
) -> None:
    prefer = {"Prefer": "tx=rollback"}
    assert (
        "preference-applied"
        not in service.post("/labels", json={"id": 97, "name": "r"}, headers=prefer).headers
    )
    assert clean.sql("select count(*) from public.labels where id = 97") == [(1,)]


# -- Row Level Security ------------------------------------------------------------------------------


def test_rows_belong_to_their_owners(shop: Shop, user: httpx.Client) -> None:
    assert [row["entry"] for row in user.get("/diaries?select=entry").json()] == ["of a"]
    answer = user.post("/diaries?select=owner", json={"entry": "mine"}, headers=SHOWN)
    assert answer.json() == [{"owner": A}]
    assert user.patch("/diaries?entry=eq.of b", json={"entry": "stolen"}, headers=SHOWN).json() == []
    shop.sql("delete from public.diaries where entry = 'mine'")


def test_refused_by_policy(user: httpx.Client) -> None:
    answer = user.post("/diaries", json={"entry": "x", "owner": B})
    assert (answer.status_code, answer.json()["code"]) == (403, "42501")
    assert answer.json()["message"] == 'new row violates row-level security policy for table "diaries"'


def test_refused_by_grant(anon: httpx.Client, user: httpx.Client) -> None:
    answer = anon.get("/diaries")
    assert (answer.status_code, answer.json()["code"]) == (401, "42501")
    assert user.get("/secrets").status_code == 403


def test_insert_without_select_privilege(shop: Shop, anon: httpx.Client) -> None:
    """Nothing is returned, so nothing needs to be readable."""
    shop.sql("grant insert on public.secrets to anon")
    try:
        assert anon.post("/secrets", json={"id": 1, "secret": "s"}).status_code == 201
        assert anon.post("/secrets", json={"id": 2, "secret": "s"}, headers=SHOWN).status_code == 401
        assert shop.sql("select count(*) from public.secrets") == [(1,)]
    finally:
        shop.sql("revoke insert on public.secrets from anon")
        shop.sql("delete from public.secrets")
