"""Connections to a project's database: Postgres itself, or Supabase's Management API. Both behave alike.

Everything a deploy does is a sequence of scripts, each of which happens whole or not at all. Scripts of
several statements take no parameters, so their values are quoted literals. Secrets are sent by `query`, which
takes one statement and its parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from soundscape.errors import DeployError

Rows = list[dict[str, Any]]

API_URL = "https://api.supabase.com"
API_TIMEOUT_S = 120.0

# Any constant does: two deploys of one project wait for each other.
DEPLOY_LOCK = 0x736F756E6473


@dataclass(frozen=True)
class Part:
    """A piece of a script and what to call it when it fails."""

    name: str
    sql: str


PRELUDE = Part(
    "taking the deploy lock",
    f"select pg_advisory_xact_lock({DEPLOY_LOCK}); select set_config('lock_timeout', '10s', true)",
)
"""First in every script that writes: one deploy at a time, and a busy table ends it after ten seconds."""


# These may put a statement's values into the log. A role that may not set one of them leaves it as it is.
# Each is a SET, not a set_config(): that is what supautils allows on a hosted project.
UNLOGGED = Part(
    "keeping values out of the log",
    """
do $$
declare
    setting text;
begin
    foreach setting in array array[
        'log_statement = none', 'log_min_duration_statement = -1', 'log_min_duration_sample = -1',
        'log_transaction_sample_rate = 0', 'log_parameter_max_length = 0'
    ] loop
        begin
            execute 'set local ' || setting;
        exception when insufficient_privilege then
        end;
    end loop;
end
$$
""",
)


class SqlFailed(DeployError):
    """The database refused a statement. Nothing of its script was applied."""

    code = "sql_failed"


class DatabaseConnection(Protocol):
    """A connection to one project's database. Methods raise `SqlFailed` or another `DeployError`."""

    name: str
    """For messages; never with a password."""

    def run(self, *parts: Part) -> Rows:
        """Run the parts in one transaction. Return the rows of the last statement that returned any."""
        ...

    def rehearse(self, *parts: Part) -> Rows:
        """Do the same and roll everything back."""
        ...

    def query(self, name: str, statement: str, *values: str) -> Rows:
        """Run one statement with its values (`$1` …) beside it, so that they are in no log."""
        ...


def literal(value: Any) -> str:
    """Return `value` as SQL text."""
    return sql.Literal(value).as_string()


class PostgresConnection:
    """A connection by connection string."""

    def __init__(self, connection: psycopg.Connection[dict[str, Any]]) -> None:
        self._connection = connection
        info = connection.info
        self.name = f"{info.user}@{info.host}:{info.port}/{info.dbname}"

    def run(self, *parts: Part) -> Rows:
        """Run the parts in one transaction. Return the rows of the last statement that returned any."""
        return self._transact(parts, keep=True)

    def rehearse(self, *parts: Part) -> Rows:
        """Do the same and roll everything back."""
        return self._transact(parts, keep=False)

    def query(self, name: str, statement: str, *values: str) -> Rows:
        """Run one statement with its values beside it, so that they are in no log."""
        with self._connection.transaction():
            self._execute(UNLOGGED)
            cursor = psycopg.RawCursor(self._connection, row_factory=dict_row)
            try:
                return cursor.execute(statement.encode(), values).fetchall()
            except psycopg.Error as error:
                raise _make_sql_failed(name, error) from None

    def _transact(self, parts: tuple[Part, ...], *, keep: bool) -> Rows:
        rows: Rows = []
        with self._connection.transaction(force_rollback=not keep):
            for part in parts:
                rows = self._execute(part) or rows
        return rows

    def _execute(self, part: Part) -> Rows:
        rows: Rows = []
        try:
            cursor = self._connection.execute(part.sql.encode())
            while True:
                if cursor.description:
                    rows = cursor.fetchall() or rows
                if not cursor.nextset():
                    return rows
        except psycopg.OperationalError as error:
            if self._connection.broken:
                raise _make_unreachable(error) from error
            raise _make_sql_failed(part.name, error) from error
        except psycopg.Error as error:
            raise _make_sql_failed(part.name, error) from error


def _make_sql_failed(where: str, error: psycopg.Error) -> SqlFailed:
    diagnosis = error.diag
    return SqlFailed(
        f"{where}: {diagnosis.message_primary or error}",
        remedy=diagnosis.message_hint or "Nothing of this step was applied; fix the cause and deploy again.",
    )


def _make_unreachable(error: psycopg.OperationalError) -> DeployError:
    return DeployError(
        f"The database cannot be reached: {error}",
        code="database_unreachable",
        remedy="Check SUPABASE_DB_URL: the session pooler or the direct connection of the project.",
    )


@contextmanager
def connect_postgres(dsn: str) -> Iterator[PostgresConnection]:
    """Connect by connection string, and close the connection when the block ends. Raises `DeployError`."""
    try:
        # prepare_threshold: a transaction pooler forgets prepared statements.
        connection = psycopg.connect(
            dsn, autocommit=True, connect_timeout=10, prepare_threshold=None, row_factory=dict_row
        )
    except psycopg.OperationalError as error:
        raise _make_unreachable(error) from error
    except psycopg.ProgrammingError:
        # What the driver says of it may quote the password.
        raise DeployError(
            "SUPABASE_DB_URL is not a connection string.",
            code="database_unreachable",
            remedy="It looks like postgresql://postgres:<password>@<host>:5432/postgres.",
        ) from None
    with connection:
        yield PostgresConnection(connection)


class ManagementApi:
    """A connection by access token and project reference, without the database password.

    `POST /v1/projects/{ref}/database/query`. Its sister `/database/migrations` numbers migrations by
    its own clock, so that the official CLI would no longer recognise the files: it is not used.
    """

    def __init__(self, http: httpx.Client, ref: str) -> None:
        self._http = http
        self.ref = ref
        self.name = f"project {ref} by the Management API"

    def run(self, *parts: Part) -> Rows:
        """Run the parts in one transaction. Return the rows of the last statement that returned any."""
        # Statements of one simple query are one transaction.
        return self._query(parts, _join(parts))

    def rehearse(self, *parts: Part) -> Rows:
        """Do the same and roll everything back."""
        return self._query(parts, f"begin;\n{_join(parts)};\nrollback")

    def query(self, name: str, statement: str, *values: str) -> Rows:
        """Run one statement with its values beside it, so that they are in no log."""
        rows: Rows = self.request(
            "POST", "database/query", where=name, json={"query": statement, "parameters": list(values)}
        )
        return rows

    def _query(self, parts: tuple[Part, ...], script: str) -> Rows:
        names = [part.name for part in parts if part is not PRELUDE]
        where = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
        rows: Rows = self.request("POST", "database/query", where=where, json={"query": script})
        return rows

    def request(self, method: str, path: str, *, where: str, json: Any = None) -> Any:
        """Call a route below `/v1/projects/{ref}/` and return the parsed answer. Raises `DeployError`."""
        try:
            answer = self._http.request(method, f"/v1/projects/{self.ref}/{path}", json=json)
        except httpx.TransportError as error:
            raise DeployError(
                f"The Management API cannot be reached: {error}",
                code="api_unreachable",
                remedy="Deploy again; what was done stays done.",
            ) from error
        if answer.is_success:
            return answer.json()
        said = _message(answer)
        if answer.status_code in (401, 403):
            raise DeployError(
                f"The Management API refuses the token: {said}",
                code="api_refused",
                remedy="Make a token at https://supabase.com/dashboard/account/tokens and set "
                "SUPABASE_ACCESS_TOKEN; its account must be a member of the project's organisation.",
            )
        if answer.status_code == 404:
            raise DeployError(
                f"There is no project {self.ref} for this token: {said}",
                code="project_unknown",
                remedy="Set SUPABASE_PROJECT_REF to the reference in the project's URL.",
            )
        if answer.status_code == 400:
            raise SqlFailed(
                f"{where}: {said}",
                remedy="Nothing of this step was applied; fix the cause and deploy again.",
            )
        raise DeployError(
            f"{where}: the Management API answers {answer.status_code}: {said}",
            code="api_failed",
            remedy="Deploy again in a minute; what was done stays done.",
        )


def _join(parts: tuple[Part, ...]) -> str:
    return "\n;\n".join(part.sql for part in parts)


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]


@contextmanager
def connect_management_api(ref: str, token: str, *, api_url: str = API_URL) -> Iterator[ManagementApi]:
    """Connect by the Management API, and close the connection when the block ends."""
    with httpx.Client(
        base_url=api_url,
        headers={"authorization": f"Bearer {token}"},
        timeout=API_TIMEOUT_S,
        follow_redirects=False,
    ) as http:
        yield ManagementApi(http, ref)
