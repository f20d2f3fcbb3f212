"""`soundscape import`: a folder or a CSV file into an account, again and again, and in mid-file."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import structlog
from typer.testing import CliRunner

from soundscape.cli.app import app
from soundscape.cli.embedded_project import Project
from soundscape.cli.import_list import ListInvalid, read_list
from soundscape.errors import ProjectError, ProjectUnreachable
from soundscape.project import retries
from soundscape.project.account import Account, sign_in
from soundscape.project.bulk_import import BulkImport, ImportItem
from soundscape.project.resumable import CHUNK_BYTES
from soundscape.project.uploads import Uploader
from soundscape.settings import UserSettings
from tests.waiting import LIMIT_S

PASSWORD = "correct horse battery staple"
WAVES = (".wav", ".flac")


@dataclass
class Owner:
    """Whose recordings they become, as a browser sees them."""

    project: Project
    id: str
    headers: dict[str, str]

    def make_key(self, scope: str) -> str:
        return str(self.call("create_api_key", {"name": "an import", "scope": scope})[0]["key"])

    def call(self, function: str, arguments: dict[str, Any]) -> Any:
        url = f"{self.project.url}/rest/v1/rpc/{function}"
        answer = httpx.post(url, json=arguments, headers=self.headers, timeout=LIMIT_S)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def rows(self) -> list[dict[str, Any]]:
        url = f"{self.project.url}/rest/v1/audio_files"
        told = {"user_id": f"eq.{self.id}", "order": "title"}
        return list(httpx.get(url, params=told, headers=self.headers, timeout=LIMIT_S).json())


@pytest.fixture
def owner(embedded: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Owner:
    answer = httpx.post(
        f"{embedded.url}/auth/v1/signup",
        json={"email": f"import-{secrets.token_hex(6)}@example.com", "password": PASSWORD},
        headers={"apikey": embedded.keys.publishable_key},
        timeout=LIMIT_S,
    ).json()
    headers = {
        "apikey": embedded.keys.publishable_key,
        "authorization": f"Bearer {answer['access_token']}",
    }
    for name, value in embedded.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = Owner(embedded, answer["user"]["id"], headers)
    monkeypatch.setenv("SOUNDSCAPE_API_KEY", made.make_key("upload"))
    return made


def run(*arguments: str, code: int = 0) -> dict[str, Any]:
    # The project runs in a thread of this process, and its log goes where standard output does.
    with structlog.testing.capture_logs():
        result = CliRunner().invoke(app, ["import", *arguments, "--json"])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return dict(json.loads(result.stdout))


def wav(folder: Path, name: str, size: int = 100) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"RIFF" + secrets.token_bytes(size))
    return file


def test_a_folder_twice(owner: Owner, tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    for name in ("a.wav", "b.WAV", "deeper/c.flac", "Größe ü.wav"):
        wav(folder, name)
    (folder / "copy.wav").write_bytes((folder / "a.wav").read_bytes())
    (folder / "notes.txt").write_text("not a sound")
    wav(folder, ".hidden.wav")
    wav(folder, "large.wav", CHUNK_BYTES + 1)

    told = run(str(folder), "--tag", "field", "--parallel", "2")
    assert (told["uploaded"], told["duplicate"]) == (5, 1), told
    rows = owner.rows()
    assert {row["title"] for row in rows} == {"a", "b", "c", "Größe ü", "large"}
    assert all(row["status"] != "awaiting_upload" and row["tags"] == ["field"] for row in rows)
    assert {row["size_bytes"] for row in rows} == {104, CHUNK_BYTES + 5}

    wav(folder, "new.wav")
    again = run(str(folder), "--tag", "field")
    assert (again["uploaded"], again["present"]) == (1, 5), again
    assert len(owner.rows()) == 6


def test_a_csv_file_describes(owner: Owner, tmp_path: Path) -> None:
    wav(tmp_path, "one.wav")
    wav(tmp_path, "two.wav")
    wav(tmp_path, "three.wav")
    listed = tmp_path / "list.csv"
    listed.write_text(
        "file,title,tags,is_public,description\n"
        'one.wav,"Rain, at night",rain; night,yes,Long\n'
        "two.wav,,,no,\n"
        f"three.wav,{'x' * 1000},,no,\n"
        "missing.wav,Nothing,,no,\n"
    )
    told = run(str(listed), "--public", code=1)
    outcome = {Path(file["file"]).name: (file["state"], file.get("code")) for file in told["files"]}
    assert outcome == {
        "one.wav": ("uploaded", None),
        "two.wav": ("uploaded", None),
        "three.wav": ("refused", "value_refused"),
        "missing.wav": ("refused", "unreadable_file"),
    }
    first, second = owner.rows()
    assert (first["title"], first["tags"], first["is_public"]) == ("Rain, at night", ["rain", "night"], True)
    assert (second["title"], second["is_public"], second["description"]) == ("two", False, None)


@pytest.mark.parametrize(
    "text",
    ["", "name\na.wav\n", "file,title\na.wav\n", "file\n\xff", "file,is_public\na.wav,perhaps\n", "file\n"],
)
def test_a_list_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    listed = tmp_path / "list.csv"
    listed.write_bytes(text.encode("latin-1"))
    with pytest.raises(ListInvalid):
        read_list(listed, WAVES, {})


@pytest.mark.usefixtures("owner")
def test_a_key_that_may_only_read(owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wav(tmp_path, "a.wav")
    monkeypatch.setenv("SOUNDSCAPE_API_KEY", owner.make_key("read"))
    with pytest.raises(ProjectError) as refused:
        run(str(tmp_path))
    assert refused.value.code == "session_read_only"
    assert owner.rows() == []


class Failing(httpx.AsyncHTTPTransport):
    """A network that lets so many chunks through."""

    def __init__(self, chunks: int) -> None:
        super().__init__()
        self.left = chunks
        self.offsets: list[int] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PATCH":
            if self.left == 0:
                raise httpx.ConnectError("the network is gone")
            self.left -= 1
            self.offsets.append(int(request.headers["upload-offset"]))
        return await super().handle_async_request(request)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "MAX_PAUSE_S", 0.0)


@pytest.mark.usefixtures("no_pauses")
async def test_a_large_file_goes_on_where_it_stopped(owner: Owner, tmp_path: Path) -> None:
    file = wav(tmp_path / "sounds", "large.wav", 2 * CHUNK_BYTES + 1000)
    settings = UserSettings.from_environment()

    async def attempt(network: Failing) -> list[Any]:
        async with (
            httpx.AsyncClient(transport=network, timeout=LIMIT_S) as http,
            sign_in(settings, http) as account,
        ):
            importer = BulkImport(account, uploader=Uploader(account, tmp_path / "notes"))
            return await importer.run([ImportItem(file, {})])

    first = Failing(1)
    with pytest.raises(ProjectUnreachable):
        await attempt(first)
    assert first.offsets == [0]
    assert [row["status"] for row in owner.rows()] == ["awaiting_upload"]
    second = Failing(10)
    (outcome,) = await attempt(second)
    assert (outcome.state, second.offsets) == ("uploaded", [CHUNK_BYTES, 2 * CHUNK_BYTES])
    (row,) = owner.rows()
    assert row["size_bytes"] == file.stat().st_size
    assert not list((tmp_path / "notes").iterdir())


class Busy(httpx.AsyncHTTPTransport):
    """A project that is busy the first time it is asked for a path."""

    def __init__(self, path: str, status: int, retry_after: str | None) -> None:
        super().__init__()
        self.path, self.status, self.retry_after = path, status, retry_after
        self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.path in request.url.path:
            self.asked += 1
            if self.asked == 1:
                headers = {} if self.retry_after is None else {"retry-after": self.retry_after}
                return httpx.Response(self.status, headers=headers, text="busy", request=request)
        return await super().handle_async_request(request)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, without making them."""
    made: list[float] = []

    async def sleep(pause_s: float) -> None:
        made.append(pause_s)

    monkeypatch.setattr(retries, "sleep", sleep)
    return made


async def import_through(network: httpx.AsyncHTTPTransport, files: list[Path], tmp_path: Path) -> list[Any]:
    async with (
        httpx.AsyncClient(transport=network, timeout=LIMIT_S) as http,
        sign_in(UserSettings.from_environment(), http) as account,
    ):
        importer = BulkImport(account, uploader=Uploader(account, tmp_path / "notes"))
        return await importer.run([ImportItem(file, {}) for file in files])


@pytest.mark.parametrize("status", [429, 500, 502, 503])
@pytest.mark.parametrize(
    "path", ["/api/token", "/rpc/describe_audio", "/object/audio-files/", "/upload/resumable"]
)
async def test_a_busy_project_is_asked_again(
    owner: Owner, tmp_path: Path, pauses: list[float], path: str, status: int
) -> None:
    size = CHUNK_BYTES + 1 if "resumable" in path else 100
    network = Busy(path, status, "7")
    (outcome,) = await import_through(network, [wav(tmp_path / "sounds", "a.wav", size)], tmp_path)
    assert outcome.state == "uploaded"
    assert network.asked >= 2
    # supabase-py does not hand on the headers of an error of the Data API.
    assert pauses == [7.0] if "rpc" not in path else 0.5 <= pauses[0] <= 1.0
    assert len(owner.rows()) == 1


@pytest.mark.usefixtures("owner")
@pytest.mark.parametrize("path", ["/api/token", "/object/audio-files/"])
async def test_whoever_asks_for_an_hour_is_not_asked_again(
    tmp_path: Path, pauses: list[float], path: str
) -> None:
    network = Busy(path, 429, "3600")
    with pytest.raises(ProjectUnreachable) as raised:
        await import_through(network, [wav(tmp_path / "sounds", "a.wav")], tmp_path)
    assert (network.asked, pauses, raised.value.retry_after_s) == (1, [], 3600.0)


@pytest.mark.parametrize(
    ("value", "expected_s"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        ("-1", None),
        ("soon", None),
        ("٣", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
    ],
)
def test_retry_after(value: str | None, expected_s: float | None) -> None:
    assert retries.read_retry_after(value) == expected_s


def test_the_files_say_when_and_where(owner: Owner, tmp_path: Path) -> None:
    """In one request, and in chunks."""
    wav(tmp_path, "a.wav")
    wav(tmp_path, "b.wav", CHUNK_BYTES + 1)
    run(str(tmp_path), "--fill-from-file")
    with psycopg.connect(owner.project.db_url) as connection:
        said = connection.execute(
            "select user_metadata from storage.objects where name like %s", (f"{owner.id}/%",)
        ).fetchall()
    assert said == [({"fill_from_file": True},)] * 2


async def test_a_token_is_renewed_in_time(owner: Owner) -> None:
    settings = UserSettings.from_environment()
    async with httpx.AsyncClient(timeout=LIMIT_S) as http, sign_in(settings, http) as account:
        before = await account.headers()
        assert await account.headers() == before
        _expire(account)
        assert await account.headers() != before
        url = f"{owner.project.url}/rest/v1/api_keys"
        assert (await http.get(url, headers=await account.headers())).status_code == 200


def _expire(account: Account) -> None:
    from dataclasses import replace

    account._session = replace(account._session, expires_at_s=0.0)
