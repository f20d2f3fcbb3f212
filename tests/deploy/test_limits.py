"""What a person reads who has reached a limit: from Storage and from the Data API, over HTTP."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import httpx
import psycopg
import pytest

from embedded_supabase.postgres import SUPERUSER
from soundscape.cli.embedded_project import Project
from tests.waiting import LIMIT_S

LIMITS = {"max_stored_bytes": 1500, "max_playlists": 1}


@pytest.fixture
def limited(served: Project) -> Iterator[Project]:
    """The served project, with small limits."""
    dsn = served.supabase.postgres.dsn(SUPERUSER)
    with psycopg.connect(dsn, autocommit=True) as connection:
        changes = ", ".join(f"{name} = {value}" for name, value in LIMITS.items())
        connection.execute(f"update soundscape.owner_limits set {changes}".encode())
        yield served
        defaults = ", ".join(f"{name} = default" for name in LIMITS)
        connection.execute(f"update soundscape.owner_limits set {defaults}".encode())


@pytest.fixture
def user(limited: Project) -> Iterator[tuple[httpx.Client, str]]:
    """A new user's HTTP client, and their id."""
    key = limited.keys.publishable_key
    with httpx.Client(base_url=limited.url, timeout=LIMIT_S, headers={"apikey": key}) as http:
        given = {"email": f"{secrets.token_hex(6)}@example.com", "password": secrets.token_hex(12)}
        answer = http.post("/auth/v1/signup", json=given).json()
        http.headers["authorization"] = f"Bearer {answer['access_token']}"
        yield http, answer["user"]["id"]


@pytest.mark.parametrize("route", ["upload", "copy"])
def test_storage_says_which_limit_was_reached(user: tuple[httpx.Client, str], route: str) -> None:
    http, user_id = user

    def upload(name: str) -> httpx.Response:
        path = f"/storage/v1/object/audio-files/{user_id}/{name}"
        return http.post(path, content=bytes(1000), headers={"content-type": "audio/wav"})

    assert upload("one.wav").status_code == 200
    if route == "upload":
        refused = upload("two.wav")
    else:
        names = {"sourceKey": f"{user_id}/one.wav", "destinationKey": f"{user_id}/two.wav"}
        refused = http.post("/storage/v1/object/copy", json={"bucketId": "audio-files", **names})
    assert refused.json()["statusCode"] == "403", refused.text
    assert refused.json()["message"] == "You have reached the limit of 1500 bytes of files."
    listed = http.post("/storage/v1/object/list/audio-files", json={"prefix": user_id}).json()
    assert [item["name"] for item in listed] == ["one.wav"], "nothing is left of what was refused"
    http.request("DELETE", "/storage/v1/object/audio-files", json={"prefixes": [f"{user_id}/one.wav"]})
    assert upload("two.wav").status_code == 200


def test_the_data_api_says_which_limit_was_reached(user: tuple[httpx.Client, str]) -> None:
    http, _ = user
    assert http.post("/rest/v1/playlists", json={"title": "One"}).status_code == 201
    refused = http.post("/rest/v1/playlists", json={"title": "Two"})
    assert refused.status_code == 429
    assert refused.json() == {
        "code": "PT429",
        "message": "You have reached the limit of 1 playlists.",
        "details": None,
        "hint": "Delete some, or try again later.",
    }
