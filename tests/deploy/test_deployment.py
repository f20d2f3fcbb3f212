"""Deploying: once, twice, planned only, interrupted, over a project changed by hand, by both doors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from soundscape.deploy import catalogue, database, record, sources
from soundscape.deploy.deployment import Outcome, deploy, through
from soundscape.deploy.door import Connection, Door, Part, Rows, connected
from soundscape.deploy.target import Target
from soundscape.errors import DeployError, SettingsError
from soundscape.local.postgres import SUPERUSER, Postgres

from . import management_api

WEBHOOK_SECRET = "whsec_" + "c29tZSAzMiByYW5kb20gYnl0ZXMgZm9yIHRlc3RpbmchIQ=="
NOTHING_CHANGED = "Nothing changed: the project is as it should be."


def target(dsn: str) -> Target:
    return Target(db_url=dsn, worker_url="http://worker.test", webhook_secret=WEBHOOK_SECRET)


def told(dsn: str, *, plan_only: bool = False, repair: bool = False) -> tuple[Outcome, list[str]]:
    lines: list[str] = []
    outcome = deploy(target(dsn), lines.append, plan_only=plan_only, repair=repair)
    return outcome, lines


def picture(dsn: str) -> dict[tuple[str, str], str]:
    """The whole catalogue, by kind and name."""
    with connected(dsn) as door:
        present = catalogue.present(door, cron=record.look(door).cron)
    return {key: entry.state for key, entry in present.entries.items()}


@pytest.fixture(scope="module")
def template(cluster: Postgres) -> str:
    """The name of a deployed project's database, for copies."""
    name = "deployed"
    with psycopg.connect(cluster.dsn(SUPERUSER, dbname="template1"), autocommit=True) as connection:
        connection.execute("create database deployed template postgres")
        connection.execute("grant create, connect, temporary on database deployed to postgres")
    assert told(cluster.dsn(dbname=name))[0].succeeded
    return name


@pytest.fixture
def deployed(fresh: Callable[..., str], template: str) -> str:
    """A deployed project."""
    return fresh(template)


def run(dsn: str, statement: str) -> None:
    # The platform's own extensions can be dropped in the dashboard only, which is a superuser.
    role = SUPERUSER if "extension" in statement else "postgres"
    with psycopg.connect(dsn.replace("//postgres:", f"//{role}:")) as connection:
        connection.execute(statement.encode())


def test_a_second_deploy_changes_nothing_and_says_so(project: str) -> None:
    first, _ = told(project)
    assert first.succeeded
    assert len(first.done) == len(sources.migrations()) + 3  # policies, and two secrets
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
    assert {f"{kind} {name}" for kind, name in after if (kind, name) not in before} == planned


def test_no_secret_is_shown(project: str) -> None:
    outcome, lines = told(project)
    shown = "\n".join(lines) + str(outcome.as_dict()) + repr(target(project))
    for secret in (WEBHOOK_SECRET, "for-tests-only"):
        assert secret not in shown


class Interrupted(Exception):
    """As a Ctrl-C or a lost connection would end a deploy."""


class Failing:
    """A door that breaks at its `at`-th call: before the script ran, or after, when nobody heard of it."""

    def __init__(self, door: Connection, at: int, *, after: bool) -> None:
        self.name = door.name
        self._door = door
        self._left = at
        self._after = after

    def run(self, *parts: Part) -> Rows:
        return self._pass(self._door.run, parts)

    def rehearse(self, *parts: Part) -> Rows:
        return self._pass(self._door.rehearse, parts)

    def _pass(self, call: Callable[..., Rows], parts: tuple[Part, ...]) -> Rows:
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
        with connected(project) as door:
            failing: Door = Failing(door, at, after=at % 2 == 0)
            try:
                outcome = through(target(project), failing, None, lambda _: None)
            except Interrupted:
                interruptions += 1
                state = record.look(door)
                assert state.record is None or not state.record.catalogue.differences(
                    catalogue.present(door, cron=state.cron)
                ), "an interruption is not drift"
                continue
        break
    assert outcome.succeeded
    assert interruptions > len(sources.migrations()) // 2
    assert picture(project) == wanted
    assert told(project)[1][-1] == NOTHING_CHANGED


BY_HAND = [
    # what somebody does in the SQL editor, and what a deploy says of it
    ("drop policy audio_files_read on public.audio_files",
     "policy audio_files_read on public.audio_files is missing"),
    ("alter policy audio_files_update_own on public.audio_files using (true)",
     "policy audio_files_update_own on public.audio_files is changed"),
    ("create policy leak on public.audio_files for select to anon using (true)",
     "policy leak on public.audio_files is unknown"),
    ("create policy leak on storage.objects for select to anon using (bucket_id = 'audio-files')",
     "policy leak on storage.objects is unknown"),
    ("create policy flood on storage.objects for select to anon using (true)",
     "policy flood on storage.objects is unknown"),
    ("grant insert on public.audio_files to anon", "grant table public.audio_files to anon is changed"),
    ("grant update (status) on public.audio_files to authenticated",
     "grant table public.audio_files to authenticated is changed"),
    ("revoke select on public.audio_features from authenticated",
     "grant table public.audio_features to authenticated is missing"),
    ("grant execute on function public.reconcile() to authenticated",
     "grant function public.reconcile() to authenticated is unknown"),
    ("grant select on soundscape.jobs to anon", "grant table soundscape.jobs to anon is unknown"),
    ("alter table public.audio_files disable row level security",
     "row security public.audio_files is changed"),
    ("update storage.buckets set public = true where id = 'waveforms'", "bucket waveforms is changed"),
    ("update storage.buckets set file_size_limit = null where id = 'audio-files'",
     "bucket audio-files is changed"),
    ("drop trigger soundscape_object_written on storage.objects",
     "trigger soundscape_object_written on storage.objects is missing"),
    ("alter table public.audio_files disable trigger audio_files_made",
     "trigger audio_files_made on public.audio_files is changed"),
    ("create or replace function soundscape.ring() returns void language sql as ''",
     "function soundscape.ring() is changed"),
    ("alter publication supabase_realtime drop table public.audio_files",
     "published table public.audio_files is missing"),
    ("select cron.unschedule('soundscape-reconcile')", "cron job soundscape-reconcile is missing"),
    ("drop extension pg_net", "extension pg_net is missing"),
]  # fmt: skip


def test_what_was_changed_by_hand_is_named_and_put_back(deployed: str) -> None:
    wanted = picture(deployed)
    for statement, _ in BY_HAND:
        run(deployed, statement)
    changed = picture(deployed)
    outcome, lines = told(deployed)
    names = [named for _, named in BY_HAND]
    assert sorted(str(difference) for difference in outcome.drift) == sorted(names)
    assert not outcome.succeeded
    assert {f"drift: {named}" for named in names} <= set(lines)
    assert picture(deployed) == changed, "without --repair nothing is touched"

    repaired, _ = told(deployed, repair=True)
    assert repaired.succeeded
    assert sorted(repaired.done) == sorted(f"put back {named.rpartition(' is ')[0]}" for named in names)
    assert picture(deployed) == wanted
    assert told(deployed)[1][-1] == NOTHING_CHANGED


def test_what_belongs_to_others_is_left_alone(deployed: str) -> None:
    for statement in (
        "create table public.guestbook (id int)",
        "grant all on public.guestbook to anon",
        "create function public.hello() returns text language sql return 'hello'",
        "insert into storage.buckets (id, name, public) values ('theirs', 'theirs', true)",
        "create policy theirs on storage.objects for select to anon using (bucket_id = 'theirs')",
    ):
        run(deployed, statement)
    before = picture(deployed)
    for repair in (False, True):
        outcome, lines = told(deployed, repair=repair)
        assert outcome.succeeded
        assert lines[-1] == NOTHING_CHANGED
        assert picture(deployed) == before


def test_what_held_data_is_not_pretended_to_be_mended(deployed: str) -> None:
    run(deployed, "alter table public.audio_files drop column license")
    outcome, _ = told(deployed)
    assert "column public.audio_files.license is missing" in map(str, outcome.drift)
    with pytest.raises(DeployError, match="license") as refused:
        told(deployed, repair=True)
    assert refused.value.code == "drift_remains"


@contextmanager
def more_sources(
    monkeypatch: pytest.MonkeyPatch, *, policy: str | None = None, migration: str | None = None
) -> Iterator[None]:
    """The next version of SoundScape: one file more."""
    policies, migrations = sources.policies(), sources.migrations()
    if policy is not None:
        policies.append(("zz_next.sql", policy))
    if migration is not None:
        migrations.append(sources.Migration("20991231000000", "next", migration))
    with monkeypatch.context() as patched:
        patched.setattr(sources, "policies", lambda: policies)
        patched.setattr(sources, "migrations", lambda: migrations)
        catalogue.query.cache_clear()
        yield


def test_a_new_version_is_a_change_and_not_drift(deployed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with more_sources(
        monkeypatch,
        migration="create table public.next (id int primary key); "
        "alter table public.next enable row level security;",
        policy="revoke all on public.next from public, anon, authenticated; "
        "grant select on public.next to anon;",
    ):
        outcome, _ = told(deployed, plan_only=True)
        assert outcome.drift == []
        assert outcome.plan is not None
        assert outcome.plan.policy_files == ["zz_next.sql"]
        assert outcome.plan.changes == [
            "+ column public.next.id",
            "+ row security public.next",
            "+ grant table public.next to anon",
        ]
        assert told(deployed)[0].succeeded
        assert told(deployed)[1][-1] == NOTHING_CHANGED


def test_drift_stops_a_new_version_unless_it_is_put_back_first(
    deployed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(deployed, "drop policy users_read on public.users")
    with more_sources(monkeypatch, migration="create table public.next (id int)"):
        stopped, _ = told(deployed)
        assert (stopped.done, len(stopped.drift)) == ([], 1)
        outcome, _ = told(deployed, repair=True)
        assert outcome.done[:2] == [
            "put back policy users_read on public.users",
            "migration 20991231000000_next",
        ]


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


def test_the_embedded_projects_own_start_agrees(project: str) -> None:
    """`soundscape dev` deploys by itself; a deploy after that finds nothing to do."""
    for expected in (len(sources.migrations()), 0):
        applied = database.apply(project, worker_url="http://worker.test", webhook_secret=WEBHOOK_SECRET)
        assert len(applied.migrations) == expected
    assert (applied.policies, applied.secrets) == ([], [])
    assert told(project)[1][-1] == NOTHING_CHANGED
    run(project, "drop policy users_read on public.users")
    assert database.apply(project).policies
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
    monkeypatch.setattr(hooks, "wanted", lambda: {"custom_access_token": uri})
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
    with connected(project) as door:
        outcome = through(target, door, None, lambda _: None)
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
        catalogue.query.cache_clear()
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
    with connected(project) as door:
        outcome = through(Target(project_ref="r"), door, None, lambda _: None)
    (note,) = [found for found in outcome.preflight.findings if "custom_access_token" in found.message]
    assert not note.stops
    assert "Authentication → Hooks" in note.remedy
    assert "supabase config push" in note.remedy


def test_preflight_notes_a_missing_doorbell(project: str) -> None:
    with connected(project) as door:
        outcome = through(Target(), door, None, lambda _: None)
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
