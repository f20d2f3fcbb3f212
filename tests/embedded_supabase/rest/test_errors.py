"""Refusals: codes, words, statuses, hints."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import jwt
import pytest

from embedded_supabase.rest import app

from .conftest import A, Shop

# Each: path, status, code, message, hint.
WRONG = [
    (
        "/album",
        404,
        "PGRST205",
        "Could not find the table 'public.album' in the schema cache",
        "Perhaps you meant the table 'public.albums'",
    ),
    ("/things", 404, "PGRST205", "Could not find the table 'public.things' in the schema cache", None),
    ("/pg_class", 404, "PGRST205", "Could not find the table 'public.pg_class' in the schema cache", None),
    (
        "/labels?select=nam",
        400,
        "42703",
        "column labels.nam does not exist",
        'Perhaps you meant to reference the column "labels.name".',
    ),
    ("/labels?zzz=eq.1", 400, "42703", "column labels.zzz does not exist", None),
    ("/labels?order=zzz", 400, "42703", "column labels.zzz does not exist", None),
    ("/labels?or=(id.eq.1,zzz.eq.1)", 400, "42703", "column labels.zzz does not exist", None),
    ("/labels?select=id::nope", 400, "42704", 'type "nope" does not exist', None),
    ("/labels?id=eq.x", 400, "22P02", 'invalid input syntax for type integer: "x"', None),
    ("/labels?name=fts(nope).x", 400, "42704", 'text search configuration "nope" does not exist', None),
    ("/labels?name=match.(", 400, "2201B", "invalid regular expression: parentheses () not balanced", None),
    ("/labels?limit=-1", 416, "PGRST103", "Requested range not satisfiable", None),
    ("/labels/1", 404, "PGRST125", "Invalid path specified in request URL", None),
    ("/rpc/a/b", 404, "PGRST125", "Invalid path specified in request URL", None),
]


@pytest.mark.parametrize(("path", "status", "code", "message", "hint"), WRONG)
def test_refusal(
    anon: httpx.Client, path: str, status: int, code: str, message: str, hint: str | None
) -> None:
    answer = anon.get(path)
    body = answer.json()
    assert (answer.status_code, body["code"], body["message"], body["hint"]) == (status, code, message, hint)
    assert set(body) == {"code", "message", "details", "hint"}
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["proxy-status"] == f"PostgREST; error={code}"


# Each: a query that is no sentence of the grammar, where reading stopped.
UNREADABLE = [
    ("select=id,,name", 4), ("select=id)", 3), ("select=a(b", 4), ("select=...a", 5), ("select=id::", 5),
    ("select=data->", 7), ("select=id.sum", 3), ("select=id%00", 3), ("id=1", 1), ("id=foo.1", 1),
    ("id=not.1", 5), ("id=is.nul", 4), ("id=in.1", 4), ("id=in.(1,2", 8), ("id=eq(some).1", 1),
    ("id=neq(any).1", 1), ("id=fts().1", 1), ("or=()", 4), ("or=(id.eq.1", 11), ("or=id.eq.1", 1),
    ("order=id.up", 3), ("order=id.desc.x", 8), ("limit=ten", 1), ("and=(id.eq.1,or(", 16),
    ("columns=,", 1), (f"or=({'and(' * 40}id.eq.1{')' * 41}", 123), (f"select={'a(' * 200}", 62),
]  # fmt: skip


@pytest.mark.parametrize(("query", "column"), UNREADABLE)
def test_unreadable(anon: httpx.Client, query: str, column: int | None) -> None:
    answer = anon.get(f"/labels?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "PGRST100"), answer.text
    assert answer.json()["details"]
    if column is not None:
        assert f"column {column})" in answer.json()["message"], answer.text


@pytest.mark.row("rest.too-much", by="http")
def test_as_many_parentheses_as_are_allowed(anon: httpx.Client) -> None:
    answer = anon.get(f"/labels?or=({'and(' * 29}id.eq.1{')' * 30}")
    assert [row["id"] for row in answer.json()] == [1]
    for inside in ("and(" * 30 + "id.eq.1" + ")" * 30, "(" * 31):
        answer = anon.get(f"/labels?or=({inside})")
        assert answer.json()["details"] == 'unexpected "(" expecting at most 30 nested parentheses'


@pytest.mark.parametrize("query", ["id=eq.%FF", "%ff=eq.1", "&".join(f"id=eq.{n}" for n in range(600))])
def test_undecodable(anon: httpx.Client, query: str) -> None:
    assert anon.get(f"/labels?{query}").json()["code"] == "PGRST100"


def test_unknown_columns_of_writes(service: httpx.Client) -> None:
    for answer in (
        service.post("/labels", json={"nam": "x"}),
        service.patch("/labels?id=eq.1", json={"nam": "x"}),
        service.post("/labels?columns=nam", json=[{"nam": "x"}]),
    ):
        assert answer.status_code == 400
        assert answer.json() == {
            "code": "PGRST204",
            "message": "Could not find the 'nam' column of 'labels' in the schema cache",
            "details": None,
            "hint": "Perhaps you meant the column 'name'",
        }


def test_schemas(anon: httpx.Client, service: httpx.Client) -> None:
    assert anon.get("/labels", headers={"Accept-Profile": "public"}).status_code == 200
    answer = anon.get("/things", headers={"Accept-Profile": "hidden"})
    assert (answer.status_code, answer.json()["code"]) == (406, "PGRST106")
    assert answer.json()["hint"] == "Only the following schemas are exposed: public"
    assert service.post("/things", json={}, headers={"Content-Profile": "hidden"}).status_code == 406


def test_put_is_refused(service: httpx.Client) -> None:
    answer = service.put("/labels?id=eq.1", json={"id": 1, "name": "x"})
    assert (answer.status_code, answer.json()["code"]) == (405, "PGRST117")


# Each: response.headers, response.status, the code.
MISBEHAVIOUR = [
    ("nonsense", "", "PGRST111"), ('{"a": "b"}', "", "PGRST111"), ('[{"a": "b", "c": "d"}]', "", "PGRST111"),
    ('[{"X": "a\\r\\nY: b"}]', "", "PGRST111"), ('[{"X": "表"}]', "", "PGRST111"), ("", "teapot", "PGRST112"),
    ("", "99", "PGRST112"),
    *((f'[{{"{name}": "1"}}]', "", "PGRST111")
      for name in ("X Y", "Xé", "X:", "", "X\\n", "Content-Length", "transfer-encoding")),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "status", "code"), MISBEHAVIOUR)
def test_what_a_function_may_not_set(service: httpx.Client, headers: str, status: str, code: str) -> None:
    answer = service.post("/rpc/misbehave", json={"headers": headers, "status": status})
    assert (answer.status_code, answer.json()["code"]) == (500, code)


def test_names_beyond_ascii(service: httpx.Client) -> None:
    table = quote('表 "x"')
    answer = service.get(f"/{table}?select=%22spalte ü%22&spalte ü=eq.é")
    assert (answer.status_code, answer.json()) == (200, [{"spalte ü": "é"}]), answer.text
    assert service.post(f"/{table}", json={"id": 2}).status_code == 201
    answer = service.get(f"/{table}?select=%22100%25 %25s%22:id&id=eq.2")
    assert answer.json() == [{"100% %s": 2}], answer.text
    assert service.delete(f"/{table}?id=eq.2").status_code == 204


# -- who is asking -----------------------------------------------------------------------------------


def test_without_a_key(shop: Shop) -> None:
    answer = httpx.get(f"{shop.url}/rest/v1/labels")
    assert (answer.status_code, answer.json()["message"]) == (401, "No API key found in request")
    answer = httpx.get(f"{shop.url}/rest/v1/labels", headers={"apikey": "sb_publishable_wrong"})
    assert (answer.status_code, answer.json()["message"]) == (401, "Invalid API key")


def test_expired(shop: Shop) -> None:
    with shop.client(shop.token(A, lifetime_s=-5)) as client:
        answer = client.get("/labels")
    assert (answer.status_code, answer.json()["code"]) == (401, "PGRST303")
    assert answer.json()["message"] == "JWT expired"
    assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


@pytest.mark.parametrize("bearer", ["x", "a.b.c", "..", "é".encode().decode("latin-1")])
def test_broken_tokens(shop: Shop, bearer: str) -> None:
    with shop.client() as client:
        answer = client.get("/labels", headers={"Authorization": f"Bearer {bearer}".encode("latin-1")})
    assert (answer.status_code, answer.json()["code"]) == (401, "PGRST301")


def test_forged_tokens(shop: Shop) -> None:
    claims = {"role": "service_role", "exp": 4102444800}
    for token in (jwt.encode(claims, "wrong" * 10), jwt.encode(claims, "", algorithm="none")):
        with shop.client(token) as client:
            assert client.get("/labels").json()["code"] == "PGRST301"


def test_older_keys_and_tokens(shop: Shop) -> None:
    """The two JWT keys, and users' tokens under the shared secret, are as good as the new ones."""
    with shop.client(key=shop.embedded.keys.service_role_jwt) as client:
        assert client.get("/diaries?select=id", headers={"Prefer": "count=exact"}).status_code == 200
    claims = {"sub": A, "role": "authenticated", "exp": 4102444800}
    with shop.client(
        jwt.encode(claims, shop.embedded.keys.jwt_secret), shop.embedded.keys.anon_jwt
    ) as client:
        assert [row["entry"] for row in client.get("/diaries").json()] == ["of a"]


@pytest.mark.row("rest.large-bodies", by="http")
def test_large_bodies_are_refused(service: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MAX_BODY_BYTES", 1000)
    answer = service.post("/labels", content=b'{"name": "' + b"x" * 1000 + b'"}')
    assert (answer.status_code, answer.json()["code"]) == (413, "PGRST102")
