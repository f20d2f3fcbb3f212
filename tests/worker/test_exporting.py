"""Exports: everything an account has, in one zip, however often workers die."""

from __future__ import annotations

import io
import json
import secrets
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from soundscape.cli.embedded_project import Project
from soundscape.project.client import connect
from soundscape.project.exports import Exports
from soundscape.worker import exporting
from soundscape.worker.exporting import Exporter
from tests import embedded
from tests.waiting import LIMIT_S

CHUNK = 64 << 10


@pytest.fixture(scope="module")
def project(data_dirs: Path) -> Iterator[Project]:
    """Nobody works for it but the test."""
    with embedded.served(data_dirs / "exports", with_worker=False) as served:
        yield served


@dataclass
class Owner:
    """A user with files, as a browser and as the database see them."""

    project: Project
    http: httpx.Client
    id: str
    email: str
    files: dict[str, bytes] = field(default_factory=dict)

    def upload(self, name: str, size: int) -> bytes:
        data = b"RIFF" + secrets.token_bytes(size)
        answer = self.http.put(
            f"/storage/v1/object/audio-files/{self.id}/{name}",
            content=data,
            headers={"content-type": "audio/wav"},
        )
        assert answer.status_code == 200, answer.text
        self.files[f"originals/{self.id}/{name}"] = data
        return data

    def insert(self, table: str, **row: Any) -> dict[str, Any]:
        answer = self.http.post(f"/rest/v1/{table}", json=row, headers={"prefer": "return=representation"})
        assert answer.status_code == 201, answer.text
        return dict(answer.json()[0])

    def ask(self) -> str:
        answer = self.http.post("/rest/v1/rpc/export_my_data", json={})
        assert answer.status_code == 200, answer.text
        return str(answer.json())

    def row(self, export: str) -> dict[str, Any]:
        return dict(self.http.get("/rest/v1/exports", params={"id": f"eq.{export}"}).json()[0])

    def open(self, export: str) -> zipfile.ZipFile:
        row = self.row(export)
        assert row["status"] == "ready", row
        answer = self.http.get(f"/storage/v1/object/exports/{row['file_path']}")
        assert answer.status_code == 200, answer.text
        assert len(answer.content) == row["size_bytes"] == row["stored_bytes"]
        return zipfile.ZipFile(io.BytesIO(answer.content))


def sign_up(project: Project) -> Owner:
    http = httpx.Client(base_url=project.url, timeout=LIMIT_S)
    key = project.keys.publishable_key
    email = f"export-{secrets.token_hex(6)}@example.com"
    answer = http.post(
        "/auth/v1/signup", json={"email": email, "password": "correct horse battery"}, headers={"apikey": key}
    ).json()
    http.headers.update({"apikey": key, "authorization": f"Bearer {answer['access_token']}"})
    return Owner(project, http, answer["user"]["id"], email)


@pytest.fixture
def owner(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Owner]:
    """With four recordings of several chunks, one of them described by nobody, and some history."""
    monkeypatch.setattr(exporting, "CHUNK_BYTES", CHUNK)
    made = sign_up(project)
    for number, size in enumerate((3 * CHUNK, 10, CHUNK, 2 * CHUNK + 7)):
        made.upload(f"{number}.wav", size)
    rows = [
        made.insert("audio_files", title=f"Töne {n}", file_path=f"{made.id}/{n}.wav", license="CC0-1.0")
        for n in range(3)
    ]
    playlist = made.insert("playlists", title="Night")
    made.insert("playlist_items", playlist_id=playlist["id"], audio_id=rows[0]["id"])
    made.http.post("/rest/v1/likes", json={"audio_id": rows[1]["id"]})
    made.http.post("/rest/v1/listening_events", json={"audio_id": rows[1]["id"], "listened_s": 3})
    yield made
    made.http.close()
    run_sql(project, "delete from public.exports")
    run_sql(project, "delete from soundscape.deletions")


def run_sql(project: Project, query: str, *values: Any) -> list[Any]:
    with psycopg.connect(project.db_url, autocommit=True) as connection:
        cursor = connection.execute(query.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


class Killed(BaseException):
    """What a worker does not survive."""


class Network(httpx.AsyncHTTPTransport):
    """Ends the worker at a chunk: before it arrives, or after it is stored and nobody was told."""

    def __init__(self, chunks: int, *, loses_answer: bool) -> None:
        super().__init__()
        self.left = chunks
        self.loses_answer = loses_answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PATCH" and "/upload/resumable/" in request.url.path:
            self.left -= 1
            if self.left < 0:
                if self.loses_answer:
                    await super().handle_async_request(request)
                raise Killed
        return await super().handle_async_request(request)


async def work(project: Project, folder: Path, network: Network | None = None) -> bool:
    """What one worker does: one export, or a part of it."""
    async with connect(project.url, project.keys.secret_key) as (client, _):
        transport = network or httpx.AsyncHTTPTransport()
        async with httpx.AsyncClient(transport=transport, timeout=LIMIT_S) as http:
            exporter = Exporter(
                client,
                http,
                storage_url=f"{project.url}/storage/v1",
                secret_key=project.keys.secret_key,
                folder=folder,
                lease_s=60,
            )
            return await exporter.run_next()


def let_leases_end(project: Project) -> None:
    run_sql(
        project, "update soundscape.export_jobs set leased_until = now() - interval '1 s', retry_at = now()"
    )


def check(owner: Owner, export: str) -> dict[str, Any]:
    """The zip is whole; returns its tables."""
    with owner.open(export) as opened:
        assert opened.testzip() is None
        contents = {info.filename: opened.read(info) for info in opened.infolist()}
    assert {name: data for name, data in contents.items() if name.startswith("originals/")} == owner.files
    return {
        name.removeprefix("data/").removesuffix(".json"): json.loads(data)
        for name, data in contents.items()
        if name.startswith("data/")
    }


async def test_more_files_than_an_answer_has_rows_are_all_listed(owner: Owner, project: Project) -> None:
    """PostgREST cuts answers at 1,000 rows. Names order as the database orders them, whatever is in them."""
    run_sql(
        project,
        "insert into storage.objects (bucket_id, name, owner_id, version, metadata)"
        """ select 'audio-files', %s || '/' || (array['a', 'Ä, (', '!', 'b.*'])[1 + n %% 4] || n || '.wav',"""
        """ %s, gen_random_uuid()::text, '{"size": 1, "eTag": "x"}' from generate_series(11, 1110) n""",
        owner.id,
        owner.id,
    )
    export = owner.ask()
    async with connect(project.url, project.keys.secret_key) as (client, _):
        exports = Exports(client)
        claimed = await exports.claim(lease_s=60)
        assert claimed is not None
        assert claimed.export_id == export
        contents = await exports.list_contents(claimed)
    listed = [each["name"] for each in contents if each["kind"] == "file"]
    stored = run_sql(
        project,
        "select name from storage.objects where bucket_id = 'audio-files' and name like %s",
        f"{owner.id}/%",
    )
    assert sorted(listed) == sorted(name for (name,) in stored)
    assert len(listed) == 1104
    tables = [each["name"] for each in contents if each["kind"] == "table"]
    assert {"account", "audio_files", "likes"} <= set(tables)
    assert len(tables) == len(set(tables))


async def test_everything_is_in_it(owner: Owner, project: Project, tmp_path: Path) -> None:
    stranger = sign_up(project)
    stranger.upload("secret.wav", 10)
    export = owner.ask()
    assert owner.ask() == export, "one at a time"
    assert owner.row(export)["status"] == "queued"
    assert await work(project, tmp_path)
    assert not await work(project, tmp_path)
    tables = check(owner, export)
    assert [row["email"] for row in tables["account"]] == [owner.email]
    assert {row["title"] for row in tables["audio_files"]} == {"Töne 0", "Töne 1", "Töne 2"}
    assert all(row["license"] == "CC0-1.0" and "search" not in row for row in tables["audio_files"])
    for table in ("users", "user_preferences", "playlists", "playlist_items", "likes", "listening_events"):
        assert len(tables[table]) == 1, table
    listed = {name for (name,) in run_sql(project, "select table_name from soundscape.exported_tables")}
    assert set(tables) == listed | {"account"}
    assert stranger.id not in json.dumps(tables)

    path = owner.row(export)["file_path"]
    assert stranger.http.get(f"/storage/v1/object/exports/{path}").status_code == 400
    for ending in ("plan", "records"):
        beside = path.replace(".zip", f".{ending}")
        assert owner.http.get(f"/storage/v1/object/exports/{beside}").status_code == 400
    going = {
        name
        for (name,) in run_sql(project, "select name from soundscape.deletions where bucket_id = 'exports'")
    }
    assert going == {path.replace(".zip", ".plan"), path.replace(".zip", ".records")}
    # It is read no longer than it lasts.
    run_sql(project, "update public.exports set expires_at = now() - interval '1 s'")
    assert owner.http.get(f"/storage/v1/object/exports/{path}").status_code == 400
    run_sql(project, "select soundscape.expire_exports()")
    assert owner.row(export)["status"] == "expired"
    assert run_sql(project, "select name from soundscape.deletions where name = %s", path)
    stranger.http.close()


@pytest.mark.parametrize("loses_answer", [False, True])
async def test_workers_that_die_at_each_chunk(
    owner: Owner, project: Project, tmp_path: Path, loses_answer: bool
) -> None:
    export = owner.ask()
    deaths = 0
    while True:
        let_leases_end(project)
        network = Network(1, loses_answer=loses_answer)
        try:
            assert await work(project, tmp_path, network)
            break
        except Killed:
            deaths += 1
            assert deaths < 50
    assert deaths >= 3, "each of them stored one chunk or two"
    check(owner, export)


async def test_what_is_uploaded_is_not_uploaded_again(owner: Owner, project: Project, tmp_path: Path) -> None:
    owner.ask()
    with pytest.raises(Killed):
        await work(project, tmp_path, Network(3, loses_answer=False))
    (stored,) = run_sql(project, "select stored_bytes from public.exports where user_id = %s", owner.id)[0]
    assert stored == 3 * CHUNK
    let_leases_end(project)
    rest = Network(1000, loses_answer=False)
    assert await work(project, tmp_path, rest)
    (size,) = run_sql(project, "select size_bytes from public.exports where user_id = %s", owner.id)[0]
    assert 1000 - rest.left == -(-(size - stored) // CHUNK)


async def test_a_file_that_is_deleted_meanwhile(owner: Owner, project: Project, tmp_path: Path) -> None:
    export = owner.ask()
    with pytest.raises(Killed):
        await work(project, tmp_path, Network(1, loses_answer=False))
    let_leases_end(project)
    name = f"{owner.id}/2.wav"
    removed = owner.http.request("DELETE", "/storage/v1/object/audio-files", json={"prefixes": [name]})
    assert removed.status_code == 200, removed.text
    del owner.files[f"originals/{name}"]
    assert await work(project, tmp_path)
    assert owner.row(export)["status"] == "running"
    let_leases_end(project)
    assert await work(project, tmp_path)
    check(owner, export)


@pytest.mark.parametrize(
    "end",
    [
        "delete from public.exports where user_id = %s",
        "select soundscape.end_export(id, 'c', 'm') from public.exports where user_id = %s",
    ],
    ids=["deleted", "failed"],
)
async def test_an_export_that_is_over_leaves_nothing(
    owner: Owner, project: Project, tmp_path: Path, end: str
) -> None:
    class Deleting(Network):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            answer = await super().handle_async_request(request)
            if request.method == "PATCH":
                run_sql(project, end, owner.id)
            return answer

    owner.ask()
    assert await work(project, tmp_path, Deleting(1000, loses_answer=False))
    left = run_sql(
        project,
        "select name from storage.objects o where bucket_id = 'exports' and name like %s || '/%%'"
        " and not exists (select from soundscape.deletions d where d.name = o.name)",
        owner.id,
    )
    assert left == []


async def test_a_zip_that_the_project_does_not_take(owner: Owner, project: Project, tmp_path: Path) -> None:
    export = owner.ask()
    run_sql(project, "update storage.buckets set file_size_limit = 100000 where id = 'exports'")
    try:
        assert await work(project, tmp_path)
    finally:
        run_sql(project, "update storage.buckets set file_size_limit = null where id = 'exports'")
    row = owner.row(export)
    assert (row["status"], row["error_code"]) == ("failed", "upload_too_large")
    assert "larger" in row["error_message"]


@pytest.fixture
def limit_bytes(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Sets how large a file the project takes into `exports`."""
    monkeypatch.setattr(exporting, "MIN_PART_BYTES", 2_000)

    def set_limit(size_bytes: int) -> None:
        run_sql(project, "update storage.buckets set file_size_limit = %s where id = 'exports'", size_bytes)

    yield set_limit
    run_sql(project, "update storage.buckets set file_size_limit = null where id = 'exports'")


def check_parts(owner: Owner, export: str, limit: int) -> list[str]:
    """Each zip opens by itself and is small enough. Returns what the manifest says is in none of them."""
    row = owner.row(export)
    assert row["status"] == "ready", row
    assert len(row["file_paths"]) == row["parts"]
    assert row["file_paths"][0] == row["file_path"]
    files: dict[str, bytes] = {}
    listed: list[dict[str, Any]] = []
    size = 0
    for path in row["file_paths"]:
        answer = owner.http.get(f"/storage/v1/object/exports/{path}")
        assert answer.status_code == 200, answer.text
        assert len(answer.content) <= limit
        size += len(answer.content)
        with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
            assert opened.testzip() is None
            names = [name for name in opened.namelist() if name != "manifest.json"]
            listed.append({"part": len(listed) + 1, "files": names})
            assert not files.keys() & set(opened.namelist())
            files |= {name: opened.read(name) for name in opened.namelist()}
    assert size == row["size_bytes"] == row["stored_bytes"]
    manifest = json.loads(files["manifest.json"])
    assert manifest["parts"] == listed
    left_out = [each["name"] for each in manifest["not_included"]]
    for each in manifest["not_included"]:
        original = owner.http.get(f"/storage/v1/object/{each['bucket']}/{each['object']}")
        assert original.content == owner.files[each["name"]]
    originals = {name: data for name, data in files.items() if name.startswith("originals/")}
    assert originals == {name: data for name, data in owner.files.items() if name not in left_out}
    assert {"README.txt", "data/audio_files.json", "data/account.json"} <= files.keys()
    return left_out


@pytest.mark.parametrize(("limit", "left_out"), [(300_000, 0), (150_000, 1)])
@pytest.mark.parametrize("loses_answer", [None, False, True])
async def test_a_zip_larger_than_the_limit_comes_in_parts(
    owner: Owner,
    project: Project,
    tmp_path: Path,
    limit_bytes: Callable[[int], None],
    limit: int,
    left_out: int,
    loses_answer: bool | None,
) -> None:
    """Also if a worker dies at each chunk."""
    limit_bytes(limit)
    export = owner.ask()
    deaths = 0
    while True:
        let_leases_end(project)
        try:
            chunks = 1000 if loses_answer is None else 1
            assert await work(project, tmp_path, Network(chunks, loses_answer=bool(loses_answer)))
            break
        except Killed:
            deaths += 1
            assert deaths < 50
    assert len(check_parts(owner, export, limit)) == left_out
    row = owner.row(export)
    assert row["parts"] >= 2
    stranger = sign_up(project)
    for path in row["file_paths"]:
        assert stranger.http.get(f"/storage/v1/object/exports/{path}").status_code == 400
    stranger.http.close()
    # All of them go with the row.
    run_sql(project, "delete from soundscape.deletions")
    assert owner.http.delete("/rest/v1/exports", params={"id": f"eq.{export}"}).is_success
    going = {name for (name,) in run_sql(project, "select name from soundscape.deletions")}
    assert going >= set(row["file_paths"])


async def test_nothing_of_a_former_attempt_stays(
    owner: Owner,
    project: Project,
    tmp_path: Path,
    limit_bytes: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All parts are stored, and it begins again: a file has changed. One zip is enough then."""

    async def die(*_: Any, **__: Any) -> None:
        raise Killed

    limit_bytes(150_000)
    export = owner.ask()
    with monkeypatch.context() as patched:
        patched.setattr(Exports, "complete", die)
        with pytest.raises(Killed):
            await work(project, tmp_path)
    stored = "select name from storage.objects where bucket_id = 'exports' and name like %s || '%%-2.zip'"
    assert len(run_sql(project, stored, owner.id)) == 1
    run_sql(
        project,
        "select soundscape.restart_export(export_id, token) from soundscape.export_jobs where export_id = %s",
        export,
    )
    run_sql(project, "update storage.buckets set file_size_limit = null where id = 'exports'")
    let_leases_end(project)
    assert await work(project, tmp_path)
    check(owner, export)
    assert owner.row(export)["parts"] == 1
    left = run_sql(
        project,
        "select name from storage.objects o where bucket_id = 'exports' and name like %s || '/%%'"
        " and not name = any (select unnest(file_paths) from public.exports where id = %s)"
        " and not exists (select from soundscape.deletions d where d.name = o.name)",
        owner.id,
        export,
    )
    assert left == []


async def test_a_worker_that_always_dies_gives_up(owner: Owner, project: Project, tmp_path: Path) -> None:
    export = owner.ask()
    for _ in range(5):
        let_leases_end(project)
        with pytest.raises(Killed):
            await work(project, tmp_path, Network(0, loses_answer=False))
    let_leases_end(project)
    assert not await work(project, tmp_path)
    assert owner.row(export)["error_code"] == "worker_lost"
