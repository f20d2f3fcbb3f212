"""`alter role authenticator set pgrst.db_pre_request`: a function that runs before every request."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import psycopg
import pytest

from tests.waiting import until

from .conftest import A, Shop

FUNCTION = """
create schema hooks;
grant usage on schema hooks to anon, authenticated, service_role;
create function hooks.check_request() returns void language plpgsql as $$
begin
    if current_setting('request.headers')::json ->> 'prefer' ~ 'count=(planned|estimated)'
        and current_user <> 'service_role' then
        raise sqlstate 'PT400' using message = 'Only exact counts are allowed', hint = 'Use count=exact.';
    end if;
    perform set_config('response.headers', format('[{"x-role": "%s"}]', current_user), true);
end
$$;
alter role authenticator set pgrst.db_pre_request = 'hooks.check_request';
"""


@pytest.fixture(scope="module")
def hooked(shop: Shop) -> Iterator[Shop]:
    """Set by `postgres`, as `soundscape deploy` sets it on a hosted project."""
    with psycopg.connect(shop.embedded.postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute(FUNCTION)
        connection.execute("notify pgrst, 'reload config'")
        with shop.client() as client:
            until(lambda: "x-role" in client.get("/artists").headers)
        yield shop
        connection.execute("alter role authenticator reset pgrst.db_pre_request")
        connection.execute("drop schema hooks cascade")
        connection.execute("notify pgrst, 'reload config'")
    with shop.client() as client:
        until(lambda: is_plain(client.get("/artists")))


def is_plain(response: httpx.Response) -> bool:
    """Whether no function ran: with one that is gone, the request fails until the setting is read again."""
    return response.is_success and "x-role" not in response.headers


def count(client: httpx.Client, method: str, path: str, kind: str) -> httpx.Response:
    body = {} if method == "POST" else None
    return client.request(method, path, json=body, headers={"Prefer": f"count={kind}"})


@pytest.mark.row("rest.pre-request", by="http")
@pytest.mark.parametrize("kind", ["planned", "estimated"])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/artists"), ("HEAD", "/artists"), ("POST", "/rpc/pairs"), ("GET", "/")]
)
def test_it_refuses_a_request(hooked: Shop, kind: str, method: str, path: str) -> None:
    with hooked.client(hooked.token(A)) as client:
        refused = count(client, method, path, kind)
        assert refused.status_code == 400
        if method != "HEAD":
            assert refused.json() == {
                "code": "PT400", "message": "Only exact counts are allowed", "details": None,
                "hint": "Use count=exact.",
            }  # fmt: skip
        assert count(client, method, path, "exact").is_success


@pytest.mark.row("rest.pre-request", by="http")
def test_it_runs_as_the_caller(hooked: Shop) -> None:
    with hooked.client() as client:
        assert client.get("/artists").headers["x-role"] == "anon"
    with hooked.client(hooked.token(A)) as client:
        assert client.get("/artists").headers["x-role"] == "authenticated"
    with hooked.client(key=hooked.embedded.keys.secret_key) as client:
        assert count(client, "GET", "/artists", "planned").headers["x-role"] == "service_role"
