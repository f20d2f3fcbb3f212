"""A deployed database, and what Storage, Auth and the worker do to it, one statement each."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from embedded_supabase.postgres import SUPERUSER, Postgres
from tests import cluster

Row = dict[str, Any]
Connection = psycopg.Connection[Row]

RESULT: Row = {
    "analysis_version": "test-1",
    "source": {"duration_s": 1.5, "sample_rate": 44100, "channels": 2, "sha256": "0" * 64},
    "loudness": {"integrated_lufs": -23.0},
}

QUEUES = ("soundscape_uploads", "soundscape_backfill", "soundscape_previews")

# A type that each bucket takes.
MIME_TYPES = {
    "audio-files": "audio/wav",
    "waveforms": "application/octet-stream",
    "profile-images": "image/png",
    "exports": "application/zip",
}


@dataclass(frozen=True)
class Held:
    """A job somebody claimed."""

    job_id: int
    token: str
    attempt: int
    audio_id: str
    object_version: str
    object_name: str

    @property
    def picture(self) -> str:
        """Where this attempt stores its overview."""
        return f"{self.audio_id}/test-1/{self.object_version}/{self.job_id}-{self.attempt}/waveform.dat"


@dataclass
class Database:
    """One deployed database, as its owner sees it; each statement commits by itself."""

    postgres: Postgres
    name: str
    connection: Connection
    opened: ExitStack = field(default_factory=ExitStack, repr=False)
    blank_tables: list[str] = field(default_factory=list, repr=False)
    """Those that a deploy leaves empty: registries and settings are no data of a test."""
    idle: list[Connection] = field(default_factory=list, repr=False)
    """Sessions that `acting` takes again, as PostgREST does: a new one has to read everything first."""

    def dsn(self, role: str = "postgres") -> str:
        return self.postgres.dsn(role, dbname=self.name)

    def connect(self, role: str = "postgres", *, autocommit: bool = False) -> Connection:
        """A further session, closed with the test."""
        return self.opened.enter_context(
            psycopg.connect(self.dsn(role), autocommit=autocommit, row_factory=dict_row)
        )

    def rows(self, query: str, *values: Any) -> list[Row]:
        cursor = self.connection.execute(query, values)
        return cursor.fetchall() if cursor.description else []

    def row(self, query: str, *values: Any) -> Row:
        (found,) = self.rows(query, *values)
        return found

    def value(self, query: str, *values: Any) -> Any:
        return next(iter(self.row(query, *values).values()))

    def somebody_waits(self) -> bool:
        """Whether a session of this database waits for a lock."""
        return bool(
            self.value(
                "select exists (select from pg_stat_activity "
                "where datname = current_database() and wait_event_type = 'Lock')"
            )
        )

    # -- people -----------------------------------------------------------------------------------

    def sign_up(self) -> str:
        user_id = str(uuid4())
        self.rows("insert into auth.users (id, email) values (%s, %s)", user_id, f"{user_id}@example.com")
        return user_id

    @contextmanager
    def acting(self, role: str, user_id: str = "") -> Iterator[Connection]:
        """A transaction as PostgREST opens it, rolled back afterwards."""
        if self.idle:
            connection = self.idle.pop()
        else:
            connection = psycopg.connect(self.dsn("authenticator"), row_factory=dict_row)
        try:
            connection.execute(
                "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)",
                (role, json.dumps({"sub": user_id, "role": role} if user_id else {"role": role})),
            )
            yield connection
            connection.rollback()
        except BaseException:
            connection.close()
            raise
        self.idle.append(connection)

    def end_idle(self) -> None:
        """Close the sessions that `acting` keeps: the next one sees settings of its role anew."""
        while self.idle:
            self.idle.pop().close()

    # -- recordings -------------------------------------------------------------------------------

    def store(
        self,
        name: str,
        *,
        owner: str | None,
        etag: str | None = None,
        bucket: str = "audio-files",
        user_metadata: Row | None = None,
        connection: Connection | None = None,
    ) -> str:
        """What Storage writes once the bytes lie there whole; returns the object's version."""
        version = str(uuid4())
        (connection or self.connection).execute(
            """
            insert into storage.objects as o (bucket_id, name, owner_id, version, metadata, user_metadata)
            values (%s, %s, %s, %s, %s, %s)
            on conflict (bucket_id, name) do update set version = excluded.version,
                metadata = excluded.metadata, user_metadata = excluded.user_metadata
            """,
            (
                bucket,
                name,
                owner,
                version,
                json.dumps(
                    {
                        "eTag": etag or secrets.token_hex(8),
                        "size": 1000,
                        "mimetype": MIME_TYPES[bucket],
                    }
                ),
                None if user_metadata is None else json.dumps(user_metadata),
            ),
        )
        return version

    def remove(self, name: str, *, bucket: str = "audio-files") -> None:
        """What Storage does when an object is deleted through its API."""
        with self.connection.transaction():
            self.rows("select set_config('storage.allow_delete_query', 'true', true)")
            self.rows("delete from storage.objects where bucket_id = %s and name = %s", bucket, name)

    def describe(
        self, name: str, *, owner: str, title: str = "A sound", connection: Connection | None = None
    ) -> str:
        cursor = (connection or self.connection).execute(
            "insert into public.audio_files (user_id, title, file_path) values (%s, %s, %s) returning id",
            (owner, title, name),
        )
        row = cursor.fetchone()
        assert row is not None
        return str(row["id"])

    def recording(self, owner: str, *, etag: str | None = None) -> str:
        """A described recording with its bytes; returns its id."""
        name = f"{owner}/{secrets.token_hex(6)}.wav"
        audio_id = self.describe(name, owner=owner)
        self.store(name, owner=owner, etag=etag)
        return audio_id

    def file(self, audio_id: str) -> Row:
        return self.row("select * from public.audio_files where id = %s", audio_id)

    def jobs(self, audio_id: str) -> list[Row]:
        return self.rows("select * from soundscape.jobs where audio_id = %s order by id", audio_id)

    def states(self, audio_id: str) -> list[str]:
        return [job["state"] for job in self.jobs(audio_id)]

    def messages(self) -> int:
        return int(self.value("select count(*) from pgmq.q_soundscape_uploads"))

    def deletions(self) -> set[tuple[str, str]]:
        return {
            (row["bucket_id"], row["name"])
            for row in self.rows("select bucket_id, name from soundscape.deletions")
        }

    # -- the worker -------------------------------------------------------------------------------

    def claim(
        self, most: int = 1, *, lease_s: int = 60, worker: str = "w", connection: Connection | None = None
    ) -> list[Held]:
        cursor = (connection or self.connection).execute(
            "select * from public.claim_jobs(%s, %s, %s)", (worker, most, lease_s)
        )
        return [
            Held(
                row["job_id"],
                row["token"],
                row["attempt"],
                str(row["audio_id"]),
                row["object_version"],
                row["object_name"],
            )
            for row in cursor.fetchall()
        ]

    def expire_leases(self) -> None:
        """Every visibility timeout runs out now."""
        for queue in QUEUES:
            self.rows(f"update pgmq.q_{queue} set vt = now() - interval '1 second'")
        self.rows("update soundscape.jobs set retry_at = now() where retry_at is not null")

    def complete(self, held: Held, result: Row = RESULT) -> None:
        whole = result | {"waveform": result.get("waveform", {}) | {"path": held.picture}}
        self.rows("select public.complete_job(%s, %s, %s)", held.job_id, held.token, json.dumps(whole))

    def fail(self, held: Held, kind: str = "passing", *, code: str = "flaky") -> str:
        return str(
            self.value(
                "select public.fail_job(%s, %s, %s, %s, %s)",
                held.job_id,
                held.token,
                kind,
                code,
                "It did not work.",
            )
        )

    def extend(self, held: Held, *, lease_s: int = 60) -> None:
        self.rows("select public.extend_lease(%s, %s, %s)", held.job_id, held.token, lease_s)

    def reconcile(self) -> Row:
        found: Row = self.value("select public.reconcile()")
        return found


@pytest.fixture(scope="package")
def deployed(data_dirs: Path) -> Iterator[Database]:
    """A database with every migration and policy applied."""
    with (
        cluster.deployed(data_dirs / "sql") as postgres,
        psycopg.connect(postgres.dsn(), autocommit=True, row_factory=dict_row) as connection,
    ):
        database = Database(postgres, "postgres", connection)
        yield database
        database.end_idle()


@pytest.fixture(scope="package")
def superuser(deployed: Database) -> Iterator[psycopg.Connection]:
    """A session that clears up after each test. To open one takes longer than to clear up."""
    with psycopg.connect(deployed.dsn(SUPERUSER), autocommit=True) as connection:
        tables = [str(name) for (name,) in connection.execute(TABLES)]
        deployed.blank_tables = [
            name
            for name in tables
            if connection.execute(f"select from {name} limit 1".encode()).rowcount == 0
        ]
        yield connection


MANY_RECORDINGS = 50
"""Beyond this, truncating all tables is quicker than deleting what is in them."""

TABLES = """
select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname in ('public', 'soundscape', 'auth')
"""


def empty(deployed: Database, superuser: psycopg.Connection) -> None:
    """Nobody and nothing is left, and the queue is as it was deployed."""
    if deployed.value("select count(*) from public.audio_files") > MANY_RECORDINGS:
        superuser.execute(f"truncate {', '.join(deployed.blank_tables)}".encode())
    deployed.rows("delete from auth.users")
    with deployed.connection.transaction():
        deployed.rows("select set_config('storage.allow_delete_query', 'true', true)")
        deployed.rows("delete from storage.objects")
    for schema, name in (
        ("soundscape", "deletions"),
        ("soundscape", "vocabulary"),
        ("soundscape", "former_words"),
        ("soundscape", "recommendation_models"),
        *(("pgmq", f"q_{queue}") for queue in QUEUES),
        ("net", "http_request_queue"),
    ):
        superuser.execute(sql.SQL("delete from {}").format(sql.Identifier(schema, name)))
    deployed.rows(
        "select public.set_queue(false, 8, 10, 10), setval('soundscape.claim_rounds', 1),"
        " setval('soundscape.preview_rounds', 1)"
    )
    deployed.rows("update soundscape.fit_lease set token = null, begun_at = null")


@pytest.fixture
def db(deployed: Database, superuser: psycopg.Connection) -> Iterator[Database]:
    """The deployed database, with nobody in it."""
    empty(deployed, superuser)
    with ExitStack() as opened:
        deployed.opened = opened
        yield deployed


@pytest.fixture
def alice(db: Database) -> str:
    return db.sign_up()


@pytest.fixture
def bob(db: Database) -> str:
    return db.sign_up()


Lost = Callable[[], Any]


@pytest.fixture
def lease_is_lost() -> Callable[[Lost], None]:
    """Asserts that a call is refused with the code that the worker knows as `lease_lost`."""

    def check(call: Lost) -> None:
        with pytest.raises(psycopg.Error) as refused:
            call()
        assert refused.value.sqlstate == "PT409"

    return check
