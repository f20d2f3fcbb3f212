"""API keys: what a script gets for one, what it may do then, and when that ends."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import jwt
import psycopg
import pytest
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from soundscape.api.rates import KEY_EXCHANGES_PER_MINUTE_AND_ADDRESS, Rates, TooManyRequests
from soundscape.cli.embedded_project import Project
from soundscape.project.client import connect
from soundscape.project.key_sessions import KeyRefused, KeySessions
from tests.waiting import LIMIT_S

PASSWORD = "correct horse battery staple"
SCOPES = ("read", "upload", "all")


@dataclass
class Owner:
    """A user with the tools of a browser."""

    project: Project
    client: AsyncClient
    id: str
    email: str

    async def make_key(self, scope: str, **more: Any) -> dict[str, Any]:
        arguments = {"name": "a script", "scope": scope, **more}
        made: Any = (await self.client.rpc("create_api_key", arguments).execute()).data
        return dict(made[0])

    async def keys(self) -> list[dict[str, Any]]:
        found: Any = (await self.client.table("api_keys").select("*").execute()).data
        return list(found)


@pytest.fixture
async def owner(embedded: Project) -> AsyncIterator[Owner]:
    client = await acreate_client(
        embedded.url, embedded.keys.publishable_key, AsyncClientOptions(auto_refresh_token=False)
    )
    email = f"owner-{secrets.token_hex(6)}@example.com"
    answer = await client.auth.sign_up({"email": email, "password": PASSWORD})
    assert answer.user is not None
    yield Owner(embedded, client, answer.user.id, email)
    await client.realtime.close()


@pytest.fixture
async def sessions(embedded: Project) -> AsyncIterator[KeySessions]:
    """What the route does, without its rate limits."""
    async with connect(embedded.url, embedded.keys.secret_key) as (client, http):
        yield KeySessions(client, http, url=embedded.url, secret_key=embedded.keys.secret_key)


@dataclass
class Script:
    """A program that has nothing but an access token."""

    http: httpx.AsyncClient
    user_id: str

    async def insert(self, table: str, **row: Any) -> int:
        return (await self.http.post(f"/rest/v1/{table}", json=row)).status_code

    async def upload(self, path: str, *, method: str = "POST", bucket: str = "audio-files") -> int:
        media = "image/png" if bucket == "profile-images" else "audio/wav"
        answer = await self.http.request(
            method,
            f"/storage/v1/object/{bucket}/{path}",
            content=b"RIFF" + secrets.token_bytes(8),
            headers={"content-type": media},
        )
        return answer.status_code


def script(owner: Owner, token: str) -> Script:
    headers = {"apikey": owner.project.keys.publishable_key, "authorization": f"Bearer {token}"}
    http = httpx.AsyncClient(base_url=owner.project.url, headers=headers, timeout=LIMIT_S)
    return Script(http, owner.id)


async def token_of(sessions: KeySessions, owner: Owner, scope: str) -> str:
    return (await sessions.open((await owner.make_key(scope))["key"])).access_token


async def test_the_route_gives_a_token_for_a_key(embedded: Project, owner: Owner) -> None:
    made = await owner.make_key("read")
    async with httpx.AsyncClient(base_url=embedded.url, timeout=LIMIT_S) as http:
        answer = await http.post("/api/token", headers={"authorization": f"Bearer {made['key']}"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert (told["token_type"], told["scope"], told["user_id"]) == ("bearer", "read", owner.id)
    assert set(told) == {"access_token", "token_type", "expires_in", "expires_at", "scope", "user_id"}
    (row,) = (await script(owner, told["access_token"]).http.get("/rest/v1/api_keys")).json()
    assert row["prefix"] == made["prefix"] == made["key"][:19]
    assert row["last_used_at"] is not None
    assert made["key"] not in str(row)


async def test_the_key_is_stored_nowhere(embedded: Project, owner: Owner) -> None:
    made = await owner.make_key("all")
    secret = made["key"].removeprefix(made["prefix"])
    with psycopg.connect(embedded.db_url) as connection:
        tables = connection.execute(
            "select format('select %%L where exists (select from %%s t where t::text like %%L)',"
            " c.oid::regclass, c.oid::regclass, %s::text) from pg_class c"
            " where relkind = 'r' and relnamespace::regnamespace::text in ('public', 'soundscape')",
            [f"%{secret}%"],
        ).fetchall()
        assert len(tables) > 20
        assert [name for (query,) in tables for name in connection.execute(query)] == []


@pytest.mark.parametrize("scope", SCOPES)
async def test_what_a_scope_allows(owner: Owner, sessions: KeySessions, scope: str) -> None:
    there = f"{owner.id}/{secrets.token_hex(4)}.wav"
    await owner.client.storage.from_("audio-files").upload(there, b"RIFFold", {"content-type": "audio/wav"})
    blank: Any = (
        await owner.client.table("audio_files")
        .insert({"title": "Blank", "file_path": f"{owner.id}/{secrets.token_hex(4)}.wav"})
        .execute()
    ).data
    here = script(owner, await token_of(sessions, owner, scope))
    adds, changes = scope in ("upload", "all"), scope == "all"

    def expected(is_allowed: bool, works: int, refused: int) -> int:
        return works if is_allowed else refused

    # Reading works for all of them, also by functions that are called with POST.
    assert (await here.http.get("/rest/v1/audio_files", params={"id": f"eq.{blank[0]['id']}"})).json()
    assert (await here.http.post("/rest/v1/rpc/search_audio", json={"query": "Blank"})).status_code == 200
    assert (await here.http.post("/rest/v1/rpc/recommended_audio", json={})).status_code == 200
    signed = await here.http.post(f"/storage/v1/object/sign/audio-files/{there}", json={"expiresIn": 60})
    assert signed.status_code == 200

    new = f"{owner.id}/{secrets.token_hex(4)}.wav"
    assert await here.upload(new) == expected(adds, 200, 400)
    described = {"title": "New", "file_path": f"{owner.id}/{secrets.token_hex(4)}.wav"}
    assert await here.insert("audio_files", **described) == expected(adds, 201, 405)
    assert await here.upload(f"{owner.id}/face.png", bucket="profile-images") == expected(changes, 200, 400)
    assert await here.upload(there, method="PUT") == expected(changes, 200, 400)
    assert await here.insert("playlists", title="Mine") == expected(changes, 201, 405)
    # A row that waits for its file is part of an upload.
    patched = await here.http.patch(
        "/rest/v1/audio_files", params={"id": f"eq.{blank[0]['id']}"}, json={"title": "Now"},
        headers={"prefer": "return=representation"},
    )  # fmt: skip
    assert patched.status_code == expected(adds, 200, 405)
    merged = await here.http.post(
        "/rest/v1/audio_files",
        params={"on_conflict": "file_path", "columns": "file_path,title"},
        json={"file_path": there, "title": "Taken over"},
        headers={"prefer": "resolution=merge-duplicates"},
    )
    assert not merged.is_success, "nobody takes over an object's row"
    removed = await here.http.delete("/rest/v1/audio_files", params={"id": f"eq.{blank[0]['id']}"})
    assert removed.status_code == expected(changes, 204, 405)
    await here.http.aclose()


@pytest.mark.parametrize("scope", SCOPES)
async def test_no_key_reaches_the_account(owner: Owner, sessions: KeySessions, scope: str) -> None:
    """Auth does not know scopes: a session that it knew could change the password."""
    here = script(owner, await token_of(sessions, owner, scope))
    for method, path in (("GET", "user"), ("PUT", "user"), ("POST", "logout")):
        body = {"password": "another horse battery"} if method == "PUT" else None
        answer = await here.http.request(method, f"/auth/v1/{path}", json=body)
        assert (answer.status_code, answer.json()["error_code"]) == (403, "session_not_found")
    for name, arguments in (("create_api_key", {"name": "more"}), ("revoke_api_key", {"key": owner.id})):
        answer = await here.http.post(f"/rest/v1/rpc/{name}", json=arguments)
        assert answer.status_code in (403, 405), answer.text
    await here.http.aclose()
    # The owner's own session goes on.
    assert (await owner.client.auth.get_user()) is not None
    await owner.client.auth.sign_in_with_password({"email": owner.email, "password": PASSWORD})


async def test_a_revoked_key_ends_its_sessions_at_once(owner: Owner, sessions: KeySessions) -> None:
    made = await owner.make_key("all")
    here = script(owner, (await sessions.open(made["key"])).access_token)
    other = script(owner, await token_of(sessions, owner, "read"))
    path = f"{owner.id}/{secrets.token_hex(4)}.wav"
    assert await here.upload(path) == 200
    await owner.client.rpc("revoke_api_key", {"key": made["id"]}).execute()
    refused = await here.http.get("/rest/v1/audio_files")
    assert refused.status_code == 401, refused.text
    assert "revoked" in refused.json()["message"]
    assert (await here.http.get(f"/storage/v1/object/audio-files/{path}")).status_code == 400
    assert await here.upload(f"{owner.id}/{secrets.token_hex(4)}.wav") == 400
    with pytest.raises(KeyRefused):
        await sessions.open(made["key"])
    assert (await other.http.get("/rest/v1/audio_files")).status_code == 200
    assert {
        row["name"]: row["revoked_at"] is not None for row in await owner.keys() if row["id"] == made["id"]
    }
    # Also when the row of the key is gone.
    with psycopg.connect(owner.project.db_url) as connection:
        connection.execute("delete from public.api_keys where id = %s", [made["id"]])
    assert (await here.http.get("/rest/v1/audio_files")).status_code == 401
    for client in (here, other):
        await client.http.aclose()


async def test_a_key_ends_by_itself(owner: Owner, sessions: KeySessions) -> None:
    made = await owner.make_key("all", expires_at="2999-01-01T00:00:00Z")
    here = script(owner, (await sessions.open(made["key"])).access_token)
    assert (await here.http.get("/rest/v1/audio_files")).status_code == 200
    with psycopg.connect(owner.project.db_url) as connection:
        connection.execute(
            "update public.api_keys set created_at = now() - interval '2 hours',"
            " expires_at = now() - interval '1 hour' where id = %s",
            [made["id"]],
        )
    assert (await here.http.get("/rest/v1/audio_files")).status_code == 401
    with pytest.raises(KeyRefused) as refused:
        await sessions.open(made["key"])
    assert refused.value.status == 401
    await here.http.aclose()


async def test_many_at_once_for_one_user(owner: Owner, sessions: KeySessions, embedded: Project) -> None:
    """Each makes a link, and a new link spends the one before: here from two workers."""
    made = await owner.make_key("read")
    async with connect(embedded.url, embedded.keys.secret_key) as (client, http):
        second = KeySessions(client, http, url=embedded.url, secret_key=embedded.keys.secret_key)
        opened = await asyncio.gather(*(each.open(made["key"]) for each in (sessions, second) * 3))
    ids = {
        jwt.decode(session.access_token, options={"verify_signature": False})["session_id"]
        for session in opened
    }
    assert len(ids) == len(opened)


@pytest.mark.parametrize(
    ("change", "code", "status"),
    [
        ("email = null", "api_key_without_address", 403),
        ("email_confirmed_at = null", "api_key_without_address", 403),
        ("is_sso_user = true", "api_key_without_address", 403),
        ("banned_until = now() + interval '1 hour'", "user_banned", 403),
    ],
)
async def test_who_cannot_sign_in_gets_no_token(
    owner: Owner, sessions: KeySessions, change: str, code: str, status: int
) -> None:
    made = await owner.make_key("read")
    with psycopg.connect(owner.project.db_url) as connection:
        connection.execute(f"update auth.users set {change} where id = %s".encode(), [owner.id])
    with pytest.raises(KeyRefused) as refused:
        await sessions.open(made["key"])
    assert (refused.value.code, refused.value.status) == (code, status)


async def test_no_token_where_the_scope_would_not_be_held(owner: Owner, sessions: KeySessions) -> None:
    made = await owner.make_key("read")
    with psycopg.connect(owner.project.db_url, autocommit=True) as connection:
        connection.execute("alter role authenticator in database postgres reset pgrst.db_pre_request")
        try:
            with pytest.raises(KeyRefused) as refused:
                await sessions.open(made["key"])
        finally:
            connection.execute(
                "alter role authenticator in database postgres"
                " set pgrst.db_pre_request = 'soundscape.check_request'"
            )
    assert (refused.value.code, refused.value.status) == ("api_keys_not_enforced", 503)


async def test_a_key_is_exchanged_so_often_in_an_hour(owner: Owner, sessions: KeySessions) -> None:
    made = await owner.make_key("read")
    with psycopg.connect(owner.project.db_url) as connection:
        connection.execute(
            "update soundscape.api_key_secrets set hour = date_trunc('hour', now()), uses = 60"
            " where key_id = %s",
            [made["id"]],
        )
    with pytest.raises(KeyRefused) as refused:
        await sessions.open(made["key"])
    assert refused.value.status == 429
    with psycopg.connect(owner.project.db_url) as connection:
        connection.execute(
            "update soundscape.api_key_secrets set hour = hour - interval '1 hour' where key_id = %s",
            [made["id"]],
        )
    assert (await sessions.open(made["key"])).scope == "read"


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer soundscape_", "Basic x", f"Bearer soundscape_{'0' * 48}", f"Bearer {'x' * 5000}"],
)
async def test_what_is_no_key_is_refused(embedded: Project, header: str) -> None:
    async with httpx.AsyncClient(base_url=embedded.url, timeout=LIMIT_S) as http:
        answer = await http.post("/api/token", headers={"authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.json()["code"] in ("api_key_missing", "api_key_invalid")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_an_address_guesses_so_often_a_minute() -> None:
    rates = Rates(per_caller_per_minute=1000, per_address_per_minute=1000)
    for _ in range(KEY_EXCHANGES_PER_MINUTE_AND_ADDRESS):
        rates.count_key_address("192.0.2.1")
    with pytest.raises(TooManyRequests):
        rates.count_key_address("192.0.2.1")
    rates.count_key_address("192.0.2.2")
    for _ in range(10):
        rates.count_key("soundscape_a")
    with pytest.raises(TooManyRequests):
        rates.count_key("soundscape_a")


async def test_an_ended_session_ends_at_the_worker_as_well(owner: Owner, sessions: KeySessions) -> None:
    made = await owner.make_key("all")
    here = script(owner, (await sessions.open(made["key"])).access_token)
    signed_in = await owner.client.auth.get_session()
    assert signed_in is not None
    person = script(owner, signed_in.access_token)
    picture = f"/api/audio/{uuid4()}/thumbnail"

    async def ask(client: Script) -> tuple[httpx.Response, httpx.Response]:
        identified = await client.http.post("/api/identify", content=b"no sound")
        return await client.http.get(picture), identified

    for client in (here, person):
        assert [answer.status_code for answer in await ask(client)] == [404, 422]
    await owner.client.rpc("revoke_api_key", {"key": made["id"]}).execute()
    for answer in await ask(here):
        assert answer.status_code == 401
        assert answer.json()["code"] == "session_ended"
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert [answer.status_code for answer in await ask(person)] == [404, 422]
    await owner.client.rpc("delete_my_account").execute()
    assert (await ask(person))[1].json()["code"] == "session_ended"
    for client in (here, person):
        await client.http.aclose()
