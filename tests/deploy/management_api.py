"""A small HTTP server that answers as Supabase's Management API does, over a database of ours.

As there, a query runs by itself on a pooled connection as `postgres`: statements of one query share an
implicit transaction, and the rows of the last statement that returned any are the answer.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
from psycopg.rows import dict_row

REF = "abcdefghijklmnopqrst"
TOKEN = "sbp_for_tests_only"


class Api(ThreadingHTTPServer):
    """One project, `REF`, whose database is `dsn`."""

    daemon_threads = True

    def __init__(self, dsn: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.dsn = dsn
        self.auth_settings: dict[str, Any] = {}
        self.queries: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def _answer(self, method: str) -> None:
        length = int(self.headers.get("content-length") or 0)
        given: Any = json.loads(self.rfile.read(length)) if length else None
        if self.headers.get("authorization") != f"Bearer {TOKEN}":
            return self._send(401, {"message": "Unauthorized"})
        match method, self.path:
            case "POST", p if p == f"/v1/projects/{REF}/database/query":
                return self._query(given["query"], given.get("parameters"))
            case "GET", p if p == f"/v1/projects/{REF}/config/auth":
                return self._send(200, self.server.auth_settings)
            case "PATCH", p if p == f"/v1/projects/{REF}/config/auth":
                self.server.auth_settings |= given
                return self._send(200, self.server.auth_settings)
        return self._send(404, {"message": "Not Found"})

    def _query(self, text: str, parameters: list[str] | None) -> None:
        self.server.queries.append(text)
        rows: list[Any] = []
        cursor: psycopg.Cursor[Any] | psycopg.RawCursor[Any]
        with psycopg.connect(self.server.dsn, autocommit=True, row_factory=dict_row) as connection:
            try:
                if parameters:
                    cursor = psycopg.RawCursor(connection, row_factory=dict_row)
                    cursor.execute(text.encode(), parameters)
                else:
                    cursor = connection.execute(text.encode())
                while True:
                    if cursor.description:
                        rows = cursor.fetchall() or rows
                    if not cursor.nextset():
                        break
            except psycopg.Error as error:
                said = f"ERROR:  {error.sqlstate}: {error.diag.message_primary}"
                return self._send(400, {"message": f"Failed to run sql query: {said}"})
        return self._send(201, rows)

    def _send(self, status: int, body: Any) -> None:
        data = json.dumps(body, default=str).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Tests are quiet."""


@contextmanager
def serving(dsn: str) -> Iterator[Api]:
    """The server, until the block ends."""
    with Api(dsn) as api:
        thread = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield api
        finally:
            api.shutdown()
            thread.join()
