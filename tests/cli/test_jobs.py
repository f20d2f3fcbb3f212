"""The operator's commands against a whole project that nobody works for."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog
from click.testing import Result
from psycopg.rows import dict_row
from typer.testing import CliRunner

from soundscape.cli.app import app
from soundscape.cli.embedded_project import Project
from soundscape.errors import SettingsError
from tests import embedded

RESULT = {
    "analysis_version": "test-1",
    "source": {"duration_s": 1.5, "sample_rate": 44100, "channels": 2, "sha256": "0" * 64},
    "waveform": {"path": "a/b/c/waveform.dat"},
}


@dataclass
class Operator:
    """Somebody with the project's secret key and a terminal."""

    project: Project

    def run(self, *arguments: str, code: int = 0) -> Result:
        answer = CliRunner().invoke(app, arguments)
        assert answer.exit_code == code, (answer.output, answer.exception)
        return answer

    def json(self, *arguments: str, code: int = 0) -> Any:
        # The project runs in a thread of this process, and its log goes where standard output does.
        with structlog.testing.capture_logs():
            return json.loads(self.run(*arguments, "--json", code=code).stdout)

    def sql(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.project.db_url, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(query, values or None)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def recording(self, owner: str, title: str = "A sound") -> str:
        name = f"{owner}/{secrets.token_hex(4)}.wav"
        self.sql(
            "insert into storage.objects (bucket_id, name, owner_id, version, metadata, user_metadata)"
            " values ('audio-files', %s, %s, 'v', '{\"eTag\": \"e\", \"size\": 1}', %s)",
            name,
            owner,
            json.dumps({"title": title}),
        )
        return str(self.sql("select id from public.audio_files where file_path = %s", name)[0]["id"])

    def work(self, kind: str = "", *, most: int = 1) -> list[int]:
        """Claim and end jobs as a worker would."""
        self.sql("update pgmq.q_soundscape_uploads set vt = now()")
        claimed = self.sql("select job_id, token from public.claim_jobs('w', %s, 60)", most)
        for job in claimed:
            if kind:
                self.sql("select public.fail_job(%s, %s, %s, 'c', 'Why.')", job["job_id"], job["token"], kind)
            else:
                self.sql(
                    "select public.complete_job(%s, %s, %s)", job["job_id"], job["token"], json.dumps(RESULT)
                )
        return [job["job_id"] for job in claimed]


@pytest.fixture(scope="module")
def project(data_dirs: Path) -> Iterator[Project]:
    with embedded.served(data_dirs / "operated", with_worker=False) as project:
        yield project


@pytest.fixture
def operator(project: Project, monkeypatch: pytest.MonkeyPatch) -> Operator:
    # The address and the key are enough: no database, no secrets of the worker.
    for name in ("SUPABASE_DB_URL", "SOUNDSCAPE_WEBHOOK_SECRET", "SUPABASE_SERVICE_ROLE_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SUPABASE_URL", project.url)
    monkeypatch.setenv("SUPABASE_SECRET_KEY", project.keys.secret_key)
    operator = Operator(project)
    operator.sql("delete from auth.users")
    operator.sql("select public.set_queue(false, 8, 10, 10), pgmq.purge_queue('soundscape_uploads')")
    return operator


@pytest.fixture
def owner(operator: Operator) -> str:
    row = operator.sql("insert into auth.users (id, email) values (gen_random_uuid(), %s) returning id",
                       f"{secrets.token_hex(6)}@example.com")[0]  # fmt: skip
    return str(row["id"])


def test_jobs_listed(operator: Operator, owner: str) -> None:
    first = operator.recording(owner, "Rain [bold]\x1b[31m")
    for _ in range(2):
        operator.recording(owner)
    rows = operator.json("jobs", "list")
    assert [row["state"] for row in rows] == ["queued"] * 3
    assert [row["id"] for row in operator.json("jobs", "list", "--limit", "2")] == [
        rows[0]["id"],
        rows[1]["id"],
    ]
    assert [row["id"] for row in operator.json("jobs", "list", "--before", str(rows[1]["id"]))] == [
        rows[2]["id"]
    ]
    assert [row["audio_id"] for row in operator.json("jobs", "list", "--recording", first)] == [first]
    assert operator.json("jobs", "list", "--state", "dead", "--state", "running") == []
    table = operator.run("jobs", "list").stdout
    assert "waiting" in table
    assert "\x1b[31m" not in table, "a stranger's title moves no terminal"


def test_a_state_that_is_none(operator: Operator) -> None:
    said = operator.run("jobs", "list", "--state", "x", code=2).stderr
    assert "The states are queued" in " ".join(said.split())


def test_one_job_shown(operator: Operator, owner: str) -> None:
    operator.recording(owner)
    (row,) = operator.json("jobs", "list")
    assert operator.json("jobs", "show", str(row["id"]))["file_path"] == row["file_path"]
    assert row["trace_id"] in operator.run("jobs", "show", str(row["id"])).stdout
    nobodys = str(row["id"] + 1)
    assert f"no job {nobodys}" in operator.run("jobs", "show", nobodys, code=1).stderr


def test_dead_letters_are_shown_and_tried_again(operator: Operator, owner: str) -> None:
    audio_id = operator.recording(owner)
    for _ in range(5):
        operator.work("crashed")
    (row,) = operator.json("jobs", "dead")
    assert (row["audio_id"], row["error_message"]) == (audio_id, "Why.")
    assert operator.json("jobs", "dead", "--code", "other") == []
    assert operator.json("jobs", "retry", "--dead", "--code", "other", code=1) == {"retried": []}
    assert len(operator.json("jobs", "retry", "--dead")["retried"]) == 1
    assert operator.json("jobs", "retry", str(row["id"]), code=1) == {"retried": []}
    operator.run("jobs", "retry", code=2)


def test_cancelled(operator: Operator, owner: str) -> None:
    operator.recording(owner)
    (row,) = operator.json("jobs", "list")
    assert operator.json("jobs", "cancel", str(row["id"])) == {"cancelled": [row["id"]]}
    operator.run("jobs", "cancel", str(row["id"]), code=1)
    operator.run("jobs", "cancel", code=2)
    assert operator.json("jobs", "list")[0]["status"] == "failed"


def test_figures_and_shares(operator: Operator, owner: str) -> None:
    for _ in range(4):
        operator.recording(owner)
    operator.work()
    figures = operator.json("jobs", "stats")
    assert figures["queues"]["soundscape_uploads"]["standing"] == 2
    assert figures["ended_in_a_day"] == {"succeeded": 1}
    assert operator.json("jobs", "share", "--in-flight-per-owner", "3")["in_flight_per_owner"] == 3
    assert "in_flight_per_owner: 3" in operator.run("jobs", "share").stdout
    printed = operator.run("jobs", "stats").stdout
    assert "uploads" in printed
    assert "succeeded" in printed


def test_drained_and_resumed(operator: Operator, owner: str) -> None:
    for _ in range(2):
        operator.recording(owner)
    (held,) = operator.sql("select job_id, token from public.claim_jobs('w', 1, 60)")
    assert operator.json("jobs", "drain", "--timeout", "0", code=1)["running"] == 1
    assert operator.work() == []
    operator.sql("select public.fail_job(%s, %s, 'released', 'c', 'm')", held["job_id"], held["token"])
    assert operator.run("jobs", "drain").stdout == "Paused; 0 running.\n"
    assert operator.work() == []
    # A worker that was killed runs nothing, and nobody takes over from it before the queue is open again.
    operator.json("jobs", "drain", "--resume")
    (held,) = operator.sql("select job_id, token from public.claim_jobs('killed', 1, 60)")
    operator.sql("update soundscape.jobs set lease_expires_at = now() where id = %s", held["job_id"])
    assert operator.run("jobs", "drain").stdout == "Paused; 0 running.\n"
    operator.sql("select public.fail_job(%s, %s, 'released', 'c', 'm')", held["job_id"], held["token"])
    assert operator.json("jobs", "drain", "--resume")["paused_at"] is None
    assert len(operator.work()) == 1


def test_reanalyzed(operator: Operator, owner: str) -> None:
    for _ in range(5):
        operator.recording(owner)
    operator.work(most=5)
    command = ("reanalyze", "--version", "test-2")
    assert operator.json(*command, "--plan")["found"] == 5
    assert operator.json(*command, "--where", "tags=cs.{rain}")["enqueued"] == 0
    assert operator.json(*command, "--where", "status=in.(ready,failed)", "--limit", "2")["enqueued"] == 2
    told = operator.run(*command).stdout
    assert "3 recordings lack version test-2" in told
    assert operator.json(*command) == {"version": "test-2", "found": 0, "enqueued": 0, "busy": 0}
    assert {row["status"] for row in operator.json("jobs", "list")} == {"ready"}


def test_the_version_asked_for_is_this_installations(operator: Operator) -> None:
    assert operator.json("reanalyze", "--plan")["version"].startswith("a1-")


@pytest.mark.parametrize("text", ["status", "password=eq.x", "status=like.x"])
def test_filters_that_are_none(operator: Operator, text: str) -> None:
    answer = CliRunner().invoke(app, ["reanalyze", "--where", text])
    assert answer.exit_code == 1
    assert getattr(answer.exception, "remedy", "")


def test_without_a_key(operator: Operator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUPABASE_SECRET_KEY")
    answer = CliRunner().invoke(app, ["jobs", "stats"])
    assert isinstance(answer.exception, SettingsError)


def test_a_public_key_opens_nothing(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_SECRET_KEY", operator.project.keys.publishable_key)
    for arguments in (["jobs", "stats"], ["jobs", "list"], ["reanalyze"], ["jobs", "drain"]):
        answer = CliRunner().invoke(app, arguments)
        assert (answer.exit_code, type(answer.exception).__name__) == (1, "ProjectError")


def test_the_project_in_figures(operator: Operator, owner: str) -> None:
    audio_id = operator.recording(owner)
    operator.sql("select soundscape.record_download(%s, '192.0.2.1')", audio_id)
    figures = operator.json("stats")
    assert (figures["pending"], figures["recordings"]) == (1, {"queued": 1})
    before = figures["downloads"]
    assert operator.json("stats", "--roll-up")["downloads"] == before + 1
    table = operator.run("stats", "--days", "3").stdout
    assert "recordings: queued" in table
    assert "not rolled up yet" in table
