"""Deploying: once, twice, planned only, interrupted, over a project changed by hand, by both ways in."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from embedded_supabase.postgres import SUPERUSER, Postgres
from soundscape.deploy import catalogue, database, record, sources
from soundscape.deploy.connection import DatabaseConnection, Part, PostgresConnection, Rows, connect_postgres
from soundscape.deploy.deployment import deploy, deploy_to
from soundscape.deploy.target import Target
from soundscape.errors import DeployError, SettingsError

from . import management_api
from .projects import NOTHING_CHANGED, WEBHOOK_SECRET, more_sources, picture, run, target, told


def test_a_second_deploy_changes_nothing_and_says_so(project: str) -> None:
    first, _ = told(project)
    assert first.succeeded
    assert len(first.done) == len(sources.migrations()) + 4  # policies, two secrets, and the pre-request
    before = picture(project)
    second, lines = told(project)
    assert (second.done, second.succeeded) == ([], True)
    assert lines[-1] == NOTHING_CHANGED
    assert picture(project) == before


def test_a_plan_shows_everything_and_touches_nothing(project: str) -> None:
    before = picture(project)
    outcome, lines = told(project, plan_only=True)
    assert outcome.plan is not None
    assert outcome.plan.migrations == [migration.title for migration in sources.migrations()]
    assert "+ bucket audio-files" in outcome.plan.changes
    assert "+ policy audio_files_read on public.audio_files" in outcome.plan.changes
    assert any("soundscape_webhook_secret in Vault" in line for line in lines)
    assert picture(project) == before
    with psycopg.connect(project) as connection:
        assert connection.execute("select to_regnamespace('supabase_migrations')").fetchone() == (None,)
    # What was planned is what a deploy does.
    told(project)
    after = picture(project)
    planned = {line[2:] for line in outcome.plan.changes if line.startswith("+")}
    made = {f"{kind} {name}" for kind, name in after if (kind, name) not in before}
    assert {name for name in made if not name.startswith("column settings")} == planned


def test_no_secret_is_shown(project: str) -> None:
    outcome, lines = told(project)
    shown = "\n".join(lines) + str(outcome.as_dict()) + repr(target(project))
    for secret in (WEBHOOK_SECRET, "for-tests-only"):
        assert secret not in shown


def test_no_secret_is_in_a_log(cluster: Postgres, project: str) -> None:
    """Not in the server's, with every statement logged, nor in what goes through the Management API."""
    name = psycopg.conninfo.conninfo_to_dict(project)["dbname"]
    with psycopg.connect(cluster.dsn(SUPERUSER), autocommit=True) as connection:
        database_name = sql.Identifier(str(name))
        connection.execute(sql.SQL("alter database {} set log_statement = 'all'").format(database_name))
        connection.execute(
            sql.SQL("alter database {} set log_min_duration_statement = 0").format(database_name)
        )
        # supautils lets `postgres` set these on a hosted project.
        connection.execute("grant set on parameter log_statement, log_min_duration_statement to postgres")
    begins = cluster.log_path.stat().st_size
    assert deploy(target(project), lambda _: None).succeeded
    key = base64.b64encode(b"rotated, and not to be seen at all").decode()
    rotated = replace(target(project), webhook_secret=f"whsec_{key}")
    assert deploy(rotated, lambda _: None).done == ["soundscape_webhook_secret in Vault"]
    logged = cluster.log_path.read_bytes()[begins:].decode(errors="replace")
    assert "create table public.audio_files" in logged, "statements are logged"
    for secret in (WEBHOOK_SECRET, str(rotated.webhook_secret)):
        assert secret not in logged
    with management_api.serving(project) as api:
        assert "soundscape_webhook_secret in Vault" in deploy(by_api(api), lambda _: None).done
        assert any("vault.create_secret" in query for query in api.queries)
        assert not any(WEBHOOK_SECRET in query for query in api.queries)


class Interrupted(Exception):
    """As a Ctrl-C or a lost connection would end a deploy."""


class Failing:
    """A database that breaks at its `at`-th call: before the script ran, or after it, unheard."""

    def __init__(self, database: PostgresConnection, at: int, *, after: bool) -> None:
        self.name = database.name
        self._database = database
        self._left = at
        self._after = after

    def run(self, *parts: Part) -> Rows:
        return self._pass(self._database.run, parts)

    def rehearse(self, *parts: Part) -> Rows:
        return self._pass(self._database.rehearse, parts)

    def query(self, name: str, statement: str, *values: str) -> Rows:
        return self._pass(self._database.query, (name, statement, *values))

    def _pass(self, call: Callable[..., Rows], parts: tuple[Part | str, ...]) -> Rows:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Interrupted
        rows = call(*parts)
        if self._left == 0:
            raise Interrupted
        return rows


def test_interrupted_at_every_step_and_repeated(fresh: Callable[[], str]) -> None:
    whole = fresh()
    told(whole)
    wanted = picture(whole)
    project, at, interruptions = fresh(), 0, 0
    # One project is interrupted again and again, each time a step later in what is left to do.
    while True:
        at += 1
        with connect_postgres(project) as database:
            failing: DatabaseConnection = Failing(database, at, after=at % 2 == 0)
            try:
                outcome = deploy_to(target(project), failing, None, lambda _: None)
            except Interrupted:
                interruptions += 1
                state = record.read_state(database)
                assert state.wanted is None or not state.wanted.find_differences(
                    catalogue.read_catalogue(database)
                ), "an interruption is not drift"
                continue
        break
    assert outcome.succeeded
    assert interruptions > 5
    assert picture(project) == wanted
    assert told(project)[1][-1] == NOTHING_CHANGED


def test_a_mistake_in_a_migration_shows_before_anything_is_touched(
    deployed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = picture(deployed)
    with (
        more_sources(monkeypatch, migration="create table public.good (id int); create tabel bad ()"),
        pytest.raises(DeployError, match=r"migrations/20991231000000_next\.sql: syntax error"),
    ):
        told(deployed)
    assert picture(deployed) == before


def test_the_start_of_the_embedded_supabase_agrees(project: str) -> None:
    """`soundscape dev` deploys by itself; a deploy after that finds nothing to do."""
    for expected in (len(sources.migrations()), 0):
        applied = database.apply(project, worker_url="http://worker.test", webhook_secret=WEBHOOK_SECRET)
        assert len(applied.migrations) == expected
    assert (applied.policies, applied.secrets) == ([], [])
    assert told(project)[1][-1] == NOTHING_CHANGED
    run(project, "drop policy users_read on public.users")
    assert database.apply(project).repaired == ["policy users_read on public.users is missing"]
    assert told(project)[1][-1] == NOTHING_CHANGED


def test_a_rotated_secret_is_stored(deployed: str) -> None:
    rotated = "whsec_" + "YW5vdGhlciAzMiByYW5kb20gYnl0ZXMgZm9yIHRlc3RzISE="
    outcome = deploy(
        Target(db_url=deployed, worker_url="http://worker.test/", webhook_secret=rotated), lambda _: None
    )
    assert outcome.done == ["soundscape_webhook_secret in Vault"]
    with psycopg.connect(deployed) as connection:
        kept = connection.execute("select name, decrypted_secret from vault.decrypted_secrets").fetchall()
    assert dict(kept) == {
        "soundscape_worker_url": "http://worker.test",
        "soundscape_webhook_secret": rotated,
    }


# -- the Management API -------------------------------------------------------------------------


def by_api(api: management_api.Api, **more: str) -> Target:
    settings = {
        "SUPABASE_URL": f"https://{management_api.REF}.supabase.co",
        "SUPABASE_ACCESS_TOKEN": management_api.TOKEN,
        "SUPABASE_API_URL": api.url,
        "SOUNDSCAPE_WORKER_URL": "https://worker.test",
        "SOUNDSCAPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }
    return Target.from_environment(settings | more)


def test_by_the_management_api_the_same_comes_out(fresh: Callable[[], str]) -> None:
    by_url, by_token = fresh(), fresh()
    told(by_url)
    with management_api.serving(by_token) as api:
        lines: list[str] = []
        assert deploy(by_api(api), lines.append).succeeded
        assert picture(by_token) == picture(by_url)
        assert deploy(by_api(api), lines.append).done == []
        assert lines[-1] == NOTHING_CHANGED

        run(by_token, "drop policy users_read on public.users")
        planned = deploy(by_api(api), lines.append, plan_only=True, repair=True)
        assert [str(found) for found in planned.drift] == ["policy users_read on public.users is missing"]
        assert deploy(by_api(api), lines.append, repair=True).succeeded
        assert picture(by_token) == picture(by_url)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"SUPABASE_ACCESS_TOKEN": "sbp_wrong"}, "api_refused"),
        ({"SUPABASE_URL": "https://zzzzzzzzzzzzzzzzzzzz.supabase.co"}, "project_unknown"),
        ({"SUPABASE_API_URL": "http://127.0.0.1:9"}, "api_unreachable"),
    ],
)
def test_the_management_api_refuses(project: str, settings: dict[str, str], code: str) -> None:
    with management_api.serving(project) as api, pytest.raises(DeployError) as refused:
        deploy(by_api(api, **settings), lambda _: None)
    assert refused.value.code == code
    assert refused.value.remedy


def test_sql_that_the_management_api_refuses(project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        management_api.serving(project) as api,
        more_sources(monkeypatch, migration="create table storage.mine (id int)"),
        pytest.raises(DeployError, match="permission denied for schema storage"),
    ):
        deploy(by_api(api), lambda _: None)


def test_auth_hooks_are_enabled(project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from soundscape.deploy import hooks

    uri = "pg-functions://postgres/public/custom_access_token_hook"
    monkeypatch.setattr(hooks, "read_wanted", lambda: {"custom_access_token": uri})
    with management_api.serving(project) as api:
        assert "Auth hook custom_access_token" in deploy(by_api(api), lambda _: None).done
        assert api.auth_settings == {
            "hook_custom_access_token_enabled": True,
            "hook_custom_access_token_uri": uri,
        }
        assert deploy(by_api(api), lambda _: None).done == []


# -- before anything is touched -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Target(worker_url="http://w", webhook_secret="whsec_short"), "must be whsec_"),
        (
            Target(worker_url="http://127.0.0.1:8000", webhook_secret=WEBHOOK_SECRET, project_ref="r"),
            "cannot reach",
        ),
    ],
)  # fmt: skip
def test_preflight_stops(project: str, target: Target, said: str) -> None:
    with connect_postgres(project) as database:
        outcome = deploy_to(target, database, None, lambda _: None)
    assert not outcome.succeeded
    assert outcome.plan is None
    assert any(said in finding.message and finding.remedy for finding in outcome.preflight.findings)


@pytest.mark.parametrize("edited", [True, False], ids=["edited", "gone"])
def test_migrations_that_are_no_longer_what_was_applied(
    deployed: str, monkeypatch: pytest.MonkeyPatch, edited: bool
) -> None:
    first, *others = sources.migrations()
    changed = sources.Migration(first.version, first.name, first.sql + "select 1")
    before = picture(deployed)
    with monkeypatch.context() as patched:
        patched.setattr(sources, "migrations", lambda: [changed, *others] if edited else others)
        outcome, lines = told(deployed, repair=True)
        assert (outcome.succeeded, outcome.plan) == (False, None)
        (stop,) = [finding for finding in outcome.preflight.findings if finding.stops]
        assert stop.code == "migration_changed"
        assert "new migration" in stop.remedy
        assert any(line.startswith("STOP") and first.version in line for line in lines)
        with pytest.raises(DeployError, match=first.version) as refused:
            database.apply(deployed)
        assert refused.value.code == "migration_changed"
        assert "--fresh" in refused.value.remedy
    assert picture(deployed) == before
    assert told(deployed)[1][-1] == NOTHING_CHANGED


def test_somebody_elses_migration_is_no_change_of_ours(deployed: str) -> None:
    run(deployed, "insert into supabase_migrations.schema_migrations (version) values ('20200101000000')")
    assert told(deployed)[0].succeeded
    outcome, lines = told(deployed)
    assert outcome.succeeded
    assert lines[-1] == NOTHING_CHANGED


def test_a_hosted_project_is_told_of_its_hook(project: str) -> None:
    """Without the Management API nobody can see it, and SQL cannot set it."""
    with connect_postgres(project) as database:
        outcome = deploy_to(Target(project_ref="r"), database, None, lambda _: None)
    (note,) = [found for found in outcome.preflight.findings if "custom_access_token" in found.message]
    assert not note.stops
    assert "Authentication → Hooks" in note.remedy
    assert "supabase config push" in note.remedy


def test_preflight_notes_a_missing_doorbell(project: str) -> None:
    with connect_postgres(project) as database:
        outcome = deploy_to(Target(), database, None, lambda _: None)
    assert outcome.succeeded
    assert any("polls" in finding.message for finding in outcome.preflight.findings)


def test_nothing_to_reach_the_database_by() -> None:
    with pytest.raises(SettingsError, match="Neither") as missing:
        deploy(Target(url="http://127.0.0.1:1"), lambda _: None)
    assert "supabase.com/dashboard" in missing.value.remedy


def test_settings_of_two_projects_are_refused() -> None:
    with pytest.raises(SettingsError, match="different projects"):
        Target.from_environment(
            {
                "SUPABASE_URL": "https://aaaaaaaaaaaaaaaaaaaa.supabase.co",
                "SUPABASE_DB_URL": "postgresql://postgres.bbbbbbbbbbbbbbbbbbbb:x@h.pooler.supabase.com:5432/postgres",
            }
        )


def test_a_database_that_is_not_there() -> None:
    with pytest.raises(DeployError) as unreachable:
        deploy(Target(db_url="postgresql://postgres:x@127.0.0.1:9/postgres"), lambda _: None)
    assert unreachable.value.code == "database_unreachable"


def test_workers_of_other_versions_are_named(deployed: str) -> None:
    def notes() -> dict[str, str]:
        outcome, _ = told(deployed, plan_only=True)
        return {finding.code: finding.message for finding in outcome.preflight.findings if finding.code}

    newest = sources.migrations()[-1].version
    run(deployed, f"select public.register_worker('same', '1', '{newest}')")
    assert notes() == {}
    run(deployed, "select public.register_worker('new', '9', '20991231000000')")
    run(deployed, "select public.register_worker('old', '0.1', '20261122002300')")
    run(deployed, "select public.register_worker('long ago', '0.1', '20261122002300')")
    run(
        deployed,
        "update soundscape.workers set seen_at = now() - interval '6 minutes' where name = 'long ago'",
    )
    assert notes() == {
        "worker_newer": "These workers are newer than what is deployed: new (9, 20991231000000).",
        "worker_older": "These workers are older than what is deployed: old (0.1, 20261122002300).",
    }


def test_workers_that_do_not_say_their_version_are_old(deployed: str) -> None:
    run(
        deployed,
        "insert into auth.users (id, email) values ('00000000-0000-4000-8000-000000000001', 'a@example.com')",
    )
    run(
        deployed,
        "with file as (insert into public.audio_files (user_id, title, file_path) "
        "values ('00000000-0000-4000-8000-000000000001', 'A', '00000000-0000-4000-8000-000000000001/a.wav') "
        "returning id, user_id) "
        "insert into soundscape.jobs (audio_id, user_id, object_version, queue, state, worker, started_at, "
        "finished_at) select f.id, f.user_id, n::text, 'soundscape_uploads', 'succeeded', w.name, now(), "
        "now() from file f, (values (1, 'silent'), (2, 'silent-previews'), (3, 'said')) w (n, name)",
    )
    run(deployed, f"select public.register_worker('said', '1', '{sources.migrations()[-1].version}')")
    outcome, lines = told(deployed, plan_only=True)
    (finding,) = [finding for finding in outcome.preflight.findings if finding.code == "worker_older"]
    assert finding.message == "These workers are older than what is deployed: silent."
    assert not finding.stops
    assert any(line.startswith("Note: These workers are older") for line in lines)
