"""pg_net's sending half: after commit, once, and one bad request costs nobody else."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import psycopg
import psycopg.sql
import pytest

from embedded_supabase import net
from soundscape.cli.embedded_project import Project
from tests.waiting import eventually, until

ENOUGH = "/enough"
"""Ends every answer that drips."""


class Ear(BaseHTTPRequestHandler):
    """Remembers what it is sent, and answers as the path says."""

    heard: list[dict[str, Any]]

    def _hear(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.heard.append(
            {"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body}
        )
        if self.path == "/slow":
            time.sleep(1.5)
        status = 302 if self.path == "/elsewhere" else 200
        self.send_response(status)
        if status == 302:
            self.send_header("location", "/followed")
        self.send_header("content-type", "text/plain; charset=hex" if self.path == "/odd" else "text/plain")
        self.end_headers()
        with suppress(ConnectionError):
            while self.path == "/drip" and not any(one["path"] == ENOUGH for one in self.heard):
                self.wfile.write(b"x")
                time.sleep(0.1)
        with suppress(BrokenPipeError):  # nobody waited for it
            self.wfile.write(b"heard\x00 you")

    do_POST = do_GET = do_DELETE = _hear  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def ear() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    heard: list[dict[str, Any]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneEar", (Ear,), {"heard": heard}))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", heard
    heard.append({"path": ENOUGH})
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def connection(embedded: Project) -> Iterator[psycopg.Connection]:
    with psycopg.connect(embedded.db_url) as connection:
        yield connection


def post(connection: psycopg.Connection, url: str, **more: Any) -> int:
    named = {"url": url, "body": json.dumps({"a": "ä"}), **more}
    arguments = ", ".join(f"{name} := %({name})s" for name in named)
    row = connection.execute(f"select net.http_post({arguments})", named).fetchone()
    assert row is not None
    return int(row[0])


def answer(connection: psycopg.Connection, request: int) -> dict[str, Any]:
    """The answer to a request, once there is one."""

    def found() -> dict[str, Any] | None:
        cursor = connection.execute("select * from net._http_response where id = %s", (request,))
        assert cursor.description is not None
        row = cursor.fetchone()
        connection.commit()
        if row is None:
            return None
        return dict(zip([column.name for column in cursor.description], row, strict=True))

    answered = until(found)
    assert answered is not None
    return answered


@pytest.mark.row("database.pg-net", by="sql")
def test_sent_after_commit_and_once(
    connection: psycopg.Connection, ear: tuple[str, list[dict[str, Any]]]
) -> None:
    url, heard = ear
    request = post(connection, f"{url}/x?a=b", headers=json.dumps({"X-One": "1", "X-Number": 2}))
    time.sleep(0.2)
    assert heard == []
    connection.commit()
    found = answer(connection, request)
    assert (found["status_code"], found["content"], found["timed_out"]) == (200, "heard you", False)
    (sent,) = heard
    assert (sent["method"], sent["path"], json.loads(sent["body"])) == ("POST", "/x?a=b", {"a": "ä"})
    told = sent["headers"]
    assert (told["X-One"], told["X-Number"], told["Content-Type"]) == ("1", "2", "application/json")
    assert told["User-Agent"].startswith("pg_net/")
    left = connection.execute("select count(*) from net.http_request_queue").fetchone()
    assert left == (0,)


@pytest.mark.row("database.pg-net", by="sql")
@pytest.mark.parametrize("name", ["Content-Type", "content-type"])
def test_a_body_is_json_and_says_so(connection: psycopg.Connection, name: str) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match='Content-Type header must be "application/json"'):
        post(connection, "http://127.0.0.1:1", headers=json.dumps({name: "text/plain"}))


@pytest.mark.row("database.pg-net", by="sql")
@pytest.mark.parametrize(
    ("call", "method", "body"),
    [
        ("http_get(%(url)s, %(params)s, %(headers)s)", "GET", b""),
        ("http_delete(%(url)s, %(params)s, %(headers)s)", "DELETE", b""),
        ("http_delete(%(url)s, %(params)s, %(headers)s, 5000, '[1]')", "DELETE", b"[1]"),
        ("http_post(%(url)s, null, %(params)s, %(headers)s)", "POST", b""),
    ],
)
def test_each_method(
    connection: psycopg.Connection, ear: tuple[str, list[dict[str, Any]]], call: str, method: str, body: bytes
) -> None:
    url, heard = ear
    named = {"url": f"{url}/x", "params": json.dumps({"a": "b"}), "headers": json.dumps({"X-One": "1"})}
    row = connection.execute(f"select net.{call}".encode(), named).fetchone()
    connection.commit()
    assert row is not None
    assert answer(connection, row[0])["status_code"] == 200
    (sent,) = heard
    assert (sent["method"], sent["path"], sent["body"]) == (method, "/x?a=b", body)
    assert sent["headers"]["X-One"] == "1"


def test_rolled_back_is_never_sent(
    connection: psycopg.Connection, ear: tuple[str, list[dict[str, Any]]]
) -> None:
    url, heard = ear
    post(connection, f"{url}/rolled-back")
    connection.rollback()
    request = post(connection, f"{url}/kept")
    connection.commit()
    answer(connection, request)
    assert [sent["path"] for sent in heard] == ["/kept"]


def test_one_bad_request_beside_good_ones(
    connection: psycopg.Connection, ear: tuple[str, list[dict[str, Any]]]
) -> None:
    url, heard = ear
    bad = [
        post(connection, "no url at all"),
        post(connection, "http://127.0.0.1:1/nobody"),
        post(connection, "http://[::1/"),
        post(connection, f"{url}/x", headers=json.dumps({"X-Bad": "é\n"})),
    ]
    listed = connection.execute("select net.http_get(%s, headers := '[1]')", (f"{url}/x",)).fetchone()
    assert listed is not None
    bad.append(listed[0])
    good = [post(connection, f"{url}/good") for _ in range(3)]
    connection.commit()
    for request in good:
        assert answer(connection, request)["status_code"] == 200
    for request in bad:
        found = answer(connection, request)
        assert (found["status_code"], bool(found["error_msg"])) == (None, True)
    assert [sent["path"] for sent in heard] == ["/good"] * 3


def test_too_slow(connection: psycopg.Connection, ear: tuple[str, list[dict[str, Any]]]) -> None:
    request = post(connection, f"{ear[0]}/slow", timeout_milliseconds=100)
    connection.commit()
    found = answer(connection, request)
    assert (found["timed_out"], found["status_code"]) == (True, None)


def test_a_peer_that_drips_holds_nobody_up(
    connection: psycopg.Connection, ear: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does an answer in a charset nobody reads."""
    monkeypatch.setattr(net, "MAX_AT_ONCE", 2)
    slow = post(connection, f"{ear[0]}/drip", timeout_milliseconds=600_000)
    connection.commit()
    until(lambda: ear[1])
    others = [post(connection, f"{ear[0]}/odd") for _ in range(5)]
    connection.commit()
    for request in others:
        assert answer(connection, request)["content"] == "heard you"
    assert connection.execute("select from net._http_response where id = %s", (slow,)).fetchall() == []
    # The limit is for the whole answer, not for the wait between two bytes.
    cut = post(connection, f"{ear[0]}/drip", timeout_milliseconds=500)
    connection.commit()
    found = answer(connection, cut)
    assert (found["timed_out"], found["error_msg"]) == (True, "Timeout of 500 ms reached")
    httpx.post(f"{ear[0]}{ENOUGH}")
    assert answer(connection, slow)["status_code"] == 200


async def test_no_more_are_taken_than_asked_for(embedded: Project) -> None:
    """Nor by a plan that was made when the queue was empty, and Postgres joined row by row."""
    dsn = embedded.supabase.postgres.dsn("supabase_admin")
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=0) as connection:
        await connection.execute("set plan_cache_mode = force_generic_plan")

        async def is_empty() -> bool:
            await connection.execute("vacuum analyze net.http_request_queue")
            size = await connection.execute("select pg_relation_size('net.http_request_queue')")
            return await size.fetchone() == (0,)

        await eventually(is_empty)
        assert await net.QUERIES.fetch(connection, "take_requests", limit=3) == []
        async with connection.transaction(force_rollback=True):
            await connection.execute("select net.http_get('http://127.0.0.1:1') from generate_series(1, 10)")
            taken = await net.QUERIES.fetch(connection, "take_requests", limit=3)
            left = await (await connection.execute("select count(*) from net.http_request_queue")).fetchone()
            assert (len(taken), left) == (3, (7,))


def test_a_redirect_is_followed(
    connection: psycopg.Connection, ear: tuple[str, list[dict[str, Any]]]
) -> None:
    request = post(connection, f"{ear[0]}/elsewhere")
    connection.commit()
    assert answer(connection, request)["status_code"] == 200
    sent = [(each["method"], each["path"]) for each in ear[1]]
    assert sent == [("POST", "/elsewhere"), ("GET", "/followed")]


def test_the_connection_it_listens_on_is_lost(
    embedded: Project, connection: psycopg.Connection, ear: tuple[str, list[dict[str, Any]]]
) -> None:
    """As when Postgres restarts: it comes back by itself."""
    with psycopg.connect(embedded.supabase.postgres.dsn("supabase_admin"), autocommit=True) as admin:
        ended = admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where query ~ 'net[.](http_request_queue|_http_response)' and usename = 'supabase_admin'"
            " and pid <> pg_backend_pid()"
        ).fetchall()
    assert ended
    request = post(connection, f"{ear[0]}/again")
    connection.commit()
    assert answer(connection, request)["status_code"] == 200


@pytest.mark.row("database.pg-net", by="sql")
def test_params_become_the_query(
    connection: psycopg.Connection, ear: tuple[str, list[dict[str, Any]]]
) -> None:
    url, heard = ear
    request = post(connection, f"{url}/ok?a=1", params=json.dumps({"b c": "ä&=", "d": 2}))
    connection.commit()
    answer(connection, request)
    assert heard[0]["path"] == "/ok?a=1&d=2&b%20c=%C3%A4%26%3D"


@pytest.fixture
def hooked(embedded: Project) -> Iterator[psycopg.Connection]:
    """A table of its own to put webhooks on."""
    with psycopg.connect(embedded.db_url, autocommit=True) as connection:
        connection.execute("create schema hooked create table orders (id int primary key, note text)")
        yield connection
        connection.execute("drop schema hooked cascade")


def hook(connection: psycopg.Connection, *arguments: str) -> None:
    said = psycopg.sql.SQL(", ").join(map(psycopg.sql.Literal, arguments))
    connection.execute(
        psycopg.sql.SQL(
            "create trigger told after insert or update or delete on hooked.orders for each row"
            " execute function supabase_functions.http_request({})"
        ).format(said)
    )


@pytest.mark.row("database.webhooks", by="sql")
def test_a_webhook_tells_of_every_change(
    hooked: psycopg.Connection, ear: tuple[str, list[dict[str, Any]]]
) -> None:
    url, heard = ear
    hook(hooked, f"{url}/ok", "POST", '{"x-secret": "s"}', '{"from": "db"}', "1000")
    hooked.execute("insert into hooked.orders values (1, 'new')")
    hooked.execute("update hooked.orders set note = 'changed'")
    hooked.execute("delete from hooked.orders")
    sent = hooked.execute(
        "select request_id, hook_name, hook_table_id from supabase_functions.hooks order by id desc limit 3"
    ).fetchall()
    table = hooked.execute("select 'hooked.orders'::regclass::oid::int").fetchone()
    assert table is not None
    assert {row[1:] for row in sent} == {("told", table[0])}
    for request, *_ in sent:
        assert answer(hooked, request)["status_code"] == 200
    new, changed = {"id": 1, "note": "new"}, {"id": 1, "note": "changed"}
    told = {json.loads(one["body"])["type"]: json.loads(one["body"]) for one in heard}
    common = {"table": "orders", "schema": "hooked"}
    assert told == {
        "INSERT": {"type": "INSERT", "record": new, "old_record": None, **common},
        "UPDATE": {"type": "UPDATE", "record": changed, "old_record": new, **common},
        "DELETE": {"type": "DELETE", "record": None, "old_record": changed, **common},
    }
    assert {(one["path"], one["headers"]["x-secret"]) for one in heard} == {("/ok?from=db", "s")}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["null", "POST"], "url argument is missing"),
        (["http://127.0.0.1:1", "null"], "method argument is missing"),
        (["http://127.0.0.1:1", "PATCH"], "method argument PATCH is invalid"),
    ],
)
def test_a_webhook_that_cannot_be_sent(hooked: psycopg.Connection, arguments: list[str], says: str) -> None:
    hook(hooked, *arguments)
    with pytest.raises(psycopg.errors.RaiseException, match=says):
        hooked.execute("insert into hooked.orders values (1, 'new')")


def test_a_webhook_by_get(hooked: psycopg.Connection, ear: tuple[str, list[dict[str, Any]]]) -> None:
    url, heard = ear
    hook(hooked, f"{url}/ok", "GET", "{}", "{}", "1000")
    hooked.execute("insert into hooked.orders values (1, 'new')")
    row = hooked.execute("select max(request_id) from supabase_functions.hooks").fetchone()
    assert row is not None
    assert answer(hooked, row[0])["status_code"] == 200
    assert (heard[0]["method"], heard[0]["body"]) == ("GET", b"")
